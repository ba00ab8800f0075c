//! `ferroform workspace`: listed, shown, locked; and their variables.

mod lock;
mod show;
mod vars;

use crate::{
    desk::{self, Desk},
    failure::Failure,
    place::PlaceArgs,
    world::World,
};
use client::{Client, Workspace};
use std::{path::Path, process::ExitCode};

/// `ferroform workspace`
#[derive(clap::Args, Clone, Debug)]
pub struct WorkspaceArgs {
    #[command(subcommand)]
    command: WorkspaceCommand,

    /// Which workspace.
    #[command(flatten)]
    place: PlaceArgs,

    /// Write one JSON document to standard output, for programs; nothing is asked
    #[arg(long, global = true, help_heading = "How")]
    json: bool,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum WorkspaceCommand {
    /// List the organization's workspaces
    List(show::ListArgs),
    /// Show a workspace: what it is like, who holds it, what runs
    Show(Name),
    /// Hold back runs and changes of the state
    Lock(lock::LockArgs),
    /// Give the lock back
    Unlock(lock::UnlockArgs),
    /// List variables, or set and unset them
    #[command(args_conflicts_with_subcommands = true)]
    Vars(vars::VarsArgs),
}

/// A workspace by its name.
#[derive(clap::Args, Clone, Debug)]
struct Name {
    /// The workspace's name, instead of --workspace
    #[arg(value_name = "WORKSPACE")]
    name: Option<String>,
}

/// Runs the command in the process's own surroundings.
pub async fn workspace(args: WorkspaceArgs) -> ExitCode {
    let world = World::of_process(args.json);
    ExitCode::from(workspace_in(&args, world).await)
}

/// Runs the command in the given surroundings and returns its exit status.
pub async fn workspace_in(args: &WorkspaceArgs, world: World) -> u8 {
    desk::run(args, world, args.json, |args, desk| Box::pin(work(args, desk))).await
}

async fn work(args: &WorkspaceArgs, desk: &mut Desk) -> Result<u8, Failure> {
    let server = desk.connect(&args.place.server)?;
    let client = &server.client;
    let outcome = match &args.command {
        WorkspaceCommand::List(list) => show::list(list, &args.place, desk, client).await,
        WorkspaceCommand::Show(name) => show::show(name, &args.place, desk, client).await,
        WorkspaceCommand::Lock(lock) => lock::lock(lock, &args.place, desk, client).await,
        WorkspaceCommand::Unlock(unlock) => lock::unlock(unlock, &args.place, desk, client).await,
        WorkspaceCommand::Vars(vars) => vars::vars(vars, &args.place, desk, client).await,
    };
    server.explained(outcome).map(|()| 0)
}

/// Organization and workspace that are meant.
fn named(name: Option<&str>, place: &PlaceArgs, desk: &Desk) -> Result<(String, String), Failure> {
    let here = Path::new(".");
    let organization = place.organization(&desk.world, here)?;
    let workspace = match name {
        Some(name) => name.to_owned(),
        None => place.workspace(&desk.world, here)?,
    };
    Ok((organization, workspace))
}

/// Reads the workspace that is meant.
async fn find(
    name: Option<&str>,
    place: &PlaceArgs,
    desk: &mut Desk,
    client: &Client,
) -> Result<Workspace, Failure> {
    let (organization, name) = named(name, place, desk)?;
    desk::workspace(client, &organization, &name, desk::SEE_WORKSPACES).await
}
