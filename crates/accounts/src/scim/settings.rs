//! Whether an identity provider keeps users and groups here: `/admin/scim-settings`.
//!
//! It can be enabled while SAML is, with a provider of a known kind. Paused, it may only read. Enabling and unpausing bring
//! everything in line. Deleting the settings switches it off and forgets all that it was told: tokens, groups and
//! links; its users stay, as anybody's, with the memberships that they have. Source: the Admin Settings API.

use super::sync;
use crate::{admin_organizations::only_site_admins, saml_settings};
use axum::http::Method;
use db::args;
use http_api::{
    App, Cx, Data, Error, Patch, Reply, Resource, Result, Routes,
    site::{Saml, Scim},
};
use kernel::ids::ScimGroupId;
use serde::Deserialize;
use serde_json::json;

/// The operations on the settings.
pub(super) fn routes() -> Routes {
    let path = "/admin/scim-settings";
    Routes::new()
        .op(Method::GET, path, "accounts.scim-settings.read", read)
        .op(Method::PATCH, path, "accounts.scim-settings.update", update)
        .op(Method::DELETE, path, "accounts.scim-settings.delete", delete)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    enabled: Option<bool>,
    paused: Option<bool>,
    site_admin_group_scim_id: Patch<String>,
}

async fn read(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    Ok(Reply::one(document(&cx.app, &cx.app.site().scim).await?))
}

async fn update(mut cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let data: Data<Attributes> = cx.data().await?;
    let asked = data.attributes;
    let mut tx = cx.app.db.begin().await?;
    // In the order of the SAML settings, which look at these when they are held.
    let saml: Saml = cx.app.hold_site(&mut tx).await?;
    let mut scim: Scim = cx.app.hold_site(&mut tx).await?;
    let (was_enabled, was_paused) = (scim.enabled, scim.paused);
    scim.enabled = asked.enabled.unwrap_or(scim.enabled);
    scim.paused = asked.paused.unwrap_or(scim.paused);
    if scim.enabled && !was_enabled && !saml_settings::carries_scim(&saml) {
        return Err(Error::invalid(
            "enabled",
            "SCIM needs SAML enabled with a provider-type of okta, entra or saml (PATCH /admin/saml-settings)",
        ));
    }
    if !scim.enabled
        && (asked.paused == Some(true) || matches!(asked.site_admin_group_scim_id, Patch::Value(_)))
    {
        return Err(Error::Unprocessable("SCIM is not enabled; enable it first".to_owned()));
    }
    let group = scim.site_admin_group.clone();
    if let Patch::Value(id) = &asked.site_admin_group_scim_id {
        let id = sync::group_of(&mut tx, id)
            .await?
            .ok_or_else(|| Error::invalid("site-admin-group-scim-id", "There is no SCIM group of this id"))?;
        let linked: Option<(String,)> =
            tx.one("SELECT team_id FROM scim_team_links WHERE group_id = $1 LIMIT 1", args![&id]).await?;
        if linked.is_some() {
            let why = "The group is linked to a team and cannot be the site admin group too";
            return Err(Error::invalid("site-admin-group-scim-id", why));
        }
        scim.site_admin_group = Some(id);
    } else if asked.site_admin_group_scim_id == Patch::Null {
        scim.site_admin_group = None;
    }
    cx.app.store_site(&mut tx, &scim).await?;
    let resumed = scim.enabled && !scim.paused && (!was_enabled || was_paused);
    if group != scim.site_admin_group || resumed {
        sync::site_admins(&mut tx, &scim).await?;
    }
    if resumed {
        sync::all_teams(&cx.app, &mut tx).await?;
    }
    tx.commit().await?;
    cx.app.remember_site(&scim);
    cx.app.identities.forget();
    Ok(Reply::one(document(&cx.app, &scim).await?))
}

async fn delete(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let mut tx = cx.app.db.begin().await?;
    cx.app.hold_site::<Scim>(&mut tx).await?;
    for sql in [
        "DELETE FROM tokens WHERE kind = 'scim'",
        "DELETE FROM scim_groups",
        "DELETE FROM scim_users",
        "UPDATE organization_memberships SET scim = FALSE WHERE scim = TRUE",
    ] {
        tx.exec(sql, vec![]).await?;
    }
    let off = Scim::default();
    cx.app.store_site(&mut tx, &off).await?;
    tx.commit().await?;
    cx.app.remember_site(&off);
    cx.app.identities.forget();
    Ok(Reply::no_content())
}

async fn document(app: &App, scim: &Scim) -> Result<Resource> {
    let group = scim.site_admin_group.as_ref();
    let name: Option<(String,)> = match group {
        Some(id) => app.db.one("SELECT display_name FROM scim_groups WHERE id = $1", args![id]).await?,
        None => None,
    };
    let attributes = json!({
        "enabled": scim.enabled,
        "paused": scim.paused,
        "site-admin-group-scim-id": group.map(ScimGroupId::as_str),
        "site-admin-group-display-name": name.map(|(name,)| name),
    });
    Ok(Resource::new("scim-settings", "scim", &attributes))
}
