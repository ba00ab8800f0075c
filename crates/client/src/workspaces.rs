//! Workspaces and their variables.

use crate::{Client, NewWorkspace, Result, Run, Variable, VariableChange, Workspace};
use kernel::ids::{VariableId, WorkspaceId};
use reqwest::Method;
use serde_json::json;

impl Client {
    /// Creates a workspace.
    pub async fn create_workspace(&self, organization: &str, new: &NewWorkspace) -> Result<Workspace> {
        let body = json!({"data": {"type": "workspaces", "attributes": new}});
        self.call(Method::POST, &["organizations", organization, "workspaces"]).body(body).one().await
    }

    /// Reads a workspace by its organization's name and its own.
    pub async fn workspace(&self, organization: &str, name: &str) -> Result<Workspace> {
        self.call(Method::GET, &["organizations", organization, "workspaces", name]).one().await
    }

    /// Reads a workspace by its id.
    pub async fn workspace_by_id(&self, id: &WorkspaceId) -> Result<Workspace> {
        self.call(Method::GET, &["workspaces", id.as_str()]).one().await
    }

    /// The workspace's latest runs, newest first: one page, without plan-only runs.
    pub async fn workspace_runs(&self, id: &WorkspaceId) -> Result<Vec<Run>> {
        self.call(Method::GET, &["workspaces", id.as_str(), "runs"]).first_page().await
    }

    /// All variables of a workspace.
    pub async fn variables(&self, workspace: &WorkspaceId) -> Result<Vec<Variable>> {
        self.call(Method::GET, &["workspaces", workspace.as_str(), "vars"]).all().await
    }

    /// Reads a workspace with the name of the lock's holder and what the current run is at.
    pub async fn workspace_in_full(&self, organization: &str, name: &str) -> Result<Workspace> {
        let path = ["organizations", organization, "workspaces", name];
        self.call(Method::GET, &path).query("include", "locked_by,current_run").one().await
    }

    /// An organization's workspaces by name, up to so many, with what their current runs are at. With `search`, those
    /// whose names hold that text.
    pub async fn workspaces(
        &self,
        organization: &str,
        search: Option<&str>,
        most: usize,
    ) -> Result<Vec<Workspace>> {
        let mut call = self.call(Method::GET, &["organizations", organization, "workspaces"]);
        call = call.query("include", "current_run").query("sort", "name");
        if let Some(search) = search {
            call = call.query("search[name]", search);
        }
        call.up_to(most).await
    }

    /// Locks a workspace for the token's user.
    ///
    /// # Errors
    /// 409 when somebody holds the lock, the same user included.
    pub async fn lock_workspace(&self, id: &WorkspaceId, reason: Option<&str>) -> Result<Workspace> {
        let body = reason.map_or_else(|| json!({}), |reason| json!({"reason": reason}));
        self.call(Method::POST, &["workspaces", id.as_str(), "actions", "lock"]).body(body).one().await
    }

    /// Gives the lock back, or with `force`, takes it from whoever holds it.
    ///
    /// # Errors
    /// 409 when it is not locked, or somebody else holds the lock (forced: when a run does).
    pub async fn unlock_workspace(&self, id: &WorkspaceId, force: bool) -> Result<Workspace> {
        let action = if force { "force-unlock" } else { "unlock" };
        self.call(Method::POST, &["workspaces", id.as_str(), "actions", action]).body(json!({})).one().await
    }

    /// Makes a variable.
    pub async fn create_variable(&self, workspace: &WorkspaceId, new: &VariableChange) -> Result<Variable> {
        let body = json!({"data": {"type": "vars", "attributes": new}});
        self.call(Method::POST, &["workspaces", workspace.as_str(), "vars"]).body(body).one().await
    }

    /// Changes a variable.
    pub async fn update_variable(
        &self,
        workspace: &WorkspaceId,
        id: &VariableId,
        change: &VariableChange,
    ) -> Result<Variable> {
        let body = json!({"data": {"type": "vars", "id": id, "attributes": change}});
        let path = ["workspaces", workspace.as_str(), "vars", id.as_str()];
        self.call(Method::PATCH, &path).body(body).one().await
    }

    /// Deletes a variable.
    pub async fn delete_variable(&self, workspace: &WorkspaceId, id: &VariableId) -> Result<()> {
        let path = ["workspaces", workspace.as_str(), "vars", id.as_str()];
        self.call(Method::DELETE, &path).send().await.map(drop)
    }
}
