//! Users as the operator manages them: `ferroform user`; and what site admins must leave them.

use crate::{memberships, passwords, sessions, two_factor, users};
use db::{FromRow, Tx, args};
use http_api::{App, Error, Result};
use kernel::{Secret, Timestamp, ids::UserId};

/// One line of `ferroform user list`.
#[derive(Clone, Debug, FromRow)]
pub struct Person {
    /// Stable id.
    pub id: UserId,
    /// Unique name.
    pub username: String,
    /// Address.
    pub email: String,
    /// May administrate the whole installation.
    pub site_admin: bool,
    /// Neither signs in nor uses tokens.
    pub suspended: bool,
    /// Has a password.
    pub password: bool,
    /// When they were made.
    pub created_at: Timestamp,
}

/// All people of the installation, by name.
pub async fn list(app: &App) -> Result<Vec<Person>> {
    app.db
        .all(
            "SELECT u.id, u.username, u.email, u.site_admin, u.suspended, p.user_id IS NOT NULL AS password, u.created_at
             FROM users u LEFT JOIN passwords p ON p.user_id = u.id WHERE u.service = FALSE ORDER BY u.username",
            vec![],
        )
        .await
}

/// The person of a name.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn find(app: &App, username: &str) -> Result<Person> {
    list(app).await?.into_iter().find(|person| person.username == username).ok_or(Error::NotFound)
}

/// Makes a person.
///
/// # Errors
/// [`Error::Invalid`] when the name or the address cannot be one, or is taken.
pub async fn create(app: &App, username: &str, email: &str, site_admin: bool) -> Result<UserId> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if username.is_empty() || username.len() > 64 || !username.chars().all(good) {
        let why = "a username has 1 to 64 letters, digits, hyphens, underscores and dots";
        return Err(Error::invalid("username", why));
    }
    if !email.contains('@') {
        return Err(Error::invalid("email", "this is not an email address"));
    }
    let mut tx = app.db.begin().await?;
    let taken: Option<(String,)> = tx
        .one(
            "SELECT username FROM users WHERE service = FALSE AND (username = $1 OR LOWER(email) = $2) LIMIT 1",
            args![username, email.to_lowercase()],
        )
        .await?;
    if let Some((other,)) = taken {
        return Err(Error::invalid("username", format!("{other} has this name or address already")));
    }
    let id = UserId::new(&app.env);
    users::insert(&mut tx, &id, username, email, site_admin, false, app.now()).await?;
    tx.commit().await?;
    Ok(id)
}

/// Gives a person a password; their sessions end, and with it they have accepted all invitations.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Invalid`] when it is weak.
pub async fn set_password(app: &App, username: &str, password: &Secret) -> Result<()> {
    let person = find(app, username).await?;
    passwords::set(app, &person.id, username, password, None).await?;
    let mut tx = app.db.begin().await?;
    memberships::accept_all(&mut tx, &person.id).await?;
    tx.commit().await?;
    app.identities.forget();
    Ok(())
}

/// Takes a person's second factor away, for who has lost it.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Unprocessable`] when they have none.
pub async fn turn_two_factor_off(app: &App, username: &str) -> Result<()> {
    let person = find(app, username).await?;
    let mut tx = app.db.begin().await?;
    if !two_factor::remove(&mut tx, &person.id).await? {
        return Err(Error::Unprocessable(format!("{username} has no second factor")));
    }
    tx.commit().await?;
    app.identities.forget();
    Ok(())
}

/// Suspends a person, or ends their suspension. A suspended person's sessions and links end and their tokens do not
/// work; the tokens work again afterwards. Runs that they started go on.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Unprocessable`] for the last site admin who is not suspended.
pub async fn suspend(app: &App, username: &str, suspended: bool) -> Result<()> {
    let person = find(app, username).await?;
    let mut tx = app.db.begin().await?;
    hold_admins(&mut tx).await?;
    if suspended {
        refuse_last_admin(&mut tx, &person.id, username).await?;
    }
    set_suspended(&mut tx, &person.id, suspended).await?;
    tx.commit().await?;
    app.identities.forget();
    Ok(())
}

/// Locks the rows of all site admins until the transaction ends: who decides by how many there are decides alone.
pub(crate) async fn hold_admins(tx: &mut Tx) -> Result<()> {
    tx.exec("UPDATE users SET site_admin = TRUE WHERE site_admin = TRUE", vec![]).await.map(drop)
}

/// Refuses to let the last site admin go who is not suspended. The caller holds them all.
pub(crate) async fn refuse_last_admin(tx: &mut Tx, id: &UserId, username: &str) -> Result<()> {
    let left: Vec<(UserId,)> = tx
        .all("SELECT id FROM users WHERE site_admin = TRUE AND suspended = FALSE AND service = FALSE", vec![])
        .await?;
    if left.iter().any(|(other,)| other != id) || left.is_empty() {
        return Ok(());
    }
    Err(Error::Unprocessable(format!("{username} is the only site admin left; make another one first")))
}

pub(crate) async fn set_suspended(tx: &mut Tx, id: &UserId, suspended: bool) -> Result<()> {
    tx.exec("UPDATE users SET suspended = $2 WHERE id = $1", args![id, suspended]).await?;
    if suspended {
        sessions::end_all(tx, id, None).await?;
        tx.exec("DELETE FROM sign_in_links WHERE user_id = $1", args![id]).await?;
    }
    Ok(())
}
