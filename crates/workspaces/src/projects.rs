//! Projects: groups of workspaces, with access of their own.
//!
//! Each organization has a default project, which cannot be deleted. A caller sees the projects that they have access to and
//! those of the workspaces that they see. Source: the Projects API; semantics.md §6.2, §7.

use crate::{auto_destroy, conditions::Conditions, reserved_tag_keys::refuse_overrides, tags};
use accounts::{
    execution::{self, DEFAULTS, Execution},
    organizations,
};
use authz::{Grants, Visible, perm, project::ProjectSettingsLevel};
use axum::http::Method;
use db::{FromRow, Tx, args};
use http_api::{App, Cx, Data, Error, Linkage, Patch, Reply, Resource, Result, Routes, include::Loaders};
use kernel::{
    Paged, Timestamp,
    ids::{AgentPoolId, OrganizationId, ProjectId, WorkspaceId},
};
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

#[derive(Clone, Debug, FromRow)]
pub(crate) struct Project {
    pub(crate) id: ProjectId,
    pub(crate) organization_id: OrganizationId,
    organization: String,
    name: String,
    description: Option<String>,
    default_execution_mode: Option<String>,
    default_agent_pool_id: Option<AgentPoolId>,
    organization_execution_mode: String,
    organization_agent_pool_id: Option<AgentPoolId>,
    auto_destroy_activity_duration: Option<String>,
    created_at: Timestamp,
}

const SELECT: &str =
    "SELECT p.id, p.organization_id, o.name AS organization, p.name, p.description, p.default_execution_mode,
    p.default_agent_pool_id, o.default_execution_mode AS organization_execution_mode,
    o.default_agent_pool_id AS organization_agent_pool_id, p.auto_destroy_activity_duration, p.created_at
  FROM projects p JOIN organizations o ON o.id = p.organization_id";

const INCLUDES: &[&str] = &["organization", "effective_tag_bindings"];

/// What a request may set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    name: Option<String>,
    description: Patch<String>,
    default_execution_mode: Option<String>,
    default_agent_pool_id: Option<String>,
    setting_overwrites: Overwrites,
    auto_destroy_activity_duration: Patch<String>,
}

/// Which settings are the project's own.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Overwrites {
    default_execution_mode: Option<bool>,
    default_agent_pool: Option<bool>,
}

impl Project {
    /// How runs are made of workspaces that do not say it themselves: its own wish, else the organization's.
    fn execution(&self) -> Execution {
        self.own_execution().unwrap_or_else(|| self.organizations_execution())
    }

    fn own_execution(&self) -> Option<Execution> {
        Some(Execution {
            mode: self.default_execution_mode.clone()?,
            pool: self.default_agent_pool_id.clone(),
        })
    }

    fn organizations_execution(&self) -> Execution {
        Execution {
            mode: self.organization_execution_mode.clone(),
            pool: self.organization_agent_pool_id.clone(),
        }
    }
}

impl Attributes {
    /// Carries the settings over to a project; whether the duration is another one.
    fn settings(self, project: &mut Project) -> Result<bool> {
        if let Patch::Value(duration) = &self.auto_destroy_activity_duration {
            auto_destroy::check(duration)?;
        }
        let Overwrites { default_execution_mode, default_agent_pool } = self.setting_overwrites;
        let asked = execution::Asked {
            mode: self.default_execution_mode,
            pool: self.default_agent_pool_id,
            own: execution::overwrites(default_execution_mode, default_agent_pool)?,
        };
        let own =
            execution::settle(project.own_execution(), project.organizations_execution(), asked, DEFAULTS)?;
        (project.default_execution_mode, project.default_agent_pool_id) = match own {
            Some(own) => (Some(own.mode), own.pool),
            None => (None, None),
        };
        self.description.apply(&mut project.description);
        let before = project.auto_destroy_activity_duration.clone();
        self.auto_destroy_activity_duration.apply(&mut project.auto_destroy_activity_duration);
        Ok(before != project.auto_destroy_activity_duration)
    }
}

