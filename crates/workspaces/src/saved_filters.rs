//! Filters of the list of workspaces that a person keeps under a name: an addition to TFE's API, for the pages.
//!
//! The address of the list holds the whole filter already and may be bookmarked; what is kept here is a name for it, for this
//! person in this organization, so that it is there on every browser of theirs. Nobody else sees it.

use accounts::organizations;
use authz::Actor;
use axum::http::Method;
use db::{FromRow, args};
use http_api::{Cx, Data, Error, Reply, Resource, Result, Routes};
use kernel::ids::{SavedFilterId, UserId};
use serde::Deserialize;
use serde_json::json;

/// Characters of a name, and of a query.
const NAME_MAX: usize = 60;
const QUERY_MAX: usize = 1000;
/// Filters of one person in one organization.
const MOST: i64 = 50;

/// The operations on saved filters.
pub fn routes() -> Routes {
    let all = "/organizations/{organization}/saved-filters";
    Routes::new()
        .op(Method::GET, all, "workspaces.saved-filters.list", list)
        .op(Method::POST, all, "workspaces.saved-filters.create", create)
        .op(Method::DELETE, "/saved-filters/{id}", "workspaces.saved-filters.delete", delete)
}

#[derive(Clone, Debug, FromRow)]
struct Row {
    id: SavedFilterId,
    name: String,
    query: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attributes {
    name: String,
    query: String,
}

/// The person who asks; teams and organizations keep no filters.
fn person(cx: &Cx) -> Result<UserId> {
    match cx.actor()? {
        Actor::User { id, .. } => Ok(id.clone()),
        _ => Err(Error::NotFound),
    }
}

async fn list(cx: Cx) -> Result<Reply> {
    let person = person(&cx)?;
    let (organization, _) = organizations::find(&cx, cx.path("organization")).await?;
    let sql =
        "SELECT id, name, query FROM saved_filters WHERE user_id = $1 AND organization_id = $2 ORDER BY name";
    let rows: Vec<Row> = cx.app.db.all(sql, args![&person, &organization.id]).await?;
    cx.list(rows.iter().map(document).collect(), &[]).await
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let person = person(&cx)?;
    let (organization, _) = organizations::find(&cx, cx.path("organization")).await?;
    let data: Data<Attributes> = cx.data().await?;
    let row = Row {
        id: SavedFilterId::new(&cx.app.env),
        name: data.attributes.name.trim().to_owned(),
        query: data.attributes.query,
    };
    if row.name.is_empty() || row.name.chars().count() > NAME_MAX {
        return Err(Error::invalid("name", format!("Name must have between 1 and {NAME_MAX} characters")));
    }
    if row.query.is_empty() || row.query.len() > QUERY_MAX {
        return Err(Error::invalid("query", format!("Query must have between 1 and {QUERY_MAX} characters")));
    }
    let mut tx = cx.app.db.begin().await?;
    let kept: Option<(i64, i64)> = tx
        .one(
            "SELECT COUNT(*), COUNT(CASE WHEN name = $3 THEN 1 END) FROM saved_filters
             WHERE user_id = $1 AND organization_id = $2",
            args![&person, &organization.id, &row.name],
        )
        .await?;
    match kept.unwrap_or_default() {
        (_, 1..) => return Err(Error::invalid("name", "Name has already been taken")),
        (MOST.., _) => {
            return Err(Error::Unprocessable(format!(
                "You have {MOST} saved filters here; delete one first"
            )));
        }
        _ => {}
    }
    tx.exec(
        "INSERT INTO saved_filters (id, user_id, organization_id, name, query, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        args![&row.id, &person, &organization.id, &row.name, &row.query, cx.app.now()],
    )
    .await?;
    tx.commit().await?;
    Ok(Reply::created(document(&row)))
}

async fn delete(cx: Cx) -> Result<Reply> {
    let gone = cx
        .app
        .db
        .exec("DELETE FROM saved_filters WHERE id = $1 AND user_id = $2", args![cx.path("id"), &person(&cx)?])
        .await?;
    if gone == 0 { Err(Error::NotFound) } else { Ok(Reply::no_content()) }
}

fn document(row: &Row) -> Resource {
    let attributes = json!({ "name": row.name, "query": row.query });
    Resource::new("saved-filters", row.id.as_str(), &attributes)
}
