//! The transitions. Each event has one method, which checks, changes the run and collects the effects.

use super::actions::{actions, auto_applies, cancelable_status, is_confirmable, is_discardable};
use super::{Cancel, Counts, Effect, Event, Job, PLAN_ATTEMPTS, PhaseStatus, Refused, Run, Status};
use kernel::{Timestamp, ids::UserId};

const APPLY_LOST: &str = "The runner that applied this run was lost. The state that the engine had written until then \
    was saved. Start a new run to see what is left to do.";

/// What `event` makes of `run` at the time `now`.
///
/// Deterministic: the same three give the same result. Of the status the result depends through the table in the
/// module's documentation only; a refused event has no effect at all.
///
/// # Errors
/// [`Refused`] when the run's status does not allow the event.
pub fn step(run: &Run, event: &Event, now: Timestamp) -> Result<(Run, Vec<Effect>), Refused> {
    let mut next = Transition { run: run.clone(), now, effects: Vec::new(), wakes: false };
    let said = match event {
        Event::Queued(_) => Err(next.refused("be created again", "it exists")),
        Event::Started => next.started(),
        Event::Claimed => next.claimed(),
        Event::PlanFinished { has_changes, counts } => next.plan_finished(*has_changes, *counts),
        Event::PlanFailed { message } => next.plan_failed(message),
        Event::Confirmed { by } => next.confirmed(by),
        Event::ApplyFinished => next.apply_finished(),
        Event::ApplyFailed { message } => next.apply_failed(message),
        Event::Discarded { .. } => next.discarded(),
        Event::CancelRequested { by, cool_off_seconds } => {
            next.cancel_requested(by.clone(), *cool_off_seconds)
        }
        Event::ForceCanceled { by, at_once } => next.force_canceled(by, *at_once),
        Event::WorkerStopped => next.worker_stopped(),
        Event::LeaseLost => next.lease_lost(),
        Event::Superseded { reason } => next.superseded(reason),
    }?;
    next.effects.insert(0, Effect::RunEvent { action: said.0, description: said.1 });
    if next.wakes {
        // Last, so that whoever looks at the line sees the workspace as it is after the change.
        next.effects.push(Effect::WakeQueue);
    }
    Ok((next.run, next.effects))
}

