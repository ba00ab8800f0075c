//! Variable sets: variables that hold in several workspaces, by name or by project, or in all.
//!
//! A set belongs to the organization or to one project, which then manages it and within which it holds. Source: the Variable
//! Sets API; semantics.md §5.1, §5.2.

mod scopes;
mod vars;

use crate::{
    conditions::Conditions,
    projects,
    variables::{self, Home, Owner, effective},
    workspaces,
};
use accounts::organizations;
use authz::{Grants, OrganizationPermission, Visible, perm, project::VariableSetsLevel};
use axum::http::Method;
use db::{Arg, FromRow, Tx, args};
use http_api::{App, Cx, Data, Error, Linkage, Reply, Resource, Result, Routes, include::Loaders};
use kernel::{
    Paged, Timestamp,
    ids::{OrganizationId, ProjectId, VariableSetId},
};
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Characters of a name.
const NAME_MAX: usize = 90;
/// Characters of a description.
const DESCRIPTION_MAX: usize = 512;

/// A variable set as stored.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct Set {
    pub(crate) id: VariableSetId,
    pub(crate) organization_id: OrganizationId,
    organization: String,
    project_id: Option<ProjectId>,
    name: String,
    description: String,
    global: bool,
    priority: bool,
    updated_at: Timestamp,
}

const SELECT: &str =
    "SELECT s.id, s.organization_id, o.name AS organization, s.project_id, s.name, s.description,
    s.global, s.priority, s.updated_at FROM variable_sets s JOIN organizations o ON o.id = s.organization_id";

const INCLUDES: &[&str] = &["workspaces", "projects", "vars"];

/// What a request may set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    name: Option<String>,
    description: Option<String>,
    global: Option<bool>,
    priority: Option<bool>,
}

/// The operations on variable sets.
pub fn routes() -> Routes {
    let all = "/organizations/{organization}/varsets";
    Routes::new()
        .op(Method::GET, all, "workspaces.variable-sets.list", list)
        .op(Method::POST, all, "workspaces.variable-sets.create", create)
        .op(Method::GET, "/varsets/{id}", "workspaces.variable-sets.read", read)
        .op(Method::PATCH, "/varsets/{id}", "workspaces.variable-sets.update", update)
        .op(Method::POST, "/varsets/{id}", "workspaces.variable-sets.update-by-post", update)
        .op(Method::DELETE, "/varsets/{id}", "workspaces.variable-sets.delete", delete)
        .op(Method::GET, "/projects/{id}/varsets", "workspaces.variable-sets.list-of-project", of_project)
        .op(
            Method::GET,
            "/workspaces/{id}/varsets",
            "workspaces.variable-sets.list-of-workspace",
            of_workspace,
        )
        .op(
            Method::GET,
            "/workspaces/{id}/applicable-varsets",
            "workspaces.variable-sets.list-applicable",
            applicable,
        )
        .and(scopes::routes())
        .and(vars::routes())
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("varsets", |cx, ids| async move {
        let found: Vec<Set> = visible_among(&cx, &ids).await?.into_iter().map(|(set, _)| set).collect();
        documents(&cx.app, &found).await
    });
}

impl Set {
    fn home(&self) -> Home {
        Home {
            organization: self.organization_id.clone(),
            owner: Owner::Set(self.id.clone()),
            is_global: self.global,
        }
    }

    fn may_manage(&self, grants: &Grants) -> bool {
        match &self.project_id {
            Some(project) => grants.project(project).variable_sets >= VariableSetsLevel::Manage,
            None => grants.allows(OrganizationPermission::ManageVariableSets),
        }
    }
}

/// Leaves the rows of `variable_sets s` that the caller may see: those they manage, those of projects whose sets they may
/// see, and those that hold where they may see variables.
fn require_visible(conditions: &mut Conditions, grants: &Grants) {
    if grants.allows(OrganizationPermission::ManageVariableSets) {
        return;
    }
    let owned = conditions.marks(grants.projects_with_variable_sets(VariableSetsLevel::Read));
    let (own, holds) = match grants.variables_visible() {
        Visible::All => return,
        Visible::Of { workspaces, projects } => {
            let anywhere = !(workspaces.is_empty() && projects.is_empty());
            let ids = conditions.marks(workspaces);
            let groups = conditions.marks(projects);
            let scope = format!(
                "EXISTS (SELECT 1 FROM variable_set_scopes c LEFT JOIN workspaces w ON w.id = c.workspace_id
                   WHERE c.variable_set_id = s.id AND (c.workspace_id IN ({ids}) OR c.project_id IN ({groups})
                     OR w.project_id IN ({groups})
                     OR c.project_id IN (SELECT project_id FROM workspaces WHERE id IN ({ids}))))"
            );
            (owned, if anywhere { format!("(s.global OR {scope})") } else { "FALSE".to_owned() })
        }
    };
    conditions.require(format!("(s.project_id IN ({own}) OR {holds})"));
}

