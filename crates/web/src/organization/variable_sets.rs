//! The variable sets of an organization.

use super::{api, of, page, settings::Sided};
use crate::{
    answer::Answer,
    form::{Field, done, settled, tick},
    layout::form_token,
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::{Result, inside::Seen};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

pub(super) fn routes(table: Table) -> Table {
    table.show("/app/{organization}/settings/variable-sets", "web.variable-sets.list", show).send(
        "/app/{organization}/settings/variable-sets",
        "web.variable-sets.create",
        create,
    )
}

/// A set in the list, and on its page.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) global: bool,
    pub(super) priority: bool,
    pub(super) var_count: i64,
    pub(super) workspace_count: i64,
    pub(super) project_count: i64,
}

async fn show(visit: Visit) -> Result<Answer> {
    answer(&visit, &Markup::default()).await
}

async fn answer(visit: &Visit, above: &Markup) -> Result<Answer> {
    let search = visit.query("q").unwrap_or_default();
    let number = visit.query("page").and_then(|page| page.parse().ok()).unwrap_or(1_u32);
    let path =
        api(visit, &format!("/varsets?page%5Bsize%5D=50&page%5Bnumber%5D={number}&q={}", segment(&search)));
    let (organization, found) = tokio::try_join!(of(visit), visit.read(&path))?;
    let sets = found.many::<Set>()?;
    let base = page(visit, "/settings/variable-sets");
    let body = html! {
        (above)
        (done(visit, &[("deleted", "The set is gone. The next runs do without its variables.")]))
        section.panel {
            p.muted { "Variables that many workspaces share: in all of the organization, in projects, or in single workspaces. \
                       What is set closer to a workspace goes first, unless a set has priority." }
            form.search method="get" action=(base) role="search" {
                input type="search" name="q" value=(search) placeholder="Search by name" aria-label="Search by name" data-search;
                button.quiet type="submit" { "Search" }
            }
            @if sets.is_empty() {
                p { @if search.is_empty() { "There is no variable set yet. Region, credentials of a cloud, or a proxy are good first ones." }
                    @else { "No set is called like that." } }
            } @else {
                ul.rows data-list { @for set in &sets { li {
                    a href=(format!("{base}/{}", segment(&set.id))) data-item { (set.name) }
                    @if set.priority { span.badge.wanted { "Priority" } }
                    span.muted { (scope(set)) }
                    span.muted { (parts::count(set.var_count, "variable", "variables")) }
                    @if !set.description.is_empty() { p.reason { (set.description) } }
                } } }
                (parts::pager(&format!("{base}?q={}", segment(&search)), found.pagination()))
            }
        }
        @if organization.permissions.can_manage_varsets {
            section.panel {
                h2 { "New variable set" }
                form #new-variable-set method="post" action=(base) {
                    (form_token(visit))
                    (Field::new("name", "Name").input(visit))
                    (Field::new("description", "Description").optional().input(visit))
                    (tick(visit, "global", "Holds in all workspaces of the organization",
                        "Otherwise choose projects and workspaces on its page.", false))
                    (tick(visit, "priority", "Has priority",
                        "Its variables hold even where a workspace or a run says otherwise.", false))
                    div.buttons { button type="submit" { "Create variable set" } }
                }
            }
        }
    };
    Ok(Sided::new("Variable sets").answer(visit, &organization, &body))
}

/// Where a set holds, in few words.
pub(super) fn scope(set: &Seen<Set>) -> String {
    if set.global {
        return "All workspaces".to_owned();
    }
    match (set.project_count, set.workspace_count) {
        (0, 0) => "Nowhere yet".to_owned(),
        (p, 0) => parts::count(p, "project", "projects"),
        (0, w) => parts::count(w, "workspace", "workspaces"),
        (p, w) => format!(
            "{}, {}",
            parts::count(p, "project", "projects"),
            parts::count(w, "workspace", "workspaces")
        ),
    }
}

async fn create(visit: Visit) -> Result<Answer> {
    let body = json!({ "data": { "type": "varsets", "attributes": {
        "name": visit.field("name"), "description": visit.field("description"),
        "global": !visit.field("global").is_empty(), "priority": !visit.field("priority").is_empty() } } });
    match settled(visit.change(Method::POST, &api(&visit, "/varsets"), &body).await)? {
        Ok(made) => {
            let id = made["data"]["id"].as_str().unwrap_or_default();
            Ok(Answer::see_other(page(
                &visit,
                &format!("/settings/variable-sets/{}?done=created", segment(id)),
            )))
        }
        Err(refusal) => Ok(refusal.answer(answer(&visit, &refusal.note()).await?)),
    }
}
