//! `ETag` and `If-None-Match` on GET of JSON:API documents, and the versions of SCIM's resources.
//!
//! The tag is weak: the first half of the SHA-256 of the document, which is made anyway, so a client that has it saves the
//! transfer and not the server's work. Documents with signed URLs have another tag each second, as the URLs are others.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use ring::digest;
use serde_json::Value;
use std::fmt::Write;

/// The weak tag of a resource of SCIM: of all that its document says but its version.
pub fn version(document: &Value) -> String {
    let mut document = document.clone();
    if let Some(meta) = document.get_mut("meta").and_then(Value::as_object_mut) {
        meta.remove("version");
    }
    format!("W/{}", tag(document.to_string().as_bytes()))
}

/// Whether the values of `If-Match` or `If-None-Match` name a tag.
pub fn names(asked: &[HeaderValue], version: &str) -> bool {
    is_known(asked, version.strip_prefix("W/").unwrap_or(version))
}

/// Empties a response that has a tag of its own where the client has that document.
pub(crate) fn conditional_by_own(response: Response, asked: &[HeaderValue]) -> Response {
    let own = response.headers().get(header::ETAG).and_then(|own| own.to_str().ok()).map(str::to_owned);
    let known = own.is_some_and(|own| names(asked, &own));
    if known && response.status() == StatusCode::OK { unmodified(response) } else { response }
}

/// Marks the response with the tag of its document, and empties it where the client has that document: `asked` are the
/// values of `If-None-Match`.
pub(crate) fn conditional(mut response: Response, document: &[u8], asked: &[HeaderValue]) -> Response {
    if response.status() != StatusCode::OK {
        return response;
    }
    let tag = tag(document);
    let known = is_known(asked, &tag);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::try_from(format!("W/{tag}")) {
        headers.insert(header::ETAG, value);
    }
    // The client itself may keep the document, if it asks before it uses it; nobody else's it is.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("authorization"));
    if known { unmodified(response) } else { response }
}

fn unmodified(mut response: Response) -> Response {
    response.headers_mut().remove(header::CONTENT_TYPE);
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.body_mut() = Body::empty();
    response
}

/// With its quotes.
fn tag(document: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, document);
    let mut tag = String::with_capacity(34);
    tag.push('"');
    for byte in &hash.as_ref()[..16] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

fn is_known(asked: &[HeaderValue], tag: &str) -> bool {
    let lines = asked.iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_weak_or_strong_and_among_others() {
        let tag = tag(b"{}");
        assert_eq!(tag.len(), 34);
        let asks = |text: &str| is_known(&[text.parse().unwrap()], &tag);
        assert!(asks(&tag) && asks(&format!("W/{tag}")) && asks(&format!("\"x\", W/{tag}")) && asks("*"));
        assert!(!asks("\"x\"") && !asks(""));
    }
}
