//! The difference of two values, in the manner of Terraform's plans.
//!
//! A line of nesting level *n* is indented by 4*n* + 2 columns, then come the symbol (`+ - ~` or a space) and a space.
//! Values that are unchanged are counted, not shown. What only the apply will know is `(known after apply)`; what is
//! sensitive is `(sensitive value)`, whatever its value.

use crate::render::{
    align::{align, by_index},
    style::Style,
    value::quoted,
};
use serde_json::Value;
use std::collections::BTreeSet;

const NULL: &Value = &Value::Null;

/// Both sides of a change, with the masks that Terraform gives beside them: of the same shape, `true` where it holds.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    before: &'a Value,
    after: &'a Value,
    unknown: &'a Value,
    before_sensitive: &'a Value,
    after_sensitive: &'a Value,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Same,
    Create,
    Delete,
    Update,
}

impl<'a> Sides<'a> {
    /// From a `change` object of a plan's document.
    pub fn of_change(change: &'a Value) -> Self {
        let actions: Vec<_> =
            change["actions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        // Of an output both masks are set whatever happens to it.
        let mask = |name: &str, absent: &str| if actions == [absent] { NULL } else { &change[name] };
        Self {
            before: &change["before"],
            after: &change["after"],
            unknown: &change["after_unknown"],
            before_sensitive: mask("before_sensitive", "create"),
            after_sensitive: mask("after_sensitive", "delete"),
        }
    }

    fn member(&self, name: &str) -> Self {
        self.child(|value| value.get(name))
    }

    fn item(&self, before: Option<usize>, after: Option<usize>) -> Self {
        let at = |value: &'a Value, index: Option<usize>| {
            index.map_or(NULL, |index| child(value, |v| v.get(index)))
        };
        Self {
            before: at(self.before, before),
            after: at(self.after, after),
            unknown: at(self.unknown, after),
            before_sensitive: at(self.before_sensitive, before),
            after_sensitive: at(self.after_sensitive, after),
        }
    }

    fn child(&self, get: impl Fn(&'a Value) -> Option<&'a Value>) -> Self {
        Self {
            before: get(self.before).unwrap_or(NULL),
            after: get(self.after).unwrap_or(NULL),
            unknown: child(self.unknown, &get),
            before_sensitive: child(self.before_sensitive, &get),
            after_sensitive: child(self.after_sensitive, &get),
        }
    }

    fn is_sensitive(&self) -> bool {
        *self.before_sensitive == true || *self.after_sensitive == true
    }

    fn kind(&self) -> Kind {
        // A redacted value is null on both sides; that it is marked on one side only tells what happened.
        let hidden = |mask: &Value, value: &Value| *mask == true && value.is_null();
        let before = !self.before.is_null() || hidden(self.before_sensitive, self.before);
        let after = !self.after.is_null() || hidden(self.after_sensitive, self.after) || holds(self.unknown);
        match (before, after) {
            (false, false) => Kind::Same,
            (false, true) => Kind::Create,
            (true, false) => Kind::Delete,
            (true, true) if self.before == self.after && !holds(self.unknown) => Kind::Same,
            (true, true) => Kind::Update,
        }
    }

    fn names(&self) -> BTreeSet<&'a str> {
        let objects = [self.before, self.after, self.unknown].into_iter().filter_map(Value::as_object);
        objects.flat_map(|object| object.keys().map(String::as_str)).collect()
    }
}

/// A mask that is `true` as a whole is so for every part.
fn child<'a>(value: &'a Value, get: impl Fn(&'a Value) -> Option<&'a Value>) -> &'a Value {
    if *value == true { value } else { get(value).unwrap_or(NULL) }
}

/// Whether a mask is `true` anywhere.
fn holds(mask: &Value) -> bool {
    match mask {
        Value::Bool(set) => *set,
        Value::Array(items) => items.iter().any(holds),
        Value::Object(members) => members.values().any(holds),
        _ => false,
    }
}

/// Writes differences line by line.
pub struct Diff<'a> {
    style: Style,
    replace: &'a [Value],
    path: Vec<Value>,
    out: String,
}

