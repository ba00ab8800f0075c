//! State versions: read, listed, downloaded.
//!
//! A state version is shown whole to whoever may read states, with URLs that give its bytes to anyone who holds them.
//! The URLs for its upload are shown only while it waits for one, and only to those who may write states.
//! Source: the State Versions API; semantics.md §4; sdk-conformance.md §3–§5; cli-protocol.md §1.4.

use crate::{facts::Told, upload};
use authz::{Granted, Grants, InWorkspace, WorkspacePermission, perm};
use axum::http::{Method, StatusCode};
use db::{Arg, FromRow, Tx, args};
use http_api::{App, Cx, Error, Linkage, Reply, Resource, Result, Routes, include::Loaders};
use kernel::{
    Paged, Timestamp,
    ids::{BlobId, OrganizationId, ProjectId, RunId, StateVersionId, UserId, WorkspaceId},
};
use serde::Serialize;
use serde_json::{json, value::RawValue};
use std::{collections::HashMap, sync::Arc};
use workspaces::{Workspace, workspaces as table};

/// Seconds within which a redirect to the bytes is followed.
const REDIRECT_SECONDS: i64 = 60;

/// What a state version's document may include.
pub(crate) const INCLUDES: &[&str] =
    &["created_by", "run", "run.created_by", "run.configuration_version", "outputs"];

/// A state version as stored.
#[derive(Clone, Debug, FromRow)]
pub struct StateVersion {
    /// Stable id.
    pub id: StateVersionId,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// Which workspace's state it is, or was.
    pub workspace_id: WorkspaceId,
    project_id: ProjectId,
    /// As claimed by who stored it; the file may have another.
    pub serial: i64,
    lineage: String,
    /// Of the bytes, hex.
    pub md5: String,
    /// `pending`, `finalized` or `discarded`.
    pub status: String,
    /// The state.
    pub blob_id: Option<BlobId>,
    /// The engine's JSON of it, where a client gave it.
    pub json_blob_id: Option<BlobId>,
    run_id: Option<RunId>,
    pub(crate) created_by: UserId,
    terraform_version: Option<String>,
    details: String,
    created_at: Timestamp,
    size: Option<i64>,
}

impl InWorkspace for StateVersion {
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
    "SELECT v.id, w.organization_id, v.workspace_id, w.project_id, v.serial, v.lineage, v.md5, v.status,
    v.blob_id, v.json_blob_id, v.run_id, v.created_by, v.terraform_version, v.details, v.created_at, b.size
  FROM state_versions v JOIN workspaces w ON w.id = v.workspace_id LEFT JOIN blobs b ON b.id = v.blob_id";

/// The operations that read state versions.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::GET, "/state-versions", "state.versions.list", list)
        .op(Method::GET, "/state-versions/{id}", "state.versions.read", read)
        .op(Method::GET, "/state-versions/{id}/download", "state.versions.download", download)
        .op(
            Method::GET,
            "/workspaces/{id}/current-state-version",
            "state.versions.read-current",
            read_current,
        )
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("state-versions", |cx, ids| async move {
        let marks: Vec<String> = (1..=ids.len()).map(|n| format!("${n}")).collect();
        let sql = format!("{SELECT} WHERE v.id IN ({})", marks.join(", "));
        let rows: Vec<StateVersion> =
            cx.app.db.all(db::AssertSqlSafe(sql), ids.iter().map(Arg::from).collect()).await?;
        let mut visible = Vec::new();
        for row in rows {
            let grants = cx.grants(&row.organization_id).await?;
            if let Ok(row) = grants.prove_workspace::<perm::ReadState, _>(row) {
                visible.push((row.into_inner(), grants));
            }
        }
        documents(&cx.app, &visible).await
    });
}

/// The state version of an id with the proof of `P` in its workspace.
///
/// # Errors
/// [`Error::NotFound`] when it is absent or the caller lacks `P`.
pub(crate) async fn granted<P: WorkspacePermission>(
    cx: &Cx,
    id: &str,
) -> Result<(Granted<P, StateVersion>, Arc<Grants>)> {
    let version = by_id(&cx.app, id).await?;
    let grants = cx.grants(&version.organization_id).await?;
    Ok((grants.prove_workspace(version)?, grants))
}

/// A state version without asking who reads.
pub(crate) async fn by_id(app: &App, id: &str) -> Result<StateVersion> {
    app.db
        .one(db::AssertSqlSafe(format!("{SELECT} WHERE v.id = $1")), args![id])
        .await?
        .ok_or(Error::NotFound)
}

