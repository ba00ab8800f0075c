//! Building the confined command of a phase: shell, environment, CLI configuration.

use crate::{
    engine::Engine,
    job::{Job, Operation, Phase},
    process::Held,
    runner::RunnerConfig,
    script,
    variables::{self, Environment},
    workdir::{Prepared, RunDir, Setup},
};
use kernel::Secret;
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// What a shell finds its programs in; the server's own `PATH` is none of the run's business.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How far the heap of an engine and of its providers may grow before they collect garbage, in percent of what is live. Go's
/// own 100 makes short commands spend a sixth of their time on it (`docs/performance.md`).
const GOGC: &str = "200";

/// Everything that a phase's commands have in common.
pub(crate) struct Launcher<'a> {
    pub(crate) config: &'a RunnerConfig,
    pub(crate) job: &'a Job,
    pub(crate) dir: &'a RunDir,
    pub(crate) engine: &'a Engine,
}

impl Launcher<'_> {
    /// Starts the phase's shell, which waits for its mark to be written.
    pub(crate) fn start(&self, prepared: &Prepared, preamble: &[u8]) -> Result<Held, Setup> {
        let environment = variables::environment(self.job)?;
        let mut first = preamble.to_vec();
        for note in &environment.notes {
            first.extend_from_slice(note.as_bytes());
            first.push(b'\n');
        }
        let log = self.dir.open_log(&first)?;
        let warm = self.job.phase == Phase::Apply && prepared.warm;
        if let Some(key) = self.job.ssh_key.as_ref().filter(|_| !warm) {
            self.place_key(key)?;
        }
        let script = match (self.job.phase, &self.job.operation) {
            (Phase::Plan, Some(operation)) => {
                let mut command = self.command(script::OPERATION, &prepared.cwd, &environment)?;
                command.arg(self.input(operation)?);
                command.args(script::operation(self.job, operation, &prepared.up, &prepared.files));
                return self.held(&command, &log);
            }
            (Phase::Plan, None) => script::PLAN,
            (Phase::Apply, _) => script::APPLY,
        };
        let mut command = self.command(script, &prepared.cwd, &environment)?;
        if self.job.phase == Phase::Apply {
            command.arg(if prepared.warm { "warm" } else { "init" });
        }
        command.args(script::options(
            self.job,
            &prepared.up,
            &prepared.files,
            self.job.structured_output && speaks_json(&self.engine.version),
            environment.parallelism,
        ));
        self.held(&command, &log)
    }

    /// The file that an operation reads.
    fn input(&self, operation: &Operation) -> io::Result<PathBuf> {
        if operation.input.expose().is_empty() {
            return Ok(PathBuf::from("/dev/null"));
        }
        let file = self.dir.phase(self.job.phase).join("input");
        fs::write(&file, operation.input.expose())?;
        Ok(file)
    }

    /// Puts the SSH key where the script finds it. ssh refuses a key that others may read, and one whose last line has no end.
    fn place_key(&self, key: &Secret) -> io::Result<()> {
        let path = self.dir.phase(self.job.phase).join("ssh-key");
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        let end: &[u8] = if key.expose().ends_with('\n') { b"" } else { b"\n" };
        file.write_all(key.expose().as_bytes())?;
        file.write_all(end)
    }

    /// Starts the command that prints the providers' schemas.
    pub(crate) fn schemas(&self, folder: &Path) -> Result<Held, Setup> {
        let environment = variables::environment(self.job)?;
        let cwd = self.dir.phase(self.job.phase).join("config").join(folder);
        let nowhere = File::options().write(true).open("/dev/null")?;
        let command = self.command(script::SCHEMAS, &cwd, &environment)?;
        self.held(&command, &nowhere)
    }

    fn held(&self, command: &Command, output: &File) -> Result<Held, Setup> {
        let phase = self.dir.phase(self.job.phase);
        let mut read = vec![self.engine.path.as_path()];
        read.extend(self.config.provider_mirror.as_deref());
        read.extend(self.config.engine_cli_config.as_deref());
        Held::start(&self.config.sandbox, command, output, &read, &[&phase])
            .map_err(|error| Setup::Layout(format!("the engine cannot be confined: {error}")))
    }

    fn command(&self, script: &str, cwd: &Path, environment: &Environment) -> Result<Command, Setup> {
        let phase = self.dir.phase(self.job.phase);
        let mut command = Command::new("/bin/sh");
        let script = format!("{}{script}", script::INIT);
        command.args(["-c", &script, "ferroform"]).arg(&self.engine.path).arg(&phase).current_dir(cwd);
        command.env_clear().envs([
            ("PATH", PATH),
            ("LANG", "C.UTF-8"),
            ("TF_IN_AUTOMATION", "1"),
            ("TF_INPUT", "0"),
            ("CHECKPOINT_DISABLE", "1"),
        ]);
        command.env("GOGC", GOGC);
        if let Some(limit) = self.config.sandbox.memory_bytes() {
            // From half of the limit on the heap is kept as small as Go can: there, growing lazily would end at the limit.
            command.env("GOMEMLIMIT", (limit / 2).to_string());
        }
        command.env("HOME", &phase).env("TMPDIR", phase.join("tmp"));
        if let Some(file) = self.cli_config(&phase, environment)? {
            command.env("TF_CLI_CONFIG_FILE", file);
        }
        command.envs(self.config.environment.iter().map(|(key, value)| (key, value)));
        command.envs(&environment.variables);
        let folder = self.dir.secrets(self.job.phase);
        command.envs(self.job.files.iter().map(|file| (file.variable.as_str(), folder.join(&file.name))));
        Ok(command)
    }

    /// The engine's CLI configuration, when there is something to say in it.
    fn cli_config(&self, phase: &Path, environment: &Environment) -> io::Result<Option<PathBuf>> {
        if let Some(file) = &self.config.engine_cli_config {
            return Ok(Some(file.clone()));
        }
        let mut text = String::new();
        if let Some(mirror) = &self.config.provider_mirror {
            text.push_str(&installation(mirror));
        }
        for (host, token) in &environment.credentials {
            text.push_str(&format!("credentials \"{host}\" {{\n  token = \"{token}\"\n}}\n"));
        }
        if text.is_empty() {
            return Ok(None);
        }
        let file = phase.join("engine.tfrc");
        fs::write(&file, text)?;
        Ok(Some(file))
    }
}

