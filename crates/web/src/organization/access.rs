//! Who may do what, and why: a matrix of teams or people by projects, or by the workspaces of one project.
//!
//! The API sums up what is held and names the grants behind it (`effective-access`); a cell opens to say them.

use super::{api, of, page, settings::Sided};
use crate::{
    answer::Answer,
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use http_api::{Result, inside::Seen};
use maud::{Markup, html};
use serde::Deserialize;

pub(super) fn routes(table: Table) -> Table {
    table.show("/app/{organization}/settings/access", "web.access.show", show)
}

#[derive(Deserialize)]
struct Row {
    name: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    id: String,
    name: String,
    level: String,
    reasons: Vec<Reason>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Reason {
    source: String,
    team: String,
    level: String,
    #[serde(default)]
    because_of: Vec<String>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

async fn show(visit: Visit) -> Result<Answer> {
    let text = |name| visit.query(name).unwrap_or_default();
    let (subject, project, search) = (text("subject"), text("project"), text("q"));
    let subject = if subject == "users" { "users" } else { "teams" };
    let number: u32 = text("page").parse().unwrap_or(1);
    let paths = [
        api(
            &visit,
            &format!(
                "/effective-access?page%5Bsize%5D=25&page%5Bnumber%5D={number}&filter%5Bsubject%5D={subject}\
             &filter%5Bproject%5D%5Bid%5D={}&search%5Btarget%5D={}",
                segment(&project),
                segment(&search),
            ),
        ),
        api(&visit, "/projects?page%5Bsize%5D=100"),
    ];
    let (organization, found, projects) =
        tokio::try_join!(of(&visit), visit.read(&paths[0]), visit.read(&paths[1]))?;
    let (rows, projects) = (found.many::<Row>()?, projects.many::<Named>()?);
    let base = page(&visit, "/settings/access");
    let address = format!("{base}?subject={subject}&project={}&q={}", segment(&project), segment(&search));
    let body = html! {
        section.panel {
            p.muted { "What each may really do: the sum of what they hold through teams. Open a cell to see where it comes from." }
            form.list-filters #access-filter method="get" action=(base) {
                select name="subject" aria-label="Rows" {
                    option value="teams" { "Teams" }
                    option value="users" selected[subject == "users"] { "People" }
                }
                select name="project" aria-label="Columns" {
                    option value="" { "All projects" }
                    @for one in &projects { option value=(one.id) selected[one.id == project] { "Workspaces of " (one.name) } }
                }
                input.grow type="search" name="q" value=(search) placeholder="Columns whose name holds…" aria-label="Columns whose name holds" data-search;
                button.quiet type="submit" { "Show" }
            }
            (matrix(subject, &rows))
            (parts::pager(&address, found.pagination()))
        }
    };
    Ok(Sided::new("Access").answer(&visit, &organization, &body))
}

fn matrix(subject: &str, rows: &[Seen<Row>]) -> Markup {
    let columns: Vec<&Target> = rows.first().map(|row| row.targets.iter().collect()).unwrap_or_default();
    html! {
        @if columns.is_empty() { p.muted { "There is nothing to have access to here." } } @else {
            div.scroll tabindex="0" role="region" aria-label="Access" {
                table.matrix {
                    thead { tr {
                        th scope="col" { @if subject == "users" { "Person" } @else { "Team" } }
                        @for column in &columns { th scope="col" { (column.name) } }
                    } }
                    tbody { @for row in rows { tr {
                        th scope="row" { (row.name) }
                        @for target in &row.targets { td data-name=(target.name) { (cell(row, target)) } }
                    } } }
                }
            }
            @if columns.len() >= 50 { p.small { "The first 50 columns. Narrow them down by name." } }
        }
    }
}

fn cell(row: &Seen<Row>, target: &Target) -> Markup {
    let class = format!("level level-{}", target.level);
    html! {
        @if target.level == "none" { span class=(class) { "—" span.hidden { "No access" } } } @else {
            details.why id=(format!("why-{}-{}", row.id, target.id)) {
                summary { span class=(class) { (words(&target.level)) } span.hidden { ", why?" } }
                ul { @for reason in &target.reasons { li { (said(reason)) } } }
            }
        }
    }
}

fn words(level: &str) -> &str {
    match level {
        "owner" => "Owner",
        "admin" => "Admin",
        "maintain" => "Maintain",
        "write" => "Write",
        "plan" => "Plan",
        "read" => "Read",
        _ => "Custom",
    }
}

fn said(reason: &Reason) -> Markup {
    let level = words(&reason.level);
    html! {
        @match reason.source.as_str() {
            "owners" => { "In the team " strong { "owners" } ", which may do everything" },
            "organization-access" => {
                strong { (level) } " by organization access of the team " strong { (reason.team) } " ("
                (reason.because_of.join(", ")) ")"
            },
            "project-access" => { strong { (level) } " by project access of the team " strong { (reason.team) } },
            _ => { strong { (level) } " by workspace access of the team " strong { (reason.team) } },
        }
    }
}