impl<'a> Diff<'a> {
    /// A writer that marks the given paths as the ones that force a replacement.
    pub fn new(style: Style, replace_paths: &'a [Value]) -> Self {
        Self { style, replace: replace_paths, path: vec![], out: String::new() }
    }

    /// What was written.
    pub fn finish(self) -> String {
        self.out
    }

    /// The inside of a resource or a nested block: attributes, then blocks as `schema` (a provider schema's `block`
    /// object; null when unknown) tells them apart.
    pub fn body(&mut self, sides: &Sides<'_>, schema: &Value, level: usize) {
        let blocks = schema["block_types"].as_object();
        let is_block = |name: &str| blocks.is_some_and(|blocks| blocks.contains_key(name));
        let names = sides.names();
        let of = |name| (name, sides.member(name));
        let attributes: Vec<_> = names.iter().copied().filter(|name| !is_block(name)).map(of).collect();
        let before = self.out.len();
        self.attributes(&attributes, level);
        let mut first = self.out.len() > before;
        let mut hidden = 0;
        for (name, part) in names.iter().copied().filter(|name| is_block(name)).map(of) {
            let schema = &blocks.expect("there are blocks")[name]["block"];
            self.path.push(name.into());
            for (index, item) in instances(&part) {
                if item.kind() == Kind::Same {
                    hidden += usize::from(!item.after.is_null());
                    continue;
                }
                if std::mem::take(&mut first) {
                    self.out.push('\n');
                }
                self.path.extend(index.clone());
                let forces = self.forces();
                let symbol = self.symbol(item.kind());
                self.line(level, &symbol, &format!("{name} {{{forces}"));
                self.body(&item, schema, level + 1);
                self.close(level, "}");
                if index.is_some() {
                    self.path.pop();
                }
                first = false;
            }
            self.path.pop();
        }
        self.hidden(hidden, "block", level);
    }

