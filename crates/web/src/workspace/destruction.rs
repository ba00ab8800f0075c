//! The end of a workspace: its resources destroyed, now or at a time, and the workspace itself deleted.

use super::{At, Refusal, member, settings};
use crate::{
    answer::Answer,
    layout::form_token,
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::{Error, Result};
use maud::{Markup, html};
use serde_json::{Value, json};

pub(crate) fn routes(table: Table) -> Table {
    let path = "/app/{organization}/workspaces/{workspace}/settings/destruction";
    let destroy = "/app/{organization}/workspaces/{workspace}/settings/destruction/destroy";
    let delete = "/app/{organization}/workspaces/{workspace}/settings/destruction/delete";
    table
        .show(path, "web.destruction.show", show)
        .send(path, "web.destruction.update", update)
        .send(destroy, "web.destruction.destroy", destroy_plan)
        .send(delete, "web.destruction.delete", delete_workspace)
}

async fn show(visit: Visit) -> Result<Answer> {
    page(&visit, None).await
}

async fn page(visit: &Visit, refusal: Option<&Refusal>) -> Result<Answer> {
    let at = At::of(visit, "").await?;
    let may = at.workspace.permissions.can_update;
    let body = html! {
        (destroy_panel(visit, &at))
        (schedule_panel(visit, &at, may, refusal.is_some()))
        @if at.workspace.permissions.can_destroy { (delete_panel(visit, &at)) }
    };
    Ok(settings::beside(visit, &at, "Destruction and deletion", refusal, &body))
}

fn destroy_panel(visit: &Visit, at: &At) -> Markup {
    let workspace = &at.workspace;
    html! {
        section.panel aria-labelledby="destroy-heading" {
            h2 #destroy-heading { "Destroy infrastructure" }
            p {
                "This workspace manages " (parts::count(workspace.resource_count, "resource", "resources")) ". "
                "A destroy plan shows what would be destroyed, and is applied when somebody confirms."
            }
            @if !workspace.allow_destroy_plan {
                p.muted { "Destroy plans are not allowed here." }
            } @else if workspace.permissions.can_queue_destroy && workspace.execution_mode != "local" {
                form #destroy-form method="post" action=(at.page("/settings/destruction/destroy")) {
                    (form_token(visit))
                    div.buttons { button.danger type="submit" { "Queue destroy plan" } }
                }
            }
        }
    }
}

fn schedule_panel(visit: &Visit, at: &At, may: bool, sent: bool) -> Markup {
    let workspace = &at.workspace;
    let stored = match (&workspace.auto_destroy_at, &workspace.auto_destroy_activity_duration) {
        _ if workspace.inherits_project_auto_destroy => "inherit",
        (_, Some(_)) => "after",
        (Some(_), None) => "at",
        (None, None) => "never",
    };
    let chosen = if sent && !visit.field("when").is_empty() { visit.field("when") } else { stored };
    let when = workspace.auto_destroy_at.as_deref();
    // A browser writes a time without seconds and zone.
    let moment = when.and_then(|at| at.get(..16)).unwrap_or_default();
    let duration = workspace.auto_destroy_activity_duration.as_deref().unwrap_or_default();
    html! {
        section.panel aria-labelledby="schedule-heading" {
            h2 #schedule-heading { "Rules" }
            form #schedule-form method="post" action=(at.page("/settings/destruction")) {
                (form_token(visit))
                fieldset.choices disabled[!may] {
                    legend.hidden { "Destroy plans" }
                    label {
                        input type="checkbox" name="allow-destroy-plan" checked[workspace.allow_destroy_plan];
                        " Allow destroy plans"
                    }
                }
                fieldset.choices disabled[!may] {
                    legend { "Destroy by itself" }
                    label {
                        input type="radio" name="when" value="inherit" checked[chosen == "inherit"];
                        span { "As the project says" @if let (true, Some(at)) = (stored == "inherit", when) { span.small { "At " (at) } } }
                    }
                    label { input type="radio" name="when" value="never" checked[chosen == "never"]; "Never" }
                    label { input type="radio" name="when" value="at" checked[chosen == "at"]; "At a time" }
                    input name="at" type="datetime-local" aria-label="Time (UTC)" value=(moment);
                    label { input type="radio" name="when" value="after" checked[chosen == "after"]; "When nothing was applied for a while" }
                    input name="after" aria-label="Duration, such as 14d or 12h" placeholder="14d, or 12h" value=(duration)
                        autocomplete="off";
                }
                @if may { div.buttons { button type="submit" { "Save settings" } } }
            }
        }
    }
}

