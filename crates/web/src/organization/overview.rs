//! The overview of an organization: what runs, what waits and why, what somebody must confirm, what failed today, and how
//! the runs of the last two weeks went.

use super::{
    Organization, api,
    chart::{self, Bar, seconds},
    page, start,
};
use crate::{
    answer::Answer,
    form,
    layout::{Area, Frame, framed, moment},
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

pub(super) fn routes(table: Table) -> Table {
    table.show("/app/{organization}", "web.organization.show", show)
}

/// Runs of every kind, not only those that may apply.
const EVERY: &str =
    "filter%5Boperation%5D=plan_and_apply%2Cplan_only%2Csave_plan%2Crefresh_only%2Cdestroy%2Cempty_apply";
/// Rows of one list.
const ROWS: usize = 8;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Run {
    status: String,
    message: String,
    created_at: String,
    waiting_for: Option<Waiting>,
    #[serde(default)]
    position_in_queue: i64,
}

#[derive(Deserialize)]
struct Waiting {
    message: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    ahead: i64,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Statistics {
    running: i64,
    waiting: i64,
    needs_confirmation: i64,
    errored_today: i64,
    average_seconds: Option<f64>,
    days: Vec<Day>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Day {
    date: String,
    ended: i64,
    errored: i64,
    average_seconds: Option<f64>,
    longest_seconds: Option<f64>,
}

/// The lists of the page, and what they are about.
struct Lists {
    statistics: Seen<Statistics>,
    queue: Found,
    confirm: Found,
    failed: Found,
}

async fn show(visit: Visit) -> Result<Answer> {
    let today = visit.app.now().iso8601();
    let list =
        |more: String| api(&visit, &format!("/runs?include=workspace&page%5Bsize%5D={ROWS}&{EVERY}&{more}"));
    let paths = [
        api(&visit, ""),
        api(&visit, "/run-statistics"),
        api(&visit, "/runs/queue?include=workspace&page%5Bsize%5D=40"),
        list("filter%5Bstatus%5D=planned%2Ccost_estimated%2Cpolicy_checked%2Cpolicy_override".to_owned()),
        list(format!("filter%5Bstatus%5D=errored&filter%5Bfrom%5D={}T00%3A00%3A00Z", &today[..10])),
        api(&visit, "/workspaces?page%5Bsize%5D=1"),
    ];
    let [organization, statistics, queue, confirm, failed, workspaces] = &paths;
    let (organization, statistics, queue, confirm, failed, workspaces) = tokio::try_join!(
        visit.read(organization),
        visit.read(statistics),
        visit.read(queue),
        visit.read(confirm),
        visit.read(failed),
        visit.read(workspaces),
    )?;
    let organization: Seen<Organization> = organization.one()?;
    let lists = Lists { statistics: statistics.one()?, queue, confirm, failed };
    let none_yet = workspaces.pagination().total == Some(0);
    let idle = lists.statistics.days.iter().all(|day| day.ended == 0)
        && lists.statistics.running + lists.statistics.waiting + lists.statistics.needs_confirmation == 0;
    let body = html! {
        (form::done(&visit, &[("created", "The organization is there, and you are its owner.")]))
        @if none_yet { (start::first_steps(&visit, &organization)) }
        @else {
            (live::follow(&visit, Watch::Organization(&organization.name), &live::part(&visit, "overview", &html! {
                div.stack {
                    (numbers(&visit, &lists.statistics))
                    @if idle { (start::no_runs(&visit)) } @else { (charts(&lists.statistics)) }
                    (panels(&visit, &lists)?)
                }
            })))
        }
    };
    let frame = Frame {
        actions: html! {
            @if organization.permissions.can_create_workspace {
                a.button href=(page(&visit, "/workspaces/new")) { "New workspace" }
            }
        },
        ..Frame::new(Area::Organization(&organization.name), "Overview", &organization.name)
    };
    Ok(Answer::page(framed(&visit, &frame, &body)))
}

/// The four counts, each leading to its list.
fn numbers(visit: &Visit, statistics: &Statistics) -> Markup {
    let all = [
        ("running", "Running", statistics.running, "working"),
        ("waiting", "Waiting", statistics.waiting, "waiting"),
        ("needs-confirmation", "Need confirmation", statistics.needs_confirmation, "wanted"),
        ("failed-today", "Failed today", statistics.errored_today, "bad"),
    ];
    html! {
        nav.numbers aria-label="Runs by where they stand" {
            @for (id, name, number, class) in all {
                a href={ (visit.uri.path()) "#" (id) } class={ "at-a-glance " (if number > 0 { class } else { "" }) } {
                    strong { (number) } span { (name) }
                }
            }
        }
    }
}

fn charts(statistics: &Statistics) -> Markup {
    let durations: Vec<Bar> = statistics
        .days
        .iter()
        .map(|day| Bar {
            day: short(&day.date),
            value: day.average_seconds.unwrap_or_default(),
            bad: 0.0,
            says: match (day.average_seconds, day.longest_seconds) {
                (Some(average), Some(longest)) => {
                    format!("{} on average, {} at most", seconds(average), seconds(longest))
                }
                _ => "no run".to_owned(),
            },
        })
        .collect();
    let ended: Vec<Bar> = statistics
        .days
        .iter()
        .map(|day| Bar {
            day: short(&day.date),
            value: day.ended as f64,
            bad: day.errored as f64,
            says: format!("{}, {} failed", parts::count(day.ended, "run", "runs"), day.errored),
        })
        .collect();
    let (all, bad) =
        statistics.days.iter().fold((0, 0), |(all, bad), day| (all + day.ended, bad + day.errored));
    let rate = if all == 0 {
        "no runs".to_owned()
    } else {
        format!("{:.0} % failed", 100.0 * bad as f64 / all as f64)
    };
    let average = statistics
        .average_seconds
        .map_or_else(|| "no runs".to_owned(), |s| format!("{} on average", seconds(s)));
    html! {
        section.panel.charts aria-label="The last 14 days" {
            (chart::bars("durations", "How long runs took, last 14 days", &average, &durations))
            (chart::bars("failures", "Runs and failures, last 14 days", &rate, &ended))
        }
    }
}

/// `2026-11-24` as `24 Nov`.
fn short(date: &str) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = date.get(5..7).and_then(|month| month.parse::<usize>().ok()).unwrap_or(1);
    let day = date.get(8..10).unwrap_or_default().trim_start_matches('0');
    format!("{day} {}", MONTHS[(month - 1).min(11)])
}

fn panels(visit: &Visit, lists: &Lists) -> Result<Markup> {
    let (queue, statistics) = (lists.queue.many::<Run>()?, &lists.statistics);
    let is_waiting =
        |run: &&Seen<Run>| run.waiting_for.is_some() || parts::status(&run.status).1 == parts::Mood::Waiting;
    let (waiting, running): (Vec<_>, Vec<_>) = queue.iter().partition(is_waiting);
    let (confirm, failed) = (lists.confirm.many::<Run>()?, lists.failed.many::<Run>()?);
    let rows = |runs: &[&Seen<Run>], of: &Found| -> Result<Markup> {
        let workspaces = of.all_included::<Named>("workspaces")?;
        let name = |run: &Seen<Run>| {
            let found = workspaces.iter().find(|w| run.related("workspace") == Some(&w.id));
            found.map_or(String::new(), |w| w.name.clone())
        };
        Ok(html! {
            ul.rows data-list { @for run in runs.iter().take(ROWS) { (row(visit, run, &name(run), statistics)) } }
        })
    };
    let confirm: Vec<&Seen<Run>> = confirm.iter().collect();
    let failed: Vec<&Seen<Run>> = failed.iter().collect();
    let all = [
        (
            "needs-confirmation",
            "Needs confirmation",
            statistics.needs_confirmation,
            rows(&confirm, &lists.confirm)?,
            "No plan waits for somebody to confirm it.",
        ),
        ("running", "Running", statistics.running, rows(&running, &lists.queue)?, "Nothing runs just now."),
        ("waiting", "Waiting", statistics.waiting, rows(&waiting, &lists.queue)?, "Nothing waits."),
        (
            "failed-today",
            "Failed today",
            statistics.errored_today,
            rows(&failed, &lists.failed)?,
            "No run of today has failed.",
        ),
    ];
    Ok(html! {
        div.lists { @for (id, title, count, rows, none) in all {
            section.panel id=(id) {
                h2 { (title) " " span.tally { (count) } }
                @if count == 0 { p.muted { (none) } } @else {
                    (rows)
                    @if count > i64::try_from(ROWS).unwrap_or(i64::MAX) {
                        p.small { "The first " (ROWS) " of " (count) ". "
                            a href=(page(visit, "/workspaces")) { "All workspaces" } }
                    }
                }
            }
        } }
    })
}

fn row(visit: &Visit, run: &Seen<Run>, workspace: &str, statistics: &Statistics) -> Markup {
    let now = visit.app.now();
    let path = page(visit, &format!("/workspaces/{}/runs/{}", segment(workspace), run.id));
    html! {
        li {
            (parts::badge(&run.status))
            a href=(path) data-item { (run.message) }
            span.muted { (workspace) }
            @if let Some(at) = Timestamp::parse(&run.created_at) { span.muted { (moment(now, at)) } }
            @if let Some(waiting) = &run.waiting_for {
                p.reason { (waiting.message) @if let Some(text) = estimate(run, waiting, statistics) { " " (text) } }
            }
        }
    }
}

/// How long the run may still wait, by how long runs took lately. Nobody knows how long a lock is held.
fn estimate(run: &Run, waiting: &Waiting, statistics: &Statistics) -> Option<String> {
    let usual = statistics.average_seconds?;
    let before = match waiting.kind.as_str() {
        "run-ahead" => waiting.ahead.max(1),
        "runner" | "runs-ceiling" => {
            let at_once = statistics.running.max(1);
            (run.position_in_queue - statistics.running + at_once - 1).div_euclid(at_once).max(1)
        }
        _ => return None,
    };
    let left = (usual * before as f64).max(1.0);
    Some(format!("About {} to go: runs here took {} on average.", seconds(left.round()), seconds(usual)))
}
