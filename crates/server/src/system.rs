//! What is the server's own and no area's: discovery, ping, the OpenAPI document.
//!
//! Also the networks that the operator names for firewalls (the IP Ranges API).
//! Source: cli-protocol.md §0, §1.1; the service discovery protocol.

use axum::http::{HeaderValue, Method, StatusCode, header};
use http_api::{Cx, Error, Reply, Result, Routes, openapi, origin::RangeKind};
use kernel::Timestamp;
use serde_json::{Map, Value, json};

/// The server's own operations. `described` is the rest of the table, for the OpenAPI document.
pub(crate) fn routes(described: &Routes) -> Routes {
    let own = Routes::new()
        .public(Method::GET, "/.well-known/terraform.json", "server.discovery.read", discovery)
        .public(Method::GET, "/api/meta/ip-ranges", "server.ip-ranges.read", ip_ranges)
        .public(Method::GET, "/api/v2/ping", "server.ping.read", ping);
    let document = openapi::document(&described.clone().and(own.clone()));
    own.public(Method::GET, "/api/v2/openapi.json", "server.openapi.read", move |_| {
        let document = document.clone();
        async move { Ok(Reply::json(&document)) }
    })
}

/// Only what exists is announced: a service that is not, the command line never asks for.
async fn discovery(cx: Cx) -> Result<Reply> {
    let base = "/api/v2/";
    let mut services = json!({ "tfe.v2": base, "tfe.v2.1": base, "tfe.v2.2": base, "state.v2": base });
    // Without it `terraform login` asks for a token to paste.
    if !cx.app.settings.pasted_tokens {
        services["login.v1"] = accounts::authorizations::discovery();
    }
    Ok(Reply::json(&services))
}

/// The networks that the operator has named, which are so since the server was started with them.
async fn ip_ranges(cx: Cx) -> Result<Reply> {
    let ranges = &cx.app.settings.ranges;
    // Dates of headers have whole seconds.
    let since = Timestamp::from_micros(ranges.since.micros() / 1_000_000 * 1_000_000);
    let seen = cx.header("if-modified-since").and_then(Timestamp::parse_http_date);
    if seen.is_some_and(|seen| seen >= since) {
        return Ok(Reply::Empty(StatusCode::NOT_MODIFIED));
    }
    let mut shown = Map::new();
    for kind in RangeKind::ALL {
        let of_kind = ranges.networks.iter().filter(|(own, _)| *own == kind);
        let networks: Vec<String> = of_kind.map(|(_, network)| network.to_string()).collect();
        shown.insert(kind.name().to_owned(), json!(networks));
    }
    let Reply::Raw(mut response) = Reply::json(&Value::Object(shown)) else {
        return Err(Error::internal("plain JSON is no document"));
    };
    let date = HeaderValue::try_from(since.http_date()).map_err(Error::internal)?;
    response.headers_mut().insert(header::LAST_MODIFIED, date);
    Ok(Reply::Raw(response))
}

/// Without `X-RateLimit-Limit`, by which the SDK would slow itself down, unless the operator has set a tight limit.
async fn ping(_: Cx) -> Result<Reply> {
    Ok(Reply::Empty(StatusCode::NO_CONTENT))
}
