//! The boxes in which errors and warnings are shown, with the lines of source that they are about.

use crate::render::style::{Colour, Style};
use serde::Deserialize;

/// An error or a warning, as Terraform's JSON lines carry it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Diagnostic {
    /// `error` or `warning`.
    #[serde(default)]
    pub severity: String,
    /// One line.
    #[serde(default)]
    pub summary: String,
    /// Paragraphs.
    #[serde(default)]
    pub detail: String,
    /// The resource that it is about.
    #[serde(default)]
    pub address: Option<String>,
    /// The place in the configuration.
    #[serde(default)]
    pub range: Option<Range>,
    /// The lines at that place.
    #[serde(default)]
    pub snippet: Option<Snippet>,
}

/// A place in a file of the configuration.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Range {
    /// Relative to the working directory.
    #[serde(default)]
    pub filename: String,
    /// Where it begins.
    #[serde(default)]
    pub start: Position,
}

/// A line of a file.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Position {
    /// Counted from 1.
    #[serde(default)]
    pub line: u64,
}

/// Lines of source with one part marked.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Snippet {
    /// The block that they are in.
    #[serde(default)]
    pub context: Option<String>,
    /// The lines.
    #[serde(default)]
    pub code: String,
    /// The number of the first.
    #[serde(default)]
    pub start_line: u64,
    /// Bytes of `code` before the marked part.
    #[serde(default)]
    pub highlight_start_offset: usize,
    /// Bytes of `code` up to its end.
    #[serde(default)]
    pub highlight_end_offset: usize,
    /// What the expressions in it evaluate to.
    #[serde(default)]
    pub values: Option<Vec<Expression>>,
}

/// The value of an expression in a snippet, in words.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Expression {
    /// `var.n`.
    #[serde(default)]
    pub traversal: String,
    /// `is "3"`.
    #[serde(default)]
    pub statement: String,
}

impl Diagnostic {
    /// An error of our own.
    pub fn error(summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { severity: "error".into(), summary: summary.into(), detail: detail.into(), ..Self::default() }
    }

    /// The box, ending in a line break.
    pub fn render(&self, style: Style) -> String {
        let (title, colour) = match self.severity.as_str() {
            "warning" => ("Warning: ", Colour::Yellow),
            _ => ("Error: ", Colour::Red),
        };
        let edge = |text: &str| match colour {
            Colour::Yellow => style.yellow(text),
            _ => style.red(text),
        };
        let mut lines = vec![format!("{}{}", style.strong(colour, title), style.bold(&self.summary))];
        let place = self.place(style);
        if !place.is_empty() {
            lines.push(String::new());
            lines.extend(place);
        }
        if !self.detail.is_empty() {
            lines.push(String::new());
            for line in self.detail.trim_end().lines() {
                lines.extend(wrap(line, style.width.saturating_sub(2).max(20)));
            }
        }
        let body: String = lines.iter().map(|line| format!("{} {line}\n", edge("│"))).collect();
        format!("{}\n{body}{}\n", edge("╷"), edge("╵"))
    }

    fn place(&self, style: Style) -> Vec<String> {
        let mut lines = vec![];
        if let Some(address) = self.address.as_deref().filter(|address| !address.is_empty()) {
            let comma = if self.range.is_some() { "," } else { "" };
            lines.push(format!("  with {address}{comma}"));
        }
        let Some(range) = &self.range else { return lines };
        let context = self.snippet.as_ref().and_then(|snippet| snippet.context.as_deref());
        let context = context.map(|context| format!(", in {context}")).unwrap_or_default();
        lines.push(format!("  on {} line {}{context}:", range.filename, range.start.line));
        match &self.snippet {
            Some(snippet) => lines.extend(snippet.render(style)),
            None => lines.push("  (source code not available)".to_owned()),
        }
        lines
    }
}

impl Snippet {
    fn render(&self, style: Style) -> Vec<String> {
        let mut lines = vec![];
        let mut begin = 0;
        for (number, line) in (self.start_line..).zip(self.code.split('\n')) {
            let end = begin + line.len();
            let from = self.highlight_start_offset.clamp(begin, end) - begin;
            let to = self.highlight_end_offset.clamp(begin, end) - begin;
            // The offsets come from elsewhere; one inside a character marks nothing.
            let shown = match (line.get(..from), line.get(from..to), line.get(to..)) {
                (Some(before), Some(marked), Some(after)) if !marked.is_empty() => {
                    format!("{before}{}{after}", style.underline(marked))
                }
                _ => line.to_owned(),
            };
            lines.push(format!("{number:>4}: {shown}"));
            begin = end + 1;
        }
        let values: Vec<_> = self.values.iter().flatten().collect();
        if !values.is_empty() {
            lines.push(format!("    {}", style.dim("├────────────────")));
            lines.extend(values.iter().map(|value| {
                format!("    {} {} {}", style.dim("│"), style.bold(&value.traversal), value.statement)
            }));
        }
        lines
    }
}

/// Breaks a line of prose at spaces; an indented line is taken for something else and left alone.
fn wrap(line: &str, width: usize) -> Vec<String> {
    if line.starts_with([' ', '\t']) || line.chars().count() <= width {
        return vec![line.to_owned()];
    }
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in line.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push(String::new());
            used = 0;
        }
        let current = lines.last_mut().expect("there is always a last line");
        if used > 0 {
            current.push(' ');
            used += 1;
        }
        current.push_str(word);
        used += length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_shows_place_source_values_and_wrapped_detail() {
        let json = r#"{"severity":"error","summary":"Bad","detail":"one two three four five six seven",
            "address":"a.b","range":{"filename":"main.tf","start":{"line":7,"column":3,"byte":9}},
            "snippet":{"context":"resource \"a\" \"b\"","code":"  x = var.y","start_line":7,
            "highlight_start_offset":6,"highlight_end_offset":11,
            "values":[{"traversal":"var.y","statement":"is 1"}]}}"#;
        let diagnostic: Diagnostic = serde_json::from_str(json).unwrap();
        let expected = "╷
│ Error: Bad
│ 
│   with a.b,
│   on main.tf line 7, in resource \"a\" \"b\":
│    7:   x = var.y
│     ├────────────────
│     │ var.y is 1
│ 
│ one two three four
│ five six seven
╵
";
        assert_eq!(diagnostic.render(Style { colour: false, width: 22 }), expected);
        let coloured = diagnostic.render(Style { colour: true, width: 80 });
        assert!(coloured.contains("x = \x1b[4mvar.y\x1b[0m"), "{coloured}");
    }

    #[test]
    fn a_mark_inside_a_character_is_ignored() {
        let snippet = Snippet {
            code: "é = 1".into(),
            highlight_start_offset: 1,
            highlight_end_offset: 3,
            start_line: 1,
            ..Snippet::default()
        };
        assert_eq!(snippet.render(Style { colour: true, width: 80 }), ["   1: é = 1"]);
    }
}
