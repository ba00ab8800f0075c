//! One phase from its start to its outcome.
//!
//! [`Execution::execute`] sets the work directory up and starts the engine; [`Execution::follow`] watches log, state,
//! signals and time until the engine's shell has ended; [`crate::collect`] turns what it left into an [`Outcome`].
//! [`Execution::resume`] enters at whichever of these an earlier server had reached.

use crate::{
    collect::Ended,
    engine::Engine,
    folder::Folder,
    job::{Control, ControlError, Job, Outcome, Phase, Signal},
    launch::Launcher,
    mask::Masker,
    pack::{self, Facts},
    process::{self, Group},
    runner::Inner,
    steps::Steps,
    tail::Tail,
    watch::Watch,
    workdir::{Begun, RunDir, Setup},
};
use bytes::Bytes;
use std::{
    fs::File,
    future::pending,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read},
    os::fd::OwnedFd,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::unix::AsyncFd,
    task::{spawn_blocking, yield_now},
    time::{Instant, sleep_until, timeout},
};

/// From a change of the state to its upload. Engines write the state after each resource; a run of quick ones becomes
/// one upload. Little is at risk meanwhile: the file itself outlives the server.
const PACE: Duration = Duration::from_millis(250);
/// Before a snapshot that the server refused is offered again.
const RETRY: Duration = Duration::from_secs(5);

/// How often, and after which time, an engine that was just being started is looked for again to be interrupted.
const RETRIES: u32 = 10;
const SOON: Duration = Duration::from_millis(10);

/// The end of a phase's shell.
type End = AsyncFd<OwnedFd>;

/// A job that is being carried out.
pub(crate) struct Execution {
    pub(crate) runner: Arc<Inner>,
    pub(crate) job: Arc<Job>,
    pub(crate) control: Arc<dyn Control>,
    pub(crate) dir: RunDir,
}

/// Why a phase was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Canceled,
    Killed,
    TimedOut,
}

/// What the server was asked for before the engine could start.
enum Inputs {
    Plan { archive: Box<dyn Read + Send>, state: Option<Vec<u8>> },
    Apply { facts: Facts, kept: Vec<u8>, state: Option<Vec<u8>> },
}

/// A phase whose engine runs, or has run.
pub(crate) struct Started {
    pub(crate) engine: Engine,
    pub(crate) group: Option<Group>,
    pub(crate) log: File,
    /// Where the engine was started, relative to `config`.
    pub(crate) folder: PathBuf,
    /// How long it has been running.
    pub(crate) age: Duration,
}

enum Start {
    Started(Started),
    Canceled,
}

impl Execution {
    /// Carries the job out from the start.
    pub(crate) async fn execute(&self) -> Outcome {
        let mut preamble = Vec::new();
        let outcome = match self.set_up(&mut preamble).await {
            Ok(Start::Started(started)) => return self.finish(started).await,
            Ok(Start::Canceled) => {
                self.control.log(&self.job, Bytes::from(preamble));
                Outcome::Canceled { forced: false, state: None }
            }
            Err(setup) => self.setup_failed(&preamble, &setup.to_string()),
        };
        self.clear().await;
        outcome
    }

    async fn set_up(&self, preamble: &mut Vec<u8>) -> Result<Start, Setup> {
        if let Some(why) = &self.job.unprepared {
            return Err(Setup::Layout(why.clone()));
        }
        let inputs = self.inputs().await?;
        let engine = match &inputs {
            Inputs::Plan { .. } => self.engine(self.job.version.as_deref()).await?,
            // Only the version that made a plan can read it.
            Inputs::Apply { facts, .. } => self.engine(Some(&facts.engine_version)).await?,
        };
        *preamble = first_lines(&engine);
        if let Some(why) = lacks(&engine, &self.job) {
            return Err(Setup::Layout(why));
        }
        if self.job.phase == Phase::Plan
            && let Some(note) = self.of_version(&self.job.deprecated, &engine)
        {
            preamble.extend(format!("\nWarning: {note}\n\n").into_bytes());
        }
        self.start(engine, preamble, inputs).await
    }

