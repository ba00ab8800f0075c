//! Frames and parts that pages are made of.
//!
//! [`card`] is the frame of what is done once, in the middle of an empty page: signing in, consenting, being refused.
//! [`page`] is the frame of a person's own pages, [`framed`] that of all else: with where one is ([`Frame`]), the way to other
//! pages and out.

use crate::{
    answer::Answer,
    assets,
    visit::{Visit, segment},
};
use accounts::sessions::Session;
use axum::http::StatusCode;
use http_api::{App, Error, banner::Banner, site::Customization};
use kernel::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The pages that lead to one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Home,
    Tokens,
    Password,
    TwoFactor,
    Sessions,
}

/// A person's own pages.
const PLACES: [(Place, &str, &str); 4] = [
    (Place::Tokens, "/app/settings/tokens", "Tokens"),
    (Place::Password, "/app/settings/password", "Password"),
    (Place::TwoFactor, "/app/settings/two-factor", "Two-factor"),
    (Place::Sessions, "/app/settings/sessions", "Sessions"),
];

/// htmx makes no style and evaluates no text, which the policy of the answer forbids anyway.
const HTMX: &str =
    r#"{"includeIndicatorStyles":false,"allowEval":false,"selfRequestsOnly":true,"historyCacheSize":0}"#;

fn document(app: &App, signed_in: bool, title: &str, class: &str, body: &Markup) -> Markup {
    let site = app.site();
    let texts = &site.customization;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Ferroform" }
                link rel="stylesheet" href=(assets::style());
                link rel="icon" type="image/svg+xml" href=(assets::icon());
                meta name="htmx-config" content=(HTMX);
                @for script in assets::scripts() { script src=(script) defer {} }
            }
            body class=(class) {
                (banner(site.banner.as_ref().filter(|banner| banner.is_shown(app.now(), signed_in))))
                (body)
                @if !texts.footer.is_empty() || !texts.support_email_address.is_empty() {
                    footer.own { (paragraphs(&texts.footer)) (support(texts)) }
                }
            }
        }
    }
}

/// What site admins tell everybody. Its body was sanitized when it was stored.
fn banner(banner: Option<&Banner>) -> Markup {
    html! {
        @if let Some(banner) = banner {
            aside class={ "banner " (banner.style) } aria-label="Announcement" {
                strong { (banner.title) } " " (PreEscaped(&banner.body))
            }
        }
    }
}

/// A text of site admins: each of its lines a paragraph.
pub(crate) fn paragraphs(text: &str) -> Markup {
    html! { @for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) { p { (line) } } }
}

fn support(texts: &Customization) -> Markup {
    let address = &texts.support_email_address;
    html! {
        @if !address.is_empty() { p { "Help: " a href={ "mailto:" (address) } { (address) } } }
    }
}

fn brand(to: &str) -> Markup {
    html! {
        a.brand href=(to) { img src=(assets::icon()) alt="" width="28" height="28"; "Ferroform" }
    }
}

/// A page in the middle of nothing.
pub(crate) fn card(app: &App, title: &str, body: &Markup) -> Markup {
    document(
        app,
        false,
        title,
        "alone",
        &html! {
            main.card {
                (brand("/"))
                h1 { (title) }
                (body)
            }
        },
    )
}

/// Where a page is: what stands above it, and which pages are beside it.
pub(crate) enum Area<'a> {
    /// Above all organizations.
    Home,
    /// What is a person's own.
    Account,
    /// The whole installation, for site admins.
    Site,
    /// An organization.
    Organization(&'a str),
    /// A workspace of an organization.
    Workspace(&'a str, &'a str),
}

/// The frame of a page.
pub(crate) struct Frame<'a> {
    /// Its name, for the browser's tab and its heading.
    pub(crate) title: &'a str,
    /// Where it is.
    pub(crate) area: Area<'a>,
    /// Which of the pages beside each other it is or belongs to, by the name in the navigation.
    pub(crate) place: &'a str,
    /// Below the page that `place` names: the heading has a way back there.
    pub(crate) within: bool,
    /// What stands at the right of the heading.
    pub(crate) actions: Markup,
}

impl<'a> Frame<'a> {
    /// One without actions, right at its place.
    pub(crate) fn new(area: Area<'a>, place: &'a str, title: &'a str) -> Self {
        Self { title, area, place, within: false, actions: Markup::default() }
    }
}

