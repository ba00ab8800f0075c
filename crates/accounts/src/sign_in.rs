//! Signing in: by password, or by a link that works once; and then by a second factor, for who has one.
//!
//! A link is for whoever has no password yet, or has lost it: the operator makes it on the server's machine. It is good
//! for [`LINK_SECONDS`], a new one replaces the former, and the database knows only its keyed hash.

use crate::{
    SignIns, memberships, passwords,
    sessions::{self, Browser, Session},
    two_factor::{self, Shown},
};
use db::{FromRow, Tx, args};
use http_api::{App, Error, Result};
use kernel::{Secret, Timestamp, ids::UserId};

/// Seconds that a link is good for.
pub const LINK_SECONDS: i64 = 15 * 60;

/// Seconds from a password or a link until the second factor must have been shown.
pub const STEP_SECONDS: i64 = 10 * 60;

/// What came of a try.
#[derive(Debug)]
pub enum Outcome {
    /// Signed in: the secret of the new session.
    In(Secret),
    /// Right so far: what must be shown with the second factor, to [`by_code`].
    SecondFactor(Secret),
    /// No such name, or not its password; which of the two is not said. Or not the code.
    Wrong,
    /// A link, or what stands for a right password, that is unknown, used or too old.
    Spent,
    /// The password is right and the user may not sign in.
    Suspended,
    /// Too many failures: a try will be looked at again after this many seconds.
    Wait(u32),
}

/// Who signs in.
#[derive(FromRow)]
pub(crate) struct Named {
    pub(crate) id: UserId,
    pub(crate) username: String,
    pub(crate) suspended: bool,
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
    let outcome = first_factor_shown(app, &mut tx, user, "password", browser).await?;
    tx.commit().await?;
    app.identities.forget();
    Ok(outcome)
}

/// Signs in who has no second factor; lets the others go on to it.
async fn first_factor_shown(
    app: &App,
    tx: &mut Tx,
    user: &Named,
    method: &'static str,
    browser: &Browser,
) -> Result<Outcome> {
    if !two_factor::is_on_in(tx, &user.id).await? {
        return Ok(Outcome::In(admit(app, tx, user, method, browser).await?));
    }
    let step = Secret::new(app.env.base58(44));
    let now = app.now();
    tx.exec("DELETE FROM second_steps WHERE expires_at <= $1", args![now]).await?;
    tx.exec(
        "INSERT INTO second_steps (hash, user_id, method, expires_at) VALUES ($1, $2, $3, $4)",
        args![step_hash(app, step.expose()), &user.id, method, now.plus_seconds(STEP_SECONDS)],
    )
    .await?;
    Ok(Outcome::SecondFactor(step))
}

/// Makes the session of who has shown all that is asked for.
pub(crate) async fn admit(
    app: &App,
    tx: &mut Tx,
    user: &Named,
    method: &str,
    browser: &Browser,
) -> Result<Secret> {
    memberships::accept_all(tx, &user.id).await?;
    let address = browser.address.map(tracing::field::display);
    tracing::info!(user = user.username, method, address, "signed in");
    sessions::insert(app, tx, &user.id, method, browser).await
}

fn step_hash(app: &App, secret: &str) -> String {
    app.hasher.hash(&format!("second-step {secret}"))
}

/// Tries a code, or a recovery code, after [`Outcome::SecondFactor`].
pub async fn by_code(app: &App, step: &str, code: &str, browser: &Browser) -> Result<Outcome> {
    #[derive(FromRow)]
    struct Waiting {
        id: UserId,
        username: String,
        suspended: bool,
        method: String,
    }
    let hash = step_hash(app, step);
    let waiting: Option<Waiting> = app
        .db
        .one(
            "SELECT u.id, u.username, u.suspended, s.method FROM second_steps s JOIN users u ON u.id = s.user_id
             WHERE s.hash = $1 AND s.expires_at > $2",
            args![&hash, app.now()],
        )
        .await?;
    let Some(Waiting { id, username, suspended: false, method }) = waiting else { return Ok(Outcome::Spent) };
    let user = Named { id, username, suspended: false };
    let mut tx = match two_factor::check(app, &user.id, &user.username, code, browser).await? {
        Shown::Right(tx) => tx,
        Shown::Wrong => return Ok(Outcome::Wrong),
        Shown::Wait(seconds) => return Ok(Outcome::Wait(seconds)),
    };
    if tx.exec("DELETE FROM second_steps WHERE hash = $1", args![&hash]).await? == 0 {
        return Ok(Outcome::Spent);
    }
    let secret = admit(app, &mut tx, &user, &method, browser).await?;
    tx.commit().await?;
    app.identities.forget();
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

/// Uses a link up.
pub async fn by_link(app: &App, link: &str, browser: &Browser) -> Result<Outcome> {
    let mut tx = app.db.begin().await?;
    let used: Option<(UserId, Timestamp)> = tx
        .one(
            "DELETE FROM sign_in_links WHERE hash = $1 RETURNING user_id, expires_at",
            args![link_hash(app, link)],
        )
        .await?;
    let Some((user, expires_at)) = used else { return Ok(Outcome::Spent) };
    let sql = "SELECT id, username, suspended FROM users WHERE id = $1 AND suspended = FALSE";
    let active: Option<Named> = tx.one(sql, args![&user]).await?;
    let outcome = match active {
        Some(user) if app.now() < expires_at => {
            first_factor_shown(app, &mut tx, &user, "link", browser).await?
        }
        _ => Outcome::Spent,
    };
    tx.commit().await?;
    app.identities.forget();
    Ok(outcome)
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
