//! The settings of a workspace: what it is called, how its runs are made, its project and its tags. What is below
//! `/settings` stands beside each other in one frame, [`beside`].

use super::{At, Named, Refusal, answered, create, done, engine, mode, refused};
use crate::{
    answer::Answer,
    layout::{Frame, form_token, framed},
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::{Result, inside::Seen};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) fn routes(table: Table) -> Table {
    let path = "/app/{organization}/workspaces/{workspace}/settings";
    table
        .show(path, "web.workspace-settings.show", show)
        .send(path, "web.workspace-settings.update", update)
        .send(
            "/app/{organization}/workspaces/{workspace}/settings/project",
            "web.workspace-settings.move",
            move_to_project,
        )
}

/// The pages of the settings: their names and paths.
const PAGES: [(&str, &str); 7] = [
    ("General", "/settings"),
    ("Remote state sharing", "/settings/remote-state"),
    ("Run triggers", "/settings/run-triggers"),
    ("SSH key", "/settings/ssh-key"),
    ("Team access", "/settings/access"),
    ("Data retention", "/settings/data-retention"),
    ("Destruction and deletion", "/settings/destruction"),
];

/// A page of the settings, with the way to the others.
pub(super) fn beside(visit: &Visit, at: &At, name: &str, refusal: Option<&Refusal>, body: &Markup) -> Answer {
    let body = html! {
        div.sided {
            nav.side aria-label="Settings" {
                @for (other, path) in PAGES {
                    a href=(at.page(path)) aria-current=[(other == name).then_some("page")] { (other) }
                }
            }
            div.main {
                (done(visit, &[("saved", "The settings are saved.")]))
                (refused(refusal))
                (body)
            }
        }
    };
    let frame = Frame::new(at.area(), "Settings", name);
    answered(Answer::page(framed(visit, &frame, &body)), refusal)
}

/// Said where one may look and not change.
pub(super) fn only_shown(may: bool) -> Markup {
    html! { @if !may { p.muted { "You may see these settings, and not change them." } } }
}

#[derive(Deserialize)]
struct Binding {
    key: String,
    value: String,
}

async fn show(visit: Visit) -> Result<Answer> {
    page(&visit, None).await
}

async fn page(visit: &Visit, refusal: Option<&Refusal>) -> Result<Answer> {
    let at = At::of(visit, "project").await?;
    let bindings = visit.read(&at.api("/tag-bindings")).await?.many::<Binding>()?;
    let project = at.workspace.related("project").unwrap_or_default();
    let project: Option<Seen<create::Project>> = at.found.included("projects", project)?;
    let may = at.workspace.permissions.can_update;
    let body = html! {
        (only_shown(may))
        section.panel aria-label="General" {
            @if may {
                (form(visit, &at, project.as_ref(), &bindings, refusal.is_some()))
            } @else {
                (facts(&at))
            }
        }
        (project_panel(visit, &at, project.as_ref(), may).await?)
    };
    Ok(beside(visit, &at, "General", refusal, &body))
}

fn facts(at: &At) -> Markup {
    let workspace = &at.workspace;
    html! {
        dl.about.wide {
            dt { "Name" } dd { (workspace.name) }
            dt { "ID" } dd { code { (workspace.id) } }
            dt { "Execution mode" } dd { (mode(&workspace.execution_mode)) }
            dt { (engine(&workspace.engine)) } dd { (workspace.terraform_version) }
            dt { "Auto-apply" } dd { @if workspace.auto_apply { "On" } @else { "Off" } }
        }
    }
}

