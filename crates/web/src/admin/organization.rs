//! One organization, as the administrators of the installation limit, close and delete it.

use super::below;
use crate::{
    answer::Answer,
    form::{Field, done, settled, tick},
    layout::form_token,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::{Error, Result, inside::Seen};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn routes(table: Table) -> Table {
    table
        .show("/app/admin/organizations/{organization}", "web.admin-organization.show", show)
        .send("/app/admin/organizations/{organization}", "web.admin-organization.update", update)
        .send("/app/admin/organizations/{organization}/delete", "web.admin-organization.delete", delete)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Organization {
    name: String,
    external_id: String,
    notification_email: String,
    #[serde(flatten)]
    all: serde_json::Map<String, Value>,
}

const SWITCHES: [(&str, &str, &str); 4] = [
    ("is-disabled", "Disabled", "Closed to everybody but site admins: no page, no request, no run."),
    ("access-beta-tools", "Beta tools", "It may use what is not finished."),
    ("global-module-sharing", "Share modules with all", "All organizations may use its private modules."),
    (
        "global-provider-sharing",
        "Share providers with all",
        "All organizations may use its private providers.",
    ),
];

fn api(visit: &Visit) -> String {
    format!("/admin/organizations/{}", segment(visit.path("organization")))
}

fn page(visit: &Visit, rest: &str) -> String {
    format!("/app/admin/organizations/{}{rest}", segment(visit.path("organization")))
}

async fn show(visit: Visit) -> Result<Answer> {
    shown(&visit, &Markup::default()).await
}

async fn shown(visit: &Visit, above: &Markup) -> Result<Answer> {
    let organization: Seen<Organization> = visit.read(&api(visit)).await?.one()?;
    let text = |name: &str| match organization.all.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let (limit, plan, apply) = (text("workspace-limit"), text("plan-timeout"), text("apply-timeout"));
    let body = html! {
        (above)
        (done(visit, &[("saved", "The settings are saved, and hold at once.")]))
        section.panel {
            dl {
                dt { "Name" } dd { a href={ "/app/" (segment(&organization.name)) } { (organization.name) } }
                dt { "Email" } dd { (organization.notification_email) }
                dt { "ID" } dd { code { (organization.external_id) } }
            }
        }
        section.panel {
            h2 { "Settings" }
            form #admin-organization method="post" action=(page(visit, "")) {
                (form_token(visit))
                @for (name, label, hint) in SWITCHES {
                    (tick(visit, name, label, hint, organization.all.get(name) == Some(&Value::Bool(true))))
                }
                (Field::new("workspace-limit", "Most workspaces").kind("number").value(&limit).optional()
                    .hint("Counts for the next one that is made. Empty for any number.").input(visit))
                div.pair {
                    (Field::new("plan-timeout", "Longest plan").value(&plan).optional()
                        .hint("As 45m or 2h. Empty: as the installation has it.").input(visit))
                    (Field::new("apply-timeout", "Longest apply").value(&apply).optional()
                        .hint("As 45m or 24h. Empty: as the installation has it.").input(visit))
                }
                div.buttons { button type="submit" { "Save settings" } }
            }
        }
        section.panel.danger-zone {
            h2 { "Delete the organization" }
            p.muted { "All of its workspaces, states, variables, runs and teams are deleted with it. This cannot be undone." }
            form.inline method="post" action=(page(visit, "/delete")) {
                (form_token(visit))
                input name="confirmation" required placeholder=(organization.name) aria-label={ "Type " (organization.name) " to confirm" } autocomplete="off";
                button.danger type="submit" { "Delete “" (organization.name) "”" }
            }
        }
    };
    Ok(below(visit, "Organizations", &organization.name, &body))
}

async fn update(visit: Visit) -> Result<Answer> {
    let span = |name: &str| Some(visit.field(name).trim()).filter(|text| !text.is_empty());
    let limit = match visit.field("workspace-limit").trim() {
        "" => Ok(Value::Null),
        text => text
            .parse::<i64>()
            .map(|n| json!(n))
            .map_err(|_| Error::invalid("workspace-limit", "Workspace limit must be a number")),
    };
    let result = match limit {
        Err(error) => Err(error),
        Ok(limit) => {
            let mut attributes = json!({
                "workspace-limit": limit, "plan-timeout": span("plan-timeout"), "apply-timeout": span("apply-timeout"),
            });
            for (name, ..) in SWITCHES {
                attributes[name] = json!(!visit.field(name).is_empty());
            }
            let body = json!({ "data": { "type": "organizations", "attributes": attributes } });
            visit.change(Method::PATCH, &api(&visit), &body).await
        }
    };
    match settled(result)? {
        Ok(_) => Ok(Answer::see_other(page(&visit, "?done=saved"))),
        Err(refusal) => Ok(refusal.answer(shown(&visit, &refusal.note()).await?)),
    }
}

async fn delete(visit: Visit) -> Result<Answer> {
    let result = if visit.field("confirmation") == visit.path("organization") {
        visit.change(Method::DELETE, &api(&visit), &Value::Null).await
    } else {
        Err(Error::invalid(
            "confirmation",
            "Type the name of the organization to delete it. Nothing was done.",
        ))
    };
    match settled(result)? {
        Ok(_) => Ok(Answer::see_other("/app/admin/organizations?done=deleted")),
        Err(refusal) => Ok(refusal.answer(shown(&visit, &refusal.note()).await?)),
    }
}
