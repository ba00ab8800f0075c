//! The transition table, row by row, and every event in every status.

use super::*;

const CREATOR: &str = "user-creator";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(0).plus_seconds(seconds)
}

fn options() -> Options {
    Options { creator_may_apply: true, ..Options::default() }
}

fn new_run(options: &Options) -> Run {
    create(&Creation { options: options.clone(), created_by: CREATOR.into() }, at(0)).0
}

/// The run after these events, one second apart, and the effects of the last.
fn after(options: &Options, events: &[Event]) -> (Run, Vec<Effect>) {
    let mut now = (new_run(options), vec![]);
    for (n, event) in (1..).zip(events) {
        now = step(&now.0, event, at(n)).unwrap_or_else(|refused| panic!("{event:?}: {refused}"));
    }
    now
}

fn planned(has_changes: bool) -> Event {
    Event::PlanFinished { has_changes, counts: Counts { additions: 2, ..Counts::default() } }
}

fn plan_failed() -> Event {
    Event::PlanFailed { message: "no such provider".to_owned() }
}

fn apply_failed() -> Event {
    Event::ApplyFailed { message: "quota".to_owned() }
}

fn confirmed() -> Event {
    Event::Confirmed { by: "user-boss".into() }
}

fn discarded() -> Event {
    Event::Discarded { by: None }
}

fn cancel() -> Event {
    Event::CancelRequested { by: Some("user-boss".into()), cool_off_seconds: 60 }
}

fn forced() -> Event {
    Event::ForceCanceled { by: "user-boss".into(), at_once: false }
}

fn superseded() -> Event {
    Event::Superseded { reason: "another run was applied".to_owned() }
}

fn to_planning() -> Vec<Event> {
    vec![Event::Started, Event::Claimed]
}

fn to_planned() -> Vec<Event> {
    [to_planning(), vec![planned(true)]].concat()
}

fn to_applying() -> Vec<Event> {
    [to_planned(), vec![confirmed(), Event::Claimed]].concat()
}

fn keys(timestamps: &Timestamps) -> Vec<(&str, i64)> {
    let mut keys: Vec<_> = timestamps.iter().map(|(k, t)| (k.as_str(), t.micros() / 1_000_000)).collect();
    keys.sort_by_key(|(k, t)| (*t, *k));
    keys
}

fn event(action: &'static str) -> Effect {
    Effect::RunEvent { action, description: None }
}

fn said(action: &'static str, description: &str) -> Effect {
    Effect::RunEvent { action, description: Some(description.to_owned()) }
}

#[test]
fn t1_a_new_run_is_pending_with_its_phases_and_plan_queueable_at() {
    let (run, effects) = create(&Creation { options: options(), created_by: CREATOR.into() }, at(0));
    assert_eq!(run.status, Status::Pending);
    assert_eq!(keys(&run.status_timestamps), [("plan-queueable-at", 0)]);
    assert_eq!((run.plan.status, run.apply.status), (PhaseStatus::Pending, PhaseStatus::Pending));
    assert_eq!(effects, [event("queued"), Effect::WakeQueue]);
}

#[test]
fn t2_t5_a_started_run_locks_its_workspace_and_queues_its_plan() {
    let (run, effects) = after(&options(), &[Event::Started]);
    assert_eq!(
        (run.status, run.holds_lock, run.plan.status),
        (Status::PlanQueued, true, PhaseStatus::Queued)
    );
    assert_eq!(
        keys(&run.status_timestamps),
        [("plan-queueable-at", 0), ("plan-queued-at", 1), ("queuing-at", 1)]
    );
    assert_eq!(keys(&run.plan.status_timestamps), [("queued-at", 1)]);
    assert_eq!(
        effects,
        [event("plan_queued"), Effect::LockWorkspace, Effect::BecomeCurrentRun, Effect::QueueJob(Job::Plan)]
    );
}

