//! Force-execute: a waiting run is put through by ending everything that goes first (T33).

use super::line::{Line, Lock};
use crate::life::{Event, Status, actions};
use kernel::{
    Timestamp,
    ids::{RunId, UserId},
};

/// Why a run cannot be put through by force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForceRefused {
    /// 403: the run is not pending, or nobody has locked the workspace.
    Forbidden(String),
    /// 409: what is in the way cannot be discarded.
    Conflict(String),
}

impl From<ForceRefused> for kernel::Error {
    fn from(refused: ForceRefused) -> Self {
        match refused {
            ForceRefused::Forbidden(why) => Self::Forbidden(why),
            ForceRefused::Conflict(why) => Self::transition(why),
        }
    }
}

impl Line<'_> {
    /// What must happen, in this order and in one transaction, so that the pending run `target` starts: the run at work
    /// is discarded, the older waiting runs are canceled, the target starts.
    ///
    /// Plan-only runs and saved plans are left alone: they are in nobody's way.
    ///
    /// # Errors
    /// [`ForceRefused`]; then nothing is to happen.
    pub fn force_execute(
        &self,
        target: &RunId,
        by: &UserId,
        now: Timestamp,
    ) -> Result<Vec<(RunId, Event)>, ForceRefused> {
        let place = self.open.iter().position(|e| e.id == target && e.run.status == Status::Pending);
        let Some(place) = place else {
            return Err(ForceRefused::Forbidden(format!(
                "run {target} is not pending; only a pending run can be forced"
            )));
        };
        if !self.open[place].run.waits_its_turn() {
            return Err(ForceRefused::Conflict(format!(
                "run {target} does not wait for its turn: it starts by itself"
            )));
        }
        self.lock_can_be_broken(now)?;
        let mut events: Vec<_> = self
            .ahead_of(place)
            .map(|entry| {
                let by = Some(by.clone());
                let event = match entry.run.status {
                    Status::Pending => Event::CancelRequested { by, cool_off_seconds: 0 },
                    _ => Event::Discarded { by },
                };
                (entry.id.clone(), event)
            })
            .collect();
        events.push((target.clone(), Event::Started));
        Ok(events)
    }

    /// Whether a run has locked the workspace that may be discarded now.
    fn lock_can_be_broken(&self, now: Timestamp) -> Result<(), ForceRefused> {
        match (&self.lock, self.active()) {
            (Lock::Free, _) => Err(ForceRefused::Forbidden(
                "the workspace is not locked, so nothing holds the run up".to_owned(),
            )),
            (Lock::Run(_), Some(active)) if actions(active.run, now).is_discardable => Ok(()),
            (Lock::Run(_), Some(active)) => Err(ForceRefused::Conflict(format!(
                "run {}, which is {}, has locked the workspace and cannot be discarded now: cancel it, or wait",
                active.id, active.run.status
            ))),
            (holder, _) => Err(ForceRefused::Conflict(format!(
                "the workspace is locked by {holder}, not by a run at work in it: unlock it first"
            ))),
        }
    }
}
