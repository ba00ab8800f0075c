//! Sessions of browsers: what a sign-in gives.
//!
//! A session is 256 random bits in a cookie; the database has their keyed hash. It ends when nobody has used it for
//! `session_idle_seconds`, in any case after `session_seconds`, when its user signs out, ends it from another browser or is
//! suspended, and, if it is another than the one at hand, when they change their password. An organization may want less
//! idleness (`session-timeout`) and shorter lives (`session-remember`, both in minutes): the sessions of its members keep to
//! the strictest of theirs. A session is read at every request and never remembered, so its end is seen at once, by
//! whichever process it was brought about.

use crate::organizations;
use authz::Actor;
use db::{FromRow, Tx, args};
use http_api::{App, Error, Result, audit};
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
    /// How they signed in: `password`, `link`, `oidc`, or `impersonation`.
    pub method: String,
    /// When they did.
    pub created_at: Timestamp,
    /// About when they were seen last.
    pub last_seen_at: Timestamp,
    /// The site admin who acts as the user in it, if somebody does.
    pub impersonator_id: Option<UserId>,
    /// Their name.
    pub impersonator: Option<String>,
    impersonator_session: Option<SessionId>,
}

/// A session as its user sees it among theirs.
#[derive(Clone, Debug, FromRow)]
pub struct Listed {
    /// Its id, which is no secret.
    pub id: SessionId,
    /// How they signed in.
    pub method: String,
    /// Where from, if that was known.
    pub address: Option<String>,
    /// What the browser said of itself.
    pub agent: Option<String>,
    /// When they did.
    pub created_at: Timestamp,
    /// About when they were seen last.
    pub last_seen_at: Timestamp,
}

/// The browser that somebody signs in with.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// Where it is, if the listener says so.
    pub address: Option<IpAddr>,
    /// What it says of itself.
    pub agent: Option<String>,
}

impl Session {
    /// Its user as a caller. In place of a token's id there is the session's: what is remembered of a caller is by that.
    pub fn actor(&self) -> Actor {
        Actor::User {
            id: self.user_id.clone(),
            username: self.username.clone(),
            site_admin: self.site_admin,
            token: TokenId::from(self.id.as_str()),
            session: true,
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
    browser: &Browser,
) -> Result<Secret> {
    let (secret, now) = (Secret::new(app.env.base58(44)), app.now());
    let id = SessionId::new(&app.env);
    audit::actor(user);
    audit::resource("sessions", id.as_str());
    let (idle, whole) = Limits::of_server(app).since(now);
    tx.exec("DELETE FROM sessions WHERE last_seen_at <= $1 OR created_at <= $2", args![idle, whole]).await?;
    tx.exec(
        "INSERT INTO sessions (id, hash, user_id, method, address, agent, created_at, last_seen_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
        args![
            &id,
            hash(app, secret.expose()),
            user,
            method,
            browser.address.map(|address| address.to_canonical().to_string()),
            browser.agent.as_deref(),
            now
        ],
    )
    .await?;
    Ok(secret)
}

/// Makes the session of a site admin who acts as `user`. Their own waits for them, and nobody has its secret meanwhile.
pub(crate) async fn insert_acting(
    app: &App,
    tx: &mut Tx,
    own: &Session,
    user: &UserId,
    browser: &Browser,
) -> Result<Secret> {
    let (id, secret) = (SessionId::new(&app.env), Secret::new(app.env.base58(44)));
    tx.exec("UPDATE sessions SET hash = $2 WHERE id = $1", args![&own.id, hash(app, &app.env.base58(44))])
        .await?;
    tx.exec(
        "INSERT INTO sessions (id, hash, user_id, method, address, agent, created_at, last_seen_at, impersonator_id,
                               impersonator_session)
         VALUES ($1, $2, $3, 'impersonation', $4, $5, $6, $6, $7, $8)",
        args![
            &id,
            hash(app, secret.expose()),
            user,
            browser.address.map(|address| address.to_canonical().to_string()),
            browser.agent.as_deref(),
            app.now(),
            &own.user_id,
            &own.id
        ],
    )
    .await?;
    Ok(secret)
}

/// Ends the session of who acts as somebody; the new secret of their own.
pub(crate) async fn return_from(app: &App, tx: &mut Tx, acting: &Session) -> Result<Secret> {
    let secret = Secret::new(app.env.base58(44));
    let sql = "UPDATE sessions SET hash = $2, last_seen_at = $3 WHERE id = $1";
    let own = args![acting.impersonator_session.as_ref(), hash(app, secret.expose()), app.now()];
    if tx.exec(sql, own).await? == 0 {
        return Err(Error::Unauthorized);
    }
    tx.exec("DELETE FROM sessions WHERE id = $1", args![&acting.id]).await?;
    Ok(secret)
}

/// The session of a cookie, if it has not ended.
pub async fn find(app: &App, secret: &str) -> Result<Option<Session>> {
    let now = app.now();
    let (idle, whole) = Limits::of_server(app).since(now);
    let found: Option<Session> = app
        .db
        .one(
            "SELECT s.id, s.user_id, u.username, u.email, u.site_admin, s.method, s.created_at, s.last_seen_at,
               s.impersonator_id, a.username AS impersonator, s.impersonator_session
             FROM sessions s JOIN users u ON u.id = s.user_id LEFT JOIN users a ON a.id = s.impersonator_id
               LEFT JOIN sessions p ON p.id = s.impersonator_session
             WHERE s.hash = $1 AND s.last_seen_at > $2 AND s.created_at > $3 AND u.suspended = FALSE
               AND (s.impersonator_id IS NULL
                 OR (a.site_admin = TRUE AND a.suspended = FALSE AND u.site_admin = FALSE AND p.created_at > $3))",
            args![hash(app, secret), idle, whole],
        )
        .await?;
    let Some(session) = found else { return Ok(None) };
    let limits = Limits::of_user(app, &session.user_id).await?;
    if limits.ended(now, session.created_at, session.last_seen_at) {
        // For good, also when the organization is less strict tomorrow.
        app.db.exec("DELETE FROM sessions WHERE id = $1", args![&session.id]).await?;
        return Ok(None);
    }
    if now.since(session.last_seen_at) >= SEEN_INTERVAL {
        // Who acts as somebody is seen in their own session too.
        let sql = "UPDATE sessions SET last_seen_at = $3 WHERE id = $1 OR id = $2";
        app.db.exec(sql, args![&session.id, session.impersonator_session.as_ref(), now]).await?;
    }
    Ok(Some(session))
}

/// Whether a session has not ended. Asking does not count as being seen: a page that is left open keeps nobody signed in.
pub async fn lives(app: &App, id: &SessionId) -> Result<bool> {
    let found: Option<(UserId, Timestamp, Timestamp)> = app
        .db
        .one(
            "SELECT s.user_id, s.created_at, s.last_seen_at FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.id = $1 AND u.suspended = FALSE",
            args![id],
        )
        .await?;
    let Some((user, made, seen)) = found else { return Ok(false) };
    Ok(!Limits::of_user(app, &user).await?.ended(app.now(), made, seen))
}

/// How long sessions last.
#[derive(Clone, Copy, Debug)]
struct Limits {
    idle_seconds: i64,
    whole_seconds: i64,
}

impl Limits {
    /// As the operator has it.
    fn of_server(app: &App) -> Self {
        Self { idle_seconds: app.settings.session_idle_seconds, whole_seconds: app.settings.session_seconds }
    }

