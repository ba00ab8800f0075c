//! Drives the real command line of Terraform and OpenTofu through a table of scenarios, on each minor version that this
//! machine can supply and on both databases.
//!
//! `cargo xtask conformance cli` builds and runs this. A row of the matrix is a scenario and a version; it passes if it
//! passes on every database that was asked for. `expected.tsv` says which rows pass, and only grows: a run in which one of
//! these fails, fails; `--accept` adds those that are new and renders `docs/compat.md`. What this machine cannot run is
//! told as not run.
//!
//! Reading order: [`scenario`] (what a scenario file may say), [`versions`], [`house`] (the server), [`row`] (one scenario
//! on one version), [`terminal`], [`facts`], [`ledger`] (the expectations), [`table`].
#![expect(clippy::print_stdout, reason = "a terminal command; what it prints is what it is for")]

mod facts;
mod house;
mod ledger;
mod row;
mod scenario;
mod table;
mod terminal;
mod versions;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use xtask::build::{self, Profile};
use xtask::steps::{bold, dim, green, red, seconds};
use xtask::{places, steps};

use crate::house::{Database, House};
use crate::ledger::Ledger;
use crate::scenario::Scenario;
use crate::versions::{Absent, Choice, Version};

/// Drive Terraform's and OpenTofu's own command line through the scenarios.
#[derive(Parser)]
#[command(name = "cargo xtask conformance cli", bin_name = "cargo xtask conformance cli")]
struct Arguments {
    /// Only scenarios whose name contains one of these
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    only: Vec<String>,
    /// Only these columns, such as 1.6 or tofu-1.10 [default: all that this machine can supply]
    #[arg(long, value_name = "MINOR", value_delimiter = ',')]
    versions: Vec<String>,
    /// Only this program, for the server's runs too; `path` is the terraform on PATH
    #[arg(long, value_name = "FILE", conflicts_with = "versions")]
    engine_only: Option<PathBuf>,
    /// Only this database [default: both]
    #[arg(long, value_enum)]
    database: Option<Database>,
    /// The quick look: the terraform on PATH, and SQLite
    #[arg(long, conflicts_with_all = ["versions", "engine_only", "database"])]
    fast: bool,
    /// Add newly passing rows to the expectations, and render them; needs both databases
    #[arg(long)]
    accept: bool,
    /// Rows at the same time
    #[arg(long, value_name = "N", default_value_t = 8)]
    at_once: usize,
    /// The server program [default: built from this workspace]
    #[arg(long, value_name = "PATH")]
    ferroform: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => steps::fail(&error),
    }
}

/// Whether nothing that is expected failed.
fn run(arguments: &Arguments) -> Result<bool> {
    let started = Instant::now();
    ensure!(
        !arguments.accept || (arguments.database.is_none() && !arguments.fast),
        "--accept needs both databases"
    );
    let here = places::workspace().join("conformance/cli");
    let scenarios = scenarios(&here.join("scenarios"), &arguments.only)?;
    let choice = match &arguments.engine_only {
        Some(path) if path.as_os_str() == "path" => Choice::Path,
        Some(program) => Choice::Program(program.clone()),
        None if arguments.fast => Choice::Path,
        None if arguments.versions.is_empty() => Choice::All,
        None => Choice::Keys(arguments.versions.clone()),
    };
    let (versions, absent) = versions::find(&choice)?;
    let databases = match arguments.database {
        Some(database) => vec![database],
        None if arguments.fast => vec![Database::Sqlite],
        None => vec![Database::Sqlite, Database::Postgres],
    };
    let ferroform = match &arguments.ferroform {
        Some(path) => path.clone(),
        None => build::binary("ferroform", Profile::Debug)?,
    };
    let houses: Vec<House> = databases
        .iter()
        .map(|database| House::open(&ferroform, &versions, *database, house::RUNNERS))
        .collect::<Result<_>>()?;
    announce(&versions, &absent, &databases);

    let jobs: VecDeque<Job<'_>> = scenarios
        .iter()
        .flat_map(|scenario| versions.iter().map(move |version| (scenario, version)))
        .filter(|(scenario, version)| scenario.only.holds(version))
        .flat_map(|(scenario, version)| houses.iter().map(move |house| Job { scenario, version, house }))
        .collect();
    let rows = work(jobs, arguments.at_once)?;
    let mut ledger = Ledger::read(&here.join("expected.tsv"))?;
    let verdict = ledger.compare(&rows);
    for line in verdict.lines() {
        println!("{line}");
    }
    if arguments.accept {
        ledger.add(&rows);
        ledger.write()?;
        table::render(&ledger, &here.join("scenarios"), &places::workspace().join("docs/compat.md"))?;
    }
    for house in &houses {
        let words = house.last_words();
        for line in words.lines().filter(|line| line.contains("ERROR") || line.contains("panicked")) {
            println!("{} {}: {line}", red("the server said"), house.database.name());
        }
    }
    for (key, why) in &absent {
        println!("▷ {key}: not run, {why}");
    }
    let passed = rows.values().filter(|passed| **passed).count();
    println!("{passed} of {} rows passed in {}", rows.len(), seconds(started.elapsed()));
    Ok(verdict.holds())
}

