//! Teams and their members: `/organizations/{organization}/teams`, `/teams/{id}`.
//!
//! The team `owners` exists in every organization and may do everything; it cannot be renamed or deleted. A secret team
//! is invisible to those who are not in it, except owners and managers of secret teams.
//! Source: the Teams and Team Membership APIs; semantics.md §6.3.

use crate::{
    feature_sets::{Entitlement, entitled},
    memberships, organizations, scim, users,
};
use authz::{Actor, Grants, InOrganization, OrganizationAccess, document::TeamFacts, perm};
use axum::http::Method;
use db::{FromRow, Tx, args};
use http_api::{App, Cx, Data, Error, Linkage, Patch, Reply, Resource, Result, Routes, include::Loaders};
use kernel::{
    Paged, Timestamp,
    ids::{OrganizationId, TeamId, UserId},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// The team that may do everything.
pub const OWNERS: &str = "owners";

/// A team as stored.
#[derive(Clone, Debug, FromRow)]
pub struct Team {
    /// Stable id.
    pub id: TeamId,
    /// Whose team it is.
    pub organization_id: OrganizationId,
    /// The name of that organization.
    pub organization: String,
    /// Unique in the organization.
    pub name: String,
    /// The synthetic user behind its tokens.
    pub service_user_id: UserId,
    visibility: String,
    access: String,
    sso_team_id: Option<String>,
    allow_member_token_management: bool,
    created_at: Timestamp,
    scim_group_name: Option<String>,
    scim_paused: Option<bool>,
    scim_updated_at: Option<Timestamp>,
}

const SELECT: &str =
    "SELECT t.id, t.organization_id, o.name AS organization, t.name, t.service_user_id, t.visibility,
    t.access, t.sso_team_id, t.allow_member_token_management, t.created_at,
    g.display_name AS scim_group_name, l.paused AS scim_paused, l.updated_at AS scim_updated_at
  FROM teams t JOIN organizations o ON o.id = t.organization_id
  LEFT JOIN scim_team_links l ON l.team_id = t.id LEFT JOIN scim_groups g ON g.id = l.group_id";

impl InOrganization for Team {
    fn organization(&self) -> &OrganizationId {
        &self.organization_id
    }
}

/// The operations on teams.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::GET, "/organizations/{organization}/teams", "accounts.teams.list", list)
        .op(Method::POST, "/organizations/{organization}/teams", "accounts.teams.create", create)
        .op(Method::GET, "/teams/{id}", "accounts.teams.read", read)
        .op(Method::PATCH, "/teams/{id}", "accounts.teams.update", update)
        .op(Method::DELETE, "/teams/{id}", "accounts.teams.delete", delete)
        .op(Method::POST, "/teams/{id}/relationships/users", "accounts.team-members.add", add_users)
        .op(Method::DELETE, "/teams/{id}/relationships/users", "accounts.team-members.remove", remove_users)
        .op(
            Method::GET,
            "/teams/{id}/relationships/organization-memberships",
            "accounts.team-memberships.list",
            memberships::of_team,
        )
        .op(
            Method::POST,
            "/teams/{id}/relationships/organization-memberships",
            "accounts.team-memberships.add",
            add_memberships,
        )
        .op(
            Method::DELETE,
            "/teams/{id}/relationships/organization-memberships",
            "accounts.team-memberships.remove",
            remove_memberships,
        )
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("teams", |cx, ids| async move {
        let marks: Vec<String> = (1..=ids.len()).map(|n| format!("${n}")).collect();
        let sql = format!("{SELECT} WHERE t.id IN ({})", marks.join(", "));
        let rows: Vec<Team> =
            cx.app.db.all(db::AssertSqlSafe(sql), ids.iter().map(db::Arg::from).collect()).await?;
        documents(&cx, &visible_among(&cx, rows).await?).await
    });
}

/// A team that the caller may see, and what they hold in its organization.
pub(crate) async fn find(cx: &Cx, id: &str) -> Result<(Team, Arc<Grants>)> {
    let team: Team = cx
        .app
        .db
        .one(db::AssertSqlSafe(format!("{SELECT} WHERE t.id = $1")), args![id])
        .await?
        .ok_or(Error::NotFound)?;
    // Which may say that a token of another kind is wanted.
    cx.grants(&team.organization_id).await?;
    visible_among(cx, vec![team]).await?.pop().ok_or(Error::NotFound)
}

