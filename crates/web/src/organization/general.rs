//! An organization's general settings: each with what it does.

use super::{Organization, Permissions, api, page, settings::Sided};
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
        .show("/app/{organization}/settings", "web.organization-settings.show", show)
        .send("/app/{organization}/settings", "web.organization-settings.update", update)
        .send("/app/{organization}/settings/delete", "web.organization.delete", delete)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct General {
    name: String,
    email: String,
    external_id: String,
    default_execution_mode: String,
    session_timeout: Option<i64>,
    session_remember: Option<i64>,
    #[serde(flatten)]
    switches: serde_json::Map<String, Value>,
    permissions: Permissions,
}

/// Settings that are on or off: attribute, name, what it does.
const SWITCHES: [(&str, &str, &str); 4] = [
    (
        "allow-force-delete-workspaces",
        "Let workspace admins force-delete",
        "Who may delete a workspace may do so although it still manages resources. Otherwise only owners may, so that \
         nobody forgets resources that go on costing money.",
    ),
    (
        "user-tokens-enabled",
        "People may use their own tokens here",
        "Without, only tokens of teams and of the organization reach it through the API, and its people work on these pages.",
    ),
    (
        "max-ttl-enabled",
        "Limit how long tokens live",
        "Tokens that live longer than the organization's policies say are refused. Policies are set through the API \
         (token-ttl-policies); without one, two years hold.",
    ),
    (
        "send-passing-statuses-for-untriggered-speculative-plans",
        "Report untriggered plans as passed",
        "Kept for clients that set it; it does something once repositories are connected.",
    ),
];

async fn show(visit: Visit) -> Result<Answer> {
    answer(&visit, &Markup::default()).await
}

async fn answer(visit: &Visit, above: &Markup) -> Result<Answer> {
    let found: Seen<General> = visit.read(&api(visit, "")).await?.one()?;
    let organization = Organization { name: found.name.clone(), permissions: found.permissions };
    let body = html! {
        (above)
        (done(visit, &[("saved", "The settings are saved, and hold at once.")]))
        @if found.permissions.can_update { (form(visit, &found)) } @else { (read_only(&found)) }
        @if found.permissions.can_destroy { (deletion(visit, &found)) }
    };
    Ok(Sided::new("General").answer(visit, &organization, &body))
}

fn form(visit: &Visit, general: &General) -> Markup {
    let number = |value: Option<i64>| value.map(|n| n.to_string()).unwrap_or_default();
    let mut modes = vec![("remote", "Remote"), ("local", "Local")];
    // Which pool that is, the API says and sets.
    if general.default_execution_mode == "agent" {
        modes.push(("agent", "Agent, as it is"));
    }
    let (timeout, remember) = (number(general.session_timeout), number(general.session_remember));
    html! {
        section.panel {
            form #organization-settings method="post" action=(page(visit, "/settings")) {
                (form_token(visit))
                (Field::new("name", "Name").value(&general.name)
                    .hint("It stands in addresses and in the cloud blocks of configurations: after a change, those must be changed too.").input(visit))
                (Field::new("email", "Email").kind("email").value(&general.email).hint("Where notices about the organization go.").input(visit))
                (Field::new("default-execution-mode", "Default execution mode").value(&general.default_execution_mode)
                    .hint("How workspaces work that do not say it themselves, nor their project. Remote: runs happen on this server. Local: it only keeps states.")
                    .select(visit, &modes))
                div.pair {
                    (Field::new("session-timeout", "Sign people out after minutes of silence").kind("number").value(&timeout).optional()
                        .hint("The strictest of a person's organizations counts. Empty: as the server has it.").input(visit))
                    (Field::new("session-remember", "Sign people out after minutes in any case").kind("number").value(&remember).optional()
                        .hint("However busy they are. Empty: as the server has it.").input(visit))
                }
                @for (name, label, hint) in SWITCHES {
                    (tick(visit, name, label, hint, general.switches.get(name) == Some(&Value::Bool(true))))
                }
                div.buttons { button type="submit" { "Save settings" } }
            }
        }
        section.panel {
            h2 { "Identity" }
            dl { dt { "ID" } dd { code { (general.external_id) } } }
        }
    }
}

fn read_only(general: &General) -> Markup {
    html! {
        section.panel {
            dl {
                dt { "Name" } dd { (general.name) }
                dt { "Email" } dd { (general.email) }
                dt { "ID" } dd { code { (general.external_id) } }
                dt { "Default execution mode" } dd { (general.default_execution_mode) }
            }
            p.small { "Owners of the organization may change its settings." }
        }
    }
}

fn deletion(visit: &Visit, general: &General) -> Markup {
    html! {
        section.panel.danger-zone {
            h2 { "Delete the organization" }
            p.muted { "All of its workspaces, states, variables, runs and teams are deleted with it. This cannot be undone. \
                       Resources that were made by its runs stay where they are, and nothing manages them any more." }
            form.inline #organization-delete method="post" action=(page(visit, "/settings/delete")) {
                (form_token(visit))
                input name="confirmation" required placeholder=(general.name) aria-label={ "Type " (general.name) " to confirm" } autocomplete="off";
                button.danger type="submit" { "Delete “" (general.name) "”" }
            }
        }
    }
}

async fn update(visit: Visit) -> Result<Answer> {
    let minutes = |name: &str| match visit.field(name).trim() {
        "" => Ok(Value::Null),
        text => text
            .parse::<i64>()
            .map(|n| json!(n))
            .map_err(|_| Error::invalid(name, "A number of minutes is needed")),
    };
    let name = visit.field("name").trim().to_owned();
    let attributes = || -> Result<Value> {
        let mut attributes = json!({
            "name": name,
            "email": visit.field("email").trim(),
            "session-timeout": minutes("session-timeout")?,
            "session-remember": minutes("session-remember")?,
        });
        let mode = visit.field("default-execution-mode");
        if mode != "agent" {
            attributes["default-execution-mode"] = json!(mode);
        }
        for (switch, ..) in SWITCHES {
            attributes[switch] = json!(!visit.field(switch).is_empty());
        }
        Ok(attributes)
    };
    let result = match attributes() {
        Ok(attributes) => {
            let body = json!({ "data": { "type": "organizations", "attributes": attributes } });
            visit.change(Method::PATCH, &api(&visit, ""), &body).await
        }
        Err(error) => Err(error),
    };
    match settled(result)? {
        Ok(_) => Ok(Answer::see_other(format!("/app/{}/settings?done=saved", segment(&name)))),
        Err(refusal) => Ok(refusal.answer(answer(&visit, &refusal.note()).await?)),
    }
}

async fn delete(visit: Visit) -> Result<Answer> {
    if visit.field("confirmation") != visit.path("organization") {
        let wrong = Error::invalid(
            "confirmation",
            "Type the name of the organization to delete it. Nothing was done.",
        );
        return match settled::<()>(Err(wrong))? {
            Err(refusal) => Ok(refusal.answer(answer(&visit, &refusal.note()).await?)),
            Ok(()) => Err(Error::NotFound),
        };
    }
    match settled(visit.change(Method::DELETE, &api(&visit, ""), &Value::Null).await)? {
        Ok(_) => Ok(Answer::see_other("/app")),
        Err(refusal) => Ok(refusal.answer(answer(&visit, &refusal.note()).await?)),
    }
}
