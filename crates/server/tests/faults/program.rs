//! The server as a process: started, killed, asked to end, and started again on what it left.

use crate::api::Api;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub(crate) const ADMIN: &str = "admin.atlasv1.token-of-the-fault-tests";
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
    postgres: Option<Postgres>,
    /// Bytes of a disk of its own, for one start.
    disk: Option<u64>,
}

/// Where a server's PostgreSQL is.
struct Postgres {
    url: String,
    /// It is dropped with the server: it lies on a PostgreSQL that others use.
    shared: bool,
}

impl Program {
    pub(crate) fn new(database: Database) -> Self {
        let mut program = Self::with(None);
        if database == Database::Postgres {
            let url = std::env::var("FERROFORM_TEST_POSTGRES").unwrap();
            let name = format!("ferroform_faults_{}_{}", std::process::id(), program.port);
            sql(&url, &format!("CREATE DATABASE {name}"));
            let url = format!("{}/{name}", url.rsplit_once('/').unwrap().0);
            program.postgres = Some(Postgres { url, shared: true });
        }
        program
    }

    /// A server on the PostgreSQL database of this URL.
    pub(crate) fn on(url: String) -> Self {
        Self::with(Some(Postgres { url, shared: false }))
    }

    /// A server whose data directory is a disk of its own with this many bytes. What is there is gone when it ends.
    pub(crate) fn on_a_disk_of(bytes: u64) -> Self {
        let mut program = Self::with(None);
        program.disk = Some(bytes);
        program
    }

    fn with(postgres: Option<Postgres>) -> Self {
        let dir = tempfile::Builder::new().prefix("ff").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("disk")).unwrap();
        let port = free_port();
        Self { dir, port, child: None, postgres, disk: None }
    }

    /// Where the database is, for looking at it at rest.
    pub(crate) fn database(&self) -> Option<&str> {
        self.postgres.as_ref().map(|postgres| postgres.url.as_str())
    }

    /// The data directory as this process sees it. One on a disk of its own is in sight while the server runs.
    pub(crate) fn data_dir(&self) -> PathBuf {
        let dir = self.dir.path().join("disk/data");
        match (&self.disk, &self.child) {
            (Some(_), Some(child)) => {
                let root = PathBuf::from(format!("/proc/{}/root", child.id()));
                root.join(dir.strip_prefix("/").unwrap())
            }
            _ => dir,
        }
    }

    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    pub(crate) fn start_with(&mut self, more: &[&str]) {
        self.spawn(more);
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

    fn spawn(&mut self, more: &[&str]) {
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        let mut command = self.command();
        command
            .args(["serve", "--tls", "off", "--runners", "3", "--no-engine-download"])
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .arg("--data-dir")
            .arg(self.dir.path().join("disk/data"))
            .args(more)
            .env("FERROFORM_ADMIN_TOKEN", ADMIN)
            .env("FERROFORM_RATE_LIMIT", "0")
            .env("FERROFORM_DATABASE", self.database().unwrap_or("sqlite"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if let Some(engine) = std::env::var_os("FERROFORM_TEST_ENGINE") {
            command.env("FERROFORM_ENGINE", engine);
        }
        self.child = Some(command.spawn().unwrap());
    }

    /// The program, or a shell that mounts its disk where nobody else sees it and becomes the program.
    fn command(&self) -> Command {
        let Some(bytes) = self.disk else { return Command::new(env!("CARGO_BIN_EXE_ferroform")) };
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "/bin/sh", "-ec", MOUNT, "mount"]);
        command.arg(self.dir.path().join("disk")).arg(bytes.to_string()).arg(env!("CARGO_BIN_EXE_ferroform"));
        command
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
        if self.child.is_some() {
            self.ask_to_end();
            self.wait_for_the_end();
        }
    }

    /// SIGTERM
    pub(crate) fn ask_to_end(&self) {
        let pid = self.child.as_ref().unwrap().id();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    }

    /// Waits until a server that was asked to end has ended.
    pub(crate) fn wait_for_the_end(&mut self) {
        let status = self.child.take().unwrap().wait().unwrap();
        assert!(status.success(), "{status}: {}", self.words());
    }

    /// Where it listens on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
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

    pub(crate) fn api(&self) -> Api {
        Api::new(format!("http://127.0.0.1:{}", self.port))
    }
}

/// `$1` is where, `$2` how many bytes; then the command.
const MOUNT: &str = r#"mount -t tmpfs -o "size=$2,mode=0700" tmpfs "$1"; shift 2; exec "$@""#;

/// Why a server cannot be given a disk of its own here, if so: that takes root, or a kernel that lets anybody make
/// namespaces.
pub(crate) fn no_disk_of_its_own(at: &Path) -> Option<String> {
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "--mount", "/bin/sh", "-ec", MOUNT, "mount"])
        .arg(at)
        .args(["65536", "true"]);
    match command.output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("The server's last words:\n{}", self.words());
        }
        self.kill();
        if let Some(Postgres { url, shared: true }) = &self.postgres {
            let (server, name) = url.rsplit_once('/').unwrap();
            sql(&format!("{server}/postgres"), &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}

/// One statement.
pub(crate) fn sql(url: &str, statement: &str) {
    use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url).await.unwrap();
        connection.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
    });
}

/// A port that is free, and stays so until a server listens there again after a restart: below those that the system gives to
/// connections, and never the same twice in this process.
pub(crate) fn free_port() -> u16 {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    let start = 10_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    loop {
        let port = start + NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 10_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
