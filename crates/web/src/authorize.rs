//! The page on which somebody allows a command line to act for them: `terraform login` opens it.
//!
//! It is always asked, also of who is signed in already: whoever makes a person's browser open this address must not get a
//! token by that alone. The rules are in [`accounts::authorizations`].

use crate::{
    answer::Answer,
    layout::{card, form_token},
    visit::Visit,
};
use accounts::authorizations::{self, AUTHORIZE, Malformed, Request};
use axum::http::StatusCode;
use http_api::Result;
use maud::html;

/// What the page repeats to itself.
const PARAMETERS: [&str; 6] =
    ["response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method"];

pub(crate) async fn show(visit: Visit) -> Result<Answer> {
    let given: Vec<_> = PARAMETERS.iter().filter_map(|name| Some((*name, visit.query(name)?))).collect();
    let request = match parse(&given) {
        Ok(request) => request,
        Err(malformed) => return Ok(refuse(&visit, malformed)),
    };
    let session = visit.session()?;
    let server = host(&visit);
    let page = card(
        &visit.app,
        "Log in on the command line?",
        &html! {
            p { "Terraform or OpenTofu on this computer asks for a token, with which it acts as you." }
            dl {
                dt { "Account" } dd { (session.username) }
                dt { "Server" } dd { (server) }
                dt { "Access" } dd { "everything that you may do" }
                dt { "Goes to" } dd { "localhost:" (request.port) " on this computer" }
            }
            form method="post" action=(AUTHORIZE) {
                (form_token(&visit))
                @for (name, value) in &given { input type="hidden" name=(name) value=(value); }
                div.pair {
                    button type="submit" name="decision" value="allow" { "Allow" }
                    button.quiet type="submit" name="decision" value="deny" { "Deny" }
                }
            }
            p.small { "Deny if you have not just started " code { "terraform login" } " or " code { "tofu login" }
                " yourself. You can revoke the token at any time under Tokens." }
            details {
                summary { "Is your terminal on another computer?" }
                p { "Then this page cannot reach it. " a href="/app/settings/tokens?source=terraform-login" { "Make a token" }
                    " instead, and write it into " code { "~/.terraformrc" } " there:" }
                pre tabindex="0" { (credentials(server)) }
            }
        },
    );
    Ok(Answer::page(page).leading_to(format!("http://localhost:{}", request.port)))
}

pub(crate) async fn send(visit: Visit) -> Result<Answer> {
    let given: Vec<_> = PARAMETERS
        .iter()
        .map(|name| (*name, visit.field(name).to_owned()))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let request = match parse(&given) {
        Ok(request) => request,
        Err(malformed) => return Ok(refuse(&visit, malformed)),
    };
    let leading_to = format!("http://localhost:{}", request.port);
    let to = if visit.field("decision") == "allow" {
        let from = visit.address.map(|address| format!(" from {}", address.to_canonical()));
        let description = format!("terraform login{}", from.unwrap_or_default());
        authorizations::grant(&visit.app, visit.user()?, &request, &description).await?
    } else {
        request.denied()
    };
    Ok(Answer::see_other(to).leading_to(leading_to))
}

fn parse(given: &[(&str, String)]) -> Result<Request, Malformed> {
    Request::parse(|name| given.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str()))
}

fn refuse(visit: &Visit, malformed: Malformed) -> Answer {
    match malformed {
        Malformed::ForClient(url) => Answer::see_other(url),
        Malformed::ForPerson(why) => Answer::page(card(
            &visit.app,
            "This request is malformed",
            &html! {
                p { (why) }
                p { "Start again on the command line with " code { "terraform login" } "." }
            },
        ))
        .status(StatusCode::BAD_REQUEST),
    }
}

/// `host[:port]`, as the command line names this server.
pub(crate) fn host(visit: &Visit) -> &str {
    let url = &visit.app.settings.url;
    url.split_once("://").map_or(url, |(_, host)| host)
}

/// The block of a command line's configuration that holds a token. `TF_TOKEN_…` would be shorter, but a shell can set no
/// variable with a port in its name.
fn credentials(host: &str) -> String {
    format!("credentials \"{host}\" {{\n  token = \"…\"\n}}")
}
