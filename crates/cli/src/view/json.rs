//! One JSON object a line, for programs.
//!
//! The objects are those of [`Event`], told apart by `type`, and for each line of a log
//! `{"type":"log","phase":"plan","entry":{…}}` with the engine's own JSON line, or `{…,"text":"…"}` with what is none:
//!
//! ```json
//! {"type":"packed","directory":".","files":3,"bytes":1234}
//! {"type":"uploaded","configuration_version":"cv-…","bytes":1234}
//! {"type":"run_created","id":"run-…","url":"https://…"}
//! {"type":"waiting","reason":"the workspace is locked by the user user-…"}
//! {"type":"log","phase":"plan","text":"Terraform v1.11.4"}
//! {"type":"planned","has_changes":true,"changes":{"import":0,"add":1,"change":0,"destroy":0}}
//! {"type":"finished","outcome":"applied","status":"applied","run":"run-…","url":"https://…","changes":{…}}
//! ```
//!
//! The last line is `finished`, or `error` with `summary` and `detail`. Types and members may be added.

use crate::{
    render::log::{Lines, entry},
    view::{Event, PhaseName},
};
use serde_json::{Value, json};
use std::io::Write;

/// The view of `--json`.
pub struct JsonView {
    out: Box<dyn Write + Send>,
    lines: Lines,
}

impl JsonView {
    /// Writes to `out`.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out, lines: Lines::default() }
    }

    pub(super) fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Uploading { .. } => {}
            Event::Log { phase, bytes } => {
                for line in self.lines.feed(bytes) {
                    self.log(*phase, &line);
                }
            }
            Event::LogEnd { phase } => {
                if let Some(line) = self.lines.finish() {
                    self.log(*phase, &line);
                }
            }
            event => {
                let value = serde_json::to_value(event).expect("events are plain data");
                self.write(&value);
            }
        }
    }

    fn log(&mut self, phase: PhaseName, line: &str) {
        let value = match entry(line) {
            Some(entry) => json!({"type": "log", "phase": phase, "entry": entry}),
            None => json!({"type": "log", "phase": phase, "text": line}),
        };
        self.write(&value);
    }

    fn write(&mut self, value: &Value) {
        let _ = writeln!(self.out, "{value}").and_then(|()| self.out.flush());
    }
}