/// A team that the caller may see.
pub async fn visible(cx: &Cx, id: &str) -> Result<Team> {
    find(cx, id).await.map(|(team, _)| team)
}

/// Of these teams those that the caller may see, in their order.
async fn visible_among(cx: &Cx, teams: Vec<Team>) -> Result<Vec<(Team, Arc<Grants>)>> {
    let organizations: Vec<OrganizationId> = teams.iter().map(|team| team.organization_id.clone()).collect();
    cx.prepare_grants(&organizations).await?;
    let (mut seen, mut secret) = (Vec::new(), Vec::new());
    for team in teams {
        let grants = match cx.grants(&team.organization_id).await {
            Err(Error::Unauthorized) => continue,
            grants => grants?,
        };
        // Asked only of teams whose members alone see them.
        if !grants.sees_team(team.visibility == "secret", false) {
            if !grants.sees_team(true, true) {
                continue;
            }
            secret.push(team.id.clone());
        }
        seen.push((team, grants));
    }
    let own = own_among(cx, &secret).await?;
    seen.retain(|(team, _)| !secret.contains(&team.id) || own.contains(&team.id));
    Ok(seen)
}

/// Of these teams those that the caller is of: as a member, or as the team itself.
pub(crate) async fn own_among(cx: &Cx, teams: &[TeamId]) -> Result<HashSet<TeamId>> {
    match cx.actor()? {
        Actor::Team { id, .. } => Ok(teams.iter().filter(|team| *team == id).cloned().collect()),
        Actor::User { id, .. } if !teams.is_empty() => {
            let marks: Vec<String> = (2..teams.len() + 2).map(|n| format!("${n}")).collect();
            let sql = format!(
                "SELECT team_id FROM team_members WHERE user_id = $1 AND team_id IN ({})",
                marks.join(", ")
            );
            let mut values = args![id];
            values.extend(teams.iter().map(db::Arg::from));
            let found: Vec<(TeamId,)> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
            Ok(found.into_iter().map(|(id,)| id).collect())
        }
        Actor::User { .. }
        | Actor::Organization { .. }
        | Actor::AuditTrail { .. }
        | Actor::Scim { .. }
        | Actor::Run { .. } => Ok(HashSet::new()),
    }
}

async fn list(cx: Cx) -> Result<Reply> {
    let (organization, _) = organizations::find(&cx, cx.path("organization")).await?;
    let page = cx.page();
    let search = cx.query("q").map(|text| format!("%{}%", text.to_lowercase()));
    let rows: Vec<Team> = cx
        .app
        .db
        .all(
            db::AssertSqlSafe(format!(
                "{SELECT} WHERE t.organization_id = $1 AND ($2 IS NULL OR LOWER(t.name) LIKE $2)
                 ORDER BY t.created_at, t.id"
            )),
            args![&organization.id, search],
        )
        .await?;
    let names = cx.query_list("filter[names]");
    let rows = rows.into_iter().filter(|team| names.is_empty() || names.contains(&team.name.as_str()));
    let mut seen = visible_among(&cx, rows.collect()).await?;
    let total = i64::try_from(seen.len()).unwrap_or(i64::MAX);
    let start = usize::try_from(page.offset()).unwrap_or(usize::MAX);
    let shown: Vec<_> = seen.drain(start.min(seen.len())..).take(page.size as usize).collect();
    let items = documents(&cx, &shown).await?;
    cx.page_of(Paged { items, page, total: Some(total) }, &["users", "organization_memberships"]).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    name: Option<String>,
    visibility: Option<String>,
    organization_access: Map<String, Value>,
    sso_team_id: Patch<String>,
    allow_member_token_management: Option<bool>,
}

impl Attributes {
    /// `organization-access` as stored, with what the request changes in it.
    fn access(&self, current: &str) -> Result<OrganizationAccess> {
        let mut merged: Map<String, Value> = serde_json::from_str(current).map_err(Error::internal)?;
        merged.extend(self.organization_access.clone());
        serde_json::from_value(Value::Object(merged)).map_err(|e| {
            Error::invalid("organization-access", format!("Organization access is invalid: {e}"))
        })
    }

