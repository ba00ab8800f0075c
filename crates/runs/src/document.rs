//! Runs as the API shows them: read, listed, and the queue of an organization.
//!
//! `waiting-for` says why a run has not begun: an addition to TFE's API. Source: the Runs API; semantics.md §1.5, §1.6, §2.

use crate::{
    create,
    life::{self, Status, StatusGroup},
    operations,
    queue::{Entry, Line, Lock, WaitingFor},
    run_triggers,
    runs::{self, COLUMNS, Row, Run},
    scheduler,
};
use accounts::{execution, organizations};
use authz::{Grants, Visible, WorkspacePermission, perm};
use axum::http::Method;
use db::{Arg, args};
use http_api::{App, Cx, Error, Linkage, Reply, Resource, Result, Routes, include::Loaders};
use kernel::{
    Paged, Timestamp,
    ids::{OrganizationId, RunId, UserId, WorkspaceId},
};
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};
use workspaces::Workspace;

/// What a run document may include.
pub const INCLUDES: &[&str] = &[
    "plan",
    "apply",
    "created_by",
    "confirmed_by",
    "canceled_by",
    "cost_estimate",
    "configuration_version",
    "configuration_version.ingress_attributes",
    "workspace",
    "workspace.organization",
    "run_events",
    "run_events.actor",
    "comments",
    "task_stages",
    "policy_checks",
];

/// The operations that read runs, and the one that makes them.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::POST, "/runs", "runs.runs.create", create::create)
        .op(Method::GET, "/runs", "runs.runs.list-by-query", list_named)
        .op(Method::GET, "/runs/{id}", "runs.runs.read", read)
        .op(Method::GET, "/workspaces/{id}/runs", "runs.runs.list", list_workspace)
        .op(
            Method::GET,
            "/organizations/{organization}/runs",
            "runs.runs.list-organization",
            list_organization,
        )
        .op(Method::GET, "/organizations/{organization}/runs/queue", "runs.queue.list", queue)
        .op(Method::GET, "/organizations/{organization}/capacity", "runs.capacity.read", capacity)
        .op(Method::GET, "/runs/{id}/policy-checks", "runs.policy-checks.list", none)
        .op(Method::GET, "/runs/{id}/task-stages", "runs.task-stages.list", none)
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("runs", |cx, ids| async move {
        let marks: Vec<String> = (1..=ids.len()).map(|n| format!("${n}")).collect();
        let sql = format!("SELECT {COLUMNS} FROM runs WHERE id IN ({})", marks.join(", "));
        let rows: Vec<Row> =
            cx.app.db.all(db::AssertSqlSafe(sql), ids.iter().map(Arg::from).collect()).await?;
        documents(&cx, rows.into_iter().map(Run::decode).collect::<Result<_>>()?).await
    });
}

/// What a run's document links to beyond its own row.
#[derive(Clone, Debug, Default)]
pub struct Related {
    events: Vec<String>,
    comments: Vec<String>,
    /// The run's own variables, for those who may read variables.
    variables: Option<Vec<(String, String)>>,
}

impl Related {
    /// Of a run that was just made with these variables.
    pub(crate) async fn of_new(
        app: &App,
        run: &Run,
        variables: Option<Vec<(String, String)>>,
    ) -> Result<Self> {
        let sql = "SELECT id FROM run_events WHERE run_id = $1 ORDER BY number";
        let events: Vec<(String,)> = app.db.all(sql, args![run.id()]).await?;
        let variables = variables.filter(|list| !list.is_empty());
        Ok(Self { events: events.into_iter().map(|(id,)| id).collect(), comments: vec![], variables })
    }
}

/// A workspace whose runs the caller may see, with what they hold in it.
type Readable = (authz::Granted<perm::ReadRun, Workspace>, Arc<Grants>);

/// Runs of any workspaces as their documents; those that the caller may not see are left out. One query per kind.
async fn documents(cx: &Cx, found: Vec<Run>) -> Result<Vec<Resource>> {
    let mut related = related(&cx.app, &found).await?;
    let known = workspaces_of(cx, &found).await?;
    let mut documents = Vec::new();
    for found in &found {
        if let Some((workspace, grants)) = known.get(&found.row.workspace_id) {
            let links = related.remove(found.id()).unwrap_or_default();
            documents.push(run(&cx.app, found, workspace, grants, links));
        }
    }
    Ok(documents)
}

