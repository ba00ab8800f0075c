//! Terraform's own command line through the `cloud` block, against the same commands without it.
//!
//! The command line sleeps 1.5 s in a plan and 2.5 s in an apply whatever a server does (cli-protocol.md §1.3); that is taken
//! off, and nothing else. It reaches the server without TLS by a `host` block of its configuration.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use xtask::server::{Server, Tls};

use crate::bare::Bare;
use crate::measure::{Bar, Report, Times};
use crate::through::Through;
use crate::{Setting, engine_option};

/// What the command line sleeps in a plan, and in a plan with its apply.
const SLEEPS: [Duration; 2] = [Duration::from_millis(1500), Duration::from_millis(2500)];
const CONFIGURATION: &str = "resource \"terraform_data\" \"one\" {\n  input = \"one\"\n}\n";
/// Prints a line with the time (ns since 1970) every 100 ms, for 15 s.
const CLOCK: &str = r#"
resource "terraform_data" "clock" {
  provisioner "local-exec" {
    command = "for i in $(seq 150); do echo \"now=$(date +%s%N).\"; sleep 0.1; done"
  }
}
"#;
/// About 1 MB of log: each of these lines is one of JSON.
const TALK: &str = r#"
resource "terraform_data" "talk" {
  provisioner "local-exec" {
    command = "seq 2500"
  }
}
"#;
const DEVELOPERS: usize = 100;
/// How soon each of them is to be told where the run stands.
const TOLD: Duration = Duration::from_secs(2);
/// How a line of the command line begins that says so: for the plan to start, for runs to finish, for the workspace.
const WAITING: &str = "Waiting for ";

/// Plans and applies, the way of a line, the cost of a log, a migration, and many developers at once.
pub(crate) fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    let cli = Cli::new(&setting.engine, &setting.server, &setting.server.url().replace("http://", ""))?;
    phases(setting, report, &cli)?;
    line(report, &cli)?;
    log(setting, report)?;
    migration(setting, report, &cli)?;
    developers(setting, report, &cli)
}

/// The command line, configured for one server.
struct Cli {
    engine: PathBuf,
    host: String,
    folder: TempDir,
}

impl Cli {
    fn new(engine: &Path, server: &Server, address: &str) -> Result<Self> {
        let host = format!("localhost:{}", address.rsplit(':').next().context("an address has a port")?);
        let cli = Self {
            engine: engine.to_owned(),
            host,
            folder: tempfile::Builder::new()
                .prefix("ferroform-cli-")
                .tempdir()
                .context("no temporary folder")?,
        };
        let (host, token) = (&cli.host, server.token()?);
        let api = format!("http://{address}/api/v2/");
        let text = format!(
            "host \"{host}\" {{\n  services = {{ \"tfe.v2\" = \"{api}\", \"tfe.v2.1\" = \"{api}\" }}\n}}\n\
             credentials \"{host}\" {{\n  token = \"{token}\"\n}}\n"
        );
        fs::write(cli.folder.path().join("cli.tfrc"), text).context("cannot write a configuration")?;
        Ok(cli)
    }

    /// A folder with a configuration whose workspace is made by `init`.
    fn folder(&self, name: &str, configuration: &str) -> Result<PathBuf> {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let host = &self.host;
        let cloud = format!(
            "terraform {{\n  cloud {{\n    hostname     = \"{host}\"\n    organization = \"bench\"\n    workspaces {{\n      \
             name = \"{name}\"\n    }}\n  }}\n}}\n"
        );
        fs::write(folder.join("main.tf"), format!("{cloud}{configuration}"))
            .context("cannot write a configuration")?;
        self.run(&folder, &["init", "-input=false", "-no-color"])?;
        Ok(folder)
    }

    fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.engine);
        command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null());
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", self.folder.path());
        command.env("TF_CLI_CONFIG_FILE", self.folder.path().join("cli.tfrc"));
        command.envs([("TF_IN_AUTOMATION", "1"), ("CHECKPOINT_DISABLE", "1")]);
        command
    }

    fn run(&self, folder: &Path, arguments: &[&str]) -> Result<()> {
        let output = self.command(folder, arguments).output().context("cannot start the command line")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?} ended with {}: {said}", output.status);
        Ok(())
    }
}

fn phases(setting: &Setting, report: &mut Report, cli: &Cli) -> Result<()> {
    let bare = Bare::new(&setting.engine, CONFIGURATION)?;
    let turns = setting.turns.div_ceil(2);
    let (mut plans, mut bare_plans) = (Times::default(), Times::default());
    let (mut applies, mut bare_applies) = (Times::default(), Times::default());
    for turn in 0..turns {
        let folder = cli.folder(&format!("cli-{turn}"), CONFIGURATION)?;
        bare_plans.once(|| bare.plan(&bare.copy(&format!("cli-plan-{turn}"))?))?;
        waking(&mut plans, SLEEPS[0], || cli.run(&folder, &["plan", "-no-color"]))?;
        bare_applies.once(|| bare.apply(&bare.copy(&format!("cli-apply-{turn}"))?))?;
        waking(&mut applies, SLEEPS[1], || cli.run(&folder, &["apply", "-no-color", "-auto-approve"]))?;
    }
    let bar = Bar::AtMost(1.3);
    report.ratio("`terraform plan` less its sleeps ÷ bare init, plan, show", &plans, &bare_plans, bar);
    report.ratio("`terraform apply` less its sleeps ÷ bare, with apply", &applies, &bare_applies, bar);
    Ok(())
}

