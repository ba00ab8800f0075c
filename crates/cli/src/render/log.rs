//! A log, line by line.
//!
//! Of a plan's JSON lines the changes and outputs are kept back for [`LogRenderer::planned`], where they are shown
//! together, with the plan's own document if there is one. An apply's log repeats the plan's lines; they are dropped.

use crate::{
    render::{
        diagnostic::Diagnostic,
        plan::{self, Action, PlannedChange},
        style::{Colour, Style},
        value::hcl,
    },
    view::PhaseName,
};
use serde_json::Value;

/// Cuts a stream of bytes into lines.
#[derive(Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// Takes bytes in and gives out the lines that they complete, without their line breaks.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(bytes);
        let Some(end) = self.0.iter().rposition(|byte| *byte == b'\n') else { return vec![] };
        let rest = self.0.split_off(end + 1);
        let whole = std::mem::replace(&mut self.0, rest);
        let text = String::from_utf8_lossy(&whole[..end]);
        text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line).to_owned()).collect()
    }

    /// The last line, where it lacks a line break.
    pub fn finish(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.0);
        (!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned())
    }
}

/// One of Terraform's JSON lines, or `None` for text.
pub fn entry(line: &str) -> Option<Value> {
    let value: Value = line.starts_with('{').then(|| serde_json::from_str(line).ok())??;
    value.get("@message")?;
    Some(value)
}

/// Renders one log for people.
pub struct LogRenderer {
    style: Style,
    phase: PhaseName,
    lines: Lines,
    structured: bool,
    changes: Vec<PlannedChange>,
    drift: Vec<String>,
    summary: Option<String>,
    outputs: Vec<(String, String)>,
}

impl LogRenderer {
    /// A renderer for the log of a plan or an apply.
    pub fn new(phase: PhaseName, style: Style) -> Self {
        Self {
            style,
            phase,
            lines: Lines::default(),
            structured: false,
            changes: vec![],
            drift: vec![],
            summary: None,
            outputs: vec![],
        }
    }

    /// Which log this is.
    pub fn phase(&self) -> PhaseName {
        self.phase
    }

    /// Whether the log has had JSON lines. Otherwise it is text that already shows everything.
    pub fn is_structured(&self) -> bool {
        self.structured
    }

    /// Takes bytes of the log in and gives out what is to be shown now.
    pub fn feed(&mut self, bytes: &[u8]) -> String {
        self.lines.feed(bytes).iter().map(|line| self.line(line)).collect()
    }

    /// What is left when the log has ended.
    pub fn finish(&mut self) -> String {
        self.lines.finish().map(|line| self.line(&line)).unwrap_or_default()
    }

    /// What was planned, to be shown when the plan's log has ended: the differences from the plan's JSON document
    /// where there is one, otherwise one line for each resource. Empty for text logs.
    pub fn planned(&self, document: Option<&Value>) -> String {
        if !self.structured || (self.summary.is_none() && self.changes.is_empty()) {
            return String::new();
        }
        let mut out = String::new();
        if let Some(document) = document {
            out.push_str(&plan::render(document, self.style));
        } else {
            for drift in &self.drift {
                out.push_str(&format!("  {}\n", self.style.dim(drift)));
            }
            let shown = self.changes.iter().filter(|change| change.action != Action::NoOp || change.moved());
            let lines: String = shown.map(|change| change.render(self.style)).collect();
            if !lines.is_empty() {
                out.push_str(&format!("\n{}\n", self.style.bold("These changes are planned:")));
                out.push_str(&lines);
            }
        }
        if let Some(summary) = &self.summary {
            out.push_str(&format!("\n{}\n", self.style.bold(summary)));
        }
        let outputs = match document {
            Some(document) => plan::render_outputs(document, self.style),
            None => {
                let lines = self.outputs.iter().map(|(name, action)| {
                    format!("  {} {name}\n", Action::from_word(action).symbol(self.style).trim_start())
                });
                lines.collect()
            }
        };
        if !outputs.is_empty() {
            out.push_str(&format!("\n{}\n{outputs}", self.style.bold("Changes to Outputs:")));
        }
        out
    }

    fn line(&mut self, line: &str) -> String {
        match entry(line) {
            Some(entry) => {
                self.structured = true;
                self.entry(&entry)
            }
            None => format!("{}\n", self.style.foreign(line)),
        }
    }

