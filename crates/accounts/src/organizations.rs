//! Organizations: `/organizations`, their entitlements.
//!
//! An organization's JSON:API id is its *name*; `external-id` is the stable `org-…`. Whoever makes one becomes a member
//! and an owner; with it come the team `owners`, the project `Default Project` and a data key of its own.
//! Source: the Organizations API; semantics.md §6.3, §7.

use crate::{
    admin_organizations::{self, AdminSettings},
    execution::{self, DEFAULTS, Execution},
    feature_sets::{self, Subscription, entitlement_set},
    memberships,
    retention::{self, DataRetention},
    teams, token_ttl_policies, users,
};
use authz::{Actor, Grants, InOrganization, OrganizationAccess, perm};
use axum::http::Method;
use blob::keys::DataKey;
use db::{FromRow, Tx, args};
use http_api::{App, Cx, Data, Error, Linkage, Reply, Resource, Result, Routes, auth, include::Loaders};
use kernel::{
    Paged, Timestamp,
    ids::{AgentPoolId, OrganizationId, ProjectId, UserId},
};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

mod settings;

pub(crate) use settings::TWO_FACTOR_MANDATORY;
use settings::{Attributes, Settings};

/// An organization as stored.
#[derive(Clone, Debug, FromRow)]
pub struct Organization {
    /// Stable id.
    pub id: OrganizationId,
    /// Unique name, which is its id in the API.
    pub name: String,
    /// Address for notices.
    pub email: String,
    /// The synthetic user behind the organization's token.
    pub service_user_id: UserId,
    /// Where workspaces go that name no project.
    pub default_project_id: ProjectId,
    /// `remote`, `local` or `agent`: how workspaces work that do not say it themselves, nor their project.
    pub default_execution_mode: String,
    /// Whose agents carry runs out where that is `agent`.
    pub default_agent_pool_id: Option<AgentPoolId>,
    settings: String,
    pub(crate) admin_settings: String,
    /// How long old data is kept, as stored: [`crate::retention::DataRetention`].
    pub data_retention: Option<String>,
    pub(crate) subscription: Option<String>,
    pub(crate) created_at: Timestamp,
}

/// All columns of [`Organization`].
pub(crate) const SELECT: &str =
    "SELECT id, name, email, service_user_id, default_project_id, default_execution_mode,
    default_agent_pool_id, settings,
    admin_settings, data_retention, subscription, created_at FROM organizations";

impl Organization {
    /// Whether who may delete a workspace may do so although it manages resources.
    pub fn allows_force_delete(&self) -> bool {
        serde_json::from_str::<Settings>(&self.settings).unwrap_or_default().allow_force_delete_workspaces
    }

    /// What site admins have set.
    pub fn admin(&self) -> AdminSettings {
        serde_json::from_str(&self.admin_settings).unwrap_or_default()
    }

    /// What site admins allow it.
    pub fn subscription(&self) -> Subscription {
        Subscription::parse(self.subscription.as_deref())
    }
}

impl InOrganization for Organization {
    fn organization(&self) -> &OrganizationId {
        &self.id
    }
}

/// The operations on organizations.
pub fn routes() -> Routes {
    let retention = "/organizations/{organization}/relationships/data-retention-policy";
    Routes::new()
        .op(Method::GET, "/organizations", "accounts.organizations.list", list)
        .op(Method::POST, "/organizations", "accounts.organizations.create", create)
        .op(Method::GET, "/organizations/{organization}", "accounts.organizations.read", read)
        .op(Method::PATCH, "/organizations/{organization}", "accounts.organizations.update", update)
        .op(Method::PUT, "/organizations/{organization}", "accounts.organizations.put", update)
        .op(
            Method::GET,
            "/organizations/{organization}/relationships/module-producers",
            "accounts.module-producers.list",
            producers,
        )
        .op(Method::DELETE, "/organizations/{organization}", "accounts.organizations.delete", delete)
        .op(
            Method::GET,
            "/organizations/{organization}/entitlement-set",
            "accounts.entitlement-set.read",
            entitlements,
        )
        .op(Method::GET, retention, "accounts.data-retention-policy.read", read_retention)
        .op(Method::POST, retention, "accounts.data-retention-policy.set", set_retention)
        .op(Method::PATCH, retention, "accounts.data-retention-policy.update", set_retention)
        .op(Method::DELETE, retention, "accounts.data-retention-policy.delete", delete_retention)
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("organizations", |cx, names| async move {
        let marks: Vec<String> = (1..=names.len()).map(|n| format!("${n}")).collect();
        let sql = format!("{SELECT} WHERE name IN ({})", marks.join(", "));
        let values = names.iter().map(db::Arg::from).collect();
        let rows: Vec<Organization> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
        if cx.is_administration() && cx.actor()?.is_site_admin() {
            return admin_organizations::documents(&cx, &rows).await;
        }
        let ids: Vec<OrganizationId> = rows.iter().map(|row| row.id.clone()).collect();
        if !cx.actor()?.is_site_admin() {
            cx.prepare_grants(&ids).await?;
        }
        let mut found = Vec::new();
        for row in rows {
            let grants = cx.grants_to_show(&row.id).await?;
            if let Ok(visible) = grants.prove_organization::<perm::ReadOrganization, _>(row) {
                found.push(document(&cx.app, &visible, &grants));
            }
        }
        Ok(found)
    });
}

