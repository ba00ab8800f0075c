//! Users: `/account/details`, and the synthetic users behind the tokens of teams and organizations.
//!
//! Source: the Account and Users APIs; semantics.md §6.4. A caller sees the users that share an organization with them.

use crate::{SignIns, passwords};
use authz::Actor;
use axum::http::Method;
use db::{FromRow, Tx, args};
use http_api::{App, Cx, Data, Error, Linkage, Reply, Resource, Result, Routes, include::Loaders};
use kernel::{Secret, Timestamp, ids::UserId};
use serde::Deserialize;
use serde_json::{Value, json};

/// A user as stored.
#[derive(Clone, Debug, FromRow)]
pub struct User {
    /// Stable id.
    pub id: UserId,
    /// Unique name.
    pub username: String,
    /// Address.
    pub email: String,
    /// May administrate the whole installation.
    pub site_admin: bool,
    /// Synthetic: stands behind a team's or an organization's token.
    pub service: bool,
    scim_username: Option<String>,
    scim_updated_at: Option<Timestamp>,
    /// Is asked for a second factor at every sign-in.
    pub two_factor: bool,
}

const SELECT: &str =
    "SELECT u.id, u.username, u.email, u.site_admin, u.service, s.user_name AS scim_username,
    s.updated_at AS scim_updated_at,
    u.id IN (SELECT user_id FROM two_factors WHERE verified_at IS NOT NULL) AS two_factor
    FROM users u LEFT JOIN scim_users s ON s.user_id = u.id";

/// The operations on users.
pub fn routes() -> Routes {
    Routes::new()
        .op(Method::GET, "/account/details", "accounts.account.read", account)
        .op(Method::PATCH, "/account/password", "accounts.account.change-password", change_password)
        .op(Method::PATCH, "/account/update", "accounts.account.update", update)
        .op(Method::GET, "/users/{id}", "accounts.users.read", read)
}

pub(crate) fn loaders(loaders: &mut Loaders) {
    loaders.add("users", |cx, ids| async move {
        let mut found = Vec::new();
        for user in by_ids(&cx.app, &ids).await? {
            found.push(document(&cx, &user)?);
        }
        Ok(found)
    });
}

/// The users of these ids, in one query.
pub async fn by_ids(app: &App, ids: &[String]) -> Result<Vec<User>> {
    let marks: Vec<String> = (1..=ids.len()).map(|n| format!("${n}")).collect();
    if marks.is_empty() {
        return Ok(vec![]);
    }
    app.db
        .all(
            db::AssertSqlSafe(format!("{SELECT} WHERE u.id IN ({})", marks.join(", "))),
            ids.iter().map(db::Arg::from).collect(),
        )
        .await
}

async fn account(cx: Cx) -> Result<Reply> {
    let id = cx.actor()?.user_id().to_string();
    let user = by_ids(&cx.app, &[id]).await?.pop().ok_or(Error::NotFound)?;
    Ok(Reply::one(document(&cx, &user)?))
}

/// The attributes of this one are spelled with underscores.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Passwords {
    current_password: Option<String>,
    password: Option<String>,
    password_confirmation: Option<String>,
}

