//! The events of a run's life, as the API lists them: `/runs/{id}/run-events`.
//!
//! The command line reads them before it waits and treats their absence as fatal.

use crate::document;
use authz::perm;
use axum::http::Method;
use db::{FromRow, args};
use http_api::{Cx, Error, Linkage, Reply, Resource, Result, Routes, include::Loaders};
use kernel::{
    Timestamp,
    ids::{RunEventId, RunId},
};
use serde_json::json;

#[derive(Clone, Debug, FromRow)]
struct Row {
    id: RunEventId,
    run_id: RunId,
    action: String,
    description: Option<String>,
    actor_id: Option<String>,
    comment_id: Option<String>,
    created_at: Timestamp,
}

const SELECT: &str = "SELECT e.id, e.run_id, e.action, e.description, e.actor_id, e.created_at,
    (SELECT MIN(c.id) FROM comments c WHERE c.run_event_id = e.id) AS comment_id FROM run_events e";

/// The operations on run events.
pub fn routes() -> Routes {
    Routes::new().op(Method::GET, "/runs/{id}/run-events", "runs.run-events.list", list).op(
        Method::GET,
        "/run-events/{id}",
        "runs.run-events.read",
        read,
    )
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("run-events", |cx, ids| async move {
        let marks: Vec<String> = (1..=ids.len()).map(|n| format!("${n}")).collect();
        let sql = format!("{SELECT} WHERE e.id IN ({}) ORDER BY e.number", marks.join(", "));
        let rows: Vec<Row> =
            cx.app.db.all(db::AssertSqlSafe(sql), ids.iter().map(db::Arg::from).collect()).await?;
        let readable = document::readable(&cx, rows.iter().map(|row| &row.run_id)).await?;
        Ok(rows.iter().filter(|row| readable.contains(&row.run_id)).map(resource).collect())
    });
}

async fn list(cx: Cx) -> Result<Reply> {
    let (run, ..) = document::granted::<perm::ReadRun>(&cx, cx.path("id")).await?;
    let sql = format!("{SELECT} WHERE e.run_id = $1 ORDER BY e.number");
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), args![run.id()]).await?;
    cx.list(rows.iter().map(resource).collect(), &["actor", "comment"]).await
}

async fn read(cx: Cx) -> Result<Reply> {
    let sql = format!("{SELECT} WHERE e.id = $1");
    let row: Row =
        cx.app.db.one(db::AssertSqlSafe(sql), args![cx.path("id")]).await?.ok_or(Error::NotFound)?;
    document::granted::<perm::ReadRun>(&cx, row.run_id.as_str()).await?;
    cx.one(resource(&row), &["actor", "comment"]).await
}

fn resource(row: &Row) -> Resource {
    let attributes = json!({
        "action": row.action, "description": row.description, "created-at": row.created_at.iso8601(),
        "target-type": null,
    });
    Resource::new("run-events", row.id.as_str(), &attributes)
        .relate("actor", Linkage::maybe("users", row.actor_id.clone()))
        .relate("comment", Linkage::maybe("comments", row.comment_id.clone()))
        .link("self", format!("/api/v2/run-events/{}", row.id))
}