impl Area<'_> {
    /// Names and paths of the pages beside each other.
    fn places(&self) -> Vec<(&'static str, String)> {
        let under = |base: String, places: &[(&'static str, &str)]| {
            places.iter().map(|(name, path)| (*name, format!("{base}{path}"))).collect()
        };
        match self {
            Area::Home => vec![],
            Area::Account => PLACES.iter().map(|(_, path, name)| (*name, (*path).to_owned())).collect(),
            Area::Organization(organization) => under(
                format!("/app/{}", segment(organization)),
                &[
                    ("Overview", ""),
                    ("Workspaces", "/workspaces"),
                    ("Projects", "/projects"),
                    ("Settings", "/settings"),
                ],
            ),
            Area::Site => under(
                "/app/admin".to_owned(),
                &[
                    ("Health", ""),
                    ("Runs", "/runs"),
                    ("Organizations", "/organizations"),
                    ("Users", "/users"),
                    ("Versions", "/versions"),
                    ("Settings", "/settings"),
                ],
            ),
            Area::Workspace(organization, workspace) => under(
                format!("/app/{}/workspaces/{}", segment(organization), segment(workspace)),
                &[
                    ("Overview", ""),
                    ("Runs", "/runs"),
                    ("States", "/states"),
                    ("Variables", "/variables"),
                    ("Settings", "/settings"),
                ],
            ),
        }
    }

    /// Names and paths of what it is in, the outermost first.
    fn crumbs(&self) -> Vec<(&str, String)> {
        match self {
            Area::Home => vec![],
            Area::Site => vec![("Site administration", "/app/admin".to_owned())],
            Area::Account => vec![("Account", PLACES[0].1.to_owned())],
            Area::Organization(organization) => {
                vec![(organization, format!("/app/{}", segment(organization)))]
            }
            Area::Workspace(organization, workspace) => {
                let base = format!("/app/{}", segment(organization));
                let own = format!("{base}/workspaces/{}", segment(workspace));
                vec![(organization, base), (workspace, own)]
            }
        }
    }
}

/// A person's own page. `title` is its heading too.
pub(crate) fn page(visit: &Visit, place: Place, title: &str, body: &Markup) -> Markup {
    let known = PLACES.iter().find(|(own, ..)| *own == place);
    let (area, name) = known.map_or((Area::Home, ""), |(_, _, name)| (Area::Account, *name));
    framed(visit, &Frame::new(area, name, title), body)
}

/// A page with where it is and the way to others.
pub(crate) fn framed(visit: &Visit, frame: &Frame<'_>, body: &Markup) -> Markup {
    let places = frame.area.places();
    let back = places.iter().find(|(name, _)| frame.within && *name == frame.place);
    document(
        &visit.app,
        visit.session.is_some(),
        &whole_title(frame),
        "framed",
        &html! {
            a.skip href="#content" { "Skip to content" }
            header.top {
                div.inner {
                    (brand("/app"))
                    nav.crumbs aria-label="Where you are" {
                        @for (name, path) in frame.area.crumbs() { a href=(path) { (name) } }
                    }
                    @if let Some(session) = &visit.session {
                        div.who {
                            @if session.site_admin { a href="/app/admin" { "Site administration" } }
                            a href="/app/settings/tokens" { (session.username) }
                            form method="post" action="/sign-out" {
                                (form_token(visit))
                                button.quiet type="submit" { "Sign out" }
                            }
                        }
                    }
                }
                @if !places.is_empty() { nav.tabs aria-label="Pages" {
                    @for (name, path) in &places {
                        a href=(path) aria-current=[(*name == frame.place).then_some("page")] { (name) }
                    }
                } }
            }
            (acting(visit))
            main #content {
                div.heading {
                    div {
                        @if let Some((name, path)) = back { a.back href=(path) { "‹ " (name) } }
                        h1 { (frame.title) }
                    }
                    div.actions { (frame.actions) }
                }
                (body)
            }
        },
    )
}

fn whole_title(frame: &Frame<'_>) -> String {
    let mut words = vec![frame.title];
    let crumbs = frame.area.crumbs();
    words.extend(crumbs.iter().rev().map(|(name, _)| *name).filter(|name| *name != frame.title));
    words.join(" · ")
}

/// What a site admin who acts as somebody sees on every page.
fn acting(visit: &Visit) -> Markup {
    let session = visit.session.as_ref();
    let Some((session, admin)) = session.and_then(|s| Some((s, s.impersonator.as_ref()?))) else {
        return html! {};
    };
    html! {
        aside.acting aria-label="Acting as somebody else" {
            form method="post" action="/impersonation/end" {
                (form_token(visit))
                span { "You act as " strong { (session.username) } ", and are " (admin) "." }
                button.quiet type="submit" { "Stop" }
            }
        }
    }
}

/// What every form carries; see [`Visit::form_token`].
pub(crate) fn form_token(visit: &Visit) -> Markup {
    html! { input type="hidden" name="token-of-form" value=(visit.form_token()); }
}

/// How a note looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
}

/// A sentence that stands out. A bad one is read out at once.
pub(crate) fn note(tone: Tone, body: &Markup) -> Markup {
    let class = match tone {
        Tone::Plain => "note",
        Tone::Good => "note good",
        Tone::Bad => "note bad",
    };
    html! { div class=(class) role=[(tone == Tone::Bad).then_some("alert")] { (body) } }
}

/// An instant, as the time since or until then, with the exact one in reach.
pub(crate) fn moment(now: Timestamp, at: Timestamp) -> Markup {
    let exact = at.iso8601();
    let exact = format!("{} {} UTC", &exact[..10], &exact[11..16]);
    let (distance, past) = if at > now { (at.since(now), false) } else { (now.since(at), true) };
    let words = match (span(distance.as_secs()), past) {
        (None, true) => "just now".to_owned(),
        (None, false) => "in a moment".to_owned(),
        (Some(span), true) => format!("{span} ago"),
        (Some(span), false) => format!("in {span}"),
    };
    html! { time datetime=(at.iso8601()) title=(exact) { (words) } }
}

