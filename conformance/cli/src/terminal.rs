//! A command as a person at a terminal runs it: what it prints is read as it comes, and answered.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Far more than any command of a scenario takes; one that hangs fails its row and no other.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command that runs in a process group of its own.
pub(crate) struct Terminal {
    child: Child,
    keyboard: Option<ChildStdin>,
    screen: Arc<Screen>,
    deadline: Instant,
    /// Up to where the output has been looked at for prompts.
    seen: usize,
}

#[derive(Default)]
struct Screen {
    said: Mutex<Said>,
    changed: Condvar,
}

#[derive(Default)]
struct Said {
    bytes: Vec<u8>,
    ended: bool,
}

impl Terminal {
    /// Starts `command`. Somebody sits at the keyboard only if `attended`; else its standard input is empty.
    pub(crate) fn start(mut command: Command, attended: bool) -> Result<Self> {
        let (mut reader, writer) = std::io::pipe().context("no pipe")?;
        command.stdout(writer.try_clone().context("no second end of a pipe")?).stderr(writer);
        command.stdin(if attended { Stdio::piped() } else { Stdio::null() }).process_group(0);
        let mut child = command.spawn().context("cannot start a shell")?;
        // The command holds the pipe's other end, which must be closed here for the output to have an end.
        drop(command);
        let screen = Arc::new(Screen::default());
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            loop {
                let read = reader.read(&mut buffer).unwrap_or(0);
                let mut said = shown.said.lock().expect("nobody panics with it");
                said.bytes.extend_from_slice(&buffer[..read]);
                said.ended = read == 0;
                shown.changed.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        let keyboard = child.stdin.take();
        Ok(Self { child, keyboard, screen, deadline: Instant::now() + PATIENCE, seen: 0 })
    }

    /// Waits until `text` appears after what was waited for before.
    ///
    /// # Errors
    /// When the command ends without it, or hangs.
    pub(crate) fn wait_for(&mut self, text: &str) -> Result<()> {
        let mut said = self.screen.said.lock().expect("nobody panics with it");
        loop {
            let shown = plain(&said.bytes);
            if let Some(at) = shown.get(self.seen..).and_then(|rest| rest.find(text)) {
                self.seen += at + text.len();
                return Ok(());
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            if said.ended {
                bail!("it ended without saying {text:?}");
            }
            if left.is_zero() {
                bail!("it has not said {text:?}");
            }
            said = self.screen.changed.wait_timeout(said, left).expect("nobody panics with it").0;
        }
    }

    /// Types a line.
    pub(crate) fn answer(&mut self, line: &str) -> Result<()> {
        let keyboard = self.keyboard.as_mut().context("nobody sits at this command's keyboard")?;
        writeln!(keyboard, "{line}").context("it does not read what is typed")
    }

    /// Types Ctrl-C.
    pub(crate) fn interrupt(&self) -> Result<()> {
        self.signal(Signal::SIGINT)
    }

    /// Waits for the end, and tells the exit code (128 and more for a signal).
    ///
    /// # Errors
    /// When it hangs; it is killed then.
    pub(crate) fn end(mut self) -> (String, Result<i32>) {
        let mut said = self.screen.said.lock().expect("nobody panics with it");
        while !said.ended {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            said = self.screen.changed.wait_timeout(said, left).expect("nobody panics with it").0;
        }
        let (text, ended) = (plain(&said.bytes), said.ended);
        drop(said);
        if !ended {
            return (text, Err(anyhow::anyhow!("it did not end within {} s", PATIENCE.as_secs())));
        }
        drop(self.keyboard.take());
        let status = self.child.wait().context("cannot wait for it");
        (text, status.map(|status| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))))
    }

    /// Kills it, and tells what it had said.
    pub(crate) fn give_up(self) -> (String, Result<i32>) {
        let said = plain(&self.screen.said.lock().expect("nobody panics with it").bytes);
        (said, Err(anyhow::anyhow!("it was killed")))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let group = Pid::from_raw(i32::try_from(self.child.id()).expect("process ids are small"));
        killpg(group, signal).context("cannot signal it")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // After an ordinary end there is nobody left to hear it.
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.signal(Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// Text without colours and other control sequences.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            // ESC [ parameters letter
            '\x1b' => {
                let _ = characters.find(char::is_ascii_alphabetic);
            }
            '\r' => {}
            _ => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        // Whoever runs the tests may have the interrupt ignored, as a shell's background jobs do, and a shell keeps that.
        let mut command = Command::new("env");
        command.args(["--default-signal=INT", "/bin/sh", "-c", script]);
        command
    }

    #[test]
    fn each_prompt_gets_its_own_answer() {
        let script = "printf 'Enter a value: '; read a; printf 'Enter a value: '; read b; echo $a-$b; exit 3";
        let mut terminal = Terminal::start(shell(script), true).unwrap();
        for answer in ["yes", "no"] {
            terminal.wait_for("Enter a value:").unwrap();
            terminal.answer(answer).unwrap();
        }
        let (said, code) = terminal.end();
        assert!(said.ends_with("yes-no\n"), "{said}");
        assert_eq!(code.unwrap(), 3);
    }

    #[test]
    fn a_prompt_that_does_not_come_is_an_error_when_the_command_ends() {
        let mut terminal = Terminal::start(shell("echo hello"), true).unwrap();
        assert_eq!(terminal.wait_for("Enter").unwrap_err().to_string(), "it ended without saying \"Enter\"");
    }

    #[test]
    fn ctrl_c_reaches_the_command() {
        let mut terminal = Terminal::start(shell("echo ready; exec cat"), true).unwrap();
        terminal.wait_for("ready").unwrap();
        terminal.interrupt().unwrap();
        assert_eq!(terminal.end().1.unwrap(), 130);
    }

    #[test]
    fn colours_are_no_text() {
        assert_eq!(plain(b"\x1b[0m\x1b[1mPlan:\x1b[0m 1\r\n"), "Plan: 1\n");
    }
}
