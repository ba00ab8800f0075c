//! Passwords: Argon2id, with the parameters that OWASP recommends (19 MiB, two passes, one lane).
//!
//! Hashing takes tens of milliseconds and 19 MiB, so it happens off the threads that serve requests, and at most
//! [`AT_ONCE`] at a time: whoever sends many sign-ins at once waits in line and does not take the server's memory.
//! A name that nobody has costs the same work as a wrong password.
//! Source: OWASP Password Storage Cheat Sheet; NIST SP 800-63B (length counts, composition does not).

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use db::{Tx, args};
use http_api::{App, Error, Result, blobs::blocking};
use kernel::{
    Secret,
    ids::{SessionId, UserId},
};
use tokio::sync::Semaphore;

/// Characters that a password has at least.
pub const SHORTEST: usize = 12;
/// Bytes that a password has at most.
pub const LONGEST: usize = 1024;
/// Hashes that are computed at the same time.
const AT_ONCE: usize = 2;

/// The line for hashing.
#[derive(Debug)]
pub(crate) struct Hashing(Semaphore);

impl Default for Hashing {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).expect("these parameters are within Argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Why a password cannot be taken, for the person who chose it.
pub fn weakness(username: &str, password: &str) -> Option<String> {
    if password.chars().count() < SHORTEST {
        return Some(format!("A password has at least {SHORTEST} characters; a few words are fine."));
    }
    if password.len() > LONGEST {
        return Some(format!("A password has at most {LONGEST} bytes."));
    }
    let plain = password.to_lowercase();
    let distinct = plain.chars().collect::<std::collections::HashSet<_>>().len();
    if distinct < 5 || (username.len() > 3 && plain.contains(&username.to_lowercase())) {
        return Some("This password is easy to guess: it repeats itself, or holds the username.".to_owned());
    }
    None
}

async fn hash(app: &App, password: &Secret) -> Result<String> {
    let _turn = app.area::<crate::SignIns>().hashing.0.acquire().await.map_err(Error::internal)?;
    let (password, salt) = (password.clone(), app.env.random::<16>());
    blocking(move || {
        let hash: PasswordHash = argon2()
            .hash_password_with_salt(password.expose().as_bytes(), &salt)
            .map_err(|error| Error::internal(error.to_string()))?;
        Ok(hash.to_string())
    })
    .await
}

/// Whether the password is the user's. The work is the same for a user without a password, and for nobody.
pub(crate) async fn verify(app: &App, user: Option<&UserId>, password: &Secret) -> Result<bool> {
    let stored: Option<(String,)> = match user {
        Some(user) => app.db.one("SELECT hash FROM passwords WHERE user_id = $1", args![user]).await?,
        None => None,
    };
    let _turn = app.area::<crate::SignIns>().hashing.0.acquire().await.map_err(Error::internal)?;
    let password = password.clone();
    blocking(move || {
        let password = password.expose().as_bytes();
        let Some((stored,)) = stored else {
            let mut nowhere = [0; Params::DEFAULT_OUTPUT_LEN];
            argon2()
                .hash_password_into(password, &[0; 16], &mut nowhere)
                .map_err(|error| Error::internal(error.to_string()))?;
            return Ok(false);
        };
        let stored = PasswordHash::new(&stored).map_err(|error| Error::internal(error.to_string()))?;
        Ok(argon2().verify_password(password, &stored).is_ok())
    })
    .await
}

/// Whether a user has a password.
pub async fn exists(app: &App, user: &UserId) -> Result<bool> {
    let found: Option<(String,)> =
        app.db.one("SELECT user_id FROM passwords WHERE user_id = $1", args![user]).await?;
    Ok(found.is_some())
}

/// Gives a user a password, in place of an earlier one. All sessions end but `kept`, as do links that wait to be used:
/// whoever knew the former password is out.
///
/// # Errors
/// [`Error::Invalid`] when the password is weak.
pub async fn set(
    app: &App,
    user: &UserId,
    username: &str,
    password: &Secret,
    kept: Option<&SessionId>,
) -> Result<()> {
    if let Some(why) = weakness(username, password.expose()) {
        return Err(Error::invalid("password", why));
    }
    let hash = hash(app, password).await?;
    let mut tx = app.db.begin().await?;
    insert(app, &mut tx, user, &hash).await?;
    tx.exec("DELETE FROM sign_in_links WHERE user_id = $1", args![user]).await?;
    crate::sessions::end_all(&mut tx, user, kept).await?;
    tx.commit().await
}

async fn insert(app: &App, tx: &mut Tx, user: &UserId, hash: &str) -> Result<()> {
    tx.exec(
        "INSERT INTO passwords (user_id, hash, changed_at) VALUES ($1, $2, $3)
         ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at",
        args![user, hash, app.now()],
    )
    .await
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_stored_as_argon2id_with_the_recommended_parameters() {
        let hash = argon2().hash_password_with_salt(b"correct horse battery", &[7; 16]).unwrap().to_string();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    }

    #[test]
    fn a_short_a_monotonous_and_a_telling_password_are_weak() {
        assert!(weakness("admin", "eleven char").is_some());
        assert!(weakness("admin", "abababababababab").is_some());
        assert!(weakness("margaret", "it is Margaret's own").is_some());
        assert!(weakness("admin", &"x1y2z".repeat(300)).is_some());
        assert_eq!(weakness("admin", "correct horse battery"), None);
    }
}
