//! The binary `ferroform` as an operator meets it: a process with options, files, signals and an exit code.

mod audit;
mod client;
mod commands;
mod engineless;
mod greeting;
mod health;
mod house;
mod ip_ranges;
mod limit;
mod manual;
mod mistakes;
mod push;
mod restart;
mod serving;
mod shared_state;
mod terminal;
mod tls;
mod user;

use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

/// How long a process may take for what it should do at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program, without the settings of whoever runs the tests.
fn ferroform(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferroform"));
    for (name, _) in std::env::vars_os() {
        if ["TF_", "FERROFORM_", "NO_COLOR"].iter().any(|p| name.to_string_lossy().starts_with(p)) {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// The same command, run by another program.
fn by(runner: &[&str], command: &Command) -> Command {
    let mut other = Command::new(runner[0]);
    other.args(&runner[1..]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    other
}

/// Standard output and error of a command, together.
fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A server on a free port, which is killed when this is dropped.
struct Server {
    child: Child,
    log: Receiver<Value>,
    url: String,
}

impl Server {
    /// Starts it on a data directory, and returns when it says that it serves.
    fn start(dir: &Path, more: &[&str]) -> Self {
        Self::start_by(&mut Self::command(dir, more))
    }

    fn command(dir: &Path, more: &[&str]) -> Command {
        let mut command = ferroform(&["serve", "--data-dir"]);
        command.arg(dir).args(more);
        // Flags may choose otherwise.
        command.env("FERROFORM_LISTEN", "127.0.0.1:0").env("FERROFORM_NO_ENGINE_DOWNLOAD", "true");
        // Tests ask more often than people do.
        command.env("FERROFORM_LOG_FORMAT", "json").env("FERROFORM_RATE_LIMIT", "0");
        command
    }

    fn start_by(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, log) = channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        let mut server = Self { child, log, url: String::new() };
        let serving = server.says("serving");
        server.url = serving["url"].as_str().unwrap().to_owned();
        server
    }

    /// Waits for a line of the log with this message.
    fn says(&self, message: &str) -> Value {
        let mut said = Vec::new();
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) if line["message"].as_str().is_some_and(|text| text.contains(message)) => {
                    return line;
                }
                Ok(line) => said.push(line.to_string()),
                Err(error) => panic!("{error} while waiting for {message:?}; it said\n{}", said.join("\n")),
            }
        }
    }

    fn port(&self) -> u16 {
        self.url.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let process = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(process, signal).unwrap();
    }

    /// SIGTERM, and how it ended.
    fn stop(mut self) -> ExitStatus {
        self.signal(nix::sys::signal::Signal::SIGTERM);
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program whose standard output is read line by line; killed when this is dropped.
struct Following {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Following {
    fn new(mut child: Child) -> Self {
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads until a line holds `text`.
    fn until(&mut self, text: &str) {
        assert!(self.lines.any(|line| line.unwrap().contains(text)), "it ended without {text:?}");
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that trusts nothing but `authority`.
fn client(authority: Option<&Path>) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
    if let Some(file) = authority {
        let pem = std::fs::read(file).unwrap();
        builder = builder.tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()]);
    }
    builder.build().unwrap()
}

async fn status(client: &reqwest::Client, url: String) -> u16 {
    client.get(url).send().await.unwrap().status().as_u16()
}

/// A folder, and the data directory in it that a start will make.
fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::Builder::new().prefix("ff").tempdir().unwrap();
    let data = dir.path().join("data");
    (dir, data)
}
