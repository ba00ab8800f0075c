//! Runs of all organizations, as the administrators of the installation see and stop them.
//!
//! Only site admins; for everybody else these operations do not exist. Source: the Admin Runs API.

use crate::{actions, document, life};
use accounts::admin_organizations::only_site_admins;
use axum::http::Method;
use db::{Arg, FromRow, args};
use http_api::{Cx, Error, Linkage, Reply, Resource, Result, Routes};
use kernel::{
    Paged, Timestamp,
    ids::{RunId, WorkspaceId},
};
use serde_json::json;

/// The operations on runs for site admins.
pub fn routes() -> Routes {
    Routes::new().op(Method::GET, "/admin/runs", "runs.admin-runs.list", list).op(
        Method::POST,
        "/admin/runs/{id}/actions/force-cancel",
        "runs.admin-runs.force-cancel",
        force_cancel,
    )
}

const INCLUDES: &[&str] = &["workspace", "workspace.organization", "workspace.organization.owners"];

#[derive(Clone, Debug, FromRow)]
struct Row {
    id: RunId,
    workspace_id: WorkspaceId,
    life: String,
    created_at: Timestamp,
}

/// What a list asks, with its values.
async fn conditions(cx: &Cx) -> Result<(String, Vec<Arg>)> {
    let (mut texts, mut values) = (Vec::new(), Vec::<Arg>::new());
    if let Some(text) = cx.query("q").filter(|text| !text.is_empty()) {
        let run: Option<(RunId,)> = cx.app.db.one("SELECT id FROM runs WHERE id = $1", args![text]).await?;
        if run.is_some() {
            values.extend(args![text]);
            texts.push("r.id = $1".to_owned());
        } else {
            let escaped = text.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            values.extend(args![format!("%{escaped}%")]);
            texts.push(
                "(r.workspace_id IN (SELECT w.id FROM workspaces w WHERE LOWER(w.name) LIKE $1 ESCAPE '\\')
                  OR r.organization_id IN (SELECT o.id FROM organizations o WHERE LOWER(o.name) LIKE $1 ESCAPE '\\'))"
                    .to_owned(),
            );
        }
    }
    let statuses = cx.query_list("filter[status]");
    if !statuses.is_empty() {
        let marks: Vec<String> = (1..=statuses.len()).map(|n| format!("${}", values.len() + n)).collect();
        values.extend(statuses.into_iter().map(Arg::from));
        texts.push(format!("r.status IN ({})", marks.join(", ")));
    }
    for (name, compared) in [("filter[from]", ">="), ("filter[to]", "<=")] {
        let Some(text) = cx.query(name).filter(|text| !text.is_empty()) else { continue };
        // A plus sign that was not encoded has come as a space.
        let at = Timestamp::parse(&text.replace(' ', "+")).ok_or_else(|| {
            let why = format!("{name} must be an instant such as 2026-01-31T10:00:00Z, and is {text:?}");
            Error::bad_request("bad request", why)
        })?;
        values.extend(args![at]);
        texts.push(format!("r.created_at {compared} ${}", values.len()));
    }
    let text = if texts.is_empty() { "TRUE".to_owned() } else { texts.join(" AND ") };
    Ok((text, values))
}

async fn list(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let page = cx.page();
    let (condition, mut values) = conditions(&cx).await?;
    let next = values.len() + 1;
    values.extend(args![page.limit(), page.offset()]);
    let sql = format!(
        "SELECT r.id, r.workspace_id, r.life, r.created_at FROM runs r WHERE {condition}
         ORDER BY r.created_at DESC, r.id DESC LIMIT ${next} OFFSET ${}",
        next + 1
    );
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let items = rows.iter().map(document).collect::<Result<_>>()?;
    // All runs there ever were are too many to be counted for each request.
    cx.page_of(Paged { items, page, total: None }, INCLUDES).await
}

async fn force_cancel(mut cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let found: Option<(WorkspaceId,)> =
        cx.app.db.one("SELECT workspace_id FROM runs WHERE id = $1", args![cx.path("id")]).await?;
    let (workspace,) = found.ok_or(Error::NotFound)?;
    actions::force_cancel_at_once(&mut cx, &workspace).await
}

fn document(row: &Row) -> Result<Resource> {
    let life: life::Run = serde_json::from_str(&row.life).map_err(Error::internal)?;
    let attributes = json!({
        "created-at": row.created_at.iso8601(),
        "has-changes": life.has_changes.unwrap_or(false),
        "status": life.status.as_str(),
        "status-timestamps": document::timestamps(&life.status_timestamps),
    });
    Ok(Resource::new("runs", row.id.as_str(), &attributes)
        .relate("workspace", Linkage::One("workspaces", row.workspace_id.to_string()))
        .link("self", format!("/api/v2/runs/{}", row.id)))
}