    /// Finishes what an earlier server began.
    pub(crate) async fn resume(&self) -> Outcome {
        // Where nothing is written down the engine was never told to go.
        let Some(begun) = self.dir.begun() else { return self.execute().await };
        let Begun { job, mark, engine, engine_version, origin, folder } = begun;
        let engine = Engine { path: engine, tool: job.tool, version: engine_version, origin };
        let group = match Group::adopt(&mark) {
            Ok(group) => group,
            Err(error) => return self.lost(&format!("the engine's process cannot be found: {error}")),
        };
        let steps = Folder::open(&self.dir.phase(self.job.phase)).map(|phase| Steps::read(&phase));
        let steps = steps.unwrap_or_default();
        if group.is_none() && !steps.ended {
            if !steps.applying {
                return self.execute().await;
            }
            if self.dir.interrupted().is_none() {
                return self.lost("the engine was killed in the middle of the apply");
            }
        }
        let log = match File::open(self.dir.log()) {
            Ok(log) => log,
            Err(error) => {
                if let Some(group) = group {
                    group.kill();
                    group.reap();
                }
                return self.lost(&format!("its log cannot be read: {error}"));
            }
        };
        self.finish(Started { engine, group, log, folder, age: process::age(&mark) }).await
    }

    async fn engine(&self, version: Option<&str>) -> Result<Engine, Setup> {
        let engines = &self.runner.config.engines;
        let found = match (&self.job.own, &self.job.version) {
            (Some(archives), Some(version)) => engines.own(self.job.tool, version, archives).await,
            _ => engines.resolve(self.job.tool, version).await,
        };
        let engine = found.map_err(|error| Setup::Layout(error.to_string()))?;
        match self.of_version(&self.job.refused, &engine) {
            Some(why) => Err(Setup::Layout(why.to_owned())),
            None => Ok(engine),
        }
    }

