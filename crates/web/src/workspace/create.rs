//! A new workspace.

use super::{Refusal, answered, member, page, refused};
use crate::{
    answer::Answer,
    layout::{Area, Frame, form_token, framed},
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::{Error, Result, inside::Seen};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) fn routes(table: Table) -> Table {
    let path = "/app/{organization}/workspaces/new";
    table.show(path, "web.workspace.new", show).send(path, "web.workspace.create", create)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Organization {
    permissions: MayDo,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MayDo {
    can_create_workspace: bool,
}

/// A project that a workspace may be in.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Project {
    pub(super) name: String,
    pub(super) default_execution_mode: String,
    permissions: OfProject,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct OfProject {
    can_create_workspace: bool,
}

/// The projects of an organization in which one may make workspaces.
pub(super) async fn projects(visit: &Visit, organization: &str) -> Result<Vec<Seen<Project>>> {
    let path = format!("/organizations/{}/projects?page%5Bsize%5D=100", segment(organization));
    let all = visit.read(&path).await?.many::<Project>()?;
    Ok(all.into_iter().filter(|project| project.permissions.can_create_workspace).collect())
}

async fn show(visit: Visit) -> Result<Answer> {
    shown(&visit, None).await
}

async fn shown(visit: &Visit, refusal: Option<&Refusal>) -> Result<Answer> {
    let organization = visit.path("organization").to_owned();
    let path = format!("/organizations/{}", segment(&organization));
    let of = visit.read(&path);
    let (of, projects) = tokio::try_join!(of, projects(visit, &organization))?;
    let of = of.one::<Organization>()?;
    if !of.permissions.can_create_workspace {
        return Err(Error::NotFound);
    }
    let project = match visit.field("project") {
        "" => visit.query("project").or_else(|| of.related("default-project").map(str::to_owned)),
        sent => Some(sent.to_owned()),
    };
    let frame = Frame {
        within: true,
        ..Frame::new(Area::Organization(&organization), "Workspaces", "New workspace")
    };
    let body = html! {
        (refused(refusal))
        section.panel.narrow aria-label="New workspace" { (form(visit, &organization, &projects, project.as_deref())) }
    };
    Ok(answered(Answer::page(framed(visit, &frame, &body)), refusal))
}

fn form(visit: &Visit, organization: &str, projects: &[Seen<Project>], project: Option<&str>) -> Markup {
    let mode = visit.field("execution-mode");
    html! {
        form #new-workspace method="post" action={ "/app/" (segment(organization)) "/workspaces/new" } {
            (form_token(visit))
            label for="name" { "Name" }
            input #name name="name" value=(visit.field("name")) required maxlength="90" pattern="[A-Za-z0-9_\\-]+"
                title="Letters, numbers, - and _" autocomplete="off" autocapitalize="off" spellcheck="false" autofocus;
            label for="project" { "Project" }
            select #project name="project" {
                @for one in projects { option value=(one.id) selected[Some(one.id.as_str()) == project] { (one.name) } }
            }
            label for="description" { "Description" }
            input #description name="description" value=(visit.field("description")) autocomplete="off";
            label for="execution-mode" { "Execution mode" }
            select #execution-mode name="execution-mode" {
                option value="" selected[mode.is_empty()] { "As the project says" }
                option value="remote" selected[mode == "remote"] { "Remote: runs happen here" }
                option value="local" selected[mode == "local"] { "Local: only the state is kept here" }
            }
            label for="tags" { "Tags" }
            textarea #tags name="tags" rows="2" spellcheck="false" placeholder="key=value, one a line" { "\n" (visit.field("tags")) }
            div.buttons {
                button type="submit" { "Create workspace" }
                a.button.quiet href={ "/app/" (segment(organization)) "/workspaces" } { "Cancel" }
            }
        }
    }
}

/// Tags as people write them, `key` or `key=value`, one a line.
pub(super) fn bindings(text: &str) -> Value {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let binding = |line: &str| {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        json!({ "type": "tag-bindings", "attributes": { "key": key.trim(), "value": value.trim() } })
    };
    json!({ "data": lines.map(binding).collect::<Vec<_>>() })
}

async fn create(visit: Visit) -> Result<Answer> {
    let organization = visit.path("organization").to_owned();
    let name = visit.field("name").trim().to_owned();
    let mut attributes = json!({ "name": name, "description": visit.field("description").trim() });
    if !visit.field("execution-mode").is_empty() {
        attributes["execution-mode"] = json!(visit.field("execution-mode"));
    }
    let mut relationships = json!({ "tag-bindings": bindings(visit.field("tags")) });
    if !visit.field("project").is_empty() {
        relationships["project"] = member("projects", visit.field("project"));
    }
    let body =
        json!({ "data": { "type": "workspaces", "attributes": attributes, "relationships": relationships } });
    match visit
        .change(Method::POST, &format!("/organizations/{}/workspaces", segment(&organization)), &body)
        .await
    {
        Ok(_) => Ok(Answer::see_other(page(&organization, &name, "?done=created"))),
        Err(error) => shown(&visit, Some(&Refusal::of(error)?)).await,
    }
}
