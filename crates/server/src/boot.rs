//! `ferroform serve`: from options to a serving process, and its end.
//!
//! Order: data directory and its lock → addresses → keys → certificates → database → what an earlier process left. The
//! addresses are bound early, so that what is wrong with them is said at once and early requests wait; they are answered
//! once everything is ready. The end: SIGTERM or SIGINT stops taking work; once running phases have ended the addresses are
//! closed; phases and then open requests have the grace period, together; a second signal ends the process at once.

use crate::{
    admin,
    assemble::{Blueprint, assemble},
    data_dir::DataDir,
    greet::Greeting,
    listen::{self, Patience},
    log,
    metrics::Metrics,
    options::{ServeOptions, TerraformLogin, Tls},
    outside, tls,
};
use blob::keys::RootKey;
use http_api::{App, Settings, origin::Ranges, signing};
use kernel::{Env, Secret};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use runner::{engine::EngineConfig, sandbox::SandboxConfig};
use runs::jobs::Jobs;
use std::{
    error::Error,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

/// What ends a start, with a sentence for the operator.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Serves until a signal.
///
/// # Errors
/// With a sentence that says what was wrong and what to do.
pub async fn serve(options: ServeOptions) -> Result<(), Failure> {
    let begun = Instant::now();
    log::start(options.log_format);
    let dir = DataDir::take(&options.data_dir)?;
    raise_open_files();
    let env = Env::real();
    let listener = bind(options.listen, "--listen").await?;
    let metrics_listener = match options.metrics_listen {
        Some(address) => Some(bind(address, "--metrics-listen").await?),
        None => None,
    };
    let address = listener.local_addr()?;
    let url = options.url.clone().unwrap_or_else(|| default_url(&options.tls, address));
    let certificates = tls::load(&options.tls, dir.path(), tls::names(address, &url), &env)?;
    let metrics_token = metrics_token(&options)?;
    let mut plan = blueprint(&options, dir.path(), &url, env.clone())?;
    if let Some(authority) = certificates.as_ref().and_then(|certificates| certificates.authority()) {
        trust_in_runs(&mut plan, &authority)?;
    }
    let assembled = assemble(plan).await.map_err(plainly)?;
    let app = assembled.app.clone();
    let admin = admin::first_admin(&app, dir.path()).await?;
    assembled.start(admin.as_ref().map(|admin| &admin.token)).await?;
    tokio::spawn(make_signing_key(app.clone()));
    let metrics = Metrics::new(&assembled.routes, env.now());
    let router = outside::router(&assembled, &metrics, metrics_token.as_ref());
    let hangup = signal(SignalKind::hangup())?;
    tokio::spawn(keep_fresh(hangup, certificates.clone(), app.clone()));
    if let Some(listener) = metrics_listener {
        tokio::spawn(serve_metrics(listener, app.clone(), metrics));
    }
    let greeting = Greeting {
        options: &options,
        assembled: &assembled,
        url: &url,
        dir: dir.path(),
        certificates: certificates.as_deref(),
        admin: admin.as_ref(),
        took: begun.elapsed(),
    };
    let ending = ended(app.clone(), options.grace_period)?;
    greeting.say();
    listen::serve(listener, certificates, router, Patience::default(), ending).await?;
    if let Err(error) = app.audit.flush(&app).await {
        tracing::warn!(%error, "the next start adds the last entries to the audit trail");
    }
    app.db.close().await;
    Ok(())
}

/// Makes the key of identity tokens before anybody asks for it, so that nobody waits.
async fn make_signing_key(app: App) {
    if let Err(error) = signing::ensure(&app).await {
        tracing::warn!(%error, "no key for identity tokens was made; it is made when the first is needed");
    }
}

/// Lets what runs in a run call this server, whose authority no system knows: `terraform_remote_state` reads through it. An
/// operator who passes their own SSL_CERT_FILE keeps it.
fn trust_in_runs(plan: &mut Blueprint, authority: &Path) -> std::io::Result<()> {
    if plan.environment.iter().any(|(name, _)| name == "SSL_CERT_FILE") {
        return Ok(());
    }
    let bundle = tls::bundle(authority)?;
    plan.environment.push(("SSL_CERT_FILE".to_owned(), bundle.display().to_string()));
    plan.sandbox.extra_read.push(bundle);
    Ok(())
}

/// What an operator is told needs no class of refusal in front.
pub(crate) fn plainly(error: kernel::Error) -> Failure {
    match error {
        kernel::Error::Unavailable(what) => what.into(),
        kernel::Error::BadRequest { detail, .. } => detail.into(),
        other => other.into(),
    }
}

async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(address).await;
    Ok(bound.map_err(|e| format!("cannot listen on {address}: {e}; choose another address with {flag}"))?)
}

