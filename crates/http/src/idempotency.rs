//! `Idempotency-Key` on POST: a request that a client repeats, because it does not know what became of it, is carried out
//! once.
//!
//! The key is stored in the transaction of the change, so that no crash lets a repetition through; the answer is added
//! before it is sent, sealed, as it may hold a token. For 24 hours the same caller's same key gives that answer again.
//! With another body or path it is refused; while the first is being carried out, and where the server ended between the
//! change and its answer, 409 says so. A request that was refused changed nothing, and its key may be used again.

use crate::{App, Cx, Error, Operation, Result, audit};
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use blob::keys::{DataKey, RootKey};
use bytes::Bytes;
use db::{FromRow, Statement, args};
use http_body_util::BodyExt;
use kernel::Timestamp;
use ring::digest;
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, sync::Mutex};

/// How long a key is remembered, in seconds.
const LIFE_SECONDS: i64 = 24 * 3600;
/// Characters of a key.
const LONGEST: usize = 255;
/// Says that an answer is an earlier one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Keys whose requests are being carried out, and the key that seals answers.
pub struct Keys {
    busy: Mutex<HashSet<String>>,
    key: DataKey,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// No key is known in memory.
    pub fn new(root: &RootKey) -> Self {
        Self { busy: Mutex::default(), key: DataKey::of_installation(root, "idempotent-answers") }
    }

    fn busy(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.busy.lock().expect("no holder of this lock panics")
    }
}

#[derive(FromRow)]
struct Row {
    digest: String,
    status: Option<i64>,
    answer: Option<Vec<u8>>,
    created_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    media_type: Option<String>,
    body: String,
}

/// What a key says of a request.
pub(crate) enum Verdict {
    /// There is no key.
    NoKey,
    /// It was carried out: this is its answer.
    Known(Response),
    /// It is to be carried out.
    First(Ticket),
}

/// The right to carry a request out; nobody else has it meanwhile.
pub(crate) struct Ticket {
    app: App,
    id: String,
    digest: String,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.app.idempotency.busy().remove(&self.id);
    }
}

/// Looks for the request's key. The body is read and put back.
pub(crate) async fn look(cx: &mut Cx, operation: &Operation) -> Result<Verdict> {
    if operation.method != Method::POST || operation.access != crate::Access::Token {
        return Ok(Verdict::NoKey);
    }
    let Some(key) = cx.headers.get("idempotency-key") else { return Ok(Verdict::NoKey) };
    let key = key.to_str().ok().filter(|key| (1..=LONGEST).contains(&key.len())).ok_or_else(|| {
        let detail = format!("Idempotency-Key must be 1 to {LONGEST} visible ASCII characters");
        Error::bad_request("bad request", detail)
    })?;
    let caller = cx.actor()?.user_id().clone();
    let id = cx.app.hasher.hash(&format!("idempotency-key {caller} {} {key}", operation.name));
    let body = cx.bytes(cx.app.settings.state_bytes.max(cx.app.settings.json_body_bytes)).await?;
    let whole = audit::hex(digest::digest(&digest::SHA256, &body).as_ref());
    let digest = cx.app.hasher.hash(&format!("idempotent-request {} {whole}", cx.uri));
    cx.put_back(Body::from(body));
    if !cx.app.idempotency.busy().insert(id.clone()) {
        return Err(Error::conflict(
            "a request with this Idempotency-Key is being carried out; try again later",
        ));
    }
    let ticket = Ticket { app: cx.app.clone(), id, digest };
    match ticket.row().await? {
        None => Ok(Verdict::First(ticket)),
        Some(row) if row.digest != ticket.digest => Err(Error::Unprocessable(
            "this Idempotency-Key was used with another body or path; use a new key for another request"
                .to_owned(),
        )),
        Some(row) => ticket.known(row).map(Verdict::Known),
    }
}

impl Ticket {
    async fn row(&self) -> Result<Option<Row>> {
        let sql = "SELECT digest, status, answer, created_at FROM idempotency_keys WHERE id = $1";
        let row: Option<Row> = self.app.db.one(sql, args![&self.id]).await?;
        let Some(row) = row else { return Ok(None) };
        if row.created_at.plus_seconds(LIFE_SECONDS) > self.app.now() {
            return Ok(Some(row));
        }
        self.app.db.exec("DELETE FROM idempotency_keys WHERE id = $1", args![&self.id]).await?;
        Ok(None)
    }

    fn known(&self, row: Row) -> Result<Response> {
        let (Some(status), Some(sealed)) = (row.status, row.answer) else {
            return Err(Error::conflict(
                "the request with this Idempotency-Key was carried out, but the server ended before it had answered; \
                 look at what there is",
            ));
        };
        let plain = self.app.idempotency.key.open(&self.id, &sealed).map_err(Error::internal)?;
        let answer: Answer = serde_json::from_slice(&plain).map_err(Error::internal)?;
        let status = u16::try_from(status).ok().and_then(|code| StatusCode::from_u16(code).ok());
        let mut response = Response::new(Body::from(answer.body));
        *response.status_mut() = status.unwrap_or(StatusCode::OK);
        if let Some(value) = answer.media_type.and_then(|text| HeaderValue::try_from(text).ok()) {
            response.headers_mut().insert(header::CONTENT_TYPE, value);
        }
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(response)
    }

    /// What belongs into the transaction of the change.
    pub(crate) fn statements(&self) -> Vec<Statement> {
        vec![(
            "INSERT INTO idempotency_keys (id, digest, created_at) VALUES ($1, $2, $3)",
            args![&self.id, &self.digest, self.app.now()],
        )]
    }

    /// Keeps the answer, if the request was carried out, and gives it back.
    pub(crate) async fn keep(self, response: Response, document: Option<&Bytes>) -> Result<Response> {
        if !response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = match document {
            Some(document) => document.clone(),
            None => body.collect().await.map_err(Error::internal)?.to_bytes(),
        };
        if let Ok(text) = str::from_utf8(&body) {
            let media_type = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
            let answer = Answer { media_type: media_type.map(str::to_owned), body: text.to_owned() };
            let plain = serde_json::to_vec(&answer).map_err(Error::internal)?;
            let sealed = self.app.idempotency.key.seal(&self.app.env, &self.id, &plain);
            let sql = "INSERT INTO idempotency_keys (id, digest, status, answer, created_at) VALUES ($1, $2, $3, $4, $5)
                       ON CONFLICT (id) DO UPDATE SET status = excluded.status, answer = excluded.answer";
            let status = i64::from(parts.status.as_u16());
            self.app.db.exec(sql, args![&self.id, &self.digest, status, sealed, self.app.now()]).await?;
        }
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}

/// Forgets keys that are older than their life. Returns how many.
///
/// # Errors
/// When the database does not answer.
pub async fn sweep(app: &App) -> Result<u64> {
    let until = app.now().plus_seconds(-LIFE_SECONDS);
    app.db.exec("DELETE FROM idempotency_keys WHERE created_at <= $1", args![until]).await
}