/// Providers that the mirror has come from there alone; otherwise the engine asks their registry as well, and a machine
/// without a way out could not initialise.
fn installation(mirror: &Path) -> String {
    let held: Vec<String> =
        providers(mirror).iter().map(|name| serde_json::Value::from(name.as_str()).to_string()).collect();
    let path = serde_json::Value::from(mirror.to_string_lossy()).to_string();
    let list = held.join(", ");
    format!(
        "provider_installation {{\n  filesystem_mirror {{\n    path    = {path}\n    include = [{list}]\n  }}\n  \
         direct {{\n    exclude = [{list}]\n  }}\n}}\n"
    )
}

/// `host/namespace/type` of each provider in a mirror's folder.
fn providers(mirror: &Path) -> Vec<String> {
    let below = |folder: PathBuf| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    };
    let found = below(mirror.to_owned()).into_iter().flat_map(below).flat_map(below);
    let mut names: Vec<String> =
        found.filter_map(|path| Some(path.strip_prefix(mirror).ok()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

/// Whether an engine of this version can print its plan as JSON lines. OpenTofu always could.
fn speaks_json(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (0, 15, 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_of_the_mirror_is_not_asked_for_elsewhere() {
        let mirror = tempfile::tempdir().unwrap();
        fs::create_dir_all(mirror.path().join("registry.terraform.io/hashicorp/null/3.2.0/linux_amd64"))
            .unwrap();
        let text = installation(mirror.path());
        assert!(text.contains("exclude = [\"registry.terraform.io/hashicorp/null\"]"), "{text}");
    }

    #[test]
    fn old_engines_do_not_print_json() {
        assert!(!speaks_json("0.14.11") && speaks_json("0.15.3") && speaks_json("1.11.4"));
    }
}
