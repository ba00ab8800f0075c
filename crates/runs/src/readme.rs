//! The README of a workspace: `include=readme`, a `workspace-readme` document.
//!
//! It stands in the workspace's newest configuration, in its working directory, and is looked for when somebody wants to read
//! it. What was found is kept in memory for as long as others are not asked for more. Source: the Workspaces API.

use crate::{create, upload::UploadLimits};
use authz::perm;
use http_api::{App, Cx, Error, Resource, Result, blobs, include::Loaders};
use kernel::ids::{ConfigurationVersionId, WorkspaceId};
use serde_json::json;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use workspaces::Workspace;

/// Bytes of a README; what is beyond is not shown.
const MOST: u64 = 256 << 10;
/// Bytes of an archive, unpacked, among which a README is looked for: its files come in the order of their names.
const SEARCHED: u64 = 64 << 20;
/// READMEs that are kept, also those that are not there.
const KEPT: usize = 64;

type Found = (ConfigurationVersionId, String, Option<Arc<str>>);

/// What was found lately; a part of the application.
#[derive(Debug, Default)]
pub struct Readmes(Mutex<VecDeque<Found>>);

impl Readmes {
    fn get(&self, version: &ConfigurationVersionId, folder: &str) -> Option<Option<Arc<str>>> {
        let kept = self.0.lock().expect("nothing panics while it is held");
        kept.iter().find(|(id, of, _)| id == version && of == folder).map(|(.., text)| text.clone())
    }

    fn keep(&self, found: Found) {
        let mut kept = self.0.lock().expect("nothing panics while it is held");
        kept.push_front(found);
        kept.truncate(KEPT);
    }
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("workspace-readme", |cx, ids| async move {
        let ids = ids.into_iter().map(WorkspaceId::from);
        let readable = workspaces::workspaces::granted_among::<perm::ReadRun>(&cx, ids).await?;
        let mut found = Vec::new();
        for (workspace, _) in readable.values() {
            if let Some(text) = of(&cx, workspace).await? {
                let attributes = json!({ "raw-markdown": &*text });
                found.push(Resource::new("workspace-readme", workspace.id.as_str(), &attributes));
            }
        }
        Ok(found)
    });
}

async fn of(cx: &Cx, workspace: &Workspace) -> Result<Option<Arc<str>>> {
    let app = &cx.app;
    let version = match create::latest_configuration(app, workspace).await {
        Ok(version) if version.status == "uploaded" => version,
        Ok(_) | Err(Error::Unprocessable(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let folder = folder(&workspace.working_directory);
    if let Some(text) = app.area::<Readmes>().get(&version.id, &folder) {
        return Ok(text);
    }
    let text = match &version.blob_id {
        Some(blob) => search(app, blob, folder.clone()).await?,
        None => None,
    };
    app.area::<Readmes>().keep((version.id, folder, text.clone()));
    Ok(text)
}

/// With a slash at its end, unless it is the root.
fn folder(directory: &str) -> String {
    directory
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .map(|part| format!("{part}/"))
        .collect()
}

async fn search(app: &App, blob: &kernel::ids::BlobId, folder: String) -> Result<Option<Arc<str>>> {
    let reader = blobs::open(app, blob).await?;
    let limits = slug::Limits { expanded_bytes: SEARCHED, ..app.area::<UploadLimits>().0 };
    blobs::blocking(move || {
        let wanted = |path: &[u8]| {
            let name = path.strip_prefix(folder.as_bytes()).unwrap_or_default();
            name.eq_ignore_ascii_case(b"readme.md")
        };
        // An archive in which it cannot be found has none; a run says what is wrong with the archive.
        let found = slug::find(reader, &limits, wanted, MOST).unwrap_or_default();
        Ok(found.map(|bytes| String::from_utf8_lossy(&bytes).into()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::folder;

    #[test]
    fn the_folder_is_that_of_the_runs() {
        assert_eq!(folder(""), "");
        assert_eq!(folder("./a//b/"), "a/b/");
    }
}
