//! `ferroform run`: the runs of a workspace or an organization: listed, shown, followed, decided.

mod act;
mod list;
mod show;
mod watch;

use crate::{
    desk::{self, Desk},
    failure::Failure,
    place::PlaceArgs,
    world::World,
};
use client::Client;
use std::process::ExitCode;

/// `ferroform run`
#[derive(clap::Args, Clone, Debug)]
pub struct RunArgs {
    #[command(subcommand)]
    command: RunCommand,

    /// Where the runs are.
    #[command(flatten)]
    place: PlaceArgs,

    /// Write JSON to standard output, for programs; nothing is asked
    #[arg(long, global = true, help_heading = "How")]
    json: bool,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum RunCommand {
    /// List runs, newest first: the workspace's, or without a workspace the organization's
    List(list::ListArgs),
    /// Show a run: status, what it waits for, what it would do, who did what
    Show(RunId),
    /// Follow a run live to its end, and ask where it needs a decision. Ctrl-C leaves it alone
    #[command(after_long_help = watch::AFTER_HELP)]
    Watch(watch::WatchArgs),
    /// Confirm a run that waits for it
    Apply(act::ActArgs),
    /// Throw away a run that waits
    Discard(act::ActArgs),
    /// Stop a run
    Cancel(act::CancelArgs),
}

/// A run by its id.
#[derive(clap::Args, Clone, Debug)]
struct RunId {
    /// The run's id, as run-…
    #[arg(value_name = "RUN", value_parser = parse_run)]
    run: String,
}

/// An id, or the address of a run's page.
fn parse_run(text: &str) -> Result<String, String> {
    let id = text.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if id.starts_with("run-") {
        Ok(id.to_owned())
    } else {
        Err("a run's id begins with run-; `ferroform run list` shows them".to_owned())
    }
}

/// Runs the command in the process's own surroundings.
pub async fn run(args: RunArgs) -> ExitCode {
    let world = World::of_process(args.json);
    ExitCode::from(run_in(&args, world).await)
}

/// Runs the command in the given surroundings and returns its exit status.
pub async fn run_in(args: &RunArgs, world: World) -> u8 {
    if let RunCommand::Watch(watch) = &args.command {
        return watch::watch(watch, &args.place.server, args.json, world).await;
    }
    desk::run(args, world, args.json, |args, desk| Box::pin(work(args, desk))).await
}

async fn work(args: &RunArgs, desk: &mut Desk) -> Result<u8, Failure> {
    let server = desk.connect(&args.place.server)?;
    let client = &server.client;
    let outcome = match &args.command {
        RunCommand::List(list) => list::list(list, &args.place, desk, client).await,
        RunCommand::Show(run) => show::show(&run.run, desk, client).await,
        RunCommand::Apply(act) => act::act(act::Action::Apply, act, desk, client).await,
        RunCommand::Discard(act) => act::act(act::Action::Discard, act, desk, client).await,
        RunCommand::Cancel(cancel) => act::cancel(cancel, desk, client).await,
        RunCommand::Watch(_) => unreachable!("it has surroundings of its own"),
    };
    server.explained(outcome).map(|()| 0)
}

/// Reads a run.
async fn find(client: &Client, id: &str) -> Result<client::Run, Failure> {
    match client.run_in_full(&id.into()).await {
        Err(error) if error.is_not_found() => Err(Failure::Plain(
            "Run not found",
            format!(
                "{} has no run {id}, or the token may not see it. `ferroform run list` shows those there are.",
                client.host()
            ),
        )),
        other => Ok(other?),
    }
}
