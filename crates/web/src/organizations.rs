//! An organization: what runs, waits and failed.

use crate::{
    answer::Answer,
    layout::{Area, Frame, framed, moment},
    live::{self, Watch},
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use http_api::{Result, inside::Seen};
use kernel::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

pub(crate) fn routes(table: Table) -> Table {
    table.show("/app/{organization}", "web.organization.show", show)
}

/// A run in a list.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Run {
    pub(crate) status: String,
    pub(crate) message: String,
    pub(crate) created_at: String,
}

#[derive(Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
}

async fn show(visit: Visit) -> Result<Answer> {
    let name = visit.path("organization").to_owned();
    let found = visit
        .read(&format!("/organizations/{}/runs?include=workspace&page%5Bsize%5D=20", segment(&name)))
        .await?;
    let runs = found.many::<Run>()?;
    let workspaces = found.all_included::<Named>("workspaces")?;
    let now = visit.app.now();
    let list = html! {
        section.panel {
            h2 { "Newest runs" }
            @if runs.is_empty() {
                p.muted { "There has been no run yet." }
            } @else {
                ul.rows data-list {
                    @for run in &runs {
                        @let workspace = workspaces.iter().find(|w| run.related("workspace") == Some(&w.id));
                        (row(&name, workspace.map_or("", |w| &w.name), run, now))
                    }
                }
            }
        }
    };
    let body = live::follow(&visit, Watch::Organization(&name), &live::part(&visit, "runs", &list));
    Ok(Answer::page(framed(&visit, &Frame::new(Area::Organization(&name), "Overview", &name), &body)))
}

/// A run in a list, of whichever workspace.
pub(crate) fn row(organization: &str, workspace: &str, run: &Seen<Run>, now: Timestamp) -> Markup {
    let path = format!("/app/{}/workspaces/{}/runs/{}", segment(organization), segment(workspace), run.id);
    html! {
        li {
            (parts::badge(&run.status))
            a href=(path) data-item { (run.message) }
            span.muted { (workspace) }
            @if let Some(at) = Timestamp::parse(&run.created_at) { span.muted { (moment(now, at)) } }
        }
    }
}
