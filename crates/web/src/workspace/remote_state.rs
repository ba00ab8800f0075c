//! Which other workspaces may read the outputs of this one's state.

use super::{At, Named, Refusal, settings};
use crate::{answer::Answer, layout::form_token, serve::Table, visit::Visit};
use axum::http::Method;
use http_api::{Result, inside::Seen};
use maud::html;
use serde_json::json;

pub(crate) fn routes(table: Table) -> Table {
    let path = "/app/{organization}/workspaces/{workspace}/settings/remote-state";
    table.show(path, "web.remote-state.show", show).send(path, "web.remote-state.update", update)
}

const KINDS: [(&str, &str); 3] = [
    ("some", "These workspaces"),
    ("project", "All workspaces of the same project"),
    ("all", "All workspaces of the organization"),
];

async fn show(visit: Visit) -> Result<Answer> {
    page(&visit, None).await
}

async fn page(visit: &Visit, refusal: Option<&Refusal>) -> Result<Answer> {
    let at = At::of(visit, "").await?;
    let workspace = &at.workspace;
    let stored = match (workspace.global_remote_state, workspace.project_remote_state) {
        (true, _) => "all",
        (_, true) => "project",
        _ => "some",
    };
    let consumers = match stored {
        "some" => {
            let found =
                visit.read(&at.api("/relationships/remote-state-consumers?page%5Bsize%5D=100")).await?;
            found.many::<Named>()?
        }
        _ => vec![],
    };
    let names = |all: &[Seen<Named>]| all.iter().map(|one| one.name.clone()).collect::<Vec<_>>().join("\n");
    let (chosen, names) = match refusal {
        Some(_) => (visit.field("sharing"), visit.field("names").to_owned()),
        None => (stored, names(&consumers)),
    };
    let may = workspace.permissions.can_update;
    let body = html! {
        (settings::only_shown(may))
        section.panel aria-labelledby="sharing-heading" {
            h2 #sharing-heading { "Remote state sharing" }
            p.muted {
                "Runs of other workspaces read this one's outputs by " code { "terraform_remote_state" } " or "
                code { "tfe_outputs" } "."
            }
            form #sharing-form method="post" action=(at.page("/settings/remote-state")) {
                (form_token(visit))
                fieldset.choices disabled[!may] {
                    legend { "Who may read it" }
                    @for (kind, words) in KINDS {
                        label { input type="radio" name="sharing" value=(kind) checked[kind == chosen]; (words) }
                    }
                }
                label for="names" { "Names of these workspaces, one a line" }
                textarea #names name="names" rows="4" spellcheck="false" disabled[!may] { "\n" (names) }
                @if may { div.buttons { button type="submit" { "Save settings" } } }
            }
        }
    };
    Ok(settings::beside(visit, &at, "Remote state sharing", refusal, &body))
}

async fn update(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    match share(&visit, &at).await {
        Ok(()) => Ok(Answer::see_other(at.page("/settings/remote-state?done=saved"))),
        Err(error) => page(&visit, Some(&Refusal::of(error)?)).await,
    }
}

async fn share(visit: &Visit, at: &At) -> Result<()> {
    let sharing = visit.field("sharing");
    let mut consumers = Vec::new();
    if sharing == "some" {
        for name in visit.field("names").lines().map(str::trim).filter(|name| !name.is_empty()) {
            let id = settings::workspace_named(visit, &at.organization, name).await?;
            let missing = || {
                http_api::Error::Unprocessable(format!("There is no workspace {name:?} that you may see."))
            };
            consumers.push(json!({ "type": "workspaces", "id": id.ok_or_else(missing)? }));
        }
    }
    let attributes =
        json!({ "global-remote-state": sharing == "all", "project-remote-state": sharing == "project" });
    let body = json!({ "data": { "type": "workspaces", "attributes": attributes } });
    visit.change(Method::PATCH, &at.api(""), &body).await?;
    if sharing == "some" {
        let path = at.api("/relationships/remote-state-consumers");
        visit.change(Method::PATCH, &path, &json!({ "data": consumers })).await?;
    }
    Ok(())
}
