//! From what an engine left on disk to the phase's outcome.

use crate::{
    engine::Engine,
    folder::Folder,
    job::{Counts, Job, Operated, Outcome, Phase, PlanArtifacts, Signal},
    launch::Launcher,
    pack::{self, Facts},
    phase::{Execution, Stop},
    plan_json,
    process::Group,
    runner::RunnerConfig,
    schemas::SchemaCache,
    steps::Steps,
    tail::Tail,
    workdir::{RunDir, Setup},
};
use rustix::fs::FileType;
use serde::{Deserialize, de::IgnoredAny};
use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc, time::Duration};
use tokio::task::spawn_blocking;

/// Output that is shown when a step failed: at most this much of it.
const SHOWN: u64 = 1 << 20;
/// A disk with fewer free bytes is full: what an engine writes at a time is larger.
const NO_ROOM: u64 = 256 << 10;
/// Printing the schemas of the largest providers takes seconds.
const SCHEMAS_TIMEOUT: Duration = Duration::from_secs(300);

/// A phase whose shell has ended.
pub(crate) struct Ended<'a> {
    pub(crate) execution: &'a Execution,
    pub(crate) engine: Engine,
    pub(crate) folder: PathBuf,
    pub(crate) tail: Tail,
    pub(crate) stop: Option<Stop>,
    pub(crate) rescued: Option<Vec<u8>>,
    /// What a step printed that is silent while it succeeds.
    pub(crate) hidden: Vec<u8>,
}

