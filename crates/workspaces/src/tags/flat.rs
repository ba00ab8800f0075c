//! Flat tags: the keys that workspaces bear, as names of the organization.

use super::{Bearer, Pair, bind, check, unbind};
use crate::{
    Workspace,
    conditions::Conditions,
    workspaces::{by_id, granted, hold},
};
use accounts::organizations;
use authz::{OrganizationPermission, perm};
use axum::http::Method;
use db::{FromRow, Tx, args};
use http_api::{App, Cx, Data, Error, Linkage, Member, Reply, Resource, Result, Routes};
use kernel::{
    Paged, Timestamp,
    ids::{OrganizationId, TagId, WorkspaceId},
};
use serde_json::{Value, json};

/// Flat tags that one request may name.
const MOST_FLAT: usize = 1000;

/// The operations on flat tags.
pub(super) fn routes() -> Routes {
    let flat = "/workspaces/{id}/relationships/tags";
    Routes::new()
        .op(Method::GET, "/organizations/{organization}/tags", "workspaces.tags.list", list)
        .op(Method::DELETE, "/organizations/{organization}/tags", "workspaces.tags.delete", delete)
        .op(
            Method::POST,
            "/tags/{id}/relationships/workspaces",
            "workspaces.tags.add-workspaces",
            add_workspaces,
        )
        .op(Method::GET, flat, "workspaces.workspace-tags.list", list_flat)
        .op(Method::POST, flat, "workspaces.workspace-tags.add", add_flat)
        .op(Method::DELETE, flat, "workspaces.workspace-tags.remove", remove_flat)
}

/// The names in the `tags` relationship of a request.
pub(crate) async fn related_tags<A>(
    tx: &mut Tx,
    organization: &OrganizationId,
    data: &Data<A>,
) -> Result<Vec<String>> {
    named(tx, organization, data.related_list("tags")?.unwrap_or_default()).await
}

/// Tags named by `id` or by the attribute `name`.
async fn named(tx: &mut Tx, organization: &OrganizationId, list: Vec<Member>) -> Result<Vec<String>> {
    if list.len() > MOST_FLAT {
        return Err(Error::invalid("tags", format!("One request may name {MOST_FLAT} tags")));
    }
    let mut names = Vec::with_capacity(list.len());
    for tag in list {
        let name = match tag.attributes.get("name").and_then(Value::as_str) {
            Some(name) => name.to_owned(),
            None => {
                let id = tag.id.unwrap_or_default();
                let found: Option<(String,)> = tx
                    .one(
                        "SELECT name FROM tags WHERE organization_id = $1 AND (id = $2 OR name = $2)",
                        args![organization, &id],
                    )
                    .await?;
                found.ok_or(Error::NotFound)?.0
            }
        };
        check(&(name.clone(), String::new()))?;
        names.push(name);
    }
    Ok(names)
}

/// Gives a workspace those flat tags that it does not bear yet, whatever their value.
pub(crate) async fn add(app: &App, tx: &mut Tx, workspace: &Workspace, names: &[String]) -> Result<()> {
    let bearer = Bearer::Workspace(&workspace.id);
    let borne: Vec<(String,)> =
        tx.all("SELECT key FROM tag_bindings WHERE workspace_id = $1", args![&workspace.id]).await?;
    let new: Vec<Pair> = names
        .iter()
        .filter(|name| !borne.iter().any(|(key,)| key == *name))
        .map(|name| (name.clone(), String::new()))
        .collect();
    bind(app, tx, &workspace.organization_id, bearer, &new).await
}

#[derive(FromRow)]
struct Tag {
    id: TagId,
    name: String,
    created_at: Timestamp,
    instances: i64,
}

fn tag_document(tag: &Tag, organization: &str) -> Resource {
    let attributes = json!({
        "name": tag.name, "created-at": tag.created_at.iso8601(), "instance-count": tag.instances,
    });
    Resource::new("tags", tag.id.as_str(), &attributes)
        .relate("organization", Linkage::One("organizations", organization.to_owned()))
}

/// Tags that a workspace bears, or any of the organization.
const TAG: &str = "SELECT t.id, t.name, t.created_at,
    (SELECT COUNT(*) FROM tag_bindings c JOIN workspaces w ON w.id = c.workspace_id
      WHERE w.organization_id = t.organization_id AND c.key = t.name) AS instances
  FROM tags t";

async fn list_flat(cx: Cx) -> Result<Reply> {
    let (workspace, _) = granted::<perm::ReadWorkspace>(&cx).await?;
    let page = cx.page();
    let condition = "WHERE t.organization_id = $1 AND EXISTS
        (SELECT 1 FROM tag_bindings b WHERE b.workspace_id = $2 AND b.key = t.name)";
    let count = format!("SELECT COUNT(*) FROM tags t {condition}");
    let values = args![&workspace.organization_id, &workspace.id];
    let total: Option<(i64,)> = cx.app.db.one(db::AssertSqlSafe(count), values.clone()).await?;
    let sql = format!("{TAG} {condition} ORDER BY t.name LIMIT {} OFFSET {}", page.limit(), page.offset());
    let tags: Vec<Tag> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let items = tags.iter().map(|tag| tag_document(tag, &workspace.organization)).collect();
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, &["organization"]).await
}

