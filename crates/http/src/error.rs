//! How a refusal looks on the wire: once, here.
//!
//! `{"errors":[{"status","title","detail","source"?}]}`; `status` is text. Titles and details are matched by the
//! official SDK (see `docs/api-quirks.md`).

use crate::document::MEDIA_TYPE;
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

fn describe(error: &Error, request_id: &str) -> (StatusCode, Value) {
    let one = |status: StatusCode, title: &str, detail: Option<&str>| {
        let mut object = json!({ "status": status.as_str(), "title": title });
        if let Some(detail) = detail {
            object["detail"] = json!(detail);
        }
        (status, json!([object]))
    };
    match error {
        Error::BadRequest { title, detail } => one(StatusCode::BAD_REQUEST, title, Some(detail)),
        Error::Unauthorized => one(StatusCode::UNAUTHORIZED, "unauthorized", None),
        Error::Forbidden(detail) => one(StatusCode::FORBIDDEN, "forbidden", Some(detail)),
        Error::NotFound => one(StatusCode::NOT_FOUND, "not found", None),
        Error::Conflict { title, detail } => one(StatusCode::CONFLICT, title, Some(detail)),
        Error::PreconditionFailed(detail) => {
            one(StatusCode::PRECONDITION_FAILED, "Precondition Failed", Some(detail))
        }
        Error::TooLarge(detail) => one(StatusCode::PAYLOAD_TOO_LARGE, "payload too large", Some(detail)),
        Error::Invalid(attributes) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
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
        Error::Unprocessable(detail) => {
            one(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable entity", Some(detail))
        }
        Error::TooManyRequests(seconds) => one(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many requests",
            Some(&format!("You have exceeded the API's rate limit; try again in {seconds} s.")),
        ),
        Error::Unavailable(detail) => {
            one(StatusCode::SERVICE_UNAVAILABLE, "service unavailable", Some(detail))
        }
        Error::Internal(cause) => {
            tracing::error!(request_id, %cause, "internal error");
            one(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal server error",
                Some(&format!("The server's log explains request {request_id}.")),
            )
        }
    }
}
