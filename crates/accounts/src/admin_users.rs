//! Users as the administrators of the whole installation see them: listed, suspended, made site admins, rid of a second factor
//! that they have lost, deleted.
//!
//! The last site admin who is not suspended stays one: without, nobody could let anybody in. What a deleted user has made
//! (runs, states, comments) stays, without a name. Only site admins; for everybody else these operations do not exist.
//! Source: the Admin Users API.

use crate::{admin_organizations::only_site_admins, people, two_factor, users};
use axum::http::Method;
use db::{Arg, FromRow, Tx, args};
use http_api::{Cx, Error, Linkage, Reply, Resource, Result, Routes};
use kernel::{Paged, Timestamp, ids::UserId};
use serde_json::json;
use std::collections::HashMap;

/// The operations on users for site admins.
pub fn routes() -> Routes {
    let (post, list) = (Method::POST, "/admin/users");
    let disable = "/admin/users/{id}/actions/disable_two_factor";
    Routes::new()
        .op(Method::GET, list, "accounts.admin-users.list", index)
        .op(Method::DELETE, "/admin/users/{id}", "accounts.admin-users.delete", delete)
        .op(post.clone(), "/admin/users/{id}/actions/suspend", "accounts.admin-users.suspend", suspend)
        .op(post.clone(), "/admin/users/{id}/actions/unsuspend", "accounts.admin-users.unsuspend", unsuspend)
        .op(post.clone(), "/admin/users/{id}/actions/grant_admin", "accounts.admin-users.grant-admin", grant)
        .op(post.clone(), disable, "accounts.admin-users.disable-two-factor", disable_two_factor)
        .op(post, "/admin/users/{id}/actions/revoke_admin", "accounts.admin-users.revoke-admin", revoke)
}

#[derive(Clone, Debug, FromRow)]
struct Row {
    id: UserId,
    username: String,
    email: String,
    site_admin: bool,
    suspended: bool,
    scim_username: Option<String>,
    scim_updated_at: Option<Timestamp>,
    two_factor: bool,
}

const SELECT: &str =
    "SELECT u.id, u.username, u.email, u.site_admin, u.suspended, s.user_name AS scim_username,
    s.updated_at AS scim_updated_at,
    u.id IN (SELECT user_id FROM two_factors WHERE verified_at IS NOT NULL) AS two_factor
    FROM users u LEFT JOIN scim_users s ON s.user_id = u.id";

/// A filter that is `true`, `false`, or not there.
fn flag(cx: &Cx, name: &str) -> Result<Option<bool>> {
    match cx.query(name).unwrap_or_default() {
        "" => Ok(None),
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        other => {
            Err(Error::bad_request("bad request", format!("{name} must be true or false, and is {other:?}")))
        }
    }
}

/// Text to be found as it is inside a LIKE pattern with `\` as its escape.
fn pattern(text: &str) -> String {
    let escaped = text.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

async fn index(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let page = cx.page();
    let search = cx.query("q").filter(|text| !text.is_empty()).map(pattern);
    let condition = "u.service = FALSE AND ($1 IS NULL OR LOWER(u.username) LIKE $1 ESCAPE '\\'
        OR LOWER(u.email) LIKE $1 ESCAPE '\\')
      AND ($2 IS NULL OR u.site_admin = $2) AND ($3 IS NULL OR u.suspended = $3)";
    let mut values = args![search, flag(&cx, "filter[admin]")?, flag(&cx, "filter[suspended]")?];
    let sql = format!("SELECT COUNT(*) FROM users u WHERE {condition}");
    let total: Option<(i64,)> = cx.app.db.one(db::AssertSqlSafe(sql), values.clone()).await?;
    values.extend(args![page.limit(), page.offset()]);
    let sql = format!("{SELECT} WHERE {condition} ORDER BY u.created_at, u.id LIMIT $4 OFFSET $5");
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let items = documents(&cx, &rows).await?;
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, &["organizations"]).await
}