/// Connections are files, and many systems grant fewer at first than they allow. Runs have a limit of their own.
fn raise_open_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

async fn serve_metrics(listener: TcpListener, app: App, metrics: Metrics) {
    let router = outside::metrics_router(&app, &metrics);
    let closing = async {
        app.closing().await;
        Instant::now()
    };
    if let Err(error) = listen::serve(listener, None, router, Patience::default(), closing).await {
        tracing::error!(%error, "/metrics is not served any more");
    }
}

fn default_url(tls: &Tls, address: SocketAddr) -> String {
    let scheme = if *tls == Tls::Off { "http" } else { "https" };
    // The command line refuses IPv6 literals, and nobody can reach an unspecified address.
    let host = if address.ip().is_loopback() || address.ip().is_unspecified() {
        "localhost".to_owned()
    } else {
        address.ip().to_string()
    };
    let default_port = if *tls == Tls::Off { 80 } else { 443 };
    if address.port() == default_port {
        format!("{scheme}://{host}")
    } else {
        format!("{scheme}://{host}:{}", address.port())
    }
}

/// What the options say about the application.
pub fn blueprint(options: &ServeOptions, dir: &Path, url: &str, env: Env) -> Result<Blueprint, Failure> {
    let usize_of = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Ok(Blueprint {
        data_dir: dir.to_owned(),
        postgres: options.database.postgres()?,
        connections: options.database_connections,
        root_key: root_key(dir, &env)?,
        settings: Settings {
            url: url.to_owned(),
            ranges: Ranges { networks: options.ip_range.clone(), since: env.now() },
            upload_bytes: options.upload_limit,
            json_body_bytes: usize_of(options.body_limit),
            state_bytes: usize_of(options.state_limit),
            log_bytes: usize_of(options.log_limit),
            requests_per_second: NonZeroU32::new(options.rate_limit),
            trusted_proxies: options.trusted_proxy.clone(),
            audited: !options.no_audit,
            audit_days: NonZeroU32::new(options.audit_days),
            plan_timeout_seconds: options.plan_timeout.as_secs(),
            apply_timeout_seconds: options.apply_timeout.as_secs(),
            force_cancel_cool_off_seconds: seconds(options.force_cancel_after),
            session_idle_seconds: seconds(options.session_idle),
            session_seconds: seconds(options.session_lifetime),
            pasted_tokens: options.terraform_login == TerraformLogin::Paste,
            ..Settings::default()
        },
        env,
        runners: options.runners.unwrap_or_else(processors),
        engines: engine_config(options, dir),
        sandbox: SandboxConfig {
            require: options.require_sandbox,
            memory_bytes: options.run_memory,
            file_size_bytes: options.run_file_size,
            open_files: options.run_open_files,
            extra_read: options.run_read.clone(),
        },
        archives: slug::Limits {
            compressed_bytes: options.upload_limit,
            expanded_bytes: options.expanded_limit,
            entries: options.entry_limit,
            ratio: options.ratio_limit,
        },
        provider_mirror: options.provider_mirror.clone().or_else(own_plugins),
        engine_cli_config: options.engine_config.clone(),
        external: options.external.provider()?,
        environment: options
            .run_env
            .iter()
            .filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)))
            .collect(),
    })
}

