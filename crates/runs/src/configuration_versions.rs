//! Configuration versions: what a run works on.
//!
//! Made first, uploaded second ([`crate::upload`]). The upload URL is shown once, in the answer that made it. A normal
//! version becomes its workspace's current one when it is made, a speculative or provisional one does not.
//! Source: the Configuration Versions API; semantics.md §3.

use crate::runs::{self, Run};
use authz::{Granted, Grants, RunsLevel, perm};
use axum::http::{Method, StatusCode};
use db::{FromRow, Tx, args};
use http_api::{App, Cx, Data, Error, Linkage, Reply, Resource, Result, Routes, blobs, include::Loaders};
use kernel::{
    Paged, Timestamp,
    ids::{BlobId, ConfigurationVersionId, UserId, WorkspaceId},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};
use workspaces::{Workspace, workspaces::hold};

/// A configuration version as stored.
#[derive(Clone, Debug, FromRow)]
pub struct ConfigurationVersion {
    /// Stable id.
    pub id: ConfigurationVersionId,
    /// Whose configuration it is.
    pub workspace_id: WorkspaceId,
    /// Order within the workspace, from 1.
    pub number: i64,
    /// `pending`, `uploaded`, `errored` or `archived`; or what was deleted of it.
    pub status: String,
    source: String,
    /// Whether the upload makes a run.
    pub auto_queue_runs: bool,
    /// Whether it can only be planned.
    pub speculative: bool,
    /// Whether it becomes current only when its run is applied.
    pub provisional: bool,
    error: Option<String>,
    error_message: Option<String>,
    /// The archive, byte for byte as uploaded.
    pub blob_id: Option<BlobId>,
    /// The same, after it was deleted for now.
    pub deleted_blob_id: Option<BlobId>,
    /// Whose runs the upload makes.
    pub created_by: UserId,
    creator: String,
    timestamps: String,
    created_at: Timestamp,
}

/// All columns of [`ConfigurationVersion`].
pub const COLUMNS: &str =
    "id, workspace_id, number, status, source, auto_queue_runs, speculative, provisional, error,
    error_message, blob_id, deleted_blob_id, created_by, creator, timestamps, created_at";

/// Who made a configuration version, as far as the run counts that its upload makes: the upload carries no token.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Creator {
    /// Whether they had runs:apply then.
    pub may_apply: bool,
}

impl ConfigurationVersion {
    /// See [`Creator`].
    pub fn creator(&self) -> Creator {
        serde_json::from_str(&self.creator).unwrap_or_default()
    }

    /// Notes when the status was reached.
    pub fn reach(&mut self, status: &str, now: Timestamp) {
        self.status = status.to_owned();
        let mut reached: BTreeMap<String, Timestamp> =
            serde_json::from_str(&self.timestamps).unwrap_or_default();
        reached.insert(format!("{}-at", status.replace('_', "-")), now);
        if status == "uploaded" {
            reached.insert("finished-at".to_owned(), now);
        }
        self.timestamps = json!(reached).to_string();
    }

    /// Notes why the upload failed.
    pub fn fail(&mut self, error: Option<&str>, message: Option<String>) {
        self.error = error.map(str::to_owned);
        self.error_message = message;
    }

    /// Writes what may change.
    pub async fn store(&self, tx: &mut Tx) -> Result<()> {
        tx.exec(
            "UPDATE configuration_versions SET status = $2, error = $3, error_message = $4, blob_id = $5,
               timestamps = $6, deleted_blob_id = $7 WHERE id = $1",
            args![
                &self.id,
                &self.status,
                self.error.clone(),
                self.error_message.clone(),
                self.blob_id.as_ref(),
                &self.timestamps,
                self.deleted_blob_id.as_ref()
            ],
        )
        .await
        .map(drop)
    }
}

const INCLUDES: &[&str] = &["ingress_attributes", "run"];

/// Its bytes are deleted and can be restored.
const SOFT_DELETED: &str = "backing_data_soft_deleted";
/// Its bytes are gone.
pub(crate) const PERMANENTLY_DELETED: &str = "backing_data_permanently_deleted";

