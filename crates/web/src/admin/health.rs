//! How the installation is: the database, the stored objects, the disk, the engine, the runner, and what protects runs.

use super::answer;
use crate::{
    answer::Answer,
    form::copied,
    layout::{Tone, moment, note},
    serve::Table,
    visit::Visit,
};
use http_api::{Result, inside::Seen};
use kernel::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

pub(super) fn routes(table: Table) -> Table {
    table.show("/app/admin", "web.admin-health.show", show)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Health {
    status: String,
    version: String,
    started_at: String,
    memory_bytes: Option<f64>,
    database: Database,
    objects: Status,
    disk: Disk,
    runner: Runner,
    jobs: Jobs,
    sandbox: Vec<Part>,
}

#[derive(Deserialize)]
struct Status {
    status: String,
}

#[derive(Deserialize)]
struct Database {
    status: String,
    engine: String,
    milliseconds: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Disk {
    status: String,
    free_bytes: Option<f64>,
    total_bytes: Option<f64>,
    directory: Option<String>,
    detail: Option<String>,
}

#[derive(Deserialize)]
struct Runner {
    status: String,
    engine: Engine,
    running: i64,
    capacity: i64,
}

#[derive(Deserialize)]
struct Engine {
    tool: Option<String>,
    version: Option<String>,
    detail: Option<String>,
}

#[derive(Deserialize)]
struct Jobs {
    working: i64,
    waiting: i64,
}

#[derive(Deserialize)]
struct Part {
    name: String,
    available: bool,
    essential: bool,
    detail: String,
}

async fn show(visit: Visit) -> Result<Answer> {
    let health: Seen<Health> = visit.read("/admin/health").await?.one()?;
    let body = html! {
        @if health.status == "ok" { (note(Tone::Good, &html! { "All is well: runs can be made, and are kept." })) }
        @else { (note(Tone::Bad, &html! { "Something is not well; it is marked below." })) }
        section.panel { h2 { "Server" } (server(&visit, &health)) }
        section.panel { h2 { "Runners" } (runners(&health)) }
        section.panel { h2 { "Protection of runs" } (protection(&health)) }
        section.panel {
            h2 { "Look closer" }
            p { "On the server's machine; it also looks at certificates, and says what to do where something is not well:" }
            (copied("doctor", "ferroform doctor"))
        }
    };
    Ok(answer(&visit, "Health", &body))
}

fn verdict(status: &str) -> Markup {
    let (class, words) = match status {
        "ok" => ("badge good", "OK"),
        "scarce" => ("badge wanted", "Scarce"),
        _ => ("badge bad", "Failing"),
    };
    html! { span class=(class) { (words) } }
}

fn gib(bytes: f64) -> String {
    format!("{:.1} GiB", bytes / f64::from(1 << 30))
}

fn server(visit: &Visit, health: &Health) -> Markup {
    let database = if health.database.engine == "postgres" { "PostgreSQL" } else { "SQLite, embedded" };
    html! {
        table {
            thead { tr { th scope="col" { "Part" } th scope="col" { "State" } th scope="col" { "Details" } } }
            tbody {
                tr {
                    th scope="row" { "Version" }
                    td data-name="State" { (health.version) }
                    td.wide data-name="Details" {
                        "Started " @if let Some(at) = Timestamp::parse(&health.started_at) { (moment(visit.app.now(), at)) }
                        @if let Some(bytes) = health.memory_bytes { "; holds " (format!("{:.0} MiB", bytes / f64::from(1 << 20))) " of memory" }
                    }
                }
                tr {
                    th scope="row" { "Database" }
                    td data-name="State" { (verdict(&health.database.status)) }
                    td.wide data-name="Details" { (database) ", answers in " (format!("{:.1} ms", health.database.milliseconds)) }
                }
                tr {
                    th scope="row" { "Stored objects" }
                    td data-name="State" { (verdict(&health.objects.status)) }
                    td.wide data-name="Details" { "Configurations, states, plans and logs, sealed" }
                }
                tr {
                    th scope="row" { "Disk" }
                    td data-name="State" { (verdict(&health.disk.status)) }
                    td.wide data-name="Details" {
                        @if let (Some(free), Some(total)) = (health.disk.free_bytes, health.disk.total_bytes) {
                            (gib(free)) " free of " (gib(total))
                        }
                        @if let Some(directory) = &health.disk.directory { " at " code { (directory) } }
                        @if let Some(detail) = &health.disk.detail { (detail) }
                    }
                }
            }
        }
    }
}

fn runners(health: &Health) -> Markup {
    let runner = &health.runner;
    let load = if runner.capacity > 0 { 100 * runner.running / runner.capacity } else { 0 };
    html! {
        table {
            thead { tr { th scope="col" { "Runner" } th scope="col" { "State" } th scope="col" { "Load" } th scope="col" { "Engine" } } }
            tbody { tr {
                th scope="row" { "This server" }
                td data-name="State" { (verdict(&runner.status)) }
                td data-name="Load" {
                    (runner.running) " of " (runner.capacity) " at work "
                    meter min="0" max="100" value=(load) aria-label="Load" { (load) " %" }
                }
                td.wide data-name="Engine" {
                    @match (&runner.engine.tool, &runner.engine.version) {
                        (Some(tool), Some(version)) => { (tool) " " (version) },
                        _ => (runner.engine.detail.as_deref().unwrap_or("None")),
                    }
                }
            } }
        }
        p {
            "In the whole site " (health.jobs.working) " plans and applies are at work, and " (health.jobs.waiting) " wait for a runner. "
            a href="/app/admin/runs" { "Runs in progress" }
        }
    }
}

fn protection(health: &Health) -> Markup {
    html! {
        p.muted { "What the kernel of this machine keeps runs from." }
        table {
            thead { tr { th scope="col" { "Protection" } th scope="col" { "State" } th scope="col" { "Details" } } }
            tbody { @for part in &health.sandbox { tr {
                th scope="row" { (part.name) @if part.essential { div.small { "essential" } } }
                td data-name="State" {
                    @if part.available { span.badge.good { "On" } } @else if part.essential { span.badge.bad { "Missing" } }
                    @else { span.badge.wanted { "Missing" } }
                }
                td.wide data-name="Details" { (part.detail) }
            } } }
        }
    }
}
