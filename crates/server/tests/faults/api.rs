//! The API of the server under test, over plain HTTP, as the site admin. A server that is down gives no answer.

use crate::{
    load::ENDED,
    program::{ADMIN, PATIENCE},
};
use serde_json::{Value, json};
use std::{
    io::Write,
    time::{Duration, Instant},
};

/// See the module.
#[derive(Clone)]
pub(crate) struct Api {
    agent: ureq::Agent,
    url: String,
}

/// A configuration version that the server has acknowledged.
pub(crate) struct Uploaded {
    pub(crate) id: String,
    pub(crate) archive: Vec<u8>,
}

impl Api {
    pub(crate) fn new(url: String) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            .build();
        Self { agent: config.into(), url }
    }

    /// Sends a request; `None` when no whole answer came.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<Vec<u8>>) -> Option<(u16, Vec<u8>)> {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) };
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(url)
            .header("authorization", format!("Bearer {ADMIN}"))
            .header("content-type", "application/vnd.api+json")
            .body(body.unwrap_or_default())
            .unwrap();
        let mut answer = self.agent.run(request).ok()?;
        let status = answer.status().as_u16();
        let bytes = answer.body_mut().with_config().limit(64 << 20).read_to_vec().ok()?;
        Some((status, bytes))
    }

    /// A request below `/api/v2`; its status and its document.
    pub(crate) fn answer(&self, method: &str, path: &str, body: Option<Value>) -> Option<(u16, Value)> {
        let body = body.map(|body| body.to_string().into_bytes());
        let (status, bytes) = self.ask(method, &format!("/api/v2{path}"), body)?;
        assert!(status != 500, "{method} {path}: {}", String::from_utf8_lossy(&bytes));
        Some((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }

    /// The same; `None` unless it is a 2xx.
    pub(crate) fn json(&self, method: &str, path: &str, body: Option<Value>) -> Option<Value> {
        let (status, document) = self.answer(method, path, body)?;
        (200..300).contains(&status).then_some(document)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.json("GET", path, None).unwrap_or_else(|| panic!("GET {path} was not answered"))
    }

    /// The bytes behind a path or a URL.
    pub(crate) fn bytes(&self, path: &str) -> Vec<u8> {
        let (status, bytes) = self.ask("GET", path, None).unwrap_or_else(|| panic!("GET {path}: no answer"));
        assert_eq!(status, 200, "GET {path}: {}", String::from_utf8_lossy(&bytes));
        bytes
    }

    pub(crate) fn organization(&self, name: &str) {
        let body = json!({ "data": { "attributes": { "name": name, "email": "a@example.com" } } });
        self.json("POST", "/organizations", Some(body)).unwrap();
    }

    pub(crate) fn workspace(&self, organization: &str, name: &str) -> String {
        let body = json!({ "data": { "attributes": { "name": name } } });
        let made =
            self.json("POST", &format!("/organizations/{organization}/workspaces"), Some(body)).unwrap();
        made["data"]["id"].as_str().unwrap().to_owned()
    }

    /// Makes a configuration version that queues no run; its id and the URL for its upload.
    pub(crate) fn configuration(&self, workspace: &str) -> Option<(String, String)> {
        let body = json!({ "data": { "attributes": { "auto-queue-runs": false } } });
        let made =
            self.json("POST", &format!("/workspaces/{workspace}/configuration-versions"), Some(body))?;
        let url = made["data"]["attributes"]["upload-url"].as_str()?.to_owned();
        Some((made["data"]["id"].as_str()?.to_owned(), url))
    }

    /// Uploads an archive; what came of it once the server has acknowledged it.
    pub(crate) fn upload(&self, workspace: &str, archive: Vec<u8>) -> Option<Uploaded> {
        let (id, url) = self.configuration(workspace)?;
        let (status, _) = self.ask("PUT", &url, Some(archive.clone()))?;
        (status == 200).then_some(Uploaded { id, archive })
    }

    /// Makes a run of a configuration version.
    pub(crate) fn ask_run(&self, workspace: &str, configuration: &str, apply: bool) -> Option<(u16, Value)> {
        let body = json!({ "data": { "attributes": { "auto-apply": apply, "plan-only": !apply }, "relationships": {
            "workspace": { "data": { "type": "workspaces", "id": workspace } },
            "configuration-version": { "data": { "type": "configuration-versions", "id": configuration } },
        }}});
        self.answer("POST", "/runs", Some(body))
    }

    /// The run's id once the server has acknowledged it.
    pub(crate) fn run(&self, workspace: &str, configuration: &str, apply: bool) -> Option<String> {
        let (status, run) = self.ask_run(workspace, configuration, apply)?;
        (status == 201).then(|| run["data"]["id"].as_str().unwrap().to_owned())
    }

    /// Uploads a configuration and makes its run.
    pub(crate) fn push(&self, workspace: &str, main: &str, apply: bool) -> Option<String> {
        let uploaded = self.upload(workspace, archive(&[("main.tf", main.as_bytes())]))?;
        self.run(workspace, &uploaded.id, apply)
    }

    /// Waits until a run has one of these statuses.
    pub(crate) fn until(&self, run: &str, statuses: &[&str]) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.json("GET", &format!("/runs/{run}"), None) {
                let status = found["data"]["attributes"]["status"].as_str().unwrap_or_default().to_owned();
                if statuses.contains(&status.as_str()) {
                    return found;
                }
                let stuck = ENDED.contains(&status.as_str()) || Instant::now() > deadline;
                assert!(!stuck, "{run} is not {statuses:?}: {}", found["data"]["attributes"]);
            }
            assert!(Instant::now() < deadline + PATIENCE, "{run} cannot be read any more");
            // The server may be down just now, so there is nothing to hold a request open.
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The whole log of a phase that has ended, with its marks.
    pub(crate) fn log(&self, run: &str, phase: &str) -> String {
        let found = self.get(&format!("/runs/{run}/{phase}"));
        let url = found["data"]["attributes"]["log-read-url"].as_str().unwrap().to_owned();
        String::from_utf8_lossy(&self.bytes(&url)).into_owned()
    }
}

/// A configuration archive with these files.
pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    {
        let mut tar = tar::Builder::new(&mut gzip);
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, *content).unwrap();
        }
        tar.finish().unwrap();
    }
    gzip.flush().unwrap();
    gzip.finish().unwrap()
}

/// Bytes that no compression makes smaller.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut random = crate::Random(seed);
    let mut bytes = Vec::with_capacity(length + 4);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_le_bytes()[..3]);
    }
    bytes.truncate(length);
    bytes
}
