//! Workspaces: by id, and by organization and name.
//!
//! Whoever holds any permission in a workspace may read it; the attributes are the same for all, `permissions` says what
//! the caller may do. Source: the Workspaces API; semantics.md §2, §6.1, §7; cli-protocol.md §1.2.

mod asked;
mod deletion;
mod list;
mod shown;

pub(crate) use deletion::remove;
pub use shown::document;

use asked::{Attributes, BOTH_SHARINGS, Settings};

use crate::{auto_destroy, projects, reserved_tag_keys::refuse_overrides, tags, tool_versions};
use accounts::{
    execution::{self, OF_WORKSPACES},
    organizations,
};
use authz::{Granted, Grants, InWorkspace, OrganizationPermission, perm};
use axum::http::Method;
use db::{Arg, FromRow, Tx, args};
use http_api::{App, Cx, Data, Error, Reply, Result, Routes, audit, include::Loaders};
use kernel::{
    Timestamp,
    ids::{
        AgentPoolId, ConfigurationVersionId, OrganizationId, ProjectId, RunId, SshKeyId, StateVersionId,
        WorkspaceId,
    },
};
use shown::Many;
use std::{collections::BTreeMap, sync::Arc};

/// A workspace as stored, with the name of its organization.
#[derive(Clone, Debug, FromRow)]
pub struct Workspace {
    /// Stable id.
    pub id: WorkspaceId,
    /// Whose workspace it is.
    pub organization_id: OrganizationId,
    /// The name of that organization.
    pub organization: String,
    /// The project it is grouped in.
    pub project_id: ProjectId,
    /// Unique in the organization.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Whether a successful plan with changes is applied without asking.
    pub auto_apply: bool,
    /// Whether destroy plans are allowed.
    pub allow_destroy_plan: bool,
    /// `remote` (runs here), `local` (only state and locks) or `agent` (runs wait for an agent): its own, else its project's, else its organization's.
    pub execution_mode: String,
    /// Whose agents its runs wait for, where that is `agent`.
    pub agent_pool_id: Option<AgentPoolId>,
    /// Whether the execution mode and the pool are its own.
    overwrites_execution_mode: bool,
    /// `terraform` or `tofu`; an addition to TFE's API.
    pub engine: String,
    /// A version, a constraint or `latest`.
    pub terraform_version: String,
    /// Where in the configuration the engine runs; empty is its root.
    pub working_directory: String,
    /// Whether runs print JSON lines instead of text.
    pub structured_run_output_enabled: bool,
    /// Whether every workspace of the organization may read this one's state.
    pub global_remote_state: bool,
    /// Whether every workspace of its project may.
    pub project_remote_state: bool,
    /// JSON: the keys of its tag bindings.
    tag_names: String,
    settings: String,
    /// Who holds the lock: `user`, `team`, `run`, or nobody.
    pub lock_kind: Option<String>,
    /// The id of the holder.
    pub lock_holder: Option<String>,
    /// What the holder said.
    pub lock_reason: Option<String>,
    /// The run that works, waits for a person, or waits first in the queue.
    pub current_run_id: Option<RunId>,
    /// The configuration that a run without its own takes.
    pub current_configuration_version_id: Option<ConfigurationVersionId>,
    /// The newest finalized state.
    pub current_state_version_id: Option<StateVersionId>,
    /// Managed resources in the current state.
    pub resource_count: i64,
    /// The key with which its runs fetch modules.
    pub ssh_key_id: Option<SshKeyId>,
    /// When it is to be destroyed by itself.
    pub auto_destroy_at: Option<Timestamp>,
    /// How long after its last apply it is to be destroyed: its own duration, or its project's.
    pub auto_destroy_activity_duration: Option<String>,
    inherits_project_auto_destroy: bool,
    /// How long its old data is kept, as stored: [`accounts::retention::DataRetention`].
    pub data_retention: Option<String>,
    runs_count: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
    latest_change_at: Timestamp,
}

