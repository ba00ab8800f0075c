//! From the operation table to a service: routing, who calls, the headers of every answer.

use crate::{
    Access, App, Cx, Error, Operation, OperationName, Routes, Statements, audit,
    document::MEDIA_TYPE,
    error, etag,
    idempotency::{self, Verdict},
    limit::{self, Allowance},
    operation::Handler,
    origin,
};
use authz::TokenKind;
use axum::{
    Router,
    extract::{Query, RawPathParams, Request},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::Response,
    routing::{MethodFilter, on},
};
use bytes::Bytes;
use std::sync::{Arc, Mutex};

/// An operation, and what reads the resource that it changes.
pub(crate) struct Served {
    pub(crate) operation: Operation,
    /// With whether the resource is there after the operation.
    sibling: Option<(Handler, bool)>,
}

impl Served {
    pub(crate) fn new(operation: &Operation, routes: &Routes) -> Self {
        let sibling = if operation.method == Method::GET { None } else { audit::sibling(operation, routes) };
        Self { operation: operation.clone(), sibling }
    }
}

/// Headers that every answer of the API carries; the command line and the SDK read them (`docs/api-quirks.md`).
static HEADERS: [(HeaderName, HeaderValue); 6] = [
    (HeaderName::from_static("tfp-api-version"), HeaderValue::from_static("2.6")),
    (HeaderName::from_static("tfp-appname"), HeaderValue::from_static("Terraform Enterprise")),
    // The CLI parses this as a date; any other form makes every structured plan fail.
    (HeaderName::from_static("x-tfe-version"), HeaderValue::from_static("v202509-1")),
    (HeaderName::from_static("x-tfe-current-version"), HeaderValue::from_static("1.0.0")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

/// Where SCIM is.
const SCIM: &str = "/scim/v2";

/// The service that the table describes, without a fallback: that is [`absent`], for who joins it with others. Paths of token operations are below `/api/v2`.
pub fn router(app: &App, routes: &Routes) -> Router {
    let mut router = Router::new();
    for operation in routes.operations() {
        let path = full_path(operation);
        let method = MethodFilter::try_from(operation.method.clone())
            .expect("the table uses the methods that HTTP defines");
        let (app, served) = (app.clone(), Arc::new(Served::new(operation, routes)));
        router = router.route(
            &path,
            on(method, move |params: RawPathParams, request: Request| {
                answer(app.clone(), served.clone(), params, request)
            }),
        );
    }
    let app = app.clone();
    router.method_not_allowed_fallback(move |request: Request| absent(app.clone(), request))
}

/// The path of an operation from the root of the server.
pub fn full_path(operation: &Operation) -> String {
    match operation.access {
        Access::Token => format!("/api/v2{}", operation.path),
        Access::Scim => format!("{SCIM}{}", operation.path),
        Access::Public | Access::Signed => operation.path.to_owned(),
    }
}

/// Whatever is not in the table: 401 without a valid token below the API, so that it tells nothing; else 404.
pub async fn absent(app: App, request: Request) -> Response {
    let request_id = request_id(&app);
    let path = request.uri().path();
    let access = match path {
        path if path.starts_with("/api/") => Access::Token,
        path if path.starts_with(SCIM) => Access::Scim,
        _ => Access::Public,
    };
    let mut left = None;
    let known = admit(&app, access, request.headers(), request.extensions(), &mut left).await;
    let error = known.err().unwrap_or(Error::NotFound);
    finish(refusal(access, &error, &request_id), &request_id, OperationName("absent"), left)
}

async fn answer(app: App, served: Arc<Served>, params: RawPathParams, request: Request) -> Response {
    let request_id = request_id(&app);
    let mut left = None;
    let work = handle(app, &served, params, request, request_id.clone(), &mut left);
    let (result, statements) = db::counted(work).await;
    let mut response = result.unwrap_or_else(|error| refusal(served.operation.access, &error, &request_id));
    response.extensions_mut().insert(Statements(statements));
    finish(response, &request_id, OperationName(served.operation.name), left)
}

fn refusal(access: Access, error: &Error, request_id: &str) -> Response {
    match access {
        Access::Scim => error::scim_response(error, request_id),
        Access::Token | Access::Public | Access::Signed => error::response(error, request_id),
    }
}

async fn handle(
    app: App,
    served: &Served,
    params: RawPathParams,
    request: Request,
    request_id: Arc<str>,
    left: &mut Option<Allowance>,
) -> Result<Response, Error> {
    let operation = &served.operation;
    let (parts, body) = request.into_parts();
    let actor = admit(&app, operation.access, &parts.headers, &parts.extensions, left).await?;
    // A token for one thing; nothing else is there for it.
    let for_the_trail = actor.as_ref().is_some_and(|actor| actor.kind() == TokenKind::AuditTrail);
    if for_the_trail && operation.name != audit::READ {
        return Err(Error::NotFound);
    }
    let query = query_pairs(&parts.uri);
    // What no stored text can have is in none.
    if params.iter().any(|(_, value)| value.contains('\0')) {
        return Err(Error::NotFound);
    }
    if query.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
        return Err(Error::bad_request("bad request", "the query has a zero byte (%00); remove it"));
    }
    let address = origin::address(&app.settings.trusted_proxies, &parts.headers, &parts.extensions);
    let cx = Cx {
        app,
        address,
        headers: parts.headers,
        query: query.into(),
        uri: parts.uri,
        request_id,
        actor,
        params: params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        body: Mutex::new(Some(body)),
    };
    cx.admit_to_administration().await?;
    if operation.method != Method::GET {
        let (who, token) = cx.actor.as_deref().map(audit::who).unzip();
        return change(served, cx, audit::Caller { address, who, token, impersonator: None })
            .await
            .map(|(response, _)| response);
    }
    let known: Vec<HeaderValue> = cx.headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect();
    let (response, document) = (operation.handler)(cx).await?.into_response()?;
    Ok(match document {
        None => response,
        Some(document) => match operation.access {
            Access::Token | Access::Public => etag::conditional(response, &document, &known),
            Access::Scim => etag::conditional_by_own(response, &known),
            Access::Signed => response,
        },
    })
}

/// Carries out what may change something, once for each key of the client's, with its entry in the audit trail.
pub(crate) async fn change(
    served: &Served,
    mut cx: Cx,
    caller: audit::Caller,
) -> Result<(Response, Option<Bytes>), Error> {
    let operation = &served.operation;
    let ticket = match idempotency::look(&mut cx, operation).await? {
        Verdict::Known(response) => return Ok((response, None)),
        Verdict::NoKey => None,
        Verdict::First(ticket) => Some(ticket),
    };
    let app = cx.app.clone();
    let asked = audit::Asked {
        id: cx.request_id.clone(),
        operation: operation.name,
        method: operation.method.clone(),
        path: operation.path,
        // A signed path's parameter is a right.
        params: if operation.access == Access::Signed { Vec::new() } else { cx.params.to_vec() },
        address: caller.address,
        who: caller.who,
        token: caller.token,
        impersonator: caller.impersonator,
    };
    let sibling = served.sibling.as_ref().map(|(handler, stays)| audit::documents(&cx, handler, *stays));
    let also = ticket.as_ref().map(idempotency::Ticket::statements);
    let work = async { (operation.handler)(cx).await?.into_response() };
    let (response, document) = audit::observe(&app, asked, sibling, also, work).await?;
    let response = match ticket {
        Some(ticket) => ticket.keep(response, document.as_ref()).await?,
        None => response,
    };
    Ok((response, document))
}

/// Who calls, if they may: with a valid token where one is needed, and within their allowance, of which `left` is told.
async fn admit(
    app: &App,
    access: Access,
    headers: &HeaderMap,
    extensions: &Extensions,
    left: &mut Option<Allowance>,
) -> Result<Option<Arc<authz::Actor>>, Error> {
    let known = match access {
        Access::Token | Access::Scim => match identify(app, headers).await {
            // Neither opens what the other is for.
            Ok(actor) if (actor.kind() == TokenKind::Scim) != (access == Access::Scim) => {
                Err(Error::Unauthorized)
            }
            known => known.map(Some),
        },
        Access::Public => Ok(None),
        Access::Signed => return Ok(None),
    };
    if let Some(most) = app.site().general.requests_per_second(&app.settings) {
        let allowance = match &known {
            Ok(Some(actor)) => app.limit.take(actor.user_id().as_str(), most, app.now()),
            _ => {
                let address = origin::address(&app.settings.trusted_proxies, headers, extensions);
                app.limit.take(
                    &address.map(|address| address.to_string()).unwrap_or_default(),
                    most,
                    app.now(),
                )
            }
        };
        *left = Some(allowance);
        if allowance.is_exceeded() {
            return Err(Error::TooManyRequests(1));
        }
    }
    known
}

async fn identify(app: &App, headers: &HeaderMap) -> Result<Arc<authz::Actor>, Error> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty())
        .ok_or(Error::Unauthorized)?;
    app.identities.authenticate(app, token).await
}

