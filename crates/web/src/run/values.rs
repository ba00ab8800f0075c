//! Values before and after, attribute by attribute: what a resource's change is made of.
//!
//! Objects and lists are walked as far as they differ; what is the same is counted. Long texts and texts of JSON are
//! compared by what is in them. What the plan marks sensitive is never shown, and what nobody knows yet is said to be so.

use super::plan::Values;
use maud::{Markup, html};
use serde_json::Value;
use similar::{Algorithm, ChangeTag, DiffOp, TextDiff, capture_diff_slices};
use std::collections::BTreeSet;

/// Characters of one value that are shown.
const LONGEST: usize = 4000;
/// Rows of one change that are shown.
const MOST: usize = 2000;
/// Elements of lists, or lines of texts, beyond which no best match is looked for.
const COMPARED: usize = 2000;

const SENSITIVE: &str = "(sensitive)";
const UNKNOWN: &str = "(known after apply)";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Same,
    Add,
    Remove,
    Change,
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// One side, or both.
    Value(Option<String>, Option<String>),
    Open(&'static str),
    Close(&'static str),
    /// So many that are the same.
    Same(usize, &'static str),
    /// A line of a long text.
    Line(String),
}

#[derive(Debug, PartialEq, Eq)]
struct Row {
    depth: usize,
    sign: Sign,
    key: String,
    told: Told,
    forces: bool,
}

/// What there is of a value, on both sides.
#[derive(Clone, Copy)]
struct Sides<'a> {
    before: &'a Value,
    after: &'a Value,
    unknown: &'a Value,
    hidden: [&'a Value; 2],
}

const TRUE: Value = Value::Bool(true);
const NULL: Value = Value::Null;

/// What is below a mask: all of it where the mask is `true`.
fn below<'a>(mask: &'a Value, key: &str) -> &'a Value {
    match mask {
        Value::Bool(true) => &TRUE,
        Value::Object(fields) => fields.get(key).unwrap_or(&NULL),
        _ => &NULL,
    }
}

fn element(mask: &Value, index: usize) -> &Value {
    match mask {
        Value::Bool(true) => &TRUE,
        Value::Array(items) => items.get(index).unwrap_or(&NULL),
        _ => &NULL,
    }
}

/// Whether a mask marks anything.
fn marks(mask: &Value) -> bool {
    match mask {
        Value::Bool(marked) => *marked,
        Value::Array(items) => items.iter().any(marks),
        Value::Object(fields) => fields.values().any(marks),
        _ => false,
    }
}

impl<'a> Sides<'a> {
    fn of(values: &'a Values) -> Self {
        Self {
            before: &values.before,
            after: &values.after,
            unknown: &values.after_unknown,
            hidden: [&values.before_sensitive, &values.after_sensitive],
        }
    }

    fn field(self, key: &str) -> Self {
        Self {
            before: self.before.get(key).unwrap_or(&NULL),
            after: self.after.get(key).unwrap_or(&NULL),
            unknown: below(self.unknown, key),
            hidden: self.hidden.map(|mask| below(mask, key)),
        }
    }

    /// Elements at these places; nothing on the side that has none.
    fn elements(self, before: Option<usize>, after: Option<usize>) -> Self {
        let at = |value: &'a Value, index: Option<usize>| index.and_then(|i| value.get(i)).unwrap_or(&NULL);
        let mask = |mask: &'a Value, index: Option<usize>| index.map_or(&NULL, |i| element(mask, i));
        Self {
            before: at(self.before, before),
            after: at(self.after, after),
            unknown: mask(self.unknown, after),
            hidden: [mask(self.hidden[0], before), mask(self.hidden[1], after)],
        }
    }

    fn is_unknown(self) -> bool {
        *self.unknown == TRUE
    }

    fn is_there(self) -> bool {
        !self.before.is_null() || !self.after.is_null() || marks(self.unknown)
    }

