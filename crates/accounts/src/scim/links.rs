//! Which teams have the members of which group: `/admin/scim-groups`, `/admin/teams/{id}/scim-group-mapping`.
//!
//! A team is linked to one group, a group to any number of teams. Linking makes the team's members those of the group, and
//! removes others; unlinking leaves them. While a link is paused the team stays as it is, and may be changed by hand. The
//! team `owners` cannot be linked, and the group of the site admins is for nothing else. Source: the Admin API of SCIM groups.

use super::sync;
use crate::{admin_organizations::only_site_admins, teams};
use axum::http::Method;
use db::{Arg, FromRow, Tx, args};
use http_api::{Cx, Data, Error, Reply, Resource, Result, Routes, audit, site::Scim};
use kernel::{
    Paged,
    ids::{OrganizationId, ScimGroupId, TeamId, UserId},
};
use serde::Deserialize;
use serde_json::json;

/// The operations on groups and links.
pub(super) fn routes() -> Routes {
    let mapping = "/admin/teams/{id}/scim-group-mapping";
    Routes::new()
        .op(Method::GET, "/admin/scim-groups", "accounts.scim-groups.list", index)
        .op(Method::POST, mapping, "accounts.scim-group-mappings.create", create)
        .op(Method::PATCH, mapping, "accounts.scim-group-mappings.update", update)
        .op(Method::DELETE, mapping, "accounts.scim-group-mappings.delete", delete)
}

async fn index(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let page = cx.page();
    let search = cx.query("q").filter(|text| !text.is_empty()).map(|text| {
        let escaped = text.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        format!("%{escaped}%")
    });
    let condition = "($1 IS NULL OR display_key LIKE $1 ESCAPE '\\')";
    let count = format!("SELECT COUNT(*) FROM scim_groups WHERE {condition}");
    let total: Option<(i64,)> = cx.app.db.one(db::AssertSqlSafe(count), args![search.clone()]).await?;
    let sql = format!(
        "SELECT id, display_name FROM scim_groups WHERE {condition} ORDER BY display_key, id LIMIT $2 OFFSET $3"
    );
    let rows: Vec<(ScimGroupId, String)> =
        cx.app.db.all(db::AssertSqlSafe(sql), args![search, page.limit(), page.offset()]).await?;
    let items = rows
        .iter()
        .map(|(id, name)| Resource::new("scim-groups", id.as_str(), &json!({ "name": name })))
        .collect();
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, &[]).await
}

#[derive(Debug, FromRow)]
struct Team {
    id: TeamId,
    organization_id: OrganizationId,
    name: String,
    group_id: Option<ScimGroupId>,
    group_name: Option<String>,
    paused: Option<bool>,
}

async fn team(tx: &mut Tx, id: &str) -> Result<Team> {
    let sql = "SELECT t.id, t.organization_id, t.name, l.group_id, g.display_name AS group_name, l.paused
        FROM teams t LEFT JOIN scim_team_links l ON l.team_id = t.id LEFT JOIN scim_groups g ON g.id = l.group_id
        WHERE t.id = $1";
    let team: Team = tx.one(sql, args![id]).await?.ok_or(Error::NotFound)?;
    audit::organization(&team.organization_id);
    audit::resource("scim-group-mappings", id);
    Ok(team)
}

/// The team of the path, in a transaction in which no other change of SCIM happens.
async fn begin(cx: &Cx) -> Result<(Tx, Scim, Team)> {
    only_site_admins(cx)?;
    let mut tx = cx.app.db.begin().await?;
    let scim: Scim = cx.app.hold_site(&mut tx).await?;
    let team = team(&mut tx, cx.path("id")).await?;
    if scim.enabled {
        Ok((tx, scim, team))
    } else {
        Err(Error::Unprocessable("SCIM is not enabled; enable it first".to_owned()))
    }
}

async fn finish(cx: &Cx, mut tx: Tx, scim: &Scim, id: &TeamId) -> Result<Team> {
    if !scim.paused {
        sync::team(&cx.app, &mut tx, id).await?;
    }
    let team = team(&mut tx, id.as_str()).await?;
    tx.commit().await?;
    cx.app.identities.forget();
    Ok(team)
}

