//! Users that the identity provider keeps: `/scim/v2/Users`.
//!
//! The id is that of the account. A user whose address an account has already takes that account over, with its teams and what it
//! has made; else an account is made. `userName` is the provider's name for it; the account's username is made from it once, and
//! stays. The address follows `emails` (the primary one, else that for work, else the first), or a `userName` that is one. What
//! else the provider says is kept and shown again. `active: false` suspends the account: sessions end and tokens stop. Deleting
//! takes away tokens, password, teams and organizations too, and leaves a suspended account to which belongs what it
//! has made. The last site admin is neither suspended nor deleted.

use super::{
    filter::{self, Column, Kind},
    patch,
    path::{USER, key, member, truth},
    resource::{self, Window},
};
use crate::{people, users};
use axum::http::{Method, StatusCode};
use db::{Arg, FromRow, Tx, args};
use http_api::{Cx, Error, Reply, Result, Routes, audit};
use kernel::{Timestamp, ids::UserId};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Bytes of what is kept of a user besides.
const LARGEST: usize = 64 << 10;
/// What is not kept with the rest: it has a place of its own, is ours, or is a secret.
const OWN: [&str; 8] = ["id", "meta", "schemas", "groups", "password", "userName", "externalId", "active"];

const COLUMNS: [Column; 6] = [
    Column { names: &["username"], sql: "s.user_name_key = ?", kind: Kind::Text },
    Column { names: &["externalid"], sql: "s.external_id = ?", kind: Kind::Exact },
    Column { names: &["id"], sql: "s.user_id = ?", kind: Kind::Exact },
    Column { names: &["displayname"], sql: "LOWER(s.display_name) = ?", kind: Kind::Text },
    Column {
        names: &["emails", "emails.value", "emails[type=\"work\"].value"],
        sql: "LOWER(u.email) = ?",
        kind: Kind::Text,
    },
    Column { names: &["active"], sql: "u.suspended <> ?", kind: Kind::Flag },
];

/// The operations on users.
pub(super) fn routes() -> Routes {
    let (list, one) = ("/Users", "/Users/{id}");
    Routes::new()
        .scim(Method::GET, list, "accounts.scim-users.list", index)
        .scim(Method::POST, list, "accounts.scim-users.create", create)
        .scim(Method::GET, one, "accounts.scim-users.read", read)
        .scim(Method::PUT, one, "accounts.scim-users.replace", replace)
        .scim(Method::PATCH, one, "accounts.scim-users.update", update)
        .scim(Method::DELETE, one, "accounts.scim-users.delete", delete)
}

#[derive(Debug, FromRow)]
struct Row {
    user_id: UserId,
    user_name: String,
    external_id: Option<String>,
    attributes: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    suspended: bool,
    username: String,
}

const SELECT: &str =
    "SELECT s.user_id, s.user_name, s.external_id, s.attributes, s.created_at, s.updated_at, u.suspended,
    u.username FROM scim_users s JOIN users u ON u.id = s.user_id";
const GROUPS: &str = "SELECT m.user_id, g.id, g.display_name FROM scim_group_members m
    JOIN scim_groups g ON g.id = m.group_id";

/// A user, a group of theirs, and its name.
type Membership = (UserId, String, String);

fn document(cx: &Cx, row: &Row, groups: &[Membership]) -> Result<Value> {
    let mut resource: Map<String, Value> = serde_json::from_str(&row.attributes).map_err(Error::internal)?;
    let mut schemas = vec![USER.to_owned()];
    schemas.extend(resource.keys().filter(|name| name.starts_with("urn:")).cloned());
    let place = |id: &str| cx.app.url(&format!("/scim/v2/Groups/{id}"));
    let groups: Vec<Value> = groups
        .iter()
        .map(|(_, id, name)| json!({ "value": id, "display": name, "$ref": place(id), "type": "direct" }))
        .collect();
    let path = format!("/scim/v2/Users/{}", row.user_id);
    resource.extend([
        ("schemas".to_owned(), json!(schemas)),
        ("id".to_owned(), json!(row.user_id)),
        ("userName".to_owned(), json!(row.user_name)),
        ("active".to_owned(), json!(!row.suspended)),
        ("groups".to_owned(), json!(groups)),
        ("meta".to_owned(), resource::meta(cx, "User", &path, row.created_at, row.updated_at)),
    ]);
    if let Some(external) = &row.external_id {
        resource.insert("externalId".to_owned(), json!(external));
    }
    Ok(Value::Object(resource))
}