/// One row on one database.
struct Job<'a> {
    scenario: &'a Scenario,
    version: &'a Version,
    house: &'a House,
}

/// Which rows passed: by scenario, and by the key of a version.
type Rows = BTreeMap<(String, String), bool>;

/// Does all jobs, some at the same time, and tells each as it ends.
fn work(jobs: VecDeque<Job<'_>>, at_once: usize) -> Result<Rows> {
    let transcripts = row::transcripts(&places::target());
    std::fs::create_dir_all(&transcripts)
        .with_context(|| format!("cannot make {}", transcripts.display()))?;
    let (jobs, rows) = (Mutex::new(jobs), Mutex::new(Rows::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_once.max(1) {
            scope.spawn(|| {
                loop {
                    let next = jobs.lock().expect("nobody panics with it").pop_front();
                    let Some(job) = next else { return };
                    let passed = job.run(&transcripts);
                    let key = (job.scenario.name.clone(), job.version.key());
                    *rows.lock().expect("nobody panics with it").entry(key).or_insert(true) &= passed;
                }
            });
        }
    });
    println!("{}", dim(&format!("transcripts: {}", transcripts.display())));
    Ok(rows.into_inner().expect("all workers are done"))
}

impl Job<'_> {
    /// In the shared house, or one that the scenario has for itself.
    fn row(&self) -> (String, Result<()>) {
        let Some(runners) = self.scenario.runners else {
            return row::run(self.house, self.scenario, self.version);
        };
        let versions = std::slice::from_ref(self.version);
        match House::open(&self.house.ferroform, versions, self.house.database, runners) {
            Ok(own) => row::run(&own, self.scenario, self.version),
            Err(error) => (String::new(), Err(error)),
        }
    }

    fn run(&self, transcripts: &Path) -> bool {
        let started = Instant::now();
        let (mut transcript, outcome) = self.row();
        let Self { scenario, version, house } = self;
        let name = format!("{} {} {}", scenario.name, version.key(), house.database.name());
        let took = dim(&seconds(started.elapsed()));
        match &outcome {
            Ok(()) => println!("{} {name} {took}", green("✔")),
            Err(error) => {
                println!("{} {name} {took}\n    {error:#}", red("✘"));
                transcript += &format!("FAILED {error:#}\n");
            }
        }
        let file = transcripts.join(format!("{}.txt", name.replace(' ', ".")));
        if let Err(error) = std::fs::write(&file, transcript) {
            println!("{} cannot write {}: {error}", red("✘"), file.display());
        }
        outcome.is_ok()
    }
}

/// The scenarios whose name contains one of `only`, in the order of their names.
fn scenarios(folder: &Path, only: &[String]) -> Result<Vec<Scenario>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("no scenarios in {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).context("a scenario's name is UTF-8")?;
        if only.is_empty() || only.iter().any(|part| name.contains(part.as_str())) {
            all.push(Scenario::parse(name, &std::fs::read_to_string(&path)?)?);
        }
    }
    if all.is_empty() {
        bail!("no scenario in {} has such a name", folder.display());
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

fn announce(versions: &[Version], absent: &[Absent], databases: &[Database]) {
    println!("{}", bold("Versions"));
    for version in versions {
        println!("  {version}{}", if version.on_path { dim(" on PATH") } else { String::new() });
    }
    for (key, why) in absent {
        println!("  {}", dim(&format!("{key}: not run, {why}")));
    }
    let databases: Vec<&str> = databases.iter().map(|database| database.name()).collect();
    println!("{} {}", bold("Databases"), databases.join(", "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_understood_and_says_what_it_shows() {
        let folder = places::workspace().join("conformance/cli/scenarios");
        for scenario in scenarios(&folder, &[]).unwrap() {
            assert!(!scenario.shows.is_empty(), "{} has no comment on top", scenario.name);
            assert!(!scenario.steps.is_empty(), "{} has no steps", scenario.name);
        }
    }

    #[test]
    fn the_rendered_table_says_what_the_expectations_say() {
        let here = places::workspace().join("conformance/cli");
        let ledger = Ledger::read(&here.join("expected.tsv")).unwrap();
        let page = std::fs::read_to_string(places::workspace().join("docs/compat.md")).unwrap();
        assert!(
            page.contains(&table::of(&ledger, &here.join("scenarios")).unwrap()),
            "docs/compat.md is not what expected.tsv says: run `cargo xtask conformance cli --accept`"
        );
    }
}