/// Where engines are looked for, with the cache of the data directory `dir`.
pub fn engine_config(options: &ServeOptions, dir: &Path) -> EngineConfig {
    EngineConfig {
        configured: options.engine.clone(),
        search_path: std::env::var_os("PATH"),
        cache_dir: dir.join("engines"),
        mirror: options.engine_mirror.clone(),
        terraform_mirror: options.terraform_mirror.clone(),
        mirror_keys: options.engine_mirror_key.clone(),
        download: !options.no_engine_download,
    }
}

fn processors() -> u32 {
    std::thread::available_parallelism().map_or(2, |n| u32::try_from(n.get()).unwrap_or(2))
}

fn own_plugins() -> Option<PathBuf> {
    let dir = PathBuf::from(std::env::var_os("HOME")?).join(".terraform.d/plugins");
    dir.is_dir().then_some(dir)
}

/// The root key: from `FERROFORM_ROOT_KEY`, or a file of the data directory that is made on the first start.
fn root_key(dir: &Path, env: &Env) -> Result<RootKey, Failure> {
    match std::env::var("FERROFORM_ROOT_KEY") {
        Ok(text) => Ok(RootKey::from_base64(&text)?),
        Err(_) => Ok(RootKey::load_or_create(&dir.join("root.key"), env)?),
    }
}

fn metrics_token(options: &ServeOptions) -> Result<Option<Secret>, Failure> {
    let Some(file) = &options.metrics_token_file else { return Ok(None) };
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    match text.trim() {
        "" => Err(format!("{} holds no token for /metrics", file.display()).into()),
        token => Ok(Some(Secret::from(token))),
    }
}

/// Listens for signals from now on. The first asks the server to end: no phase begins any more, and once the running ones
/// have ended, or their part of the grace period has, the result completes with the instant until which open requests may
/// go on. Until then requests are answered, so that who follows the log of a phase sees its end. The second signal ends the
/// process at once; what runs goes on, and is taken up by the next start.
fn ended(app: App, grace: Duration) -> std::io::Result<impl Future<Output = Instant>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        either(&mut term, &mut int).await;
        tracing::info!("ending: no new work is taken; send the signal again to end at once");
        app.close();
        tokio::spawn(async move {
            either(&mut term, &mut int).await;
            tracing::warn!("ending at once");
            // Nothing that matters is in memory alone (ADR 3), so this is the crash that every start recovers from.
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).ok();
        });
        let now = Instant::now();
        drain(&app, now + grace - (grace / 10).min(REQUESTS)).await;
        now + grace
    })
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! { _ = one.recv() => {}, _ = other.recv() => {} }
}

/// Of the grace period, what phases leave at least to requests that are open then; less when it is shorter than ten times
/// this.
const REQUESTS: Duration = Duration::from_secs(3);
/// From the end of the last phase until no more requests are taken: who follows a log asks again every half a second while
/// the server ends.
const FAREWELL: Duration = Duration::from_millis(1500);

/// Waits for running phases, and for those who read about their end, until the deadline.
async fn drain(app: &App, deadline: Instant) {
    let jobs = app.area::<Jobs>();
    if jobs.running() == 0 {
        return;
    }
    while jobs.running() > 0 {
        let runs = jobs.runs();
        tracing::info!(running = runs.len(), "waiting for running phases to end");
        if tokio::time::timeout_at(deadline, jobs.one_ended()).await.is_err() {
            tracing::warn!(?runs, "these phases go on without the server; the next start takes them up");
            return;
        }
    }
    tokio::time::sleep_until(deadline.min(Instant::now() + FAREWELL)).await;
}

/// Renews certificates in time, and on SIGHUP, which without this would end the process.
async fn keep_fresh(mut hangup: Signal, certificates: Option<Arc<tls::Certificates>>, app: App) {
    loop {
        tokio::select! {
            _ = hangup.recv() => tracing::info!("looking at the certificates again"),
            () = tokio::time::sleep(tls::Certificates::period()) => {}
            () = app.closing() => return,
        }
        let refreshed = certificates.as_ref().map_or(Ok(()), |certificates| certificates.refresh());
        if let Err(error) = refreshed {
            tracing::error!(%error, "certificates were not renewed; the former ones stay in use");
        }
    }
}
