//! Runs the official Go SDK's own tests against the server: each in a process of its own against a server of its own, in
//! the four modes that the suite knows.
//!
//! `cargo xtask conformance go-tfe` builds and runs this. The tests are compiled from the version that `go.mod` pins and
//! are not part of this repository. `expected.tsv` says which of them pass, in which mode and with how many parts, and only
//! grows: a run in which one of these is lost fails; `--accept` adds those that are new and renders `docs/compat-go-tfe.md`.
//! A test that is skipped has not passed. `tests.tsv` says which can pass at all, and why others cannot; `reasons.tsv` why
//! those that could do not yet; `operations.tsv` which operations of the API are documented, and which are answered.
//!
//! Reading order: [`mode`], [`suite`], [`trial`] (one test), [`transcript`] (what it said), [`ledger`] (the expectations),
//! [`catalogue`] and [`operations`] (the facts), [`page`].
#![expect(clippy::print_stdout, reason = "a terminal command; what it prints is what it is for")]

mod catalogue;
mod ledger;
mod mode;
mod operations;
mod page;
mod receiver;
mod suite;
mod transcript;
mod trial;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use regex::Regex;
use xtask::build::{self, Profile};
use xtask::steps::{bold, dim, green, red, seconds};
use xtask::{engines, places, steps};

use crate::catalogue::Test;
use crate::ledger::{Ledger, News};
use crate::mode::Mode;
use crate::operations::Operations;
use crate::suite::Suite;
use crate::transcript::{Transcript, Verdict};
use crate::trial::{Bench, Trial};

/// Of `--fast`: some of each area, none that takes long.
const FAST: &str = "^Test(\
    AdminOrganizations_Read|AdminSettings_General_Update|AdminTerraformVersions_List|AdminUsers_List|\
    AppliesRead_RunDependent|CommentsList_RunDependent|ConfigurationVersionsUpload|LogReader_withMarkersSingle|\
    OrganizationMembershipsCreate|OrganizationTagsList|OrganizationTokensCreate|OrganizationsRead|OrganizationsUpdate|\
    ProjectsList|ProjectsRead|ReservedTagKeysUpdate|RunTriggerList|RunsCreate_RunDependent|SSHKeysRead|\
    StateVersionsUpload|TeamAccessesUpdate|TeamMembersAddByUsername|TeamProjectAccessesUpdate|TeamTokensRead|TeamsUpdate|\
    UsersReadCurrent|VariableSetsUpdate|VariableSetVariablesList|VariablesUpdate|WorkspacesCreate|WorkspacesLock|\
    WorkspacesReadByID|Workspaces_AddRemoteStateConsumers|Workspaces_AddTags\
    )$";

/// Run the Go SDK's own tests.
#[derive(Parser)]
#[command(name = "cargo xtask conformance go-tfe", bin_name = "cargo xtask conformance go-tfe")]
struct Arguments {
    /// Only these modes [default: all four]
    #[arg(long, value_enum, value_delimiter = ',')]
    mode: Vec<Mode>,
    /// Only tests whose name matches
    #[arg(long, value_name = "REGEX")]
    only: Option<Regex>,
    /// The quick look: some expected tests of each area, without beta
    #[arg(long, conflicts_with_all = ["mode", "only"])]
    fast: bool,
    /// Only tests that are expected to pass
    #[arg(long)]
    expected: bool,
    /// Add newly passing tests and newly answered operations to the expectations, and render them
    #[arg(long)]
    accept: bool,
    /// Tests at the same time
    #[arg(long, value_name = "N", default_value_t = 3)]
    at_once: usize,
    /// Seconds after which a test is killed
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    patience: u64,
    /// Write what each test did to results-MODE.tsv in this folder
    #[arg(long, value_name = "FOLDER")]
    results: Option<PathBuf>,
    /// The server program [default: built from this workspace]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
}

/// What ended, by mode and test.
type Trials = BTreeMap<(Mode, String), Trial>;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => steps::fail(&error),
    }
}

