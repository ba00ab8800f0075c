//! One request and its answer: authorization, time limits and repetition.
//!
//! An answer is read whole before it counts, so that a connection that breaks in mid-body is tried again like one that
//! never opened. Repeated are: requests without effect or with the same effect twice (GET, PUT) after a broken
//! connection or a 5xx, and any request after a 429 or when no connection was made, since then nothing was done.

use crate::{
    Endpoint,
    document::{FromResource, Many, One},
    endpoint::{connector, host_of, parse_address},
    error::{self, Error, Refusal, Result},
};
use bytes::Bytes;
use reqwest::{Method, RequestBuilder, StatusCode, Url, header};
use serde_json::Value;
use std::{
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, ReadBuf},
    sync::OnceCell,
};

/// JSON:API's media type, demanded both ways.
const JSON_API: &str = "application/vnd.api+json";
/// A reply may be held by the server this long (logs are long-polled up to 25 s) and must still count as alive.
const ANSWER_TIME: Duration = Duration::from_secs(90);
/// Repetitions after broken connections and 5xx once the service is known: about half a minute, enough for a server
/// that restarts.
const RETRIES: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Repetitions after 429, each after the pause that the server names.
const THROTTLED_RETRIES: u32 = 30;
/// Items that a page may hold.
const LARGEST_PAGE: usize = 100;
/// Bytes of a file that are read and sent at once.
const CHUNK: usize = 64 * 1024;

/// A client of one server with one token. Clones share connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    base: Url,
    token: header::HeaderValue,
    api: OnceCell<Url>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.0.base)
    }
}

/// An exchange without an answer.
struct Failure {
    error: Error,
    /// Whether the request may have reached the server.
    sent: bool,
}

/// A whole answer.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: header::HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) url: Url,
}

impl Client {
    /// Prepares a client; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Configuration`] when the address is none, the token holds what a header cannot carry, or the
    /// certificate file has no certificate.
    pub fn new(endpoint: Endpoint) -> Result<Self> {
        let base = parse_address(&endpoint.base_url)?;
        let mut token = header::HeaderValue::try_from(format!("Bearer {}", endpoint.token.expose()))
            .map_err(|_| {
                Error::Configuration(
                    "the token holds a line break or another character that no token has".to_owned(),
                )
            })?;
        token.set_sensitive(true);
        let http = connector(&endpoint, &base)?;
        Ok(Self(Arc::new(Inner { http, base, token, api: OnceCell::new() })))
    }

    /// The address given, without a path: `https://host:port/`.
    pub fn base_url(&self) -> &Url {
        &self.0.base
    }

    /// Host and port as people write them: the port only where it is not the scheme's own.
    pub fn host(&self) -> String {
        host_of(&self.0.base)
    }

    /// The API's address, ending in a slash, found at the first call.
    pub(crate) async fn api(&self) -> Result<&Url> {
        self.0.api.get_or_try_init(|| self.discover()).await
    }

    async fn discover(&self) -> Result<Url> {
        let (document, from) = self.services().await?;
        let service = document.get("tfe.v2").and_then(Value::as_str);
        let service = service.ok_or_else(|| self.is_none("it offers no service tfe.v2".to_owned()))?;
        let mut api = self.service_url("tfe.v2", &from, service)?;
        if !api.path().ends_with('/') {
            api.set_path(&format!("{}/", api.path()));
        }
        Ok(api)
    }

    /// The discovery document, and the address that it came from.
    pub(crate) async fn services(&self) -> Result<(Value, Url)> {
        let url = self.0.base.join("/.well-known/terraform.json").expect("the path is well formed");
        let name = "GET /.well-known/terraform.json";
        let reply = self.exchange(name, 0, true, self.0.http.get(url)).await?;
        if !reply.status.is_success() {
            let reason = format!("/.well-known/terraform.json was answered {}", reply.status);
            return Err(self.is_none(reason));
        }
        let document = serde_json::from_slice(&reply.body)
            .map_err(|_| self.is_none("/.well-known/terraform.json is not JSON".to_owned()))?;
        Ok((document, reply.url))
    }