/// The operations on projects.
pub fn routes() -> Routes {
    let all = "/organizations/{organization}/projects";
    Routes::new()
        .op(Method::GET, all, "workspaces.projects.list", list)
        .op(Method::POST, all, "workspaces.projects.create", create)
        .op(Method::GET, "/projects/{id}", "workspaces.projects.read", read)
        .op(Method::PATCH, "/projects/{id}", "workspaces.projects.update", update)
        .op(Method::DELETE, "/projects/{id}", "workspaces.projects.delete", delete)
        .op(
            Method::POST,
            "/projects/{id}/relationships/workspaces",
            "workspaces.projects.move-workspaces",
            take,
        )
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("projects", |cx, ids| async move {
        let found = find_all(&cx, &ids).await?;
        Ok(found.iter().map(|(project, grants)| document(project, grants)).collect())
    });
}

/// Leaves the rows of `projects p` that the caller may see.
pub(crate) fn require_visible(conditions: &mut Conditions, grants: &Grants) {
    let Visible::Of { projects, .. } = grants.visible() else { return };
    let own = conditions.marks(projects);
    let of_workspaces = conditions.visible(grants).unwrap_or_else(|| "TRUE".to_owned());
    conditions.require(format!(
        "(p.id IN ({own}) OR EXISTS (SELECT 1 FROM workspaces w WHERE w.project_id = p.id AND {of_workspaces}))"
    ));
}

/// The project of this id.
///
/// # Errors
/// [`Error::NotFound`] when it is absent or hidden from the caller.
pub(crate) async fn find(cx: &Cx, id: &str) -> Result<(Project, Arc<Grants>)> {
    find_all(cx, &[id.to_owned()]).await?.pop().ok_or(Error::NotFound)
}

/// Of the projects of these ids those that the caller may see. At most one statement for those that their grants do not
/// name, in each organization.
async fn find_all(cx: &Cx, ids: &[String]) -> Result<Vec<(Project, Arc<Grants>)>> {
    let mut conditions = Conditions::none();
    let marks = conditions.marks(ids);
    let sql = format!("{SELECT} WHERE p.id IN ({marks})");
    let rows: Vec<Project> = cx.app.db.all(db::AssertSqlSafe(sql), conditions.values()).await?;
    let (mut found, mut unnamed) = (Vec::new(), BTreeMap::<OrganizationId, Vec<Project>>::new());
    for project in rows {
        let grants = cx.grants(&project.organization_id).await?;
        if grants.member && grants.project(&project.id).settings >= ProjectSettingsLevel::Read {
            found.push((project, grants));
        } else if grants.member {
            unnamed.entry(project.organization_id.clone()).or_default().push(project);
        }
    }
    for (organization, projects) in unnamed {
        let grants = cx.grants(&organization).await?;
        let mut conditions = Conditions::none();
        let marks = conditions.marks(projects.iter().map(|project| &project.id));
        conditions.require(format!("p.id IN ({marks})"));
        require_visible(&mut conditions, &grants);
        let sql = format!("SELECT p.id FROM projects p WHERE {}", conditions.text());
        let seen: Vec<(ProjectId,)> = cx.app.db.all(db::AssertSqlSafe(sql), conditions.values()).await?;
        let seen: HashSet<ProjectId> = seen.into_iter().map(|(id,)| id).collect();
        let visible = projects.into_iter().filter(|project| seen.contains(&project.id));
        found.extend(visible.map(|project| (project, grants.clone())));
    }
    Ok(found)
}

/// The project that a path names, which the caller may change.
pub(crate) async fn updatable(cx: &Cx) -> Result<Project> {
    let (project, grants) = find(cx, cx.path("id")).await?;
    let may = grants.project(&project.id).settings >= ProjectSettingsLevel::Update;
    if may { Ok(project) } else { Err(Error::NotFound) }
}

