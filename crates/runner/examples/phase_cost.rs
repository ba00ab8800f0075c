//! What a phase costs beyond the engine's own commands: `cargo run --release -p runner --example phase_cost`.
//!
//! Each round runs the bare commands in a shell, and the same through [`Runner::execute`], on the same configuration. The
//! median of the rounds is printed with their ratio.

#![expect(clippy::print_stdout, reason = "an example talks to the terminal")]

use bytes::Bytes;
use runner::{
    Boxed, Control, ControlError, Job, Outcome, Phase, Runner, RunnerConfig, Signal,
    engine::{EngineConfig, Engines, Tool},
    sandbox::{Sandbox, SandboxConfig},
    schemas::SchemaCache,
};
use std::{
    fs,
    io::{Cursor, Read},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::watch;

const CONFIG: &str =
    "resource \"terraform_data\" \"a\" { input = \"x\" }\noutput \"o\" { value = terraform_data.a.output }\n";
const ROUNDS: usize = 30;

struct Server {
    archive: Vec<u8>,
    kept: Mutex<Option<Vec<u8>>>,
    signal: watch::Sender<Signal>,
}

impl Control for Server {
    fn configuration<'a>(&'a self, _: &'a Job) -> Boxed<'a, Result<Box<dyn Read + Send>, ControlError>> {
        Box::pin(async { Ok(Box::new(Cursor::new(self.archive.clone())) as Box<dyn Read + Send>) })
    }
    fn state<'a>(&'a self, _: &'a Job) -> Boxed<'a, Result<Option<Vec<u8>>, ControlError>> {
        Box::pin(async { Ok(None) })
    }
    fn kept<'a>(&'a self, _: &'a Job) -> Boxed<'a, Result<Option<Vec<u8>>, ControlError>> {
        Box::pin(async { Ok(self.kept.lock().ok().and_then(|kept| kept.clone())) })
    }
    fn log(&self, _: &Job, _: Bytes) {}
    fn log_restart(&self, _: &Job) {}
    fn snapshot<'a>(&'a self, _: &'a Job, _: Vec<u8>) -> Boxed<'a, Result<(), ControlError>> {
        Box::pin(async { Ok(()) })
    }
    fn signals(&self, _: &Job) -> watch::Receiver<Signal> {
        self.signal.subscribe()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let engines =
        Engines::new(EngineConfig { search_path: std::env::var_os("PATH"), ..EngineConfig::default() });
    let engine = engines.resolve(Tool::Terraform, None).await?.path;
    fs::create_dir(dir.path().join("schemas"))?;
    let schemas = SchemaCache::new(dir.path().join("schemas"));
    let sandbox = Sandbox::new(SandboxConfig::default());
    let runner = Runner::new(RunnerConfig::new(dir.path().join("work"), engines, sandbox, schemas))?;
    let server = Arc::new(Server {
        archive: archive()?,
        kept: Mutex::default(),
        signal: watch::Sender::new(Signal::Continue),
    });
    let (mut bare, mut planned, mut bare_apply, mut applied) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let folder = dir.path().join(format!("bare-{round}"));
        fs::create_dir(&folder)?;
        fs::write(folder.join("main.tf"), CONFIG)?;
        let plan = bare_commands(
            &engine,
            &folder,
            "$E init >o && $E plan -lock=false -out=p >o && $E show -json p >o",
        )?;
        let apply = bare_commands(&engine, &folder, "$E apply -lock=false -auto-approve p >o")?;
        let run = format!("run-{round}");
        let (plan_through, outcome) = execute(&runner, job(&run, Phase::Plan), &server).await;
        let Outcome::Planned(artifacts) = outcome else { return Err(format!("{outcome:?}").into()) };
        if let Ok(mut kept) = server.kept.lock() {
            *kept = artifacts.kept;
        }
        runner.settle(&run.as_str().into()).await?;
        let (apply_through, outcome) = execute(&runner, job(&run, Phase::Apply), &server).await;
        if !matches!(outcome, Outcome::Applied { .. }) {
            return Err(format!("{outcome:?}").into());
        }
        runner.settle(&run.as_str().into()).await?;
        // The first round fills caches.
        if round > 0 {
            bare.push(plan);
            planned.push(plan_through);
            bare_apply.push(apply);
            applied.push(apply_through);
        }
    }
    report("plan ", &mut bare, &mut planned);
    report("apply", &mut bare_apply, &mut applied);
    Ok(())
}

async fn execute(runner: &Runner, job: Job, server: &Arc<Server>) -> (Duration, Outcome) {
    let begin = Instant::now();
    let outcome = runner.execute(job, Arc::clone(server) as Arc<dyn Control>).await;
    (begin.elapsed(), outcome)
}

fn bare_commands(engine: &Path, folder: &Path, script: &str) -> Result<Duration, Box<dyn std::error::Error>> {
    let begin = Instant::now();
    let status = Command::new("/bin/sh")
        .args(["-ec", script])
        .current_dir(folder)
        .env_clear()
        .env("E", engine)
        .env("HOME", folder)
        .envs([
            ("TF_IN_AUTOMATION", "1"),
            ("TF_INPUT", "0"),
            ("CHECKPOINT_DISABLE", "1"),
            ("TF_CLI_ARGS", "-no-color"),
        ])
        .stdin(Stdio::null())
        .status()?;
    let elapsed = begin.elapsed();
    if status.success() { Ok(elapsed) } else { Err(format!("the bare commands failed: {status}").into()) }
}

fn report(name: &str, bare: &mut [Duration], through: &mut [Duration]) {
    bare.sort();
    through.sort();
    let (bare, through) = (bare[bare.len() / 2], through[through.len() / 2]);
    println!(
        "{name}  bare {:.1} ms  runner {:.1} ms  ratio {:.3}",
        bare.as_secs_f64() * 1e3,
        through.as_secs_f64() * 1e3,
        through.as_secs_f64() / bare.as_secs_f64()
    );
}

fn archive() -> std::io::Result<Vec<u8>> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(CONFIG.len() as u64);
    tar.append_data(&mut header, "main.tf", CONFIG.as_bytes())?;
    tar.into_inner()?.finish()
}

fn job(run: &str, phase: Phase) -> Job {
    Job {
        run: run.into(),
        phase,
        lease: String::new(),
        organization: "org".into(),
        workspace: "cost".into(),
        workspace_id: "ws-1".into(),
        project: "Default Project".into(),
        configuration_version: "cv-1".into(),
        tool: Tool::Terraform,
        version: None,
        own: None,
        refused: Vec::new(),
        deprecated: Vec::new(),
        operation: None,
        working_directory: String::new(),
        structured_output: false,
        destroy: false,
        refresh_only: false,
        refresh: true,
        targets: Vec::new(),
        replace: Vec::new(),
        allow_config_generation: false,
        debugging: false,
        plan_only: false,
        variables: Vec::new(),
        files: Vec::new(),
        unprepared: None,
        run_variables: Vec::new(),
        ssh_key: None,
        timeout: Duration::from_secs(60),
    }
}
