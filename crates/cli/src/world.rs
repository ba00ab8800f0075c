//! What an action asks of its surroundings: the environment, the terminal, the person's answers, Ctrl-C.

use crate::{
    render::Style,
    view::{HumanView, JsonView, OutputView, View},
};
use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use std::{
    collections::BTreeMap,
    io::{IsTerminal, Read, Write},
    path::PathBuf,
};
use tokio::sync::mpsc;

/// The surroundings of one command.
pub struct World {
    /// The environment variables.
    pub environment: BTreeMap<String, String>,
    /// Where results go.
    pub out: Box<dyn Write + Send>,
    /// Where errors go, and what is said beside a result.
    pub err: Box<dyn Write + Send>,
    /// What is piped in, for whoever reads it.
    pub input: Box<dyn Read + Send>,
    /// Where progress goes; `None` where nobody would see it move.
    pub progress: Option<Box<dyn Write + Send>>,
    /// How results are dressed.
    pub style: Style,
    /// Lines that the person types; `None` where there is no person.
    pub answers: Option<Answers>,
    /// One message for each Ctrl-C.
    pub interrupts: mpsc::UnboundedReceiver<()>,
}

/// The person's typed lines, read only when one is wanted.
pub struct Answers {
    wanted: std::sync::mpsc::Sender<()>,
    lines: mpsc::UnboundedReceiver<Option<String>>,
    /// A line that was asked for and has not come; it answers the next question.
    outstanding: bool,
    /// Whether they are typed at this process's terminal.
    is_terminal: bool,
}

/// The terminal does not show what is typed, until this is dropped.
pub struct Hidden(Option<Termios>);

impl Hidden {
    fn begin() -> Self {
        let input = std::io::stdin();
        let Ok(usual) = termios::tcgetattr(&input) else { return Self(None) };
        let mut hidden = usual.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        hidden.local_modes.insert(LocalModes::ECHONL);
        let done = termios::tcsetattr(&input, OptionalActions::Flush, &hidden);
        Self(done.is_ok().then_some(usual))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(usual) = &self.0 {
            let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, usual);
        }
    }
}

impl Answers {
    /// What is typed at this process's terminal.
    fn of_terminal() -> Self {
        let typed = Self::new(|| {
            let mut line = String::new();
            let read = std::io::stdin().read_line(&mut line).ok()?;
            (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
        });
        Self { is_terminal: true, ..typed }
    }

    /// Hides what is typed from now on. What was typed before is thrown away, as nobody was asked for it.
    pub fn hide(&self) -> Hidden {
        if self.is_terminal { Hidden::begin() } else { Hidden(None) }
    }

    /// Answers from a source of lines; `None` is its end.
    pub fn new(mut read: impl FnMut() -> Option<String> + Send + 'static) -> Self {
        let (wanted, wishes) = std::sync::mpsc::channel::<()>();
        let (sender, lines) = mpsc::unbounded_channel();
        // A thread of its own, not the runtime's: a read of the terminal cannot be called off, and the runtime would
        // wait for it at exit.
        std::thread::spawn(move || {
            while wishes.recv().is_ok() {
                if sender.send(read()).is_err() {
                    break;
                }
            }
        });
        Self { wanted, lines, outstanding: false, is_terminal: false }
    }

    /// The next line without its line break; `None` at the end of input. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<String> {
        if !self.outstanding {
            self.wanted.send(()).ok()?;
            self.outstanding = true;
        }
        let line = self.lines.recv().await.flatten();
        self.outstanding = false;
        line
    }
}

impl World {
    /// The process's own surroundings. `quiet` says that a program reads the output, so that nobody is asked.
    pub fn of_process(quiet: bool) -> Self {
        let environment: BTreeMap<_, _> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let terminal = std::io::stdout().is_terminal();
        let person = terminal && std::io::stdin().is_terminal() && !quiet;
        let dumb = environment.get("TERM").is_some_and(|term| term == "dumb");
        let no_colour = environment.get("NO_COLOR").is_some_and(|value| !value.is_empty());
        let width = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
        let moving = std::io::stderr().is_terminal() && !quiet && !dumb;
        Self {
            style: Style { colour: terminal && !no_colour && !dumb && !quiet, width: width.clamp(40, 120) },
            environment,
            out: Box::new(std::io::stdout()),
            err: Box::new(std::io::stderr()),
            input: Box::new(std::io::stdin()),
            progress: moving.then(|| Box::new(std::io::stderr()) as Box<dyn Write + Send>),
            answers: person.then(Answers::of_terminal),
            interrupts: interrupts(),
        }
    }

    /// What following a run needs of it: a view, the person, Ctrl-C.
    pub(crate) fn seat(self, json: bool) -> (View, Option<Answers>, mpsc::UnboundedReceiver<()>) {
        let view = if json {
            View::Json(JsonView::new(self.out))
        } else {
            View::Human(HumanView::new(self.out, self.progress, self.style))
        };
        (view, self.answers.filter(|_| !json), self.interrupts)
    }

    /// The same for an operation, whose output is the engine's alone.
    pub(crate) fn output_seat(self, json: bool) -> (View, Option<Answers>, mpsc::UnboundedReceiver<()>) {
        if json {
            return self.seat(true);
        }
        (View::Output(OutputView::new(self.out, self.err, self.style)), self.answers, self.interrupts)
    }

    /// An environment variable that is set to something.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The person's home directory.
    pub fn home(&self) -> Option<PathBuf> {
        self.variable("HOME").map(PathBuf::from)
    }
}

fn interrupts() -> mpsc::UnboundedReceiver<()> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move { while tokio::signal::ctrl_c().await.is_ok() && sender.send(()).is_ok() {} });
    receiver
}
