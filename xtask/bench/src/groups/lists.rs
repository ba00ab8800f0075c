//! Lists of workspaces and runs with what they include, in an organization of 1,000 workspaces and in one of 100,000 with
//! 1,000,000 runs, on one server.
//!
//! The rows are copies of one workspace and one run that were really made, written to the database itself: through the API
//! they would take hours. Each list of the large organization is held against the first page of the same list of the small
//! one, in turns.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, SqliteConnection};
use xtask::steps;

use crate::Setting;
use crate::load::{Load, get};
use crate::measure::{Bar, Report, Times};
use crate::through::{Kind, archive, document, text};

/// An organization to be filled.
struct Size {
    name: &'static str,
    /// Begins the ids of its rows.
    tag: &'static str,
    workspaces: u32,
    runs: u32,
    /// Of those, the runs of its first workspace.
    of_first: u32,
    projects: u32,
}

const SMALL: Size =
    Size { name: "lists-small", tag: "S", workspaces: 1_000, runs: 10_000, of_first: 1_000, projects: 10 };
const LARGE: Size = Size {
    name: "lists-large",
    tag: "L",
    workspaces: 100_000,
    runs: 1_000_000,
    of_first: 20_000,
    projects: 100,
};
/// Rows that one statement writes.
const CHUNK: u32 = 50_000;
/// Larger than any number of rows, and prime: multiples of it are in no order.
const PRIME: u32 = 1_000_003;
const ROUNDS: usize = 5;
const TURNS: usize = 60;

/// What is asked: its name, its path in the organization, its path in the small organization where that differs.
const LISTS: &[(&str, &str, &str)] = &[
    ("workspaces, page 1", "{of}/workspaces?include={many}", ""),
    (
        "workspaces, page 500",
        "{of}/workspaces?include={many}&page[number]=500",
        "{of}/workspaces?include={many}",
    ),
    (
        "workspaces by name, page 500",
        "{of}/workspaces?sort=name&page[number]=500",
        "{of}/workspaces?sort=name",
    ),
    ("workspaces, last changed first", "{of}/workspaces?sort=-latest-change-at", ""),
    ("workspaces of a project", "{of}/workspaces?filter[project][id]=prj-{tag}1000001", ""),
    (
        "workspaces of a project, page 50",
        "{of}/workspaces?filter[project][id]=prj-{tag}1000001&page[number]=50",
        "{of}/workspaces?filter[project][id]=prj-{tag}1000001",
    ),
    ("workspaces with a tag", "{of}/workspaces?search[tags]=web", ""),
    (
        "workspaces with a tag, page 500",
        "{of}/workspaces?search[tags]=web&page[number]=500",
        "{of}/workspaces?search[tags]=web",
    ),
    ("workspaces whose run errored", "{of}/workspaces?filter[current-run][status]=errored", ""),
    ("workspaces whose name has 00042", "{of}/workspaces?search[name]=00042", ""),
    ("runs of a workspace", "/workspaces/ws-{tag}{second}/runs?include={run}", ""),
    ("runs of a workspace with 20,000, page 1", "/workspaces/ws-{tag}{first}/runs?include={run}", ""),
    (
        "runs of a workspace with 20,000, page 500",
        "/workspaces/ws-{tag}{first}/runs?include={run}&page[number]=500",
        "/workspaces/ws-{tag}{first}/runs?include={run}",
    ),
    ("runs of the organization, page 1", "{of}/runs?include=workspace,{run}", ""),
    (
        "runs of the organization, page 500",
        "{of}/runs?include=workspace,{run}&page[number]=500",
        "{of}/runs?include=workspace,{run}",
    ),
    ("runs of the organization that errored", "{of}/runs?filter[status]=errored", ""),
];
const MANY: &str =
    "organization,project,current_run,current_run.plan,current_configuration_version,effective_tag_bindings";
const RUN: &str = "plan,configuration_version,created_by";