/// Sets a person's own password, by the one that they have. All their sessions end.
async fn change_password(mut cx: Cx) -> Result<Reply> {
    let Actor::User { id, username, .. } = cx.actor()?.clone() else { return Err(Error::NotFound) };
    let asked = cx.data::<Passwords>().await?.attributes;
    let current = Secret::new(asked.current_password.unwrap_or_default());
    let chosen = asked
        .password
        .map(Secret::new)
        .ok_or_else(|| Error::invalid("password", "Password can't be blank"))?;
    if asked.password_confirmation.is_some_and(|again| Secret::new(again) != chosen) {
        return Err(Error::invalid("password_confirmation", "Password confirmation doesn't match Password"));
    }
    // Whoever has found a token may not try passwords with it.
    let backoff = &cx.app.area::<SignIns>().backoff;
    backoff.admit(&username, None, cx.app.now()).map_err(Error::TooManyRequests)?;
    if current.expose().len() > passwords::LONGEST || !passwords::verify(&cx.app, Some(&id), &current).await?
    {
        return Err(Error::invalid("current_password", "Current password is not right"));
    }
    backoff.succeeded(&username, None, cx.app.now());
    passwords::set(&cx.app, &id, &username, &chosen, None).await?;
    let user = by_ids(&cx.app, &[id.to_string()]).await?.pop().ok_or(Error::NotFound)?;
    Ok(Reply::one(document(&cx, &user)?))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attributes {
    username: Option<String>,
    email: Option<String>,
}

async fn update(mut cx: Cx) -> Result<Reply> {
    let Actor::User { id, .. } = cx.actor()?.clone() else { return Err(Error::NotFound) };
    let data: Data<Attributes> = cx.data().await?;
    let mut tx = cx.app.db.begin().await?;
    if let Some(username) = &data.attributes.username {
        if username.is_empty() {
            return Err(Error::invalid("username", "Username can't be blank"));
        }
        let taken: Option<(String,)> =
            tx.one("SELECT id FROM users WHERE username = $1 AND id <> $2", args![username, &id]).await?;
        if taken.is_some() {
            return Err(Error::invalid("username", "Username has already been taken"));
        }
        tx.exec("UPDATE users SET username = $2 WHERE id = $1", args![&id, username]).await?;
    }
    if let Some(email) = &data.attributes.email {
        if !email.contains('@') {
            return Err(Error::invalid("email", "Email is not a valid email address"));
        }
        let sql = "SELECT user_id FROM scim_users WHERE user_id = $1";
        let managed: Option<(UserId,)> = tx.one(sql, args![&id]).await?;
        if managed.is_some() && cx.app.site().scim.enabled {
            return Err(Error::invalid("email", "Email is kept by your identity provider; change it there"));
        }
        tx.exec("UPDATE users SET email = $2 WHERE id = $1", args![&id, email]).await?;
    }
    tx.commit().await?;
    cx.app.identities.forget();
    let user = by_ids(&cx.app, &[id.to_string()]).await?.pop().ok_or(Error::NotFound)?;
    Ok(Reply::one(document(&cx, &user)?))
}

async fn read(cx: Cx) -> Result<Reply> {
    let id = cx.path("id").to_owned();
    let user = by_ids(&cx.app, std::slice::from_ref(&id)).await?.pop().ok_or(Error::NotFound)?;
    let own = cx.actor()?.user_id();
    let acquainted: Option<(i64,)> = cx
        .app
        .db
        .one(
            "SELECT CAST(1 AS BIGINT) FROM organization_memberships a
             JOIN organization_memberships b ON b.organization_id = a.organization_id
             WHERE a.user_id = $1 AND b.user_id = $2 LIMIT 1",
            args![own, &id],
        )
        .await?;
    if user.id != *own && acquainted.is_none() {
        return Err(Error::NotFound);
    }
    Ok(Reply::one(document(&cx, &user)?))
}

/// A user as this caller sees them: the address is shown to themselves and to site admins.
pub fn document(cx: &Cx, user: &User) -> Result<Resource> {
    let myself = cx.actor()?.user_id() == &user.id;
    let mut attributes = json!({
        "username": user.username, "is-service-account": user.service, "avatar-url": avatar(user), "auth-method": "tfe",
        "v2-only": false, "is-site-admin": user.site_admin, "is-admin": user.site_admin, "is-sso-login": false,
        "is-confirmed": true, "is-unified": false, "is-sudo": false, "enterprise-support": false,
        "two-factor": { "enabled": user.two_factor, "verified": user.two_factor },
        "permissions": {
            "can-create-organizations": may_create_organizations(cx, user), "can-view-settings": myself, "can-change-email": myself,
            "can-change-username": myself, "can-change-password": myself && !user.service,
            "can-manage-sessions": myself && !user.service,
            "can-manage-sso-identities": false, "can-manage-user-tokens": myself && !user.service,
            "can-update-user": myself && !user.service, "can-reenable-2fa-by-unlinking": false,
            "can-manage-hcp-account": false,
        },
    });
    if myself || cx.actor()?.is_site_admin() {
        attributes["email"] = json!(user.email);
    }
    if myself {
        attributes["unconfirmed-email"] = json!(null);
    }
    say_scim(cx, &mut attributes, user.scim_username.as_ref(), user.scim_updated_at);
    let tokens = cx.app.url(&format!("/api/v2/users/{}/authentication-tokens", user.id));
    Ok(Resource::new("users", user.id.as_str(), &attributes)
        .relate("authentication-tokens", Linkage::Link(tokens))
        .link("self", format!("/api/v2/users/{}", user.id)))
}

/// Adds to a user's attributes what SCIM is to them, while it is on.
pub(crate) fn say_scim(
    cx: &Cx,
    attributes: &mut Value,
    name: Option<&String>,
    updated_at: Option<Timestamp>,
) {
    if cx.app.site().scim.enabled {
        attributes["is-scim-managed"] = json!(name.is_some());
        attributes["scim-username"] = json!(name);
        attributes["scim-updated-at"] = json!(updated_at.map(Timestamp::iso8601));
    }
}

/// A picture of the user: the first letter of their name on a colour of their own. It is a `data:` URL, so that showing it
/// tells nobody else about them.
fn avatar(user: &User) -> String {
    let letter = user.username.chars().find(|c| c.is_alphanumeric()).unwrap_or('?').to_uppercase();
    let hue = user.id.as_str().bytes().fold(0u32, |sum, byte| (sum * 31 + u32::from(byte)) % 360);
    let letter: String =
        letter.flat_map(|c| c.to_string().into_bytes()).map(|b| format!("%{b:02X}")).collect();
    format!(
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 2 2'%3E%3Crect width='2' height='2' \
         fill='hsl({hue},45%25,45%25)'/%3E%3Ctext x='1' y='1.42' font-size='1.2' font-family='sans-serif' fill='white' \
         text-anchor='middle'%3E{letter}%3C/text%3E%3C/svg%3E"
    )
}

fn may_create_organizations(cx: &Cx, user: &User) -> bool {
    let limited = cx.app.site().general.limit_user_organization_creation;
    !user.service && (user.site_admin || !limited)
}

/// Makes the synthetic user behind tokens.
pub(crate) async fn insert_service(app: &App, tx: &mut Tx, username: &str) -> Result<UserId> {
    insert(tx, &UserId::new(&app.env), username, "", false, true, app.now()).await
}

/// Makes a user.
pub(crate) async fn insert(
    tx: &mut Tx,
    id: &UserId,
    username: &str,
    email: &str,
    site_admin: bool,
    service: bool,
    now: Timestamp,
) -> Result<UserId> {
    tx.exec(
        "INSERT INTO users (id, username, email, site_admin, service, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        args![id, username, email, site_admin, service, now],
    )
    .await?;
    Ok(id.clone())
}