fn delete_panel(visit: &Visit, at: &At) -> Markup {
    let workspace = &at.workspace;
    let managed = workspace.resource_count > 0;
    let forced = managed && workspace.permissions.can_force_delete;
    html! {
        section.panel.grave aria-labelledby="delete-heading" {
            h2 #delete-heading { "Delete workspace" }
            @if managed {
                p {
                    strong { "This workspace still manages " (parts::count(workspace.resource_count, "resource", "resources")) ". " }
                    "Destroy them first, or they go on to exist and nothing knows of them any more."
                }
            } @else {
                p { "Its runs, states, variables and configurations are deleted with it. This cannot be undone." }
            }
            @if managed && !forced {
                p.muted { "A workspace that manages resources can be deleted by owners only." }
            } @else {
                form #delete-form method="post" action=(at.page("/settings/destruction/delete")) {
                    (form_token(visit))
                    input type="hidden" name="how" value=(if forced { "force" } else { "safe" });
                    label for="confirm-name" { "Write " code { (workspace.name) } " to confirm" }
                    input #confirm-name name="confirm-name" required autocomplete="off" spellcheck="false";
                    div.buttons {
                        button.danger type="submit" { @if forced { "Force delete workspace" } @else { "Delete workspace" } }
                    }
                }
            }
        }
    }
}

async fn update(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let mut attributes = json!({ "allow-destroy-plan": visit.field("allow-destroy-plan") == "on" });
    let inherits = visit.field("when") == "inherit";
    attributes["inherits-project-auto-destroy"] = json!(inherits);
    match visit.field("when") {
        "at" => attributes["auto-destroy-at"] = json!(format!("{}:00Z", visit.field("at"))),
        "after" => attributes["auto-destroy-activity-duration"] = json!(visit.field("after").trim()),
        "never" => attributes["auto-destroy-at"] = Value::Null,
        _ => {}
    }
    let body = json!({ "data": { "type": "workspaces", "attributes": attributes } });
    match visit.change(Method::PATCH, &at.api(""), &body).await {
        Ok(_) => Ok(Answer::see_other(at.page("/settings/destruction?done=saved"))),
        Err(error) => page(&visit, Some(&Refusal::of(error)?)).await,
    }
}

async fn destroy_plan(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let body = json!({ "data": {
        "type": "runs", "attributes": { "is-destroy": true, "message": "Queued destroy plan from the settings" },
        "relationships": { "workspace": member("workspaces", &at.workspace.id) },
    } });
    match visit.change(Method::POST, "/runs", &body).await {
        Ok(run) => {
            let id = run["data"]["id"].as_str().ok_or_else(|| Error::internal("the API made no run"))?;
            Ok(Answer::see_other(at.page(&format!("/runs/{id}"))))
        }
        Err(error) => page(&visit, Some(&Refusal::of(error)?)).await,
    }
}

async fn delete_workspace(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    if visit.field("confirm-name").trim() != at.workspace.name {
        let refusal = Refusal::saying(format!(
            "Nothing was deleted: write the name {:?} to confirm.",
            at.workspace.name
        ));
        return page(&visit, Some(&refusal)).await;
    }
    let deleted = match visit.field("how") {
        "force" => visit.change(Method::DELETE, &at.api(""), &Value::Null).await,
        _ => visit.change(Method::POST, &at.api("/actions/safe-delete"), &Value::Null).await,
    };
    match deleted {
        Ok(_) => Ok(Answer::see_other(format!("/app/{}/workspaces", segment(&at.organization)))),
        Err(error) => page(&visit, Some(&Refusal::of(error)?)).await,
    }
}