    /// What a list says of the version that was asked for, or of the one that was found for it.
    fn of_version<'a>(&self, list: &'a [(String, String)], engine: &Engine) -> Option<&'a str> {
        let asked = self.job.version.as_deref();
        // What a program of the installation's own says of itself is another version's name.
        let found = self.job.own.is_none().then_some(engine.version.as_str());
        let named = |version: &str| asked == Some(version) || found == Some(version);
        list.iter().find(|(version, _)| named(version)).map(|(_, text)| text.as_str())
    }

    async fn inputs(&self) -> Result<Inputs, Setup> {
        let state = self.control.state(&self.job);
        match self.job.phase {
            Phase::Plan => {
                let (archive, state) = tokio::join!(self.control.configuration(&self.job), state);
                Ok(Inputs::Plan {
                    archive: self.fetched("configuration version", archive)?,
                    state: self.fetched("state", state)?,
                })
            }
            Phase::Apply => {
                let (kept, state) = tokio::join!(self.control.kept(&self.job), state);
                let kept = self.fetched("plan", kept)?.ok_or(Setup::NoPlan)?;
                let (facts, _) = pack::open(&kept).ok_or(Setup::NoPlan)?;
                Ok(Inputs::Apply { facts, kept, state: self.fetched("state", state)? })
            }
        }
    }

    fn fetched<T>(&self, what: &str, result: Result<T, ControlError>) -> Result<T, Setup> {
        result.map_err(|error| {
            tracing::error!(run = %self.job.run, %error, "the {what} of a run cannot be read");
            Setup::Layout(format!("the {what} cannot be read from storage; the server's log says why"))
        })
    }

    /// Everything on disk and the start of the engine, in one go on a thread that may block.
    async fn start(&self, engine: Engine, preamble: &[u8], inputs: Inputs) -> Result<Start, Setup> {
        let (runner, job, dir) = (Arc::clone(&self.runner), Arc::clone(&self.job), self.dir.clone());
        let (signals, preamble) = (self.control.signals(&self.job), preamble.to_vec());
        let start = move || {
            let config = &runner.config;
            dir.begin(job.phase)?;
            let prepared = match inputs {
                Inputs::Plan { archive, state } => {
                    dir.prepare_plan(&job, archive, &config.archive_limits, state.as_deref())?
                }
                Inputs::Apply { facts, kept, state } => {
                    let limits = kept_limits(config.artifact_bytes);
                    let (_, archive) = pack::open(&kept).ok_or(Setup::NoPlan)?;
                    dir.prepare_apply(&job, &facts, archive, &limits, state.as_deref())?
                }
            };
            let launcher = Launcher { config, job: &job, dir: &dir, engine: &engine };
            let held = launcher.start(&prepared, &preamble)?;
            let begun = Begun {
                job: Job::clone(&job),
                mark: held.mark.clone(),
                engine: engine.path.clone(),
                engine_version: engine.version.clone(),
                origin: engine.origin,
                folder: prepared.folder,
            };
            let written = dir.set_begun(&begun);
            if *signals.borrow() != Signal::Continue || written.is_err() {
                held.abandon();
                written?;
                return Ok(Start::Canceled);
            }
            let (log, group) = (File::open(dir.log())?, held.go()?);
            let age = Duration::ZERO;
            Ok(Start::Started(Started { engine, group: Some(group), log, folder: begun.folder, age }))
        };
        spawn_blocking(start).await.map_err(|error| Setup::Io(io::Error::other(error)))?
    }

    /// Follows the engine to its end and collects what it left.
    async fn finish(&self, started: Started) -> Outcome {
        let Started { engine, group, log, folder, age } = started;
        let sensitive = self.job.variables.iter().filter(|variable| variable.sensitive);
        let values = sensitive.map(|variable| (variable.value.expose().as_str(), variable.hcl));
        let files = self.job.files.iter().map(|file| (file.content.expose().as_str(), false));
        let masker = Masker::new(values.chain(files));
        let tail = Tail::new(log, masker);
        let mut following = Following { execution: self, tail, stop: self.dir.interrupted(), rescued: None };
        if let Some(group) = group {
            if let Err(error) = following.follow(&group, age).await {
                tracing::error!(run = %self.job.run, %error, "a phase cannot be followed; its engine is killed");
                following.rescue().await;
                group.kill();
                if let Ok(end) = group.end() {
                    let _ = end.readable().await;
                }
            }
            if let Err(error) = spawn_blocking(|| group.reap()).await {
                tracing::error!(run = %self.job.run, %error, "the engine's end could not be waited for");
            }
        }
        let Following { tail, stop, rescued, .. } = following;
        Ended { execution: self, engine, folder, tail, stop, rescued, hidden: Vec::new() }.outcome().await
    }

    /// The phase cannot be continued. What the engine wrote is all that is left of it.
    fn lost(&self, why: &str) -> Outcome {
        let text = format!("\nThe phase was interrupted: {why}.\n");
        self.control.log(&self.job, Bytes::from(text));
        let state = match self.job.phase {
            Phase::Plan => None,
            Phase::Apply => self.dir.state(&self.job, self.runner.config.artifact_bytes).ok().flatten(),
        };
        Outcome::Failed {
            message: format!("{} was interrupted: {why}", self.job.phase.name()),
            state,
            plan: None,
        }
    }

    fn setup_failed(&self, preamble: &[u8], why: &str) -> Outcome {
        let message = format!("Setup failed: {why}");
        let mut text = preamble.to_vec();
        text.extend_from_slice(message.as_bytes());
        text.push(b'\n');
        self.control.log(&self.job, Bytes::from(text));
        Outcome::failed(message)
    }

    /// Removes the folder of a phase that never started its engine.
    async fn clear(&self) {
        let dir = self.dir.clone();
        let removed =
            spawn_blocking(move || dir.remove()).await.unwrap_or_else(|error| Err(io::Error::other(error)));
        if let Err(error) = removed {
            tracing::warn!(run = %self.job.run, %error, "a work directory could not be removed");
        }
    }
}

/// The state of following one engine.
struct Following<'a> {
    execution: &'a Execution,
    tail: Tail,
    stop: Option<Stop>,
    /// The state as it was just before a kill, which may tear the file.
    rescued: Option<Vec<u8>>,
}

