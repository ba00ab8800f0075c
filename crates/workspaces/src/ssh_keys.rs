//! SSH keys: private keys with which runs fetch modules from git over SSH. `/organizations/{organization}/ssh-keys`,
//! `/ssh-keys/{id}`, and a workspace's choice of one.
//!
//! A key's value is sealed at rest and in no answer; only `init` of the workspace's runs gets it. Deleting a key takes it from
//! the workspaces that use it. Source: the SSH Keys API; semantics.md §6.3, §6.4.

use crate::workspaces::{self, hold};
use accounts::organizations;
use authz::{InOrganization, perm};
use axum::http::Method;
use db::{FromRow, args};
use http_api::{App, Cx, Data, Error, Linkage, Patch, Reply, Resource, Result, Routes};
use kernel::{
    Paged, Secret,
    ids::{OrganizationId, SshKeyId, WorkspaceId},
};
use serde::Deserialize;
use serde_json::json;

/// Bytes of a key. The largest that people make have about 14,000.
const VALUE_MAX: usize = 64 << 10;

#[derive(Clone, Debug, FromRow)]
struct Row {
    id: SshKeyId,
    organization_id: OrganizationId,
    organization: String,
    name: String,
}

impl InOrganization for Row {
    fn organization(&self) -> &OrganizationId {
        &self.organization_id
    }
}

const SELECT: &str = "SELECT k.id, k.organization_id, o.name AS organization, k.name
  FROM ssh_keys k JOIN organizations o ON o.id = k.organization_id";

/// The operations on SSH keys.
pub fn routes() -> Routes {
    let all = "/organizations/{organization}/ssh-keys";
    Routes::new()
        .op(Method::GET, all, "workspaces.ssh-keys.list", list)
        .op(Method::POST, all, "workspaces.ssh-keys.create", create)
        .op(Method::GET, "/ssh-keys/{id}", "workspaces.ssh-keys.read", read)
        .op(Method::PATCH, "/ssh-keys/{id}", "workspaces.ssh-keys.update", update)
        .op(Method::DELETE, "/ssh-keys/{id}", "workspaces.ssh-keys.delete", delete)
        .op(Method::PATCH, "/workspaces/{id}/relationships/ssh-key", "workspaces.ssh-keys.assign", assign)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attributes {
    name: Option<String>,
    value: Option<String>,
}

impl Attributes {
    fn check(&self) -> Result<()> {
        if self.name.as_ref().is_some_and(|name| name.trim().is_empty() || name.chars().count() > 255) {
            return Err(Error::invalid("name", "Name must have between 1 and 255 characters"));
        }
        if self.value.as_ref().is_some_and(|value| value.trim().is_empty() || value.len() > VALUE_MAX) {
            return Err(Error::invalid("value", format!("Value must have between 1 and {VALUE_MAX} bytes")));
        }
        Ok(())
    }
}

async fn list(cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let organization = grants.prove_organization::<perm::ManageSshKeys, _>(organization)?;
    let page = cx.page();
    let total: Option<(i64,)> = cx
        .app
        .db
        .one("SELECT COUNT(*) FROM ssh_keys WHERE organization_id = $1", args![&organization.id])
        .await?;
    let sql = format!("{SELECT} WHERE k.organization_id = $1 ORDER BY k.name LIMIT $2 OFFSET $3");
    let values = args![&organization.id, page.limit(), page.offset()];
    let rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let items = rows.iter().map(document).collect();
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, &[]).await
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let organization = grants.prove_organization::<perm::ManageSshKeys, _>(organization)?;
    let data: Data<Attributes> = cx.data().await?;
    data.attributes.check()?;
    let Some(name) = data.attributes.name else { return Err(Error::invalid("name", "Name can't be blank")) };
    let value = data.attributes.value.ok_or_else(|| Error::invalid("value", "Value can't be blank"))?;
    let row = Row {
        id: SshKeyId::new(&cx.app.env),
        organization_id: organization.id.clone(),
        organization: organization.name.clone(),
        name,
    };
    let key = cx.app.data_key(&organization.id).await?;
    let sealed = key.seal(&cx.app.env, row.id.as_str(), value.as_bytes());
    let mut tx = cx.app.db.begin().await?;
    refuse_taken_name(&mut tx, &row).await?;
    tx.exec(
        "INSERT INTO ssh_keys (id, organization_id, name, value, created_at) VALUES ($1, $2, $3, $4, $5)",
        args![&row.id, &row.organization_id, &row.name, sealed, cx.app.now()],
    )
    .await?;
    tx.commit().await?;
    Ok(Reply::created(document(&row)))
}

