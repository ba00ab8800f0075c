//! What holds for one run whatever happens to it, and in whatever order.

use super::*;
use proptest::prelude::*;

pub(crate) fn any_options() -> impl Strategy<Value = Options> {
    proptest::array::uniform9(any::<bool>()).prop_map(|b| Options {
        plan_only: b[0] && b[1],
        save_plan: b[2] && b[3],
        is_destroy: b[1],
        refresh_only: b[3],
        allow_empty_apply: b[4],
        auto_apply: b[5],
        creator_may_apply: b[6],
        provisional_configuration: b[7],
        exec: b[8] && b[7],
        query: b[8] && b[7] && b[0] && b[1],
    })
}

/// Any event but the creation. Those that lead on are more frequent, so that sequences reach the end of a life.
pub(crate) fn any_event() -> impl Strategy<Value = Event> {
    let by = || prop_oneof![Just(UserId::from("user-a")), Just(UserId::from("user-b"))];
    let some_by = || proptest::option::of(by());
    let message = || Just("it happened".to_owned());
    prop_oneof![
        4 => Just(Event::Started),
        6 => Just(Event::Claimed),
        4 => any::<bool>().prop_map(|has_changes| Event::PlanFinished { has_changes, counts: Counts::default() }),
        1 => message().prop_map(|message| Event::PlanFailed { message }),
        4 => by().prop_map(|by| Event::Confirmed { by }),
        3 => Just(Event::ApplyFinished),
        1 => message().prop_map(|message| Event::ApplyFailed { message }),
        1 => some_by().prop_map(|by| Event::Discarded { by }),
        1 => (some_by(), 0..100_u32).prop_map(|(by, cool_off_seconds)| Event::CancelRequested { by, cool_off_seconds }),
        1 => (by(), any::<bool>()).prop_map(|(by, at_once)| Event::ForceCanceled { by, at_once }),
        1 => Just(Event::WorkerStopped),
        1 => Just(Event::LeaseLost),
        1 => message().prop_map(|reason| Event::Superseded { reason }),
    ]
}

/// A creation, and events with the seconds since the one before (negative where the clock was set back).
fn any_life() -> impl Strategy<Value = (Creation, Vec<(Event, i64)>)> {
    let creation = any_options().prop_map(|options| Creation { options, created_by: "user-a".into() });
    (creation, proptest::collection::vec((any_event(), -5..60_i64), 0..60))
}

/// Every accepted step: the run before, the event, the run after, the effects, the time.
struct Step {
    before: Run,
    event: Event,
    after: Run,
    effects: Vec<Effect>,
    now: Timestamp,
}

/// Lives the life; refused events leave the run alone. Gives the accepted steps and the run at the end.
fn live(creation: &Creation, events: &[(Event, i64)]) -> (Vec<Step>, Run) {
    let mut now = Timestamp::from_micros(0);
    let mut run = create(creation, now).0;
    let mut steps = Vec::new();
    for (event, seconds) in events {
        now = now.plus_seconds(*seconds);
        if let Ok((after, effects)) = step(&run, event, now) {
            steps.push(Step { before: run, event: event.clone(), after: after.clone(), effects, now });
            run = after;
        }
    }
    (steps, run)
}

