//! The upload of a configuration: `PUT` of a tar.gz to the URL that the creation of its version gave.
//!
//! The body is streamed: checked ([`slug::check`]) and sealed as it arrives, never held whole. It is refused with the
//! reason and nothing left behind when it is no configuration archive, or larger than allowed. While no run uses the
//! version, another upload replaces the bytes; then the URL answers 409. The run that the upload makes is made in the
//! transaction that accepts it. Source: semantics.md §3.2, §3.3; A02, A24–A33.

use crate::{
    configuration_versions::{self, ConfigurationVersion},
    create::{self, NewRun, Sealed},
    life::Asked,
    runs::{self, Options, Variables},
};
use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};
use bytes::{Buf, Bytes};
use db::args;
use http_api::{
    App, Cx, Error, Reply, Result, Routes, audit,
    blobs::{self, NewBlob},
};
use http_body_util::BodyExt;
use std::{
    io::{self, Read, Write},
    time::Duration,
};
use tokio::sync::mpsc;
use workspaces::{Workspace, workspaces::hold};

/// What the signed URL is good for.
pub const PURPOSE: &str = "configuration-versions";

/// Limits of an uploaded archive; the area's part of the application.
#[derive(Clone, Debug)]
pub struct UploadLimits(pub slug::Limits);

/// The upload.
pub fn routes() -> Routes {
    Routes::new().signed(
        Method::PUT,
        "/_object/configuration-versions/{token}",
        "runs.configuration-versions.upload",
        upload,
    )
}

async fn upload(mut cx: Cx) -> Result<Reply> {
    let id = cx.app.verify_signed(PURPOSE, cx.path("token"))?;
    let app = cx.app.clone();
    let version = configuration_versions::by_id(&app, &id).await?;
    let workspace =
        workspaces::workspaces::by_id(&app, version.workspace_id.as_str()).await?.ok_or(Error::NotFound)?;
    audit::organization(&workspace.organization_id);
    audit::actor(&version.created_by);
    audit::resource("configuration-versions", &id);
    refuse_used(&app, &version).await?;
    let limits = app.area::<UploadLimits>().0;
    let announced = cx.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.compressed_bytes) {
        // Before a byte is read: the client learns it in time.
        let error = too_large(&limits);
        reject(&app, &version, &error).await?;
        return Err(error);
    }
    let body = cx.body();
    match receive(&app, &workspace, body, limits).await {
        Ok(blob) => accept(&app, version, blob).await,
        Err(Broken::Refused(error)) => {
            reject(&app, &version, &error).await?;
            Err(error)
        }
        // The connection broke: nothing was uploaded, and the same URL may be tried again.
        Err(Broken::Incomplete) => Err(Error::bad_request(
            "bad request",
            "the upload ended before the archive did; send it again to the same URL",
        )),
        Err(Broken::Failed(error)) => Err(error),
    }
}

fn too_large(limits: &slug::Limits) -> Error {
    Error::TooLarge(format!(
        "the configuration archive exceeds {} bytes; leave out what the run does not need, for example by a \
         .terraformignore file",
        limits.compressed_bytes
    ))
}

/// Why an upload did not come to its end.
enum Broken {
    Refused(Error),
    Incomplete,
    Failed(Error),
}

/// Sends the body through the checker into a new object.
async fn receive(
    app: &App,
    workspace: &Workspace,
    body: Body,
    limits: slug::Limits,
) -> Result<NewBlob, Broken> {
    let (sender, receiver) = mpsc::channel::<Bytes>(8);
    let limit = limits.compressed_bytes;
    let checked = blobs::write_from(app, &workspace.organization_id, "configuration", move |writer| {
        check(Tee { incoming: receiver, current: Bytes::new(), copy: writer }, &limits)
    });
    let (fed, checked) = tokio::join!(feed(body, sender, limit), checked);
    match (fed, checked) {
        (Fed::TooLarge, _) => Err(Broken::Refused(too_large(&slug::Limits {
            compressed_bytes: limit,
            ..slug::Limits::default()
        }))),
        (Fed::Broken, _) => Err(Broken::Incomplete),
        (_, Ok(blob)) => Ok(blob),
        (_, Err(Error::Internal(cause))) => match cause.downcast::<io::Error>() {
            Ok(error) => match error.downcast::<Illegal>() {
                Ok(illegal) => Err(Broken::Refused(Error::Unprocessable(illegal.0))),
                Err(error) => Err(Broken::Failed(Error::internal(error))),
            },
            Err(cause) => Err(Broken::Failed(Error::Internal(cause))),
        },
        (_, Err(error)) => Err(Broken::Failed(error)),
    }
}

enum Fed {
    Whole,
    TooLarge,
    Broken,
}

async fn feed(mut body: Body, sender: mpsc::Sender<Bytes>, limit: u64) -> Fed {
    let mut total: u64 = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Fed::Broken };
        let Ok(data) = frame.into_data() else { continue };
        total += data.len() as u64;
        if total > limit {
            return Fed::TooLarge;
        }
        if sender.send(data).await.is_err() {
            // The checker has seen enough; it says why.
            let _ = tokio::time::timeout(DRAINING, drain(body)).await;
            return Fed::Whole;
        }
    }
    Fed::Whole
}

