//! Outputs of state versions.
//!
//! Values are sealed at rest. Who may read states sees all values in the list of a state version, as they stand in the
//! state itself; who may read outputs only sees sensitive ones as null there, and asks for them one by one. The list of
//! the current outputs hides sensitive values from everyone.
//! Source: the State Version Outputs API; semantics.md §4.3; sdk-conformance.md §5.13; cli-protocol.md §1.4.

use crate::{
    file,
    resources::{self, BATCH},
    versions,
};
use authz::{Granted, Grants, InWorkspace, WorkspacePermission, perm};
use axum::http::Method;
use blob::keys::DataKey;
use db::{Arg, FromRow, Tx, args};
use http_api::{Cx, Error, Reply, Resource, Result, Routes, include::Loaders};
use kernel::{
    Env, Paged,
    ids::{OrganizationId, ProjectId, StateVersionId, StateVersionOutputId, WorkspaceId},
};
use serde::Serialize;
use serde_json::value::RawValue;

/// Ids that one statement asks for; both engines have a limit of bound values.
const IDS: usize = 10_000;

/// An output as a state tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutputFact {
    pub(crate) name: String,
    pub(crate) sensitive: bool,
    /// JSON.
    pub(crate) detailed_type: String,
    /// JSON.
    pub(crate) value: String,
}

/// An output that is sealed and ready to be inserted.
#[derive(Debug)]
pub(crate) struct NewOutput {
    id: StateVersionOutputId,
    name: String,
    sensitive: bool,
    detailed_type: String,
    value: Vec<u8>,
}

/// Seals values, each for the row that it will have.
pub(crate) fn seal(facts: Vec<OutputFact>, key: &DataKey, env: &Env) -> Vec<NewOutput> {
    facts
        .into_iter()
        .map(|fact| {
            let id = StateVersionOutputId::new(env);
            let value = key.seal(env, id.as_str(), fact.value.as_bytes());
            NewOutput {
                id,
                name: fact.name,
                sensitive: fact.sensitive,
                detailed_type: fact.detailed_type,
                value,
            }
        })
        .collect()
}

/// Adds the outputs of a version.
pub(crate) async fn insert(tx: &mut Tx, version: &StateVersionId, outputs: Vec<NewOutput>) -> Result<()> {
    let mut outputs = outputs.into_iter();
    while outputs.len() > 0 {
        let rows = resources::rows("$1", 1, 6, outputs.len().min(BATCH));
        let mut values = args![version];
        for output in outputs.by_ref().take(BATCH) {
            values.extend(args![
                &output.id,
                output.name,
                output.sensitive,
                file::simple_type(&output.detailed_type),
                output.detailed_type,
                output.value
            ]);
        }
        let sql = format!(
            "INSERT INTO state_version_outputs (state_version_id, id, name, sensitive, type, detailed_type, value)
             VALUES {rows}"
        );
        tx.exec(db::AssertSqlSafe(sql), values).await?;
    }
    Ok(())
}

/// Removes the outputs of a version.
pub(crate) async fn delete(tx: &mut Tx, version: &StateVersionId) -> Result<()> {
    tx.exec("DELETE FROM state_version_outputs WHERE state_version_id = $1", args![version]).await.map(drop)
}

#[derive(Clone, Debug, FromRow)]
pub(crate) struct Row {
    id: StateVersionOutputId,
    name: String,
    sensitive: bool,
    kind: String,
    detailed_type: String,
    value: Vec<u8>,
    organization_id: OrganizationId,
    workspace_id: WorkspaceId,
    project_id: ProjectId,
}

impl InWorkspace for Row {
    fn workspace(&self) -> &WorkspaceId {
        &self.workspace_id
    }
    fn project(&self) -> &ProjectId {
        &self.project_id
    }
    fn organization(&self) -> &OrganizationId {
        &self.organization_id
    }
}

const SELECT: &str =
    "SELECT o.id, o.name, o.sensitive, o.type AS kind, o.detailed_type, o.value, w.organization_id,
    v.workspace_id, w.project_id
  FROM state_version_outputs o JOIN state_versions v ON v.id = o.state_version_id
    AND v.status <> 'backing_data_soft_deleted'
  JOIN workspaces w ON w.id = v.workspace_id";

/// The operations on outputs.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::GET, "/state-versions/{id}/outputs", "state.outputs.list", list)
        .op(
            Method::GET,
            "/workspaces/{id}/current-state-version-outputs",
            "state.outputs.list-current",
            list_current,
        )
        .op(Method::GET, "/state-version-outputs/{id}", "state.outputs.read", read)
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("workspace-outputs", of_workspaces);
    loaders.add("state-version-outputs", |cx, ids| async move {
        let mut found = Vec::new();
        for row in readable(&cx, &ids).await? {
            // Sensitive values come only when asked for by themselves, not along with something else.
            found.push(document(&*cx.app.data_key(&row.organization_id).await?, &row, false)?);
        }
        Ok(found)
    });
}

/// Of these outputs those that the caller may read.
async fn readable(cx: &Cx, ids: &[String]) -> Result<Vec<Granted<perm::ReadStateOutputs, Row>>> {
    let mut found = Vec::new();
    for ids in ids.chunks(IDS) {
        let marks: Vec<String> = (1..=ids.len()).map(|n| format!("${n}")).collect();
        let sql = format!("{SELECT} WHERE o.id IN ({}) ORDER BY o.name", marks.join(", "));
        let rows: Vec<Row> =
            cx.app.db.all(db::AssertSqlSafe(sql), ids.iter().map(Arg::from).collect()).await?;
        for row in rows {
            let grants = cx.grants(&row.organization_id).await?;
            found.extend(grants.prove_workspace(row));
        }
    }
    Ok(found)
}

