//! The choice among jobs, and what a waiting run is told.

use super::*;
use crate::life::{Counts, Creation, Event, Options, create, step};
use kernel::ids::UserId;
use proptest::prelude::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(0).plus_seconds(seconds)
}

fn candidate(run: &str, workspace: &str, organization: &str, kind: Kind, queued_at: i64) -> Candidate {
    Candidate {
        run: run.into(),
        workspace: workspace.into(),
        organization: organization.into(),
        kind,
        queued_at: at(queued_at),
    }
}

fn share(organization: &str, running: u32) -> Share {
    Share { organization: organization.into(), running, ceiling: None }
}

/// One more job of the organization runs.
fn begin(running: &mut Vec<Share>, organization: OrganizationId, ceiling: Option<u32>) {
    match running.iter_mut().find(|share| share.organization == organization) {
        Some(share) => share.running += 1,
        None => running.push(Share { organization, running: 1, ceiling }),
    }
}

fn picked<'a>(
    candidates: &'a [Candidate],
    running: &[(&str, u32)],
    capacity: u32,
    now: i64,
) -> Option<&'a str> {
    let running: Vec<_> = running.iter().map(|(o, n)| share(o, *n)).collect();
    pick(candidates, &running, capacity, at(now)).map(|index| candidates[index].run.as_str())
}

#[test]
fn applies_go_before_plans_and_plans_before_speculative_plans() {
    let jobs = [
        candidate("speculative", "w1", "a", Kind::Speculative, 1),
        candidate("plan", "w2", "a", Kind::Plan, 2),
        candidate("apply", "w3", "a", Kind::Apply, 3),
    ];
    assert_eq!(picked(&jobs, &[], 1, 10), Some("apply"));
    assert_eq!(picked(&jobs[..2], &[], 1, 10), Some("plan"));
    assert_eq!(picked(&jobs[..1], &[], 1, 10), Some("speculative"));
    assert_eq!(picked(&[], &[], 1, 10), None);
}

#[test]
fn nothing_is_picked_when_all_places_are_taken() {
    let jobs = [candidate("plan", "w", "a", Kind::Plan, 1)];
    assert_eq!(picked(&jobs, &[("a", 1), ("b", 2)], 3, 2), None);
    assert_eq!(picked(&jobs, &[("a", 1), ("b", 2)], 4, 2), Some("plan"));
    assert_eq!(picked(&jobs, &[], 0, 2), None);
}

#[test]
fn the_organization_with_the_fewest_running_jobs_has_its_turn_then_the_oldest_job() {
    let jobs = [
        candidate("c1", "w3", "c", Kind::Plan, 3),
        candidate("a1", "w1", "a", Kind::Plan, 1),
        candidate("b1", "w2", "b", Kind::Plan, 2),
    ];
    assert_eq!(picked(&jobs, &[], 9, 10), Some("a1"));
    assert_eq!(picked(&jobs, &[("a", 2), ("b", 1), ("c", 1)], 9, 10), Some("b1"));
    assert_eq!(picked(&jobs, &[("a", 2), ("b", 1)], 9, 10), Some("c1"));
}

#[test]
fn a_job_that_has_waited_long_counts_as_an_apply() {
    let patience = i64::from(PATIENCE_SECONDS);
    let jobs = [
        candidate("speculative", "w1", "a", Kind::Speculative, 0),
        candidate("apply", "w2", "a", Kind::Apply, 10),
    ];
    assert_eq!(picked(&jobs, &[], 1, patience - 1), Some("apply"));
    assert_eq!(picked(&jobs, &[], 1, patience), Some("speculative"));
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Apply), Just(Kind::Plan), Just(Kind::Speculative)]
}

/// Jobs of a few organizations, each with a few workspaces, in the order in which they began to wait.
fn any_jobs(most: usize) -> impl Strategy<Value = Vec<Candidate>> {
    proptest::collection::vec((0..4_u8, 0..3_u8, any_kind(), 1..5_i64), 1..most).prop_map(|jobs| {
        let mut now = 0;
        let job = |(n, (organization, workspace, kind, gap)): (usize, (u8, u8, Kind, i64))| {
            now += gap;
            candidate(
                &format!("{n:03}"),
                &format!("{organization}-{workspace}"),
                &organization.to_string(),
                kind,
                now,
            )
        };
        jobs.into_iter().enumerate().map(job).collect()
    })
}