    fn is_same(self) -> bool {
        self.before == self.after && !marks(self.unknown) && self.is_hidden(0) == self.is_hidden(1)
    }

    fn is_hidden(self, side: usize) -> bool {
        *self.hidden[side] == TRUE
    }

    fn sign(self) -> Sign {
        match (self.before.is_null(), self.after.is_null() && !marks(self.unknown)) {
            (true, _) => Sign::Add,
            (_, true) => Sign::Remove,
            _ if self.is_same() => Sign::Same,
            _ => Sign::Change,
        }
    }

    /// Each side in one line.
    fn told(self) -> Told {
        let side = |value: &Value, side: usize| {
            (!value.is_null()).then(|| {
                if self.is_hidden(side) { SENSITIVE.to_owned() } else { line(value, self.hidden[side]) }
            })
        };
        let after = if self.is_unknown() && self.is_hidden(1) {
            Some(SENSITIVE.to_owned())
        } else if self.is_unknown() {
            Some(UNKNOWN.to_owned())
        } else {
            side(self.after, 1)
        };
        Told::Value(side(self.before, 0), after)
    }
}

/// A value in one line, without what its mask hides.
fn line(value: &Value, mask: &Value) -> String {
    let mut text = if marks(mask) { without(value, mask).to_string() } else { value.to_string() };
    if text.len() > LONGEST {
        let mut end = LONGEST;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let rest = text.len() - end;
        text.truncate(end);
        text.push_str(&format!("… and {rest} bytes more"));
    }
    text
}

fn without(value: &Value, mask: &Value) -> Value {
    match (value, mask) {
        (_, Value::Bool(true)) => SENSITIVE.into(),
        (Value::Object(fields), _) => {
            fields.iter().map(|(key, value)| (key.clone(), without(value, below(mask, key)))).collect()
        }
        (Value::Array(items), _) => {
            items.iter().enumerate().map(|(index, value)| without(value, element(mask, index))).collect()
        }
        _ => value.clone(),
    }
}

struct Walk {
    rows: Vec<Row>,
}

impl Walk {
    fn push(&mut self, depth: usize, sign: Sign, key: &str, told: Told) {
        self.rows.push(Row { depth, sign, key: key.to_owned(), told, forces: false });
    }

    fn value(&mut self, depth: usize, key: &str, sides: Sides<'_>) {
        if self.rows.len() > MOST {
            return;
        }
        let sign = sides.sign();
        let hidden = sides.is_hidden(0) || sides.is_hidden(1);
        // What is not there is as empty as the other side.
        let shape = |value: &Value, kind: fn(&Value) -> bool| value.is_null() || kind(value);
        let both = |kind: fn(&Value) -> bool| {
            !hidden && !sides.is_unknown() && shape(sides.before, kind) && shape(sides.after, kind)
        };
        if both(Value::is_object) {
            self.block(depth, sign, key, ["{", "}"], |walk, depth| walk.fields(depth, sides));
        } else if both(Value::is_array) {
            self.block(depth, sign, key, ["[", "]"], |walk, depth| walk.elements(depth, sides));
        } else if both(Value::is_string) && self.texts(depth, sign, key, sides) {
        } else {
            self.push(depth, sign, key, sides.told());
        }
    }

