//! Telling the person at the terminal what each step is, how long it took, and how it all ended.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What has been done so far, for the summary at the end.
#[derive(Default)]
pub struct Steps {
    done: Vec<Step>,
}

struct Step {
    name: String,
    took: Duration,
    outcome: Outcome,
}

enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

impl Steps {
    /// Announces `name` and what it is for, does `work`, and remembers how it went. A failure does not stop the steps
    /// after it: each says something that the person wants to know. `None` when it failed.
    pub fn step<T>(
        &mut self,
        name: &str,
        purpose: impl Display,
        work: impl FnOnce() -> Result<T>,
    ) -> Option<T> {
        println!("\n{} {purpose}", bold(&format!("▶ {name}:")));
        let started = Instant::now();
        let (value, outcome) = match work() {
            Ok(value) => (Some(value), Outcome::Passed),
            Err(error) => {
                println!("{} {error:#}", red("✘"));
                (None, Outcome::Failed(format!("{error:#}")))
            }
        };
        let took = started.elapsed();
        if value.is_some() {
            println!("{} {name} {}", green("✔"), dim(&seconds(took)));
        }
        self.done.push(Step { name: name.to_owned(), took, outcome });
        value
    }

    /// Says that `name` is left out, and why.
    pub fn skip(&mut self, name: &str, why: impl Display) {
        println!("\n{} {why}", bold(&format!("▷ {name}: left out,")));
        let outcome = Outcome::Skipped(why.to_string());
        self.done.push(Step { name: name.to_owned(), took: Duration::ZERO, outcome });
    }

    /// Prints one line a step.
    ///
    /// # Errors
    /// When a step failed; the error names all that did.
    pub fn summary(&self) -> Result<()> {
        println!("\n{}", bold("Summary"));
        let mut failed = Vec::new();
        for Step { name, took, outcome } in &self.done {
            match outcome {
                Outcome::Passed => println!("  {} {name:<12} {}", green("✔"), seconds(*took)),
                Outcome::Skipped(why) => println!("  ▷ {name:<12} {}", dim(&format!("left out, {why}"))),
                Outcome::Failed(why) => {
                    println!("  {} {name:<12} {} {why}", red("✘"), seconds(*took));
                    failed.push(name.as_str());
                }
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        bail!("failed: {}", failed.join(", "))
    }
}

/// Runs `command` to its end with this terminal's output, after printing it.
///
/// # Errors
/// When it cannot be started, or ends in anything but 0.
pub fn run(command: &mut Command) -> Result<()> {
    println!("{}", dim(&format!("$ {}", line(command))));
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

/// Runs `command` and gives what it printed to its standard output; its standard error goes to the terminal only when
/// it fails, inside the error.
///
/// # Errors
/// When it cannot be started, or ends in anything but 0.
pub fn read(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` ended with {}: {}", line(command), output.status, said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name} printed something that is not UTF-8"))
}

/// Prints the error that ends the program, with its causes, where errors belong.
#[expect(clippy::print_stderr, reason = "the last word of a terminal command that failed")]
pub fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("{} {error:#}", red("error:"));
    ExitCode::FAILURE
}

/// As a person would type it: the program without its folder.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// `12.3 s`, or `4 min 05 s`.
pub fn seconds(took: Duration) -> String {
    let all = took.as_secs_f64();
    if all < 60.0 {
        format!("{all:.1} s")
    } else {
        format!("{} min {:02} s", took.as_secs() / 60, took.as_secs() % 60)
    }
}

/// Bold, on a terminal.
pub fn bold(text: &str) -> String {
    paint("1", text)
}

/// Less prominent, on a terminal.
pub fn dim(text: &str) -> String {
    paint("2", text)
}

/// Red, on a terminal.
pub fn red(text: &str) -> String {
    paint("31", text)
}

/// Green, on a terminal.
pub fn green(text: &str) -> String {
    paint("32", text)
}

fn paint(code: &str, text: &str) -> String {
    if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_step_fails_the_whole_but_lets_the_others_run() {
        let mut steps = Steps::default();
        assert_eq!(steps.step("first", "fails", || -> Result<()> { bail!("no") }), None);
        assert_eq!(steps.step("second", "passes", || Ok(7)), Some(7));
        steps.skip("third", "there is no need");
        assert_eq!(steps.summary().unwrap_err().to_string(), "failed: first");
    }

    #[test]
    fn a_command_that_fails_is_told_with_what_it_said() {
        let error = read(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.ends_with("broken"), "{error}");
    }

    #[test]
    fn long_times_are_told_in_minutes() {
        assert_eq!(seconds(Duration::from_millis(1250)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(245)), "4 min 05 s");
    }
}
