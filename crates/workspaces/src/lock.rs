//! The lock of a workspace: held by a user, a team or a run, by one at a time.
//!
//! The details of the 409s are matched by the official SDK (`is locked by Run|Team|User`). Unlocking is refused with 503
//! while the newest state version still waits for its upload. Source: semantics.md §2; sdk-conformance.md §4.

use crate::workspaces::{self, Workspace};
use authz::{Actor, perm};
use axum::http::Method;
use db::{Tx, args};
use http_api::{Cx, Error, Reply, Result, Routes, changes::Change};
use kernel::ids::{RunId, WorkspaceId};

/// The operations on locks.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::POST, "/workspaces/{id}/actions/lock", "workspaces.lock.lock", lock)
        .op(Method::POST, "/workspaces/{id}/actions/unlock", "workspaces.lock.unlock", unlock)
        .op(
            Method::POST,
            "/workspaces/{id}/actions/force-unlock",
            "workspaces.lock.force-unlock",
            force_unlock,
        )
}

/// Kind and id of the holder that a caller would be. An organization's token holds no locks.
pub fn holder(actor: &Actor) -> Result<(&'static str, String)> {
    match actor {
        Actor::User { id, .. } => Ok(("user", id.to_string())),
        Actor::Team { id, .. } => Ok(("team", id.to_string())),
        Actor::Run { id, .. } => Ok(("run", id.to_string())),
        Actor::Organization { .. } | Actor::AuditTrail { .. } | Actor::Scim { .. } => Err(Error::NotFound),
    }
}

/// Whether this caller holds the lock.
pub fn held_by(workspace: &Workspace, actor: &Actor) -> bool {
    holder(actor).is_ok_and(|(kind, id)| {
        workspace.lock_kind.as_deref() == Some(kind) && workspace.lock_holder.as_deref() == Some(id.as_str())
    })
}

/// `Run run-…`, `User alice`, for a sentence; `nobody` when unlocked.
pub async fn holder_name(tx: &mut Tx, workspace: &Workspace) -> Result<String> {
    let id = workspace.lock_holder.clone().unwrap_or_default();
    Ok(match workspace.lock_kind.as_deref() {
        Some("run") => format!("Run {id}"),
        Some("team") => {
            let found: Option<(String,)> = tx.one("SELECT name FROM teams WHERE id = $1", args![&id]).await?;
            format!("Team {}", found.map_or(id, |(name,)| name))
        }
        Some(_) => {
            let found: Option<(String,)> =
                tx.one("SELECT username FROM users WHERE id = $1", args![&id]).await?;
            format!("User {}", found.map_or(id, |(name,)| name))
        }
        None => "nobody".to_owned(),
    })
}

async fn lock(mut cx: Cx) -> Result<Reply> {
    let (workspace, grants) = workspaces::granted::<perm::Lock>(&cx).await?;
    let reason = cx.action_field("reason").await?.unwrap_or_default();
    let (kind, id) = holder(cx.actor()?)?;
    let mut tx = cx.app.db.begin().await?;
    let held = workspaces::hold(&mut tx, &workspace.id).await?;
    if kind == "run" {
        return of_the_run(&held, &id, &grants);
    }
    if held.lock_kind.is_some() {
        let name = holder_name(&mut tx, &held).await?;
        return Err(Error::conflict(format!(
            "Unable to lock workspace. The workspace is already locked by {name}."
        )));
    }
    set(&mut tx, &held.id, Some((kind, &id, &reason))).await?;
    let locked = workspaces::hold(&mut tx, &held.id).await?;
    tx.commit().await?;
    cx.app.changes.tell(change(&locked));
    Ok(Reply::one(workspaces::document(&locked, &grants)))
}

/// A run holds its workspace's lock as long as it works there, and neither takes nor gives it back by asking; the engine
/// inside may ask all the same.
fn of_the_run(held: &Workspace, run: &str, grants: &authz::Grants) -> Result<Reply> {
    if held.lock_kind.as_deref() == Some("run") && held.lock_holder.as_deref() == Some(run) {
        return Ok(Reply::one(workspaces::document(held, grants)));
    }
    Err(Error::conflict(format!(
        "Unable to lock workspace. The workspace is not held by run {run}, which asks for it."
    )))
}

