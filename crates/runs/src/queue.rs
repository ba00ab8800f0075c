//! Which run is next: in its workspace ([`Line`]), and among all that wait for a runner ([`pick`]).
//!
//! Two queues follow each other. A workspace lets one run at a time leave `pending`, in the order of creation; plan-only
//! runs and the planning of saved plans do not stand in that line. What has left it waits as a job for a runner.
//!
//! Pending runs are never superseded: only a person (discard, cancel, force-execute) ends them. Everything here is
//! level-triggered: the answer depends on what is stored, not on what just happened, so that asking too often is
//! harmless and asking again after a crash repairs.
//!
//! The source is the run queue of TFE's documentation (remote operations, run environment).
//! Reading order: this file, `queue/line.rs`, `queue/force.rs`.

mod force;
mod line;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use force::ForceRefused;
pub use line::{Entry, Line, Lock, WaitingFor};

use crate::life::{Job, Run};
use kernel::{
    Timestamp,
    ids::{OrganizationId, RunId, WorkspaceId},
};
use std::collections::{HashMap, HashSet};

/// How long a job waits before it counts as urgent as an apply, in seconds. Without it a steady stream of applies and
/// plans would keep a speculative plan waiting for ever.
pub const PATIENCE_SECONDS: u32 = 15 * 60;

/// What kind of work a job is; the greater goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A plan that will never be applied.
    Speculative,
    /// A plan that may be applied.
    Plan,
    /// An apply that was confirmed.
    Apply,
}

impl Kind {
    /// The kind of the run's job; `None` when it has none.
    pub fn of(run: &Run) -> Option<Self> {
        Some(match run.job()? {
            Job::Apply => Self::Apply,
            Job::Plan if run.options.plan_only => Self::Speculative,
            Job::Plan => Self::Plan,
        })
    }
}

/// A job that waits for a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The run.
    pub run: RunId,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Its organization.
    pub organization: OrganizationId,
    /// What is to be done.
    pub kind: Kind,
    /// When the job began to wait.
    pub queued_at: Timestamp,
}

/// What an organization has running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which one.
    pub organization: OrganizationId,
    /// How many of its jobs run.
    pub running: u32,
    /// How many may; any number, if none. An organization without a running job is never at its ceiling.
    pub ceiling: Option<u32>,
}

impl Share {
    /// Whether no further job of the organization may run.
    pub fn is_full(&self) -> bool {
        self.ceiling.is_some_and(|ceiling| self.running >= ceiling)
    }
}

/// The index of the job that the next free place belongs to; `None` when nothing waits or no place is free.
///
/// Applies go before plans before speculative plans; a job that has waited for [`PATIENCE_SECONDS`] counts as an apply.
/// Among equals it is the turn of the organization with the fewest running jobs, then of the job that waits longest,
/// then of the first in `candidates`. So two jobs of one kind in one workspace keep their order.
///
/// A job of an organization that is at its ceiling waits, whatever it is. `running` is what each organization has running,
/// `capacity` how many jobs may run in all.
pub fn pick(candidates: &[Candidate], running: &[Share], capacity: u32, now: Timestamp) -> Option<usize> {
    if running.iter().map(|share| u64::from(share.running)).sum::<u64>() >= u64::from(capacity) {
        return None;
    }
    let full: HashSet<&OrganizationId> =
        running.iter().filter(|share| share.is_full()).map(|share| &share.organization).collect();
    let running: HashMap<&OrganizationId, u32> =
        running.iter().map(|share| (&share.organization, share.running)).collect();
    let urgency = |c: &Candidate| {
        let overdue = now.since(c.queued_at).as_secs() >= u64::from(PATIENCE_SECONDS);
        if overdue { Kind::Apply } else { c.kind }
    };
    candidates
        .iter()
        .enumerate()
        .filter(|(_, c)| !full.contains(&c.organization))
        .min_by_key(|(_, c)| {
            let share = running.get(&c.organization).copied().unwrap_or(0);
            (std::cmp::Reverse(urgency(c)), share, c.queued_at)
        })
        .map(|(index, _)| index)
}
