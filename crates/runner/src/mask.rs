//! Hiding the values of sensitive variables in a log before it leaves the runner.
//!
//! Each value is looked for in all the forms in which an engine prints it: as it is, line by line when it has several
//! lines (text diffs indent them), and escaped as JSON or HCL. Lines of structured output stay valid JSON: there only
//! the insides of strings, and whole numbers, are replaced. Values of one or two bytes and the words `true`, `false`
//! and `null` are left alone: hiding them would spoil every line and show where they stood.
//!
//! Whole lines are masked; a line that has not ended is held back ([`Masker::push`]), so that a value which the engine
//! wrote in two pieces is still found.

use crate::hcl;
use aho_corasick::{AhoCorasick, MatchKind};
use std::collections::BTreeSet;

/// What stands in the place of a hidden value.
pub(crate) const HIDDEN: &str = "(sensitive value)";

const SHORTEST: usize = 3;
/// Lines of a long value, and words inside an HCL value, are often harmless (`}`, `EOT`, `name`).
const SHORTEST_PART: usize = 4;
/// A line longer than this is let out in pieces.
const LONGEST_LINE: usize = 1 << 20;

/// Replaces a fixed set of values in a stream of lines.
pub(crate) struct Masker {
    patterns: Option<AhoCorasick>,
    longest: usize,
    pending: Vec<u8>,
}

impl Masker {
    /// A masker for these values; `(value, hcl)`, where an HCL value's inner strings are hidden as well.
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = (&'a str, bool)>) -> Self {
        let mut forms = BTreeSet::new();
        for (value, is_hcl) in values {
            let whole = value.trim();
            if whole.len() < SHORTEST || matches!(whole, "true" | "false" | "null") {
                continue;
            }
            add_forms(&mut forms, whole);
            let lines = whole.lines().map(str::trim).filter(|_| whole.contains('\n'));
            let words = if is_hcl { hcl::strings(whole) } else { Vec::new() };
            for part in lines.map(str::to_owned).chain(words).filter(|part| part.len() >= SHORTEST_PART) {
                add_forms(&mut forms, &part);
            }
        }
        let longest = forms.iter().map(String::len).max().unwrap_or(0);
        let patterns = (longest > 0).then(|| {
            AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(&forms)
                .expect("a run's variables are limited in number and size, far below the automaton's limits")
        });
        Self { patterns, longest, pending: Vec::new() }
    }

    /// Takes in more of the log and appends to `out` what may be shown by now.
    pub(crate) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let whole = chunk.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (lines, rest) = chunk.split_at(whole);
        if !lines.is_empty() {
            if self.pending.is_empty() {
                self.lines(lines, out);
            } else {
                let mut first = std::mem::take(&mut self.pending);
                first.extend_from_slice(lines);
                self.lines(&first, out);
            }
        }
        self.pending.extend_from_slice(rest);
        if self.pending.len() > LONGEST_LINE {
            self.release(out);
        }
    }

    /// Lets out what is left; the log has ended.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        let rest = std::mem::take(&mut self.pending);
        self.lines(&rest, out);
    }

    /// The text with all values hidden.
    pub(crate) fn text(&self, text: &str) -> String {
        match &self.patterns {
            Some(patterns) => patterns.replace_all_with_one(text),
            None => text.to_owned(),
        }
    }

    fn lines(&self, bytes: &[u8], out: &mut Vec<u8>) {
        let Some(patterns) = &self.patterns else {
            out.extend_from_slice(bytes);
            return;
        };
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            // Most lines hold no secret: look once before taking the line apart.
            if !patterns.is_match(line) {
                out.extend_from_slice(line);
            } else if line.starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
            {
                json(patterns, line, out);
            } else {
                plain(patterns, line, out);
            }
        }
    }

    /// A line that does not end: lets out all but what could be the beginning of a value.
    fn release(&mut self, out: &mut Vec<u8>) {
        let keep = self.longest.min(self.pending.len());
        let mut cut = self.pending.len() - keep;
        if let Some(patterns) = &self.patterns {
            for found in patterns.find_iter(&self.pending) {
                if found.start() < cut && found.end() > cut {
                    cut = found.start();
                }
            }
        }
        let rest = self.pending.split_off(cut);
        let ready = std::mem::replace(&mut self.pending, rest);
        match &self.patterns {
            Some(patterns) => plain(patterns, &ready, out),
            None => out.extend_from_slice(&ready),
        }
    }
}

trait ReplaceOne {
    fn replace_all_with_one(&self, text: &str) -> String;
}

