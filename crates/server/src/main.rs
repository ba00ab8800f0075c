//! `ferroform`: reads the command line and hands over.

use clap::{CommandFactory, Parser};
use ferroform::{audit, boot, commands, doctor, options, user};
use std::{error::Error, io::Write, process::ExitCode};

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
    Serve(Box<options::ServeOptions>),
    /// Push a configuration through a run: upload, plan, confirm, apply
    Push(Box<cli::PushArgs>),
    /// Let the server carry out a command of the engine: import, state mv, console and others
    Exec(Box<cli::exec::ExecArgs>),
    /// Look at runs, follow them, decide them
    Run(Box<cli::run::RunArgs>),
    /// Look at workspaces, lock them, set their variables
    Workspace(Box<cli::workspace::WorkspaceArgs>),
    /// Look at states, compare them, bring an earlier one back
    State(Box<cli::state::StateArgs>),
    /// Sign in to a server, and keep its token where Terraform keeps its own
    Login(Box<cli::login::LoginArgs>),
    /// Forget the token for a server
    Logout(Box<cli::login::LogoutArgs>),
    /// Make, list and revoke API tokens, on the server's machine
    Token(commands::TokenArgs),
    /// Make, list and suspend users, and let them sign in, on the server's machine
    User(user::UserArgs),
    /// Check the audit trail, or write it out, on the server's machine
    Audit(audit::AuditArgs),
    /// Check what a server with these options needs, and say what to do where something is missing
    Doctor(Box<doctor::DoctorArgs>),
    /// Write completions for a shell
    Completions(cli::manual::CompletionsArgs),
    /// Write man pages
    Man(cli::manual::ManArgs),
    /// Say which version this is
    Version {
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    return_large_buffers();
    let cli: Cli = match options::parse(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let code = runtime.block_on(run(cli.command));
    // Not by dropping it: that waits for blocking work, such as a read of the terminal that nobody answers.
    runtime.shutdown_background();
    code
}

/// Buffers of 256 KiB and more (states, plans) go back to the system when they are dropped. By default glibc raises that
/// bound with use and keeps them: after a few states of 16 MB the server held twice the memory that it used.
#[expect(unsafe_code, reason = "mallopt has no safe form; no other thread exists yet")]
fn return_large_buffers() {
    // SAFETY: changes a parameter of the allocator, before any thread but this one is started.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 256 << 10);
    }
}

async fn run(command: Command) -> ExitCode {
    let result = match command {
        Command::Serve(options) => boot::serve(*options).await,
        Command::Push(args) => return cli::push(*args).await,
        Command::Exec(args) => return cli::exec::exec(*args).await,
        Command::Run(args) => return cli::run::run(*args).await,
        Command::Workspace(args) => return cli::workspace::workspace(*args).await,
        Command::State(args) => return cli::state::state(*args).await,
        Command::Login(args) => return cli::login::login(*args).await,
        Command::Logout(args) => return cli::login::logout(*args).await,
        Command::Completions(args) => return cli::manual::completions(&args, Cli::command()),
        Command::Man(args) => match cli::manual::man(&args, Cli::command()) {
            Ok(code) => return code,
            Err(error) => Err(error.into()),
        },
        Command::Token(args) => commands::token(args).await,
        Command::User(args) => user::user(args).await,
        Command::Audit(args) => audit::audit(args).await,
        Command::Doctor(args) => return doctor::doctor(*args).await,
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

fn failed(error: &dyn Error) -> ExitCode {
    // clap says `error:` and ends its lines itself.
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    let _ = writeln!(std::io::stderr().lock(), "ferroform: {text}");
    ExitCode::FAILURE
}
