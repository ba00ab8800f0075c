//! How a state becomes its workspace's current one, with its outputs and resources: in the caller's transaction.

use crate::file::{self, StateFile};
use blob::keys::DataKey;
use db::{FromRow, Tx, args};
use http_api::{
    App, Error, Result,
    blobs::{self, NewBlob},
};
use kernel::{
    Timestamp,
    ids::{BlobId, OrganizationId, RunId, StateVersionId, StateVersionOutputId, UserId, WorkspaceId, WorkspaceResourceId},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{collections::HashMap, sync::Arc};
use workspaces::Workspace;

/// Rows inserted by one statement.
const BATCH: usize = 100;

/// A state that is stored as an object, and what it says of itself.
#[derive(Debug)]
pub struct NewState {
    /// The object.
    pub blob: NewBlob,
    /// MD5 of the state, hex.
    pub md5: String,
    /// From the file, where it can be read.
    pub facts: Facts,
}

/// What is known of a state's content.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// From the file; 0 when it is opaque.
    pub serial: i64,
    /// From the file; empty when it is opaque.
    pub lineage: String,
    /// The engine that wrote it.
    pub terraform_version: Option<String>,
    /// What the API tells of its resources.
    pub details: Details,
    outputs: Vec<OutputFact>,
    instances: Vec<InstanceFact>,
}

/// What the API tells of a state's resources; stored as JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Details {
    /// `{name, type, count, module, provider}` of each resource; data sources' types begin with `data.`.
    pub resources: Value,
    /// Counts by module and type.
    pub modules: Value,
    /// Counts by provider and type.
    pub providers: Value,
}

#[derive(Clone, Debug)]
struct OutputFact {
    name: String,
    sensitive: bool,
    detailed_type: String,
    value: String,
}

#[derive(Clone, Debug)]
struct InstanceFact {
    address: String,
    name: String,
    module: String,
    provider: String,
    kind: String,
    index: Option<String>,
    digest: String,
}

impl Facts {
    /// Reads them out of a state.
    pub fn of(bytes: &[u8]) -> Self {
        let Some(state) = StateFile::parse(bytes) else {
            return Self::opaque(bytes);
        };
        let outputs = state
            .outputs
            .iter()
            .map(|(name, output)| OutputFact {
                name: name.clone(),
                sensitive: output.sensitive,
                detailed_type: output.detailed_type.map_or("\"string\"", |t| t.get()).to_owned(),
                value: output.value.get().to_owned(),
            })
            .collect();
        let instances = state
            .instances()
            .into_iter()
            .map(|i| InstanceFact {
                digest: file::md5_hex(i.text.as_bytes()),
                address: i.address,
                name: i.name.to_owned(),
                module: i.module,
                provider: i.provider,
                kind: i.kind.to_owned(),
                index: i.index,
            })
            .collect();
        Self {
            serial: state.serial,
            lineage: state.lineage.clone(),
            terraform_version: state.terraform_version.clone(),
            details: details(&state),
            outputs,
            instances,
        }
    }

    /// An encrypted state still shows its serial and lineage.
    fn opaque(bytes: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Envelope {
            #[serde(default)]
            serial: i64,
            #[serde(default)]
            lineage: String,
        }
        match serde_json::from_slice::<Envelope>(bytes) {
            Ok(envelope) => Self { serial: envelope.serial, lineage: envelope.lineage, ..Self::default() },
            Err(_) => Self::default(),
        }
    }

    /// Whether anything of the content is known.
    pub fn is_opaque(&self) -> bool {
        self.details.resources.is_null()
    }
}

fn details(state: &StateFile<'_>) -> Details {
    let mut resources = Vec::new();
    let mut modules: Map<String, Value> = Map::new();
    let mut providers: Map<String, Value> = Map::new();
    for block in &state.resources {
        let kind = if block.mode == "data" { format!("data.{}", block.kind) } else { block.kind.clone() };
        let module = file::module_path(block.module.as_deref());
        let count = block.instances.len();
        for (group, key) in [(&mut modules, &module), (&mut providers, &block.provider)] {
            let kinds = group.entry(key.clone()).or_insert_with(|| json!({}));
            let before = kinds[&kind].as_u64().unwrap_or(0);
            kinds[&kind] = json!(before + count as u64);
        }
        resources.push(json!({
            "name": block.name, "type": kind, "count": count, "module": module, "provider": block.provider,
        }));
    }
    Details { resources: Value::Array(resources), modules: modules.into(), providers: providers.into() }
}