/// The organization that a path names, and what the caller holds in it.
///
/// # Errors
/// [`Error::NotFound`] when it is absent or hidden from the caller.
pub async fn find(cx: &Cx, name: &str) -> Result<(Organization, Arc<Grants>)> {
    let organization: Organization = cx
        .app
        .db
        .one(db::AssertSqlSafe(format!("{SELECT} WHERE name = $1")), args![name])
        .await?
        .ok_or(Error::NotFound)?;
    let grants = cx.grants(&organization.id).await?;
    let visible = grants.prove_organization::<perm::ReadOrganization, _>(organization)?;
    Ok((visible.into_inner(), grants))
}

/// The organization of this id, whoever asks.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub async fn by_id(app: &App, id: &OrganizationId) -> Result<Organization> {
    let sql = format!("{SELECT} WHERE id = $1");
    app.db.one(db::AssertSqlSafe(sql), args![id]).await?.ok_or(Error::NotFound)
}

async fn list(cx: Cx) -> Result<Reply> {
    let actor = cx.actor()?;
    let page = cx.page();
    let (condition, id) = match actor {
        // Organizations that take no users' tokens are none of theirs.
        Actor::User { id, .. } => (
            "settings NOT LIKE '%\"user-tokens-enabled\":false%' AND id IN
               (SELECT organization_id FROM organization_memberships WHERE user_id = $1 AND status = 'active')",
            id.to_string(),
        ),
        Actor::Team { organization: id, .. }
        | Actor::Organization { id, .. }
        | Actor::AuditTrail { organization: id, .. }
        | Actor::Run { organization: id, .. } => ("id = $1", id.to_string()),
        Actor::Scim { .. } => return Err(Error::NotFound),
    };
    let search = cx.query("q").map(str::to_lowercase);
    let refused = refused(&cx).await?;
    let condition = format!(
        "{condition} AND id NOT IN ({refused}) AND ($2 IS NULL OR LOWER(name) LIKE '%' || $2 || '%' OR LOWER(email) LIKE '%' || $2 || '%')"
    );
    let total: Option<(i64,)> = cx
        .app
        .db
        .one(
            db::AssertSqlSafe(format!("SELECT COUNT(*) FROM organizations WHERE {condition}")),
            args![&id, search.clone()],
        )
        .await?;
    let rows: Vec<Organization> = cx
        .app
        .db
        .all(
            db::AssertSqlSafe(format!("{SELECT} WHERE {condition} ORDER BY name LIMIT $3 OFFSET $4")),
            args![&id, search, page.limit(), page.offset()],
        )
        .await?;
    let ids: Vec<OrganizationId> = rows.iter().map(|row| row.id.clone()).collect();
    cx.prepare_grants(&ids).await?;
    let mut items = Vec::new();
    for row in rows {
        let grants = cx.grants(&row.id).await?;
        items.push(document(&cx.app, &row, &grants));
    }
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, &[]).await
}

