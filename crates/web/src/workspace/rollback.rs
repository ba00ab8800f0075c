//! An earlier state becomes the current one again: a page that says what happens, and the form that does it.

use super::{At, Refusal, compare, member, state_version};
use crate::{answer::Answer, layout::form_token, serve::Table, visit::Visit};
use axum::http::Method;
use http_api::{Error, Result, inside::Seen};
use maud::html;
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) fn routes(table: Table) -> Table {
    let path = "/app/{organization}/workspaces/{workspace}/states/{state}/rollback";
    table.show(path, "web.state.rollback-show", show).send(path, "web.state.rollback", send)
}

#[derive(Deserialize)]
struct Nothing {}

async fn show(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    at.may(|held| held.can_create_state_versions)?;
    let (state, origin) = state_version::of(&visit, &at, visit.path("state")).await?;
    let current = at.workspace.related("current-state-version").ok_or(Error::NotFound)?;
    let (current, _) = state_version::of(&visit, &at, current).await?;
    let summary = match compare::differences(&visit, Some(&current), &state).await {
        Ok(found) if found.is_empty() => "No resource and no output differs.".to_owned(),
        Ok(found) => format!("Resources: {}.", found.summary()),
        Err(why) => format!("How they differ cannot be shown here: {why}."),
    };
    let own = at.page(&format!("/states/{}", state.id));
    let body = html! {
        section.panel.narrow aria-label="What happens" {
            p {
                "From the current state, serial " (current.serial) ", to that of serial " (state.serial) " (" (origin) "). "
                (summary) " "
                a href=(at.page(&format!("/states/compare?from={}&to={}", current.id, state.id))) { "See what differs" }
            }
            ul.bullets {
                li { "The workspace is locked while this happens." }
                li { "A copy of the earlier state becomes the current one, with the next serial; no state is lost." }
                li { "Nothing that exists is changed. Start a run afterwards: its plan shows how the state differs from what exists." }
            }
            form #rollback-form method="post" action={ (own) "/rollback" } {
                (form_token(&visit))
                div.buttons {
                    button.danger type="submit" { "Roll back to serial " (state.serial) }
                    a.button.quiet href=(own) { "Cancel" }
                }
            }
        }
    };
    let title = format!("Roll back to serial {}", state.serial);
    Ok(at.within(&visit, "States", &title, &body))
}

async fn send(visit: Visit) -> Result<Answer> {
    let at = At::of(&visit, "").await?;
    let (state, _) = state_version::of(&visit, &at, visit.path("state")).await?;
    match roll_back(&visit, &at, &state.id, state.serial).await {
        Ok(id) => Ok(Answer::see_other(at.page(&format!("/states/{id}?done=rolled-back")))),
        Err(error) => state_version::page(&visit, Some(&Refusal::of(error)?)).await,
    }
}

/// Takes the lock, unless the person holds it, writes the state, and gives the lock back.
async fn roll_back(visit: &Visit, at: &At, id: &str, serial: i64) -> Result<String> {
    let holder = at.workspace.related("locked-by");
    let mine = holder.is_some() && holder == Some(visit.user()?.as_str());
    if !mine {
        let reason = json!({ "reason": format!("rolling the state back to serial {serial}") });
        visit.change(Method::POST, &at.api("/actions/lock"), &reason).await?;
    }
    let body = json!({ "data": {
        "type": "state-versions", "relationships": { "rollback-state-version": member("state-versions", id) },
    } });
    let written = visit.change(Method::PATCH, &at.api("/state-versions"), &body).await;
    if !mine {
        visit.change(Method::POST, &at.api("/actions/unlock"), &Value::Null).await?;
    }
    written?;
    let current: Seen<Nothing> = visit.read(&at.api("/current-state-version")).await?.one()?;
    Ok(current.id)
}
