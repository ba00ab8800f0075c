//! A Terraform Enterprise of one run: enough of the API for `push`, with its real framing and long polls, whose plan
//! and apply do what the test has written down.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, Request, State},
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::sync::Notify;

pub(crate) const TOKEN: &str = "the-secret-token";

/// What the run will do.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) plan_log: String,
    pub(crate) apply_log: String,
    /// The plan's redacted JSON.
    pub(crate) document: Option<Value>,
    pub(crate) changes: bool,
    /// The plan ends in an error.
    pub(crate) fails: bool,
    /// The plan goes on until it is canceled.
    pub(crate) hangs: bool,
    /// The engine does not heed a cancel.
    pub(crate) deaf: bool,
    /// The run stays pending, with this `waiting-for`, until [`Tfe::release`].
    pub(crate) waits_for: Option<Value>,
    pub(crate) can_apply: bool,
    /// Attributes of the workspace.
    pub(crate) workspace: Value,
}

impl Default for Script {
    fn default() -> Self {
        let preamble = "Terraform v1.11.4\non linux_amd64\nInitializing plugins and modules...\n";
        Self {
            plan_log: preamble.to_owned(),
            apply_log: preamble.to_owned(),
            document: None,
            changes: true,
            fails: false,
            hangs: false,
            deaf: false,
            waits_for: None,
            can_apply: true,
            workspace: json!({"name": "demo", "execution-mode": "remote", "working-directory": ""}),
        }
    }
}

#[derive(Default)]
struct Truth {
    calls: Vec<(String, Value)>,
    uploads: Vec<Vec<u8>>,
    workspaces: Vec<String>,
    status: &'static str,
    auto_apply: bool,
    plan_only: bool,
    plan: Phase,
    apply: Phase,
}

#[derive(Default)]
struct Phase {
    status: &'static str,
    log: Vec<u8>,
}

impl Phase {
    fn begin(&mut self, text: &str) {
        self.status = "running";
        self.log.extend_from_slice(text.as_bytes());
    }

    fn end(&mut self, status: &'static str) {
        self.status = status;
        self.log.push(0x03);
    }
}

pub(crate) struct Tfe {
    pub(crate) address: String,
    script: Script,
    truth: Mutex<Truth>,
    changed: Notify,
    /// A log read is held.
    pub(crate) held: Notify,
}

impl Tfe {
    pub(crate) async fn start(script: Script) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let phase = || Phase { status: "pending", log: vec![0x02] };
        let truth =
            Truth { workspaces: vec!["demo".to_owned()], plan: phase(), apply: phase(), ..Truth::default() };
        let (truth, changed, held) = (Mutex::new(truth), Notify::new(), Notify::new());
        let tfe = Arc::new(Self { address, script, truth, changed, held });
        let app = routes(&tfe);
        tokio::spawn(async move { axum::serve(listener, app).await });
        tfe
    }

    fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap()
    }

    /// The bodies of the calls of this method and path, in order.
    pub(crate) fn calls(&self, name: &str) -> Vec<Value> {
        self.truth().calls.iter().filter(|(call, _)| call == name).map(|(_, body)| body.clone()).collect()
    }

    pub(crate) fn uploads(&self) -> Vec<Vec<u8>> {
        self.truth().uploads.clone()
    }

    /// What the run waited for is gone.
    pub(crate) fn release(&self) {
        self.plan();
        self.changed.notify_waiters();
    }

    fn plan(&self) {
        let (script, mut truth) = (&self.script, self.truth());
        truth.plan.begin(&script.plan_log);
        truth.status = "planning";
        if script.hangs {
            return;
        }
        truth.plan.end(if script.fails { "errored" } else { "finished" });
        truth.status = match (script.fails, script.changes && !truth.plan_only) {
            (true, _) => "errored",
            (false, false) => "planned_and_finished",
            (false, true) => "planned",
        };
        if truth.status == "planned" && truth.auto_apply && script.can_apply {
            self.apply(&mut truth);
        }
    }

    fn apply(&self, truth: &mut Truth) {
        truth.apply.begin(&self.script.apply_log);
        truth.apply.end("finished");
        truth.status = "applied";
    }

    fn run(&self) -> Json<Value> {
        let (script, truth) = (&self.script, self.truth());
        let status = truth.status;
        Json(json!({"data": {"type": "runs", "id": "run-1",
        "attributes": {
            "status": status, "has-changes": script.changes, "auto-apply": truth.auto_apply,
            "plan-only": truth.plan_only,
            "waiting-for": script.waits_for.clone().filter(|_| status == "pending"),
            "actions": {"is-confirmable": status == "planned", "is-discardable": status == "planned",
                "is-cancelable": matches!(status, "pending" | "planning")},
            "permissions": {"can-apply": script.can_apply, "can-cancel": true, "can-discard": true},
        },
        "relationships": {
            "workspace": {"data": {"type": "workspaces", "id": "ws-1"}},
            "plan": {"data": {"type": "plans", "id": "plan-1"}},
            "apply": {"data": {"type": "applies", "id": "apply-1"}},
        }}}))
    }
}

