//! Organizations as the administrators of the whole installation see and limit them.
//!
//! Only site admins; for everybody else these operations do not exist. Source: the Admin Organizations API.

use crate::organizations::{Organization, SELECT};
use axum::http::Method;
use db::{Arg, args};
use http_api::{Cx, Data, Error, Linkage, Patch, Reply, Resource, Result, Routes};
use kernel::{Paged, ids::OrganizationId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;

/// What only site admins set. Stored as one JSON document.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct AdminSettings {
    /// Whether the organization may use what is not finished.
    pub access_beta_tools: bool,
    /// Whether it is closed to everybody but site admins.
    pub is_disabled: bool,
    /// Most workspaces that it may have.
    pub workspace_limit: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    access_beta_tools: Option<bool>,
    is_disabled: Option<bool>,
    workspace_limit: Patch<i64>,
}

/// The operations on organizations for site admins.
pub fn routes() -> Routes {
    let one = "/admin/organizations/{organization}";
    Routes::new()
        .op(Method::GET, "/admin/organizations", "accounts.admin-organizations.list", list)
        .op(Method::GET, one, "accounts.admin-organizations.read", read)
        .op(Method::PATCH, one, "accounts.admin-organizations.update", update)
        .op(Method::DELETE, one, "accounts.admin-organizations.delete", delete)
}

/// Lets only site admins through.
///
/// # Errors
/// [`Error::NotFound`] for everybody else.
pub fn only_site_admins(cx: &Cx) -> Result<()> {
    if cx.actor()?.is_site_admin() { Ok(()) } else { Err(Error::NotFound) }
}

async fn list(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let page = cx.page();
    let search = cx.query("q").map(str::to_lowercase).unwrap_or_default();
    let condition = "LOWER(name) LIKE '%' || $1 || '%' OR LOWER(email) LIKE '%' || $1 || '%'";
    let count = format!("SELECT COUNT(*) FROM organizations WHERE {condition}");
    let total: Option<(i64,)> = cx.app.db.one(db::AssertSqlSafe(count), args![&search]).await?;
    let sql = format!("{SELECT} WHERE {condition} ORDER BY name LIMIT $2 OFFSET $3");
    let rows: Vec<Organization> =
        cx.app.db.all(db::AssertSqlSafe(sql), args![&search, page.limit(), page.offset()]).await?;
    let items = documents(&cx, &rows).await?;
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, &["owners"]).await
}

async fn find(cx: &Cx) -> Result<Organization> {
    only_site_admins(cx)?;
    let sql = format!("{SELECT} WHERE name = $1");
    cx.app.db.one(db::AssertSqlSafe(sql), args![cx.path("organization")]).await?.ok_or(Error::NotFound)
}

async fn read(cx: Cx) -> Result<Reply> {
    let organization = find(&cx).await?;
    answer(&cx, &organization).await
}

async fn answer(cx: &Cx, organization: &Organization) -> Result<Reply> {
    let document = documents(cx, std::slice::from_ref(organization)).await?.pop();
    cx.one(document.ok_or(Error::NotFound)?, &["owners"]).await
}

/// Organizations as site admins see them, with their owners.
pub(crate) async fn documents(cx: &Cx, rows: &[Organization]) -> Result<Vec<Resource>> {
    let mut owners = owners(cx, rows).await?;
    Ok(rows.iter().map(|row| document(row, owners.remove(&row.id).unwrap_or_default())).collect())
}

/// The owners of each, by one statement.
async fn owners(cx: &Cx, of: &[Organization]) -> Result<HashMap<OrganizationId, Vec<String>>> {
    let marks: Vec<String> = (1..=of.len()).map(|n| format!("${n}")).collect();
    // An empty list is `IN (NULL)`, which holds for nothing.
    let marks = if marks.is_empty() { "NULL".to_owned() } else { marks.join(", ") };
    let sql = format!(
        "SELECT t.organization_id, m.user_id FROM team_members m JOIN teams t ON t.id = m.team_id
         WHERE t.organization_id IN ({marks}) AND t.name = '{}' ORDER BY m.user_id",
        crate::teams::OWNERS
    );
    let values = of.iter().map(|organization| Arg::from(&organization.id)).collect();
    let rows: Vec<(OrganizationId, String)> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let mut owners: HashMap<_, Vec<String>> = HashMap::new();
    for (organization, user) in rows {
        owners.entry(organization).or_default().push(user);
    }
    Ok(owners)
}

async fn update(mut cx: Cx) -> Result<Reply> {
    let mut organization = find(&cx).await?;
    let data: Data<Attributes> = cx.data().await?;
    let mut settings = organization.admin();
    let Attributes { access_beta_tools, is_disabled, workspace_limit } = data.attributes;
    settings.access_beta_tools = access_beta_tools.unwrap_or(settings.access_beta_tools);
    settings.is_disabled = is_disabled.unwrap_or(settings.is_disabled);
    workspace_limit.apply(&mut settings.workspace_limit);
    if settings.workspace_limit.is_some_and(|limit| limit < 0) {
        return Err(Error::invalid("workspace-limit", "Workspace limit must be 0 or more, or null for none"));
    }
    organization.admin_settings = serde_json::to_string(&settings).map_err(Error::internal)?;
    cx.app
        .db
        .exec(
            "UPDATE organizations SET admin_settings = $2, version = version + 1 WHERE id = $1",
            args![&organization.id, organization.admin_settings.as_str()],
        )
        .await?;
    cx.app.identities.forget();
    answer(&cx, &organization).await
}

async fn delete(cx: Cx) -> Result<Reply> {
    let organization = find(&cx).await?;
    crate::organizations::remove(&cx.app, &organization).await?;
    Ok(Reply::no_content())
}

fn document(organization: &Organization, owners: Vec<String>) -> Resource {
    let settings = organization.admin();
    let attributes = json!({
        "name": organization.name,
        "external-id": organization.id,
        "notification-email": organization.email,
        "access-beta-tools": settings.access_beta_tools,
        "is-disabled": settings.is_disabled,
        "workspace-limit": settings.workspace_limit,
        "global-module-sharing": false,
        "global-provider-sharing": false,
        "sso-enabled": false,
        "terraform-worker-sudo-enabled": false,
    });
    Resource::new("organizations", organization.name.as_str(), &attributes)
        .relate("owners", Linkage::Many("users", owners))
        .link("self", format!("/api/v2/admin/organizations/{}", organization.name))
}
