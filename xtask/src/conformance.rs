//! `cargo xtask conformance SUITE`: builds a suite that drives somebody else's program against the server, and runs it.
//!
//! A suite is a package of its own in `conformance/`, so that xtask need not wait for what it depends on.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use crate::build::{self, Profile};
use crate::{schemathesis, steps};

/// Arguments of `cargo xtask conformance`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Which suite
    suite: Suite,
    /// Arguments of the suite: `cargo xtask conformance SUITE --help` tells them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Suite {
    /// Terraform's and OpenTofu's own command line
    Cli,
    /// The official Go SDK's own tests
    GoTfe,
    /// Requests of every role, made from the OpenAPI document by Schemathesis
    Schemathesis,
}

/// Builds and runs a suite.
///
/// # Errors
/// When it does not build, or finds something that does not hold.
pub fn run(arguments: &Arguments) -> Result<()> {
    let package = match arguments.suite {
        Suite::Cli => "conformance-cli",
        Suite::GoTfe => "conformance-go-tfe",
        Suite::Schemathesis => return schemathesis::run(&arguments.rest),
    };
    let program = build::package(package, Profile::Debug)?;
    steps::run(Command::new(program).args(&arguments.rest))
}
