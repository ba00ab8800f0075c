//! The life of a run, as rules without I/O.
//!
//! [`step`] is the only code that changes a run's status. It takes the facts of a run and something that happened, and
//! gives the run as it is then, with the [`Effect`]s that belong to the change; or a [`Refused`], and nothing happened.
//! The caller stores the event, the run and what the effects ask of the database in one transaction, and tells the
//! processes (signals, jobs, directories) after the commit.
//!
//! What always holds, each tested in `properties.rs` for one run and in `queue/model.rs` for a workspace:
//! - a run ends once: no event changes a run whose status is final;
//! - a workspace that the run has locked is released exactly when the run ends;
//! - after a cancel was asked for, no job of the run is queued or claimed;
//! - [`replay`] of the stored events gives the stored run, and both survive JSON.
//!
//! # Reports that come too late
//! A worker may report what the run no longer waits for: the run was force-canceled, its lease was lost, or the same
//! report arrived before. Each is [`Refused`] and changes nothing; the worker drops its work. `step` cannot tell two
//! workers on the same phase apart: the caller compares the lease before it passes a report on.
//!
//! # Stages that do not exist yet
//! The stages of a run meet in three places: before the plan ([`Event::Started`]), after it (`after_plan`) and around
//! the apply (`confirm`, `after_apply`); all in `step.rs`. Run tasks, cost estimates and policies enter there. Every
//! status that they need is already in [`Status`], and [`actions`] already answers for each.
//!
//! The source is the transition table T1–T35 of the TFE documentation's run states and run API.
//! Reading order: [`Status`], this file, `step.rs`, `actions.rs`, `options.rs`.

mod actions;
mod options;
mod status;
mod step;

#[cfg(test)]
pub(crate) mod properties;
#[cfg(test)]
mod tests;

pub use actions::{Actions, actions};
pub use options::{Asked, Circumstances, Options};
pub use status::{PhaseStatus, Status, StatusGroup};
pub use step::step;

use kernel::{Timestamp, ids::UserId};
use std::collections::BTreeMap;

/// How often a plan whose runner was lost is given to another runner before the run fails: a configuration that takes
/// its runner down each time must not do so for ever.
pub const PLAN_ATTEMPTS: u32 = 5;

/// When something was reached: keys as the API writes them (`planned-at`), each with the last time it was reached.
pub type Timestamps = BTreeMap<String, Timestamp>;

/// Everything about a run that the rules decide on. Stored as JSON; fields added later need a serde default.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Run {
    /// Where the run stands.
    pub status: Status,
    /// What was asked for; never changes.
    pub options: Options,
    /// The user who created the run, and who counts as the one who confirmed it when it applies by itself.
    pub created_by: UserId,
    /// `status-timestamps` of the run.
    pub status_timestamps: Timestamps,
    /// The plan.
    pub plan: Phase,
    /// The apply.
    pub apply: Phase,
    /// Whether the plan found anything to do; `None` until the plan has finished.
    #[serde(default)]
    pub has_changes: Option<bool>,
    /// What the plan counted; `None` until the plan has finished.
    #[serde(default)]
    pub counts: Option<Counts>,
    /// How often a runner began the plan.
    #[serde(default)]
    pub plan_attempts: u32,
    /// Whether this run has locked its workspace.
    #[serde(default)]
    pub holds_lock: bool,
    /// The cancel that was asked for, if any.
    #[serde(default)]
    pub cancel: Option<Cancel>,
    /// Who confirmed the run.
    #[serde(default)]
    pub confirmed_by: Option<UserId>,
    /// Why the run failed, for people to read.
    #[serde(default)]
    pub error_message: Option<String>,
}

impl Run {
    /// When something counts as happening to this run that happens by the clock at `now`: never before what has happened
    /// to it already, whatever became of the clock. A clock that was set back behind a request to cancel has lost the
    /// measure of its cool-off, which counts as over then: otherwise nobody could stop the run for as long as the clock
    /// was set back.
    pub fn instant(&self, now: Timestamp) -> Timestamp {
        let reached = [&self.status_timestamps, &self.plan.status_timestamps, &self.apply.status_timestamps];
        let last = reached.into_iter().flat_map(|reached| reached.values().copied()).max();
        let cancel = self.cancel.as_ref().map(|cancel| {
            if now < cancel.requested_at { cancel.force_available_at } else { cancel.requested_at }
        });
        [Some(now), last, cancel].into_iter().flatten().max().unwrap_or(now)
    }
}

