//! Queries: what the providers know of that the workspace does not manage, found by `terraform query`. `/queries`,
//! `/workspaces/{id}/queries`.
//!
//! A query is a run that carries out that command ([`crate::operations`]) beside the workspace's queue, as a speculative plan
//! does: it takes no lock and changes nothing. Its id is the run's. The configuration says what is looked for, in `list`
//! blocks; Terraform can do it since 1.14, and with an older engine the query ends errored and its log says so.
//! Who reads its log reads what exists: that asks for the right to read states, as other operations do.
//! Source: the Query Runs API as the official SDK has it.

use crate::{
    actions,
    create::{self, NewRun},
    document::{self, granted},
    life::{Asked, Status, Timestamps},
    logs, operations,
    runs::{COLUMNS, Options, Row, Run, Variables},
};
use authz::{RunsLevel, WorkspacePermission, perm};
use axum::http::Method;
use db::args;
use http_api::{App, Cx, Data, Error, Linkage, Reply, Resource, Result, Routes};
use kernel::{Paged, ids::UserId};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use workspaces::{workspaces as table, workspaces::hold};

/// The file of configuration that a query makes of what it finds.
const FILE: &str = "generated.tf";

const INCLUDES: &[&str] = &["created_by", "configuration_version", "workspace"];

/// The operations on queries.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::POST, "/queries", "runs.queries.create", create)
        .op(Method::GET, "/workspaces/{id}/queries", "runs.queries.list", index)
        .op(Method::GET, "/queries/{id}", "runs.queries.read", read)
        .op(Method::POST, "/queries/{id}/actions/cancel", "runs.queries.cancel", cancel)
        .op(Method::POST, "/queries/{id}/actions/force-cancel", "runs.queries.force-cancel", force_cancel)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    terraform_version: Option<String>,
    generate_config_out: Option<bool>,
    variables: Option<Vec<create::RunVariable>>,
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let data: Data<Attributes> = cx.data().await?;
    let id =
        data.related("workspace").ok_or_else(|| Error::invalid("workspace", "Workspace can't be blank"))?;
    let (workspace, grants) = table::granted_by_id::<perm::QueuePlan>(&cx, id).await?;
    let held = grants.workspace(&workspace.id, &workspace.project_id);
    if !perm::ReadState::allowed(&held) {
        return Err(Error::Forbidden(
            "A query shows what exists, which needs the right of reading this workspace's states".to_owned(),
        ));
    }
    let configuration = match data.related("configuration-version") {
        Some(id) => create::given_configuration(&cx, id, &workspace).await?,
        None => create::latest_configuration(&cx.app, &workspace).await?,
    };
    if configuration.status != "uploaded" {
        return Err(Error::Unprocessable(format!(
            "configuration version {} is {}; a query needs one that is uploaded",
            configuration.id, configuration.status
        )));
    }
    let asked = data.attributes;
    let run: Vec<(String, String)> =
        asked.variables.into_iter().flatten().map(|v| (v.key, v.value)).collect();
    let has_variables = !run.is_empty();
    let app = cx.app.clone();
    let variables = create::freeze(&app, &workspace, Variables { run, ..Variables::default() }).await?;
    let mut words = vec!["query".to_owned()];
    if asked.generate_config_out.unwrap_or(true) {
        words.push(format!("-generate-config-out={FILE}"));
    }
    let mut tx = app.db.begin().await?;
    let held = hold(&mut tx, &workspace.id).await?;
    if held.execution_mode == "local" {
        return Err(Error::Unprocessable(
            "This workspace's execution mode is local: its queries happen on your machine. Set it to remote to \
             query here."
                .to_owned(),
        ));
    }
    let version = asked.terraform_version.filter(|version| !version.is_empty());
    let new = NewRun {
        configuration: &configuration,
        asked: Asked { exec: true, query: true, ..Asked::default() },
        options: Options {
            message: words.join(" "),
            refresh: true,
            terraform_version: version.unwrap_or_else(|| held.terraform_version.clone()),
            exec: Some(words),
            has_variables,
            ..Options::default()
        },
        source: "tfe-api",
        json_lines: false,
        created_by: cx.actor()?.user_id().clone(),
        may_apply: grants.workspace(&held.id, &held.project_id).runs >= RunsLevel::Apply,
        variables,
        triggered_by: None,
    };
    let (run, after) = create::queue(&app, &mut tx, &held, new).await?;
    tx.commit().await?;
    after.perform(&app);
    cx.created(resource(&app, &run, true), INCLUDES).await
}

