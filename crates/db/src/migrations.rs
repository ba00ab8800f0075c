//! Forward-only migrations, one file per change, in one text for both engines.
//!
//! The files are in `migrations/` at the root of the repository and compiled in. A file, once released, is never
//! edited: its checksum is not kept because its number is the contract.

use crate::{AssertSqlSafe, Db, args};
use kernel::{Env, Error};

/// `(number, name, SQL)` in order. Statements are separated by `;` at the end of a line.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "initial", include_str!("../../../migrations/0001_initial.sql")),
    (2, "sign in", include_str!("../../../migrations/0002_sign_in.sql")),
    (3, "administration", include_str!("../../../migrations/0003_administration.sql")),
    (4, "audit", include_str!("../../../migrations/0004_audit.sql")),
    (5, "workspaces", include_str!("../../../migrations/0005_workspaces.sql")),
    (6, "scim", include_str!("../../../migrations/0006_scim.sql")),
    (7, "accounts", include_str!("../../../migrations/0007_accounts.sql")),
    (8, "feature sets", include_str!("../../../migrations/0008_feature_sets.sql")),
    (9, "lists", include_str!("../../../migrations/0009_lists.sql")),
    (10, "statistics", include_str!("../../../migrations/0010_statistics.sql")),
    (11, "safeguards", include_str!("../../../migrations/0011_safeguards.sql")),
];

/// Brings the schema up to date: each migration in its own transaction, recorded in `schema_migrations`.
///
/// # Errors
/// [`Error::Internal`] when a statement fails, and when the database is newer than this program.
pub async fn migrate(db: &Db, env: &Env) -> Result<(), Error> {
    db.exec(
        "CREATE TABLE IF NOT EXISTS schema_migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)",
        vec![],
    )
    .await?;
    let done: Option<(Option<i64>,)> = db.one("SELECT MAX(number) FROM schema_migrations", vec![]).await?;
    let done = done.and_then(|(n,)| n).unwrap_or(0);
    let newest = MIGRATIONS.last().map_or(0, |m| m.0);
    if done > newest {
        return Err(Error::internal(format!(
            "the database has schema {done}, this program knows up to {newest}: start the newer program again"
        )));
    }
    for (number, name, text) in MIGRATIONS.iter().filter(|m| m.0 > done) {
        let mut tx = db.begin().await?;
        for statement in statements(text, db.engine()) {
            tx.exec(AssertSqlSafe(statement), vec![]).await?;
        }
        tx.exec(
            "INSERT INTO schema_migrations (number, name, applied_at) VALUES ($1, $2, $3)",
            args![*number, *name, env.now()],
        )
        .await?;
        tx.commit().await?;
        tracing::info!(number, name, "migrated the database");
    }
    Ok(())
}

/// Splits a file into statements. The one difference between the engines is the name of the type for bytes.
fn statements(text: &str, engine: &str) -> Vec<String> {
    let text: String = text
        .lines()
        .map(|l| l.split("--").next().unwrap_or_default().trim_end())
        .collect::<Vec<_>>()
        .join("\n");
    let text = if engine == "postgres" { text.replace(" BLOB", " BYTEA") } else { text };
    text.split(";\n").map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect()
}
