//! The projects of an organization.

use super::{api, of, page};
use crate::{
    answer::Answer,
    form::{Field, done, settled},
    layout::{Area, Frame, form_token, framed},
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::Result;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

pub(super) fn routes(table: Table) -> Table {
    table.show("/app/{organization}/projects", "web.projects.list", show).send(
        "/app/{organization}/projects",
        "web.projects.create",
        create,
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Project {
    name: String,
    description: Option<String>,
    default_execution_mode: String,
    auto_destroy_activity_duration: Option<String>,
}

async fn show(visit: Visit) -> Result<Answer> {
    answer(&visit, &Markup::default()).await
}

async fn answer(visit: &Visit, above: &Markup) -> Result<Answer> {
    let search = visit.query("q").unwrap_or_default();
    let number = visit.query("page").and_then(|page| page.parse().ok()).unwrap_or(1_u32);
    let path =
        api(visit, &format!("/projects?page%5Bsize%5D=50&page%5Bnumber%5D={number}&q={}", segment(&search)));
    let (organization, found) = tokio::try_join!(of(visit), visit.read(&path))?;
    let projects = found.many::<Project>()?;
    let base = page(visit, "/projects");
    let body = html! {
        (above)
        (done(visit, &[("deleted", "The project is gone.")]))
        form.search method="get" action=(base) role="search" hx-get=(base) hx-trigger="input delay:150ms" hx-select="#projects"
            hx-target="#projects" hx-swap="outerHTML" hx-push-url="true" {
            input type="search" name="q" value=(search) placeholder="Search by name ( / )" aria-label="Search by name" data-search;
            button.quiet type="submit" { "Search" }
        }
        div.stack #projects {
            @if projects.is_empty() { section.panel { p { "No project is called like that." } } } @else {
                ul.rows data-list { @for project in &projects { li {
                    a href=(format!("{base}/{}", segment(&project.id))) data-item { (project.name) }
                    @if let Some(after) = &project.auto_destroy_activity_duration { span.badge { "Destroys after " (after) } }
                    @if project.default_execution_mode == "local" { span.badge { "Local execution" } }
                    @if let Some(text) = project.description.as_deref().filter(|text| !text.is_empty()) { p.reason { (text) } }
                } } }
                (parts::pager(&format!("{base}?q={}", segment(&search)), found.pagination()))
            }
        }
        @if organization.permissions.can_create_project {
            section.panel {
                h2 { "New project" }
                p.muted { "A project groups workspaces that belong together: teams get access to all of them at once, variable sets hold in all of them." }
                form #new-project method="post" action=(base) {
                    (form_token(visit))
                    (Field::new("name", "Name").input(visit))
                    (Field::new("description", "Description").optional().input(visit))
                    div.buttons { button type="submit" { "Create project" } }
                }
            }
        }
    };
    let frame = Frame::new(Area::Organization(&organization.name), "Projects", "Projects");
    Ok(Answer::page(framed(visit, &frame, &body)))
}

async fn create(visit: Visit) -> Result<Answer> {
    let body = json!({ "data": { "type": "projects", "attributes": {
        "name": visit.field("name").trim(), "description": visit.field("description") } } });
    match settled(visit.change(Method::POST, &api(&visit, "/projects"), &body).await)? {
        Ok(made) => {
            let id = made["data"]["id"].as_str().unwrap_or_default();
            Ok(Answer::see_other(page(&visit, &format!("/projects/{}?done=created", segment(id)))))
        }
        Err(refusal) => Ok(refusal.answer(answer(&visit, &refusal.note()).await?)),
    }
}