    fn check(&self) -> Result<()> {
        if self.name.as_ref().is_some_and(|name| {
            name.is_empty()
                || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == ' ')
        }) {
            return Err(Error::invalid("name", "Name can only include letters, numbers, spaces, -, and _"));
        }
        if self.visibility.as_ref().is_some_and(|v| v != "secret" && v != "organization") {
            return Err(Error::invalid("visibility", "Visibility must be secret or organization"));
        }
        Ok(())
    }
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let granted = grants.prove_organization::<perm::ManageTeams, _>(organization)?;
    entitled(&granted, Entitlement::Teams, cx.app.now())?;
    let data: Data<Attributes> = cx.data().await?;
    let asked = data.attributes;
    asked.check()?;
    let name = asked.name.clone().ok_or_else(|| Error::invalid("name", "Name can't be blank"))?;
    let access = asked.access("{}")?;
    if access != OrganizationAccess::default() {
        // Giving organization access away is a permission of its own (semantics.md §6.3).
        grants.prove_organization::<perm::ManageOrganizationAccess, _>((*granted).clone())?;
    }
    let mut tx = cx.app.db.begin().await?;
    let taken: Option<(String,)> = tx
        .one("SELECT id FROM teams WHERE organization_id = $1 AND name = $2", args![&granted.id, &name])
        .await?;
    if taken.is_some() {
        return Err(Error::invalid("name", "Name has already been taken"));
    }
    let visibility = asked.visibility.as_deref().unwrap_or("secret");
    let id = insert(&cx.app, &mut tx, &granted.id, &name, visibility, &access).await?;
    let mut sso = None;
    asked.sso_team_id.apply(&mut sso);
    tx.exec(
        "UPDATE teams SET sso_team_id = $2, allow_member_token_management = $3 WHERE id = $1",
        args![&id, sso, asked.allow_member_token_management.unwrap_or(true)],
    )
    .await?;
    tx.commit().await?;
    cx.app.identities.forget();
    let team = by_id(&cx.app, &id).await?;
    Ok(Reply::created(document(&cx, &team, &grants).await?))
}

/// All teams of an organization, whoever asks.
pub(crate) async fn all_of(app: &App, organization: &OrganizationId) -> Result<Vec<Team>> {
    let sql = format!("{SELECT} WHERE t.organization_id = $1 ORDER BY t.name");
    app.db.all(db::AssertSqlSafe(sql), args![organization]).await
}

async fn by_id(app: &App, id: &TeamId) -> Result<Team> {
    app.db
        .one(db::AssertSqlSafe(format!("{SELECT} WHERE t.id = $1")), args![id])
        .await?
        .ok_or(Error::NotFound)
}

async fn read(cx: Cx) -> Result<Reply> {
    let (team, grants) = find(&cx, cx.path("id")).await?;
    cx.one(document(&cx, &team, &grants).await?, &["users", "organization_memberships"]).await
}

async fn update(mut cx: Cx) -> Result<Reply> {
    let (team, grants) = find(&cx, cx.path("id")).await?;
    let granted = grants.prove_organization::<perm::ManageTeams, _>(team)?;
    let data: Data<Attributes> = cx.data().await?;
    let asked = data.attributes;
    asked.check()?;
    let access = asked.access(&granted.access)?;
    if !asked.organization_access.is_empty() {
        grants.prove_organization::<perm::ManageOrganizationAccess, _>((*granted).clone())?;
    }
    let name = asked.name.clone().unwrap_or_else(|| granted.name.clone());
    if granted.name == OWNERS && name != OWNERS {
        return Err(Error::invalid("name", "The owners team cannot be renamed"));
    }
    let mut sso = granted.sso_team_id.clone();
    asked.sso_team_id.apply(&mut sso);
    let mut tx = cx.app.db.begin().await?;
    let taken: Option<(String,)> = tx
        .one(
            "SELECT id FROM teams WHERE organization_id = $1 AND name = $2 AND id <> $3",
            args![&granted.organization_id, &name, &granted.id],
        )
        .await?;
    if taken.is_some() {
        return Err(Error::invalid("name", "Name has already been taken"));
    }
    tx.exec(
        "UPDATE teams SET name = $2, visibility = $3, access = $4, sso_team_id = $5, allow_member_token_management = $6
         WHERE id = $1",
        args![
            &granted.id,
            &name,
            asked.visibility.unwrap_or_else(|| granted.visibility.clone()),
            serde_json::to_string(&access).map_err(Error::internal)?,
            sso,
            asked.allow_member_token_management.unwrap_or(granted.allow_member_token_management)
        ],
    )
    .await?;
    tx.commit().await?;
    cx.app.identities.forget();
    let team = by_id(&cx.app, &granted.id).await?;
    Ok(Reply::one(document(&cx, &team, &grants).await?))
}