/// Organizations of the caller that refuse them for a reason of their own, as a list in SQL. Few have such rules.
async fn refused(cx: &Cx) -> Result<String> {
    let Actor::User { id, .. } = cx.actor()? else { return Ok("''".to_owned()) };
    let strict: Vec<(OrganizationId,)> = cx
        .app
        .db
        .all(
            "SELECT o.id FROM organizations o JOIN organization_memberships m ON m.organization_id = o.id
             WHERE m.user_id = $1 AND m.status = 'active' AND (o.settings LIKE '%\"max-ttl-enabled\":true%'
               OR o.settings LIKE '%\"collaborator-auth-policy\":\"two_factor_mandatory\"%'
               OR o.id IN (SELECT organization_id FROM cidr_range_lists))",
            args![id],
        )
        .await?;
    let mut refused = vec!["''".to_owned()];
    for (organization,) in strict {
        match cx.grants(&organization).await {
            Err(Error::Forbidden(_) | Error::Unauthorized) => refused.push(format!("'{organization}'")),
            other => drop(other?),
        }
    }
    Ok(refused.join(", "))
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let Actor::User { id: creator, .. } = cx.actor()?.clone() else {
        // Team and organization tokens cannot make organizations (semantics.md §6.4).
        return Err(Error::NotFound);
    };
    let site = cx.app.site();
    if site.general.limit_user_organization_creation && !cx.actor()?.is_site_admin() {
        return Err(Error::Forbidden("Only site admins may create organizations on this server.".to_owned()));
    }
    let data: Data<Attributes> = cx.data().await?;
    let mut wrong = data.attributes.check();
    let (name, email) = match (&data.attributes.name, &data.attributes.email) {
        (Some(name), Some(email)) if wrong.is_empty() => (name.clone(), email.clone()),
        (name, email) => {
            if name.is_none() {
                wrong.push(("name".to_owned(), "Name can't be blank".to_owned()));
            }
            if email.is_none() {
                wrong.push(("email".to_owned(), "Email can't be blank".to_owned()));
            }
            return Err(Error::Invalid(wrong));
        }
    };
    let asked =
        execution::Asked { mode: data.attributes.default_execution_mode.clone(), ..Default::default() };
    let execution =
        execution::settle(None, Execution::remote(), asked, DEFAULTS)?.unwrap_or_else(Execution::remote);
    let mut settings = Settings {
        default_execution_mode: execution.mode,
        send_passing_statuses_for_untriggered_speculative_plans: site
            .general
            .send_passing_statuses_for_untriggered_speculative_plans,
        ..Settings::default()
    };
    data.attributes.apply(&mut settings);
    if settings.collaborator_auth_policy == TWO_FACTOR_MANDATORY {
        ask_second_factor_of_caller(&cx).await?;
    }
    let mut tx = cx.app.db.begin().await?;
    if taken(&mut tx, &name).await? {
        return Err(Error::invalid("name", "Name has already been taken"));
    }
    insert(&cx.app, &mut tx, &name, &email, &settings, &creator).await?;
    tx.commit().await?;
    cx.app.identities.forget();
    let (organization, grants) = find(&cx, &name).await?;
    Ok(Reply::created(document(&cx.app, &organization, &grants)))
}

async fn taken(tx: &mut Tx, name: &str) -> Result<bool> {
    let found: Option<(String,)> =
        tx.one("SELECT id FROM organizations WHERE name = $1", args![name]).await?;
    Ok(found.is_some())
}

async fn insert(
    app: &App,
    tx: &mut Tx,
    name: &str,
    email: &str,
    settings: &Settings,
    creator: &UserId,
) -> Result<OrganizationId> {
    let id = OrganizationId::new(&app.env);
    let project = ProjectId::new(&app.env);
    let now = app.now();
    let service_user = users::insert_service(app, tx, &format!("api-org-{name}")).await?;
    let sealed = DataKey::new(&app.env).sealed(&app.root_key, &app.env);
    tx.exec(
        "INSERT INTO organizations
           (id, name, email, data_key, service_user_id, default_project_id, workspace_count, settings, admin_settings,
            created_at, version, default_execution_mode)
         VALUES ($1, $2, $3, $4, $5, $6, 0, $7, '{}', $8, 1, $9)",
        args![
            &id,
            name,
            email,
            sealed,
            &service_user,
            &project,
            encode(settings)?,
            now,
            &settings.default_execution_mode
        ],
    )
    .await?;
    tx.exec(
        "INSERT INTO projects (id, organization_id, name, created_at) VALUES ($1, $2, $3, $4)",
        args![&project, &id, "Default Project", now],
    )
    .await?;
    memberships::insert(app, tx, &id, creator, "active").await?;
    let owners = teams::insert(app, tx, &id, teams::OWNERS, "secret", &OrganizationAccess::default()).await?;
    teams::add_member(tx, &owners, creator).await?;
    Ok(id)
}

