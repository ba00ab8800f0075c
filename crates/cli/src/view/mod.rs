//! What happens while a run is made and followed, and the ways to show it.

mod human;
mod json;
mod output;

pub use human::HumanView;
pub use json::JsonView;
pub use output::OutputView;

use crate::run_summary::{Changes, Outcome};
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// Which of a run's two logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    /// The plan's.
    Plan,
    /// The apply's.
    Apply,
}

/// Something that happened. Serialized, each is one line of `--json`, told apart by `type`; members may be added.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event<'a> {
    /// The workspace was created, as asked.
    WorkspaceCreated {
        /// Its id.
        id: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// The folder was packed.
    Packed {
        /// The folder; above the one given when the workspace works in a folder below its root.
        directory: &'a Path,
        /// Files in the archive.
        files: u64,
        /// Bytes of the archive.
        bytes: u64,
    },
    /// The archive is on its way. Not in `--json`.
    #[serde(skip)]
    Uploading {
        /// Bytes sent.
        sent: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The server has taken the archive in.
    Uploaded {
        /// The configuration version's id.
        configuration_version: &'a str,
        /// Bytes of the archive.
        bytes: u64,
    },
    /// The run exists.
    RunCreated {
        /// Its id.
        id: &'a str,
        /// Its page.
        url: &'a str,
    },
    /// The run cannot start yet. Repeated when the reason changes.
    Waiting {
        /// Why not.
        reason: &'a str,
    },
    /// The run has moved on between plan and apply (cost estimate, policies, …).
    Status {
        /// As the API spells it.
        status: &'a str,
    },
    /// Bytes of a log. In `--json` each line is an event of its own: `entry` holds the engine's JSON line, or `text`
    /// what is none.
    #[serde(skip)]
    Log {
        /// Which log.
        phase: PhaseName,
        /// As they come.
        bytes: &'a [u8],
    },
    /// A log has ended.
    #[serde(skip)]
    LogEnd {
        /// Which log.
        phase: PhaseName,
    },
    /// The plan is complete.
    Planned {
        /// Whether there is anything to do.
        has_changes: bool,
        /// What would be done; `None` where the server has not counted.
        changes: Option<Changes>,
        /// The plan's redacted JSON. Not in `--json`: it can be fetched.
        #[serde(skip)]
        document: Option<&'a Value>,
    },
    /// Something that the person should know.
    Notice {
        /// One line.
        summary: &'a str,
        /// Paragraphs.
        detail: &'a str,
    },
    /// The push has failed, which the run has not (it may not even exist). The last event.
    Error {
        /// One line.
        summary: &'a str,
        /// Paragraphs: what is wrong, and what to do.
        detail: &'a str,
    },
    /// The end. Always the last event, except after `error`.
    Finished {
        /// How it ended.
        outcome: Outcome,
        /// The run's status.
        status: &'a str,
        /// The run's id.
        run: &'a str,
        /// The run's page.
        url: &'a str,
        /// What was done, or would be.
        changes: Option<Changes>,
    },
}

/// Shows events.
pub enum View {
    /// To a person.
    Human(HumanView),
    /// To a program.
    Json(JsonView),
    /// The engine's output alone, as if the engine ran here.
    Output(OutputView),
}

impl View {
    /// Shows one event. A reader who has gone away is no reason to stop following a run: write errors are ignored.
    pub fn show(&mut self, event: &Event<'_>) {
        match self {
            Self::Human(view) => view.show(event),
            Self::Json(view) => view.show(event),
            Self::Output(view) => view.show(event),
        }
    }

    /// Whether this view would show the plan's document, if it had it.
    pub fn wants_plan_document(&self) -> bool {
        matches!(self, Self::Human(view) if view.is_structured())
    }

    /// Shows a question, without a line break. Only a person is asked.
    pub fn question(&mut self, title: &str, text: &str) {
        match self {
            Self::Human(view) => view.question(title, text),
            Self::Output(view) => view.question(title, text),
            Self::Json(_) => {}
        }
    }
}
