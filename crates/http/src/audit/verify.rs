//! Whether the chain is whole, and its entries one by one for an export.

use super::{
    Entry,
    chain::{Ends, hash, hex},
};
use crate::{App, Result};
use db::{FromRow, args};
use kernel::Timestamp;
use ring::digest;
use serde_json::{Value, json};

/// Entries read in one go.
const STRIDE: i64 = 500;

#[derive(FromRow)]
struct Row {
    sequence: i64,
    id: String,
    created_at: Timestamp,
    organization_id: Option<String>,
    actor_id: Option<String>,
    operation: String,
    resource_type: String,
    resource_id: String,
    entry: String,
    changes: Vec<u8>,
    previous: String,
    hash: String,
}

const COLUMNS: &str = "sequence, id, created_at, organization_id, actor_id, operation, resource_type, resource_id, entry, \
                       changes, previous, hash";

/// What is known of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Entries that were found in order.
    pub entries: u64,
    /// The number of the first broken entry, and what is wrong with it.
    pub broken: Option<(i64, &'static str)>,
}

async fn stride(app: &App, after: i64) -> Result<Vec<Row>> {
    let sql = format!("SELECT {COLUMNS} FROM audit_events WHERE sequence > $1 ORDER BY sequence LIMIT $2");
    app.db.all(db::AssertSqlSafe(sql), args![after, STRIDE]).await
}

/// Checks every entry, from the oldest that is kept to the newest.
///
/// # Errors
/// When the database does not answer.
pub async fn verify(app: &App) -> Result<Verdict> {
    // Before the entries: what is added while they are read is no fault.
    let ends = Ends::read(app).await?;
    let mut verdict = Verdict { entries: 0, broken: None };
    let (mut next, mut previous) = ends
        .as_ref()
        .map_or((1, super::chain::GENESIS.to_owned()), |e| (e.first_sequence, e.first_previous.clone()));
    let (start, last) = (next, ends.as_ref().map_or(0, |ends| ends.last_sequence));
    let mut after = i64::MIN;
    loop {
        let rows = stride(app, after).await?;
        let Some(end) = rows.last() else { break };
        after = end.sequence;
        for row in &rows {
            if let Some(fault) = fault(row, next, &previous) {
                verdict.broken = Some((next.min(row.sequence).max(start), fault));
                return Ok(verdict);
            }
            if row.sequence == last && ends.as_ref().is_some_and(|ends| ends.last_hash != row.hash) {
                verdict.broken = Some((row.sequence, "it is not the entry that the chain had here"));
                return Ok(verdict);
            }
            verdict.entries += 1;
            next += 1;
            previous.clone_from(&row.hash);
        }
    }
    if next <= last {
        verdict.broken = Some((next, "it and all that follow are missing"));
    } else if let Some(ends) = ends
        && !ends.is_genuine(app)
    {
        let fault = "every entry fits, but the record of the chain's ends was altered, so some may be missing or made anew";
        verdict.broken = Some((ends.first_sequence, fault));
    } else if last == 0 && verdict.entries > 0 {
        verdict.broken = Some((1, "the record of the chain's ends is missing"));
    }
    Ok(verdict)
}

fn fault(row: &Row, expected: i64, previous: &str) -> Option<&'static str> {
    if row.sequence > expected {
        return Some("it is missing");
    }
    if row.sequence < expected {
        return Some("it is older than the oldest that is kept");
    }
    if row.previous != previous {
        return Some("it does not follow the entry before");
    }
    if row.hash != hash(&row.previous, row.sequence, &row.entry, &row.changes) {
        return Some("its content was altered");
    }
    let same = serde_json::from_str::<Entry>(&row.entry).is_ok_and(|entry| {
        entry.id == row.id
            && entry.at == row.created_at
            && entry.organization == row.organization_id
            && entry.who.map(|who| who.id) == row.actor_id
            && entry.operation == row.operation
            && entry.resource.kind == row.resource_type
            && entry.resource.id == row.resource_id
    });
    if same { None } else { Some("the columns by which it is found were altered") }
}

/// Gives every entry made at `since` or later to `line`, as a JSON object, until that fails.
///
/// # Errors
/// Those of the database, and of `line`.
pub async fn export(
    app: &App,
    since: Option<Timestamp>,
    mut line: impl FnMut(&Value) -> std::io::Result<()>,
) -> Result<u64> {
    let mut after = i64::MIN;
    let mut written = 0;
    loop {
        let rows = stride(app, after).await?;
        let Some(end) = rows.last() else { return Ok(written) };
        after = end.sequence;
        for row in rows.iter().filter(|row| since.is_none_or(|since| row.created_at >= since)) {
            line(&exported(app, row)).map_err(crate::Error::internal)?;
            written += 1;
        }
    }
}

/// All that is needed to check the hash without the server: `entry` is its text, to the letter.
fn exported(app: &App, row: &Row) -> Value {
    let changes = app.audit.open_changes(&row.id, &row.changes).ok();
    json!({
        "sequence": row.sequence,
        "timestamp": row.created_at.iso8601(),
        "entry": row.entry,
        "before": changes.as_ref().map(|changes| &changes.before),
        "after": changes.as_ref().map(|changes| &changes.after),
        "sealed-sha256": hex(digest::digest(&digest::SHA256, &row.changes).as_ref()),
        "previous": row.previous,
        "hash": row.hash,
    })
}
