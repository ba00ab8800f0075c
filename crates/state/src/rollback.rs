//! An earlier state becomes the current one again: `PATCH /workspaces/{id}/state-versions`.
//!
//! The copy has the serial after the current one, also inside the file: the engine counts on from the file's serial, and
//! would otherwise be refused after it had changed things. The workspace stays locked. Source: semantics.md §4.2.

use crate::{
    facts::Facts,
    file,
    store::{self, Given, Origin},
    verdict::{self, Claim},
    versions::{self, INCLUDES, StateVersion},
};
use authz::perm;
use axum::http::Method;
use bytes::Bytes;
use http_api::{App, Cx, Data, Error, Reply, Result, Routes, blobs};
use kernel::ids::StateVersionId;
use workspaces::{Workspace, workspaces as table};

/// The operation that rolls back.
pub fn routes() -> Routes {
    Routes::new().op(Method::PATCH, "/workspaces/{id}/state-versions", "state.versions.rollback", rollback)
}

async fn rollback(mut cx: Cx) -> Result<Reply> {
    let (workspace, grants) = table::granted::<perm::WriteState>(&cx).await?;
    let data: Data<serde_json::Map<String, serde_json::Value>> = cx.data().await?;
    let asked = data.related("rollback-state-version").ok_or_else(|| {
        Error::invalid(
            "rollback-state-version",
            "Rollback state version can't be blank: which state is to come back",
        )
    })?;
    let old = versions::by_id(&cx.app, asked).await.ok().filter(|old| old.workspace_id == workspace.id);
    let old = old.ok_or(Error::NotFound)?;
    let serial = verdict::known(&cx.app, &workspace).await?.map_or(0, |known| known.serial).saturating_add(1);
    let mut claim = Claim { serial, md5: String::new(), lineage: None, force: false };
    // The lock first: reading and writing the state may take a while.
    verdict::expect(&cx.app, &workspace, cx.actor()?, &claim).await?;
    let (state, given) = copy(&cx.app, &old, serial).await?;
    let new = store::prepare_with(&cx.app, &workspace.organization_id, state, given).await?;
    claim.md5.clone_from(&new.md5);
    let id = append(&cx, &workspace, &claim, new).await?;
    let version = versions::by_id(&cx.app, id.as_str()).await?;
    cx.created(versions::one(&cx.app, version, grants).await?, INCLUDES).await
}

/// The bytes of a state version with another serial, and what was given along with it.
async fn copy(app: &App, old: &StateVersion, serial: i64) -> Result<(Bytes, Given)> {
    let Some(blob) = &old.blob_id else {
        return Err(Error::invalid(
            "rollback-state-version",
            format!("Rollback state version is {}, and only a finalized one can come back", old.status),
        ));
    };
    let json = match &old.json_blob_id {
        Some(blob) => Some(blobs::read(app, blob).await?.into()),
        None => None,
    };
    let state = blobs::read(app, blob).await?;
    let state = blobs::blocking(move || {
        file::with_serial(&state, serial).ok_or_else(|| {
            let why = if Facts::of(&state).lineage.is_empty() { "is no state of format version 4" } else { "is encrypted" };
            Error::invalid(
                "rollback-state-version",
                format!(
                    "Rollback state version {why}, so its serial cannot be raised here. Download it, and push it with \
                     the engine (`state push`), which can."
                ),
            )
        })
    })
    .await?;
    Ok((state.into(), Given { json, outputs: vec![] }))
}

async fn append(
    cx: &Cx,
    workspace: &Workspace,
    claim: &Claim,
    new: store::NewState,
) -> Result<StateVersionId> {
    let app = &cx.app;
    let actor = cx.actor()?;
    let mut tx = app.db.begin().await?;
    let held = table::hold(&mut tx, &workspace.id).await?;
    verdict::decide(&mut tx, &held, actor, claim, Some(&new.md5)).await?;
    let origin = Origin {
        serial: claim.serial,
        lineage: new.facts.lineage.clone(),
        run: None,
        created_by: actor.user_id().clone(),
    };
    let id = store::add(app, &mut tx, &held, new, &origin).await?;
    tx.commit().await?;
    Ok(id)
}