fn request_id(app: &App) -> Arc<str> {
    app.env.base58(16).into()
}

fn finish(
    mut response: Response,
    request_id: &str,
    name: OperationName,
    left: Option<Allowance>,
) -> Response {
    response.extensions_mut().insert(name);
    let unmodified = response.status() == StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    for (header, value) in &HEADERS {
        headers.entry(header).or_insert_with(|| value.clone());
    }
    if let Ok(id) = HeaderValue::try_from(request_id) {
        headers.insert("x-request-id", id);
    }
    if let Some(left) = left
        && (left.is_tight() || name.0 != limit::PING)
    {
        left.say(headers);
    }
    if !headers.contains_key(header::CONTENT_TYPE) && !unmodified {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    }
    response
}

/// The query string, decoded; clients percent-encode brackets or not. One that cannot be decoded counts as none.
pub(crate) fn query_pairs(uri: &Uri) -> Vec<(String, String)> {
    Query::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default()
}

/// A parameter of a path, percent-decoded.
pub(crate) fn decoded(parameter: &str) -> String {
    percent_encoding::percent_decode_str(parameter).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::query_pairs;

    #[test]
    fn brackets_are_understood_encoded_and_plain() {
        let expected = vec![("page[number]".to_owned(), "2".to_owned()), ("q".to_owned(), "a b".to_owned())];
        assert_eq!(query_pairs(&"/?page%5Bnumber%5D=2&q=a+b".parse().unwrap()), expected);
        assert_eq!(query_pairs(&"/?page[number]=2&q=a%20b".parse().unwrap()), expected);
    }
}
