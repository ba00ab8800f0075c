//! Team access to workspaces: `/team-workspaces`.
//!
//! A fixed level brings its permissions; single permissions can be set only when the level is `custom`.
//! Source: the Team Access API; semantics.md §6.1.

use crate::workspaces::{self, Workspace};
use accounts::teams;
use authz::{Granted, Grants, TeamAccess, TeamAccessChange, perm};
use axum::http::Method;
use db::{FromRow, args};
use http_api::{Cx, Error, Linkage, Reply, Resource, Result, Routes};
use kernel::ids::{TeamAccessId, TeamId, WorkspaceId};
use std::sync::Arc;

#[derive(Clone, Debug, FromRow)]
struct Row {
    id: TeamAccessId,
    team_id: TeamId,
    workspace_id: WorkspaceId,
    access: String,
}

const COLUMNS: &str = "id, team_id, workspace_id, access";

/// The operations on team access.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::GET, "/team-workspaces", "workspaces.team-access.list", list)
        .op(Method::POST, "/team-workspaces", "workspaces.team-access.create", create)
        .op(Method::GET, "/team-workspaces/{id}", "workspaces.team-access.read", read)
        .op(Method::PATCH, "/team-workspaces/{id}", "workspaces.team-access.update", update)
        .op(Method::DELETE, "/team-workspaces/{id}", "workspaces.team-access.delete", delete)
}

const INCLUDES: &[&str] = &["team", "workspace"];

async fn list(cx: Cx) -> Result<Reply> {
    if let Some(team) = cx.query("filter[team][id]") {
        return of_team(&cx, team).await;
    }
    let id = cx.query("filter[workspace][id]").ok_or_else(|| {
        Error::bad_request(
            "bad request",
            "the parameter filter[workspace][id] is required: whose team access to list",
        )
    })?;
    let (workspace, _) = workspaces::granted_by_id::<perm::ReadTeamAccess>(&cx, id).await?;
    let rows: Vec<Row> = cx
        .app
        .db
        .all(
            db::AssertSqlSafe(format!(
                "SELECT {COLUMNS} FROM team_access WHERE workspace_id = $1 ORDER BY created_at, id"
            )),
            args![&workspace.id],
        )
        .await?;
    let mut items = Vec::new();
    for row in &rows {
        items.push(document(row)?);
    }
    shown(&cx, items).await
}

/// What one team has, in the workspaces whose team access the caller may see: an addition to TFE's API.
async fn of_team(cx: &Cx, team: &str) -> Result<Reply> {
    let team = teams::visible(cx, team).await?;
    let sql = format!(
        "SELECT {COLUMNS} FROM team_access WHERE team_id = $1 AND workspace_id IS NOT NULL ORDER BY created_at, id"
    );
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), args![&team.id]).await?;
    let ids = rows.iter().map(|row| row.workspace_id.clone());
    let known = workspaces::granted_among::<perm::ReadTeamAccess>(cx, ids).await?;
    let visible = rows.iter().filter(|row| known.contains_key(&row.workspace_id));
    shown(cx, visible.map(document).collect::<Result<_>>()?).await
}

async fn shown(cx: &Cx, items: Vec<Resource>) -> Result<Reply> {
    // Unpaged unless a page is asked for (semantics.md §7).
    if cx.query("page[number]").is_none() && cx.query("page[size]").is_none() {
        return cx.list(items, INCLUDES).await;
    }
    let page = cx.page();
    let total = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let start = usize::try_from(page.offset()).unwrap_or(usize::MAX);
    let items = items.into_iter().skip(start).take(page.size as usize).collect();
    cx.page_of(kernel::Paged { items, page, total: Some(total) }, INCLUDES).await
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let data = cx.data::<TeamAccessChange>().await?;
    let workspace =
        data.related("workspace").ok_or_else(|| Error::invalid("workspace", "Workspace can't be blank"))?;
    let (workspace, _) = workspaces::granted_by_id::<perm::ManageTeamAccess>(&cx, workspace).await?;
    let team = data.related("team").ok_or_else(|| Error::invalid("team", "Team can't be blank"))?;
    let team = teams::visible(&cx, team).await?;
    if team.organization_id != workspace.organization_id {
        return Err(Error::NotFound);
    }
    let access = TeamAccess::create(&data.attributes)?;
    let row = Row {
        id: TeamAccessId::new(&cx.app.env),
        team_id: team.id,
        workspace_id: workspace.id.clone(),
        access: encode(&access)?,
    };
    let mut tx = cx.app.db.begin().await?;
    let taken: Option<(String,)> = tx
        .one(
            "SELECT id FROM team_access WHERE team_id = $1 AND workspace_id = $2",
            args![&row.team_id, &row.workspace_id],
        )
        .await?;
    if taken.is_some() {
        return Err(Error::invalid("team", "Team has already been taken"));
    }
    tx.exec(
        "INSERT INTO team_access (id, team_id, workspace_id, access, created_at) VALUES ($1, $2, $3, $4, $5)",
        args![&row.id, &row.team_id, &row.workspace_id, &row.access, cx.app.now()],
    )
    .await?;
    tx.commit().await?;
    cx.app.identities.forget();
    cx.created(document(&row)?, INCLUDES).await
}

async fn find<P: authz::WorkspacePermission>(cx: &Cx) -> Result<(Row, Granted<P, Workspace>, Arc<Grants>)> {
    let row: Row = cx
        .app
        .db
        .one(
            db::AssertSqlSafe(format!(
                "SELECT {COLUMNS} FROM team_access WHERE id = $1 AND workspace_id IS NOT NULL"
            )),
            args![cx.path("id")],
        )
        .await?
        .ok_or(Error::NotFound)?;
    let (workspace, grants) = workspaces::granted_by_id::<P>(cx, row.workspace_id.as_str()).await?;
    Ok((row, workspace, grants))
}

async fn read(cx: Cx) -> Result<Reply> {
    let (row, ..) = find::<perm::ReadTeamAccess>(&cx).await?;
    cx.one(document(&row)?, INCLUDES).await
}

async fn update(mut cx: Cx) -> Result<Reply> {
    let (mut row, ..) = find::<perm::ManageTeamAccess>(&cx).await?;
    let data = cx.data::<TeamAccessChange>().await?;
    let current: TeamAccess = serde_json::from_str(&row.access).map_err(Error::internal)?;
    row.access = encode(&current.change(&data.attributes)?)?;
    cx.app.db.exec("UPDATE team_access SET access = $2 WHERE id = $1", args![&row.id, &row.access]).await?;
    cx.app.identities.forget();
    cx.one(document(&row)?, INCLUDES).await
}

async fn delete(cx: Cx) -> Result<Reply> {
    let (row, ..) = find::<perm::ManageTeamAccess>(&cx).await?;
    cx.app.db.exec("DELETE FROM team_access WHERE id = $1", args![&row.id]).await?;
    cx.app.identities.forget();
    Ok(Reply::no_content())
}

fn encode(access: &TeamAccess) -> Result<String> {
    serde_json::to_string(access).map_err(Error::internal)
}

/// The level with the permissions that it brings.
fn document(row: &Row) -> Result<Resource> {
    let access: TeamAccess = serde_json::from_str(&row.access).map_err(Error::internal)?;
    Ok(Resource::new("team-workspaces", row.id.as_str(), &access)
        .relate("team", Linkage::One("teams", row.team_id.to_string()))
        .relate("workspace", Linkage::One("workspaces", row.workspace_id.to_string()))
        .link("self", format!("/api/v2/team-workspaces/{}", row.id)))
}
