//! What people do to runs: apply, discard, cancel, force-cancel, force-execute.
//!
//! Each answers 202 without a body; a wrong state is 409 `transition not allowed` and leaves the run as it is. The body is
//! optional: bare, wrapped, or none. Source: semantics.md §1.3; transitions T24, T25, T31–T33.

use crate::{
    document,
    life::Event,
    queue::{Entry, Line},
    runs::{self, After, Run},
};
use authz::{Granted, perm};
use axum::http::Method;
use db::Tx;
use http_api::{App, Cx, Reply, Result, Routes};
use kernel::ids::{UserId, WorkspaceId};
use workspaces::{Workspace, workspaces::hold};

/// The actions on runs.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::POST, "/runs/{id}/actions/apply", "runs.actions.apply", apply)
        .op(Method::POST, "/runs/{id}/actions/discard", "runs.actions.discard", discard)
        .op(Method::POST, "/runs/{id}/actions/cancel", "runs.actions.cancel", cancel)
        .op(Method::POST, "/runs/{id}/actions/force-cancel", "runs.actions.force-cancel", force_cancel)
        .op(Method::POST, "/runs/{id}/actions/force-execute", "runs.actions.force-execute", force_execute)
}

/// The workspace of the path's run, with the proof of `P`; then the comment that came along.
async fn asked<P: authz::WorkspacePermission>(
    cx: &mut Cx,
) -> Result<(Granted<P, Workspace>, Option<String>)> {
    let (_, workspace, _) = document::granted::<P>(cx, cx.path("id")).await?;
    let comment = cx.action_field("comment").await?;
    Ok((workspace, comment))
}

/// The run of the path, inside a transaction that holds its workspace.
async fn begin<P>(cx: &Cx, workspace: &Granted<P, Workspace>) -> Result<(Tx, Run, Workspace, UserId)> {
    let by = cx.actor()?.user_id().clone();
    let mut tx = cx.app.db.begin().await?;
    let workspace = hold(&mut tx, &workspace.id).await?;
    let run = runs::in_tx(&mut tx, &cx.path("id").into()).await?;
    Ok((tx, run, workspace, by))
}

/// Stores the event with the comment that came along, and does what follows.
async fn finish(
    app: &App,
    mut tx: Tx,
    run: &mut Run,
    event: &Event,
    by: &UserId,
    comment: Option<String>,
) -> Result<Reply> {
    let after = runs::advance(app, &mut tx, run, event, Some(by)).await?;
    if let Some(comment) = comment {
        runs::comment_on_newest(app, &mut tx, run.id(), &comment, by).await?;
    }
    tx.commit().await?;
    after.perform(app);
    Ok(Reply::accepted())
}

async fn apply(mut cx: Cx) -> Result<Reply> {
    let (granted, comment) = asked::<perm::ApplyRun>(&mut cx).await?;
    let (mut tx, mut run, workspace, by) = begin(&cx, &granted).await?;
    let open = runs::open_in_tx(&mut tx, &workspace.id).await?;
    let line = Line { lock: document::lock_kind(&workspace), open: document::entries(&open) };
    if crate::life::actions(&run.life, cx.app.now()).is_confirmable {
        line.may_confirm(Entry { id: run.id(), run: &run.life })?;
    }
    finish(&cx.app, tx, &mut run, &Event::Confirmed { by: by.clone() }, &by, comment).await
}

async fn discard(mut cx: Cx) -> Result<Reply> {
    let (granted, comment) = asked::<perm::ApplyRun>(&mut cx).await?;
    let (tx, mut run, _, by) = begin(&cx, &granted).await?;
    finish(&cx.app, tx, &mut run, &Event::Discarded { by: Some(by.clone()) }, &by, comment).await
}

pub(crate) async fn cancel(mut cx: Cx) -> Result<Reply> {
    let (granted, comment) = asked::<perm::ApplyRun>(&mut cx).await?;
    let (tx, mut run, _, by) = begin(&cx, &granted).await?;
    let cool_off = u32::try_from(cx.app.settings.force_cancel_cool_off_seconds).unwrap_or(u32::MAX);
    let event = Event::CancelRequested { by: Some(by.clone()), cool_off_seconds: cool_off };
    finish(&cx.app, tx, &mut run, &event, &by, comment).await
}

/// The run of the path ends at once, whatever it does, without a wait after a request to cancel it: for site admins, whose
/// business the caller has checked.
pub(crate) async fn force_cancel_at_once(cx: &mut Cx, workspace: &WorkspaceId) -> Result<Reply> {
    let comment = cx.action_field("comment").await?;
    let by = cx.actor()?.user_id().clone();
    let mut tx = cx.app.db.begin().await?;
    hold(&mut tx, workspace).await?;
    let mut run = runs::in_tx(&mut tx, &cx.path("id").into()).await?;
    finish(&cx.app, tx, &mut run, &Event::ForceCanceled { by: by.clone(), at_once: true }, &by, comment).await
}

pub(crate) async fn force_cancel(mut cx: Cx) -> Result<Reply> {
    let (granted, comment) = asked::<perm::ForceCancel>(&mut cx).await?;
    let (tx, mut run, _, by) = begin(&cx, &granted).await?;
    finish(&cx.app, tx, &mut run, &Event::ForceCanceled { by: by.clone(), at_once: false }, &by, comment)
        .await
}

async fn force_execute(mut cx: Cx) -> Result<Reply> {
    let (granted, _) = asked::<perm::ApplyRun>(&mut cx).await?;
    let (mut tx, run, workspace, by) = begin(&cx, &granted).await?;
    let open = runs::open_in_tx(&mut tx, &workspace.id).await?;
    let line = Line { lock: document::lock_kind(&workspace), open: document::entries(&open) };
    let events = line.force_execute(run.id(), &by, cx.app.now())?;
    let mut after = After::default();
    for (id, event) in events {
        let mut run = runs::in_tx(&mut tx, &id).await?;
        after.and(runs::advance(&cx.app, &mut tx, &mut run, &event, Some(&by)).await?);
    }
    tx.commit().await?;
    after.perform(&cx.app);
    Ok(Reply::accepted())
}
