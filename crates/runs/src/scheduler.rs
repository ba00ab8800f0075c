//! Who decides when: lets pending runs leave the line, and gives waiting jobs to free runners.
//!
//! Level-triggered: [`pass`] looks at what is stored and does what the rules say; asking too often is harmless, asking
//! again after a crash repairs. It is woken by pulses and looks by itself every [`PERIOD`].

use crate::{
    auto_destroy,
    document::{entries, lock_kind},
    executor,
    jobs::Jobs,
    life::{Event, Job, Status},
    queue::{Candidate, Kind, Line, Share, pick},
    retention, run_triggers,
    runs::{self, After},
};
use accounts::feature_sets::Subscription;
use db::{FromRow, args};
use http_api::{App, Error, Result};
use kernel::{
    Timestamp,
    ids::{OrganizationId, RunId, WorkspaceId},
};
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};
use workspaces::workspaces::hold;

/// How often it looks without being woken.
const PERIOD: Duration = Duration::from_secs(5);
/// How often old data is deleted.
const RETENTION: Duration = Duration::from_secs(3600);
/// Jobs considered at a time.
const WINDOW: i64 = 500;

/// Schedules until the server closes.
pub async fn run(app: App) {
    let mut pulses = app.pulses();
    let mut swept: Option<Instant> = None;
    let mut expired: Option<Instant> = None;
    loop {
        if swept.is_none_or(|at| at.elapsed() >= PERIOD) {
            swept = Some(Instant::now());
            if let Err(error) = auto_destroy::sweep(&app).await {
                tracing::warn!(%error, "could not look for workspaces that are due to be destroyed; trying again");
            }
        }
        if expired.is_none_or(|at| at.elapsed() >= RETENTION) {
            expired = Some(Instant::now());
            expire(&app);
        }
        pulses.mark_unchanged();
        if let Err(error) = pass(&app).await {
            // The database is closed under the last look.
            if app.is_closing() {
                return;
            }
            tracing::error!(%error, "the scheduler could not look at the queue; it tries again");
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
                () = app.closing() => return,
            }
        }
        tokio::select! {
            _ = pulses.changed() => {}
            () = tokio::time::sleep(PERIOD) => executor::stop_orphans(&app).await,
            () = app.closing() => return,
        }
    }
}

/// Deletes old data, beside everything else: there may be much of it.
fn expire(app: &App) {
    let app = app.clone();
    tokio::spawn(async move {
        if let Err(error) = retention::sweep(&app).await
            && !app.is_closing()
        {
            tracing::warn!(%error, "could not delete old data; the next look is in an hour");
        }
    });
}

/// One look: lets applies trigger what they should, then fills the free places. A run leaves `pending` only for a place:
/// until then the command line tells its user how many are before it.
pub async fn pass(app: &App) -> Result<()> {
    run_triggers::fire(app).await?;
    let mut passed_over = HashSet::new();
    while app.area::<Jobs>().has_room() {
        let Some(candidate) = next(app, &passed_over).await? else { break };
        if !unless_gone(take(app, &candidate).await)? {
            passed_over.insert(candidate.run);
        }
    }
    Ok(())
}

/// A workspace or run that was deleted since it was looked at is no failure.
fn unless_gone(result: Result<bool>) -> Result<bool> {
    match result {
        Err(Error::NotFound) => Ok(false),
        other => other,
    }
}

#[derive(FromRow)]
struct Waiting {
    id: RunId,
    workspace_id: WorkspaceId,
    organization_id: OrganizationId,
    job: Option<String>,
    operation: String,
    queued_at: Timestamp,
}

impl Waiting {
    fn candidate(self) -> Candidate {
        Candidate {
            kind: match (self.job.as_deref(), self.operation.as_str()) {
                (Some("apply"), _) => Kind::Apply,
                (_, "plan_only" | "query") => Kind::Speculative,
                _ => Kind::Plan,
            },
            run: self.id,
            workspace: self.workspace_id,
            organization: self.organization_id,
            queued_at: self.queued_at,
        }
    }
}

/// What each organization has running, and how much it may.
pub async fn shares(app: &App) -> Result<Vec<Share>> {
    let rows: Vec<(OrganizationId, i64, Option<String>)> = app
        .db
        .all(
            "SELECT r.organization_id, r.running, o.subscription FROM
               (SELECT organization_id, COUNT(*) AS running FROM runs WHERE job IS NOT NULL AND lease IS NOT NULL
                GROUP BY organization_id) r JOIN organizations o ON o.id = r.organization_id",
            vec![],
        )
        .await?;
    let now = app.now();
    let share = |(organization, running, subscription): (OrganizationId, i64, Option<String>)| Share {
        organization,
        running: u32::try_from(running).unwrap_or(u32::MAX),
        ceiling: Subscription::parse(subscription.as_deref()).runs_ceiling(now),
    };
    Ok(rows.into_iter().map(share).collect())
}