/// How long, and up to how many bytes, a refused body is read on. A client that still sends does not look for the answer, and
/// loses it when the connection is closed under it.
const DRAINING: Duration = Duration::from_secs(5);
const DRAINED: usize = 32 << 20;

async fn drain(mut body: Body) {
    let mut total = 0;
    while let Some(Ok(frame)) = body.frame().await {
        total += frame.data_ref().map_or(0, Bytes::len);
        if total > DRAINED {
            return;
        }
    }
}

/// An archive that is refused, carried through the writer's `io::Result`.
#[derive(Debug)]
struct Illegal(String);

impl std::fmt::Display for Illegal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Illegal {}

fn check(mut tee: Tee<'_>, limits: &slug::Limits) -> io::Result<()> {
    slug::check(&mut tee, limits).map_err(|illegal| match illegal {
        // The store's failure, not the archive's: reading from the tee writes.
        slug::Illegal::Source(error) => error,
        illegal => io::Error::other(Illegal(illegal.to_string())),
    })?;
    // What follows the archive's end is kept as well: a download equals the upload byte for byte.
    io::copy(&mut tee, &mut io::sink()).map(drop)
}

/// Reads what arrives and writes it to the object on the way.
struct Tee<'a> {
    incoming: mpsc::Receiver<Bytes>,
    current: Bytes,
    copy: &'a mut dyn Write,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.incoming.blocking_recv() {
                Some(bytes) => {
                    self.copy.write_all(&bytes)?;
                    self.current = bytes;
                }
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

async fn refuse_used(app: &App, version: &ConfigurationVersion) -> Result<()> {
    if version.status == "archived" || version.status.starts_with("backing_data") {
        return Err(Error::transition("the configuration version is archived, or its data was deleted"));
    }
    let used: Option<(String,)> = app
        .db
        .one("SELECT id FROM runs WHERE configuration_version_id = $1 LIMIT 1", args![&version.id])
        .await?;
    match used {
        Some((run,)) => Err(used_by(&run)),
        None => Ok(()),
    }
}

fn used_by(run: &str) -> Error {
    Error::transition(format!(
        "{run} uses this configuration version, so its content cannot change; create a new configuration version"
    ))
}

async fn accept(app: &App, version: ConfigurationVersion, blob: NewBlob) -> Result<Reply> {
    // Read before the transaction, which must not wait for another connection.
    let workspace =
        workspaces::workspaces::by_id(app, version.workspace_id.as_str()).await?.ok_or(Error::NotFound)?;
    let frozen = match version.auto_queue_runs && workspace.execution_mode != "local" {
        true => Some(create::freeze(app, &workspace, Variables::default()).await?),
        false => None,
    };
    let mut tx = app.db.begin().await?;
    let held = hold(&mut tx, &version.workspace_id).await?;
    let mut version = configuration_versions::in_tx(&mut tx, &version.id).await?;
    let used: Option<(String,)> =
        tx.one("SELECT id FROM runs WHERE configuration_version_id = $1 LIMIT 1", args![&version.id]).await?;
    if let Some((run,)) = used {
        return Err(used_by(&run));
    }
    runs::delete_blobs(&mut tx, [version.blob_id.take()]).await?;
    version.blob_id = Some(blob.insert(&mut tx, app.now()).await?);
    version.fail(None, None);
    version.reach("uploaded", app.now());
    version.store(&mut tx).await?;
    let after = match frozen {
        Some(variables) => Some(queue_run(app, &mut tx, &held, &version, variables).await?),
        None => None,
    };
    tx.commit().await?;
    if let Some(after) = after {
        after.perform(app);
    }
    Ok(Reply::Empty(StatusCode::OK))
}

async fn queue_run(
    app: &App,
    tx: &mut db::Tx,
    workspace: &Workspace,
    version: &ConfigurationVersion,
    variables: Sealed,
) -> Result<runs::After> {
    let new = NewRun {
        configuration: version,
        asked: Asked::default(),
        options: Options {
            message: create::DEFAULT_MESSAGE.to_owned(),
            refresh: true,
            terraform_version: workspace.terraform_version.clone(),
            ..Options::default()
        },
        source: "tfe-configuration-version",
        json_lines: true,
        created_by: version.created_by.clone(),
        may_apply: version.creator().may_apply,
        variables,
        triggered_by: None,
    };
    create::queue(app, tx, workspace, new).await.map(|(_, after)| after)
}

/// Notes on the version why its upload was refused, unless it was uploaded before.
async fn reject(app: &App, version: &ConfigurationVersion, error: &Error) -> Result<()> {
    let message = match error {
        Error::Unprocessable(text) | Error::TooLarge(text) => text.clone(),
        other => other.to_string(),
    };
    let mut tx = app.db.begin().await?;
    hold(&mut tx, &version.workspace_id).await?;
    let mut version = configuration_versions::in_tx(&mut tx, &version.id).await?;
    if version.status == "pending" || version.status == "errored" {
        version.fail(Some("invalid-archive"), Some(message));
        version.reach("errored", app.now());
        version.store(&mut tx).await?;
        tx.commit().await?;
    }
    Ok(())
}
