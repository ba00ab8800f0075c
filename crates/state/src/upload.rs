//! The bytes of states, by signed URLs: uploaded once, downloaded as often as asked.
//!
//! The upload of the state itself makes its version the current one before it answers, so a client may unlock the
//! workspace right after. The state's JSON may come before or after it. Uploading the same bytes again is no error, for
//! the first answer may have been lost. Source: semantics.md §4.1, §4.2; A38; cli-protocol.md §1.4.

use crate::{
    store,
    verdict::wrong_bytes,
    versions::{self, StateVersion},
};
use axum::http::{Method, StatusCode, header};
use bytes::Bytes;
use db::args;
use http_api::{App, Cx, Error, Reply, Result, Routes, audit, blobs};
use kernel::ids::BlobId;
use workspaces::workspaces::hold;

/// What the signed URLs are good for; each is also their path.
pub(crate) const UPLOAD: &str = "state-uploads";
/// See [`UPLOAD`].
pub(crate) const UPLOAD_JSON: &str = "json-state-uploads";
/// See [`UPLOAD`].
pub(crate) const DOWNLOAD: &str = "states";
/// See [`UPLOAD`].
pub(crate) const DOWNLOAD_JSON: &str = "json-states";

/// The operations on the bytes of states.
pub fn routes() -> Routes {
    Routes::new()
        .signed(Method::PUT, "/_object/state-uploads/{token}", "state.versions.upload", upload)
        .signed(Method::PUT, "/_object/json-state-uploads/{token}", "state.versions.upload-json", upload_json)
        .signed(Method::GET, "/_object/states/{token}", "state.versions.content", content)
        .signed(Method::GET, "/_object/json-states/{token}", "state.versions.content-json", content_json)
}

/// The body, up to what a state may have.
async fn receive(cx: &mut Cx) -> Result<Bytes> {
    let limit = cx.app.settings.state_bytes;
    let announced =
        cx.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        // Before a byte is read: the client learns it in time.
        return Err(Error::TooLarge(format!("a state may have at most {limit} bytes")));
    }
    let body = cx.bytes(limit).await?;
    if body.is_empty() { Err(Error::Unprocessable("the upload is empty".to_owned())) } else { Ok(body) }
}

fn superseded(version: &StateVersion) -> Error {
    Error::conflict(format!(
        "the state version {} was discarded: another state was stored, or the lock taken away, before its upload; or its \
         data was deleted",
        version.id
    ))
}

/// A signed URL tells nobody's name, so the trail is told whose version this is.
fn audited(version: &StateVersion) {
    audit::organization(&version.organization_id);
    audit::actor(&version.created_by);
    audit::resource("state-versions", version.id.as_str());
}

async fn upload(mut cx: Cx) -> Result<Reply> {
    let id = cx.app.verify_signed(UPLOAD, cx.path("token"))?;
    let app = cx.app.clone();
    let version = versions::by_id(&app, &id).await?;
    audited(&version);
    if version.status == "discarded" {
        return Err(superseded(&version));
    }
    let state = receive(&mut cx).await?;
    if version.status == "pending" {
        let new = store::prepare(&app, &version.organization_id, state.into()).await?;
        if new.md5 != version.md5 {
            return Err(wrong_bytes(&version.md5));
        }
        let mut tx = app.db.begin().await?;
        let workspace = hold(&mut tx, &version.workspace_id).await?;
        let now = versions::in_tx(&mut tx, &version.id).await?;
        match now.status.as_str() {
            "pending" => store::finalize(&app, &mut tx, &workspace, &version.id, new).await?,
            "discarded" => return Err(superseded(&now)),
            // Another upload of the same bytes was faster.
            _ => return Ok(Reply::Empty(StatusCode::OK)),
        }
        tx.commit().await?;
        return Ok(Reply::Empty(StatusCode::OK));
    }
    let md5 = blobs::blocking(move || Ok(crate::file::md5_hex(&state))).await?;
    repeated(&version, md5 == version.md5)
}

/// An upload to a version that has its bytes already.
fn repeated(version: &StateVersion, same: bool) -> Result<Reply> {
    if same {
        return Ok(Reply::Empty(StatusCode::OK));
    }
    Err(Error::conflict(format!(
        "the state version {} has been uploaded already, with other bytes; create a new state version",
        version.id
    )))
}

async fn upload_json(mut cx: Cx) -> Result<Reply> {
    let id = cx.app.verify_signed(UPLOAD_JSON, cx.path("token"))?;
    let app = cx.app.clone();
    let version = versions::by_id(&app, &id).await?;
    audited(&version);
    if version.status != "pending" && version.status != "finalized" {
        return Err(superseded(&version));
    }
    let json = receive(&mut cx).await?;
    let new = blobs::write_from(&app, &version.organization_id, "json-state", move |writer| {
        writer.write_all(&json)
    });
    let new = new.await?;
    let mut tx = app.db.begin().await?;
    hold(&mut tx, &version.workspace_id).await?;
    let now = versions::in_tx(&mut tx, &version.id).await?;
    if now.status != "pending" && now.status != "finalized" {
        return Err(superseded(&now));
    }
    if let Some(stored) = &now.json_blob_id {
        let stored: Option<(String,)> = tx.one("SELECT md5 FROM blobs WHERE id = $1", args![stored]).await?;
        return repeated(&now, stored.is_some_and(|(md5,)| md5 == new.stored.md5));
    }
    let blob = new.insert(&mut tx, app.now()).await?;
    tx.exec("UPDATE state_versions SET json_blob_id = $2 WHERE id = $1", args![&now.id, &blob]).await?;
    tx.commit().await?;
    Ok(Reply::Empty(StatusCode::OK))
}

async fn content(cx: Cx) -> Result<Reply> {
    let id = cx.app.verify_signed(DOWNLOAD, cx.path("token"))?;
    let version = versions::by_id(&cx.app, &id).await?;
    send(&cx.app, version.blob_id).await
}

async fn content_json(cx: Cx) -> Result<Reply> {
    let id = cx.app.verify_signed(DOWNLOAD_JSON, cx.path("token"))?;
    let version = versions::by_id(&cx.app, &id).await?;
    send(&cx.app, version.json_blob_id).await
}

async fn send(app: &App, blob: Option<BlobId>) -> Result<Reply> {
    let blob = blob.ok_or(Error::NotFound)?;
    Ok(Reply::bytes("application/json", blobs::stream(app, &blob).await?))
}