/// All columns of [`Workspace`], from `workspaces w JOIN organizations o JOIN projects p`.
pub const SELECT: &str = "SELECT w.id, w.organization_id, o.name AS organization, w.project_id, w.name, w.description,
    w.auto_apply, w.allow_destroy_plan, CASE WHEN w.overwrites_execution_mode THEN w.execution_mode
      ELSE COALESCE(p.default_execution_mode, o.default_execution_mode) END AS execution_mode,
    CASE WHEN w.overwrites_execution_mode THEN w.agent_pool_id
      WHEN p.default_execution_mode IS NOT NULL THEN p.default_agent_pool_id
      ELSE o.default_agent_pool_id END AS agent_pool_id, w.overwrites_execution_mode,
    w.engine, w.terraform_version, w.working_directory,
    w.structured_run_output_enabled, w.global_remote_state, w.project_remote_state, w.tag_names, w.settings, w.lock_kind, w.lock_holder, w.lock_reason,
    w.current_run_id, w.current_configuration_version_id, w.current_state_version_id, w.resource_count, w.ssh_key_id, w.auto_destroy_at,
    CASE WHEN w.inherits_project_auto_destroy THEN p.auto_destroy_activity_duration
      ELSE w.auto_destroy_activity_duration END AS auto_destroy_activity_duration, w.inherits_project_auto_destroy,
    w.data_retention, (SELECT COALESCE(MAX(r.number), 0) FROM runs r WHERE r.workspace_id = w.id) AS runs_count,
    w.created_at, w.updated_at, w.latest_change_at
  FROM workspaces w JOIN organizations o ON o.id = w.organization_id JOIN projects p ON p.id = w.project_id";

/// What a workspace document may include.
const INCLUDES: &[&str] = &[
    "organization",
    "project",
    "current_run",
    "current_run.plan",
    "current_run.apply",
    "current_run.configuration_version",
    "current_run.configuration_version.ingress_attributes",
    "current_configuration_version",
    "current_configuration_version.ingress_attributes",
    "current_state_version",
    "locked_by",
    "readme",
    "outputs",
    "effective_tag_bindings",
    "agent_pool",
    "vars",
];

impl Workspace {
    /// The pool that it names itself.
    fn own_pool(&self) -> Option<&AgentPoolId> {
        self.agent_pool_id.as_ref().filter(|_| self.overwrites_execution_mode)
    }

    /// Whether a run that another workspace's apply triggered applies without asking.
    pub fn auto_apply_run_trigger(&self) -> bool {
        serde_json::from_str::<Settings>(&self.settings).unwrap_or_default().auto_apply_run_trigger
    }
}

impl InWorkspace for Workspace {
    fn workspace(&self) -> &WorkspaceId {
        &self.id
    }
    fn project(&self) -> &ProjectId {
        &self.project_id
    }
    fn organization(&self) -> &OrganizationId {
        &self.organization_id
    }
}

/// The operations on workspaces.
pub fn routes() -> Routes {
    let named = "/organizations/{organization}/workspaces/{name}";
    Routes::new()
        .op(Method::GET, "/organizations/{organization}/workspaces", "workspaces.workspaces.list", list::list)
        .op(Method::POST, "/organizations/{organization}/workspaces", "workspaces.workspaces.create", create)
        .op(Method::GET, named, "workspaces.workspaces.read-by-name", read)
        .op(Method::PATCH, named, "workspaces.workspaces.update-by-name", update)
        .telling_before()
        .op(Method::DELETE, named, "workspaces.workspaces.delete-by-name", deletion::delete)
        .op(
            Method::POST,
            "/organizations/{organization}/workspaces/{name}/actions/safe-delete",
            "workspaces.workspaces.safe-delete-by-name",
            deletion::safe_delete,
        )
        .op(Method::GET, "/workspaces/{id}", "workspaces.workspaces.read", read)
        .op(Method::PATCH, "/workspaces/{id}", "workspaces.workspaces.update", update)
        .telling_before()
        .op(Method::DELETE, "/workspaces/{id}", "workspaces.workspaces.delete", deletion::delete)
        .op(
            Method::POST,
            "/workspaces/{id}/actions/safe-delete",
            "workspaces.workspaces.safe-delete",
            deletion::safe_delete,
        )
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("workspaces", |cx, ids| async move {
        let found = granted_among::<perm::ReadWorkspace>(&cx, ids.into_iter().map(WorkspaceId::from)).await?;
        Ok(found.values().map(|(workspace, grants)| document(workspace, grants)).collect())
    });
}