fn form(
    visit: &Visit,
    at: &At,
    project: Option<&Seen<create::Project>>,
    bindings: &[Seen<Binding>],
    sent: bool,
) -> Markup {
    let workspace = &at.workspace;
    // What was sent and refused stays in the form.
    let text = |name: &str, stored: &str| if sent { visit.field(name).to_owned() } else { stored.to_owned() };
    let on = |name: &str, stored: bool| if sent { visit.field(name) == "on" } else { stored };
    let inherited = project.map_or("Remote", |project| mode(&project.default_execution_mode));
    let own =
        if workspace.setting_overwrites.execution_mode { workspace.execution_mode.as_str() } else { "" };
    let (chosen, engine) = (text("execution-mode", own), text("engine", &workspace.engine));
    let tags: Vec<String> = bindings
        .iter()
        .map(|one| if one.value.is_empty() { one.key.clone() } else { format!("{}={}", one.key, one.value) })
        .collect();
    html! {
        form #general-form method="post" action=(at.page("/settings")) {
            (form_token(visit))
            p.small { "ID " code { (workspace.id) } }
            label for="name" { "Name" }
            input #name name="name" value=(text("name", &workspace.name)) required maxlength="90" autocomplete="off";
            label for="description" { "Description" }
            input #description name="description" autocomplete="off"
                value=(text("description", workspace.description.as_deref().unwrap_or_default()));
            label for="tags" { "Tags, " code { "key" } " or " code { "key=value" } ", one a line" }
            textarea #tags name="tags" rows="3" spellcheck="false" { "\n" (text("tags", &tags.join("\n"))) }
            label for="execution-mode" { "Execution mode" }
            select #execution-mode name="execution-mode" {
                option value="" selected[chosen.is_empty()] { "As the project says (" (inherited) ")" }
                option value="remote" selected[chosen == "remote"] { "Remote: runs happen here" }
                option value="local" selected[chosen == "local"] { "Local: only the state is kept here" }
            }
            div.pair {
                div.field {
                    label for="engine" { "Engine" }
                    select #engine name="engine" {
                        option value="terraform" selected[engine == "terraform"] { "Terraform" }
                        option value="tofu" selected[engine == "tofu"] { "OpenTofu" }
                    }
                }
                div.field {
                    label for="terraform-version" { "Version" }
                    input #terraform-version name="terraform-version" autocomplete="off" spellcheck="false"
                        value=(text("terraform-version", &workspace.terraform_version));
                }
            }
            p.small { "A version, a constraint such as " code { "~> 1.9.0" } ", or " code { "latest" } "." }
            label for="working-directory" { "Working directory" }
            input #working-directory name="working-directory" autocomplete="off" spellcheck="false"
                placeholder="The root of the configuration"
                value=(text("working-directory", workspace.working_directory.as_deref().unwrap_or_default()));
            fieldset.choices {
                legend { "Runs" }
                label {
                    input type="checkbox" name="auto-apply" checked[on("auto-apply", workspace.auto_apply)];
                    " Auto-apply: a plan with changes is applied without asking"
                }
                label {
                    input type="checkbox" name="auto-apply-run-trigger"
                        checked[on("auto-apply-run-trigger", workspace.auto_apply_run_trigger)];
                    " Auto-apply runs that another workspace's apply has triggered"
                }
                label {
                    input type="checkbox" name="structured-run-output"
                        checked[on("structured-run-output", workspace.structured_run_output_enabled)];
                    " Structured run output"
                }
            }
            div.buttons { button type="submit" { "Save settings" } }
        }
    }
}

fn asked(visit: &Visit) -> Value {
    let (text, on) =
        (|name: &str| visit.field(name).trim().to_owned(), |name: &str| visit.field(name) == "on");
    let mut attributes = json!({
        "name": text("name"),
        "description": text("description"),
        "engine": text("engine"),
        "terraform-version": text("terraform-version"),
        "working-directory": text("working-directory"),
        "auto-apply": on("auto-apply"),
        "auto-apply-run-trigger": on("auto-apply-run-trigger"),
        "structured-run-output-enabled": on("structured-run-output"),
    });
    match visit.field("execution-mode") {
        "" => attributes["setting-overwrites"] = json!({ "execution-mode": false, "agent-pool": false }),
        mode => attributes["execution-mode"] = json!(mode),
    }
    attributes
}

async fn update(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let body = json!({ "data": {
        "type": "workspaces", "attributes": asked(&visit),
        "relationships": { "tag-bindings": create::bindings(visit.field("tags")) },
    } });
    match visit.change(Method::PATCH, &at.api(""), &body).await {
        Ok(_) => {
            let name = visit.field("name").trim();
            Ok(Answer::see_other(super::page(&at.organization, name, "/settings?done=saved")))
        }
        Err(error) => page(&visit, Some(&Refusal::of(error)?)).await,
    }
}

async fn project_panel(
    visit: &Visit,
    at: &At,
    project: Option<&Seen<create::Project>>,
    may: bool,
) -> Result<Markup> {
    let others = if may { create::projects(visit, &at.organization).await? } else { vec![] };
    let own = at.workspace.related("project");
    Ok(html! {
        section.panel aria-labelledby="project-heading" {
            h2 #project-heading { "Project" }
            p { @match project { Some(project) => (project.name), None => "Hidden from you" } }
            @if others.iter().any(|other| Some(other.id.as_str()) != own) {
                p.small {
                    "Whoever has access through the project loses it, and whoever has access to the other project gets it. "
                    "Variable sets of projects change too."
                }
                form.row #project-form method="post" action=(at.page("/settings/project")) {
                    (form_token(visit))
                    div.grow {
                        label for="project" { "Move to" }
                        select #project name="project" {
                            @for other in &others { option value=(other.id) selected[Some(other.id.as_str()) == own] { (other.name) } }
                        }
                    }
                    button.quiet type="submit" { "Move workspace" }
                }
            }
        }
    })
}

async fn move_to_project(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let project = visit.field("project");
    let body = json!({ "data": {
        "type": "workspaces", "relationships": { "project": super::member("projects", project) },
    } });
    match visit.change(Method::PATCH, &at.api(""), &body).await {
        Ok(_) => Ok(Answer::see_other(at.page("/settings?done=saved"))),
        Err(error) => page(&visit, Some(&Refusal::of(error)?)).await,
    }
}

/// The id of the workspace of a name, for those that people write.
pub(super) async fn workspace_named(visit: &Visit, organization: &str, name: &str) -> Result<Option<String>> {
    let path = format!("/organizations/{}/workspaces/{}", segment(organization), segment(name));
    let found = visit.read_if_there(&path).await?;
    Ok(found.map(|found| found.one::<Named>()).transpose()?.map(|one| one.id))
}
