//! How a command line gets a token: OAuth 2.0's authorization code with PKCE, as `terraform login` speaks it.
//!
//! The browser brings a [`Request`] to the authorization page; when its user consents, [`grant`] gives a code that the
//! browser carries to the command line's own port. With the code and the verifier behind its challenge the command line
//! gets a token at `POST /oauth/token`. A code is 256 random bits, stored as a keyed hash, good once and for
//! [`CODE_SECONDS`], and bound to client, redirect, challenge and user. One shown twice was seen by somebody else: the
//! token that it gave is revoked. Any failed exchange uses the code up.
//!
//! Source: Terraform's login protocol (`login.v1`); RFC 6749 §4.1, §5.2; RFC 7636; RFC 8252 §7.3.

use crate::tokens::{self, NewToken, Owner};
use axum::{
    body::Body,
    http::{HeaderValue, Method, StatusCode, header},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use db::{FromRow, args};
use http_api::{App, Cx, Reply, Result, Routes};
use kernel::{
    Secret, Timestamp,
    ids::{TokenId, UserId},
};
use ring::digest;
use serde_json::{Value, json};

/// The one client there is: Terraform's and OpenTofu's command lines.
pub const CLIENT: &str = "terraform-cli";
/// Where the browser goes with a request.
pub const AUTHORIZE: &str = "/oauth/authorize";
/// Where a code is exchanged.
const TOKEN: &str = "/oauth/token";
/// Ports on which the command line may wait for the browser.
pub const PORTS: std::ops::RangeInclusive<u16> = 10_000..=10_010;
/// Seconds that a code is good for.
pub const CODE_SECONDS: i64 = 60;
/// Used codes are remembered for so long, to notice that one is shown twice.
const MEMORY_SECONDS: i64 = 24 * 3600;
/// Bytes of a form.
const FORM_BYTES: usize = 16 << 10;

/// The operation of the command line; the page is the web's.
pub fn routes() -> Routes {
    Routes::new().public(Method::POST, TOKEN, "accounts.authorizations.exchange", exchange)
}

/// The value of `login.v1` in the discovery document.
pub fn discovery() -> Value {
    json!({
        "client": CLIENT, "grant_types": ["authz_code"], "authz": AUTHORIZE, "token": TOKEN,
        "ports": [PORTS.start(), PORTS.end()],
    })
}

/// What a command line asks a browser to ask for, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where the answer goes: `http://localhost:PORT/login`.
    pub redirect_uri: String,
    /// The port of that.
    pub port: u16,
    /// The command line's own mark, which the answer repeats.
    pub state: Option<String>,
    /// Base64url of the SHA-256 of what the command line will show with the code.
    pub challenge: String,
}

/// Why a request is not one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Nobody can be trusted with an answer: the person is told.
    ForPerson(&'static str),
    /// The command line is told, by sending the browser to this URL.
    ForClient(String),
}

impl Request {
    /// Checks the parameters of a request.
    ///
    /// # Errors
    /// What is wrong with them, and who is to be told.
    pub fn parse<'a>(parameter: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Malformed> {
        if parameter("client_id") != Some(CLIENT) {
            return Err(Malformed::ForPerson(
                "The program that sent you here is not one that this server knows (client_id).",
            ));
        }
        let redirect_uri = parameter("redirect_uri").unwrap_or_default().to_owned();
        let Some(port) = local_port(&redirect_uri) else {
            return Err(Malformed::ForPerson(
                "The address to return to (redirect_uri) is not one of the command line on this computer.",
            ));
        };
        let state = parameter("state").map(str::to_owned);
        let request = Self {
            redirect_uri,
            port,
            state,
            challenge: parameter("code_challenge").unwrap_or_default().to_owned(),
        };
        if parameter("response_type") != Some("code") {
            return Err(Malformed::ForClient(request.failure("unsupported_response_type", "only code")));
        }
        // SHA-256 in base64url without padding has 43 characters.
        let plausible = request.challenge.len() == 43
            && request.challenge.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_');
        if parameter("code_challenge_method") != Some("S256") || !plausible {
            let why = "PKCE with code_challenge_method S256 is needed";
            return Err(Malformed::ForClient(request.failure("invalid_request", why)));
        }
        Ok(request)
    }

    /// Where the browser goes when its user has said no.
    pub fn denied(&self) -> String {
        self.failure("access_denied", "the user did not allow it")
    }

    fn failure(&self, error: &str, description: &str) -> String {
        self.answer(&[("error", error), ("error_description", description)])
    }

    fn answer(&self, pairs: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(pairs);
        if let Some(state) = &self.state {
            query.append_pair("state", state);
        }
        format!("{}?{}", self.redirect_uri, query.finish())
    }
}

/// The port of `http://localhost:PORT/login`, if it is one of ours. Nothing but this exact form is taken.
fn local_port(uri: &str) -> Option<u16> {
    let port = uri.strip_prefix("http://localhost:")?.strip_suffix("/login")?;
    let number: u16 = port.parse().ok().filter(|number| PORTS.contains(number))?;
    (number.to_string() == port).then_some(number)
}

/// Grants what was asked: where the browser goes with the code. `description` will be the token's.
pub async fn grant(app: &App, user: &UserId, request: &Request, description: &str) -> Result<String> {
    let (code, now) = (app.env.base58(44), app.now());
    let mut tx = app.db.begin().await?;
    tx.exec(
        "DELETE FROM authorization_codes WHERE expires_at <= $1",
        args![now.plus_seconds(-MEMORY_SECONDS)],
    )
    .await?;
    tx.exec(
        "INSERT INTO authorization_codes
           (hash, user_id, client_id, redirect_uri, challenge, description, expires_at, used)
         VALUES ($1, $2, $3, $4, $5, $6, $7, FALSE)",
        args![
            hash(app, &code),
            user,
            CLIENT,
            &request.redirect_uri,
            &request.challenge,
            description,
            now.plus_seconds(CODE_SECONDS)
        ],
    )
    .await?;
    tx.commit().await?;
    Ok(request.answer(&[("code", &code)]))
}

