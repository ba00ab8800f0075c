//! A workspace with many runs, to which anything happens: the rules of one run and of the line together.

use super::*;
use crate::life::properties::{any_event, any_options};
use crate::life::{Counts, Creation, Effect, Event, Options, Status, create, step};
use proptest::prelude::*;

/// What can happen to a workspace.
#[derive(Clone, Debug)]
enum Happening {
    Created(Options),
    /// A person takes the lock, if it is free.
    Locked,
    /// A person gives it back, or an administrator takes it away; never a run's.
    Unlocked,
    /// The reconciler looks at the line.
    Promoted,
    /// Something happens to a run, chosen by number modulo how many there are.
    Event(usize, Event),
    Forced(usize),
}

fn any_happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => any_options().prop_map(Happening::Created),
        1 => Just(Happening::Locked),
        2 => Just(Happening::Unlocked),
        4 => Just(Happening::Promoted),
        12 => (any::<usize>(), any_event()).prop_map(|(n, event)| Happening::Event(n, event)),
        1 => any::<usize>().prop_map(Happening::Forced),
    ]
}

/// The workspace's row and its runs, with the effects of each change carried out as the database would.
#[derive(Default)]
struct Workspace {
    lock: Lock,
    current: Option<RunId>,
    runs: Vec<(RunId, Run)>,
    now: i64,
}