/// How long lines are gathered before they are handed on. An engine writes each line by itself; to be woken for, read, mask
/// and announce every one of 50,000 lines costs as much as the apply that prints them, and nobody sees 4 ms. The log is
/// not watched meanwhile, so that the engine's writes wake nobody.
const GATHER: Duration = Duration::from_millis(4);

impl Following<'_> {
    async fn follow(&mut self, group: &Group, age: Duration) -> io::Result<()> {
        let Execution { runner, job, control, dir } = self.execution;
        let mut log = Some(runner.watcher.watch(&dir.log())?);
        let state = match job.phase {
            Phase::Plan => None,
            Phase::Apply => Some(runner.watcher.watch(&dir.state_folder(job))?),
        };
        let end = group.end()?;
        let mut signals = control.signals(job);
        let mut deadline = Instant::now()
            + match self.stop {
                // An earlier server has interrupted it; how long ago is not worth a record.
                Some(Stop::TimedOut) => runner.config.grace,
                _ => job.timeout.saturating_sub(age),
            };
        let mut snapshots = Snapshots::new(self.execution);
        // Once, for what was written before the watches were set.
        let mut more = self.tail.pump(&**control, job)?;
        let mut listening = true;
        // When to look at what the log has grown by.
        let mut due: Option<Instant> = None;
        loop {
            let wanted = *signals.borrow_and_update();
            self.obey(wanted, group, &end).await?;
            tokio::select! {
                biased;
                ended = end.readable() => {
                    drop(ended?);
                    break;
                }
                changed = signals.changed(), if listening => listening = changed.is_ok(),
                () = sleep_until(deadline), if self.stop != Some(Stop::Killed) => {
                    deadline = Instant::now() + runner.config.grace;
                    self.out_of_time(group, &end).await?;
                }
                () = snapshots.step(state.as_ref()) => {}
                // Last, because an engine may print without pause.
                () = yield_now(), if more => more = self.tail.pump(&**control, job)?,
                () = sleep_until(due.unwrap_or(deadline)), if due.is_some() => {
                    due = None;
                    // Before the log is read, so that nothing is written unseen between the two.
                    log = Some(runner.watcher.watch(&dir.log())?);
                    more = self.tail.pump(&**control, job)?;
                }
                () = changed(log.as_ref()) => {
                    log = None;
                    due = Some(Instant::now() + GATHER);
                }
            }
        }
        snapshots.settle().await;
        Ok(())
    }

    /// Does what the server wants, once.
    async fn obey(&mut self, wanted: Signal, group: &Group, end: &End) -> io::Result<()> {
        match (wanted, self.stop) {
            (Signal::Cancel, None) => self.interrupt(Stop::Canceled, group, end).await,
            (Signal::Kill, stop) if stop != Some(Stop::Killed) => {
                self.rescue().await;
                self.stop = Some(Stop::Killed);
                group.kill();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn out_of_time(&mut self, group: &Group, end: &End) -> io::Result<()> {
        match self.stop {
            None => self.interrupt(Stop::TimedOut, group, end).await,
            // Interrupted a while ago, on whosever wish: the time is up.
            Some(_) => {
                self.rescue().await;
                self.stop = Some(Stop::TimedOut);
                group.kill();
                Ok(())
            }
        }
    }

    async fn interrupt(&mut self, why: Stop, group: &Group, end: &End) -> io::Result<()> {
        // Written down first: an engine that is interrupted twice stops without finishing what it has begun, so a
        // server that comes after this one must not do it again.
        if let Err(error) = self.execution.dir.set_interrupted(why) {
            // A full disk must not turn a cancel into a kill.
            let run = &self.execution.job.run;
            tracing::warn!(%run, %error, "that a run was interrupted could not be written down");
        }
        self.stop = Some(why);
        for _ in 0..RETRIES {
            // Where the shell was just starting its next step, that step is there a moment later.
            if group.interrupt() || timeout(SOON, end.readable()).await.is_ok() {
                break;
            }
        }
        Ok(())
    }

    async fn rescue(&mut self) {
        if self.execution.job.phase == Phase::Apply {
            self.rescued = read_state(self.execution).await;
        }
    }
}

/// Resolves when the watched path changes; never, where none is watched.
async fn changed(watch: Option<&Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => pending().await,
    }
}

async fn read_state(execution: &Execution) -> Option<Vec<u8>> {
    let (dir, job) = (execution.dir.clone(), Arc::clone(&execution.job));
    let limit = execution.runner.config.artifact_bytes;
    match spawn_blocking(move || dir.state(&job, limit)).await {
        Ok(Ok(state)) => state,
        Ok(Err(error)) => {
            tracing::warn!(run = %execution.job.run, %error, "a run's state cannot be read");
            None
        }
        Err(_) => None,
    }
}

/// Uploading the state as it changes, one upload at a time.
struct Snapshots<'a> {
    execution: &'a Execution,
    /// When the next one is due.
    due: Option<Instant>,
    uploading: Option<crate::job::Boxed<'a, bool>>,
    last: Arc<std::sync::atomic::AtomicU64>,
}

