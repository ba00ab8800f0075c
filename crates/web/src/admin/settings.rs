//! The settings of the whole installation: general ones, and texts of its own on the pages.

use super::{answer, only_site_admins};
use crate::{
    answer::Answer,
    form::{Field, done, settled, tick},
    layout::form_token,
    serve::Table,
    visit::Visit,
};
use axum::http::Method;
use http_api::{Error, Result, inside::Seen};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn routes(table: Table) -> Table {
    table
        .show("/app/admin/settings", "web.admin-settings.show", show)
        .send("/app/admin/settings/general", "web.admin-general-settings.update", update_general)
        .send("/app/admin/settings/customization", "web.admin-customization-settings.update", update_texts)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct General {
    api_rate_limit: i64,
    apply_timeout: String,
    plan_timeout: String,
    #[serde(flatten)]
    switches: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Texts {
    support_email_address: String,
    login_help: String,
    footer: String,
    error: String,
    new_user: String,
}

const SWITCHES: [(&str, &str, &str); 4] = [
    (
        "limit-user-organization-creation",
        "Only site admins create organizations",
        "Otherwise everybody may, and owns what they create.",
    ),
    (
        "default-remote-state-access",
        "New workspaces share their state",
        "The state of a new workspace may be read by all others of its organization, unless its maker says otherwise.",
    ),
    (
        "send-passing-statuses-for-untriggered-speculative-plans",
        "Report untriggered plans as passed",
        "What new organizations begin with; it does something once repositories are connected.",
    ),
    (
        "api-rate-limiting-enabled",
        "Limit requests",
        "Whoever asks more often in a second than the limit says is told to wait.",
    ),
];

async fn show(visit: Visit) -> Result<Answer> {
    shown(&visit, &Markup::default()).await
}

async fn shown(visit: &Visit, above: &Markup) -> Result<Answer> {
    only_site_admins(visit)?;
    let (general, texts) =
        tokio::try_join!(visit.read("/admin/general-settings"), visit.read("/admin/customization-settings"))?;
    let (general, texts): (Seen<General>, Seen<Texts>) = (general.one()?, texts.one()?);
    let limit = general.api_rate_limit.to_string();
    let body = html! {
        (above)
        (done(visit, &[("saved", "The settings are saved, and hold at once.")]))
        section.panel {
            h2 { "General" }
            form #general-settings method="post" action="/app/admin/settings/general" {
                (form_token(visit))
                @for (name, label, hint) in SWITCHES {
                    (tick(visit, name, label, hint, general.switches.get(name) == Some(&Value::Bool(true))))
                }
                (Field::new("api-rate-limit", "Requests in a second").kind("number").value(&limit).input(visit))
                div.pair {
                    (Field::new("plan-timeout", "Longest plan").value(&general.plan_timeout)
                        .hint("As 45m or 2h, where the organization says nothing.").input(visit))
                    (Field::new("apply-timeout", "Longest apply").value(&general.apply_timeout)
                        .hint("As 45m or 24h, where the organization says nothing.").input(visit))
                }
                div.buttons { button type="submit" { "Save general settings" } }
            }
        }
        section.panel {
            h2 { "Customization" }
            p.muted { "Texts of this installation on its pages. Plain text: each line is a paragraph. Empty for none." }
            form #customization-settings method="post" action="/app/admin/settings/customization" {
                (form_token(visit))
                (Field::new("support-email-address", "Support address").kind("email").value(&texts.support_email_address).optional().hint("Under every page.").input(visit))
                (Field::new("login-help", "On the page to sign in").value(&texts.login_help).optional().area(visit, 3))
                (Field::new("footer", "Under every page").value(&texts.footer).optional().area(visit, 3))
                (Field::new("error", "Where something went wrong").value(&texts.error).optional().area(visit, 3))
                (Field::new("new-user", "For who is in no organization yet").value(&texts.new_user).optional().area(visit, 3))
                div.buttons { button type="submit" { "Save texts" } }
            }
        }
    };
    Ok(answer(visit, "Settings", &body))
}

async fn saved(visit: &Visit, result: Result<Value>) -> Result<Answer> {
    match settled(result)? {
        Ok(_) => Ok(Answer::see_other("/app/admin/settings?done=saved")),
        Err(refusal) => Ok(refusal.answer(shown(visit, &refusal.note()).await?)),
    }
}

async fn update_general(visit: Visit) -> Result<Answer> {
    let limit = visit.field("api-rate-limit").trim().parse::<u32>();
    let result = match limit {
        Err(_) => Err(Error::invalid("api-rate-limit", "API rate limit must be a number")),
        Ok(limit) => {
            let mut attributes = json!({
                "api-rate-limit": limit, "plan-timeout": visit.field("plan-timeout").trim(),
                "apply-timeout": visit.field("apply-timeout").trim(),
            });
            for (name, ..) in SWITCHES {
                attributes[name] = json!(!visit.field(name).is_empty());
            }
            let body = json!({ "data": { "type": "general-settings", "attributes": attributes } });
            visit.change(Method::PATCH, "/admin/general-settings", &body).await
        }
    };
    saved(&visit, result).await
}

async fn update_texts(visit: Visit) -> Result<Answer> {
    let mut attributes = json!({});
    for name in ["support-email-address", "login-help", "footer", "error", "new-user"] {
        attributes[name] = json!(visit.field(name).trim().replace("\r\n", "\n"));
    }
    let body = json!({ "data": { "type": "customization-settings", "attributes": attributes } });
    let result = visit.change(Method::PATCH, "/admin/customization-settings", &body).await;
    saved(&visit, result).await
}
