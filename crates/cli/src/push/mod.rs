//! `ferroform push`: pack a folder, upload it, run it, and follow the run to its end.
//!
//! 1. Find server and token ([`crate::connection`]), look the workspace up or create it.
//! 2. Pack the folder, create a configuration version that starts no run by itself, upload.
//! 3. Create the run and follow it (`follow`).

mod failure;
mod follow;
mod variables;

use crate::{
    args::PushArgs,
    connection::{self, Connection},
    run_summary::{Outcome, run_url},
    view::{Event, HumanView, JsonView, View},
    world::{Answers, World},
};
use client::{Client, ConfigurationVersion, NewConfigurationVersion, NewRun, NewWorkspace, Workspace};
use failure::Failure;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};
use tokio::sync::{mpsc, watch};

/// Runs the command in the process's own surroundings.
pub async fn push(args: PushArgs) -> ExitCode {
    let world = World::of_process(args.json);
    ExitCode::from(push_in(&args, world).await)
}

/// Runs the command in the given surroundings and returns its exit status.
pub async fn push_in(args: &PushArgs, world: World) -> u8 {
    let connection = connection::find(args, &world).map_err(Failure::Connection);
    let World { out, progress, style, answers, interrupts, .. } = world;
    let view = if args.json {
        View::Json(JsonView::new(out))
    } else {
        View::Human(HumanView::new(out, progress, style))
    };
    let mut push = Push { args, view, answers: answers.filter(|_| !args.json), interrupts };
    let outcome = match connection {
        Ok(connection) => push.run(connection).await,
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(outcome) => outcome.exit_code(args.detailed_exitcode),
        Err(failure) => {
            let (summary, detail) = failure.words();
            push.view.show(&Event::Error { summary: &summary, detail: &detail });
            1
        }
    }
}

struct Push<'a> {
    args: &'a PushArgs,
    view: View,
    answers: Option<Answers>,
    interrupts: mpsc::UnboundedReceiver<()>,
}

impl Push<'_> {
    async fn run(&mut self, connection: Connection) -> Result<Outcome, Failure> {
        let token_source = connection.token_source;
        let client = Client::new(connection.endpoint).map_err(Failure::Client)?;
        let prepared = {
            // Nothing has been started that would have to be stopped: Ctrl-C just ends this.
            let (args, view, interrupts) = (self.args, &mut self.view, &mut self.interrupts);
            tokio::select! {
                prepared = prepare(args, view, &client) => Some(prepared),
                Some(()) = interrupts.recv() => None,
            }
        };
        let Some(prepared) = prepared else {
            self.view.show(&Event::Notice { summary: "Interrupted", detail: "No run was created." });
            return Ok(Outcome::Left);
        };
        let (workspace, configuration) =
            prepared.map_err(|failure| failure.with_token(&client, &token_source))?;
        let new = self.new_run()?;
        let created = client.create_run(&workspace.id, Some(&configuration.id), &new).await;
        let run = created.map_err(Failure::Client)?;
        let url = run_url(
            client.base_url().as_str(),
            &self.args.organization,
            &self.args.workspace,
            run.id.as_str(),
        );
        self.view.show(&Event::RunCreated { id: run.id.as_str(), url: &url });
        follow::Follow::new(self, client, run, &url).finish().await
    }

    fn new_run(&self) -> Result<NewRun, Failure> {
        let args = self.args;
        Ok(NewRun {
            message: args.message.clone(),
            auto_apply: match (args.plan_only, args.auto_approve) {
                (true, _) => None,
                (false, true) => Some(true),
                // A person is asked even where the workspace applies by itself; without one the workspace decides.
                (false, false) => self.answers.is_some().then_some(false),
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
) -> Result<(Workspace, ConfigurationVersion), Failure> {
    variables::parse(&args.var).map_err(Failure::Variable)?;
    let workspace = find_workspace(args, view, client).await?;
    if !workspace.permissions.can_queue_run {
        return Err(Failure::ReadOnly(args.workspace.clone()));
    }
    if workspace.execution_mode == "local" {
        return Err(Failure::LocalExecution(args.workspace.clone()));
    }
    let directory = root_of(&args.directory, &workspace)?;
    let archive = tempfile::NamedTempFile::new().map_err(|e| Failure::Archive(e.to_string()))?;
    let bytes = pack(&directory, &archive, view).await?;
    let configuration = upload(args, view, client, &workspace, archive.path(), bytes).await?;
    Ok((workspace, configuration))
}

async fn find_workspace(args: &PushArgs, view: &mut View, client: &Client) -> Result<Workspace, Failure> {
    let (organization, name) = (&args.organization, &args.workspace);
    match client.workspace(organization, name).await {
        Ok(workspace) => return Ok(workspace),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(Failure::Client(error)),
    }
    if let Err(error) = client.organization(organization).await {
        // A team's token may see a workspace and not its organization; only absence says something here.
        if error.is_not_found() {
            return Err(Failure::NoOrganization { organization: organization.clone(), host: client.host() });
        }
        return Err(Failure::Client(error));
    }
    if !args.create {
        return Err(Failure::NoWorkspace { organization: organization.clone(), workspace: name.clone() });
    }
    let new = NewWorkspace { name: name.clone(), ..NewWorkspace::default() };
    let workspace = client.create_workspace(organization, &new).await.map_err(Failure::Client)?;
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