#[test]
fn plan_only_and_saved_plans_start_without_the_lock_and_never_become_current_by_it() {
    for options in [Options { plan_only: true, ..options() }, Options { save_plan: true, ..options() }] {
        let (run, effects) = after(&options, &[Event::Started]);
        assert!(!run.holds_lock);
        assert_eq!(effects, [event("plan_queued"), Effect::QueueJob(Job::Plan)]);
    }
}

#[test]
fn t6_a_claimed_plan_is_planning_and_running() {
    let (run, effects) = after(&options(), &to_planning());
    assert_eq!((run.status, run.plan.status), (Status::Planning, PhaseStatus::Running));
    assert_eq!(run.status_timestamps["planning-at"], at(2));
    assert_eq!(keys(&run.plan.status_timestamps), [("queued-at", 1), ("started-at", 2)]);
    assert_eq!(effects, [event("planning")]);
}

#[test]
fn t7_t23_a_plan_with_changes_rests_with_the_lock_and_frees_the_runner() {
    let (run, effects) = after(&options(), &to_planned());
    assert_eq!((run.status, run.plan.status), (Status::Planned, PhaseStatus::Finished));
    assert_eq!((run.has_changes, run.counts.unwrap().additions), (Some(true), 2));
    assert!(run.holds_lock);
    assert_eq!(run.status_timestamps["planned-at"], at(3));
    assert_eq!(run.plan.status_timestamps["finished-at"], at(3));
    assert_eq!(effects, [event("planned"), Effect::WakeQueue]);
}

#[test]
fn t8_a_failed_plan_errors_the_run_and_makes_the_apply_unreachable() {
    let (run, effects) = after(&options(), &[to_planning(), vec![plan_failed()]].concat());
    assert_eq!(run.status, Status::Errored);
    assert_eq!((run.plan.status, run.apply.status), (PhaseStatus::Errored, PhaseStatus::Unreachable));
    assert_eq!(
        (run.status_timestamps["errored-at"], run.plan.status_timestamps["errored-at"]),
        (at(3), at(3))
    );
    assert_eq!(run.error_message.as_deref(), Some("no such provider"));
    assert_eq!(
        effects,
        [event("errored"), Effect::UnlockWorkspace, Effect::DropWorkDirectory, Effect::WakeQueue]
    );
}

#[test]
fn t20_a_plan_without_changes_finishes_the_run_and_unlocks_the_workspace() {
    let (run, effects) = after(&options(), &[to_planning(), vec![planned(false)]].concat());
    assert_eq!((run.status, run.apply.status), (Status::PlannedAndFinished, PhaseStatus::Unreachable));
    assert_eq!(
        (run.status_timestamps["planned-at"], run.status_timestamps["planned-and-finished-at"]),
        (at(3), at(3))
    );
    assert_eq!(
        effects,
        [
            event("planned_and_finished"),
            Effect::UnlockWorkspace,
            Effect::DropWorkDirectory,
            Effect::WakeQueue
        ]
    );
}

#[test]
fn t20_a_plan_only_run_finishes_whatever_it_planned_and_asked_for() {
    let options = Options { plan_only: true, auto_apply: true, allow_empty_apply: true, ..options() };
    for has_changes in [true, false] {
        let (run, effects) = after(&options, &[to_planning(), vec![planned(has_changes)]].concat());
        assert_eq!((run.status, run.has_changes), (Status::PlannedAndFinished, Some(has_changes)));
        assert_eq!(effects, [event("planned_and_finished"), Effect::DropWorkDirectory, Effect::WakeQueue]);
    }
}

