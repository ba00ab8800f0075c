//! Exports of plans: `/plan-exports`. The one kind there is holds mock data for Sentinel, made from the plan's JSON.
//!
//! An export is made while its request waits, so it is finished at once. It can be downloaded for an hour. What is in it:
//! [`mocks`]. Source: the Plan Exports API.

mod mocks;

use crate::runs::{self, COLUMNS, Run};
use authz::perm;
use axum::http::{Method, StatusCode};
use db::{FromRow, args};
use http_api::{App, Cx, Data, Error, Linkage, Reply, Resource, Result, Routes, blobs};
use kernel::{
    Timestamp,
    ids::{BlobId, PlanExportId, PlanId, RunId},
};
use serde::Deserialize;
use serde_json::json;

const DATA_TYPE: &str = "sentinel-mock-bundle-v0";
/// Seconds that an export can be downloaded.
const LIFE: i64 = 3600;
/// Seconds within which a redirect to the bytes is followed.
const REDIRECT: i64 = 60;

#[derive(Clone, Debug, FromRow)]
struct Row {
    id: PlanExportId,
    run_id: RunId,
    plan_id: PlanId,
    data_type: String,
    blob_id: Option<BlobId>,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
}

const SELECT: &str = "SELECT e.id, e.run_id, r.plan_id, e.data_type, e.blob_id, e.created_at, e.finished_at
  FROM plan_exports e JOIN runs r ON r.id = e.run_id";

/// The operations on exports.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::POST, "/plan-exports", "runs.plan-exports.create", create)
        .op(Method::GET, "/plan-exports/{id}", "runs.plan-exports.read", read)
        .op(Method::DELETE, "/plan-exports/{id}", "runs.plan-exports.delete", delete)
        .op(Method::GET, "/plan-exports/{id}/download", "runs.plan-exports.download", download)
        .signed(Method::GET, "/_object/plan-exports/{token}", "runs.plan-exports.content", content)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    data_type: Option<String>,
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let data: Data<Attributes> = cx.data().await?;
    let plan = data.related("plan").ok_or_else(|| Error::invalid("plan", "Plan can't be blank"))?;
    let sql = format!("SELECT {COLUMNS} FROM runs WHERE plan_id = $1");
    let row: runs::Row = cx.app.db.one(db::AssertSqlSafe(sql), args![plan]).await?.ok_or(Error::NotFound)?;
    let run = Run::decode(row)?;
    let (workspace, _) =
        workspaces::workspaces::granted_by_id::<perm::ReadSentinelMocks>(&cx, run.row.workspace_id.as_str())
            .await?;
    if data.attributes.data_type.as_deref() != Some(DATA_TYPE) {
        return Err(Error::invalid("data-type", format!("Data type must be {DATA_TYPE}")));
    }
    let Some(blob) = &run.row.plan_json_id else {
        return Err(Error::Unprocessable(format!(
            "the plan {plan} is {} and has no data to export; a plan that is finished has",
            run.life.plan.status.as_str()
        )));
    };
    let plan_json = blobs::read(&cx.app, blob).await?;
    let about = mocks::about(&cx.app, &run, &workspace).await?;
    let bundle = blobs::blocking(move || mocks::bundle(&plan_json, &about)).await?;
    let bundle = blobs::write(&cx.app, &run.row.organization_id, "plan-export", bundle).await?;
    let id = PlanExportId::new(&cx.app.env);
    let now = cx.app.now();
    let mut tx = cx.app.db.begin().await?;
    let blob = bundle.insert(&mut tx, now).await?;
    tx.exec(
        "INSERT INTO plan_exports (id, run_id, data_type, status, blob_id, created_at, finished_at)
         VALUES ($1, $2, $3, 'finished', $4, $5, $5)",
        args![&id, run.id(), DATA_TYPE, &blob, now],
    )
    .await?;
    tx.commit().await?;
    let row = by_id(&cx.app, id.as_str()).await?;
    Ok(Reply::created(document(&row, now)))
}

