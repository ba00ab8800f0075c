//! What a runner is told, what it answers, and how it reaches the server while it works.
//!
//! A [`Job`] is one phase of one run. The server hands it to [`crate::Runner::execute`] with a [`Control`], through which
//! the runner fetches inputs and hands over log and state while the engine works. The [`Outcome`] is everything that
//! is left to store; once it is stored the server calls [`crate::Runner::settle`], and not before: until then a crash of
//! the server leaves a work directory from which the same outcome can be had again.

use crate::engine::{Archive, Tool};
use bytes::Bytes;
use kernel::{
    Secret,
    ids::{ConfigurationVersionId, RunId, WorkspaceId},
};
use serde::{Deserialize, Serialize};
use std::{future::Future, io::Read, pin::Pin, time::Duration};
use tokio::sync::watch;

/// A future that a trait object can return.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A failure on the server's side of [`Control`]. Its text goes to the server's log, never to the run's.
pub type ControlError = Box<dyn std::error::Error + Send + Sync>;

/// Which half of a run is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Initialise, plan, and describe the plan.
    Plan,
    /// Carry out the plan that the plan phase kept.
    Apply,
}

impl Phase {
    /// `plan` or `apply`: the engine's command and the name of the phase's folder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Apply => "apply",
        }
    }
}

/// Where a variable goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// An input variable of the configuration.
    Terraform,
    /// An environment variable of the engine and what it starts.
    Env,
}

/// A workspace variable as frozen when the run was created.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Variable {
    /// The name.
    pub key: String,
    /// The value. Never written to `job.json`.
    #[serde(skip)]
    pub value: Secret,
    /// Where it goes.
    pub category: Category,
    /// The value is an HCL expression and not a plain string. Means nothing for [`Category::Env`].
    pub hcl: bool,
    /// The value must be masked in logs.
    pub sensitive: bool,
    /// It beats the run's own variables: it comes from a set with priority.
    #[serde(default)]
    pub priority: bool,
}

/// Stands in the content of a [`SecretFile`] for the folder in which all of them are.
pub const FOLDER: &str = "{folder}";

/// A file that the engine, its providers and modules may read while the phase lasts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SecretFile {
    /// Its name.
    pub name: String,
    /// Its content, in which [`FOLDER`] is replaced. Never written to `begun.json`; masked in logs.
    #[serde(skip)]
    pub content: Secret,
    /// The environment variable that says where it is.
    pub variable: String,
}

/// A command of the engine that a run carries out in place of a plan: `import`, `state mv`, `console` …
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The command, one word an item: `["state", "mv"]`.
    pub command: Vec<String>,
    /// Its options and operands, as the engine gets them; no shell reads them.
    pub arguments: Vec<String>,
    /// The command takes input variables.
    pub takes_variables: bool,
    /// What the command reads from its standard input. Never written to `begun.json`.
    #[serde(skip)]
    pub input: Secret,
    /// The name of the file that the command writes where it is started, if it writes one.
    pub file: Option<String>,
}

