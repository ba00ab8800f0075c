//! The runs of a workspace: a list that one filters.

use super::{At, User};
use crate::{
    answer::Answer,
    layout::{Frame, framed, moment},
    live::{self, Watch},
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use http_api::{
    Result,
    inside::{Found, Seen},
};
use kernel::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

pub(crate) fn routes(table: Table) -> Table {
    table.show("/app/{organization}/workspaces/{workspace}/runs", "web.workspace.runs", list)
}

/// A run, as lists show it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Run {
    pub(super) status: String,
    pub(super) message: String,
    pub(super) created_at: String,
    pub(super) operation: String,
    pub(super) source: String,
    pub(super) actions: Actions,
    pub(super) permissions: MayDo,
    pub(super) waiting_for: Option<Waiting>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Actions {
    pub(super) is_confirmable: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct MayDo {
    pub(super) can_apply: bool,
}

#[derive(Deserialize)]
pub(super) struct Waiting {
    pub(super) message: String,
}

/// Filters by status: their name, their words, and the API's parameters.
const STATUSES: [(&str, &str, &str); 5] = [
    ("attention", "Needs attention", "filter%5Bstatus_group%5D=discardable"),
    ("running", "In progress", "filter%5Bstatus_group%5D=non_final"),
    ("applied", "Succeeded", "filter%5Bstatus%5D=applied,planned_and_finished,planned_and_saved"),
    ("errored", "Errored", "filter%5Bstatus%5D=errored"),
    ("ended", "Discarded or canceled", "filter%5Bstatus%5D=discarded,canceled,force_canceled"),
];

/// What runs do, and how one says it.
const OPERATIONS: [(&str, &str); 7] = [
    ("plan_and_apply", "Plan and apply"),
    ("plan_only", "Plan only"),
    ("refresh_only", "Refresh only"),
    ("destroy", "Destroy"),
    ("empty_apply", "Empty apply"),
    ("save_plan", "Saved plan"),
    ("exec", "Command"),
];

/// Where runs come from.
const SOURCES: [(&str, &str); 5] = [
    ("terraform,terraform+cloud", "Command line"),
    ("tfe-api", "API and browser"),
    ("tfe-configuration-version", "Upload of a configuration"),
    ("tfe-run-trigger", "Run trigger"),
    ("tfe-infrastructure-lifecycle", "Automatic destruction"),
];

/// What a run does, in words.
pub(super) fn operation(operation: &str) -> &str {
    OPERATIONS.iter().find(|(name, _)| *name == operation).map_or("Run", |(_, words)| words)
}

fn source(source: &str) -> &'static str {
    SOURCES
        .iter()
        .find(|(names, _)| names.split(',').any(|name| name == source))
        .map_or("", |(_, words)| words)
}

/// What is asked for.
struct Asked {
    status: String,
    operation: String,
    source: String,
    search: String,
    page: u32,
}

impl Asked {
    fn of(visit: &Visit) -> Self {
        let text = |name| visit.query(name).unwrap_or_default();
        let page = visit.query("page").and_then(|page| page.parse().ok()).unwrap_or(1);
        Self {
            status: text("status"),
            operation: text("operation"),
            source: text("source"),
            search: text("q"),
            page,
        }
    }

    fn is_filtered(&self) -> bool {
        [&self.status, &self.operation, &self.source, &self.search].iter().any(|text| !text.is_empty())
    }

    /// The API's parameters.
    fn api(&self) -> String {
        let mut query = format!("include=created_by&page%5Bsize%5D=20&page%5Bnumber%5D={}", self.page);
        if let Some((.., parameters)) = STATUSES.iter().find(|(name, ..)| *name == self.status) {
            query = format!("{query}&{parameters}");
        }
        // Unasked the API leaves out those that only plan.
        let all = OPERATIONS.map(|(name, _)| name).join(",");
        let known = OPERATIONS.iter().any(|(name, _)| *name == self.operation);
        let operations = if known { &self.operation } else { &all };
        query = format!("{query}&filter%5Boperation%5D={operations}");
        if SOURCES.iter().any(|(names, _)| *names == self.source) {
            query = format!("{query}&filter%5Bsource%5D={}", segment(&self.source));
        }
        format!("{query}&search%5Bbasic%5D={}", segment(&self.search))
    }

    /// The page's own parameters, less the number of the page.
    fn own(&self) -> String {
        format!(
            "?status={}&operation={}&source={}&q={}",
            segment(&self.status),
            segment(&self.operation),
            segment(&self.source),
            segment(&self.search)
        )
    }
}

async fn list(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let asked = Asked::of(&visit);
    let found = visit.read(&at.api(&format!("/runs?{}", asked.api()))).await?;
    let rows = rows(&visit, &at, &found, &asked)?;
    let body = html! {
        (filters(&at, &asked))
        (live::follow(&visit, Watch::Workspace(&at.workspace.id), &live::part(&visit, "runs", &rows)))
    };
    let frame = Frame { actions: at.start(), ..Frame::new(at.area(), "Runs", "Runs") };
    Ok(Answer::page(framed(&visit, &frame, &body)))
}

fn filters(at: &At, asked: &Asked) -> Markup {
    let own = at.page("/runs");
    let all = |name: &str, label: &str, chosen: &str, of: &[(&str, &str)]| {
        html! {
            select name=(name) aria-label=(label) {
                option value="" { (label) }
                @for (value, words) in of { option value=(value) selected[*value == chosen] { (words) } }
            }
        }
    };
    let statuses = STATUSES.map(|(name, words, _)| (name, words));
    html! {
        form.sieve #run-filters method="get" action=(own) role="search"
            hx-get=(own) hx-trigger="change, input changed delay:200ms from:find input" hx-select="#runs" hx-target="#runs"
            hx-swap="outerHTML" hx-push-url="true" {
            input type="search" name="q" value=(asked.search) placeholder="Search by message, ID or person"
                aria-label="Search by message, ID or person" data-search;
            (all("status", "Any status", &asked.status, &statuses))
            (all("operation", "Any type", &asked.operation, &OPERATIONS))
            (all("source", "Any source", &asked.source, &SOURCES))
            noscript { button.quiet type="submit" { "Filter" } }
        }
    }
}

fn rows(visit: &Visit, at: &At, found: &Found, asked: &Asked) -> Result<Markup> {
    let (runs, now) = (found.many::<Run>()?, visit.app.now());
    let people = found.all_included::<User>("users")?;
    let by = |run: &Seen<Run>| {
        people
            .iter()
            .find(|user| run.related("created-by") == Some(&user.id))
            .map(|user| user.username.as_str())
    };
    Ok(html! {
        @if runs.is_empty() && asked.is_filtered() {
            p.muted { "No run is like that. " a href=(at.page("/runs")) { "Show all" } }
        } @else if runs.is_empty() {
            (super::empty::ways(visit, at))
        } @else {
            ul.rows data-list { @for run in &runs { (row(at, run, by(run), now)) } }
        }
        (parts::pager(&at.page(&format!("/runs{}", asked.own())), found.pagination()))
    })
}

fn row(at: &At, run: &Seen<Run>, by: Option<&str>, now: Timestamp) -> Markup {
    html! {
        li {
            a href=(at.page(&format!("/runs/{}", run.id))) data-item { (run.message) }
            (parts::badge(&run.status))
            span.details.muted {
                span { (operation(&run.operation)) }
                @if let Some(by) = by { span { (by) } }
                @if !source(&run.source).is_empty() { span { (source(&run.source)) } }
                @if let Some(at) = Timestamp::parse(&run.created_at) { span { (moment(now, at)) } }
                code { (run.id) }
            }
        }
    }
}
