//! One test of the suite, in a process of its own, against a server of its own.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use xtask::places;
use xtask::server::{Server, Tls};

use crate::mode::Mode;
use crate::suite::Suite;
use crate::transcript::{Transcript, Verdict};

/// What every trial has in common.
pub(crate) struct Bench {
    pub(crate) suite: Suite,
    /// The server program.
    pub(crate) ferroform: PathBuf,
    /// The provider mirror: every run of the suite needs `hashicorp/null`.
    pub(crate) mirror: PathBuf,
    /// What run tasks are pointed at.
    pub(crate) receiver: String,
    /// A test that has not ended by then is killed.
    pub(crate) patience: Duration,
    /// Where each trial's output is kept, for whoever wants to read it.
    pub(crate) transcripts: PathBuf,
    /// The folders of the servers that have ended. A phase outlives its server, and may still write while the server's
    /// folder is removed.
    pub(crate) left: Mutex<Vec<PathBuf>>,
}

pub(crate) struct Trial {
    pub(crate) transcript: Transcript,
    pub(crate) took: Duration,
}

impl Bench {
    /// Starts a server on an empty data directory.
    pub(crate) fn server(&self) -> Result<Server> {
        // A run that still goes on when its test is done has no one to wait for it.
        let mut options: Vec<OsString> = vec![
            "--provider-mirror".into(),
            self.mirror.clone().into(),
            "--grace-period".into(),
            "0s".into(),
        ];
        // The suite wants every kind of network to be named.
        for kind in ["api", "notifications", "sentinel", "vcs"] {
            options.extend(["--ip-range".into(), format!("{kind}=127.0.0.1").into()]);
        }
        Server::start(&self.ferroform, Tls::Off, &options)
    }

    /// # Errors
    /// When the server or the test does not start: that says nothing about the test.
    pub(crate) fn run(&self, test: &str, mode: Mode) -> Result<Trial> {
        let started = Instant::now();
        let server = self.server()?;
        self.left
            .lock()
            .expect("nobody panics with it")
            .extend(server.data_dir().parent().map(Path::to_owned));
        if test.starts_with("TestAdmin") {
            self.seed(&server)?;
        }
        let token = server.token()?;
        let home = tempfile::tempdir().context("no temporary folder")?;
        let mut command = Command::new(&self.suite.program);
        command.current_dir(&self.suite.folder).args(["-test.v", "-test.timeout=0", "-test.run"]);
        command.arg(format!("^{test}$"));
        command.env_clear().envs(mode.variables().iter().copied()).envs([
            ("PATH", "/usr/bin:/bin"),
            ("TFE_ADDRESS", server.url()),
            ("TFE_TOKEN", &token),
            // The one role of a site admin that the suite asks for: it changes subscriptions.
            ("TFE_ADMIN_PROVISION_LICENSES_TOKEN", &token),
            ("TFC_RUN_TASK_URL", &self.receiver),
        ]);
        command.env("HOME", home.path());
        let (text, ended) = watch(command, self.patience)?;
        let file = self.transcripts.join(format!("{mode}.{test}.txt"));
        std::fs::write(&file, format!("{text}\n--- server ---\n{}\n", server.log_tail()))
            .with_context(|| format!("cannot write {}", file.display()))?;
        let mut transcript = Transcript::read(test, &text);
        if !ended {
            transcript.verdict = Verdict::Fail;
            let late = format!("not ended after {} s", self.patience.as_secs());
            transcript.message = match transcript.message.as_str() {
                "" => late,
                why => format!("{late}; {why}"),
            };
        }
        Ok(Trial { transcript, took: started.elapsed() })
    }

    /// Removes what the servers have left.
    pub(crate) fn clean(&self) {
        for folder in self.left.lock().expect("nobody panics with it").drain(..) {
            // Most are gone already.
            std::fs::remove_dir_all(folder).ok();
        }
    }

    /// The suite's admin tests look for a user whom Terraform Enterprise's installer makes.
    fn seed(&self, server: &Server) -> Result<()> {
        let mut user = Command::new(&self.ferroform);
        places::forget_settings(&mut user);
        user.args(["user", "create", "admin-security-maintenance", "--email", "maintenance@example.com"]);
        let output = user.arg("--data-dir").arg(server.data_dir()).output().context("cannot make a user")?;
        ensure!(output.status.success(), "cannot make a user: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// Runs `command`, which must start nothing of its own, and gives what it printed and whether it ended in time; one that
/// has not is killed.
fn watch(mut command: Command, patience: Duration) -> Result<(String, bool)> {
    let (mut reader, writer) = std::io::pipe().context("no pipe")?;
    command.stdin(Stdio::null()).stdout(writer.try_clone().context("no pipe")?).stderr(writer);
    let mut child = command.spawn().context("cannot start the test program")?;
    // The command holds the pipe's other end, which must close when the process does.
    drop(command);
    let (done, wait) = mpsc::channel();
    let read = thread::spawn(move || {
        let mut bytes = Vec::new();
        let outcome = reader.read_to_end(&mut bytes);
        done.send(()).ok();
        outcome.map(|_| String::from_utf8_lossy(&bytes).into_owned())
    });
    let ended = wait.recv_timeout(patience).is_ok();
    if !ended {
        child.kill().context("cannot end the test program")?;
    }
    child.wait().context("cannot wait for the test program")?;
    let text = read.join().expect("reading does not panic").context("cannot read what the test said")?;
    Ok((text, ended))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_end_is_killed_and_what_it_said_is_kept() {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "echo begun; exec sleep 60"]);
        let (text, ended) = watch(shell, Duration::from_millis(300)).unwrap();
        assert_eq!((text.as_str(), ended), ("begun\n", false));
    }
}