    fn entry(&mut self, entry: &Value) -> String {
        let style = self.style;
        let message = entry["@message"].as_str().unwrap_or_default();
        match entry["type"].as_str().unwrap_or_default() {
            // The preamble has said so, or the line that follows will.
            "version" | "refresh_complete" | "provision_complete" | "init_output" => String::new(),
            "planned_change" => self.keep(|log| log.changes.extend(PlannedChange::read(&entry["change"]))),
            "resource_drift" => self.keep(|log| log.drift.push(message.to_owned())),
            "change_summary" => self.change_summary(&entry["changes"], message),
            "outputs" => self.outputs(&entry["outputs"]),
            "diagnostic" => match serde_json::from_value::<Diagnostic>(entry["diagnostic"].clone()) {
                Ok(diagnostic) => format!("\n{}", diagnostic.render(style)),
                Err(_) => format!("{message}\n"),
            },
            "provision_progress" => {
                let hook = &entry["hook"];
                let address = hook["resource"]["addr"].as_str().unwrap_or_default();
                let provisioner = hook["provisioner"].as_str().unwrap_or_default();
                let output = hook["output"].as_str().unwrap_or_default();
                let head = style.bold(&format!("{address} ({provisioner}):"));
                format!("{head} {}\n", style.foreign(output))
            }
            "apply_errored" | "provision_errored" | "ephemeral_op_errored" => {
                format!("{}\n", style.red(&style.foreign(message)))
            }
            kind if kind.starts_with("apply_")
                || kind.starts_with("refresh_")
                || kind.starts_with("provision_")
                || kind.starts_with("ephemeral_op_") =>
            {
                format!("{}\n", style.bold(&style.foreign(message)))
            }
            _ => format!("{}\n", style.foreign(message)),
        }
    }

    /// Keeps something back in a plan's log; in an apply's it is a repetition.
    fn keep(&mut self, put: impl FnOnce(&mut Self)) -> String {
        if self.phase == PhaseName::Plan {
            put(self);
        }
        String::new()
    }

    fn change_summary(&mut self, changes: &Value, message: &str) -> String {
        if changes["operation"] == "plan" {
            let count = |name: &str| changes[name].as_u64().unwrap_or(0);
            let nothing = ["add", "change", "remove", "import"].iter().all(|name| count(name) == 0);
            let summary = if nothing && self.changes.is_empty() { "No changes." } else { message }.to_owned();
            return self.keep(|log| log.summary = Some(summary));
        }
        format!("\n{}\n", self.style.strong(Colour::Green, message))
    }

    fn outputs(&mut self, outputs: &Value) -> String {
        let Some(outputs) = outputs.as_object().filter(|outputs| !outputs.is_empty()) else {
            return String::new();
        };
        let planned = outputs.values().all(|output| output.get("action").is_some());
        if planned {
            let changed = outputs.iter().filter(|(_, output)| output["action"] != "noop");
            let changed = changed
                .map(|(name, output)| {
                    (name.clone(), output["action"].as_str().unwrap_or_default().to_owned())
                })
                .collect();
            return self.keep(|log| log.outputs = changed);
        }
        let lines: String = outputs
            .iter()
            .map(|(name, output)| match &output["value"] {
                _ if output["sensitive"] == true => format!("{name} = <sensitive>\n"),
                value => format!("{name} = {}\n", hcl(value, 0)),
            })
            .collect();
        format!("\n{}\n\n{lines}", self.style.strong(Colour::Green, "Outputs:"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_passes_through_wherever_the_chunks_are_cut() {
        let text = "Terraform v1.11.4\non linux_amd64\n\x1b[1mhéllo\x1b[0m\n{not json}\n{\"a\":1}\nlast";
        for size in 1..8 {
            let mut log = LogRenderer::new(PhaseName::Plan, Style { colour: true, width: 80 });
            let mut shown: String = text.as_bytes().chunks(size).map(|chunk| log.feed(chunk)).collect();
            shown.push_str(&log.finish());
            assert_eq!(shown, format!("{text}\n"));
            assert!(!log.is_structured());
            assert_eq!(log.planned(None), "");
        }
    }

    #[test]
    fn an_unknown_kind_of_line_shows_its_message() {
        let mut log = LogRenderer::new(PhaseName::Apply, Style::PLAIN);
        let line = "{\"@level\":\"info\",\"@message\":\"something new\",\"type\":\"from_the_future\"}\n";
        assert_eq!(log.feed(line.as_bytes()), "something new\n");
    }
}
