//! Second factors: codes that change every 30 seconds (TOTP), and recovery codes that work once each.
//!
//! A person enrols on a page: a secret is made and shown, and counts when a code confirms it. The secret is stored sealed,
//! recovery codes as keyed hashes. A code is good in its own time step and the two beside it, because clocks differ; once
//! one is taken, neither it nor an older one is taken again. Guessing is slowed down like that of passwords, with a count of
//! its own. Operators and site admins can take a second factor away, for who has lost everything.
//! Source: RFC 6238 and RFC 4226 (SHA-1, six digits: what every authenticator app computes); the key URI format of those apps;
//! NIST SP 800-63B §3.1.4.

use crate::{
    SignIns,
    sessions::{self, Browser, Session},
};
use db::{Tx, args};
use http_api::{App, Error, Result, audit};
use kernel::{Secret, Timestamp, ids::UserId};
use ring::hmac;

/// Seconds of a time step.
const STEP_SECONDS: i64 = 30;
/// Bytes of a secret: as many as SHA-1 gives, as RFC 4226 recommends.
const SECRET_BYTES: usize = 20;
/// Recovery codes that a person gets.
pub const RECOVERY_CODES: usize = 10;
/// Characters of a recovery code: 60 random bits.
const RECOVERY_CHARACTERS: usize = 12;

/// How far a person is with a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is none.
    Off,
    /// A secret was shown and no code has confirmed it yet.
    Begun,
    /// Asked for at every sign-in.
    On {
        /// When it was confirmed.
        since: Timestamp,
        /// Recovery codes that have not been used.
        recovery_codes: i64,
    },
}

/// What an authenticator app is given.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// The secret in base 32, to type.
    pub secret: Secret,
    /// `otpauth://…`, to scan.
    pub uri: Secret,
}

/// What came of showing a code.
#[derive(Debug)]
pub enum Shown<T> {
    /// It is right.
    Right(T),
    /// It is not, or was used before.
    Wrong,
    /// Too many failures: a try will be looked at again after this many seconds.
    Wait(u32),
}

/// How far a person is.
pub async fn state(app: &App, user: &UserId) -> Result<State> {
    let sql = "SELECT verified_at, (SELECT COUNT(*) FROM recovery_codes r WHERE r.user_id = f.user_id)
               FROM two_factors f WHERE user_id = $1";
    let found: Option<(Option<Timestamp>, i64)> = app.db.one(sql, args![user]).await?;
    Ok(match found {
        None => State::Off,
        Some((None, _)) => State::Begun,
        Some((Some(since), recovery_codes)) => State::On { since, recovery_codes },
    })
}

/// Whether a person is asked for a second factor.
pub async fn is_on(app: &App, user: &UserId) -> Result<bool> {
    Ok(matches!(state(app, user).await?, State::On { .. }))
}

/// [`is_on`], within a transaction.
pub(crate) async fn is_on_in(tx: &mut Tx, user: &UserId) -> Result<bool> {
    let sql = "SELECT user_id FROM two_factors WHERE user_id = $1 AND verified_at IS NOT NULL";
    let found: Option<(UserId,)> = tx.one(sql, args![user]).await?;
    Ok(found.is_some())
}

/// Makes a secret that a code must confirm, in place of an earlier one that none has.
///
/// # Errors
/// [`Error::Conflict`] when the person has a second factor already.
pub async fn begin(app: &App, session: &Session) -> Result<Enrolment> {
    let secret = app.env.random::<SECRET_BYTES>();
    let sealed = app.root_key.seal(&app.env, &purpose(&session.user_id), &secret);
    audit::resource("two-factors", session.user_id.as_str());
    let begun = app
        .db
        .exec(
            "INSERT INTO two_factors (user_id, secret, verified_at, last_step, created_at) VALUES ($1, $2, NULL, 0, $3)
             ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, created_at = excluded.created_at
             WHERE two_factors.verified_at IS NULL",
            args![&session.user_id, sealed, app.now()],
        )
        .await?;
    if begun == 0 {
        return Err(Error::conflict("Two-factor authentication is on already; turn it off first."));
    }
    Ok(enrolment(app, &session.username, &secret))
}

/// The secret that was made and not confirmed yet, for a page that asks for its code again.
pub async fn begun(app: &App, session: &Session) -> Result<Option<Enrolment>> {
    let sql = "SELECT secret FROM two_factors WHERE user_id = $1 AND verified_at IS NULL";
    let found: Option<(Vec<u8>,)> = app.db.one(sql, args![&session.user_id]).await?;
    let Some((sealed,)) = found else { return Ok(None) };
    let secret = open(app, &session.user_id, &sealed)?;
    Ok(Some(enrolment(app, &session.username, secret.expose())))
}

