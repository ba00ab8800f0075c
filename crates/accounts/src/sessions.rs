//! Sessions of browsers: what a sign-in gives.
//!
//! A session is 256 random bits in a cookie; the database has their keyed hash. It ends when nobody has used it for
//! `session_idle_seconds`, in any case after `session_seconds`, when its user signs out or is suspended, and, if it is
//! another than the one at hand, when they change their password. It is read at every request and never remembered, so
//! its end is seen at once, by whichever process it was brought about.

use authz::Actor;
use db::{FromRow, Tx, args};
use http_api::{App, Result, audit};
use kernel::{
    Secret, Timestamp,
    ids::{SessionId, TokenId, UserId},
};
use std::{net::IpAddr, time::Duration};

/// `last_seen_at` is written at most once in this time.
const SEEN_INTERVAL: Duration = Duration::from_secs(60);

/// A session with the user behind it.
#[derive(Clone, Debug, FromRow)]
pub struct Session {
    /// Its id, which is no secret.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// Their name.
    pub username: String,
    /// Their address.
    pub email: String,
    /// Whether they administer the whole installation.
    pub site_admin: bool,
    /// How they signed in: `password` or `link`.
    pub method: String,
    /// When they did.
    pub created_at: Timestamp,
    /// About when they were seen last.
    pub last_seen_at: Timestamp,
}

impl Session {
    /// Its user as a caller. In place of a token's id there is the session's: what is remembered of a caller is by that.
    pub fn actor(&self) -> Actor {
        Actor::User {
            id: self.user_id.clone(),
            username: self.username.clone(),
            site_admin: self.site_admin,
            token: TokenId::from(self.id.as_str()),
        }
    }
}

fn hash(app: &App, secret: &str) -> String {
    app.hasher.hash(&format!("session {secret}"))
}

/// Makes a session; the secret is for the browser's cookie. Clears away what has ended, so that no sweeper is needed.
pub(crate) async fn insert(
    app: &App,
    tx: &mut Tx,
    user: &UserId,
    method: &str,
    address: Option<IpAddr>,
) -> Result<Secret> {
    let (secret, now) = (Secret::new(app.env.base58(44)), app.now());
    let id = SessionId::new(&app.env);
    audit::actor(user);
    audit::resource("sessions", id.as_str());
    let (idle, whole) = limits(app, now);
    tx.exec("DELETE FROM sessions WHERE last_seen_at <= $1 OR created_at <= $2", args![idle, whole]).await?;
    tx.exec(
        "INSERT INTO sessions (id, hash, user_id, method, address, created_at, last_seen_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6)",
        args![&id, hash(app, secret.expose()), user, method, address.map(|address| address.to_string()), now],
    )
    .await?;
    Ok(secret)
}

/// The session of a cookie, if it has not ended.
pub async fn find(app: &App, secret: &str) -> Result<Option<Session>> {
    let now = app.now();
    let (idle, whole) = limits(app, now);
    let found: Option<Session> = app
        .db
        .one(
            "SELECT s.id, s.user_id, u.username, u.email, u.site_admin, s.method, s.created_at, s.last_seen_at
             FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.hash = $1 AND s.last_seen_at > $2 AND s.created_at > $3 AND u.suspended = FALSE",
            args![hash(app, secret), idle, whole],
        )
        .await?;
    if let Some(session) = &found
        && now.since(session.last_seen_at) >= SEEN_INTERVAL
    {
        app.db.exec("UPDATE sessions SET last_seen_at = $2 WHERE id = $1", args![&session.id, now]).await?;
    }
    Ok(found)
}

/// Whether a session has not ended. Asking does not count as being seen: a page that is left open keeps nobody signed in.
pub async fn lives(app: &App, id: &SessionId) -> Result<bool> {
    let (idle, whole) = limits(app, app.now());
    let found: Option<(i64,)> = app
        .db
        .one(
            "SELECT 1 FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.id = $1 AND s.last_seen_at > $2 AND s.created_at > $3 AND u.suspended = FALSE",
            args![id, idle, whole],
        )
        .await?;
    Ok(found.is_some())
}

/// Sessions not seen since the first instant, or made before the second, have ended.
fn limits(app: &App, now: Timestamp) -> (Timestamp, Timestamp) {
    let before = |seconds: i64| now.plus_seconds(seconds.saturating_neg());
    (before(app.settings.session_idle_seconds), before(app.settings.session_seconds))
}

/// Ends a session.
pub async fn end(app: &App, id: &SessionId) -> Result<()> {
    audit::resource("sessions", id.as_str());
    app.db.exec("DELETE FROM sessions WHERE id = $1", args![id]).await.map(drop)
}

/// Ends the sessions of a user, but one.
pub(crate) async fn end_all(tx: &mut Tx, user: &UserId, kept: Option<&SessionId>) -> Result<()> {
    tx.exec(
        "DELETE FROM sessions WHERE user_id = $1 AND ($2 IS NULL OR id <> $2)",
        args![user, kept.map(|id| id.as_str().to_owned())],
    )
    .await
    .map(drop)
}
