//! Runs as the API shows them: read, listed, and the queue of an organization.
//!
//! `waiting-for` says why a run has not begun: an addition to TFE's API. Source: the Runs API; semantics.md §1.5, §1.6, §2.

use crate::{
    create,
    life::{self, Status},
    operations,
    queue::{Entry, Line, Lock, WaitingFor},
    run_triggers,
    runs::{self, COLUMNS, Row, Run},
    scheduler,
};
use accounts::execution;
use authz::{Grants, WorkspacePermission, perm};
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

mod list;

pub(crate) use list::{Filter, visible_only};

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
        .op(Method::GET, "/runs", "runs.runs.list-by-query", list::list_named)
        .op(Method::GET, "/runs/{id}", "runs.runs.read", read)
        .op(Method::GET, "/workspaces/{id}/runs", "runs.runs.list", list::list_workspace)
        .op(
            Method::GET,
            "/organizations/{organization}/runs",
            "runs.runs.list-organization",
            list::list_organization,
        )
        .op(Method::GET, "/organizations/{organization}/runs/queue", "runs.queue.list", list::queue)
        .op(Method::GET, "/organizations/{organization}/capacity", "runs.capacity.read", list::capacity)
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
