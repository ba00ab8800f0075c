//! Where in an unpacked archive the engine is started, and what is changed there before.

use crate::{
    job::Job,
    workdir::{remove, remove_file},
};
use aho_corasick::AhoCorasick;
use std::{
    ffi::OsString,
    fs, io,
    path::{Component, Path, PathBuf},
    sync::LazyLock,
};

/// The file that overrides the configuration's backend. Of several override files the last in order wins.
pub(crate) const OVERRIDE: &str = "zzz_backend_override.tf.json";
/// Where an engine without any backend looks for the states of workspaces.
pub(crate) const STATES: &str = "terraform.tfstate.d";

/// How the engine is led to the state, which lies outside of the configuration tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// By [`OVERRIDE`].
    Overridden,
    /// The configuration names no backend, so the engine takes local states, and [`STATES`] leads to ours. Saves
    /// `init` the record of a backend, which is two per cent of a small plan.
    Implied,
    /// There is no configuration, and there must be none: an override alone would be one, and plan the end of everything in
    /// the state. The engine refuses instead.
    None,
}

/// Decides how the engine is led to the state.
pub(crate) fn backend(cwd: &Path, job: &Job) -> io::Result<Backend> {
    /// No block that chooses where state lives can be written without one of these. `\u` can hide them in JSON.
    static WORDS: LazyLock<AhoCorasick> = LazyLock::new(|| {
        AhoCorasick::new(["backend", "cloud", "state_store", "\\u"])
            .expect("four short patterns make an automaton")
    });
    let files = configuration(cwd)?;
    if files.is_empty() && !job.destroy {
        return Ok(Backend::None);
    }
    // The state of this workspace is not in the folder of states.
    let mut overridden = job.workspace == "default";
    for file in files {
        overridden = overridden || WORDS.is_match(&fs::read(cwd.join(file))?);
    }
    Ok(if overridden { Backend::Overridden } else { Backend::Implied })
}

/// Local state outside of the configuration tree, whatever backend the configuration asks for. The paths are relative
/// because a plan records them and may be applied somewhere else.
pub(crate) fn backend_override(up: &str) -> Vec<u8> {
    let local = serde_json::json!({
        "path": format!("{up}state/default/terraform.tfstate"),
        "workspace_dir": format!("{up}state"),
    });
    serde_json::json!({ "terraform": { "backend": { "local": local } } }).to_string().into_bytes()
}

/// Removes what an archive may hold by mistake and the engine would take for its own: states, a `terraform.tfvars`
/// (which TFE ignores), and the record of another backend.
pub(crate) fn remove_strays(cwd: &Path) -> io::Result<()> {
    for entry in fs::read_dir(cwd)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "terraform.tfvars" || name == "terraform.tfvars.json" {
            remove_file(&entry.path())?;
        } else if name.as_encoded_bytes().starts_with(b"terraform.tfstate") {
            if entry.file_type()?.is_dir() { remove(&entry.path())? } else { remove_file(&entry.path())? }
        }
    }
    for name in ["terraform.tfstate", "environment"] {
        remove_file(&cwd.join(".terraform").join(name))?;
    }
    Ok(())
}

/// Makes a workspace the one in use, as `workspace select` does. Not by `TF_WORKSPACE`: that would also rule which workspace
/// a `terraform_remote_state` through the `cloud` backend reads, and an engine that a provisioner starts.
pub(crate) fn select_workspace(cwd: &Path, workspace: &str) -> io::Result<()> {
    let data = cwd.join(".terraform");
    fs::create_dir_all(&data)?;
    fs::write(data.join("environment"), workspace)
}

/// The folder in which the engine is started, relative to `config` and free of links.
pub(crate) fn working_folder(config: &Path, wanted: &str, found: &slug::Summary) -> Result<PathBuf, String> {
    let wanted = wanted.trim().trim_matches('/');
    let relative: PathBuf =
        Path::new(wanted).components().filter(|part| !matches!(part, Component::CurDir)).collect();
    if relative.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(format!(
            "the workspace's working-directory {wanted:?} leaves the archive: give a path inside of it"
        ));
    }
    if relative.as_os_str().is_empty() {
        // An archive without any configuration is legal: the engine says so, or destroys what there is.
        return match wrapped_in(found) {
            Some(folder) if configuration(config).is_ok_and(|files| files.is_empty()) => Err(wrapped(folder)),
            _ => Ok(relative),
        };
    }
    let config = fs::canonicalize(config).map_err(|error| error.to_string())?;
    let cwd = fs::canonicalize(config.join(&relative)).ok().filter(|cwd| cwd.is_dir());
    let cwd = cwd.ok_or_else(|| absent(found, &relative))?;
    let inside = cwd.strip_prefix(&config).map_err(|_| {
        format!("the workspace's working-directory {wanted:?} leads out of the archive by a link")
    })?;
    Ok(inside.to_owned())
}

fn wrapped(folder: &str) -> String {
    format!(
        "there is no Terraform configuration at the root of the archive; it is in the folder \"{folder}\". Either pack \
         from inside the folder (tar -C {folder} -zcf content.tar.gz .), or set the workspace's working-directory to \
         \"{folder}\""
    )
}

fn absent(found: &slug::Summary, wanted: &Path) -> String {
    let wanted = wanted.display().to_string();
    let missing = format!("the workspace's working-directory \"{wanted}\" is not in the archive");
    let ending = format!("/{wanted}");
    let mut wrappers = found.tf_dirs.iter().filter_map(|folder| folder.strip_suffix(&ending));
    if let (Some(wrapper), None) = (wrappers.next(), wrappers.next()) {
        return format!(
            "{missing}, but the folder \"{wrapper}\" holds it. Either pack from inside that folder (tar -C {wrapper} -zcf \
             content.tar.gz .), or set the working-directory to \"{wrapper}/{wanted}\""
        );
    }
    match wrapped_in(found) {
        _ if found.has_root_tf => format!(
            "{missing}; the configuration is at the archive's root. Either clear the working-directory, or pack so \
             that the folder is part of the archive"
        ),
        Some(folder) => format!(
            "{missing}; the configuration is in the folder \"{folder}\". Either set the working-directory to \
             \"{folder}\", or pack from inside the folder (tar -C {folder} -zcf content.tar.gz .) and clear it"
        ),
        None => format!("{missing}. Set it to a folder that holds *.tf files, or pack that folder too"),
    }
}

/// The folder below the root that holds the configuration, when there is one that lies higher than all others.
fn wrapped_in(found: &slug::Summary) -> Option<&str> {
    let depth = |folder: &&String| folder.matches('/').count();
    let own =
        || found.tf_dirs.iter().filter(|folder| !folder.is_empty() && !folder.starts_with(".terraform"));
    let highest = own().map(|folder| depth(&folder)).min()?;
    let mut candidates = own().filter(|folder| depth(folder) == highest);
    candidates.next().filter(|_| candidates.next().is_none()).map(String::as_str)
}

/// The files of configuration in the folder itself.
fn configuration(folder: &Path) -> io::Result<Vec<OsString>> {
    const ENDINGS: [&[u8]; 4] = [b".tf", b".tf.json", b".tofu", b".tofu.json"];
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if ENDINGS.iter().any(|ending| name.as_encoded_bytes().ends_with(ending)) {
            files.push(name);
        }
    }
    Ok(files)
}