/// Measures `work` without the time that it sleeps.
fn waking(times: &mut Times, sleeps: Duration, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    work()?;
    times.add(started.elapsed().saturating_sub(sleeps));
    Ok(())
}

/// How long a line takes from the engine on the server to the user's terminal.
#[expect(clippy::disallowed_methods, reason = "it is compared with another process's clock")]
fn line(report: &mut Report, cli: &Cli) -> Result<()> {
    let folder = cli.folder("clock", CLOCK)?;
    let mut apply = cli
        .command(&folder, &["apply", "-no-color", "-auto-approve"])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the command line")?;
    let mut late = Times::default();
    for line in BufReader::new(apply.stdout.take().context("its output is ours")?).lines() {
        let line = line.context("its output cannot be read")?;
        let Some((_, stamp)) = line.split_once("(local-exec): now=") else { continue };
        let printed = Duration::from_nanos(stamp.trim_end_matches('.').parse().context("not a time")?);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
        late.add(now.saturating_sub(printed));
    }
    ensure!(apply.wait().context("it cannot be waited for")?.success(), "the apply failed");
    ensure!(late.count() > 100, "only {} lines with a time arrived", late.count());
    let from = format!("{} lines of a 15 s apply; p99 {:.1} ms", late.count(), late.quantile(0.99) * 1e3);
    report.row("a line from the engine to the terminal", late.median() * 1e3, "ms", from, Bar::AtMost(20.0));
    Ok(())
}

/// What a log of 1 MB costs on the wire, counted by a proxy in front of a server of its own.
fn log(setting: &Setting, report: &mut Report) -> Result<()> {
    let front = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    let address = front.local_addr().context("a bound socket has an address")?.to_string();
    let mut options = engine_option(&setting.engine);
    options.extend(["--url".into(), format!("http://{address}").into()]);
    let server = Server::start(&setting.ferroform, Tls::Off, &options)?;
    let counts = Arc::new(Counts::default());
    let (behind, counting) = (server.url().replace("http://", ""), Arc::clone(&counts));
    std::thread::spawn(move || {
        for client in front.incoming().map_while(Result::ok) {
            let (behind, counts) = (behind.clone(), Arc::clone(&counting));
            std::thread::spawn(move || pass(client, &behind, &counts));
        }
    });
    Through::new(&server)?;
    let cli = Cli::new(&setting.engine, &server, &address)?;
    let folder = cli.folder("talk", TALK)?;
    cli.run(&folder, &["apply", "-no-color", "-auto-approve"])?;
    let (requests, bytes) =
        (counts.log_reads.load(Ordering::SeqCst), counts.log_bytes.load(Ordering::SeqCst));
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let (requests, megabytes) = (requests as f64, bytes as f64 / 1e6);
    let from = "plan and apply; counted by a proxy".to_owned();
    report.row("requests for a log of 1 MB", requests, "", from.clone(), Bar::AtMost(40.0));
    report.row("bytes for a log of 1 MB", megabytes, "MB", from, Bar::AtMost(0.2));
    Ok(())
}

#[derive(Default)]
struct Counts {
    log_reads: AtomicUsize,
    log_bytes: AtomicUsize,
}

/// Passes one connection on. A connection has one request at a time, so what comes back belongs to the last one.
fn pass(mut client: TcpStream, behind: &str, counts: &Counts) -> Option<()> {
    let mut server = TcpStream::connect(behind).ok()?;
    server.set_nodelay(true).ok()?;
    client.set_nodelay(true).ok()?;
    let reading_a_log = AtomicUsize::new(0);
    let (mut from_server, mut to_client) = (server.try_clone().ok()?, client.try_clone().ok()?);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(read @ 1..) = from_server.read(&mut buffer) {
                if reading_a_log.load(Ordering::SeqCst) == 1 {
                    counts.log_bytes.fetch_add(read, Ordering::SeqCst);
                }
                if to_client.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
            let _ = to_client.shutdown(Shutdown::Both);
        });
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = client.read(&mut buffer) {
            let log = buffer.starts_with(b"GET /_object/logs/");
            if log {
                counts.log_reads.fetch_add(1, Ordering::SeqCst);
            }
            reading_a_log.store(usize::from(log), Ordering::SeqCst);
            if server.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
    });
    Some(())
}

