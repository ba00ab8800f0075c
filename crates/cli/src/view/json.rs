//! One JSON object a line, for programs. The objects are those of [`Event`], and for each line of a log
//! `{"type":"log","phase":…,"entry":{…}}` or `{"type":"log","phase":…,"text":"…"}`.

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