async fn unlock(cx: Cx) -> Result<Reply> {
    let (workspace, grants) = workspaces::granted::<perm::Lock>(&cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let held = workspaces::hold(&mut tx, &workspace.id).await?;
    if let Actor::Run { id, .. } = cx.actor()? {
        return of_the_run(&held, id.as_str(), &grants);
    }
    if held.lock_kind.is_none() {
        return Err(Error::conflict("Unable to unlock workspace. The workspace is not locked."));
    }
    if !held_by(&held, cx.actor()?) {
        let name = holder_name(&mut tx, &held).await?;
        return Err(Error::conflict(format!(
            "Unable to unlock workspace. The workspace is locked by {name}."
        )));
    }
    let newest: Option<(String,)> = tx
        .one(
            "SELECT status FROM state_versions WHERE workspace_id = $1 ORDER BY number DESC LIMIT 1",
            args![&held.id],
        )
        .await?;
    if newest.is_some_and(|(status,)| status == "pending") {
        return Err(Error::Unavailable(
            "The latest state version is still pending: upload its state, then unlock.".to_owned(),
        ));
    }
    release(cx, tx, held, &grants).await
}

async fn force_unlock(cx: Cx) -> Result<Reply> {
    let (workspace, grants) = workspaces::granted::<perm::ForceUnlock>(&cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let held = workspaces::hold(&mut tx, &workspace.id).await?;
    match held.lock_kind.as_deref() {
        None => {
            return Err(Error::conflict("Unable to force unlock workspace. The workspace is not locked."));
        }
        Some("run") => {
            let run = held.lock_holder.clone().unwrap_or_default();
            return Err(Error::conflict(format!(
                "Unable to force unlock workspace. The workspace is locked by Run {run}: cancel or discard that run \
                 instead, which releases the lock."
            )));
        }
        Some(_) => {}
    }
    tx.exec(
        "UPDATE state_versions SET status = 'discarded' WHERE workspace_id = $1 AND status = 'pending'",
        args![&held.id],
    )
    .await?;
    release(cx, tx, held, &grants).await
}

async fn release(cx: Cx, mut tx: Tx, held: Workspace, grants: &authz::Grants) -> Result<Reply> {
    set(&mut tx, &held.id, None).await?;
    let unlocked = workspaces::hold(&mut tx, &held.id).await?;
    tx.commit().await?;
    cx.app.changes.tell(change(&unlocked));
    // A run may have waited for this.
    cx.app.pulse();
    Ok(Reply::one(workspaces::document(&unlocked, grants)))
}

fn change(workspace: &Workspace) -> Change {
    Change { organization: workspace.organization_id.clone(), workspace: workspace.id.clone(), run: None }
}

/// Sets or clears the holder. Call with the row held.
async fn set(tx: &mut Tx, id: &WorkspaceId, to: Option<(&str, &str, &str)>) -> Result<()> {
    tx.exec(
        "UPDATE workspaces SET lock_kind = $2, lock_holder = $3, lock_reason = $4 WHERE id = $1",
        args![id, to.map(|(kind, ..)| kind), to.map(|(_, holder, _)| holder), to.map(|(.., reason)| reason)],
    )
    .await
    .map(drop)
}

/// A run takes the lock of its workspace. Call with the row held and unlocked.
pub async fn take_for_run(tx: &mut Tx, id: &WorkspaceId, run: &RunId) -> Result<()> {
    set(tx, id, Some(("run", run.as_str(), ""))).await
}

/// A run that ended gives its lock back; another holder's lock stays.
pub async fn release_for_run(tx: &mut Tx, id: &WorkspaceId, run: &RunId) -> Result<()> {
    tx.exec(
        "UPDATE workspaces SET lock_kind = NULL, lock_holder = NULL, lock_reason = NULL
         WHERE id = $1 AND lock_kind = 'run' AND lock_holder = $2",
        args![id, run],
    )
    .await
    .map(drop)
}
