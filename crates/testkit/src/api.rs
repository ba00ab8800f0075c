//! Raw JSON over HTTP, and the few sentences that every test begins with.

use crate::server::PATIENCE;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// The API as one caller.
#[derive(Clone)]
pub struct Api {
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
    pub(crate) fn new(url: &str, token: Option<&str>) -> Self {
        // One provider for the process; a second installation is refused and harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .tcp_nodelay(true)
            .build()
            .expect("a client without special wishes can be made");
        Self { http, url: url.to_owned(), token: token.map(str::to_owned) }
    }

    /// Sends a request to a path below `/api/v2`, or to a whole URL.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let url =
            if path.starts_with("http") { path.to_owned() } else { format!("{}/api/v2{path}", self.url) };
        let mut request = self.http.request(method.clone(), &url);
        if let Some(token) = self.token.as_ref().filter(|_| url.contains("/api/")) {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/vnd.api+json").body(body.to_string());
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

    /// Makes a team that has a level of access to a workspace, and gives the team's token.
    pub async fn team_token(&self, organization: &str, name: &str, workspace: &str, level: &str) -> String {
        let body = json!({ "data": { "type": "teams", "attributes": { "name": name } } });
        let team = self.post(&format!("/organizations/{organization}/teams"), body).await.expect(201).id();
        let access = json!({ "data": { "type": "team-workspaces", "attributes": { "access": level }, "relationships": {
            "team": { "data": { "type": "teams", "id": team } },
            "workspace": { "data": { "type": "workspaces", "id": workspace } },
        }}});
        self.post("/team-workspaces", access).await.expect(201);
        let made = self.post(&format!("/teams/{team}/authentication-token"), json!({})).await.expect(201);
        made.attribute("token").as_str().expect("a new token is shown").to_owned()
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

    /// Waits until a run has one of these statuses, woken by its logs.
    ///
    /// # Panics
    /// When it ends otherwise, with its document and logs.
    pub async fn wait(&self, run: &str, statuses: &[&str]) -> Answer {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let found = self.get(&format!("/runs/{run}")).await.expect(200);
            let status = found.attribute("status").as_str().unwrap_or_default().to_owned();
            if statuses.contains(&status.as_str()) {
                return found;
            }
            let final_ = ["applied", "discarded", "errored", "canceled", "planned_and_finished"];
            let late = tokio::time::Instant::now() > deadline;
            if final_.contains(&status.as_str()) || late {
                let (plan, apply) = (self.log(run, "plan").await, self.log(run, "apply").await);
                panic!("{run} is {status}, not {statuses:?}\n{}\nplan: {plan}\napply: {apply}", found.json);
            }
            self.pause(run, &status).await;
        }
    }

    /// Waits for something to happen to a run: the server holds a log read open until its log grows or ends.
    async fn pause(&self, run: &str, status: &str) {
        let phase = if status.starts_with("appl") || status == "confirmed" { "apply" } else { "plan" };
        match status {
            "planning" | "applying" => drop(self.log(run, phase).await),
            // Short statuses that the scheduler leaves at once, or that somebody else ends.
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }

    /// The whole log of a run's `plan` or `apply`, without its marks; follows it to its end when it is live.
    pub async fn log(&self, run: &str, phase: &str) -> String {
        let found = self.get(&format!("/runs/{run}/{phase}")).await.expect(200);
        let url = found.attribute("log-read-url").as_str().expect("every phase has a log").to_owned();
        let mut log = Vec::new();
        loop {
            let part = self.get(&format!("{url}?limit=65536&offset={}", log.len())).await.expect(200).bytes;
            log.extend_from_slice(&part);
            let pending = found.attribute("status") == "pending" || found.attribute("status") == "queued";
            if log.last() == Some(&0x03) || (part.is_empty() || pending) {
                return String::from_utf8_lossy(&log).trim_matches(['\u{2}', '\u{3}']).to_owned();
            }
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