    fn block(
        &mut self,
        depth: usize,
        sign: Sign,
        key: &str,
        brackets: [&'static str; 2],
        inner: impl FnOnce(&mut Self, usize),
    ) {
        let start = self.rows.len();
        self.push(depth, sign, key, Told::Open(brackets[0]));
        inner(self, depth + 1);
        if self.rows.len() == start + 1 {
            // Nothing in it: one line says so.
            let empty = Some(brackets.concat());
            let sides = if sign == Sign::Remove { (empty, None) } else { (None, empty) };
            self.rows[start].told = Told::Value(sides.0, sides.1);
        } else {
            self.push(depth, sign, "", Told::Close(brackets[1]));
        }
    }

    fn fields(&mut self, depth: usize, sides: Sides<'_>) {
        let mut keys: BTreeSet<&str> = BTreeSet::new();
        for value in [sides.before, sides.after, sides.unknown] {
            keys.extend(value.as_object().into_iter().flat_map(|fields| fields.keys().map(String::as_str)));
        }
        let mut same = 0;
        for key in keys {
            let sides = sides.field(key);
            if !sides.is_there() {
            } else if sides.is_same() {
                same += 1;
            } else {
                self.value(depth, key, sides);
            }
        }
        if same > 0 {
            self.push(depth, Sign::Same, "", Told::Same(same, "unchanged attribute"));
        }
    }

    fn elements(&mut self, depth: usize, sides: Sides<'_>) {
        let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |(index, value): (usize, Value), after: bool| {
            // What is not known is like nothing else.
            if after && marks(element(sides.unknown, index)) {
                format!("\0{index}")
            } else {
                value.to_string()
            }
        };
        let old: Vec<String> =
            items(sides.before).into_iter().enumerate().map(|item| text(item, false)).collect();
        let mut new: Vec<String> =
            items(sides.after).into_iter().enumerate().map(|item| text(item, true)).collect();
        // Elements at the end that are not known are in the mask alone.
        let unknown = sides.unknown.as_array().map_or(0, Vec::len);
        new.extend((new.len()..unknown).map(|index| format!("\0{index}")));
        let ops = if old.len().max(new.len()) > COMPARED {
            vec![DiffOp::Replace { old_index: 0, old_len: old.len(), new_index: 0, new_len: new.len() }]
        } else {
            capture_diff_slices(Algorithm::Myers, &old, &new)
        };
        let mut same = 0;
        for op in ops {
            let (old, new) = (op.old_range(), op.new_range());
            if let DiffOp::Equal { len, .. } = op {
                same += len;
                continue;
            }
            for n in 0..old.len().max(new.len()) {
                let at = |range: &std::ops::Range<usize>| (n < range.len()).then(|| range.start + n);
                let sides = sides.elements(at(&old), at(&new));
                if !sides.is_same() {
                    self.value(depth, "", sides);
                } else if sides.is_there() {
                    same += 1;
                }
            }
        }
        if same > 0 {
            self.push(depth, Sign::Same, "", Told::Same(same, "unchanged element"));
        }
    }

    /// Texts of JSON and of many lines; false where one line each says it as well.
    fn texts(&mut self, depth: usize, sign: Sign, key: &str, sides: Sides<'_>) -> bool {
        let (before, after) =
            (sides.before.as_str().unwrap_or_default(), sides.after.as_str().unwrap_or_default());
        let parsed =
            |text: &str| serde_json::from_str::<Value>(text).ok().filter(|v| v.is_object() || v.is_array());
        let json = |value: &Value, text| if value.is_null() { Some(NULL) } else { parsed(text) };
        if let (Some(before), Some(after)) = (json(sides.before, before), json(sides.after, after))
            && (before.is_object() == after.is_object() || before.is_null() || after.is_null())
            && before != after
        {
            let inner = Sides { before: &before, after: &after, unknown: &NULL, hidden: [&NULL; 2] };
            self.value(depth, &format!("{key} (JSON)"), inner);
            return true;
        }
        if !before.trim_end().contains('\n') && !after.trim_end().contains('\n') {
            return false;
        }
        if before.lines().count().max(after.lines().count()) > COMPARED {
            return false;
        }
        self.push(depth, sign, key, Told::Open("<<EOT"));
        self.lines(depth + 1, before, after);
        self.push(depth, sign, "", Told::Close("EOT"));
        true
    }

    fn lines(&mut self, depth: usize, before: &str, after: &str) {
        let diff = TextDiff::from_lines(before, after);
        for (n, group) in diff.grouped_ops(3).iter().enumerate() {
            if n > 0 {
                self.push(depth, Sign::Same, "", Told::Line("…".to_owned()));
            }
            for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                let sign = match change.tag() {
                    ChangeTag::Equal => Sign::Same,
                    ChangeTag::Delete => Sign::Remove,
                    ChangeTag::Insert => Sign::Add,
                };
                let text = change.value().trim_end_matches('\n').to_owned();
                self.push(depth, sign, "", Told::Line(text));
            }
        }
    }
}

