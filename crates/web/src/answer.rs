//! What a page answers, with the headers that every page has.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use maud::Markup;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    body: Bytes,
    kind: &'static str,
    location: Option<String>,
    /// `Set-Cookie` headers, in order.
    pub(crate) cookies: Vec<String>,
    /// Where else than here a form of the page leads.
    form_target: Option<String>,
    forever: bool,
}

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
            body: markup.into_string().into(),
            kind: "text/html; charset=utf-8",
            location: None,
            cookies: Vec::new(),
            form_target: None,
            forever: false,
        }
    }

    /// 303 to another page, which the browser GETs.
    pub(crate) fn see_other(location: impl Into<String>) -> Self {
        let mut answer = Self::page(maud::html! {}).status(StatusCode::SEE_OTHER);
        answer.location = Some(location.into());
        answer
    }

    /// 200 with bytes that never change under their name.
    pub(crate) fn forever(kind: &'static str, body: &'static [u8]) -> Self {
        Self { body: Bytes::from_static(body), kind, forever: true, ..Self::page(maud::html! {}) }
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

    /// `path` is for the log, should the answer be impossible.
    pub(crate) fn into_response(self, path: &str) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        for (name, value) in &HEADERS {
            headers.insert(name, value.clone());
        }
        let target = self.form_target.map(|target| format!(" {target}")).unwrap_or_default();
        let policy = format!(
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'{target}; \
             base-uri 'none'; frame-ancestors 'none'"
        );
        let texts = [(header::CONTENT_SECURITY_POLICY, Some(policy)), (header::LOCATION, self.location)];
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
