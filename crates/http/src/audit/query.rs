//! Looking for entries, in the shape that the Audit Trails API has for them.
//!
//! Oldest first, so that pages stay what they are while entries are added. Source: the Audit Trails API;
//! sdk-conformance.md; semantics.md §6.4.

use super::Entry;
use crate::{App, Cx, Error, Result};
use db::{Arg, FromRow, args};
use kernel::{Timestamp, ids::OrganizationId};
use serde_json::{Value, json};

/// Entries of a page, where the request does not say, and at most.
const PAGE: i64 = 1000;

/// Whose entries.
#[derive(Clone, Debug)]
pub enum Of<'a> {
    /// The whole installation's.
    Everything,
    /// An organization's.
    Organization(&'a OrganizationId),
}

/// How `since` is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Entries made after that instant.
    Instant,
    /// An instant without a fraction is its whole second. Entries of the Audit Trails API have whole seconds, and the SDK
    /// sends no fraction: what it has seen in a second is not shown to it again.
    Second,
}

#[derive(FromRow)]
struct Row {
    sequence: i64,
    id: String,
    entry: String,
    changes: Vec<u8>,
    hash: String,
}

/// A condition on entries, grown part by part.
struct Condition {
    sql: String,
    args: Vec<Arg>,
}

impl Condition {
    fn and(&mut self, column_and_sign: &str, value: impl Into<Arg>) {
        self.args.push(value.into());
        self.sql.push_str(&format!(" AND {column_and_sign} ${}", self.args.len()));
    }
}

/// The page that the request asks for, among what was answered before it.
///
/// # Errors
/// [`Error::BadRequest`] for a filter that cannot be read.
pub async fn page(cx: &Cx, of: Of<'_>, since: Since) -> Result<Value> {
    cx.app.audit.flush(&cx.app).await?;
    let condition = condition(cx, &of, since)?;
    let number = |name: &str, otherwise: i64| {
        cx.query(name).and_then(|text| text.parse::<i64>().ok()).unwrap_or(otherwise)
    };
    let (current, size) =
        (number("page[number]", 1).clamp(1, 1 << 31), number("page[size]", PAGE).clamp(1, PAGE));
    let sql = format!("SELECT COUNT(*) FROM audit_events WHERE {}", condition.sql);
    let total: Option<(i64,)> = cx.app.db.one(db::AssertSqlSafe(sql), condition.args.clone()).await?;
    let total = total.map_or(0, |(n,)| n);
    let count = condition.args.len();
    let sql = format!(
        "SELECT sequence, id, entry, changes, hash FROM audit_events WHERE {} ORDER BY sequence LIMIT ${} OFFSET ${}",
        condition.sql,
        count + 1,
        count + 2
    );
    let mut values = condition.args;
    values.extend(args![size, (current - 1) * size]);
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let pages = (total + size - 1) / size;
    let data: Vec<Value> = rows.iter().map(|row| shown(&cx.app, row)).collect();
    Ok(json!({
        "data": data,
        "pagination": {
            "current_page": current,
            "prev_page": (current > 1).then(|| current - 1),
            "next_page": (current < pages).then(|| current + 1),
            "total_pages": pages,
            "total_count": total,
        },
    }))
}

fn condition(cx: &Cx, of: &Of<'_>, how: Since) -> Result<Condition> {
    let mut condition = Condition { sql: "sequence > 0".to_owned(), args: Vec::new() };
    if let Of::Organization(id) = of {
        condition.and("organization_id =", *id);
    }
    if let Some(since) = instant(cx, "since")? {
        let whole = how == Since::Second && since.micros() % 1_000_000 == 0;
        condition.and(
            "created_at >",
            if whole { Timestamp::from_micros(since.micros() + 999_999) } else { since },
        );
    }
    if let Some(until) = instant(cx, "until")? {
        condition.and("created_at <=", until);
    }
    let filters = [
        ("filter[actor][id]", "actor_id ="),
        ("filter[resource][type]", "resource_type ="),
        ("filter[resource][id]", "resource_id ="),
        ("filter[operation]", "operation ="),
    ];
    for (name, column) in filters {
        if let Some(value) = cx.query(name).filter(|value| !value.is_empty()) {
            condition.and(column, value);
        }
    }
    if let (Of::Everything, Some(id)) = (of, cx.query("filter[organization][id]")) {
        condition.and("organization_id =", id);
    }
    Ok(condition)
}

fn instant(cx: &Cx, name: &'static str) -> Result<Option<Timestamp>> {
    let Some(text) = cx.query(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    Timestamp::parse(text).map(Some).ok_or_else(|| {
        Error::bad_request("bad request", format!("{name} must be an ISO 8601 date and time with an offset"))
    })
}

fn shown(app: &App, row: &Row) -> Value {
    let Ok(entry) = serde_json::from_str::<Entry>(&row.entry) else {
        return json!({ "id": row.id, "version": "0", "type": "Unreadable" });
    };
    let changes = app.audit.open_changes(&row.id, &row.changes).unwrap_or_default();
    let who = entry.who.as_ref();
    json!({
        "id": entry.id,
        "version": "0",
        "type": "Resource",
        "timestamp": entry.at.iso8601(),
        "auth": {
            "accessor_id": who.map(|who| &who.id),
            "description": who.map(|who| who.name.as_ref().unwrap_or(&who.id)),
            "type": if entry.impersonator.is_some() { "Impersonated" } else { "Client" },
            "impersonator_id": entry.impersonator.as_ref().map(|who| &who.id),
            "organization_id": entry.organization,
        },
        "request": { "id": entry.id },
        "resource": {
            "id": entry.resource.id,
            "type": singular(&entry.resource.kind),
            "action": entry.resource.action.replace('-', "_"),
            "meta": {
                "sequence": row.sequence,
                "hash": row.hash,
                "operation": entry.operation,
                "method": entry.method,
                "path": entry.path,
                "status": entry.status,
                "token": entry.token,
                "address": entry.address,
                "reason": entry.reason,
                "before": changes.before,
                "after": changes.after,
            },
        },
    })
}

/// `authentication-tokens` → `authentication_token`, as the Audit Trails API names types.
fn singular(kind: &str) -> String {
    let kind = kind.replace('-', "_");
    match kind.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => kind.strip_suffix('s').unwrap_or(&kind).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::singular;

    #[test]
    fn types_are_named_in_the_singular() {
        assert_eq!(singular("authentication-tokens"), "authentication_token");
        assert_eq!(singular("applies"), "apply");
        assert_eq!(singular("installation"), "installation");
    }
}