    /// The address of a service that the discovery document names.
    pub(crate) fn service_url(&self, service: &str, from: &Url, address: &str) -> Result<Url> {
        let url = from
            .join(address)
            .map_err(|e| self.is_none(format!("its address of {service} is malformed: {e}")))?;
        if self.0.base.scheme() == "https" && url.scheme() != "https" {
            return Err(self.is_none(format!(
                "its address of {service} is not https, and the token would travel in the clear"
            )));
        }
        Ok(url)
    }

    fn is_none(&self, reason: String) -> Error {
        Error::NotTerraformEnterprise { host: self.host(), reason }
    }

    /// POST of a form to an address outside the API. Carries no token, and is never repeated.
    pub(crate) async fn post_form(&self, url: Url, name: &str, fields: &[(&str, &str)]) -> Result<Reply> {
        let mut form = Url::parse("form:").expect("it is well formed");
        form.query_pairs_mut().extend_pairs(fields);
        let request = self
            .0
            .http
            .post(url)
            .timeout(ANSWER_TIME)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.query().unwrap_or_default().to_owned());
        accepted(self.exchange(name, 0, false, request).await?, name)
    }

    /// A request to the API, to be finished by one of [`Call`]'s senders.
    pub(crate) fn call<'a>(&'a self, method: Method, path: &[&str]) -> Call<'a> {
        Call {
            client: self,
            method,
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            query: vec![],
            body: None,
            accept: JSON_API,
        }
    }

    /// GET of an address that the server handed out. `name` stands for it in errors, as it may be a secret.
    pub(crate) async fn get_url(&self, url: &str, name: &str) -> Result<Reply> {
        let url = self.resolve(url).await?;
        let same_origin = url.origin() == self.api().await?.origin();
        let mut request = self.0.http.get(url).timeout(ANSWER_TIME);
        if same_origin {
            // The token belongs to the server, not to an object store elsewhere.
            request = request.header(header::AUTHORIZATION, self.0.token.clone());
        }
        accepted(self.exchange(name, RETRIES, true, request).await?, name)
    }

    /// PUT of a file to an address that the server handed out. Carries no token. `progress` is told the bytes read so
    /// far, from the beginning again at each repetition.
    pub(crate) async fn put_file(
        &self,
        url: &str,
        name: &str,
        path: &Path,
        progress: Arc<dyn Fn(u64) + Send + Sync>,
    ) -> Result<()> {
        let url = self.resolve(url).await?;
        let unreadable = |source| Error::File { path: path.to_owned(), source };
        let mut pause = Pause::new();
        loop {
            let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
            let length = file.metadata().await.map_err(unreadable)?.len();
            let counted = Counted { file, sent: 0, progress: Arc::clone(&progress) };
            let stream = tokio_util::io::ReaderStream::with_capacity(counted, CHUNK);
            // No time limit: how long an upload takes is the line's business.
            let request = self
                .0
                .http
                .put(url.clone())
                .header(header::CONTENT_TYPE, "application/octet-stream")
                .header(header::CONTENT_LENGTH, length)
                .body(reqwest::Body::wrap_stream(stream));
            let outcome = self.once(name, request).await.map_err(|failure| failure.error);
            match outcome.and_then(|reply| accepted(reply, name)) {
                Ok(_) => return Ok(()),
                Err(error) if pause.count < RETRIES && is_transient(&error) => pause.wait().await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn resolve(&self, url: &str) -> Result<Url> {
        self.api().await?.join(url).map_err(|e| Error::Unexpected {
            request: "an address in an answer".to_owned(),
            reason: e.to_string(),
            request_id: None,
        })
    }

    /// Sends until answered, refused, or tried often enough.
    async fn exchange(
        &self,
        name: &str,
        retries: u32,
        repeatable: bool,
        request: RequestBuilder,
    ) -> Result<Reply> {
        let mut pause = Pause::new();
        let mut throttled = 0;
        loop {
            let again = request.try_clone().expect("only uploads are streamed, and they do not come here");
            match self.once(name, again).await {
                Ok(reply)
                    if reply.status == StatusCode::TOO_MANY_REQUESTS && throttled < THROTTLED_RETRIES =>
                {
                    throttled += 1;
                    tokio::time::sleep(retry_after(&reply.headers)).await;
                }
                Ok(reply) if reply.status.is_server_error() && repeatable && pause.count < retries => {
                    pause.wait().await;
                }
                Ok(reply) => return Ok(reply),
                Err(failure)
                    if pause.count < retries
                        && (repeatable || !failure.sent)
                        && is_transient(&failure.error) =>
                {
                    pause.wait().await;
                }
                Err(failure) => return Err(failure.error),
            }
        }
    }

    async fn once(&self, name: &str, request: RequestBuilder) -> Result<Reply, Failure> {
        let failed = |e: reqwest::Error| Failure {
            sent: !e.is_connect(),
            error: error::from_transport(e, name, &self.host()),
        };
        let response = request.send().await.map_err(failed)?;
        let (status, url) = (response.status(), response.url().clone());
        let headers = response.headers().clone();
        let body = response.bytes().await.map_err(failed)?;
        Ok(Reply { status, headers, body, url })
    }
}

/// One request to the API.
pub(crate) struct Call<'a> {
    client: &'a Client,
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    accept: &'static str,
}

impl Call<'_> {
    /// Adds a query parameter.
    pub(crate) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// Sets the JSON body.
    pub(crate) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Asks for another media type than JSON:API's.
    pub(crate) fn accept(mut self, media_type: &'static str) -> Self {
        self.accept = media_type;
        self
    }

    /// Method and path, for errors.
    fn name(&self) -> String {
        format!("{} /{}", self.method, self.path.join("/"))
    }

    /// Sends, and turns a 4xx or 5xx into an error.
    pub(crate) async fn send(&self) -> Result<Reply> {
        let mut url = self.client.api().await?.clone();
        url.path_segments_mut().expect("an http URL has a path").pop_if_empty().extend(&self.path);
        let name = self.name();
        let repeatable = matches!(self.method, Method::GET | Method::PUT | Method::DELETE);
        let inner = &self.client.0;
        let mut request = inner
            .http
            .request(self.method.clone(), url)
            .timeout(ANSWER_TIME)
            .header(header::AUTHORIZATION, inner.token.clone())
            .header(header::ACCEPT, self.accept);
        if !self.query.is_empty() {
            request = request.query(&self.query);
        }
        if let Some(body) = &self.body {
            request = request.header(header::CONTENT_TYPE, JSON_API).body(body.to_string());
        }
        let reply = self.client.exchange(&name, RETRIES, repeatable, request).await?;
        accepted(reply, &name)
    }

    /// Sends, and reads one resource.
    pub(crate) async fn one<T: FromResource>(&self) -> Result<T> {
        let reply = self.send().await?;
        let document: One = self.decode(&reply)?;
        T::from_resource(&document.data, &document.included).map_err(|e| self.unexpected(&reply, &e))
    }

    /// Sends, and reads one page of a list with the number of the next page.
    async fn page<T: FromResource>(&self, number: u32) -> Result<(Vec<T>, Option<u32>)> {
        let mut call = Call {
            client: self.client,
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            body: None,
            accept: self.accept,
        };
        if number > 1 {
            call = call.query("page[number]", number);
        }
        let reply = call.send().await?;
        let document: Many = call.decode(&reply)?;
        let items = document.data.iter().map(|resource| T::from_resource(resource, &document.included));
        let items = items.collect::<serde_json::Result<_>>().map_err(|e| call.unexpected(&reply, &e))?;
        Ok((items, document.meta.pagination.and_then(|pagination| pagination.next_page)))
    }

    /// Reads the first page of a list.
    pub(crate) async fn first_page<T: FromResource>(&self) -> Result<Vec<T>> {
        Ok(self.page(1).await?.0)
    }

    /// Reads the beginning of a list, page by page, up to so many items.
    pub(crate) async fn up_to<T: FromResource>(mut self, most: usize) -> Result<Vec<T>> {
        self = self.query("page[size]", most.clamp(1, LARGEST_PAGE));
        let (mut items, mut next) = self.page::<T>(1).await?;
        while let Some(number) = next.take().filter(|number| *number > 1 && items.len() < most) {
            let (more, after) = self.page(number).await?;
            items.extend(more);
            next = after.filter(|after| *after > number);
        }
        items.truncate(most);
        Ok(items)
    }

    /// Reads a whole list, page by page.
    pub(crate) async fn all<T: FromResource>(&self) -> Result<Vec<T>> {
        let (mut items, mut next) = self.page(1).await?;
        while let Some(number) = next.take().filter(|number| *number > 1) {
            let (more, after): (Vec<T>, _) = self.page(number).await?;
            items.extend(more);
            // A server that names the same page again would keep us for ever.
            next = after.filter(|after| *after > number);
        }
        Ok(items)
    }

    fn decode<T: serde::de::DeserializeOwned>(&self, reply: &Reply) -> Result<T> {
        serde_json::from_slice(&reply.body).map_err(|e| self.unexpected(reply, &e))
    }

    fn unexpected(&self, reply: &Reply, error: &serde_json::Error) -> Error {
        Error::Unexpected {
            request: self.name(),
            reason: format!("it is not the JSON:API document that was expected: {error}"),
            request_id: request_id(&reply.headers),
        }
    }
}