#[test]
fn t21_a_saved_plan_with_changes_is_kept_without_a_lock_and_never_applies_by_itself() {
    let saved = Options { save_plan: true, auto_apply: true, ..options() };
    let (run, effects) = after(&saved, &to_planned());
    assert_eq!((run.status, run.holds_lock), (Status::PlannedAndSaved, false));
    assert_eq!(run.status_timestamps["planned-and-saved-at"], at(3));
    assert_eq!(effects, [event("planned_and_saved"), Effect::WakeQueue]);

    let (run, _) = after(&saved, &[to_planning(), vec![planned(false)]].concat());
    assert_eq!(run.status, Status::PlannedAndFinished);

    // There is something to apply, if only an empty plan; and a saved plan is never applied unasked.
    let empty = Options { allow_empty_apply: true, ..saved };
    let (run, _) = after(&empty, &[to_planning(), vec![planned(false)]].concat());
    assert_eq!(run.status, Status::PlannedAndSaved);
}

#[test]
fn t22_an_auto_applied_run_is_confirmed_by_its_creator() {
    let (run, effects) = after(&Options { auto_apply: true, ..options() }, &to_planned());
    assert_eq!((run.status, run.apply.status), (Status::ApplyQueued, PhaseStatus::Queued));
    assert_eq!(run.confirmed_by.as_ref().map(UserId::as_str), Some(CREATOR));
    for key in ["planned-at", "confirmed-at", "queuing-apply-at", "apply-queued-at"] {
        assert_eq!(run.status_timestamps[key], at(3), "{key}");
    }
    assert_eq!(
        effects,
        [said("confirmed", "applied automatically"), Effect::QueueJob(Job::Apply), Effect::WakeQueue]
    );
}

#[test]
fn auto_apply_takes_no_effect_for_a_creator_who_may_not_apply() {
    let weak = Options { auto_apply: true, creator_may_apply: false, ..Options::default() };
    let (run, _) = after(&weak, &to_planned());
    assert_eq!(run.status, Status::Planned);
    assert!(actions(&run, at(3)).is_confirmable);

    let empty = Options { allow_empty_apply: true, ..weak };
    let (run, _) = after(&empty, &[to_planning(), vec![planned(false)]].concat());
    assert_eq!(run.status, Status::Planned);
    assert!(actions(&run, at(3)).is_confirmable);
}

#[test]
fn an_empty_plan_applies_by_itself_where_an_empty_apply_was_asked_for() {
    let empty = Options { allow_empty_apply: true, ..options() };
    assert_eq!(after(&empty, &[to_planning(), vec![planned(false)]].concat()).0.status, Status::ApplyQueued);
    assert_eq!(after(&empty, &to_planned()).0.status, Status::Planned, "changes follow the normal rules");
}

#[test]
fn t24_t27_a_confirmed_run_queues_its_apply_under_the_lock_it_has() {
    let (run, effects) = after(&options(), &[to_planned(), vec![confirmed()]].concat());
    assert_eq!((run.status, run.apply.status), (Status::ApplyQueued, PhaseStatus::Queued));
    assert_eq!(run.confirmed_by.as_ref().map(UserId::as_str), Some("user-boss"));
    assert_eq!(effects, [event("confirmed"), Effect::QueueJob(Job::Apply)]);
}

#[test]
fn t24_a_confirmed_saved_plan_takes_the_workspace_and_its_configuration_becomes_current() {
    let saved = Options { save_plan: true, provisional_configuration: true, ..options() };
    let (run, effects) = after(&saved, &[to_planned(), vec![confirmed()]].concat());
    assert!(run.holds_lock);
    assert_eq!(
        effects,
        [
            event("confirmed"),
            Effect::LockWorkspace,
            Effect::BecomeCurrentRun,
            Effect::MakeConfigurationCurrent,
            Effect::QueueJob(Job::Apply)
        ]
    );
}