proptest! {
    #[test]
    fn jobs_of_one_kind_in_one_workspace_keep_their_order(
        jobs in any_jobs(30).prop_shuffle(),
        running in proptest::collection::vec(0..4_u32, 4),
    ) {
        let running: Vec<_> = running.iter().enumerate().map(|(o, n)| share(&o.to_string(), *n)).collect();
        let mut left = jobs;
        let mut order: Vec<Candidate> = Vec::new();
        while let Some(index) = pick(&left, &running, 1000, at(100)) {
            order.push(left.remove(index));
        }
        prop_assert!(left.is_empty());
        for (n, later) in order.iter().enumerate() {
            for earlier in &order[..n] {
                if (&earlier.workspace, earlier.kind) == (&later.workspace, later.kind) {
                    prop_assert!(earlier.run < later.run, "{} overtook {}", earlier.run, later.run);
                }
            }
        }
    }

    #[test]
    fn no_organization_gets_a_second_place_while_another_waits_for_its_first(
        jobs in any_jobs(40),
        capacity in 1..8_u32,
    ) {
        let jobs: Vec<_> = jobs.into_iter().map(|job| Candidate { kind: Kind::Plan, ..job }).collect();
        let mut left = jobs;
        let mut running: Vec<Share> = Vec::new();
        while let Some(index) = pick(&left, &running, capacity, at(0)) {
            begin(&mut running, left.remove(index).organization, None);
            let most = running.iter().map(|share| share.running).max().unwrap();
            for job in &left {
                let share = running.iter().find(|s| s.organization == job.organization).map_or(0, |s| s.running);
                prop_assert!(share + 1 >= most, "{} has {share} while another has {most}", job.organization);
            }
        }
        let taken: u32 = running.iter().map(|share| share.running).sum();
        prop_assert!(taken == capacity || left.is_empty(), "a place stayed free");
    }

    #[test]
    fn no_organization_gets_beyond_its_ceiling_and_those_below_theirs_get_every_free_place(
        jobs in any_jobs(40),
        capacity in 1..12_u32,
        ceilings in proptest::collection::vec(proptest::option::of(1..4_u32), 4),
    ) {
        let ceiling = |organization: &OrganizationId| ceilings[organization.as_str().parse::<usize>().unwrap()];
        let mut left = jobs;
        let mut running: Vec<Share> = Vec::new();
        while let Some(index) = pick(&left, &running, capacity, at(0)) {
            let organization = left.remove(index).organization;
            let ceiling = ceiling(&organization);
            begin(&mut running, organization, ceiling);
            for share in &running {
                prop_assert!(share.ceiling.is_none_or(|ceiling| share.running <= ceiling), "{share:?}");
            }
        }
        let taken: u32 = running.iter().map(|share| share.running).sum();
        let full = |job: &Candidate| running.iter().any(|s| s.organization == job.organization && s.is_full());
        prop_assert!(taken == capacity || left.iter().all(full), "a place stayed free");
    }

    /// One job waits; from then on others arrive faster than they can be done, all of a kind that goes first, from any
    /// organization, its own included. It has its turn within its patience and the time that its elders need.
    #[test]
    fn no_job_starves(
        elders in any_jobs(20),
        victim_kind in any_kind(),
        capacity in 1..5_usize,
        arrivals in proptest::collection::vec((0..4_u8, any_kind(), 1..40_i64), 50),
    ) {
        const TICK: i64 = 30;
        const LONGEST: i64 = 40;
        let mut waiting: Vec<Candidate> = elders;
        let bound = i64::from(PATIENCE_SECONDS) + (waiting.len() as i64 + 2) * LONGEST * TICK;
        waiting.push(candidate("victim", "v", "0", victim_kind, 150));
        let mut running: Vec<(OrganizationId, i64)> = Vec::new();
        let mut arrivals = arrivals.iter().cycle();
        for tick in 0.. {
            let now = 150 + tick * TICK;
            prop_assert!(now - 150 <= bound, "still waiting after {bound} s");
            running.retain(|(_, until)| *until > now);
            for _ in 0..=capacity {
                let (organization, kind, _) = arrivals.next().unwrap();
                waiting.push(candidate("other", "w", &organization.to_string(), *kind, now));
            }
            let mut shares: Vec<Share> = Vec::new();
            for (organization, _) in &running {
                begin(&mut shares, organization.clone(), None);
            }
            if let Some(index) = pick(&waiting, &shares, capacity as u32, at(now)) {
                let job = waiting.remove(index);
                if job.run.as_str() == "victim" {
                    return Ok(());
                }
                running.push((job.organization, now + arrivals.next().unwrap().2 * TICK));
            }
        }
    }
}

fn new_run(options: Options) -> Run {
    create(&Creation { options, created_by: "user-a".into() }, at(0)).0
}

