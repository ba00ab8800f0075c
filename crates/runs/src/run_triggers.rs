//! Run triggers: applies of one workspace start runs in another. `/workspaces/{id}/run-triggers`, `/run-triggers/{id}`.
//!
//! A successful apply notes, in the transaction that ends its run, a *firing* for each workspace that it triggers
//! ([`note`]). The scheduler turns a firing into a run by one more transaction ([`fire`]), so that a crash loses none and
//! doubles none, and no transaction holds two workspaces. A workspace in which no run can be made now is passed over with a
//! line in the server's log. Source: the Run Triggers API; semantics.md T29, §1.6, §2.

use crate::{
    configuration_versions::ConfigurationVersion,
    create::{self, NewRun},
    life::Asked,
    runs::{self, Options, Run, Variables},
};
use authz::perm;
use axum::http::Method;
use db::{FromRow, Tx, args};
use http_api::{App, Cx, Data, Error, Linkage, Reply, Resource, Result, Routes};
use kernel::{
    Paged, Timestamp,
    ids::{RunId, RunTriggerId, WorkspaceId},
};
use serde::Deserialize;
use serde_json::json;
use workspaces::{Workspace, workspaces as table, workspaces::hold};

/// Workspaces whose applies may start runs in one workspace.
const MOST: i64 = 20;
/// The `source` of a run that a trigger made.
pub const SOURCE: &str = "tfe-run-trigger";

#[derive(Clone, Debug, FromRow)]
struct Row {
    id: RunTriggerId,
    workspace_id: WorkspaceId,
    sourceable_id: WorkspaceId,
    workspace_name: String,
    sourceable_name: String,
    created_at: Timestamp,
}

const SELECT: &str =
    "SELECT t.id, t.workspace_id, t.sourceable_id, w.name AS workspace_name, s.name AS sourceable_name,
    t.created_at
  FROM run_triggers t JOIN workspaces w ON w.id = t.workspace_id JOIN workspaces s ON s.id = t.sourceable_id";

const INCLUDES: &[&str] = &["workspace", "sourceable"];

/// The operations on run triggers.
pub fn routes() -> Routes {
    let list = "/workspaces/{id}/run-triggers";
    Routes::new()
        .op(Method::GET, list, "runs.run-triggers.list", index)
        .op(Method::POST, list, "runs.run-triggers.create", create)
        .op(Method::GET, "/run-triggers/{id}", "runs.run-triggers.read", read)
        .op(Method::DELETE, "/run-triggers/{id}", "runs.run-triggers.delete", delete)
}

async fn index(cx: Cx) -> Result<Reply> {
    let (workspace, _) = table::granted::<perm::ReadRun>(&cx).await?;
    let column = match cx.query("filter[run-trigger][type]") {
        Some("inbound") => "workspace_id",
        Some("outbound") => "sourceable_id",
        _ => {
            return Err(Error::bad_request(
                "bad request",
                "the parameter filter[run-trigger][type] is required: inbound for the workspaces whose applies start \
                 runs here, outbound for those in which applies here start runs",
            ));
        }
    };
    let page = cx.page();
    let count = format!("SELECT COUNT(*) FROM run_triggers WHERE {column} = $1");
    let total: Option<(i64,)> = cx.app.db.one(db::AssertSqlSafe(count), args![&workspace.id]).await?;
    let sql = format!("{SELECT} WHERE t.{column} = $1 ORDER BY t.created_at, t.id LIMIT $2 OFFSET $3");
    let values = args![&workspace.id, page.limit(), page.offset()];
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let items = rows.iter().map(document).collect();
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, INCLUDES).await
}

#[derive(Debug, Default, Deserialize)]
struct NoAttributes {}

