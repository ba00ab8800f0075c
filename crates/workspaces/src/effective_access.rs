//! What teams and people may really do, and why: an addition to TFE's API, for a page that shows it as a matrix.
//!
//! A row is a team or a member; its targets are the organization's projects, or the workspaces of one of them. What is held
//! is summed up by [`authz::Grants`], as for a request; the reasons are the single grants that were summed. Targets that the
//! caller may not see are left out. Who may see secret teams may ask, because any team may be a reason.

use crate::{
    conditions::Conditions,
    projects::{self, require_visible},
};
use accounts::{organizations, teams::OWNERS};
use authz::{
    Grants, OrganizationAccess, ProjectAccess, TeamAccess, TokenKind, WorkspacePermissions, perm,
    project::ProjectPermissions,
};
use axum::http::Method;
use db::{Arg, FromRow, args};
use http_api::{App, Cx, Error, Reply, Resource, Result, Routes};
use kernel::{
    Page, Paged,
    ids::{OrganizationId, ProjectId, TeamId, WorkspaceId},
};
use serde_json::{Map, Value, json};

/// Targets of a document; more are found by `search[target]`.
const MOST_TARGETS: i64 = 50;

/// The operation.
pub fn routes() -> Routes {
    let path = "/organizations/{organization}/effective-access";
    Routes::new().op(Method::GET, path, "workspaces.effective-access.list", list)
}

/// A project, or a workspace with its project.
#[derive(Clone, Debug, FromRow)]
struct Target {
    id: String,
    name: String,
    project_id: ProjectId,
    is_project: bool,
}

#[derive(Clone, Debug, FromRow)]
struct Team {
    id: TeamId,
    name: String,
    access: String,
}

#[derive(Clone, Debug, FromRow)]
struct Access {
    team_id: TeamId,
    workspace_id: Option<WorkspaceId>,
    project_id: Option<ProjectId>,
    access: String,
}

/// A row: a team, or a person with the teams that they are in.
struct Subject {
    id: String,
    kind: &'static str,
    name: String,
    teams: Vec<TeamId>,
}

/// All that decides in an organization.
struct Known {
    organization: OrganizationId,
    allow_force_delete: bool,
    teams: Vec<(Team, OrganizationAccess)>,
    workspaces: Vec<(TeamId, WorkspaceId, TeamAccess)>,
    projects: Vec<(TeamId, ProjectId, ProjectAccess)>,
}

async fn list(cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let organization = grants.prove_organization::<perm::ReadSecretTeams, _>(organization)?.into_inner();
    let targets = targets(&cx, &organization.id, &grants).await?;
    let known = Known::read(&cx.app, &organization.id, organization.allows_force_delete(), &targets).await?;
    let page = cx.page();
    let (subjects, total) = match cx.query("filter[subject]").unwrap_or("teams") {
        "" | "teams" => known.teams_of_page(page),
        "users" => users(&cx, &organization.id, page).await?,
        other => {
            let why = format!("filter[subject] must be teams or users, and is {other:?}");
            return Err(Error::bad_request("bad request", why));
        }
    };
    let items = subjects.iter().map(|subject| document(&known, subject, &targets)).collect();
    cx.page_of(Paged { items, page, total: Some(total) }, &[]).await
}

/// The columns: visible projects, or visible workspaces of the project that is asked for.
async fn targets(cx: &Cx, organization: &OrganizationId, grants: &Grants) -> Result<Vec<Target>> {
    let project = cx.query("filter[project][id]").filter(|id| !id.is_empty());
    let (alias, select) = match project {
        None => ("p", "SELECT p.id, p.name, p.id AS project_id, TRUE AS is_project FROM projects p"),
        Some(_) => ("w", "SELECT w.id, w.name, w.project_id, FALSE AS is_project FROM workspaces w"),
    };
    let mut conditions = Conditions::of(&format!("{alias}.organization_id"), organization);
    match project {
        None => require_visible(&mut conditions, grants),
        Some(id) => {
            let (project, _) = projects::find(cx, id).await?;
            let mark = conditions.mark(&project.id);
            conditions.require(format!("w.project_id = {mark}"));
            if let Some(visible) = conditions.visible(grants) {
                conditions.require(visible);
            }
        }
    }
    if let Some(text) = cx.query("search[target]").filter(|text| !text.is_empty()) {
        conditions.contains(&format!("{alias}.name"), text);
    }
    let sql = format!("{select} WHERE {} ORDER BY {alias}.name LIMIT {MOST_TARGETS}", conditions.text());
    cx.app.db.all(db::AssertSqlSafe(sql), conditions.values()).await
}

