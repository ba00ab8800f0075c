//! Locking a workspace and unlocking it.

use super::{Refusal, overview};
use crate::{answer::Answer, serve::Table, visit::Visit};
use axum::http::Method;
use http_api::{Result, inside::Seen};
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) fn routes(table: Table) -> Table {
    table
        .send("/app/{organization}/workspaces/{workspace}/lock", "web.workspace.lock", lock)
        .send("/app/{organization}/workspaces/{workspace}/unlock", "web.workspace.unlock", unlock)
        .send(
            "/app/{organization}/workspaces/{workspace}/force-unlock",
            "web.workspace.force-unlock",
            force_unlock,
        )
}

#[derive(Deserialize)]
struct Nothing {}

async fn lock(visit: Visit) -> Result<Answer> {
    let reason = json!({ "reason": visit.field("reason").trim() });
    act(&visit, "lock", &reason, "locked").await
}

async fn unlock(visit: Visit) -> Result<Answer> {
    act(&visit, "unlock", &Value::Null, "unlocked").await
}

async fn force_unlock(visit: Visit) -> Result<Answer> {
    act(&visit, "force-unlock", &Value::Null, "unlocked").await
}

async fn act(visit: &Visit, action: &str, body: &Value, done: &str) -> Result<Answer> {
    let (organization, name) = (visit.path("organization"), visit.path("workspace"));
    let path = format!(
        "/organizations/{}/workspaces/{}",
        crate::visit::segment(organization),
        crate::visit::segment(name)
    );
    let workspace: Seen<Nothing> = visit.read(&path).await?.one()?;
    let path = format!("/workspaces/{}/actions/{action}", workspace.id);
    match visit.change(Method::POST, &path, body).await {
        Ok(_) => Ok(Answer::see_other(super::page(organization, name, &format!("?done={done}")))),
        Err(error) => overview::page(visit, Some(&Refusal::of(error)?)).await,
    }
}