async fn create(mut cx: Cx) -> Result<Reply> {
    let (workspace, _) = table::granted::<perm::ManageRunTriggers>(&cx).await?;
    let data: Data<NoAttributes> = cx.data().await?;
    let source = data
        .related("sourceable")
        .ok_or_else(|| Error::invalid("sourceable", "Sourceable can't be blank"))?;
    let (source, _) = table::granted_by_id::<perm::ReadRun>(&cx, source).await?;
    if source.organization_id != workspace.organization_id {
        return Err(Error::NotFound);
    }
    if source.id == workspace.id {
        return Err(Error::invalid("sourceable", "Sourceable can't be the workspace itself"));
    }
    let id = RunTriggerId::new(&cx.app.env);
    let mut tx = cx.app.db.begin().await?;
    hold(&mut tx, &workspace.id).await?;
    refuse_too_many(&mut tx, &workspace.id, &source.id).await?;
    tx.exec(
        "INSERT INTO run_triggers (id, workspace_id, sourceable_id, created_at) VALUES ($1, $2, $3, $4)",
        args![&id, &workspace.id, &source.id, cx.app.now()],
    )
    .await?;
    tx.commit().await?;
    let row = find(&cx.app, id.as_str()).await?;
    cx.created(document(&row), INCLUDES).await
}

async fn refuse_too_many(tx: &mut Tx, workspace: &WorkspaceId, source: &WorkspaceId) -> Result<()> {
    let known: Vec<(WorkspaceId,)> =
        tx.all("SELECT sourceable_id FROM run_triggers WHERE workspace_id = $1", args![workspace]).await?;
    if known.iter().any(|(id,)| id == source) {
        return Err(Error::invalid("sourceable", "Sourceable has already been taken"));
    }
    if i64::try_from(known.len()).is_ok_and(|n| n >= MOST) {
        return Err(Error::invalid(
            "sourceable",
            format!("Sourceable can't be another one: a workspace has at most {MOST} source workspaces"),
        ));
    }
    Ok(())
}

async fn find(app: &App, id: &str) -> Result<Row> {
    let sql = format!("{SELECT} WHERE t.id = $1");
    app.db.one(db::AssertSqlSafe(sql), args![id]).await?.ok_or(Error::NotFound)
}

async fn read(cx: Cx) -> Result<Reply> {
    let row = find(&cx.app, cx.path("id")).await?;
    table::granted_by_id::<perm::ReadRun>(&cx, row.workspace_id.as_str()).await?;
    cx.one(document(&row), INCLUDES).await
}

async fn delete(cx: Cx) -> Result<Reply> {
    let row = find(&cx.app, cx.path("id")).await?;
    table::granted_by_id::<perm::ManageRunTriggers>(&cx, row.workspace_id.as_str()).await?;
    cx.app.db.exec("DELETE FROM run_triggers WHERE id = $1", args![&row.id]).await?;
    Ok(Reply::no_content())
}

fn document(row: &Row) -> Resource {
    let attributes = json!({
        "created-at": row.created_at.iso8601(), "workspace-name": row.workspace_name,
        "sourceable-name": row.sourceable_name,
    });
    Resource::new("run-triggers", row.id.as_str(), &attributes)
        .relate("workspace", Linkage::One("workspaces", row.workspace_id.to_string()))
        .relate("sourceable", Linkage::One("workspaces", row.sourceable_id.to_string()))
        .link("self", format!("/api/v2/run-triggers/{}", row.id))
}

/// Notes what a run that was applied triggers. In the transaction that ends the run; says whether there is anything.
pub(crate) async fn note(tx: &mut Tx, run: &Run, now: Timestamp) -> Result<bool> {
    let noted = tx
        .exec(
            "INSERT INTO run_trigger_firings (run_id, workspace_id, created_at)
             SELECT $1, workspace_id, $3 FROM run_triggers WHERE sourceable_id = $2",
            args![run.id(), &run.row.workspace_id, now],
        )
        .await?;
    Ok(noted > 0)
}

