//! Runs, plans and applies.

use crate::{Apply, Client, NewRun, Plan, Result, Run, RunEvent};
use bytes::Bytes;
use kernel::ids::{ApplyId, ConfigurationVersionId, PlanId, RunId, WorkspaceId};
use reqwest::{Method, StatusCode};
use serde_json::json;

/// All that a run can be for.
const OPERATIONS: &str = "plan_only,plan_and_apply,save_plan,refresh_only,destroy,empty_apply,exec";

/// Which runs are listed.
#[derive(Clone, Copy, Debug)]
pub enum RunsOf<'a> {
    /// A workspace's.
    Workspace {
        /// The workspace.
        id: &'a WorkspaceId,
        /// Only those at one of these statuses, separated by commas.
        status: Option<&'a str>,
        /// Those that can only be planned, too.
        plan_only: bool,
    },
    /// Those of all workspaces, each with its `workspace`.
    Organization {
        /// The organization's name.
        name: &'a str,
        /// As above.
        status: Option<&'a str>,
        /// As above.
        plan_only: bool,
    },
}

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

    /// Reads a run with its `plan`, `apply`, `workspace` and `created_by` filled in, as far as the server includes them.
    pub async fn run_in_full(&self, id: &RunId) -> Result<Run> {
        let include = "plan,apply,workspace,created_by";
        self.call(Method::GET, &["runs", id.as_str()]).query("include", include).one().await
    }

    /// Runs, newest first, up to so many, each with its `created_by`.
    pub async fn runs(&self, of: RunsOf<'_>, most: usize) -> Result<Vec<Run>> {
        let (path, include) = match of {
            RunsOf::Workspace { id, .. } => (["workspaces", id.as_str(), "runs"], "created_by"),
            RunsOf::Organization { name, .. } => (["organizations", name, "runs"], "created_by,workspace"),
        };
        let (RunsOf::Workspace { status, plan_only, .. } | RunsOf::Organization { status, plan_only, .. }) =
            of;
        let mut call = self.call(Method::GET, &path).query("include", include);
        if plan_only {
            // Without this filter they are left out.
            call = call.query("filter[operation]", OPERATIONS);
        }
        if let Some(status) = status {
            call = call.query("filter[status]", status);
        }
        call.up_to(most).await
    }

    /// What has happened to a run, with who did it, oldest first.
    pub async fn run_events(&self, id: &RunId) -> Result<Vec<RunEvent>> {
        self.call(Method::GET, &["runs", id.as_str(), "run-events"]).query("include", "actor").all().await
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

    /// Kills a run that was asked to stop and has not. Errors as [`Client::apply_run`].
    pub async fn force_cancel_run(&self, id: &RunId, comment: Option<&str>) -> Result<()> {
        self.act(id, "force-cancel", comment).await
    }

    async fn act(&self, id: &RunId, action: &str, comment: Option<&str>) -> Result<()> {
        let body = comment.map_or_else(|| json!({}), |comment| json!({"comment": comment}));
        self.call(Method::POST, &["runs", id.as_str(), "actions", action]).body(body).send().await.map(drop)
    }

    /// The file that an operation made.
    pub async fn exec_file(&self, id: &RunId) -> Result<Bytes> {
        let call =
            self.call(Method::GET, &["runs", id.as_str(), "exec-file"]).accept("application/octet-stream");
        Ok(call.send().await?.body)
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
