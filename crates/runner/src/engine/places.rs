//! The places of this machine where engines may be, and what the programs found there say of themselves.

use super::{EngineConfig, Origin, Tool, version::parse_version};
use semver::Version;
use std::{
    collections::HashMap,
    fs::Metadata,
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::sync::Mutex;

/// Far more than any engine takes to say its version.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a program says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) tool: Tool,
    pub(super) version: Version,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.tool, self.version)
    }
}

/// A file that may be an engine.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// As it is named in the configuration or found in a directory.
    pub(super) path: PathBuf,
    /// With links followed: what is run, and whose directory a run may read.
    pub(super) real: PathBuf,
    pub(super) identity: Result<Identity, String>,
}

/// Answers are kept as long as the file does not change, so that a run asks no program.
#[derive(Debug, Default)]
pub(super) struct Prober(Mutex<HashMap<PathBuf, (Stamp, Identity)>>);

/// Changes whenever a file is replaced or written: device and inode, size, and times in seconds and nanoseconds.
type Stamp = (u64, u64, u64, i64, i64);

impl Prober {
    /// The candidates in a place, those to be preferred first. `tool` leaves out those that have the other's name.
    pub(super) async fn candidates(
        &self,
        config: &EngineConfig,
        origin: Origin,
        tool: Tool,
    ) -> Vec<Candidate> {
        let paths = match origin {
            Origin::Configured => match &config.configured {
                Some(path) if path.is_dir() => tree(path, tool),
                Some(path) => vec![path.clone()],
                None => Vec::new(),
            },
            Origin::Path => {
                let folders = config.search_path.iter().flat_map(std::env::split_paths);
                // An empty or relative entry means the working directory, which is nobody's choice for a server.
                let folders = folders.filter(|folder| folder.is_absolute());
                folders.map(|folder| folder.join(tool.to_string())).filter(|path| is_program(path)).collect()
            }
            Origin::Cache => tree(&config.cache_dir, tool),
            Origin::Downloaded => Vec::new(),
        };
        let mut candidates: Vec<Candidate> = Vec::new();
        for path in paths {
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            if candidates.iter().all(|candidate| candidate.real != real) {
                let identity = self.identify(&real).await;
                candidates.push(Candidate { path, real, identity });
            }
        }
        candidates
    }

    /// Asks a program what it is, unless it was asked before.
    pub(super) async fn identify(&self, program: &Path) -> Result<Identity, String> {
        let metadata = std::fs::metadata(program).map_err(|error| error.to_string())?;
        let stamp = stamp(&metadata);
        // Held while asking: many runs that start at once ask once.
        let mut known = self.0.lock().await;
        if let Some((_, identity)) = known.get(program).filter(|(known, _)| *known == stamp) {
            return Ok(identity.clone());
        }
        let identity = ask(program).await?;
        known.insert(program.to_owned(), (stamp, identity.clone()));
        Ok(identity)
    }
}

fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.dev(), metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec())
}

/// Runs `PROGRAM version`. Its plain form names the tool, which `-json` does not: OpenTofu calls itself
/// `terraform_version` there.
async fn ask(program: &Path) -> Result<Identity, String> {
    let mut command = tokio::process::Command::new(program);
    command.arg("version").current_dir("/").stdin(Stdio::null()).kill_on_drop(true);
    command
        .env_clear()
        .env("CHECKPOINT_DISABLE", "1")
        .env("TF_CLI_CONFIG_FILE", "/dev/null")
        .env("HOME", "/");
    let output = tokio::time::timeout(PATIENCE, async {
        loop {
            match command.output().await {
                // It was written a moment ago, and a process that this one started meanwhile has not yet closed its
                // copy of the descriptor. Nothing tells when it has.
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                done => return done,
            }
        }
    });
    let output = output
        .await
        .map_err(|_| format!("`version` did not end within {} seconds", PATIENCE.as_secs()))?
        .map_err(|error| format!("it cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    identity(&text).ok_or_else(|| {
        let error = String::from_utf8_lossy(&output.stderr);
        let said =
            text.lines().chain(error.lines()).find(|line| !line.trim().is_empty()).unwrap_or("nothing");
        let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
        format!(
            "it is neither Terraform nor OpenTofu: `version` ended with {} and said {said:?}",
            output.status
        )
    })
}

fn identity(text: &str) -> Option<Identity> {
    let (name, version) = text.lines().next()?.trim().split_once(" v")?;
    let tool = match name {
        "Terraform" => Tool::Terraform,
        "OpenTofu" => Tool::Tofu,
        _ => return None,
    };
    Some(Identity { tool, version: parse_version(version).ok()?.0 })
}

/// `DIR/terraform`, and `DIR/terraform/VERSION/terraform` from the newest on.
fn tree(dir: &Path, tool: Tool) -> Vec<PathBuf> {
    let name = tool.to_string();
    let own = dir.join(&name);
    if is_program(&own) {
        return vec![own];
    }
    let mut versions: Vec<(Version, PathBuf)> = std::fs::read_dir(&own)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            Some((parse_version(entry.file_name().to_str()?).ok()?.0, entry.path().join(&name)))
        })
        .filter(|(_, path)| is_program(path))
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, path)| path).collect()
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_the_first_line_it_says() {
        let is = |text| identity(text).map(|identity| (identity.tool, identity.version.to_string()));
        assert_eq!(is("Terraform v1.11.4\non linux_amd64\n"), Some((Tool::Terraform, "1.11.4".into())));
        assert_eq!(is("OpenTofu v1.10.0-rc1\n"), Some((Tool::Tofu, "1.10.0-rc1".into())));
        for text in ["", "Terragrunt v0.50.0", "Terraform", "Terraform vX", "terraform_version"] {
            assert_eq!(is(text), None, "{text}");
        }
    }
}
