//! Plans and applies: the two halves of a run, their logs and what the plan says in JSON.
//!
//! Neither is listed; each is read by its id or through its run. Source: the Plans and Applies APIs; semantics.md §1.8.

use crate::{
    document::{timestamps, workspaces_of},
    jobs::Jobs,
    life::Counts,
    logs, plan_exports,
    runs::{self, COLUMNS, Row, Run},
};
use authz::{Actor, Granted, Grants, WorkspacePermission, perm};
use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use db::{Arg, args};
use http_api::{App, Cx, Error, Linkage, Reply, Resource, Result, Routes, blobs, include::Loaders};
use serde_json::json;
use std::sync::Arc;
use workspaces::Workspace;

/// Seconds that the URL of a plan's JSON or of an errored state is good for.
const SHORT: i64 = 60;

/// The operations on plans and applies.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::GET, "/plans/{id}", "runs.plans.read", read_plan)
        .op(Method::GET, "/plans/{id}/json-output", "runs.plans.json", plan_json)
        .op(Method::GET, "/plans/{id}/json-output-redacted", "runs.plans.redacted-json", redacted_json)
        .op(Method::GET, "/plans/{id}/json-schema", "runs.plans.json-schema", json_schema)
        .op(Method::GET, "/runs/{id}/plan", "runs.plans.read-of-run", read_plan)
        .op(Method::GET, "/runs/{id}/plan/json-output", "runs.plans.json-of-run", plan_json)
        .op(
            Method::GET,
            "/runs/{id}/plan/json-output-redacted",
            "runs.plans.redacted-json-of-run",
            redacted_json,
        )
        .op(Method::GET, "/runs/{id}/plan/json-schema", "runs.plans.json-schema-of-run", json_schema)
        .op(Method::GET, "/runs/{id}/apply", "runs.applies.read-of-run", read_apply)
        .op(Method::GET, "/applies/{id}", "runs.applies.read", read_apply)
        .op(Method::GET, "/applies/{id}/errored-state", "runs.applies.errored-state", errored_state)
        .op(Method::GET, "/runs/{id}/exec-file", "runs.exec-files.read", exec_file)
        .signed(Method::GET, "/_object/plan-json/{token}", "runs.plans.json-content", json_content)
        .signed(
            Method::GET,
            "/_object/plan-schemas/{token}",
            "runs.plans.json-schema-content",
            schema_content,
        )
        .signed(
            Method::GET,
            "/_object/errored-states/{token}",
            "runs.applies.errored-state-content",
            state_content,
        )
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("plans", |cx, ids| async move { included(&cx, "plan_id", ids, plan_document).await });
    loaders.add("applies", |cx, ids| async move { included(&cx, "apply_id", ids, apply_document).await });
}

async fn included(
    cx: &Cx,
    column: &str,
    ids: Vec<String>,
    document: fn(&App, &Run, &Grants, &Workspace) -> Resource,
) -> Result<Vec<Resource>> {
    let marks: Vec<String> = (1..=ids.len()).map(|n| format!("${n}")).collect();
    let sql = format!("SELECT {COLUMNS} FROM runs WHERE {column} IN ({})", marks.join(", "));
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), ids.iter().map(Arg::from).collect()).await?;
    let runs: Vec<Run> = rows.into_iter().map(Run::decode).collect::<Result<_>>()?;
    let known = workspaces_of(cx, &runs).await?;
    let shown = runs.iter().filter_map(|run| {
        let (workspace, grants) = known.get(&run.row.workspace_id)?;
        Some(document(&cx.app, run, grants, workspace))
    });
    Ok(shown.collect())
}

/// The run whose plan or apply the path names, by its own id or the run's, with the proof of `P`.
async fn granted<P: WorkspacePermission>(cx: &Cx) -> Result<(Run, Granted<P, Workspace>, Arc<Grants>)> {
    let id = cx.path("id");
    let column = match id.split('-').next() {
        Some("plan") => "plan_id",
        Some("apply") => "apply_id",
        _ => "id",
    };
    let sql = format!("SELECT {COLUMNS} FROM runs WHERE {column} = $1");
    let row: Row = cx.app.db.one(db::AssertSqlSafe(sql), args![id]).await?.ok_or(Error::NotFound)?;
    let run = Run::decode(row)?;
    let (workspace, grants) =
        workspaces::workspaces::granted_by_id::<P>(cx, run.row.workspace_id.as_str()).await?;
    Ok((run, workspace, grants))
}

