//! Runs, plans and applies.

use crate::{Apply, Client, NewRun, Plan, Result, Run};
use bytes::Bytes;
use kernel::ids::{ApplyId, ConfigurationVersionId, PlanId, RunId, WorkspaceId};
use reqwest::{Method, StatusCode};
use serde_json::json;

impl Client {
    /// Creates a run. Without a configuration version the workspace's latest is taken.
    ///
    /// # Errors
    /// 422 when the configuration version is missing or not uploaded, or the options exclude each other.
    pub async fn create_run(
        &self,
        workspace: &WorkspaceId,
        configuration: Option<&ConfigurationVersionId>,
        new: &NewRun,
    ) -> Result<Run> {
        let mut relationships = json!({"workspace": {"data": {"type": "workspaces", "id": workspace}}});
        if let Some(id) = configuration {
            relationships["configuration-version"] =
                json!({"data": {"type": "configuration-versions", "id": id}});
        }
        let body = json!({"data": {"type": "runs", "attributes": new, "relationships": relationships}});
        self.call(Method::POST, &["runs"]).body(body).one().await
    }

    /// Reads a run.
    pub async fn run(&self, id: &RunId) -> Result<Run> {
        self.call(Method::GET, &["runs", id.as_str()]).one().await
    }

    /// Reads a run with its `plan`, `apply` and `workspace` filled in, as far as the server includes them.
    pub async fn run_in_full(&self, id: &RunId) -> Result<Run> {
        self.call(Method::GET, &["runs", id.as_str()]).query("include", "plan,apply,workspace").one().await
    }

    /// Confirms a run that waits for it. The server answers before it has begun.
    ///
    /// # Errors
    /// 409 when the run does not wait, 404 when the token may not apply.
    pub async fn apply_run(&self, id: &RunId, comment: Option<&str>) -> Result<()> {
        self.act(id, "apply", comment).await
    }

    /// Throws away a run that waits. Errors as [`Client::apply_run`].
    pub async fn discard_run(&self, id: &RunId, comment: Option<&str>) -> Result<()> {
        self.act(id, "discard", comment).await
    }

    /// Asks a run to stop: the engine is interrupted and may end in order. Errors as [`Client::apply_run`].
    pub async fn cancel_run(&self, id: &RunId, comment: Option<&str>) -> Result<()> {
        self.act(id, "cancel", comment).await
    }

    async fn act(&self, id: &RunId, action: &str, comment: Option<&str>) -> Result<()> {
        let body = comment.map_or_else(|| json!({}), |comment| json!({"comment": comment}));
        self.call(Method::POST, &["runs", id.as_str(), "actions", action]).body(body).send().await.map(drop)
    }

    /// Reads a plan.
    pub async fn plan(&self, id: &PlanId) -> Result<Plan> {
        self.call(Method::GET, &["plans", id.as_str()]).one().await
    }

    /// Reads an apply.
    pub async fn apply(&self, id: &ApplyId) -> Result<Apply> {
        self.call(Method::GET, &["applies", id.as_str()]).one().await
    }

    /// The plan as `terraform show -json` prints it; `None` while it is unfinished. Needs admin access.
    pub async fn plan_json(&self, id: &PlanId) -> Result<Option<Bytes>> {
        self.plan_document(id, "json-output").await
    }

    /// The plan without sensitive values, with the schemas it uses; `None` while it is unfinished.
    pub async fn plan_json_redacted(&self, id: &PlanId) -> Result<Option<Bytes>> {
        self.plan_document(id, "json-output-redacted").await
    }

    async fn plan_document(&self, id: &PlanId, name: &str) -> Result<Option<Bytes>> {
        let call = self.call(Method::GET, &["plans", id.as_str(), name]).accept("application/json");
        let reply = call.send().await?;
        Ok((reply.status != StatusCode::NO_CONTENT && !reply.body.is_empty()).then_some(reply.body))
    }
}
