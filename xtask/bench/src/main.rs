//! Measures the release program against bare baselines, each pair within one run on the same machine.
//!
//! Nearly every number that the project promises is a ratio: what Ferroform takes, divided by what the same work takes
//! without it, measured in turns so that both meet the same weather. `cargo xtask bench` builds and starts this
//! program; it prints a table and writes the same as JSON. One server, without TLS, lives through all groups.
//!
//! Reading order: [`measure`] (numbers and bars), [`bare`] and [`handler`] (the baselines), [`through`] and [`load`]
//! (the same work through the API), then a file a group of scenarios in [`groups`].
#![expect(clippy::print_stdout, reason = "a terminal command; what it prints is what it is for")]

mod bare;
mod groups;
mod handler;
mod load;
mod measure;
mod through;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use xtask::postgres::{Durability, Postgres};
use xtask::server::{Server, Tls};
use xtask::{places, steps};

use crate::groups::{Group, process};
use crate::measure::Report;
use crate::through::Through;

/// Measure Ferroform against bare baselines.
#[derive(Parser)]
struct Arguments {
    /// The program to measure (a release build)
    #[arg(long, value_name = "PATH")]
    ferroform: PathBuf,
    /// The Terraform or OpenTofu that both sides run
    #[arg(long, value_name = "PATH")]
    engine: PathBuf,
    /// Only these groups
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Group>,
    /// Turns of each pair of short things; medians are told
    #[arg(long, default_value_t = 20)]
    turns: usize,
    /// Runs at once where there are many, and the server's `--runners`
    #[arg(long, default_value_t = 2)]
    at_once: usize,
    /// The server's database
    #[arg(long, value_enum, default_value_t = Database::Sqlite)]
    database: Database,
    /// Where to write the numbers [default: bench.json in cargo's target directory]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Database {
    Sqlite,
    Postgres,
}

/// What every scenario needs: how it was asked to measure, and the one server that all share.
struct Setting {
    ferroform: PathBuf,
    engine: PathBuf,
    turns: usize,
    at_once: usize,
    server: Server,
    /// PostgreSQL's URL, where that is the server's database.
    database: Option<String>,
    /// Where the server tells its counters.
    metrics: String,
    through: Through,
}

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == handler::ARGUMENT) {
        return handler::serve().map_or_else(|error| steps::fail(&error), |()| ExitCode::SUCCESS);
    }
    match measure(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => steps::fail(&error),
    }
}

/// Runs the chosen groups; whether every bar was met.
fn measure(arguments: Arguments) -> Result<bool> {
    let mut report = Report::default();
    process::cold_starts(&arguments.ferroform, &arguments.engine, &mut report)?;
    let postgres = match arguments.database {
        Database::Sqlite => None,
        Database::Postgres => Some(Postgres::start(Durability::Durable)?),
    };
    let setting = setting(&arguments, postgres.as_ref())?;
    let chosen = if arguments.only.is_empty() { Group::value_variants() } else { &arguments.only };
    for group in chosen {
        println!("{}", steps::dim(&format!("measuring {group:?}…")));
        let outcome = group.measure(&setting, &mut report);
        outcome.with_context(|| {
            format!("the group {group:?} failed; the server said:\n{}", setting.server.log_tail())
        })?;
    }
    process::peak(&setting, &mut report)?;
    println!("\n{}", report.table());
    let json = arguments.json.unwrap_or_else(|| places::target().join("bench.json"));
    std::fs::write(&json, report.json()).with_context(|| format!("cannot write {}", json.display()))?;
    println!("{}", steps::dim(&format!("the same as JSON: {}", json.display())));
    Ok(report.all_met())
}

fn setting(arguments: &Arguments, postgres: Option<&Postgres>) -> Result<Setting> {
    let mut options = engine_option(&arguments.engine);
    options.extend(["--runners".into(), arguments.at_once.to_string().into()]);
    let metrics = format!("127.0.0.1:{}", places::free_port()?);
    options.extend(["--metrics-listen".into(), metrics.clone().into()]);
    if let Some(postgres) = postgres {
        options.extend(["--database".into(), postgres.url().into()]);
    }
    let server = Server::start(&arguments.ferroform, Tls::Off, &options)?;
    let through = Through::new(&server)?;
    let Arguments { ferroform, engine, turns, at_once, .. } = arguments;
    Ok(Setting {
        ferroform: ferroform.clone(),
        engine: engine.clone(),
        turns: *turns,
        at_once: *at_once,
        server,
        database: postgres.map(|postgres| postgres.url().to_owned()),
        metrics,
        through,
    })
}

fn engine_option(engine: &Path) -> Vec<OsString> {
    vec!["--engine".into(), engine.into()]
}
