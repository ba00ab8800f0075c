//! Where things are: the workspace, its target directory, programs on `PATH`, and a free port.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The root of the cargo workspace. Cargo says at run time where it is; what it said at compile time may be another clone
/// that shares the target directory.
pub fn workspace() -> PathBuf {
    let now = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let found = now.and_then(|package| {
        package.ancestors().find(|folder| folder.join("Cargo.lock").is_file()).map(Path::to_path_buf)
    });
    found.unwrap_or_else(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        here.parent().expect("xtask lives in a folder of the workspace").to_path_buf()
    })
}

/// Cargo's target directory: `CARGO_TARGET_DIR`, or `target` in the workspace.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => workspace().join(folder),
        None => workspace().join("target"),
    }
}

/// The first executable file called `name` on `PATH`.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| executable(file))
}

/// Whether `file` is a regular file that somebody may execute.
pub(crate) fn executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// A TCP port of 127.0.0.1 that nothing listens on now.
///
/// # Errors
/// When the kernel has none to give.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr().context("a bound socket has an address")?.port())
}

/// Removes from `command`'s environment what would silently change Ferroform or the engine: `FERROFORM_*`, `TF_*`.
pub fn forget_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if ["TF_", "FERROFORM_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_can_be_bound() {
        let port = free_port().unwrap();
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    }

    #[test]
    fn the_shell_is_on_the_path_and_a_made_up_program_is_not() {
        assert!(program("sh").is_some());
        assert_eq!(program("no-such-program-of-ferroform"), None);
    }

    #[test]
    fn the_workspace_is_the_folder_with_the_lock_file() {
        assert!(workspace().join("Cargo.lock").is_file());
    }
}
