//! `ferroform state diff`: what changed between two versions, in the manner of a plan.

use super::{At, is_whole, show::Listed};
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
use statefile::{Change, Differences, StateFile};

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

#[derive(Serialize)]
struct Document<'a> {
    from: Option<Listed<'a>>,
    to: Listed<'a>,
    resource_changes: Vec<Value>,
    output_changes: Value,
}

/// In the manner of a plan.
fn render(found: &Differences, style: Style) -> String {
    let mut out = String::new();
    for difference in &found.resources {
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
    if !found.outputs.is_empty() {
        out.push_str(&format!("{}\n", style.bold("Outputs")));
        let parts: Vec<_> =
            found.outputs.iter().map(|o| (o.name.as_str(), Sides::of_change(&o.whole))).collect();
        let mut diff = Diff::new(style, &[]);
        diff.attributes(&parts, 0);
        out.push_str(&diff.finish());
        out.push('\n');
    }
    out.push_str(&style.bold(&format!("Resources: {}.", found.summary())));
    out
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
            format!("{head}\n\n{}", render(&found, style))
        }
    });
    Ok(if args.detailed_exitcode && !found.is_empty() { 2 } else { 0 })
}

/// The version before another; `None` when that is the first.
async fn before(at: &At, to: &StateVersion) -> Result<Option<StateVersion>, Failure> {
    let all = at.versions(super::SEARCHED).await?;
    Ok(all.into_iter().skip_while(|version| version.id != to.id).skip(1).find(is_whole))
}
