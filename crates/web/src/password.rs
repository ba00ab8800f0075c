//! Setting and changing one's password. All other sessions end by it.

use crate::{
    answer::Answer,
    layout::{Place, Tone, form_token, note, page},
    visit::Visit,
};
use accounts::{
    passwords,
    sign_in::{Checked, check_own},
};
use axum::http::StatusCode;
use http_api::{Error, Result};
use kernel::Secret;
use maud::{Markup, html};

pub(crate) async fn show(visit: Visit) -> Result<Answer> {
    let done = visit.query("changed").map(|_| {
        note(Tone::Good, &html! { "Your password is changed. You are signed out everywhere else." })
    });
    form(&visit, &done.unwrap_or_default()).await
}

/// Who came by a link may have lost the former password, and is not asked for it.
pub(crate) async fn asks_former(visit: &Visit) -> Result<bool> {
    let session = visit.session()?;
    Ok(session.method != "link" && passwords::exists(&visit.app, &session.user_id).await?)
}

async fn form(visit: &Visit, above: &Markup) -> Result<Answer> {
    let session = visit.session()?;
    let former = asks_former(visit).await?;
    let body = html! {
        (above)
        section.panel.narrow {
            form method="post" action="/app/settings/password" {
                (form_token(visit))
                input.hidden name="username" autocomplete="username" value=(session.username) readonly tabindex="-1"
                    aria-hidden="true";
                @if former {
                    label for="former" { "Current password" }
                    input #former name="former" type="password" autocomplete="current-password" required
                        maxlength=(passwords::LONGEST);
                }
                label for="password" { "New password" }
                input #password name="password" type="password" autocomplete="new-password" required
                    minlength=(passwords::SHORTEST) maxlength=(passwords::LONGEST) aria-describedby="rule";
                p #rule.small { "At least " (passwords::SHORTEST) " characters. A few words that belong together only to you are \
                    better than many signs." }
                label for="again" { "New password, again" }
                input #again name="again" type="password" autocomplete="new-password" required
                    minlength=(passwords::SHORTEST) maxlength=(passwords::LONGEST);
                button type="submit" { "Save password" }
                p.small { "You will be signed out everywhere else. Tokens stay valid." }
            }
        }
    };
    Ok(Answer::page(page(visit, Place::Password, "Password", &body)))
}

pub(crate) async fn send(visit: Visit) -> Result<Answer> {
    let session = visit.session()?;
    let refused = async |status, why: &str| {
        let above = note(Tone::Bad, &html! { (why) });
        Ok(form(&visit, &above).await?.status(status))
    };
    let password = Secret::from(visit.field("password"));
    if password.expose() != visit.field("again") {
        return refused(StatusCode::UNPROCESSABLE_ENTITY, "The two new passwords differ.").await;
    }
    if asks_former(&visit).await? {
        let former = Secret::from(visit.field("former"));
        match check_own(&visit.app, session, &former, &visit.browser()).await? {
            Checked::Right => {}
            Checked::Wrong => {
                return refused(StatusCode::UNPROCESSABLE_ENTITY, "The current password is not right.").await;
            }
            Checked::Wait(seconds) => {
                let why = format!("There were too many failed tries. Wait {seconds} s, then try again.");
                return refused(StatusCode::TOO_MANY_REQUESTS, &why).await;
            }
        }
    }
    let set =
        passwords::set(&visit.app, &session.user_id, &session.username, &password, Some(&session.id)).await;
    match set {
        Ok(()) => Ok(Answer::see_other("/app/settings/password?changed=1")),
        Err(Error::Invalid(why)) => {
            let why: Vec<_> = why.into_iter().map(|(_, message)| message).collect();
            refused(StatusCode::UNPROCESSABLE_ENTITY, &why.join(" ")).await
        }
        Err(error) => Err(error),
    }
}
