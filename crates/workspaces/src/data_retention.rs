//! How long a workspace's old data is kept: `/workspaces/{id}/relationships/data-retention-policy`.
//!
//! A workspace without a policy of its own follows its organization's. Source: the Data Retention Policies API.

use crate::workspaces::granted;
use accounts::retention::{Attributes, DataRetention};
use authz::perm;
use axum::http::Method;
use db::args;
use http_api::{Cx, Data, Reply, Result, Routes};
use serde_json::json;

/// The operations on a workspace's policy.
pub fn routes() -> Routes {
    let path = "/workspaces/{id}/relationships/data-retention-policy";
    Routes::new()
        .op(Method::GET, path, "workspaces.data-retention-policy.read", read)
        .op(Method::POST, path, "workspaces.data-retention-policy.set", set)
        .op(Method::PATCH, path, "workspaces.data-retention-policy.update", set)
        .op(Method::DELETE, path, "workspaces.data-retention-policy.delete", delete)
}

async fn read(cx: Cx) -> Result<Reply> {
    let (workspace, _) = granted::<perm::ReadWorkspace>(&cx).await?;
    Ok(match DataRetention::parse(workspace.data_retention.as_deref()) {
        Some(policy) => Reply::one(policy.document()),
        None => Reply::json(&json!({ "data": null })),
    })
}

/// A policy is replaced as a whole, whatever the method.
async fn set(mut cx: Cx) -> Result<Reply> {
    let (workspace, _) = granted::<perm::UpdateWorkspace>(&cx).await?;
    let data: Data<Attributes> = cx.data().await?;
    let policy = DataRetention::asked(&cx.app.env, &data.kind, &data.attributes)?;
    cx.app
        .db
        .exec(
            "UPDATE workspaces SET data_retention = $2 WHERE id = $1",
            args![&workspace.id, policy.encode()],
        )
        .await?;
    Ok(Reply::one(policy.document()))
}

async fn delete(cx: Cx) -> Result<Reply> {
    let (workspace, _) = granted::<perm::UpdateWorkspace>(&cx).await?;
    cx.app.db.exec("UPDATE workspaces SET data_retention = NULL WHERE id = $1", args![&workspace.id]).await?;
    Ok(Reply::no_content())
}
