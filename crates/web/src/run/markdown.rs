//! A plan as Markdown, to be pasted where a change is talked about.

use super::{
    model::Whole,
    plan::{Action, Plan},
    tree::because,
};
use std::fmt::Write;

/// Changes that are listed; more would hide the rest of what is talked about.
const MOST: usize = 100;

/// Summary and list of changes; `address` leads to the run.
pub(super) fn of(whole: &Whole, plan: &Plan, address: &str) -> String {
    let mut text = String::new();
    let [add, change, destroy, import] = whole.plan.counts().unwrap_or_default();
    let (status, _) = crate::parts::status(&whole.run.status);
    let mut put =
        |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("writing to a string does not fail");
    put(format_args!("### Terraform plan: {}", plain(&whole.run.message)));
    put(format_args!(""));
    let imports = if import > 0 { format!("{import} to import, ") } else { String::new() };
    put(format_args!(
        "**{imports}{add} to add, {change} to change, {destroy} to destroy** · {status} · [{}]({address})",
        whole.run.id
    ));
    put(format_args!(""));
    let told: Vec<_> = plan.told().filter(|change| change.action != Action::Read).collect();
    if !told.is_empty() {
        put(format_args!("```diff"));
        for change in told.iter().take(MOST) {
            let sign = match change.action {
                Action::Create => "+",
                Action::Delete => "-",
                Action::Replace | Action::CreateBeforeDestroy => "-+",
                Action::Update => "!",
                _ => " ",
            };
            let moved =
                change.moved_from.as_ref().map(|from| format!(" (moved from {from})")).unwrap_or_default();
            let why = change.reason.as_deref().map(|why| format!(": {}", because(why))).unwrap_or_default();
            put(format_args!("{sign} {}{moved} {}{why}", change.address, change.action.words()));
        }
        if told.len() > MOST {
            put(format_args!("  … and {} more", told.len() - MOST));
        }
        put(format_args!("```"));
    }
    if !plan.drift.is_empty() {
        put(format_args!(""));
        put(format_args!("{} resources were changed outside of Terraform.", plan.drift.len()));
    }
    text
}

/// A message in one line, without what Markdown would take for marks.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace(['`', '*', '<', '['], "")
}