fn after(mut run: Run, events: &[Event]) -> Run {
    for event in events {
        run = step(&run, event, at(1)).unwrap().0;
    }
    run
}

fn normal() -> Run {
    new_run(Options::default())
}

fn resting() -> Run {
    let planned = Event::PlanFinished { has_changes: true, counts: Counts::default() };
    after(normal(), &[Event::Started, Event::Claimed, planned])
}

fn plan_only() -> Run {
    new_run(Options { plan_only: true, ..Options::default() })
}

fn saved() -> Run {
    let planned = Event::PlanFinished { has_changes: true, counts: Counts::default() };
    let run = new_run(Options { save_plan: true, ..Options::default() });
    after(run, &[Event::Started, Event::Claimed, planned])
}

/// A line of runs `run-0`, `run-1`, …
struct Runs(Vec<(RunId, Run)>);

impl Runs {
    fn new(runs: impl IntoIterator<Item = Run>) -> Self {
        Self(runs.into_iter().enumerate().map(|(n, run)| (RunId::from(format!("run-{n}")), run)).collect())
    }

    fn line(&self, lock: Lock) -> Line<'_> {
        Line { lock, open: self.0.iter().map(|(id, run)| Entry { id, run }).collect() }
    }
}

fn by_run(n: usize) -> Lock {
    Lock::Run(format!("run-{n}").into())
}

fn by_user() -> Lock {
    Lock::User("alice".to_owned())
}