async fn list(cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let page = cx.page();
    let mut conditions = Conditions::of("p.organization_id", &organization.id);
    require_visible(&mut conditions, &grants);
    let names = cx.query_list("filter[names]");
    if !names.is_empty() {
        let marks = conditions.marks(names);
        conditions.require(format!("p.name IN ({marks})"));
    } else if let Some(text) = cx.query("q").filter(|text| !text.is_empty()) {
        conditions.contains("p.name", text);
    }
    for pair in tags::tagged(&cx) {
        let bound = tags::bound(&pair, &mut conditions);
        conditions
            .require(format!("EXISTS (SELECT 1 FROM tag_bindings b WHERE b.project_id = p.id AND {bound})"));
    }
    let (condition, values) = (conditions.text(), conditions.values());
    let sql = format!("SELECT COUNT(*) FROM projects p WHERE {condition}");
    let total: Option<(i64,)> = cx.app.db.one(db::AssertSqlSafe(sql), values.clone()).await?;
    let order = if cx.query("sort") == Some("-name") { "DESC" } else { "ASC" };
    let (limit, offset) = (page.limit(), page.offset());
    let sql = format!("{SELECT} WHERE {condition} ORDER BY p.name {order} LIMIT {limit} OFFSET {offset}");
    let rows: Vec<Project> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let items = rows.iter().map(|row| document(row, &grants)).collect();
    let items = tags::name_effective(&cx, items, tags::OF_PROJECTS).await?;
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, INCLUDES).await
}

async fn read(cx: Cx) -> Result<Reply> {
    let (project, grants) = find(&cx, cx.path("id")).await?;
    answer(&cx, &project, &grants).await
}

async fn answer(cx: &Cx, project: &Project, grants: &Grants) -> Result<Reply> {
    let document = tags::name_effective_of_one(cx, document(project, grants), tags::OF_PROJECTS).await?;
    cx.one(document, INCLUDES).await
}

fn check_name(name: &str) -> Result<()> {
    let message = if name.trim().is_empty() {
        "Name can't be blank"
    } else if !name.chars().all(|c| c.is_alphanumeric() || " -_".contains(c)) {
        "Name may only contain letters, numbers, spaces, hyphens and underscores"
    } else if !(3..=40).contains(&name.chars().count()) {
        "Name must have between 3 and 40 characters"
    } else {
        return Ok(());
    };
    Err(Error::invalid("name", message))
}

async fn refuse_taken_name(tx: &mut Tx, project: &Project) -> Result<()> {
    let taken: Option<(String,)> = tx
        .one(
            "SELECT id FROM projects WHERE organization_id = $1 AND name = $2 AND id <> $3",
            args![&project.organization_id, project.name.as_str(), &project.id],
        )
        .await?;
    if taken.is_some() { Err(Error::invalid("name", "Name has already been taken")) } else { Ok(()) }
}

/// Refuses a pool that is not for this project, if it is another one than before.
async fn refuse_pool(tx: &mut Tx, project: &Project, before: Option<&Execution>) -> Result<()> {
    match &project.default_agent_pool_id {
        Some(pool) if before.and_then(|before| before.pool.as_ref()) != Some(pool) => {
            let user = execution::User::Project(&project.id);
            execution::usable(tx, pool, &project.organization_id, user, DEFAULTS).await
        }
        _ => Ok(()),
    }
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let organization = grants.prove_organization::<perm::ManageProjects, _>(organization)?;
    let data: Data<Attributes> = cx.data().await?;
    let bindings = tags::related_bindings(&data)?;
    let name = data.attributes.name.clone().unwrap_or_default();
    check_name(&name)?;
    let app = cx.app.clone();
    let mut project = Project {
        id: ProjectId::new(&app.env),
        organization_id: organization.id.clone(),
        organization: organization.name.clone(),
        name,
        description: None,
        default_execution_mode: None,
        default_agent_pool_id: None,
        organization_execution_mode: organization.default_execution_mode.clone(),
        organization_agent_pool_id: organization.default_agent_pool_id.clone(),
        auto_destroy_activity_duration: None,
        created_at: app.now(),
    };
    data.attributes.settings(&mut project)?;
    let mut tx = app.db.begin().await?;
    refuse_taken_name(&mut tx, &project).await?;
    refuse_pool(&mut tx, &project, None).await?;
    tx.exec(
        "INSERT INTO projects (id, organization_id, name, description, created_at, default_execution_mode,
           auto_destroy_activity_duration, default_agent_pool_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        args![
            &project.id,
            &project.organization_id,
            project.name.as_str(),
            project.description.clone(),
            project.created_at,
            project.default_execution_mode.clone(),
            project.auto_destroy_activity_duration.clone(),
            project.default_agent_pool_id.as_ref()
        ],
    )
    .await?;
    if let Some(bindings) = bindings {
        let bearer = tags::Bearer::Project(&project.id);
        tags::bind(&app, &mut tx, &project.organization_id, bearer, &bindings).await?;
    }
    tx.commit().await?;
    let document = tags::name_effective_of_one(&cx, document(&project, &grants), tags::OF_PROJECTS).await?;
    cx.created(document, INCLUDES).await
}