/// The workspaces of runs, each with what the caller holds in it, as far as they may see its runs. One query.
pub(crate) async fn workspaces_of(cx: &Cx, runs: &[Run]) -> Result<BTreeMap<WorkspaceId, Readable>> {
    let ids = runs.iter().map(|run| run.row.workspace_id.clone());
    workspaces::workspaces::granted_among(cx, ids).await
}

/// Those of these runs that the caller may see, in two statements.
pub(crate) async fn readable<'a>(cx: &Cx, runs: impl Iterator<Item = &'a RunId>) -> Result<HashSet<RunId>> {
    let mut ids: Vec<&RunId> = runs.collect();
    ids.sort();
    ids.dedup();
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let marks: Vec<String> = (1..=ids.len()).map(|n| format!("${n}")).collect();
    let sql = format!("SELECT id, workspace_id FROM runs WHERE id IN ({})", marks.join(", "));
    let rows: Vec<(RunId, WorkspaceId)> =
        cx.app.db.all(db::AssertSqlSafe(sql), ids.into_iter().map(Arg::from).collect()).await?;
    let of = rows.iter().map(|(_, workspace)| workspace.clone());
    let known = workspaces::workspaces::granted_among::<perm::ReadRun>(cx, of).await?;
    Ok(rows.into_iter().filter(|(_, workspace)| known.contains_key(workspace)).map(|(run, _)| run).collect())
}

/// The events and comments of runs, in two queries, and what variables they were given, in one.
async fn related(app: &App, runs: &[Run]) -> Result<HashMap<RunId, Related>> {
    let mut related: HashMap<RunId, Related> = HashMap::new();
    if runs.is_empty() {
        return Ok(related);
    }
    let marks: Vec<String> = (1..=runs.len()).map(|n| format!("${n}")).collect();
    let ids = || runs.iter().map(|run| Arg::from(run.id())).collect::<Vec<_>>();
    let marks = marks.join(", ");
    let events = format!("SELECT run_id, id FROM run_events WHERE run_id IN ({marks}) ORDER BY number");
    for (run, id) in app.db.all::<(RunId, String)>(db::AssertSqlSafe(events), ids()).await? {
        related.entry(run).or_default().events.push(id);
    }
    let comments =
        format!("SELECT run_id, id FROM comments WHERE run_id IN ({marks}) ORDER BY created_at, id");
    for (run, id) in app.db.all::<(RunId, String)>(db::AssertSqlSafe(comments), ids()).await? {
        related.entry(run).or_default().comments.push(id);
    }
    for (run, variables) in own_variables(app, runs).await? {
        related.entry(run).or_default().variables = Some(variables);
    }
    Ok(related)
}

/// The variables that runs were given when they were made, of those that were given some.
async fn own_variables(app: &App, runs: &[Run]) -> Result<Vec<(RunId, Vec<(String, String)>)>> {
    let given: Vec<Arg> =
        runs.iter().filter(|run| run.options.has_variables).map(|run| Arg::from(run.id())).collect();
    if given.is_empty() {
        return Ok(vec![]);
    }
    let marks: Vec<String> = (1..=given.len()).map(|n| format!("${n}")).collect();
    let sql = format!("SELECT id, organization_id, variables FROM runs WHERE id IN ({})", marks.join(", "));
    let rows: Vec<(RunId, OrganizationId, Vec<u8>)> = app.db.all(db::AssertSqlSafe(sql), given).await?;
    let mut found = Vec::new();
    for (run, organization, sealed) in rows {
        let key = app.data_key(&organization).await?;
        let plain = key.open(run.as_str(), &sealed).map_err(Error::internal)?;
        let variables: runs::Variables = serde_json::from_slice(&plain).map_err(Error::internal)?;
        found.push((run, variables.run));
    }
    Ok(found)
}

/// The run of the path with the proof of `P` in its workspace.
pub async fn granted<P: WorkspacePermission>(
    cx: &Cx,
    id: &str,
) -> Result<(Run, authz::Granted<P, Workspace>, Arc<Grants>)> {
    let run = runs::by_id(&cx.app, id).await?;
    let (workspace, grants) =
        workspaces::workspaces::granted_by_id::<P>(cx, run.row.workspace_id.as_str()).await?;
    Ok((run, workspace, grants))
}

