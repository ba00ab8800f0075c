//! A run: how far it is, what it plans, and what one may do with it.

use crate::{
    answer::Answer,
    layout::{Area, Frame, form_token, framed},
    live::{self, Watch},
    parts,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::{Error, Result, inside::Seen};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

pub(crate) fn routes(table: Table) -> Table {
    table
        .show("/app/{organization}/workspaces/{workspace}/runs/{run}", "web.run.show", show)
        .send("/app/{organization}/workspaces/{workspace}/runs/{run}/{action}", "web.run.act", act)
        // As Terraform's command line prints it.
        .show("/app/{organization}/{workspace}/runs/{run}", "web.run.lead", lead)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Run {
    status: String,
    message: String,
    actions: Actions,
    permissions: Permissions,
    waiting_for: Option<Waiting>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Actions {
    is_confirmable: bool,
    is_discardable: bool,
    is_cancelable: bool,
    is_force_cancelable: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Permissions {
    can_apply: bool,
    can_cancel: bool,
    can_discard: bool,
    can_force_cancel: bool,
}

#[derive(Deserialize)]
struct Waiting {
    message: String,
}

/// What a person may do with a run, and how the API calls it.
const ACTIONS: [(&str, &str); 4] = [
    ("apply", "Confirm and apply"),
    ("discard", "Discard run"),
    ("cancel", "Cancel run"),
    ("force-cancel", "Force-cancel run"),
];

impl Run {
    fn offers(&self, action: &str) -> bool {
        let (may, can) = (&self.permissions, &self.actions);
        match action {
            "apply" => can.is_confirmable && may.can_apply,
            "discard" => can.is_discardable && may.can_discard,
            "cancel" => can.is_cancelable && may.can_cancel,
            "force-cancel" => can.is_force_cancelable && may.can_force_cancel,
            _ => false,
        }
    }
}

fn path(visit: &Visit) -> String {
    let [organization, workspace, run] =
        ["organization", "workspace", "run"].map(|name| segment(visit.path(name)));
    format!("/app/{organization}/workspaces/{workspace}/runs/{run}")
}

async fn lead(visit: Visit) -> Result<Answer> {
    Ok(Answer::see_other(path(&visit)))
}

async fn show(visit: Visit) -> Result<Answer> {
    let (organization, workspace) =
        (visit.path("organization").to_owned(), visit.path("workspace").to_owned());
    let run: Seen<Run> = visit.read(&format!("/runs/{}", segment(visit.path("run")))).await?.one()?;
    let state = html! {
        section.panel {
            p { (parts::badge(&run.status)) @if let Some(waiting) = &run.waiting_for { " " (waiting.message) } }
            (actions(&visit, &run))
        }
    };
    let body = live::follow(&visit, Watch::Run(&run.id), &live::part(&visit, "state", &state));
    let frame = Frame {
        within: true,
        ..Frame::new(Area::Workspace(&organization, &workspace), "Runs", &run.message)
    };
    Ok(Answer::page(framed(&visit, &frame, &body)))
}

/// The buttons that this person may press now.
fn actions(visit: &Visit, run: &Run) -> Markup {
    html! {
        div.buttons {
            @for (action, words) in ACTIONS.iter().filter(|(action, _)| run.offers(action)) {
                form method="post" action={ (path(visit)) "/" (action) } {
                    (form_token(visit))
                    button type="submit" class=[(*action != "apply").then_some("quiet")] { (words) }
                }
            }
        }
    }
}

async fn act(visit: Visit) -> Result<Answer> {
    let action = visit.path("action");
    if !ACTIONS.iter().any(|(known, _)| *known == action) {
        return Err(Error::NotFound);
    }
    let body = json!({ "comment": visit.field("comment") });
    let run = segment(visit.path("run"));
    visit.change(Method::POST, &format!("/runs/{run}/actions/{action}"), &body).await?;
    Ok(Answer::see_other(path(&visit)))
}
