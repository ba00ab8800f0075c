//! Raw JSON over HTTP, and the few sentences that every test begins with.

use crate::server::PATIENCE;
use http_api::App;
use kernel::ids::RunId;
use reqwest::{Method, StatusCode};
use runs::jobs::Jobs;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

/// Statuses that a run does not leave.
const FINAL: [&str; 5] = ["applied", "discarded", "errored", "canceled", "planned_and_finished"];
const STX: char = '\u{2}';
const ETX: char = '\u{3}';

/// The API as one caller.
#[derive(Clone, Debug)]
pub struct Api {
    app: App,
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body, as bytes.
    pub bytes: Vec<u8>,
    /// The body, where it is JSON.
    pub json: Value,
    asked: String,
}

impl Answer {
    /// The answer, if it has this status.
    ///
    /// # Panics
    /// Otherwise, with the request and the body.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        let body = String::from_utf8_lossy(&self.bytes);
        assert_eq!(self.status.as_u16(), status, "{} answered {body}", self.asked);
        self
    }

    /// `data.id`
    #[track_caller]
    pub fn id(&self) -> String {
        self.json["data"]["id"].as_str().unwrap_or_else(|| panic!("no id in {}", self.json)).to_owned()
    }

    /// `data.attributes.<name>`
    pub fn attribute(&self, name: &str) -> &Value {
        &self.json["data"]["attributes"][name]
    }

    /// `data.relationships.<name>.data.id`
    pub fn related(&self, name: &str) -> Option<&str> {
        self.json["data"]["relationships"][name]["data"]["id"].as_str()
    }

    /// The ids of a list.
    pub fn ids(&self) -> Vec<String> {
        let list = self.json["data"].as_array().cloned().unwrap_or_default();
        list.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)).collect()
    }

    /// The text of the first error: title, then detail.
    pub fn error(&self) -> String {
        let error = &self.json["errors"][0];
        format!(
            "{}: {}",
            error["title"].as_str().unwrap_or_default(),
            error["detail"].as_str().unwrap_or_default()
        )
    }
}

impl Api {
    /// The API of a server at a URL, for nobody yet.
    pub(crate) fn new(app: &App, url: &str) -> Self {
        // One provider for the process; a second installation is refused and harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .tcp_nodelay(true)
            // Nothing is encrypted here, and reading the system's certificates takes longer than many a test.
            .tls_certs_only([])
            .build()
            .expect("a client without special wishes can be made");
        Self { app: app.clone(), http, url: url.to_owned(), token: None }
    }