impl Ended<'_> {
    pub(crate) async fn outcome(mut self) -> Outcome {
        let phase = match Folder::open(&self.execution.dir.phase(self.execution.job.phase)) {
            Ok(phase) => phase,
            Err(error) => return self.unreadable(&error),
        };
        let steps = Steps::read(&phase);
        if steps.failed_silently() {
            self.hidden = phase.read(&["hidden"], SHOWN).ok().flatten().unwrap_or_default();
        }
        match self.execution.job.phase {
            Phase::Plan if self.execution.job.operation.is_some() => self.operation(steps, &phase).await,
            Phase::Plan => self.plan(steps, phase.kind(b"generated.tf") == Some(FileType::RegularFile)).await,
            Phase::Apply => self.apply(steps).await,
        }
    }

    async fn operation(mut self, steps: Steps, phase: &Folder) -> Outcome {
        let state = self.state().await;
        // An engine that had finished when the interrupt came has done everything.
        let done = steps.main == Some(0);
        if !done && let Some(outcome) = self.stopped(state.as_ref()) {
            return outcome;
        }
        let file = match self.file(phase) {
            Ok(file) => file,
            Err(error) => {
                self.hidden
                    .extend_from_slice(format!("\nThe file it wrote cannot be read: {error}\n").as_bytes());
                None
            }
        };
        let failure = if done {
            let hidden = std::mem::take(&mut self.hidden);
            self.end_log(&hidden);
            None
        } else {
            Some(self.why_it_failed(&steps))
        };
        Outcome::Operated(Operated { failure, state, file, engine_version: self.engine.version })
    }

    /// What an operation wrote to be returned.
    fn file(&self, phase: &Folder) -> io::Result<Option<Vec<u8>>> {
        let name = self.execution.job.operation.as_ref().and_then(|operation| operation.file.as_deref());
        let Some(name) = name else { return Ok(None) };
        let mut path = vec!["config"];
        path.extend(self.folder.components().filter_map(|part| part.as_os_str().to_str()));
        path.push(name);
        phase.read(&path, self.execution.runner.config.artifact_bytes)
    }

    /// The newest complete state that the engine wrote.
    async fn state(&mut self) -> Option<Vec<u8>> {
        let (job, dir) = (Arc::clone(&self.execution.job), self.execution.dir.clone());
        let limit = self.execution.runner.config.artifact_bytes;
        let rescued = self.rescued.take();
        match spawn_blocking(move || dir.state(&job, limit)).await {
            Ok(Ok(state)) => state.or(rescued),
            Ok(Err(error)) => {
                tracing::error!(run = %self.execution.job.run, %error, "the state of a run cannot be read");
                rescued
            }
            Err(_) => rescued,
        }
    }

    async fn plan(mut self, steps: Steps, generated: bool) -> Outcome {
        let planned = steps.planned();
        if let Some(outcome) = self.stopped(None) {
            return outcome;
        }
        // A plan that failed on what it generated still shows it.
        if steps.show != Some(0) || !(planned || generated) {
            return self.failed(&steps, None);
        }
        match self.artifacts(steps.main == Some(2), generated, planned).await {
            Ok(artifacts) if planned => {
                self.end_log(b"");
                Outcome::Planned(Box::new(artifacts))
            }
            Ok(artifacts) => match self.failed(&steps, None) {
                Outcome::Failed { message, state, .. } => {
                    Outcome::Failed { message, state, plan: Some(Box::new(artifacts)) }
                }
                other => other,
            },
            Err(why) => {
                let why = self.tail.masked(&why);
                self.end_log(format!("\nThe plan cannot be stored: {why}\n").as_bytes());
                Outcome::failed(format!("the plan cannot be stored: {why}"))
            }
        }
    }

    async fn apply(mut self, steps: Steps) -> Outcome {
        let state = self.state().await;
        // An engine that had finished when the interrupt came has applied everything.
        if steps.main == Some(0) {
            self.end_log(b"");
            return Outcome::Applied { state, counts: self.tail.counts() };
        }
        if let Some(outcome) = self.stopped(state.as_ref()) {
            return outcome;
        }
        self.failed(&steps, state)
    }

    /// The outcome of a phase that was stopped from outside.
    fn stopped(&mut self, state: Option<&Vec<u8>>) -> Option<Outcome> {
        match self.stop? {
            Stop::TimedOut => {
                let name = self.execution.job.main();
                let message = format!("{name} timed out after {}", words(self.execution.job.timeout));
                self.end_log(format!("\nThe {message} and was stopped.\n").as_bytes());
                Some(Outcome::Failed { message, state: state.cloned(), plan: None })
            }
            stop => {
                self.end_log(b"");
                Some(Outcome::Canceled { forced: stop == Stop::Killed, state: state.cloned() })
            }
        }
    }

    fn failed(&mut self, steps: &Steps, state: Option<Vec<u8>>) -> Outcome {
        Outcome::Failed { message: self.why_it_failed(steps), state, plan: None }
    }

    /// The failure in one line. Ends the log with what has not been shown yet.
    fn why_it_failed(&mut self, steps: &Steps) -> String {
        let mut last = std::mem::take(&mut self.hidden);
        let mut message = steps.failure(&self.execution.job.main());
        if self.no_room_left(&last) {
            // The engine's own words about it may have found no room in the log.
            message.push_str(": the server's disk is full; its operator has to free space, then try again");
            last.extend_from_slice(format!("\n{message}\n").as_bytes());
        }
        self.end_log(&last);
        message
    }

    /// Whether the disk of the work directory is full, or a step said so.
    fn no_room_left(&self, said: &[u8]) -> bool {
        let room = rustix::fs::statvfs(self.execution.dir.phase(self.execution.job.phase));
        let full = room.is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < NO_ROOM);
        full || String::from_utf8_lossy(said).contains("no space left on device")
    }

    fn unreadable(&mut self, error: &io::Error) -> Outcome {
        tracing::error!(run = %self.execution.job.run, %error, "a work directory cannot be read");
        self.end_log(b"\nThe run's work directory cannot be read.\n");
        Outcome::Failed {
            message: "the run's work directory cannot be read".to_owned(),
            state: self.rescued.take(),
            plan: None,
        }
    }

    fn end_log(&mut self, last: &[u8]) {
        let Execution { control, job, .. } = self.execution;
        if let Err(error) = self.tail.finish(last, &**control, job) {
            tracing::error!(run = %job.run, %error, "the end of a log cannot be read");
        }
    }

    /// Reads, describes and packs the plan. The error is fit for the run's log.
    async fn artifacts(
        &self,
        changes: bool,
        generated: bool,
        appliable: bool,
    ) -> Result<PlanArtifacts, String> {
        let (runner, job) = (Arc::clone(&self.execution.runner), Arc::clone(&self.execution.job));
        let collect = Collect {
            dir: self.execution.dir.clone(),
            keep: appliable && !job.plan_only,
            engine_version: self.engine.version.clone(),
            folder: self.folder.clone(),
            changes,
            generated,
            job,
        };
        let engine = self.engine.clone();
        let first = move || {
            let key = collect.schemas_key(&engine)?;
            let Some(schemas) = runner.config.schemas.get(&key) else { return Ok((Err(key), collect)) };
            collect.artifacts(&runner.config, &schemas, key).map(|artifacts| (Ok(artifacts), collect))
        };
        let (result, collect) = spawn_blocking(first).await.map_err(|error| error.to_string())??;
        let key = match result {
            Ok(artifacts) => return Ok(artifacts),
            Err(key) => key,
        };
        let end = self.print_schemas().await.map_err(|error| error.to_string())?;
        let runner = Arc::clone(&self.execution.runner);
        let second = move || {
            let schemas = collect.printed_schemas(&runner.config, end)?;
            if let Err(error) = runner.config.schemas.put(&key, &schemas) {
                tracing::warn!(%error, "provider schemas could not be cached");
            }
            collect.artifacts(&runner.config, &schemas, key)
        };
        spawn_blocking(second).await.map_err(|error| error.to_string())?
    }

    /// Lets the engine print the schemas of the providers in use. `true` when it came to its end in time.
    async fn print_schemas(&self) -> Result<bool, Setup> {
        let execution = self.execution;
        let (runner, job, dir) =
            (Arc::clone(&execution.runner), Arc::clone(&execution.job), execution.dir.clone());
        let (engine, folder) = (self.engine.clone(), self.folder.clone());
        let start = move || {
            let launcher = Launcher { config: &runner.config, job: &job, dir: &dir, engine: &engine };
            Ok::<Group, Setup>(launcher.schemas(&folder)?.go()?)
        };
        let group = spawn_blocking(start).await.map_err(io::Error::other)??;
        let end = group.end()?;
        let mut signals = execution.control.signals(&execution.job);
        let killed = signals.wait_for(|signal| *signal == Signal::Kill);
        let in_time = tokio::select! {
            ended = end.readable() => ended.is_ok(),
            () = tokio::time::sleep(SCHEMAS_TIMEOUT) => false,
            Ok(_) = killed => false,
        };
        if !in_time {
            group.kill();
            let _ = end.readable().await;
        }
        spawn_blocking(|| group.reap()).await.map_err(io::Error::other)?;
        Ok(in_time)
    }
}

