//! Engines built from the source that the Go module proxy serves: OpenTofu, and the versions of Terraform that no package
//! of the Python index holds. Each takes minutes; nothing needs them but their columns of the conformance matrix.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{places, steps};

/// A release, and where its source is. Go verifies the source against its public checksum database.
pub(super) struct Source {
    /// What the command is called.
    pub(super) tool: &'static str,
    pub(super) version: &'static str,
    module: &'static str,
    /// The command's package in the module.
    package: &'static str,
}

/// Newest first. The last release of each minor version, where there is no reason for another.
pub(super) const SOURCES: [Source; 7] = [
    Source { tool: "tofu", version: "1.10.6", module: "github.com/opentofu/opentofu", package: "./cmd/tofu" },
    terraform("1.7.5"),
    terraform("1.5.7"),
    terraform("1.4.7"),
    terraform("1.3.10"),
    terraform("1.2.9"),
    terraform("1.1.9"),
];

const fn terraform(version: &'static str) -> Source {
    Source { tool: "terraform", version, module: "github.com/hashicorp/terraform", package: "." }
}

impl Source {
    fn command(&self, home: &Path) -> PathBuf {
        home.join(format!("{}-{}", self.tool, self.version)).join(self.tool)
    }

    /// The command, if it was made before.
    pub(super) fn made(&self, home: &Path) -> Option<PathBuf> {
        Some(self.command(home)).filter(|command| command.is_file())
    }

    /// Builds the command, unless it is there, and returns its path.
    ///
    /// # Errors
    /// When Go is missing, the module cannot be had, or it does not compile.
    pub(super) fn make(&self, home: &Path, work: &Path) -> Result<PathBuf> {
        let command = self.command(home);
        if command.is_file() {
            return Ok(command);
        }
        let Self { tool, version, module, package } = self;
        let go = places::program("go").context("go is missing (Debian: `apt-get install golang`)")?;
        println!("building {tool} {version} from source; this takes minutes");
        let wanted = format!("{module}@v{version}");
        let told =
            steps::read(Command::new(&go).args(["mod", "download", "-json", &wanted]).current_dir(work))?;
        let told: serde_json::Value =
            serde_json::from_str(&told).context("`go mod download` told no JSON")?;
        let Some(source) = told["Dir"].as_str() else { bail!("`go mod download` named no folder: {told}") };
        let ready = work.join("ready");
        fs::create_dir(&ready).context("cannot make a folder in target")?;
        // The module cache is read-only, which building from it is content with. Unless `version.dev` says no, what is
        // built calls itself a development version; where there is no such variable, the linker does not mind.
        steps::read(
            Command::new(&go)
                .args(["build", &format!("-ldflags=-s -w -X {module}/version.dev=no"), "-o"])
                .args([&ready.join(tool), Path::new(package)])
                .current_dir(source)
                .env("CGO_ENABLED", "0"),
        )?;
        super::put_in_place(&ready, &command)
    }
}