async fn read(cx: Cx) -> Result<Reply> {
    let (found, workspace, grants) = granted::<perm::ReadRun>(&cx, cx.path("id")).await?;
    let links = related(&cx.app, std::slice::from_ref(&found)).await?.remove(found.id()).unwrap_or_default();
    let mut waiting =
        waiting_among(&cx.app, std::slice::from_ref(&found), |_| Some(Workspace::clone(&workspace))).await?;
    let mut waiting = waiting.remove(found.id());
    if matches!(waiting, Some(WaitingFor::Runner | WaitingFor::RunsCeiling { .. })) {
        waiting = agent_of(&cx.app, &workspace).await?.or(waiting);
    }
    let document = document(&cx.app, &found, &workspace, &grants, links, waiting);
    cx.one(document, INCLUDES).await
}

/// Why runs have not begun what is next, of those that wait: at most four statements, for the lines in which they stand, for
/// the people and the teams who hold their workspaces, and for ceilings. That an agent is waited for, only [`read`] says.
async fn waiting_among(
    app: &App,
    runs: &[Run],
    workspace_of: impl Fn(&WorkspaceId) -> Option<Workspace>,
) -> Result<HashMap<RunId, WaitingFor>> {
    let waits =
        |run: &&Run| matches!(run.life.status, Status::Pending | Status::PlanQueued | Status::ApplyQueued);
    let mut ids: Vec<&WorkspaceId> = runs.iter().filter(waits).map(|run| &run.row.workspace_id).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let known: Vec<Workspace> = ids.iter().filter_map(|id| workspace_of(id)).collect();
    let marks: Vec<String> = (1..=ids.len()).map(|n| format!("${n}")).collect();
    let sql = format!(
        "SELECT {COLUMNS} FROM runs WHERE workspace_id IN ({}) AND final = FALSE ORDER BY workspace_id, number",
        marks.join(", ")
    );
    let rows: Vec<Row> = app.db.all(db::AssertSqlSafe(sql), ids.into_iter().map(Arg::from).collect()).await?;
    let open: Vec<Run> = rows.into_iter().map(Run::decode).collect::<Result<_>>()?;
    let mut waiting = HashMap::new();
    for (workspace, lock) in known.iter().zip(locks_of(app, &known).await?) {
        let of = |run: &&Run| run.row.workspace_id == workspace.id;
        let open = open.iter().filter(of).map(|run| Entry { id: run.id(), run: &run.life }).collect();
        let line = Line { lock, open };
        for run in runs.iter().filter(of) {
            waiting.extend(line.waiting_for(run.id()).map(|reason| (run.id().clone(), reason)));
        }
    }
    if waiting.values().any(|reason| *reason == WaitingFor::Runner) {
        let shares = scheduler::shares(app).await?;
        for run in runs.iter().filter(waits) {
            let Some(reason @ WaitingFor::Runner) = waiting.get_mut(run.id()) else { continue };
            let full = shares.iter().find(|s| s.organization == run.row.organization_id && s.is_full());
            if let Some(ceiling) = full.and_then(|share| share.ceiling) {
                *reason = WaitingFor::RunsCeiling { ceiling };
            }
        }
    }
    Ok(waiting)
}

/// The agent that the workspace's runs wait for, if they do.
async fn agent_of(app: &App, workspace: &Workspace) -> Result<Option<WaitingFor>> {
    let Some(pool) = workspace.agent_pool_id.as_ref().filter(|_| workspace.execution_mode == "agent") else {
        return Ok(None);
    };
    let mut tx = app.db.begin().await?;
    let sql = "SELECT name FROM agent_pools WHERE id = $1";
    let name = tx.one::<(String,)>(sql, args![pool]).await?.map_or_else(String::new, |(name,)| name);
    let user = execution::User::Workspace(&workspace.id, &workspace.project_id);
    let usable =
        execution::usable(&mut tx, pool, &workspace.organization_id, user, execution::OF_WORKSPACES).await;
    let allowed = match usable {
        Err(Error::Invalid(_)) => false,
        other => other.map(|()| true)?,
    };
    Ok(Some(WaitingFor::Agent { pool: pool.to_string(), name, allowed }))
}