fn document(team: &Team) -> Resource {
    let attributes = json!({
        "scim-group-id": team.group_id.as_ref().map(ScimGroupId::as_str),
        "scim-group-name": team.group_name,
        "scim-sync-paused": team.paused,
    });
    Resource::new("scim-group-mappings", team.id.as_str(), &attributes)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    scim_group_id: String,
    scim_sync_paused: Option<bool>,
}

async fn create(mut cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let data: Data<Attributes> = cx.data().await?;
    let (mut tx, scim, team) = begin(&cx).await?;
    if team.name == teams::OWNERS {
        return Err(Error::Unprocessable("Owners team SCIM linking is not yet supported".to_owned()));
    }
    if team.group_id.is_some() {
        return Err(Error::conflict("Team is already linked to a SCIM group"));
    }
    let asked = &data.attributes.scim_group_id;
    if asked.is_empty() {
        return Err(Error::invalid("scim-group-id", "SCIM group can't be blank"));
    }
    let group = sync::group_of(&mut tx, asked).await?.ok_or(Error::NotFound)?;
    if scim.site_admin_group.as_ref() == Some(&group) {
        return Err(Error::Unprocessable("The site admin group cannot be linked to a team".to_owned()));
    }
    tx.exec(
        "INSERT INTO scim_team_links (team_id, group_id, paused, updated_at) VALUES ($1, $2, FALSE, $3)",
        args![&team.id, &group, cx.app.now()],
    )
    .await?;
    let team = finish(&cx, tx, &scim, &team.id).await?;
    Ok(Reply::created(document(&team)))
}

/// The team of the path, which is linked.
async fn linked(cx: &Cx) -> Result<(Tx, Scim, Team)> {
    let (tx, scim, team) = begin(cx).await?;
    if team.group_id.is_none() {
        return Err(Error::conflict("Team is not linked to a SCIM group"));
    }
    Ok((tx, scim, team))
}

async fn update(mut cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let data: Data<Attributes> = cx.data().await?;
    let (mut tx, scim, team) = linked(&cx).await?;
    let paused = data
        .attributes
        .scim_sync_paused
        .ok_or_else(|| Error::invalid("scim-sync-paused", "SCIM sync paused must be true or false"))?;
    tx.exec("UPDATE scim_team_links SET paused = $2 WHERE team_id = $1", args![&team.id, paused]).await?;
    let team = finish(&cx, tx, &scim, &team.id).await?;
    Ok(Reply::one(document(&team)))
}

async fn delete(cx: Cx) -> Result<Reply> {
    let (mut tx, _, team) = linked(&cx).await?;
    tx.exec("DELETE FROM scim_team_links WHERE team_id = $1", args![&team.id]).await?;
    tx.commit().await?;
    Ok(Reply::no_content())
}

/// Refuses to change the members of a team by hand that a group keeps.
pub(crate) async fn refuse_by_hand(cx: &Cx, tx: &mut Tx, team: &TeamId) -> Result<()> {
    let sql = "SELECT g.display_name FROM scim_team_links l JOIN scim_groups g ON g.id = l.group_id
        WHERE l.team_id = $1 AND l.paused = FALSE";
    refuse(cx, tx, sql, args![team]).await
}

/// Refuses to remove somebody from an organization by hand whom a group puts into a team there.
pub(crate) async fn refuse_removal(
    cx: &Cx,
    tx: &mut Tx,
    organization: &OrganizationId,
    user: &UserId,
) -> Result<()> {
    let sql = "SELECT g.display_name FROM scim_group_members m JOIN scim_groups g ON g.id = m.group_id
        JOIN scim_team_links l ON l.group_id = g.id JOIN teams t ON t.id = l.team_id
        WHERE t.organization_id = $1 AND m.user_id = $2 AND l.paused = FALSE LIMIT 1";
    refuse(cx, tx, sql, args![organization, user]).await
}

async fn refuse(cx: &Cx, tx: &mut Tx, sql: &'static str, values: Vec<Arg>) -> Result<()> {
    if !cx.app.site().scim.enabled {
        return Ok(());
    }
    let group: Option<(String,)> = tx.one(sql, values).await?;
    match group {
        None => Ok(()),
        Some((name,)) => Err(Error::conflict(format!(
            "The SCIM group {name} says who is a member here; change the group at the identity provider, or let a \
             site admin pause or remove its link to the team"
        ))),
    }
}