/// The outputs of workspaces' current states, as their documents include them.
async fn of_workspaces(cx: Cx, ids: Vec<String>) -> Result<Vec<Resource>> {
    let mut found = Vec::new();
    for row in readable(&cx, &ids).await? {
        let value = if row.sensitive {
            None
        } else {
            Some(raw(open(&*cx.app.data_key(&row.organization_id).await?, &row)?)?)
        };
        let attributes = WorkspaceOutput {
            name: &row.name,
            sensitive: row.sensitive,
            output_type: &row.kind,
            value,
            detailed_type: raw(row.detailed_type.clone())?,
        };
        found.push(Resource::new("workspace-outputs", row.id.as_str(), &attributes));
    }
    Ok(found)
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct WorkspaceOutput<'a> {
    name: &'a str,
    sensitive: bool,
    output_type: &'a str,
    value: Option<Box<RawValue>>,
    detailed_type: Box<RawValue>,
}

/// Whether the caller may download the state, where all values stand.
fn reads_states(grants: &Grants, of: &impl InWorkspace) -> bool {
    perm::ReadState::allowed(&grants.workspace(of.workspace(), of.project()))
}

/// Whether a page is asked for.
fn paged(cx: &Cx) -> bool {
    cx.query("page[number]").is_some() || cx.query("page[size]").is_some()
}

async fn list(cx: Cx) -> Result<Reply> {
    let (version, grants) = versions::granted::<perm::ReadStateOutputs>(&cx, cx.path("id")).await?;
    let reveal = reads_states(&grants, &*version);
    page_of(&cx, &version.id, &version.organization_id, reveal).await
}

async fn list_current(cx: Cx) -> Result<Reply> {
    let (workspace, _) = workspaces::workspaces::granted::<perm::ReadStateOutputs>(&cx).await?;
    let version = workspace.current_state_version_id.as_ref().ok_or(Error::NotFound)?;
    if paged(&cx) {
        return page_of(&cx, version, &workspace.organization_id, false).await;
    }
    // The command line reads this list once and asks for no page: it must be whole.
    let rows: Vec<Row> = cx
        .app
        .db
        .all(
            db::AssertSqlSafe(format!("{SELECT} WHERE o.state_version_id = $1 ORDER BY o.name")),
            args![version],
        )
        .await?;
    let key = cx.app.data_key(&workspace.organization_id).await?;
    let items = rows.iter().map(|row| document(&key, row, false)).collect::<Result<_>>()?;
    cx.list(items, &[]).await
}

async fn page_of(
    cx: &Cx,
    version: &StateVersionId,
    organization: &OrganizationId,
    reveal: bool,
) -> Result<Reply> {
    let page = cx.page();
    let db = &cx.app.db;
    let count = "SELECT COUNT(*) FROM state_version_outputs WHERE state_version_id = $1";
    let total = db.one::<(i64,)>(count, args![version]).await?.map(|(n,)| n);
    let sql = format!("{SELECT} WHERE o.state_version_id = $1 ORDER BY o.name LIMIT $2 OFFSET $3");
    let rows: Vec<Row> = db.all(db::AssertSqlSafe(sql), args![version, page.limit(), page.offset()]).await?;
    let key = cx.app.data_key(organization).await?;
    let items = rows.iter().map(|row| document(&key, row, reveal)).collect::<Result<_>>()?;
    cx.page_of(Paged { items, page, total }, &[]).await
}

async fn read(cx: Cx) -> Result<Reply> {
    let row: Row = cx
        .app
        .db
        .one(db::AssertSqlSafe(format!("{SELECT} WHERE o.id = $1")), args![cx.path("id")])
        .await?
        .ok_or(Error::NotFound)?;
    let grants = cx.grants(&row.organization_id).await?;
    let row = grants.prove_workspace::<perm::ReadStateOutputs, _>(row)?;
    let key = cx.app.data_key(&row.organization_id).await?;
    Ok(Reply::one(document(&key, &row, true)?))
}

/// An output; a sensitive value only where it may be revealed.
fn document(key: &DataKey, row: &Row, reveal: bool) -> Result<Resource> {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Attributes<'a> {
        name: &'a str,
        sensitive: bool,
        r#type: &'a str,
        value: Option<Box<RawValue>>,
        // Without it the command line reads the whole state instead, for which the caller may lack the permission.
        detailed_type: Box<RawValue>,
    }
    let attributes = Attributes {
        name: &row.name,
        sensitive: row.sensitive,
        r#type: &row.kind,
        value: if reveal || !row.sensitive { Some(raw(open(key, row)?)?) } else { None },
        detailed_type: raw(row.detailed_type.clone())?,
    };
    Ok(Resource::new("state-version-outputs", row.id.as_str(), &attributes)
        .link("self", format!("/api/v2/state-version-outputs/{}", row.id)))
}

fn raw(json: String) -> Result<Box<RawValue>> {
    RawValue::from_string(json).map_err(Error::internal)
}

fn open(key: &DataKey, row: &Row) -> Result<String> {
    let value = key.open(row.id.as_str(), &row.value).map_err(Error::internal)?;
    String::from_utf8(value).map_err(Error::internal)
}
