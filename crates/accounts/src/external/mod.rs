//! Signing in by an external OpenID provider: whom its word makes of a visitor.
//!
//! Contract: an account belongs to an issuer and a subject, never to a name. The first sign-in of a subject takes the account
//! that has its address, if the provider says that the address is theirs and no other subject of the provider has that
//! account; else it makes one, where the operator allows that. A second factor is the provider's business then. Suspended
//! people stay out, invited ones become members, exactly as with a password.
//!
//! Reading order: this file, [`provider`] (the conversation: discovery, PKCE, tokens), [`jwt`] (what is verified).
//! Why it is our own code on ring is in `docs/adr/0010-oidc-sign-in.md`. Source: OpenID Connect Core 1.0 §3.1; RFC 6749, 7636,
//! 9207; RFC 9700 (best practice).

mod jwt;
pub mod provider;

use crate::{
    SignIns,
    sessions::Browser,
    sign_in::{self, Named},
    users,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use db::{Tx, args};
use http_api::{App, Error, Result};
use kernel::{Secret, Timestamp, ids::UserId};
use provider::{Identity, Provider};
use serde::{Deserialize, Serialize};

/// Seconds that a visitor has for signing in at the provider.
pub const FLOW_SECONDS: i64 = 15 * 60;
const PURPOSE: &str = "external-sign-in";
/// Characters of a username.
const LONGEST_NAME: usize = 64;

/// What the browser brings back besides the provider's answer, sealed in a cookie: so nothing is stored for visitors who
/// never come back, and the answer is of use in the browser alone that asked.
#[derive(Debug, Serialize, Deserialize)]
struct Flow {
    state: String,
    nonce: String,
    verifier: String,
    to: String,
    until: Timestamp,
}

/// A visitor who is sent to the provider.
#[derive(Debug)]
pub struct Begun {
    /// Where to.
    pub url: String,
    /// For the browser's cookie.
    pub sealed: Secret,
}

/// What the provider's answer comes to.
#[derive(Debug)]
pub enum Outcome {
    /// Signed in: the secret of the new session, and where the visitor wanted to go.
    In(Secret, String),
    /// Not: why, for the visitor.
    Refused(String),
}

fn refused(why: impl Into<String>) -> Result<Outcome> {
    Ok(Outcome::Refused(why.into()))
}

fn provider(app: &App) -> Result<&Provider> {
    app.area::<SignIns>().provider.as_ref().ok_or(Error::NotFound)
}

/// What the button says that leads to the provider, if there is one.
pub fn name(app: &App) -> Option<&str> {
    app.area::<SignIns>().provider.as_ref().map(|provider| provider.settings.name.as_str())
}

/// Sends a visitor to the provider. `to` is where they want to go afterwards.
///
/// # Errors
/// [`Error::NotFound`] without a provider; [`Error::Unavailable`] when it does not answer.
pub async fn begin(app: &App, to: &str) -> Result<Begun> {
    let provider = provider(app)?;
    let flow = Flow {
        state: app.env.base58(43),
        nonce: app.env.base58(43),
        verifier: app.env.base58(64),
        to: to.to_owned(),
        until: app.now().plus_seconds(FLOW_SECONDS),
    };
    let url = provider.authorization_url(app, &flow.state, &flow.nonce, &flow.verifier).await?;
    let text = serde_json::to_vec(&flow).map_err(Error::internal)?;
    let sealed = URL_SAFE_NO_PAD.encode(app.root_key.seal(&app.env, PURPOSE, &text));
    Ok(Begun { url, sealed: Secret::new(sealed) })
}

fn opened(app: &App, sealed: &str) -> Option<Flow> {
    let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let text = app.root_key.open(PURPOSE, &sealed).ok()?;
    let flow: Flow = serde_json::from_slice(text.expose()).ok()?;
    (app.now() < flow.until).then_some(flow)
}

/// The provider's answer, as the browser brings it.
#[derive(Debug, Default)]
pub struct Answer {
    /// What is exchanged for tokens.
    pub code: Option<String>,
    /// Comes back as it was sent.
    pub state: String,
    /// Why there is no code.
    pub error: Option<String>,
    /// Who answers, where the provider says so (RFC 9207).
    pub issuer: Option<String>,
    /// The cookie of [`begin`].
    pub sealed: String,
}

/// Takes the provider's answer, and signs the visitor in.
pub async fn finish(app: &App, answer: &Answer, browser: &Browser) -> Result<Outcome> {
    let provider = provider(app)?;
    let Some(flow) = opened(app, &answer.sealed).filter(|flow| flow.state == answer.state) else {
        return refused("This sign-in was not begun in this browser, or took too long. Begin again.");
    };
    if answer.issuer.as_ref().is_some_and(|issuer| *issuer != provider.settings.issuer) {
        return refused("The answer came from another provider than was asked.");
    }
    let Some(code) = &answer.code else {
        tracing::warn!(error = answer.error, "the external provider refused a sign-in");
        return refused(format!("{} did not sign you in.", provider.settings.name));
    };
    let identity = match provider.identity(app, code, &flow.verifier, &flow.nonce).await {
        Ok(identity) => identity,
        Err(provider::Trouble(why)) => {
            tracing::warn!(why, "an external sign-in failed");
            return refused(format!(
                "The answer of {} could not be used. The server's log says why.",
                provider.settings.name
            ));
        }
    };
    let mut tx = app.db.begin().await?;
    let user = match account(app, &mut tx, provider, &identity).await? {
        Ok(user) => user,
        Err(why) => return refused(why),
    };
    if user.suspended {
        return refused("Your account is suspended. Ask whoever operates this server.");
    }
    let now = app.now();
    let sql = "INSERT INTO external_identities (issuer, subject, user_id, created_at, last_used_at)
               VALUES ($1, $2, $3, $4, $4)
               ON CONFLICT (issuer, subject) DO UPDATE SET last_used_at = excluded.last_used_at";
    tx.exec(sql, args![&provider.settings.issuer, &identity.subject, &user.id, now]).await?;
    let secret = sign_in::admit(app, &mut tx, &user, "oidc", browser).await?;
    tx.commit().await?;
    app.identities.forget();
    Ok(Outcome::In(secret, flow.to))
}

/// The account of an identity; or why there is none.
async fn account(
    app: &App,
    tx: &mut Tx,
    provider: &Provider,
    identity: &Identity,
) -> Result<Result<Named, String>> {
    let issuer = &provider.settings.issuer;
    let sql =
        "SELECT u.id, u.username, u.suspended FROM external_identities e JOIN users u ON u.id = e.user_id
               WHERE e.issuer = $1 AND e.subject = $2";
    if let Some(known) = tx.one(sql, args![issuer, &identity.subject]).await? {
        return Ok(Ok(known));
    }
    let name = &provider.settings.name;
    let Some(email) = identity.email.as_deref().filter(|email| email.contains('@')) else {
        return Ok(Err(format!(
            "{name} does not tell your email address, by which your account would be found."
        )));
    };
    if !identity.email_verified && !provider.settings.trust_email {
        return Ok(Err(format!(
            "{name} has not verified your email address. Verify it there, then try again."
        )));
    }
    let sql = "SELECT id, username, suspended FROM users WHERE LOWER(email) = $1 AND service = FALSE LIMIT 2";
    let mut found: Vec<Named> = tx.all(sql, args![email.to_lowercase()]).await?;
    match (found.pop(), found.pop()) {
        (Some(user), None) => {
            let sql = "SELECT subject FROM external_identities WHERE issuer = $1 AND user_id = $2";
            let other: Option<(String,)> = tx.one(sql, args![issuer, &user.id]).await?;
            if other.is_some() {
                // An address that was given to somebody else must not give them the account.
                let why = "Your email address belongs to the account of somebody else at the same provider.";
                return Ok(Err(format!("{why} Ask whoever operates this server.")));
            }
            tracing::info!(user = user.username, "an account is linked to the external provider");
            Ok(Ok(user))
        }
        (Some(_), Some(_)) => Ok(Err("Several accounts have your email address.".to_owned())),
        (None, _) if provider.settings.create_users => Ok(Ok(create(app, tx, identity, email).await?)),
        (None, _) => Ok(Err(format!(
            "There is no account with the address {email} here. Ask to be invited to an organization first."
        ))),
    }
}

async fn create(app: &App, tx: &mut Tx, identity: &Identity, email: &str) -> Result<Named> {
    let local = email.split('@').next().unwrap_or_default();
    let wanted = plain_name(identity.username.as_deref().unwrap_or(local));
    let taken: Option<(UserId,)> = tx.one("SELECT id FROM users WHERE username = $1", args![&wanted]).await?;
    let username = match taken {
        None if !wanted.is_empty() => wanted,
        _ => format!("{wanted}-{}", app.env.base58(6)).trim_start_matches('-').to_owned(),
    };
    let id = UserId::new(&app.env);
    users::insert(tx, &id, &username, email, false, false, app.now()).await?;
    tracing::info!(user = username, "made a user for who came from the external provider");
    Ok(Named { id, username, suspended: false })
}

/// As much of a name as may be a username, with room for a suffix. Names with an address lose its end.
fn plain_name(name: &str) -> String {
    let name = name.split('@').next().unwrap_or_default();
    let good = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
    name.chars().filter(good).take(LONGEST_NAME - 8).collect()
}

#[cfg(test)]
mod tests {
    use super::plain_name;

    #[test]
    fn a_name_from_outside_becomes_one_that_people_may_have_here() {
        assert_eq!(plain_name("mona.l@example.com"), "mona.l");
        assert_eq!(plain_name("Mona Lisa <script>"), "MonaLisascript");
        assert_eq!(plain_name(&"x".repeat(300)).len(), 56);
        assert_eq!(plain_name("日本"), "");
    }
}