/// Stores a state as an object and reads what it says of itself. Not yet named by any row.
pub async fn prepare(app: &App, organization: &OrganizationId, bytes: Vec<u8>) -> Result<NewState> {
    let bytes = Arc::new(bytes);
    let content = bytes.clone();
    let facts = blobs::blocking(move || Ok(Facts::of(&content)));
    let written =
        blobs::write_from(app, organization, "state", move |writer| std::io::Write::write_all(writer, &bytes));
    let blob = written.await?;
    Ok(NewState { md5: blob.stored.md5.clone(), blob, facts: facts.await? })
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

/// The next number in a workspace. Call with the workspace's row held.
pub(crate) async fn next_number(tx: &mut Tx, workspace: &WorkspaceId) -> Result<i64> {
    let found: Option<(Option<i64>,)> =
        tx.one("SELECT MAX(number) FROM state_versions WHERE workspace_id = $1", args![workspace]).await?;
    Ok(found.and_then(|(n,)| n).unwrap_or(0) + 1)
}

/// Adds a finalized version and makes it current. Call with the workspace's row held.
pub async fn append(
    app: &App,
    tx: &mut Tx,
    workspace: &Workspace,
    new: NewState,
    origin: &Origin,
) -> Result<StateVersionId> {
    let id = StateVersionId::new(&app.env);
    let number = next_number(tx, &workspace.id).await?;
    let NewState { blob, md5, facts } = new;
    let blob_id = blob.insert(tx, app.now()).await?;
    tx.exec(
        "INSERT INTO state_versions (id, organization_id, workspace_id, number, serial, lineage, md5, status, blob_id,
           run_id, created_by, terraform_version, details, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'finalized', $8, $9, $10, $11, $12, $13)",
        args![
            &id,
            &workspace.organization_id,
            &workspace.id,
            number,
            origin.serial,
            &origin.lineage,
            md5,
            &blob_id,
            origin.run.as_ref(),
            &origin.created_by,
            facts.terraform_version.clone(),
            serde_json::to_string(&facts.details).map_err(Error::internal)?,
            app.now()
        ],
    )
    .await?;
    make_current(app, tx, workspace, &id, &facts).await?;
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
    let NewState { blob, md5, facts } = new;
    let blob_id: BlobId = blob.insert(tx, app.now()).await?;
    tx.exec(
        "UPDATE state_versions SET status = 'finalized', md5 = $2, blob_id = $3, terraform_version = $4, details = $5
         WHERE id = $1",
        args![
            id,
            md5,
            &blob_id,
            facts.terraform_version.clone(),
            serde_json::to_string(&facts.details).map_err(Error::internal)?
        ],
    )
    .await?;
    make_current(app, tx, workspace, id, &facts).await
}

async fn make_current(app: &App, tx: &mut Tx, workspace: &Workspace, id: &StateVersionId, facts: &Facts) -> Result<()> {
    let now = app.now();
    // Versions that were superseded before their upload never become current.
    tx.exec(
        "UPDATE state_versions SET status = 'discarded' WHERE workspace_id = $1 AND status = 'pending' AND id <> $2",
        args![&workspace.id, id],
    )
    .await?;
    let key = app.data_key(&workspace.organization_id).await?;
    insert_outputs(app, tx, id, &facts.outputs, &key).await?;
    replace_resources(app, tx, &workspace.id, id, &facts.instances, now).await?;
    let count = i64::try_from(facts.instances.len()).unwrap_or(i64::MAX);
    tx.exec(
        "UPDATE workspaces SET current_state_version_id = $2, resource_count = $3, latest_change_at = $4 WHERE id = $1",
        args![&workspace.id, id, count, now],
    )
    .await
    .map(drop)
}

async fn insert_outputs(
    app: &App,
    tx: &mut Tx,
    version: &StateVersionId,
    outputs: &[OutputFact],
    key: &DataKey,
) -> Result<()> {
    for output in outputs {
        let id = StateVersionOutputId::new(&app.env);
        tx.exec(
            "INSERT INTO state_version_outputs (id, state_version_id, name, sensitive, type, detailed_type, value)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            args![
                &id,
                version,
                &output.name,
                output.sensitive,
                file::simple_type(&output.detailed_type),
                &output.detailed_type,
                key.seal(&app.env, id.as_str(), output.value.as_bytes())
            ],
        )
        .await?;
    }
    Ok(())
}

#[derive(FromRow)]
struct Known {
    address: String,
    digest: String,
}

/// Brings the workspace's resources in line with the new state: only what differs is written.
async fn replace_resources(
    app: &App,
    tx: &mut Tx,
    workspace: &WorkspaceId,
    version: &StateVersionId,
    instances: &[InstanceFact],
    now: Timestamp,
) -> Result<()> {
    let known: Vec<Known> = tx
        .all("SELECT address, digest FROM workspace_resources WHERE workspace_id = $1", args![workspace])
        .await?;
    let mut known: HashMap<String, String> = known.into_iter().map(|k| (k.address, k.digest)).collect();
    let mut fresh = Vec::new();
    for instance in instances {
        match known.remove(&instance.address) {
            None => fresh.push(instance),
            Some(digest) if digest == instance.digest => {}
            Some(_) => {
                tx.exec(
                    "UPDATE workspace_resources SET digest = $3, modified_by_state_version_id = $4, updated_at = $5,
                       provider = $6 WHERE workspace_id = $1 AND address = $2",
                    args![workspace, &instance.address, &instance.digest, version, now, &instance.provider],
                )
                .await?;
            }
        }
    }
    for address in known.keys() {
        tx.exec("DELETE FROM workspace_resources WHERE workspace_id = $1 AND address = $2", args![
            workspace, address
        ])
        .await?;
    }
    for batch in fresh.chunks(BATCH) {
        let mut values = args![workspace, version, now];
        let mut rows = Vec::new();
        for instance in batch {
            let first = values.len() + 1;
            let marks: Vec<String> = (first..first + 8).map(|n| format!("${n}")).collect();
            rows.push(format!("($1, $2, $3, $3, {})", marks.join(", ")));
            values.extend(args![
                &WorkspaceResourceId::new(&app.env),
                &instance.address,
                &instance.name,
                &instance.module,
                &instance.provider,
                &instance.kind,
                instance.index.clone(),
                &instance.digest
            ]);
        }
        let sql = format!(
            "INSERT INTO workspace_resources (workspace_id, modified_by_state_version_id, created_at, updated_at, id,
               address, name, module, provider, provider_type, name_index, digest)
             VALUES {} ON CONFLICT DO NOTHING",
            rows.join(", ")
        );
        tx.exec(db::AssertSqlSafe(sql), values).await?;
    }
    Ok(())
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
