//! Projects, as far as workspaces need them: each organization has its default project, and workspaces name theirs.

use axum::http::Method;
use db::{FromRow, Tx, args};
use http_api::{App, Cx, Error, Linkage, Reply, Resource, Result, Routes, include::Loaders};
use kernel::{
    Paged, Timestamp,
    ids::{OrganizationId, ProjectId},
};
use serde_json::json;

#[derive(Clone, Debug, FromRow)]
struct Project {
    id: ProjectId,
    organization_id: OrganizationId,
    organization: String,
    name: String,
    description: Option<String>,
    created_at: Timestamp,
}

const SELECT: &str =
    "SELECT p.id, p.organization_id, o.name AS organization, p.name, p.description, p.created_at
  FROM projects p JOIN organizations o ON o.id = p.organization_id";

/// The operations on projects.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::GET, "/organizations/{organization}/projects", "workspaces.projects.list", list)
        .op(Method::GET, "/projects/{id}", "workspaces.projects.read", read)
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("projects", |cx, ids| async move {
        let mut found = Vec::new();
        for id in ids {
            if let Ok(project) = find(&cx, &id).await {
                found.push(document(&project));
            }
        }
        Ok(found)
    });
}

async fn find(cx: &Cx, id: &str) -> Result<Project> {
    let project: Project = cx
        .app
        .db
        .one(db::AssertSqlSafe(format!("{SELECT} WHERE p.id = $1")), args![id])
        .await?
        .ok_or(Error::NotFound)?;
    let grants = cx.grants(&project.organization_id).await?;
    if grants.member { Ok(project) } else { Err(Error::NotFound) }
}

async fn list(cx: Cx) -> Result<Reply> {
    let (organization, _) = accounts::organizations::find(&cx, cx.path("organization")).await?;
    let page = cx.page();
    let names = cx.query_list("filter[names]");
    let all: Vec<Project> = cx
        .app
        .db
        .all(
            db::AssertSqlSafe(format!("{SELECT} WHERE p.organization_id = $1 ORDER BY p.name")),
            args![&organization.id],
        )
        .await?;
    let found: Vec<&Project> =
        all.iter().filter(|p| names.is_empty() || names.contains(&p.name.as_str())).collect();
    let total = i64::try_from(found.len()).unwrap_or(i64::MAX);
    let start = usize::try_from(page.offset()).unwrap_or(usize::MAX);
    let items = found.into_iter().skip(start).take(page.size as usize).map(document).collect();
    cx.page_of(Paged { items, page, total: Some(total) }, &["organization"]).await
}

async fn read(cx: Cx) -> Result<Reply> {
    let project = find(&cx, cx.path("id")).await?;
    cx.one(document(&project), &["organization"]).await
}

fn document(project: &Project) -> Resource {
    let attributes = json!({
        "name": project.name, "description": project.description, "created-at": project.created_at.iso8601(),
        "default-execution-mode": "remote", "is-unified": false,
    });
    Resource::new("projects", project.id.as_str(), &attributes)
        .relate("organization", Linkage::One("organizations", project.organization.clone()))
        .link("self", format!("/api/v2/projects/{}", project.id))
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
