//! Groups of the identity provider: `/scim/v2/Groups`. What their members are is in [`sync`].
//!
//! Members are users that the provider keeps here; groups in groups are not supported. A name is one group's alone, in any
//! case of its letters, because site admins choose groups by it. A deleted group leaves the teams that were linked to it
//! without its members.

use super::{
    filter::{self, Column, Kind},
    patch,
    path::{GROUP, member},
    resource::{self, Window},
    sync,
};
use axum::http::{Method, StatusCode};
use db::{Arg, FromRow, Tx, args};
use http_api::{Cx, Error, Reply, Result, Routes, audit, site::Scim};
use kernel::{Timestamp, ids::ScimGroupId};
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};

/// Members in one statement.
const AT_ONCE: usize = 500;

const COLUMNS: [Column; 4] = [
    Column { names: &["displayname"], sql: "g.display_key = ?", kind: Kind::Text },
    Column { names: &["externalid"], sql: "g.external_id = ?", kind: Kind::Exact },
    Column { names: &["id"], sql: "g.id = ?", kind: Kind::Exact },
    Column {
        names: &["members", "members.value"],
        sql: "EXISTS (SELECT 1 FROM scim_group_members m WHERE m.group_id = g.id AND m.user_id = ?)",
        kind: Kind::Exact,
    },
];

/// The operations on groups.
pub(super) fn routes() -> Routes {
    let (list, one) = ("/Groups", "/Groups/{id}");
    Routes::new()
        .scim(Method::GET, list, "accounts.scim-provider-groups.list", index)
        .scim(Method::POST, list, "accounts.scim-provider-groups.create", create)
        .scim(Method::GET, one, "accounts.scim-provider-groups.read", read)
        .scim(Method::PUT, one, "accounts.scim-provider-groups.replace", replace)
        .scim(Method::PATCH, one, "accounts.scim-provider-groups.update", update)
        .scim(Method::DELETE, one, "accounts.scim-provider-groups.delete", delete)
}