async fn index(cx: Cx) -> Result<Reply> {
    resource::readable(&cx)?;
    let window = Window::asked(&cx)?;
    let terms = cx.query("filter").map_or(Ok(Vec::new()), filter::parse)?;
    let mut values = Vec::new();
    let condition = filter::conditions(&terms, &COLUMNS, &mut values)?;
    let sql = format!("SELECT COUNT(*) FROM scim_users s JOIN users u ON u.id = s.user_id WHERE {condition}");
    let total: Option<(i64,)> = cx.app.db.one(db::AssertSqlSafe(sql), values.clone()).await?;
    let sql = format!(
        "{SELECT} WHERE {condition} ORDER BY s.created_at, s.user_id LIMIT {} OFFSET {}",
        window.count,
        window.offset()
    );
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let mut groups: HashMap<UserId, Vec<Membership>> = HashMap::new();
    if !rows.is_empty() && !resource::is_excluded(&cx, "groups") {
        let marks: Vec<String> = (1..=rows.len()).map(|n| format!("${n}")).collect();
        let sql = format!("{GROUPS} WHERE m.user_id IN ({}) ORDER BY g.display_key", marks.join(", "));
        let ids = rows.iter().map(|row| Arg::from(&row.user_id)).collect();
        for membership in cx.app.db.all::<Membership>(db::AssertSqlSafe(sql), ids).await? {
            groups.entry(membership.0.clone()).or_default().push(membership);
        }
    }
    let mut found = Vec::new();
    for row in &rows {
        found.push(document(&cx, row, groups.get(&row.user_id).map_or(&[], Vec::as_slice))?);
    }
    Ok(resource::list(&cx, total.map_or(0, |(n,)| n), window, found))
}

async fn read(cx: Cx) -> Result<Reply> {
    resource::readable(&cx)?;
    let sql = format!("{SELECT} WHERE s.user_id = $1");
    let row: Option<Row> = cx.app.db.one(db::AssertSqlSafe(sql), args![cx.path("id")]).await?;
    let row = row.ok_or(Error::NotFound)?;
    let sql = format!("{GROUPS} WHERE m.user_id = $1 ORDER BY g.display_key");
    let groups = cx.app.db.all(db::AssertSqlSafe(sql), args![&row.user_id]).await?;
    Ok(resource::one(&cx, StatusCode::OK, document(&cx, &row, &groups)?))
}

/// A user and its document, as the transaction sees them.
async fn held(cx: &Cx, tx: &mut Tx, id: &str) -> Result<(Row, Value)> {
    audit::resource("scim-users", id);
    let row: Option<Row> =
        tx.one(db::AssertSqlSafe(format!("{SELECT} WHERE s.user_id = $1")), args![id]).await?;
    let row = row.ok_or(Error::NotFound)?;
    let sql = format!("{GROUPS} WHERE m.user_id = $1 ORDER BY g.display_key");
    let groups: Vec<Membership> = tx.all(db::AssertSqlSafe(sql), args![&row.user_id]).await?;
    let document = document(cx, &row, &groups)?;
    Ok((row, document))
}

/// What a resource says that the server acts upon, and the rest.
struct Wanted {
    user_name: String,
    external_id: Option<String>,
    display_name: String,
    email: Option<String>,
    active: Option<bool>,
    attributes: String,
}

impl Wanted {
    fn of(mut resource: Map<String, Value>) -> Result<Self> {
        let user_name = resource::text(&resource, "userName")?;
        let external_id = resource::optional_text(&resource, "externalId")?;
        let active = match member(&resource, "active") {
            None | Some(Value::Null) => None,
            Some(value) => Some(
                truth(value)
                    .ok_or_else(|| Error::bad_request("invalidValue", "active must be true or false"))?,
            ),
        };
        let email = address(&resource).or_else(|| Some(user_name.clone()).filter(|name| is_address(name)));
        let display_name = resource::optional_text(&resource, "displayName")?.unwrap_or_default();
        for name in OWN {
            let name = key(&resource, name);
            resource.remove(&name);
        }
        let attributes = serde_json::to_string(&resource).map_err(Error::internal)?;
        if attributes.len() > LARGEST {
            return Err(Error::TooLarge(format!("the attributes of a user may have {LARGEST} bytes")));
        }
        Ok(Self { user_name, external_id, display_name, email, active, attributes })
    }

    fn key(&self) -> String {
        self.user_name.to_lowercase()
    }
}

fn is_address(text: &str) -> bool {
    text.contains('@') && text.len() <= 255 && !text.contains(char::is_whitespace)
}