impl ReplaceOne for AhoCorasick {
    fn replace_all_with_one(&self, text: &str) -> String {
        let mut out = Vec::with_capacity(text.len());
        plain(self, text.as_bytes(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }
}

fn plain(patterns: &AhoCorasick, text: &[u8], out: &mut Vec<u8>) {
    let mut last = 0;
    for found in patterns.find_iter(text) {
        out.extend_from_slice(&text[last..found.start()]);
        out.extend_from_slice(HIDDEN.as_bytes());
        last = found.end();
    }
    out.extend_from_slice(&text[last..]);
}

/// Replaces inside the strings of a valid JSON text, and numbers that are a value as a whole.
fn json(patterns: &AhoCorasick, text: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < text.len() {
        let start = at;
        match text[at] {
            b'"' => {
                at += 1;
                while at < text.len() && text[at] != b'"' {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
                let end = at.min(text.len());
                out.push(b'"');
                plain(patterns, &text[start + 1..end], out);
            }
            b'-' | b'0'..=b'9' => {
                while at < text.len() && matches!(text[at], b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') {
                    at += 1;
                }
                let number = &text[start..at];
                let hidden = patterns.find(number).is_some_and(|found| found.range() == (0..number.len()));
                if hidden {
                    out.extend_from_slice(format!("\"{HIDDEN}\"").as_bytes());
                } else {
                    out.extend_from_slice(number);
                }
            }
            other => {
                out.push(other);
                at += 1;
            }
        }
        if text.get(start) == Some(&b'"') && at < text.len() {
            out.push(b'"');
            at += 1;
        }
    }
}

fn add_forms(forms: &mut BTreeSet<String>, value: &str) {
    let in_hcl = hcl::quoted(value);
    for form in [value, &in_hcl] {
        let in_json = json_inside(form);
        // The engine's JSON encoder escapes these three as well.
        let in_log = in_json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
        forms.extend([form.to_owned(), in_json, in_log]);
    }
}

fn json_inside(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(values: &[(&str, bool)], chunks: &[&str]) -> String {
        let mut masker = Masker::new(values.iter().copied());
        let mut out = Vec::new();
        for chunk in chunks {
            masker.push(chunk.as_bytes(), &mut out);
        }
        masker.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_value_in_two_pieces_is_hidden() {
        assert_eq!(
            masked(&[("hunter2", false)], &["one hun", "ter2 two\nthree ", "hunter2"]),
            format!("one {HIDDEN} two\nthree {HIDDEN}")
        );
    }

    #[test]
    fn each_line_of_a_long_value_is_hidden() {
        let key = "-----BEGIN KEY-----\nMIIEow\n-----END KEY-----\n";
        let log = masked(&[(key, false)], &["  + key = <<-EOT\n      MIIEow\n    EOT\n"]);
        assert_eq!(log, format!("  + key = <<-EOT\n      {HIDDEN}\n    EOT\n"));
    }

    #[test]
    fn escaped_forms_are_hidden_and_json_stays_json() {
        let value = "a\"b\n<c>${d}";
        let line =
            serde_json::json!({"@message": format!("x {value} y"), "n": 80801, "s": "80801"}).to_string();
        let go = line.replace('<', "\\u003c").replace('>', "\\u003e");
        for line in [line, go] {
            let log = masked(&[(value, false), ("80801", false)], &[&line, "\n"]);
            let back: serde_json::Value = serde_json::from_str(&log).unwrap();
            assert_eq!(back["@message"], format!("x {HIDDEN} y"));
            assert_eq!((&back["n"], &back["s"]), (&HIDDEN.into(), &HIDDEN.into()));
        }
        let hcl = masked(&[(value, false)], &["  + x = \"a\\\"b\\n<c>$${d}\"\n"]);
        assert_eq!(hcl, format!("  + x = \"{HIDDEN}\"\n"));
    }

    #[test]
    fn keywords_and_structure_are_not_hidden() {
        let line = "{\"sensitive\":true,\"type\":\"x\"}\n";
        assert_eq!(masked(&[("true", false), ("\",\"type\":\"", false), ("1", false)], &[line]), line);
    }

    #[test]
    fn the_strings_inside_an_hcl_value_are_hidden() {
        assert_eq!(
            masked(&[("{ password = \"hunter2\" }", true)], &["p hunter2\n"]),
            format!("p {HIDDEN}\n")
        );
    }

    #[test]
    fn an_endless_line_is_let_out_without_its_secrets() {
        let mut long = "x".repeat(LONGEST_LINE - 3);
        long.push_str("hunter2");
        long.push_str(&"y".repeat(20));
        let log = masked(&[("hunter2", false)], &[&long[..LONGEST_LINE + 1], &long[LONGEST_LINE + 1..]]);
        assert!(!log.contains("hunter2") && log.contains(HIDDEN));
    }
}
