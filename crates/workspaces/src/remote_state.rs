//! Whose runs may read a workspace's state: named workspaces, all of its project, or all of its organization.
//!
//! It rules what a *run* may read (`terraform_remote_state`, `tfe_outputs`); people and teams read what their access allows.
//! Source: the remote state consumers of the Workspaces API.

use crate::{
    conditions::Conditions,
    workspaces::{SELECT, Workspace, document, granted, hold},
};
use authz::perm;
use axum::http::Method;
use db::{Tx, args};
use http_api::{Cx, Error, Reply, Result, Routes};
use kernel::{Paged, ids::WorkspaceId};

/// The operations on remote state consumers.
pub fn routes() -> Routes {
    let path = "/workspaces/{id}/relationships/remote-state-consumers";
    Routes::new()
        .op(Method::GET, path, "workspaces.remote-state-consumers.list", list)
        .op(Method::POST, path, "workspaces.remote-state-consumers.add", add)
        .op(Method::PATCH, path, "workspaces.remote-state-consumers.replace", replace)
        .op(Method::DELETE, path, "workspaces.remote-state-consumers.remove", remove)
}

async fn list(cx: Cx) -> Result<Reply> {
    let (workspace, grants) = granted::<perm::ReadWorkspace>(&cx).await?;
    let page = cx.page();
    let mut conditions = Conditions::of("w.organization_id", &workspace.organization_id);
    let own = conditions.mark(&workspace.id);
    let whose = if workspace.global_remote_state {
        format!("w.id <> {own}")
    } else if workspace.project_remote_state {
        let project = conditions.mark(&workspace.project_id);
        format!("w.project_id = {project} AND w.id <> {own}")
    } else {
        format!("w.id IN (SELECT consumer_id FROM remote_state_consumers WHERE workspace_id = {own})")
    };
    conditions.require(whose);
    if let Some(visible) = conditions.visible(&grants) {
        conditions.require(visible);
    }
    let (condition, values) = (conditions.text(), conditions.values());
    let sql = format!("SELECT COUNT(*) FROM workspaces w WHERE {condition}");
    let total: Option<(i64,)> = cx.app.db.one(db::AssertSqlSafe(sql), values.clone()).await?;
    let (limit, offset) = (page.limit(), page.offset());
    let sql = format!("{SELECT} WHERE {condition} ORDER BY w.name LIMIT {limit} OFFSET {offset}");
    let rows: Vec<Workspace> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let items = rows.iter().map(|row| document(row, &grants)).collect();
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, &[]).await
}

async fn add(cx: Cx) -> Result<Reply> {
    change(cx, Change::Add).await
}

async fn replace(cx: Cx) -> Result<Reply> {
    change(cx, Change::Replace).await
}

async fn remove(cx: Cx) -> Result<Reply> {
    change(cx, Change::Remove).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Add,
    Replace,
    Remove,
}

async fn change(mut cx: Cx, change: Change) -> Result<Reply> {
    let (workspace, grants) = granted::<perm::UpdateWorkspace>(&cx).await?;
    let named = cx.data_list().await?;
    let mut tx = cx.app.db.begin().await?;
    hold(&mut tx, &workspace.id).await?;
    if change == Change::Replace {
        tx.exec("DELETE FROM remote_state_consumers WHERE workspace_id = $1", args![&workspace.id]).await?;
    }
    for one in named {
        let id = one.id.unwrap_or_default();
        if change == Change::Remove {
            let sql = "DELETE FROM remote_state_consumers WHERE workspace_id = $1 AND consumer_id = $2";
            tx.exec(sql, args![&workspace.id, &id]).await?;
            continue;
        }
        let consumer = consumer(&mut tx, &id, &workspace).await?;
        if !grants.workspace(&consumer.id, &consumer.project_id).visible() {
            return Err(Error::NotFound);
        }
        insert(&mut tx, &workspace.id, &consumer.id).await?;
    }
    tx.commit().await?;
    cx.app.identities.forget();
    Ok(Reply::no_content())
}

async fn consumer(tx: &mut Tx, id: &str, workspace: &Workspace) -> Result<Workspace> {
    let sql = format!("{SELECT} WHERE w.id = $1 AND w.organization_id = $2");
    tx.one(db::AssertSqlSafe(sql), args![id, &workspace.organization_id]).await?.ok_or(Error::NotFound)
}

async fn insert(tx: &mut Tx, workspace: &WorkspaceId, consumer: &WorkspaceId) -> Result<()> {
    tx.exec(
        "INSERT INTO remote_state_consumers (workspace_id, consumer_id) VALUES ($1, $2)
         ON CONFLICT (workspace_id, consumer_id) DO NOTHING",
        args![workspace, consumer],
    )
    .await
    .map(drop)
}