/// What the next place is for: a job that waits for a runner, or a pending run that may start. Whether it really may is
/// seen when its workspace is held ([`take`]); here a run is left out that stands behind another, or before a lock, or that is
/// for an agent, or whose organization is at its ceiling: they may not hide others.
async fn next(app: &App, passed_over: &HashSet<RunId>) -> Result<Option<Candidate>> {
    let running = shares(app).await?;
    let mut values = args![WINDOW];
    values.extend(
        running.iter().filter(|share| share.is_full()).map(|share| db::Arg::from(&share.organization)),
    );
    let marks: Vec<String> = (2..=values.len()).map(|n| format!("${n}")).collect();
    let room = match marks.is_empty() {
        true => String::new(),
        false => format!("AND r.organization_id NOT IN ({})", marks.join(", ")),
    };
    let sql = format!(
        "SELECT r.id, r.workspace_id, r.organization_id, r.job, r.operation,
           COALESCE(r.queued_at, r.created_at) AS queued_at
         FROM runs r JOIN workspaces w ON w.id = r.workspace_id JOIN projects p ON p.id = w.project_id
           JOIN organizations o ON o.id = r.organization_id
         WHERE r.final = FALSE {room} AND CASE WHEN w.overwrites_execution_mode THEN w.execution_mode
           ELSE COALESCE(p.default_execution_mode, o.default_execution_mode) END <> 'agent'
            AND ((r.job IS NOT NULL AND r.lease IS NULL) OR (r.status = 'pending' AND (
           r.operation IN ('plan_only', 'save_plan', 'query') OR (w.lock_kind IS NULL AND NOT EXISTS (
             SELECT 1 FROM runs e WHERE e.workspace_id = r.workspace_id AND e.final = FALSE AND e.number < r.number
               AND e.status = 'pending' AND e.operation NOT IN ('plan_only', 'save_plan', 'query'))))))
         ORDER BY CASE WHEN r.job = 'apply' THEN 0 ELSE 1 END, COALESCE(r.queued_at, r.created_at), r.number LIMIT $1"
    );
    let waiting: Vec<Waiting> = app.db.all(db::AssertSqlSafe(sql), values).await?;
    // The plan of a run whose apply waits may not be put away yet; its end wakes us.
    let jobs = app.area::<Jobs>();
    let free = |w: &Waiting| !jobs.works_on(&w.id) && !passed_over.contains(&w.id);
    let mut candidates: Vec<Candidate> = waiting.into_iter().filter(free).map(Waiting::candidate).collect();
    // The process's own places decide about room; the counts decide about fairness and ceilings.
    let chosen = pick(&candidates, &running, u32::MAX, app.now());
    Ok(chosen.map(|index| candidates.swap_remove(index)))
}

/// Lets the run begin what is next for it, in one transaction; `false` when it cannot, or somebody was faster.
async fn take(app: &App, candidate: &Candidate) -> Result<bool> {
    let mut tx = app.db.begin().await?;
    let held = hold(&mut tx, &candidate.workspace).await?;
    if held.execution_mode == "agent" {
        // It was set since the look: this server's runner never does what is for agents.
        return Ok(false);
    }
    let mut run = runs::in_tx(&mut tx, &candidate.run).await?;
    let mut after = After::default();
    if run.life.status == Status::Pending {
        let open = runs::open_in_tx(&mut tx, &candidate.workspace).await?;
        let line = Line { lock: lock_kind(&held), open: entries(&open) };
        if !line.startable().contains(&run.id()) {
            return Ok(false);
        }
        after.and(runs::advance(app, &mut tx, &mut run, &Event::Started, None).await?);
    }
    let queued = matches!(run.life.job(), Some(Job::Plan | Job::Apply)) && !run.life.has_process();
    if !queued || run.row.lease.is_some() {
        return Ok(false);
    }
    run.row.lease = Some(executor::new_lease(app));
    after.and(runs::advance(app, &mut tx, &mut run, &Event::Claimed, None).await?);
    tx.commit().await?;
    executor::start(app, run);
    after.perform(app);
    Ok(true)
}
