//! The list of an organization's workspaces: filtered in the database by what the caller may see and asks for.

use super::{INCLUDES, SELECT, Workspace, document};
use crate::tags;
use accounts::organizations;
use authz::Visible;
use db::{Arg, args};
use http_api::{Cx, Reply, Result};
use kernel::Paged;

pub(super) async fn list(cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let page = cx.page();
    let mut values = args![&organization.id];
    let mut conditions = vec!["w.organization_id = $1".to_owned()];
    let mut add = |conditions: &mut Vec<String>, text: &str, value: Arg| {
        values.push(value);
        conditions.push(text.replace("{}", &format!("${}", values.len())));
    };
    if let Visible::Of { workspaces, projects } = grants.visible() {
        let (mut ids, mut groups) = (Vec::new(), Vec::new());
        for id in workspaces {
            add(&mut ids, "{}", Arg::from(id));
        }
        for id in projects {
            add(&mut groups, "{}", Arg::from(id));
        }
        // An empty list is `IN (NULL)`, which holds for nothing.
        let list = |marks: Vec<String>| if marks.is_empty() { "NULL".to_owned() } else { marks.join(", ") };
        conditions.push(format!("(w.id IN ({}) OR w.project_id IN ({}))", list(ids), list(groups)));
    }
    let unfiltered = conditions.len() == 1;
    let like = |text: &str| format!("%{}%", escape_like(&text.to_lowercase()));
    if let Some(name) = cx.query("search[name]").filter(|name| !name.is_empty()) {
        add(&mut conditions, "LOWER(w.name) LIKE {} ESCAPE '\\'", Arg::from(like(name)));
    }
    if let Some(name) = cx.query("search[wildcard-name]").filter(|name| !name.is_empty()) {
        let pattern = escape_like(&name.to_lowercase()).replace('*', "%");
        add(&mut conditions, "LOWER(w.name) LIKE {} ESCAPE '\\'", Arg::from(pattern));
    }
    if let Some(project) = cx.query("filter[project][id]").filter(|id| !id.is_empty()) {
        add(&mut conditions, "w.project_id = {}", Arg::from(project));
    }
    let statuses = cx.query_list("filter[current-run][status]");
    if !statuses.is_empty() {
        let mut marks = Vec::new();
        for status in statuses {
            add(&mut marks, "{}", Arg::from(status));
        }
        conditions.push(format!(
            "EXISTS (SELECT 1 FROM runs r WHERE r.id = w.current_run_id AND r.status IN ({}))",
            marks.join(", ")
        ));
    }
    tags::filter(&cx, |text, value| {
        values.push(value);
        conditions.push(text.replace("{}", &format!("${}", values.len())));
    });
    let filtered = !unfiltered || conditions.len() > 1;
    let condition = conditions.join(" AND ");
    let total = if filtered {
        let sql = format!("SELECT COUNT(*) FROM workspaces w WHERE {condition}");
        cx.app.db.one::<(i64,)>(db::AssertSqlSafe(sql), values.clone()).await?
    } else {
        cx.app
            .db
            .one::<(i64,)>("SELECT workspace_count FROM organizations WHERE id = $1", args![&organization.id])
            .await?
    };
    let next = values.len() + 1;
    values.extend(args![page.limit(), page.offset()]);
    let sql = format!(
        "{} {} WHERE {condition} ORDER BY {} LIMIT ${next} OFFSET ${}",
        SELECT,
        if cx.query("sort").is_some_and(|sort| sort.contains("current-run")) {
            "LEFT JOIN runs cr ON cr.id = w.current_run_id"
        } else {
            ""
        },
        order(cx.query("sort")),
        next + 1
    );
    let rows: Vec<Workspace> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        items.push(tags::name_effective(&cx, document(row, &grants), row).await?);
    }
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, INCLUDES).await
}

/// The order of a list. Without a wish it is by name, which is also the order that the index gives.
fn order(sort: Option<&str>) -> &'static str {
    match sort.unwrap_or_default() {
        "-name" => "w.organization_id DESC, w.name DESC",
        "current-run.created-at" => "cr.created_at IS NULL, cr.created_at, w.name",
        "-current-run.created-at" => "cr.created_at IS NULL, cr.created_at DESC, w.name",
        "latest-change-at" => "w.latest_change_at, w.name",
        "-latest-change-at" => "w.latest_change_at DESC, w.name",
        _ => "w.organization_id, w.name",
    }
}

/// Text to be found as it is inside a LIKE pattern with `\` as its escape.
pub(crate) fn escape_like(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