#[test]
fn t25_a_discarded_run_releases_the_workspace() {
    let (run, effects) = after(&options(), &[to_planned(), vec![discarded()]].concat());
    assert_eq!((run.status, run.apply.status), (Status::Discarded, PhaseStatus::Unreachable));
    assert_eq!(run.status_timestamps["discarded-at"], at(4));
    assert_eq!(
        effects,
        [event("discarded"), Effect::UnlockWorkspace, Effect::DropWorkDirectory, Effect::WakeQueue]
    );
    let (run, effects) = after(&options(), &[discarded()]);
    assert_eq!((run.plan.status, run.apply.status), (PhaseStatus::Unreachable, PhaseStatus::Unreachable));
    assert_eq!(effects, [event("discarded"), Effect::DropWorkDirectory, Effect::WakeQueue]);
}

#[test]
fn t28_t29_an_apply_that_finished_ends_the_run() {
    let (run, effects) = after(&options(), &[to_applying(), vec![Event::ApplyFinished]].concat());
    assert_eq!((run.status, run.apply.status), (Status::Applied, PhaseStatus::Finished));
    assert_eq!(keys(&run.apply.status_timestamps), [("queued-at", 4), ("started-at", 5), ("finished-at", 6)]);
    assert_eq!((run.status_timestamps["applying-at"], run.status_timestamps["applied-at"]), (at(5), at(6)));
    assert_eq!(
        effects,
        [event("applied"), Effect::UnlockWorkspace, Effect::DropWorkDirectory, Effect::WakeQueue]
    );
}

#[test]
fn t30_a_failed_apply_errors_the_run() {
    let (run, effects) = after(&options(), &[to_applying(), vec![apply_failed()]].concat());
    assert_eq!((run.status, run.plan.status), (Status::Errored, PhaseStatus::Finished));
    assert_eq!((run.apply.status, run.error_message.as_deref()), (PhaseStatus::Errored, Some("quota")));
    assert!(effects.contains(&Effect::UnlockWorkspace));
}

#[test]
fn t31_a_run_without_a_process_is_canceled_at_once() {
    let ways = [
        (vec![], PhaseStatus::Unreachable, PhaseStatus::Unreachable),
        (vec![Event::Started], PhaseStatus::Canceled, PhaseStatus::Unreachable),
        ([to_planned(), vec![confirmed()]].concat(), PhaseStatus::Finished, PhaseStatus::Canceled),
    ];
    for (events, plan, apply) in ways {
        let now = i64::try_from(events.len()).unwrap() + 1;
        let (run, effects) = after(&options(), &[events, vec![cancel()]].concat());
        assert_eq!((run.status, run.plan.status, run.apply.status), (Status::Canceled, plan, apply));
        assert_eq!(run.status_timestamps["canceled-at"], at(now));
        assert_eq!((run.canceled_at(), run.force_cancel_available_at()), (Some(at(now)), Some(at(now + 60))));
        assert_eq!(run.canceled_by().map(UserId::as_str), Some("user-boss"));
        assert_eq!(effects[0], event("canceled"));
        assert_eq!(effects.contains(&Effect::UnlockWorkspace), now > 1);
    }
}

#[test]
fn t31_a_run_with_a_process_is_canceled_when_the_process_has_stopped() {
    for (events, phase_of) in [(to_planning(), 0), (to_applying(), 1)] {
        let now = i64::try_from(events.len()).unwrap() + 1;
        let (run, effects) = after(&options(), &[events.clone(), vec![cancel()]].concat());
        assert!(run.has_process());
        assert_eq!((run.canceled_at(), run.force_cancel_available_at()), (Some(at(now)), Some(at(now + 60))));
        assert!(!run.status_timestamps.contains_key("canceled-at"));
        assert_eq!(effects, [event("cancel_requested"), Effect::SignalCancel]);
        assert!(
            !actions(&run, at(now)).is_cancelable,
            "a second signal would make the engine give up its state"
        );

        let (run, effects) = step(&run, &Event::WorkerStopped, at(now + 1)).unwrap();
        assert_eq!(run.status, Status::Canceled);
        assert_eq!([&run.plan, &run.apply][phase_of].status, PhaseStatus::Canceled);
        assert_eq!(run.status_timestamps["canceled-at"], at(now + 1));
        assert_eq!(run.canceled_at(), Some(at(now)));
        assert_eq!(
            effects,
            [event("canceled"), Effect::UnlockWorkspace, Effect::DropWorkDirectory, Effect::WakeQueue]
        );
    }
}