async fn refuse_taken_name(tx: &mut db::Tx, row: &Row) -> Result<()> {
    let taken: Option<(String,)> = tx
        .one(
            "SELECT id FROM ssh_keys WHERE organization_id = $1 AND name = $2 AND id <> $3",
            args![&row.organization_id, &row.name, &row.id],
        )
        .await?;
    if taken.is_some() { Err(Error::invalid("name", "Name has already been taken")) } else { Ok(()) }
}

/// The key of the path, which the caller may manage.
async fn find(cx: &Cx) -> Result<Row> {
    let sql = format!("{SELECT} WHERE k.id = $1");
    let row: Row =
        cx.app.db.one(db::AssertSqlSafe(sql), args![cx.path("id")]).await?.ok_or(Error::NotFound)?;
    let grants = cx.grants(&row.organization_id).await?;
    Ok(grants.prove_organization::<perm::ManageSshKeys, _>(row)?.into_inner())
}

async fn read(cx: Cx) -> Result<Reply> {
    let row = find(&cx).await?;
    Ok(Reply::one(document(&row)))
}

async fn update(mut cx: Cx) -> Result<Reply> {
    let mut row = find(&cx).await?;
    let data: Data<Attributes> = cx.data().await?;
    data.attributes.check()?;
    if let Some(name) = data.attributes.name {
        row.name = name;
    }
    let key = cx.app.data_key(&row.organization_id).await?;
    let mut tx = cx.app.db.begin().await?;
    refuse_taken_name(&mut tx, &row).await?;
    tx.exec("UPDATE ssh_keys SET name = $2 WHERE id = $1", args![&row.id, &row.name]).await?;
    if let Some(value) = data.attributes.value {
        let sealed = key.seal(&cx.app.env, row.id.as_str(), value.as_bytes());
        tx.exec("UPDATE ssh_keys SET value = $2 WHERE id = $1", args![&row.id, sealed]).await?;
    }
    tx.commit().await?;
    Ok(Reply::one(document(&row)))
}

async fn delete(cx: Cx) -> Result<Reply> {
    let row = find(&cx).await?;
    cx.app.db.exec("DELETE FROM ssh_keys WHERE id = $1", args![&row.id]).await?;
    Ok(Reply::no_content())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    id: Patch<String>,
}

/// Chooses a workspace's key; none by null, or by no id.
async fn assign(mut cx: Cx) -> Result<Reply> {
    let (workspace, grants) = workspaces::granted::<perm::UpdateWorkspace>(&cx).await?;
    let data: Data<Choice> = cx.data().await?;
    let wanted = match data.attributes.id {
        Patch::Value(id) => Some(id),
        Patch::Absent | Patch::Null => None,
    };
    let mut tx = cx.app.db.begin().await?;
    let mut held = hold(&mut tx, &workspace.id).await?;
    held.ssh_key_id = match wanted {
        None => None,
        Some(id) => {
            let found: Option<(SshKeyId,)> = tx
                .one(
                    "SELECT id FROM ssh_keys WHERE id = $1 AND organization_id = $2",
                    args![&id, &held.organization_id],
                )
                .await?;
            Some(found.ok_or(Error::NotFound)?.0)
        }
    };
    tx.exec("UPDATE workspaces SET ssh_key_id = $2 WHERE id = $1", args![&held.id, held.ssh_key_id.as_ref()])
        .await?;
    tx.commit().await?;
    Ok(Reply::one(workspaces::document(&held, &grants)))
}

/// The key with which a workspace's runs fetch modules, for the system's own work.
///
/// # Errors
/// [`Error::Internal`] when it cannot be opened.
pub async fn value_of(app: &App, workspace: &WorkspaceId) -> Result<Option<Secret>> {
    let found: Option<(SshKeyId, OrganizationId, Vec<u8>)> = app
        .db
        .one(
            "SELECT k.id, k.organization_id, k.value FROM workspaces w JOIN ssh_keys k ON k.id = w.ssh_key_id
             WHERE w.id = $1",
            args![workspace],
        )
        .await?;
    let Some((id, organization, sealed)) = found else { return Ok(None) };
    let key = app.data_key(&organization).await?;
    let plain = key.open(id.as_str(), &sealed).map_err(Error::internal)?;
    Ok(Some(Secret::new(String::from_utf8(plain).map_err(Error::internal)?)))
}

fn document(row: &Row) -> Resource {
    Resource::new("ssh-keys", row.id.as_str(), &json!({ "name": row.name }))
        .relate("organization", Linkage::One("organizations", row.organization.clone()))
        .link("self", format!("/api/v2/ssh-keys/{}", row.id))
}
