//! One request and its answer: repetition, errors, pages, uploads, who gets the token.

use crate::server::{TOKEN, client, one, serve};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
    routing::{get, post, put},
};
use client::{Client, Endpoint, Error, NewRun};
use serde_json::json;
use std::{
    collections::HashMap,
    io::Write,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

#[tokio::test]
async fn the_token_is_sent_to_the_api_with_json_api_media_types() {
    let account = get(|headers: HeaderMap| async move {
        assert_eq!(headers["authorization"], format!("Bearer {TOKEN}"));
        assert_eq!(headers["accept"], "application/vnd.api+json");
        one("users", "user-1", json!({"username": "mara", "email": null, "unknown": [1]}))
    });
    let address = serve(Router::new().route("/account/details", account), Router::new()).await;
    let account = client(&address).account().await.unwrap();
    assert_eq!((account.username.as_str(), account.email), ("mara", None));
}

#[tokio::test]
async fn reads_are_repeated_after_429_and_5xx() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let ping = get(move || async move {
        match counted.fetch_add(1, Ordering::SeqCst) {
            0 => (StatusCode::TOO_MANY_REQUESTS, [("x-ratelimit-reset", "0.01")]).into_response(),
            1 => StatusCode::BAD_GATEWAY.into_response(),
            _ => StatusCode::NO_CONTENT.into_response(),
        }
    });
    let address = serve(Router::new().route("/ping", ping), Router::new()).await;
    client(&address).ping().await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_creation_is_repeated_after_429_but_never_after_5xx() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let runs = post(move || async move {
        match counted.fetch_add(1, Ordering::SeqCst) {
            0 => (StatusCode::TOO_MANY_REQUESTS, [("x-ratelimit-reset", "0.01")]).into_response(),
            _ => (
                StatusCode::BAD_GATEWAY,
                [("x-request-id", "req-7")],
                Json(json!({"errors": [{"status": "502", "title": "bad gateway"}]})),
            )
                .into_response(),
        }
    });
    let address = serve(Router::new().route("/runs", runs), Router::new()).await;
    let error = client(&address).create_run(&"ws-1".into(), None, &NewRun::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "POST /runs was refused (502): bad gateway (request id req-7)");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_refusal_carries_the_servers_words_and_the_request_id() {
    let runs = post(|| async {
        let errors = json!({"errors": [
            {"status": "422", "title": "invalid attribute", "detail": "Name has already been taken",
             "source": {"pointer": "/data/attributes/name"}},
            {"status": "422", "title": "unprocessable entity", "detail": ""},
        ]});
        (StatusCode::UNPROCESSABLE_ENTITY, [("x-request-id", "req-1")], Json(errors))
    });
    let address = serve(Router::new().route("/runs", runs), Router::new()).await;
    let error = client(&address).create_run(&"ws-1".into(), None, &NewRun::default()).await.unwrap_err();
    assert_eq!(error.status(), Some(422));
    assert_eq!(
        error.to_string(),
        "POST /runs was refused (422): invalid attribute: Name has already been taken [/data/attributes/name]; \
         unprocessable entity (request id req-1)"
    );
}

#[tokio::test]
async fn names_with_odd_characters_stay_one_part_of_the_path() {
    let found = get(|uri: axum::http::Uri| async move {
        assert_eq!(uri.path(), "/organizations/a%2Fb%3F/workspaces/w%20%C3%A9");
        one("workspaces", "ws-1", json!({"name": "w é"}))
    });
    let address = serve(Router::new().route("/organizations/{o}/workspaces/{w}", found), Router::new()).await;
    assert_eq!(client(&address).workspace("a/b?", "w é").await.unwrap().name, "w é");
}

#[tokio::test]
async fn a_list_is_read_to_its_last_page() {
    let vars = get(|Query(query): Query<HashMap<String, String>>| async move {
        let page: u32 = query.get("page[number]").map_or(1, |number| number.parse().unwrap());
        let next = (page < 3).then_some(page + 1);
        Json(json!({
            "data": [{"type": "vars", "id": format!("var-{page}"), "attributes": {"key": "k", "value": null}}],
            "meta": {"pagination": {"current-page": page, "next-page": next}},
        }))
    });
    let address = serve(Router::new().route("/workspaces/{id}/vars", vars), Router::new()).await;
    let variables = client(&address).variables(&"ws-1".into()).await.unwrap();
    let ids: Vec<_> = variables.iter().map(|variable| variable.id.as_str()).collect();
    assert_eq!(ids, ["var-1", "var-2", "var-3"]);
}

#[tokio::test]
async fn included_resources_come_with_their_run() {
    let run = get(|Query(query): Query<HashMap<String, String>>| async move {
        assert_eq!(query["include"], "plan,apply,workspace,created_by");
        Json(json!({
            "data": {"type": "runs", "id": "run-1",
                "attributes": {"status": "planned", "actions": {"is-confirmable": true}, "waiting-for": {
                    "message": "the lock of user-2"}},
                "relationships": {"plan": {"data": {"type": "plans", "id": "plan-1"}},
                    "apply": {"data": {"type": "applies", "id": "apply-1"}}, "cost-estimate": {"data": null}}},
            "included": [{"type": "plans", "id": "plan-1", "attributes": {"status": "finished",
                "resource-additions": 3, "resource-changes": 0, "resource-destructions": 1}}],
        }))
    });
    let address = serve(Router::new().route("/runs/{id}", run), Router::new()).await;
    let run = client(&address).run_in_full(&"run-1".into()).await.unwrap();
    assert_eq!(run.plan.unwrap().resource_additions, Some(3));
    assert_eq!(run.apply_id.unwrap().as_str(), "apply-1");
    assert!(run.apply.is_none() && run.actions.is_confirmable && !run.actions.is_cancelable);
    assert_eq!(run.waiting_for.to_string(), r#"{"message":"the lock of user-2"}"#);
}

/// What an upload's server has seen.
#[derive(Default)]
struct Uploads {
    bodies: Mutex<Vec<Vec<u8>>>,
    fail_first: AtomicUsize,
}

async fn take(State(uploads): State<Arc<Uploads>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert!(!headers.contains_key("authorization"), "an upload carries no token");
    assert_eq!(headers["content-type"], "application/octet-stream");
    assert_eq!(headers["content-length"], body.len().to_string().as_str());
    uploads.bodies.lock().unwrap().push(body.to_vec());
    let fails =
        uploads.fail_first.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    if fails.is_ok() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

#[tokio::test]
async fn an_upload_is_streamed_with_its_length_and_begun_again_after_a_failure() {
    let uploads = Arc::new(Uploads { fail_first: AtomicUsize::new(1), ..Uploads::default() });
    let other = Router::new()
        .route("/signed/secret", put(take))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(Arc::clone(&uploads));
    let address = serve(Router::new(), other).await;
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&content).unwrap();
    let seen = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&seen);
    let url = format!("{address}/signed/secret").as_str().into();
    client(&address).upload(&url, file.path(), move |sent| told.store(sent, Ordering::SeqCst)).await.unwrap();
    assert_eq!(*uploads.bodies.lock().unwrap(), [content.clone(), content]);
    assert_eq!(seen.load(Ordering::SeqCst), 3_000_000);
}

#[tokio::test]
async fn a_signed_address_is_in_no_error() {
    let other = Router::new().route("/signed/secret", put(|| async { StatusCode::CONFLICT }));
    let address = serve(Router::new(), other).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let client = client(&address);
    let url = format!("{address}/signed/secret").as_str().into();
    let refused = client.upload(&url, file.path(), |_| ()).await.unwrap_err();
    assert_eq!(refused.to_string(), "PUT of the configuration was refused (409)");
    let nowhere = client.upload(&"http://[signed-secret".into(), file.path(), |_| ()).await.unwrap_err();
    assert!(!format!("{refused:?}{nowhere:?}{nowhere}").contains("secret"), "{nowhere:?}");
}

#[tokio::test]
async fn a_state_from_elsewhere_is_fetched_without_the_token() {
    async fn state(headers: HeaderMap) -> String {
        headers.get("authorization").map_or_else(|| "no token".to_owned(), |_| "token".to_owned())
    }
    let elsewhere = serve(Router::new(), Router::new().route("/state", get(state))).await;
    let version = move |url: String| {
        get(move || async move {
            one("state-versions", "sv-1", json!({"serial": 4, "hosted-state-download-url": url}))
        })
    };
    let api = Router::new()
        .route("/workspaces/far/current-state-version", version(format!("{elsewhere}/state")))
        .route("/workspaces/near/current-state-version", version("/state".to_owned()));
    let client = client(&serve(api, Router::new().route("/state", get(state))).await);
    for (workspace, expected) in [("far", "no token"), ("near", "token")] {
        let version = client.current_state_version(&workspace.into()).await.unwrap().unwrap();
        assert_eq!(version.serial, 4);
        assert_eq!(client.download_state(&version).await.unwrap(), expected);
    }
    assert!(client.current_state_version(&"none".into()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_unfinished_plan_has_no_document() {
    let none = get(|| async { StatusCode::NO_CONTENT });
    let moved = get(|| async { (StatusCode::TEMPORARY_REDIRECT, [("location", "/document")]) });
    let api =
        Router::new().route("/plans/one/json-output", none).route("/plans/two/json-output-redacted", moved);
    let document = get(|| async { "{}" });
    let client = client(&serve(api, Router::new().route("/document", document)).await);
    assert_eq!(client.plan_json(&"one".into()).await.unwrap(), None);
    assert_eq!(client.plan_json_redacted(&"two".into()).await.unwrap().unwrap(), "{}");
}

#[tokio::test]
async fn a_host_that_is_no_terraform_enterprise_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new()).await });
    let error = client(&format!("http://{address}")).ping().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{address} does not look like a Terraform Enterprise server: /.well-known/terraform.json was answered \
             404 Not Found"
        )
    );
}

#[tokio::test]
async fn a_port_where_nothing_listens_is_named_at_once() {
    // Bound and dropped: nothing listens there now.
    let address = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = client(&format!("http://{address}")).ping().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("cannot reach {address} (GET /.well-known/terraform.json): ")),
        "{text}"
    );
    assert!(text.contains("refused"), "{text}");
}

#[test]
fn the_token_is_in_no_debug_output() {
    let endpoint = Endpoint::new("https://tfe.example.com", TOKEN.into());
    let shown = format!("{endpoint:?}{:?}", Client::new(endpoint.clone()).unwrap());
    assert!(!shown.contains(TOKEN), "{shown}");
    let mut broken = endpoint;
    broken.token = "line\nbreak".into();
    assert!(!Client::new(broken).unwrap_err().to_string().contains("break\""));
}