async fn update(mut cx: Cx) -> Result<Reply> {
    let mut project = updatable(&cx).await?;
    let grants = cx.grants(&project.organization_id).await?;
    let data: Data<Attributes> = cx.data().await?;
    let bindings = tags::related_bindings(&data)?;
    if let Some(name) = &data.attributes.name {
        check_name(name)?;
        project.name.clone_from(name);
    }
    let before = project.own_execution();
    let other_duration = data.attributes.settings(&mut project)?;
    let mut tx = cx.app.db.begin().await?;
    refuse_taken_name(&mut tx, &project).await?;
    refuse_pool(&mut tx, &project, before.as_ref()).await?;
    tx.exec(
        "UPDATE projects SET name = $2, description = $3, default_execution_mode = $4,
           auto_destroy_activity_duration = $5, default_agent_pool_id = $6 WHERE id = $1",
        args![
            &project.id,
            project.name.as_str(),
            project.description.clone(),
            project.default_execution_mode.clone(),
            project.auto_destroy_activity_duration.clone(),
            project.default_agent_pool_id.as_ref()
        ],
    )
    .await?;
    if other_duration {
        let duration = project.auto_destroy_activity_duration.as_deref();
        auto_destroy::inherit(&mut tx, &project.id, duration, cx.app.now()).await?;
    }
    if let Some(bindings) = bindings {
        let bearer = tags::Bearer::Project(&project.id);
        tags::unbind(&mut tx, bearer, None).await?;
        tags::bind(&cx.app, &mut tx, &project.organization_id, bearer, &bindings).await?;
    }
    tx.commit().await?;
    if before != project.own_execution() {
        // Runs that waited for agents may be this server's now.
        cx.app.pulse();
    }
    answer(&cx, &project, &grants).await
}

async fn delete(cx: Cx) -> Result<Reply> {
    let (project, grants) = find(&cx, cx.path("id")).await?;
    if grants.project(&project.id).settings < ProjectSettingsLevel::Delete {
        return Err(Error::NotFound);
    }
    let mut tx = cx.app.db.begin().await?;
    let default: Option<(String,)> =
        tx.one("SELECT name FROM organizations WHERE default_project_id = $1", args![&project.id]).await?;
    if default.is_some() {
        return Err(Error::Unprocessable(
            "The default project of an organization cannot be deleted".to_owned(),
        ));
    }
    let inside: Option<(i64,)> =
        tx.one("SELECT COUNT(*) FROM workspaces WHERE project_id = $1", args![&project.id]).await?;
    if let Some((count @ 1..,)) = inside {
        return Err(Error::Forbidden(format!(
            "Project {:?} still has {count} workspace(s): delete them, or move them to another project, first",
            project.name
        )));
    }
    tx.exec("DELETE FROM projects WHERE id = $1", args![&project.id]).await?;
    tx.commit().await?;
    Ok(Reply::no_content())
}