/// What the blocking part of collecting a plan works with.
struct Collect {
    job: Arc<Job>,
    dir: RunDir,
    keep: bool,
    engine_version: String,
    folder: PathBuf,
    changes: bool,
    generated: bool,
}

impl Collect {
    fn phase(&self) -> Result<Folder, String> {
        Folder::open(&self.dir.phase(self.job.phase)).map_err(|error| error.to_string())
    }

    fn schemas_key(&self, engine: &Engine) -> Result<String, String> {
        let mut path = vec!["config"];
        path.extend(self.folder.components().filter_map(|part| part.as_os_str().to_str()));
        path.push(".terraform.lock.hcl");
        let lock = self.phase()?.read(&path, SHOWN).map_err(|error| error.to_string())?;
        Ok(SchemaCache::key(&self.job.organization, engine, lock.as_deref()))
    }

    fn printed_schemas(&self, config: &RunnerConfig, in_time: bool) -> Result<Vec<u8>, String> {
        let phase = self.phase()?;
        let read = |name, limit| phase.read(&[name], limit).map_err(|error| error.to_string());
        let schemas = read("schemas.out", config.artifact_bytes)?.unwrap_or_default();
        if in_time && serde_json::from_slice::<IgnoredAny>(&schemas).is_ok() {
            return Ok(schemas);
        }
        let said = read("schemas.err", SHOWN)?.unwrap_or_default();
        Err(format!("the providers' schemas cannot be printed. {}", String::from_utf8_lossy(&said)))
    }

    fn artifacts(
        &self,
        config: &RunnerConfig,
        schemas: &[u8],
        schemas_key: String,
    ) -> Result<PlanArtifacts, String> {
        let phase = self.phase()?;
        let plan_json = phase
            .read(&["show.out"], config.artifact_bytes)
            .map_err(|error| error.to_string())?
            .ok_or("the engine printed no description of it")?;
        let summary = plan_json::summary(&plan_json).map_err(|error| error.to_string())?;
        let redacted_json = plan_json::redact(&plan_json, schemas).map_err(|error| error.to_string())?;
        let kept = if self.keep { Some(self.pack(&phase, &plan_json, config)?) } else { None };
        Ok(PlanArtifacts {
            has_changes: self.changes || summary.has_changes,
            counts: Counts {
                additions: summary.additions,
                changes: summary.changes,
                destructions: summary.destructions,
                imports: summary.imports,
            },
            plan_json,
            redacted_json,
            kept,
            generated_configuration: self.generated,
            engine_version: self.engine_version.clone(),
            schemas_key,
        })
    }

    fn pack(&self, phase: &Folder, plan_json: &[u8], config: &RunnerConfig) -> Result<Vec<u8>, String> {
        let given = !self.job.variables.is_empty() || !self.job.run_variables.is_empty();
        let facts = Facts {
            engine_version: self.engine_version.clone(),
            folder: self.folder.clone(),
            again: if given { ephemeral(plan_json) } else { Vec::new() },
        };
        pack::pack(phase, &facts, config.artifact_bytes)
            .map_err(|error| format!("the configuration folder cannot be kept for the apply: {error}"))
    }
}

/// Input variables that the configuration declares and the plan does not hold: those that are to be given anew.
fn ephemeral(plan_json: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Plan {
        #[serde(default)]
        variables: BTreeMap<String, IgnoredAny>,
        configuration: Option<Configuration>,
    }
    #[derive(Deserialize)]
    struct Configuration {
        root_module: Option<Module>,
    }
    #[derive(Deserialize)]
    struct Module {
        #[serde(default)]
        variables: BTreeMap<String, IgnoredAny>,
    }
    let Ok(plan) = serde_json::from_slice::<Plan>(plan_json) else { return Vec::new() };
    let declared = plan.configuration.and_then(|configuration| configuration.root_module);
    let declared = declared.map(|module| module.variables).unwrap_or_default();
    declared.into_keys().filter(|name| !plan.variables.contains_key(name)).collect()
}

/// `2h`, `90m`, `45s`.
fn words(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{}ms", time.as_millis()),
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_the_plan_does_not_hold_is_to_be_given_again() {
        let plan = br#"{"variables":{"s":{"value":"x"}},"configuration":{"root_module":{"variables":{"e":{},"s":{}}}}}"#;
        assert_eq!(ephemeral(plan), ["e"]);
    }

    #[test]
    fn times_are_said_in_their_own_unit() {
        assert_eq!(words(Duration::from_secs(7200)), "2h");
        assert_eq!(words(Duration::from_secs(5400)), "90m");
    }
}