/// The address among `emails`: the primary one, else that for work, else the first.
fn address(resource: &Map<String, Value>) -> Option<String> {
    let emails = member(resource, "emails")?.as_array()?;
    let emails: Vec<&Map<String, Value>> = emails.iter().filter_map(Value::as_object).collect();
    let value = |of: &&Map<String, Value>| {
        member(of, "value")
            .and_then(Value::as_str)
            .map(str::trim)
            .filter(|text| is_address(text))
            .map(str::to_owned)
    };
    let primary = emails.iter().filter(|of| member(of, "primary").and_then(truth) == Some(true));
    let work = emails.iter().filter(|of| {
        member(of, "type").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("work"))
    });
    primary.chain(work).chain(emails.iter()).find_map(value)
}

async fn create(mut cx: Cx) -> Result<Reply> {
    resource::readable(&cx)?;
    let wanted = Wanted::of(cx.json().await?)?;
    let email = wanted.email.clone().ok_or_else(|| {
        Error::bad_request("invalidValue", "emails must have an address, or userName be one")
    })?;
    let (mut tx, _) = resource::begin(&cx).await?;
    refuse_taken(&mut tx, &wanted, None).await?;
    let known: Option<(UserId,)> = tx
        .one(
            "SELECT id FROM users WHERE service = FALSE AND LOWER(email) = $1 ORDER BY created_at LIMIT 1",
            args![email.to_lowercase()],
        )
        .await?;
    let id = match known {
        Some((id,)) => id,
        None => account(&cx, &mut tx, &wanted.user_name, &email).await?,
    };
    let now = cx.app.now();
    tx.exec(
        "INSERT INTO scim_users (user_id, user_name, user_name_key, display_name, external_id, attributes, site_admin,
                                 created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, FALSE, $7, $7)",
        args![
            &id,
            &wanted.user_name,
            wanted.key(),
            &wanted.display_name,
            wanted.external_id.clone(),
            &wanted.attributes,
            now
        ],
    )
    .await?;
    // Whom the provider makes is active, unless it says otherwise.
    let (row, _) = held(&cx, &mut tx, id.as_str()).await?;
    activate(&mut tx, &row, wanted.active.unwrap_or(true)).await?;
    finish(&cx, tx, &id, StatusCode::CREATED).await
}

/// Makes an account whose name is made of the provider's.
async fn account(cx: &Cx, tx: &mut Tx, user_name: &str, email: &str) -> Result<UserId> {
    let good = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let local = user_name.split('@').next().unwrap_or_default();
    let mut username: String = local.chars().map(good).take(48).collect();
    if username.is_empty() {
        "user".clone_into(&mut username);
    }
    let taken: Option<(UserId,)> =
        tx.one("SELECT id FROM users WHERE username = $1", args![&username]).await?;
    if taken.is_some() {
        username = format!("{username}-{}", cx.app.env.base58(6));
    }
    users::insert(tx, &UserId::new(&cx.app.env), &username, email, false, false, cx.app.now()).await
}

/// Refuses a name or an address that another user has.
async fn refuse_taken(tx: &mut Tx, wanted: &Wanted, own: Option<&UserId>) -> Result<()> {
    let own = own.map(UserId::as_str).unwrap_or_default();
    let sql = "SELECT user_id FROM scim_users WHERE user_name_key = $1 AND user_id <> $2";
    let named: Option<(UserId,)> = tx.one(sql, args![wanted.key(), own]).await?;
    if named.is_some() {
        return Err(resource::taken("the userName", &wanted.user_name));
    }
    let Some(email) = &wanted.email else { return Ok(()) };
    // A new user may take over an account, but none that is a user of the provider's already.
    let others = if own.is_empty() { "AND id IN (SELECT user_id FROM scim_users)" } else { "" };
    let sql = format!(
        "SELECT id FROM users WHERE service = FALSE AND LOWER(email) = $1 AND id <> $2 {others} LIMIT 1"
    );
    let addressed: Option<(UserId,)> =
        tx.one(db::AssertSqlSafe(sql), args![email.to_lowercase(), own]).await?;
    if addressed.is_some() { Err(resource::taken("the email address", email)) } else { Ok(()) }
}

/// Suspends an account or ends its suspension.
async fn activate(tx: &mut Tx, row: &Row, active: bool) -> Result<()> {
    if row.suspended != active {
        return Ok(());
    }
    if !active {
        people::hold_admins(tx).await?;
        people::refuse_last_admin(tx, &row.user_id, &row.username).await?;
    }
    people::set_suspended(tx, &row.user_id, !active).await
}

