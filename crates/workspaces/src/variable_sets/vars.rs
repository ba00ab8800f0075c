//! The variables of a set: `/varsets/{id}/relationships/vars`.

use super::{Set, manageable, visible};
use crate::{
    variables::{self, Home, effective},
    workspaces,
};
use authz::perm;
use axum::http::Method;
use db::args;
use http_api::{Cx, Error, Reply, Result, Routes};

pub(super) fn routes() -> Routes {
    let (all, one) = ("/varsets/{id}/relationships/vars", "/varsets/{id}/relationships/vars/{variable}");
    let seen_from = "/workspaces/{id}/varsets/{varset}/relationships/vars";
    Routes::new()
        .op(Method::GET, all, "workspaces.variable-sets.list-variables", list)
        .op(Method::POST, all, "workspaces.variable-sets.create-variable", create)
        .op(Method::GET, one, "workspaces.variable-sets.read-variable", read)
        .op(Method::PATCH, one, "workspaces.variable-sets.update-variable", update)
        .op(Method::DELETE, one, "workspaces.variable-sets.delete-variable", delete)
        .op(
            Method::GET,
            seen_from,
            "workspaces.variable-sets.list-variables-of-workspace",
            list_from_workspace,
        )
        .op(
            Method::GET,
            "/workspaces/{id}/varsets/{varset}/relationships/vars/{variable}",
            "workspaces.variable-sets.read-variable-of-workspace",
            read_from_workspace,
        )
}

async fn readable(cx: &Cx) -> Result<Home> {
    Ok(visible(cx, cx.path("id")).await?.0.home())
}

async fn writable(cx: &Cx) -> Result<Home> {
    Ok(manageable(cx).await?.0.home())
}

/// The set that the path names, if it holds in the workspace that it names.
async fn from_workspace(cx: &Cx) -> Result<Home> {
    let (workspace, _) = workspaces::granted::<perm::ReadVariables>(cx).await?;
    let holds = effective::SETS_OF_WORKSPACE.replace("{w}", "$2");
    let sql = format!("{} WHERE s.id = $1 AND s.organization_id = $3 AND {holds}", super::SELECT);
    let values = args![cx.path("varset"), &workspace.id, &workspace.organization_id];
    let set: Option<Set> = cx.app.db.one(db::AssertSqlSafe(sql), values).await?;
    Ok(set.ok_or(Error::NotFound)?.home())
}

async fn list(cx: Cx) -> Result<Reply> {
    let home = readable(&cx).await?;
    variables::list_in(&cx, &home).await
}

async fn list_from_workspace(cx: Cx) -> Result<Reply> {
    let home = from_workspace(&cx).await?;
    variables::list_in(&cx, &home).await
}

async fn read_from_workspace(cx: Cx) -> Result<Reply> {
    let home = from_workspace(&cx).await?;
    variables::read_in(&cx, &home).await
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let home = writable(&cx).await?;
    variables::create_in(&mut cx, &home).await
}

async fn read(cx: Cx) -> Result<Reply> {
    let home = readable(&cx).await?;
    variables::read_in(&cx, &home).await
}

async fn update(mut cx: Cx) -> Result<Reply> {
    let home = writable(&cx).await?;
    variables::update_in(&mut cx, &home).await
}

async fn delete(cx: Cx) -> Result<Reply> {
    let home = writable(&cx).await?;
    variables::delete_in(&cx, &home).await
}