/// The same inside a transaction.
pub(crate) async fn in_tx(tx: &mut Tx, id: &StateVersionId) -> Result<StateVersion> {
    tx.one(db::AssertSqlSafe(format!("{SELECT} WHERE v.id = $1")), args![id]).await?.ok_or(Error::NotFound)
}

async fn read(cx: Cx) -> Result<Reply> {
    let (version, grants) = granted::<perm::ReadState>(&cx, cx.path("id")).await?;
    cx.one(one(&cx.app, version.into_inner(), grants).await?, INCLUDES).await
}

async fn read_current(cx: Cx) -> Result<Reply> {
    let (workspace, grants) = table::granted::<perm::ReadState>(&cx).await?;
    let id = workspace.current_state_version_id.as_ref().ok_or(Error::NotFound)?;
    let version = by_id(&cx.app, id.as_str()).await?;
    cx.one(one(&cx.app, version, grants).await?, INCLUDES).await
}

/// 302 to where the bytes are, for as long as a redirect is followed.
async fn download(cx: Cx) -> Result<Reply> {
    let (version, _) = granted::<perm::ReadState>(&cx, cx.path("id")).await?;
    if version.blob_id.is_none() {
        return Err(Error::NotFound);
    }
    let url = cx.app.signed_url(upload::DOWNLOAD, version.id.as_str(), REDIRECT_SECONDS);
    Ok(Reply::Redirect(StatusCode::FOUND, url))
}

async fn list(cx: Cx) -> Result<Reply> {
    let (workspace, grants) = workspace_of_filters(&cx).await?;
    let page = cx.page();
    let mut values = args![&workspace.id];
    let mut condition = "v.workspace_id = $1".to_owned();
    let statuses = cx.query_list("filter[status]");
    if !statuses.is_empty() {
        let marks: Vec<String> = (2..statuses.len() + 2).map(|n| format!("${n}")).collect();
        condition = format!("{condition} AND v.status IN ({})", marks.join(", "));
        values.extend(statuses.into_iter().map(Arg::from));
    }
    let count = format!("SELECT COUNT(*) FROM state_versions v WHERE {condition}");
    let total = cx.app.db.one::<(i64,)>(db::AssertSqlSafe(count), values.clone()).await?.map(|(n,)| n);
    let next = values.len() + 1;
    let sql = format!("{SELECT} WHERE {condition} ORDER BY v.number DESC LIMIT ${next} OFFSET ${}", next + 1);
    values.extend(args![page.limit(), page.offset()]);
    let rows: Vec<StateVersion> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let rows: Vec<_> = rows.into_iter().map(|row| (row, grants.clone())).collect();
    cx.page_of(Paged { items: documents(&cx.app, &rows).await?, page, total }, INCLUDES).await
}

/// The workspace that the list is asked for.
async fn workspace_of_filters(cx: &Cx) -> Result<(Granted<perm::ReadState, Workspace>, Arc<Grants>)> {
    let filter = |name| {
        cx.query(name).filter(|text| !text.is_empty()).ok_or_else(|| {
            Error::bad_request(
                "bad request",
                format!(
                    "the parameter {name} is required: state versions are listed for one workspace, named by \
                     filter[organization][name] and filter[workspace][name]"
                ),
            )
        })
    };
    let (workspace, organization) =
        (filter("filter[workspace][name]")?, filter("filter[organization][name]")?);
    let sql = format!("{} WHERE o.name = $1 AND w.name = $2", table::SELECT);
    let row: Workspace = cx
        .app
        .db
        .one(db::AssertSqlSafe(sql), args![organization, workspace])
        .await?
        .ok_or(Error::NotFound)?;
    let grants = cx.grants(&row.organization_id).await?;
    Ok((grants.prove_workspace(row)?, grants))
}

/// One state version, as the holder of `grants` sees it.
pub(crate) async fn one(app: &App, version: StateVersion, grants: Arc<Grants>) -> Result<Resource> {
    documents(app, &[(version, grants)]).await?.pop().ok_or(Error::NotFound)
}

