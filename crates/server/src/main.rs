//! `ferroform`: reads the command line and hands over.

use clap::{CommandFactory, FromArgMatches, Parser};
use ferroform::{boot, commands, options};
use std::{ffi::OsString, io::Write, process::ExitCode};

/// A self-hosted, API-compatible Terraform Enterprise: server, runner and client in one program.
#[derive(Parser)]
#[command(name = "ferroform", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Run the server: API, scheduler and runner in one process
    #[command(disable_help_flag = true)]
    Serve {
        /// See `ferroform serve --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        arguments: Vec<OsString>,
    },
    /// Push a configuration through a run: upload, plan, confirm, apply
    Push(Box<cli::PushArgs>),
    /// Make, list and revoke API tokens, on the server's machine
    Token(commands::TokenArgs),
    /// Check what the server needs, and say what to do where something is missing
    Doctor(commands::DoctorArgs),
    /// Say which version this is
    Version {
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    runtime.block_on(run(cli.command))
}

async fn run(command: Command) -> ExitCode {
    let result = match command {
        Command::Serve { arguments } => {
            let arguments = std::iter::once("ferroform serve".into()).chain(arguments).collect();
            match options::parse(arguments) {
                Ok(options) => boot::serve(options).await,
                Err(error) => error.exit(),
            }
        }
        Command::Push(args) => return cli::push(*args).await,
        Command::Token(args) => commands::token(args).await,
        Command::Doctor(args) => match commands::doctor(args).await {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Version { json } => {
            commands::version(json);
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "ferroform: {error}");
    ExitCode::FAILURE
}
