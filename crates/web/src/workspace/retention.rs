//! How long old states and configurations of a workspace are kept.

use super::{At, Refusal, settings};
use crate::{answer::Answer, layout::form_token, serve::Table, visit::Visit};
use axum::http::Method;
use http_api::Result;
use maud::html;
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) fn routes(table: Table) -> Table {
    let path = "/app/{organization}/workspaces/{workspace}/settings/data-retention";
    table.show(path, "web.workspace-retention.show", show).send(
        path,
        "web.workspace-retention.update",
        update,
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Policy {
    delete_older_than_n_days: Option<i64>,
}

const KINDS: [(&str, &str); 3] = [
    ("inherit", "As the organization says"),
    ("keep", "Keep everything"),
    ("delete", "Delete what is older than some days and not current"),
];

async fn show(visit: Visit) -> Result<Answer> {
    page(&visit, None).await
}

async fn page(visit: &Visit, refusal: Option<&Refusal>) -> Result<Answer> {
    let at = At::of(visit, "").await?;
    let policy: Option<Policy> = match at.workspace.related("data-retention-policy") {
        Some(_) => Some(
            visit.read(&at.api("/relationships/data-retention-policy")).await?.one::<Policy>()?.attributes,
        ),
        None => None,
    };
    let days = policy.as_ref().and_then(|policy| policy.delete_older_than_n_days);
    let stored = match (&policy, days) {
        (None, _) => "inherit",
        (Some(_), None) => "keep",
        (Some(_), Some(_)) => "delete",
    };
    let chosen = if refusal.is_some() { visit.field("kind") } else { stored };
    let days = match refusal {
        Some(_) => visit.field("days").to_owned(),
        None => days.map(|days| days.to_string()).unwrap_or_default(),
    };
    let may = at.workspace.permissions.can_update;
    let body = html! {
        (settings::only_shown(may))
        section.panel aria-labelledby="retention-heading" {
            h2 #retention-heading { "Data retention" }
            form #retention-form method="post" action=(at.page("/settings/data-retention")) {
                (form_token(visit))
                fieldset.choices disabled[!may] {
                    legend { "States and configurations that are not current" }
                    @for (kind, words) in KINDS {
                        label { input type="radio" name="kind" value=(kind) checked[kind == chosen]; (words) }
                    }
                }
                label for="days" { "Days" }
                input #days name="days" type="number" min="1" max="3650" value=(days) disabled[!may];
                @if may { div.buttons { button type="submit" { "Save settings" } } }
            }
        }
    };
    Ok(settings::beside(visit, &at, "Data retention", refusal, &body))
}

async fn update(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let path = at.api("/relationships/data-retention-policy");
    let (method, body) = match visit.field("kind") {
        "keep" => (
            Method::POST,
            json!({ "data": { "type": "data-retention-policy-dont-deletes", "attributes": {} } }),
        ),
        "delete" => {
            let days: Option<i64> = visit.field("days").parse().ok();
            let attributes = json!({ "delete-older-than-n-days": days });
            (
                Method::POST,
                json!({ "data": { "type": "data-retention-policy-delete-olders", "attributes": attributes } }),
            )
        }
        _ => (Method::DELETE, Value::Null),
    };
    match visit.change(method, &path, &body).await {
        Ok(_) => Ok(Answer::see_other(at.page("/settings/data-retention?done=saved"))),
        Err(error) => page(&visit, Some(&Refusal::of(error)?)).await,
    }
}
