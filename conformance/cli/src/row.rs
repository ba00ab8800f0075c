//! One row of the matrix: a scenario, a version and a server.
//!
//! A row has an organization, a home and a folder of its own, so that rows run at the same time and in any order.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use regex::{Captures, Regex};
use serde_json::{Value, json};

use crate::facts::Facts;
use crate::house::House;
use crate::scenario::{Action, Expected, Guarded, Scenario, Step};
use crate::terminal::Terminal;
use crate::versions::{Tool, Version};

/// How long an `until` waits.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Row<'a> {
    house: &'a House,
    version: &'a Version,
    organization: String,
    home: PathBuf,
    bin: PathBuf,
    /// Where files are written and commands run.
    folder: PathBuf,
    /// What was done and said, for the person who wants to know why it failed.
    transcript: String,
}

/// Runs `scenario` from its first step to the first that fails; what was done and said comes in both cases.
pub(crate) fn run(house: &House, scenario: &Scenario, version: &Version) -> (String, Result<()>) {
    let mut row = match Row::new(house, scenario, version) {
        Ok(row) => row,
        Err(error) => return (String::new(), Err(error)),
    };
    let mut outcome = Ok(());
    for (line, step) in scenario.steps.iter().filter_map(|step| step.at(version)) {
        let done = row.step(step).and_then(|()| row.same_engine(scenario, step));
        outcome = done.with_context(|| format!("{}.txt:{line}", scenario.name));
        if outcome.is_err() {
            row.transcript += &row.facts().story().unwrap_or_else(|error| format!("{error:#}\n"));
            break;
        }
    }
    (row.transcript, outcome)
}

impl<'a> Row<'a> {
    fn new(house: &'a House, scenario: &Scenario, version: &'a Version) -> Result<Self> {
        let name = format!("{}-{}", scenario.name, version.key().replace('.', "-"));
        let room = house.room(&name)?;
        let (home, bin, folder) = (room.join("home"), room.join("bin"), room.join("work"));
        for made in [&home.join(".terraform.d"), &bin, &folder] {
            fs::create_dir_all(made).context("cannot make a row's folders")?;
        }
        symlink(&version.program, bin.join("terraform")).context("cannot link the program")?;
        let browser = bin.join("xdg-open");
        fs::write(&browser, "#!/bin/sh\necho \"$1\" >\"$HOME/visited\"\n")
            .context("cannot write a script")?;
        fs::set_permissions(&browser, fs::Permissions::from_mode(0o755))
            .context("cannot make it a program")?;
        let credentials = json!({ "credentials": { house.host(): { "token": house.token } } });
        fs::write(home.join(".terraform.d/credentials.tfrc.json"), credentials.to_string())?;
        let settings = format!(
            "provider_installation {{\n  filesystem_mirror {{\n    path = \"{}\"\n  }}\n}}\n",
            house.mirror.display()
        );
        for file in [".terraformrc", ".tofurc"] {
            fs::write(home.join(file), &settings)?;
        }
        let row = Self { house, version, organization: name, home, bin, folder, transcript: String::new() };
        let attributes = json!({ "name": row.organization, "email": "conformance@example.com" });
        let document = json!({ "data": { "type": "organizations", "attributes": attributes } });
        row.facts().call("POST", "/api/v2/organizations", Some(&document))?;
        Ok(row)
    }