/// Users with the organizations that they belong to, by one statement for all.
async fn documents(cx: &Cx, rows: &[Row]) -> Result<Vec<Resource>> {
    let mut organizations: HashMap<UserId, Vec<String>> = HashMap::new();
    if !rows.is_empty() {
        let marks: Vec<String> = (1..=rows.len()).map(|n| format!("${n}")).collect();
        let sql = format!(
            "SELECT m.user_id, o.name FROM organization_memberships m JOIN organizations o ON o.id = m.organization_id
             WHERE m.user_id IN ({}) ORDER BY o.name",
            marks.join(", ")
        );
        let ids = rows.iter().map(|row| Arg::from(&row.id)).collect();
        for (user, name) in cx.app.db.all::<(UserId, String)>(db::AssertSqlSafe(sql), ids).await? {
            organizations.entry(user).or_default().push(name);
        }
    }
    Ok(rows
        .iter()
        .map(|row| {
            let mut attributes = json!({
                "username": row.username, "email": row.email, "avatar-url": null, "is-admin": row.site_admin,
                "is-suspended": row.suspended, "is-service-account": false,
                "two-factor": { "enabled": row.two_factor, "verified": row.two_factor },
            });
            users::say_scim(cx, &mut attributes, row.scim_username.as_ref(), row.scim_updated_at);
            let of = organizations.remove(&row.id).unwrap_or_default();
            Resource::new("users", row.id.as_str(), &attributes)
                .relate("organizations", Linkage::Many("organizations", of))
                .link("self", format!("/api/v2/users/{}", row.id))
        })
        .collect())
}

/// The user of the path, in a transaction that holds all site admins, so that no two of them let each other go at once.
async fn begin(cx: &Cx) -> Result<(Tx, Row)> {
    only_site_admins(cx)?;
    let mut tx = cx.app.db.begin().await?;
    people::hold_admins(&mut tx).await?;
    let sql = format!("{SELECT} WHERE u.id = $1 AND u.service = FALSE");
    let row = tx.one(db::AssertSqlSafe(sql), args![cx.path("id")]).await?.ok_or(Error::NotFound)?;
    Ok((tx, row))
}

async fn finish(cx: &Cx, tx: Tx, row: Row) -> Result<Reply> {
    tx.commit().await?;
    cx.app.identities.forget();
    let document = documents(cx, &[row]).await?.pop().ok_or(Error::NotFound)?;
    Ok(Reply::one(document))
}

async fn suspend(cx: Cx) -> Result<Reply> {
    let (mut tx, mut row) = begin(&cx).await?;
    people::refuse_last_admin(&mut tx, &row.id, &row.username).await?;
    people::set_suspended(&mut tx, &row.id, true).await?;
    row.suspended = true;
    finish(&cx, tx, row).await
}

async fn unsuspend(cx: Cx) -> Result<Reply> {
    let (mut tx, mut row) = begin(&cx).await?;
    people::set_suspended(&mut tx, &row.id, false).await?;
    row.suspended = false;
    finish(&cx, tx, row).await
}

/// For who has lost their phone and their recovery codes.
async fn disable_two_factor(cx: Cx) -> Result<Reply> {
    let (mut tx, mut row) = begin(&cx).await?;
    if !two_factor::remove(&mut tx, &row.id).await? {
        let why = format!("{} does not have two-factor authentication enabled", row.username);
        return Err(Error::bad_request("bad request", why));
    }
    row.two_factor = false;
    finish(&cx, tx, row).await
}

async fn grant(cx: Cx) -> Result<Reply> {
    set_admin(&cx, true).await
}

async fn revoke(cx: Cx) -> Result<Reply> {
    set_admin(&cx, false).await
}

async fn set_admin(cx: &Cx, admin: bool) -> Result<Reply> {
    let (mut tx, mut row) = begin(cx).await?;
    if !admin {
        people::refuse_last_admin(&mut tx, &row.id, &row.username).await?;
    }
    tx.exec("UPDATE users SET site_admin = $2 WHERE id = $1", args![&row.id, admin]).await?;
    row.site_admin = admin;
    finish(cx, tx, row).await
}

async fn delete(cx: Cx) -> Result<Reply> {
    let (mut tx, row) = begin(&cx).await?;
    people::refuse_last_admin(&mut tx, &row.id, &row.username).await?;
    tx.exec("DELETE FROM users WHERE id = $1", args![&row.id]).await?;
    tx.commit().await?;
    cx.app.identities.forget();
    Ok(Reply::no_content())
}