impl Workspace {
    fn line(&self) -> Line<'_> {
        let open =
            self.runs.iter().filter(|(_, run)| !run.is_final()).map(|(id, run)| Entry { id, run }).collect();
        Line { lock: self.lock.clone(), open }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(0).plus_seconds(self.now)
    }

    fn create(&mut self, options: Options) {
        let creation = Creation { options, created_by: "user-a".into() };
        let run = create(&creation, self.now()).0;
        self.runs.push((format!("run-{:03}", self.runs.len()).into(), run));
    }

    /// Steps the run and carries out the effects; a refused event leaves everything alone.
    fn happen(&mut self, id: &RunId, event: &Event) -> Result<bool, TestCaseError> {
        let now = self.now();
        let place = self.runs.iter().position(|(other, _)| other == id).unwrap();
        let Ok((after, effects)) = step(&self.runs[place].1, event, now) else { return Ok(false) };
        if *event == Event::Started && after.waits_its_turn() {
            let overtaken = self.runs[..place]
                .iter()
                .find(|(_, run)| run.waits_its_turn() && run.status == Status::Pending)
                .map(|(id, _)| id);
            prop_assert_eq!(overtaken, None, "{} overtook", id);
        }
        for effect in effects {
            match effect {
                Effect::LockWorkspace => {
                    prop_assert_eq!(&self.lock, &Lock::Free, "{} locks a locked workspace", id);
                    self.lock = Lock::Run(id.clone());
                }
                Effect::UnlockWorkspace => {
                    prop_assert_eq!(
                        &self.lock,
                        &Lock::Run(id.clone()),
                        "{} unlocks what it does not hold",
                        id
                    );
                    self.lock = Lock::Free;
                }
                Effect::BecomeCurrentRun => {
                    let at_work =
                        self.current.as_ref().and_then(|c| self.runs.iter().find(|(id, _)| id == c));
                    prop_assert!(at_work.is_none_or(|(_, run)| run.is_final()), "two current runs");
                    self.current = Some(id.clone());
                }
                _ => {}
            }
        }
        self.runs[place].1 = after;
        Ok(true)
    }

    fn promote(&mut self) -> Result<(), TestCaseError> {
        let startable: Vec<RunId> = self.line().startable().into_iter().cloned().collect();
        for id in startable {
            prop_assert!(self.happen(&id, &Event::Started)?, "{} was startable and did not start", id);
        }
        prop_assert_eq!(self.line().startable().len(), 0, "asking again starts more");
        Ok(())
    }

    fn force(&mut self, target: &RunId) -> Result<(), TestCaseError> {
        let events = self.line().force_execute(target, &"user-boss".into(), self.now());
        for (id, event) in events.unwrap_or_default() {
            prop_assert!(self.happen(&id, &event)?, "force-execute asked for {:?} of {}", event, id);
            if id == *target {
                prop_assert_eq!(&self.lock, &Lock::Run(id));
            }
        }
        Ok(())
    }

    fn apply(&mut self, happening: Happening) -> Result<(), TestCaseError> {
        let chosen = |n: usize| self.runs.get(n.checked_rem(self.runs.len())?).map(|(id, _)| id.clone());
        match happening {
            Happening::Created(options) => self.create(options),
            Happening::Locked if self.lock == Lock::Free => self.lock = Lock::User("alice".to_owned()),
            Happening::Unlocked if matches!(self.lock, Lock::User(_)) => self.lock = Lock::Free,
            Happening::Locked | Happening::Unlocked => {}
            Happening::Promoted => self.promote()?,
            // Only the line starts a run.
            Happening::Event(_, Event::Started) => {}
            Happening::Event(n, event) => {
                let Some(id) = chosen(n) else { return Ok(()) };
                let line = self.line();
                let entry = line.open.iter().find(|e| *e.id == id);
                let confirms = matches!(event, Event::Confirmed { .. });
                if confirms && entry.is_some_and(|e| line.may_confirm(*e).is_err()) {
                    return Ok(());
                }
                self.happen(&id, &event)?;
            }
            Happening::Forced(n) => {
                let Some(id) = chosen(n) else { return Ok(()) };
                self.force(&id)?;
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let holders: Vec<_> = self.runs.iter().filter(|(_, run)| run.holds_lock).map(|(id, _)| id).collect();
        match &self.lock {
            Lock::Run(id) => prop_assert_eq!(holders, [id]),
            _ => {
                prop_assert!(holders.is_empty(), "{:?} hold a lock that the workspace does not know", holders)
            }
        }
        let line = self.line();
        let startable = line.startable();
        for Entry { id, run } in line.open.iter().filter(|e| e.run.status == Status::Pending) {
            let waiting = line.waiting_for(id);
            prop_assert!(waiting.is_some(), "{} waits for nothing", id);
            if let Some(WaitingFor::RunAhead { run: ahead, .. }) = &waiting {
                let ahead = line.open.iter().find(|e| e.id == ahead);
                prop_assert!(ahead.is_some_and(|e| e.run.holds_lock || e.run.waits_its_turn()));
            }
            prop_assert_eq!(waiting == Some(WaitingFor::Runner), startable.contains(id), "{}", id);
            if !run.waits_its_turn() {
                prop_assert!(startable.contains(id), "{} waits in a line where it does not stand", id);
            }
        }
        // No deadlock: in a workspace that nobody has locked by hand, whose runs ahead have all ended, the oldest
        // waiting run may start.
        let oldest = line.open.iter().find(|e| e.run.status == Status::Pending && e.run.waits_its_turn());
        if let Some(oldest) = oldest
            && self.lock == Lock::Free
        {
            prop_assert!(startable.contains(&oldest.id), "deadlock: {} cannot start", oldest.id);
        }
        Ok(())
    }

    /// Lets every run come to its natural end, as runners and people would.
    fn drain(&mut self) -> Result<(), TestCaseError> {
        if matches!(self.lock, Lock::User(_)) {
            self.lock = Lock::Free;
        }
        for _ in 0..=self.runs.len() * 6 {
            self.promote()?;
            let open: Vec<_> = self
                .runs
                .iter()
                .filter(|(_, run)| !run.is_final())
                .map(|(id, r)| (id.clone(), r.clone()))
                .collect();
            for (id, run) in open {
                let event = match run.status {
                    Status::Pending => continue,
                    Status::Planning => Event::PlanFinished { has_changes: true, counts: Counts::default() },
                    Status::Planned => Event::Confirmed { by: "user-a".into() },
                    Status::PlannedAndSaved => Event::Superseded { reason: String::new() },
                    Status::Applying => Event::ApplyFinished,
                    _ => Event::Claimed,
                };
                prop_assert!(
                    self.happen(&id, &event)?,
                    "{} is {} and does not take {:?}",
                    id,
                    run.status,
                    event
                );
                self.check()?;
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_workspace_has_one_run_at_work_keeps_its_order_and_never_sticks(
        happenings in proptest::collection::vec((any_happening(), 0..40_i64), 0..80),
    ) {
        let mut workspace = Workspace::default();
        for (happening, seconds) in happenings {
            workspace.now += seconds;
            workspace.apply(happening)?;
            workspace.check()?;
        }
        workspace.drain()?;
        for (id, run) in &workspace.runs {
            prop_assert!(run.is_final(), "{id} is stuck in {}", run.status);
        }
        prop_assert_eq!(workspace.lock, Lock::Free);
    }
}
