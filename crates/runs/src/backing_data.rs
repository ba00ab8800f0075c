//! Deleting the bytes of plans and applies: for now, and for good.
//!
//! They are the log, and of a plan what it says in JSON and its exports. Only owners may delete them, and only when the run
//! has ended. What is deleted for now is read by nobody and can be restored for [`RESTORABLE`]; then it goes for good. The
//! run stays, with what is known of it; so does an errored state, which may be all that is left of what an apply did.
//! Source: the Plans and Applies APIs.

use crate::{
    jobs::Jobs,
    runs::{self, COLUMNS, Run},
};
use authz::perm;
use axum::http::Method;
use db::{FromRow, Tx, args};
use http_api::{App, Cx, Error, Reply, Result, Routes};
use kernel::ids::{BlobId, RunId};
use workspaces::workspaces::hold;

/// Seconds that what was deleted for now can be restored: 30 days.
pub const RESTORABLE: i64 = 30 * 24 * 3600;

/// The operations on the bytes of plans and applies.
pub fn routes() -> Routes {
    Routes::new()
        .op(
            Method::POST,
            "/plans/{id}/actions/soft-delete-backing-data",
            "runs.plans.soft-delete-backing-data",
            soft_delete,
        )
        .op(
            Method::POST,
            "/plans/{id}/actions/restore-backing-data",
            "runs.plans.restore-backing-data",
            restore,
        )
        .op(
            Method::POST,
            "/plans/{id}/actions/permanently-delete-backing-data",
            "runs.plans.permanently-delete-backing-data",
            permanently_delete,
        )
        .op(
            Method::POST,
            "/applies/{id}/actions/soft-delete-backing-data",
            "runs.applies.soft-delete-backing-data",
            soft_delete,
        )
        .op(
            Method::POST,
            "/applies/{id}/actions/restore-backing-data",
            "runs.applies.restore-backing-data",
            restore,
        )
        .op(
            Method::POST,
            "/applies/{id}/actions/permanently-delete-backing-data",
            "runs.applies.permanently-delete-backing-data",
            permanently_delete,
        )
}

/// What was deleted of a plan or an apply.
#[derive(Clone, Debug, FromRow)]
struct Deleted {
    restorable: bool,
    log_id: Option<BlobId>,
    json_id: Option<BlobId>,
    redacted_id: Option<BlobId>,
}

/// A plan or an apply whose bytes somebody decides on, in a transaction that holds its workspace.
struct Begun {
    tx: Tx,
    run: Run,
    is_plan: bool,
    deleted: Option<Deleted>,
}

impl Begun {
    fn phase_id(&self) -> &str {
        if self.is_plan { self.run.row.plan_id.as_str() } else { self.run.row.apply_id.as_str() }
    }

    /// 400, as these actions answer in a wrong state.
    fn refused(&self, wanted: &str) -> Error {
        let is = match &self.deleted {
            Some(Deleted { restorable: true, .. }) => "soft-deleted",
            Some(_) => "permanently deleted",
            None if self.run.life.is_final() => "not deleted",
            None => "still needed, because its run has not ended",
        };
        Error::bad_request(
            "transition not allowed",
            format!(
                "transition not allowed: the data of {} can be {wanted}, and it is {is}",
                self.phase_id()
            ),
        )
    }

    /// Writes where the run's own row says that the bytes are.
    async fn point(&mut self, at: &Deleted) -> Result<()> {
        let id = self.run.id();
        let done = if self.is_plan {
            let sql =
                "UPDATE runs SET plan_log_id = $2, plan_json_id = $3, plan_redacted_id = $4 WHERE id = $1";
            let args = args![id, at.log_id.as_ref(), at.json_id.as_ref(), at.redacted_id.as_ref()];
            self.tx.exec(sql, args).await
        } else {
            let sql = "UPDATE runs SET apply_log_id = $2 WHERE id = $1";
            self.tx.exec(sql, args![id, at.log_id.as_ref()]).await
        };
        done.map(drop)
    }

    async fn finish(self, app: &App) -> Result<Reply> {
        let phase = self.phase_id().to_owned();
        self.tx.commit().await?;
        app.area::<Jobs>().drop_log(&phase);
        Ok(Reply::no_content())
    }
}