/// Whether nothing that is expected was lost.
fn run(arguments: &Arguments) -> Result<bool> {
    let started = Instant::now();
    let here = places::workspace().join("conformance/go-tfe");
    let tests = catalogue::read(&here.join("tests.tsv"))?;
    let mut ledger = Ledger::read(&here.join("expected.tsv"))?;
    let mut operations = Operations::read(&here.join("operations.tsv"))?;
    let bench = bench(arguments, &here)?;
    let known = bench.suite.tests()?;
    for test in &known {
        ensure!(tests.iter().any(|row| row.name == *test), "tests.tsv lacks {test}");
    }
    let answered = bench.server()?.api()?.get("/api/v2/openapi.json")?;
    let lost_operations = operations.learn(&answered)?;

    let began = Instant::now();
    let trials = work(&bench, &ledger, jobs(arguments, &tests, &ledger)?, arguments.at_once)?;
    bench.clean();
    println!("\n{} trials in {}", trials.len(), dim(&seconds(began.elapsed())));
    if let Some(folder) = &arguments.results {
        write_results(&trials, folder)?;
    }
    let holds = report(&trials, &tests, &ledger) & lost_operations.is_empty();
    for operation in &lost_operations {
        println!("{}", red(&format!("lost: {operation} is no longer answered")));
    }
    if arguments.accept {
        for ((mode, test), trial) in &trials {
            ledger.add(test, *mode, &trial.transcript);
        }
        ledger.write()?;
        operations.write()?;
        let text = page::of(&tests, &ledger, &operations, &page::reasons(&here.join("reasons.tsv"))?);
        let file = places::workspace().join("docs/compat-go-tfe.md");
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    println!("what each test said: {}", bench.transcripts.display());
    println!("all in {}", seconds(started.elapsed()));
    Ok(holds)
}

fn bench(arguments: &Arguments, here: &Path) -> Result<Bench> {
    let ferroform = match &arguments.server {
        Some(path) => std::path::absolute(path).context("no current folder")?,
        None => build::binary("ferroform", Profile::Debug)?,
    };
    let transcripts = places::target().join("conformance/go-tfe");
    std::fs::create_dir_all(&transcripts)
        .with_context(|| format!("cannot make {}", transcripts.display()))?;
    Ok(Bench {
        suite: Suite::compile(here)?,
        ferroform,
        mirror: engines::null_provider_mirror()?,
        receiver: receiver::start()?,
        patience: Duration::from_secs(arguments.patience),
        transcripts,
        left: Mutex::default(),
    })
}

/// The trials that were asked for.
fn jobs<'a>(arguments: &Arguments, tests: &'a [Test], ledger: &Ledger) -> Result<VecDeque<(&'a Test, Mode)>> {
    let fast = Regex::new(FAST).expect("a literal pattern");
    let only = if arguments.fast { Some(&fast) } else { arguments.only.as_ref() };
    let modes = match arguments.mode.as_slice() {
        [] if arguments.fast => &[Mode::A, Mode::B],
        [] => Mode::ALL.as_slice(),
        modes => modes,
    };
    let expected = arguments.expected || (arguments.fast && !arguments.accept);
    let jobs: VecDeque<_> = modes
        .iter()
        .flat_map(|mode| tests.iter().map(|test| (test, *mode)))
        .filter(|(test, mode)| test.runs(*mode) && only.is_none_or(|only| only.is_match(&test.name)))
        .filter(|(test, mode)| !expected || ledger.parts(&test.name, *mode).is_some())
        .collect();
    ensure!(arguments.accept || !jobs.is_empty(), "no test is called so");
    Ok(jobs)
}

