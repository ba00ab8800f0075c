//! How a refusal looks on the wire: once, here.
//!
//! `{"errors":[{"status","title","detail","source"?}]}`; `status` is text. Titles and details are matched by the
//! official SDK (see `docs/api-quirks.md`).

use crate::document::{MEDIA_TYPE, SCIM_MEDIA_TYPE};
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use kernel::Error;
use serde_json::{Value, json};

/// The response for a refusal. An internal error is logged with the request's id, which is all that a client learns.
pub fn response(error: &Error, request_id: &str) -> Response {
    let (status, errors) = describe(error, request_id);
    let mut response = Response::new(Body::from(json!({ "errors": errors }).to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    if let Error::TooManyRequests(seconds) = error {
        // Seconds to wait, not an instant: the SDK sleeps that long.
        response.headers_mut().insert("x-ratelimit-reset", HeaderValue::from(*seconds));
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
    }
    response
}

/// Words of RFC 7644 for what is wrong with a request. A refusal of SCIM's has one of them as its title.
const SCIM_TYPES: [&str; 8] = [
    "uniqueness",
    "invalidFilter",
    "invalidSyntax",
    "invalidPath",
    "invalidValue",
    "noTarget",
    "mutability",
    "tooMany",
];

/// The response for a refusal by SCIM: RFC 7644 §3.12. There is no 422 there.
pub(crate) fn scim_response(error: &Error, request_id: &str) -> Response {
    let (mut status, errors) = describe(error, request_id);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let title = text(&errors[0]["title"]);
    let mut kind = SCIM_TYPES.into_iter().find(|known| *known == title);
    let mut detail = text(&errors[0]["detail"]);
    match error {
        Error::Invalid(attributes) => {
            kind = Some("invalidValue");
            let all: Vec<String> = attributes.iter().map(|(name, why)| format!("{name}: {why}")).collect();
            detail = all.join("; ");
        }
        Error::Unprocessable(_) => kind = Some("invalidValue"),
        Error::BadRequest { .. } => kind = kind.or(Some("invalidSyntax")),
        Error::Unauthorized => "show a SCIM token of this server".clone_into(&mut detail),
        Error::NotFound => "there is no such resource".clone_into(&mut detail),
        _ => {}
    }
    if status == StatusCode::UNPROCESSABLE_ENTITY {
        status = StatusCode::BAD_REQUEST;
    }
    let mut body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": status.as_str(), "detail": detail,
    });
    if let Some(kind) = kind {
        body["scimType"] = json!(kind);
    }
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(SCIM_MEDIA_TYPE));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Error::TooManyRequests(seconds) = error {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
    }
    response
}

/// The status of a refusal.
pub(crate) fn status(error: &Error) -> StatusCode {
    match error {
        Error::BadRequest { .. } => StatusCode::BAD_REQUEST,
        Error::Unauthorized => StatusCode::UNAUTHORIZED,
        Error::Forbidden(_) => StatusCode::FORBIDDEN,
        Error::NotFound | Error::NotEntitled(_) => StatusCode::NOT_FOUND,
        Error::Conflict { .. } => StatusCode::CONFLICT,
        Error::PreconditionFailed(_) => StatusCode::PRECONDITION_FAILED,
        Error::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Error::Invalid(_) | Error::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::TooManyRequests(_) => StatusCode::TOO_MANY_REQUESTS,
        Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn describe(error: &Error, request_id: &str) -> (StatusCode, Value) {
    let status = status(error);
    let one = |title: &str, detail: Option<&str>| {
        let mut object = json!({ "status": status.as_str(), "title": title });
        if let Some(detail) = detail {
            object["detail"] = json!(detail);
        }
        (status, json!([object]))
    };
    match error {
        Error::BadRequest { title, detail } => one(title, Some(detail)),
        Error::Unauthorized => one("unauthorized", None),
        Error::Forbidden(detail) => one("forbidden", Some(detail)),
        Error::NotFound => one("not found", None),
        Error::NotEntitled(detail) => one("not found", Some(detail)),
        Error::Conflict { title, detail } => one(title, Some(detail)),
        Error::PreconditionFailed(detail) => one("Precondition Failed", Some(detail)),
        Error::TooLarge(detail) => one("payload too large", Some(detail)),
        Error::Invalid(attributes) => {
            let objects: Vec<Value> = attributes
                .iter()
                .map(|(attribute, message)| {
                    json!({
                        "status": status.as_str(), "title": "invalid attribute", "detail": message,
                        "source": { "pointer": format!("/data/attributes/{attribute}") },
                    })
                })
                .collect();
            (status, Value::Array(objects))
        }
        Error::Unprocessable(detail) => one("unprocessable entity", Some(detail)),
        Error::TooManyRequests(seconds) => one(
            "Too many requests",
            Some(&format!("You have exceeded the API's rate limit; try again in {seconds} s.")),
        ),
        Error::Unavailable(detail) => one("service unavailable", Some(detail)),
        Error::Internal(cause) => {
            tracing::error!(request_id, %cause, "internal error");
            one("internal server error", Some(&format!("The server's log explains request {request_id}.")))
        }
    }
}