/// Moves workspaces into the project.
async fn take(mut cx: Cx) -> Result<Reply> {
    let (project, grants) = find(&cx, cx.path("id")).await?;
    if !grants.project(&project.id).move_workspaces {
        return Err(Error::Forbidden("You may not move workspaces into this project".to_owned()));
    }
    let list = cx.data_list().await?;
    let mut tx = cx.app.db.begin().await?;
    for named in list {
        let id = named.id.unwrap_or_default();
        let found: Option<(WorkspaceId, ProjectId)> = tx
            .one(
                "SELECT id, project_id FROM workspaces WHERE id = $1 AND organization_id = $2",
                args![&id, &project.organization_id],
            )
            .await?;
        let (workspace, from) = found.ok_or(Error::NotFound)?;
        if !grants.workspace(&workspace, &from).visible() {
            return Err(Error::NotFound);
        }
        may_move(&grants, &workspace, &from, &project.id)?;
        tx.exec(
            "UPDATE workspaces SET project_id = $2, version = version + 1, updated_at = $3 WHERE id = $1",
            args![&workspace, &project.id, cx.app.now()],
        )
        .await?;
        refuse_overrides(&mut tx, &workspace, None).await?;
        if from != project.id {
            auto_destroy::inherit_one(&mut tx, &workspace, cx.app.now()).await?;
        }
    }
    tx.commit().await?;
    Ok(Reply::no_content())
}

/// Whether a workspace may go from one project to another: both must allow it.
///
/// # Errors
/// [`Error::Forbidden`] if not; this is one of the places where TFE says so.
pub(crate) fn may_move(
    grants: &Grants,
    workspace: &WorkspaceId,
    from: &ProjectId,
    to: &ProjectId,
) -> Result<()> {
    let leaves = grants.workspace(workspace, from).move_workspace;
    let enters = grants.project(to).move_workspaces;
    if from == to || (leaves && enters) {
        return Ok(());
    }
    let which = if leaves { "into this" } else { "out of its present" };
    Err(Error::Forbidden(format!("You may not move workspace {workspace} {which} project")))
}

fn document(project: &Project, grants: &Grants) -> Resource {
    let execution = project.execution();
    let attributes = json!({
        "name": project.name,
        "description": project.description,
        "created-at": project.created_at.iso8601(),
        "default-execution-mode": execution.mode,
        "auto-destroy-activity-duration": project.auto_destroy_activity_duration,
        "is-unified": false,
        "setting-overwrites": {
            "default-execution-mode": project.default_execution_mode.is_some(),
            "default-agent-pool": project.default_execution_mode.is_some(),
        },
        "permissions": grants.project(&project.id).document(),
    });
    let own = format!("/api/v2/projects/{}", project.id);
    Resource::new("projects", project.id.as_str(), &attributes)
        .relate("organization", Linkage::One("organizations", project.organization.clone()))
        .relate(
            "default-agent-pool",
            Linkage::maybe("agent-pools", execution.pool.as_ref().map(AgentPoolId::as_str)),
        )
        .relate("tag-bindings", Linkage::Link(format!("{own}/tag-bindings")))
        .relate("effective-tag-bindings", Linkage::Link(format!("{own}/effective-tag-bindings")))
        .link("self", own)
}

/// The project of this id, if it is of this organization.
pub(crate) async fn in_organization(
    tx: &mut Tx,
    id: &str,
    organization: &OrganizationId,
) -> Result<ProjectId> {
    let found: Option<(ProjectId,)> = tx
        .one("SELECT id FROM projects WHERE id = $1 AND organization_id = $2", args![id, organization])
        .await?;
    found
        .map(|(id,)| id)
        .ok_or_else(|| Error::invalid("project", "Project does not exist in this organization"))
}

/// The name of a project, for a run's environment.
pub async fn name_of(app: &App, id: &ProjectId) -> Result<String> {
    let found: Option<(String,)> = app.db.one("SELECT name FROM projects WHERE id = $1", args![id]).await?;
    found.map(|(name,)| name).ok_or(Error::NotFound)
}
