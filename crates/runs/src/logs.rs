//! Logs of plans and applies: written once, read by many, live.
//!
//! A log is one STX, the engine's masked output, and one ETX; offsets count both marks. `GET /_object/logs/{token}` with
//! `?limit=&offset=` answers what there is from the offset on; where there is nothing yet it is held open until there is
//! ([`HOLD`]), so a reader sees a line as soon as it is printed. Past the end it answers 200 with an empty body. ETX is
//! readable only after the run's new status and the plan's JSON are committed.
//! Source: cli-protocol.md §0, §2.4, §2.6.

use crate::{jobs::Jobs, runs};
use axum::{
    body::Body,
    http::{HeaderValue, Method, header},
    response::Response,
};
use db::args;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use http_api::{App, Cx, Error, Reply, Result, Routes, blobs};
use kernel::ids::{BlobId, OrganizationId, RunId};
use std::{
    io::{Read, Write},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::Notify;

/// How long a read without anything to say is held open.
const HOLD: Duration = Duration::from_secs(25);
/// Bytes of one answer to a client that understands gzip: beyond that the CLI throws bytes away and asks again.
const GZIP_CHUNK: usize = 32 << 10;
const STX: u8 = 0x02;
const ETX: u8 = 0x03;

/// A log while it grows, and for a while after.
#[derive(Debug, Default)]
pub struct LiveLog {
    content: Mutex<Content>,
    grown: Notify,
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    finished: bool,
}

const LOCK: &str = "no holder of this lock panics";

impl LiveLog {
    /// Adds output. Past `limit` bytes the rest is dropped, and the log says so.
    pub fn append(&self, chunk: &[u8], limit: usize) {
        let mut content = self.content.lock().expect(LOCK);
        if content.bytes.len() >= limit {
            return;
        }
        content.bytes.extend_from_slice(chunk);
        if content.bytes.len() >= limit {
            content.bytes.extend_from_slice(
                format!("\n[The log ends here: it reached its limit of {limit} bytes.]\n").as_bytes(),
            );
        }
        drop(content);
        self.grown.notify_waiters();
    }

    /// Empties the log: a resumed job sends all of it again. Readers keep their offsets, and the text is the same.
    pub fn restart(&self) {
        self.content.lock().expect(LOCK).bytes.clear();
    }

    /// Everything so far, without marks.
    pub fn bytes(&self) -> Vec<u8> {
        self.content.lock().expect(LOCK).bytes.clone()
    }

    /// Makes ETX readable.
    pub fn finish(&self) {
        self.content.lock().expect(LOCK).finished = true;
        self.grown.notify_waiters();
    }

    /// Bytes from `offset` on, at most `limit`; whether the log is complete.
    fn read(&self, offset: usize, limit: usize) -> (Vec<u8>, bool) {
        let content = self.content.lock().expect(LOCK);
        (framed(&content.bytes, content.finished, offset, limit), content.finished)
    }
}

/// A part of STX + content (+ ETX), without copying the rest.
fn framed(content: &[u8], finished: bool, offset: usize, limit: usize) -> Vec<u8> {
    let length = content.len() + 1 + usize::from(finished);
    let end = offset.saturating_add(limit).min(length);
    if offset >= end {
        return Vec::new();
    }
    let mut part = Vec::with_capacity(end - offset);
    if offset == 0 {
        part.push(STX);
    }
    let (from, to) = (offset.max(1) - 1, (end - 1).min(content.len()));
    if from < to {
        part.extend_from_slice(&content[from..to]);
    }
    if finished && end == length {
        part.push(ETX);
    }
    part
}

/// The operation that reads a log.
pub fn routes() -> Routes {
    Routes::new().signed(Method::GET, "/_object/logs/{token}", "runs.logs.read", read)
}

/// The signed URL of the log of a plan or an apply.
pub fn url(app: &App, phase_id: &str) -> String {
    app.signed_url("logs", phase_id, app.settings.signed_url_seconds)
}

async fn read(cx: Cx) -> Result<Reply> {
    let id = cx.app.verify_signed("logs", cx.path("token"))?;
    let number = |name: &str| cx.query(name).and_then(|text| text.parse::<usize>().ok());
    let offset = number("offset").unwrap_or(0);
    let gzip = cx
        .headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("gzip"));
    let limit = number("limit").unwrap_or(usize::MAX).min(if gzip { GZIP_CHUNK } else { usize::MAX });
    let part = part(&cx.app, &id, offset, limit).await?;
    respond(part, gzip)
}

