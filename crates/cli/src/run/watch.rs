//! `ferroform run watch`: what `push` shows of its own run, of any run.

use super::RunId;
use crate::{
    connection::{self, Connection},
    failure::Failure,
    follow::{Follow, Seat},
    place::ServerArgs,
    run_summary::{Outcome, run_url},
    view::Event,
    world::World,
};
use client::Client;
use std::path::Path;

#[derive(clap::Args, Clone, Debug)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    run: RunId,

    /// Exit with 2 instead of 0 when there are changes that were not applied
    #[arg(long, help_heading = "How")]
    detailed_exitcode: bool,
}

pub(super) const AFTER_HELP: &str = "\
With --json each line is an object with a \"type\", as of `ferroform push`; the last is finished or error.

Exit status: 0 nothing to change, applied, or (without --detailed-exitcode) changes left unapplied; 1 failed, canceled \
or discarded; 2 changes left unapplied, with --detailed-exitcode; 130 left by Ctrl-C while the run goes on.";

pub(super) async fn watch(args: &WatchArgs, server: &ServerArgs, json: bool, world: World) -> u8 {
    let connection = connection::find(server, &world, Path::new("."));
    let (view, answers, interrupts) = world.seat(json);
    let place = String::new();
    let mut seat = Seat { view, answers, interrupts, auto_approve: false, owns_run: false, place };
    let outcome = match connection {
        Ok(connection) => follow(&args.run.run, connection, &mut seat).await,
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(outcome) => outcome.exit_code(args.detailed_exitcode),
        Err(failure) => {
            let (summary, detail) = failure.words();
            seat.view.show(&Event::Error { summary: &summary, detail: &detail });
            1
        }
    }
}

async fn follow(id: &str, connection: Connection, seat: &mut Seat) -> Result<Outcome, Failure> {
    let Connection { endpoint, token_source } = connection;
    let client = Client::new(endpoint)?;
    let found = tokio::select! {
        found = super::find(&client, id) => Some(found),
        Some(()) = seat.interrupts.recv() => None,
    };
    let Some(found) = found else { return Ok(Outcome::Left) };
    let run = found.map_err(|failure| failure.with_token(&client, &token_source))?;
    let workspace = run.workspace.as_ref();
    let name = workspace.map_or("", |workspace| workspace.name.as_str());
    let organization = workspace.and_then(|workspace| workspace.organization.as_deref()).unwrap_or_default();
    seat.place = format!("{organization}/{name}");
    let url = run_url(client.base_url().as_str(), organization, name, id);
    Follow::new(seat, client, run, &url).finish().await
}