#[test]
fn a_plan_that_finished_before_it_saw_the_cancel_is_canceled_all_the_same() {
    let options = Options { auto_apply: true, ..options() };
    let (run, effects) = after(&options, &[to_planning(), vec![cancel(), planned(true)]].concat());
    assert_eq!((run.status, run.plan.status), (Status::Canceled, PhaseStatus::Finished));
    assert!(!effects.contains(&Effect::QueueJob(Job::Apply)));
}

#[test]
fn an_apply_that_finished_before_it_saw_the_cancel_is_applied() {
    let (run, _) = after(&options(), &[to_applying(), vec![cancel(), Event::ApplyFinished]].concat());
    assert_eq!((run.status, run.canceled_at(), run.canceled_by()), (Status::Applied, None, None));
}

#[test]
fn a_phase_that_fails_after_a_cancel_ends_the_run_as_canceled() {
    for events in [
        vec![to_planning(), vec![cancel(), plan_failed()]],
        vec![to_applying(), vec![cancel(), apply_failed()]],
    ] {
        let (run, _) = after(&options(), &events.concat());
        assert_eq!(run.status, Status::Canceled);
        assert!(run.error_message.is_some(), "what went wrong is told nevertheless");
    }
}

#[test]
fn t32_force_cancel_needs_a_cancel_and_the_end_of_the_cool_off() {
    let (planning, _) = after(&options(), &to_planning());
    let refused = step(&planning, &forced(), at(1000)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the run is `planning` and cannot be canceled by force: a cancel must have been asked for first"
    );
    let (stopping, _) = step(&planning, &cancel(), at(10)).unwrap();
    assert!(!actions(&stopping, at(69)).is_force_cancelable);
    assert!(step(&stopping, &forced(), at(69)).is_err());
    assert!(actions(&stopping, at(70)).is_force_cancelable);
    let (run, effects) = step(&stopping, &forced(), at(70)).unwrap();
    assert_eq!((run.status, run.plan.status), (Status::Canceled, PhaseStatus::Canceled));
    assert_eq!(
        (run.status_timestamps["canceled-at"], run.status_timestamps["force-canceled-at"]),
        (at(70), at(70))
    );
    assert_eq!(run.plan.status_timestamps["force-canceled-at"], at(70));
    assert_eq!(
        effects,
        [
            event("force_canceled"),
            Effect::SignalKill,
            Effect::UnlockWorkspace,
            Effect::DropWorkDirectory,
            Effect::WakeQueue
        ]
    );
}

#[test]
fn t34_a_superseded_saved_plan_is_discarded() {
    let saved = Options { save_plan: true, ..options() };
    let (run, effects) = after(&saved, &[to_planned(), vec![superseded()]].concat());
    assert_eq!(run.status, Status::Discarded);
    assert_eq!(
        effects,
        [said("discarded", "another run was applied"), Effect::DropWorkDirectory, Effect::WakeQueue]
    );
}

#[test]
fn a_plan_whose_runner_was_lost_is_planned_again_as_if_it_had_not_begun() {
    let (run, effects) = after(&options(), &[to_planning(), vec![Event::LeaseLost]].concat());
    assert_eq!(
        (run.status, run.plan.status, run.holds_lock),
        (Status::PlanQueued, PhaseStatus::Queued, true)
    );
    assert!(!run.status_timestamps.contains_key("planning-at"));
    assert_eq!(keys(&run.plan.status_timestamps), [("queued-at", 3)]);
    assert_eq!(
        effects,
        [
            said("plan_queued", "the runner was lost; the plan is made again"),
            Effect::SignalKill,
            Effect::DropWorkDirectory,
            Effect::QueueJob(Job::Plan),
            Effect::WakeQueue
        ]
    );
}

