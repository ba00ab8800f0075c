//! `ferroform push`: pack a folder, upload it, run it, and follow the run to its end.
//!
//! 1. Find server and token ([`crate::connection`]), look the workspace up or create it.
//! 2. Pack the folder, create a configuration version that starts no run by itself, upload.
//! 3. Create the run and follow it (`follow`).

mod variables;

use crate::{
    args::PushArgs,
    connection::{self, Connection},
    desk,
    failure::Failure,
    follow::{Follow, Seat},
    run_summary::{Outcome, run_url},
    upload,
    view::{Event, View},
    world::World,
};
use client::{Client, ConfigurationVersion, NewRun, NewWorkspace, Workspace};
use std::process::ExitCode;

/// Runs the command in the process's own surroundings.
pub async fn push(args: PushArgs) -> ExitCode {
    let world = World::of_process(args.json);
    ExitCode::from(push_in(&args, world).await)
}

/// Runs the command in the given surroundings and returns its exit status.
pub async fn push_in(args: &PushArgs, world: World) -> u8 {
    let target = Target::find(args, &world);
    let (view, answers, interrupts) = world.seat(args.json);
    let place = target.as_ref().map(|target| format!("{}/{}", target.organization, target.workspace));
    let place = place.unwrap_or_default();
    let seat = Seat { view, answers, interrupts, auto_approve: args.auto_approve, owns_run: true, place };
    let mut push = Push { args, seat };
    let outcome = match target {
        Ok(target) => push.run(target).await,
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(outcome) => outcome.exit_code(args.detailed_exitcode),
        Err(failure) => {
            let (summary, detail) = failure.words();
            push.seat.view.show(&Event::Error { summary: &summary, detail: &detail });
            1
        }
    }
}

/// Where to push to.
struct Target {
    connection: Connection,
    organization: String,
    workspace: String,
}

impl Target {
    fn find(args: &PushArgs, world: &World) -> Result<Self, Failure> {
        Ok(Self {
            connection: connection::find(&args.place.server, world, &args.directory)?,
            organization: args.place.organization(world, &args.directory)?,
            workspace: args.place.workspace(world, &args.directory)?,
        })
    }
}

struct Push<'a> {
    args: &'a PushArgs,
    seat: Seat,
}

impl Push<'_> {
    async fn run(&mut self, target: Target) -> Result<Outcome, Failure> {
        let Target { connection, organization, workspace } = target;
        let token_source = connection.token_source;
        let client = Client::new(connection.endpoint)?;
        let prepared = {
            // Nothing has been started that would have to be stopped: Ctrl-C just ends this.
            let (args, view, interrupts) = (self.args, &mut self.seat.view, &mut self.seat.interrupts);
            tokio::select! {
                prepared = prepare(args, view, &client, (&organization, &workspace)) => Some(prepared),
                Some(()) = interrupts.recv() => None,
            }
        };
        let Some(prepared) = prepared else {
            self.seat.view.show(&Event::Notice { summary: "Interrupted", detail: "No run was created." });
            return Ok(Outcome::Left);
        };
        let (found, configuration) =
            prepared.map_err(|failure| failure.with_token(&client, &token_source))?;
        let new = self.new_run()?;
        let created = client.create_run(&found.id, Some(&configuration.id), &new).await;
        let run = created.map_err(Failure::Client)?;
        let url = run_url(client.base_url().as_str(), &organization, &workspace, run.id.as_str());
        self.seat.view.show(&Event::RunCreated { id: run.id.as_str(), url: &url });
        Follow::new(&mut self.seat, client, run, &url).finish().await
    }

    fn new_run(&self) -> Result<NewRun, Failure> {
        let args = self.args;
        Ok(NewRun {
            message: args.message.clone(),
            auto_apply: match (args.plan_only, args.auto_approve) {
                (true, _) => None,
                (false, true) => Some(true),
                // A person is asked even where the workspace applies by itself; without one the workspace decides.
                (false, false) => self.seat.answers.is_some().then_some(false),
            },
            plan_only: args.plan_only.then_some(true),
            is_destroy: args.destroy,
            refresh_only: args.refresh_only,
            target_addrs: args.target.clone(),
            replace_addrs: args.replace.clone(),
            variables: variables::parse(&args.var).map_err(Failure::Variable)?,
            exec: None,
        })
    }
}

/// Everything before the run's creation.
async fn prepare(
    args: &PushArgs,
    view: &mut View,
    client: &Client,
    place: (&str, &str),
) -> Result<(Workspace, ConfigurationVersion), Failure> {
    variables::parse(&args.var).map_err(Failure::Variable)?;
    let workspace = find_workspace(args, view, client, place).await?;
    if !workspace.permissions.can_queue_run {
        return Err(Failure::ReadOnly(workspace.name));
    }
    if workspace.execution_mode == "local" {
        return Err(Failure::LocalExecution(workspace.name));
    }
    let configuration =
        upload::configuration(view, client, &workspace, &args.directory, args.plan_only).await?;
    Ok((workspace, configuration))
}

async fn find_workspace(
    args: &PushArgs,
    view: &mut View,
    client: &Client,
    (organization, name): (&str, &str),
) -> Result<Workspace, Failure> {
    match desk::workspace(client, organization, name, "Use --create to create it.").await {
        Err(Failure::NoWorkspace { .. }) if args.create => {}
        other => return other,
    }
    let new = NewWorkspace { name: name.to_owned(), ..NewWorkspace::default() };
    let workspace = client.create_workspace(organization, &new).await?;
    view.show(&Event::WorkspaceCreated { id: workspace.id.as_str(), name });
    Ok(workspace)
}
