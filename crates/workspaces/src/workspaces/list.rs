//! The list of an organization's workspaces: filtered in the database by what the caller may see and asks for.

use super::{
    INCLUDES, SELECT, Workspace, document,
    shown::{Many, related},
};
use crate::{
    conditions::{Conditions, escape_like},
    tags,
};
use accounts::organizations;
use db::args;
use http_api::{Cx, Reply, Result};
use kernel::Paged;

pub(super) async fn list(cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let page = cx.page();
    let mut conditions = Conditions::of("w.organization_id", &organization.id);
    if let Some(visible) = conditions.visible(&grants) {
        conditions.require(visible);
    }
    if let Some(name) = cx.query("search[name]").filter(|name| !name.is_empty()) {
        conditions.contains("w.name", name);
    }
    if let Some(name) = cx.query("search[wildcard-name]").filter(|name| !name.is_empty()) {
        conditions.like("w.name", escape_like(&name.to_lowercase()).replace('*', "%"));
    }
    if let Some(project) = cx.query("filter[project][id]").filter(|id| !id.is_empty()) {
        let mark = conditions.mark(project);
        conditions.require(format!("w.project_id = {mark}"));
    }
    let statuses = cx.query_list("filter[current-run][status]");
    if !statuses.is_empty() {
        let marks = conditions.marks(statuses);
        conditions.require(format!(
            "EXISTS (SELECT 1 FROM runs r WHERE r.id = w.current_run_id AND r.status IN ({marks}))"
        ));
    }
    tags::filter(&cx, &mut conditions);
    // Of all of the organization's, which need not be counted.
    let filtered = conditions.count() > 1;
    let mut values = conditions.values();
    let condition = conditions.text();
    let counted = values.clone();
    let next = values.len() + 1;
    values.extend(args![page.limit(), page.offset()]);
    let (run, order) = (run_of(cx.query("sort")), order(cx.query("sort")));
    // The page is found by ids alone, which an index has, so that what is skipped is not read.
    let sql = format!(
        "{SELECT} {run} WHERE w.id IN (SELECT w.id FROM workspaces w {run} WHERE {condition} ORDER BY {order}
           LIMIT ${next} OFFSET ${}) ORDER BY {order}",
        next + 1
    );
    let rows: Vec<Workspace> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let total = match page.total_of(rows.len()) {
        Some(total) => Some((total,)),
        None if filtered => {
            let sql = format!("SELECT COUNT(*) FROM workspaces w WHERE {condition}");
            cx.app.db.one::<(i64,)>(db::AssertSqlSafe(sql), counted).await?
        }
        None => {
            let sql = "SELECT workspace_count FROM organizations WHERE id = $1";
            cx.app.db.one::<(i64,)>(sql, args![&organization.id]).await?
        }
    };
    let items = rows.iter().map(|row| document(row, &grants)).collect();
    let items = related(&cx, items, Many::List).await?;
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, INCLUDES).await
}

/// What the order of a list needs besides the workspaces.
fn run_of(sort: Option<&str>) -> &'static str {
    if sort.is_some_and(|sort| sort.contains("current-run")) {
        "LEFT JOIN runs cr ON cr.id = w.current_run_id"
    } else {
        ""
    }
}

/// The order of a list. Without a wish the oldest come first. Both that and the order by name are orders of an index.
fn order(sort: Option<&str>) -> &'static str {
    match sort.unwrap_or_default() {
        "name" => "w.organization_id, w.name",
        "-name" => "w.organization_id DESC, w.name DESC",
        "current-run.created-at" => "cr.created_at IS NULL, cr.created_at, w.name",
        "-current-run.created-at" => "cr.created_at IS NULL, cr.created_at DESC, w.name",
        "latest-change-at" => "w.latest_change_at, w.name",
        "-latest-change-at" => "w.latest_change_at DESC, w.name",
        _ => "w.organization_id, w.created_at, w.id",
    }
}