async fn read_plan(cx: Cx) -> Result<Reply> {
    let (run, workspace, grants) = granted::<perm::ReadRun>(&cx).await?;
    let exports = plan_exports::of_run(&cx.app, run.id()).await?;
    let document = plan_document(&cx.app, &run, &grants, &workspace)
        .relate("exports", Linkage::Many("plan-exports", exports));
    cx.one(document, &["run", "state_versions"]).await
}

async fn read_apply(cx: Cx) -> Result<Reply> {
    let (run, workspace, grants) = granted::<perm::ReadRun>(&cx).await?;
    cx.one(apply_document(&cx.app, &run, &grants, &workspace), &["run", "state_versions"]).await
}

async fn plan_json(cx: Cx) -> Result<Reply> {
    if matches!(
        cx.actor()?,
        Actor::Organization { .. } | Actor::AuditTrail { .. } | Actor::Scim { .. } | Actor::Run { .. }
    ) {
        return Err(Error::NotFound);
    }
    let (run, ..) = granted::<perm::ReadPlanJson>(&cx).await?;
    if run.row.plan_json_id.is_none() {
        return unfinished(&run);
    }
    let url = cx.app.signed_url("plan-json", run.id().as_str(), SHORT);
    Ok(Reply::Redirect(StatusCode::TEMPORARY_REDIRECT, url))
}

/// 204 while the plan may still come; 404 when it never will.
fn unfinished(run: &Run) -> Result<Reply> {
    if run.life.plan.status.is_final() { Err(Error::NotFound) } else { Ok(Reply::no_content()) }
}

async fn redacted_json(cx: Cx) -> Result<Reply> {
    let (run, ..) = granted::<perm::ReadRun>(&cx).await?;
    match &run.row.plan_redacted_id {
        Some(blob) => Ok(Reply::bytes("application/json", blobs::stream(&cx.app, blob).await?)),
        None => unfinished(&run),
    }
}

async fn json_content(cx: Cx) -> Result<Reply> {
    let id = cx.app.verify_signed("plan-json", cx.path("token"))?;
    let blob = runs::by_id(&cx.app, &id).await?.row.plan_json_id.ok_or(Error::NotFound)?;
    Ok(Reply::bytes("application/json", blobs::stream(&cx.app, &blob).await?))
}

/// What the engine says of the providers in the plan; no longer than the runner keeps it.
async fn json_schema(cx: Cx) -> Result<Reply> {
    let (run, ..) = granted::<perm::ReadRun>(&cx).await?;
    if run.row.plan_json_id.is_none() {
        return unfinished(&run);
    }
    schemas(&cx.app, &run).await?;
    let url = cx.app.signed_url("plan-schemas", run.id().as_str(), SHORT);
    Ok(Reply::Redirect(StatusCode::TEMPORARY_REDIRECT, url))
}

async fn schema_content(cx: Cx) -> Result<Reply> {
    let id = cx.app.verify_signed("plan-schemas", cx.path("token"))?;
    let schemas = schemas(&cx.app, &runs::by_id(&cx.app, &id).await?).await?;
    Ok(Reply::bytes("application/json", Body::from(schemas)))
}

async fn schemas(app: &App, run: &Run) -> Result<Vec<u8>> {
    let key = run.results.schemas_key.clone().ok_or(Error::NotFound)?;
    let runner = app.area::<Jobs>().runner.clone();
    blobs::blocking(move || runner.schemas(&key).ok_or(Error::NotFound)).await
}

