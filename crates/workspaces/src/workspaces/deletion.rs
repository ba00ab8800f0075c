//! Deleting workspaces: whatever they hold, or only where nothing is lost.

use super::{Workspace, granted, hold};
use authz::perm;
use db::{Tx, args};
use http_api::{Cx, Error, Reply, Result};

pub(super) async fn delete(cx: Cx) -> Result<Reply> {
    let (workspace, grants) = granted::<perm::DeleteWorkspace>(&cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let held = hold(&mut tx, &workspace.id).await?;
    let force = grants.workspace(&held.id, &held.project_id).force_delete;
    if held.resource_count > 0 && !force {
        return Err(Error::Forbidden(
            "This workspace still manages resources, and the organization allows only owners to delete such \
             workspaces. Destroy the resources first, or use safe-delete."
                .to_owned(),
        ));
    }
    remove(&mut tx, &held).await?;
    tx.commit().await?;
    cx.app.pulse();
    Ok(Reply::no_content())
}

pub(super) async fn safe_delete(cx: Cx) -> Result<Reply> {
    let (workspace, _) = granted::<perm::DeleteWorkspace>(&cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let held = hold(&mut tx, &workspace.id).await?;
    if held.lock_kind.is_some() {
        return Err(Error::conflict("Workspace is currently locked, and cannot be safely deleted."));
    }
    if held.resource_count > 0 {
        return Err(Error::conflict(
            "Workspace still manages resources. Destroy them first, or delete the workspace without safe-delete.",
        ));
    }
    remove(&mut tx, &held).await?;
    tx.commit().await?;
    cx.app.pulse();
    Ok(Reply::no_content())
}

/// Deletes a workspace with everything in it. Runs in progress notice that they are gone and stop.
pub(crate) async fn remove(tx: &mut Tx, workspace: &Workspace) -> Result<()> {
    tx.exec(
        "DELETE FROM blobs WHERE id IN (
           SELECT blob_id FROM configuration_versions WHERE workspace_id = $1
           UNION SELECT blob_id FROM state_versions WHERE workspace_id = $1
           UNION SELECT json_blob_id FROM state_versions WHERE workspace_id = $1
           UNION SELECT deleted_blob_id FROM configuration_versions WHERE workspace_id = $1
           UNION SELECT deleted_blob_id FROM state_versions WHERE workspace_id = $1
           UNION SELECT deleted_json_blob_id FROM state_versions WHERE workspace_id = $1
           UNION SELECT e.blob_id FROM plan_exports e JOIN runs r ON r.id = e.run_id WHERE r.workspace_id = $1
           UNION SELECT d.log_id FROM deleted_run_data d JOIN runs r ON r.id = d.run_id WHERE r.workspace_id = $1
           UNION SELECT d.json_id FROM deleted_run_data d JOIN runs r ON r.id = d.run_id WHERE r.workspace_id = $1
           UNION SELECT d.redacted_id FROM deleted_run_data d JOIN runs r ON r.id = d.run_id WHERE r.workspace_id = $1
           UNION SELECT plan_log_id FROM runs WHERE workspace_id = $1
           UNION SELECT plan_json_id FROM runs WHERE workspace_id = $1
           UNION SELECT plan_redacted_id FROM runs WHERE workspace_id = $1
           UNION SELECT kept_id FROM runs WHERE workspace_id = $1
           UNION SELECT apply_log_id FROM runs WHERE workspace_id = $1
           UNION SELECT snapshot_id FROM runs WHERE workspace_id = $1)",
        args![&workspace.id],
    )
    .await?;
    tx.exec("DELETE FROM workspaces WHERE id = $1", args![&workspace.id]).await?;
    tx.exec(
        "UPDATE organizations SET workspace_count = workspace_count - 1 WHERE id = $1",
        args![&workspace.organization_id],
    )
    .await
    .map(drop)
}