fn routes(tfe: &Arc<Tfe>) -> Router {
    let api = Router::new()
        .route("/organizations/acme", get(|| async { one("organizations", "acme", json!({"name": "acme"})) }))
        .route("/organizations/acme/workspaces", post(create_workspace))
        .route("/organizations/acme/workspaces/{name}", get(workspace))
        .route(
            "/workspaces/ws-1",
            get(async |State(tfe): Tfes| one("workspaces", "ws-1", tfe.script.workspace.clone())),
        )
        .route(
            "/workspaces/ws-1/runs",
            get(async |State(tfe): Tfes| {
                let Json(run) = tfe.run();
                let ahead = json!({"type": "runs", "id": "run-0", "attributes": {"status": "planned"}});
                Json(json!({"data": [run["data"], ahead]}))
            }),
        )
        .route(
            "/workspaces/ws-1/configuration-versions",
            post(async |State(tfe): Tfes| {
                let url = format!("{}/signed/upload", tfe.address);
                one("configuration-versions", "cv-1", json!({"status": "pending", "upload-url": url}))
            }),
        )
        .route(
            "/configuration-versions/cv-1",
            get(|| async {
                one("configuration-versions", "cv-1", json!({"status": "uploaded", "upload-url": null}))
            }),
        )
        .route("/runs", post(create_run))
        .route("/runs/run-1", get(async |State(tfe): Tfes| tfe.run()))
        .route("/runs/run-1/actions/{action}", post(act))
        .route(
            "/plans/plan-1",
            get(async |State(tfe): Tfes| {
                let url = format!("{}/signed/plan", tfe.address);
                one(
                    "plans",
                    "plan-1",
                    json!({"status": tfe.truth().plan.status, "log-read-url": url,
                "resource-additions": 1, "resource-changes": 0, "resource-destructions": 0}),
                )
            }),
        )
        .route(
            "/plans/plan-1/json-output-redacted",
            get(async |State(tfe): Tfes| match &tfe.script.document {
                Some(document) => Json(document.clone()).into_response(),
                None => StatusCode::NO_CONTENT.into_response(),
            }),
        )
        .route(
            "/applies/apply-1",
            get(async |State(tfe): Tfes| {
                let url = format!("{}/signed/apply", tfe.address);
                one(
                    "applies",
                    "apply-1",
                    json!({"status": tfe.truth().apply.status, "log-read-url": url,
                "resource-additions": 1, "resource-changes": 0, "resource-destructions": 0}),
                )
            }),
        )
        .layer(from_fn_with_state(Arc::clone(tfe), admit));
    Router::new()
        .route("/.well-known/terraform.json", get(|| async { Json(json!({"tfe.v2": "/api/v2/"})) }))
        .nest("/api/v2", api)
        .route(
            "/signed/upload",
            put(async |State(tfe): Tfes, body: Bytes| tfe.truth().uploads.push(body.to_vec())),
        )
        .route("/signed/{phase}", get(log))
        .with_state(Arc::clone(tfe))
}

type Tfes = State<Arc<Tfe>>;

/// Refuses foreign tokens and writes down what is called.
async fn admit(State(tfe): Tfes, request: Request, next: Next) -> Response {
    if request.headers().get("authorization").is_none_or(|token| token != &format!("Bearer {TOKEN}")) {
        return refuse(StatusCode::UNAUTHORIZED, "unauthorized");
    }
    let name = format!("{} {}", request.method(), request.uri().path());
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let told = serde_json::from_slice(&body).unwrap_or(Value::Null);
    tfe.truth().calls.push((name, told));
    next.run(Request::from_parts(parts, body.into())).await
}

async fn create_workspace(State(tfe): Tfes, Json(body): Json<Value>) -> Json<Value> {
    let name = body["data"]["attributes"]["name"].as_str().unwrap().to_owned();
    tfe.truth().workspaces.push(name.clone());
    one("workspaces", "ws-1", json!({"name": name}))
}

async fn workspace(State(tfe): Tfes, Path(name): Path<String>) -> Response {
    if tfe.truth().workspaces.contains(&name) {
        one("workspaces", "ws-1", tfe.script.workspace.clone()).into_response()
    } else {
        refuse(StatusCode::NOT_FOUND, "not found")
    }
}

async fn create_run(State(tfe): Tfes, Json(body): Json<Value>) -> Json<Value> {
    let attributes = &body["data"]["attributes"];
    {
        let mut truth = tfe.truth();
        truth.status = "pending";
        truth.auto_apply = attributes["auto-apply"] == true;
        truth.plan_only = attributes["plan-only"] == true;
    }
    if tfe.script.waits_for.is_none() {
        tfe.plan();
    }
    tfe.run()
}

async fn act(State(tfe): Tfes, Path(action): Path<String>) -> Response {
    let mut truth = tfe.truth();
    match (action.as_str(), truth.status) {
        ("apply", "planned") => tfe.apply(&mut truth),
        ("discard", "planned") => truth.status = "discarded",
        ("cancel", "planning") if tfe.script.deaf => {}
        ("cancel", "pending" | "planning") => {
            truth.plan.end("canceled");
            truth.status = "canceled";
        }
        _ => return refuse(StatusCode::CONFLICT, "transition not allowed"),
    }
    tfe.changed.notify_waiters();
    StatusCode::ACCEPTED.into_response()
}

async fn log(
    State(tfe): Tfes,
    Path(phase): Path<String>,
    Query(window): Query<HashMap<String, usize>>,
) -> Vec<u8> {
    loop {
        let changed = tfe.changed.notified();
        {
            let truth = tfe.truth();
            let log = if phase == "plan" { &truth.plan.log } else { &truth.apply.log };
            let rest = log.get(window["offset"]..).unwrap_or_default();
            if !rest.is_empty() || log.last() == Some(&0x03) {
                return rest[..rest.len().min(window["limit"])].to_vec();
            }
        }
        tfe.held.notify_one();
        changed.await;
    }
}

fn one(kind: &str, id: &str, attributes: Value) -> Json<Value> {
    Json(json!({"data": {"type": kind, "id": id, "attributes": attributes}}))
}

fn refuse(status: StatusCode, title: &str) -> Response {
    let errors = json!({"errors": [{"status": status.as_str(), "title": title}]});
    (status, Json(errors)).into_response()
}