fn encode(settings: &Settings) -> Result<String> {
    serde_json::to_string(settings).map_err(Error::internal)
}

async fn read(cx: Cx) -> Result<Reply> {
    let (organization, grants) = find(&cx, cx.path("organization")).await?;
    cx.one(document(&cx.app, &organization, &grants), &["entitlement_set", "default_project"]).await
}

async fn update(mut cx: Cx) -> Result<Reply> {
    let (organization, grants) = find(&cx, cx.path("organization")).await?;
    let granted = grants.prove_organization::<perm::UpdateOrganization, _>(organization)?;
    let data: Data<Attributes> = cx.data().await?;
    let wrong = data.attributes.check();
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    let mut settings: Settings = serde_json::from_str(&granted.settings).map_err(Error::internal)?;
    let name = data.attributes.name.clone().unwrap_or_else(|| granted.name.clone());
    let email = data.attributes.email.clone().unwrap_or_else(|| granted.email.clone());
    let asked = execution::Asked {
        mode: data.attributes.default_execution_mode.clone(),
        pool: data
            .related("default-agent-pool")
            .map(str::to_owned)
            .or_else(|| data.attributes.default_agent_pool_id.clone()),
        own: None,
    };
    let before = Execution {
        mode: granted.default_execution_mode.clone(),
        pool: granted.default_agent_pool_id.clone(),
    };
    let other = asked.pool.is_some();
    let execution =
        execution::settle(Some(before.clone()), before.clone(), asked, DEFAULTS)?.unwrap_or(before);
    settings.default_execution_mode.clone_from(&execution.mode);
    let mandatory = settings.collaborator_auth_policy == TWO_FACTOR_MANDATORY;
    data.attributes.apply(&mut settings);
    if !mandatory && settings.collaborator_auth_policy == TWO_FACTOR_MANDATORY {
        ask_second_factor_of_caller(&cx).await?;
    }
    let mut tx = cx.app.db.begin().await?;
    if let Some(pool) = execution.pool.as_ref().filter(|_| other) {
        execution::usable(&mut tx, pool, &granted.id, execution::User::Organization, DEFAULTS).await?;
    }
    if name != granted.name && taken(&mut tx, &name).await? {
        return Err(Error::invalid("name", "Name has already been taken"));
    }
    tx.exec(
        "UPDATE organizations SET name = $2, email = $3, settings = $4, default_execution_mode = $5,
           default_agent_pool_id = $6, version = version + 1 WHERE id = $1",
        args![
            &granted.id,
            &name,
            email,
            encode(&settings)?,
            &settings.default_execution_mode,
            execution.pool.as_ref()
        ],
    )
    .await?;
    if settings.max_ttl_enabled {
        token_ttl_policies::shorten(&mut tx, &granted.id).await?;
    }
    tx.commit().await?;
    // `allow-force-delete-workspaces` is part of what members hold, and tokens may have been shortened.
    cx.app.identities.forget();
    // Runs that waited for agents may be this server's now.
    cx.app.pulse();
    let (organization, grants) = find(&cx, &name).await?;
    Ok(Reply::one(document(&cx.app, &organization, &grants)))
}

/// Who asks a second factor of others has one: they would be the first to be refused.
async fn ask_second_factor_of_caller(cx: &Cx) -> Result<()> {
    let Actor::User { id, .. } = cx.actor()? else { return Ok(()) };
    if auth::has_second_factor(&cx.app, id).await? {
        return Ok(());
    }
    let why = "Collaborator auth policy can be two_factor_mandatory only when you have two-factor authentication yourself; \
               set it up on your account page";
    Err(Error::invalid("collaborator-auth-policy", why))
}

