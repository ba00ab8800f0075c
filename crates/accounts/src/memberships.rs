//! Memberships of users in organizations: `/organizations/{organization}/organization-memberships`.
//!
//! Inviting an unknown address makes a user who is `invited`, and becomes a member when they first sign in, or with the
//! first token that the operator makes for them. Whoever has a token or a password already is a member at once. The response of the invitation includes that user by
//! default; other reads include it when asked. Source: the Organization Memberships API; sdk-conformance.md §3.

use crate::{organizations, scim, teams, users};
use authz::perm;
use axum::http::Method;
use db::{FromRow, Tx, args};
use http_api::{App, Cx, Data, Error, Linkage, Reply, Resource, Result, Routes, include::Loaders};
use kernel::{
    Paged, Timestamp,
    ids::{MembershipId, OrganizationId, UserId},
};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;

#[derive(Clone, Debug, FromRow)]
struct Membership {
    id: MembershipId,
    organization_id: OrganizationId,
    organization: String,
    user_id: UserId,
    email: String,
    status: String,
    created_at: Timestamp,
    two_factor_required: bool,
}

const SELECT: &str = "SELECT m.id, m.organization_id, o.name AS organization, m.user_id, u.email, m.status, m.created_at,
    o.settings LIKE '%\"collaborator-auth-policy\":\"two_factor_mandatory\"%' AS two_factor_required
  FROM organization_memberships m JOIN organizations o ON o.id = m.organization_id JOIN users u ON u.id = m.user_id";

/// The operations on memberships.
pub fn routes() -> Routes {
    let list = "/organizations/{organization}/organization-memberships";
    Routes::new()
        .op(Method::GET, list, "accounts.memberships.list", index)
        .op(Method::POST, list, "accounts.memberships.create", create)
        .op(Method::GET, "/organization-memberships", "accounts.memberships.mine", mine)
        .op(Method::GET, "/organization-memberships/{id}", "accounts.memberships.read", read)
        .op(Method::DELETE, "/organization-memberships/{id}", "accounts.memberships.delete", delete)
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("organization-memberships", |cx, ids| async move {
        let marks: Vec<String> = (1..=ids.len()).map(|n| format!("${n}")).collect();
        let sql = format!("{SELECT} WHERE m.id IN ({})", marks.join(", "));
        let rows: Vec<Membership> =
            cx.app.db.all(db::AssertSqlSafe(sql), ids.iter().map(db::Arg::from).collect()).await?;
        let organizations: Vec<OrganizationId> = rows.iter().map(|row| row.organization_id.clone()).collect();
        cx.prepare_grants(&organizations).await?;
        let mut visible = Vec::new();
        for membership in rows {
            if is_visible(&cx, &membership).await? {
                visible.push(membership);
            }
        }
        documents(&cx.app, &visible).await
    });
}

async fn find(cx: &Cx, id: &str) -> Result<Membership> {
    let membership: Membership = cx
        .app
        .db
        .one(db::AssertSqlSafe(format!("{SELECT} WHERE m.id = $1")), args![id])
        .await?
        .ok_or(Error::NotFound)?;
    if is_visible(cx, &membership).await? { Ok(membership) } else { Err(Error::NotFound) }
}

async fn is_visible(cx: &Cx, membership: &Membership) -> Result<bool> {
    let own = cx.actor()?.user_id() == &membership.user_id;
    let grants = cx.grants(&membership.organization_id).await?;
    Ok(own || grants.member)
}

async fn index(cx: Cx) -> Result<Reply> {
    let (organization, _) = organizations::find(&cx, cx.path("organization")).await?;
    let page = cx.page();
    let like = |name| cx.query(name).map(|text| format!("%{}%", text.to_lowercase()));
    let emails = cx.query_list("filter[email]");
    let mut condition = "WHERE m.organization_id = $1 AND ($2 IS NULL OR m.status = $2)
        AND ($3 IS NULL OR LOWER(u.username) LIKE $3 OR LOWER(u.email) LIKE $3)"
        .to_owned();
    let mut values = args![
        &organization.id,
        cx.query("filter[status]"),
        like("q").or_else(|| like("q[email]")).or_else(|| like("q[name]"))
    ];
    if !emails.is_empty() {
        let marks: Vec<String> = (4..4 + emails.len()).map(|n| format!("${n}")).collect();
        condition.push_str(&format!(" AND u.email IN ({})", marks.join(", ")));
        values.extend(emails.into_iter().map(db::Arg::from));
    }
    let (total,): (i64,) = cx
        .app
        .db
        .one(
            db::AssertSqlSafe(format!(
                "SELECT COUNT(*) FROM organization_memberships m JOIN users u ON u.id = m.user_id {condition}"
            )),
            values.clone(),
        )
        .await?
        .unwrap_or_default();
    let next = values.len() + 1;
    values.extend(args![page.limit(), page.offset()]);
    let sql = format!("{SELECT} {condition} ORDER BY m.created_at, m.id LIMIT ${next} OFFSET ${}", next + 1);
    let rows: Vec<Membership> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let items = documents(&cx.app, &rows).await?;
    cx.page_of(Paged { items, page, total: Some(total) }, &["user", "teams", "organization"]).await
}

