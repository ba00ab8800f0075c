//! The SDK's own test program, compiled from the version that `go.mod` pins.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use xtask::{places, steps};

const PACKAGE: &str = "github.com/hashicorp/go-tfe";

pub(crate) struct Suite {
    /// The test program.
    pub(crate) program: PathBuf,
    /// The package's folder in the module cache: the tests read their fixtures below the folder they run in.
    pub(crate) folder: PathBuf,
}

impl Suite {
    /// Compiles it in the Go module `module`, unless that was done since the module's files changed.
    ///
    /// # Errors
    /// When there is no Go, or the module proxy cannot be reached.
    pub(crate) fn compile(module: &Path) -> Result<Self> {
        let go = places::program("go").context("there is no `go` on PATH: install Go 1.25 or later")?;
        let program = places::target().join("conformance/go-tfe.test");
        if !newer(&program, &["go.mod", "go.sum"].map(|name| module.join(name))) {
            let mut compile = Command::new(&go);
            compile.current_dir(module).env("CGO_ENABLED", "0");
            steps::run(compile.args(["test", "-c", "-o"]).arg(&program).arg(PACKAGE))?;
        }
        let mut list = Command::new(&go);
        list.current_dir(module).args(["list", "-m", "-f", "{{.Dir}}", PACKAGE]);
        let folder = PathBuf::from(steps::read(&mut list)?.trim());
        ensure!(folder.is_dir(), "the Go module cache has no {PACKAGE}");
        Ok(Self { program, folder })
    }

    /// Every test, in the program's own order.
    ///
    /// # Errors
    /// When the program does not tell.
    pub(crate) fn tests(&self) -> Result<Vec<String>> {
        let mut list = Command::new(&self.program);
        list.current_dir(&self.folder).args(["-test.list", "^Test"]);
        Ok(steps::read(&mut list)?.lines().map(str::to_owned).collect())
    }
}

/// Whether `file` is there and was written after all of `sources`.
fn newer(file: &Path, sources: &[PathBuf]) -> bool {
    let written = |file: &Path| file.metadata().and_then(|meta| meta.modified()).ok();
    let made = written(file);
    made.is_some() && sources.iter().all(|source| written(source) < made)
}
