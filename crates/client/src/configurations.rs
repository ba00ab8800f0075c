//! Configuration versions: create, upload, wait until the server has taken the archive in.

use crate::{Client, ConfigurationVersion, Error, NewConfigurationVersion, Result};
use kernel::{
    Secret,
    ids::{ConfigurationVersionId, WorkspaceId},
};
use reqwest::Method;
use serde_json::json;
use std::{path::Path, sync::Arc, time::Duration};

/// How long the server may take to process an upload.
const PROCESSING_TIME: Duration = Duration::from_secs(120);

impl Client {
    /// Creates a configuration version. Its `upload_url` is in this answer and in no later one.
    pub async fn create_configuration_version(
        &self,
        workspace: &WorkspaceId,
        new: NewConfigurationVersion,
    ) -> Result<ConfigurationVersion> {
        let body = json!({"data": {"type": "configuration-versions", "attributes": new}});
        let path = ["workspaces", workspace.as_str(), "configuration-versions"];
        self.call(Method::POST, &path).body(body).one().await
    }

    /// Reads a configuration version.
    pub async fn configuration_version(&self, id: &ConfigurationVersionId) -> Result<ConfigurationVersion> {
        self.call(Method::GET, &["configuration-versions", id.as_str()]).one().await
    }

    /// Streams an archive to a configuration version's `upload_url`. `progress` is told the bytes handed to the
    /// connection so far; after a broken connection the count begins again.
    ///
    /// # Errors
    /// [`Error::File`] when the archive cannot be read; [`Error::Refused`] as 409 when a run already uses the
    /// configuration version, 413 when the archive is too large, 404 when the address has expired.
    pub async fn upload(
        &self,
        upload_url: &Secret,
        archive: &Path,
        progress: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<()> {
        self.put_file(upload_url.expose(), "PUT of the configuration", archive, Arc::new(progress)).await
    }

    /// Waits until an uploaded archive can be used by a run. Ferroform has it processed when the upload returns; other
    /// servers take a moment.
    ///
    /// # Errors
    /// [`Error::Unexpected`] with the server's reason when it cannot use the archive, or when it takes too long.
    pub async fn wait_until_uploaded(&self, id: &ConfigurationVersionId) -> Result<ConfigurationVersion> {
        let failed = |reason: String| Error::Unexpected {
            request: format!("the upload of configuration version {id}"),
            reason,
            request_id: None,
        };
        let begin = tokio::time::Instant::now();
        let mut pause = Duration::from_millis(50);
        loop {
            let version = self.configuration_version(id).await?;
            match version.status.as_str() {
                "uploaded" | "archived" => return Ok(version),
                "errored" => {
                    let why =
                        version.error_message.unwrap_or_else(|| "the server does not say why".to_owned());
                    return Err(failed(format!("the server cannot use the archive: {why}")));
                }
                status if begin.elapsed() > PROCESSING_TIME => {
                    return Err(failed(format!("still {status} after {} s", PROCESSING_TIME.as_secs())));
                }
                _ => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
}