fn rows(values: &Values) -> Vec<Row> {
    let mut walk = Walk { rows: Vec::new() };
    let sides = Sides::of(values);
    let object = |value: &Value| value.is_null() || value.is_object();
    if object(sides.before) && object(sides.after) && !sides.is_unknown() {
        walk.fields(0, sides);
    } else {
        walk.value(0, "", sides);
    }
    let forcing: BTreeSet<&str> =
        values.replace_paths.iter().filter_map(|path| path.first().and_then(Value::as_str)).collect();
    for row in &mut walk.rows {
        row.forces = row.depth == 0 && forcing.contains(row.key.trim_end_matches(" (JSON)"));
    }
    walk.rows
}

/// The attributes of a change.
pub(super) fn attributes(values: &Values) -> Markup {
    let rows = rows(values);
    html! {
        div.values {
            @if rows.is_empty() { p.muted { "None of its attributes changes." } }
            @for row in rows.iter().take(MOST) { (show(row)) }
            @if rows.len() > MOST { p.muted { "More is not shown here; the log and the plan's JSON have all of it." } }
        }
    }
}

/// An output's value: it has no attributes.
pub(super) fn single(name: &str, values: &Values) -> Markup {
    let mut walk = Walk { rows: Vec::new() };
    walk.value(0, name, Sides::of(values));
    html! { div.values { @for row in walk.rows.iter().take(MOST) { (show(row)) } } }
}

