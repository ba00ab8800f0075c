//! Workspaces of all organizations, as the administrators of the installation see and delete them.
//!
//! Only site admins; for everybody else these operations do not exist. Source: the Admin Workspaces API.

use crate::{conditions::Conditions, workspaces};
use accounts::admin_organizations::only_site_admins;
use axum::http::Method;
use db::{FromRow, args};
use http_api::{Cx, Error, Linkage, Reply, Resource, Result, Routes};
use kernel::{
    Paged,
    ids::{RunId, WorkspaceId},
};
use serde_json::json;

/// The operations on workspaces for site admins.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::GET, "/admin/workspaces", "workspaces.admin-workspaces.list", list)
        .op(Method::GET, "/admin/workspaces/{id}", "workspaces.admin-workspaces.read", read)
        .op(Method::DELETE, "/admin/workspaces/{id}", "workspaces.admin-workspaces.delete", delete)
}

const INCLUDES: &[&str] = &["organization", "organization.owners", "current_run"];

#[derive(Clone, Debug, FromRow)]
struct Row {
    id: WorkspaceId,
    name: String,
    organization: String,
    locked: bool,
    current_run_id: Option<RunId>,
}

const SELECT: &str =
    "SELECT w.id, w.name, o.name AS organization, w.lock_kind IS NOT NULL AS locked, w.current_run_id
  FROM workspaces w JOIN organizations o ON o.id = w.organization_id";

async fn list(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let page = cx.page();
    let mut conditions = Conditions::none();
    if let Some(text) = cx.query("q").filter(|text| !text.is_empty()) {
        conditions.contains("w.name", text);
    }
    let statuses = cx.query_list("filter[current_run][status]");
    if !statuses.is_empty() {
        let marks = conditions.marks(statuses);
        conditions.require(format!(
            "EXISTS (SELECT 1 FROM runs r WHERE r.id = w.current_run_id AND r.status IN ({marks}))"
        ));
    }
    let (condition, mut values) = (conditions.text(), conditions.values());
    let total: Option<(i64,)> = if conditions.count() == 0 {
        // Kept by the organizations, because counting 100,000 rows costs more than the page.
        let sql = "SELECT CAST(COALESCE(SUM(workspace_count), 0) AS BIGINT) FROM organizations";
        cx.app.db.one(sql, vec![]).await?
    } else {
        let sql = format!("SELECT COUNT(*) FROM workspaces w WHERE {condition}");
        cx.app.db.one(db::AssertSqlSafe(sql), values.clone()).await?
    };
    let next = values.len() + 1;
    values.extend(args![page.limit(), page.offset()]);
    let (join, order) = order(cx.query("sort").unwrap_or_default());
    let sql =
        format!("{SELECT} {join} WHERE {condition} ORDER BY {order} LIMIT ${next} OFFSET ${}", next + 1);
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let items = rows.iter().map(document).collect();
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, INCLUDES).await
}

/// What an order needs besides, and the order. Without a wish, what changed last comes first, as a run that began does.
fn order(sort: &str) -> (&'static str, &'static str) {
    const RUNS: &str = "LEFT JOIN runs cr ON cr.id = w.current_run_id";
    match sort {
        "name" => ("", "w.name, w.id"),
        "-name" => ("", "w.name DESC, w.id"),
        "current-run.created-at" => (RUNS, "cr.created_at IS NULL, cr.created_at, w.id"),
        "-current-run.created-at" => (RUNS, "cr.created_at IS NULL, cr.created_at DESC, w.id"),
        _ => ("", "w.latest_change_at DESC, w.id"),
    }
}

async fn find(cx: &Cx) -> Result<Row> {
    only_site_admins(cx)?;
    let sql = format!("{SELECT} WHERE w.id = $1");
    cx.app.db.one(db::AssertSqlSafe(sql), args![cx.path("id")]).await?.ok_or(Error::NotFound)
}

async fn read(cx: Cx) -> Result<Reply> {
    let row = find(&cx).await?;
    cx.one(document(&row), INCLUDES).await
}

/// Deletes a workspace with everything in it, whatever it still manages and whoever holds its lock.
async fn delete(cx: Cx) -> Result<Reply> {
    let row = find(&cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let held = workspaces::hold(&mut tx, &row.id).await?;
    workspaces::remove(&mut tx, &held).await?;
    tx.commit().await?;
    cx.app.pulse();
    Ok(Reply::no_content())
}

fn document(row: &Row) -> Resource {
    let attributes = json!({ "name": row.name, "locked": row.locked, "vcs-repo": null });
    Resource::new("workspaces", row.id.as_str(), &attributes)
        .relate("organization", Linkage::One("organizations", row.organization.clone()))
        .relate("current-run", Linkage::maybe("runs", row.current_run_id.as_ref().map(RunId::as_str)))
        .link("self", format!("/api/v2/admin/workspaces/{}", row.id))
}
