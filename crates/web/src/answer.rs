//! What a page answers, with the headers that every page has.

use crate::{assets, visit::Visit};
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use flate2::Compression;
use maud::Markup;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    body: Content,
    kind: &'static str,
    location: Option<String>,
    /// Where a script of ours leads to.
    script_location: Option<String>,
    /// `Set-Cookie` headers, in order.
    pub(crate) cookies: Vec<String>,
    /// Where else than here a form of the page leads.
    form_target: Option<String>,
    forever: bool,
    /// `Content-Disposition`.
    file: Option<String>,
}

/// What is in an answer.
#[derive(Debug)]
enum Content {
    Whole(Bytes),
    /// With itself compressed.
    Both(Bytes, Bytes),
    /// What comes while it is read.
    Stream(Body),
}

/// Bytes from which on compressing is worth it.
const WORTH_PACKING: usize = 1024;

/// On every answer. `same-origin` and not `no-referrer`: with that, browsers send `Origin: null` with our own forms.
static HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

impl http_api::audit::Answered for Answer {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn document(&self) -> Option<&Bytes> {
        None
    }
}

impl Answer {
    /// 200 with a page.
    pub(crate) fn page(markup: Markup) -> Self {
        Self {
            status: StatusCode::OK,
            body: Content::Whole(markup.into_string().into()),
            kind: "text/html; charset=utf-8",
            location: None,
            script_location: None,
            cookies: Vec::new(),
            form_target: None,
            forever: false,
            file: None,
        }
    }

    /// 303 to another page, which the browser GETs.
    pub(crate) fn see_other(location: impl Into<String>) -> Self {
        let mut answer = Self::page(maud::html! {}).status(StatusCode::SEE_OTHER);
        answer.location = Some(location.into());
        answer
    }

    /// Leads to another page who sent a form, whether the browser sent it or a script of ours.
    pub(crate) fn lead(visit: &Visit, location: impl Into<String>) -> Self {
        if !visit.is_by_script() {
            return Self::see_other(location);
        }
        let mut answer = Self::page(maud::html! {});
        answer.script_location = Some(location.into());
        answer
    }

    /// 200 with bytes that never change under their name.
    pub(crate) fn forever(kind: &'static str, plain: &'static [u8], packed: Bytes) -> Self {
        let body = Content::Both(Bytes::from_static(plain), packed);
        Self { body, kind, forever: true, ..Self::page(maud::html! {}) }
    }

    /// 200 with a stream of events.
    pub(crate) fn events(body: Body) -> Self {
        Self { body: Content::Stream(body), kind: "text/event-stream", ..Self::page(maud::html! {}) }
    }

    /// 200 with bytes of a media type, to be kept as a file of this name.
    pub(crate) fn download(kind: &'static str, name: &str, body: impl Into<Bytes>) -> Self {
        let safe: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
        let file = Some(format!("attachment; filename=\"{safe}\""));
        Self { body: Content::Whole(body.into()), kind, file, ..Self::page(maud::html! {}) }
    }

    pub(crate) fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn with_cookies(mut self, cookies: impl IntoIterator<Item = String>) -> Self {
        self.cookies.extend(cookies);
        self
    }

    /// The page's form leads, through a redirect, to this origin.
    pub(crate) fn leading_to(self, origin: String) -> Self {
        Self { form_target: Some(origin), ..self }
    }

    /// `path` is for the log, should the answer be impossible; `gzip` says whether the browser unpacks that.
    pub(crate) fn into_response(self, path: &str, gzip: bool) -> Response {
        let (body, packed) = match self.body {
            Content::Both(_, packed) if gzip => (packed.into(), true),
            Content::Whole(plain) if gzip && plain.len() >= WORTH_PACKING => {
                (assets::packed(&plain, Compression::fast()).into(), true)
            }
            Content::Whole(plain) | Content::Both(plain, _) => (plain.into(), false),
            Content::Stream(body) => (body, false),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        for (name, value) in &HEADERS {
            headers.insert(name, value.clone());
        }
        let target = self.form_target.map(|target| format!(" {target}")).unwrap_or_default();
        let policy = format!(
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
             form-action 'self'{target}; base-uri 'none'; frame-ancestors 'none'"
        );
        let texts = [
            (header::CONTENT_SECURITY_POLICY, Some(policy)),
            (header::LOCATION, self.location),
            (HeaderName::from_static("hx-redirect"), self.script_location),
            (header::CONTENT_DISPOSITION, self.file),
            (header::CONTENT_ENCODING, packed.then(|| "gzip".to_owned())),
            (header::VARY, Some("accept-encoding".to_owned())),
        ];
        let cookies = self.cookies.into_iter().map(|cookie| (header::SET_COOKIE, Some(cookie)));
        for (name, text) in texts.into_iter().chain(cookies) {
            match text.map(HeaderValue::try_from) {
                None => {}
                Some(Ok(value)) => {
                    headers.append(name, value);
                }
                Some(Err(_)) => tracing::error!(path, %name, "a header of a page cannot be sent"),
            }
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        let keep = if self.forever { "public, max-age=31536000, immutable" } else { "no-store" };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
        response
    }
}
