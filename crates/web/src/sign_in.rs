//! Signing in by password or by a link, and out.

use crate::{
    answer::Answer,
    layout::{Tone, card, form_token, note, paragraphs},
    visit::Visit,
};
use accounts::{
    external, sessions,
    sign_in::{self as rules, Outcome},
};
use axum::http::{Method, StatusCode, Uri};
use http_api::Result;
use kernel::Secret;
use maud::{Markup, html};

/// Where somebody is sent who must sign in first, to come back afterwards.
pub(crate) fn address(method: &Method, uri: &Uri) -> String {
    let wanted = uri.path_and_query().map_or("", |wanted| wanted.as_str());
    if *method != Method::GET || wanted == "/app" {
        return "/sign-in".to_owned();
    }
    let to: String = form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
    format!("/sign-in?to={to}")
}

/// Where to go after signing in: a page of ours that was asked for, and nothing that only looks like one.
pub(crate) fn destination(asked: &str) -> &str {
    let ours = ["/app", "/app/", "/app?", "/oauth/authorize?"]
        .iter()
        .any(|start| asked == "/app" || (asked.starts_with(start) && *start != "/app"));
    let plain = asked.bytes().all(|c| c.is_ascii_graphic() && c != b'\\');
    if ours && plain && !asked.contains("..") { asked } else { "/app" }
}

pub(crate) async fn show(visit: Visit) -> Result<Answer> {
    let to = visit.query("to").unwrap_or_default();
    if visit.session.is_some() {
        return Ok(Answer::see_other(destination(&to)));
    }
    Ok(Answer::page(form(&visit, &to, "", None)))
}

fn form(visit: &Visit, to: &str, name: &str, trouble: Option<&str>) -> Markup {
    let terminal = destination(to).starts_with("/oauth/");
    let site = visit.app.site();
    let texts = &site.customization;
    card(
        &visit.app,
        "Sign in",
        &html! {
            @if terminal && trouble.is_none() {
                p { "Sign in to log in on the command line." }
            }
            (paragraphs(&texts.login_help))
            @if let Some(trouble) = trouble { (note(Tone::Bad, &html! { (trouble) })) }
            @if let Some(provider) = external::name(&visit.app) {
                p.actions { a.button href=(crate::external::address(to)) { "Sign in with " (provider) } }
                p.or { "or with a password" }
            }
            form method="post" action="/sign-in" {
                (form_token(visit))
                input type="hidden" name="to" value=(to);
                label for="name" { "Username or email" }
                input #name name="name" value=(name) autocomplete="username" autocapitalize="none"
                    spellcheck="false" required maxlength="254" autofocus[name.is_empty()];
                label for="password" { "Password" }
                input #password name="password" type="password" autocomplete="current-password" required
                    maxlength="1024" autofocus[!name.is_empty()];
                button type="submit" { "Sign in" }
            }
            details {
                summary { "No password yet, or lost?" }
                p { "Whoever operates this server can make you a link to sign in with, on its machine:" }
                pre tabindex="0" { "ferroform user link " (if name.is_empty() { "NAME" } else { name }) }
            }
        },
    )
}

pub(crate) async fn send(visit: Visit) -> Result<Answer> {
    let (name, to) = (visit.field("name"), visit.field("to"));
    let password = Secret::from(visit.field("password"));
    let refused =
        |status, trouble: &str| Ok(Answer::page(form(&visit, to, name, Some(trouble))).status(status));
    match rules::by_password(&visit.app, name, &password, &visit.browser()).await? {
        Outcome::In(secret) => enter(&visit, to, &secret).await,
        Outcome::SecondFactor(step) => Ok(code_page(&visit, to, &step, None)),
        Outcome::Wrong | Outcome::Spent => {
            refused(StatusCode::UNPROCESSABLE_ENTITY, "This username and password do not match.")
        }
        Outcome::Suspended => {
            refused(StatusCode::FORBIDDEN, "Your account is suspended. Ask whoever operates this server.")
        }
        Outcome::Wait(seconds) => refused(StatusCode::TOO_MANY_REQUESTS, &held(seconds)),
    }
}

fn held(seconds: u32) -> String {
    format!("There were too many failed tries. Wait {}, then try again.", wait(seconds))
}

/// Goes on with the new session. Whoever was signed in here before is not any more.
pub(crate) async fn enter(visit: &Visit, to: &str, secret: &Secret) -> Result<Answer> {
    if let Some(session) = &visit.session {
        sessions::end(&visit.app, &session.id).await?;
    }
    Ok(Answer::see_other(destination(to)).with_cookies(visit.signed_in_cookies(secret)))
}