/// The members of a page, by their names.
async fn users(cx: &Cx, organization: &OrganizationId, page: Page) -> Result<(Vec<Subject>, i64)> {
    let condition = "FROM organization_memberships m JOIN users u ON u.id = m.user_id
        WHERE m.organization_id = $1 AND u.service = FALSE";
    let sql = format!("SELECT COUNT(*) {condition}");
    let total: Option<(i64,)> = cx.app.db.one(db::AssertSqlSafe(sql), args![organization]).await?;
    let sql = format!("SELECT u.id, u.username {condition} ORDER BY u.username LIMIT $2 OFFSET $3");
    let values = args![organization, page.limit(), page.offset()];
    let rows: Vec<(String, String)> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let marks: Vec<String> = (2..rows.len() + 2).map(|n| format!("${n}")).collect();
    let mut teams: Vec<(String, TeamId)> = Vec::new();
    if !rows.is_empty() {
        let sql = format!(
            "SELECT m.user_id, m.team_id FROM team_members m JOIN teams t ON t.id = m.team_id
             WHERE t.organization_id = $1 AND m.user_id IN ({})",
            marks.join(", ")
        );
        let mut values = args![organization];
        values.extend(rows.iter().map(|(id, _)| Arg::from(id)));
        teams = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    }
    let of = |id: &str| teams.iter().filter(|(user, _)| user == id).map(|(_, team)| team.clone()).collect();
    let subjects = rows.into_iter().map(|(id, name)| Subject { teams: of(&id), id, kind: "users", name });
    Ok((subjects.collect(), total.map_or(0, |(n,)| n)))
}

impl Known {
    async fn read(
        app: &App,
        organization: &OrganizationId,
        allow_force_delete: bool,
        targets: &[Target],
    ) -> Result<Self> {
        let sql = "SELECT id, name, access FROM teams WHERE organization_id = $1 ORDER BY name";
        let rows: Vec<Team> = app.db.all(sql, args![organization]).await?;
        let mut teams = Vec::new();
        for team in rows {
            let access = serde_json::from_str(&team.access).map_err(Error::internal)?;
            teams.push((team, access));
        }
        let mut conditions = Conditions::none();
        let mark = conditions.mark(organization);
        let ids = conditions.marks(targets.iter().map(|target| &target.id));
        let groups = conditions.marks(targets.iter().map(|target| &target.project_id));
        let sql = format!(
            "SELECT a.team_id, a.workspace_id, a.project_id, a.access FROM team_access a JOIN teams t ON t.id = a.team_id
             WHERE t.organization_id = {mark} AND (a.workspace_id IN ({ids}) OR a.project_id IN ({groups}))
             ORDER BY a.created_at, a.id"
        );
        let rows: Vec<Access> = app.db.all(db::AssertSqlSafe(sql), conditions.values()).await?;
        let (mut workspaces, mut projects) = (Vec::new(), Vec::new());
        for row in rows {
            if let Some(workspace) = row.workspace_id {
                let access = serde_json::from_str(&row.access).map_err(Error::internal)?;
                workspaces.push((row.team_id, workspace, access));
            } else if let Some(project) = row.project_id {
                let access = serde_json::from_str(&row.access).map_err(Error::internal)?;
                projects.push((row.team_id, project, access));
            }
        }
        Ok(Self { organization: organization.clone(), allow_force_delete, teams, workspaces, projects })
    }

    fn teams_of_page(&self, page: Page) -> (Vec<Subject>, i64) {
        let start = usize::try_from(page.offset()).unwrap_or(usize::MAX);
        let shown = self.teams.iter().skip(start).take(page.size as usize).map(|(team, _)| Subject {
            id: team.id.to_string(),
            kind: "teams",
            name: team.name.clone(),
            teams: vec![team.id.clone()],
        });
        (shown.collect(), i64::try_from(self.teams.len()).unwrap_or(i64::MAX))
    }

    fn teams(&self, of: &Subject) -> impl Iterator<Item = &(Team, OrganizationAccess)> {
        self.teams.iter().filter(|(team, _)| of.teams.contains(&team.id))
    }