/// The workspace that a path names, by `{id}` or by `{organization}` and `{name}`, with the proof of `P`.
///
/// # Errors
/// [`Error::NotFound`] when it is absent or the caller lacks `P` in it.
pub async fn granted<P: authz::WorkspacePermission>(cx: &Cx) -> Result<(Granted<P, Workspace>, Arc<Grants>)> {
    let by_name = cx.has_path("organization");
    let row = if by_name {
        let sql = format!("{SELECT} WHERE o.name = $1 AND w.name = $2");
        cx.app.db.one(db::AssertSqlSafe(sql), args![cx.path("organization"), cx.path("name")]).await?
    } else {
        let sql = format!("{SELECT} WHERE w.id = $1");
        cx.app.db.one(db::AssertSqlSafe(sql), args![cx.path("id")]).await?
    };
    prove(cx, row).await
}

/// The workspaces of these ids, without asking who reads.
pub async fn by_ids(app: &App, ids: &[WorkspaceId]) -> Result<Vec<Workspace>> {
    if ids.is_empty() {
        return Ok(vec![]);
    }
    let marks: Vec<String> = (1..=ids.len()).map(|n| format!("${n}")).collect();
    let sql = format!("{SELECT} WHERE w.id IN ({})", marks.join(", "));
    app.db.all(db::AssertSqlSafe(sql), ids.iter().map(Arg::from).collect()).await
}

/// The workspace of an id that came in a body or a row, with the proof of `P`.
pub async fn granted_by_id<P: authz::WorkspacePermission>(
    cx: &Cx,
    id: &str,
) -> Result<(Granted<P, Workspace>, Arc<Grants>)> {
    let row = by_id(&cx.app, id).await?;
    prove(cx, row).await
}

/// Of the workspaces of these ids those in which the caller has `P`, by one statement: for what is shown beside something
/// else.
pub async fn granted_among<P: authz::WorkspacePermission>(
    cx: &Cx,
    ids: impl IntoIterator<Item = WorkspaceId>,
) -> Result<BTreeMap<WorkspaceId, (Granted<P, Workspace>, Arc<Grants>)>> {
    let mut ids: Vec<WorkspaceId> = ids.into_iter().collect();
    ids.sort();
    ids.dedup();
    let mut found = BTreeMap::new();
    for row in by_ids(&cx.app, &ids).await? {
        let grants = cx.grants_to_show(&row.organization_id).await?;
        if let Ok(workspace) = grants.prove_workspace::<P, _>(row) {
            found.insert(workspace.id.clone(), (workspace, grants));
        }
    }
    Ok(found)
}

/// A workspace without asking who reads: for the system's own work.
pub async fn by_id(app: &App, id: &str) -> Result<Option<Workspace>> {
    app.db.one(db::AssertSqlSafe(format!("{SELECT} WHERE w.id = $1")), args![id]).await
}

async fn prove<P: authz::WorkspacePermission>(
    cx: &Cx,
    row: Option<Workspace>,
) -> Result<(Granted<P, Workspace>, Arc<Grants>)> {
    let row = row.ok_or(Error::NotFound)?;
    let grants = cx.grants(&row.organization_id).await?;
    Ok((grants.prove_workspace(row)?, grants))
}

/// Locks the row of a workspace until the transaction ends, and returns it as it is then.
pub async fn hold(tx: &mut Tx, id: &WorkspaceId) -> Result<Workspace> {
    // An UPDATE is the lock that both engines know.
    if tx.exec("UPDATE workspaces SET version = version + 1 WHERE id = $1", args![id]).await? == 0 {
        return Err(Error::NotFound);
    }
    in_tx(tx, id).await
}

async fn in_tx(tx: &mut Tx, id: &WorkspaceId) -> Result<Workspace> {
    tx.one(db::AssertSqlSafe(format!("{SELECT} WHERE w.id = $1")), args![id]).await?.ok_or(Error::NotFound)
}

async fn read(cx: Cx) -> Result<Reply> {
    let (workspace, grants) = granted::<perm::ReadWorkspace>(&cx).await?;
    answer(&cx, &workspace, &grants).await
}

