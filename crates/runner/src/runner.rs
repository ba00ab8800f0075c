//! The runner's face: configuration, the operations of a run's work directory, and recovery at boot.

use crate::{
    engine::Engines,
    job::{Control, Job, Outcome, Phase},
    phase::Execution,
    process::Group,
    sandbox::Sandbox,
    schemas::SchemaCache,
    watch::Watcher,
    workdir::{Begun, RunDir},
};
use futures_util::FutureExt;
use kernel::ids::RunId;
use std::{
    fs, io, os::unix::fs::DirBuilderExt, panic::AssertUnwindSafe, path::PathBuf, sync::Arc, time::Duration,
};

/// What a runner works with.
pub struct RunnerConfig {
    /// Folder for the work directories, made 0700. Short, because plugins put sockets below it (at most 107 bytes).
    pub work_root: PathBuf,
    /// Where engines come from.
    pub engines: Engines,
    /// What a run may do.
    pub sandbox: Sandbox,
    /// Provider schemas by engine and lock file.
    pub schemas: SchemaCache,
    /// Limits for uploaded archives. A kept plan has `artifact_bytes` for its content and is otherwise not limited.
    pub archive_limits: slug::Limits,
    /// A folder in the layout of `terraform providers mirror`; its providers are taken from there, others from their
    /// registries.
    pub provider_mirror: Option<PathBuf>,
    /// The operator's own CLI configuration, instead of the one written for `provider_mirror`.
    pub engine_cli_config: Option<PathBuf>,
    /// Further environment of every engine, such as `HTTPS_PROXY`. A workspace's variables beat it.
    pub environment: Vec<(String, String)>,
    /// The largest state, plan description or kept configuration that is read back, in bytes.
    pub artifact_bytes: u64,
    /// Time between the interrupt of a phase that took too long and its end by force.
    pub grace: Duration,
}

impl RunnerConfig {
    /// A configuration with everything optional at its default: artifacts of 256 MiB, 60 s of grace.
    pub fn new(work_root: PathBuf, engines: Engines, sandbox: Sandbox, schemas: SchemaCache) -> Self {
        Self {
            work_root,
            engines,
            sandbox,
            schemas,
            archive_limits: slug::Limits::default(),
            provider_mirror: None,
            engine_cli_config: None,
            environment: Vec::new(),
            artifact_bytes: 256 << 20,
            grace: Duration::from_secs(60),
        }
    }
}

/// Carries out phases of runs, any number at once.
#[derive(Clone)]
pub struct Runner {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: RunnerConfig,
    pub(crate) watcher: Watcher,
}

/// The work directory of a phase that an earlier server began and did not settle.
#[derive(Debug)]
pub struct Leftover {
    /// The job, without values.
    pub job: Job,
    /// Its engine is still running.
    pub running: bool,
}

impl Runner {
    /// Makes the work root. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the folder cannot be made or the kernel has no inotify instance left.
    pub fn new(mut config: RunnerConfig) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.work_root)?;
        // The engine is started in folders below it, so a relative path would not do.
        config.work_root = fs::canonicalize(&config.work_root)?;
        Ok(Self { inner: Arc::new(Inner { config, watcher: Watcher::new()? }) })
    }

    /// The providers' schemas of a plan, as the engine printed them, by [`crate::job::PlanArtifacts::schemas_key`]; none where
    /// they had to make room for others.
    pub fn schemas(&self, key: &str) -> Option<Vec<u8>> {
        self.inner.config.schemas.get(key)
    }

    /// The engines from which a job's is chosen.
    pub fn engines(&self) -> &Engines {
        &self.inner.config.engines
    }

    /// Carries out a job from the start. Never panics. Dropping the future leaves the engine running, to be resumed.
    pub async fn execute(&self, job: Job, control: Arc<dyn Control>) -> Outcome {
        self.guarded(job, control, false).await
    }

    /// Phases that an earlier server began and did not settle. To be called once, at boot: folders in which no engine
    /// had been started are removed on the way.
    pub fn leftovers(&self) -> Vec<Leftover> {
        let mut leftovers = Vec::new();
        for dir in self.run_dirs() {
            if let Some(Begun { job, mark, .. }) = dir.begun() {
                let running = Group::adopt(&mark).is_ok_and(|group| group.is_some());
                leftovers.push(Leftover { job, running });
            } else if dir.ready().is_none()
                && let Err(error) = dir.remove()
            {
                tracing::warn!(%error, "a work directory could not be removed");
            }
        }
        leftovers
    }

    /// Runs whose plan waits here for its apply. At boot, those that have ended meanwhile are to be forgotten.
    pub fn waiting(&self) -> Vec<RunId> {
        let waiting =
            self.run_dirs().into_iter().filter(|dir| dir.begun().is_none() && dir.ready().is_some());
        waiting.filter_map(|dir| Some(RunId::from(dir.name()?))).collect()
    }

    /// Finishes a phase that an earlier server began: follows the engine that still runs, or collects what an engine
    /// that has ended left, or starts again where nothing had begun. `job` is the leftover's, with its values.
    /// A plan whose engine was killed is made again; such an apply has failed, and its newest state is in the outcome.
    pub async fn resume(&self, job: Job, control: Arc<dyn Control>) -> Outcome {
        control.log_restart(&job);
        self.guarded(job, control, true).await
    }

    /// The outcome of the run's phase is stored. Keeps what a warm apply needs, and removes all else. Idempotent.
    ///
    /// # Errors
    /// When the folder cannot be changed.
    pub async fn settle(&self, run: &RunId) -> io::Result<()> {
        self.in_folder(run, |dir| dir.settle()).await
    }

    /// Ends whatever still runs for the run, and removes its work directory. For runs that ended without an apply, and
    /// for leftovers that nobody wants. Idempotent.
    ///
    /// # Errors
    /// When the folder cannot be removed.
    pub async fn forget(&self, run: &RunId) -> io::Result<()> {
        self.in_folder(run, |dir| {
            dir.end_group()?;
            dir.remove()
        })
        .await
    }

    async fn guarded(&self, job: Job, control: Arc<dyn Control>, resumed: bool) -> Outcome {
        let Some(dir) = RunDir::new(&self.inner.config.work_root, job.run.as_str()) else {
            return Outcome::failed("the run's id cannot name a work directory");
        };
        let execution = Execution {
            runner: Arc::clone(&self.inner),
            job: Arc::new(job),
            control: Arc::clone(&control),
            dir: dir.clone(),
        };
        let work = async { if resumed { execution.resume().await } else { execution.execute().await } };
        AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(run = %execution.job.run, "the runner panicked; the run's processes are killed");
            if let Err(error) = dir.end_group() {
                tracing::error!(%error, "the run's processes could not be killed");
            }
            let state = match execution.job.phase {
                Phase::Plan => None,
                Phase::Apply => dir.state(&execution.job, self.inner.config.artifact_bytes).ok().flatten(),
            };
            Outcome::Failed { message: "the runner failed unexpectedly".to_owned(), state, plan: None }
        })
    }

    fn run_dirs(&self) -> Vec<RunDir> {
        let root = &self.inner.config.work_root;
        let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
        entries.flatten().filter_map(|entry| RunDir::new(root, entry.file_name().to_str()?)).collect()
    }

    async fn in_folder(
        &self,
        run: &RunId,
        act: impl FnOnce(RunDir) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let Some(dir) = RunDir::new(&self.inner.config.work_root, run.as_str()) else { return Ok(()) };
        tokio::task::spawn_blocking(move || act(dir)).await.map_err(io::Error::other)?
    }
}
