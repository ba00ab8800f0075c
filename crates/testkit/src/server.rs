//! The server of a test.

use crate::{
    api::Api,
    database::{Database, PostgresDatabase},
};
use accounts::external::provider::ProviderSettings;
use axum::Extension;
use ferroform::assemble::{Assembled, Blueprint, assemble};
use futures_util::FutureExt;
use http_api::origin::{Network, Peer};
use kernel::{Env, Secret};
use runner::{Signal, engine::EngineConfig, sandbox::SandboxConfig};
use runs::jobs::Jobs;
use std::{
    any::Any,
    future::Future,
    net::{IpAddr, Ipv4Addr},
    panic::{AssertUnwindSafe, resume_unwind},
    path::PathBuf,
    pin::Pin,
    sync::Once,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};

/// The text of the first site admin's token.
pub const ADMIN: &str = "admin.atlasv1.token-of-the-tests";
/// How long anything may take that a test waits for, before it fails and says for what.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// How long a whole test may take. More than [`PATIENCE`], whose failures say more.
const LIMIT: Duration = Duration::from_secs(240);

/// What a test may want otherwise than the defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Jobs at a time.
    pub runners: u32,
    /// Limits of archives.
    pub archives: slug::Limits,
    /// Clock and randomness. `Env::fixed` for a test that compares ids or times; the real one otherwise, which
    /// `advance` moves too.
    pub env: Env,
    /// Proxies that are believed.
    pub trusted_proxies: Vec<Network>,
    /// The OpenID provider that people may sign in by.
    pub external: Option<ProviderSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            runners: 2,
            archives: slug::Limits::default(),
            env: Env::real(),
            trusted_proxies: Vec::new(),
            external: None,
        }
    }
}

/// What a test does with its server.
pub type Body = for<'a> fn(&'a TestServer) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One test, for either database: what [`crate::on_both`] makes.
#[derive(Debug)]
pub struct Test {
    settings: Settings,
    body: Body,
}

impl Test {
    /// A test with the default settings.
    pub fn new(body: Body) -> Self {
        Self { settings: Settings::default(), body }
    }

    /// The same with other settings.
    #[must_use]
    pub fn with(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// Runs it, on a runtime of its own. Where the database is not at hand, says so and returns.
    ///
    /// # Panics
    /// When the test does, or does not end.
    pub fn run(self, database: Database) {
        if !database.is_at_hand() {
            #[expect(
                clippy::print_stderr,
                reason = "the person who runs the tests must see what did not run"
            )]
            {
                eprintln!(
                    "NOT RUN on PostgreSQL: FERROFORM_TEST_POSTGRES is not set (`cargo xtask test` sets it)"
                );
            }
            return;
        }
        log_to_the_test();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let ended: Result<(), Box<dyn Any + Send>> = runtime.block_on(async {
            let server = TestServer::start_with(database, self.settings).await;
            let test = timeout(LIMIT, (self.body)(&server));
            let ended = AssertUnwindSafe(test).catch_unwind().await;
            server.stop().await;
            ended.map(|ended| ended.expect("the test ends in time"))
        });
        if let Err(panic) = ended {
            resume_unwind(panic);
        }
    }
}

/// Prints what the server has to say with the output of the test whose thread it is.
fn log_to_the_test() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let filter = std::env::var("FERROFORM_TEST_LOG").unwrap_or_else(|_| "warn".to_owned());
        tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().init();
    });
}

/// A running server.
pub struct TestServer {
    /// Its parts, for what the API does not show.
    pub assembled: Assembled,
    /// `http://127.0.0.1:port`
    pub url: String,
    /// Where it keeps things; removed with it.
    pub dir: TempDir,
    postgres: Option<PostgresDatabase>,
    serving: JoinHandle<()>,
    api: Api,
}

impl TestServer {
    /// Starts a server on an empty database.
    pub async fn start(database: Database) -> Self {
        Self::start_with(database, Settings::default()).await
    }

    /// [`TestServer::start`] with other settings.
    pub async fn start_with(database: Database, settings: Settings) -> Self {
        let dir = tempfile::Builder::new().prefix("ff").tempdir().expect("a temporary folder can be made");
        let postgres = database.make(dir.path()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
        let url = format!("http://{}", listener.local_addr().expect("a bound listener has an address"));
        let blueprint = Blueprint {
            data_dir: dir.path().to_owned(),
            postgres: postgres.as_ref().map(PostgresDatabase::url),
            connections: 6,
            root_key: blob::keys::RootKey::load_or_create(&dir.path().join("root.key"), &settings.env)
                .expect("the key can be written"),
            env: settings.env,
            settings: http_api::Settings {
                url: url.clone(),
                upload_bytes: settings.archives.compressed_bytes,
                trusted_proxies: settings.trusted_proxies,
                ..http_api::Settings::default()
            },
            runners: settings.runners,
            engines: EngineConfig {
                configured: std::env::var_os("FERROFORM_TEST_ENGINE").map(PathBuf::from),
                search_path: std::env::var_os("PATH"),
                cache_dir: dir.path().join("engines"),
                ..EngineConfig::default()
            },
            sandbox: SandboxConfig::default(),
            archives: settings.archives,
            provider_mirror: None,
            engine_cli_config: None,
            external: settings.external,
            environment: vec![],
        };
        let assembled = assemble(blueprint).await.expect("the application can be assembled");
        assembled.start(Some(&Secret::from(ADMIN))).await.expect("the background work begins");
        // As the listener of the program tells it.
        let peer = Peer(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let router = assembled.router.clone().layer(Extension(peer));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("a loopback listener does not fail");
        });
        let api = Api::new(&assembled.app, &url);
        Self { assembled, url, dir, postgres, serving, api }
    }

    /// Waits until no job runs, and each has put its work directory in order.
    pub async fn settled(&self) {
        let jobs = self.assembled.app.area::<Jobs>();
        while jobs.running() > 0 {
            jobs.one_ended().await;
        }
    }

    /// Ends it with everything that it runs, and removes everything that it kept.
    pub async fn stop(self) {
        let app = &self.assembled.app;
        // First, so that the scheduler gives out no further job.
        app.close();
        let jobs = app.area::<Jobs>();
        let ended = async {
            while jobs.running() > 0 {
                jobs.runs().iter().for_each(|run| jobs.signal(run, Signal::Kill));
                jobs.one_ended().await;
            }
        };
        // A job that cannot store its outcome any more is left to itself.
        let _ = timeout(Duration::from_secs(10), ended).await;
        self.serving.abort();
        app.db.close().await;
        if let Some(database) = self.postgres {
            database.remove().await;
        }
    }

    /// The API with the site admin's token.
    pub fn admin(&self) -> Api {
        self.with_token(ADMIN)
    }

    /// The API with any token.
    pub fn with_token(&self, token: &str) -> Api {
        self.api.with_token(token)
    }

    /// The API without a token.
    pub fn anonymous(&self) -> Api {
        self.api.clone()
    }

    /// The API as a person whom the organization has invited, into teams given by their ids, and for whom the operator
    /// has made a token.
    pub async fn as_user(&self, name: &str, organization: &str, teams: &[&str]) -> Api {
        let username = self.admin().invite(organization, &format!("{name}@example.com"), teams).await;
        let made = accounts::tokens::create_for(&self.assembled.app, &username, "of a test", None).await;
        let (_, token) = made.expect("an invited user may have tokens");
        self.with_token(token.expose())
    }
}