/// Fills both organizations and asks both.
pub(crate) fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    let workspace = setting.through.workspace("template")?;
    setting.through.run(&workspace, &archive("output \"o\" { value = 1 }")?, Kind::AutoApply)?;
    for size in [&SMALL, &LARGE] {
        let attributes = json!({ "name": size.name, "email": "bench@example.com" });
        let made =
            setting.through.api().post("/api/v2/organizations", &document("organizations", &attributes))?;
        let id = text(&made, "/data/attributes/external-id")?;
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("a runtime can be made")?
            .block_on(fill(setting, size, &id, &workspace))?;
    }
    for (what, path, base) in LISTS {
        let large = load(setting, &LARGE, path)?;
        let small = load(setting, &SMALL, if base.is_empty() { path } else { base })?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let (mut of_large, mut of_small) = (Times::default(), Times::default());
            for _ in 0..TURNS {
                of_large.once(|| large.once())?;
                of_small.once(|| small.once())?;
            }
            // The first only warms up.
            if round > 0 {
                ours.push(of_large.quantile(0.99));
                theirs.push(of_small.quantile(0.99));
            }
        }
        let (ours, theirs) = (median(ours), median(theirs));
        let from =
            format!("p99 {:.1} / {:.1} ms, medians of {ROUNDS} rounds of {TURNS}", ours * 1e3, theirs * 1e3);
        report.row(&format!("{what} ÷ page 1 of the small"), ours / theirs, "×", from, Bar::AtMost(1.5));
        println!("{}", steps::dim(&format!("{what}: {:.2}", ours / theirs)));
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn load(setting: &Setting, size: &Size, path: &str) -> Result<Load> {
    let path = path
        .replace("{of}", &format!("/organizations/{}", size.name))
        .replace("{tag}", size.tag)
        .replace("{first}", &shuffled(0).to_string())
        .replace("{second}", &shuffled(1).to_string())
        .replace("{many}", MANY)
        .replace("{run}", RUN)
        .replace('[', "%5B")
        .replace(']', "%5D");
    Load::new(setting.server.url(), &get(&format!("/api/v2{path}"), &setting.server.token()?))
}

/// The number in the id of the `n`th row; [`id`] says the same in SQL.
fn shuffled(n: u32) -> u64 {
    10_000_000 + u64::from(n) * 7919 % u64::from(PRIME)
}

/// The id of the row numbered by the SQL expression `n`.
fn id(prefix: &str, size: &Size, n: &str) -> String {
    format!("'{prefix}-{}' || CAST(10000000 + CAST({n} AS BIGINT) * 7919 % {PRIME} AS TEXT)", size.tag)
}

