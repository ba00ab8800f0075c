//! A workspace: its newest run, and the list of its runs.

use crate::{
    answer::Answer,
    layout::{Area, Frame, framed},
    live::{self, Watch},
    organizations::{self, Run},
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use http_api::{Result, inside::Seen};
use maud::html;
use serde::Deserialize;

pub(crate) fn routes(table: Table) -> Table {
    table.show("/app/{organization}/workspaces/{workspace}", "web.workspace.show", show).show(
        "/app/{organization}/workspaces/{workspace}/runs",
        "web.workspace.runs",
        show,
    )
}

/// A workspace of a page below it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Workspace {
    pub(crate) name: String,
}

/// The workspace that the path names.
pub(crate) async fn of(visit: &Visit) -> Result<Seen<Workspace>> {
    let (organization, name) = (segment(visit.path("organization")), segment(visit.path("workspace")));
    visit.read(&format!("/organizations/{organization}/workspaces/{name}")).await?.one()
}

async fn show(visit: Visit) -> Result<Answer> {
    let organization = visit.path("organization").to_owned();
    let workspace = of(&visit).await?;
    let found = visit.read(&format!("/workspaces/{}/runs?page%5Bsize%5D=20", workspace.id)).await?;
    let (runs, now) = (found.many::<Run>()?, visit.app.now());
    let list = html! {
        section.panel {
            h2 { "Runs" }
            ul.rows data-list { @for run in &runs { (organizations::row(&organization, &workspace.name, run, now)) } }
            (parts::pager(visit.uri.path(), found.pagination()))
        }
    };
    let body = live::follow(&visit, Watch::Workspace(&workspace.id), &live::part(&visit, "runs", &list));
    let frame = Frame::new(Area::Workspace(&organization, &workspace.name), "Overview", &workspace.name);
    Ok(Answer::page(framed(&visit, &frame, &body)))
}
