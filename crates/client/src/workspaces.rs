//! Workspaces and their variables.

use crate::{Client, NewWorkspace, Result, Run, Variable, Workspace};
use kernel::ids::WorkspaceId;
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
}