    /// The same for the holder of a token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Sends a request to a path below `/api/v2`, or to a whole URL.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.send_with(method, path, body, &[]).await
    }

    /// The same with further headers.
    pub async fn send_with(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let url =
            if path.starts_with("http") { path.to_owned() } else { format!("{}/api/v2{path}", self.url) };
        let mut request = self.http.request(method.clone(), &url);
        if let Some(token) = self.token.as_ref().filter(|_| url.contains("/api/")) {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/vnd.api+json").body(body.to_string());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(format!("{method} {path}"), request).await
    }

    /// GET
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// POST
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    /// PATCH
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    /// DELETE
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// PUT of bytes to a signed URL, without a token.
    pub async fn put(&self, url: &str, bytes: Vec<u8>) -> Answer {
        let request = self.http.put(url).header("content-type", "application/octet-stream").body(bytes);
        answer("PUT to a signed URL".to_owned(), request).await
    }

    /// PUT of a body whose length is not announced.
    pub async fn put_streamed(&self, url: &str, body: reqwest::Body) -> Result<Answer, reqwest::Error> {
        let response =
            self.http.put(url).header("content-type", "application/octet-stream").body(body).send().await?;
        read("PUT of a stream".to_owned(), response).await
    }

    /// POST of an action without a body; 202 expected.
    pub async fn act(&self, path: &str) {
        self.post(path, json!({})).await.expect(202);
    }

    /// Makes an organization.
    pub async fn organization(&self, name: &str) -> String {
        let body = json!({ "data": { "type": "organizations", "attributes": { "name": name, "email": "a@example.com" } } });
        self.post("/organizations", body).await.expect(201).id()
    }

    /// Makes a workspace with attributes besides its name.
    pub async fn workspace(&self, organization: &str, name: &str, mut attributes: Value) -> String {
        attributes["name"] = json!(name);
        let body = json!({ "data": { "type": "workspaces", "attributes": attributes } });
        self.post(&format!("/organizations/{organization}/workspaces"), body).await.expect(201).id()
    }

    /// Makes a team that has a level of access to a workspace; its id.
    pub async fn team(&self, organization: &str, name: &str, workspace: &str, level: &str) -> String {
        let body = json!({ "data": { "type": "teams", "attributes": { "name": name } } });
        let team = self.post(&format!("/organizations/{organization}/teams"), body).await.expect(201).id();
        let access = json!({ "data": { "type": "team-workspaces", "attributes": { "access": level }, "relationships": {
            "team": { "data": { "type": "teams", "id": team } },
            "workspace": { "data": { "type": "workspaces", "id": workspace } },
        }}});
        self.post("/team-workspaces", access).await.expect(201);
        team
    }

    /// Makes such a team, and gives the team's token.
    pub async fn team_token(&self, organization: &str, name: &str, workspace: &str, level: &str) -> String {
        let team = self.team(organization, name, workspace, level).await;
        let made = self.post(&format!("/teams/{team}/authentication-token"), json!({})).await.expect(201);
        made.attribute("token").as_str().expect("a new token is shown").to_owned()
    }

    /// Invites an address into an organization and some of its teams; the name of the user behind it.
    pub async fn invite(&self, organization: &str, email: &str, teams: &[&str]) -> String {
        let teams: Vec<_> = teams.iter().map(|id| json!({ "type": "teams", "id": id })).collect();
        let body = json!({ "data": { "type": "organization-memberships", "attributes": { "email": email },
            "relationships": { "teams": { "data": teams } } } });
        let path = format!("/organizations/{organization}/organization-memberships");
        let invited = self.post(&path, body).await.expect(201);
        let user = &invited.json["included"][0]["attributes"]["username"];
        user.as_str().expect("the user is included").to_owned()
    }

    /// Makes the organization's token.
    pub async fn organization_token(&self, organization: &str) -> String {
        let made = self
            .post(&format!("/organizations/{organization}/authentication-token"), json!({}))
            .await
            .expect(201);
        made.attribute("token").as_str().expect("a new token is shown").to_owned()
    }

    /// Makes a configuration version; its id and upload URL.
    pub async fn configuration(&self, workspace: &str, attributes: Value) -> (String, String) {
        let body = json!({ "data": { "type": "configuration-versions", "attributes": attributes } });
        let made =
            self.post(&format!("/workspaces/{workspace}/configuration-versions"), body).await.expect(201);
        let url = made.attribute("upload-url").as_str().expect("shown once").to_owned();
        (made.id(), url)
    }

    /// Makes and uploads a configuration that queues no run.
    pub async fn uploaded(&self, workspace: &str, archive: Vec<u8>) -> String {
        let (id, url) = self.configuration(workspace, json!({ "auto-queue-runs": false })).await;
        self.put(&url, archive).await.expect(200);
        id
    }

    /// Asks for a run with attributes; whatever is answered.
    pub async fn ask_run(&self, workspace: &str, configuration: Option<&str>, attributes: Value) -> Answer {
        let mut relationships = json!({ "workspace": { "data": { "type": "workspaces", "id": workspace } } });
        if let Some(id) = configuration {
            relationships["configuration-version"] =
                json!({ "data": { "type": "configuration-versions", "id": id } });
        }
        let body =
            json!({ "data": { "type": "runs", "attributes": attributes, "relationships": relationships } });
        self.post("/runs", body).await
    }

    /// Makes a run.
    pub async fn run(&self, workspace: &str, attributes: Value) -> String {
        self.ask_run(workspace, None, attributes).await.expect(201).id()
    }

    /// Locks a workspace.
    pub async fn lock(&self, workspace: &str) {
        self.post(&format!("/workspaces/{workspace}/actions/lock"), json!({})).await.expect(200);
    }

    /// Unlocks a workspace.
    pub async fn unlock(&self, workspace: &str) {
        self.post(&format!("/workspaces/{workspace}/actions/unlock"), json!({})).await.expect(200);
    }

    /// A run's status.
    pub async fn status(&self, run: &str) -> String {
        let found = self.get(&format!("/runs/{run}")).await.expect(200);
        found.attribute("status").as_str().expect("every run has a status").to_owned()
    }

    /// Waits until a run has one of these statuses. It asks again only when the server has said that the run changed, so
    /// this also fails when the server forgets to say so.
    ///
    /// # Panics
    /// When the run ends otherwise or does not get there, with its document and logs.
    pub async fn wait(&self, run: &str, statuses: &[&str]) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let watch = self.app.area::<Jobs>().watch(&RunId::from(run));
            let changed = watch.notified();
            tokio::pin!(changed);
            // Before the run is read, so that no change falls between.
            changed.as_mut().enable();
            let found = self.get(&format!("/runs/{run}")).await.expect(200);
            let status = found.attribute("status").as_str().unwrap_or_default().to_owned();
            if statuses.contains(&status.as_str()) {
                return found;
            }
            if FINAL.contains(&status.as_str()) || timeout_at(deadline, changed).await.is_err() {
                let now = self.get(&format!("/runs/{run}")).await.expect(200);
                let (plan, apply) = (self.log_so_far(run, "plan").await, self.log_so_far(run, "apply").await);
                panic!(
                    "{run} was last said to be {status}, and is {}; not {statuses:?}\n{:#}\nplan: {plan}\napply: {apply}",
                    now.attribute("status"),
                    now.json
                );
            }
        }
    }

    /// Reads the live log of a run's `plan` or `apply` until it says something.
    ///
    /// # Panics
    /// When it ends without, or does not say it in time, with what it said.
    pub async fn wait_for_log(&self, run: &str, phase: &str, text: &str) {
        self.follow(run, phase, |log| log.contains(text), text).await;
    }

    /// The whole log of a run's `plan` or `apply`, without its marks. Of one that is being written, until its end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn log(&self, run: &str, phase: &str) -> String {
        let log = self.follow(run, phase, |log| log.ends_with(ETX), "its end").await;
        log.trim_matches([STX, ETX]).to_owned()
    }

    /// What there is of a log now.
    pub async fn log_so_far(&self, run: &str, phase: &str) -> String {
        let url = self.log_url(run, phase).await;
        let log = self.get(&format!("{url}?offset=0")).await.expect(200).bytes;
        String::from_utf8_lossy(&log).trim_matches([STX, ETX]).to_owned()
    }

    async fn log_url(&self, run: &str, phase: &str) -> String {
        let found = self.get(&format!("/runs/{run}/{phase}")).await.expect(200);
        found.attribute("log-read-url").as_str().expect("every phase has a log").to_owned()
    }

    /// Reads on, held by the server while there is nothing new, until the log is as wanted.
    async fn follow(&self, run: &str, phase: &str, enough: impl Fn(&str) -> bool, wanted: &str) -> String {
        let (url, mut log) = (self.log_url(run, phase).await, Vec::new());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = String::from_utf8_lossy(&log);
            if enough(&text) {
                return text.into_owned();
            }
            let open = !text.ends_with(ETX) && Instant::now() < deadline;
            assert!(open, "the {phase} log of {run} does not come to {wanted:?}: {text}");
            let part = self.get(&format!("{url}?offset={}", log.len())).await.expect(200);
            log.extend_from_slice(&part.bytes);
        }
    }
}

async fn answer(asked: String, request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap_or_else(|error| panic!("{asked}: {error:?}"));
    read(asked.clone(), response).await.unwrap_or_else(|error| panic!("{asked}: {error:?}"))
}

async fn read(asked: String, response: reqwest::Response) -> Result<Answer, reqwest::Error> {
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await?.to_vec();
    let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Ok(Answer { status, headers, bytes, json, asked })
}
