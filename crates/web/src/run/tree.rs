//! The plan as a tree: its modules, in them its resources, in each what changes of it once it is opened.

use super::{
    plan::{Action, Change, Plan},
    values,
};
use crate::visit::{Visit, segment};
use http_api::Result;
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Changes that are listed at once.
const AT_ONCE: usize = 300;

/// Actions to choose from, with their names.
const CHOICES: [(&str, &str); 8] = [
    ("create", "Create"),
    ("update", "Update"),
    ("replace", "Replace"),
    ("delete", "Destroy"),
    ("read", "Read"),
    ("import", "Import"),
    ("move", "Move"),
    ("forget", "Forget"),
];

/// What of a plan somebody wants to see.
#[derive(Debug, Default)]
pub(super) struct Filter {
    action: String,
    kind: String,
    text: String,
    from: usize,
    show: usize,
}

impl Filter {
    pub(super) fn of(visit: &Visit) -> Self {
        let number = |name: &str| visit.query(name).and_then(|text| text.parse::<usize>().ok());
        let text = |name: &str| visit.query(name).unwrap_or_default();
        let from = number("from").unwrap_or(0);
        Self {
            action: text("action"),
            kind: text("type"),
            text: text("q").trim().to_owned(),
            from,
            show: number("show").unwrap_or(from + AT_ONCE),
        }
    }

    fn lets(&self, change: &Change) -> bool {
        (self.action.is_empty() || change.is(&self.action))
            && (self.kind.is_empty() || change.kind == self.kind)
            && (self.text.is_empty() || contains(&change.address, &self.text))
    }

    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("action", &self.action), ("type", &self.kind), ("q", &self.text)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }
}

/// Whether a text has another in it, whatever their cases.
pub(super) fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

/// Where the page of a run is, and what is asked of it.
pub(super) struct At<'a> {
    pub(super) base: &'a str,
    pub(super) filter: &'a Filter,
}

/// The plan of a run.
pub(super) fn section(at: &At<'_>, plan: &Plan) -> Result<Markup> {
    let told: Vec<&Change> = plan.told().collect();
    let unchanged = plan.changes.len() - told.len();
    Ok(html! {
        section.panel #plan aria-labelledby="plan-title" {
            div.between {
                h2 #plan-title { "Resources" }
                span.muted { (told.len()) " with changes" @if unchanged > 0 { ", " (unchanged) " without" } }
            }
            (checks(plan))
            @if told.is_empty() {
                p.muted { "No resource changes: what is there is as the configuration says." }
            } @else {
                (filters(at, &told))
                (list(at, &told))
            }
        }
        (outputs(plan)?)
        (drift(at, plan))
    })
}

fn filters(at: &At<'_>, told: &[&Change]) -> Markup {
    let count = |name: &str| told.iter().filter(|change| change.is(name)).count();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for change in told {
        *kinds.entry(&change.kind).or_default() += 1;
    }
    html! {
        form.filters #plan-filters method="get" action=(at.base) role="search" hx-get=(at.base)
            hx-trigger="submit, change, input delay:150ms from:#plan-search" hx-select="#plan-list" hx-target="#plan-list"
            hx-swap="outerHTML" hx-replace-url="true" {
            input #plan-search type="search" name="q" value=(at.filter.text) placeholder="Search addresses" aria-label="Search addresses"
                data-search autocomplete="off";
            select name="action" aria-label="Action" {
                option value="" { "All actions" }
                @for (name, words) in CHOICES {
                    @let count = count(name);
                    @if count > 0 { option value=(name) selected[at.filter.action == name] { (words) " (" (count) ")" } }
                }
            }
            select name="type" aria-label="Type" {
                option value="" { "All types" }
                @for (kind, count) in &kinds {
                    option value=(kind) selected[at.filter.kind == *kind] { (kind) " (" (count) ")" }
                }
            }
            noscript { button.quiet type="submit" { "Filter" } }
        }
    }
}

/// The changes that the filter lets through, from its start on.
fn list(at: &At<'_>, told: &[&Change]) -> Markup {
    let let_through: Vec<&Change> = told.iter().copied().filter(|change| at.filter.lets(change)).collect();
    let end = at.filter.show.min(let_through.len());
    let shown = &let_through[at.filter.from.min(end)..end];
    let left = let_through.len() - end;
    let next = |from: Option<usize>| {
        let mut link = format!("{}?{}", at.base, at.filter.query());
        let glue = if link.ends_with('?') { "" } else { "&" };
        match from {
            Some(from) => link.push_str(&format!("{glue}from={from}")),
            None => link.push_str(&format!("{glue}show={}", end + AT_ONCE)),
        }
        link
    };
    html! {
        div #plan-list {
            @if let_through.is_empty() {
                p.muted { "No change is like that. " a href=(at.base) { "Show all " (told.len()) } "." }
            }
            @for group in shown.chunk_by(|a, b| a.module == b.module) {
                details.module open {
                    summary {
                        @if group[0].module.is_empty() { "Root module" } @else { (group[0].module) }
                        span.muted { (group.len()) }
                    }
                    ul.changes data-list { @for change in group { li { (row(at.base, change, false)) } } }
                }
            }
            @if left > 0 {
                p.more {
                    a href=(next(None)) hx-get=(next(Some(end))) hx-select="#plan-list > *" hx-target="closest p" hx-swap="outerHTML" {
                        "Show " (left.min(AT_ONCE)) " more of " (left)
                    }
                }
            }
        }
    }
}