impl<'a> Snapshots<'a> {
    fn new(execution: &'a Execution) -> Self {
        Self { execution, due: None, uploading: None, last: Arc::default() }
    }

    /// Makes one step: notices a change, begins an upload when it is due, or ends one. Safe to drop at any time.
    async fn step(&mut self, state: Option<&Watch>) {
        if let Some(uploading) = &mut self.uploading {
            let stored = uploading.await;
            self.uploading = None;
            if !stored {
                self.due = Some(Instant::now() + RETRY);
            }
        } else if let Some(due) = self.due {
            sleep_until(due).await;
            self.due = None;
            self.uploading = Some(Box::pin(upload(self.execution, Arc::clone(&self.last))));
        } else {
            changed(state).await;
            self.due = Some(Instant::now() + PACE);
        }
    }

    /// Lets an upload that has begun come to its end, so that it cannot overtake the final state.
    async fn settle(self) {
        if let Some(uploading) = self.uploading {
            uploading.await;
        }
    }
}

async fn upload(execution: &Execution, last: Arc<std::sync::atomic::AtomicU64>) -> bool {
    use std::sync::atomic::Ordering::Relaxed;
    let Some(state) = read_state(execution).await else { return true };
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    let hash = hasher.finish();
    if hash == last.load(Relaxed) {
        return true;
    }
    match execution.control.snapshot(&execution.job, state).await {
        Ok(()) => {
            last.store(hash, Relaxed);
            true
        }
        Err(error) => {
            tracing::warn!(run = %execution.job.run, %error, "a state snapshot was not stored; it is offered again");
            false
        }
    }
}

/// The three lines with which every log begins; command line clients cut exactly these from an apply's log.
/// Why an engine cannot carry out an operation that only newer ones know. By itself it would only print its help.
fn lacks(engine: &Engine, job: &Job) -> Option<String> {
    use crate::engine::Tool;
    let query = job.operation.as_ref().is_some_and(|operation| operation.command == ["query"]);
    let mut numbers = engine.version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match engine.tool {
        _ if !query => None,
        Tool::Tofu => Some("OpenTofu has no `query`, only Terraform 1.14 or newer has".to_owned()),
        Tool::Terraform if version < (1, 14) => Some(format!(
            "Terraform {} has no `query`: it needs 1.14 or newer. Set the workspace's or the query's terraform-version",
            engine.version
        )),
        Tool::Terraform => None,
    }
}

fn first_lines(engine: &Engine) -> Vec<u8> {
    use crate::engine::Tool;
    let name = match engine.tool {
        Tool::Terraform => "Terraform",
        Tool::Tofu => "OpenTofu",
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{name} v{}\non linux_{arch}\nInitializing plugins and modules...\n", engine.version).into_bytes()
}

/// A kept plan comes from our own packer, which limits nothing but its size.
fn kept_limits(artifact_bytes: u64) -> slug::Limits {
    let expanded_bytes = artifact_bytes.saturating_mul(2);
    slug::Limits { compressed_bytes: u64::MAX, expanded_bytes, entries: 10_000_000, ratio: u64::MAX }
}
