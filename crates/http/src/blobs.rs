//! Stored objects: the rows that name them, and the files behind the larger ones.
//!
//! An object is written before the row that names it, and its row is inserted in the transaction that first refers to
//! it. Small ones live sealed in the row itself, so a small upload or a short log costs no file and no further fsync.
//! A file without a row is swept ([`Sweeper`]); deleting an object is deleting its row.

use crate::App;
use blob::store::Stored;
use db::{FromRow, Tx, args};
use kernel::{
    Error, Result, Timestamp,
    ids::{BlobId, OrganizationId},
};
use std::{
    collections::HashMap,
    io::{Read, Write},
    time::{Duration, Instant},
};

/// An object that is written but not yet named by a row.
#[derive(Debug)]
#[must_use = "without its row the object is swept"]
pub struct NewBlob {
    /// Its id.
    pub id: BlobId,
    /// What is known of its content.
    pub stored: Stored,
    organization: OrganizationId,
    kind: &'static str,
}

impl NewBlob {
    /// Inserts the row. Do it in the transaction that first refers to the object.
    pub async fn insert(self, tx: &mut Tx, now: Timestamp) -> Result<BlobId> {
        let Stored { size, sha256, md5, inline } = self.stored;
        tx.exec(
            "INSERT INTO blobs (id, organization_id, kind, size, sha256, md5, inline, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            args![
                &self.id,
                &self.organization,
                self.kind,
                i64::try_from(size).unwrap_or(i64::MAX),
                sha256,
                md5,
                inline,
                now
            ],
        )
        .await?;
        Ok(self.id)
    }
}

#[derive(FromRow)]
struct BlobRow {
    organization_id: OrganizationId,
    inline: Option<Vec<u8>>,
}

/// Runs blocking work off the async threads and flattens its errors.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

/// [`Error::Unavailable`] when the disk is full, so that a client knows to try again; else internal.
pub fn io_error(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::StorageFull {
        tracing::error!(%error, "the disk is full; free space on it");
        return Error::disk_full();
    }
    Error::internal(error)
}

/// Writes `content` as an object of `organization`.
pub async fn write(
    app: &App,
    organization: &OrganizationId,
    kind: &'static str,
    content: Vec<u8>,
) -> Result<NewBlob> {
    write_from(app, organization, kind, move |writer| writer.write_all(&content)).await
}

/// Writes what `fill` produces, streamed, as an object of `organization`.
pub async fn write_from(
    app: &App,
    organization: &OrganizationId,
    kind: &'static str,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()> + Send + 'static,
) -> Result<NewBlob> {
    let id = BlobId::new(&app.env);
    let key = app.data_key(organization).await?;
    let (app, organization) = (app.clone(), organization.clone());
    blocking(move || {
        let mut writer = app.objects.writer(&id, &key, &app.env);
        fill(&mut writer).map_err(io_error)?;
        let stored = writer.finish().map_err(io_error)?;
        Ok(NewBlob { id, stored, organization, kind })
    })
    .await
}

/// A reader of an object's content. Reading may block.
pub async fn open(app: &App, id: &BlobId) -> Result<Box<dyn Read + Send>> {
    let row: BlobRow = app
        .db
        .one("SELECT organization_id, inline FROM blobs WHERE id = $1", args![id])
        .await?
        .ok_or(Error::NotFound)?;
    let key = app.data_key(&row.organization_id).await?;
    app.objects.reader(id, &key, row.inline).map_err(io_error)
}

/// The whole content of an object.
pub async fn read(app: &App, id: &BlobId) -> Result<Vec<u8>> {
    let mut reader = open(app, id).await?;
    blocking(move || {
        let mut content = Vec::new();
        reader.read_to_end(&mut content).map_err(io_error)?;
        Ok(content)
    })
    .await
}

/// An object's content as a response body, streamed.
pub async fn stream(app: &App, id: &BlobId) -> Result<axum::body::Body> {
    let mut reader = open(app, id).await?;
    let (sender, receiver) = tokio::sync::mpsc::channel::<std::io::Result<bytes::Bytes>>(4);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut chunk = vec![0; 64 << 10];
            let read = reader.read(&mut chunk);
            let ended = matches!(read, Ok(0) | Err(_));
            let item = read.map(|n| {
                chunk.truncate(n);
                bytes::Bytes::from(chunk)
            });
            if matches!(&item, Ok(bytes) if bytes.is_empty()) || sender.blocking_send(item).is_err() || ended
            {
                break;
            }
        }
    });
    Ok(axum::body::Body::from_stream(futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|item| (item, receiver))
    })))
}

/// Looks for files that no row names, and removes those that nobody can be about to name any more.
#[derive(Debug)]
pub struct Sweeper {
    /// Files that are older were written by an earlier process.
    begun: Timestamp,
    /// When a file without a row was first seen. Not by the clock, which may jump: then the age of a file says nothing.
    seen: HashMap<BlobId, Instant>,
}

impl Sweeper {
    /// Make it before anything is served.
    pub fn new(app: &App) -> Self {
        Self { begun: app.now(), seen: HashMap::new() }
    }

    /// Removes files that no row names: of an earlier process those that are older than `age`, and others when they were
    /// seen as long ago. Returns how many.
    pub async fn sweep(&mut self, app: &App, age: Duration) -> Result<usize> {
        let listing = app.clone();
        let now = app.now();
        let files: Vec<(BlobId, Timestamp)> =
            blocking(move || listing.objects.list().and_then(Iterator::collect).map_err(io_error)).await?;
        let mut removed = 0;
        let mut before = std::mem::take(&mut self.seen);
        for (id, modified) in files {
            let named: Option<(String,)> =
                app.db.one("SELECT id FROM blobs WHERE id = $1", args![&id]).await?;
            if named.is_some() {
                continue;
            }
            let seen = before.remove(&id).unwrap_or_else(Instant::now);
            let left = modified < self.begun && now.since(modified) >= age;
            if left || seen.elapsed() >= age {
                app.objects.remove(&id).map_err(io_error)?;
                removed += 1;
            } else {
                self.seen.insert(id, seen);
            }
        }
        Ok(removed)
    }
}