#[derive(Debug, FromRow)]
struct Row {
    id: ScimGroupId,
    display_name: String,
    external_id: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A member of a group: its id, and how it is shown.
#[derive(Debug, FromRow)]
struct Member {
    group_id: ScimGroupId,
    user_id: String,
    display: String,
}

const SELECT: &str =
    "SELECT g.id, g.display_name, g.external_id, g.created_at, g.updated_at FROM scim_groups g";
const MEMBERS: &str = "SELECT m.group_id, m.user_id,
    CASE WHEN s.display_name = '' THEN s.user_name ELSE s.display_name END AS display
  FROM scim_group_members m JOIN scim_users s ON s.user_id = m.user_id";

fn document(cx: &Cx, row: &Row, members: &[Member]) -> Value {
    let place = |id: &str| cx.app.url(&format!("/scim/v2/Users/{id}"));
    let members: Vec<Value> = members
        .iter()
        .map(|member| {
            json!({ "value": member.user_id, "display": member.display, "$ref": place(&member.user_id), "type": "User" })
        })
        .collect();
    let path = format!("/scim/v2/Groups/{}", row.id);
    let mut resource = json!({
        "schemas": [GROUP],
        "id": row.id,
        "displayName": row.display_name,
        "members": members,
        "meta": resource::meta(cx, "Group", &path, row.created_at, row.updated_at),
    });
    if let Some(external) = &row.external_id {
        resource["externalId"] = json!(external);
    }
    resource
}

async fn index(cx: Cx) -> Result<Reply> {
    resource::readable(&cx)?;
    let window = Window::asked(&cx)?;
    let terms = cx.query("filter").map_or(Ok(Vec::new()), filter::parse)?;
    let mut values = Vec::new();
    let condition = filter::conditions(&terms, &COLUMNS, &mut values)?;
    let sql = format!("SELECT COUNT(*) FROM scim_groups g WHERE {condition}");
    let total: Option<(i64,)> = cx.app.db.one(db::AssertSqlSafe(sql), values.clone()).await?;
    let sql = format!(
        "{SELECT} WHERE {condition} ORDER BY g.created_at, g.id LIMIT {} OFFSET {}",
        window.count,
        window.offset()
    );
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let mut members: HashMap<ScimGroupId, Vec<Member>> = HashMap::new();
    if !rows.is_empty() && !resource::is_excluded(&cx, "members") {
        let marks: Vec<String> = (1..=rows.len()).map(|n| format!("${n}")).collect();
        let sql = format!("{MEMBERS} WHERE m.group_id IN ({}) ORDER BY m.user_id", marks.join(", "));
        let ids = rows.iter().map(|row| Arg::from(&row.id)).collect();
        for member in cx.app.db.all::<Member>(db::AssertSqlSafe(sql), ids).await? {
            members.entry(member.group_id.clone()).or_default().push(member);
        }
    }
    let of = |row: &Row| document(&cx, row, members.get(&row.id).map_or(&[], Vec::as_slice));
    Ok(resource::list(&cx, total.map_or(0, |(n,)| n), window, rows.iter().map(of).collect()))
}

async fn read(cx: Cx) -> Result<Reply> {
    resource::readable(&cx)?;
    let sql = format!("{SELECT} WHERE g.id = $1");
    let row: Option<Row> = cx.app.db.one(db::AssertSqlSafe(sql), args![cx.path("id")]).await?;
    let row = row.ok_or(Error::NotFound)?;
    let sql = format!("{MEMBERS} WHERE m.group_id = $1 ORDER BY m.user_id");
    let members: Vec<Member> = cx.app.db.all(db::AssertSqlSafe(sql), args![&row.id]).await?;
    Ok(resource::one(&cx, StatusCode::OK, document(&cx, &row, &members)))
}

/// A group and its document, as the transaction sees them.
async fn held(cx: &Cx, tx: &mut Tx, id: &str) -> Result<(Row, Value)> {
    audit::resource("scim-groups", id);
    let row: Option<Row> = tx.one(db::AssertSqlSafe(format!("{SELECT} WHERE g.id = $1")), args![id]).await?;
    let row = row.ok_or(Error::NotFound)?;
    let sql = format!("{MEMBERS} WHERE m.group_id = $1 ORDER BY m.user_id");
    let members: Vec<Member> = tx.all(db::AssertSqlSafe(sql), args![&row.id]).await?;
    let document = document(cx, &row, &members);
    Ok((row, document))
}

/// What a resource says.
struct Wanted {
    display_name: String,
    external_id: Option<String>,
    /// None where the resource says nothing of members.
    members: Option<BTreeSet<String>>,
}

impl Wanted {
    fn of(resource: &Map<String, Value>) -> Result<Self> {
        Ok(Self {
            display_name: resource::text(resource, "displayName")?,
            external_id: resource::optional_text(resource, "externalId")?,
            members: match member(resource, "members") {
                None => None,
                Some(value) => Some(members(value)?),
            },
        })
    }
}

/// The ids in a list of members.
fn members(value: &Value) -> Result<BTreeSet<String>> {
    let wrong =
        || Error::bad_request("invalidValue", "members are objects with the id of a user as their value");
    if value.is_null() {
        return Ok(BTreeSet::new());
    }
    let id = |of: &Value| member(of.as_object()?, "value")?.as_str().map(str::to_owned);
    value.as_array().ok_or_else(wrong)?.iter().map(|of| id(of).ok_or_else(wrong)).collect()
}

async fn refuse_taken(tx: &mut Tx, wanted: &Wanted, own: &str) -> Result<()> {
    let sql = "SELECT id FROM scim_groups WHERE display_key = $1 AND id <> $2";
    let named: Option<(ScimGroupId,)> = tx.one(sql, args![wanted.display_name.to_lowercase(), own]).await?;
    if named.is_some() { Err(resource::taken("the displayName", &wanted.display_name)) } else { Ok(()) }
}

/// Makes the members of a group those that are wanted.
async fn set_members(tx: &mut Tx, group: &ScimGroupId, wanted: &BTreeSet<String>) -> Result<()> {
    let sql = "SELECT user_id FROM scim_group_members WHERE group_id = $1";
    let now: Vec<(String,)> = tx.all(sql, args![group]).await?;
    let now: BTreeSet<String> = now.into_iter().map(|(id,)| id).collect();
    let gone: Vec<&String> = now.difference(wanted).collect();
    let new: Vec<&String> = wanted.difference(&now).collect();
    let with = |ids: &[&String]| -> (String, Vec<Arg>) {
        let marks: Vec<String> = (2..ids.len() + 2).map(|n| format!("${n}")).collect();
        let mut values = args![group];
        values.extend(ids.iter().map(|id| Arg::from(*id)));
        (marks.join(", "), values)
    };
    for ids in gone.chunks(AT_ONCE) {
        let (marks, values) = with(ids);
        let sql = format!("DELETE FROM scim_group_members WHERE group_id = $1 AND user_id IN ({marks})");
        tx.exec(db::AssertSqlSafe(sql), values).await?;
    }
    for ids in new.chunks(AT_ONCE) {
        let (marks, values) = with(ids);
        let sql = format!(
            "INSERT INTO scim_group_members (group_id, user_id)
             SELECT g.id, s.user_id FROM scim_groups g JOIN scim_users s ON s.user_id IN ({marks}) WHERE g.id = $1"
        );
        if tx.exec(db::AssertSqlSafe(sql), values).await? == ids.len() as u64 {
            continue;
        }
        let sql =
            format!("SELECT user_id FROM scim_users WHERE user_id IN ({})", marks.replace("$2", "$1, $2"));
        let known: Vec<(String,)> = tx.all(db::AssertSqlSafe(sql), with(ids).1).await?;
        let unknown = ids.iter().find(|id| !known.iter().any(|(known,)| known == **id));
        let unknown = unknown.map_or("", |id| id.as_str());
        return Err(Error::bad_request(
            "invalidValue",
            format!("the member {unknown} is no user of this provider's"),
        ));
    }
    Ok(())
}

async fn create(mut cx: Cx) -> Result<Reply> {
    resource::readable(&cx)?;
    let body: Map<String, Value> = cx.json().await?;
    let wanted = Wanted::of(&body)?;
    let (mut tx, _) = resource::begin(&cx).await?;
    refuse_taken(&mut tx, &wanted, "").await?;
    let id = ScimGroupId::new(&cx.app.env);
    tx.exec(
        "INSERT INTO scim_groups (id, display_name, display_key, external_id, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $5)",
        args![
            &id,
            &wanted.display_name,
            wanted.display_name.to_lowercase(),
            wanted.external_id,
            cx.app.now()
        ],
    )
    .await?;
    // Nothing is linked to it yet, so its members are nothing yet.
    set_members(&mut tx, &id, &wanted.members.unwrap_or_default()).await?;
    let (_, document) = held(&cx, &mut tx, id.as_str()).await?;
    tx.commit().await?;
    Ok(resource::one(&cx, StatusCode::CREATED, document))
}

/// Stores what is wanted of a group, and what follows from it.
async fn store(cx: &Cx, mut tx: Tx, scim: &Scim, row: &Row, wanted: Wanted) -> Result<Value> {
    refuse_taken(&mut tx, &wanted, row.id.as_str()).await?;
    tx.exec(
        "UPDATE scim_groups SET display_name = $2, display_key = $3, external_id = $4, updated_at = $5 WHERE id = $1",
        args![
            &row.id,
            &wanted.display_name,
            wanted.display_name.to_lowercase(),
            wanted.external_id,
            cx.app.now()
        ],
    )
    .await?;
    if let Some(members) = &wanted.members {
        set_members(&mut tx, &row.id, members).await?;
    }
    sync::group(&cx.app, &mut tx, scim, &row.id).await?;
    let (_, document) = held(cx, &mut tx, row.id.as_str()).await?;
    tx.commit().await?;
    cx.app.identities.forget();
    Ok(document)
}

async fn replace(mut cx: Cx) -> Result<Reply> {
    resource::readable(&cx)?;
    let body: Map<String, Value> = cx.json().await?;
    let wanted = Wanted::of(&body)?;
    let (mut tx, scim) = resource::begin(&cx).await?;
    let (row, document) = held(&cx, &mut tx, cx.path("id")).await?;
    resource::check_version(&cx, &document)?;
    let document = store(&cx, tx, &scim, &row, wanted).await?;
    Ok(resource::one(&cx, StatusCode::OK, document))
}

async fn update(mut cx: Cx) -> Result<Reply> {
    resource::readable(&cx)?;
    let body: Map<String, Value> = cx.json().await?;
    let (mut tx, scim) = resource::begin(&cx).await?;
    let (row, document) = held(&cx, &mut tx, cx.path("id")).await?;
    resource::check_version(&cx, &document)?;
    let Value::Object(mut changed) = document else { return Err(Error::NotFound) };
    patch::apply(&mut changed, &body)?;
    let mut wanted = Wanted::of(&changed)?;
    // An attribute that was removed is empty now.
    wanted.members.get_or_insert_default();
    store(&cx, tx, &scim, &row, wanted).await?;
    // The members of a large group are not said again to whoever adds one.
    Ok(Reply::no_content())
}

async fn delete(cx: Cx) -> Result<Reply> {
    resource::readable(&cx)?;
    let (mut tx, mut scim) = resource::begin(&cx).await?;
    let (row, document) = held(&cx, &mut tx, cx.path("id")).await?;
    resource::check_version(&cx, &document)?;
    set_members(&mut tx, &row.id, &BTreeSet::new()).await?;
    sync::group(&cx.app, &mut tx, &scim, &row.id).await?;
    tx.exec("DELETE FROM scim_groups WHERE id = $1", args![&row.id]).await?;
    let was_for_admins = scim.site_admin_group.as_ref() == Some(&row.id);
    if was_for_admins {
        scim.site_admin_group = None;
        cx.app.store_site(&mut tx, &scim).await?;
    }
    tx.commit().await?;
    if was_for_admins {
        cx.app.remember_site(&scim);
    }
    cx.app.identities.forget();
    Ok(Reply::no_content())
}