/// One phase of one run, with all that was frozen for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The run.
    pub run: RunId,
    /// Which half of it.
    pub phase: Phase,
    /// The server's lease on this work; the runner only carries it.
    pub lease: String,
    /// The organization's name.
    pub organization: String,
    /// The workspace's name: `terraform.workspace` and part of `TFC_WORKSPACE_SLUG`.
    pub workspace: String,
    /// The workspace's id.
    pub workspace_id: WorkspaceId,
    /// The project's name.
    pub project: String,
    /// The configuration version that is to be planned.
    pub configuration_version: ConfigurationVersionId,
    /// Which engine.
    pub tool: Tool,
    /// The engine's version or constraint; `None` takes what the runner has.
    pub version: Option<String>,
    /// The archives of that version, where it is the installation's own.
    #[serde(default)]
    pub own: Option<Vec<Archive>>,
    /// Versions that must not run, each with a sentence that says why.
    #[serde(default)]
    pub refused: Vec<(String, String)>,
    /// Versions that are to be given up, each with a sentence for the log.
    #[serde(default)]
    pub deprecated: Vec<(String, String)>,
    /// What the plan phase does in place of a plan.
    pub operation: Option<Operation>,
    /// Folder inside the archive in which the engine is started; empty for its root.
    pub working_directory: String,
    /// The log is the engine's JSON lines instead of text.
    pub structured_output: bool,
    /// Plan the destruction of everything.
    pub destroy: bool,
    /// Only bring the state up to date.
    pub refresh_only: bool,
    /// `false` plans against the state as it is stored.
    pub refresh: bool,
    /// `-target` addresses.
    pub targets: Vec<String>,
    /// `-replace` addresses.
    pub replace: Vec<String>,
    /// Let the engine write configuration for `import` blocks that have none.
    pub allow_config_generation: bool,
    /// `TF_LOG=TRACE` for this run.
    pub debugging: bool,
    /// The run will not be applied: nothing is kept of its plan.
    pub plan_only: bool,
    /// Workspace variables.
    pub variables: Vec<Variable>,
    /// Files that environment variables point to.
    #[serde(default)]
    pub files: Vec<SecretFile>,
    /// Why the phase cannot be set up, as the server knows already. The run fails with it.
    #[serde(default)]
    pub unprepared: Option<String>,
    /// The run's own variables, as HCL literals. They beat everything else. Never written to `job.json`.
    #[serde(skip)]
    pub run_variables: Vec<(String, String)>,
    /// The private key with which `init` fetches modules from git over SSH. Never written to `begun.json`.
    #[serde(skip)]
    pub ssh_key: Option<Secret>,
    /// How long the phase may take before it is interrupted.
    pub timeout: Duration,
}

impl Job {
    /// What the job's main step is called: `plan`, `apply`, `state mv`.
    pub(crate) fn main(&self) -> String {
        match &self.operation {
            Some(operation) => operation.command.join(" "),
            None => self.phase.name().to_owned(),
        }
    }
}

/// What the server wants of a running phase. Only ever rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// Go on.
    Continue,
    /// Interrupt the engine once (`SIGINT`) and let it finish what it has begun.
    Cancel,
    /// `SIGKILL` the process group.
    Kill,
}

/// How a running phase reaches the server.
pub trait Control: Send + Sync + 'static {
    /// The configuration version's archive, as uploaded.
    fn configuration<'a>(&'a self, job: &'a Job) -> Boxed<'a, Result<Box<dyn Read + Send>, ControlError>>;

    /// The workspace's current state, if it has one.
    fn state<'a>(&'a self, job: &'a Job) -> Boxed<'a, Result<Option<Vec<u8>>, ControlError>>;

    /// What [`PlanArtifacts::kept`] held when this run was planned.
    fn kept<'a>(&'a self, job: &'a Job) -> Boxed<'a, Result<Option<Vec<u8>>, ControlError>>;

    /// More of the log, masked, in order. Must not block.
    fn log(&self, job: &Job, chunk: Bytes);

    /// A resumed job is about to send its whole log again from the start.
    fn log_restart(&self, job: &Job);

    /// The engine has written a new state during an apply. One call at a time; quick successions are skipped.
    fn snapshot<'a>(&'a self, job: &'a Job, state: Vec<u8>) -> Boxed<'a, Result<(), ControlError>>;

    /// What the server wants of the job.
    fn signals(&self, job: &Job) -> watch::Receiver<Signal>;
}

/// How many resources a plan would change, or an apply has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Created.
    pub additions: u32,
    /// Updated in place.
    pub changes: u32,
    /// Destroyed.
    pub destructions: u32,
    /// Imported.
    pub imports: u32,
}

/// What a plan phase leaves to be stored.
pub struct PlanArtifacts {
    /// The plan differs from the state in anything, outputs included.
    pub has_changes: bool,
    /// What the plan would change.
    pub counts: Counts,
    /// `show -json` of the plan. Holds sensitive values.
    pub plan_json: Vec<u8>,
    /// The plan for those who may read the run but not its secrets, with provider schemas.
    pub redacted_json: Vec<u8>,
    /// A tar.gz from which another runner can apply the plan. `None` for a plan that cannot be applied.
    pub kept: Option<Vec<u8>>,
    /// The engine wrote configuration for `import` blocks.
    pub generated_configuration: bool,
    /// The engine's version, as `1.11.4`.
    pub engine_version: String,
    /// Under which the providers' schemas are kept for a while: [`crate::runner::Runner::schemas`].
    pub schemas_key: String,
}

