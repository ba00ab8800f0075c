//! How a state becomes its workspace's current one, with its outputs and resources: in the caller's transaction.
//!
//! [`prepare`] does all the work beforehand, so that the transaction waits for nothing but its own statements.

use crate::{
    facts::{Facts, NOTHING},
    outputs::{self, NewOutput, OutputFact},
    resources,
};
use bytes::Bytes;
use db::{Tx, args};
use http_api::{
    App, Result,
    blobs::{self, NewBlob},
};
use kernel::ids::{BlobId, OrganizationId, RunId, StateVersionId, UserId, WorkspaceId};
use workspaces::Workspace;

/// A state that is stored as an object, and what it says of itself.
#[derive(Debug)]
pub struct NewState {
    /// The object.
    pub blob: NewBlob,
    /// MD5 of the state, hex.
    pub md5: String,
    /// From the file, where it can be read.
    pub facts: Facts,
    /// The engine's own JSON of this state, where a client gave it.
    json: Option<NewBlob>,
    outputs: Vec<NewOutput>,
}

/// What a client may give along with a state.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// `terraform show -json` of the state.
    pub(crate) json: Option<Bytes>,
    /// The outputs, which stand in when the state itself is opaque.
    pub(crate) outputs: Vec<OutputFact>,
}

/// Stores a state as an object and reads what it says of itself. Not yet named by any row.
pub async fn prepare(app: &App, organization: &OrganizationId, bytes: Vec<u8>) -> Result<NewState> {
    prepare_with(app, organization, bytes.into(), Given::default()).await
}

/// [`prepare`] with what a client gave along.
pub(crate) async fn prepare_with(
    app: &App,
    organization: &OrganizationId,
    state: Bytes,
    given: Given,
) -> Result<NewState> {
    let key = app.data_key(organization).await?;
    let (content, env) = (state.clone(), app.env.clone());
    let read = blobs::blocking(move || {
        let mut facts = Facts::of(&content);
        let known = if facts.opaque { given.outputs } else { std::mem::take(&mut facts.outputs) };
        let outputs = outputs::seal(known, &key, &env);
        Ok((facts, outputs))
    });
    let written = write(app, organization, "state", Some(state));
    let json = write(app, organization, "json-state", given.json);
    let ((facts, outputs), blob, json) = tokio::try_join!(read, written, json)?;
    let blob = blob.expect("a state was given to be written");
    Ok(NewState { md5: blob.stored.md5.clone(), blob, facts, json, outputs })
}

/// Writes an object, if there is one to write.
pub(crate) async fn write(
    app: &App,
    organization: &OrganizationId,
    kind: &'static str,
    content: Option<Bytes>,
) -> Result<Option<NewBlob>> {
    match content {
        Some(content) => blobs::write_from(app, organization, kind, move |writer| writer.write_all(&content))
            .await
            .map(Some),
        None => Ok(None),
    }
}

/// How a new version is numbered and by whom it was made.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The serial that the caller claims.
    pub serial: i64,
    /// The lineage that the caller claims, else the file's.
    pub lineage: String,
    /// The run that wrote it.
    pub run: Option<RunId>,
    /// The user who wrote it.
    pub created_by: UserId,
}

/// Makes a state that an engine wrote the current one. Call with the workspace's row held.
///
/// A state that is current already, byte for byte, makes no new version: its id is returned, and the object is left to
/// the sweeper.
pub async fn append(
    app: &App,
    tx: &mut Tx,
    workspace: &Workspace,
    new: NewState,
    origin: &Origin,
) -> Result<StateVersionId> {
    let current: Option<(StateVersionId, String)> = tx
        .one(
            "SELECT v.id, v.md5 FROM workspaces w JOIN state_versions v ON v.id = w.current_state_version_id
             WHERE w.id = $1",
            args![&workspace.id],
        )
        .await?;
    match current {
        Some((id, md5)) if md5 == new.md5 => Ok(id),
        _ => add(app, tx, workspace, new, origin).await,
    }
}

/// Adds a finalized version and makes it current. Call with the workspace's row held.
pub(crate) async fn add(
    app: &App,
    tx: &mut Tx,
    workspace: &Workspace,
    new: NewState,
    origin: &Origin,
) -> Result<StateVersionId> {
    let row = Row { md5: &new.md5.clone(), status: "finalized", facts: Some(&new.facts), origin };
    let blob = new.blob.insert(tx, app.now()).await?;
    let json = insert_blob(app, tx, new.json).await?;
    let id = row.insert(app, tx, workspace, Some(&blob), json.as_ref()).await?;
    make_current(app, tx, workspace, &id, new.facts, new.outputs).await?;
    Ok(id)
}

