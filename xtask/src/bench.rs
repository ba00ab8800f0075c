//! `cargo xtask bench`: builds the release program and the benchmark, and runs the one against the other.
//!
//! The benchmark itself is the package `bench` in `xtask/bench`, so that xtask need not wait for what it depends on.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use crate::build::{self, Profile};
use crate::{engines, steps};

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Arguments of the benchmark: `cargo xtask bench -- --help` tells them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// Builds and measures.
///
/// # Errors
/// When something does not build, or the benchmark fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    let ferroform = build::binary("ferroform", Profile::Release)?;
    let bench = build::binary("bench", Profile::Release)?;
    let mut command = Command::new(bench);
    command.arg("--ferroform").arg(ferroform).arg("--engine").arg(engines::any()?);
    steps::run(command.args(&arguments.rest))
}