    /// The strictest of the operator's and of those of the user's organizations.
    async fn of_user(app: &App, user: &UserId) -> Result<Self> {
        let mut limits = Self::of_server(app);
        for (timeout, remember) in organizations::session_minutes(app, user).await? {
            let seconds =
                |minutes: Option<i64>| minutes.map_or(i64::MAX, |minutes| minutes.saturating_mul(60));
            limits.idle_seconds = limits.idle_seconds.min(seconds(timeout));
            limits.whole_seconds = limits.whole_seconds.min(seconds(remember));
        }
        Ok(limits)
    }

    /// Sessions not seen since the first instant, or made before the second, have ended.
    fn since(self, now: Timestamp) -> (Timestamp, Timestamp) {
        let before = |seconds: i64| now.plus_seconds(seconds.saturating_neg());
        (before(self.idle_seconds), before(self.whole_seconds))
    }

    fn ended(self, now: Timestamp, made: Timestamp, seen: Timestamp) -> bool {
        let (idle, whole) = self.since(now);
        seen <= idle || made <= whole
    }
}

/// A user's sessions that have not ended, the one seen last first.
pub async fn of_user(app: &App, user: &UserId) -> Result<Vec<Listed>> {
    let mut all: Vec<Listed> = app
        .db
        .all(
            "SELECT id, method, address, agent, created_at, last_seen_at FROM sessions WHERE user_id = $1
             ORDER BY last_seen_at DESC, id",
            args![user],
        )
        .await?;
    let (now, limits) = (app.now(), Limits::of_user(app, user).await?);
    all.retain(|session| !limits.ended(now, session.created_at, session.last_seen_at));
    Ok(all)
}

/// Ends one of a user's own sessions.
///
/// # Errors
/// [`Error::NotFound`] when they have none of this id.
pub async fn end_own(app: &App, user: &UserId, id: &str) -> Result<()> {
    audit::resource("sessions", id);
    let gone = app.db.exec("DELETE FROM sessions WHERE id = $1 AND user_id = $2", args![id, user]).await?;
    if gone == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// Ends all sessions of a user but the one at hand.
pub async fn end_others(app: &App, session: &Session) -> Result<()> {
    audit::resource("sessions", session.id.as_str());
    let mut tx = app.db.begin().await?;
    end_all(&mut tx, &session.user_id, Some(&session.id)).await?;
    tx.commit().await
}

/// Ends a session. Who acts as somebody else signs out altogether.
pub async fn end(app: &App, id: &SessionId) -> Result<()> {
    audit::resource("sessions", id.as_str());
    let sql = "DELETE FROM sessions WHERE id = $1 OR id IN (SELECT impersonator_session FROM sessions WHERE id = $1)";
    app.db.exec(sql, args![id]).await.map(drop)
}

/// Ends the sessions of a user, but one, and sign-ins of theirs that wait for a second factor.
pub(crate) async fn end_all(tx: &mut Tx, user: &UserId, kept: Option<&SessionId>) -> Result<()> {
    tx.exec("DELETE FROM second_steps WHERE user_id = $1", args![user]).await?;
    tx.exec(
        "DELETE FROM sessions WHERE user_id = $1 AND ($2 IS NULL OR id <> $2)",
        args![user, kept.map(|id| id.as_str().to_owned())],
    )
    .await
    .map(drop)
}
