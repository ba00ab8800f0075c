//! Team access to projects: `/team-projects`.
//!
//! A fixed level brings its permissions in the project and in each of its workspaces; single ones can be set only when the
//! level is `custom`. Source: the Project Team Access API; semantics.md §6.2.

use crate::projects::{self, Project};
use accounts::teams;
use authz::{ProjectAccess, ProjectAccessChange, project::ProjectTeamsLevel};
use axum::http::Method;
use db::{FromRow, args};
use http_api::{Cx, Error, Linkage, Reply, Resource, Result, Routes};
use kernel::ids::{ProjectId, TeamId, TeamProjectAccessId};

#[derive(Clone, Debug, FromRow)]
struct Row {
    id: TeamProjectAccessId,
    team_id: TeamId,
    project_id: ProjectId,
    access: String,
}

const COLUMNS: &str = "id, team_id, project_id, access";

const INCLUDES: &[&str] = &["team", "project"];

/// The operations on team access to projects.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::GET, "/team-projects", "workspaces.project-access.list", list)
        .op(Method::POST, "/team-projects", "workspaces.project-access.create", create)
        .op(Method::GET, "/team-projects/{id}", "workspaces.project-access.read", read)
        .op(Method::PATCH, "/team-projects/{id}", "workspaces.project-access.update", update)
        .op(Method::DELETE, "/team-projects/{id}", "workspaces.project-access.delete", delete)
}

/// The project of this id, in which the caller has this much to say about teams.
async fn project(cx: &Cx, id: &str, least: ProjectTeamsLevel) -> Result<Project> {
    let (project, grants) = projects::find(cx, id).await?;
    if grants.project(&project.id).teams >= least { Ok(project) } else { Err(Error::NotFound) }
}

async fn list(cx: Cx) -> Result<Reply> {
    if let Some(team) = cx.query("filter[team][id]") {
        return of_team(&cx, team).await;
    }
    let id = cx.query("filter[project][id]").ok_or_else(|| {
        Error::bad_request(
            "bad request",
            "the parameter filter[project][id] is required: whose team access to list",
        )
    })?;
    let project = project(&cx, id, ProjectTeamsLevel::Read).await?;
    let page = cx.page();
    let total: Option<(i64,)> =
        cx.app.db.one("SELECT COUNT(*) FROM team_access WHERE project_id = $1", args![&project.id]).await?;
    let sql = format!(
        "SELECT {COLUMNS} FROM team_access WHERE project_id = $1 ORDER BY created_at, id LIMIT $2 OFFSET $3"
    );
    let values = args![&project.id, page.limit(), page.offset()];
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let items = rows.iter().map(document).collect::<Result<_>>()?;
    cx.page_of(kernel::Paged { items, page, total: total.map(|(n,)| n) }, INCLUDES).await
}

/// What one team has, in the projects whose teams the caller may see: an addition to TFE's API.
async fn of_team(cx: &Cx, team: &str) -> Result<Reply> {
    let team = teams::visible(cx, team).await?;
    let sql = format!(
        "SELECT {COLUMNS} FROM team_access WHERE team_id = $1 AND project_id IS NOT NULL ORDER BY created_at, id"
    );
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), args![&team.id]).await?;
    let grants = cx.grants(&team.organization_id).await?;
    let visible = rows.iter().filter(|row| grants.project(&row.project_id).teams >= ProjectTeamsLevel::Read);
    cx.list(visible.map(document).collect::<Result<_>>()?, INCLUDES).await
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let data = cx.data::<ProjectAccessChange>().await?;
    let id = data.related("project").ok_or_else(|| Error::invalid("project", "Project can't be blank"))?;
    let project = project(&cx, id, ProjectTeamsLevel::Manage).await?;
    let team = data.related("team").ok_or_else(|| Error::invalid("team", "Team can't be blank"))?;
    let team = teams::visible(&cx, team).await?;
    if team.organization_id != project.organization_id {
        return Err(Error::NotFound);
    }
    let access = ProjectAccess::create(&data.attributes)?;
    let row = Row {
        id: TeamProjectAccessId::new(&cx.app.env),
        team_id: team.id,
        project_id: project.id,
        access: encode(&access)?,
    };
    let mut tx = cx.app.db.begin().await?;
    let taken: Option<(String,)> = tx
        .one(
            "SELECT id FROM team_access WHERE team_id = $1 AND project_id = $2",
            args![&row.team_id, &row.project_id],
        )
        .await?;
    if taken.is_some() {
        return Err(Error::invalid("team", "Team has already been taken"));
    }
    tx.exec(
        "INSERT INTO team_access (id, team_id, project_id, access, created_at) VALUES ($1, $2, $3, $4, $5)",
        args![&row.id, &row.team_id, &row.project_id, &row.access, cx.app.now()],
    )
    .await?;
    tx.commit().await?;
    cx.app.identities.forget();
    cx.created(document(&row)?, INCLUDES).await
}

async fn find(cx: &Cx, least: ProjectTeamsLevel) -> Result<Row> {
    let sql = format!("SELECT {COLUMNS} FROM team_access WHERE id = $1 AND project_id IS NOT NULL");
    let row: Option<Row> = cx.app.db.one(db::AssertSqlSafe(sql), args![cx.path("id")]).await?;
    let row = row.ok_or(Error::NotFound)?;
    project(cx, row.project_id.as_str(), least).await?;
    Ok(row)
}

async fn read(cx: Cx) -> Result<Reply> {
    let row = find(&cx, ProjectTeamsLevel::Read).await?;
    cx.one(document(&row)?, INCLUDES).await
}

async fn update(mut cx: Cx) -> Result<Reply> {
    let mut row = find(&cx, ProjectTeamsLevel::Manage).await?;
    let data = cx.data::<ProjectAccessChange>().await?;
    let current: ProjectAccess = serde_json::from_str(&row.access).map_err(Error::internal)?;
    row.access = encode(&current.change(&data.attributes)?)?;
    cx.app.db.exec("UPDATE team_access SET access = $2 WHERE id = $1", args![&row.id, &row.access]).await?;
    cx.app.identities.forget();
    cx.one(document(&row)?, INCLUDES).await
}

async fn delete(cx: Cx) -> Result<Reply> {
    let row = find(&cx, ProjectTeamsLevel::Manage).await?;
    cx.app.db.exec("DELETE FROM team_access WHERE id = $1", args![&row.id]).await?;
    cx.app.identities.forget();
    Ok(Reply::no_content())
}

fn encode(access: &ProjectAccess) -> Result<String> {
    serde_json::to_string(access).map_err(Error::internal)
}

/// The level with the permissions that it brings.
fn document(row: &Row) -> Result<Resource> {
    let access: ProjectAccess = serde_json::from_str(&row.access).map_err(Error::internal)?;
    Ok(Resource::new("team-projects", row.id.as_str(), &access)
        .relate("team", Linkage::One("teams", row.team_id.to_string()))
        .relate("project", Linkage::One("projects", row.project_id.to_string()))
        .link("self", format!("/api/v2/team-projects/{}", row.id)))
}