async fn add_flat(mut cx: Cx) -> Result<Reply> {
    let (workspace, _) = granted::<perm::UpdateWorkspace>(&cx).await?;
    let list = cx.data_list().await?;
    let mut tx = cx.app.db.begin().await?;
    let held = hold(&mut tx, &workspace.id).await?;
    let names = named(&mut tx, &held.organization_id, list).await?;
    add(&cx.app, &mut tx, &held, &names).await?;
    tx.commit().await?;
    Ok(Reply::no_content())
}

async fn remove_flat(mut cx: Cx) -> Result<Reply> {
    let (workspace, _) = granted::<perm::UpdateWorkspace>(&cx).await?;
    let list = cx.data_list().await?;
    let mut tx = cx.app.db.begin().await?;
    let held = hold(&mut tx, &workspace.id).await?;
    let names = named(&mut tx, &held.organization_id, list).await?;
    unbind(&mut tx, Bearer::Workspace(&held.id), Some(&names)).await?;
    tx.commit().await?;
    Ok(Reply::no_content())
}

async fn list(cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let page = cx.page();
    let mut conditions = Conditions::of("t.organization_id", &organization.id);
    // Of those workspaces that the caller may see.
    let seen = conditions.visible(&grants).map(|visible| format!(" AND {visible}")).unwrap_or_default();
    conditions.require(format!(
        "EXISTS (SELECT 1 FROM tag_bindings b JOIN workspaces w ON w.id = b.workspace_id
           WHERE w.organization_id = t.organization_id AND b.key = t.name{seen})"
    ));
    if let Some(text) = cx.query("q").filter(|text| !text.is_empty()) {
        conditions.contains("t.name", text);
    }
    if let Some(id) = cx.query("filter[exclude][taggable][id]").filter(|id| !id.is_empty()) {
        let id = conditions.mark(id);
        conditions.require(format!(
            "NOT EXISTS (SELECT 1 FROM tag_bindings b WHERE b.workspace_id = {id} AND b.key = t.name)"
        ));
    }
    let (condition, values) = (format!("WHERE {}", conditions.text()), conditions.values());
    let count = format!("SELECT COUNT(*) FROM tags t {condition}");
    let total: Option<(i64,)> = cx.app.db.one(db::AssertSqlSafe(count), values.clone()).await?;
    let sql = format!("{TAG} {condition} ORDER BY t.name LIMIT {} OFFSET {}", page.limit(), page.offset());
    let tags: Vec<Tag> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let items = tags.iter().map(|tag| tag_document(tag, &organization.name)).collect();
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, &["organization"]).await
}

/// Takes tags from every workspace of the organization.
async fn delete(mut cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let organization = grants.prove_organization::<perm::CreateWorkspace, _>(organization)?;
    let list = cx.data_list().await?;
    let mut tx = cx.app.db.begin().await?;
    for name in named(&mut tx, &organization.id, list).await? {
        let bearing: Vec<(WorkspaceId,)> = tx
            .all(
                "SELECT w.id FROM workspaces w JOIN tag_bindings b ON b.workspace_id = w.id
                 WHERE w.organization_id = $1 AND b.key = $2",
                args![&organization.id, name.as_str()],
            )
            .await?;
        for (id,) in bearing {
            unbind(&mut tx, Bearer::Workspace(&id), Some(std::slice::from_ref(&name))).await?;
        }
        tx.exec(
            "DELETE FROM tags WHERE organization_id = $1 AND name = $2",
            args![&organization.id, name.as_str()],
        )
        .await?;
    }
    tx.commit().await?;
    Ok(Reply::no_content())
}

async fn add_workspaces(mut cx: Cx) -> Result<Reply> {
    let found: Option<(OrganizationId, String)> =
        cx.app.db.one("SELECT organization_id, name FROM tags WHERE id = $1", args![cx.path("id")]).await?;
    let (organization, name) = found.ok_or(Error::NotFound)?;
    let grants = cx.grants(&organization).await?;
    if !grants.allows(OrganizationPermission::Read) {
        return Err(Error::NotFound);
    }
    let list = cx.data_list().await?;
    let mut tx = cx.app.db.begin().await?;
    for named in list {
        let workspace = by_id(&cx.app, &named.id.unwrap_or_default()).await?.ok_or(Error::NotFound)?;
        let workspace = grants.prove_workspace::<perm::UpdateWorkspace, _>(workspace)?;
        let held = hold(&mut tx, &workspace.id).await?;
        add(&cx.app, &mut tx, &held, std::slice::from_ref(&name)).await?;
    }
    tx.commit().await?;
    Ok(Reply::no_content())
}
