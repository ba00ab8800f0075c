//! What every command but `push` has before it: its surroundings, and how it answers, fails and is interrupted.
//!
//! A result goes to standard output: text for a person, or with `--json` one document. An error goes to standard error,
//! or with `--json`, as an object with `type: error`, to standard output, where the program reads.

use crate::{
    connection::{self, Connection},
    failure::Failure,
    place::ServerArgs,
    render::{Style, diagnostic::Diagnostic, style::Colour},
    world::World,
};
use client::{Client, Workspace};
use kernel::{Env, Timestamp};
use serde::Serialize;
use serde_json::json;
use std::{
    future::Future,
    io::Write,
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::mpsc;

/// The exit status after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Advice where a workspace is missing.
pub(crate) const SEE_WORKSPACES: &str = "`ferroform workspace list` shows those there are.";

/// A command at work.
pub(crate) type Work<'a> = Pin<Box<dyn Future<Output = Result<u8, Failure>> + Send + 'a>>;

/// The surroundings of a command.
pub(crate) struct Desk {
    pub(crate) world: World,
    pub(crate) json: bool,
    /// Something is half done that must not be left so.
    busy: Arc<AtomicBool>,
    now: Timestamp,
}

/// Runs a command to its end or to Ctrl-C, and returns its exit status.
pub(crate) async fn run<A>(
    args: &A,
    world: World,
    json: bool,
    work: for<'a> fn(&'a A, &'a mut Desk) -> Work<'a>,
) -> u8 {
    let busy = Arc::new(AtomicBool::new(false));
    let mut desk = Desk { world, json, busy: Arc::clone(&busy), now: Env::real().now() };
    let mut interrupts = std::mem::replace(&mut desk.world.interrupts, mpsc::unbounded_channel().1);
    let outcome = {
        let mut work = work(args, &mut desk);
        loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                Some(()) = interrupts.recv() => {
                    if !busy.load(Ordering::Relaxed) {
                        break Ok(INTERRUPTED);
                    }
                }
            }
        }
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            desk.fail(&failure);
            1
        }
    }
}

impl Desk {
    /// How results are dressed.
    pub(crate) fn style(&self) -> Style {
        self.world.style
    }

    /// The present.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// A client of the server that is meant.
    pub(crate) fn connect(&self, server: &ServerArgs) -> Result<Server, Failure> {
        let Connection { endpoint, token_source } = connection::find(server, &self.world, Path::new("."))?;
        Ok(Server { client: Client::new(endpoint)?, token_source })
    }

    /// Writes a line, or lines, of the result for a person.
    pub(crate) fn say(&mut self, text: &str) {
        let _ = writeln!(self.world.out, "{text}").and_then(|()| self.world.out.flush());
    }

    /// Writes the result for a program.
    pub(crate) fn document(&mut self, document: &impl Serialize) {
        let text = serde_json::to_string(document).expect("documents are plain data");
        self.say(&text);
    }

    /// Writes the result in the form that was asked for.
    pub(crate) fn answer(&mut self, document: &impl Serialize, text: impl FnOnce(Style) -> String) {
        if self.json {
            return self.document(document);
        }
        let text = text(self.style());
        self.say(&text);
    }

    /// Says something beside the result, to a person.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.json {
            let _ = writeln!(self.world.err, "{text}").and_then(|()| self.world.err.flush());
        }
    }

    /// Warns, beside the result.
    pub(crate) fn warn(&mut self, summary: &str, detail: &str) {
        let title = self.style().strong(Colour::Yellow, &format!("{summary}."));
        self.note(&format!("{title} {detail}"));
    }

    /// Asks; only `yes` is yes. `None` when there is nobody to ask.
    pub(crate) async fn confirm(&mut self, title: &str, text: &str) -> Option<bool> {
        let style = self.style();
        let answers = self.world.answers.as_mut().filter(|_| !self.json)?;
        let question = format!("\n{}\n  {text}\n\n  {} ", style.bold(title), style.bold("Enter a value:"));
        let _ = self.world.out.write_all(question.as_bytes()).and_then(|()| self.world.out.flush());
        let answer = answers.next().await;
        Some(answer.as_deref().map(str::trim) == Some("yes"))
    }

    /// Asks for a secret, without showing what is typed. `None` when there is nobody to ask, or nothing was typed.
    pub(crate) async fn ask_hidden(&mut self, prompt: &str) -> Option<String> {
        let prompt = format!("{} ", self.style().bold(prompt));
        let answers = self.world.answers.as_mut()?;
        // First hidden, then asked for: nothing of it may be seen.
        let hidden = answers.hide();
        let _ = self.world.err.write_all(prompt.as_bytes()).and_then(|()| self.world.err.flush());
        let typed = answers.next().await;
        drop(hidden);
        typed.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// From now until the returned value is dropped, Ctrl-C does not end the command.
    pub(crate) fn hold(&self) -> Held {
        self.busy.store(true, Ordering::Relaxed);
        Held(Arc::clone(&self.busy))
    }

    fn fail(&mut self, failure: &Failure) {
        let (summary, detail) = failure.words();
        if self.json {
            return self.document(&json!({"type": "error", "summary": summary, "detail": detail}));
        }
        let shown = Diagnostic::error(summary, detail).render(self.style());
        let _ = write!(self.world.err, "\n{shown}").and_then(|()| self.world.err.flush());
    }
}

/// See [`Desk::hold`].
pub(crate) struct Held(Arc<AtomicBool>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A server that is spoken to.
pub(crate) struct Server {
    pub(crate) client: Client,
    token_source: String,
}

impl Server {
    /// The outcome, with the token's source named where the server refused the token.
    pub(crate) fn explained<T>(&self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        outcome.map_err(|failure| failure.with_token(&self.client, &self.token_source))
    }
}

/// Reads a workspace; where it is missing, tells that from a missing organization.
pub(crate) async fn workspace(
    client: &Client,
    organization: &str,
    name: &str,
    advice: &'static str,
) -> Result<Workspace, Failure> {
    match client.workspace(organization, name).await {
        Ok(workspace) => return Ok(workspace),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    self::organization(client, organization).await?;
    Err(Failure::NoWorkspace { organization: organization.to_owned(), workspace: name.to_owned(), advice })
}

/// Makes sure that there is such an organization. A team's token may see a workspace and not its organization: only
/// absence says something.
pub(crate) async fn organization(client: &Client, name: &str) -> Result<(), Failure> {
    match client.organization(name).await {
        Err(error) if error.is_not_found() => {
            Err(Failure::NoOrganization { organization: name.to_owned(), host: client.host() })
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}
