//! Comments on runs: `/runs/{id}/comments`.

use crate::{document, runs};
use authz::perm;
use axum::http::Method;
use db::{FromRow, args};
use http_api::{
    Cx, Data, Error, Linkage, Reply, Resource, Result, Routes, changes::Change, include::Loaders,
};
use kernel::{
    Timestamp,
    ids::{CommentId, RunEventId, RunId, UserId},
};
use serde::Deserialize;
use serde_json::json;
use workspaces::workspaces::hold;

#[derive(Clone, Debug, FromRow)]
struct Row {
    id: CommentId,
    run_id: RunId,
    run_event_id: RunEventId,
    body: String,
    user_id: UserId,
    created_at: Timestamp,
}

const COLUMNS: &str = "id, run_id, run_event_id, body, user_id, created_at";

/// The operations on comments.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::GET, "/runs/{id}/comments", "runs.comments.list", list)
        .op(Method::POST, "/runs/{id}/comments", "runs.comments.create", create)
        .op(Method::GET, "/comments/{id}", "runs.comments.read", read)
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("comments", |cx, ids| async move {
        let marks: Vec<String> = (1..=ids.len()).map(|n| format!("${n}")).collect();
        let sql = format!(
            "SELECT {COLUMNS} FROM comments WHERE id IN ({}) ORDER BY created_at, id",
            marks.join(", ")
        );
        let rows: Vec<Row> =
            cx.app.db.all(db::AssertSqlSafe(sql), ids.iter().map(db::Arg::from).collect()).await?;
        let readable = document::readable(&cx, rows.iter().map(|row| &row.run_id)).await?;
        Ok(rows.iter().filter(|row| readable.contains(&row.run_id)).map(resource).collect())
    });
}

async fn find(cx: &Cx, id: &str) -> Result<Row> {
    let sql = format!("SELECT {COLUMNS} FROM comments WHERE id = $1");
    let row: Row = cx.app.db.one(db::AssertSqlSafe(sql), args![id]).await?.ok_or(Error::NotFound)?;
    document::granted::<perm::ReadRun>(cx, row.run_id.as_str()).await?;
    Ok(row)
}

async fn list(cx: Cx) -> Result<Reply> {
    let (run, ..) = document::granted::<perm::ReadRun>(&cx, cx.path("id")).await?;
    let sql = format!("SELECT {COLUMNS} FROM comments WHERE run_id = $1 ORDER BY created_at, id");
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), args![run.id()]).await?;
    cx.list(rows.iter().map(resource).collect(), &["run_event", "run_event.actor"]).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attributes {
    body: String,
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let (run, workspace, _) = document::granted::<perm::QueuePlan>(&cx, cx.path("id")).await?;
    let data: Data<Attributes> = cx.data().await?;
    if data.attributes.body.trim().is_empty() {
        return Err(Error::invalid("body", "Body can't be blank"));
    }
    let mut tx = cx.app.db.begin().await?;
    hold(&mut tx, &workspace.id).await?;
    let by = cx.actor()?.user_id().clone();
    let id = runs::comment(&cx.app, &mut tx, run.id(), &data.attributes.body, &by).await?;
    tx.commit().await?;
    cx.app.changes.tell(Change {
        organization: workspace.organization_id.clone(),
        workspace: workspace.id.clone(),
        run: Some(run.id().clone()),
    });
    let row = find(&cx, id.as_str()).await?;
    Ok(Reply::created(resource(&row)))
}

async fn read(cx: Cx) -> Result<Reply> {
    let row = find(&cx, cx.path("id")).await?;
    cx.one(resource(&row), &["run_event", "run_event.actor"]).await
}

fn resource(row: &Row) -> Resource {
    let attributes = json!({ "body": row.body, "created-at": row.created_at.iso8601() });
    Resource::new("comments", row.id.as_str(), &attributes)
        .relate("run-event", Linkage::One("run-events", row.run_event_id.to_string()))
        .relate("user", Linkage::One("users", row.user_id.to_string()))
        .link("self", format!("/api/v2/comments/{}", row.id))
}