fn hash(app: &App, code: &str) -> String {
    app.hasher.hash(&format!("authorization-code {code}"))
}

/// A refusal by RFC 6749 §5.2.
struct Refused(StatusCode, &'static str, &'static str);

const INVALID_GRANT: &str = "invalid_grant";

async fn exchange(mut cx: Cx) -> Result<Reply> {
    let answered = match answer(&mut cx).await? {
        Ok(token) => {
            reply(StatusCode::OK, &json!({ "access_token": token.expose(), "token_type": "bearer" }))
        }
        Err(Refused(status, error, description)) => {
            reply(status, &json!({ "error": error, "error_description": description }))
        }
    };
    Ok(answered)
}

fn reply(status: StatusCode, body: &Value) -> Reply {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    Reply::Raw(Box::new(response))
}

async fn answer(cx: &mut Cx) -> Result<Result<Secret, Refused>> {
    let bad = |error, description| Ok(Err(Refused(StatusCode::BAD_REQUEST, error, description)));
    let kind = cx.header("content-type").unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return bad("invalid_request", "the body must be application/x-www-form-urlencoded");
    }
    let body = cx.bytes(FORM_BYTES).await?;
    let form: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let field = |name: &str| form.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    match field("grant_type") {
        Some("authorization_code") => {}
        Some(_) => return bad("unsupported_grant_type", "only authorization_code"),
        None => return bad("invalid_request", "grant_type is missing"),
    }
    if field("client_id") != Some(CLIENT) {
        return Ok(Err(Refused(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            "client_id must be terraform-cli",
        )));
    }
    let (Some(code), Some(verifier), Some(redirect_uri)) =
        (field("code"), field("code_verifier"), field("redirect_uri"))
    else {
        return bad("invalid_request", "code, code_verifier and redirect_uri are needed");
    };
    match redeem(&cx.app, code, verifier, redirect_uri).await? {
        Some(token) => Ok(Ok(token)),
        None => {
            bad(INVALID_GRANT, "the code is unknown, used, expired, or not for this request; log in again")
        }
    }
}

#[derive(FromRow)]
struct Row {
    user_id: UserId,
    client_id: String,
    redirect_uri: String,
    challenge: String,
    description: String,
    expires_at: Timestamp,
}

/// The token for a code. Its first use alone counts, whatever comes of it.
async fn redeem(app: &App, code: &str, verifier: &str, redirect_uri: &str) -> Result<Option<Secret>> {
    let hash = hash(app, code);
    let mut tx = app.db.begin().await?;
    let row: Option<Row> = tx
        .one(
            "UPDATE authorization_codes SET used = TRUE WHERE hash = $1 AND used = FALSE
             RETURNING user_id, client_id, redirect_uri, challenge, description, expires_at",
            args![&hash],
        )
        .await?;
    let Some(row) = row else {
        let given: Option<(Option<TokenId>,)> =
            tx.one("SELECT token_id FROM authorization_codes WHERE hash = $1", args![&hash]).await?;
        drop(tx);
        if let Some((Some(token),)) = given {
            tracing::warn!(%token, "an authorization code was shown twice: the token that it gave is revoked");
            tokens::revoke(app, &token).await?;
        }
        return Ok(None);
    };
    let active: Option<(String,)> =
        tx.one("SELECT id FROM users WHERE id = $1 AND suspended = FALSE", args![&row.user_id]).await?;
    let genuine = active.is_some()
        && app.now() < row.expires_at
        && row.client_id == CLIENT
        && row.redirect_uri == redirect_uri
        && proves(verifier, &row.challenge);
    let mut token = None;
    if genuine {
        let text = tokens::generate(app);
        let new = NewToken {
            owner: Owner::User(row.user_id.clone()),
            single: false,
            description: row.description,
            created_by: Some(row.user_id),
            // As long as no policy of the installation says otherwise, it ends by `terraform logout` and a revocation.
            expires_at: None,
        };
        let id = tokens::insert(app, &mut tx, new, &text).await?;
        tx.exec("UPDATE authorization_codes SET token_id = $2 WHERE hash = $1", args![&hash, &id]).await?;
        token = Some(text);
    }
    tx.commit().await?;
    app.identities.forget();
    Ok(token)
}

/// RFC 7636 §4.6. The challenge is no secret, so how long the comparison takes tells nothing.
fn proves(verifier: &str, challenge: &str) -> bool {
    let digest = digest::digest(&digest::SHA256, verifier.as_bytes());
    URL_SAFE_NO_PAD.encode(digest) == challenge
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_proves_its_challenge_as_the_standard_has_it() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert!(proves(verifier, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
        assert!(!proves("other", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
    }

    #[test]
    fn only_the_command_lines_own_address_is_returned_to() {
        assert_eq!(local_port("http://localhost:10000/login"), Some(10_000));
        assert_eq!(local_port("http://localhost:10010/login"), Some(10_010));
        for wrong in [
            "http://localhost:9999/login",
            "http://localhost:10011/login",
            "http://localhost:010001/login",
            "http://localhost:+10001/login",
            "https://localhost:10000/login",
            "http://127.0.0.1:10000/login",
            "http://localhost:10000/login?x",
            "http://localhost:10000/login/",
            "http://localhost:10000@evil.test/login",
            "http://localhost:10000.evil.test/login",
            "http://localhost/login",
            "",
        ] {
            assert_eq!(local_port(wrong), None, "{wrong}");
        }
    }
}
