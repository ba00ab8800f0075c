//! One's own second factor: enrolling with a picture to scan, recovery codes, turning it off.

use crate::{
    answer::Answer,
    layout::{Place, Tone, form_token, moment, note, page},
    password,
    visit::Visit,
};
use accounts::{
    sign_in::{Checked, check_own},
    two_factor::{self, Enrolment, Shown, State},
};
use axum::http::StatusCode;
use http_api::{Error, Result};
use kernel::Secret;
use maud::{Markup, html};
use qrcode::{Color, EcLevel, QrCode};

const PATH: &str = "/app/settings/two-factor";

pub(crate) async fn show(visit: Visit) -> Result<Answer> {
    let above = visit.query("off").map(|_| {
        note(Tone::Good, &html! { "Two-factor authentication is off. Your password alone signs you in." })
    });
    overview(&visit, &above.unwrap_or_default()).await
}

fn framed(visit: &Visit, body: &Markup) -> Answer {
    Answer::page(page(visit, Place::TwoFactor, "Two-factor authentication", body))
}

async fn overview(visit: &Visit, above: &Markup) -> Result<Answer> {
    let session = visit.session()?;
    let now = visit.app.now();
    let body = match two_factor::state(&visit.app, &session.user_id).await? {
        State::On { since, recovery_codes } => html! {
            (above)
            section.panel.narrow {
                h2 { "It is on" }
                dl {
                    dt { "Since" } dd { (moment(now, since)) }
                    dt { "Recovery codes" } dd { (recovery_codes) " of " (two_factor::RECOVERY_CODES) " left" }
                }
                @if recovery_codes < 3 {
                    (note(Tone::Plain, &html! { "Make new recovery codes before the last one is used." }))
                }
            }
            section.panel.narrow {
                h2 { "New recovery codes" }
                p.muted { "They take the place of those that you have." }
                (code_form(visit, "/codes", "Make new codes", "renewing", false))
            }
            section.panel.narrow {
                h2 { "Turn it off" }
                p.muted { "Organizations that require two-factor authentication will refuse you afterwards." }
                (code_form(visit, "/off", "Turn it off", "leaving", true))
            }
        },
        State::Off | State::Begun => {
            let asks = password::asks_former(visit).await?;
            html! {
                (above)
                section.panel.narrow {
                    h2 { "It is off" }
                    p { "With it, signing in takes your password and a code from an app on your phone. Whoever learns your \
                        password alone does not get in." }
                    form method="post" action=(PATH) {
                        (form_token(visit))
                        @if asks {
                            input.hidden name="username" autocomplete="username" value=(session.username) readonly
                                tabindex="-1" aria-hidden="true";
                            label for="former" { "Current password" }
                            input #former name="former" type="password" autocomplete="current-password" required
                                maxlength=(accounts::passwords::LONGEST);
                        }
                        button type="submit" { "Set it up" }
                    }
                    p.small { "You need an authenticator app: any that knows TOTP will do. You will be signed out everywhere else; \
                        tokens stay valid." }
                }
            }
        }
    };
    Ok(framed(visit, &body))
}

fn code_form(visit: &Visit, place: &str, action: &str, id: &str, danger: bool) -> Markup {
    html! {
        form method="post" action={ (PATH) (place) } {
            (form_token(visit))
            label for=(id) { "Code from your app, or a recovery code" }
            input id=(id) name="code" required maxlength="20" autocomplete="one-time-code" autocapitalize="none"
                spellcheck="false";
            button.danger[danger] type="submit" { (action) }
        }
    }
}

/// Shows a new secret.
pub(crate) async fn begin(visit: Visit) -> Result<Answer> {
    let session = visit.session()?;
    if password::asks_former(&visit).await? {
        let former = Secret::from(visit.field("former"));
        match check_own(&visit.app, session, &former, &visit.browser()).await? {
            Checked::Right => {}
            Checked::Wrong => return refuse(&visit, "The current password is not right.").await,
            Checked::Wait(seconds) => return hold(&visit, seconds).await,
        }
    }
    let enrolment = two_factor::begin(&visit.app, session).await?;
    Ok(framed(&visit, &enrolling(&visit, &enrolment, None)))
}

async fn refuse(visit: &Visit, why: &str) -> Result<Answer> {
    let above = note(Tone::Bad, &html! { (why) });
    Ok(overview(visit, &above).await?.status(StatusCode::UNPROCESSABLE_ENTITY))
}

async fn hold(visit: &Visit, seconds: u32) -> Result<Answer> {
    let above =
        note(Tone::Bad, &html! { "There were too many failed tries. Wait " (seconds) " s, then try again." });
    Ok(overview(visit, &above).await?.status(StatusCode::TOO_MANY_REQUESTS))
}

