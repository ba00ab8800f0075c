//! What users and groups have in common: who may write when, pages, versions, and what of a document is asked for.
//! RFC 7644 §3.4.2, §3.9, §3.14; RFC 7643 §3.1.

use super::path::Path;
use axum::http::{HeaderValue, StatusCode, header};
use db::Tx;
use http_api::{Cx, Error, Reply, Result, etag, site::Scim};
use kernel::Timestamp;
use serde_json::{Map, Value, json};

/// Resources in a list, at most.
pub(super) const MOST: i64 = 200;
const USUAL: i64 = 100;

fn off() -> Error {
    Error::Forbidden("SCIM is not enabled on this server; a site admin has to enable it".to_owned())
}

/// Refuses to read while SCIM is off.
pub(super) fn readable(cx: &Cx) -> Result<()> {
    if cx.app.site().scim.enabled { Ok(()) } else { Err(off()) }
}

/// A transaction in which no other change of SCIM happens, unless SCIM is off or paused.
pub(super) async fn begin(cx: &Cx) -> Result<(Tx, Scim)> {
    let mut tx = cx.app.db.begin().await?;
    let scim: Scim = cx.app.hold_site(&mut tx).await?;
    if !scim.enabled {
        return Err(off());
    }
    if scim.paused {
        return Err(Error::Forbidden("provisioning is paused by a site admin; try again later".to_owned()));
    }
    Ok((tx, scim))
}

/// Which part of a list is asked for.
#[derive(Clone, Copy)]
pub(super) struct Window {
    /// Counted from 1.
    pub(super) start: i64,
    /// Resources, at most.
    pub(super) count: i64,
}

impl Window {
    /// As the query says.
    pub(super) fn asked(cx: &Cx) -> Result<Self> {
        let number = |name: &str, usual: i64| match cx.query(name) {
            None | Some("") => Ok(usual),
            Some(text) => text
                .parse::<i64>()
                .map_err(|_| Error::bad_request("invalidValue", format!("{name} is a number, not {text:?}"))),
        };
        Ok(Self { start: number("startIndex", 1)?.max(1), count: number("count", USUAL)?.clamp(0, MOST) })
    }

    /// For `OFFSET`.
    pub(super) fn offset(self) -> i64 {
        self.start - 1
    }
}

/// A list.
pub(super) fn list(cx: &Cx, total: i64, window: Window, resources: Vec<Value>) -> Reply {
    let resources: Vec<Value> = resources.into_iter().map(|resource| asked_of(cx, resource)).collect();
    Reply::Scim(
        StatusCode::OK,
        Box::new(json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": total,
            "startIndex": window.start,
            "itemsPerPage": resources.len(),
            "Resources": resources,
        })),
    )
}

/// One resource, with its version.
pub(super) fn one(cx: &Cx, status: StatusCode, mut resource: Value) -> Reply {
    let version = etag::version(&resource);
    if let Some(meta) = resource.get_mut("meta").and_then(Value::as_object_mut) {
        meta.insert("version".to_owned(), json!(version));
    }
    Reply::Scim(status, Box::new(asked_of(cx, resource)))
}

/// Refuses a change of another version than the client has seen.
pub(super) fn check_version(cx: &Cx, current: &Value) -> Result<()> {
    let asked: Vec<HeaderValue> = cx.headers.get_all(header::IF_MATCH).iter().cloned().collect();
    if asked.is_empty() || etag::names(&asked, &etag::version(current)) {
        return Ok(());
    }
    Err(Error::PreconditionFailed("the resource has changed since this version; read it again".to_owned()))
}

/// Whether an attribute is left out of a document.
pub(super) fn is_excluded(cx: &Cx, name: &str) -> bool {
    let asked = cx.query_list("attributes");
    let named = |list: &[&str]| {
        list.iter()
            .filter_map(|text| Path::parse(text).ok())
            .any(|path| path.attribute.eq_ignore_ascii_case(name))
    };
    (!asked.is_empty() && !named(&asked)) || named(&cx.query_list("excludedAttributes"))
}

/// What the query asks for of a document; `id`, `schemas` and `meta` are always there.
fn asked_of(cx: &Cx, mut resource: Value) -> Value {
    if cx.query("attributes").is_none() && cx.query("excludedAttributes").is_none() {
        return resource;
    }
    if let Some(members) = resource.as_object_mut() {
        members
            .retain(|name, _| ["id", "schemas", "meta"].contains(&name.as_str()) || !is_excluded(cx, name));
    }
    resource
}

/// `meta`, without the version.
pub(super) fn meta(cx: &Cx, kind: &str, place: &str, created: Timestamp, modified: Timestamp) -> Value {
    json!({
        "resourceType": kind,
        "created": created.iso8601(),
        "lastModified": modified.iso8601(),
        "location": cx.app.url(place),
    })
}

/// A text that must be there and say something.
pub(super) fn text(of: &Map<String, Value>, name: &str) -> Result<String> {
    let found = super::path::member(of, name).and_then(Value::as_str).map(str::trim).unwrap_or_default();
    if found.is_empty() || found.len() > 255 {
        return Err(Error::bad_request("invalidValue", format!("{name} must be a text of 1 to 255 bytes")));
    }
    Ok(found.to_owned())
}

/// A text that may be there; none where it says nothing.
pub(super) fn optional_text(of: &Map<String, Value>, name: &str) -> Result<Option<String>> {
    match super::path::member(of, name) {
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        None | Some(Value::Null) => Ok(None),
        Some(_) => text(of, name).map(Some),
    }
}

/// Refuses what another resource has.
pub(super) fn taken(what: &str, value: &str) -> Error {
    Error::Conflict { title: "uniqueness", detail: format!("{what} {value} is taken already") }
}