/// The public name of what happened, and more for people to read.
type Said = Result<(&'static str, Option<String>), Refused>;

fn say(action: &'static str) -> Said {
    Ok((action, None))
}

struct Transition {
    run: Run,
    now: Timestamp,
    effects: Vec<Effect>,
    wakes: bool,
}

impl Transition {
    fn started(&mut self) -> Said {
        self.only_when(Status::Pending, "start", "only a `pending` run can")?;
        if self.run.waits_its_turn() {
            self.take_workspace();
        }
        self.reach(Status::Queuing);
        self.queue_plan();
        say("plan_queued")
    }

    fn claimed(&mut self) -> Said {
        match self.run.status {
            Status::PlanQueued => {
                self.run.plan_attempts += 1;
                self.run.plan.reach(PhaseStatus::Running, self.now);
                self.reach(Status::Planning);
                say("planning")
            }
            Status::ApplyQueued => {
                self.run.apply.reach(PhaseStatus::Running, self.now);
                self.reach(Status::Applying);
                say("applying")
            }
            _ => Err(self.refused("be given to a runner", "only a `plan_queued` or `apply_queued` run can")),
        }
    }

    fn plan_finished(&mut self, has_changes: bool, counts: Counts) -> Said {
        self.only_when(
            Status::Planning,
            "take the report that its plan finished",
            "only a `planning` run can",
        )?;
        self.run.has_changes = Some(has_changes);
        self.run.counts = Some(counts);
        self.run.plan.reach(PhaseStatus::Finished, self.now);
        if self.run.cancel.is_some() {
            return self.end(Status::Canceled);
        }
        self.reach(Status::Planned);
        self.wakes = true;
        self.after_plan()
    }

    /// Where the stages after the plan begin. There are none yet, so the last check has passed (T20–T23).
    fn after_plan(&mut self) -> Said {
        let options = &self.run.options;
        if options.plan_only || options.exec || !self.run.is_applyable() {
            return self.end(Status::PlannedAndFinished);
        }
        if self.run.options.save_plan {
            self.reach(Status::PlannedAndSaved);
            return say("planned_and_saved");
        }
        if auto_applies(&self.run) {
            let creator = self.run.created_by.clone();
            self.confirm(creator);
            return Ok(("confirmed", Some("applied automatically".to_owned())));
        }
        say("planned")
    }

    fn plan_failed(&mut self, message: &str) -> Said {
        self.only_when(
            Status::Planning,
            "take the report that its plan failed",
            "only a `planning` run can",
        )?;
        self.fail(message)
    }

    fn confirmed(&mut self, by: &UserId) -> Said {
        if !is_confirmable(&self.run) {
            return Err(self.refused("be confirmed", "its plan must be finished and wait for confirmation"));
        }
        self.confirm(by.clone());
        say("confirmed")
    }

    /// Where the stages before the apply begin. There are none yet, so the apply is queued (T26, T27).
    fn confirm(&mut self, by: UserId) {
        self.run.confirmed_by = Some(by);
        self.reach(Status::Confirmed);
        if !self.run.holds_lock {
            self.take_workspace();
        }
        if self.run.options.provisional_configuration {
            self.effects.push(Effect::MakeConfigurationCurrent);
        }
        self.reach(Status::QueuingApply);
        self.reach(Status::ApplyQueued);
        self.run.apply.reach(PhaseStatus::Queued, self.now);
        self.effects.push(Effect::QueueJob(Job::Apply));
    }

    fn apply_finished(&mut self) -> Said {
        self.only_when(
            Status::Applying,
            "take the report that its apply finished",
            "only an `applying` run can",
        )?;
        self.run.apply.reach(PhaseStatus::Finished, self.now);
        self.after_apply()
    }

    /// Where the stages after the apply begin. There are none yet. An apply that was through before the engine saw a
    /// cancel is `applied`: to call it canceled would hide that everything was done.
    fn after_apply(&mut self) -> Said {
        self.end(Status::Applied)
    }

    fn apply_failed(&mut self, message: &str) -> Said {
        self.only_when(
            Status::Applying,
            "take the report that its apply failed",
            "only an `applying` run can",
        )?;
        self.fail(message)
    }

    fn discarded(&mut self) -> Said {
        if self.run.status != Status::Pending && !is_discardable(self.run.status) {
            let needed = if self.run.is_final() {
                "it has ended"
            } else {
                "only a run that is `pending` or waits for confirmation can; cancel it instead"
            };
            return Err(self.refused("be discarded", needed));
        }
        self.end(Status::Discarded)
    }

    fn cancel_requested(&mut self, by: Option<UserId>, cool_off_seconds: u32) -> Said {
        if !cancelable_status(self.run.status) {
            let needed =
                if self.run.is_final() { "it has ended" } else { "nothing of it runs; discard it instead" };
            return Err(self.refused("be canceled", needed));
        }
        if let Some(cancel) = &self.run.cancel {
            let at = cancel.force_available_at.iso8601();
            return Err(self.refused(
                "be canceled again",
                &format!("it is already stopping; an administrator can cancel it by force from {at} on"),
            ));
        }
        let force_available_at = self.now.plus_seconds(i64::from(cool_off_seconds));
        self.run.cancel = Some(Cancel { by, requested_at: self.now, force_available_at });
        if self.run.has_process() {
            self.effects.push(Effect::SignalCancel);
            return say("cancel_requested");
        }
        self.end(Status::Canceled)
    }

    fn force_canceled(&mut self, by: &UserId, at_once: bool) -> Said {
        if at_once && !self.run.is_final() {
            let (by, now) = (Some(by.clone()), self.now);
            self.run.cancel.get_or_insert(Cancel { by, requested_at: now, force_available_at: now });
        } else if !actions(&self.run, self.now).is_force_cancelable {
            let needed = match &self.run.cancel {
                _ if self.run.is_final() => "it has ended".to_owned(),
                None => "a cancel must have been asked for first".to_owned(),
                Some(cancel) => format!("it is given until {} to stop", cancel.force_available_at.iso8601()),
            };
            return Err(self.refused("be canceled by force", &needed));
        }
        self.effects.push(Effect::SignalKill);
        let key = "force-canceled-at";
        self.run.status_timestamps.insert(key.to_owned(), self.now);
        for phase in [&mut self.run.plan, &mut self.run.apply] {
            if phase.status == PhaseStatus::Running {
                phase.status_timestamps.insert(key.to_owned(), self.now);
            }
        }
        self.end(Status::Canceled)?;
        say("force_canceled")
    }

    fn worker_stopped(&mut self) -> Said {
        if !self.run.has_process() || self.run.cancel.is_none() {
            return Err(self.refused("take the report that its process stopped", "only a run that stops can"));
        }
        self.end(Status::Canceled)
    }

    /// A plan can be made again; an apply cannot. Whatever is left of the process must not work on beside what follows.
    fn lease_lost(&mut self) -> Said {
        if !self.run.has_process() {
            return Err(self.refused("lose its runner", "only a `planning` or `applying` run can"));
        }
        self.effects.push(Effect::SignalKill);
        self.wakes = true;
        if self.run.status == Status::Applying {
            return self.fail(APPLY_LOST);
        }
        if self.run.cancel.is_some() {
            return self.end(Status::Canceled);
        }
        if self.run.plan_attempts >= PLAN_ATTEMPTS {
            return self.fail(&format!(
                "The runner was lost {PLAN_ATTEMPTS} times while it planned this run. Look at the runner's log; the \
                 plan may need more memory than it has."
            ));
        }
        // As if the lost attempt had never begun: a timestamp says that the run got there.
        self.run.status_timestamps.remove("planning-at");
        self.run.plan.status_timestamps.remove("started-at");
        self.effects.push(Effect::DropWorkDirectory);
        self.queue_plan();
        Ok(("plan_queued", Some("the runner was lost; the plan is made again".to_owned())))
    }

    fn superseded(&mut self, reason: &str) -> Said {
        self.only_when(Status::PlannedAndSaved, "be superseded", "only a saved plan can")?;
        self.end(Status::Discarded)?;
        Ok(("discarded", Some(reason.to_owned())))
    }

    fn take_workspace(&mut self) {
        self.run.holds_lock = true;
        self.effects.extend([Effect::LockWorkspace, Effect::BecomeCurrentRun]);
    }

    fn queue_plan(&mut self) {
        self.reach(Status::PlanQueued);
        self.run.plan.reach(PhaseStatus::Queued, self.now);
        self.effects.push(Effect::QueueJob(Job::Plan));
    }

    /// The phase failed. After a cancel it did so because of it, or just before; the message is kept either way.
    fn fail(&mut self, message: &str) -> Said {
        self.run.error_message = Some(message.to_owned());
        self.end(if self.run.cancel.is_some() { Status::Canceled } else { Status::Errored })
    }

    /// The one way to end: phases settle, the workspace is released, whoever waits is woken.
    fn end(&mut self, status: Status) -> Said {
        let stopped = if status == Status::Errored { PhaseStatus::Errored } else { PhaseStatus::Canceled };
        for phase in [&mut self.run.plan, &mut self.run.apply] {
            match phase.status {
                PhaseStatus::Pending => phase.reach(PhaseStatus::Unreachable, self.now),
                PhaseStatus::Queued | PhaseStatus::ManagedQueued | PhaseStatus::Running => {
                    phase.reach(stopped, self.now);
                }
                _ => {}
            }
        }
        if self.run.holds_lock {
            self.run.holds_lock = false;
            self.effects.push(Effect::UnlockWorkspace);
        }
        self.wakes = true;
        self.effects.push(Effect::DropWorkDirectory);
        self.reach(status);
        say(status.as_str())
    }

    fn reach(&mut self, status: Status) {
        self.run.reach(status, self.now);
    }

    fn only_when(&self, status: Status, wanted: &'static str, needed: &str) -> Result<(), Refused> {
        if self.run.status == status { Ok(()) } else { Err(self.refused(wanted, needed)) }
    }

    fn refused(&self, wanted: &'static str, needed: &str) -> Refused {
        Refused { status: self.run.status, wanted, needed: needed.to_owned() }
    }
}
