//! Tag keys that an organization sets aside: `/organizations/{organization}/reserved-tag-keys`, `/reserved-tag-keys/{id}`.
//!
//! Where overriding is disabled, a workspace cannot bind a reserved key that its project binds ([`refuse_overrides`]): the
//! project's value holds. Source: the Reserved Tag Keys API.

use crate::tags;
use accounts::organizations;
use authz::{InOrganization, perm};
use axum::http::Method;
use db::{FromRow, Tx, args};
use http_api::{Cx, Data, Error, Linkage, Reply, Resource, Result, Routes};
use kernel::{
    Paged, Timestamp,
    ids::{OrganizationId, ReservedTagKeyId, WorkspaceId},
};
use serde::Deserialize;
use serde_json::json;

#[derive(Clone, Debug, FromRow)]
struct Row {
    id: ReservedTagKeyId,
    organization_id: OrganizationId,
    organization: String,
    key: String,
    disable_overrides: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl InOrganization for Row {
    fn organization(&self) -> &OrganizationId {
        &self.organization_id
    }
}

const SELECT: &str =
    "SELECT k.id, k.organization_id, o.name AS organization, k.key, k.disable_overrides, k.created_at,
    k.updated_at
  FROM reserved_tag_keys k JOIN organizations o ON o.id = k.organization_id";

/// The operations on reserved tag keys.
pub fn routes() -> Routes {
    let all = "/organizations/{organization}/reserved-tag-keys";
    Routes::new()
        .op(Method::GET, all, "workspaces.reserved-tag-keys.list", list)
        .op(Method::POST, all, "workspaces.reserved-tag-keys.create", create)
        .op(Method::PATCH, "/reserved-tag-keys/{id}", "workspaces.reserved-tag-keys.update", update)
        .op(Method::DELETE, "/reserved-tag-keys/{id}", "workspaces.reserved-tag-keys.delete", delete)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    key: Option<String>,
    disable_overrides: Option<bool>,
}

async fn list(cx: Cx) -> Result<Reply> {
    let (organization, _) = organizations::find(&cx, cx.path("organization")).await?;
    let page = cx.page();
    let total: Option<(i64,)> = cx
        .app
        .db
        .one("SELECT COUNT(*) FROM reserved_tag_keys WHERE organization_id = $1", args![&organization.id])
        .await?;
    let sql = format!("{SELECT} WHERE k.organization_id = $1 ORDER BY k.key LIMIT $2 OFFSET $3");
    let values = args![&organization.id, page.limit(), page.offset()];
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let items = rows.iter().map(document).collect();
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, &[]).await
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let organization = grants.prove_organization::<perm::ManageProjects, _>(organization)?;
    let data: Data<Attributes> = cx.data().await?;
    let now = cx.app.now();
    let row = Row {
        id: ReservedTagKeyId::new(&cx.app.env),
        organization_id: organization.id.clone(),
        organization: organization.name.clone(),
        key: data.attributes.key.unwrap_or_default(),
        disable_overrides: data.attributes.disable_overrides.unwrap_or(false),
        created_at: now,
        updated_at: now,
    };
    let mut tx = cx.app.db.begin().await?;
    refuse(&mut tx, &row).await?;
    tx.exec(
        "INSERT INTO reserved_tag_keys (id, organization_id, key, disable_overrides, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $5)",
        args![&row.id, &row.organization_id, &row.key, row.disable_overrides, now],
    )
    .await?;
    tx.commit().await?;
    Ok(Reply::created(document(&row)))
}

/// Refuses a key that no tag can have, and one that is reserved already.
async fn refuse(tx: &mut Tx, row: &Row) -> Result<()> {
    if tags::check_key(&row.key).is_err() {
        return Err(Error::invalid("key", "Key is invalid"));
    }
    let taken: Option<(String,)> = tx
        .one(
            "SELECT id FROM reserved_tag_keys WHERE organization_id = $1 AND key = $2 AND id <> $3",
            args![&row.organization_id, &row.key, &row.id],
        )
        .await?;
    if taken.is_some() { Err(Error::invalid("key", "Key has already been taken")) } else { Ok(()) }
}

/// The reserved key of the path, which the caller may manage.
async fn find(cx: &Cx) -> Result<Row> {
    let sql = format!("{SELECT} WHERE k.id = $1");
    let row: Row =
        cx.app.db.one(db::AssertSqlSafe(sql), args![cx.path("id")]).await?.ok_or(Error::NotFound)?;
    let grants = cx.grants(&row.organization_id).await?;
    Ok(grants.prove_organization::<perm::ManageProjects, _>(row)?.into_inner())
}

async fn update(mut cx: Cx) -> Result<Reply> {
    let mut row = find(&cx).await?;
    let data: Data<Attributes> = cx.data().await?;
    if let Some(key) = data.attributes.key {
        row.key = key;
    }
    row.disable_overrides = data.attributes.disable_overrides.unwrap_or(row.disable_overrides);
    row.updated_at = cx.app.now();
    let mut tx = cx.app.db.begin().await?;
    refuse(&mut tx, &row).await?;
    tx.exec(
        "UPDATE reserved_tag_keys SET key = $2, disable_overrides = $3, updated_at = $4 WHERE id = $1",
        args![&row.id, &row.key, row.disable_overrides, row.updated_at],
    )
    .await?;
    tx.commit().await?;
    Ok(Reply::one(document(&row)))
}

async fn delete(cx: Cx) -> Result<Reply> {
    let row = find(&cx).await?;
    cx.app.db.exec("DELETE FROM reserved_tag_keys WHERE id = $1", args![&row.id]).await?;
    Ok(Reply::no_content())
}

fn document(row: &Row) -> Resource {
    // The instants are spelled with underscores, unlike everywhere else.
    let attributes = json!({
        "key": row.key, "disable-overrides": row.disable_overrides, "created_at": row.created_at.iso8601(),
        "updated_at": row.updated_at.iso8601(),
    });
    Resource::new("reserved-tag-keys", row.id.as_str(), &attributes)
        .relate("organization", Linkage::One("organizations", row.organization.clone()))
}

/// Refuses a binding of the workspace, of one of these keys or of any, that overrides what its project binds and may not.
/// After the bindings are written, in the same transaction.
///
/// # Errors
/// 422 that names the key.
pub(crate) async fn refuse_overrides(
    tx: &mut Tx,
    workspace: &WorkspaceId,
    keys: Option<&[tags::Pair]>,
) -> Result<()> {
    let overridden: Vec<(String,)> = tx
        .all(
            "SELECT b.key FROM tag_bindings b JOIN workspaces w ON w.id = b.workspace_id
             JOIN reserved_tag_keys k ON k.organization_id = w.organization_id AND k.key = b.key
             JOIN tag_bindings p ON p.project_id = w.project_id AND p.key = b.key
             WHERE b.workspace_id = $1 AND k.disable_overrides = TRUE ORDER BY b.key",
            args![workspace],
        )
        .await?;
    let refused = |key: &str| keys.is_none_or(|keys| keys.iter().any(|(asked, _)| asked == key));
    match overridden.into_iter().find(|(key,)| refused(key)) {
        None => Ok(()),
        Some((key,)) => Err(Error::invalid(
            "key",
            format!(
                "Tag {key:?} is reserved: the workspace's project binds it, and the organization does not let \
                 workspaces override it"
            ),
        )),
    }
}
