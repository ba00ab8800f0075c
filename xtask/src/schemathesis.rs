//! `cargo xtask conformance schemathesis`: requests of every role, made from the server's OpenAPI document.
//!
//! The tester is Schemathesis, a Python program; what it is to do is in `conformance/schemathesis/run.py`. This starts the
//! server, and the database where it is to be PostgreSQL.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Parser;

use crate::build::{self, Profile};
use crate::postgres::{Durability, Postgres};
use crate::server::{Server, Tls};
use crate::{engines, places, steps};

/// Let every role make requests from the OpenAPI document.
#[derive(Parser)]
#[command(
    name = "cargo xtask conformance schemathesis",
    bin_name = "cargo xtask conformance schemathesis",
    no_binary_name = true
)]
struct Arguments {
    /// The tester's program: `schemathesis` of version 4.32, from a Python environment
    #[arg(long, value_name = "PATH", default_value = "schemathesis", env = "SCHEMATHESIS")]
    tester: PathBuf,
    /// The Python that sets up the organizations
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    /// How many requests all roles together make
    #[arg(long, default_value_t = 50_000)]
    requests: u32,
    /// The seed of what is invented
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// On PostgreSQL instead of SQLite
    #[arg(long)]
    postgres: bool,
    /// The server program [default: built from this workspace]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// Write the counts to docs/compat-openapi.md
    #[arg(long)]
    accept: bool,
}

/// Starts a server and lets the tester ask it.
///
/// # Errors
/// When the tester is missing, or finds something.
pub(crate) fn run(rest: &[OsString]) -> Result<()> {
    let arguments = Arguments::parse_from(rest);
    steps::read(Command::new(&arguments.tester).arg("--version")).context(
        "Schemathesis is missing: `python3 -m venv venv && venv/bin/pip install \'schemathesis==4.32.*\'`, then say \
         --tester venv/bin/schemathesis",
    )?;
    let program = match arguments.server {
        Some(path) => std::path::absolute(path).context("no current folder")?,
        None => build::binary("ferroform", Profile::Release)?,
    };
    let postgres = if arguments.postgres { Some(Postgres::start(Durability::ThrowAway)?) } else { None };
    let mut options: Vec<OsString> = vec!["--engine".into(), engines::any()?.into()];
    if let Some(postgres) = &postgres {
        options.extend(["--database".into(), postgres.url().into()]);
    }
    let server = Server::start(&program, Tls::Off, &options)?;
    let script = places::workspace().join("conformance/schemathesis/run.py");
    let mut command = Command::new(&arguments.python);
    command.arg(script).args(["--url", server.url()]).arg("--program").arg(&program);
    command.arg("--data-dir").arg(server.data_dir()).arg("--log").arg(server.log_file());
    command.arg("--tester").arg(&arguments.tester);
    command.args(["--requests", &arguments.requests.to_string(), "--seed", &arguments.seed.to_string()]);
    if let Some(postgres) = &postgres {
        command.args(["--database", postgres.url()]);
    }
    if arguments.accept {
        command.arg("--page").arg(places::workspace().join("docs/compat-openapi.md"));
    }
    steps::run(&mut command)
}
