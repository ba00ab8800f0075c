//! `ferroform exec`: a command of the engine, carried out by the server as a run.
//!
//! 1. Find server, organization and workspace; read what the command is to read; with `--configuration`, upload a folder.
//! 2. Create a run with the command line, which the server takes apart and allows or refuses.
//! 3. Follow it ([`crate::follow`]); fetch the file that it made, if it made one.

use crate::{
    connection::{self, Connection},
    desk,
    failure::Failure,
    follow::{Follow, Seat},
    place::PlaceArgs,
    run_summary::{Outcome, run_url},
    upload,
    view::Event,
    world::World,
};
use client::{Client, ConfigurationVersion, NewExec, NewRun, Workspace};
use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What a command reads, at most; the server takes no more.
const INPUT_BYTES: u64 = 1 << 20;

/// `ferroform exec`
#[derive(clap::Args, Clone, Debug)]
#[command(after_long_help = AFTER_HELP)]
pub struct ExecArgs {
    /// The engine's command, its options and operands, such as: import ADDRESS ID
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<String>,

    /// Where.
    #[command(flatten)]
    pub place: PlaceArgs,

    /// Work on the configuration in this folder instead of the workspace's latest. It is uploaded for this run alone
    #[arg(long, value_name = "FOLDER", help_heading = "What to run")]
    pub configuration: Option<PathBuf>,

    /// Why this run, for the people who see it [default: the command line]
    #[arg(long, short, value_name = "TEXT", help_heading = "What to run")]
    pub message: Option<String>,

    /// Write the file that the command makes over one that is there
    #[arg(long, help_heading = "How")]
    pub overwrite: bool,

    /// Write one JSON object a line to standard output, for programs; nothing is asked
    #[arg(long, help_heading = "How")]
    pub json: bool,
}

const AFTER_HELP: &str = "\
The command runs on the server, with the workspace's variables, engine and lock, as a run that everybody can see. Its \
output goes to standard output; what is said about the run, to standard error.

  ferroform exec -- import aws_instance.web i-0abc
  ferroform exec -- state mv aws_instance.a aws_instance.b
  ferroform exec --configuration . -- plan -generate-config-out=made.tf
  echo 'length(var.zones)' | ferroform exec -- console

Allowed are import, state list|show|mv|rm|replace-provider, taint, untaint, console, query, output, show, providers, \
providers schema, graph, validate, and plan with -generate-config-out. The server refuses other commands and options, and says why. \
The command line is shown to whoever sees the run: it must hold no secret. Before what begins with a dash, put --.

console reads its expressions from standard input, to its end.

Reading needs the right to read states; import, taint, untaint and what changes the state also the right to apply.

Exit status: 0 done; 1 the command failed, was refused or was canceled; 130 left by Ctrl-C while the run goes on.";

/// Runs the command in the process's own surroundings.
pub async fn exec(args: ExecArgs) -> ExitCode {
    let world = World::of_process(args.json);
    ExitCode::from(exec_in(&args, world).await)
}

/// Runs the command in the given surroundings and returns its exit status.
pub async fn exec_in(args: &ExecArgs, mut world: World) -> u8 {
    let target = target(args, &world);
    let input = input(args, &mut world);
    let (view, answers, interrupts) = world.output_seat(args.json);
    let place = String::new();
    let mut seat = Seat { view, answers, interrupts, auto_approve: false, owns_run: true, place };
    let outcome = match (target, input) {
        (Ok(target), Ok(input)) => work(args, target, input, &mut seat).await,
        (Err(failure), _) | (_, Err(failure)) => Err(failure),
    };
    match outcome {
        Ok(outcome) => outcome.exit_code(false),
        Err(failure) => {
            let (summary, detail) = failure.words();
            seat.view.show(&Event::Error { summary: &summary, detail: &detail });
            1
        }
    }
}

/// The server, the organization's name and the workspace's.
type Target = (Connection, String, String);

fn target(args: &ExecArgs, world: &World) -> Result<Target, Failure> {
    let folder = args.configuration.as_deref().unwrap_or(Path::new("."));
    if let Some(file) = file_of(&args.command).filter(|file| !args.overwrite && file.exists()) {
        return Err(exists(&file));
    }
    let connection = connection::find(&args.place.server, world, folder)?;
    Ok((connection, args.place.organization(world, folder)?, args.place.workspace(world, folder)?))
}

/// The file that the command line names to be made. Looked for here only to speak up before anything has happened.
fn file_of(command: &[String]) -> Option<PathBuf> {
    let mut words = command.iter();
    words.find_map(|word| {
        let option = word.trim_start_matches('-');
        option.strip_prefix("generate-config-out=").filter(|_| option.len() < word.len()).map(PathBuf::from)
    })
}