async fn index(cx: Cx) -> Result<Reply> {
    let (workspace, grants) = table::granted::<perm::ReadRun>(&cx).await?;
    let page = cx.page();
    let condition = "workspace_id = $1 AND operation = 'query'";
    let count = format!("SELECT COUNT(*) FROM runs WHERE {condition}");
    let total: Option<(i64,)> = cx.app.db.one(db::AssertSqlSafe(count), args![&workspace.id]).await?;
    let sql = format!("SELECT {COLUMNS} FROM runs WHERE {condition} ORDER BY number DESC LIMIT $2 OFFSET $3");
    let values = args![&workspace.id, page.limit(), page.offset()];
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let readable = perm::ReadState::allowed(&grants.workspace(&workspace.id, &workspace.project_id));
    let mut items = Vec::new();
    for row in rows {
        items.push(resource(&cx.app, &Run::decode(row)?, readable));
    }
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, INCLUDES).await
}

/// The query of the path, and whether the caller may read its log.
async fn find(cx: &Cx) -> Result<(Run, bool)> {
    let (run, workspace, grants) = granted::<perm::ReadRun>(cx, cx.path("id")).await?;
    if !run.life.options.query {
        return Err(Error::NotFound);
    }
    let readable = perm::ReadState::allowed(&grants.workspace(&workspace.id, &workspace.project_id));
    Ok((run, readable))
}

async fn read(cx: Cx) -> Result<Reply> {
    let (run, readable) = find(&cx).await?;
    cx.one(resource(&cx.app, &run, readable), INCLUDES).await
}

async fn cancel(cx: Cx) -> Result<Reply> {
    find(&cx).await?;
    actions::cancel(cx).await
}

async fn force_cancel(cx: Cx) -> Result<Reply> {
    find(&cx).await?;
    actions::force_cancel(cx).await
}

/// What a query's status is called, which has less to tell apart than a run's.
fn status(status: Status) -> &'static str {
    match status {
        Status::Pending | Status::Fetching | Status::FetchingCompleted => "pending",
        Status::Queuing | Status::PlanQueued => "queued",
        Status::Errored => "errored",
        Status::Canceled | Status::Discarded => "canceled",
        Status::PlannedAndFinished => "finished",
        _ => "running",
    }
}

/// The instants of a query, by the names that a query has for them.
fn timestamps(reached: &Timestamps) -> Map<String, Value> {
    let names = [
        ("queuing-at", "queuing-at"),
        ("planning-at", "running-at"),
        ("planned-and-finished-at", "finished-at"),
        ("errored-at", "errored-at"),
        ("canceled-at", "canceled-at"),
        ("force-canceled-at", "force-canceled-at"),
    ];
    let all = document::timestamps(reached);
    names.iter().filter_map(|(theirs, ours)| Some(((*ours).to_owned(), json!(all.get(theirs)?)))).collect()
}

fn resource(app: &App, run: &Run, readable: bool) -> Resource {
    let words = run.options.exec.as_deref().unwrap_or_default();
    let attributes = json!({
        "created-at": run.row.created_at.iso8601(), "source": run.row.source, "status": status(run.life.status),
        "status-timestamps": timestamps(&run.life.status_timestamps),
        "terraform-version": run.results.engine_version.as_ref().unwrap_or(&run.options.terraform_version),
        "generate-config-out": operations::file_of(words).is_some(),
        "error-message": run.life.error_message,
        "log-read-url": readable.then(|| logs::url(app, run.row.plan_id.as_str())),
    });
    let user = |id: Option<&UserId>| Linkage::maybe("users", id.map(UserId::as_str));
    Resource::new("queries", run.id().as_str(), &attributes)
        .relate("workspace", Linkage::One("workspaces", run.row.workspace_id.to_string()))
        .relate(
            "configuration-version",
            Linkage::One("configuration-versions", run.row.configuration_version_id.to_string()),
        )
        .relate("created-by", user(Some(&run.row.created_by)))
        .relate("canceled-by", user(run.life.canceled_by()))
        .link("self", format!("/api/v2/queries/{}", run.id()))
}
