//! Lists of runs: of a workspace, of an organization, of what waits for a runner.

use super::{INCLUDES, Related, attributes, documents, relationships, waiting_among, workspaces_of};
use crate::{
    life::{Status, StatusGroup},
    runs::{COLUMNS, Row, Run},
};
use accounts::organizations;
use authz::{Grants, Visible, perm};
use db::{Arg, args};
use http_api::{Cx, Error, Reply, Resource, Result};
use kernel::{Paged, Timestamp, ids::WorkspaceId};
use serde_json::json;
use workspaces::Workspace;

/// Conditions of a list, each with its values.
pub(crate) struct Filter {
    pub(crate) conditions: Vec<String>,
    pub(crate) values: Vec<Arg>,
}

impl Filter {
    pub(crate) fn add(&mut self, condition: &str, value: impl Into<Arg>) {
        self.values.push(value.into());
        self.conditions.push(condition.replace("{}", &format!("${}", self.values.len())));
    }

    pub(crate) fn any_of<'a>(&mut self, column: &str, allowed: impl IntoIterator<Item = &'a str>) {
        let marks: Vec<String> = allowed
            .into_iter()
            .map(|value| {
                self.values.push(Arg::from(value));
                format!("${}", self.values.len())
            })
            .collect();
        let list = if marks.is_empty() { "NULL".to_owned() } else { marks.join(", ") };
        self.conditions.push(format!("{column} IN ({list})"));
    }

    /// The filters and searches that both lists share.
    fn ask(&mut self, cx: &Cx) -> Result<()> {
        let operations = cx.query_list("filter[operation]");
        if operations.is_empty() {
            self.conditions.push("r.operation NOT IN ('plan_only', 'query')".to_owned());
        } else {
            self.any_of("r.operation", operations);
        }
        let statuses = cx.query_list("filter[status]");
        if !statuses.is_empty() {
            self.any_of("r.status", statuses);
        }
        let sources = cx.query_list("filter[source]");
        if !sources.is_empty() {
            self.any_of("r.source", sources);
        }
        if let Some(group) = cx.query("filter[status_group]").filter(|group| !group.is_empty()) {
            let group = StatusGroup::parse(group).ok_or_else(|| {
                Error::bad_request(
                    "bad request",
                    "filter[status_group] is one of final, non_final and discardable",
                )
            })?;
            self.any_of("r.status", group.statuses().map(Status::as_str));
        }
        let user = cx.query("search[user]").filter(|text| !text.is_empty());
        let commit = cx.query("search[commit]").filter(|text| !text.is_empty());
        if let Some(user) = user {
            self.add("u.username = {}", user);
        }
        if commit.is_some() {
            // No run comes from a commit yet.
            self.conditions.push("FALSE".to_owned());
        }
        let basic =
            cx.query("search[basic]").filter(|text| !text.is_empty() && user.is_none() && commit.is_none());
        if let Some(basic) = basic {
            let like = format!("%{}%", basic.to_lowercase().replace(['%', '_'], ""));
            self.add("(LOWER(r.id) LIKE {} OR LOWER(r.message) LIKE {} OR LOWER(u.username) LIKE {})", like);
        }
        Ok(())
    }

    fn from(&self) -> String {
        let conditions = self.conditions.join(" AND ");
        // Whoever made a run is looked up only where they decide.
        let users =
            if conditions.contains("u.username") { "LEFT JOIN users u ON u.id = r.created_by" } else { "" };
        format!("FROM runs r {users} WHERE {conditions}")
    }
}

/// A page of runs. It is found by ids alone, as far as an index has what decides, so that what is skipped is not read.
async fn page(cx: &Cx, filter: Filter, counted: bool, order: &str) -> Result<Reply> {
    let page = cx.page();
    let columns: Vec<String> = COLUMNS.split(',').map(|column| format!("r.{}", column.trim())).collect();
    let next = filter.values.len() + 1;
    let sql = format!(
        "SELECT {} FROM runs r WHERE r.id IN (SELECT r.id {} ORDER BY {order} LIMIT ${next} OFFSET ${}) ORDER BY {order}",
        columns.join(", "),
        filter.from(),
        next + 1
    );
    let mut values = filter.values.clone();
    values.extend(args![page.limit(), page.offset()]);
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let total = match page.total_of(rows.len()).filter(|_| counted) {
        None if counted => {
            let sql = format!("SELECT COUNT(*) {}", filter.from());
            cx.app.db.one::<(i64,)>(db::AssertSqlSafe(sql), filter.values).await?.map(|(n,)| n)
        }
        total => total,
    };
    let items = documents(cx, rows.into_iter().map(Run::decode).collect::<Result<_>>()?).await?;
    cx.page_of(Paged { items, page, total }, INCLUDES).await
}

