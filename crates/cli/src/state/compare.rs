//! `ferroform state diff`: what changed between two versions, in the manner of a plan.

use super::{
    At,
    file::{StateFile, redacted},
    is_whole,
    show::Listed,
};
use crate::{
    desk::Desk,
    failure::Failure,
    render::{
        Style,
        diff::{Diff, Sides},
    },
};
use client::StateVersion;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[derive(clap::Args, Clone, Debug)]
pub(super) struct DiffArgs {
    /// Id (sv-…) or serial of the older one [default: the one before TO]
    #[arg(value_name = "FROM")]
    from: Option<String>,

    /// Id or serial of the newer one
    #[arg(value_name = "TO", default_value = "current")]
    to: String,

    /// Exit with 2 instead of 0 when they differ
    #[arg(long)]
    detailed_exitcode: bool,
}

pub(super) const AFTER_HELP: &str = "\
Data sources are not compared: they are read anew by each run. Sensitive values are never shown, only that they changed.";

/// What happened to a resource or an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Added,
    Removed,
    Changed,
}

impl Change {
    /// As a plan's document would call it.
    fn action(self) -> &'static str {
        match self {
            Self::Added => "create",
            Self::Removed => "delete",
            Self::Changed => "update",
        }
    }
}

/// A difference: the name of the resource or output, and a plan's `change` object.
#[derive(Debug)]
struct Difference {
    name: String,
    change: Change,
    /// With the sensitive values in it.
    whole: Value,
    /// Without them.
    shown: Value,
}

/// All that differs between two states.
#[derive(Debug)]
pub(super) struct Differences {
    resources: Vec<Difference>,
    outputs: Vec<Difference>,
}

#[derive(Serialize)]
struct Document<'a> {
    from: Option<Listed<'a>>,
    to: Listed<'a>,
    resource_changes: Vec<Value>,
    output_changes: Value,
}

impl Differences {
    pub(super) fn between(before: &StateFile, after: &StateFile) -> Self {
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
    pub(super) fn summary(&self) -> String {
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

    pub(super) fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.outputs.is_empty()
    }

    fn render(&self, style: Style) -> String {
        let mut out = String::new();
        for difference in &self.resources {
            let (symbol, word) = match difference.change {
                Change::Added => (style.green("+"), "was added"),
                Change::Removed => (style.red("-"), "was removed"),
                Change::Changed => (style.yellow("~"), "changed"),
            };
            out.push_str(&format!("{symbol} {}\n", style.bold(&format!("{} {word}", difference.name))));
            let mut diff = Diff::new(style, &[]);
            diff.body(&Sides::of_change(&difference.whole), &Value::Null, 0);
            out.push_str(&diff.finish());
            out.push('\n');
        }
        if !self.outputs.is_empty() {
            out.push_str(&format!("{}\n", style.bold("Outputs")));
            let parts: Vec<_> =
                self.outputs.iter().map(|o| (o.name.as_str(), Sides::of_change(&o.whole))).collect();
            let mut diff = Diff::new(style, &[]);
            diff.attributes(&parts, 0);
            out.push_str(&diff.finish());
            out.push('\n');
        }
        out.push_str(&style.bold(&format!("Resources: {}.", self.summary())));
        out
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

pub(super) async fn diff(args: &DiffArgs, at: &At, desk: &mut Desk) -> Result<u8, Failure> {
    let to = at.version(&args.to).await?;
    let from = match &args.from {
        Some(named) => Some(at.version(named).await?),
        None => before(at, &to).await?,
    };
    let after = at.file(&to).await?;
    let before = match &from {
        Some(from) => at.file(from).await?,
        None => StateFile { outputs: [].into(), resources: [].into() },
    };
    let found = Differences::between(&before, &after);
    let document = Document {
        from: from.as_ref().map(Listed::of),
        to: Listed::of(&to),
        resource_changes: found
            .resources
            .iter()
            .map(|difference| json!({"address": difference.name, "change": difference.shown}))
            .collect(),
        output_changes: found
            .outputs
            .iter()
            .map(|difference| (difference.name.clone(), difference.shown.clone()))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    };
    desk.answer(&document, |style| {
        let name = |version: &StateVersion| format!("{} (serial {})", version.id, version.serial);
        let from = from.as_ref().map_or_else(|| "nothing".to_owned(), name);
        let head = style.dim(&format!("From {from} to {}", name(&to)));
        if found.is_empty() {
            format!("{head}\n\nNo resource and no output differs.")
        } else {
            format!("{head}\n\n{}", found.render(style))
        }
    });
    Ok(if args.detailed_exitcode && !found.is_empty() { 2 } else { 0 })
}

/// The version before another; `None` when that is the first.
async fn before(at: &At, to: &StateVersion) -> Result<Option<StateVersion>, Failure> {
    let all = at.versions(super::SEARCHED).await?;
    Ok(all.into_iter().skip_while(|version| version.id != to.id).skip(1).find(is_whole))
}
