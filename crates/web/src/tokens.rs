//! A person's own tokens: `/app/settings/tokens`, to which `terraform login` leads where it asks for a token to paste.

use crate::{
    answer::Answer,
    layout::{Place, Tone, form_token, moment, note, page},
    visit::Visit,
};
use accounts::tokens;
use axum::http::StatusCode;
use http_api::Result;
use kernel::{Secret, Timestamp};
use maud::{Markup, html};

/// Bytes of a description.
const LONGEST: usize = 200;
/// How long a token is good for, in days; 0 is for ever.
const LIVES: [(i64, &str); 5] =
    [(30, "30 days"), (90, "90 days"), (365, "1 year"), (730, "2 years"), (0, "No expiry")];
const USUAL: i64 = 90;

pub(crate) async fn show(visit: Visit) -> Result<Answer> {
    let description =
        if visit.query("source").as_deref() == Some("terraform-login") { "terraform login" } else { "" };
    let revoked = visit.query("revoked").map(|_| {
        note(Tone::Good, &html! { "The token is revoked. Whatever used it is refused from now on." })
    });
    list(&visit, description, &revoked.unwrap_or_default()).await
}

async fn list(visit: &Visit, description: &str, above: &Markup) -> Result<Answer> {
    let all = tokens::of_user(&visit.app, visit.user()?).await?;
    let now = visit.app.now();
    let body = html! {
        (above)
        section.panel {
            h2 { "New token" }
            p.muted { "A token lets a program act as you. Give each program its own, so that you can revoke one alone." }
            form.row method="post" action="/app/settings/tokens" {
                (form_token(visit))
                div.grow {
                    label for="description" { "What it is for" }
                    input #description name="description" value=(description) required maxlength=(LONGEST)
                        autofocus[!description.is_empty()] autocomplete="off";
                }
                div {
                    label for="days" { "Good for" }
                    select #days name="days" {
                        @for (days, name) in LIVES { option value=(days) selected[days == USUAL] { (name) } }
                    }
                }
                button type="submit" { "Create token" }
            }
        }
        section.panel {
            h2 { "Your tokens" }
            @if all.is_empty() {
                p.muted { "You have no tokens." }
            } @else {
                table {
                    thead { tr {
                        th scope="col" { "Token" } th scope="col" { "Made" } th scope="col" { "Last used" }
                        th scope="col" { "Ends" } th scope="col" { span.hidden { "Actions" } }
                    } }
                    tbody { @for token in all.iter().rev() { (row(visit, token, now)) } }
                }
            }
        }
    };
    Ok(Answer::page(page(visit, Place::Tokens, "Tokens", &body)))
}

fn row(visit: &Visit, token: &tokens::Token, now: Timestamp) -> Markup {
    let ended = token.expires_at.is_some_and(|at| at <= now);
    let name = if token.description.is_empty() { "(no description)" } else { token.description.as_str() };
    html! {
        tr {
            th scope="row" { (name) div.small { (token.id) } }
            td data-name="Made" { (moment(now, token.created_at)) }
            td data-name="Last used" { @match token.last_used_at { Some(at) => (moment(now, at)), None => "never" } }
            td data-name="Ends" {
                @match token.expires_at {
                    None => "never",
                    Some(_) if ended => span.ended { "ended" },
                    Some(at) => (moment(now, at)),
                }
            }
            td.actions {
                details.confirm {
                    summary { "Revoke" span.hidden { " " (name) } }
                    form method="post" action={ "/app/settings/tokens/" (token.id) "/revoke" } {
                        (form_token(visit))
                        p { "Whatever uses it is refused at once." }
                        button.danger type="submit" { "Revoke it" }
                    }
                }
            }
        }
    }
}

pub(crate) async fn create(visit: Visit) -> Result<Answer> {
    let description = visit.field("description").trim();
    let days: Option<i64> = visit.field("days").parse().ok();
    let days = days.filter(|days| LIVES.iter().any(|(known, _)| known == days));
    let (Some(days), 1..=LONGEST) = (days, description.len()) else {
        let why = format!(
            "Say what the token is for, in at most {LONGEST} characters, and choose how long it is good for."
        );
        let above = note(Tone::Bad, &html! { (why) });
        return Ok(list(&visit, description, &above).await?.status(StatusCode::UNPROCESSABLE_ENTITY));
    };
    let expires_at = (days > 0).then(|| visit.app.now().plus_seconds(days * 24 * 3600));
    let (_, text) = tokens::create_own(&visit.app, visit.user()?, description, expires_at).await?;
    list(&visit, "", &shown_once(description, &text)).await
}

fn shown_once(description: &str, text: &Secret) -> Markup {
    note(
        Tone::Good,
        &html! {
            p { strong { "Copy the token “" (description) "” now." } " It is not shown again." }
            pre.secret tabindex="0" aria-label="The new token" { (text.expose()) }
        },
    )
}

pub(crate) async fn revoke(visit: Visit) -> Result<Answer> {
    tokens::revoke_own(&visit.app, visit.user()?, visit.path("id")).await?;
    Ok(Answer::see_other("/app/settings/tokens?revoked=1"))
}