/// Adds a version that waits for its upload; others that still wait are discarded. Call with the workspace's row held.
pub(crate) async fn add_pending(
    app: &App,
    tx: &mut Tx,
    workspace: &Workspace,
    md5: &str,
    (json, outputs): (Option<NewBlob>, Vec<NewOutput>),
    origin: &Origin,
) -> Result<StateVersionId> {
    let json = insert_blob(app, tx, json).await?;
    let row = Row { md5, status: "pending", facts: None, origin };
    let id = row.insert(app, tx, workspace, None, json.as_ref()).await?;
    discard_pending(tx, &workspace.id, &id).await?;
    outputs::insert(tx, &id, outputs).await?;
    Ok(id)
}

/// Turns a version that waited for its upload into the current one. Call with the workspace's row held.
pub(crate) async fn finalize(
    app: &App,
    tx: &mut Tx,
    workspace: &Workspace,
    id: &StateVersionId,
    new: NewState,
) -> Result<()> {
    let blob = new.blob.insert(tx, app.now()).await?;
    tx.exec(
        "UPDATE state_versions SET status = 'finalized', blob_id = $2, terraform_version = $3, details = $4,
           lineage = CASE WHEN lineage = '' THEN $5 ELSE lineage END
         WHERE id = $1",
        args![id, &blob, new.facts.terraform_version.clone(), &new.facts.details, &new.facts.lineage],
    )
    .await?;
    if !new.facts.opaque {
        // What was announced of the outputs gives way to what the state says.
        outputs::delete(tx, id).await?;
    }
    make_current(app, tx, workspace, id, new.facts, new.outputs).await
}

async fn insert_blob(app: &App, tx: &mut Tx, blob: Option<NewBlob>) -> Result<Option<BlobId>> {
    match blob {
        Some(blob) => blob.insert(tx, app.now()).await.map(Some),
        None => Ok(None),
    }
}

/// A row that is about to be made.
struct Row<'a> {
    md5: &'a str,
    status: &'static str,
    facts: Option<&'a Facts>,
    origin: &'a Origin,
}

impl Row<'_> {
    async fn insert(
        &self,
        app: &App,
        tx: &mut Tx,
        workspace: &Workspace,
        blob: Option<&BlobId>,
        json: Option<&BlobId>,
    ) -> Result<StateVersionId> {
        let id = StateVersionId::new(&app.env);
        let origin = self.origin;
        tx.exec(
            "INSERT INTO state_versions (id, organization_id, workspace_id, number, serial, lineage, md5, status,
               blob_id, json_blob_id, run_id, created_by, terraform_version, details, created_at)
             SELECT $1, $2, $3, COALESCE(MAX(number), 0) + 1, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14
             FROM state_versions WHERE workspace_id = $3",
            args![
                &id,
                &workspace.organization_id,
                &workspace.id,
                origin.serial,
                &origin.lineage,
                self.md5,
                self.status,
                blob,
                json,
                origin.run.as_ref(),
                &origin.created_by,
                self.facts.and_then(|facts| facts.terraform_version.clone()),
                self.facts.map_or(NOTHING, |facts| facts.details.as_str()),
                app.now()
            ],
        )
        .await?;
        Ok(id)
    }
}

/// Versions that were superseded before their upload never become current.
async fn discard_pending(tx: &mut Tx, workspace: &WorkspaceId, but: &StateVersionId) -> Result<()> {
    tx.exec(
        "UPDATE state_versions SET status = 'discarded' WHERE workspace_id = $1 AND status = 'pending' AND id <> $2",
        args![workspace, but],
    )
    .await
    .map(drop)
}

async fn make_current(
    app: &App,
    tx: &mut Tx,
    workspace: &Workspace,
    id: &StateVersionId,
    facts: Facts,
    outputs: Vec<NewOutput>,
) -> Result<()> {
    discard_pending(tx, &workspace.id, id).await?;
    outputs::insert(tx, id, outputs).await?;
    let count = i64::try_from(facts.instances.len()).unwrap_or(i64::MAX);
    resources::replace(app, tx, &workspace.id, id, facts.instances).await?;
    tx.exec(
        "UPDATE workspaces SET current_state_version_id = $2, resource_count = $3, latest_change_at = $4 WHERE id = $1",
        args![&workspace.id, id, count, app.now()],
    )
    .await
    .map(drop)
}

/// The bytes of a workspace's current state, if it has one.
pub async fn current(app: &App, workspace: &WorkspaceId) -> Result<Option<Vec<u8>>> {
    let found: Option<(BlobId,)> = app
        .db
        .one(
            "SELECT v.blob_id FROM workspaces w JOIN state_versions v ON v.id = w.current_state_version_id
             WHERE w.id = $1 AND v.blob_id IS NOT NULL",
            args![workspace],
        )
        .await?;
    match found {
        Some((blob,)) => blobs::read(app, &blob).await.map(Some),
        None => Ok(None),
    }
}