/// The operations on configuration versions, but for the upload.
pub fn routes() -> Routes {
    let list = "/workspaces/{id}/configuration-versions";
    Routes::new()
        .op(Method::GET, list, "runs.configuration-versions.list", index)
        .op(Method::POST, list, "runs.configuration-versions.create", create)
        .op(Method::GET, "/configuration-versions/{id}", "runs.configuration-versions.read", read)
        .op(
            Method::GET,
            "/configuration-versions/{id}/download",
            "runs.configuration-versions.download",
            download,
        )
        .op(
            Method::POST,
            "/configuration-versions/{id}/actions/archive",
            "runs.configuration-versions.archive",
            archive,
        )
        .op(
            Method::POST,
            "/configuration-versions/{id}/actions/soft_delete_backing_data",
            "runs.configuration-versions.soft-delete-backing-data",
            soft_delete,
        )
        .op(
            Method::POST,
            "/configuration-versions/{id}/actions/restore_backing_data",
            "runs.configuration-versions.restore-backing-data",
            restore,
        )
        .op(
            Method::POST,
            "/configuration-versions/{id}/actions/permanently_delete_backing_data",
            "runs.configuration-versions.permanently-delete-backing-data",
            permanently_delete,
        )
        .op(
            Method::GET,
            "/runs/{id}/configuration-version",
            "runs.configuration-versions.read-of-run",
            read_of_run,
        )
        .op(
            Method::GET,
            "/runs/{id}/configuration-version/download",
            "runs.configuration-versions.download-of-run",
            download_of_run,
        )
        .signed(
            Method::GET,
            "/_object/configurations/{token}",
            "runs.configuration-versions.download-content",
            download_content,
        )
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("configuration-versions", |cx, ids| async move {
        let marks: Vec<String> = (1..=ids.len()).map(|n| format!("${n}")).collect();
        let sql = format!("SELECT {COLUMNS} FROM configuration_versions WHERE id IN ({})", marks.join(", "));
        let rows: Vec<ConfigurationVersion> =
            cx.app.db.all(db::AssertSqlSafe(sql), ids.iter().map(db::Arg::from).collect()).await?;
        let of = rows.iter().map(|row| row.workspace_id.clone());
        let readable = workspaces::workspaces::granted_among::<perm::ReadRun>(&cx, of).await?;
        Ok(rows.iter().filter(|row| readable.contains_key(&row.workspace_id)).map(document).collect())
    });
}

/// The configuration version of an id, without asking who reads.
pub async fn by_id(app: &App, id: &str) -> Result<ConfigurationVersion> {
    app.db
        .one(
            db::AssertSqlSafe(format!("SELECT {COLUMNS} FROM configuration_versions WHERE id = $1")),
            args![id],
        )
        .await?
        .ok_or(Error::NotFound)
}

/// The configuration version of an id with the proof of `P` in its workspace.
pub async fn granted<P: authz::WorkspacePermission>(
    cx: &Cx,
    id: &str,
) -> Result<(ConfigurationVersion, Granted<P, Workspace>, Arc<Grants>)> {
    let version = by_id(&cx.app, id).await?;
    let (workspace, grants) =
        workspaces::workspaces::granted_by_id::<P>(cx, version.workspace_id.as_str()).await?;
    Ok((version, workspace, grants))
}

async fn index(cx: Cx) -> Result<Reply> {
    let (workspace, _) = workspaces::workspaces::granted::<perm::ReadRun>(&cx).await?;
    let page = cx.page();
    let total: Option<(i64,)> = cx
        .app
        .db
        .one("SELECT COUNT(*) FROM configuration_versions WHERE workspace_id = $1", args![&workspace.id])
        .await?;
    let sql = format!(
        "SELECT {COLUMNS} FROM configuration_versions WHERE workspace_id = $1 ORDER BY number DESC LIMIT $2 OFFSET $3"
    );
    let rows: Vec<ConfigurationVersion> =
        cx.app.db.all(db::AssertSqlSafe(sql), args![&workspace.id, page.limit(), page.offset()]).await?;
    let items = rows.iter().map(document).collect();
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, INCLUDES).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    auto_queue_runs: Option<bool>,
    speculative: Option<bool>,
    provisional: Option<bool>,
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let (workspace, grants) = workspaces::workspaces::granted::<perm::QueuePlan>(&cx).await?;
    let data: Data<Attributes> = cx.data().await?;
    let may_apply = grants.workspace(&workspace.id, &workspace.project_id).runs >= RunsLevel::Apply;
    let app = cx.app.clone();
    let mut tx = app.db.begin().await?;
    hold(&mut tx, &workspace.id).await?;
    let newest: Option<(Option<i64>,)> = tx
        .one("SELECT MAX(number) FROM configuration_versions WHERE workspace_id = $1", args![&workspace.id])
        .await?;
    let version = ConfigurationVersion {
        id: ConfigurationVersionId::new(&app.env),
        workspace_id: workspace.id.clone(),
        number: newest.and_then(|(n,)| n).unwrap_or(0) + 1,
        status: "pending".to_owned(),
        source: source(&cx),
        auto_queue_runs: data.attributes.auto_queue_runs.unwrap_or(true),
        speculative: data.attributes.speculative.unwrap_or(false),
        provisional: data.attributes.provisional.unwrap_or(false),
        error: None,
        error_message: None,
        blob_id: None,
        deleted_blob_id: None,
        created_by: cx.actor()?.user_id().clone(),
        creator: serde_json::to_string(&Creator { may_apply }).map_err(Error::internal)?,
        timestamps: "{}".to_owned(),
        created_at: app.now(),
    };
    insert(&mut tx, &version).await?;
    if !version.speculative && !version.provisional {
        tx.exec(
            "UPDATE workspaces SET current_configuration_version_id = $2 WHERE id = $1",
            args![&workspace.id, &version.id],
        )
        .await?;
    }
    tx.commit().await?;
    let url = app.signed_url(crate::upload::PURPOSE, version.id.as_str(), app.settings.signed_url_seconds);
    Ok(Reply::created(document_with_upload(&version, Some(&url))))
}

