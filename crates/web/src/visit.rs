//! One request, as a page sees it: who visits, what they ask, and what their form says.
//!
//! What a page shows it reads by [`Visit::read`], and what it does it does by [`Visit::change`]: with the paths of the API,
//! as the person who visits.

use crate::files::Files;
use accounts::{
    cookies::{self, same_origin},
    sessions::{self, Browser, Session},
};
use axum::{
    body::Body,
    http::{HeaderMap, Method, Uri, header, request::Parts},
};
use bytes::Bytes;
use http_api::{
    App, Error, Result,
    audit::{TokenShown, Who},
    inside::{Caller, Found, Inside},
    origin,
};
use http_body_util::{BodyExt, Limited};
use kernel::{Secret, ids::UserId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

/// Bytes of a form without files: room for the largest value of a variable, each byte of it written as three.
const FORM_BYTES: usize = 1 << 20;

/// A request.
pub(crate) struct Visit {
    pub(crate) app: App,
    inside: Arc<Inside>,
    pub(crate) uri: Uri,
    pub(crate) request_id: String,
    /// Who is signed in.
    pub(crate) session: Option<Session>,
    /// Where from, if the listener says so.
    pub(crate) address: Option<IpAddr>,
    headers: HeaderMap,
    params: Vec<(String, String)>,
    form: Vec<(String, String)>,
    /// The files that come with the form, not read yet.
    files: Mutex<Option<Files>>,
    /// Which changes had been told when the request began, before anything was read for its page.
    pub(crate) moment: String,
    /// What forms for this visitor are marked with: the session's cookie, or, before there is one, the guest's.
    mark: Secret,
    new_guest: bool,
}

/// Characters that are kept of what a browser says of itself.
const AGENT_CHARACTERS: usize = 300;

/// Why a form is not looked at.
pub(crate) enum Refused {
    /// Another site's page has sent it.
    Foreign,
    /// It was not made for this visitor, or for an earlier session of theirs.
    Stale,
    /// It cannot be read.
    Error(Error),
}

impl Visit {
    pub(crate) async fn begin(
        app: App,
        inside: Arc<Inside>,
        params: Vec<(String, String)>,
        parts: Parts,
    ) -> Result<Self> {
        let moment = app.changes.mark();
        let address = origin::address(&app.settings.trusted_proxies, &parts.headers, &parts.extensions);
        let shown = cookies::read(&parts.headers, &cookies::session(&app)).map(Secret::from);
        let session = match &shown {
            Some(secret) => sessions::find(&app, secret.expose()).await?,
            None => None,
        };
        allow(&app, session.as_ref(), address)?;
        let guest = cookies::read(&parts.headers, &guest_cookie_name(&app)).filter(|guest| guest.len() >= 40);
        let new_guest = session.is_none() && guest.is_none();
        let mark = match (&session, shown, guest) {
            (Some(_), Some(secret), _) => secret,
            (_, _, Some(guest)) => Secret::from(guest),
            _ => Secret::new(app.env.base58(44)),
        };
        Ok(Self {
            request_id: app.env.base58(16),
            app,
            inside,
            uri: parts.uri,
            session,
            address,
            headers: parts.headers,
            params,
            form: Vec::new(),
            files: Mutex::default(),
            moment,
            mark,
            new_guest,
        })
    }

    fn caller(&self) -> Result<Caller> {
        let session = self.session()?;
        Ok(Caller {
            actor: Arc::new(session.actor()),
            who: Who { id: session.user_id.to_string(), name: Some(session.username.clone()) },
            token: TokenShown { id: session.id.to_string(), kind: "session".to_owned() },
            impersonator: session
                .impersonator_id
                .as_ref()
                .map(|id| Who { id: id.to_string(), name: session.impersonator.clone() }),
            address: self.address,
            request_id: self.request_id.as_str().into(),
        })
    }

    /// What the API answers to a GET of `path`, such as `/runs/run-…?include=plan`.
    pub(crate) async fn read(&self, path: &str) -> Result<Found> {
        self.inside.read(&self.app, &self.caller()?, path).await
    }

    /// As [`Visit::read`], where nothing there and nothing to see are no failure.
    pub(crate) async fn read_if_there(&self, path: &str) -> Result<Option<Found>> {
        match self.read(path).await {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound | Error::Forbidden(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The bytes behind a GET of `path`.
    pub(crate) async fn bytes(&self, path: &str) -> Result<Bytes> {
        self.inside.bytes(&self.app, &self.caller()?, path).await
    }

    /// Does what the API does at `path`, with a JSON body; the document that it answers, or null.
    pub(crate) async fn change(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (_, answer) = self.inside.change(&self.app, &self.caller()?, method, path, body).await?;
        Ok(answer.unwrap_or_default())
    }

    /// Sends bytes to one of the API's signed URLs.
    pub(crate) async fn upload(&self, url: &str, body: Body) -> Result<()> {
        let path = url.strip_prefix(&self.app.settings.url).unwrap_or(url);
        self.inside.change(&self.app, &self.caller()?, Method::PUT, path, body).await.map(drop)
    }

    /// Who is signed in, on a page that needs it.
    pub(crate) fn session(&self) -> Result<&Session> {
        self.session.as_ref().ok_or(Error::Unauthorized)
    }

    /// Their id.
    pub(crate) fn user(&self) -> Result<&UserId> {
        self.session().map(|session| &session.user_id)
    }

    /// The browser, for a session that it may get.
    pub(crate) fn browser(&self) -> Browser {
        let agent = self.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let agent = agent.map(|agent| agent.chars().take(AGENT_CHARACTERS).collect());
        Browser { address: self.address, agent }
    }

    /// A parameter of the path.
    pub(crate) fn path(&self, name: &str) -> &str {
        self.params.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// A parameter of the query, decoded.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let query = self.uri.query().unwrap_or_default();
        form_urlencoded::parse(query.as_bytes()).find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
    }

    /// A field of the form; absent and empty are alike.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.form.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// All fields of the form of this name: what is ticked of a list.
    pub(crate) fn fields(&self, name: &str) -> Vec<&str> {
        self.form.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The files that came with the form; once, and none on a page that takes none.
    pub(crate) fn take_files(&self) -> Option<Files> {
        self.files.lock().expect("nothing panics while it is held").take()
    }

    /// Whether a script of ours has sent the form, which follows no redirect by itself.
    pub(crate) fn is_by_script(&self) -> bool {
        self.headers.contains_key("hx-request")
    }

    /// What stands in a field of a form that is shown: what was typed, where it was sent and refused, else `stored`.
    pub(crate) fn typed<'a>(&'a self, name: &str, stored: &'a str) -> &'a str {
        self.form.iter().find(|(n, _)| n == name).map_or(stored, |(_, value)| value)
    }

    /// Whether a box of a form that is shown is ticked, likewise. A box that is not ticked is not sent.
    pub(crate) fn ticked(&self, name: &str, stored: bool) -> bool {
        if self.form.is_empty() { stored } else { !self.field(name).is_empty() }
    }

    /// What a form made for this visitor carries, and nobody else can know.
    pub(crate) fn form_token(&self) -> String {
        self.app.hasher.hash(&form_text(&self.mark))
    }

    /// Reads the form, if it was sent by one of our pages that was made for this visitor. Of one with files it reads the
    /// fields that come before them, its token among these.
    pub(crate) async fn take_form(&mut self, body: Body, takes_files: bool) -> Result<(), Refused> {
        if !same_origin(&self.headers, &self.uri, &self.app.settings.url) {
            return Err(Refused::Foreign);
        }
        if let Some(boundary) = self.boundary().filter(|_| takes_files) {
            let (fields, files) = Files::begin(body, boundary, FORM_BYTES).await.map_err(Refused::Error)?;
            self.form = fields;
            self.files = Mutex::new(Some(files));
            return self.marked();
        }
        let body = Limited::new(body, FORM_BYTES).collect().await.map_err(|_| {
            Refused::Error(Error::TooLarge(format!("a form may have at most {FORM_BYTES} bytes")))
        })?;
        self.form = form_urlencoded::parse(&body.to_bytes()).into_owned().collect();
        self.marked()
    }

    /// What separates the parts of a form with files.
    fn boundary(&self) -> Option<String> {
        multer::parse_boundary(self.headers.get(header::CONTENT_TYPE)?.to_str().ok()?).ok()
    }

    fn marked(&self) -> Result<(), Refused> {
        if self.app.hasher.verify(&form_text(&self.mark), self.field("token-of-form")) {
            Ok(())
        } else {
            Err(Refused::Stale)
        }
    }

    /// The cookie of a visitor who has none yet.
    pub(crate) fn new_guest_cookie(&self) -> Option<String> {
        self.new_guest.then(|| self.cookie_text(&guest_cookie_name(&self.app), self.mark.expose(), None))
    }

    /// The cookies of who has just signed in.
    pub(crate) fn signed_in_cookies(&self, secret: &Secret) -> Vec<String> {
        let age = self.app.settings.session_seconds;
        vec![
            self.cookie_text(&cookies::session(&self.app), secret.expose(), Some(age)),
            self.cookie_text(&guest_cookie_name(&self.app), "", Some(0)),
        ]
    }

    /// The cookie of who is sent to the external provider, for `seconds`; it is there for as long as they are away.
    pub(crate) fn external_cookie(&self, sealed: &str, seconds: i64) -> String {
        self.cookie_text(&external_cookie_name(&self.app), sealed, Some(seconds))
    }

    /// What [`Visit::external_cookie`] has set.
    pub(crate) fn external(&self) -> Option<&str> {
        cookies::read(&self.headers, &external_cookie_name(&self.app))
    }

    /// The cookie of who has just signed out.
    pub(crate) fn signed_out_cookie(&self) -> String {
        self.cookie_text(&cookies::session(&self.app), "", Some(0))
    }

    fn cookie_text(&self, name: &str, value: &str, max_age: Option<i64>) -> String {
        cookies::text(&self.app, name, value, max_age)
    }
}

/// What stands between two slashes of a path, whatever it holds.
pub(crate) fn segment(text: &str) -> impl std::fmt::Display {
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, PLAIN)
}

/// Pages count against the allowance of who visits, or, until they have signed in, of their address: as requests to the
/// API do. Many who are signed in may share an address.
fn allow(app: &App, session: Option<&Session>, address: Option<IpAddr>) -> Result<()> {
    let Some(most) = app.site().general.requests_per_second(&app.settings) else { return Ok(()) };
    let whose = match session {
        Some(session) => session.user_id.to_string(),
        None => address.map(|address| address.to_string()).unwrap_or_default(),
    };
    if app.limit.take(&whose, most, app.now()).is_exceeded() {
        return Err(Error::TooManyRequests(1));
    }
    Ok(())
}

fn form_text(mark: &Secret) -> String {
    format!("form {}", mark.expose())
}

fn guest_cookie_name(app: &App) -> String {
    cookies::name(app, "guest")
}

fn external_cookie_name(app: &App) -> String {
    cookies::name(app, "external")
}

/// Whether a browser unpacks gzip.
pub(crate) fn unpacks(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("gzip"))
}
