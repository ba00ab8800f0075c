//! Managed resources of a workspace's current state: `/workspaces/{id}/resources`.
//!
//! Who sees the workspace sees them: they are addresses and providers, which every plan shows, and no attribute of the
//! state. A row lives as long as its instance does; `modified-by-state-version-id` names the state that changed it last.
//! Source: the Workspace Resources API; semantics.md §4.3; sdk-conformance.md §5.14.

use crate::file::Instance;
use authz::perm;
use axum::http::Method;
use db::{Arg, FromRow, Tx, args};
use http_api::{App, Cx, Reply, Resource, Result, Routes};
use kernel::{
    Paged, Timestamp,
    ids::{StateVersionId, WorkspaceId, WorkspaceResourceId},
};
use serde_json::json;
use std::{collections::HashMap, fmt::Write};

/// Rows that one statement writes. Not more: SQLite looks for the name of each value that is bound in a list of all.
pub(crate) const BATCH: usize = 32;

#[derive(FromRow)]
struct Row {
    id: WorkspaceResourceId,
    address: String,
    name: String,
    module: String,
    provider: String,
    provider_type: String,
    name_index: Option<String>,
    modified_by_state_version_id: StateVersionId,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// The operations on resources.
pub fn routes() -> Routes {
    Routes::new().op(Method::GET, "/workspaces/{id}/resources", "state.resources.list", list)
}

const SELECT: &str =
    "SELECT id, address, name, module, provider, provider_type, name_index, modified_by_state_version_id,
    created_at, updated_at FROM workspace_resources";

/// With `q`, an addition to TFE's API: those in whose address the text is, so of a type or a module as well.
async fn list(cx: Cx) -> Result<Reply> {
    let (workspace, _) = workspaces::workspaces::granted::<perm::ReadWorkspace>(&cx).await?;
    let page = cx.page();
    let search = cx.query("q").map(str::to_lowercase).filter(|text| !text.is_empty());
    let Some(search) = search else {
        let sql = format!("{SELECT} WHERE workspace_id = $1 ORDER BY address LIMIT $2 OFFSET $3");
        let values = args![&workspace.id, page.limit(), page.offset()];
        let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
        // Counted when the state became current.
        let total = Some(workspace.resource_count);
        return cx.page_of(Paged { items: rows.iter().map(document).collect(), page, total }, &[]).await;
    };
    let escaped = search.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let within = "workspace_id = $1 AND LOWER(address) LIKE $2 ESCAPE '\\'";
    let mut values = args![&workspace.id, format!("%{escaped}%")];
    let sql = format!("SELECT COUNT(*) FROM workspace_resources WHERE {within}");
    let total = cx.app.db.one::<(i64,)>(db::AssertSqlSafe(sql), values.clone()).await?.map(|(n,)| n);
    values.extend(args![page.limit(), page.offset()]);
    let sql = format!("{SELECT} WHERE {within} ORDER BY address LIMIT $3 OFFSET $4");
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    cx.page_of(Paged { items: rows.iter().map(document).collect(), page, total }, &[]).await
}

fn document(row: &Row) -> Resource {
    let attributes = json!({
        "address": row.address, "name": row.name, "module": row.module, "provider": row.provider,
        "provider-type": row.provider_type, "name-index": row.name_index,
        "modified-by-state-version-id": row.modified_by_state_version_id.as_str(),
        "created-at": row.created_at.iso8601(), "updated-at": row.updated_at.iso8601(),
    });
    Resource::new("resources", row.id.as_str(), &attributes)
}

/// Brings the workspace's resources in line with its new state: only what differs is written.
pub(crate) async fn replace(
    app: &App,
    tx: &mut Tx,
    workspace: &WorkspaceId,
    version: &StateVersionId,
    instances: Vec<Instance>,
) -> Result<()> {
    let known: Vec<(String, String)> = tx
        .all("SELECT address, digest FROM workspace_resources WHERE workspace_id = $1", args![workspace])
        .await?;
    let mut known: HashMap<String, String> = known.into_iter().collect();
    let mut changed = instances
        .into_iter()
        .filter(|i| known.remove(&i.address).is_none_or(|digest| digest != i.digest))
        .collect::<Vec<_>>();
    while !changed.is_empty() {
        let batch = changed.split_off(changed.len().saturating_sub(BATCH));
        upsert(app, tx, workspace, version, batch).await?;
    }
    let gone: Vec<String> = known.into_keys().collect();
    for batch in gone.chunks(BATCH) {
        let marks: Vec<String> = (2..batch.len() + 2).map(|n| format!("${n}")).collect();
        let sql = format!(
            "DELETE FROM workspace_resources WHERE workspace_id = $1 AND address IN ({})",
            marks.join(", ")
        );
        let mut values = args![workspace];
        values.extend(batch.iter().map(Arg::from));
        tx.exec(db::AssertSqlSafe(sql), values).await?;
    }
    Ok(())
}

async fn upsert(
    app: &App,
    tx: &mut Tx,
    workspace: &WorkspaceId,
    version: &StateVersionId,
    batch: Vec<Instance>,
) -> Result<()> {
    let rows = rows("$1, $2, $3, $3", 3, 8, batch.len());
    let mut values = args![workspace, version, app.now()];
    for instance in batch {
        values.extend(args![
            &WorkspaceResourceId::new(&app.env),
            instance.address,
            instance.name,
            instance.module,
            instance.provider,
            instance.kind,
            instance.index,
            instance.digest
        ]);
    }
    let sql = format!(
        "INSERT INTO workspace_resources (workspace_id, modified_by_state_version_id, created_at, updated_at, id,
           address, name, module, provider, provider_type, name_index, digest)
         VALUES {rows} ON CONFLICT (workspace_id, address) DO UPDATE SET digest = excluded.digest,
           modified_by_state_version_id = excluded.modified_by_state_version_id, updated_at = excluded.updated_at,
           provider = excluded.provider"
    );
    tx.exec(db::AssertSqlSafe(sql), values).await.map(drop)
}

/// `($1, $2, $3), ($1, $4, $5)`: rows that begin alike (`shared`, of the first `bound` values) and go on with `own`
/// values of their own.
pub(crate) fn rows(shared: &str, bound: usize, own: usize, count: usize) -> String {
    let mut text = String::new();
    for row in 0..count {
        text.push_str(if row == 0 { "(" } else { ", (" });
        text.push_str(shared);
        for value in 1..=own {
            write!(text, ", ${}", bound + row * own + value).expect("writing to a string does not fail");
        }
        text.push(')');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn rows_share_their_first_values_and_number_their_own() {
        assert_eq!(rows("$1", 1, 2, 2), "($1, $2, $3), ($1, $4, $5)");
        assert_eq!(rows("$1, $2, $2", 2, 1, 1), "($1, $2, $2, $3)");
    }
}