#[test]
fn a_plan_that_loses_every_runner_fails_in_the_end() {
    let mut run = after(&options(), &[Event::Started]).0;
    for attempt in 1..=PLAN_ATTEMPTS {
        assert_eq!(run.status, Status::PlanQueued, "before attempt {attempt}");
        run = step(&run, &Event::Claimed, at(10)).unwrap().0;
        run = step(&run, &Event::LeaseLost, at(11)).unwrap().0;
    }
    assert_eq!((run.status, run.plan.status), (Status::Errored, PhaseStatus::Errored));
    assert!(run.error_message.unwrap().contains("lost 5 times"));
}

#[test]
fn an_apply_whose_runner_was_lost_errors_and_is_never_begun_again() {
    let (run, effects) = after(&options(), &[to_applying(), vec![Event::LeaseLost]].concat());
    assert_eq!((run.status, run.apply.status), (Status::Errored, PhaseStatus::Errored));
    assert!(run.error_message.unwrap().contains("was saved"));
    assert_eq!(effects[..3], [event("errored"), Effect::SignalKill, Effect::UnlockWorkspace]);
}

#[test]
fn a_runner_lost_after_a_cancel_ends_the_run_as_canceled() {
    for events in [to_planning(), to_applying()] {
        let (run, _) = after(&options(), &[events, vec![cancel(), Event::LeaseLost]].concat());
        assert_eq!(run.status, Status::Canceled);
    }
}

/// Every event in every status that can be reached: the status that follows, or `-` where the event is refused.
/// `!` marks a run whose cancel was asked for; its cool-off is over.
#[test]
fn every_event_in_every_status() {
    let saved = Options { save_plan: true, ..options() };
    let o = options();
    let runs = [
        ("pending", after(&o, &[]).0),
        ("plan_queued", after(&o, &[Event::Started]).0),
        ("planning", after(&o, &to_planning()).0),
        ("planning!", after(&o, &[to_planning(), vec![cancel()]].concat()).0),
        ("planned", after(&o, &to_planned()).0),
        ("saved", after(&saved, &to_planned()).0),
        ("apply_queued", after(&o, &[to_planned(), vec![confirmed()]].concat()).0),
        ("applying", after(&o, &to_applying()).0),
        ("applying!", after(&o, &[to_applying(), vec![cancel()]].concat()).0),
        ("applied", after(&o, &[to_applying(), vec![Event::ApplyFinished]].concat()).0),
        ("finished", after(&o, &[to_planning(), vec![planned(false)]].concat()).0),
        ("errored", after(&o, &[to_planning(), vec![plan_failed()]].concat()).0),
        ("discarded", after(&o, &[discarded()]).0),
        ("canceled", after(&o, &[cancel()]).0),
    ];
    let creation = Creation { options: options(), created_by: CREATOR.into() };
    let events = [
        ("created", Event::Queued(creation)),
        ("started", Event::Started),
        ("claimed", Event::Claimed),
        ("changes", planned(true)),
        ("no_changes", planned(false)),
        ("plan_failed", plan_failed()),
        ("confirmed", confirmed()),
        ("apply_done", Event::ApplyFinished),
        ("apply_failed", apply_failed()),
        ("discarded", discarded()),
        ("cancel", cancel()),
        ("forced", forced()),
        ("stopped", Event::WorkerStopped),
        ("lease_lost", Event::LeaseLost),
        ("superseded", superseded()),
    ];
    let mut table = String::new();
    for (name, run) in &runs {
        table += &format!("{name}:");
        for (what, event) in &events {
            if let Ok((next, _)) = step(run, event, at(10_000)) {
                table += &format!(" {what}={}", next.status);
            }
        }
        table += "\n";
    }
    let expected = "\
pending: started=plan_queued discarded=discarded cancel=canceled
plan_queued: claimed=planning cancel=canceled
planning: changes=planned no_changes=planned_and_finished plan_failed=errored cancel=planning lease_lost=plan_queued
planning!: changes=canceled no_changes=canceled plan_failed=canceled forced=canceled stopped=canceled lease_lost=canceled
planned: confirmed=apply_queued discarded=discarded
saved: confirmed=apply_queued discarded=discarded superseded=discarded
apply_queued: claimed=applying cancel=canceled
applying: apply_done=applied apply_failed=errored cancel=applying lease_lost=errored
applying!: apply_done=applied apply_failed=canceled forced=canceled stopped=canceled lease_lost=canceled
applied:
finished:
errored:
discarded:
canceled:
";
    assert_eq!(table, expected);
}