async fn delete(cx: Cx) -> Result<Reply> {
    let (team, grants) = find(&cx, cx.path("id")).await?;
    let granted = grants.prove_organization::<perm::ManageTeams, _>(team)?;
    if granted.name == OWNERS {
        return Err(Error::Forbidden("The owners team cannot be deleted".to_owned()));
    }
    let mut tx = cx.app.db.begin().await?;
    tx.exec("DELETE FROM teams WHERE id = $1", args![&granted.id]).await?;
    tx.exec("DELETE FROM users WHERE id = $1 AND service = TRUE", args![&granted.service_user_id]).await?;
    tx.commit().await?;
    cx.app.identities.forget();
    Ok(Reply::no_content())
}

async fn add_users(cx: Cx) -> Result<Reply> {
    change_members(cx, true, "username").await
}

async fn remove_users(cx: Cx) -> Result<Reply> {
    change_members(cx, false, "username").await
}

async fn add_memberships(cx: Cx) -> Result<Reply> {
    change_members(cx, true, "membership").await
}

async fn remove_memberships(cx: Cx) -> Result<Reply> {
    change_members(cx, false, "membership").await
}

/// Members are named by their username (as the API's relationship does) or by their membership's id.
async fn change_members(mut cx: Cx, add: bool, named_by: &str) -> Result<Reply> {
    let (team, grants) = find(&cx, cx.path("id")).await?;
    let granted = grants.prove_organization::<perm::ManageTeams, _>(team)?;
    if granted.name == OWNERS && !grants.is_owner() {
        return Err(Error::NotFound);
    }
    let named = cx.data_list().await?;
    let mut tx = cx.app.db.begin().await?;
    scim::refuse_by_hand(&cx, &mut tx, &granted.id).await?;
    for member in named {
        let id = member.id.unwrap_or_default();
        let sql = if named_by == "username" {
            "SELECT m.user_id FROM organization_memberships m JOIN users u ON u.id = m.user_id
             WHERE m.organization_id = $1 AND (u.username = $2 OR u.id = $2)"
        } else {
            "SELECT m.user_id FROM organization_memberships m WHERE m.organization_id = $1 AND m.id = $2"
        };
        let found: Option<(UserId,)> = tx.one(sql, args![&granted.organization_id, &id]).await?;
        let (user,) = found.ok_or(Error::NotFound)?;
        if add {
            add_member(&mut tx, &granted.id, &user).await?;
        } else {
            tx.exec(
                "DELETE FROM team_members WHERE team_id = $1 AND user_id = $2",
                args![&granted.id, &user],
            )
            .await?;
        }
    }
    tx.commit().await?;
    cx.app.identities.forget();
    Ok(Reply::no_content())
}

/// What decides about a team besides the caller's grants; `member` says whether they are of it.
pub(crate) fn facts(team: &Team, member: bool) -> TeamFacts {
    TeamFacts {
        owners: team.name == OWNERS,
        member,
        members_manage_tokens: team.allow_member_token_management,
    }
}

async fn document(cx: &Cx, team: &Team, grants: &Arc<Grants>) -> Result<Resource> {
    documents(cx, &[(team.clone(), grants.clone())]).await?.pop().ok_or(Error::NotFound)
}

#[derive(FromRow)]
struct Member {
    team_id: TeamId,
    user_id: String,
    membership_id: Option<String>,
}