/// The command line marks itself; everything else is the API.
fn source(cx: &Cx) -> String {
    let integration = cx.header("x-terraform-integration");
    let from_cli = cx.header("terraform-version").is_some();
    match (integration, from_cli) {
        (Some("cloud"), _) => "terraform+cloud",
        (_, true) => "terraform",
        _ => "tfe-api",
    }
    .to_owned()
}

async fn insert(tx: &mut Tx, v: &ConfigurationVersion) -> Result<()> {
    tx.exec(
        "INSERT INTO configuration_versions (id, workspace_id, number, status, source, auto_queue_runs, speculative,
           provisional, created_by, creator, timestamps, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        args![
            &v.id,
            &v.workspace_id,
            v.number,
            &v.status,
            &v.source,
            v.auto_queue_runs,
            v.speculative,
            v.provisional,
            &v.created_by,
            &v.creator,
            &v.timestamps,
            v.created_at
        ],
    )
    .await
    .map(drop)
}

async fn read(cx: Cx) -> Result<Reply> {
    let (version, ..) = granted::<perm::ReadRun>(&cx, cx.path("id")).await?;
    cx.one(document(&version), INCLUDES).await
}

/// The run that the path names, if the caller may read runs in its workspace.
async fn run_of_path(cx: &Cx) -> Result<Run> {
    let run = runs::by_id(&cx.app, cx.path("id")).await?;
    workspaces::workspaces::granted_by_id::<perm::ReadRun>(cx, run.row.workspace_id.as_str()).await?;
    Ok(run)
}

async fn read_of_run(cx: Cx) -> Result<Reply> {
    let run = run_of_path(&cx).await?;
    let version = by_id(&cx.app, run.row.configuration_version_id.as_str()).await?;
    cx.one(document(&version), INCLUDES).await
}

async fn download(cx: Cx) -> Result<Reply> {
    let (version, ..) = granted::<perm::ReadRun>(&cx, cx.path("id")).await?;
    redirect(&cx.app, &version)
}

async fn download_of_run(cx: Cx) -> Result<Reply> {
    let run = run_of_path(&cx).await?;
    let version = by_id(&cx.app, run.row.configuration_version_id.as_str()).await?;
    redirect(&cx.app, &version)
}

/// 302 to where the bytes are, for as long as a redirect is followed.
fn redirect(app: &App, version: &ConfigurationVersion) -> Result<Reply> {
    if version.status != "uploaded" || version.blob_id.is_none() {
        return Err(Error::NotFound);
    }
    Ok(Reply::Redirect(StatusCode::FOUND, app.signed_url("configurations", version.id.as_str(), 60)))
}

async fn download_content(cx: Cx) -> Result<Reply> {
    let id = cx.app.verify_signed("configurations", cx.path("token"))?;
    let blob = by_id(&cx.app, &id).await?.blob_id.ok_or(Error::NotFound)?;
    Ok(Reply::bytes("application/gzip", blobs::stream(&cx.app, &blob).await?))
}

async fn archive(cx: Cx) -> Result<Reply> {
    let (version, workspace, _) = granted::<perm::QueuePlan>(&cx, cx.path("id")).await?;
    let mut tx = cx.app.db.begin().await?;
    let held = hold(&mut tx, &workspace.id).await?;
    let mut version = in_tx(&mut tx, &version.id).await?;
    let refuse =
        |why: &str| Err(Error::transition(format!("configuration could not be archived because {why}")));
    if held.current_configuration_version_id.as_ref() == Some(&version.id) {
        return refuse("it is current");
    }
    if version.status != "uploaded" {
        return refuse(&format!("it is {}, and only an uploaded one can be", version.status));
    }
    let in_use: Option<(String,)> = tx
        .one(
            "SELECT id FROM runs WHERE configuration_version_id = $1 AND final = FALSE LIMIT 1",
            args![&version.id],
        )
        .await?;
    if let Some((run,)) = in_use {
        return refuse(&format!("{run} still uses it"));
    }
    runs::delete_blobs(&mut tx, [version.blob_id.take()]).await?;
    version.reach("archived", cx.app.now());
    version.store(&mut tx).await?;
    tx.commit().await?;
    Ok(Reply::accepted())
}