/// Makes the runs that were triggered and are not made yet.
pub(crate) async fn fire(app: &App) -> Result<()> {
    let due: Vec<(RunId, WorkspaceId)> = app
        .db
        .all(
            "SELECT run_id, workspace_id FROM run_trigger_firings ORDER BY created_at, workspace_id LIMIT 100",
            vec![],
        )
        .await?;
    for (source, workspace) in due {
        match fire_one(app, &source, &workspace).await {
            // Either was deleted since, and the firing with it.
            Ok(()) | Err(Error::NotFound) => {}
            // It stays, and what else is to be scheduled must not wait for it.
            Err(error @ (Error::Unavailable(_) | Error::Internal(_))) => {
                tracing::error!(run = %source, %workspace, %error, "a triggered run could not be made; trying again");
            }
            Err(error) => {
                let mut tx = app.db.begin().await?;
                take(&mut tx, &source, &workspace).await?;
                tx.commit().await?;
                pass_over(&source, &workspace, &error.to_string());
            }
        }
    }
    Ok(())
}

fn pass_over(source: &RunId, workspace: &WorkspaceId, why: &str) {
    tracing::warn!(run = %source, %workspace, why, "an apply triggers no run in a workspace that it should");
}

/// Takes a firing; whether it was still there.
async fn take(tx: &mut Tx, source: &RunId, workspace: &WorkspaceId) -> Result<bool> {
    let sql = "DELETE FROM run_trigger_firings WHERE run_id = $1 AND workspace_id = $2";
    Ok(tx.exec(sql, args![source, workspace]).await? > 0)
}

async fn fire_one(app: &App, source: &RunId, workspace: &WorkspaceId) -> Result<()> {
    let source_run = runs::by_id(app, source.as_str()).await?;
    let from = table::by_id(app, source_run.row.workspace_id.as_str()).await?.ok_or(Error::NotFound)?;
    let triggered = table::by_id(app, workspace.as_str()).await?.ok_or(Error::NotFound)?;
    let able = match usable_configuration(app, &triggered).await? {
        Ok(configuration) => {
            Ok((configuration, create::freeze(app, &triggered, Variables::default()).await?))
        }
        Err(why) => Err(why),
    };
    let mut tx = app.db.begin().await?;
    let held = hold(&mut tx, workspace).await?;
    if !take(&mut tx, source, workspace).await? {
        return Ok(());
    }
    let after = match able {
        Err(why) => {
            pass_over(source, workspace, why);
            None
        }
        Ok((configuration, variables)) => {
            let confirmed = source_run.life.confirmed_by.clone();
            let new = NewRun {
                configuration: &configuration,
                asked: Asked { auto_apply: Some(held.auto_apply_run_trigger()), ..Asked::default() },
                options: Options {
                    message: format!(
                        "Triggered by run {source} in workspace {}: {}",
                        from.name, source_run.options.message
                    ),
                    refresh: true,
                    terraform_version: held.terraform_version.clone(),
                    ..Options::default()
                },
                source: SOURCE,
                json_lines: true,
                created_by: confirmed.unwrap_or_else(|| source_run.row.created_by.clone()),
                // Who set the trigger and its auto-apply administers this workspace.
                may_apply: true,
                variables,
                triggered_by: Some(source.clone()),
            };
            Some(create::queue(app, &mut tx, &held, new).await?.1)
        }
    };
    tx.commit().await?;
    if let Some(after) = after {
        after.perform(app);
    }
    Ok(())
}

/// The configuration that a run which nobody asks for takes; or why there can be no such run.
pub(crate) async fn usable_configuration(
    app: &App,
    workspace: &Workspace,
) -> Result<Result<ConfigurationVersion, &'static str>> {
    if workspace.execution_mode == "local" {
        return Ok(Err("its execution mode is local"));
    }
    match create::latest_configuration(app, workspace).await {
        Ok(version) if version.status == "uploaded" => Ok(Ok(version)),
        Ok(_) | Err(Error::Unprocessable(_)) => Ok(Err("it has no uploaded configuration")),
        Err(error) => Err(error),
    }
}
