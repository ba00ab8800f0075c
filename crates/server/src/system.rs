//! What is the server's own and no area's: discovery, ping, the OpenAPI document.
//!
//! Source: cli-protocol.md §0, §1.1; the service discovery protocol.

use axum::http::{Method, StatusCode};
use http_api::{Cx, Reply, Result, Routes, openapi};
use serde_json::json;

/// The server's own operations. `described` is the rest of the table, for the OpenAPI document.
pub(crate) fn routes(described: &Routes) -> Routes {
    let own = Routes::new()
        .public(Method::GET, "/.well-known/terraform.json", "server.discovery.read", discovery)
        .public(Method::GET, "/api/v2/ping", "server.ping.read", ping);
    let document = openapi::document(&described.clone().and(own.clone()));
    own.public(Method::GET, "/api/v2/openapi.json", "server.openapi.read", move |_| {
        let document = document.clone();
        async move { Ok(Reply::json(&document)) }
    })
}

/// Only what exists is announced: a service that is not, the command line never asks for.
async fn discovery(cx: Cx) -> Result<Reply> {
    let base = "/api/v2/";
    let mut services = json!({ "tfe.v2": base, "tfe.v2.1": base, "tfe.v2.2": base, "state.v2": base });
    // Without it `terraform login` asks for a token to paste.
    if !cx.app.settings.pasted_tokens {
        services["login.v1"] = accounts::authorizations::discovery();
    }
    Ok(Reply::json(&services))
}

/// Without `X-RateLimit-Limit`, by which the SDK would slow itself down, unless the operator has set a tight limit.
async fn ping(_: Cx) -> Result<Reply> {
    Ok(Reply::Empty(StatusCode::NO_CONTENT))
}