/// A connection to the server's own database.
enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Database {
    async fn open(setting: &Setting) -> Result<Self> {
        if let Some(url) = &setting.database {
            let options: sqlx::postgres::PgConnectOptions = url.parse().context("the URL is PostgreSQL's")?;
            return Ok(Self::Postgres(options.connect().await.context("PostgreSQL answers")?));
        }
        let file = setting.server.data_dir().join("ferroform.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(file)
            .busy_timeout(std::time::Duration::from_secs(60))
            // What is lost with the machine's power is made again.
            .synchronous(sqlx::sqlite::SqliteSynchronous::Off);
        Ok(Self::Sqlite(options.connect().await.context("the server's file can be opened")?))
    }

    async fn run(&mut self, sql: String) -> Result<()> {
        let text = AssertSqlSafe(sql.clone());
        match self {
            Self::Sqlite(connection) => connection.execute(text).await.map(drop),
            Self::Postgres(connection) => connection.execute(text).await.map(drop),
        }
        .with_context(|| format!("the database refuses: {sql}"))
    }

    async fn columns(&mut self, table: &str) -> Result<Vec<String>> {
        let names: Vec<(String,)> = match self {
            Self::Sqlite(connection) => {
                let sql = format!("SELECT name FROM pragma_table_info('{table}')");
                sqlx::query_as(AssertSqlSafe(sql)).fetch_all(connection).await
            }
            Self::Postgres(connection) => {
                let sql = format!(
                    "SELECT CAST(column_name AS TEXT) FROM information_schema.columns WHERE table_name = '{table}'"
                );
                sqlx::query_as(AssertSqlSafe(sql)).fetch_all(connection).await
            }
        }
        .with_context(|| format!("the database does not say the columns of {table}"))?;
        ensure!(!names.is_empty(), "there is no table {table}");
        Ok(names.into_iter().map(|(name,)| name).collect())
    }

    /// Copies the rows of `table` that fulfil `of`, once for each `n` from 0 that fulfils `only`, with other values in the
    /// columns of `other`.
    async fn copy(
        &mut self,
        table: &str,
        (of, only, count): (&str, &str, u32),
        other: &[(&str, String)],
    ) -> Result<()> {
        let columns = self.columns(table).await?;
        let other: BTreeMap<_, _> = other.iter().map(|(name, value)| (*name, value)).collect();
        let values: Vec<String> = columns
            .iter()
            .map(|name| {
                other.get(name.as_str()).map_or_else(|| format!("t.{name}"), |value| (*value).clone())
            })
            .collect();
        for first in (0..count).step_by(CHUNK as usize) {
            let last = (first + CHUNK).min(count) - 1;
            self.run(format!(
                "WITH RECURSIVE numbers(n) AS (SELECT CAST({first} AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})
                 INSERT INTO {table} ({}) SELECT {} FROM numbers CROSS JOIN {table} t WHERE {of} AND {only}",
                columns.join(", "),
                values.join(", ")
            ))
            .await?;
        }
        Ok(())
    }
}

/// Fills an organization.
async fn fill(setting: &Setting, size: &Size, organization: &str, template: &str) -> Result<()> {
    let mut database = Database::open(setting).await?;
    let Size { workspaces, runs, of_first, projects, .. } = *size;
    let organization = || ("organization_id", format!("'{organization}'"));
    println!(
        "{}",
        steps::dim(&format!("filling {} with {workspaces} workspaces and {runs} runs…", size.name))
    );
    let project = |n: &str| format!("'prj-{}' || CAST(1000000 + {n} % {projects} AS TEXT)", size.tag);
    let one_project = format!("t.id = (SELECT project_id FROM workspaces WHERE id = '{template}')");
    let named = ("name", "'project ' || CAST(n AS TEXT)".to_owned());
    let other = [("id", project("n")), organization(), named];
    database.copy("projects", (&one_project, "TRUE", projects), &other).await?;
    // The first run of each workspace is its current one.
    let current = format!("CASE WHEN n = 0 THEN 0 ELSE {of_first} + n - 1 END");
    let other = [
        ("id", id("ws", size, "n")),
        organization(),
        ("project_id", project("n")),
        ("name", "'workspace-' || CAST(1000000 + n AS TEXT)".to_owned()),
        ("tag_names", "CASE WHEN n % 10 = 0 THEN '[\"web\"]' ELSE '[]' END".to_owned()),
        ("created_at", "t.created_at + n".to_owned()),
        ("latest_change_at", format!("t.created_at + n * 7919 % {PRIME}")),
        ("current_run_id", id("run", size, &current)),
        ("current_configuration_version_id", id("cv", size, "n")),
        ("current_state_version_id", "NULL".to_owned()),
    ];
    database.copy("workspaces", (&format!("t.id = '{template}'"), "TRUE", workspaces), &other).await?;
    let one = format!("t.workspace_id = '{template}'");
    let other = [("id", id("cv", size, "n")), ("workspace_id", id("ws", size, "n"))];
    database.copy("configuration_versions", (&one, "TRUE", workspaces), &other).await?;
    let bound = format!(
        "INSERT INTO tag_bindings (id, organization_id, workspace_id, key, value, created_at)
         SELECT 'tb-' || w.id, w.organization_id, w.id, 'web', '', w.created_at FROM workspaces w
         WHERE w.{} = {} AND w.tag_names <> '[]'",
        organization().0,
        organization().1
    );
    database.run(bound).await?;
    let of = format!("CASE WHEN n < {of_first} THEN 0 ELSE (n - {of_first}) % ({workspaces} - 1) + 1 END");
    let number =
        format!("CASE WHEN n < {of_first} THEN n + 1 ELSE (n - {of_first}) / ({workspaces} - 1) + 1 END");
    let other = [
        ("id", id("run", size, "n")),
        organization(),
        ("workspace_id", id("ws", size, &of)),
        ("number", number),
        ("configuration_version_id", id("cv", size, &of)),
        ("status", "CASE WHEN n % 40 = 0 THEN 'errored' ELSE 'applied' END".to_owned()),
        ("plan_id", id("plan", size, "n")),
        ("apply_id", id("apply", size, "n")),
        // A second apart, up to now.
        ("created_at", format!("t.created_at - CAST(({runs} - n) AS BIGINT) * 1000000")),
    ];
    database.copy("runs", (&one, "TRUE", runs), &other).await?;
    let first =
        format!("t.number = 1 AND t.run_id IN (SELECT id FROM runs WHERE workspace_id = '{template}')");
    let other = [("id", id("re", size, "n")), ("run_id", id("run", size, "n"))];
    database.copy("run_events", (&first, "TRUE", runs), &other).await?;
    let (column, value) = ("id", organization().1);
    database
        .run(format!("UPDATE organizations SET workspace_count = {workspaces} WHERE {column} = {value}"))
        .await?;
    // As the database does by itself in time.
    let analyze =
        if setting.database.is_some() { "VACUUM ANALYZE" } else { "PRAGMA wal_checkpoint(TRUNCATE)" };
    database.run(analyze.to_owned()).await?;
    match database {
        Database::Sqlite(connection) => connection.close().await,
        Database::Postgres(connection) => connection.close().await,
    }
    .context("the connection ends")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_ids_of_their_own_in_no_order() {
        let mut ids: Vec<u64> = (0..LARGE.runs).map(shuffled).collect();
        assert!(!ids.is_sorted());
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), LARGE.runs as usize);
    }
}
