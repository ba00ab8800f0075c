//! A server's side of the runner, in memory.

use bytes::Bytes;
use runner::{
    Boxed, Control, ControlError, Job, Outcome, Phase, PlanArtifacts, Runner, RunnerConfig, Signal, Variable,
    engine::{EngineConfig, Engines, Tool},
    sandbox::{Sandbox, SandboxConfig},
    schemas::SchemaCache,
};
use std::{
    io::{Cursor, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;

pub(crate) struct Server {
    pub(crate) archive: Vec<u8>,
    pub(crate) state: Mutex<Option<Vec<u8>>>,
    pub(crate) kept: Mutex<Option<Vec<u8>>>,
    pub(crate) log: watch::Sender<Vec<u8>>,
    pub(crate) snapshots: watch::Sender<Vec<Vec<u8>>>,
    pub(crate) signal: watch::Sender<Signal>,
}

impl Server {
    pub(crate) fn new(files: &[(&str, &str)]) -> Arc<Self> {
        Arc::new(Self {
            archive: archive(files),
            state: Mutex::default(),
            kept: Mutex::default(),
            log: watch::Sender::default(),
            snapshots: watch::Sender::default(),
            signal: watch::Sender::new(Signal::Continue),
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.log.borrow().clone()).unwrap()
    }

    pub(crate) async fn logged(&self, what: &str) {
        let mut log = self.log.subscribe();
        let found = log.wait_for(|log| String::from_utf8_lossy(log).contains(what));
        let found = tokio::time::timeout(Duration::from_secs(20), found).await;
        assert!(found.is_ok(), "{what:?} never appeared in the log:\n{}", self.text());
    }

    pub(crate) fn store(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Planned(plan) => self.kept.lock().unwrap().clone_from(&plan.kept),
            Outcome::Applied { state, .. }
            | Outcome::Failed { state, .. }
            | Outcome::Canceled { state, .. }
            | Outcome::Operated(runner::Operated { state, .. }) => {
                if state.is_some() {
                    self.state.lock().unwrap().clone_from(state);
                }
            }
        }
    }

    pub(crate) fn state(&self) -> serde_json::Value {
        serde_json::from_slice(self.state.lock().unwrap().as_ref().expect("no state was stored")).unwrap()
    }
}

impl Control for Server {
    fn configuration<'a>(&'a self, _: &'a Job) -> Boxed<'a, Result<Box<dyn Read + Send>, ControlError>> {
        let archive = self.archive.clone();
        Box::pin(async { Ok(Box::new(Cursor::new(archive)) as Box<dyn Read + Send>) })
    }

    fn state<'a>(&'a self, _: &'a Job) -> Boxed<'a, Result<Option<Vec<u8>>, ControlError>> {
        Box::pin(async { Ok(self.state.lock().unwrap().clone()) })
    }

    fn kept<'a>(&'a self, _: &'a Job) -> Boxed<'a, Result<Option<Vec<u8>>, ControlError>> {
        Box::pin(async { Ok(self.kept.lock().unwrap().clone()) })
    }

    fn log(&self, _: &Job, chunk: Bytes) {
        self.log.send_modify(|log| log.extend_from_slice(&chunk));
    }

    fn log_restart(&self, _: &Job) {
        self.log.send_modify(Vec::clear);
    }

    fn snapshot<'a>(&'a self, _: &'a Job, state: Vec<u8>) -> Boxed<'a, Result<(), ControlError>> {
        self.snapshots.send_modify(|snapshots| snapshots.push(state));
        Box::pin(async { Ok(()) })
    }

    fn signals(&self, _: &Job) -> watch::Receiver<Signal> {
        self.signal.subscribe()
    }
}

/// A runner with its folder.
pub(crate) struct Bench {
    pub(crate) root: PathBuf,
    pub(crate) runner: Runner,
    _dir: Option<tempfile::TempDir>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { _dir: None, ..Self::at(dir.path()) }.keeping(dir)
    }

    pub(crate) fn at(dir: &Path) -> Self {
        let engines =
            Engines::new(EngineConfig { search_path: std::env::var_os("PATH"), ..EngineConfig::default() });
        let schemas = dir.join("schemas");
        std::fs::create_dir_all(&schemas).unwrap();
        let root = dir.join("work");
        let sandbox = Sandbox::new(SandboxConfig::default());
        let mut config = RunnerConfig::new(root.clone(), engines, sandbox, SchemaCache::new(schemas));
        config.grace = Duration::from_millis(300);
        Self { root, runner: Runner::new(config).unwrap(), _dir: None }
    }

    fn keeping(self, dir: tempfile::TempDir) -> Self {
        Self { _dir: Some(dir), ..self }
    }

    pub(crate) async fn execute(&self, job: Job, server: &Arc<Server>) -> Outcome {
        let run = job.run.clone();
        let outcome = self.runner.execute(job, Arc::clone(server) as Arc<dyn Control>).await;
        server.store(&outcome);
        self.runner.settle(&run).await.unwrap();
        outcome
    }

    pub(crate) async fn plan(&self, job: Job, server: &Arc<Server>) -> Box<PlanArtifacts> {
        match self.execute(job, server).await {
            Outcome::Planned(plan) => plan,
            other => panic!("{other:?}\n{}", server.text()),
        }
    }

    /// Plans and applies, and returns the outcome of the apply.
    pub(crate) async fn run(&self, job: Job, server: &Arc<Server>) -> Outcome {
        self.plan(job.clone(), server).await;
        server.log.send_modify(Vec::clear);
        self.execute(apply(job), server).await
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.root.join("run-1")
    }
}

pub(crate) fn apply(mut job: Job) -> Job {
    job.phase = Phase::Apply;
    job
}

pub(crate) fn job() -> Job {
    Job {
        run: "run-1".into(),
        phase: Phase::Plan,
        lease: "lease".into(),
        organization: "org".into(),
        workspace: "prod-1".into(),
        workspace_id: "ws-1".into(),
        project: "Default Project".into(),
        configuration_version: "cv-1".into(),
        tool: Tool::Terraform,
        version: None,
        own: None,
        refused: Vec::new(),
        deprecated: Vec::new(),
        operation: None,
        working_directory: String::new(),
        structured_output: false,
        destroy: false,
        refresh_only: false,
        refresh: true,
        targets: Vec::new(),
        replace: Vec::new(),
        allow_config_generation: false,
        debugging: false,
        plan_only: false,
        variables: Vec::new(),
        files: Vec::new(),
        unprepared: None,
        run_variables: Vec::new(),
        ssh_key: None,
        timeout: Duration::from_secs(60),
    }
}

pub(crate) fn variable(key: &str, value: &str) -> Variable {
    let category = runner::Category::Terraform;
    Variable { key: key.into(), value: value.into(), category, hcl: false, sensitive: false, priority: false }
}

pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// Every file below a folder that holds the text.
pub(crate) fn holding(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries.flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(holding(&entry.path(), text));
        } else if kind.is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(entry.path());
            }
        }
    }
    found
}
