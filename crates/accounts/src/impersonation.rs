//! Site admins who act as another user, to see what they see.
//!
//! Contract: a session of one's own is needed, a reason, and a user who is no site admin; and one acts as one user at a time.
//! The browser gets a session of that user which knows who stands behind it: it ends with the admin's own, with their rights,
//! and when they return. Its secret and the admin's change at both ends, so that no form of one is taken for the other's.
//! Every entry of the audit trail in between names the admin. The API's operations take the browser's cookie in place of a
//! token, as in Terraform Enterprise, and only from the server's own pages or from a program.
//! Source: the Admin Users API.

use crate::{
    cookies,
    sessions::{self, Browser, Session},
};
use axum::{
    body::Body,
    http::{HeaderValue, Method, Response, StatusCode, header},
};
use db::{FromRow, args};
use http_api::{App, Cx, Error, Reply, Result, Routes, audit};
use kernel::{Secret, ids::UserId};

/// Characters of a reason.
const LONGEST_REASON: usize = 1000;

/// The operations, for whoever shows a browser's cookie.
pub fn routes() -> Routes {
    let begin = "/api/v2/admin/users/{id}/actions/impersonate";
    let end = "/api/v2/admin/users/actions/unimpersonate";
    Routes::new().public(Method::POST, begin, "accounts.admin-users.impersonate", impersonate).public(
        Method::POST,
        end,
        "accounts.admin-users.unimpersonate",
        unimpersonate,
    )
}

#[derive(FromRow)]
struct Target {
    id: UserId,
    username: String,
    site_admin: bool,
    suspended: bool,
}

/// Begins to act as the user of an id or a name; the secret of the session that takes the place of the one at hand.
///
/// # Errors
/// [`Error::NotFound`] for who is no site admin, and without such a user; [`Error::BadRequest`] without a reason;
/// [`Error::Forbidden`] for another site admin, and while acting as somebody already.
pub async fn begin(
    app: &App,
    session: &Session,
    user: &str,
    reason: &str,
    browser: &Browser,
) -> Result<Secret> {
    if session.impersonator_id.is_some() {
        return Err(Error::Forbidden(format!("You act as {} already; stop that first.", session.username)));
    }
    if !session.site_admin {
        return Err(Error::NotFound);
    }
    let sql = "SELECT id, username, site_admin, suspended FROM users WHERE (id = $1 OR username = $1) AND service = FALSE";
    let target: Target = app.db.one(sql, args![user]).await?.ok_or(Error::NotFound)?;
    if target.site_admin || target.id == session.user_id {
        return Err(Error::Forbidden("Nobody can act as a site admin.".to_owned()));
    }
    if target.suspended {
        return Err(Error::Forbidden(format!("{} is suspended.", target.username)));
    }
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
        let why = format!("A reason for impersonation is required, of at most {LONGEST_REASON} characters.");
        return Err(Error::bad_request("bad request", why));
    }
    audit::actor(&session.user_id);
    let mut tx = app.db.begin().await?;
    let secret = sessions::insert_acting(app, &mut tx, session, &target.id, browser).await?;
    audit::resource("users", target.id.as_str());
    audit::reason(reason);
    tx.commit().await?;
    tracing::info!(admin = session.username, user = target.username, "a site admin acts as a user");
    Ok(secret)
}

/// Stops acting as somebody; the secret of the admin's own session.
///
/// # Errors
/// [`Error::BadRequest`] when the session at hand is one's own.
pub async fn end(app: &App, session: &Session) -> Result<Secret> {
    let Some(impersonator) = &session.impersonator_id else {
        return Err(Error::bad_request("bad request", "You do not act as somebody else."));
    };
    audit::actor(impersonator);
    audit::resource("users", session.user_id.as_str());
    let mut tx = app.db.begin().await?;
    let secret = sessions::return_from(app, &mut tx, session).await?;
    tx.commit().await?;
    tracing::info!(user = session.username, "a site admin stopped acting as a user");
    Ok(secret)
}

/// The session behind the request's cookie.
async fn session(cx: &Cx) -> Result<Session> {
    if !cookies::same_origin(&cx.headers, &cx.uri, &cx.app.settings.url) {
        return Err(Error::Forbidden("This request was sent by a page of another site.".to_owned()));
    }
    let secret = cookies::read(&cx.headers, &cookies::session(&cx.app)).ok_or(Error::Unauthorized)?;
    sessions::find(&cx.app, secret).await?.ok_or(Error::Unauthorized)
}

fn with_cookie(app: &App, secret: &Secret) -> Result<Reply> {
    let text =
        cookies::text(app, &cookies::session(app), secret.expose(), Some(app.settings.session_seconds));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let value = HeaderValue::try_from(text).map_err(Error::internal)?;
    response.headers_mut().insert(header::SET_COOKIE, value);
    Ok(Reply::Raw(Box::new(response)))
}

async fn impersonate(mut cx: Cx) -> Result<Reply> {
    let session = session(&cx).await?;
    let reason = cx.action_field("reason").await?.unwrap_or_default();
    let agent = cx.header("user-agent").map(str::to_owned);
    let browser = Browser { address: None, agent };
    let secret = begin(&cx.app, &session, cx.path("id"), &reason, &browser).await?;
    with_cookie(&cx.app, &secret)
}

async fn unimpersonate(cx: Cx) -> Result<Reply> {
    let session = session(&cx).await?;
    let secret = end(&cx.app, &session).await?;
    with_cookie(&cx.app, &secret)
}