fn exists(file: &Path) -> Failure {
    let detail = format!("{} is there. Move it away, or say --overwrite.", file.display());
    Failure::Plain("The file exists", detail)
}

/// What the command is to read. Only `console` reads.
fn input(args: &ExecArgs, world: &mut World) -> Result<String, Failure> {
    if args.command.first().map(String::as_str) != Some("console") {
        return Ok(String::new());
    }
    if world.answers.is_some() {
        let _ = writeln!(world.err, "Expressions, one a line; Ctrl-D ends them:");
    }
    let mut text = String::new();
    let read = world.input.as_mut().take(INPUT_BYTES + 1).read_to_string(&mut text);
    let problem = match read {
        Err(error) => format!("Standard input cannot be read: {error}."),
        Ok(bytes) if bytes as u64 > INPUT_BYTES => {
            format!("Standard input is longer than {} KiB.", INPUT_BYTES >> 10)
        }
        Ok(_) => return Ok(text),
    };
    Err(Failure::Plain("No expressions to evaluate", problem))
}

async fn work(
    args: &ExecArgs,
    (connection, organization, name): Target,
    input: String,
    seat: &mut Seat,
) -> Result<Outcome, Failure> {
    let token_source = connection.token_source;
    let client = Client::new(connection.endpoint)?;
    let made = {
        // Until the run exists there is nothing to stop: Ctrl-C just ends this.
        let (view, interrupts) = (&mut seat.view, &mut seat.interrupts);
        let make = async {
            let advice = desk::SEE_WORKSPACES;
            let workspace = desk::workspace(&client, &organization, &name, advice).await?;
            let configuration = match &args.configuration {
                Some(folder) => Some(upload::configuration(view, &client, &workspace, folder, true).await?),
                None => None,
            };
            create(args, &client, &workspace, configuration.as_ref(), input).await
        };
        tokio::select! {
            made = make => Some(made),
            Some(()) = interrupts.recv() => None,
        }
    };
    let Some(made) = made else { return Ok(Outcome::Left) };
    let run = made.map_err(|failure| failure.with_token(&client, &token_source))?;
    let url = run_url(client.base_url().as_str(), &organization, &name, run.id.as_str());
    seat.view.show(&Event::RunCreated { id: run.id.as_str(), url: &url });
    let (outcome, run) = Follow::new(seat, client.clone(), run, &url).finish_with_run().await?;
    if let Some(file) = run.exec.as_ref().and_then(|exec| exec.file.as_deref()) {
        let content = client.exec_file(&run.id).await?;
        save(Path::new(file), &content, args.overwrite)?;
        seat.view.show(&Event::Notice { summary: &format!("Wrote {file}"), detail: "" });
    }
    Ok(outcome)
}

async fn create(
    args: &ExecArgs,
    client: &Client,
    workspace: &Workspace,
    configuration: Option<&ConfigurationVersion>,
    input: String,
) -> Result<client::Run, Failure> {
    if workspace.execution_mode == "local" {
        return Err(Failure::LocalExecution(workspace.name.clone()));
    }
    let exec = Some(NewExec { arguments: args.command.clone(), input });
    let new = NewRun { message: args.message.clone(), exec, ..NewRun::default() };
    let created = client.create_run(&workspace.id, configuration.map(|version| &version.id), &new).await;
    created.map_err(|error| match error {
        error if error.status() == Some(422) && error.to_string().contains("version is missing") => {
            Failure::Plain(
                "The workspace has no configuration",
                format!(
                    "Nothing was uploaded to {:?} yet. Say where it is with --configuration FOLDER.",
                    workspace.name
                ),
            )
        }
        error => refused(error),
    })
}

/// What the server has against the command line is said without the request around it.
fn refused(error: client::Error) -> Failure {
    let client::Error::Refused(refusal) = &error else { return error.into() };
    let about = |problem: &&client::Problem| {
        let pointer = problem.source.as_ref().and_then(|source| source.pointer.as_deref());
        pointer.is_some_and(|pointer| pointer.contains("/exec."))
    };
    match refusal.problems.iter().find(about).and_then(|problem| problem.detail.clone()) {
        Some(detail) => Failure::Plain("The server does not run this", format!("{detail}.")),
        None => error.into(),
    }
}

/// Writes what came back beside where the person is. The name is the server's: it may lead nowhere else.
fn save(file: &Path, content: &[u8], overwrite: bool) -> Result<(), Failure> {
    let failed =
        |reason: &str| Failure::Plain("The file cannot be written", format!("{}: {reason}", file.display()));
    if file.file_name() != Some(file.as_os_str()) {
        return Err(failed("the server sent a name that is none"));
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create(overwrite).truncate(overwrite).create_new(!overwrite);
    match options.open(file).and_then(|mut out| out.write_all(content)) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists(file)),
        Err(error) => Err(failed(&error.to_string())),
    }
}
