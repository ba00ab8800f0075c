//! To the external provider, and back.

use crate::{
    answer::Answer,
    layout::{card, paragraphs},
    sign_in,
    visit::Visit,
};
use accounts::external::{self, FLOW_SECONDS, Outcome};
use axum::http::StatusCode;
use http_api::Result;
use maud::html;

/// Where the way to the provider begins.
pub(crate) fn address(to: &str) -> String {
    let to: String = form_urlencoded::byte_serialize(sign_in::destination(to).as_bytes()).collect();
    format!("/sign-in/external?to={to}")
}

pub(crate) async fn begin(visit: Visit) -> Result<Answer> {
    let begun = external::begin(&visit.app, &visit.query("to").unwrap_or_default()).await?;
    let cookie = visit.external_cookie(begun.sealed.expose(), FLOW_SECONDS);
    Ok(Answer::see_other(begun.url).with_cookies([cookie]))
}

pub(crate) async fn callback(visit: Visit) -> Result<Answer> {
    let answer = external::Answer {
        code: visit.query("code"),
        state: visit.query("state").unwrap_or_default(),
        error: visit.query("error"),
        issuer: visit.query("iss"),
        sealed: visit.external().unwrap_or_default().to_owned(),
    };
    let spent = visit.external_cookie("", 0);
    match external::finish(&visit.app, &answer, &visit.browser()).await? {
        Outcome::In(secret, to) => Ok(sign_in::enter(&visit, &to, &secret).await?.with_cookies([spent])),
        Outcome::Refused(why) => {
            let site = visit.app.site();
            let page = card(
                &visit.app,
                "You are not signed in",
                &html! {
                    p { (why) }
                    (paragraphs(&site.customization.login_help))
                    p.actions { a.button href="/sign-in" { "Try again" } }
                },
            );
            Ok(Answer::page(page).status(StatusCode::FORBIDDEN).with_cookies([spent]))
        }
    }
}