fn respond(part: Vec<u8>, gzip: bool) -> Result<Reply> {
    let compress = gzip && part.len() > 256;
    let body = if compress {
        let mut encoder = GzEncoder::new(Vec::with_capacity(part.len() / 4), Compression::fast());
        encoder.write_all(&part).and_then(|()| encoder.finish()).map_err(Error::internal)?
    } else {
        part
    };
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if compress {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(Reply::Raw(Box::new(response)))
}

/// What a reader gets: at once if there is anything, else when there is.
async fn part(app: &App, phase_id: &str, offset: usize, limit: usize) -> Result<Vec<u8>> {
    let jobs = app.area::<Jobs>();
    let deadline = tokio::time::Instant::now() + HOLD;
    loop {
        if let Some(log) = jobs.known_log(phase_id) {
            return Ok(follow(app, &log, offset, limit, deadline).await);
        }
        let now = of_phase(app, phase_id).await?;
        if now.ended {
            return ended(app, &now, offset, limit).await;
        }
        let found = framed(&[], false, offset, limit);
        if !found.is_empty() {
            return Ok(found);
        }
        let changed = jobs.watch(&now.run);
        let changed = changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        // Once more after the watch began, so that no change falls between.
        if jobs.known_log(phase_id).is_some() || of_phase(app, phase_id).await?.ended {
            continue;
        }
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep_until(deadline) => return Ok(Vec::new()),
            () = app.closing() => return Ok(Vec::new()),
        }
    }
}

/// A part of a log that is complete, from the store.
async fn ended(app: &App, phase: &PhaseLog, offset: usize, limit: usize) -> Result<Vec<u8>> {
    let content = match &phase.log {
        Some(blob) => stored(app, blob).await?,
        None => Vec::new(),
    };
    Ok(framed(&content, true, offset, limit))
}

/// What is in a live log from the offset on, waiting for it until the deadline.
async fn follow(
    app: &App,
    log: &LiveLog,
    offset: usize,
    limit: usize,
    deadline: tokio::time::Instant,
) -> Vec<u8> {
    loop {
        let grown = log.grown.notified();
        tokio::pin!(grown);
        grown.as_mut().enable();
        let (found, finished) = log.read(offset, limit);
        if !found.is_empty() || finished {
            return found;
        }
        tokio::select! {
            () = grown => {}
            () = tokio::time::sleep_until(deadline) => return Vec::new(),
            () = app.closing() => return Vec::new(),
        }
    }
}

struct PhaseLog {
    run: RunId,
    log: Option<BlobId>,
    ended: bool,
}

/// Where the log of a plan or an apply is.
async fn of_phase(app: &App, phase_id: &str) -> Result<PhaseLog> {
    let apply = phase_id.starts_with("apply-");
    let column = if apply { "apply_id" } else { "plan_id" };
    let sql = format!("SELECT {} FROM runs WHERE {column} = $1", runs::COLUMNS);
    let row: runs::Row = app.db.one(db::AssertSqlSafe(sql), args![phase_id]).await?.ok_or(Error::NotFound)?;
    let run = runs::Run::decode(row)?;
    let (phase, log) =
        if apply { (&run.life.apply, run.row.apply_log_id) } else { (&run.life.plan, run.row.plan_log_id) };
    Ok(PhaseLog { run: run.row.id, log, ended: phase.status.is_final() })
}

/// A stored log, decompressed.
async fn stored(app: &App, blob: &BlobId) -> Result<Vec<u8>> {
    let reader = blobs::open(app, blob).await?;
    blobs::blocking(move || {
        let mut content = Vec::new();
        GzDecoder::new(reader).read_to_end(&mut content).map_err(blobs::io_error)?;
        Ok(content)
    })
    .await
}

/// Stores a complete log, compressed. Not yet named by a row.
pub async fn store(app: &App, organization: &OrganizationId, log: &Arc<LiveLog>) -> Result<blobs::NewBlob> {
    let bytes = log.bytes();
    blobs::write_from(app, organization, "log", move |writer| {
        let mut encoder = GzEncoder::new(writer, Compression::fast());
        encoder.write_all(&bytes)?;
        encoder.finish().map(drop)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_framed_and_its_offsets_count_the_marks() {
        assert_eq!(framed(b"", false, 0, 100), [STX]);
        assert_eq!(framed(b"abc", true, 0, 100), [&[STX][..], b"abc", &[ETX]].concat());
        assert_eq!(framed(b"abc", false, 1, 2), b"ab");
        assert_eq!(framed(b"abc", true, 3, 100), [b'c', ETX]);
        assert_eq!(framed(b"abc", true, 4, 100), [ETX]);
        assert!(framed(b"abc", true, 5, 100).is_empty());
        assert!(framed(b"abc", true, 500, 100).is_empty());
    }

    #[test]
    fn reading_in_pieces_of_any_size_gives_the_whole() {
        let whole = framed(b"hello\nworld\n", true, 0, usize::MAX);
        for size in 1..20 {
            let mut read = Vec::new();
            loop {
                let part = framed(b"hello\nworld\n", true, read.len(), size);
                if part.is_empty() {
                    break;
                }
                read.extend(part);
            }
            assert_eq!(read, whole);
        }
    }

    #[test]
    fn a_log_past_its_limit_says_that_it_ends_there() {
        let log = LiveLog::default();
        log.append(b"0123456789", 8);
        log.append(b"more", 8);
        let text = String::from_utf8(log.bytes()).unwrap();
        assert!(text.contains("limit of 8 bytes"), "{text}");
        assert!(!text.contains("more"));
    }
}
