//! Building the program, and finding what was built.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::places;

/// Which of cargo's profiles to build with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Quick to build; what the tests have built already.
    Debug,
    /// Optimised; for measurements.
    Release,
}

/// Builds the binary `name` and returns its path.
///
/// # Errors
/// When it does not compile, or cargo names no such binary.
pub fn binary(name: &str, profile: Profile) -> Result<PathBuf> {
    // With --workspace, dependencies get the same features as in the tests' build and are not compiled twice.
    build(&["--workspace", "--bin", name], name, profile)
}

/// Builds the binary of the package `name`, which needs little of the workspace, and returns its path.
///
/// # Errors
/// As [`binary`].
pub fn package(name: &str, profile: Profile) -> Result<PathBuf> {
    build(&["--package", name], name, profile)
}

fn build(what: &[&str], name: &str, profile: Profile) -> Result<PathBuf> {
    let mut cargo = cargo();
    cargo.args(["build", "--message-format=json-render-diagnostics"]).args(what);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    let output = cargo.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("`{name}` does not build");
    }
    let messages = String::from_utf8(output.stdout).context("cargo's messages are not UTF-8")?;
    executable(&messages, name).with_context(|| format!("cargo built no binary `{name}`"))
}

/// Cargo, in the workspace's root.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(places::workspace());
    // Cargo tells us, its child, about our own package; its children must find out about theirs.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// The path of the binary `name` in cargo's JSON `messages`.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()).find_map(
        |message| {
            (message["target"]["name"] == name).then(|| message["executable"].as_str().map(PathBuf::from))?
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}"#,
            "\nnot json\n",
            r#"{"reason":"compiler-artifact","target":{"name":"ferroform"},"executable":"/t/ferroform"}"#,
        );
        assert_eq!(executable(messages, "ferroform"), Some(PathBuf::from("/t/ferroform")));
        assert_eq!(executable(messages, "serde"), None);
    }
}