fn accepted(reply: Reply, name: &str) -> Result<Reply> {
    if reply.status.is_client_error() || reply.status.is_server_error() {
        let id = request_id(&reply.headers);
        let refusal = Refusal::new(name.to_owned(), reply.status.as_u16(), &reply.body, id);
        return Err(Error::Refused(Box::new(refusal)));
    }
    Ok(reply)
}

fn request_id(headers: &header::HeaderMap) -> Option<String> {
    headers.get("x-request-id")?.to_str().ok().map(str::to_owned)
}

/// `X-RateLimit-Reset` is the seconds to wait, with a fraction; not an instant.
fn retry_after(headers: &header::HeaderMap) -> Duration {
    let named = ["x-ratelimit-reset", "retry-after"];
    let seconds = named.iter().find_map(|name| headers.get(*name)?.to_str().ok()?.parse::<f64>().ok());
    Duration::from_secs_f64(seconds.filter(|s| s.is_finite()).unwrap_or(1.0).clamp(0.01, 60.0))
}

/// Worth another try: no answer at all, or a 5xx.
fn is_transient(error: &Error) -> bool {
    matches!(error, Error::Unreachable { .. }) || error.status().is_some_and(|status| status >= 500)
}

struct Pause {
    count: u32,
    next: Duration,
}