/// Turns the second factor on, if the code is the secret's. All other sessions end, for they were begun without it.
/// The recovery codes are for showing once.
pub async fn confirm(
    app: &App,
    session: &Session,
    code: &str,
    browser: &Browser,
) -> Result<Shown<Vec<Secret>>> {
    let backoff = &app.area::<SignIns>().backoff;
    let account = account(&session.username);
    if let Err(seconds) = backoff.admit(&account, browser.address, app.now()) {
        return Ok(Shown::Wait(seconds));
    }
    audit::resource("two-factors", session.user_id.as_str());
    let sql = "SELECT secret FROM two_factors WHERE user_id = $1 AND verified_at IS NULL";
    let found: Option<(Vec<u8>,)> = app.db.one(sql, args![&session.user_id]).await?;
    let Some((sealed,)) = found else { return Ok(Shown::Wrong) };
    let secret = open(app, &session.user_id, &sealed)?;
    let Some(step) = step_of(secret.expose(), code, app.now()) else { return Ok(Shown::Wrong) };
    let mut tx = app.db.begin().await?;
    let turned = tx
        .exec(
            "UPDATE two_factors SET verified_at = $2, last_step = $3
             WHERE user_id = $1 AND verified_at IS NULL AND secret = $4",
            args![&session.user_id, app.now(), step, sealed],
        )
        .await?;
    if turned == 0 {
        return Ok(Shown::Wrong);
    }
    let codes = replace_codes(app, &mut tx, &session.user_id).await?;
    sessions::end_all(&mut tx, &session.user_id, Some(&session.id)).await?;
    tx.commit().await?;
    app.identities.forget();
    backoff.succeeded(&account, browser.address, app.now());
    Ok(Shown::Right(codes))
}

/// New recovery codes in place of those there are, for who shows a code.
pub async fn renew(
    app: &App,
    session: &Session,
    code: &str,
    browser: &Browser,
) -> Result<Shown<Vec<Secret>>> {
    audit::resource("two-factors", session.user_id.as_str());
    match check(app, &session.user_id, &session.username, code, browser).await? {
        Shown::Right(mut tx) => {
            let codes = replace_codes(app, &mut tx, &session.user_id).await?;
            tx.commit().await?;
            Ok(Shown::Right(codes))
        }
        Shown::Wrong => Ok(Shown::Wrong),
        Shown::Wait(seconds) => Ok(Shown::Wait(seconds)),
    }
}

/// Turns one's own second factor off, for who shows a code.
pub async fn turn_off(app: &App, session: &Session, code: &str, browser: &Browser) -> Result<Shown<()>> {
    audit::resource("two-factors", session.user_id.as_str());
    match check(app, &session.user_id, &session.username, code, browser).await? {
        Shown::Right(mut tx) => {
            remove(&mut tx, &session.user_id).await?;
            tx.commit().await?;
            app.identities.forget();
            Ok(Shown::Right(()))
        }
        Shown::Wrong => Ok(Shown::Wrong),
        Shown::Wait(seconds) => Ok(Shown::Wait(seconds)),
    }
}

/// Takes a person's second factor away; whether they had one.
pub(crate) async fn remove(tx: &mut Tx, user: &UserId) -> Result<bool> {
    tx.exec("DELETE FROM recovery_codes WHERE user_id = $1", args![user]).await?;
    tx.exec("DELETE FROM second_steps WHERE user_id = $1", args![user]).await?;
    let had: Option<(Option<Timestamp>,)> =
        tx.one("DELETE FROM two_factors WHERE user_id = $1 RETURNING verified_at", args![user]).await?;
    Ok(had.is_some_and(|(verified,)| verified.is_some()))
}

/// Looks at a code or a recovery code of a person who has a second factor. A right one is used up in the transaction that
/// is given back, so that it is not when the rest fails.
pub(crate) async fn check(
    app: &App,
    user: &UserId,
    username: &str,
    code: &str,
    browser: &Browser,
) -> Result<Shown<Tx>> {
    let backoff = &app.area::<SignIns>().backoff;
    let account = account(username);
    if let Err(seconds) = backoff.admit(&account, browser.address, app.now()) {
        return Ok(Shown::Wait(seconds));
    }
    let mut tx = app.db.begin().await?;
    if !use_up(app, &mut tx, user, code).await? {
        tracing::warn!(user = username, "a second factor was refused");
        return Ok(Shown::Wrong);
    }
    backoff.succeeded(&account, browser.address, app.now());
    Ok(Shown::Right(tx))
}

/// Guesses of codes are counted apart from those of passwords: a right password takes none of them back.
fn account(username: &str) -> String {
    format!("second factor of {username}")
}