/// The memberships of those who are in a team, for whoever sees the team.
pub(crate) async fn of_team(cx: Cx) -> Result<Reply> {
    let (team, _) = teams::find(&cx, cx.path("id")).await?;
    let page = cx.page();
    let condition = "JOIN team_members t ON t.user_id = m.user_id AND t.team_id = $1
        WHERE m.organization_id = $2 AND ($3 IS NULL OR m.status = $3) AND ($4 IS NULL OR u.service = $4)";
    let service = match cx.query("filter[is_service_account]") {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => None,
    };
    let status = cx.query("filter[status]").filter(|status| !status.is_empty());
    let mut values = args![&team.id, &team.organization_id, status, service];
    let count = format!(
        "SELECT COUNT(*) FROM organization_memberships m JOIN users u ON u.id = m.user_id {condition}"
    );
    let total: Option<(i64,)> = cx.app.db.one(db::AssertSqlSafe(count), values.clone()).await?;
    let order = match cx.query("sort").unwrap_or_default() {
        "status" => "m.status, m.created_at, m.id",
        "-status" => "m.status DESC, m.created_at, m.id",
        _ => "m.created_at, m.id",
    };
    values.extend(args![page.limit(), page.offset()]);
    let sql = format!("{SELECT} {condition} ORDER BY {order} LIMIT $5 OFFSET $6");
    let rows: Vec<Membership> = cx.app.db.all(db::AssertSqlSafe(sql), values).await?;
    let items = documents(&cx.app, &rows).await?;
    cx.page_of(Paged { items, page, total: total.map(|(n,)| n) }, &["user", "teams", "organization"]).await
}

async fn mine(cx: Cx) -> Result<Reply> {
    let id = cx.actor()?.user_id().clone();
    let rows: Vec<Membership> = cx
        .app
        .db
        .all(db::AssertSqlSafe(format!("{SELECT} WHERE m.user_id = $1 ORDER BY o.name")), args![&id])
        .await?;
    let items = documents(&cx.app, &rows).await?;
    cx.list(items, &["user", "teams", "organization"]).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attributes {
    email: String,
}

/// Refuses one member more than the organization's subscription allows.
async fn within_limit(tx: &mut Tx, organization: &organizations::Organization) -> Result<()> {
    let Some(limit) = organization.subscription().user_limit() else { return Ok(()) };
    // Who counts holds the row, so that two do not both take the last place.
    tx.exec("UPDATE organizations SET version = version + 1 WHERE id = $1", args![&organization.id]).await?;
    let sql = "SELECT COUNT(*) FROM organization_memberships WHERE organization_id = $1";
    let count: Option<(i64,)> = tx.one(sql, args![&organization.id]).await?;
    if count.is_some_and(|(count,)| count < limit) {
        return Ok(());
    }
    Err(Error::Unprocessable(format!(
        "Organization {} may have {limit} members and has them all; a site admin can raise the limit of its subscription",
        organization.name
    )))
}

async fn create(mut cx: Cx) -> Result<Reply> {
    let (organization, grants) = organizations::find(&cx, cx.path("organization")).await?;
    let granted = grants.prove_organization::<perm::ManageMembership, _>(organization)?;
    let data: Data<Attributes> = cx.data().await?;
    let email = data.attributes.email.trim().to_owned();
    if !email.contains('@') {
        return Err(Error::invalid("email", "Email is not a valid email address"));
    }
    let asked: Vec<String> = data
        .relationship("teams")
        .and_then(|d| d.as_array())
        .map(|list| list.iter().filter_map(|team| Some(team.get("id")?.as_str()?.to_owned())).collect())
        .unwrap_or_default();
    let mut tx = cx.app.db.begin().await?;
    let known: Option<(UserId,)> = tx
        .one("SELECT id FROM users WHERE LOWER(email) = $1 AND service = FALSE", args![email.to_lowercase()])
        .await?;
    let user = match known {
        Some((id,)) => id,
        None => {
            let id = UserId::new(&cx.app.env);
            let name = email.split('@').next().unwrap_or("user");
            let username = format!("{name}-{}", cx.app.env.base58(6));
            users::insert(&mut tx, &id, &username, &email, false, false, cx.app.now()).await?
        }
    };
    let member: Option<(String,)> = tx
        .one(
            "SELECT id FROM organization_memberships WHERE organization_id = $1 AND user_id = $2",
            args![&granted.id, &user],
        )
        .await?;
    if member.is_some() {
        return Err(Error::invalid("email", "User is already a member of this organization"));
    }
    let known: Option<(String,)> = tx
        .one(
            "SELECT id FROM users WHERE id = $1 AND (id IN (SELECT user_id FROM tokens WHERE kind = 'user')
               OR id IN (SELECT user_id FROM passwords))",
            args![&user],
        )
        .await?;
    within_limit(&mut tx, &granted).await?;
    let status = if known.is_some() { "active" } else { "invited" };
    let id = insert(&cx.app, &mut tx, &granted.id, &user, status).await?;
    for team in asked {
        let team = teams::in_organization(&mut tx, &team, &granted.id).await?;
        scim::refuse_by_hand(&cx, &mut tx, &team).await?;
        teams::add_member(&mut tx, &team, &user).await?;
    }
    tx.commit().await?;
    cx.app.identities.forget();
    let membership = find(&cx, id.as_str()).await?;
    cx.created_including(document(&cx.app, &membership).await?, &["user", "teams", "organization"], "user")
        .await
}

