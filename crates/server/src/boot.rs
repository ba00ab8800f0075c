//! `ferroform serve`: from options to a serving process, and its end.
//!
//! Order: data directory and its lock → keys → certificates → database → what an earlier process left → listener. The
//! address answers as soon as it is bound and says ready only then ([`health`]).

use crate::{
    assemble::{Assembled, Blueprint, assemble},
    data_dir::{DataDir, write_private},
    listen, log,
    metrics::Metrics,
    options::{ServeOptions, Tls},
    tls,
};
use accounts::{bootstrap, tokens};
use axum::{
    Router,
    extract::Query,
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use blob::keys::RootKey;
use http_api::{App, Settings};
use kernel::{Env, Secret};
use runner::{engine::EngineConfig, sandbox::SandboxConfig};
use runs::jobs::Jobs;
use serde_json::json;
use std::{
    collections::HashMap,
    error::Error,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// What ends a start, with a sentence for the operator.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The file with the first site admin's token.
pub const ADMIN_TOKEN: &str = "admin-token";

/// Serves until a signal.
///
/// # Errors
/// With a sentence that says what was wrong and what to do.
pub async fn serve(options: ServeOptions) -> Result<(), Failure> {
    let begun = Instant::now();
    log::start(options.log_format);
    let dir = DataDir::take(&options.data_dir)?;
    let env = Env::real();
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|e| format!("cannot listen on {}: {e}; choose another address with --listen", options.listen))?;
    let address = listener.local_addr()?;
    let url = options.url.clone().unwrap_or_else(|| default_url(&options.tls, address));
    let url = url.trim_end_matches('/').to_owned();
    let certificates = tls::load(&options.tls, dir.path(), tls::names(address, &url), &env)?;
    let assembled = assemble(blueprint(&options, dir.path(), &url, env)?).await?;
    let admin = first_admin(&assembled.app, dir.path()).await?;
    assembled.start(admin.as_ref().map(|admin| &admin.token)).await?;
    let metrics = Metrics::new(&assembled.routes);
    let router = outer(&assembled, &metrics, metrics_token(&options)?);
    greet(&options, &assembled, &url, dir.path(), certificates.as_deref(), admin.as_ref(), begun);
    if let Some(listen) = options.metrics_listen {
        let listener = TcpListener::bind(listen).await.map_err(|e| format!("cannot listen on {listen} for /metrics: {e}"))?;
        tokio::spawn(axum::serve(listener, own_metrics(&assembled.app, &metrics)).into_future());
    }
    if let Some(certificates) = certificates.clone() {
        tokio::spawn(keep_fresh(certificates, assembled.app.clone()));
    }
    let app = assembled.app.clone();
    let ending = ended(app.clone());
    listen::serve(listener, certificates, router, ending, options.grace_period).await?;
    drain(&app, &options).await;
    app.db.close().await;
    Ok(())
}

fn default_url(tls: &Tls, address: std::net::SocketAddr) -> String {
    let scheme = if *tls == Tls::Off { "http" } else { "https" };
    // The command line refuses IPv6 literals, and nobody can reach an unspecified address.
    let host = if address.ip().is_loopback() || address.ip().is_unspecified() {
        "localhost".to_owned()
    } else {
        address.ip().to_string()
    };
    let default_port = if *tls == Tls::Off { 80 } else { 443 };
    if address.port() == default_port { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{}", address.port()) }
}

/// What the options say about the application.
pub fn blueprint(options: &ServeOptions, dir: &Path, url: &str, env: Env) -> Result<Blueprint, Failure> {
    let usize_of = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let seconds = |time: std::time::Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Ok(Blueprint {
        data_dir: dir.to_owned(),
        postgres: database(options)?,
        connections: options.database_connections,
        root_key: root_key(dir, &env)?,
        env,
        settings: Settings {
            url: url.to_owned(),
            upload_bytes: options.upload_limit,
            json_body_bytes: usize_of(options.body_limit),
            state_bytes: usize_of(options.state_limit),
            log_bytes: usize_of(options.log_limit),
            plan_timeout_seconds: options.plan_timeout.as_secs(),
            apply_timeout_seconds: options.apply_timeout.as_secs(),
            force_cancel_cool_off_seconds: seconds(options.force_cancel_after),
            ..Settings::default()
        },
        runners: options.runners.unwrap_or_else(processors),
        engines: EngineConfig {
            configured: options.engine.clone(),
            search_path: std::env::var_os("PATH"),
            cache_dir: dir.join("engines"),
            mirror: options.engine_mirror.clone(),
            terraform_mirror: options.terraform_mirror.clone(),
            mirror_keys: options.engine_mirror_key.clone(),
            download: !options.no_engine_download,
        },
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
        environment: options
            .run_env
            .iter()
            .filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)))
            .collect(),
    })
}