async fn finish(cx: &Cx, mut tx: Tx, id: &UserId, status: StatusCode) -> Result<Reply> {
    let (_, document) = held(cx, &mut tx, id.as_str()).await?;
    tx.commit().await?;
    cx.app.identities.forget();
    Ok(resource::one(cx, status, document))
}

async fn store(cx: &Cx, tx: &mut Tx, row: &Row, wanted: &Wanted) -> Result<()> {
    refuse_taken(tx, wanted, Some(&row.user_id)).await?;
    tx.exec(
        "UPDATE scim_users SET user_name = $2, user_name_key = $3, display_name = $4, external_id = $5,
                               attributes = $6, updated_at = $7 WHERE user_id = $1",
        args![
            &row.user_id,
            &wanted.user_name,
            wanted.key(),
            &wanted.display_name,
            wanted.external_id.clone(),
            &wanted.attributes,
            cx.app.now()
        ],
    )
    .await?;
    if let Some(email) = &wanted.email {
        let sql = "UPDATE users SET email = $2 WHERE id = $1 AND email <> $2";
        tx.exec(sql, args![&row.user_id, email]).await?;
    }
    match wanted.active {
        Some(active) => activate(tx, row, active).await,
        None => Ok(()),
    }
}

async fn replace(mut cx: Cx) -> Result<Reply> {
    resource::readable(&cx)?;
    let wanted = Wanted::of(cx.json().await?)?;
    let (mut tx, _) = resource::begin(&cx).await?;
    let (row, document) = held(&cx, &mut tx, cx.path("id")).await?;
    resource::check_version(&cx, &document)?;
    store(&cx, &mut tx, &row, &wanted).await?;
    finish(&cx, tx, &row.user_id, StatusCode::OK).await
}

async fn update(mut cx: Cx) -> Result<Reply> {
    resource::readable(&cx)?;
    let body: Map<String, Value> = cx.json().await?;
    let (mut tx, _) = resource::begin(&cx).await?;
    let (row, document) = held(&cx, &mut tx, cx.path("id")).await?;
    resource::check_version(&cx, &document)?;
    let Value::Object(mut changed) = document else { return Err(Error::NotFound) };
    patch::apply(&mut changed, &body)?;
    store(&cx, &mut tx, &row, &Wanted::of(changed)?).await?;
    finish(&cx, tx, &row.user_id, StatusCode::OK).await
}

async fn delete(cx: Cx) -> Result<Reply> {
    resource::readable(&cx)?;
    let (mut tx, _) = resource::begin(&cx).await?;
    let (row, document) = held(&cx, &mut tx, cx.path("id")).await?;
    resource::check_version(&cx, &document)?;
    activate(&mut tx, &row, false).await?;
    for sql in [
        "DELETE FROM tokens WHERE user_id = $1",
        "DELETE FROM passwords WHERE user_id = $1",
        "DELETE FROM team_members WHERE user_id = $1",
        "DELETE FROM organization_memberships WHERE user_id = $1",
        "UPDATE users SET site_admin = FALSE WHERE id = $1",
        "DELETE FROM scim_users WHERE user_id = $1",
    ] {
        tx.exec(sql, args![&row.user_id]).await?;
    }
    tx.commit().await?;
    cx.app.identities.forget();
    Ok(Reply::no_content())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(resource: Value) -> Result<Wanted> {
        Wanted::of(resource.as_object().unwrap().clone())
    }

    #[test]
    fn the_address_is_the_primary_one_else_that_for_work_else_the_first_else_the_name() {
        let email =
            |emails: Value| wanted(json!({ "userName": "u@x", "emails": emails })).unwrap().email.unwrap();
        let (first, work) =
            (json!({ "value": "a@x", "type": "home" }), json!({ "value": "b@x", "type": "Work" }));
        let primary = json!({ "value": "c@x", "primary": "True" });
        assert_eq!(email(json!([first, work, primary])), "c@x");
        assert_eq!(email(json!([first, work])), "b@x");
        assert_eq!(email(json!([first])), "a@x");
        assert_eq!(email(json!([{ "value": "no address" }])), "u@x");
        assert_eq!(wanted(json!({ "userName": "u" })).unwrap().email, None);
    }

    #[test]
    fn what_is_kept_besides_has_no_password_and_nothing_twice() {
        let kept = wanted(json!({ "USERNAME": "u", "password": "planted", "Active": "False", "title": "t" }))
            .unwrap();
        assert_eq!((kept.attributes.as_str(), kept.active), ("{\"title\":\"t\"}", Some(false)));
        for wrong in [json!({}), json!({ "userName": "" }), json!({ "userName": "u", "active": "maybe" })] {
            assert!(wanted(wrong).is_err());
        }
    }
}