async fn answer(cx: &Cx, workspace: &Workspace, grants: &Grants) -> Result<Reply> {
    let document = shown::related(cx, vec![document(workspace, grants)], Many::Few).await?;
    cx.one(document.into_iter().next().ok_or(Error::NotFound)?, INCLUDES).await
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let everywhere = grants.allows(OrganizationPermission::CreateWorkspace);
    if !everywhere && !grants.creates_workspaces_in_a_project() {
        return Err(Error::NotFound);
    }
    let data: Data<Attributes> = cx.data().await?;
    data.attributes.check()?;
    if data.attributes.name.is_none() {
        return Err(Error::invalid("name", "Name can't be blank"));
    }
    let bindings = tags::related_bindings(&data)?;
    let app = cx.app.clone();
    let mut tx = app.db.begin().await?;
    let names = tags::related_tags(&mut tx, &organization.id, &data).await?;
    let project = match data.related("project") {
        Some(id) => projects::in_organization(&mut tx, id, &organization.id).await?,
        None => organization.default_project_id.clone(),
    };
    if !everywhere && !grants.project(&project).create_workspaces {
        return Err(Error::NotFound);
    }
    let now = app.now();
    let mut settings = Settings::default();
    let mut workspace = Workspace {
        id: WorkspaceId::new(&app.env),
        organization_id: organization.id.clone(),
        organization: organization.name.clone(),
        project_id: project,
        name: String::new(),
        description: None,
        auto_apply: false,
        allow_destroy_plan: true,
        execution_mode: "remote".to_owned(),
        agent_pool_id: None,
        overwrites_execution_mode: false,
        engine: engine_of(&cx).map_or_else(|| app.settings.default_engine.clone(), str::to_owned),
        terraform_version: app.settings.default_terraform_version.clone(),
        working_directory: String::new(),
        structured_run_output_enabled: true,
        global_remote_state: app.site().general.default_remote_state_access,
        project_remote_state: false,
        tag_names: "[]".to_owned(),
        settings: String::new(),
        lock_kind: None,
        lock_holder: None,
        lock_reason: None,
        current_run_id: None,
        current_configuration_version_id: None,
        current_state_version_id: None,
        resource_count: 0,
        ssh_key_id: None,
        auto_destroy_at: None,
        auto_destroy_activity_duration: None,
        inherits_project_auto_destroy: true,
        data_retention: None,
        runs_count: 0,
        created_at: now,
        updated_at: now,
        latest_change_at: now,
    };
    let versioned = data.attributes.terraform_version.is_some();
    data.attributes.apply(&mut workspace, &mut settings, now)?;
    // The default version is one of the default engine's.
    if !versioned && workspace.engine != app.settings.default_engine {
        "latest".clone_into(&mut workspace.terraform_version);
    }
    workspace.settings = serde_json::to_string(&settings).map_err(Error::internal)?;
    tool_versions::refuse_disabled(&mut tx, &workspace.engine, &workspace.terraform_version).await?;
    within_limit(&mut tx, &organization).await?;
    refuse_pool(&mut tx, &workspace, None).await?;
    insert(&mut tx, &workspace).await?;
    tag(&app, &mut tx, &workspace, bindings, &names).await?;
    auto_destroy::inherit_one(&mut tx, &workspace.id, now).await?;
    let workspace = in_tx(&mut tx, &workspace.id).await?;
    tx.commit().await?;
    let document = shown::related(&cx, vec![document(&workspace, &grants)], Many::Few).await?;
    cx.created(document.into_iter().next().ok_or(Error::NotFound)?, INCLUDES).await
}

/// The tool whose command line calls, by what it says of itself. Terraform's is known by its version alone, because other
/// clients use the same library.
fn engine_of(cx: &Cx) -> Option<&'static str> {
    if cx.header("user-agent").is_some_and(|agent| agent.starts_with("OpenTofu/")) {
        return Some("tofu");
    }
    cx.header("terraform-version").map(|_| "terraform")
}