async fn by_id(app: &App, id: &str) -> Result<Row> {
    let sql = format!("{SELECT} WHERE e.id = $1");
    app.db.one(db::AssertSqlSafe(sql), args![id]).await?.ok_or(Error::NotFound)
}

/// The export of the path, which the caller may see.
async fn find(cx: &Cx) -> Result<Row> {
    let row = by_id(&cx.app, cx.path("id")).await?;
    let run = runs::by_id(&cx.app, row.run_id.as_str()).await?;
    workspaces::workspaces::granted_by_id::<perm::ReadSentinelMocks>(cx, run.row.workspace_id.as_str())
        .await?;
    Ok(row)
}

async fn read(cx: Cx) -> Result<Reply> {
    let row = find(&cx).await?;
    Ok(Reply::one(document(&row, cx.app.now())))
}

async fn delete(cx: Cx) -> Result<Reply> {
    let row = find(&cx).await?;
    let mut tx = cx.app.db.begin().await?;
    tx.exec("DELETE FROM plan_exports WHERE id = $1", args![&row.id]).await?;
    runs::delete_blobs(&mut tx, [row.blob_id]).await?;
    tx.commit().await?;
    Ok(Reply::no_content())
}

async fn download(cx: Cx) -> Result<Reply> {
    let row = find(&cx).await?;
    if row.blob_id.is_none() || row.expired(cx.app.now()) {
        return Err(Error::NotFound);
    }
    let url = cx.app.signed_url("plan-exports", row.id.as_str(), REDIRECT);
    Ok(Reply::Redirect(StatusCode::FOUND, url))
}

async fn content(cx: Cx) -> Result<Reply> {
    let id = cx.app.verify_signed("plan-exports", cx.path("token"))?;
    let blob = by_id(&cx.app, &id).await?.blob_id.ok_or(Error::NotFound)?;
    Ok(Reply::bytes("application/gzip", blobs::stream(&cx.app, &blob).await?))
}

impl Row {
    fn ends(&self) -> Timestamp {
        self.finished_at.unwrap_or(self.created_at).plus_seconds(LIFE)
    }

    fn expired(&self, now: Timestamp) -> bool {
        self.ends() <= now
    }
}

fn document(row: &Row, now: Timestamp) -> Resource {
    let expired = row.expired(now);
    let mut timestamps = json!({ "queued-at": row.created_at.rfc3339() });
    if let Some(at) = row.finished_at {
        timestamps["finished-at"] = json!(at.rfc3339());
    }
    if expired {
        timestamps["expired-at"] = json!(row.ends().rfc3339());
    }
    let attributes = json!({
        "data-type": row.data_type, "status": if expired { "expired" } else { "finished" },
        "status-timestamps": timestamps,
    });
    Resource::new("plan-exports", row.id.as_str(), &attributes)
        .relate("plan", Linkage::One("plans", row.plan_id.to_string()))
        .link("self", format!("/api/v2/plan-exports/{}", row.id))
}

/// The exports of a run's plan, oldest first.
pub(crate) async fn of_run(app: &App, run: &RunId) -> Result<Vec<String>> {
    let sql = "SELECT id FROM plan_exports WHERE run_id = $1 ORDER BY created_at, id";
    Ok(app.db.all::<(String,)>(sql, args![run]).await?.into_iter().map(|(id,)| id).collect())
}

/// Deletes the bytes of exports that can no longer be downloaded.
pub(crate) async fn expire(app: &App) -> Result<()> {
    let before = app.now().plus_seconds(-LIFE);
    let mut tx = app.db.begin().await?;
    tx.exec(
        "DELETE FROM blobs WHERE id IN
           (SELECT blob_id FROM plan_exports WHERE blob_id IS NOT NULL AND finished_at <= $1)",
        args![before],
    )
    .await?;
    tx.exec(
        "UPDATE plan_exports SET blob_id = NULL, status = 'expired' WHERE finished_at <= $1",
        args![before],
    )
    .await?;
    tx.commit().await
}
