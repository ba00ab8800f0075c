//! Organizations as the administrators of the whole installation see and limit them.
//!
//! Limits hold at once: of workspaces for the next that is made, of time for the next phase of a run. Sharing of modules and
//! providers is kept for the registry. `terraform-build-worker-…-timeout` is the older name of `…-timeout`.
//! Only site admins; for everybody else these operations do not exist. Source: the Admin Organizations API.

use crate::organizations::{Organization, SELECT};
use axum::http::Method;
use db::{Arg, args};
use http_api::{App, Cx, Data, Error, Linkage, Patch, Reply, Resource, Result, Routes, site};
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
    /// Whether all organizations may use its private modules.
    pub global_module_sharing: bool,
    /// Whether all organizations may use its private providers.
    pub global_provider_sharing: bool,
    /// Whether its runs may become root where they run; no run of this server can.
    pub terraform_worker_sudo_enabled: bool,
    /// How long an apply may take, as `24h`; as the installation has it when absent.
    pub apply_timeout: Option<String>,
    /// How long a plan may take, likewise.
    pub plan_timeout: Option<String>,
}

impl AdminSettings {
    /// Seconds that a plan of the organization's runs may take.
    pub fn plan_seconds(&self, app: &App) -> u64 {
        let site = app.site();
        let own = self.plan_timeout.as_ref().or(site.general.plan_timeout.as_ref());
        own.and_then(|span| site::seconds(span)).unwrap_or(app.settings.plan_timeout_seconds)
    }

    /// Seconds that an apply of the organization's runs may take.
    pub fn apply_seconds(&self, app: &App) -> u64 {
        let site = app.site();
        let own = self.apply_timeout.as_ref().or(site.general.apply_timeout.as_ref());
        own.and_then(|span| site::seconds(span)).unwrap_or(app.settings.apply_timeout_seconds)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    access_beta_tools: Option<bool>,
    is_disabled: Option<bool>,
    workspace_limit: Patch<i64>,
    global_module_sharing: Option<bool>,
    global_provider_sharing: Option<bool>,
    terraform_worker_sudo_enabled: Option<bool>,
    apply_timeout: Patch<String>,
    plan_timeout: Patch<String>,
    terraform_build_worker_apply_timeout: Patch<String>,
    terraform_build_worker_plan_timeout: Patch<String>,
}

impl Attributes {
    /// Carries the request over to the settings.
    fn apply(self, settings: &mut AdminSettings) -> Result<()> {
        fn set(to: &mut bool, value: Option<bool>) {
            *to = value.unwrap_or(*to);
        }
        set(&mut settings.access_beta_tools, self.access_beta_tools);
        set(&mut settings.is_disabled, self.is_disabled);
        set(&mut settings.global_module_sharing, self.global_module_sharing);
        set(&mut settings.global_provider_sharing, self.global_provider_sharing);
        set(&mut settings.terraform_worker_sudo_enabled, self.terraform_worker_sudo_enabled);
        self.workspace_limit.apply(&mut settings.workspace_limit);
        // The newer name has the last word.
        self.terraform_build_worker_apply_timeout.apply(&mut settings.apply_timeout);
        self.terraform_build_worker_plan_timeout.apply(&mut settings.plan_timeout);
        self.apply_timeout.apply(&mut settings.apply_timeout);
        self.plan_timeout.apply(&mut settings.plan_timeout);
        if settings.workspace_limit.is_some_and(|limit| limit < 0) {
            let text = "Workspace limit must be 0 or more, or null for none";
            return Err(Error::invalid("workspace-limit", text));
        }
        let spans = [("apply-timeout", &settings.apply_timeout), ("plan-timeout", &settings.plan_timeout)];
        for (name, span) in spans {
            span.as_deref().map_or(Ok(()), |span| site::check_span(name, span))?;
        }
        Ok(())
    }
}

/// The operations on organizations for site admins.
pub fn routes() -> Routes {
    let one = "/admin/organizations/{organization}";
    Routes::new()
        .op(Method::GET, "/admin/organizations", "accounts.admin-organizations.list", list)
        .op(Method::GET, one, "accounts.admin-organizations.read", read)
        .op(Method::PATCH, one, "accounts.admin-organizations.update", update)
        .op(Method::DELETE, one, "accounts.admin-organizations.delete", delete)
        .op(
            Method::GET,
            "/admin/organizations/{organization}/relationships/module-consumers",
            "accounts.module-consumers.list",
            consumers,
        )
        .op(
            Method::PATCH,
            "/admin/organizations/{organization}/relationships/module-consumers",
            "accounts.module-consumers.replace",
            replace_consumers,
        )
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
    data.attributes.apply(&mut settings)?;
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

/// The organizations that may use this one's private modules.
async fn consumers(cx: Cx) -> Result<Reply> {
    let organization = find(&cx).await?;
    let page = cx.page();
    let condition = "id IN (SELECT consumer_id FROM module_consumers WHERE organization_id = $1)";
    let count = "SELECT COUNT(*) FROM module_consumers WHERE organization_id = $1";
    let total: Option<(i64,)> = cx.app.db.one(count, args![&organization.id]).await?;
    let sql = format!("{SELECT} WHERE {condition} ORDER BY name LIMIT $2 OFFSET $3");
    let values = args![&organization.id, page.limit(), page.offset()];
    let rows: Vec<Organization> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let items = documents(&cx, &rows).await?;
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, &["owners"]).await
}

/// Names those organizations, in place of all that there were.
async fn replace_consumers(mut cx: Cx) -> Result<Reply> {
    let organization = find(&cx).await?;
    let named = cx.data_list().await?;
    let mut tx = cx.app.db.begin().await?;
    tx.exec("DELETE FROM module_consumers WHERE organization_id = $1", args![&organization.id]).await?;
    for consumer in named {
        let name = consumer.id.unwrap_or_default();
        // By their names, or by their stable ids.
        let known: Option<(OrganizationId,)> =
            tx.one("SELECT id FROM organizations WHERE name = $1 OR id = $1", args![name.as_str()]).await?;
        let Some((consumer,)) = known else {
            return Err(Error::Unprocessable(format!("Organization {name} not found")));
        };
        tx.exec(
            "INSERT INTO module_consumers (organization_id, consumer_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            args![&organization.id, &consumer],
        )
        .await?;
    }
    tx.commit().await?;
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
        "global-module-sharing": settings.global_module_sharing,
        "global-provider-sharing": settings.global_provider_sharing,
        "sso-enabled": false,
        "terraform-worker-sudo-enabled": settings.terraform_worker_sudo_enabled,
        "apply-timeout": settings.apply_timeout,
        "plan-timeout": settings.plan_timeout,
        "terraform-build-worker-apply-timeout": settings.apply_timeout,
        "terraform-build-worker-plan-timeout": settings.plan_timeout,
    });
    Resource::new("organizations", organization.name.as_str(), &attributes)
        .relate("owners", Linkage::Many("users", owners))
        .link("self", format!("/api/v2/admin/organizations/{}", organization.name))
}
