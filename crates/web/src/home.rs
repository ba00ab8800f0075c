//! The first page of who has signed in: their organizations with what needs somebody in each, and how to go on.

use crate::{
    answer::Answer,
    authorize,
    form::{Field, copied, settled},
    layout::{Place, Tone, form_token, note, paragraphs},
    organization::cloud_block,
    parts,
    visit::{Visit, segment},
};
use accounts::passwords;
use axum::http::Method;
use http_api::{Error, Result};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

pub(crate) async fn root(_: Visit) -> Result<Answer> {
    Ok(Answer::see_other("/app"))
}

/// Whatever is not there. Only who is signed in is told so.
pub(crate) async fn absent(_: Visit) -> Result<Answer> {
    Err(Error::NotFound)
}

#[derive(Deserialize)]
struct Organization {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Statistics {
    running: i64,
    waiting: i64,
    needs_confirmation: i64,
    errored_today: i64,
}

/// Organizations whose runs are counted on one page.
const COUNTED: usize = 20;

pub(crate) async fn show(visit: Visit) -> Result<Answer> {
    answer(&visit, &Markup::default()).await
}

async fn answer(visit: &Visit, above: &Markup) -> Result<Answer> {
    let session = visit.session()?;
    let has_password = passwords::exists(&visit.app, &session.user_id).await?;
    let page = visit.query("page").and_then(|page| page.parse().ok()).unwrap_or(1_u32);
    let found =
        visit.read(&format!("/organizations?page%5Bsize%5D={COUNTED}&page%5Bnumber%5D={page}")).await?;
    let organizations = found.many::<Organization>()?;
    let mut counts = Vec::new();
    for organization in &organizations {
        let path = format!("/organizations/{}/run-statistics", segment(&organization.name));
        counts.push(visit.read_if_there(&path).await?.map(|found| found.one::<Statistics>()).transpose()?);
    }
    let host = authorize::host(visit);
    let first = organizations.first().map_or("YOUR-ORGANIZATION", |organization| &organization.name);
    let body = html! {
        (above)
        @if !has_password {
            (note(Tone::Plain, &html! {
                "You have no password yet. " a href="/app/settings/password" { "Set one" }
                ", to sign in without a link next time."
            }))
        }
        @if organizations.is_empty() {
            section.panel {
                h2 { "Your organizations" }
                p.muted { "You are not a member of any organization yet. Workspaces, runs and states belong to one." }
                (paragraphs(&visit.app.site().customization.new_user))
            }
        } @else {
            section.panel {
                h2 { "Your organizations" }
                ul.rows data-list {
                    @for (organization, counts) in organizations.iter().zip(&counts) {
                        li {
                            a href={ "/app/" (segment(&organization.name)) } data-item { (organization.name) }
                            @if let Some(counts) = counts { (attention(counts)) }
                        }
                    }
                }
                (parts::pager("/app", found.pagination()))
            }
        }
        @if may_create(visit, session) { (creation(visit)) }
        section.panel {
            h2 { "Use it from the command line" }
            ol.steps {
                li { p { "Log in once on each computer:" } (copied("login", &format!("terraform login {host}"))) }
                li {
                    p { "Name this server in your configuration, and then " code { "terraform init" } ":" }
                    (copied("cloud", &cloud_block(visit, first)))
                }
            }
        }
        section.panel {
            h2 { "You" }
            dl {
                dt { "Username" } dd { (session.username) }
                dt { "Email" } dd { (session.email) }
                @if session.site_admin { dt { "Role" } dd { "Site administrator" } }
            }
            p { a href="/app/settings/tokens" { "Tokens" } ", " a href="/app/settings/password" { "password" } " and "
                a href="/app/settings/sessions" { "sessions" } "." }
        }
    };
    let title = format!("Welcome, {}", session.username);
    Ok(Answer::page(crate::layout::page(visit, Place::Home, &title, &body)))
}

/// What of an organization needs somebody, and what goes on.
fn attention(counts: &Statistics) -> Markup {
    let all = [
        (counts.needs_confirmation, "badge wanted", "needs confirmation", "need confirmation"),
        (counts.errored_today, "badge bad", "failed today", "failed today"),
        (counts.running, "badge working", "running", "running"),
        (counts.waiting, "badge waiting", "waiting", "waiting"),
    ];
    html! {
        @if all.iter().all(|(count, ..)| *count == 0) { span.muted { "All quiet" } }
        @for (count, class, one, many) in all {
            @if count > 0 { span class=(class) { (parts::count(count, one, many)) } }
        }
    }
}

fn may_create(visit: &Visit, session: &accounts::sessions::Session) -> bool {
    session.site_admin || !visit.app.site().general.limit_user_organization_creation
}

fn creation(visit: &Visit) -> Markup {
    html! {
        details.panel #new-organization open[!visit.field("name").is_empty()] {
            summary { h2 { "Create an organization" } }
            form method="post" action="/app/organizations" {
                (form_token(visit))
                (Field::new("name", "Name").hint("Letters, numbers, hyphens and underscores. It stands in addresses and in configurations.").input(visit))
                (Field::new("email", "Email").kind("email").value(visit.session.as_ref().map_or("", |s| &s.email)).hint("Where notices about it go.").input(visit))
                div.buttons { button type="submit" { "Create organization" } }
            }
        }
    }
}

pub(crate) async fn create(visit: Visit) -> Result<Answer> {
    let name = visit.field("name").trim().to_owned();
    let body = json!({ "data": { "type": "organizations",
        "attributes": { "name": name, "email": visit.field("email").trim() } } });
    match settled(visit.change(Method::POST, "/organizations", &body).await)? {
        Ok(_) => Ok(Answer::see_other(format!("/app/{}?done=created", segment(&name)))),
        Err(refusal) => Ok(refusal.answer(answer(&visit, &refusal.note()).await?)),
    }
}