    fn facts(&self) -> Facts<'_> {
        Facts { api: &self.house.api, organization: &self.organization }
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Backend { kind, workspaces } => {
                let workspaces = self.filled(workspaces)?;
                let text = backend(kind, self.house.host(), &self.organization, &workspaces);
                Ok(fs::write(self.folder.join("backend.tf"), text)?)
            }
            Step::Folder(name) => {
                self.folder = self.home.with_file_name(name);
                Ok(fs::create_dir_all(&self.folder)?)
            }
            Step::File { name, text } => {
                let file = self.folder.join(name);
                fs::create_dir_all(file.parent().unwrap_or(&self.folder))?;
                Ok(fs::write(file, self.filled(text)?)?)
            }
            Step::Command { line, expected } => self.command(line, expected),
            Step::Act(action) => self.act(action, None),
            Step::Fact { question, answer, patient } => self.fact(question, answer, *patient),
        }
    }

    /// What was observed is of the row's version only if the server's runs were of it. Asked after each command, for a
    /// later one may delete the workspace.
    fn same_engine(&self, scenario: &Scenario, step: &Step) -> Result<()> {
        if scenario.any_engine || !matches!(step, Step::Command { .. }) {
            return Ok(());
        }
        let others = self.facts().other_engines(&self.version.full)?;
        ensure!(others.is_empty(), "the runs were to be of {}, but {}", self.version, others.join(", "));
        Ok(())
    }

    fn command(&mut self, line: &str, expected: &[Guarded<Expected>]) -> Result<()> {
        let line = self.filled(line)?;
        writeln!(self.transcript, "$ {line}")?;
        let expected: Vec<_> = expected.iter().filter_map(|one| one.at(self.version)).collect();
        let attended = expected.iter().any(|(_, one)| matches!(one, Expected::When { .. }));
        let started = Instant::now();
        let mut terminal = Terminal::start(self.shell(&line), attended)?;
        let mut talked = Ok(());
        for (number, one) in &expected {
            if let Expected::When { text, action } = one {
                talked = self
                    .filled(text)
                    .and_then(|text| terminal.wait_for(&text))
                    .and_then(|()| self.act(action, Some(&mut terminal)))
                    .with_context(|| format!("line {number}"));
                if talked.is_err() {
                    break;
                }
            }
        }
        let (said, code) = if talked.is_ok() { terminal.end() } else { terminal.give_up() };
        let took = started.elapsed().as_secs_f64();
        let ended = code.as_ref().map_or_else(ToString::to_string, |code| format!("exit {code}"));
        writeln!(self.transcript, "{said}[{took:.2} s, {ended}]")?;
        talked?;
        let code = code?;
        let wanted = expected.iter().find_map(|(_, one)| match one {
            Expected::Exit(code) => Some(*code),
            _ => None,
        });
        if let Some(wanted) = wanted.unwrap_or(Some(0)) {
            ensure!(code == wanted, "exit code {code}, not {wanted}");
        }
        for (number, one) in expected {
            self.check(one, &said).with_context(|| format!("line {number}"))?;
        }
        Ok(())
    }

    fn check(&self, expected: &Expected, said: &str) -> Result<()> {
        match expected {
            Expected::Exit(_) | Expected::When { .. } => {}
            Expected::Has(text) => {
                let text = self.filled(text)?;
                ensure!(unwrapped(said).contains(&text), "the output lacks {text:?}");
            }
            Expected::Lacks(text) => {
                let text = self.filled(text)?;
                ensure!(!unwrapped(said).contains(&text), "the output has {text:?}");
            }
            Expected::Like(pattern) => {
                let regex = Regex::new(&format!("(?m){}", self.filled(pattern)?))?;
                ensure!(regex.is_match(&unwrapped(said)), "nothing in the output is like {pattern:?}");
            }
        }
        Ok(())
    }

    fn act(&mut self, action: &Action, terminal: Option<&mut Terminal>) -> Result<()> {
        match (action, terminal) {
            (Action::Answer(line), Some(terminal)) => terminal.answer(&self.filled(line)?),
            (Action::Interrupt, Some(terminal)) => terminal.interrupt(),
            (Action::Answer(_) | Action::Interrupt, None) => bail!("no command runs"),
            (Action::Do(line), _) => {
                let line = self.filled(line)?;
                let (said, code) = Terminal::start(self.shell(&line), false)?.end();
                writeln!(self.transcript, "beside it: $ {line}\n{said}")?;
                let code = code?;
                ensure!(code == 0, "{line:?} ended with exit code {code}: {said}");
                Ok(())
            }
            (Action::Verb(verb, workspace), _) => self.facts().act(*verb, &self.filled(workspace)?),
            (Action::Api { method, path, document }, _) => {
                let document = document.as_deref().map(|text| self.filled(text)).transpose()?;
                let document: Option<Value> = document.map(|text| serde_json::from_str(&text)).transpose()?;
                self.facts().call(method, &self.filled(path)?, document.as_ref()).map(drop)
            }
        }
    }

    fn fact(&mut self, question: &str, answer: &str, patient: bool) -> Result<()> {
        let (question, answer) = (self.filled(question)?, self.filled(answer)?);
        let wanted: Value =
            serde_json::from_str(&answer).with_context(|| format!("{answer} is no JSON value"))?;
        let started = Instant::now();
        loop {
            let found = self.facts().ask(&question)?;
            if found == wanted {
                writeln!(self.transcript, "fact: {question} = {answer}")?;
                return Ok(());
            }
            if !patient || started.elapsed() > PATIENCE {
                bail!("{question} is {found}, not {answer}");
            }
            pause();
        }
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]).current_dir(&self.folder).env_clear();
        let system = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{system}", self.bin.display()));
        command.env("HOME", &self.home).env("SSL_CERT_FILE", &self.house.authority);
        command.env("CHECKPOINT_DISABLE", "1");
        // For the server's own commands on its machine.
        command.env("FERROFORM_DATA_DIR", &self.house.data_dir);
        command.envs(self.house.database_url().map(|url| ("FERROFORM_DATABASE", url)));
        command
    }

    /// `text` in the version's words, with what stands between `@` replaced by what it names here.
    fn filled(&self, text: &str) -> Result<String> {
        let names = Regex::new("@([A-Z]+)(?::([A-Za-z0-9_-]+))?@").expect("a test runs it");
        let mut failure = None;
        let text = self.version.words(text);
        let filled = names.replace_all(&text, |captures: &Captures<'_>| {
            self.named(&captures[1], captures.get(2).map(|found| found.as_str())).unwrap_or_else(|error| {
                failure = Some(error);
                String::new()
            })
        });
        failure.map_or_else(|| Ok(filled.into_owned()), Err)
    }

    fn named(&self, name: &str, of: Option<&str>) -> Result<String> {
        Ok(match (name, of) {
            ("ORG", None) => self.organization.clone(),
            ("HOST", None) => self.house.host().to_owned(),
            ("URL", None) => self.house.url.clone(),
            ("TOKEN", None) => self.house.token.clone(),
            ("MIRROR", None) => self.house.mirror.display().to_string(),
            ("FERROFORM", None) => self.house.ferroform.display().to_string(),
            ("VERSION", None) => self.version.full.clone(),
            ("MINOR", None) => format!("1.{}", self.version.minor),
            ("TOOL", None) => {
                if self.version.tool == Tool::Terraform { "Terraform" } else { "OpenTofu" }.into()
            }
            // As the name of an environment variable may hold it.
            ("HOSTVAR", None) => self.house.host().replace('.', "_"),
            ("WS", Some(workspace)) => self.facts().workspace(workspace)?,
            ("RUN", Some(workspace)) => self.facts().run(workspace)?,
            _ => bail!("@{name}@ stands for nothing"),
        })
    }
}

/// The `terraform` block of a backend.
fn backend(kind: &str, host: &str, organization: &str, workspaces: &str) -> String {
    let block = if kind == "cloud" { "cloud" } else { "backend \"remote\"" };
    format!(
        "terraform {{\n  {block} {{\n    hostname     = \"{host}\"\n    organization = \"{organization}\"\n\
         \x20   workspaces {{\n      {workspaces}\n    }}\n  }}\n}}\n"
    )
}

/// Output whose words are in one line, without the bar that stands left of a diagnostic: where a line is broken depends on
/// lengths of names.
fn unwrapped(said: &str) -> String {
    let lines = said.lines().map(|line| line.trim_start_matches(['│', '╷', '╵', ' ']));
    let joined = lines.collect::<Vec<_>>().join(" ");
    // Both forms may be asked for.
    format!("{said}\n{}", joined.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a run goes on elsewhere, and its end is asked for as anybody would"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}

/// Where the transcripts of a run are kept.
pub(crate) fn transcripts(target: &Path) -> PathBuf {
    target.join("conformance/cli")
}