/// State versions as their documents; their outputs are named by one query.
async fn documents(app: &App, versions: &[(StateVersion, Arc<Grants>)]) -> Result<Vec<Resource>> {
    if versions.is_empty() {
        return Ok(vec![]);
    }
    let marks: Vec<String> = (1..=versions.len()).map(|n| format!("${n}")).collect();
    let sql = format!(
        "SELECT state_version_id, id FROM state_version_outputs WHERE state_version_id IN ({}) ORDER BY name",
        marks.join(", ")
    );
    let ids = versions.iter().map(|(version, _)| Arg::from(&version.id)).collect();
    let mut outputs: HashMap<StateVersionId, Vec<String>> = HashMap::new();
    for (version, id) in app.db.all::<(StateVersionId, String)>(db::AssertSqlSafe(sql), ids).await? {
        outputs.entry(version).or_default().push(id);
    }
    versions
        .iter()
        .map(|(version, grants)| {
            let outputs = outputs.remove(&version.id).unwrap_or_default();
            let writes =
                perm::WriteState::allowed(&grants.workspace(&version.workspace_id, &version.project_id));
            document(app, version, outputs, writes, grants.is_owner())
        })
        .collect()
}

fn document(
    app: &App,
    version: &StateVersion,
    outputs: Vec<String>,
    writes: bool,
    owner: bool,
) -> Result<Resource> {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Attributes<'a> {
        created_at: String,
        size: Option<i64>,
        serial: i64,
        lineage: &'a str,
        md5: &'a str,
        status: &'a str,
        state_version: Option<u64>,
        terraform_version: &'a Option<String>,
        resources_processed: bool,
        resources: &'a RawValue,
        modules: &'a RawValue,
        providers: &'a RawValue,
        billable_rum_count: Option<u64>,
        intermediate: bool,
        vcs_commit_sha: Option<&'a str>,
        vcs_commit_url: Option<&'a str>,
        hosted_state_download_url: Option<String>,
        hosted_json_state_download_url: Option<String>,
        hosted_state_upload_url: Option<String>,
        hosted_json_state_upload_url: Option<String>,
        encrypted_state_download_url: Option<&'a str>,
        sanitized_state_download_url: Option<&'a str>,
        sanitized_state_upload_url: Option<&'a str>,
        permissions: serde_json::Value,
    }
    let finalized = version.status == "finalized";
    let told: Told<'_> = serde_json::from_str(&version.details).map_err(Error::internal)?;
    let empty =
        |text| serde_json::from_str::<&RawValue>(text).expect("an empty list and an empty object are JSON");
    let url = |purpose, shown: bool| {
        shown.then(|| app.signed_url(purpose, version.id.as_str(), app.settings.signed_url_seconds))
    };
    // The JSON of a state may come after the state itself, which already makes the version the current one.
    let waits_for_json =
        writes && version.json_blob_id.is_none() && (finalized || version.status == "pending");
    let attributes = Attributes {
        created_at: version.created_at.iso8601(),
        size: version.size,
        serial: version.serial,
        lineage: &version.lineage,
        md5: &version.md5,
        status: &version.status,
        state_version: told.format,
        terraform_version: &version.terraform_version,
        resources_processed: finalized,
        resources: told.resources.unwrap_or_else(|| empty("[]")),
        modules: told.modules.unwrap_or_else(|| empty("{}")),
        providers: told.providers.unwrap_or_else(|| empty("{}")),
        billable_rum_count: told.format.map(|_| told.billable),
        intermediate: false,
        vcs_commit_sha: None,
        vcs_commit_url: None,
        hosted_state_download_url: url(upload::DOWNLOAD, version.blob_id.is_some()),
        hosted_json_state_download_url: url(upload::DOWNLOAD_JSON, version.json_blob_id.is_some()),
        hosted_state_upload_url: url(upload::UPLOAD, writes && version.status == "pending"),
        hosted_json_state_upload_url: url(upload::UPLOAD_JSON, waits_for_json),
        encrypted_state_download_url: None,
        sanitized_state_download_url: None,
        sanitized_state_upload_url: None,
        permissions: json!({ "can-restore-backing-data": owner && version.status == "backing_data_soft_deleted" }),
    };
    Ok(Resource::new("state-versions", version.id.as_str(), &attributes)
        .relate("run", Linkage::maybe("runs", version.run_id.as_ref().map(RunId::as_str)))
        .relate("created-by", Linkage::One("users", version.created_by.to_string()))
        .relate("workspace", Linkage::One("workspaces", version.workspace_id.to_string()))
        .relate("outputs", Linkage::Many("state-version-outputs", outputs))
        .link("self", format!("/api/v2/state-versions/{}", version.id)))
}
