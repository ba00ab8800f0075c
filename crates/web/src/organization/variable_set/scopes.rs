//! Where a variable set holds: projects, and single workspaces.

use super::{super::api, api_of_set, changed, of_set};
use crate::{
    answer::Answer,
    form::Field,
    layout::form_token,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::{
    Error, Result,
    inside::{Found, Seen},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

pub(super) fn routes(table: Table) -> Table {
    table
        .send("/app/{organization}/settings/variable-sets/{set}/scopes/{kind}", "web.set-scopes.add", add)
        .send(
            "/app/{organization}/settings/variable-sets/{set}/scopes/{kind}/{id}/remove",
            "web.set-scopes.remove",
            remove,
        )
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

pub(super) async fn markup(visit: &Visit, found: &Found, may: bool) -> Result<Markup> {
    let (projects, workspaces) =
        (found.all_included::<Named>("projects")?, found.all_included::<Named>("workspaces")?);
    let all = if may {
        visit.read(&api(visit, "/projects?page%5Bsize%5D=100")).await?.many::<Named>()?
    } else {
        vec![]
    };
    let options: Vec<(&str, &str)> = all
        .iter()
        .filter(|one| projects.iter().all(|known| known.id != one.id))
        .map(|one| (one.id.as_str(), one.name.as_str()))
        .collect();
    Ok(html! {
        section.panel #scopes {
            h2 { "Where it holds" }
            (rows(visit, "projects", "Project", &projects, may))
            (rows(visit, "workspaces", "Workspace", &workspaces, may))
            @if projects.is_empty() && workspaces.is_empty() { p.muted { "Nowhere yet." } }
            @if may {
                @if !options.is_empty() {
                    form.row method="post" action=(of_set(visit, "/scopes/projects")) {
                        (form_token(visit))
                        div.grow { (Field::new("project", "Project").select(visit, &options)) }
                        button.quiet type="submit" { "Add project" }
                    }
                }
                form.row method="post" action=(of_set(visit, "/scopes/workspaces")) {
                    (form_token(visit))
                    div.grow { (Field::new("workspace", "Workspace").hint("Its name.").input(visit)) }
                    button.quiet type="submit" { "Add workspace" }
                }
            }
        }
    })
}

fn rows(visit: &Visit, kind: &str, word: &str, all: &[Seen<Named>], may: bool) -> Markup {
    html! {
        @if !all.is_empty() {
            ul.rows { @for one in all { li {
                span.badge { (word) }
                strong { (one.name) }
                @if may {
                    form.end method="post" action=(of_set(visit, &format!("/scopes/{kind}/{}/remove", segment(&one.id)))) {
                        (form_token(visit))
                        button.quiet.small-button type="submit" aria-label={ "Remove " (one.name) } { "Remove" }
                    }
                }
            } } }
        }
    }
}

fn kind(visit: &Visit) -> Result<&'static str> {
    ["projects", "workspaces"].into_iter().find(|kind| *kind == visit.path("kind")).ok_or(Error::NotFound)
}

async fn add(visit: Visit) -> Result<Answer> {
    let kind = kind(&visit)?;
    let result = put(&visit, kind).await;
    changed(&visit, result, "scope").await
}

async fn put(visit: &Visit, kind: &str) -> Result<serde_json::Value> {
    let id = if kind == "projects" {
        visit.field("project").to_owned()
    } else {
        let name = visit.field("workspace").trim();
        let found = visit.read_if_there(&api(visit, &format!("/workspaces/{}", segment(name)))).await?;
        let Some(found) = found else {
            return Err(Error::invalid(
                "workspace",
                format!("There is no workspace {name:?} that you may see"),
            ));
        };
        found.one::<Named>()?.id
    };
    let body = json!({ "data": [{ "type": kind, "id": id }] });
    visit.change(Method::POST, &api_of_set(visit, &format!("/relationships/{kind}")), &body).await
}

async fn remove(visit: Visit) -> Result<Answer> {
    let kind = kind(&visit)?;
    let body = json!({ "data": [{ "type": kind, "id": visit.path("id") }] });
    let result =
        visit.change(Method::DELETE, &api_of_set(&visit, &format!("/relationships/{kind}")), &body).await;
    changed(&visit, result, "scope").await
}
