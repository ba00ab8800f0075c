//! `ferroform state`: the versions of a workspace's state: listed, shown, compared, brought back.

mod compare;
mod rollback;
mod show;

use crate::{
    desk::{self, Desk},
    failure::Failure,
    place::PlaceArgs,
    world::World,
};
use client::{Client, StateVersion, Workspace};
use statefile::StateFile;
use std::{path::Path, process::ExitCode};

/// `ferroform state`
#[derive(clap::Args, Clone, Debug)]
pub struct StateArgs {
    #[command(subcommand)]
    command: StateCommand,

    /// Whose state.
    #[command(flatten)]
    place: PlaceArgs,

    /// Write one JSON document to standard output, for programs; nothing is asked
    #[arg(long, global = true, help_heading = "How")]
    json: bool,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum StateCommand {
    /// List the versions, newest first
    List(show::ListArgs),
    /// Show the outputs and resources of a version
    Show(show::ShowArgs),
    /// Compare two versions, resource by resource
    #[command(after_help = compare::AFTER_HELP)]
    Diff(compare::DiffArgs),
    /// Make a copy of an earlier version the current one
    Rollback(rollback::RollbackArgs),
}

/// Runs the command in the process's own surroundings.
pub async fn state(args: StateArgs) -> ExitCode {
    let world = World::of_process(args.json);
    ExitCode::from(state_in(&args, world).await)
}

/// Runs the command in the given surroundings and returns its exit status.
pub async fn state_in(args: &StateArgs, world: World) -> u8 {
    desk::run(args, world, args.json, |args, desk| Box::pin(work(args, desk))).await
}

async fn work(args: &StateArgs, desk: &mut Desk) -> Result<u8, Failure> {
    let server = desk.connect(&args.place.server)?;
    let outcome = act(args, desk, &server.client).await;
    server.explained(outcome)
}

async fn act(args: &StateArgs, desk: &mut Desk, client: &Client) -> Result<u8, Failure> {
    let here = Path::new(".");
    let organization = args.place.organization(&desk.world, here)?;
    let name = args.place.workspace(&desk.world, here)?;
    let workspace = desk::workspace(client, &organization, &name, desk::SEE_WORKSPACES).await?;
    let at = At { organization, workspace, client: client.clone() };
    match &args.command {
        StateCommand::List(list) => show::list(list, &at, desk).await.map(|()| 0),
        StateCommand::Show(show) => show::show(show, &at, desk).await.map(|()| 0),
        StateCommand::Diff(diff) => compare::diff(diff, &at, desk).await,
        StateCommand::Rollback(rollback) => rollback::rollback(rollback, &at, desk).await.map(|()| 0),
    }
}

/// Whose state it is.
struct At {
    organization: String,
    workspace: Workspace,
    client: Client,
}

/// How many versions are looked through for a serial.
const SEARCHED: usize = 1000;

impl At {
    /// `organization/workspace`
    fn name(&self) -> String {
        format!("{}/{}", self.organization, self.workspace.name)
    }

    /// The current version.
    async fn current(&self) -> Result<StateVersion, Failure> {
        self.client.current_state_version(&self.workspace.id).await?.ok_or_else(|| {
            let detail = format!(
                "{} has no state yet, or the token may not read it; the first apply makes one.",
                self.name()
            );
            Failure::Plain("No state", detail)
        })
    }

    /// A version by its id, its serial, or `current`.
    async fn version(&self, named: &str) -> Result<StateVersion, Failure> {
        if named == "current" {
            return self.current().await;
        }
        let missing = || {
            let detail = format!(
                "{} has no state version {named}, or the token may not read it. A version is named by its id (sv-…), \
                 its serial or `current`; `ferroform state list` shows those there are.",
                self.name()
            );
            Failure::Plain("State version not found", detail)
        };
        if let Ok(serial) = named.parse::<u64>() {
            let all = self.versions(SEARCHED).await?;
            let of_serial = |version: &&StateVersion| version.serial == serial && is_whole(version);
            return all.iter().find(of_serial).cloned().ok_or_else(missing);
        }
        // Only this workspace's: another's would be shown under a wrong name.
        let all = self.versions(SEARCHED).await?;
        if let Some(found) = all.into_iter().find(|version| version.id.as_str() == named) {
            return Ok(found);
        }
        Err(missing())
    }

    async fn versions(&self, most: usize) -> Result<Vec<StateVersion>, Failure> {
        let found = self.client.state_versions(&self.organization, &self.workspace.name, most).await;
        match found {
            Err(error) if error.is_not_found() => Err(Failure::Plain(
                "The token may not read states",
                format!("The token may see {}, but not its states.", self.name()),
            )),
            other => Ok(other?),
        }
    }

    /// The state itself.
    async fn file(&self, version: &StateVersion) -> Result<StateFile, Failure> {
        let state = self.client.download_state(version).await?;
        let json = self.client.download_json_state(version).await?;
        StateFile::read(&state, json.as_deref())
            .map_err(|why| Failure::Plain("The state cannot be shown", format!("{}: {why}", version.id)))
    }
}

/// Whether a version has its state; older servers do not say.
fn is_whole(version: &StateVersion) -> bool {
    matches!(version.status.as_str(), "finalized" | "")
}