/// Refuses one workspace more than site admins allow.
async fn within_limit(tx: &mut Tx, organization: &organizations::Organization) -> Result<()> {
    let Some(limit) = organization.admin().workspace_limit else { return Ok(()) };
    let count: Option<(i64,)> =
        tx.one("SELECT workspace_count FROM organizations WHERE id = $1", args![&organization.id]).await?;
    if count.is_some_and(|(count,)| count < limit) {
        return Ok(());
    }
    Err(Error::Unprocessable(format!(
        "Organization {} may have {limit} workspaces and has them all; a site admin can raise the limit",
        organization.name
    )))
}

/// Refuses a pool of its own that is not for this workspace, if it is another one than before.
async fn refuse_pool(tx: &mut Tx, workspace: &Workspace, before: Option<&AgentPoolId>) -> Result<()> {
    match workspace.own_pool() {
        Some(pool) if before != Some(pool) => {
            let user = execution::User::Workspace(&workspace.id, &workspace.project_id);
            execution::usable(tx, pool, &workspace.organization_id, user, OF_WORKSPACES).await
        }
        _ => Ok(()),
    }
}

/// Sets the bindings that a request names, in place of all that there are, and adds the flat tags.
async fn tag(
    app: &App,
    tx: &mut Tx,
    workspace: &Workspace,
    bindings: Option<Vec<tags::Pair>>,
    names: &[String],
) -> Result<()> {
    if bindings.is_none() && names.is_empty() {
        return Ok(());
    }
    if let Some(bindings) = bindings {
        let bearer = tags::Bearer::Workspace(&workspace.id);
        tags::unbind(tx, bearer, None).await?;
        tags::bind(app, tx, &workspace.organization_id, bearer, &bindings).await?;
    }
    tags::add(app, tx, workspace, names).await
}

async fn insert(tx: &mut Tx, w: &Workspace) -> Result<()> {
    refuse_taken_name(tx, w).await?;
    tx.exec(
        "INSERT INTO workspaces (id, organization_id, project_id, name, description, auto_apply, allow_destroy_plan,
           execution_mode, engine, terraform_version, working_directory, structured_run_output_enabled,
           global_remote_state, tag_names, settings, resource_count, created_at, updated_at, latest_change_at, version,
           project_remote_state, overwrites_execution_mode, auto_destroy_at, auto_destroy_activity_duration,
           inherits_project_auto_destroy, agent_pool_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, '[]', $14, 0, $15, $16, $17, 1, $18, $19, $20,
           $21, $22, $23)",
        args![
            &w.id,
            &w.organization_id,
            &w.project_id,
            &w.name,
            w.description.clone(),
            w.auto_apply,
            w.allow_destroy_plan,
            &w.execution_mode,
            &w.engine,
            &w.terraform_version,
            &w.working_directory,
            w.structured_run_output_enabled,
            w.global_remote_state,
            &w.settings,
            w.created_at,
            w.updated_at,
            w.latest_change_at,
            w.project_remote_state,
            w.overwrites_execution_mode,
            w.auto_destroy_at,
            w.auto_destroy_activity_duration.clone(),
            w.inherits_project_auto_destroy,
            w.own_pool()
        ],
    )
    .await?;
    tx.exec(
        "UPDATE organizations SET workspace_count = workspace_count + 1 WHERE id = $1",
        args![&w.organization_id],
    )
    .await
    .map(drop)
}

async fn refuse_taken_name(tx: &mut Tx, w: &Workspace) -> Result<()> {
    let taken: Option<(String,)> = tx
        .one(
            "SELECT id FROM workspaces WHERE organization_id = $1 AND name = $2 AND id <> $3",
            args![&w.organization_id, &w.name, &w.id],
        )
        .await?;
    if taken.is_some() { Err(Error::invalid("name", "Name has already been taken")) } else { Ok(()) }
}