/// The set of this id.
///
/// # Errors
/// [`Error::NotFound`] when it is absent or hidden from the caller.
pub(crate) async fn visible(cx: &Cx, id: &str) -> Result<(Set, Arc<Grants>)> {
    visible_among(cx, &[id.to_owned()]).await?.pop().ok_or(Error::NotFound)
}

/// Of the sets of these ids those that the caller may see. At most one statement for those that they do not manage, in
/// each organization.
pub(crate) async fn visible_among(cx: &Cx, ids: &[String]) -> Result<Vec<(Set, Arc<Grants>)>> {
    let mut conditions = Conditions::none();
    let marks = conditions.marks(ids);
    let sql = format!("{SELECT} WHERE s.id IN ({marks})");
    let rows: Vec<Set> = cx.app.db.all(db::AssertSqlSafe(sql), conditions.values()).await?;
    let (mut found, mut unmanaged) = (Vec::new(), BTreeMap::<OrganizationId, Vec<Set>>::new());
    for set in rows {
        let grants = cx.grants(&set.organization_id).await?;
        if !grants.member && !grants.is_owner() {
            continue;
        }
        if set.may_manage(&grants) {
            found.push((set, grants));
        } else {
            unmanaged.entry(set.organization_id.clone()).or_default().push(set);
        }
    }
    for (organization, sets) in unmanaged {
        let grants = cx.grants(&organization).await?;
        let mut conditions = Conditions::none();
        let marks = conditions.marks(sets.iter().map(|set| &set.id));
        conditions.require(format!("s.id IN ({marks})"));
        require_visible(&mut conditions, &grants);
        let sql = format!("SELECT s.id FROM variable_sets s WHERE {}", conditions.text());
        let seen: Vec<(VariableSetId,)> = cx.app.db.all(db::AssertSqlSafe(sql), conditions.values()).await?;
        let visible = sets.into_iter().filter(|set| seen.iter().any(|(id,)| *id == set.id));
        found.extend(visible.map(|set| (set, grants.clone())));
    }
    Ok(found)
}

/// The set that the path names, which the caller may change.
async fn manageable(cx: &Cx) -> Result<(Set, Arc<Grants>)> {
    let (set, grants) = visible(cx, cx.path("id")).await?;
    if set.may_manage(&grants) { Ok((set, grants)) } else { Err(Error::NotFound) }
}

async fn page(cx: &Cx, mut conditions: Conditions) -> Result<Reply> {
    if let Some(text) = cx.query("q").filter(|text| !text.is_empty()) {
        conditions.contains("s.name", text);
    }
    let page = cx.page();
    let (condition, values) = (conditions.text(), conditions.values());
    let sql = format!("SELECT COUNT(*) FROM variable_sets s WHERE {condition}");
    let total: Option<(i64,)> = cx.app.db.one(db::AssertSqlSafe(sql), values.clone()).await?;
    let (limit, offset) = (page.limit(), page.offset());
    let sql = format!("{SELECT} WHERE {condition} ORDER BY s.name, s.id LIMIT {limit} OFFSET {offset}");
    let rows: Vec<Set> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let items = documents(&cx.app, &rows).await?;
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, INCLUDES).await
}

async fn list(cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let mut conditions = Conditions::of("s.organization_id", &organization.id);
    require_visible(&mut conditions, &grants);
    page(&cx, conditions).await
}

/// The sets that hold in a project: its own, those that name it, and global ones.
async fn of_project(cx: Cx) -> Result<Reply> {
    let (project, grants) = projects::find(&cx, cx.path("id")).await?;
    let mut conditions = Conditions::of("s.organization_id", &project.organization_id);
    require_visible(&mut conditions, &grants);
    let id = conditions.mark(&project.id);
    conditions.require(format!(
        "(s.global OR s.project_id = {id} OR EXISTS (SELECT 1 FROM variable_set_scopes c
           WHERE c.variable_set_id = s.id AND c.project_id = {id}))"
    ));
    page(&cx, conditions).await
}

/// The sets that hold in a workspace.
async fn of_workspace(cx: Cx) -> Result<Reply> {
    let (workspace, _) = workspaces::granted::<perm::ReadVariables>(&cx).await?;
    let mut conditions = Conditions::of("s.organization_id", &workspace.organization_id);
    let id = conditions.mark(&workspace.id);
    conditions.require(effective::SETS_OF_WORKSPACE.replace("{w}", &id));
    page(&cx, conditions).await
}

