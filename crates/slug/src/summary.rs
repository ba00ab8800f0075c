//! What an archive holds, in the terms in which a user went wrong.

use crate::tree::Tree;

/// What was found in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Summary {
    /// Files, links and folders; entries that were skipped do not count.
    pub entries: u64,
    /// Bytes of the tar stream, headers and padding included.
    pub expanded_bytes: u64,
    /// Whether the root holds a configuration file (`*.tf`, `*.tf.json`).
    pub has_root_tf: bool,
    /// The folders in the root, sorted.
    pub top_level_dirs: Vec<String>,
    /// The one folder in which everything lies, if that is so: the usual mistake when packing by hand.
    pub single_top_dir: Option<String>,
    /// Every folder that directly holds a configuration file, sorted; the root is `""`.
    pub tf_dirs: Vec<String>,
}

impl Summary {
    pub(crate) fn new(tree: &Tree, entries: u64, expanded_bytes: u64) -> Self {
        let is_tf = |name: &[u8]| name.ends_with(b".tf") || name.ends_with(b".tf.json");
        let tf_dirs = tree.folders_with(is_tf);
        let top: Vec<(String, bool)> = tree.top().collect();
        let single_top_dir = match top.as_slice() {
            [(name, true)] => Some(name.clone()),
            _ => None,
        };
        Self {
            entries,
            expanded_bytes,
            has_root_tf: tf_dirs.first().is_some_and(String::is_empty),
            top_level_dirs: top.into_iter().filter(|(_, is_dir)| *is_dir).map(|(name, _)| name).collect(),
            single_top_dir,
            tf_dirs,
        }
    }

    /// Whether the folder where Terraform will run holds a configuration file. Empty and `.` are the root.
    pub fn has_tf_in(&self, working_directory: &str) -> bool {
        let wanted = clean(working_directory);
        self.tf_dirs.binary_search(&wanted).is_ok()
    }

    /// What to tell the user when the folder where Terraform will run holds no configuration file; None when it does.
    pub fn missing_tf(&self, working_directory: &str) -> Option<String> {
        let wanted = clean(working_directory);
        if self.tf_dirs.binary_search(&wanted).is_ok() {
            return None;
        }
        let place = match wanted.as_str() {
            "" => "at its root".to_owned(),
            folder => format!("in the working directory `{folder}`"),
        };
        let own = |dir: &&String| !dir.split('/').any(|part| part == ".terraform");
        let nearest =
            self.tf_dirs.iter().filter(own).min_by_key(|dir| dir.matches('/').count() + dir.len().min(1));
        Some(match nearest.map(String::as_str) {
            None => format!("the archive has no .tf file {place}, nor anywhere else"),
            Some("") => format!(
                "the archive has no .tf file {place}, but at its root; clear the workspace's working directory, or pack its parent folder"
            ),
            Some(folder) => format!(
                "the archive has no .tf file {place}, but in folder `{folder}`; pack that folder's content, or set the workspace's working directory to it"
            ),
        })
    }
}

fn clean(folder: &str) -> String {
    folder.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}