async fn read(cx: Cx) -> Result<Reply> {
    let membership = find(&cx, cx.path("id")).await?;
    cx.one(document(&cx.app, &membership).await?, &["user", "teams", "organization"]).await
}

async fn delete(cx: Cx) -> Result<Reply> {
    let membership = find(&cx, cx.path("id")).await?;
    let (organization, grants) = organizations::find(&cx, &membership.organization).await?;
    let granted = grants.prove_organization::<perm::ManageMembership, _>(organization)?;
    if cx.actor()?.user_id() == &membership.user_id && grants.is_owner() {
        return Err(Error::Forbidden(
            "You cannot remove yourself from an organization that you own".to_owned(),
        ));
    }
    let mut tx = cx.app.db.begin().await?;
    scim::refuse_removal(&cx, &mut tx, &granted.id, &membership.user_id).await?;
    tx.exec(
        "DELETE FROM team_members WHERE user_id = $2 AND team_id IN (SELECT id FROM teams WHERE organization_id = $1)",
        args![&granted.id, &membership.user_id],
    )
    .await?;
    tx.exec("DELETE FROM organization_memberships WHERE id = $1", args![&membership.id]).await?;
    tx.commit().await?;
    cx.app.identities.forget();
    Ok(Reply::no_content())
}

async fn document(app: &App, membership: &Membership) -> Result<Resource> {
    documents(app, std::slice::from_ref(membership)).await?.pop().ok_or(Error::NotFound)
}

/// Memberships with the teams of their users, in one statement for all of them.
async fn documents(app: &App, memberships: &[Membership]) -> Result<Vec<Resource>> {
    if memberships.is_empty() {
        return Ok(vec![]);
    }
    let marks: Vec<String> = (1..=memberships.len()).map(|n| format!("${n}")).collect();
    let sql = format!(
        "SELECT o.id, t.id FROM organization_memberships o JOIN teams t ON t.organization_id = o.organization_id
         JOIN team_members m ON m.team_id = t.id AND m.user_id = o.user_id
         WHERE o.id IN ({}) ORDER BY t.name",
        marks.join(", ")
    );
    let ids = memberships.iter().map(|membership| db::Arg::from(&membership.id)).collect();
    let mut teams: HashMap<MembershipId, Vec<String>> = HashMap::new();
    for (membership, team) in app.db.all::<(MembershipId, String)>(db::AssertSqlSafe(sql), ids).await? {
        teams.entry(membership).or_default().push(team);
    }
    let shown = memberships.iter().map(|one| shown(one, teams.remove(&one.id).unwrap_or_default()));
    Ok(shown.collect())
}

fn shown(membership: &Membership, teams: Vec<String>) -> Resource {
    let attributes = json!({
        "status": membership.status, "email": membership.email, "created-at": membership.created_at.iso8601(),
        "is-org-two-factor-required": membership.two_factor_required,
    });
    Resource::new("organization-memberships", membership.id.as_str(), &attributes)
        .relate("user", Linkage::One("users", membership.user_id.to_string()))
        .relate("organization", Linkage::One("organizations", membership.organization.clone()))
        .relate("teams", Linkage::Many("teams", teams))
}

/// The names of the organizations that a user is a member of, in order.
pub async fn organizations_of(app: &App, user: &UserId) -> Result<Vec<String>> {
    let sql = "SELECT o.name FROM organization_memberships m JOIN organizations o ON o.id = m.organization_id
               WHERE m.user_id = $1 AND m.status = 'active' ORDER BY o.name";
    let names: Vec<(String,)> = app.db.all(sql, args![user]).await?;
    Ok(names.into_iter().map(|(name,)| name).collect())
}

/// Makes an invited user a member wherever they are invited.
pub(crate) async fn accept_all(tx: &mut Tx, user: &UserId) -> Result<()> {
    tx.exec("UPDATE organization_memberships SET status = 'active' WHERE user_id = $1", args![user])
        .await
        .map(drop)
}

/// Makes a membership.
pub(crate) async fn insert(
    app: &App,
    tx: &mut Tx,
    organization: &OrganizationId,
    user: &UserId,
    status: &str,
) -> Result<MembershipId> {
    let id = MembershipId::new(&app.env);
    tx.exec(
        "INSERT INTO organization_memberships (id, organization_id, user_id, status, created_at)
         VALUES ($1, $2, $3, $4, $5)",
        args![&id, organization, user, status, app.now()],
    )
    .await?;
    Ok(id)
}