    /// The attributes of a resource or a block, or outputs: those that are null are not there at all.
    pub fn attributes(&mut self, parts: &[(&str, Sides<'_>)], level: usize) {
        let there = parts.iter().filter(|(_, part)| part.kind() != Kind::Same || !part.after.is_null());
        // What tells which object it is stays visible.
        let stays = |name: &str| level == 1 && matches!(name, "id" | "name");
        let (shown, hidden): (Vec<_>, Vec<_>) =
            there.copied().partition(|(name, part)| part.kind() != Kind::Same || stays(name));
        self.named(&shown, hidden.len(), &shown, level);
    }

    /// The members of an object.
    fn members(&mut self, parts: &[(&str, Sides<'_>)], level: usize) {
        let shown: Vec<_> = parts.iter().copied().filter(|(_, part)| part.kind() != Kind::Same).collect();
        self.named(&shown, parts.len() - shown.len(), parts, level);
    }

    /// Named values, aligned as if all of `aligned` were shown.
    fn named(
        &mut self,
        shown: &[(&str, Sides<'_>)],
        hidden: usize,
        aligned: &[(&str, Sides<'_>)],
        level: usize,
    ) {
        let width = aligned.iter().map(|(name, _)| label(name).chars().count()).max().unwrap_or(0);
        for (name, part) in shown {
            self.path.push((*name).into());
            self.value(&format!("{:width$} = ", label(name)), part.kind(), part, level, "");
            self.path.pop();
        }
        self.hidden(hidden, "attribute", level);
    }

    fn value(&mut self, label: &str, kind: Kind, sides: &Sides<'_>, level: usize, end: &str) {
        let symbol = self.symbol(kind);
        let forces = self.forces();
        let text = match kind {
            Kind::Create => self.whole(sides.after, sides.unknown, sides.after_sensitive, &symbol, level),
            Kind::Same => self.whole(sides.after, NULL, sides.after_sensitive, " ", level),
            Kind::Delete => {
                let text = self.whole(sides.before, NULL, sides.before_sensitive, &symbol, level);
                if end.is_empty() { format!("{text} {}", self.style.dim("-> null")) } else { text }
            }
            Kind::Update => {
                if self.nested(label, sides, level, end, &forces) {
                    return;
                }
                self.arrow(sides, level)
            }
        };
        // Beside the opening bracket, not behind the last of many lines.
        let text = match text.split_once('\n') {
            Some((head, rest)) => format!("{head}{forces}\n{rest}{end}"),
            None => format!("{text}{end}{forces}"),
        };
        self.line(level, &symbol, &format!("{label}{text}"));
    }

    /// `old -> new`, where the two are not compared part by part.
    fn arrow(&self, sides: &Sides<'_>, level: usize) -> String {
        if sides.is_sensitive() {
            return "(sensitive value)".to_owned();
        }
        let old = self.whole(sides.before, NULL, NULL, &self.symbol(Kind::Delete), level);
        let new = self.whole(sides.after, sides.unknown, NULL, &self.symbol(Kind::Create), level);
        format!("{old} {} {new}", self.style.yellow("->"))
    }

    /// Compares two values of the same shape part by part; `false` when they are none.
    fn nested(&mut self, label: &str, sides: &Sides<'_>, level: usize, end: &str, forces: &str) -> bool {
        if sides.is_sensitive() || *sides.unknown == true {
            return false;
        }
        let symbol = self.symbol(Kind::Update);
        match (sides.before, sides.after) {
            (Value::Object(_), Value::Object(_)) => {
                self.line(level, &symbol, &format!("{label}{{{forces}"));
                let names = sides.names();
                let parts: Vec<_> = names.iter().map(|name| (*name, sides.member(name))).collect();
                self.members(&parts, level + 1);
                self.close(level, &format!("}}{end}"));
            }
            (Value::Array(before), Value::Array(after)) => {
                self.line(level, &symbol, &format!("{label}[{forces}"));
                self.items(sides, before, after, level + 1);
                self.close(level, &format!("]{end}"));
            }
            (Value::String(before), Value::String(after)) => {
                if let (Some(before), Some(after)) = (json(before), json(after)) {
                    self.line(level, &symbol, &format!("{label}jsonencode({forces}"));
                    let inner = Sides {
                        before: &before,
                        after: &after,
                        unknown: NULL,
                        before_sensitive: NULL,
                        after_sensitive: NULL,
                    };
                    let kind = inner.kind();
                    self.value("", kind, &inner, level + 1, "");
                    self.close(level, &format!("){end}"));
                } else if before.contains('\n') || after.contains('\n') {
                    self.line(level, &symbol, &format!("{label}<<-EOT{forces}"));
                    self.text(before, after, level);
                    self.close(level, &format!("EOT{end}"));
                } else {
                    return false;
                }
            }
            _ => return false,
        }
        true
    }

    fn items(&mut self, sides: &Sides<'_>, before: &[Value], after: &[Value], level: usize) {
        let masked = [sides.unknown, sides.before_sensitive, sides.after_sensitive].into_iter().any(holds);
        let same_shape =
            before.len() == after.len() && after.iter().any(|item| item.is_object() || item.is_array());
        let pairs =
            if masked || same_shape { by_index(before.len(), after.len()) } else { align(before, after) };
        let items: Vec<_> = pairs.into_iter().map(|(old, new)| (new.or(old), sides.item(old, new))).collect();
        let changed: Vec<_> = items.iter().map(|(_, item)| item.kind() != Kind::Same).collect();
        let mut hidden = 0;
        for (at, (index, item)) in items.iter().enumerate() {
            // The neighbours of a change show where in the list it is.
            let near = changed[at.saturating_sub(1)..(at + 2).min(changed.len())].contains(&true);
            if near {
                self.hidden(std::mem::take(&mut hidden), "element", level);
                self.path.push(index.unwrap_or(0).into());
                self.value("", item.kind(), item, level, ",");
                self.path.pop();
            } else {
                hidden += 1;
            }
        }
        self.hidden(hidden, "element", level);
    }

    fn text(&mut self, before: &str, after: &str, level: usize) {
        let lines = |text: &str| text.trim_end_matches('\n').split('\n').map(Value::from).collect::<Vec<_>>();
        let (before, after) = (lines(before), lines(after));
        for (old, new) in align(&before, &after) {
            let (kind, line) = match (old, new) {
                (Some(_), Some(new)) => (Kind::Same, &after[new]),
                (Some(old), None) => (Kind::Delete, &before[old]),
                (None, Some(new)) => (Kind::Create, &after[new]),
                (None, None) => continue,
            };
            let symbol = self.symbol(kind);
            self.line(level + 1, &symbol, line.as_str().unwrap_or_default());
        }
    }

    /// A value that is only on one side.
    fn whole(&self, value: &Value, unknown: &Value, sensitive: &Value, symbol: &str, level: usize) -> String {
        if *unknown == true {
            return "(known after apply)".to_owned();
        }
        if *sensitive == true {
            return "(sensitive value)".to_owned();
        }
        let inner = " ".repeat(4 * level + 6);
        let outer = " ".repeat(4 * level + 4);
        let parts =
            Sides { before: NULL, after: value, unknown, before_sensitive: NULL, after_sensitive: sensitive };
        let part =
            |part: Sides<'_>| self.whole(part.after, part.unknown, part.after_sensitive, symbol, level + 1);
        let names = parts.names();
        match value {
            Value::Array(items) if !items.is_empty() => {
                let item = |index| format!("{inner}{symbol} {},\n", part(parts.item(None, Some(index))));
                format!("[\n{}{outer}]", (0..items.len()).map(item).collect::<String>())
            }
            Value::Object(_) | Value::Null if !names.is_empty() => {
                let width = names.iter().map(|name| label(name).chars().count()).max().unwrap_or(0);
                let member = |name: &&str| {
                    format!("{inner}{symbol} {:width$} = {}\n", label(name), part(parts.member(name)))
                };
                format!("{{\n{}{outer}}}", names.iter().map(member).collect::<String>())
            }
            Value::Object(_) => "{}".to_owned(),
            Value::String(text) => match json(text) {
                Some(document) => {
                    let value = self.whole(&document, NULL, NULL, symbol, level + 1);
                    format!("jsonencode(\n{outer}    {value}\n{outer})")
                }
                None if text.contains('\n') => {
                    let lines = text.trim_end_matches('\n').split('\n');
                    let lines: String = lines.map(|line| format!("{outer}    {line}\n")).collect();
                    format!("<<-EOT\n{lines}{outer}EOT")
                }
                None => quoted(text),
            },
            other => other.to_string(),
        }
    }

    fn symbol(&self, kind: Kind) -> String {
        match kind {
            Kind::Same => " ".to_owned(),
            Kind::Create => self.style.green("+"),
            Kind::Delete => self.style.red("-"),
            Kind::Update => self.style.yellow("~"),
        }
    }

    fn forces(&self) -> String {
        let hit = self.replace.iter().any(|path| path.as_array() == Some(&self.path));
        if hit { format!(" {}", self.style.red("# forces replacement")) } else { String::new() }
    }

    fn line(&mut self, level: usize, symbol: &str, text: &str) {
        let line = format!("{}{symbol} {text}", " ".repeat(4 * level + 2));
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    fn close(&mut self, level: usize, bracket: &str) {
        self.out.push_str(&format!("{}{bracket}\n", " ".repeat(4 * level + 4)));
    }

    fn hidden(&mut self, count: usize, what: &str, level: usize) {
        if count > 0 {
            let plural = if count == 1 { "" } else { "s" };
            let note = self.style.dim(&format!("# ({count} unchanged {what}{plural} hidden)"));
            self.out.push_str(&format!("{}{note}\n", " ".repeat(4 * level + 4)));
        }
    }
}

/// The blocks of one type: of a list or set each, of a map each, or the only one.
fn instances<'a>(part: &Sides<'a>) -> Vec<(Option<Value>, Sides<'a>)> {
    let list = |value: &Value| value.as_array().map(Vec::len);
    match (list(part.before), list(part.after)) {
        (None, None) if *part.unknown == true || part.before.is_object() || part.after.is_object() => {
            vec![(None, *part)]
        }
        (None, None) => vec![],
        (before, after) => {
            let (before, after) = (before.unwrap_or(0), after.unwrap_or(0));
            let pairs = by_index(before, after).into_iter();
            pairs.map(|(old, new)| (new.or(old).map(Value::from), part.item(old, new))).collect()
        }
    }
}

/// Text that is a JSON object or array with something in it.
fn json(text: &str) -> Option<Value> {
    let value: Value =
        text.trim_start().starts_with(['{', '[']).then(|| serde_json::from_str(text).ok())??;
    let empty =
        value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(|map| map.is_empty());
    (!empty).then_some(value)
}

/// A name bare where HCL allows it.
fn label(name: &str) -> String {
    let bare = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let begins = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if begins && name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn diff(change: Value) -> String {
        let replace = change["replace_paths"].as_array().cloned().unwrap_or_default();
        let mut diff = Diff::new(Style::PLAIN, &replace);
        diff.body(&Sides::of_change(&change), &change["schema"], 0);
        diff.finish()
    }

    #[test]
    fn changed_parts_are_shown_and_the_rest_is_counted() {
        let shown = diff(json!({
            "before": {"a": 1, "list": [0, 1, 2, 3], "map": {"x": "1", "y z": "2"}, "same": true, "gone": "g"},
            "after": {"a": 2, "list": [0, 1, 3, 4], "map": {"x": "1", "y z": "3"}, "same": true},
            "after_unknown": {"new": true},
            "replace_paths": [["a"], ["map", "y z"]],
        }));
        assert_eq!(
            shown,
            r#"  ~ a    = 1 -> 2 # forces replacement
  - gone = "g" -> null
  ~ list = [
        # (1 unchanged element hidden)
        1,
      - 2,
        3,
      + 4,
    ]
  ~ map  = {
      ~ "y z" = "2" -> "3" # forces replacement
        # (1 unchanged attribute hidden)
    }
  + new  = (known after apply)
    # (1 unchanged attribute hidden)
"#
        );
    }

    #[test]
    fn a_sensitive_value_is_never_shown_wherever_it_stands() {
        let shown = diff(json!({
            "before": {"all": "hunter1", "part": {"open": 1, "shut": "hunter2"}, "becomes": "hunter3"},
            "after": {"all": "hunter4", "part": {"open": 2, "shut": "hunter5"}, "becomes": "hunter3b", "new": "hunter6"},
            "before_sensitive": {"all": true, "part": {"shut": true}},
            "after_sensitive": {"all": true, "part": {"shut": true}, "becomes": true, "new": true},
        }));
        assert!(!shown.contains("hunter"), "{shown}");
        assert_eq!(shown.matches("(sensitive value)").count(), 4, "{shown}");
    }

    #[test]
    fn text_of_many_lines_and_json_are_compared_inside() {
        let shown = diff(json!({
            "before": {"text": "a\nb\n", "policy": "{\"Statement\":[{\"Effect\":\"Allow\"}],\"V\":1}"},
            "after": {"text": "a\nc\n", "policy": "{\"Statement\":[{\"Effect\":\"Deny\"}],\"V\":1}"},
        }));
        assert_eq!(
            shown,
            r#"  ~ policy = jsonencode(
      ~ {
          ~ Statement = [
              ~ {
                  ~ Effect = "Allow" -> "Deny"
                },
            ]
            # (1 unchanged attribute hidden)
        }
    )
  ~ text   = <<-EOT
        a
      - b
      + c
    EOT
"#
        );
    }

    #[test]
    fn blocks_are_told_from_attributes_by_the_schema() {
        let shown = diff(json!({
            "before": {"name": "x", "disk": [{"size": 1}, {"size": 2}]},
            "after": {"name": "y", "disk": [{"size": 1}, {"size": 3}, {"size": 4}]},
            "schema": {"block_types": {"disk": {"nesting_mode": "list", "block": {}}}},
        }));
        assert_eq!(
            shown,
            r#"  ~ name = "x" -> "y"

  ~ disk {
      ~ size = 2 -> 3
    }
  + disk {
      + size = 4
    }
    # (1 unchanged block hidden)
"#
        );
    }
}