/// 400, as the actions on a version's bytes answer in a wrong state.
fn deletion_refused(version: &ConfigurationVersion, wanted: &str) -> Error {
    Error::bad_request(
        "transition not allowed",
        format!(
            "transition not allowed: the data of {} can be {wanted}, and it is {}",
            version.id, version.status
        ),
    )
}

/// The version of the path in a transaction that holds its workspace, for an owner; and whether it is needed: it is the
/// current one, or an unfinished run uses it.
async fn begin_deletion(cx: &Cx) -> Result<(Tx, ConfigurationVersion, bool)> {
    let (version, workspace, grants) = granted::<perm::ReadRun>(cx, cx.path("id")).await?;
    if !grants.is_owner() {
        return Err(Error::NotFound);
    }
    let mut tx = cx.app.db.begin().await?;
    let held = hold(&mut tx, &workspace.id).await?;
    let version = in_tx(&mut tx, &version.id).await?;
    let sql = "SELECT id FROM runs WHERE configuration_version_id = $1 AND final = FALSE LIMIT 1";
    let in_use: Option<(String,)> = tx.one(sql, args![&version.id]).await?;
    let current = held.current_configuration_version_id.as_ref() == Some(&version.id);
    Ok((tx, version, current || in_use.is_some()))
}

async fn finish_deletion(
    cx: &Cx,
    mut tx: Tx,
    mut version: ConfigurationVersion,
    status: &str,
) -> Result<Reply> {
    version.reach(status, cx.app.now());
    version.store(&mut tx).await?;
    tx.commit().await?;
    cx.one(document(&version), INCLUDES).await
}

async fn soft_delete(cx: Cx) -> Result<Reply> {
    let (tx, mut version, needed) = begin_deletion(&cx).await?;
    if version.status != "uploaded" || needed {
        let wanted = "deleted when it is uploaded, neither current nor in use by an unfinished run";
        return Err(deletion_refused(&version, wanted));
    }
    version.deleted_blob_id = version.blob_id.take();
    finish_deletion(&cx, tx, version, SOFT_DELETED).await
}

async fn restore(cx: Cx) -> Result<Reply> {
    let (tx, mut version, _) = begin_deletion(&cx).await?;
    if version.status != SOFT_DELETED {
        return Err(deletion_refused(&version, "restored after it was soft-deleted"));
    }
    version.blob_id = version.deleted_blob_id.take();
    finish_deletion(&cx, tx, version, "uploaded").await
}

async fn permanently_delete(cx: Cx) -> Result<Reply> {
    let (mut tx, mut version, _) = begin_deletion(&cx).await?;
    if version.status != SOFT_DELETED {
        return Err(deletion_refused(&version, "deleted for good after it was soft-deleted"));
    }
    runs::delete_blobs(&mut tx, [version.deleted_blob_id.take()]).await?;
    finish_deletion(&cx, tx, version, PERMANENTLY_DELETED).await
}

/// The configuration version inside a transaction that holds its workspace's row.
pub async fn in_tx(tx: &mut Tx, id: &ConfigurationVersionId) -> Result<ConfigurationVersion> {
    tx.one(
        db::AssertSqlSafe(format!("SELECT {COLUMNS} FROM configuration_versions WHERE id = $1")),
        args![id],
    )
    .await?
    .ok_or(Error::NotFound)
}

/// A configuration version for everyone who may read it: without its upload URL.
pub fn document(version: &ConfigurationVersion) -> Resource {
    document_with_upload(version, None)
}

fn document_with_upload(version: &ConfigurationVersion, upload_url: Option<&str>) -> Resource {
    let timestamps: BTreeMap<String, Timestamp> =
        serde_json::from_str(&version.timestamps).unwrap_or_default();
    let timestamps: BTreeMap<String, String> =
        timestamps.into_iter().map(|(key, at)| (key, at.rfc3339())).collect();
    let mut attributes = json!({
        "auto-queue-runs": version.auto_queue_runs, "error": version.error, "error-message": version.error_message,
        "source": version.source, "speculative": version.speculative, "provisional": version.provisional,
        "status": version.status, "status-timestamps": timestamps, "changed-files": [],
        "created-at": version.created_at.iso8601(),
    });
    if let Some(url) = upload_url {
        attributes["upload-url"] = json!(url);
    }
    let path = format!("/api/v2/configuration-versions/{}", version.id);
    let resource = Resource::new("configuration-versions", version.id.as_str(), &attributes)
        .relate("ingress-attributes", Linkage::None)
        .relate("workspace", Linkage::One("workspaces", version.workspace_id.to_string()))
        .link("self", path.as_str());
    if version.status == "uploaded" {
        resource.link("download", format!("{path}/download"))
    } else {
        resource
    }
}
