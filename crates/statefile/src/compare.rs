//! What differs between two states, in the terms of a plan's document.

use crate::file::{StateFile, redacted};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What happened to a resource or an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there before.
    Added,
    /// It is not there any more.
    Removed,
    /// It has other attributes, or another value.
    Changed,
}

impl Change {
    /// As a plan's document would call it.
    pub fn action(self) -> &'static str {
        match self {
            Self::Added => "create",
            Self::Removed => "delete",
            Self::Changed => "update",
        }
    }
}

/// A difference: the name of the resource or output, and a plan's `change` object.
#[derive(Debug)]
pub struct Difference {
    /// The address of a resource, the name of an output.
    pub name: String,
    /// What happened.
    pub change: Change,
    /// With the sensitive values in it.
    pub whole: Value,
    /// Without them.
    pub shown: Value,
}

/// All that differs between two states.
#[derive(Debug)]
pub struct Differences {
    /// Of managed resources, by address. Data sources are not compared: they are read anew by each run.
    pub resources: Vec<Difference>,
    /// Of outputs, by name.
    pub outputs: Vec<Difference>,
}

impl Differences {
    /// Compares an earlier state with a later one.
    pub fn between(before: &StateFile, after: &StateFile) -> Self {
        let managed = |file: &StateFile| -> BTreeSet<String> {
            file.resources.iter().filter(|(_, r)| !r.is_data).map(|(name, _)| name.clone()).collect()
        };
        let addresses: BTreeSet<_> = managed(before).union(&managed(after)).cloned().collect();
        let resources = addresses.into_iter().filter_map(|address| {
            let side = |file: &'_ StateFile| {
                file.resources.get(&address).map(|r| (r.attributes.clone(), r.sensitive.clone()))
            };
            Difference::of(address.clone(), side(before), side(after))
        });
        let names: BTreeSet<_> = before.outputs.keys().chain(after.outputs.keys()).cloned().collect();
        let outputs = names.into_iter().filter_map(|name| {
            let side = |file: &'_ StateFile| {
                file.outputs.get(&name).map(|output| (output.value.clone(), Value::Bool(output.sensitive)))
            };
            Difference::of(name.clone(), side(before), side(after))
        });
        Self { resources: resources.collect(), outputs: outputs.collect() }
    }

    /// `1 added, 0 changed, 2 removed`, of resources.
    pub fn summary(&self) -> String {
        let count = |change| self.resources.iter().filter(|difference| difference.change == change).count();
        let outputs = match self.outputs.len() {
            0 => String::new(),
            1 => "; 1 output differs".to_owned(),
            n => format!("; {n} outputs differ"),
        };
        format!(
            "{} added, {} changed, {} removed{outputs}",
            count(Change::Added),
            count(Change::Changed),
            count(Change::Removed)
        )
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.outputs.is_empty()
    }
}

impl Difference {
    /// Each side is a value and its mask; `None` where both are alike.
    fn of(name: String, before: Option<(Value, Value)>, after: Option<(Value, Value)>) -> Option<Self> {
        let change = match (&before, &after) {
            (None, None) => return None,
            (None, Some(_)) => Change::Added,
            (Some(_), None) => Change::Removed,
            (Some((before, _)), Some((after, _))) if before == after => return None,
            (Some(_), Some(_)) => Change::Changed,
        };
        let (before, before_mask) = before.unwrap_or_default();
        let (after, after_mask) = after.unwrap_or_default();
        let (shown_before, before_sensitive) = redacted(&before, &before_mask);
        let (shown_after, after_sensitive) = redacted(&after, &after_mask);
        let object = |before: &Value, after: &Value| {
            json!({"actions": [change.action()], "before": before, "after": after,
                "before_sensitive": before_sensitive, "after_sensitive": after_sensitive})
        };
        let whole = object(&before, &after);
        let shown = object(&shown_before, &shown_after);
        Some(Self { name, change, whole, shown })
    }
}
