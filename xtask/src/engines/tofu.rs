//! OpenTofu, built from the source that the Go module proxy serves. It takes minutes; nothing needs it but the rows of
//! the conformance matrix that are OpenTofu's, and those only where no `tofu` is on `PATH`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{places, steps};

const MODULE: &str = "github.com/opentofu/opentofu";
/// Its checksum is verified by Go against the public checksum database.
const VERSION: &str = "1.10.6";

/// Where [`make`] puts the command.
pub(super) fn command(home: &Path) -> PathBuf {
    home.join(format!("tofu-{VERSION}")).join("tofu")
}

/// Builds the command, unless it is there, and returns its path.
///
/// # Errors
/// When Go is missing, the module cannot be had, or it does not compile.
pub(super) fn make(home: &Path, work: &Path) -> Result<PathBuf> {
    let command = command(home);
    if command.is_file() {
        return Ok(command);
    }
    let go = places::program("go").context("go is missing (Debian: `apt-get install golang`)")?;
    println!("building OpenTofu {VERSION} from source; this takes minutes");
    let told = steps::read(
        Command::new(&go)
            .args(["mod", "download", "-json", &format!("{MODULE}@v{VERSION}")])
            .current_dir(work),
    )?;
    let told: serde_json::Value = serde_json::from_str(&told).context("`go mod download` told no JSON")?;
    let Some(source) = told["Dir"].as_str() else { bail!("`go mod download` named no folder: {told}") };
    let ready = work.join("ready");
    fs::create_dir(&ready).context("cannot make a folder in target")?;
    // The module cache is read-only, which building from it is content with.
    steps::read(
        Command::new(&go)
            .args(["build", "-ldflags=-s -w -X github.com/opentofu/opentofu/version.dev=no", "-o"])
            .arg(ready.join("tofu"))
            .arg("./cmd/tofu")
            .current_dir(source)
            .env("CGO_ENABLED", "0"),
    )?;
    let folder = command.parent().expect("the command lies in a folder of its own");
    match fs::rename(&ready, folder) {
        Err(error) if !command.is_file() => Err(error).context("cannot put OpenTofu into place"),
        _ => Ok(command),
    }
}