/// Works through `jobs`, `at_once` at a time.
///
/// # Errors
/// When one could not be tried.
fn work(bench: &Bench, ledger: &Ledger, jobs: VecDeque<(&Test, Mode)>, at_once: usize) -> Result<Trials> {
    let (queue, trials) = (Mutex::new(jobs), Mutex::new(Trials::new()));
    let one = || -> Result<()> {
        loop {
            let job = queue.lock().expect("no worker panics").pop_front();
            let Some((test, mode)) = job else { return Ok(()) };
            let trial = match attempt(bench, ledger, &test.name, mode) {
                Ok(trial) => trial,
                Err(error) => {
                    // The others need not go on for nothing.
                    queue.lock().expect("no worker panics").clear();
                    return Err(error.context(format!("{} could not be tried", test.name)));
                }
            };
            tell(test, mode, &trial);
            trials.lock().expect("no worker panics").insert((mode, test.name.clone()), trial);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once.max(1)).map(|_| scope.spawn(one)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
    })?;
    Ok(trials.into_inner().expect("no worker panics"))
}

/// Tries a test, and once more when it is lost: some of the suite's tests give the server half a second, and a machine
/// may be busy. What passes only then is told.
fn attempt(bench: &Bench, ledger: &Ledger, test: &str, mode: Mode) -> Result<Trial> {
    let first = bench.run(test, mode)?;
    let News::Lost(why) = ledger.compare(test, mode, &first.transcript) else { return Ok(first) };
    let second = bench.run(test, mode)?;
    if !matches!(ledger.compare(test, mode, &second.transcript), News::Lost(_)) {
        println!("{}", red(&format!("shaky: {mode} {test} passes when it is tried again; at first {why}")));
    }
    Ok(second)
}

fn tell(test: &Test, mode: Mode, Trial { transcript, took }: &Trial) {
    let mark = match transcript.verdict {
        Verdict::Pass => green("✔"),
        Verdict::Skip => "▷".to_owned(),
        Verdict::Fail => red("✘"),
    };
    let why = if transcript.verdict == Verdict::Fail { transcript.message.as_str() } else { "" };
    println!("{mark} {mode} {} {} {why}", test.name, dim(&seconds(*took)));
}

/// Prints the sums of each mode, and what is lost or new; gives whether nothing is lost.
fn report(trials: &Trials, tests: &[Test], ledger: &Ledger) -> bool {
    println!("\n{}", bold("Summary"));
    for mode in Mode::ALL {
        let ended = |verdict| {
            let of_mode = trials.iter().filter(|((of, _), _)| *of == mode);
            of_mode.filter(|(_, trial)| trial.transcript.verdict == verdict).count()
        };
        let [pass, fail, skip] = [Verdict::Pass, Verdict::Fail, Verdict::Skip].map(ended);
        if pass + fail + skip > 0 {
            let possible = tests.iter().filter(|test| test.possible(mode)).count();
            println!(
                "  {mode:<7} {pass} pass, {fail} fail, {skip} are skipped; {possible} of the suite can pass"
            );
        }
    }
    let mut holds = true;
    let mut gained = 0;
    for ((mode, test), trial) in trials {
        match ledger.compare(test, *mode, &trial.transcript) {
            News::Nothing => {}
            News::Gained => gained += 1,
            News::Lost(why) => {
                holds = false;
                println!("{}", red(&format!("lost: {mode} {test}: {why}")));
            }
        }
    }
    if gained > 0 {
        println!("{gained} tests pass that are not expected to, or with more parts: --accept adds them");
    }
    holds
}

/// One table a mode: test, verdict and why, for each test and each of its parts.
fn write_results(trials: &Trials, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut tables: BTreeMap<Mode, String> = BTreeMap::new();
    for ((mode, test), Trial { transcript: Transcript { verdict, message, parts }, took }) in trials {
        let table = tables.entry(*mode).or_insert_with(|| "test\tverdict\tseconds\tmessage\n".to_owned());
        let plain = |text: &str| text.replace(['\t', '\n'], " ");
        table.push_str(&format!("{test}\t{verdict}\t{:.1}\t{}\n", took.as_secs_f64(), plain(message)));
        for (part, (verdict, message)) in parts {
            table.push_str(&format!("{part}\t{verdict}\t\t{}\n", plain(message)));
        }
    }
    for (mode, table) in tables {
        let file = folder.join(format!("results-{mode}.tsv"));
        std::fs::write(&file, table).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