/// A run's plan or apply.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Phase {
    /// Where the phase stands.
    pub status: PhaseStatus,
    /// `status-timestamps` of the plan or the apply.
    pub status_timestamps: Timestamps,
}

/// Resource counts of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Resources to create.
    pub additions: u32,
    /// Resources to change in place.
    pub changes: u32,
    /// Resources to destroy.
    pub destructions: u32,
    /// Resources to import.
    pub imports: u32,
}

/// That somebody asked for the run to be canceled.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cancel {
    /// Who; `None` for the system.
    pub by: Option<UserId>,
    /// When.
    pub requested_at: Timestamp,
    /// From when on the run may be canceled by force.
    pub force_available_at: Timestamp,
}

/// Something that happened to a run. Stored as JSON in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The run was created (T1). Always the first event, and only that: see [`create`].
    Queued(Creation),
    /// The run's turn has come (T2, T5): it leaves `pending`. [`crate::queue::Line::startable`] says whose turn it is.
    Started,
    /// A worker took the plan or apply job (T6, T28).
    Claimed,
    /// The engine has planned (T7).
    PlanFinished {
        /// Whether there is anything to apply, changed outputs included.
        has_changes: bool,
        /// What the plan would do to resources.
        #[serde(default)]
        counts: Counts,
    },
    /// The plan failed: set-up, the engine, a limit (T8).
    PlanFailed {
        /// What went wrong and what to do about it.
        message: String,
    },
    /// Somebody confirmed the plan (T24). A saved plan also needs a free workspace: [`crate::queue::Line::may_confirm`].
    Confirmed {
        /// Who.
        by: UserId,
    },
    /// The engine has applied everything, and the state is stored (T29).
    ApplyFinished,
    /// The apply failed (T30). What the engine had written of the state is stored already.
    ApplyFailed {
        /// What went wrong and what to do about it.
        message: String,
    },
    /// Somebody discarded the run (T25).
    Discarded {
        /// Who; `None` for the system.
        by: Option<UserId>,
    },
    /// Somebody asked for the run to be canceled (T31).
    CancelRequested {
        /// Who; `None` for the system.
        by: Option<UserId>,
        /// Seconds until the run may be canceled by force.
        cool_off_seconds: u32,
    },
    /// An administrator canceled the run by force (T32).
    ForceCanceled {
        /// Who.
        by: UserId,
        /// A site admin did it, who need not ask the engine to stop first.
        #[serde(default)]
        at_once: bool,
    },
    /// The process has ended because of the cancel (T31).
    WorkerStopped,
    /// The worker is gone, and nobody has adopted its work (T8, T30).
    LeaseLost,
    /// A saved plan is out of date (T34): the state changed, another run was applied, or it lay about too long.
    Superseded {
        /// Which of these, for people to read.
        reason: String,
    },
}

/// The first event's content: all that a new run starts from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Creation {
    /// What was asked for.
    pub options: Options,
    /// Who asked.
    pub created_by: UserId,
}

/// What must be done along with a change, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write down the event under this name. Every change has exactly one, and it comes first.
    RunEvent {
        /// The public name of what happened, such as `planned`.
        action: &'static str,
        /// More for people to read.
        description: Option<String>,
    },
    /// The run locks its workspace.
    LockWorkspace,
    /// The run gives its workspace free.
    UnlockWorkspace,
    /// The run becomes its workspace's current run.
    BecomeCurrentRun,
    /// The run's provisional configuration becomes current, unless the workspace has a newer one.
    MakeConfigurationCurrent,
    /// The job waits for a runner: wake one.
    QueueJob(Job),
    /// Ask the run's process to stop (SIGINT).
    SignalCancel,
    /// Make sure that no process of the run is left (SIGKILL to its group). There may be none.
    SignalKill,
    /// A place came free or a run came: look at the workspace's line and at the waiting jobs again.
    WakeQueue,
    /// The work directory, if there is one, is of no more use. Whoever reported the end has stored what was in it.
    DropWorkDirectory,
}

/// A kind of work for a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Plan.
    Plan,
    /// Apply what was planned.
    Apply,
}

