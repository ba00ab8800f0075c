//! `cargo xtask test`: everything that must hold before a change lands.

use std::{path::Path, process::Command};

use anyhow::Result;

use crate::postgres::{Durability, Postgres};
use crate::{build, engines, places, steps};

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Leave out what says nothing about behaviour: format, lints, licences
    #[arg(long)]
    fast: bool,
    /// Run only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Leave PostgreSQL out
    #[arg(long)]
    sqlite_only: bool,
}

/// Runs every step even after a failure, and ends with a line a step.
///
/// # Errors
/// When a step failed.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut steps = steps::Steps::default();
    if !arguments.fast {
        check_the_source(&mut steps);
    }
    let built = steps.step("build", "the program and all tests", || {
        steps::run(build::cargo().args(["test", "--workspace", "--no-run"]))
    });
    let engine =
        steps.step("engine", "a Terraform or OpenTofu to run the tests' configurations with", || {
            let engine = engines::any()?;
            println!("{}", engine.display());
            Ok(engine)
        });
    let postgres = if arguments.sqlite_only {
        steps.skip("postgresql", "because of --sqlite-only");
        None
    } else {
        steps.step("postgresql", "a throw-away server, for the second run of every database test", || {
            Postgres::start(Durability::ThrowAway)
        })
    };
    let provider = install_provider(&mut steps);
    match (built, &engine) {
        (Some(()), Some(engine)) => {
            let databases = if postgres.is_some() { "SQLite and PostgreSQL" } else { "SQLite alone" };
            steps.step("tests", format!("on {databases}"), || {
                run_tests(arguments.filter.as_deref(), engine, postgres.as_ref(), provider)
            });
        }
        _ => steps.skip("tests", "because a step that they need failed"),
    }
    steps.summary()
}

/// What can be said without running anything.
fn check_the_source(steps: &mut steps::Steps) {
    steps.step("format", "rustfmt finds nothing to change", || {
        steps::run(build::cargo().args(["fmt", "--all", "--check"]))
    });
    steps.step("lints", "clippy finds nothing, in tests too", || {
        steps::run(build::cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    });
    if places::program("cargo-deny").is_some() {
        steps.step("deny", "licences, advisories and bans of all dependencies", || {
            steps::run(build::cargo().args(["deny", "check"]))
        });
    } else {
        steps.skip("deny", "because cargo-deny is not installed (`cargo install cargo-deny --locked`)");
    }
}

/// Installs the OpenID provider that the tests of signing in speak to; whether they can.
fn install_provider(steps: &mut steps::Steps) -> bool {
    if places::program("node").is_none() || places::program("npm").is_none() {
        steps.skip(
            "provider",
            "because node and npm are not on PATH; signing in by an OpenID provider is NOT tested",
        );
        return false;
    }
    let installed = steps.step("provider", "the OpenID provider that the tests sign in by", || {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(places::workspace().join("conformance/oidc"));
        steps::run(&mut npm)
    });
    installed.is_some()
}

/// Runs cargo's tests in an environment that says nothing but what we say.
fn run_tests(filter: Option<&str>, engine: &Path, postgres: Option<&Postgres>, provider: bool) -> Result<()> {
    let mut cargo = build::cargo();
    cargo.args(["test", "--workspace", "--no-fail-fast"]).args(filter);
    places::forget_settings(&mut cargo);
    cargo.env("FERROFORM_TEST_ENGINE", engine);
    if provider {
        cargo.env("FERROFORM_TEST_OIDC", "1");
    }
    if let Some(postgres) = postgres {
        cargo.env("FERROFORM_TEST_POSTGRES", postgres.url());
    }
    steps::run(&mut cargo)
}
