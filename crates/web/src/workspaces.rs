//! The workspaces of an organization.

use crate::{
    answer::Answer,
    layout::{Area, Frame, framed},
    live::{self, Watch},
    organizations::Run,
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use http_api::Result;
use maud::html;
use serde::Deserialize;

pub(crate) fn routes(table: Table) -> Table {
    table.show("/app/{organization}/workspaces", "web.workspaces.list", list)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Workspace {
    name: String,
    resource_count: i64,
}

async fn list(visit: Visit) -> Result<Answer> {
    let organization = visit.path("organization").to_owned();
    let search = visit.query("q").unwrap_or_default();
    let page: u32 = visit.query("page").and_then(|page| page.parse().ok()).unwrap_or(1);
    let base = format!("/app/{}/workspaces", segment(&organization));
    let found = visit
        .read(&format!(
            "/organizations/{}/workspaces?include=current_run&page%5Bsize%5D=100&page%5Bnumber%5D={page}&search%5Bname%5D={}",
            segment(&organization),
            segment(&search),
        ))
        .await?;
    let workspaces = found.many::<Workspace>()?;
    let rows = html! {
        @if workspaces.is_empty() { p.muted { "No workspace is like that." } }
        ul.rows data-list {
            @for workspace in &workspaces {
                @let run = workspace.related("current-run").and_then(|id| found.included::<Run>("runs", id).transpose());
                li {
                    a href=(format!("{base}/{}", segment(&workspace.name))) data-item { (workspace.name) }
                    span.muted { (parts::count(workspace.resource_count, "resource", "resources")) }
                    @if let Some(Ok(run)) = &run { (parts::badge(&run.status)) }
                }
            }
        }
        (parts::pager(&format!("{base}?q={}", segment(&search)), found.pagination()))
    };
    let body = html! {
        form.search method="get" action=(base) role="search" {
            input type="search" name="q" value=(search) placeholder="Search by name" aria-label="Search by name" data-search
                hx-get=(base) hx-trigger="input changed delay:150ms" hx-select="#workspaces" hx-target="#workspaces"
                hx-swap="outerHTML" hx-push-url="true";
        }
        (live::follow(&visit, Watch::Organization(&organization), &live::part(&visit, "workspaces", &rows)))
    };
    Ok(Answer::page(framed(
        &visit,
        &Frame::new(Area::Organization(&organization), "Workspaces", "Workspaces"),
        &body,
    )))
}
