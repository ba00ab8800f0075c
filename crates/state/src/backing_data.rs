//! Deleting the bytes of state versions: for now, for good, and by age.
//!
//! What is deleted for now can be restored and is read by nobody until then. Deleting for good takes the outputs along; the
//! version itself stays, with what is known of it. The current version keeps its bytes always. Only owners may do any of it,
//! besides the policy that an owner or an administrator of the workspace set ([`expire`]).
//! Source: the State Versions API; semantics.md §4.4.

use crate::{
    outputs,
    versions::{self, INCLUDES, StateVersion},
};
use authz::{Grants, perm};
use axum::http::Method;
use db::{FromRow, Tx, args};
use http_api::{App, Cx, Error, Reply, Result, Routes};
use kernel::{
    Timestamp,
    ids::{BlobId, StateVersionId, WorkspaceId},
};
use std::sync::Arc;
use workspaces::workspaces::hold;

const SOFT: &str = "backing_data_soft_deleted";
const PERMANENT: &str = "backing_data_permanently_deleted";

/// The operations on the bytes of state versions.
pub fn routes() -> Routes {
    Routes::new()
        .op(
            Method::POST,
            "/state-versions/{id}/actions/soft_delete_backing_data",
            "state.versions.soft-delete-backing-data",
            soft_delete,
        )
        .op(
            Method::POST,
            "/state-versions/{id}/actions/restore_backing_data",
            "state.versions.restore-backing-data",
            restore,
        )
        .op(
            Method::POST,
            "/state-versions/{id}/actions/permanently_delete_backing_data",
            "state.versions.permanently-delete-backing-data",
            permanently_delete,
        )
}

/// 400, as these actions answer in a wrong state.
fn refused(version: &StateVersion, wanted: &str) -> Error {
    Error::bad_request(
        "transition not allowed",
        format!(
            "transition not allowed: the data of {} can be {wanted}, and it is {}",
            version.id, version.status
        ),
    )
}

/// The version of the path in a transaction that holds its workspace, for an owner; and whether it is the current one.
async fn begin(cx: &Cx) -> Result<(Tx, StateVersion, bool, Arc<Grants>)> {
    let (version, grants) = versions::granted::<perm::ReadState>(cx, cx.path("id")).await?;
    if !grants.is_owner() {
        return Err(Error::NotFound);
    }
    let mut tx = cx.app.db.begin().await?;
    let workspace = hold(&mut tx, &version.workspace_id).await?;
    let version = versions::in_tx(&mut tx, &version.id).await?;
    let current = workspace.current_state_version_id.as_ref() == Some(&version.id);
    Ok((tx, version, current, grants))
}

async fn finish(cx: &Cx, tx: Tx, id: &StateVersionId, grants: Arc<Grants>) -> Result<Reply> {
    tx.commit().await?;
    let version = versions::by_id(&cx.app, id.as_str()).await?;
    cx.one(versions::one(&cx.app, version, grants).await?, INCLUDES).await
}

async fn soft_delete(cx: Cx) -> Result<Reply> {
    let (mut tx, version, current, grants) = begin(&cx).await?;
    if version.status != "finalized" || current {
        return Err(refused(&version, "deleted when it is finalized and not the workspace's current state"));
    }
    tx.exec(
        "UPDATE state_versions SET status = $2, deleted_blob_id = blob_id, deleted_json_blob_id = json_blob_id,
           blob_id = NULL, json_blob_id = NULL WHERE id = $1",
        args![&version.id, SOFT],
    )
    .await?;
    finish(&cx, tx, &version.id, grants).await
}

async fn restore(cx: Cx) -> Result<Reply> {
    let (mut tx, version, _, grants) = begin(&cx).await?;
    if version.status != SOFT {
        return Err(refused(&version, "restored after it was soft-deleted"));
    }
    tx.exec(
        "UPDATE state_versions SET status = 'finalized', blob_id = deleted_blob_id,
           json_blob_id = deleted_json_blob_id, deleted_blob_id = NULL, deleted_json_blob_id = NULL WHERE id = $1",
        args![&version.id],
    )
    .await?;
    finish(&cx, tx, &version.id, grants).await
}

async fn permanently_delete(cx: Cx) -> Result<Reply> {
    let (mut tx, version, _, grants) = begin(&cx).await?;
    if version.status != SOFT {
        return Err(refused(&version, "deleted for good after it was soft-deleted"));
    }
    destroy(&mut tx, &version.id).await?;
    finish(&cx, tx, &version.id, grants).await
}

/// Deletes the bytes and the outputs of a version for good.
async fn destroy(tx: &mut Tx, id: &StateVersionId) -> Result<()> {
    let sql = "SELECT blob_id, json_blob_id, deleted_blob_id, deleted_json_blob_id FROM state_versions WHERE id = $1";
    type Blobs = (Option<BlobId>, Option<BlobId>, Option<BlobId>, Option<BlobId>);
    let (a, b, c, d): Blobs = tx.one(sql, args![id]).await?.ok_or(Error::NotFound)?;
    for blob in [a, b, c, d].into_iter().flatten() {
        tx.exec("DELETE FROM blobs WHERE id = $1", args![&blob]).await?;
    }
    outputs::delete(tx, id).await?;
    tx.exec(
        "UPDATE state_versions SET status = $2, blob_id = NULL, json_blob_id = NULL, deleted_blob_id = NULL,
           deleted_json_blob_id = NULL WHERE id = $1",
        args![id, PERMANENT],
    )
    .await
    .map(drop)
}

#[derive(FromRow)]
struct Old {
    id: StateVersionId,
    workspace_id: WorkspaceId,
}

/// Versions that may be deleted by age: neither current nor what an unfinished run has written.
const EXPIRED: &str = "SELECT v.id, v.workspace_id FROM state_versions v JOIN workspaces w ON w.id = v.workspace_id
    JOIN organizations o ON o.id = w.organization_id
  WHERE COALESCE(w.data_retention, o.data_retention) = $1 AND v.created_at < $2
    AND v.status IN ('finalized', 'discarded', 'backing_data_soft_deleted')
    AND (w.current_state_version_id IS NULL OR w.current_state_version_id <> v.id)
    AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.workspace_id = w.id AND r.final = FALSE AND r.state_version_id = v.id)";

/// Deletes for good what is older than `before` in the workspaces that follow a stored policy. Returns how many versions.
pub async fn expire(app: &App, policy: &str, before: Timestamp) -> Result<usize> {
    let mut deleted = 0;
    loop {
        let sql = format!("{EXPIRED} ORDER BY v.created_at LIMIT 500");
        let old: Vec<Old> = app.db.all(db::AssertSqlSafe(sql), args![policy, before]).await?;
        let found = old.len();
        for old in old {
            let mut tx = app.db.begin().await?;
            match hold(&mut tx, &old.workspace_id).await {
                Err(Error::NotFound) => continue,
                other => other.map(drop)?,
            }
            // It may have become current, or the policy another, since.
            let sql = format!("{EXPIRED} AND v.id = $3");
            let still: Option<Old> = tx.one(db::AssertSqlSafe(sql), args![policy, before, &old.id]).await?;
            if still.is_some() {
                destroy(&mut tx, &old.id).await?;
                tx.commit().await?;
                deleted += 1;
            }
        }
        if found < 500 {
            return Ok(deleted);
        }
    }
}