/// The settings of an organization, whose row is held until the transaction ends.
async fn hold_settings(tx: &mut Tx, id: &OrganizationId) -> Result<Settings> {
    let sql = "UPDATE organizations SET version = version + 1 WHERE id = $1 RETURNING settings";
    let (settings,): (String,) = tx.one(sql, args![id]).await?.ok_or(Error::NotFound)?;
    serde_json::from_str(&settings).map_err(Error::internal)
}

/// Whether policies limit how long tokens live. The row is held until the transaction ends.
pub(crate) async fn hold_max_ttl(tx: &mut Tx, id: &OrganizationId) -> Result<bool> {
    Ok(hold_settings(tx, id).await?.max_ttl_enabled)
}

/// Lets policies limit how long tokens live. The row is held until the transaction ends.
pub(crate) async fn enable_max_ttl(tx: &mut Tx, id: &OrganizationId) -> Result<()> {
    let settings = Settings { max_ttl_enabled: true, ..hold_settings(tx, id).await? };
    let sql = "UPDATE organizations SET settings = $2 WHERE id = $1";
    tx.exec(sql, args![id, encode(&settings)?]).await.map(drop)
}

async fn delete(cx: Cx) -> Result<Reply> {
    let (organization, grants) = find(&cx, cx.path("organization")).await?;
    let granted = grants.prove_organization::<perm::DeleteOrganization, _>(organization)?;
    remove(&cx.app, &granted).await?;
    Ok(Reply::no_content())
}

/// Deletes an organization with everything in it.
pub(crate) async fn remove(app: &App, granted: &Organization) -> Result<()> {
    let mut tx = app.db.begin().await?;
    tx.exec("DELETE FROM blobs WHERE organization_id = $1", args![&granted.id]).await?;
    // The synthetic users of its tokens end with it.
    tx.exec(
        "DELETE FROM users WHERE service = TRUE AND (id = $2 OR id IN
           (SELECT service_user_id FROM teams WHERE organization_id = $1))",
        args![&granted.id, &granted.service_user_id],
    )
    .await?;
    tx.exec("DELETE FROM organizations WHERE id = $1", args![&granted.id]).await?;
    tx.commit().await?;
    app.identities.forget();
    Ok(())
}

/// The organizations that let this one use their private modules, by their names alone.
async fn producers(cx: Cx) -> Result<Reply> {
    let (organization, _) = find(&cx, cx.path("organization")).await?;
    let page = cx.page();
    let count = "SELECT COUNT(*) FROM module_consumers WHERE consumer_id = $1";
    let total: Option<(i64,)> = cx.app.db.one(count, args![&organization.id]).await?;
    let sql = "SELECT o.id, o.name FROM module_consumers m JOIN organizations o ON o.id = m.organization_id
               WHERE m.consumer_id = $1 ORDER BY o.name LIMIT $2 OFFSET $3";
    let values = args![&organization.id, page.limit(), page.offset()];
    let rows: Vec<(OrganizationId, String)> = cx.app.db.all(sql, values).await?;
    let named = |(id, name): (OrganizationId, String)| {
        Resource::new("organizations", name.as_str(), &json!({ "name": name, "external-id": id }))
    };
    let items = rows.into_iter().map(named).collect();
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, &[]).await
}

async fn read_retention(cx: Cx) -> Result<Reply> {
    let (organization, _) = find(&cx, cx.path("organization")).await?;
    Ok(match DataRetention::parse(organization.data_retention.as_deref()) {
        Some(policy) => Reply::one(policy.document()),
        None => Reply::json(&json!({ "data": null })),
    })
}

/// A policy is replaced as a whole, whatever the method.
async fn set_retention(mut cx: Cx) -> Result<Reply> {
    let (organization, grants) = find(&cx, cx.path("organization")).await?;
    let granted = grants.prove_organization::<perm::UpdateOrganization, _>(organization)?;
    let data: Data<retention::Attributes> = cx.data().await?;
    let policy = DataRetention::asked(&cx.app.env, &data.kind, &data.attributes)?;
    cx.app
        .db
        .exec(
            "UPDATE organizations SET data_retention = $2 WHERE id = $1",
            args![&granted.id, policy.encode()],
        )
        .await?;
    Ok(Reply::one(policy.document()))
}

