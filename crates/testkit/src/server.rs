//! The server of a test.

use crate::api::Api;
use ferroform::assemble::{Assembled, Blueprint, assemble};
use kernel::{Env, Secret};
use runner::{engine::EngineConfig, sandbox::SandboxConfig};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, postgres::PgConnectOptions};
use std::{future::Future, path::PathBuf, pin::Pin, sync::Mutex, time::Duration};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// The text of the first site admin's token.
pub const ADMIN: &str = "admin.atlasv1.token-of-the-tests";
/// How long a test may take before it fails with what it waits for.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// A file in the test's folder.
    Sqlite,
    /// A database of its own on the server that `FERROFORM_TEST_POSTGRES` names.
    Postgres,
}

/// What a test may want otherwise than the defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Jobs at a time.
    pub runners: u32,
    /// Limits of archives.
    pub archives: slug::Limits,
    /// Seconds from a cancel until a force-cancel.
    pub cool_off_seconds: i64,
    /// The engine, when it is not the usual one.
    pub engine: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { runners: 2, archives: slug::Limits::default(), cool_off_seconds: 60, engine: None }
    }
}

/// A running server. Dropping it ends it and removes everything it kept.
pub struct TestServer {
    /// Its parts, for what the API does not show.
    pub assembled: Assembled,
    /// `http://127.0.0.1:port`
    pub url: String,
    /// Where it keeps things.
    pub dir: TempDir,
    postgres: Option<String>,
}

/// Runs one test on one database, on a runtime of its own.
///
/// # Panics
/// When the test does, or takes longer than [`PATIENCE`].
pub fn run(database: Database, test: impl FnOnce(TestServer) -> Pin<Box<dyn Future<Output = ()>>>) {
    run_with(database, Settings::default(), test);
}

/// [`run`] with other settings.
pub fn run_with(
    database: Database,
    settings: Settings,
    test: impl FnOnce(TestServer) -> Pin<Box<dyn Future<Output = ()>>>,
) {
    if database == Database::Postgres && std::env::var_os("FERROFORM_TEST_POSTGRES").is_none() {
        #[expect(clippy::print_stderr, reason = "the person who runs the tests must see what did not run")]
        {
            eprintln!(
                "NOT RUN on PostgreSQL: FERROFORM_TEST_POSTGRES is not set; `cargo xtask test` sets it"
            );
        }
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(async {
        let server = TestServer::start(database, settings).await;
        let postgres = server.postgres.clone();
        let app = server.assembled.app.clone();
        tokio::time::timeout(PATIENCE, test(server)).await.expect("the test ends in time");
        app.close();
        app.db.close().await;
        if let Some(name) = postgres {
            drop_database(&name).await;
        }
    });
}

impl TestServer {
    /// Starts a server on an empty database.
    pub async fn start(database: Database, settings: Settings) -> Self {
        let dir = tempfile::Builder::new().prefix("ff").tempdir().expect("a temporary folder can be made");
        let postgres = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(make_database().await),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
        let url = format!("http://{}", listener.local_addr().expect("a bound listener has an address"));
        let env = Env::real();
        let path = std::env::var_os("PATH");
        let blueprint = Blueprint {
            data_dir: dir.path().to_owned(),
            postgres: postgres.as_deref().map(|name| Secret::new(database_url(name))),
            connections: 6,
            root_key: blob::keys::RootKey::load_or_create(&dir.path().join("root.key"), &env)
                .expect("the key can be written"),
            env,
            settings: http_api::Settings {
                url: url.clone(),
                upload_bytes: settings.archives.compressed_bytes,
                force_cancel_cool_off_seconds: settings.cool_off_seconds,
                ..http_api::Settings::default()
            },
            runners: settings.runners,
            engines: EngineConfig {
                configured: settings
                    .engine
                    .or_else(|| std::env::var_os("FERROFORM_TEST_ENGINE").map(PathBuf::from)),
                search_path: path,
                cache_dir: dir.path().join("engines"),
                ..EngineConfig::default()
            },
            sandbox: SandboxConfig::default(),
            archives: settings.archives,
            provider_mirror: None,
            engine_cli_config: None,
            environment: vec![],
        };
        let assembled = assemble(blueprint).await.expect("the application can be assembled");
        assembled.start(Some(&Secret::from(ADMIN))).await.expect("the background work begins");
        let router = assembled.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { assembled, url, dir, postgres }
    }

    /// The API with the site admin's token.
    pub fn admin(&self) -> Api {
        self.with_token(ADMIN)
    }

    /// The API with any token.
    pub fn with_token(&self, token: &str) -> Api {
        Api::new(&self.url, Some(token))
    }

    /// The API without a token.
    pub fn anonymous(&self) -> Api {
        Api::new(&self.url, None)
    }
}

fn superuser() -> PgConnectOptions {
    std::env::var("FERROFORM_TEST_POSTGRES")
        .expect("checked before a PostgreSQL test begins")
        .parse()
        .expect("FERROFORM_TEST_POSTGRES is a PostgreSQL URL")
}

fn database_url(name: &str) -> String {
    superuser().database(name).to_url_lossy().to_string()
}

async fn execute(sql: String) {
    let mut connection: PgConnection = superuser().connect().await.expect("the test's PostgreSQL answers");
    connection.execute(AssertSqlSafe(sql)).await.expect("a superuser may manage databases");
    connection.close().await.ok();
}

/// A database of its own for each test.
async fn make_database() -> String {
    static LAST: Mutex<u32> = Mutex::new(0);
    let number = {
        let mut last = LAST.lock().expect("no holder of this lock panics");
        *last += 1;
        *last
    };
    let name = format!("ferroform_test_{}_{number}", std::process::id());
    execute(format!("CREATE DATABASE {name}")).await;
    name
}

async fn drop_database(name: &str) {
    execute(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
}