fn count(steps: &[Step], effect: &Effect) -> usize {
    steps.iter().flat_map(|s| &s.effects).filter(|e| *e == effect).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_run_ends_once((creation, events) in any_life()) {
        let (steps, run) = live(&creation, &events);
        prop_assert!(steps.iter().all(|s| !s.before.is_final()), "an event changed a run that had ended");
        let drops = steps.iter().filter(|s| s.after.is_final()).count();
        prop_assert_eq!(drops, usize::from(run.is_final()));
        if run.is_final() {
            prop_assert!(run.plan.status.is_final() && run.apply.status.is_final());
            prop_assert_eq!(run.job(), None);
            let key = run.status.timestamp_key().unwrap();
            prop_assert!(run.status_timestamps.contains_key(key));
        }
    }

    #[test]
    fn the_workspace_is_released_exactly_when_the_run_ends((creation, events) in any_life()) {
        let (steps, run) = live(&creation, &events);
        let mut held = false;
        for s in &steps {
            let locks = s.effects.iter().filter(|e| **e == Effect::LockWorkspace).count();
            let unlocks = s.effects.iter().filter(|e| **e == Effect::UnlockWorkspace).count();
            prop_assert!(locks <= 1 && !(held && locks > 0), "locked twice");
            let holds = held || locks > 0;
            prop_assert_eq!(unlocks, usize::from(holds && s.after.is_final()), "after {:?}", s.event);
            held = holds && !s.after.is_final();
            prop_assert_eq!(s.after.holds_lock, held);
            if run.waits_its_turn() && s.after.status != Status::Pending && !s.after.is_final() {
                prop_assert!(held, "{} without the lock", s.after.status);
            }
            if s.after.apply.status == PhaseStatus::Queued || s.after.apply.status == PhaseStatus::Running {
                prop_assert!(held, "applies without the lock");
            }
        }
        prop_assert!(count(&steps, &Effect::LockWorkspace) <= 1);
        prop_assert_eq!(count(&steps, &Effect::LockWorkspace), count(&steps, &Effect::BecomeCurrentRun));
    }

    #[test]
    fn what_can_only_be_looked_at_is_never_applied((creation, events) in any_life()) {
        let (steps, run) = live(&creation, &events);
        if run.options.plan_only || run.options.exec {
            prop_assert!(!steps.iter().any(|s| s.effects.contains(&Effect::QueueJob(Job::Apply))));
        }
    }

    #[test]
    fn nothing_starts_after_a_cancel((creation, events) in any_life()) {
        let (steps, _) = live(&creation, &events);
        for s in steps.iter().filter(|s| s.after.cancel.is_some()) {
            prop_assert!(!s.effects.iter().any(|e| matches!(e, Effect::QueueJob(_))), "queued by {:?}", s.event);
            let begins = matches!(s.event, Event::Claimed | Event::Started | Event::Confirmed { .. });
            prop_assert!(!begins, "{:?} was accepted", s.event);
            prop_assert!(s.after.is_final() || s.after.status == s.before.status, "went on by {:?}", s.event);
            prop_assert!(s.after.is_final() || s.after.has_process());
        }
    }

    #[test]
    fn replaying_the_stored_events_gives_the_stored_run((creation, events) in any_life()) {
        let (steps, run) = live(&creation, &events);
        let mut history = vec![(Event::Queued(creation), Timestamp::from_micros(0))];
        history.extend(steps.into_iter().map(|s| (s.event, s.now)));
        let stored = serde_json::to_string(&history).unwrap();
        let row = serde_json::to_string(&run).unwrap();
        let read: Vec<(Event, Timestamp)> = serde_json::from_str(&stored).unwrap();
        prop_assert_eq!(&read, &history);
        prop_assert_eq!(serde_json::from_str::<Run>(&row).unwrap(), run.clone());
        prop_assert_eq!(replay(&read), Ok(run));
    }

    #[test]
    fn an_apply_is_begun_once_and_only_when_somebody_who_may_has_confirmed_it((creation, events) in any_life()) {
        let (steps, run) = live(&creation, &events);
        let applies = count(&steps, &Effect::QueueJob(Job::Apply));
        let begun = steps.iter().filter(|s| s.after.status == Status::Applying && s.event == Event::Claimed).count();
        prop_assert!(applies <= 1 && begun <= applies);
        prop_assert_eq!(run.confirmed_by.is_some(), applies == 1);
        if applies == 1 {
            let by_hand = steps.iter().any(|s| matches!(s.event, Event::Confirmed { .. }));
            prop_assert!(!run.options.plan_only);
            prop_assert!(run.is_applyable());
            prop_assert!(by_hand || (run.options.creator_may_apply && !run.options.save_plan));
        }
        prop_assert_eq!(
            count(&steps, &Effect::MakeConfigurationCurrent),
            usize::from(applies == 1 && run.options.provisional_configuration)
        );
    }

    #[test]
    fn each_step_says_what_happened_first_and_wakes_the_queue_last((creation, events) in any_life()) {
        let (steps, _) = live(&creation, &events);
        for s in &steps {
            let said = s.effects.iter().filter(|e| matches!(e, Effect::RunEvent { .. })).count();
            let first = matches!(s.effects[0], Effect::RunEvent { .. });
            prop_assert!(said == 1 && first, "{:?}", s.effects);
            let frees = s.after.is_final() || (s.before.has_process() && !s.after.has_process());
            prop_assert_eq!(s.effects.last() == Some(&Effect::WakeQueue), frees);
            prop_assert_eq!(s.effects.iter().filter(|e| **e == Effect::WakeQueue).count(), usize::from(frees));
            prop_assert!(!s.after.is_final() || s.effects.contains(&Effect::DropWorkDirectory));
        }
    }

    #[test]
    fn the_flags_say_what_the_endpoints_accept((creation, events) in any_life(), later in 0..200_i64) {
        let (steps, run) = live(&creation, &events);
        let now = steps.last().map_or(Timestamp::from_micros(0), |s| s.now).plus_seconds(later);
        let flags = actions(&run, now);
        let accepts = |event| step(&run, &event, now).is_ok();
        let by: UserId = "user-a".into();
        prop_assert_eq!(flags.is_cancelable, accepts(Event::CancelRequested { by: None, cool_off_seconds: 60 }));
        prop_assert_eq!(flags.is_confirmable, accepts(Event::Confirmed { by: by.clone() }));
        prop_assert_eq!(
            flags.is_force_cancelable,
            accepts(Event::ForceCanceled { by: by.clone(), at_once: false })
        );
        prop_assert_eq!(!run.is_final(), accepts(Event::ForceCanceled { by, at_once: true }));
        let discards = accepts(Event::Discarded { by: None });
        prop_assert_eq!(flags.is_discardable || run.status == Status::Pending, discards);
    }

    #[test]
    fn a_run_can_always_be_ended_by_people((creation, events) in any_life()) {
        let (steps, run) = live(&creation, &events);
        let now = steps.last().map_or(Timestamp::from_micros(0), |s| s.now).plus_seconds(1000);
        let mut run = run;
        for event in [
            Event::Discarded { by: None },
            Event::CancelRequested { by: None, cool_off_seconds: 0 },
            Event::ForceCanceled { by: "user-a".into(), at_once: false },
        ] {
            if let Ok((after, _)) = step(&run, &event, now) {
                run = after;
            }
        }
        prop_assert!(run.is_final(), "stuck in {}", run.status);
    }
}