impl Pause {
    fn new() -> Self {
        Self { count: 0, next: FIRST_PAUSE }
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.next).await;
        self.count += 1;
        self.next = (self.next * 2).min(LONGEST_PAUSE);
    }
}

/// A file that tells how much of it was read.
struct Counted {
    file: tokio::fs::File,
    sent: u64,
    progress: Arc<dyn Fn(u64) + Send + Sync>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.file).poll_read(cx, buf);
        if matches!(outcome, Poll::Ready(Ok(()))) {
            self.sent += u64::try_from(buf.filled().len() - before).unwrap_or(0);
            (self.progress)(self.sent);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_can_be_moved_between_threads() {
        fn send<T: Send>(_: T) {}
        let client = Client::new(Endpoint::new("http://localhost", "x".into())).unwrap();
        send(client.account());
        send(client.upload(&"x".into(), Path::new("x"), |_| ()));
        send(client.variables(&"ws".into()));
        send(async { client.follow_log(crate::Phase::Plan("plan".into())).next().await });
    }

    #[test]
    fn the_wait_after_429_is_in_seconds_and_bounded() {
        let wait = |value: &str| {
            let mut headers = header::HeaderMap::new();
            headers.insert("x-ratelimit-reset", value.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(wait("0.25"), Duration::from_millis(250));
        assert_eq!(wait("1700000000"), Duration::from_secs(60));
        assert_eq!(wait("soon"), Duration::from_secs(1));
    }
}