fn processors() -> u32 {
    std::thread::available_parallelism().map_or(2, |n| u32::try_from(n.get()).unwrap_or(2))
}

fn own_plugins() -> Option<PathBuf> {
    let dir = PathBuf::from(std::env::var_os("HOME")?).join(".terraform.d/plugins");
    dir.is_dir().then_some(dir)
}

/// The PostgreSQL URL, or nothing for SQLite.
fn database(options: &ServeOptions) -> Result<Option<Secret>, Failure> {
    let text = match &options.database_file {
        Some(file) => std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?.trim().to_owned(),
        None => options.database.clone(),
    };
    match text.as_str() {
        "sqlite" => Ok(None),
        url if url.starts_with("postgres://") || url.starts_with("postgresql://") => Ok(Some(Secret::new(text))),
        _ => Err("--database is `sqlite` or a URL that begins with postgres://".into()),
    }
}

/// The root key: from `FERROFORM_ROOT_KEY`, or a file of the data directory that is made on the first start.
fn root_key(dir: &Path, env: &Env) -> Result<RootKey, Failure> {
    match std::env::var("FERROFORM_ROOT_KEY") {
        Ok(text) => Ok(RootKey::from_base64(&text)?),
        Err(_) => Ok(RootKey::load_or_create(&dir.join("root.key"), env)?),
    }
}

/// The first site admin's token on a first start.
struct FirstAdmin {
    token: Secret,
    preset: bool,
}

/// Preset by `FERROFORM_ADMIN_TOKEN` or the file that `FERROFORM_ADMIN_TOKEN_FILE` names, or made now; kept in a file of
/// the data directory. Nothing on later starts.
async fn first_admin(app: &App, dir: &Path) -> Result<Option<FirstAdmin>, Failure> {
    if bootstrap::is_initialized(app).await? {
        return Ok(None);
    }
    let preset = match (std::env::var("FERROFORM_ADMIN_TOKEN"), std::env::var_os("FERROFORM_ADMIN_TOKEN_FILE")) {
        (Ok(token), _) => Some(token),
        (Err(_), Some(file)) => Some(
            std::fs::read_to_string(&file)
                .map_err(|e| format!("FERROFORM_ADMIN_TOKEN_FILE: {}: {e}", Path::new(&file).display()))?,
        ),
        (Err(_), None) => None,
    };
    let preset = preset.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
    let admin = match preset {
        Some(token) => FirstAdmin { token: Secret::new(token), preset: true },
        None => FirstAdmin { token: tokens::generate(app), preset: false },
    };
    write_private(&dir.join(ADMIN_TOKEN), format!("{}\n", admin.token.expose()).as_bytes())?;
    Ok(Some(admin))
}

fn metrics_token(options: &ServeOptions) -> Result<Option<Secret>, Failure> {
    match &options.metrics_token_file {
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
            Ok(Some(Secret::new(text.trim().to_owned())))
        }
        None => Ok(None),
    }
}

/// The API with health, metrics and their counting around it.
fn outer(assembled: &Assembled, metrics: &Metrics, token: Option<Secret>) -> Router {
    let (app, counted) = (assembled.app.clone(), metrics.clone());
    let mut router = assembled.router.clone().route("/_health_check", get(move |query| health(app.clone(), query)));
    if let Some(token) = token {
        let (app, metrics) = (assembled.app.clone(), metrics.clone());
        let hash = app.hasher.hash(token.expose());
        router = router.route("/metrics", get(move |headers: HeaderMap| {
            let allowed = headers
                .get(header::AUTHORIZATION)
                .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
                .is_some_and(|given| app.hasher.verify(given, &hash));
            let reply = if allowed { metrics_text(&app, &metrics).into_response() } else { StatusCode::UNAUTHORIZED.into_response() };
            async move { reply }
        }));
    }
    router.layer(middleware::from_fn(move |request, next| counted.clone().record(request, next)))
}

fn own_metrics(app: &App, metrics: &Metrics) -> Router {
    let (app, metrics) = (app.clone(), metrics.clone());
    Router::new().route("/metrics", get(move || {
        let text = metrics_text(&app, &metrics);
        async move { text }
    }))
}

fn metrics_text(app: &App, metrics: &Metrics) -> String {
    let jobs = app.area::<Jobs>();
    metrics.text(jobs.running(), jobs.capacity)
}