async fn use_up(app: &App, tx: &mut Tx, user: &UserId, code: &str) -> Result<bool> {
    let sql = "SELECT secret FROM two_factors WHERE user_id = $1 AND verified_at IS NOT NULL";
    let found: Option<(Vec<u8>,)> = tx.one(sql, args![user]).await?;
    let Some((sealed,)) = found else { return Ok(false) };
    let secret = open(app, user, &sealed)?;
    if let Some(step) = step_of(secret.expose(), code, app.now()) {
        let sql = "UPDATE two_factors SET last_step = $2 WHERE user_id = $1 AND last_step < $2";
        return Ok(tx.exec(sql, args![user, step]).await? == 1);
    }
    let sql = "DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2";
    Ok(tx.exec(sql, args![user, recovery_hash(app, user, code)]).await? == 1)
}

async fn replace_codes(app: &App, tx: &mut Tx, user: &UserId) -> Result<Vec<Secret>> {
    tx.exec("DELETE FROM recovery_codes WHERE user_id = $1", args![user]).await?;
    let mut codes = Vec::with_capacity(RECOVERY_CODES);
    for _ in 0..RECOVERY_CODES {
        let mut text = base32(&app.env.random::<8>()).to_lowercase();
        text.truncate(RECOVERY_CHARACTERS);
        let code = format!("{}-{}-{}", &text[..4], &text[4..8], &text[8..]);
        let sql = "INSERT INTO recovery_codes (user_id, hash) VALUES ($1, $2)";
        tx.exec(sql, args![user, recovery_hash(app, user, &code)]).await?;
        codes.push(Secret::new(code));
    }
    Ok(codes)
}

/// Of a recovery code however it is written.
fn recovery_hash(app: &App, user: &UserId, code: &str) -> String {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    app.hasher.hash(&format!("recovery-code {user} {}", plain.to_lowercase()))
}

fn purpose(user: &UserId) -> String {
    format!("two-factor:{user}")
}

fn open(app: &App, user: &UserId, sealed: &[u8]) -> Result<Secret<Vec<u8>>> {
    app.root_key.open(&purpose(user), sealed).map_err(Error::internal)
}

fn enrolment(app: &App, username: &str, secret: &[u8]) -> Enrolment {
    let host = app.settings.url.split_once("://").map_or(app.settings.url.as_str(), |(_, host)| host);
    let encode =
        |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    let text = base32(secret);
    // Only what every app understands: they all take SHA-1, six digits and 30 seconds when nothing is said.
    let uri =
        format!("otpauth://totp/{}:{}?secret={text}&issuer={}", encode(host), encode(username), encode(host));
    Enrolment { secret: Secret::new(text), uri: Secret::new(uri) }
}

/// The time step whose code this is, among now's and the two beside it.
fn step_of(secret: &[u8], code: &str, now: Timestamp) -> Option<i64> {
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let current = now.micros().div_euclid(1_000_000).div_euclid(STEP_SECONDS);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    (current - 1..=current + 1).find(|step| format!("{:06}", at_step(&key, *step)) == digits)
}

/// Six digits: RFC 4226's truncation of the step's MAC.
fn at_step(key: &hmac::Key, step: i64) -> u32 {
    let mac = hmac::sign(key, &step.to_be_bytes());
    let mac = mac.as_ref();
    let offset = usize::from(mac[mac.len() - 1] & 0xf);
    let word = u32::from_be_bytes([mac[offset], mac[offset + 1], mac[offset + 2], mac[offset + 3]]);
    (word & 0x7fff_ffff) % 1_000_000
}

/// RFC 4648's base 32, without padding.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut text, mut buffer, mut bits) = (String::new(), 0_u32, 0);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(buffer >> bits) as usize & 31]));
        }
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(buffer << (5 - bits)) as usize & 31]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, the last six of its eight digits.
        let known = [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ];
        for (seconds, code) in known {
            let now = Timestamp::from_micros(seconds * 1_000_000);
            assert_eq!(step_of(b"12345678901234567890", code, now), Some(seconds / 30), "{seconds}");
        }
    }

    #[test]
    fn a_code_is_good_beside_its_own_step_and_not_farther() {
        let at = |seconds: i64| {
            step_of(b"12345678901234567890", "287 082", Timestamp::from_micros(seconds * 1_000_000))
        };
        assert_eq!(
            [0, 29, 30, 59, 60, 89, 90, 120].map(|seconds| at(seconds).is_some()),
            [true, true, true, true, true, true, false, false]
        );
        assert_eq!(step_of(b"12345678901234567890", "28708", Timestamp::from_micros(59_000_000)), None);
    }

    #[test]
    fn base_32_is_that_of_the_standard() {
        for (plain, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(plain.as_bytes()), text);
        }
    }
}