/// The plan or the apply of the path, for an owner.
async fn begin(cx: &Cx) -> Result<Begun> {
    let id = cx.path("id");
    let is_plan = cx.uri.path().contains("/plans/");
    let column = if is_plan { "plan_id" } else { "apply_id" };
    let sql = format!("SELECT {COLUMNS} FROM runs WHERE {column} = $1");
    let row: runs::Row = cx.app.db.one(db::AssertSqlSafe(sql), args![id]).await?.ok_or(Error::NotFound)?;
    let (workspace, grants) =
        workspaces::workspaces::granted_by_id::<perm::ReadRun>(cx, row.workspace_id.as_str()).await?;
    if !grants.is_owner() {
        return Err(Error::NotFound);
    }
    let mut tx = cx.app.db.begin().await?;
    hold(&mut tx, &workspace.id).await?;
    let run = runs::in_tx(&mut tx, &row.id).await?;
    let sql = "SELECT restorable, log_id, json_id, redacted_id FROM deleted_run_data WHERE phase_id = $1";
    let deleted: Option<Deleted> = tx.one(sql, args![id]).await?;
    Ok(Begun { tx, run, is_plan, deleted })
}

async fn soft_delete(cx: Cx) -> Result<Reply> {
    let mut begun = begin(&cx).await?;
    if !begun.run.life.is_final() || begun.deleted.is_some() {
        return Err(begun.refused("deleted when its run has ended"));
    }
    let row = &begun.run.row;
    let (log, json, redacted) = if begun.is_plan {
        (row.plan_log_id.clone(), row.plan_json_id.clone(), row.plan_redacted_id.clone())
    } else {
        (row.apply_log_id.clone(), None, None)
    };
    let (phase, now) = (begun.phase_id().to_owned(), cx.app.now());
    begun
        .tx
        .exec(
            "INSERT INTO deleted_run_data (phase_id, run_id, restorable, log_id, json_id, redacted_id, deleted_at)
             VALUES ($1, $2, TRUE, $3, $4, $5, $6)",
            args![&phase, &row.id, log.as_ref(), json.as_ref(), redacted.as_ref(), now],
        )
        .await?;
    begun.point(&Deleted { restorable: true, log_id: None, json_id: None, redacted_id: None }).await?;
    begun.finish(&cx.app).await
}

async fn restore(cx: Cx) -> Result<Reply> {
    let mut begun = begin(&cx).await?;
    let Some(deleted) = begun.deleted.clone().filter(|deleted| deleted.restorable) else {
        return Err(begun.refused("restored after it was soft-deleted"));
    };
    begun.point(&deleted).await?;
    let phase = begun.phase_id().to_owned();
    begun.tx.exec("DELETE FROM deleted_run_data WHERE phase_id = $1", args![&phase]).await?;
    begun.finish(&cx.app).await
}

async fn permanently_delete(cx: Cx) -> Result<Reply> {
    let mut begun = begin(&cx).await?;
    if !begun.deleted.as_ref().is_some_and(|deleted| deleted.restorable) {
        return Err(begun.refused("deleted for good after it was soft-deleted"));
    }
    let (phase, run) = (begun.phase_id().to_owned(), begun.run.id().clone());
    destroy(&mut begun.tx, &phase, &run).await?;
    begun.finish(&cx.app).await
}

/// Deletes for good what was deleted for now; of a plan also what was exported of it.
async fn destroy(tx: &mut Tx, phase: &str, run: &RunId) -> Result<()> {
    tx.exec(
        "DELETE FROM blobs WHERE id IN (
           SELECT log_id FROM deleted_run_data WHERE phase_id = $1
           UNION SELECT json_id FROM deleted_run_data WHERE phase_id = $1
           UNION SELECT redacted_id FROM deleted_run_data WHERE phase_id = $1
           UNION SELECT e.blob_id FROM plan_exports e JOIN runs r ON r.id = e.run_id WHERE r.plan_id = $1)",
        args![phase],
    )
    .await?;
    if phase.starts_with("plan-") {
        tx.exec("UPDATE plan_exports SET blob_id = NULL WHERE run_id = $1", args![run]).await?;
    }
    tx.exec(
        "UPDATE deleted_run_data SET restorable = FALSE, log_id = NULL, json_id = NULL, redacted_id = NULL
         WHERE phase_id = $1",
        args![phase],
    )
    .await
    .map(drop)
}

/// Deletes for good what can be restored no longer.
pub(crate) async fn expire(app: &App) -> Result<()> {
    let before = app.now().plus_seconds(-RESTORABLE);
    let sql = "SELECT phase_id, run_id FROM deleted_run_data WHERE restorable AND deleted_at < $1";
    for (phase, run) in app.db.all::<(String, RunId)>(sql, args![before]).await? {
        let mut tx = app.db.begin().await?;
        // The row is the lock: it may have been restored since, and then there is nothing to delete.
        tx.exec("UPDATE deleted_run_data SET deleted_at = deleted_at WHERE phase_id = $1", args![&phase])
            .await?;
        destroy(&mut tx, &phase, &run).await?;
        tx.commit().await?;
    }
    Ok(())
}