/// An event that the run's status does not allow: 409 `transition not allowed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The run's status.
    pub status: Status,
    /// What was wanted, to follow "the run cannot".
    pub wanted: &'static str,
    /// What would be needed.
    pub needed: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the run is `{}` and cannot {}: {}", self.status, self.wanted, self.needed)
    }
}

impl std::error::Error for Refused {}

impl From<Refused> for kernel::Error {
    fn from(refused: Refused) -> Self {
        Self::transition(refused.to_string())
    }
}

impl Run {
    /// Whether the run has ended.
    pub fn is_final(&self) -> bool {
        self.status.is_final()
    }

    /// Whether the run has to wait for its turn in the workspace before it plans. Plan-only runs and the planning of
    /// saved plans ignore the queue and the lock.
    pub fn waits_its_turn(&self) -> bool {
        !self.options.plan_only && !self.options.save_plan
    }

    /// The job that waits for a runner, or that a runner works on; `None` when there is nothing to do.
    pub fn job(&self) -> Option<Job> {
        match self.status {
            Status::PlanQueued | Status::Planning => Some(Job::Plan),
            Status::ApplyQueued | Status::Applying => Some(Job::Apply),
            _ => None,
        }
    }

    /// Whether a runner works on the run.
    pub fn has_process(&self) -> bool {
        matches!(self.status, Status::Planning | Status::Applying)
    }

    /// Whether the plan is worth applying: it has changes, or an empty apply was asked for.
    pub fn is_applyable(&self) -> bool {
        self.has_changes == Some(true) || (self.has_changes.is_some() && self.options.allow_empty_apply)
    }

    /// The `canceled-at` attribute: when the cancel was asked for. An apply that was through before the engine saw the
    /// signal was not canceled, and has none.
    pub fn canceled_at(&self) -> Option<Timestamp> {
        self.cancel_that_counts().map(|c| c.requested_at)
    }

    /// The `force-cancel-available-at` attribute.
    pub fn force_cancel_available_at(&self) -> Option<Timestamp> {
        self.cancel_that_counts().map(|c| c.force_available_at)
    }

    /// The `canceled-by` relationship.
    pub fn canceled_by(&self) -> Option<&UserId> {
        self.cancel_that_counts().and_then(|c| c.by.as_ref())
    }

    fn cancel_that_counts(&self) -> Option<&Cancel> {
        self.cancel.as_ref().filter(|_| self.status != Status::Applied)
    }
}

/// What `filter[operation]` and the `operation` column call this run.
///
/// One of `query`, `exec`, `plan_only`, `save_plan`, `refresh_only`, `destroy`, `empty_apply`, `plan_and_apply`; the first that holds.
pub fn operation(run: &Run) -> &'static str {
    let o = &run.options;
    match () {
        () if o.query => "query",
        () if o.exec => "exec",
        () if o.plan_only => "plan_only",
        () if o.save_plan => "save_plan",
        () if o.refresh_only => "refresh_only",
        () if o.is_destroy => "destroy",
        () if o.allow_empty_apply => "empty_apply",
        () => "plan_and_apply",
    }
}

/// A new run, `pending`, with its plan and apply (T1), and what belongs to its creation.
pub fn create(creation: &Creation, now: Timestamp) -> (Run, Vec<Effect>) {
    let mut run = Run {
        status: Status::Pending,
        options: creation.options.clone(),
        created_by: creation.created_by.clone(),
        status_timestamps: Timestamps::new(),
        plan: Phase::default(),
        apply: Phase::default(),
        has_changes: None,
        counts: None,
        plan_attempts: 0,
        holds_lock: false,
        cancel: None,
        confirmed_by: None,
        error_message: None,
    };
    run.reach(Status::Pending, now);
    (run, vec![Effect::RunEvent { action: "queued", description: None }, Effect::WakeQueue])
}

/// The run that these events led to. The first must be [`Event::Queued`].
///
/// # Errors
/// [`Refused`] for the first event that could not have happened there; an empty or headless list is refused too.
pub fn replay(events: &[(Event, Timestamp)]) -> Result<Run, Refused> {
    let Some(((Event::Queued(creation), created_at), rest)) = events.split_first() else {
        return Err(Refused {
            status: Status::Pending,
            wanted: "be replayed",
            needed: "its first event must be its creation".to_owned(),
        });
    };
    let mut run = create(creation, *created_at).0;
    for (event, at) in rest {
        run = step(&run, event, *at)?.0;
    }
    Ok(run)
}
