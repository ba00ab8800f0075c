//! Signing in: by password, or by a link that works once.
//!
//! A link is for whoever has no password yet, or has lost it: the operator makes it on the server's machine. It is good
//! for [`LINK_SECONDS`], a new one replaces the former, and the database knows only its keyed hash.

use crate::{
    SignIns, memberships, passwords,
    sessions::{self, Browser, Session},
};
use db::{FromRow, args};
use http_api::{App, Error, Result};
use kernel::{Secret, Timestamp, ids::UserId};

/// Seconds that a link is good for.
pub const LINK_SECONDS: i64 = 15 * 60;

/// What came of a try.
#[derive(Debug)]
pub enum Outcome {
    /// Signed in: the secret of the new session.
    In(Secret),
    /// No such name, or not its password; which of the two is not said.
    Wrong,
    /// The password is right and the user may not sign in.
    Suspended,
    /// Too many failures: a try will be looked at again after this many seconds.
    Wait(u32),
}

/// Who a name stands for.
#[derive(FromRow)]
struct Named {
    id: UserId,
    username: String,
    suspended: bool,
}

/// The user of a username; else of an address, if only one has it.
async fn named(app: &App, name: &str) -> Result<Option<Named>> {
    let by_name: Option<Named> = app
        .db
        .one("SELECT id, username, suspended FROM users WHERE username = $1 AND service = FALSE", args![name])
        .await?;
    if by_name.is_some() || !name.contains('@') {
        return Ok(by_name);
    }
    let sql = "SELECT id, username, suspended FROM users
               WHERE LOWER(email) = $1 AND service = FALSE LIMIT 2";
    let mut by_address: Vec<Named> = app.db.all(sql, args![name.to_lowercase()]).await?;
    Ok(if by_address.len() == 1 { by_address.pop() } else { None })
}

/// Tries a name (or address) and a password.
pub async fn by_password(app: &App, name: &str, password: &Secret, browser: &Browser) -> Result<Outcome> {
    let name = name.trim();
    // One count for a user, by whichever of their names.
    let user = named(app, name).await?;
    let account = user.as_ref().map_or(name, |user| user.username.as_str());
    let backoff = &app.area::<SignIns>().backoff;
    if let Err(seconds) = backoff.admit(account, browser.address, app.now()) {
        return Ok(Outcome::Wait(seconds));
    }
    if password.expose().len() > passwords::LONGEST
        || !passwords::verify(app, user.as_ref().map(|user| &user.id), password).await?
    {
        // Not the name as typed, which may be a password in the wrong field.
        let user = user.as_ref().map(|user| user.username.as_str());
        tracing::warn!(user, address = browser.address.map(tracing::field::display), "a sign-in was refused");
        return Ok(Outcome::Wrong);
    }
    let Some(user) = &user else { return Ok(Outcome::Wrong) };
    backoff.succeeded(account, browser.address, app.now());
    if user.suspended {
        return Ok(Outcome::Suspended);
    }
    let mut tx = app.db.begin().await?;
    memberships::accept_all(&mut tx, &user.id).await?;
    let secret = sessions::insert(app, &mut tx, &user.id, "password", browser).await?;
    tx.commit().await?;
    app.identities.forget();
    tracing::info!(user = user.username, address = browser.address.map(tracing::field::display), "signed in");
    Ok(Outcome::In(secret))
}

/// Makes the secret part of a link for a user by name, in place of a former one.
///
/// # Errors
/// [`Error::NotFound`] when there is no such user; [`Error::Conflict`] when they are suspended.
pub async fn make_link(app: &App, username: &str) -> Result<Secret> {
    let user = named(app, username).await?.ok_or(Error::NotFound)?;
    if user.suspended {
        return Err(Error::conflict(format!("{username} is suspended")));
    }
    let secret = Secret::new(app.env.base58(44));
    let mut tx = app.db.begin().await?;
    tx.exec("DELETE FROM sign_in_links WHERE user_id = $1 OR expires_at <= $2", args![&user.id, app.now()])
        .await?;
    tx.exec(
        "INSERT INTO sign_in_links (hash, user_id, expires_at) VALUES ($1, $2, $3)",
        args![link_hash(app, secret.expose()), &user.id, app.now().plus_seconds(LINK_SECONDS)],
    )
    .await?;
    tx.commit().await?;
    Ok(secret)
}

fn link_hash(app: &App, secret: &str) -> String {
    app.hasher.hash(&format!("sign-in-link {secret}"))
}

/// The username behind a link that still works. Looking does not use it up: mail scanners and previews look too.
pub async fn peek(app: &App, link: &str) -> Result<Option<String>> {
    let found: Option<(String,)> = app
        .db
        .one(
            "SELECT u.username FROM sign_in_links l JOIN users u ON u.id = l.user_id
             WHERE l.hash = $1 AND l.expires_at > $2 AND u.suspended = FALSE",
            args![link_hash(app, link), app.now()],
        )
        .await?;
    Ok(found.map(|(username,)| username))
}

/// Uses a link up; the secret of the new session, unless the link is unknown, used or expired.
pub async fn by_link(app: &App, link: &str, browser: &Browser) -> Result<Option<Secret>> {
    let mut tx = app.db.begin().await?;
    let used: Option<(UserId, Timestamp)> = tx
        .one(
            "DELETE FROM sign_in_links WHERE hash = $1 RETURNING user_id, expires_at",
            args![link_hash(app, link)],
        )
        .await?;
    let Some((user, expires_at)) = used else { return Ok(None) };
    let active: Option<(String,)> =
        tx.one("SELECT username FROM users WHERE id = $1 AND suspended = FALSE", args![&user]).await?;
    let opened = match active {
        Some((username,)) if app.now() < expires_at => {
            memberships::accept_all(&mut tx, &user).await?;
            tracing::info!(
                user = username,
                address = browser.address.map(tracing::field::display),
                "signed in by a link"
            );
            Some(sessions::insert(app, &mut tx, &user, "link", browser).await?)
        }
        _ => None,
    };
    tx.commit().await?;
    app.identities.forget();
    Ok(opened)
}

/// What came of showing one's own password again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is.
    Right,
    /// It is not.
    Wrong,
    /// Too many failures: a try will be looked at again after this many seconds.
    Wait(u32),
}

/// Whether whoever sits at a session knows its user's password: a browser left alone must not be enough to change it.
pub async fn check_own(
    app: &App,
    session: &Session,
    password: &Secret,
    browser: &Browser,
) -> Result<Checked> {
    let backoff = &app.area::<SignIns>().backoff;
    if let Err(seconds) = backoff.admit(&session.username, browser.address, app.now()) {
        return Ok(Checked::Wait(seconds));
    }
    if !passwords::verify(app, Some(&session.user_id), password).await? {
        return Ok(Checked::Wrong);
    }
    backoff.succeeded(&session.username, browser.address, app.now());
    Ok(Checked::Right)
}
