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
use flate2::{Compression, write::GzEncoder};
use http_api::{App, Cx, Error, Reply, Result, Routes, blobs};
use kernel::ids::{BlobId, OrganizationId, RunId};
use std::{io::Write, sync::Arc, time::Duration};

mod live;

pub use live::LiveLog;

/// How long a read without anything to say is held open.
const HOLD: Duration = Duration::from_secs(25);
/// Bytes of one answer to a client that understands gzip: beyond that the CLI throws bytes away and asks again.
const GZIP_CHUNK: usize = 32 << 10;

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
            return ended(app, phase_id, now.log.as_ref(), offset, limit).await;
        }
        let (found, _) = LiveLog::default().read(offset, limit);
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

/// A part of a log that is complete, from the store. It stays in memory for a while: who reads one part reads the next.
async fn ended(
    app: &App,
    phase_id: &str,
    blob: Option<&BlobId>,
    offset: usize,
    limit: usize,
) -> Result<Vec<u8>> {
    let log = match blob {
        Some(blob) => {
            let gzip = blobs::read(app, blob).await?;
            blobs::blocking(move || LiveLog::stored(&gzip).map_err(Error::internal)).await?
        }
        None => {
            // Not an empty log, where somebody has deleted it.
            let sql = "SELECT phase_id FROM deleted_run_data WHERE phase_id = $1";
            if app.db.one::<(String,)>(sql, args![phase_id]).await?.is_some() {
                return Err(Error::NotFound);
            }
            LiveLog::stored(&[]).map_err(Error::internal)?
        }
    };
    let (part, _) = log.read(offset, limit);
    app.area::<Jobs>().keep_log(phase_id, Arc::new(log));
    Ok(part)
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

/// Stores a complete log, compressed. Not yet named by a row.
pub async fn store(app: &App, organization: &OrganizationId, log: &Arc<LiveLog>) -> Result<blobs::NewBlob> {
    let log = log.clone();
    blobs::write_from(app, organization, "log", move |writer| writer.write_all(&log.compressed())).await
}
