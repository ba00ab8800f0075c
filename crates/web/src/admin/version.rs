//! One version of Terraform or OpenTofu: enabled or not, deprecated with a reason, and where it comes from.

use super::{
    below,
    versions::{Version, state, tool},
};
use crate::{
    answer::Answer,
    form::{Field, confirm, done, settled, tick},
    layout::form_token,
    serve::Table,
    visit::{Visit, segment},
};
use axum::http::Method;
use http_api::{Result, inside::Seen};
use maud::{Markup, html};
use serde_json::{Value, json};

pub(super) fn routes(table: Table) -> Table {
    table
        .show("/app/admin/versions/{tool}/{version}", "web.admin-version.show", show)
        .send("/app/admin/versions/{tool}/{version}", "web.admin-version.update", update)
        .send("/app/admin/versions/{tool}/{version}/delete", "web.admin-version.delete", delete)
}

fn api(visit: &Visit) -> Result<String> {
    let (_, _, kind) = tool(visit)?;
    Ok(format!("/admin/{kind}/{}", segment(visit.path("version"))))
}

fn page(visit: &Visit, rest: &str) -> String {
    format!("/app/admin/versions/{}/{}{rest}", segment(visit.path("tool")), segment(visit.path("version")))
}

async fn show(visit: Visit) -> Result<Answer> {
    shown(&visit, &Markup::default()).await
}

async fn shown(visit: &Visit, above: &Markup) -> Result<Answer> {
    let (_, name, _) = tool(visit)?;
    let version: Seen<Version> = visit.read(&api(visit)?).await?.one()?;
    let title = format!("{name} {}", version.version);
    let body = html! {
        (above)
        (done(visit, &[("added", "The version is there, and may be chosen."), ("saved", "The version is saved.")]))
        section.panel {
            p { (state(&version)) }
            dl {
                dt { "Workspaces that use it" } dd { (version.usage) }
                dt { "Comes from" } dd { code { (version.url) } }
                @if !version.sha.is_empty() { dt { "SHA-256" } dd { code { (version.sha) } } }
            }
        }
        section.panel {
            h2 { "Settings" }
            form #version-settings method="post" action=(page(visit, "")) {
                (form_token(visit))
                (tick(visit, "enabled", "Enabled", "What is not enabled can neither be chosen nor run.", version.enabled))
                (tick(visit, "beta", "Beta", "Is said where it is chosen.", version.beta))
                (tick(visit, "deprecated", "Deprecated", "Each run with it says so in its log, with the reason.", version.deprecated))
                (Field::new("deprecated-reason", "Reason").optional()
                    .value(version.deprecated_reason.as_deref().unwrap_or_default()).input(visit))
                @if !version.official {
                    (Field::new("url", "Address of the zip file").kind("url").value(&version.url).input(visit))
                    (Field::new("sha", "SHA-256").value(&version.sha).input(visit))
                }
                div.buttons { button type="submit" { "Save version" } }
            }
        }
        @if !version.official {
            section.panel.danger-zone {
                h2 { "Delete the version" }
                p.muted { "Only one that no workspace uses." }
                (confirm(visit, &page(visit, "/delete"), "Delete", &title, "Nobody can choose it any more.", "Delete the version"))
            }
        }
    };
    Ok(below(visit, "Versions", &title, &body))
}

async fn update(visit: Visit) -> Result<Answer> {
    let (_, _, kind) = tool(&visit)?;
    let reason = visit.field("deprecated-reason").trim();
    let mut attributes = json!({ "deprecated-reason": Some(reason).filter(|text| !text.is_empty()) });
    for name in ["enabled", "beta", "deprecated"] {
        attributes[name] = json!(!visit.field(name).is_empty());
    }
    for name in ["url", "sha"] {
        if !visit.field(name).trim().is_empty() {
            attributes[name] = json!(visit.field(name).trim());
        }
    }
    let body = json!({ "data": { "type": kind, "attributes": attributes } });
    match settled(visit.change(Method::PATCH, &api(&visit)?, &body).await)? {
        Ok(_) => Ok(Answer::see_other(page(&visit, "?done=saved"))),
        Err(refusal) => Ok(refusal.answer(shown(&visit, &refusal.note()).await?)),
    }
}

async fn delete(visit: Visit) -> Result<Answer> {
    let (word, _, _) = tool(&visit)?;
    match settled(visit.change(Method::DELETE, &api(&visit)?, &Value::Null).await)? {
        Ok(_) => Ok(Answer::see_other(format!("/app/admin/versions?tool={word}&done=deleted"))),
        Err(refusal) => Ok(refusal.answer(shown(&visit, &refusal.note()).await?)),
    }
}
