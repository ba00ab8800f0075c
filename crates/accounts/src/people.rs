//! Users as the operator manages them: `ferroform user`.

use crate::{memberships, passwords, sessions, users};
use db::{FromRow, args};
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

/// Suspends a person, or ends their suspension. A suspended person's sessions and links end and their tokens do not
/// work; the tokens work again afterwards. Runs that they started go on.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Conflict`] for the last site admin who is not suspended.
pub async fn suspend(app: &App, username: &str, suspended: bool) -> Result<()> {
    let people = list(app).await?;
    let person = people.iter().find(|person| person.username == username).ok_or(Error::NotFound)?;
    let others = people.iter().any(|p| p.id != person.id && p.site_admin && !p.suspended);
    if suspended && person.site_admin && !others {
        return Err(Error::conflict(format!("{username} is the only site admin left")));
    }
    let mut tx = app.db.begin().await?;
    tx.exec("UPDATE users SET suspended = $2 WHERE id = $1", args![&person.id, suspended]).await?;
    if suspended {
        sessions::end_all(&mut tx, &person.id, None).await?;
        tx.exec("DELETE FROM sign_in_links WHERE user_id = $1", args![&person.id]).await?;
    }
    tx.commit().await?;
    app.identities.forget();
    Ok(())
}