/// The sets that could hold in a workspace: the organization's, and those of its project.
async fn applicable(cx: Cx) -> Result<Reply> {
    let (workspace, grants) = workspaces::granted::<perm::ReadVariables>(&cx).await?;
    let mut conditions = Conditions::of("s.organization_id", &workspace.organization_id);
    require_visible(&mut conditions, &grants);
    let project = conditions.mark(&workspace.project_id);
    conditions.require(format!("(s.project_id IS NULL OR s.project_id = {project})"));
    page(&cx, conditions).await
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let of_all = grants.allows(OrganizationPermission::ManageVariableSets);
    if !of_all && grants.projects_with_variable_sets(VariableSetsLevel::Manage).is_empty() {
        return Err(Error::NotFound);
    }
    let data: Data<Attributes> = cx.data().await?;
    let parent = data.relationship("parent").filter(|parent| !parent.is_null());
    let owner = match parent {
        Some(parent) if parent["type"] == "projects" => {
            let id = parent["id"].as_str().unwrap_or_default();
            let (project, _) = projects::find(&cx, id).await?;
            if project.organization_id != organization.id {
                return Err(Error::NotFound);
            }
            Some(project.id)
        }
        _ => None,
    };
    let mut set = Set {
        id: VariableSetId::new(&cx.app.env),
        organization_id: organization.id.clone(),
        organization: organization.name.clone(),
        project_id: owner,
        name: String::new(),
        description: String::new(),
        global: false,
        priority: false,
        updated_at: cx.app.now(),
    };
    if !set.may_manage(&grants) {
        return Err(Error::NotFound);
    }
    if data.attributes.name.is_none() {
        return Err(Error::invalid("name", "Name can't be blank"));
    }
    let scopes = scopes::asked(&data)?;
    let given = data.related_list("vars")?.unwrap_or_default();
    set.take(data.attributes)?;
    let mut rows = Vec::new();
    for variable in given {
        let attributes = serde_json::from_value(serde_json::Value::Object(variable.attributes))
            .map_err(|e| Error::Unprocessable(format!("a variable in vars has the wrong shape: {e}")))?;
        rows.push(variables::new(&cx.app, &set.home(), attributes).await?);
    }
    let mut tx = cx.app.db.begin().await?;
    refuse_taken_name(&mut tx, &set).await?;
    tx.exec(
        "INSERT INTO variable_sets (id, organization_id, project_id, name, description, global, priority, created_at,
                                    updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        args![
            &set.id,
            &set.organization_id,
            set.project_id.as_ref(),
            set.name.as_str(),
            set.description.as_str(),
            set.global,
            set.priority,
            set.updated_at
        ],
    )
    .await?;
    scopes::replace(&mut tx, &set, &grants, scopes).await?;
    for row in &rows {
        variables::insert(&mut tx, &set.home(), row).await?;
    }
    tx.commit().await?;
    cx.created(document(&cx.app, &set).await?, INCLUDES).await
}

async fn refuse_taken_name(tx: &mut Tx, set: &Set) -> Result<()> {
    let taken: Option<(String,)> = tx
        .one(
            "SELECT id FROM variable_sets WHERE organization_id = $1 AND name = $2 AND id <> $3",
            args![&set.organization_id, set.name.as_str(), &set.id],
        )
        .await?;
    if taken.is_some() { Err(Error::invalid("name", "Name has already been taken")) } else { Ok(()) }
}