const WRONG: &str = "This code is not right, or was used before. Codes change every 30 seconds; if none works, look \
    whether your phone's clock is right.";

fn enrolling(visit: &Visit, enrolment: &Enrolment, trouble: Option<&str>) -> Markup {
    let secret = enrolment.secret.expose().as_bytes();
    html! {
        @if let Some(trouble) = trouble { (note(Tone::Bad, &html! { (trouble) })) }
        section.panel.narrow {
            ol.steps {
                li {
                    p { "Scan this with your authenticator app:" }
                    (picture(enrolment.uri.expose()))
                    details {
                        summary { "No camera? Type the key" }
                        pre.key tabindex="0" {
                            @for four in secret.chunks(4) { (String::from_utf8_lossy(four)) " " }
                        }
                        p.small { "Time based, SHA-1, 6 digits, 30 seconds." }
                    }
                }
                li {
                    p { "Type the code that it shows:" }
                    form method="post" action={ (PATH) "/confirm" } {
                        (form_token(visit))
                        label.hidden for="code" { "Code" }
                        input #code name="code" required inputmode="numeric" autocomplete="one-time-code" maxlength="10"
                            autofocus;
                        button type="submit" { "Turn it on" }
                    }
                }
            }
            p.small { "The key is shown now and not again. Keep it to yourself: with it anybody can make your codes." }
        }
    }
}

/// The picture of a text to scan, dark on light whatever the page's colours: many scanners need that.
fn picture(text: &str) -> Markup {
    let Ok(code) = QrCode::with_error_correction_level(text.as_bytes(), EcLevel::M) else {
        // Only for a text of kilobytes, which a name of the server or a user is not.
        return html! { p.muted { "This server's name is too long for a picture; type the key instead." } };
    };
    let width = code.width();
    let mut path = String::new();
    for (at, _) in code.to_colors().iter().enumerate().filter(|(_, color)| **color == Color::Dark) {
        path.push_str(&format!("M{} {}h1v1h-1z", at % width + 4, at / width + 4));
    }
    let size = width + 8;
    html! {
        svg.picture viewBox={ "0 0 " (size) " " (size) } role="img" aria-label="The key as a QR code" shape-rendering="crispEdges" {
            rect width=(size) height=(size) fill="#fff" {}
            path d=(path) fill="#000" {}
        }
    }
}

pub(crate) async fn confirm(visit: Visit) -> Result<Answer> {
    let session = visit.session()?;
    match two_factor::confirm(&visit.app, session, visit.field("code"), &visit.browser()).await? {
        Shown::Right(codes) => Ok(framed(&visit, &codes_once("Two-factor authentication is on.", &codes))),
        Shown::Wrong => {
            let enrolment = two_factor::begun(&visit.app, session).await?.ok_or_else(|| {
                Error::conflict("There is nothing to confirm. Begin again under Two-factor.")
            })?;
            Ok(framed(&visit, &enrolling(&visit, &enrolment, Some(WRONG)))
                .status(StatusCode::UNPROCESSABLE_ENTITY))
        }
        Shown::Wait(seconds) => hold(&visit, seconds).await,
    }
}

pub(crate) async fn renew(visit: Visit) -> Result<Answer> {
    let session = visit.session()?;
    match two_factor::renew(&visit.app, session, visit.field("code"), &visit.browser()).await? {
        Shown::Right(codes) => {
            Ok(framed(&visit, &codes_once("These codes take the place of the former ones.", &codes)))
        }
        Shown::Wrong => refuse(&visit, WRONG).await,
        Shown::Wait(seconds) => hold(&visit, seconds).await,
    }
}

fn codes_once(done: &str, codes: &[Secret]) -> Markup {
    html! {
        (note(Tone::Good, &html! {
            p { (done) " " strong { "Keep these recovery codes now." } " They are not shown again." }
        }))
        section.panel.narrow {
            h2 { "Recovery codes" }
            p { "Each signs you in once in place of a code, when your phone is not at hand. Keep them where you keep passwords, \
                not on the phone." }
            pre.codes tabindex="0" aria-label="Recovery codes" {
                @for code in codes { (code.expose()) "\n" }
            }
            p.actions { a.button href=(PATH) { "I have kept them" } }
        }
    }
}

pub(crate) async fn off(visit: Visit) -> Result<Answer> {
    let session = visit.session()?;
    match two_factor::turn_off(&visit.app, session, visit.field("code"), &visit.browser()).await? {
        Shown::Right(()) => Ok(Answer::see_other(format!("{PATH}?off=1"))),
        Shown::Wrong => refuse(&visit, WRONG).await,
        Shown::Wait(seconds) => hold(&visit, seconds).await,
    }
}