/// Teams with their members, in two statements for all of them.
async fn documents(cx: &Cx, teams: &[(Team, Arc<Grants>)]) -> Result<Vec<Resource>> {
    if teams.is_empty() {
        return Ok(vec![]);
    }
    let ids: Vec<TeamId> = teams.iter().map(|(team, _)| team.id.clone()).collect();
    let marks: Vec<String> = (1..=ids.len()).map(|n| format!("${n}")).collect();
    let sql = format!(
        "SELECT m.team_id, m.user_id, o.id AS membership_id FROM team_members m JOIN teams t ON t.id = m.team_id
         LEFT JOIN organization_memberships o ON o.user_id = m.user_id AND o.organization_id = t.organization_id
         WHERE m.team_id IN ({}) ORDER BY m.user_id",
        marks.join(", ")
    );
    let rows: Vec<Member> =
        cx.app.db.all(db::AssertSqlSafe(sql), ids.iter().map(db::Arg::from).collect()).await?;
    let mut members: HashMap<TeamId, Vec<Member>> = HashMap::new();
    for member in rows {
        members.entry(member.team_id.clone()).or_default().push(member);
    }
    let own = own_among(cx, &ids).await?;
    let shown = teams.iter().map(|(team, grants)| {
        let members = members.remove(&team.id).unwrap_or_default();
        shown(cx, team, grants, own.contains(&team.id), &members)
    });
    shown.collect()
}

fn shown(cx: &Cx, team: &Team, grants: &Grants, own: bool, members: &[Member]) -> Result<Resource> {
    let access: Value = serde_json::to_value(
        serde_json::from_str::<OrganizationAccess>(&team.access).map_err(Error::internal)?,
    )
    .map_err(Error::internal)?;
    let mut attributes = json!({
        "name": team.name, "description": null, "users-count": members.len(), "non-service-users-count": members.len(),
        "visibility": team.visibility, "sso-team-id": team.sso_team_id, "organization-access": access,
        "allow-member-token-management": team.allow_member_token_management,
        "created-at": team.created_at.iso8601(), "is-unified": false,
        "permissions": grants.team_document(facts(team, own)),
    });
    if cx.app.site().scim.enabled {
        attributes["scim-linked"] = json!(team.scim_group_name.is_some());
        attributes["scim-group-name"] = json!(team.scim_group_name);
        attributes["scim-sync-paused"] = json!(team.scim_paused.unwrap_or(false));
        attributes["scim-updated-at"] = json!(team.scim_updated_at.map(Timestamp::iso8601));
    }
    let users = members.iter().map(|m| m.user_id.clone()).collect();
    let memberships = members.iter().filter_map(|m| m.membership_id.clone()).collect();
    Ok(Resource::new("teams", team.id.as_str(), &attributes)
        .relate("organization", Linkage::One("organizations", team.organization.clone()))
        .relate("users", Linkage::Many("users", users))
        .relate("organization-memberships", Linkage::Many("organization-memberships", memberships))
        .relate(
            "authentication-token",
            Linkage::Link(cx.app.url(&format!("/api/v2/teams/{}/authentication-token", team.id))),
        )
        .link("self", format!("/api/v2/teams/{}", team.id)))
}

/// Makes a team with its synthetic user.
pub(crate) async fn insert(
    app: &App,
    tx: &mut Tx,
    organization: &OrganizationId,
    name: &str,
    visibility: &str,
    access: &OrganizationAccess,
) -> Result<TeamId> {
    let id = TeamId::new(&app.env);
    let service_user = users::insert_service(app, tx, &format!("api-team_{id}")).await?;
    tx.exec(
        "INSERT INTO teams (id, organization_id, name, visibility, access, allow_member_token_management,
                            service_user_id, created_at)
         VALUES ($1, $2, $3, $4, $5, TRUE, $6, $7)",
        args![
            &id,
            organization,
            name,
            visibility,
            serde_json::to_string(access).map_err(Error::internal)?,
            &service_user,
            app.now()
        ],
    )
    .await?;
    Ok(id)
}

/// Puts a user into a team; once is enough.
pub(crate) async fn add_member(tx: &mut Tx, team: &TeamId, user: &UserId) -> Result<()> {
    tx.exec(
        "INSERT INTO team_members (team_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        args![team, user],
    )
    .await
    .map(drop)
}

/// The team of this id, if it is of this organization.
pub(crate) async fn in_organization(tx: &mut Tx, id: &str, organization: &OrganizationId) -> Result<TeamId> {
    let found: Option<(TeamId,)> = tx
        .one("SELECT id FROM teams WHERE id = $1 AND organization_id = $2", args![id, organization])
        .await?;
    found.map(|(id,)| id).ok_or(Error::NotFound)
}
