//! A server with an organization, a workspace, and a folder to push from.

use super::{Server, client, ferroform, place};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

pub(super) struct House {
    dir: tempfile::TempDir,
    data: PathBuf,
    pub(super) server: Server,
    pub(super) token: String,
    workspace: String,
}

impl House {
    /// Starts the server with these options and makes `acme/demo`.
    pub(super) async fn open(more: &[&str]) -> Self {
        Self::open_with(more, |_| {}).await
    }

    /// The same, with another change to the command.
    pub(super) async fn open_with(more: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        let (dir, data) = place();
        let mut command = Self::command(&dir, &data, more);
        change(&mut command);
        let mut house = Self {
            server: Server::start_by(&mut command),
            token: fs::read_to_string(data.join("admin-token")).unwrap().trim().to_owned(),
            workspace: String::new(),
            dir,
            data,
        };
        fs::create_dir(house.folder()).unwrap();
        let named = |name: &str| json!({"data": {"attributes": {"name": name, "email": "a@b.test"}}});
        house.post("/organizations", named("acme")).await;
        let made = house.post("/organizations/acme/workspaces", named("demo")).await;
        house.workspace = made["data"]["id"].as_str().unwrap().to_owned();
        house
    }

    fn command(dir: &tempfile::TempDir, data: &Path, more: &[&str]) -> Command {
        let mut command = Server::command(data, more);
        command.arg("--run-read").arg(dir.path());
        if let Some(engine) = std::env::var_os("FERROFORM_TEST_ENGINE") {
            command.env("FERROFORM_ENGINE", engine);
        }
        command
    }

    /// A server on the same data and the same port, where the former one was.
    pub(super) fn start_again(&mut self, more: &[&str]) {
        let listen = format!("127.0.0.1:{}", self.server.port());
        let mut command = Self::command(&self.dir, &self.data, more);
        self.server = Server::start_by(command.args(["--listen", &listen]));
    }

    /// The server's data directory.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// The folder that is pushed.
    pub(super) fn folder(&self) -> PathBuf {
        self.dir.path().join("configuration")
    }

    /// A pipe that a run may read: it waits there until something is written.
    pub(super) fn fifo(&self) -> PathBuf {
        let path = self.dir.path().join("gate");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        path
    }

    /// A push of this `main.tf`. Later options beat earlier ones.
    pub(super) fn push(&self, main: &str, more: &[&str]) -> Command {
        fs::write(self.folder().join("main.tf"), main).unwrap();
        let mut command = ferroform(&["push"]);
        command.arg(self.folder()).args(more).env("HOME", self.dir.path());
        command.env("FERROFORM_ORGANIZATION", "acme").env("FERROFORM_WORKSPACE", "demo");
        command.env("FERROFORM_ADDRESS", &self.server.url).env("FERROFORM_TOKEN", &self.token);
        if self.authority().exists() {
            command.env("FERROFORM_CA_FILE", self.authority());
        }
        command
    }

    pub(super) fn authority(&self) -> PathBuf {
        self.data.join("ca.pem")
    }

    fn client(&self) -> reqwest::Client {
        let authority = self.authority();
        client(authority.exists().then_some(&*authority))
    }

    /// `WS` in the path stands for the workspace.
    fn url(&self, path: &str) -> String {
        format!(
            "{}/api/v2{}",
            self.server.url,
            path.replace("/workspaces/WS", &format!("/workspaces/{}", self.workspace))
        )
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let answer = self.client().get(self.url(path)).bearer_auth(&self.token).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// The answer's document, or nothing where it has none.
    pub(super) async fn post(&self, path: &str, body: Value) -> Value {
        let request = self.client().post(self.url(path)).bearer_auth(&self.token);
        let request = request.header("content-type", "application/vnd.api+json").body(body.to_string());
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default()
    }

    pub(super) async fn newest_run(&self) -> Value {
        self.get("/workspaces/WS/runs?filter[operation]=plan_only,plan_and_apply").await["data"][0].clone()
    }
}