/// Where a change's attributes are.
fn address(base: &str, change: &Change, drift: bool) -> String {
    let mut address = format!("{base}/plan/{}", segment(&change.address));
    if let Some(key) = &change.deposed {
        address.push_str(&format!("?deposed={}", segment(key)));
    }
    if drift {
        address.push_str(if change.deposed.is_some() { "&drift=1" } else { "?drift=1" });
    }
    address
}

fn row(base: &str, change: &Change, drift: bool) -> Markup {
    let address = address(base, change, drift);
    html! {
        details class={ "change " (change.action.name()) } {
            summary data-item tabindex="0" { (title(change, drift)) }
            div.opened hx-get=(address) hx-trigger="toggle from:closest details once" hx-select="#attributes" hx-swap="innerHTML" {
                a href=(address) { "Show its attributes" }
            }
        }
    }
}

fn title(change: &Change, drift: bool) -> Markup {
    let words = match (drift, change.action) {
        (true, Action::Delete) => "was deleted",
        (true, _) => "was changed",
        (false, Action::NoOp) if change.importing.is_some() => "will be imported",
        (false, Action::NoOp) => "moves",
        (false, action) => action.words(),
    };
    html! {
        span.action aria-hidden="true" { (if change.action == Action::NoOp { "→" } else { change.action.sign() }) }
        span.address { (change.own_name()) }
        span.muted { (words) }
        @if let Some(key) = &change.deposed { span.tag { "deposed " (key) } }
        @if let Some(id) = &change.importing {
            span.tag { "import" @if !id.is_empty() { " " (id) } }
        }
        @if let Some(from) = &change.moved_from { span.tag { "moved from " (from) } }
        @if let Some(reason) = change.reason.as_deref().filter(|_| !drift) { span.why { (because(reason)) } }
    }
}

/// Why it is this action, in words for people.
pub(super) fn because(reason: &str) -> &str {
    match reason {
        "replace_because_cannot_update" => "an attribute cannot be changed in place",
        "replace_because_tainted" => "it is tainted: an earlier apply left it half made",
        "replace_by_request" => "as asked for",
        "replace_by_triggers" => "because of replace_triggered_by",
        "delete_because_no_resource_config" => "it is not in the configuration any more",
        "delete_because_no_module" => "its module is not in the configuration any more",
        "delete_because_wrong_repetition" => "the resource has count or for_each now, or has not any more",
        "delete_because_count_index" => "its index is out of range of count",
        "delete_because_each_key" => "its key is not in for_each any more",
        "delete_because_no_move_target" => "where it was to move does not exist",
        "read_because_config_unknown" => "its configuration is known after apply",
        "read_because_dependency_pending" => "it depends on something with changes",
        "read_because_check_nested" => "a check asks for it",
        other => other,
    }
}

fn outputs(plan: &Plan) -> Result<Markup> {
    let outputs = plan.outputs()?;
    Ok(html! {
        @if !outputs.is_empty() {
            section.panel #outputs aria-labelledby="outputs-title" {
                h2 #outputs-title { "Outputs" }
                @for (name, change) in &outputs { (values::single(name, change)) }
            }
        }
    })
}

fn drift(at: &At<'_>, plan: &Plan) -> Markup {
    html! {
        @if !plan.drift.is_empty() {
            section.panel #drift aria-labelledby="drift-title" {
                h2 #drift-title { "Changed outside of Terraform" }
                p.muted { "Since the last apply, something else has changed these." }
                ul.changes { @for change in plan.drift.iter().take(AT_ONCE) { li { (row(at.base, change, true)) } } }
                @if plan.drift.len() > AT_ONCE { p.muted { "And " (plan.drift.len() - AT_ONCE) " more." } }
            }
        }
    }
}

fn checks(plan: &Plan) -> Markup {
    html! {
        @for check in plan.failed_checks.iter().filter(|check| check.status == "fail" || check.status == "error").take(20) {
            div.note.bad {
                p { strong { (check.address) } " does not hold" }
                @for problem in &check.problems { p { (problem) } }
            }
        }
    }
}

/// A change of the path's address, opened.
pub(super) fn opened(plan: &Plan, visit: &Visit) -> Result<Option<(String, Markup)>> {
    let (address, deposed) = (visit.path("address"), visit.query("deposed"));
    let drift = visit.query("drift").is_some();
    let changes = if drift { &plan.drift } else { &plan.changes };
    let Some(change) = changes.iter().find(|change| change.address == address && change.deposed == deposed)
    else {
        return Ok(None);
    };
    let body = html! {
        section.panel {
            div class={ "change alone " (change.action.name()) } { (title(change, drift)) }
            div #attributes { (values::attributes(&plan.values(change)?)) }
        }
    };
    Ok(Some((change.address.clone(), body)))
}