/// The runs of the workspace that the query names, which is to be of the organization that it names.
pub(super) async fn list_named(cx: Cx) -> Result<Reply> {
    let wanted = cx.query("workspace_id").filter(|id| !id.is_empty()).ok_or_else(|| {
        Error::bad_request(
            "bad request",
            "say whose runs: workspace_id=WORKSPACE&organization_name=ORGANIZATION",
        )
    })?;
    let (workspace, _) = workspaces::workspaces::granted_by_id::<perm::ReadRun>(&cx, wanted).await?;
    if cx.query("organization_name").is_some_and(|name| !name.is_empty() && name != workspace.organization) {
        return Err(Error::NotFound);
    }
    list_of(&cx, &workspace).await
}

pub(super) async fn list_workspace(cx: Cx) -> Result<Reply> {
    let (workspace, _) = workspaces::workspaces::granted::<perm::ReadRun>(&cx).await?;
    list_of(&cx, &workspace).await
}

async fn list_of(cx: &Cx, workspace: &Workspace) -> Result<Reply> {
    let mut filter = Filter { conditions: vec![], values: vec![] };
    filter.add("r.workspace_id = {}", &workspace.id);
    filter.ask(cx)?;
    // Newest first: the command line counts what comes after its run as ahead of it.
    page(cx, filter, true, "r.number DESC").await
}

pub(super) async fn list_organization(cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let mut filter = Filter { conditions: vec![], values: vec![] };
    filter.add("r.organization_id = {}", &organization.id);
    visible_only(&mut filter, &grants);
    filter.ask(&cx)?;
    let names = cx.query_list("filter[workspace_names]");
    if !names.is_empty() {
        let mut named = Filter { conditions: vec![], values: std::mem::take(&mut filter.values) };
        named.any_of("name", names);
        filter.conditions.push(format!(
            "r.workspace_id IN (SELECT id FROM workspaces WHERE organization_id = $1 AND {})",
            named.conditions.join(" AND ")
        ));
        filter.values = named.values;
    }
    let pools = cx.query_list("filter[agent_pool_names]");
    if !pools.is_empty() {
        let mut named = Filter { conditions: vec![], values: std::mem::take(&mut filter.values) };
        named.any_of("a.name", pools);
        filter.conditions.push(format!(
            "r.workspace_id IN (SELECT w.id FROM workspaces w JOIN projects p ON p.id = w.project_id
               JOIN organizations o ON o.id = w.organization_id
               JOIN agent_pools a ON a.id = CASE WHEN w.overwrites_execution_mode THEN w.agent_pool_id
                 WHEN p.default_execution_mode IS NOT NULL THEN p.default_agent_pool_id
                 ELSE o.default_agent_pool_id END
               WHERE w.organization_id = $1 AND {})",
            named.conditions.join(" AND ")
        ));
        filter.values = named.values;
    }
    if let Some(from) = cx.query("filter[from]").filter(|text| !text.is_empty()) {
        // A plus sign that was not encoded has come as a space.
        let at = Timestamp::parse(&from.replace(' ', "+")).ok_or_else(|| {
            let why =
                format!("filter[from] must be an instant such as 2026-01-31T10:00:00Z, and is {from:?}");
            Error::bad_request("bad request", why)
        })?;
        filter.add("r.created_at >= {}", at);
    }
    let year = cx.query("filter[timeframe]").and_then(|text| text.parse::<i64>().ok());
    match year {
        Some(year) => {
            let start = |year: i64| Timestamp::parse(&format!("{year:04}-01-01T00:00:00Z"));
            if let (Some(from), Some(to)) = (start(year), start(year + 1)) {
                filter.add("r.created_at >= {}", from);
                filter.add("r.created_at < {}", to);
            }
        }
        None => filter.add("r.created_at >= {}", cx.app.now().plus_seconds(-366 * 24 * 3600)),
    }
    page(&cx, filter, false, "r.created_at DESC, r.id DESC").await
}

