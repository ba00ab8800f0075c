//! A folder becomes a configuration version: packed, uploaded, taken in by the server.

use crate::{
    failure::Failure,
    view::{Event, View},
};
use client::{Client, ConfigurationVersion, NewConfigurationVersion, Workspace};
use std::path::{Path, PathBuf};
use tokio::sync::watch;

/// Uploads the folder as a configuration version that starts no run by itself. A `speculative` one can only be planned.
pub(crate) async fn configuration(
    view: &mut View,
    client: &Client,
    workspace: &Workspace,
    directory: &Path,
    speculative: bool,
) -> Result<ConfigurationVersion, Failure> {
    let directory = root_of(directory, workspace)?;
    let archive = tempfile::NamedTempFile::new().map_err(|e| Failure::Archive(e.to_string()))?;
    let bytes = pack(&directory, &archive, view).await?;
    upload(view, client, workspace, (archive.path(), bytes), speculative).await
}

/// The folder to pack: the given one, or the one above it from which the workspace's working directory leads to it.
fn root_of(directory: &Path, workspace: &Workspace) -> Result<PathBuf, Failure> {
    let found = directory.canonicalize().ok().filter(|path| path.is_dir());
    let found = found.ok_or_else(|| Failure::NoDirectory(directory.to_owned()))?;
    let working: PathBuf = Path::new(&workspace.working_directory)
        .components()
        .filter(|c| matches!(c, std::path::Component::Normal(_)))
        .collect();
    if working.as_os_str().is_empty() || found.join(&working).is_dir() {
        return Ok(directory.to_owned());
    }
    if !found.ends_with(&working) {
        return Err(Failure::WorkingDirectory {
            directory: directory.to_owned(),
            workspace: workspace.name.clone(),
            working,
        });
    }
    let depth = working.components().count();
    Ok(found.ancestors().nth(depth).expect("a path is longer than its own end").to_owned())
}

async fn pack(directory: &Path, archive: &tempfile::NamedTempFile, view: &mut View) -> Result<u64, Failure> {
    let failed = |reason: String| Failure::Archive(reason);
    let out = archive.reopen().map_err(|e| failed(e.to_string()))?;
    let from = directory.to_owned();
    let packed = tokio::task::spawn_blocking(move || slug::pack(&from, std::io::BufWriter::new(out)))
        .await
        .map_err(|e| failed(e.to_string()))?
        .map_err(|e| failed(e.to_string()))?;
    let bytes = archive.as_file().metadata().map_err(|e| failed(e.to_string()))?.len();
    view.show(&Event::Packed { directory, files: packed.files, bytes });
    Ok(bytes)
}

async fn upload(
    view: &mut View,
    client: &Client,
    workspace: &Workspace,
    (archive, total): (&Path, u64),
    speculative: bool,
) -> Result<ConfigurationVersion, Failure> {
    let new = NewConfigurationVersion { auto_queue_runs: false, speculative };
    let configuration =
        client.create_configuration_version(&workspace.id, new).await.map_err(Failure::Client)?;
    let url = configuration.upload_url.as_ref().ok_or_else(|| {
        Failure::Archive(format!("the server gave no address to upload {} to", configuration.id))
    })?;
    let (counter, mut sent) = watch::channel(0);
    let uploading = client.upload(url, archive, move |bytes| {
        counter.send_replace(bytes);
    });
    tokio::pin!(uploading);
    loop {
        tokio::select! {
            outcome = &mut uploading => break outcome.map_err(Failure::Client)?,
            Ok(()) = sent.changed() => {
                let sent = *sent.borrow_and_update();
                view.show(&Event::Uploading { sent, total });
            }
        }
    }
    let configuration = client.wait_until_uploaded(&configuration.id).await.map_err(Failure::Client)?;
    view.show(&Event::Uploaded { configuration_version: configuration.id.as_str(), bytes: total });
    Ok(configuration)
}