/// Runs as the rules of the queue see them.
pub fn entries(open: &[Run]) -> Vec<Entry<'_>> {
    open.iter().map(|run| Entry { id: run.id(), run: &run.life }).collect()
}

/// The locks of workspaces as the rules of the queue see them, with names for people: at most two statements.
async fn locks_of(app: &App, workspaces: &[Workspace]) -> Result<Vec<Lock>> {
    let mut locks: Vec<Lock> = workspaces.iter().map(lock_kind).collect();
    for (teams, sql) in [(true, "SELECT id, name FROM teams"), (false, "SELECT id, username FROM users")] {
        let mut held: Vec<&mut String> = locks
            .iter_mut()
            .filter_map(|lock| match lock {
                Lock::Team(holder) if teams => Some(holder),
                Lock::User(holder) if !teams => Some(holder),
                _ => None,
            })
            .collect();
        if held.is_empty() {
            continue;
        }
        let marks: Vec<String> = (1..=held.len()).map(|n| format!("${n}")).collect();
        let sql = format!("{sql} WHERE id IN ({})", marks.join(", "));
        let values = held.iter().map(|holder| Arg::from(&**holder)).collect();
        let names: HashMap<String, String> =
            app.db.all::<(String, String)>(db::AssertSqlSafe(sql), values).await?.into_iter().collect();
        for holder in &mut held {
            if let Some(name) = names.get(&**holder) {
                holder.clone_from(name);
            }
        }
    }
    Ok(locks)
}

