//! Who decides when: lets pending runs leave the line, and gives waiting jobs to free runners.
//!
//! Level-triggered: [`pass`] looks at what is stored and does what the rules say; asking too often is harmless, asking
//! again after a crash repairs. It is woken by pulses and looks by itself every [`PERIOD`].

use crate::{
    document::{entries, lock_kind},
    executor,
    jobs::Jobs,
    life::{Event, Job},
    queue::{Candidate, Kind, Line, pick},
    runs::{self, After, Run},
};
use db::{FromRow, args};
use http_api::{App, Error, Result};
use kernel::{
    Timestamp,
    ids::{OrganizationId, RunId, WorkspaceId},
};
use std::time::Duration;
use workspaces::workspaces::hold;

/// How often it looks without being woken.
const PERIOD: Duration = Duration::from_secs(5);
/// Jobs considered at a time.
const WINDOW: i64 = 500;

/// Schedules until the server closes.
pub async fn run(app: App) {
    let mut pulses = app.pulses();
    loop {
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

/// One look: starts what may start, then fills the free places.
pub async fn pass(app: &App) -> Result<()> {
    start_pending(app).await?;
    while app.area::<Jobs>().has_room() {
        let Some(candidate) = next_job(app).await? else { break };
        unless_gone(claim(app, &candidate).await)?;
    }
    Ok(())
}

/// A workspace or run that was deleted since it was looked at is no failure.
fn unless_gone(result: Result<()>) -> Result<()> {
    match result {
        Err(Error::NotFound) => Ok(()),
        other => other,
    }
}

async fn start_pending(app: &App) -> Result<()> {
    // Of locked workspaces only runs that ignore the lock can start.
    let workspaces: Vec<(WorkspaceId,)> = app
        .db
        .all(
            "SELECT DISTINCT r.workspace_id FROM runs r JOIN workspaces w ON w.id = r.workspace_id
             WHERE r.final = FALSE AND r.status = 'pending'
               AND (w.lock_kind IS NULL OR r.operation IN ('plan_only', 'save_plan'))",
            vec![],
        )
        .await?;
    for (workspace,) in workspaces {
        unless_gone(start_in(app, &workspace).await)?;
    }
    Ok(())
}

/// Starts what may start in one workspace. Where a place is free and nobody waits for it, the job is claimed in the same
/// transaction: the usual case costs one commit.
async fn start_in(app: &App, workspace: &WorkspaceId) -> Result<()> {
    let waiting: Option<(String,)> =
        app.db.one("SELECT id FROM runs WHERE job IS NOT NULL AND lease IS NULL LIMIT 1", vec![]).await?;
    let mut tx = app.db.begin().await?;
    let held = hold(&mut tx, workspace).await?;
    let open = runs::open_in_tx(&mut tx, workspace).await?;
    let line = Line { lock: lock_kind(&held), open: entries(&open) };
    let startable: Vec<RunId> = line.startable().into_iter().cloned().collect();
    let mut after = After::default();
    let mut claimed: Option<Run> = None;
    for id in startable {
        let mut run = runs::in_tx(&mut tx, &id).await?;
        after.and(runs::advance(app, &mut tx, &mut run, &Event::Started, None).await?);
        if waiting.is_none() && claimed.is_none() && app.area::<Jobs>().has_room() {
            run.row.lease = Some(executor::new_lease(app));
            after.and(runs::advance(app, &mut tx, &mut run, &Event::Claimed, None).await?);
            claimed = Some(run);
        }
    }
    tx.commit().await?;
    if let Some(run) = claimed {
        executor::start(app, run);
    }
    after.perform(app);
    Ok(())
}

#[derive(FromRow)]
struct Waiting {
    id: RunId,
    workspace_id: WorkspaceId,
    organization_id: OrganizationId,
    job: String,
    operation: String,
    queued_at: Timestamp,
}

async fn next_job(app: &App) -> Result<Option<Candidate>> {
    let waiting: Vec<Waiting> = app
        .db
        .all(
            "SELECT id, workspace_id, organization_id, job, operation, COALESCE(queued_at, created_at) AS queued_at
             FROM runs WHERE job IS NOT NULL AND lease IS NULL
             ORDER BY CASE WHEN job = 'apply' THEN 0 ELSE 1 END, queued_at, number LIMIT $1",
            args![WINDOW],
        )
        .await?;
    // The plan of a run whose apply waits may not be put away yet; its end wakes us.
    let jobs = app.area::<Jobs>();
    let waiting: Vec<Waiting> = waiting.into_iter().filter(|w| !jobs.works_on(&w.id)).collect();
    if waiting.is_empty() {
        return Ok(None);
    }
    let running: Vec<(OrganizationId, i64)> = app
        .db
        .all("SELECT organization_id, COUNT(*) FROM runs WHERE job IS NOT NULL AND lease IS NOT NULL GROUP BY organization_id", vec![])
        .await?;
    let running: Vec<(OrganizationId, u32)> =
        running.into_iter().map(|(id, n)| (id, u32::try_from(n).unwrap_or(u32::MAX))).collect();
    let mut candidates: Vec<Candidate> = waiting
        .into_iter()
        .map(|w| Candidate {
            kind: match (w.job.as_str(), w.operation.as_str()) {
                ("apply", _) => Kind::Apply,
                (_, "plan_only") => Kind::Speculative,
                _ => Kind::Plan,
            },
            run: w.id,
            workspace: w.workspace_id,
            organization: w.organization_id,
            queued_at: w.queued_at,
        })
        .collect();
    // The process's own places decide about room; the counts decide about fairness.
    let chosen = pick(&candidates, &running, u32::MAX, app.now());
    Ok(chosen.map(|index| candidates.swap_remove(index)))
}

async fn claim(app: &App, candidate: &Candidate) -> Result<()> {
    let mut tx = app.db.begin().await?;
    hold(&mut tx, &candidate.workspace).await?;
    let mut run = runs::in_tx(&mut tx, &candidate.run).await?;
    let queued = matches!(run.life.job(), Some(Job::Plan | Job::Apply)) && !run.life.has_process();
    if !queued || run.row.lease.is_some() {
        // Somebody was faster; the next look sees it.
        return Ok(());
    }
    run.row.lease = Some(executor::new_lease(app));
    let after = runs::advance(app, &mut tx, &mut run, &Event::Claimed, None).await?;
    tx.commit().await?;
    executor::start(app, run);
    after.perform(app);
    Ok(())
}
