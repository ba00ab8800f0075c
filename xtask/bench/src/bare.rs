//! The baselines: what a person without Ferroform would type, run by `sh -c` in a clean environment.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// `$1` is the engine. The same three commands that a plan-only run takes.
const PLAN: &str = "\"$1\" init -input=false -no-color >init.log && \
     \"$1\" plan -input=false -no-color -out=tfplan >plan.log && \
     \"$1\" show -json tfplan >plan.json";

/// A folder with a configuration, of which copies are made to run in.
pub(crate) struct Bare {
    engine: PathBuf,
    configuration: String,
    folder: TempDir,
}

impl Bare {
    /// Prepares to run `engine` on the text of a `main.tf`.
    ///
    /// # Errors
    /// When there is no temporary folder to be had.
    pub(crate) fn new(engine: &Path, configuration: &str) -> Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("ferroform-bare-").tempdir().context("no temporary folder")?;
        Ok(Self { engine: engine.to_owned(), configuration: configuration.to_owned(), folder })
    }

    /// A new folder `name` with the configuration in it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn copy(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(folder.join("main.tf"), &self.configuration).context("cannot write a configuration")?;
        Ok(folder)
    }

    /// `init`, `plan`, `show -json` in `folder`.
    ///
    /// # Errors
    /// When one of them fails.
    pub(crate) fn plan(&self, folder: &Path) -> Result<()> {
        self.shell(PLAN, folder, &[])
    }

    /// [`Bare::plan`], and `apply` of what was planned.
    ///
    /// # Errors
    /// When one of them fails.
    pub(crate) fn apply(&self, folder: &Path) -> Result<()> {
        self.apply_as(folder, "-no-color")
    }

    /// The same, with the apply's output in the form of this option.
    ///
    /// # Errors
    /// When one of them fails.
    pub(crate) fn apply_as(&self, folder: &Path, form: &str) -> Result<()> {
        let apply = format!("{PLAN} && \"$1\" apply -input=false {form} tfplan >apply.log");
        self.shell(&apply, folder, &[])
    }

    /// [`Bare::plan`] in all `folders`, `at_once` at a time.
    ///
    /// # Errors
    /// When one of them fails.
    pub(crate) fn plan_all(&self, folders: &[PathBuf], at_once: usize) -> Result<()> {
        let each = format!("cd \"$2\" && {PLAN}");
        let at_once = at_once.to_string();
        let script = "engine=$1 each=$2 at_once=$3; shift 3
            printf '%s\\0' \"$@\" | xargs -0 -P \"$at_once\" -I{} sh -c \"$each\" sh \"$engine\" {}";
        let mut arguments: Vec<&OsStr> = vec![each.as_ref(), at_once.as_ref()];
        arguments.extend(folders.iter().map(|folder| folder.as_os_str()));
        self.shell(script, self.folder.path(), &arguments)
    }

    /// Runs `script` with the engine as `$1` and `arguments` after it.
    fn shell(&self, script: &str, folder: &Path, arguments: &[&OsStr]) -> Result<()> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script, "bare"]).arg(&self.engine).args(arguments).current_dir(folder);
        shell.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", self.folder.path());
        // As in a run: nothing is asked, and nobody is called about newer versions.
        shell.envs([("TF_IN_AUTOMATION", "1"), ("CHECKPOINT_DISABLE", "1")]);
        let status = shell.stdin(Stdio::null()).status().context("cannot start /bin/sh")?;
        ensure!(status.success(), "the bare commands ended with {status} in {}", folder.display());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fleet_runs_the_three_commands_in_every_folder() {
        let tools = tempfile::tempdir().unwrap();
        let engine = tools.path().join("engine");
        fs::write(&engine, "#!/bin/sh\necho \"$1\" >>steps\n").unwrap();
        fs::set_permissions(&engine, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let bare = Bare::new(&engine, "").unwrap();
        let folders = ["a", "b", "c"].map(|name| bare.copy(name).unwrap());
        bare.plan_all(&folders, 2).unwrap();
        for folder in &folders {
            assert_eq!(fs::read_to_string(folder.join("steps")).unwrap(), "init\nplan\nshow\n");
        }
    }

    #[test]
    fn an_engine_that_fails_fails_the_measurement() {
        let bare = Bare::new(Path::new("/bin/false"), "").unwrap();
        let folder = bare.copy("a").unwrap();
        assert!(bare.plan(&folder).is_err());
        assert!(bare.plan_all(&[folder], 1).is_err());
    }
}
