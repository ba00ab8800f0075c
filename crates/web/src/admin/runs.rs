//! Runs of the whole site: those in progress, and all others by status; one that hangs is force-canceled.

use super::{answer, search};
use crate::{
    answer::Answer,
    form::{confirm, done, settled},
    layout::moment,
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::{
    Result,
    inside::{Found, Seen},
};
use kernel::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn routes(table: Table) -> Table {
    table.show("/app/admin/runs", "web.admin-runs.list", show).send(
        "/app/admin/runs/{run}/force-cancel",
        "web.admin-runs.force-cancel",
        force_cancel,
    )
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

const IN_PROGRESS: &str = "pending,fetching,fetching_completed,queuing,plan_queued,planning,confirmed,queuing_apply,\
                           apply_queued,applying";
/// Which runs: the word of the address, the name, the statuses.
const WHICH: [(&str, &str, &str); 4] = [
    ("", "In progress", IN_PROGRESS),
    ("confirm", "Needing confirmation", "planned,cost_estimated,policy_checked,policy_override"),
    ("errored", "Errored", "errored"),
    ("all", "All", ""),
];

async fn show(visit: Visit) -> Result<Answer> {
    shown(&visit, &Markup::default()).await
}

async fn shown(visit: &Visit, above: &Markup) -> Result<Answer> {
    let text = |name| visit.query(name).unwrap_or_default();
    let (which, wanted) = (text("which"), text("q"));
    let number: u32 = text("page").parse().unwrap_or(1);
    let statuses =
        WHICH.iter().find(|(word, ..)| *word == which).map_or(IN_PROGRESS, |(.., statuses)| statuses);
    let found = visit
        .read(&format!(
            "/admin/runs?include=workspace%2Cworkspace.organization&page%5Bsize%5D=50&page%5Bnumber%5D={number}\
             &filter%5Bstatus%5D={}&q={}",
            segment(statuses),
            segment(&wanted)
        ))
        .await?;
    let body = html! {
        (above)
        (done(visit, &[("canceled", "The run is canceled by force. Its state is what it had written last.")]))
        (search("/app/admin/runs", &wanted, "Run id, or part of the name of a workspace or an organization", &html! {
            select name="which" aria-label="Which runs" {
                @for (word, name, _) in WHICH { option value=(word) selected[word == which] { (name) } }
            }
        }))
        section.panel { (table(visit, &found, which.is_empty())?) }
        (parts::pager(&format!("/app/admin/runs?which={}&q={}", segment(&which), segment(&wanted)), found.pagination()))
    };
    Ok(answer(visit, "Runs", &body))
}

fn table(visit: &Visit, found: &Found, in_progress: bool) -> Result<Markup> {
    let (runs, workspaces) = (found.many::<Run>()?, found.all_included::<Named>("workspaces")?);
    let now = visit.app.now();
    Ok(html! {
        @if runs.is_empty() {
            p.muted { @if in_progress { "No run is in progress in the whole site." } @else { "No run is like that." } }
        } @else {
            table {
                thead { tr {
                    th scope="col" { "Run" } th scope="col" { "Workspace" } th scope="col" { "Status" } th scope="col" { "Made" }
                    th scope="col" { span.hidden { "Actions" } }
                } }
                tbody { @for run in &runs {
                    @let workspace = workspaces.iter().find(|w| run.related("workspace") == Some(&w.id));
                    @let organization = workspace.and_then(|w| w.related("organization")).unwrap_or_default();
                    @let name = workspace.map_or("", |w| &w.name);
                    tr {
                        th scope="row" {
                            a href=(format!("/app/{}/workspaces/{}/runs/{}", segment(organization), segment(name), run.id)) { (run.id) }
                        }
                        td data-name="Workspace" { (organization) " / " (name) }
                        td data-name="Status" { (parts::badge(&run.status)) }
                        td data-name="Made" { @if let Some(at) = Timestamp::parse(&run.created_at) { (moment(now, at)) } }
                        td.actions { @if !over(run) {
                            (confirm(visit, &format!("/app/admin/runs/{}/force-cancel", segment(&run.id)), "Force-cancel", &run.id,
                                "The run ends at once, without a last word of Terraform. Resources that it was just making may be missing in the state.",
                                "Force-cancel it"))
                        } }
                    }
                } }
            }
        }
    })
}

fn over(run: &Seen<Run>) -> bool {
    use parts::Mood::{Bad, Good, Over};
    matches!(parts::status(&run.status).1, Good | Bad | Over)
}

async fn force_cancel(visit: Visit) -> Result<Answer> {
    let path = format!("/admin/runs/{}/actions/force-cancel", segment(visit.path("run")));
    let body: Value = json!({ "comment": "Force-canceled by a site admin" });
    match settled(visit.change(Method::POST, &path, &body).await)? {
        Ok(_) => Ok(Answer::see_other("/app/admin/runs?done=canceled")),
        Err(refusal) => Ok(refusal.answer(shown(&visit, &refusal.note()).await?)),
    }
}
