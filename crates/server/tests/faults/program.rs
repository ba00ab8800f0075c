//! The server as a process, and its API over plain HTTP.

use serde_json::{Value, json};
use std::{
    io::Write,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const ADMIN: &str = "admin.atlasv1.token-of-the-fault-tests";
/// How long recovery may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Which database the server runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    /// Its own file.
    Sqlite,
    /// A database of its own on the server of the tests.
    Postgres,
}

/// A server that can be killed and started again on what it left.
pub(crate) struct Program {
    pub(crate) dir: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
    postgres: Option<String>,
}

impl Program {
    pub(crate) fn new(database: Database) -> Self {
        let dir = tempfile::Builder::new().prefix("ff").tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let postgres = (database == Database::Postgres).then(|| {
            let url = std::env::var("FERROFORM_TEST_POSTGRES").unwrap();
            let name = format!("ferroform_faults_{}_{port}", std::process::id());
            sql(&url, &format!("CREATE DATABASE {name}"));
            format!("{}/{name}", url.rsplit_once('/').unwrap().0)
        });
        Self { dir, port, child: None, postgres }
    }

    /// Where the database is, for looking at it at rest.
    pub(crate) fn database(&self) -> Option<&str> {
        self.postgres.as_deref()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    pub(crate) fn start_with(&mut self, more: &[&str]) {
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferroform"));
        command
            .args(["serve", "--tls", "off", "--runners", "3", "--no-engine-download"])
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(more)
            .env("FERROFORM_ADMIN_TOKEN", ADMIN)
            .env("FERROFORM_DATABASE", self.postgres.as_deref().unwrap_or("sqlite"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if let Some(engine) = std::env::var_os("FERROFORM_TEST_ENGINE") {
            command.env("FERROFORM_ENGINE", engine);
        }
        self.child = Some(command.spawn().unwrap());
        let deadline = Instant::now() + PATIENCE;
        while self.api().ask("GET", "/_health_check", None).is_none_or(|(status, _)| status != 200) {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the server does not come up ({ended:?}): {}",
                self.words()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The end of the server's log.
    pub(crate) fn words(&self) -> String {
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        log.lines().rev().take(30).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// `kill -9`
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn terminate(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
            let status = child.wait().unwrap();
            assert!(status.success(), "{status}: {}", self.words());
        }
    }

    /// SIGTERM until the server has ended, which the second one does.
    pub(crate) fn signal_until_it_ends(&mut self) {
        let mut child = self.child.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        let deadline = Instant::now() + Duration::from_secs(3);
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                child.kill().unwrap();
                panic!("the second signal did not end the server: {}", self.words());
            }
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Ends the server for good; its data stays until this is dropped.
    pub(crate) fn stop(&mut self) {
        self.terminate();
    }

    pub(crate) fn api(&self) -> Api {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            .build();
        Api { agent: config.into(), url: format!("http://127.0.0.1:{}", self.port) }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if let Some(url) = &self.postgres {
            let (server, name) = url.rsplit_once('/').unwrap();
            sql(&format!("{server}/postgres"), &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}

/// One statement, by the client program that comes with PostgreSQL's server or by our own layer.
fn sql(url: &str, statement: &str) {
    use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url).await.unwrap();
        connection.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
    });
}

/// The API as the site admin. A request to a server that is down gives nothing.
#[derive(Clone)]
pub(crate) struct Api {
    agent: ureq::Agent,
    url: String,
}

impl Api {
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

    /// A request below `/api/v2` whose answer is a document; `None` unless it is a 2xx.
    pub(crate) fn json(&self, method: &str, path: &str, body: Option<Value>) -> Option<Value> {
        let (status, bytes) =
            self.ask(method, &format!("/api/v2{path}"), body.map(|body| body.to_string().into_bytes()))?;
        assert!(status != 500, "{method} {path}: {}", String::from_utf8_lossy(&bytes));
        (200..300).contains(&status).then(|| serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.json("GET", path, None).unwrap_or_else(|| panic!("GET {path} was not answered"))
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

    /// Uploads a configuration and makes its run; the run's id once the server has acknowledged it.
    pub(crate) fn push(&self, workspace: &str, main: &str, apply: bool) -> Option<String> {
        let body = json!({ "data": { "attributes": { "auto-queue-runs": false } } });
        let made =
            self.json("POST", &format!("/workspaces/{workspace}/configuration-versions"), Some(body))?;
        let url = made["data"]["attributes"]["upload-url"].as_str()?.to_owned();
        let (status, _) = self.ask("PUT", &url, Some(archive(main)))?;
        if status != 200 {
            return None;
        }
        let body = json!({ "data": { "attributes": { "auto-apply": apply, "plan-only": !apply }, "relationships": {
            "workspace": { "data": { "type": "workspaces", "id": workspace } },
            "configuration-version": { "data": { "type": "configuration-versions", "id": made["data"]["id"] } },
        }}});
        let run = self.json("POST", "/runs", Some(body))?;
        run["data"]["id"].as_str().map(str::to_owned)
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
                assert!(Instant::now() < deadline, "{run} is stuck: {}", found["data"]["attributes"]);
            }
            // The server may be down just now, so there is nothing to hold a request open.
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The whole log of a phase that has ended.
    pub(crate) fn log(&self, run: &str, phase: &str) -> String {
        let found = self.get(&format!("/runs/{run}/{phase}"));
        let url = found["data"]["attributes"]["log-read-url"].as_str().unwrap().to_owned();
        let (_, bytes) = self.ask("GET", &url, None).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn archive(main: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    {
        let mut tar = tar::Builder::new(&mut gzip);
        let mut header = tar::Header::new_gnu();
        header.set_size(main.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, "main.tf", main.as_bytes()).unwrap();
        tar.finish().unwrap();
    }
    gzip.flush().unwrap();
    gzip.finish().unwrap()
}
