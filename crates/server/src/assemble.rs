//! Joins the rooms into one application: the same for the program and for tests.
//!
//! [`assemble`] opens what is stored and makes the service; [`Assembled::start`] begins the background work. Nothing is
//! served before [`runs::executor::recover`] has taken up what an earlier process left.

use crate::{
    health::{self, Installation},
    system,
};
use accounts::{
    SignIns, bootstrap,
    external::provider::{Provider, ProviderSettings},
};
use axum::{Router, extract::Request, response::Response};
use blob::{keys::RootKey, store::Objects};
use db::{Db, migrations};
use http_api::{
    App, Error, Result, Routes, Settings, app::Parts, audit, blobs, idempotency, include::Loaders,
    inside::Inside, serve,
};
use kernel::{Env, Secret};
use runner::{
    Runner, RunnerConfig,
    engine::{Engine, EngineConfig, EngineError, Engines, Origin, Tool},
    sandbox::{Sandbox, SandboxConfig},
    schemas::SchemaCache,
};
use runs::{executor, jobs::Jobs, scheduler, upload::UploadLimits};
use std::{path::PathBuf, sync::Arc, time::Duration};
use workspaces::tool_versions;

/// Age from which a file that no row names is removed: nobody can still be about to name it.
const ORPHAN_AGE: Duration = Duration::from_secs(3600);

/// Everything that an application is made from.
pub struct Blueprint {
    /// Where files are kept.
    pub data_dir: PathBuf,
    /// A `postgres://` URL; the embedded SQLite when absent.
    pub postgres: Option<Secret>,
    /// Connections to the database.
    pub connections: u32,
    /// Seals everything else.
    pub root_key: RootKey,
    /// Clock and randomness.
    pub env: Env,
    /// Limits and names.
    pub settings: Settings,
    /// Jobs at a time; 0 runs none.
    pub runners: u32,
    /// Where engines come from.
    pub engines: EngineConfig,
    /// What a run may do.
    pub sandbox: SandboxConfig,
    /// Limits of configuration archives.
    pub archives: slug::Limits,
    /// Providers that runs take from a folder.
    pub provider_mirror: Option<PathBuf>,
    /// The operator's own configuration for the engine.
    pub engine_cli_config: Option<PathBuf>,
    /// The OpenID provider that people may sign in by.
    pub external: Option<ProviderSettings>,
    /// Further environment of every engine.
    pub environment: Vec<(String, String)>,
}

/// An application that is ready to serve.
pub struct Assembled {
    /// Its parts.
    pub app: App,
    /// Its operation table.
    pub routes: Routes,
    /// The service.
    pub router: Router,
    /// What a new workspace gets; see [`installed_engine`].
    pub engine: Result<Option<Engine>, EngineError>,
}

/// What nothing else is routed to.
async fn absent(app: App, inside: Arc<Inside>, request: Request) -> Response {
    match web::fallback(app.clone(), inside, request).await {
        Ok(response) => response,
        Err(request) => serve::absent(app, request).await,
    }
}

/// Opens the data and makes the service.
///
/// # Errors
/// When the database or the data directory cannot be opened.
pub async fn assemble(mut plan: Blueprint) -> Result<Assembled> {
    let db = match &plan.postgres {
        Some(url) => Db::postgres(url.expose(), plan.connections).await?,
        None => Db::sqlite(&plan.data_dir.join("ferroform.db"), plan.connections).await?,
    };
    migrations::migrate(&db, &plan.env).await?;
    let objects = Objects::open(&plan.data_dir.join("objects")).map_err(Error::internal)?;
    let engines = Engines::new(plan.engines.clone());
    let engine = installed_engine(&engines).await;
    match &engine {
        Ok(Some(engine)) => {
            plan.settings.default_engine = engine.tool.to_string();
            plan.settings.default_terraform_version.clone_from(&engine.version);
        }
        Ok(None) => plan.settings.default_engine = Tool::Tofu.to_string(),
        // Said by whoever starts the server; the API is of use without an engine.
        Err(_) => {}
    }
    let jobs = Jobs::new(Arc::new(runner(&plan, engines)?), plan.runners);
    let provider = plan.external.map(external_provider).transpose()?;
    let installation = Installation { data_dir: plan.data_dir.clone(), started: plan.env.now() };
    let app = App::new(Parts {
        env: plan.env,
        db,
        objects,
        root_key: plan.root_key,
        settings: plan.settings,
        loaders: loaders(),
        areas: vec![
            Box::new(jobs),
            Box::new(UploadLimits(plan.archives)),
            Box::new(runs::readme::Readmes::default()),
            Box::new(SignIns::new(provider)),
            Box::new(installation),
        ],
    });
    let routes = routes();
    let inside = Arc::new(Inside::new(&routes));
    let router = serve::router(&app, &routes).merge(web::router(&app, &inside));
    let fallback = app.clone();
    let router = router.fallback(move |request: Request| absent(fallback.clone(), inside.clone(), request));
    Ok(Assembled { app, routes, router, engine })
}