/// The same without names, for decisions that only ask who it is.
pub fn lock_kind(workspace: &Workspace) -> Lock {
    let holder = workspace.lock_holder.clone().unwrap_or_default();
    match workspace.lock_kind.as_deref() {
        None => Lock::Free,
        Some("run") => Lock::Run(holder.into()),
        Some("team") => Lock::Team(holder),
        Some(_) => Lock::User(holder),
    }
}

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
async fn list_named(cx: Cx) -> Result<Reply> {
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

async fn list_workspace(cx: Cx) -> Result<Reply> {
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

async fn list_organization(cx: Cx) -> Result<Reply> {
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
async fn queue(cx: Cx) -> Result<Reply> {
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

async fn capacity(cx: Cx) -> Result<Reply> {
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

/// There are no policy checks and no task stages yet, and clients wait for whatever they are told of.
async fn none(cx: Cx) -> Result<Reply> {
    granted::<perm::ReadRun>(&cx, cx.path("id")).await?;
    cx.page_of(
        Paged { items: vec![], page: cx.page(), total: Some(0) },
        &["run", "run.workspace", "task_results", "policy_evaluations"],
    )
    .await
}

/// A run as the holder of `grants` sees it.
pub fn run(app: &App, run: &Run, workspace: &Workspace, grants: &Grants, links: Related) -> Resource {
    document(app, run, workspace, grants, links, None)
}

fn document(
    app: &App,
    run: &Run,
    workspace: &Workspace,
    grants: &Grants,
    links: Related,
    waiting: Option<WaitingFor>,
) -> Resource {
    let attributes = attributes(run, workspace, grants, &links, waiting, app.now());
    relationships(run, links, &attributes)
}

/// Timestamps as the API writes them.
pub fn timestamps(reached: &life::Timestamps) -> BTreeMap<&str, String> {
    reached.iter().map(|(key, at)| (key.as_str(), at.rfc3339())).collect()
}

fn attributes(
    run: &Run,
    workspace: &Workspace,
    grants: &Grants,
    links: &Related,
    waiting: Option<WaitingFor>,
    now: Timestamp,
) -> Value {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Document<'a> {
        actions: life::Actions,
        allow_config_generation: bool,
        allow_empty_apply: Option<bool>,
        auto_apply: bool,
        canceled_at: Option<String>,
        created_at: String,
        debugging_mode: bool,
        error_message: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        exec: Option<Exec<'a>>,
        force_cancel_available_at: Option<String>,
        has_changes: bool,
        is_destroy: bool,
        message: &'a str,
        operation: &'a str,
        plan_only: bool,
        policy_paths: [&'a str; 0],
        refresh: bool,
        refresh_only: bool,
        replace_addrs: Option<&'a [String]>,
        save_plan: bool,
        source: &'a str,
        status: &'a str,
        status_timestamps: BTreeMap<&'a str, String>,
        target_addrs: Option<&'a [String]>,
        terraform_version: &'a str,
        trigger_reason: &'a str,
        updated_at: String,
        permissions: authz::document::RunDocument,
        variables: Option<Vec<Value>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        waiting_for: Option<Value>,
    }
    /// An operation's command line, and the name of the file that it made.
    #[derive(Serialize)]
    struct Exec<'a> {
        arguments: &'a [String],
        file: Option<String>,
    }
    let life = &run.life;
    let held = grants.workspace(&workspace.id, &workspace.project_id);
    let variables = links.variables.as_ref().filter(|_| perm::ReadVariables::allowed(&held));
    json!(Document {
        actions: life::actions(life, life.instant(now)),
        allow_config_generation: run.options.allow_config_generation,
        allow_empty_apply: run.options.allow_empty_apply,
        auto_apply: life.options.auto_apply,
        canceled_at: life.canceled_at().map(Timestamp::iso8601),
        created_at: run.row.created_at.iso8601(),
        debugging_mode: run.options.debugging_mode,
        error_message: life.error_message.as_deref(),
        exec: run.options.exec.as_deref().map(|arguments| Exec {
            arguments,
            file: run.row.kept_id.as_ref().and_then(|_| operations::file_of(arguments)),
        }),
        force_cancel_available_at: life.force_cancel_available_at().map(Timestamp::iso8601),
        has_changes: life.has_changes.unwrap_or(false),
        is_destroy: life.options.is_destroy,
        message: &run.options.message,
        operation: life::operation(life),
        plan_only: life.options.plan_only,
        policy_paths: [],
        refresh: run.options.refresh,
        refresh_only: life.options.refresh_only,
        replace_addrs: Some(run.options.replace_addrs.as_slice()).filter(|list| !list.is_empty()),
        save_plan: life.options.save_plan,
        source: &run.row.source,
        status: life.status.as_str(),
        status_timestamps: timestamps(&life.status_timestamps),
        target_addrs: Some(run.options.target_addrs.as_slice()).filter(|list| !list.is_empty()),
        terraform_version: run.results.engine_version.as_ref().unwrap_or(&run.options.terraform_version),
        trigger_reason: if run.row.source == run_triggers::SOURCE { "run-trigger" } else { "manual" },
        updated_at: run.row.updated_at.iso8601(),
        permissions: held.run_document(),
        variables: variables
            .map(|list| list.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()),
        waiting_for: waiting.map(|waiting| {
            let mut value = json!(waiting);
            value["message"] = json!(waiting.to_string());
            value
        }),
    })
}

fn relationships(run: &Run, links: Related, attributes: &Value) -> Resource {
    let user = |id: Option<&UserId>| Linkage::maybe("users", id.map(UserId::as_str));
    Resource::new("runs", run.id().as_str(), attributes)
        .relate("workspace", Linkage::One("workspaces", run.row.workspace_id.to_string()))
        .relate("plan", Linkage::One("plans", run.row.plan_id.to_string()))
        .relate("apply", Linkage::One("applies", run.row.apply_id.to_string()))
        .relate(
            "configuration-version",
            Linkage::One("configuration-versions", run.row.configuration_version_id.to_string()),
        )
        .relate("created-by", user(Some(&run.row.created_by)))
        .relate(
            "triggering-run",
            Linkage::maybe("runs", run.row.triggering_run_id.as_ref().map(RunId::as_str)),
        )
        .relate("confirmed-by", user(run.life.confirmed_by.as_ref()))
        .relate("canceled-by", user(run.life.canceled_by()))
        .relate("cost-estimate", Linkage::None)
        .relate("policy-checks", Linkage::Many("policy-checks", vec![]))
        .relate("task-stages", Linkage::Many("task-stages", vec![]))
        .relate("run-events", Linkage::Many("run-events", links.events))
        .relate("comments", Linkage::Many("comments", links.comments))
        .link("self", format!("/api/v2/runs/{}", run.id()))
}
