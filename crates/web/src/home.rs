//! The first page of who has signed in: who they are, and how to go on.

use crate::{
    answer::Answer,
    authorize,
    layout::{Place, Tone, note, page, paragraphs},
    visit::Visit,
};
use accounts::{memberships, passwords};
use http_api::{Error, Result};
use maud::html;

pub(crate) async fn root(_: Visit) -> Result<Answer> {
    Ok(Answer::see_other("/app"))
}

/// Whatever is not there. Only who is signed in is told so.
pub(crate) async fn absent(_: Visit) -> Result<Answer> {
    Err(Error::NotFound)
}

pub(crate) async fn show(visit: Visit) -> Result<Answer> {
    let session = visit.session()?;
    let site = visit.app.site();
    let organizations = memberships::organizations_of(&visit.app, &session.user_id).await?;
    let has_password = passwords::exists(&visit.app, &session.user_id).await?;
    let host = authorize::host(&visit);
    let organization = organizations.first().map_or("YOUR-ORGANIZATION", String::as_str);
    let body = html! {
        @if !has_password {
            (note(Tone::Plain, &html! {
                "You have no password yet. " a href="/app/settings/password" { "Set one" }
                ", to sign in without a link next time."
            }))
        }
        section.panel {
            h2 { "You" }
            dl {
                dt { "Username" } dd { (session.username) }
                dt { "Email" } dd { (session.email) }
                @if session.site_admin { dt { "Role" } dd { "Site administrator" } }
            }
        }
        section.panel {
            h2 { "Your organizations" }
            @if organizations.is_empty() {
                p.muted { "You are not a member of any organization yet." }
                (paragraphs(&site.customization.new_user))
            } @else {
                ul.plain { @for name in &organizations { li { (name) } } }
            }
        }
        section.panel {
            h2 { "Use it from the command line" }
            ol.steps {
                li { p { "Log in once on each computer:" } pre tabindex="0" { "terraform login " (host) } }
                li {
                    p { "Name this server in your configuration, and then " code { "terraform init" } ":" }
                    pre tabindex="0" { (configuration(host, organization)) }
                }
            }
        }
    };
    let title = format!("Welcome, {}", session.username);
    Ok(Answer::page(page(&visit, Place::Home, &title, &body)))
}

fn configuration(host: &str, organization: &str) -> String {
    format!(
        "terraform {{\n  cloud {{\n    hostname     = \"{host}\"\n    organization = \"{organization}\"\n    \
         workspaces {{\n      name = \"my-workspace\"\n    }}\n  }}\n}}"
    )
}