async fn delete_retention(cx: Cx) -> Result<Reply> {
    let (organization, grants) = find(&cx, cx.path("organization")).await?;
    let granted = grants.prove_organization::<perm::UpdateOrganization, _>(organization)?;
    cx.app
        .db
        .exec("UPDATE organizations SET data_retention = NULL WHERE id = $1", args![&granted.id])
        .await?;
    Ok(Reply::no_content())
}

async fn entitlements(cx: Cx) -> Result<Reply> {
    let (organization, _) = find(&cx, cx.path("organization")).await?;
    Ok(Reply::one(entitlement_set(&organization, cx.app.now())))
}

fn document(app: &App, organization: &Organization, grants: &Grants) -> Resource {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Document<'a> {
        external_id: &'a OrganizationId,
        name: &'a str,
        email: &'a str,
        created_at: String,
        #[serde(flatten)]
        settings: Settings,
        permissions: serde_json::Value,
        fair_run_queuing_enabled: bool,
        saml_enabled: bool,
        two_factor_conformant: bool,
        plan_expired: bool,
        plan_expires_at: Option<String>,
        plan_is_trial: bool,
        plan_is_enterprise: bool,
        plan_identifier: &'a str,
        is_unified: bool,
        is_in_degraded_mode: bool,
        global_module_sharing: bool,
        global_provider_sharing: bool,
        remaining_testable_count: u32,
    }
    let subscription = organization.subscription();
    let now = app.now();
    let attributes = Document {
        external_id: &organization.id,
        name: &organization.name,
        email: &organization.email,
        created_at: organization.created_at.iso8601(),
        settings: serde_json::from_str(&organization.settings).unwrap_or_default(),
        permissions: json!(grants.organization_document()),
        fair_run_queuing_enabled: true,
        saml_enabled: false,
        // Whoever does not conform is refused before they see this.
        two_factor_conformant: true,
        plan_expired: subscription.has_ended(now),
        plan_expires_at: subscription.ends().map(Timestamp::iso8601),
        plan_is_trial: false,
        plan_is_enterprise: subscription.plan(now) == "enterprise",
        plan_identifier: subscription.plan(now),
        is_unified: false,
        is_in_degraded_mode: false,
        global_module_sharing: false,
        global_provider_sharing: false,
        remaining_testable_count: 100,
    };
    let path = format!("/api/v2/organizations/{}", organization.name);
    Resource::new("organizations", organization.name.as_str(), &attributes)
        .relate("default-project", Linkage::One("projects", organization.default_project_id.to_string()))
        .relate(
            "default-agent-pool",
            Linkage::maybe(
                "agent-pools",
                organization.default_agent_pool_id.as_ref().map(AgentPoolId::as_str),
            ),
        )
        .relate("subscription", Linkage::One("subscriptions", feature_sets::id_of(&organization.id)))
        .relate("entitlement-set", Linkage::One("entitlement-sets", organization.id.to_string()))
        .relate("data-retention-policy", DataRetention::linkage(organization.data_retention.as_deref()))
        .relate("authentication-token", Linkage::Link(app.url(&format!("{path}/authentication-token"))))
        .link("self", path)
}

/// `session-timeout` and `session-remember` of those organizations of a user that set one of them; in minutes.
pub(crate) async fn session_minutes(app: &App, user: &UserId) -> Result<Vec<(Option<i64>, Option<i64>)>> {
    let sql =
        "SELECT o.settings FROM organizations o JOIN organization_memberships m ON m.organization_id = o.id
               WHERE m.user_id = $1 AND m.status = 'active'
                 AND o.settings NOT LIKE '%\"session-timeout\":null,\"session-remember\":null%'";
    let found: Vec<(String,)> = app.db.all(sql, args![user]).await?;
    let read = |(settings,): &(String,)| {
        let settings: Settings = serde_json::from_str(settings).map_err(Error::internal)?;
        Ok((settings.session_timeout, settings.session_remember))
    };
    found.iter().map(read).collect()
}

/// The organizations of these ids, for other areas' documents: id → name.
pub async fn name_of(app: &App, id: &OrganizationId) -> Result<String> {
    let found: Option<(String,)> =
        app.db.one("SELECT name FROM organizations WHERE id = $1", args![id]).await?;
    found.map(|(name,)| name).ok_or(Error::NotFound)
}