fn ids(ids: &[&RunId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

#[test]
fn the_kind_of_a_job_follows_from_the_run() {
    let queued = |run| after(run, &[Event::Started]);
    assert_eq!(Kind::of(&normal()), None);
    assert_eq!(Kind::of(&queued(normal())), Some(Kind::Plan));
    assert_eq!(Kind::of(&queued(plan_only())), Some(Kind::Speculative));
    assert_eq!(
        Kind::of(&queued(new_run(Options { save_plan: true, ..Options::default() }))),
        Some(Kind::Plan)
    );
    assert_eq!(Kind::of(&after(resting(), &[Event::Confirmed { by: "user-a".into() }])), Some(Kind::Apply));
}

#[test]
fn the_oldest_waiting_run_may_start_when_the_workspace_is_free() {
    let runs = Runs::new([normal(), normal()]);
    assert_eq!(ids(&runs.line(Lock::Free).startable()), ["run-0"]);
    assert!(runs.line(by_user()).startable().is_empty());
    let runs = Runs::new([resting(), normal()]);
    assert!(runs.line(by_run(0)).startable().is_empty());
}

#[test]
fn plan_only_runs_and_saved_plans_start_at_once_whatever_is_ahead() {
    let saving = new_run(Options { save_plan: true, ..Options::default() });
    let runs = Runs::new([resting(), normal(), plan_only(), saving]);
    assert_eq!(ids(&runs.line(by_run(0)).startable()), ["run-2", "run-3"]);
    assert_eq!(ids(&runs.line(by_user()).startable()), ["run-2", "run-3"]);
}

#[test]
fn a_saved_plan_that_lies_about_holds_nobody_up() {
    let runs = Runs::new([saved(), normal()]);
    assert_eq!(ids(&runs.line(Lock::Free).startable()), ["run-1"]);
}

#[test]
fn a_waiting_run_says_what_it_waits_for() {
    let say = |runs: &Runs, lock, n: usize| {
        runs.line(lock).waiting_for(&format!("run-{n}").into()).map(|w| w.to_string()).unwrap_or_default()
    };
    let runs = Runs::new([resting(), normal(), plan_only(), normal()]);
    assert_eq!(say(&runs, by_run(0), 0), "");
    assert_eq!(
        say(&runs, by_run(0), 1),
        "One run goes first: run-0, which is planned. Confirm or discard that run to let the line go on."
    );
    assert_eq!(say(&runs, by_run(0), 2), "The run waits for a free runner.");
    assert_eq!(
        say(&runs, by_run(0), 3),
        "2 runs go first, beginning with run-0, which is planned. Confirm or discard that run to let the line go on."
    );
    let runs = Runs::new([normal(), normal()]);
    assert_eq!(
        say(&runs, by_user(), 1),
        "The workspace is locked by user alice. The run starts once it is unlocked."
    );
    assert_eq!(say(&runs, Lock::Free, 1), "One run goes first: run-0, which is pending.");
    assert_eq!(say(&runs, Lock::Free, 0), "The run waits for a free runner.");
    let runs = Runs::new([after(normal(), &[Event::Started])]);
    assert_eq!(say(&runs, by_run(0), 0), "The run waits for a free runner.");
    assert_eq!(say(&runs, by_run(0), 7), "");
}

#[test]
fn the_reason_to_wait_is_data_for_clients_too() {
    let runs = Runs::new([resting(), normal()]);
    let json = |lock| serde_json::to_string(&runs.line(lock).waiting_for(&"run-1".into())).unwrap();
    assert_eq!(json(by_run(0)), r#"{"type":"run-ahead","run":"run-0","status":"planned","ahead":1}"#);
    assert_eq!(json(by_user()), r#"{"type":"lock","holder":{"type":"user","name":"alice"}}"#);
}

#[test]
fn a_workspace_locked_by_hand_shows_its_first_waiting_run_as_current() {
    let runs = Runs::new([plan_only(), normal(), normal()]);
    let (ended, first, third) = (RunId::from("run-ended"), RunId::from("run-1"), RunId::from("run-2"));
    assert_eq!(runs.line(by_user()).current_run(None), Some(&first));
    assert_eq!(runs.line(by_user()).current_run(Some(&ended)), Some(&first));
    assert_eq!(runs.line(Lock::Free).current_run(Some(&ended)), Some(&ended));
    assert_eq!(runs.line(by_user()).current_run(Some(&third)), Some(&third));
    let none = Runs::new([plan_only()]);
    assert_eq!(none.line(by_user()).current_run(Some(&ended)), Some(&ended));
}

#[test]
fn a_saved_plan_is_confirmed_only_in_a_free_workspace() {
    let runs = Runs::new([saved(), resting()]);
    let confirm = |lock, n: usize| {
        let line = runs.line(lock);
        line.may_confirm(line.open[n]).map_err(|refused| refused.to_string())
    };
    assert_eq!(
        confirm(by_run(1), 0).unwrap_err(),
        "the run is `planned_and_saved` and cannot be confirmed: the workspace is locked by run run-1"
    );
    assert!(confirm(by_user(), 0).unwrap_err().ends_with("locked by user alice"));
    assert!(confirm(Lock::Free, 0).is_err(), "a run is at work in the workspace");
    assert_eq!(confirm(by_run(1), 1), Ok(()));
    let alone = Runs::new([saved()]);
    let line = alone.line(Lock::Free);
    assert_eq!(line.may_confirm(line.open[0]), Ok(()));
}

#[test]
fn force_execute_discards_the_run_at_work_cancels_those_ahead_and_starts_the_target() {
    let by = UserId::from("user-boss");
    let runs = Runs::new([resting(), normal(), plan_only(), saved(), normal(), normal()]);
    let events = runs.line(by_run(0)).force_execute(&"run-4".into(), &by, at(5)).unwrap();
    let expected: Vec<(RunId, Event)> = vec![
        ("run-0".into(), Event::Discarded { by: Some(by.clone()) }),
        ("run-1".into(), Event::CancelRequested { by: Some(by), cool_off_seconds: 0 }),
        ("run-4".into(), Event::Started),
    ];
    assert_eq!(events, expected);
}

#[test]
fn force_execute_is_forbidden_unless_the_run_is_pending_in_a_locked_workspace() {
    let force = |runs: &Runs, lock, n: usize| {
        runs.line(lock).force_execute(&format!("run-{n}").into(), &"user-boss".into(), at(5)).unwrap_err()
    };
    let runs = Runs::new([resting(), normal(), plan_only()]);
    let forbidden = |refused| matches!(refused, ForceRefused::Forbidden(_));
    assert!(forbidden(force(&runs, by_run(0), 0)));
    assert!(forbidden(force(&runs, by_run(0), 9)));
    assert!(forbidden(force(&Runs::new([normal()]), Lock::Free, 0)));
    assert!(!forbidden(force(&runs, by_run(0), 2)), "a plan-only run does not wait for its turn");
}

#[test]
fn force_execute_conflicts_with_a_lock_that_cannot_be_discarded() {
    let planning = after(normal(), &[Event::Started, Event::Claimed]);
    let runs = Runs::new([planning, normal()]);
    let force =
        |lock| runs.line(lock).force_execute(&"run-1".into(), &"user-boss".into(), at(5)).unwrap_err();
    let ForceRefused::Conflict(why) = force(by_run(0)) else { panic!("not a conflict") };
    assert!(why.starts_with("run run-0, which is planning, has locked the workspace"), "{why}");
    let ForceRefused::Conflict(why) = force(by_user()) else { panic!("not a conflict") };
    assert!(why.contains("locked by user alice"), "{why}");
}