    /// What a row holds, as a request of theirs would find it.
    fn grants(&self, subject: &Subject) -> Grants {
        let mut grants = Grants::none(self.organization.clone());
        grants.member = true;
        grants.kind = TokenKind::User;
        grants.allow_force_delete = self.allow_force_delete;
        for (team, access) in self.teams(subject) {
            grants.owner |= team.name == OWNERS;
            grants.access = grants.access.union(*access);
        }
        for (_, workspace, access) in self.workspaces.iter().filter(|(team, ..)| subject.teams.contains(team))
        {
            let held = grants.workspaces.entry(workspace.clone()).or_insert(WorkspacePermissions::NONE);
            *held = held.union(access.permissions());
        }
        for (_, project, access) in self.projects.iter().filter(|(team, ..)| subject.teams.contains(team)) {
            let held = grants.projects.entry(project.clone()).or_insert(ProjectPermissions::NONE);
            *held = held.union(access.permissions());
        }
        grants
    }

    /// The single grants behind what a row holds in a target.
    fn reasons(&self, subject: &Subject, target: &Target) -> Vec<Value> {
        let mut reasons = Vec::new();
        for (team, access) in self.teams(subject) {
            if team.name == OWNERS {
                reasons.push(json!({ "source": "owners", "team": team.name, "level": "owner" }));
            }
            let held = named(target, access.in_projects(), access.in_workspaces());
            if held != "none" {
                let because = flags(*access);
                reasons.push(json!({
                    "source": "organization-access", "team": team.name, "level": held, "because-of": because,
                }));
            }
            let of_team = |id: &TeamId| *id == team.id;
            for (_, _, access) in
                self.projects.iter().filter(|(id, project, _)| of_team(id) && *project == target.project_id)
            {
                let level = access.level.as_str();
                reasons.push(json!({ "source": "project-access", "team": team.name, "level": level }));
            }
            for (_, _, access) in
                self.workspaces.iter().filter(|(id, w, _)| of_team(id) && w.as_str() == target.id)
            {
                let level = access.level.as_str();
                reasons.push(json!({ "source": "workspace-access", "team": team.name, "level": level }));
            }
        }
        reasons
    }
}

/// The flags of an organization access that alone let one see workspaces.
fn flags(access: OrganizationAccess) -> Vec<String> {
    let all = serde_json::to_value(access).unwrap_or_default();
    let set = all.as_object().into_iter().flatten().filter(|(_, value)| **value == Value::Bool(true));
    let alone = |name: &str| {
        let one = Map::from_iter([(name.to_owned(), Value::Bool(true))]);
        serde_json::from_value::<OrganizationAccess>(Value::Object(one)).unwrap_or_default()
    };
    let shows = |name: &str| alone(name).in_projects() != ProjectPermissions::NONE;
    set.map(|(name, _)| name.clone()).filter(|name| shows(name)).collect()
}

/// The greatest of the fixed levels that what is held includes.
fn named(target: &Target, project: ProjectPermissions, workspace: WorkspacePermissions) -> &'static str {
    let includes = |level: WorkspacePermissions| workspace.union(level) == workspace;
    let has = |level: ProjectPermissions| project.union(level) == project;
    if target.is_project {
        return match () {
            () if has(ProjectPermissions::ADMIN) => "admin",
            () if has(ProjectPermissions::MAINTAIN) => "maintain",
            () if has(ProjectPermissions::WRITE) => "write",
            () if has(ProjectPermissions::READ) => "read",
            () if project != ProjectPermissions::NONE => "custom",
            () => "none",
        };
    }
    match () {
        () if includes(WorkspacePermissions::ADMIN) => "admin",
        () if includes(WorkspacePermissions::WRITE) => "write",
        () if includes(WorkspacePermissions::PLAN) => "plan",
        () if includes(WorkspacePermissions::READ) => "read",
        () if workspace.visible() => "custom",
        () => "none",
    }
}

fn document(known: &Known, subject: &Subject, targets: &[Target]) -> Resource {
    let grants = known.grants(subject);
    let shown: Vec<Value> = targets
        .iter()
        .map(|target| {
            let project = grants.project(&target.project_id);
            let workspace = grants.workspace(&target.id.as_str().into(), &target.project_id);
            let level = if grants.is_owner() { "owner" } else { named(target, project, workspace) };
            let mut shown = json!({
                "id": target.id, "name": target.name, "level": level, "reasons": known.reasons(subject, target),
            });
            if target.is_project {
                shown["permissions"] = json!(project.document());
            } else {
                shown["permissions"] = json!(workspace.document());
            }
            shown
        })
        .collect();
    let attributes = json!({ "name": subject.name, "subject-type": subject.kind, "targets": shown });
    Resource::new("effective-access", subject.id.as_str(), &attributes)
}
