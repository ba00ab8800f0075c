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
    view::{Event, View},
    world::World,
};
use client::{Client, ConfigurationVersion, NewConfigurationVersion, NewRun, NewWorkspace, Workspace};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};
use tokio::sync::watch;

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
    let directory = root_of(&args.directory, &workspace)?;
    let archive = tempfile::NamedTempFile::new().map_err(|e| Failure::Archive(e.to_string()))?;
    let bytes = pack(&directory, &archive, view).await?;
    let configuration = upload(args, view, client, &workspace, archive.path(), bytes).await?;
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

/// The folder to pack: the given one, or the one above it from which the workspace's working directory leads to it.
fn root_of(directory: &Path, workspace: &Workspace) -> Result<PathBuf, Failure> {
    let found = directory.canonicalize().ok().filter(|path| path.is_dir());
    let found = found.ok_or_else(|| Failure::NoDirectory(directory.to_owned()))?;
    let working: PathBuf = Path::new(&workspace.working_directory)
        .components()
        .filter(|c| matches!(c, std::path::Component::Normal(_)))
        .collect();
    if working.as_os_str().is_empty() || found.join(&working).is_dir() {
        return Ok(directory.to_owned());
    }
    if !found.ends_with(&working) {
        return Err(Failure::WorkingDirectory {
            directory: directory.to_owned(),
            workspace: workspace.name.clone(),
            working,
        });
    }
    let depth = working.components().count();
    Ok(found.ancestors().nth(depth).expect("a path is longer than its own end").to_owned())
}

async fn pack(directory: &Path, archive: &tempfile::NamedTempFile, view: &mut View) -> Result<u64, Failure> {
    let failed = |reason: String| Failure::Archive(reason);
    let out = archive.reopen().map_err(|e| failed(e.to_string()))?;
    let from = directory.to_owned();
    let packed = tokio::task::spawn_blocking(move || slug::pack(&from, std::io::BufWriter::new(out)))
        .await
        .map_err(|e| failed(e.to_string()))?
        .map_err(|e| failed(e.to_string()))?;
    let bytes = archive.as_file().metadata().map_err(|e| failed(e.to_string()))?.len();
    view.show(&Event::Packed { directory, files: packed.files, bytes });
    Ok(bytes)
}

async fn upload(
    args: &PushArgs,
    view: &mut View,
    client: &Client,
    workspace: &Workspace,
    archive: &Path,
    total: u64,
) -> Result<ConfigurationVersion, Failure> {
    let new = NewConfigurationVersion { auto_queue_runs: false, speculative: args.plan_only };
    let configuration =
        client.create_configuration_version(&workspace.id, new).await.map_err(Failure::Client)?;
    let url = configuration.upload_url.as_ref().ok_or_else(|| {
        Failure::Archive(format!("the server gave no address to upload {} to", configuration.id))
    })?;
    let (counter, mut sent) = watch::channel(0);
    let uploading = client.upload(url, archive, move |bytes| {
        counter.send_replace(bytes);
    });
    tokio::pin!(uploading);
    loop {
        tokio::select! {
            outcome = &mut uploading => break outcome.map_err(Failure::Client)?,
            Ok(()) = sent.changed() => {
                let sent = *sent.borrow_and_update();
                view.show(&Event::Uploading { sent, total });
            }
        }
    }
    let configuration = client.wait_until_uploaded(&configuration.id).await.map_err(Failure::Client)?;
    view.show(&Event::Uploaded { configuration_version: configuration.id.as_str(), bytes: total });
    Ok(configuration)
}