/// Redirects are not followed: what is sent there may be a secret, and is for that address alone.
fn external_provider(settings: ProviderSettings) -> Result<Provider> {
    let http = runner::outbound::client(&settings.issuer)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(15))
        .build()
        .map_err(Error::internal)?;
    Ok(Provider::new(settings, http))
}

/// The engine that a new workspace gets, if it is on this machine; `None` when it would be downloaded first. Unlike
/// [`Engines::default_engine`] this never downloads, so that neither a start nor a look at the health waits for a network.
///
/// # Errors
/// When there is none, and none can be had.
pub async fn installed_engine(engines: &Engines) -> Result<Option<Engine>, EngineError> {
    let chosen = engines.explain().await.into_iter().find(|finding| finding.chosen);
    match chosen {
        Some(finding) if finding.place == Origin::Downloaded => Ok(None),
        // Found again from memory; or nothing is to be had, and then this says why.
        _ => engines.default_engine().await.map(Some),
    }
}

fn runner(plan: &Blueprint, engines: Engines) -> Result<Runner> {
    let schemas = SchemaCache::new(plan.data_dir.join("schemas"));
    let sandbox = Sandbox::new(plan.sandbox.clone());
    let mut config = RunnerConfig::new(plan.data_dir.join("runs"), engines, sandbox, schemas);
    config.archive_limits = plan.archives;
    config.provider_mirror.clone_from(&plan.provider_mirror);
    config.engine_cli_config.clone_from(&plan.engine_cli_config);
    config.environment.clone_from(&plan.environment);
    config.artifact_bytes = plan.settings.state_bytes as u64;
    Runner::new(config).map_err(Error::internal)
}

/// The operation table of the whole server.
pub fn routes() -> Routes {
    let areas = accounts::routes().and(workspaces::routes()).and(state::routes()).and(runs::routes());
    let areas = areas.and(health::routes());
    system::routes(&areas).and(areas)
}

fn loaders() -> Loaders {
    let mut all = Loaders::default();
    accounts::loaders(&mut all);
    workspaces::loaders(&mut all);
    state::loaders(&mut all);
    runs::loaders(&mut all);
    all
}

impl Assembled {
    /// Makes the first site admin, where there is none, and begins the background work.
    pub async fn start(&self, first_admin: Option<&Secret>) -> Result<()> {
        if let Some(token) = first_admin {
            bootstrap::first_admin(&self.app, token).await?;
        }
        bootstrap::remember_url(&self.app).await?;
        self.app.read_site().await?;
        for tool in [Tool::Terraform, Tool::Tofu] {
            let found = self.app.area::<Jobs>().runner.engines().installed(tool).await;
            let versions: Vec<String> = found.into_iter().map(|engine| engine.version).collect();
            tool_versions::note_installed(&self.app, &tool.to_string(), &versions).await?;
        }
        let sweeper = blobs::Sweeper::new(&self.app);
        executor::recover(&self.app).await?;
        tokio::spawn(scheduler::run(self.app.clone()));
        tokio::spawn(audit::keep_chaining(self.app.clone()));
        tokio::spawn(sweep(self.app.clone(), sweeper));
        Ok(())
    }
}

/// Removes what nobody needs any more, now and every hour: objects that no row names, entries of the audit trail that the
/// operator does not want to keep, old idempotency keys.
async fn sweep(app: App, mut sweeper: blobs::Sweeper) {
    loop {
        match sweeper.sweep(&app, ORPHAN_AGE).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed stored objects that nothing refers to"),
            Err(error) => tracing::warn!(%error, "could not look for stored objects that nothing refers to"),
        }
        if let Some(days) = app.settings.audit_days {
            let until = app.now().plus_seconds(-24 * 3600 * i64::from(days.get()));
            match audit::sweep(&app, until).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "removed old entries of the audit trail"),
                Err(error) => tracing::warn!(%error, "could not remove old entries of the audit trail"),
            }
        }
        if let Err(error) = idempotency::sweep(&app).await {
            tracing::warn!(%error, "could not remove old idempotency keys");
        }
        tokio::select! {
            () = tokio::time::sleep(ORPHAN_AGE) => {}
            () = app.closing() => return,
        }
    }
}
