//! State versions and outputs.

use crate::{Client, Error, Result, StateVersion};
use bytes::Bytes;
use kernel::ids::{StateVersionId, WorkspaceId};
use reqwest::Method;
use serde_json::json;

impl Client {
    /// The workspace's current state version with its `created_by`; `None` when it has no state yet.
    pub async fn current_state_version(&self, workspace: &WorkspaceId) -> Result<Option<StateVersion>> {
        absent_is_none(
            self.call(Method::GET, &["workspaces", workspace.as_str(), "current-state-version"])
                .query("include", "created_by")
                .one()
                .await,
        )
    }

    /// A workspace's state versions, newest first, up to so many, each with its `created_by`.
    pub async fn state_versions(
        &self,
        organization: &str,
        workspace: &str,
        most: usize,
    ) -> Result<Vec<StateVersion>> {
        self.call(Method::GET, &["state-versions"])
            .query("filter[organization][name]", organization)
            .query("filter[workspace][name]", workspace)
            .query("include", "created_by")
            .up_to(most)
            .await
    }

    /// Reads a state version with its `created_by`.
    pub async fn state_version(&self, id: &StateVersionId) -> Result<StateVersion> {
        self.call(Method::GET, &["state-versions", id.as_str()]).query("include", "created_by").one().await
    }

    /// Makes a copy of an earlier state version the current one.
    ///
    /// # Errors
    /// 409 when the workspace is not locked by the token's user, 422 when the version cannot come back.
    pub async fn roll_back_state(
        &self,
        workspace: &WorkspaceId,
        to: &StateVersionId,
    ) -> Result<StateVersion> {
        let body = json!({"data": {"type": "state-versions", "relationships": {
            "rollback-state-version": {"data": {"type": "state-versions", "id": to}}}}});
        let path = ["workspaces", workspace.as_str(), "state-versions"];
        self.call(Method::PATCH, &path).body(body).one().await
    }

    /// The state itself, as the engine wrote it (it may be encrypted by OpenTofu).
    pub async fn download_state(&self, version: &StateVersion) -> Result<Bytes> {
        let name = format!("GET of the state {}", version.id);
        let url = version.hosted_state_download_url.as_ref().ok_or_else(|| Error::Unexpected {
            request: name.clone(),
            reason: "the server gave no address for it".to_owned(),
            request_id: None,
        })?;
        Ok(self.get_url(url.expose(), &name).await?.body)
    }

    /// The state as `terraform show -json` prints it; `None` where it is not stored.
    pub async fn download_json_state(&self, version: &StateVersion) -> Result<Option<Bytes>> {
        let Some(url) = &version.hosted_json_state_download_url else { return Ok(None) };
        let name = format!("GET of the JSON state {}", version.id);
        absent_is_none(self.get_url(url.expose(), &name).await.map(|reply| reply.body))
    }
}

fn absent_is_none<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