/// Two workspaces from local states to the server: how long the server works on it.
fn migration(setting: &Setting, report: &mut Report, cli: &Cli) -> Result<()> {
    let folder = cli.folder.path().join("migration");
    fs::create_dir(&folder).context("cannot make a folder")?;
    fs::write(folder.join("main.tf"), "output \"name\" {\n  value = terraform.workspace\n}\n")
        .context("cannot write a configuration")?;
    cli.run(&folder, &["init", "-input=false"])?;
    for name in ["blue", "green"] {
        cli.run(&folder, &["workspace", "new", name])?;
        cli.run(&folder, &["apply", "-auto-approve"])?;
    }
    let host = &cli.host;
    let cloud = format!(
        "terraform {{\n  cloud {{\n    hostname     = \"{host}\"\n    organization = \"bench\"\n    workspaces {{\n      \
         tags = [\"moved\"]\n    }}\n  }}\n}}\n"
    );
    fs::write(folder.join("cloud.tf"), cloud).context("cannot write a configuration")?;
    let before = worked(setting)?;
    let mut init = cli.command(&folder, &["init", "-no-color"]);
    let mut init = init
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the command line")?;
    // Rename by a pattern that keeps the names, and go on in the first.
    let said = answer(&mut init, &["1", "*", "1"])?;
    ensure!(init.wait().context("it cannot be waited for")?.success(), "the migration failed: {said}");
    let from = "the sum of all requests of `terraform init`".to_owned();
    report.row("migration of two workspaces", worked(setting)? - before, "s", from, Bar::AtMost(0.15));
    Ok(())
}

/// Gives an answer whenever one is asked for: what comes early is lost. Returns what was said.
fn answer(child: &mut Child, answers: &[&str]) -> Result<String> {
    let mut input = child.stdin.take().context("its input is ours")?;
    let mut output = child.stdout.take().context("its output is ours")?;
    let (mut said, mut asked, mut buffer) = (String::new(), 0, [0; 4096]);
    while let Ok(read @ 1..) = output.read(&mut buffer) {
        said.push_str(&String::from_utf8_lossy(&buffer[..read]));
        if said.matches("Enter a value:").count() > asked {
            let given = answers.get(asked).with_context(|| format!("a question too many: {said}"))?;
            asked += 1;
            writeln!(input, "{given}").context("it does not listen")?;
        }
    }
    Ok(said)
}

/// Seconds that the shared server has spent on requests so far.
fn worked(setting: &Setting) -> Result<f64> {
    let metrics =
        String::from_utf8(setting.through.api().bytes(&format!("http://{}/metrics", setting.metrics))?)?;
    let sums = metrics.lines().filter(|line| line.starts_with("ferroform_request_seconds_sum"));
    Ok(sums.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

/// Many developers plan within a second on one machine: how long all of it takes, and when each is told that its run waits.
fn developers(setting: &Setting, report: &mut Report, cli: &Cli) -> Result<()> {
    let bare = Bare::new(&setting.engine, CONFIGURATION)?;
    let names: Vec<String> = (0..DEVELOPERS).map(|number| format!("developer-{number}")).collect();
    let copies = names.iter().map(|name| bare.copy(name)).collect::<Result<Vec<_>>>()?;
    let folders = names.iter().map(|name| cli.folder(name, CONFIGURATION)).collect::<Result<Vec<_>>>()?;
    let (mut ours, mut theirs, mut told) = (Times::default(), Times::default(), Times::default());
    theirs.once(|| bare.plan_all(&copies, setting.at_once))?;
    ours.once(|| {
        let plans = folders.iter().map(|folder| Plan::start(cli.command(folder, &["plan", "-no-color"])));
        for plan in plans.collect::<Result<Vec<_>>>()? {
            told.add(plan.end()?);
        }
        Ok(())
    })?;
    let what = format!("{DEVELOPERS} developers' plans at once ÷ xargs -P of the bare commands");
    report.ratio(&what, &ours, &theirs, Bar::AtMost(1.15));
    let what = format!("the last of {DEVELOPERS} developers at once is told that the run waits");
    let (median, within) = (told.median(), told.within(TOLD));
    let from =
        format!("median {median:.2} s; {within} of {DEVELOPERS} within 2 s; 1.5 s are the client's sleeps");
    report.row(&what, told.quantile(1.0), "s", from, Bar::AtMost(TOLD.as_secs_f64()));
    Ok(())
}

/// A plan whose output is read as it comes.
struct Plan {
    child: Child,
    /// When it said that it waits, from its start.
    waiting: JoinHandle<Option<Duration>>,
}

impl Plan {
    fn start(mut command: Command) -> Result<Self> {
        let started = Instant::now();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the command line")?;
        let output = child.stdout.take().context("its output is ours")?;
        let waiting = std::thread::spawn(move || {
            let mut first = None;
            // To its end: a command whose output nobody reads stands still.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if first.is_none() && line.starts_with(WAITING) {
                    first = Some(started.elapsed());
                }
            }
            first
        });
        Ok(Self { child, waiting })
    }

    /// Waits for its end; how long after its start it said that it waits.
    fn end(mut self) -> Result<Duration> {
        ensure!(self.child.wait().context("a plan cannot be waited for")?.success(), "a plan failed");
        let waiting = self.waiting.join().expect("reading lines does not panic");
        waiting.context("a plan has not said that it waits")
    }
}
