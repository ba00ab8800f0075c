//! What the engine prints for programs, as it prints it for people.
//!
//! Source: Terraform's machine-readable UI (`-json`): one JSON object a line, with `@message`, and for some types more.

use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write};

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "@level", default)]
    level: String,
    #[serde(rename = "@message")]
    message: String,
    #[serde(rename = "type", default)]
    kind: String,
    diagnostic: Option<Diagnostic>,
    change: Option<Change>,
    outputs: Option<BTreeMap<String, Output>>,
}

#[derive(Deserialize)]
struct Change {
    #[serde(default)]
    action: String,
}

#[derive(Deserialize)]
struct Output {
    #[serde(default)]
    sensitive: bool,
    value: Option<Value>,
}

#[derive(Deserialize)]
struct Diagnostic {
    #[serde(default)]
    severity: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    detail: String,
    address: Option<String>,
    range: Option<Range>,
    snippet: Option<Snippet>,
}

#[derive(Deserialize)]
struct Range {
    filename: String,
    start: Position,
}

#[derive(Deserialize)]
struct Position {
    line: usize,
}

#[derive(Deserialize)]
struct Snippet {
    context: Option<String>,
    #[serde(default)]
    code: String,
    #[serde(default)]
    start_line: usize,
    #[serde(default)]
    values: Vec<Known>,
}

#[derive(Deserialize)]
struct Known {
    #[serde(default)]
    traversal: String,
    #[serde(default)]
    statement: String,
}

const RESET: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const CYAN: &str = "\x1b[36m";

/// The text of a line of JSON, of one line or many; nothing where it is no such line.
pub(super) fn text(line: &str) -> Option<String> {
    if !line.starts_with('{') {
        return None;
    }
    let line: Line = serde_json::from_str(line).ok()?;
    if let Some(diagnostic) = &line.diagnostic {
        return Some(boxed(diagnostic));
    }
    let styled = |style: &str| Some(format!("{style}{}{RESET}", line.message));
    match (line.kind.as_str(), line.level.as_str()) {
        ("outputs", _) => Some(outputs(&line)),
        ("change_summary" | "version", _) => styled(BOLD),
        ("planned_change" | "resource_drift", _) => {
            let colour = match line.change.as_ref().map_or("", |change| &change.action) {
                "create" => GREEN,
                "delete" | "remove" | "replace" => RED,
                "read" | "import" => CYAN,
                _ => YELLOW,
            };
            styled(colour)
        }
        (_, "error") => styled(RED),
        (_, "warn") => styled(YELLOW),
        _ => Some(line.message),
    }
}

fn outputs(line: &Line) -> String {
    let Some(outputs) = line.outputs.as_ref().filter(|all| all.values().any(|o| o.value.is_some())) else {
        return line.message.clone();
    };
    let mut text = format!("{BOLD}{GREEN}Outputs:{RESET}\n");
    for (name, output) in outputs {
        let value = match (&output.value, output.sensitive) {
            (_, true) => "<sensitive>".to_owned(),
            (Some(value), _) => value.to_string(),
            (None, _) => continue,
        };
        put(&mut text, format_args!("\n{name} = {value}"));
    }
    text
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("writing to a string does not fail");
}

/// A diagnostic in the box that the engine draws around it.
fn boxed(diagnostic: &Diagnostic) -> String {
    let (colour, word) = if diagnostic.severity == "warning" { (YELLOW, "Warning") } else { (RED, "Error") };
    let mut lines = vec![format!("{BOLD}{colour}{word}: {RESET}{BOLD}{}{RESET}", diagnostic.summary)];
    if diagnostic.address.is_some() || diagnostic.range.is_some() {
        lines.push(String::new());
        lines.extend(diagnostic.address.as_ref().map(|address| format!("  with {address},")));
        lines.extend(place(diagnostic));
    }
    if !diagnostic.detail.is_empty() {
        lines.push(String::new());
        lines.extend(diagnostic.detail.lines().map(str::to_owned));
    }
    let mut text = format!("{colour}╷{RESET}");
    for line in lines {
        put(&mut text, format_args!("\n{colour}│{RESET} {line}"));
    }
    put(&mut text, format_args!("\n{colour}╵{RESET}"));
    text
}

/// Where it is in the configuration, with what is written there.
fn place(diagnostic: &Diagnostic) -> Vec<String> {
    let Some(range) = &diagnostic.range else { return vec![] };
    let snippet = diagnostic.snippet.as_ref();
    let inside = snippet.and_then(|snippet| snippet.context.as_ref());
    let inside = inside.map(|context| format!(", in {context}")).unwrap_or_default();
    let mut lines = vec![format!("  on {} line {}{inside}:", range.filename, range.start.line)];
    if let Some(snippet) = snippet {
        let code = snippet.code.lines().enumerate();
        lines.extend(code.map(|(n, code)| format!("  {:>3}: {code}", snippet.start_line + n)));
        lines.extend(
            snippet.values.iter().map(|known| format!("    {} {}", known.traversal, known.statement)),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::ansi;

    fn told(line: &str) -> String {
        ansi::plain(&text(line).unwrap()).into_owned()
    }

    #[test]
    fn a_message_is_the_line_and_what_is_no_json_is_left_alone() {
        assert_eq!(
            told(r#"{"@level":"info","@message":"terraform_data.a: Creating...","type":"apply_start"}"#),
            "terraform_data.a: Creating..."
        );
        assert_eq!(text("Initializing the backend..."), None);
        assert_eq!(text("{ not json"), None);
        let create = r#"{"@level":"info","@message":"a: Plan to create","type":"planned_change","change":{"action":"create"}}"#;
        assert!(text(create).unwrap().starts_with(GREEN));
    }

    #[test]
    fn a_diagnostic_is_drawn_with_its_place_and_what_is_written_there() {
        let line = r#"{"@level":"error","@message":"Error: Invalid","type":"diagnostic","diagnostic":{
            "severity":"error","summary":"Invalid value","detail":"Must be 1.\nOr 2.","address":"a.b",
            "range":{"filename":"main.tf","start":{"line":3,"column":1},"end":{"line":3,"column":9}},
            "snippet":{"context":"resource \"a\" \"b\"","code":"  x = var.y","start_line":3,
            "values":[{"traversal":"var.y","statement":"is 3"}]}}}"#
            .replace('\n', " ");
        assert_eq!(
            told(&line),
            "╷\n│ Error: Invalid value\n│ \n│   with a.b,\n│   on main.tf line 3, in resource \"a\" \"b\":\
            \n│     3:   x = var.y\n│     var.y is 3\n│ \n│ Must be 1.\n│ Or 2.\n╵"
        );
    }

    #[test]
    fn outputs_are_told_with_their_values_but_no_secrets() {
        let line = r#"{"@level":"info","@message":"Outputs: 2","type":"outputs","outputs":{
            "b":{"sensitive":true,"value":"hunter2"},"a":{"sensitive":false,"value":"10.0.0.0/16"}}}"#
            .replace('\n', " ");
        assert_eq!(told(&line), "Outputs:\n\na = \"10.0.0.0/16\"\nb = <sensitive>");
    }
}