impl Set {
    fn take(&mut self, asked: Attributes) -> Result<()> {
        let mut wrong = Vec::new();
        let mut refuse = |name: &str, text: String| wrong.push((name.to_owned(), text));
        if let Some(name) = asked.name {
            let name = name.trim();
            if name.is_empty() {
                refuse("name", "Name can't be blank".to_owned());
            } else if name.chars().count() > NAME_MAX {
                refuse("name", format!("Name is too long (maximum is {NAME_MAX} characters)"));
            }
            self.name = name.to_owned();
        }
        if let Some(description) = asked.description {
            if description.chars().count() > DESCRIPTION_MAX {
                let text = format!("Description is too long (maximum is {DESCRIPTION_MAX} characters)");
                refuse("description", text);
            }
            self.description = description;
        }
        self.global = asked.global.unwrap_or(self.global);
        self.priority = asked.priority.unwrap_or(self.priority);
        if self.global && self.project_id.is_some() {
            refuse("global", "Global must be false for a set that a project owns".to_owned());
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
    }
}

async fn read(cx: Cx) -> Result<Reply> {
    let (set, _) = visible(&cx, cx.path("id")).await?;
    cx.one(document(&cx.app, &set).await?, INCLUDES).await
}

async fn update(mut cx: Cx) -> Result<Reply> {
    let (mut set, grants) = manageable(&cx).await?;
    let data: Data<Attributes> = cx.data().await?;
    let scopes = scopes::asked(&data)?;
    let was_global = set.global;
    set.take(data.attributes)?;
    set.updated_at = cx.app.now();
    let mut tx = cx.app.db.begin().await?;
    refuse_taken_name(&mut tx, &set).await?;
    if set.global && !was_global {
        refuse_doubled_keys(&mut tx, &set).await?;
    }
    tx.exec(
        "UPDATE variable_sets SET name = $2, description = $3, global = $4, priority = $5, updated_at = $6 WHERE id = $1",
        args![
            &set.id,
            set.name.as_str(),
            set.description.as_str(),
            set.global,
            set.priority,
            set.updated_at
        ],
    )
    .await?;
    scopes::replace(&mut tx, &set, &grants, scopes).await?;
    tx.commit().await?;
    cx.one(document(&cx.app, &set).await?, INCLUDES).await
}

/// Two global sets cannot give the same variable: neither would be more specific.
async fn refuse_doubled_keys(tx: &mut Tx, set: &Set) -> Result<()> {
    let doubled: Option<(String, String)> = tx
        .one(
            "SELECT v.key, s.name FROM variables v JOIN variable_sets s ON s.id = v.variable_set_id
             JOIN variables mine ON mine.key = v.key AND mine.category = v.category
             WHERE s.organization_id = $1 AND s.global AND s.id <> $2 AND mine.variable_set_id = $2",
            args![&set.organization_id, &set.id],
        )
        .await?;
    match doubled {
        Some((key, other)) => Err(Error::invalid(
            "global",
            format!("Global cannot be set: the global variable set {other:?} has the variable {key:?} too"),
        )),
        None => Ok(()),
    }
}

async fn delete(cx: Cx) -> Result<Reply> {
    let (set, _) = manageable(&cx).await?;
    cx.app.db.exec("DELETE FROM variable_sets WHERE id = $1", args![&set.id]).await?;
    Ok(Reply::no_content())
}

async fn document(app: &App, set: &Set) -> Result<Resource> {
    let mut documents = documents(app, std::slice::from_ref(set)).await?;
    documents.pop().ok_or(Error::NotFound)
}

/// Sets with what they hold and where, in two queries for all of them.
async fn documents(app: &App, sets: &[Set]) -> Result<Vec<Resource>> {
    #[derive(Default)]
    struct Links {
        workspaces: Vec<String>,
        projects: Vec<String>,
        variables: Vec<String>,
    }
    if sets.is_empty() {
        return Ok(vec![]);
    }
    let marks: Vec<String> = (1..=sets.len()).map(|n| format!("${n}")).collect();
    let (marks, ids) = (marks.join(", "), || sets.iter().map(|set| Arg::from(&set.id)).collect::<Vec<_>>());
    let mut links: HashMap<String, Links> = HashMap::new();
    let sql = format!(
        "SELECT variable_set_id, workspace_id, project_id FROM variable_set_scopes WHERE variable_set_id IN ({marks})
         ORDER BY workspace_id, project_id"
    );
    let scopes: Vec<(String, Option<String>, Option<String>)> =
        app.db.all(db::AssertSqlSafe(sql), ids()).await?;
    for (set, workspace, project) in scopes {
        let links = links.entry(set).or_default();
        links.workspaces.extend(workspace);
        links.projects.extend(project);
    }
    let sql = format!(
        "SELECT variable_set_id, id FROM variables WHERE variable_set_id IN ({marks}) ORDER BY created_at, id"
    );
    for (set, variable) in app.db.all::<(String, String)>(db::AssertSqlSafe(sql), ids()).await? {
        links.entry(set).or_default().variables.push(variable);
    }
    Ok(sets
        .iter()
        .map(|set| {
            let links = links.remove(set.id.as_str()).unwrap_or_default();
            let attributes = json!({
                "name": set.name,
                "description": set.description,
                "global": set.global,
                "priority": set.priority,
                "updated-at": set.updated_at.iso8601(),
                "var-count": links.variables.len(),
                "workspace-count": links.workspaces.len(),
                "project-count": links.projects.len(),
            });
            let parent = match &set.project_id {
                Some(project) => Linkage::One("projects", project.to_string()),
                None => Linkage::One("organizations", set.organization.clone()),
            };
            Resource::new("varsets", set.id.as_str(), &attributes)
                .relate("organization", Linkage::One("organizations", set.organization.clone()))
                .relate("parent", parent)
                .relate("workspaces", Linkage::Many("workspaces", links.workspaces))
                .relate("projects", Linkage::Many("projects", links.projects))
                .relate("vars", Linkage::Many("vars", links.variables))
                .link("self", format!("/api/v2/varsets/{}", set.id))
        })
        .collect())
}
