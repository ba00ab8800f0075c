//! State versions and outputs.

use crate::{Client, Error, Result, StateVersion};
use bytes::Bytes;
use kernel::ids::WorkspaceId;
use reqwest::Method;

impl Client {
    /// The workspace's current state version; `None` when it has no state yet.
    pub async fn current_state_version(&self, workspace: &WorkspaceId) -> Result<Option<StateVersion>> {
        absent_is_none(
            self.call(Method::GET, &["workspaces", workspace.as_str(), "current-state-version"]).one().await,
        )
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
}

fn absent_is_none<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
