//! What we start ends with us, however we end.
//!
//! A child started here is a small `/bin/sh` script (the warden) in a process group of its own, whose standard input
//! is a pipe that only this process holds. When the pipe closes, because the [`Lifeline`] was dropped, because of
//! Ctrl-C, a panic, or `kill -9`, the warden stops what it started and removes its folder. That needs no signal
//! handler and no `unsafe`, and works on every Unix.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal};

/// A warden, for as long as this value lives; dropping it waits until the warden has cleaned up.
pub struct Lifeline {
    warden: Child,
    hold: Option<ChildStdin>,
    says: BufReader<ChildStdout>,
}

impl Lifeline {
    /// Starts `warden`, which must end soon after its standard input does and must not let what it starts inherit
    /// that input. Its standard output is read by [`Lifeline::line`]; a Ctrl-C at the terminal does not reach it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut warden: Command) -> Result<Self> {
        let mut warden = warden
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", warden.get_program().to_string_lossy()))?;
        let hold = warden.stdin.take();
        let says = BufReader::new(warden.stdout.take().expect("standard output was asked to be a pipe"));
        Ok(Self { warden, hold, says })
    }

    /// Waits for the next line that the warden prints, without its end.
    ///
    /// # Errors
    /// When it ends instead; the error holds its exit status.
    pub fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.says.read_line(&mut line).context("cannot read what the started program says")? == 0 {
            bail!("it ended with {}", self.warden.wait().context("cannot wait for it")?);
        }
        Ok(line.trim_end().to_owned())
    }

    /// Whether the warden has ended by itself.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn ended(&mut self) -> Result<bool> {
        Ok(self.warden.try_wait().context("cannot look after a child")?.is_some())
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        drop(self.hold.take());
        // An error means that it has been waited for already.
        let _ = self.warden.wait();
    }
}

/// Waits for Ctrl-C or SIGTERM. From the call on, neither ends the process by itself any more.
///
/// # Errors
/// When the kernel refuses to hold the two signals back.
pub fn until_interrupted() -> Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block().context("cannot hold signals back")?;
    signals.wait().context("cannot wait for signals")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_lifeline_lets_the_warden_clean_up_before_it_returns() {
        let folder = tempfile::tempdir().unwrap();
        let mut warden = Command::new("sh");
        warden
            .arg("-c")
            .arg("echo ready; cat >/dev/null; echo done >\"$1/cleaned\"")
            .arg("sh")
            .arg(folder.path());
        let mut lifeline = Lifeline::start(warden).unwrap();
        assert_eq!(lifeline.line().unwrap(), "ready");
        drop(lifeline);
        assert!(folder.path().join("cleaned").exists());
    }

    #[test]
    fn a_warden_that_ends_early_is_told_with_its_status() {
        let mut warden = Command::new("sh");
        warden.args(["-c", "exit 4"]);
        let error = Lifeline::start(warden).unwrap().line().unwrap_err().to_string();
        assert_eq!(error, "it ended with exit status: 4");
    }
}