impl std::fmt::Debug for PlanArtifacts {
    /// Without the documents: they hold sensitive values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlanArtifacts")
            .field("has_changes", &self.has_changes)
            .field("counts", &self.counts)
            .field("engine_version", &self.engine_version)
            .finish_non_exhaustive()
    }
}

/// What an operation leaves to be stored.
pub struct Operated {
    /// Why it failed, in one line; the log says more. `None` when it did not.
    pub failure: Option<String>,
    /// The complete state as it is after it, which may be the one it was given.
    pub state: Option<Vec<u8>>,
    /// Content of [`Operation::file`], where it was written.
    pub file: Option<Vec<u8>>,
    /// The engine's version, as `1.11.4`.
    pub engine_version: String,
}

/// How a phase ended.
pub enum Outcome {
    /// The plan is made.
    Planned(Box<PlanArtifacts>),
    /// The operation of [`Job::operation`] came to its end.
    Operated(Operated),
    /// The plan is carried out.
    Applied {
        /// The engine's final state, which may be the one it was given; `None` when it wrote none.
        state: Option<Vec<u8>>,
        /// What was changed, as the engine counted it.
        counts: Counts,
    },
    /// The phase failed. The log says why; `message` is its one-line form.
    Failed {
        /// One line, masked, fit for the API.
        message: String,
        /// The newest complete state that the engine wrote, when it wrote any.
        state: Option<Vec<u8>>,
        /// A failed plan that still describes what it generated.
        plan: Option<Box<PlanArtifacts>>,
    },
    /// The phase was stopped on the server's wish.
    Canceled {
        /// By `SIGKILL`: what the engine did last may be missing from the state.
        forced: bool,
        /// The newest complete state that the engine wrote, when it wrote any.
        state: Option<Vec<u8>>,
    },
}

impl std::fmt::Debug for Outcome {
    /// Without states: they hold sensitive values. Only their lengths are shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = |state: &Option<Vec<u8>>| state.as_ref().map(Vec::len);
        match self {
            Self::Planned(plan) => f.debug_tuple("Planned").field(plan).finish(),
            Self::Operated(Operated { failure, state, file, .. }) => f
                .debug_struct("Operated")
                .field("failure", failure)
                .field("state", &bytes(state))
                .field("file", &bytes(file))
                .finish(),
            Self::Applied { state, counts } => {
                f.debug_struct("Applied").field("state", &bytes(state)).field("counts", counts).finish()
            }
            Self::Failed { message, state, plan } => f
                .debug_struct("Failed")
                .field("message", message)
                .field("state", &bytes(state))
                .field("plan", plan)
                .finish(),
            Self::Canceled { forced, state } => {
                f.debug_struct("Canceled").field("forced", forced).field("state", &bytes(state)).finish()
            }
        }
    }
}

impl Outcome {
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), state: None, plan: None }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn job() -> Job {
        Job {
            run: "run-1".into(),
            phase: Phase::Plan,
            lease: "lease".into(),
            organization: "org".into(),
            workspace: "prod".into(),
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

    #[test]
    fn a_written_job_holds_no_values() {
        let mut job = job();
        job.variables = vec![Variable {
            key: "k".into(),
            value: "hunter2".into(),
            category: Category::Env,
            hcl: false,
            priority: false,
            sensitive: true,
        }];
        job.run_variables = vec![("r".into(), "\"hunter3\"".into())];
        let text = serde_json::to_string(&job).unwrap();
        assert!(!text.contains("hunter"), "{text}");
        let back: Job = serde_json::from_str(&text).unwrap();
        assert_eq!(back.variables[0].key, "k");
    }
}
