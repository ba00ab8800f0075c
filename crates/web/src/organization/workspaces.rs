//! The workspaces of an organization: searched while one types, filtered, sorted, a hundred on a page.
//!
//! The whole filter stands in the address, so that it may be bookmarked, sent to others, and gone back to; under a name it is
//! kept by the API (`saved-filters`), for this person. How many there are of each status is asked for after the page is shown,
//! because it costs more than the list itself.

use super::{Organization, api, page, start};
use crate::{
    answer::Answer,
    form::{done, settled},
    layout::{Area, Frame, form_token, framed, moment},
    live::{self, Watch},
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::{
    Error, Result,
    inside::{Found, Seen},
};
use kernel::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;

pub(super) fn routes(table: Table) -> Table {
    table
        .show("/app/{organization}/workspaces", "web.workspaces.list", show)
        .send("/app/{organization}/saved-filters", "web.saved-filters.create", keep)
        .send("/app/{organization}/saved-filters/{filter}/delete", "web.saved-filters.delete", forget)
}

/// Groups of statuses, as Terraform Enterprise has them: the word of the address, the name, the statuses, the badge's class.
const GROUPS: [(&str, &str, &[&str], &str); 5] = [
    (
        "attention",
        "Needs attention",
        &["planned", "cost_estimated", "policy_checked", "policy_override"],
        "wanted",
    ),
    ("errored", "Errored", &["errored"], "bad"),
    (
        "running",
        "Running",
        &[
            "fetching",
            "fetching_completed",
            "queuing",
            "plan_queued",
            "planning",
            "confirmed",
            "queuing_apply",
            "apply_queued",
            "applying",
        ],
        "working",
    ),
    ("on-hold", "On hold", &["pending"], "waiting"),
    ("applied", "Applied", &["applied", "planned_and_finished"], "good"),
];

const SORTS: [(&str, &str); 5] = [
    ("", "Name"),
    ("-name", "Name, backwards"),
    ("-current-run.created-at", "Newest run"),
    ("current-run.created-at", "Oldest run"),
    ("-latest-change-at", "Latest change"),
];

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Workspace {
    name: String,
    description: Option<String>,
    resource_count: i64,
    locked: bool,
    latest_change_at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Run {
    status: String,
    created_at: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Saved {
    name: String,
    query: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Statistics {
    total: i64,
    by_current_run_status: HashMap<String, i64>,
}

/// What the address asks for.
#[derive(Default)]
struct Filter {
    search: String,
    status: String,
    project: String,
    tag: String,
    sort: String,
    page: u32,
}

impl Filter {
    fn of(visit: &Visit) -> Self {
        let text = |name| visit.query(name).unwrap_or_default();
        Self {
            search: text("q"),
            status: text("status"),
            project: text("project"),
            tag: text("tag"),
            sort: text("sort"),
            page: text("page").parse().unwrap_or(1),
        }
    }

    /// The query of the address, without the page; `status` in place of the one that is chosen.
    fn query(&self, status: &str) -> String {
        let parts = [
            ("q", &*self.search),
            ("status", status),
            ("project", &*self.project),
            ("tag", &*self.tag),
            ("sort", &*self.sort),
        ];
        let parts = parts.iter().filter(|(_, value)| !value.is_empty());
        parts.map(|(name, value)| format!("{name}={}", segment(value))).collect::<Vec<_>>().join("&")
    }

    fn is_plain(&self) -> bool {
        self.query(&self.status).is_empty()
    }

    /// The API's query for it.
    fn asked(&self) -> String {
        let mut asked =
            format!("include=current_run%2Cproject&page%5Bsize%5D=100&page%5Bnumber%5D={}", self.page);
        let mut add = |name: &str, value: &str| {
            if !value.is_empty() {
                asked.push_str(&format!("&{}={}", segment(name), segment(value)));
            }
        };
        add("search[name]", &self.search);
        add("filter[project][id]", &self.project);
        if let Some((_, _, statuses, _)) = GROUPS.iter().find(|(word, ..)| *word == self.status) {
            add("filter[current-run][status]", &statuses.join(","));
        }
        match self.tag.split_once('=') {
            Some((key, value)) => {
                add("filter[tagged][0][key]", key.trim());
                add("filter[tagged][0][value]", value.trim());
            }
            None => add("search[tags]", self.tag.trim()),
        }
        add("sort", if self.sort.is_empty() { "name" } else { &self.sort });
        asked
    }
}

async fn show(visit: Visit) -> Result<Answer> {
    let filter = Filter::of(&visit);
    if visit.query("counts").is_some() {
        let statistics: Seen<Statistics> = visit.read(&api(&visit, "/workspace-statistics")).await?.one()?;
        return Ok(Answer::page(chips(&visit, &filter, Some(&statistics))));
    }
    answer(&visit, &filter, &Markup::default()).await
}

async fn answer(visit: &Visit, filter: &Filter, above: &Markup) -> Result<Answer> {
    let paths = [
        api(visit, ""),
        api(visit, &format!("/workspaces?{}", filter.asked())),
        api(visit, "/projects?page%5Bsize%5D=100"),
        api(visit, "/saved-filters"),
    ];
    let (organization, found, projects, saved) = tokio::try_join!(
        visit.read(&paths[0]),
        visit.read(&paths[1]),
        visit.read(&paths[2]),
        visit.read(&paths[3]),
    )?;
    let organization: Seen<Organization> = organization.one()?;
    let empty = filter.is_plain() && found.pagination().total == Some(0);
    let body = html! {
        (above)
        (done(visit, &[("kept", "The filter is saved."), ("forgotten", "The filter is gone.")]))
        @if empty { (start::first_steps(visit, &organization)) } @else {
            (controls(visit, filter, &projects.many::<Named>()?))
            (kept(visit, filter, &saved.many::<Saved>()?))
            (live::follow(visit, Watch::Organization(&organization.name), &html! {
                (chips(visit, filter, None))
                (live::part(visit, "workspaces", &list(visit, filter, &found)?))
            }))
        }
    };
    let frame = Frame {
        actions: html! {
            @if organization.permissions.can_create_workspace {
                a.button href=(page(visit, "/workspaces/new")) { "New workspace" }
            }
        },
        ..Frame::new(Area::Organization(&organization.name), "Workspaces", "Workspaces")
    };
    Ok(Answer::page(framed(visit, &frame, &body)))
}

/// What is searched and filtered by; the list follows while one types.
fn controls(visit: &Visit, filter: &Filter, projects: &[Seen<Named>]) -> Markup {
    let base = page(visit, "/workspaces");
    html! {
        form.list-filters #filter-form method="get" action=(base) role="search" hx-get=(base)
            hx-trigger="input delay:150ms, submit" hx-select="#workspaces" hx-target="#workspaces" hx-swap="outerHTML"
            hx-select-oob="#chips" hx-push-url="true" {
            input.grow type="search" name="q" value=(filter.search) placeholder="Search by name ( / )"
                aria-label="Search by name" data-search autocomplete="off";
            @if projects.len() > 1 {
                select name="project" aria-label="Project" {
                    option value="" { "All projects" }
                    @for project in projects {
                        option value=(project.id) selected[project.id == filter.project] { (project.name) }
                    }
                }
            }
            input name="tag" value=(filter.tag) placeholder="Tag, or key=value" aria-label="Tag" autocomplete="off";
            select name="sort" aria-label="Sort by" {
                @for (value, name) in SORTS { option value=(value) selected[value == filter.sort] { (name) } }
            }
            @if !filter.status.is_empty() { input type="hidden" name="status" value=(filter.status); }
            button.quiet type="submit" { "Filter" }
        }
    }
}

/// The groups of statuses, with how many workspaces are in each once that is known.
fn chips(visit: &Visit, filter: &Filter, statistics: Option<&Statistics>) -> Markup {
    let base = page(visit, "/workspaces");
    let address = |status: &str| match filter.query(status) {
        query if query.is_empty() => base.clone(),
        query => format!("{base}?{query}"),
    };
    let counted = |statuses: &[&str]| -> Option<i64> {
        let by = &statistics?.by_current_run_status;
        Some(statuses.iter().filter_map(|status| by.get(*status)).sum())
    };
    let counts = format!("{base}?counts=1&{}", filter.query(&filter.status));
    let trigger =
        if statistics.is_some() { "sse:changed throttle:5s" } else { "load, sse:changed throttle:5s" };
    html! {
        nav.chips #chips aria-label="Status" hx-get=(counts) hx-trigger=(trigger) hx-swap="outerHTML" {
            a.chip href=(address("")) aria-current=[filter.status.is_empty().then_some("true")] {
                "All" @if let Some(statistics) = statistics { " " span.tally { (statistics.total) } }
            }
            @for (word, name, statuses, class) in GROUPS {
                a href=(address(word)) class={ "chip " (class) } aria-current=[(filter.status == word).then_some("true")] {
                    (name) @if let Some(count) = counted(statuses) { " " span.tally { (count) } }
                }
            }
        }
    }
}

/// Filters under a name, and a way to save this one.
fn kept(visit: &Visit, filter: &Filter, saved: &[Seen<Saved>]) -> Markup {
    let base = page(visit, "/workspaces");
    let query = filter.query(&filter.status);
    html! {
        @if !saved.is_empty() || !filter.is_plain() {
            div.kept #saved-filters {
                @if !saved.is_empty() { span.muted { "Saved filters:" } }
                @for one in saved {
                    span.kept-one {
                        a href=(format!("{base}?{}", one.query)) aria-current=[(one.query == query).then_some("true")] { (one.name) }
                        form method="post" action=(page(visit, &format!("/saved-filters/{}/delete", one.id))) {
                            (form_token(visit))
                            button.cross type="submit" aria-label={ "Delete the filter " (one.name) } { "×" }
                        }
                    }
                }
                @if !filter.is_plain() && !saved.iter().any(|one| one.query == query) {
                    form.inline method="post" action=(page(visit, "/saved-filters")) {
                        (form_token(visit))
                        input type="hidden" name="query" value=(query);
                        input name="name" placeholder="Name for this filter" aria-label="Name for this filter" required maxlength="60";
                        button.quiet type="submit" { "Save filter" }
                    }
                }
            }
        }
    }
}

fn list(visit: &Visit, filter: &Filter, found: &Found) -> Result<Markup> {
    let workspaces = found.many::<Workspace>()?;
    let runs: HashMap<String, Seen<Run>> =
        found.all_included::<Run>("runs")?.into_iter().map(|run| (run.id.clone(), run)).collect();
    let projects: HashMap<String, String> = found
        .all_included::<Named>("projects")?
        .into_iter()
        .map(|project| (project.id.clone(), project.attributes.name))
        .collect();
    let base = page(visit, "/workspaces");
    let now = visit.app.now();
    Ok(html! {
        @if workspaces.is_empty() {
            section.panel {
                p { "No workspace is like that." }
                p { a href=(base) { "Show all workspaces" } }
            }
        } @else {
            ul.rows.workspaces data-list {
                @for workspace in &workspaces {
                    @let run = workspace.related("current-run").and_then(|id| runs.get(id));
                    li {
                        a href=(format!("{base}/{}", segment(&workspace.name))) data-item { (workspace.name) }
                        span.row-state {
                            @if workspace.locked { span.badge { "Locked" } }
                            @match run {
                                Some(run) => (parts::badge(&run.status)),
                                None => span.badge { "No run yet" },
                            }
                        }
                        span.muted.of-project { (workspace.related("project").and_then(|id| projects.get(id)).map_or("", |n| n)) }
                        span.muted { (parts::count(workspace.resource_count, "resource", "resources")) }
                        span.muted.when {
                            @match run.map_or(&workspace.latest_change_at, |run| &run.created_at) {
                                at => @if let Some(at) = Timestamp::parse(at) { (moment(now, at)) }
                            }
                        }
                        @if let Some(text) = workspace.description.as_deref().filter(|text| !text.is_empty()) {
                            p.reason { (text) }
                        }
                    }
                }
            }
            (parts::pager(&format!("{base}?{}", filter.query(&filter.status)), found.pagination()))
        }
    })
}

async fn keep(visit: Visit) -> Result<Answer> {
    let query = visit.field("query").to_owned();
    // What is kept becomes part of an address: only what this page makes itself.
    let known = ["q", "status", "project", "tag", "sort"];
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    if pairs.iter().any(|(name, _)| !known.contains(&name.as_str())) {
        return Err(Error::NotFound);
    }
    let value = |name: &str| pairs.iter().find(|(n, _)| n == name).map_or(String::new(), |(_, v)| v.clone());
    let filter = Filter {
        search: value("q"),
        status: value("status"),
        project: value("project"),
        tag: value("tag"),
        sort: value("sort"),
        page: 1,
    };
    let query = filter.query(&filter.status);
    let body = json!({ "data": { "type": "saved-filters",
        "attributes": { "name": visit.field("name"), "query": query } } });
    match settled(visit.change(Method::POST, &api(&visit, "/saved-filters"), &body).await)? {
        Ok(_) => Ok(Answer::see_other(page(&visit, &format!("/workspaces?{query}&done=kept")))),
        Err(refusal) => Ok(refusal.answer(answer(&visit, &filter, &refusal.note()).await?)),
    }
}

async fn forget(visit: Visit) -> Result<Answer> {
    let path = format!("/saved-filters/{}", segment(visit.path("filter")));
    visit.change(Method::DELETE, &path, &Value::Null).await?;
    Ok(Answer::see_other(page(&visit, "/workspaces?done=forgotten")))
}
