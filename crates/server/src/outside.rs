//! The application as a listener serves it: the API, with health and metrics beside it and counting around it.

use crate::{
    assemble::{Assembled, installed_engine},
    metrics::{HEALTH, METRICS, Metrics},
};
use axum::{
    Extension, Router,
    extract::Query,
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use http_api::App;
use kernel::Secret;
use runs::jobs::Jobs;
use serde_json::{Value, json};
use std::collections::HashMap;

/// The form of the text that Prometheus reads; without the version newer ones refuse it.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the main address serves. `/metrics` is there only with a token.
pub fn router(assembled: &Assembled, metrics: &Metrics, token: Option<&Secret>) -> Router {
    let app = assembled.app.clone();
    let health = get(move |query| health(app.clone(), query));
    let mut router = assembled.router.clone().route("/_health_check", health);
    if let Some(token) = token {
        let (app, metrics) = (assembled.app.clone(), metrics.clone());
        let expected = app.hasher.hash(token.expose());
        router = router.route(
            "/metrics",
            get(move |headers: HeaderMap| {
                let allowed = bearer(&headers).is_some_and(|given| app.hasher.verify(given, &expected));
                let reply = if allowed {
                    metrics_reply(&app, &metrics)
                } else {
                    (Extension(METRICS), StatusCode::UNAUTHORIZED).into_response()
                };
                async move { reply }
            }),
        );
    }
    let counted = metrics.clone();
    router.layer(middleware::from_fn(move |request, next| counted.clone().record(request, next)))
}

/// What the metrics' own address serves.
pub fn metrics_router(app: &App, metrics: &Metrics) -> Router {
    let (app, metrics) = (app.clone(), metrics.clone());
    Router::new().route(
        "/metrics",
        get(move || {
            let reply = metrics_reply(&app, &metrics);
            async move { reply }
        }),
    )
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn metrics_reply(app: &App, metrics: &Metrics) -> Response {
    let jobs = app.area::<Jobs>();
    let text = metrics.text(jobs.running(), jobs.capacity);
    (Extension(METRICS), [(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response()
}

/// 200 when this server can do its work, else 503; `?full=1` says what was looked at.
async fn health(app: App, Query(query): Query<HashMap<String, String>>) -> Response {
    let database = app.db.ping().await.is_ok();
    let objects = objects_can_be_listed(app.clone()).await.is_ok();
    let ready = database && objects;
    let word = |ok: bool| if ok { "ok" } else { "failing" };
    let mut body = json!({ "status": word(ready) });
    if query.get("full").is_some_and(|full| full != "0") {
        body["database"] = word(database).into();
        body["objects"] = word(objects).into();
        body["runner"] = runner(&app).await;
    }
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Extension(HEALTH), axum::Json(body)).into_response()
}

/// The runner's part of the health: which engine new workspaces get, and what it is busy with.
pub(crate) async fn runner(app: &App) -> Value {
    let jobs = app.area::<Jobs>();
    let (ok, engine) = match installed_engine(jobs.runner.engines()).await {
        Ok(Some(engine)) => (true, json!({ "tool": engine.tool, "version": engine.version })),
        Ok(None) => (true, json!({ "detail": "OpenTofu is downloaded by the first run that needs it" })),
        Err(error) => (jobs.capacity == 0, json!({ "detail": error.to_string() })),
    };
    let status = if ok { "ok" } else { "failing" };
    json!({ "status": status, "engine": engine, "running": jobs.running(), "capacity": jobs.capacity })
}

/// This needs the folder and its rights; it looks at no object.
pub(crate) async fn objects_can_be_listed(app: App) -> http_api::Result<()> {
    http_api::blobs::blocking(move || app.objects.list().map(drop).map_err(http_api::Error::internal)).await
}