#[test]
fn the_actions_of_every_status() {
    // Flags: c cancelable, + confirmable, d discardable, f force-cancelable (after a cancel and its cool-off).
    let mut table = String::new();
    for status in Status::ALL {
        let run = Run { status: *status, has_changes: Some(true), ..new_run(&options()) };
        let stopping = Run {
            cancel: Some(Cancel { by: None, requested_at: at(0), force_available_at: at(60) }),
            ..run.clone()
        };
        let now = actions(&run, at(60));
        let flags = [
            (now.is_cancelable, 'c'),
            (now.is_confirmable, '+'),
            (now.is_discardable, 'd'),
            (now.is_force_cancelable, 'F'),
            (actions(&stopping, at(60)).is_force_cancelable && now.is_cancelable, 'f'),
        ];
        let flags: String = flags.iter().filter(|(on, _)| *on).map(|(_, c)| c).collect();
        table += &format!("{status} {flags}\n");
    }
    let expected = "\
pending cf\nfetching cf\nfetching_completed cf\npre_plan_running cf\npre_plan_awaiting_decision cf
pre_plan_completed cf\nqueuing cf\nplan_queued cf\nplanning cf\nplanned +d\npost_plan_running cdf
post_plan_awaiting_decision d\npost_plan_completed +d\ncost_estimating cf\ncost_estimated +d\npolicy_checking cf
policy_override d\npolicy_soft_failed \npolicy_checked +d\ntf_policy_checked \ntf_policy_override \nconfirmed cf
pre_apply_running cf\npre_apply_completed cf\nqueuing_apply cf\napply_queued cf\napplying cf\npost_apply_running cf
post_apply_completed cf\napplied \ndiscarded \nerrored \ncanceled \nplanned_and_finished \nplanned_and_saved +d
assessing cf\nassessed \n";
    assert_eq!(table, expected);
}

#[test]
fn the_operation_is_the_first_that_holds() {
    let mut all = Options {
        plan_only: true,
        save_plan: true,
        refresh_only: true,
        is_destroy: true,
        allow_empty_apply: true,
        ..options()
    };
    let name = |o: &Options| operation(&new_run(o));
    assert_eq!(name(&all), "plan_only");
    all.plan_only = false;
    assert_eq!(name(&all), "save_plan");
    all.save_plan = false;
    assert_eq!(name(&all), "refresh_only");
    all.refresh_only = false;
    assert_eq!(name(&all), "destroy");
    all.is_destroy = false;
    assert_eq!(name(&all), "empty_apply");
    assert_eq!(name(&options()), "plan_and_apply");
}

#[test]
fn stored_events_and_runs_read_as_documented() {
    let json = serde_json::to_string(&[Event::Claimed, planned(true), confirmed()]).unwrap();
    assert_eq!(
        json,
        r#"[{"type":"claimed"},{"type":"plan_finished","has_changes":true,"counts":{"additions":2,"changes":0,"destructions":0,"imports":0}},{"type":"confirmed","by":"user-boss"}]"#
    );
    let headless = replay(&[(Event::Started, at(0))]).unwrap_err();
    assert!(headless.to_string().contains("its first event must be its creation"));
}