/// A span in its largest unit, rounded; nothing for less than a minute.
fn span(seconds: u64) -> Option<String> {
    let rounded = |unit: u64| (seconds + unit / 2) / unit;
    let (count, unit) = match seconds {
        0..60 => return None,
        60..3570 => (rounded(60), "minute"),
        3570..84_600 => (rounded(3600), "hour"),
        84_600..5_184_000 => (rounded(86_400), "day"),
        5_184_000..63_072_000 => (rounded(2_630_000), "month"),
        _ => (rounded(31_556_952), "year"),
    };
    Some(format!("{count} {unit}{}", if count == 1 { "" } else { "s" }))
}

/// A page that says why there is no other, and what to do.
pub(crate) fn failure(app: &App, error: &Error, request_id: &str, session: Option<&Session>) -> Answer {
    let (status, title, why) = describe(error, request_id);
    let home = if session.is_some() { "Go to your home page" } else { "Go to the start" };
    Answer::page(card(
        app,
        title,
        &html! {
            p { (why) }
            (paragraphs(&app.site().customization.error))
            p.actions { a.button href="/app" { (home) } }
        },
    ))
    .status(status)
}

pub(crate) fn describe(error: &Error, request_id: &str) -> (StatusCode, &'static str, String) {
    let fixed = |status, title, why: &str| (status, title, why.to_owned());
    match error {
        Error::NotFound => fixed(
            StatusCode::NOT_FOUND,
            "Nothing here",
            "There is no page at this address, or you may not see it. Check the address, or ask whoever gave it to \
             you.",
        ),
        Error::BadRequest { detail, .. } => fixed(StatusCode::BAD_REQUEST, "That did not work", detail),
        Error::Unauthorized => {
            fixed(StatusCode::UNAUTHORIZED, "Please sign in", "This page needs you to be signed in.")
        }
        Error::NotEntitled(why) => fixed(StatusCode::NOT_FOUND, "Not allowed", why),
        Error::Forbidden(why) => fixed(StatusCode::FORBIDDEN, "Not allowed", why),
        Error::Conflict { detail, .. } => fixed(StatusCode::CONFLICT, "That did not work", detail),
        Error::PreconditionFailed(why) => fixed(StatusCode::PRECONDITION_FAILED, "Somebody was faster", why),
        Error::TooLarge(why) => fixed(StatusCode::PAYLOAD_TOO_LARGE, "Too large", why),
        Error::Invalid(attributes) => {
            let all: Vec<_> = attributes.iter().map(|(_, message)| message.as_str()).collect();
            fixed(StatusCode::UNPROCESSABLE_ENTITY, "That did not work", &all.join(" "))
        }
        Error::Unprocessable(why) => fixed(StatusCode::UNPROCESSABLE_ENTITY, "That did not work", why),
        Error::TooManyRequests(seconds) => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too fast",
            format!("There were too many requests from your address. Try again in {seconds} s."),
        ),
        Error::Unavailable(why) => fixed(StatusCode::SERVICE_UNAVAILABLE, "Not now", why),
        Error::Internal(cause) => {
            tracing::error!(request_id, %cause, "internal error");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something broke",
                format!("This is the server's fault. Its operator finds more in its log under {request_id}."),
            )
        }
    }
}

/// The answer to a form that another site has sent.
pub(crate) fn foreign_form(visit: &Visit) -> Answer {
    refused_form(
        visit,
        "This form was not sent by a page of this server, so nothing was done. If you did not expect this, another site \
         may have tried to act in your name.",
    )
}

/// The answer to a form that is not this visitor's, or not any more.
pub(crate) fn stale_form(visit: &Visit) -> Answer {
    refused_form(
        visit,
        "This form is out of date, because you have signed in or out since it was shown, or your browser keeps no \
         cookies. Nothing was done. Go back, reload the page, and try again.",
    )
}

fn refused_form(visit: &Visit, why: &str) -> Answer {
    failure(&visit.app, &Error::Forbidden(why.to_owned()), &visit.request_id, visit.session.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_in_its_largest_unit() {
        let now = Timestamp::parse("2026-11-24T15:40:00Z").unwrap();
        let told = |seconds| {
            let text = moment(now, now.plus_seconds(seconds)).into_string();
            text.split(['<', '>']).nth(2).unwrap().to_owned()
        };
        assert_eq!(told(-5), "just now");
        assert_eq!(told(-60), "1 minute ago");
        assert_eq!(told(-7300), "2 hours ago");
        assert_eq!(told(90 * 86_400), "in 3 months");
        assert_eq!(told(730 * 86_400), "in 2 years");
        assert!(moment(now, now).into_string().contains("title=\"2026-11-24 15:40 UTC\""));
    }
}
