//! Taking up at a start what an earlier process began, and stopping what belongs to no run any more.

use super::{append, boot, spawn};
use crate::{
    jobs::Jobs,
    life::Event,
    runs::{self, Run},
};
use http_api::{App, Error, Result, blobs};
use kernel::{Timestamp, ids::RunId};
use runner::{Job, Signal};
use state::store;
use std::collections::HashMap;
use workspaces::workspaces::hold;

/// After a start: takes up the phases that an earlier process began, gives back those whose work is lost, and removes
/// what belongs to no run.
pub async fn recover(app: &App) -> Result<()> {
    let jobs = app.area::<Jobs>();
    let runner = jobs.runner.clone();
    let mut leftovers: HashMap<RunId, Job> =
        runner.leftovers().into_iter().map(|leftover| (leftover.job.run.clone(), leftover.job)).collect();
    let newest: Option<(Option<Timestamp>,)> =
        app.db.one("SELECT MAX(queued_at) FROM runs WHERE job IS NOT NULL", vec![]).await?;
    if let Some(newest) = newest.and_then(|(newest,)| newest) {
        jobs.queued_at(newest);
    }
    let leased: Vec<(RunId,)> = app.db.all("SELECT id FROM runs WHERE lease IS NOT NULL", vec![]).await?;
    for (id,) in leased {
        let run = runs::by_id(app, id.as_str()).await?;
        let begun = leftovers.remove(&id).filter(|job| Some(&job.lease) == run.row.lease.as_ref());
        match begun {
            Some(_) => {
                tracing::info!(run = %id, "taking up a phase that an earlier process began");
                spawn(app, run, true);
            }
            // The machine has not been started anew, so a directory that is not there never was: the engine had not
            // begun, and it is safe to begin now.
            None if run.row.lease.as_deref().is_some_and(|lease| lease.starts_with(boot(app))) => {
                tracing::info!(run = %id, "beginning a phase that an earlier process had only claimed");
                spawn(app, run, false);
            }
            None => {
                tracing::warn!(run = %id, "the work on a phase is lost");
                lose(app, run).await?;
            }
        }
    }
    for run in leftovers.into_keys().chain(runner.waiting()) {
        let wanted = match runs::by_id(app, run.as_str()).await {
            Ok(found) => !found.life.is_final(),
            Err(Error::NotFound) => false,
            Err(error) => return Err(error),
        };
        if !wanted && !jobs.runs().contains(&run) {
            runner.forget(&run).await.map_err(Error::internal)?;
        }
    }
    Ok(())
}

/// The work directory of a phase is gone. The newest state that the engine had handed over becomes current.
async fn lose(app: &App, run: Run) -> Result<()> {
    let snapshot = match &run.row.snapshot_id {
        Some(blob) => {
            Some(store::prepare(app, &run.row.organization_id, blobs::read(app, blob).await?).await?)
        }
        None => None,
    };
    let mut tx = app.db.begin().await?;
    let workspace = hold(&mut tx, &run.row.workspace_id).await?;
    let mut run = runs::in_tx(&mut tx, run.id()).await?;
    if let Some(state) = snapshot {
        run.row.state_version_id = Some(append(app, &mut tx, &workspace, &run, state).await?);
    }
    let spent = vec![run.row.snapshot_id.take()];
    let after = runs::advance(app, &mut tx, &mut run, &Event::LeaseLost, None).await?;
    runs::delete_blobs(&mut tx, spent).await?;
    tx.commit().await?;
    after.perform(app);
    Ok(())
}

/// Kills the processes of runs that are gone, as when their workspace was deleted.
pub async fn stop_orphans(app: &App) {
    let jobs = app.area::<Jobs>();
    for run in jobs.runs() {
        match runs::by_id(app, run.as_str()).await {
            Err(Error::NotFound) => jobs.signal(&run, Signal::Kill),
            Err(error) => tracing::warn!(%error, "could not look after a running job"),
            Ok(_) => {}
        }
    }
}
