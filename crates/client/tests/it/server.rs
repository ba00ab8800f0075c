//! A server on a loopback port that offers the API where every Terraform Enterprise does.

use axum::{Json, Router, routing::get};
use client::{Client, Endpoint};
use serde_json::json;

pub(crate) const TOKEN: &str = "the-secret-token";

/// Serves `api` below `/api/v2` and `other` at the root, and returns the address.
pub(crate) async fn serve(api: Router, other: Router) -> String {
    let app = discovery().merge(other).nest("/api/v2", api);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

pub(crate) fn discovery() -> Router {
    Router::new().route("/.well-known/terraform.json", get(|| async { Json(json!({"tfe.v2": "/api/v2/"})) }))
}

pub(crate) fn client(address: &str) -> Client {
    Client::new(Endpoint::new(address, TOKEN.into())).unwrap()
}

/// A document with one resource.
pub(crate) fn one(kind: &str, id: &str, attributes: serde_json::Value) -> Json<serde_json::Value> {
    Json(json!({"data": {"type": kind, "id": id, "attributes": attributes}}))
}