/// Asks for the second factor. `step` says that the first was right.
fn code_page(visit: &Visit, to: &str, step: &Secret, trouble: Option<&str>) -> Answer {
    Answer::page(card(
        &visit.app,
        "Enter your code",
        &html! {
            @if let Some(trouble) = trouble { (note(Tone::Bad, &html! { (trouble) })) }
            form method="post" action="/sign-in/code" {
                (form_token(visit))
                input type="hidden" name="to" value=(to);
                input type="hidden" name="step" value=(step.expose());
                label for="code" { "Code from your authenticator app" }
                input #code name="code" required maxlength="20" autocomplete="one-time-code" autocapitalize="none"
                    spellcheck="false" autofocus;
                button type="submit" { "Sign in" }
            }
            details {
                summary { "No phone at hand?" }
                p { "Type one of your recovery codes instead. Each works once." }
                p { "If you have neither, whoever operates this server can turn your second factor off." }
            }
        },
    ))
}

/// What a reload of the page that asks for a code comes to.
pub(crate) async fn show_code(_: Visit) -> Result<Answer> {
    Ok(Answer::see_other("/sign-in"))
}

pub(crate) async fn send_code(visit: Visit) -> Result<Answer> {
    let to = visit.field("to");
    let step = Secret::from(visit.field("step"));
    let again = |status, trouble: &str| Ok(code_page(&visit, to, &step, Some(trouble)).status(status));
    match rules::by_code(&visit.app, step.expose(), visit.field("code"), &visit.browser()).await? {
        Outcome::In(secret) => enter(&visit, to, &secret).await,
        Outcome::Wrong => {
            let why = "This code is not right, or was used before. Wait for the next one.";
            again(StatusCode::UNPROCESSABLE_ENTITY, why)
        }
        Outcome::Wait(seconds) => again(StatusCode::TOO_MANY_REQUESTS, &held(seconds)),
        Outcome::Spent | Outcome::Suspended | Outcome::SecondFactor(_) => {
            let why = "That took too long. Sign in again.";
            let page = form(&visit, to, "", Some(why));
            Ok(Answer::page(page).status(StatusCode::UNPROCESSABLE_ENTITY))
        }
    }
}

fn wait(seconds: u32) -> String {
    match seconds {
        1 => "a second".to_owned(),
        2..=90 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

/// Looking at a link does not use it up, so that the preview of a message cannot.
pub(crate) async fn show_link(visit: Visit) -> Result<Answer> {
    let Some(username) = rules::peek(&visit.app, visit.path("link")).await? else { return Ok(spent(&visit)) };
    Ok(Answer::page(card(
        &visit.app,
        &format!("Sign in as {username}"),
        &html! {
            p { "This link signs you in once. Afterwards you can set a password." }
            form method="post" {
                (form_token(&visit))
                button type="submit" { "Sign in" }
            }
        },
    )))
}

pub(crate) async fn send_link(visit: Visit) -> Result<Answer> {
    match rules::by_link(&visit.app, visit.path("link"), &visit.browser()).await? {
        Outcome::In(secret) => enter(&visit, "", &secret).await,
        Outcome::SecondFactor(step) => Ok(code_page(&visit, "", &step, None)),
        Outcome::Wrong | Outcome::Spent | Outcome::Suspended | Outcome::Wait(_) => Ok(spent(&visit)),
    }
}

fn spent(visit: &Visit) -> Answer {
    Answer::page(card(
        &visit.app,
        "This link does not work",
        &html! {
            p {
                "A link to sign in works once, within " (rules::LINK_SECONDS / 60) " minutes, and until a newer one is made. \
                 Whoever operates this server can make another:"
            }
            pre tabindex="0" { "ferroform user link NAME" }
            p.actions { a.button href="/sign-in" { "Sign in with a password" } }
        },
    ))
    .status(StatusCode::NOT_FOUND)
}

pub(crate) async fn sign_out(visit: Visit) -> Result<Answer> {
    sessions::end(&visit.app, &visit.session()?.id).await?;
    Ok(Answer::see_other("/signed-out").with_cookies([visit.signed_out_cookie()]))
}

pub(crate) async fn signed_out(visit: Visit) -> Result<Answer> {
    if visit.session.is_some() {
        return Ok(Answer::see_other("/app"));
    }
    Ok(Answer::page(card(
        &visit.app,
        "Signed out",
        &html! {
            p { "This browser is signed out. Tokens of command lines stay valid; you can revoke them when you are signed in." }
            p.actions { a.button href="/sign-in" { "Sign in again" } }
        },
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_our_own_pages_alone() {
        for ours in
            ["/app", "/app/settings/tokens?source=terraform-login", "/oauth/authorize?x=http%3A%2F%2F"]
        {
            assert_eq!(destination(ours), ours);
        }
        for other in [
            "",
            "//evil.test",
            "/\\evil.test",
            "https://evil.test",
            "/application",
            "/app/../x",
            "/app/\r\nx: y",
        ] {
            assert_eq!(destination(other), "/app", "{other:?}");
        }
    }
}
