//! The bar for reads: the least that such an answer takes with the same parts. An axum handler that reads a token and
//! a workspace by their indexes from SQLite, and writes sixty attributes as JSON. Nothing is checked, included, logged
//! or counted.

use std::io::Read;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{AssertSqlSafe, Row};

/// Makes this program be the handler instead of the benchmark.
pub(crate) const ARGUMENT: &str = "--be-the-bare-handler";
/// The one token that it knows.
pub(crate) const TOKEN: &str = "bare.token";
const ATTRIBUTES: usize = 60;

/// Prints the address to ask, and answers until standard input ends.
///
/// # Errors
/// When there is no database or no socket to be had.
pub(crate) fn serve() -> Result<()> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let pool = filled(&folder.path().join("bare.db")).await?;
        let routes =
            Router::new().route("/api/v2/organizations/{organization}/workspaces/{workspace}", get(answer));
        let listener =
            tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no free port")?;
        println!("http://{}", listener.local_addr().context("a bound socket has an address")?);
        let end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        let stop = async { drop(end.await) };
        axum::serve(listener, routes.with_state(pool))
            .with_graceful_shutdown(stop)
            .await
            .context("axum ended")
    })
}

/// A database with ten thousand tokens and workspaces, so that an index has as much to do as a real one.
async fn filled(file: &std::path::Path) -> Result<SqlitePool> {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let pool = SqlitePoolOptions::new().connect_with(options.journal_mode(SqliteJournalMode::Wal)).await?;
    let columns: String =
        (0..ATTRIBUTES).map(|number| format!(", attribute_{number} TEXT NOT NULL")).collect();
    let values: String = (0..ATTRIBUTES).map(|number| format!(", 'value {number}'")).collect();
    let script = format!(
        "CREATE TABLE tokens (token TEXT PRIMARY KEY, actor TEXT NOT NULL);
         CREATE TABLE workspaces (id TEXT PRIMARY KEY, organization TEXT NOT NULL, name TEXT NOT NULL{columns},
                                  UNIQUE (organization, name));
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
         INSERT INTO tokens SELECT 'token-' || i, 'actor-' || i FROM n;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
         INSERT INTO workspaces SELECT 'ws-' || i, 'bench', 'workspace-' || i{values} FROM n;
         INSERT INTO tokens VALUES ('{TOKEN}', 'actor');
         INSERT INTO workspaces SELECT 'ws-read', 'bench', 'read'{values};"
    );
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&pool).await.context("SQLite refuses the bare tables")?;
    Ok(pool)
}

async fn answer(
    State(pool): State<SqlitePool>,
    Path((organization, workspace)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    match document(&pool, &organization, &workspace, &headers).await {
        Ok(Some(body)) => ([(header::CONTENT_TYPE, xtask::api::JSON_API)], body).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The JSON:API document; none without a token or a workspace.
async fn document(
    pool: &SqlitePool,
    organization: &str,
    workspace: &str,
    headers: &HeaderMap,
) -> Result<Option<Vec<u8>>> {
    let authorization =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = authorization.trim_start_matches("Bearer ");
    let actor =
        sqlx::query("SELECT actor FROM tokens WHERE token = $1").bind(token).fetch_optional(pool).await?;
    let by_name = sqlx::query("SELECT * FROM workspaces WHERE organization = $1 AND name = $2");
    let row = by_name.bind(organization).bind(workspace).fetch_optional(pool).await?;
    let (Some(_), Some(row)) = (actor, row) else { return Ok(None) };
    let id: &str = row.try_get("id")?;
    let document = json!({ "data": { "id": id, "type": "workspaces", "attributes": attributes(&row)? } });
    Ok(Some(serde_json::to_vec(&document)?))
}

fn attributes(row: &SqliteRow) -> Result<Map<String, Value>> {
    let mut attributes = Map::new();
    for number in 0..ATTRIBUTES {
        let value: &str = row.try_get(number + 3)?;
        attributes.insert(format!("attribute-{number}"), value.into());
    }
    Ok(attributes)
}