/// Leaves the runs of workspaces that the caller may see.
pub(crate) fn visible_only(filter: &mut Filter, grants: &Grants) {
    if let Visible::Of { workspaces, projects } = grants.visible() {
        let mut seen = Filter { conditions: vec![], values: std::mem::take(&mut filter.values) };
        seen.any_of("r.workspace_id", workspaces.iter().map(|id| id.as_str()));
        seen.any_of("project_id", projects.iter().map(|id| id.as_str()));
        filter.conditions.push(format!(
            "({} OR r.workspace_id IN (SELECT id FROM workspaces WHERE {}))",
            seen.conditions[0], seen.conditions[1]
        ));
        filter.values = seen.values;
    }
}

/// Runs that wait for a runner, in the order in which they will get one; then those that run.
pub(super) async fn queue(cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let mut filter = Filter { conditions: vec![], values: vec![] };
    filter.add("r.organization_id = {}", &organization.id);
    visible_only(&mut filter, &grants);
    filter.conditions.push("r.final = FALSE AND (r.job IS NOT NULL OR r.status = 'pending')".to_owned());
    let count = format!("SELECT COUNT(*), COUNT(r.lease) {}", filter.from());
    let counted: Option<(i64, i64)> = cx.app.db.one(db::AssertSqlSafe(count), filter.values.clone()).await?;
    let (total, running) = counted.unwrap_or_default();
    let page = cx.page();
    let columns: Vec<String> = COLUMNS.split(',').map(|column| format!("r.{}", column.trim())).collect();
    // Those that run come first; then applies, plans and speculative plans by age.
    let next = filter.values.len() + 1;
    let sql = format!(
        "SELECT {} {} ORDER BY (r.lease IS NULL), (r.job IS NULL), CASE WHEN r.job = 'apply' THEN 0
           WHEN r.operation IN ('plan_only', 'query') THEN 2 ELSE 1 END, COALESCE(r.queued_at, r.created_at), r.number
         LIMIT ${next} OFFSET ${}",
        columns.join(", "),
        filter.from(),
        next + 1
    );
    let mut values = filter.values;
    values.extend(args![page.limit(), page.offset()]);
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let queued: Vec<Run> = rows.into_iter().map(Run::decode).collect::<Result<_>>()?;
    let known = workspaces_of(&cx, &queued).await?;
    let workspace_of = |id: &WorkspaceId| known.get(id).map(|(workspace, _)| Workspace::clone(workspace));
    let mut waiting = waiting_among(&cx.app, &queued, workspace_of).await?;
    let mut items = Vec::new();
    for (place, run) in (page.offset() + 1..).zip(&queued) {
        let Some((workspace, grants)) = known.get(&run.row.workspace_id) else { continue };
        let links = Related::default();
        let waiting = waiting.remove(run.id());
        let mut attributes = attributes(run, workspace, grants, &links, waiting, cx.app.now());
        // Of those that wait, the ones that run count as before: the command line takes their number off again.
        attributes["position-in-queue"] = json!(if place > running { place } else { 0 });
        items.push(relationships(run, links, &attributes));
    }
    cx.page_of(Paged { items, page, total: Some(total) }, INCLUDES).await
}

pub(super) async fn capacity(cx: Cx) -> Result<Reply> {
    let (organization, _) = organizations::find(&cx, cx.path("organization")).await?;
    let found: Option<(i64, i64)> = cx
        .app
        .db
        .one(
            "SELECT COUNT(CASE WHEN lease IS NULL THEN 1 END), COUNT(CASE WHEN lease IS NOT NULL THEN 1 END)
             FROM runs WHERE organization_id = $1 AND final = FALSE AND (job IS NOT NULL OR status = 'pending')",
            args![&organization.id],
        )
        .await?;
    let (pending, running) = found.unwrap_or_default();
    let attributes = json!({ "pending": pending, "running": running });
    Ok(Reply::one(Resource::new("organization-capacity", organization.name.as_str(), &attributes)))
}