fn show(row: &Row) -> Markup {
    let (class, sign) = match row.sign {
        Sign::Same => ("same", " "),
        Sign::Add => ("add", "+"),
        Sign::Remove => ("remove", "-"),
        Sign::Change => ("change", "~"),
    };
    html! {
        div class={ "value " (class) " d" (row.depth.min(9)) } {
            span.sign { (sign) }
            span.what {
                @if !row.key.is_empty() { span.key { (row.key) } " " }
                @match &row.told {
                    Told::Value(before, after) => {
                        @if let Some(before) = before { del { (before) } }
                        @if let (Some(_), Some(_)) = (before, after) { span.arrow { " → " } }
                        @if let Some(after) = after { ins { (after) } }
                    }
                    Told::Open(bracket) | Told::Close(bracket) => { span.muted { (bracket) } }
                    Told::Same(count, what) => {
                        span.muted { (count) " " (what) @if *count != 1 { "s" } }
                    }
                    Told::Line(text) => { span.text { (text) } }
                }
                @if row.forces { " " span.forces { "forces replacement" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Each row as text: depth by two spaces, sign, key, what is told.
    fn told(values: Value) -> Vec<String> {
        let values: Values = serde_json::from_value(values).unwrap();
        let text = |row: &Row| {
            let sign = match row.sign {
                Sign::Same => "",
                Sign::Add => "+",
                Sign::Remove => "-",
                Sign::Change => "~",
            };
            let what = match &row.told {
                Told::Value(before, after) => {
                    [before, after].into_iter().flatten().cloned().collect::<Vec<_>>().join(" → ")
                }
                Told::Open(text) | Told::Close(text) => (*text).to_owned(),
                Told::Same(count, what) => format!("{count} {what}"),
                Told::Line(text) => text.clone(),
            };
            let forces = if row.forces { " !" } else { "" };
            format!("{}{sign} {} {what}{forces}", "  ".repeat(row.depth), row.key).replace("  ~", "~")
        };
        rows(&values).iter().map(|row| text(row).split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn only_what_differs_is_told_and_the_rest_is_counted() {
        let before = json!({ "id": "1", "input": { "cidr": "10.0.0.0/16", "region": "west" }, "none": null });
        let after = json!({ "id": "1", "input": { "cidr": "10.0.0.0/16", "region": "east" }, "none": null });
        let unknown = json!({ "output": true });
        let rows = told(json!({ "before": before, "after": after, "after_unknown": unknown,
            "replace_paths": [["input"]] }));
        assert_eq!(
            rows,
            [
                "~ input { !",
                "~ region \"west\" → \"east\"",
                "1 unchanged attribute",
                "~ }",
                "+ output (known after apply)",
                "1 unchanged attribute",
            ]
        );
    }

    #[test]
    fn what_is_sensitive_is_never_told() {
        let values = json!({
            "before": { "password": "hash-a", "list": ["hash-b", "c"], "same": "hash-x" },
            "after": { "password": "hash-d", "list": ["hash-e", "c"], "same": "hash-x" },
            "before_sensitive": { "password": true, "list": [true], "same": true },
            "after_sensitive": { "password": true, "list": [true, false], "same": true },
        });
        let rows = told(values.clone());
        assert_eq!(
            rows,
            [
                "~ list [",
                "~ (sensitive) → (sensitive)",
                "1 unchanged element",
                "~ ]",
                "~ password (sensitive) → (sensitive)",
                "1 unchanged attribute",
            ]
        );
        let shown = attributes(&serde_json::from_value(values).unwrap()).into_string();
        assert!(!shown.contains("hash"), "{shown}");
        let whole = told(
            json!({ "before": null, "after": { "a": { "b": "hash" } }, "after_sensitive": { "a": true } }),
        );
        assert_eq!(whole, ["+ a (sensitive)"]);
        let partly = told(json!({ "before": { "a": { "b": "hash", "c": 1 } }, "after": { "a": "text" },
            "before_sensitive": { "a": { "b": true } } }));
        assert_eq!(partly, ["~ a {\"b\":\"(sensitive)\",\"c\":1} → \"text\""]);
    }

    #[test]
    fn a_list_is_compared_by_its_elements_and_not_by_their_places() {
        let rows =
            told(json!({ "before": { "zones": ["a", "b", "c"] }, "after": { "zones": ["b", "c", "d"] } }));
        assert_eq!(rows, ["~ zones [", "- \"a\"", "+ \"d\"", "2 unchanged element", "~ ]"]);
        let unknown = json!({ "before": { "ids": ["x"] }, "after": { "ids": ["x", null] },
            "after_unknown": { "ids": [false, true] } });
        assert_eq!(told(unknown), ["~ ids [", "+ (known after apply)", "1 unchanged element", "~ ]"]);
    }

    #[test]
    fn a_long_text_is_compared_by_line_and_json_by_what_is_in_it() {
        let rows = told(json!({ "before": { "script": "a\nb\nc\n" }, "after": { "script": "a\nB\nc\n" } }));
        assert_eq!(rows, ["~ script <<EOT", "a", "- b", "+ B", "c", "~ EOT"]);
        let rows = told(json!({ "before": { "policy": "{\"allow\":[\"get\"]}" },
            "after": { "policy": "{\"allow\":[\"get\",\"put\"]}" } }));
        assert_eq!(
            rows,
            ["~ policy (JSON) {", "~ allow [", "+ \"put\"", "1 unchanged element", "~ ]", "~ }",]
        );
    }

    #[test]
    fn one_side_alone_is_told_whole() {
        let rows = told(json!({ "before": null, "after": { "input": { "a": 1 }, "tags": [] } }));
        assert_eq!(rows, ["+ input {", "+ a 1", "+ }", "+ tags []"]);
        let rows = told(json!({ "before": { "id": "x" }, "after": null }));
        assert_eq!(rows, ["- id \"x\""]);
    }
}