/// The file that an operation made.
async fn exec_file(cx: Cx) -> Result<Reply> {
    let (run, ..) = granted::<perm::ReadState>(&cx).await?;
    let blob = run.row.kept_id.filter(|_| run.options.exec.is_some()).ok_or(Error::NotFound)?;
    Ok(Reply::bytes("application/octet-stream", blobs::stream(&cx.app, &blob).await?))
}

/// The state that an apply left and that could not become the workspace's current one.
async fn errored_state(cx: Cx) -> Result<Reply> {
    let (run, ..) = granted::<perm::ReadState>(&cx).await?;
    if !run.results.errored_state || run.row.snapshot_id.is_none() {
        return Err(Error::NotFound);
    }
    let url = cx.app.signed_url("errored-states", run.id().as_str(), SHORT);
    Ok(Reply::Redirect(StatusCode::TEMPORARY_REDIRECT, url))
}

async fn state_content(cx: Cx) -> Result<Reply> {
    let id = cx.app.verify_signed("errored-states", cx.path("token"))?;
    let blob = runs::by_id(&cx.app, &id).await?.row.snapshot_id.ok_or(Error::NotFound)?;
    Ok(Reply::bytes("application/json", blobs::stream(&cx.app, &blob).await?))
}

fn plan_document(app: &App, run: &Run, grants: &Grants, workspace: &Workspace) -> Resource {
    let counts = run.life.counts;
    let count = |pick: fn(Counts) -> u32| counts.map(pick);
    let held = grants.workspace(&workspace.id, &workspace.project_id);
    // The log of an operation shows what only those may see who may read the state.
    let readable = run.options.exec.is_none() || perm::ReadState::allowed(&held);
    let attributes = json!({
        "execution-details": { "mode": "remote" },
        "generated-configuration": run.results.generated_configuration,
        "has-changes": run.life.has_changes.unwrap_or(false),
        "resource-additions": count(|c| c.additions), "resource-changes": count(|c| c.changes),
        "resource-destructions": count(|c| c.destructions), "resource-imports": count(|c| c.imports),
        "status": run.life.plan.status.as_str(), "status-timestamps": timestamps(&run.life.plan.status_timestamps),
        "structured-run-output-enabled": run.results.structured_output,
        "log-read-url": readable.then(|| logs::url(app, run.row.plan_id.as_str())),
        "actions": { "is-exportable": run.row.plan_json_id.is_some() },
        "permissions": held.plan_document(),
    });
    let path = format!("/api/v2/plans/{}", run.row.plan_id);
    Resource::new("plans", run.row.plan_id.as_str(), &attributes)
        .relate("run", Linkage::One("runs", run.id().to_string()))
        .relate("state-versions", Linkage::Many("state-versions", vec![]))
        .relate("exports", Linkage::Many("plan-exports", vec![]))
        .link("json-output", format!("{path}/json-output"))
        .link("json-output-redacted", format!("{path}/json-output-redacted"))
        .link("self", path)
}

fn apply_document(app: &App, run: &Run, _: &Grants, _: &Workspace) -> Resource {
    let count = |pick: fn(Counts) -> u32| run.results.applied.map(pick);
    let attributes = json!({
        "execution-details": { "mode": "remote" },
        "resource-additions": count(|c| c.additions), "resource-changes": count(|c| c.changes),
        "resource-destructions": count(|c| c.destructions), "resource-imports": count(|c| c.imports),
        "status": run.life.apply.status.as_str(), "status-timestamps": timestamps(&run.life.apply.status_timestamps),
        "structured-run-output-enabled": run.results.structured_output,
        "log-read-url": logs::url(app, run.row.apply_id.as_str()),
    });
    let versions = run.row.state_version_id.iter().map(ToString::to_string).collect();
    let path = format!("/api/v2/applies/{}", run.row.apply_id);
    let resource = Resource::new("applies", run.row.apply_id.as_str(), &attributes)
        .relate("run", Linkage::One("runs", run.id().to_string()))
        .relate("state-versions", Linkage::Many("state-versions", versions))
        .link("self", path.as_str());
    if run.results.errored_state {
        resource.link("errored-state", format!("{path}/errored-state"))
    } else {
        resource
    }
}