/// 200 when this server can do its work, else 503; `?full=1` says what was looked at.
async fn health(app: App, Query(query): Query<HashMap<String, String>>) -> Response {
    let database = app.db.ping().await;
    let objects = {
        let probe = app.clone();
        blob_probe(probe).await
    };
    let jobs = app.area::<Jobs>();
    let engine = jobs.runner.engines().default_engine().await;
    let runner_ok = jobs.capacity == 0 || engine.is_ok();
    let ready = database.is_ok() && objects.is_ok();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = |ok: bool| if ok { "ok" } else { "failing" };
    if query.get("full").is_some_and(|full| full != "0") {
        let engine = match &engine {
            Ok(engine) => json!({ "status": "ok", "tool": engine.tool, "version": engine.version }),
            Err(error) => json!({ "status": "failing", "detail": error.to_string() }),
        };
        let body = json!({
            "status": word(ready), "database": word(database.is_ok()), "objects": word(objects.is_ok()),
            "runner": { "status": word(runner_ok), "engine": engine, "running": jobs.running(), "capacity": jobs.capacity },
        });
        return (status, axum::Json(body)).into_response();
    }
    (status, axum::Json(json!({ "status": word(ready) }))).into_response()
}

/// Whether objects can be listed, which needs the folder and its rights.
async fn blob_probe(app: App) -> http_api::Result<()> {
    http_api::blobs::blocking(move || app.objects.list().map(drop).map_err(http_api::Error::internal)).await
}

/// What a person sees first.
fn greet(
    options: &ServeOptions,
    assembled: &Assembled,
    url: &str,
    dir: &Path,
    certificates: Option<&tls::Certificates>,
    admin: Option<&FirstAdmin>,
    begun: Instant,
) {
    let jobs = assembled.app.area::<Jobs>();
    let settings = &assembled.app.settings;
    let ready = begun.elapsed().as_millis();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        url,
        data_dir = %dir.display(),
        database = assembled.app.db.engine(),
        runners = jobs.capacity,
        engine = %format!("{} {}", settings.default_engine, settings.default_terraform_version),
        ready_ms = ready,
        "serving"
    );
    for missing in runner::sandbox::Sandbox::support().iter().filter(|support| !support.available) {
        tracing::warn!(protection = missing.name, "{}", missing.detail);
    }
    if options.log_format == crate::options::LogFormat::Json || !std::io::stderr().is_terminal() {
        if let Some(authority) = certificates.and_then(tls::Certificates::authority) {
            tracing::info!(path = %authority.display(), "clients must trust this certificate authority");
        }
        if let Some(admin) = admin {
            let how = if admin.preset { "preset" } else { "made" };
            tracing::info!(path = %dir.join(ADMIN_TOKEN).display(), how, "the first site admin's token is in this file");
        }
    }
    let mut out = std::io::stderr().lock();
    // The token is printed once, to a person, and never to a log.
    if std::io::stderr().is_terminal() {
        let _ = writeln!(out, "\n  Ferroform serves at {url}");
        if let Some(authority) = certificates.and_then(tls::Certificates::authority) {
            let _ = writeln!(out, "  Trust its authority:  export SSL_CERT_FILE={}", authority.display());
        }
        if let Some(admin) = admin {
            let _ = writeln!(out, "  Site admin's token:   {}", dir.join(ADMIN_TOKEN).display());
            if !admin.preset {
                let _ = writeln!(out, "                        {}   (shown this once)", admin.token.expose());
            }
        }
        let _ = writeln!(out, "  Next:                 ferroform push --help\n");
    }
}

/// Completes when a signal asks the server to end. A second one ends the process at once; what runs goes on, and is taken
/// up by the next start.
async fn ended(app: App) {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::error!("signals cannot be received; end the server with SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    tracing::info!("ending: no new work is taken; send the signal again to end at once");
    app.close();
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        tracing::warn!("ending at once");
        // SAFETY of state: nothing that matters is only in memory; see ADR 3.
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).ok();
    });
}

/// Waits for running phases within the grace period.
async fn drain(app: &App, options: &ServeOptions) {
    let jobs = app.area::<Jobs>();
    let deadline = tokio::time::Instant::now() + options.grace_period;
    while jobs.running() > 0 {
        let runs = jobs.runs();
        tracing::info!(running = runs.len(), "waiting for running phases to end");
        if tokio::time::timeout_at(deadline, jobs.one_ended()).await.is_err() {
            tracing::warn!(?runs, "these phases go on without the server; the next start takes them up");
            return;
        }
    }
}

/// Renews certificates in time, and on SIGHUP.
async fn keep_fresh(certificates: Arc<tls::Certificates>, app: App) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    loop {
        tokio::select! {
            _ = hangup.recv() => tracing::info!("reading certificates again"),
            () = tokio::time::sleep(tls::Certificates::period()) => {}
            () = app.closing() => return,
        }
        if let Err(error) = certificates.refresh() {
            tracing::error!(%error, "certificates were not renewed; the former ones stay in use");
        }
    }
}