async fn update(mut cx: Cx) -> Result<Reply> {
    let (workspace, grants) = granted::<perm::UpdateWorkspace>(&cx).await?;
    let data: Data<Attributes> = cx.data().await?;
    data.attributes.check()?;
    let project = data.related("project").map(str::to_owned);
    let bindings = tags::related_bindings(&data)?;
    tell_before(&cx, &workspace, &grants, bindings.is_some()).await?;
    let mut tx = cx.app.db.begin().await?;
    let mut changed = hold(&mut tx, &workspace.id).await?;
    let mut settings: Settings = serde_json::from_str(&changed.settings).map_err(Error::internal)?;
    // The command line sets its own version; the tool goes with it.
    let told = data.attributes.terraform_version.as_ref().and(engine_of(&cx));
    let given = data.attributes.engine.is_some();
    let inherited = changed.inherits_project_auto_destroy;
    data.attributes.apply(&mut changed, &mut settings, cx.app.now())?;
    if changed.global_remote_state && changed.project_remote_state {
        return Err(Error::invalid("project-remote-state", BOTH_SHARINGS));
    }
    if let (Some(engine), false) = (told, given) {
        engine.clone_into(&mut changed.engine);
    }
    if (&changed.engine, &changed.terraform_version) != (&workspace.engine, &workspace.terraform_version) {
        tool_versions::refuse_disabled(&mut tx, &changed.engine, &changed.terraform_version).await?;
    }
    changed.settings = serde_json::to_string(&settings).map_err(Error::internal)?;
    changed.updated_at = cx.app.now();
    changed.latest_change_at = changed.updated_at;
    if let Some(project) = project {
        let to = projects::in_organization(&mut tx, &project, &changed.organization_id).await?;
        projects::may_move(&grants, &changed.id, &changed.project_id, &to)?;
        changed.project_id = to;
    }
    let moved = changed.project_id != workspace.project_id;
    refuse_taken_name(&mut tx, &changed).await?;
    refuse_pool(&mut tx, &changed, workspace.own_pool()).await?;
    store(&mut tx, &changed).await?;
    tag(&cx.app, &mut tx, &changed, bindings, &[]).await?;
    if moved {
        refuse_overrides(&mut tx, &changed.id, None).await?;
    }
    if moved || !inherited {
        auto_destroy::inherit_one(&mut tx, &changed.id, cx.app.now()).await?;
    }
    let changed = in_tx(&mut tx, &changed.id).await?;
    tx.commit().await?;
    if (&changed.execution_mode, &changed.agent_pool_id)
        != (&workspace.execution_mode, &workspace.agent_pool_id)
    {
        // Runs that waited for an agent may be this server's now.
        cx.app.pulse();
    }
    let sharing = |workspace: &Workspace| (workspace.global_remote_state, workspace.project_remote_state);
    if sharing(&changed) != sharing(&workspace) || changed.project_id != workspace.project_id {
        // What runs and teams hold depends on these.
        cx.app.identities.forget();
    }
    answer(&cx, &changed, &grants).await
}

/// Tells the audit trail how the workspace was. What does not stand in its row is read only if it may be changed.
async fn tell_before(cx: &Cx, workspace: &Workspace, grants: &Grants, tags: bool) -> Result<()> {
    let mut shown = vec![document(workspace, grants)];
    if tags {
        shown = shown::related(cx, shown, Many::Few).await?;
    }
    shown.iter().for_each(audit::before);
    Ok(())
}

async fn store(tx: &mut Tx, w: &Workspace) -> Result<()> {
    tx.exec(
        "UPDATE workspaces SET project_id = $2, name = $3, description = $4, auto_apply = $5, allow_destroy_plan = $6,
           execution_mode = $7, engine = $8, terraform_version = $9, working_directory = $10,
           structured_run_output_enabled = $11, global_remote_state = $12, settings = $13, updated_at = $14,
           latest_change_at = $15, project_remote_state = $16, overwrites_execution_mode = $17, auto_destroy_at = $18,
           auto_destroy_activity_duration = $19, inherits_project_auto_destroy = $20, agent_pool_id = $21
         WHERE id = $1",
        args![
            &w.id,
            &w.project_id,
            &w.name,
            w.description.clone(),
            w.auto_apply,
            w.allow_destroy_plan,
            &w.execution_mode,
            &w.engine,
            &w.terraform_version,
            &w.working_directory,
            w.structured_run_output_enabled,
            w.global_remote_state,
            &w.settings,
            w.updated_at,
            w.latest_change_at,
            w.project_remote_state,
            w.overwrites_execution_mode,
            w.auto_destroy_at,
            w.auto_destroy_activity_duration.clone(),
            w.inherits_project_auto_destroy,
            w.own_pool()
        ],
    )
    .await
    .map(drop)
}
