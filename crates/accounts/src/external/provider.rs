//! The conversation with an OpenID provider: what it says of itself, and what it gives for a code.

use super::jwt::{self, Claims, Expected, Jwk};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http_api::{App, Error, Result};
use kernel::{Secret, Timestamp};
use ring::digest;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::sync::Mutex;

/// How long what the provider says of itself is believed.
const MEMORY: Duration = Duration::from_secs(3600);
/// The keys of a provider are read again for a token of an unknown one, but not more often.
const KEYS_AGAIN: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const LARGEST: usize = 1 << 20;
/// The path of this server to which the provider sends people back.
pub const CALLBACK: &str = "/sign-in/external/callback";

/// What the operator says of the provider.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Its address, exactly as it calls itself.
    pub issuer: String,
    /// What this server is called there.
    pub client_id: String,
    /// What proves that; none for a public client, which PKCE alone protects.
    pub client_secret: Option<Secret>,
    /// What people call it.
    pub name: String,
    /// What is asked for besides `openid`.
    pub scopes: Vec<String>,
    /// The claim that is the name of a new user.
    pub username_claim: String,
    /// The claim that is the address.
    pub email_claim: String,
    /// Addresses belong to who has them there, though the provider says nothing of it.
    pub trust_email: bool,
    /// People without an account get one.
    pub create_users: bool,
}

/// A provider, with what it has said.
#[derive(Debug)]
pub struct Provider {
    /// What the operator says of it.
    pub settings: ProviderSettings,
    http: reqwest::Client,
    known: Mutex<Option<Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    metadata: Metadata,
    read_at: Timestamp,
    keys: Vec<Jwk>,
    keys_read_at: Timestamp,
}

/// OpenID Connect Discovery 1.0 §3, as far as it is of use here.
#[derive(Clone, Debug, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    userinfo_endpoint: Option<String>,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

/// Who the provider says that somebody is.
#[derive(Debug)]
pub(super) struct Identity {
    /// Names them, for ever, at this provider.
    pub(super) subject: String,
    pub(super) email: Option<String>,
    pub(super) email_verified: bool,
    pub(super) username: Option<String>,
}

/// Why the provider's answer is of no use; for the log, without secrets.
#[derive(Debug)]
pub(super) struct Trouble(pub(super) String);

fn trouble<T>(why: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble(why.into()))
}

impl Provider {
    /// A provider that is spoken to by this client, which must follow no redirects: requests carry secrets.
    pub fn new(settings: ProviderSettings, http: reqwest::Client) -> Self {
        Self { settings, http, known: Mutex::new(None) }
    }

    /// Where a visitor is sent.
    pub(super) async fn authorization_url(
        &self,
        app: &App,
        state: &str,
        nonce: &str,
        verifier: &str,
    ) -> Result<String> {
        let known = self.known(app).await.map_err(|Trouble(why)| {
            tracing::error!(why, issuer = self.settings.issuer, "the external provider is of no use");
            Error::Unavailable(format!(
                "{} does not answer as it should, so it cannot sign you in now.",
                self.settings.name
            ))
        })?;
        let scope = std::iter::once("openid").chain(self.settings.scopes.iter().map(String::as_str));
        let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
        let mut url = reqwest::Url::parse(&known.metadata.authorization_endpoint)
            .map_err(|_| Error::Unavailable("The provider's address is malformed.".to_owned()))?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &app.url(CALLBACK))
            .append_pair("scope", &scope.collect::<Vec<_>>().join(" "))
            .append_pair("state", state)
            .append_pair("nonce", nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Exchanges a code for an identity, and verifies it.
    pub(super) async fn identity(
        &self,
        app: &App,
        code: &str,
        verifier: &str,
        nonce: &str,
    ) -> Result<Identity, Trouble> {
        let known = self.known(app).await?;
        let tokens: Tokens = self.exchange(app, &known.metadata, code, verifier).await?;
        let keys = self.keys_for(app, known.clone(), &tokens.id_token).await?;
        let expected = Expected {
            issuer: &self.settings.issuer,
            audience: &self.settings.client_id,
            nonce,
            now: app.now(),
        };
        let claims = jwt::verify(&tokens.id_token, &keys, &expected).map_err(Trouble)?;
        let mut identity = self.read(&claims.subject, &claims.all);
        if let (None, Some(endpoint), Some(token)) =
            (&identity.email, &known.metadata.userinfo_endpoint, &tokens.access_token)
        {
            let more = self.user_info(endpoint, token, &claims).await?;
            identity = self.read(&claims.subject, &more);
        }
        Ok(identity)
    }

    fn read(&self, subject: &str, claims: &Map<String, Value>) -> Identity {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        // Some providers write a text where the standard has a boolean.
        let verified = matches!(claims.get("email_verified"), Some(Value::Bool(true)))
            || claims.get("email_verified").and_then(Value::as_str) == Some("true");
        Identity {
            subject: subject.to_owned(),
            email: text(&self.settings.email_claim),
            email_verified: verified,
            username: text(&self.settings.username_claim),
        }
    }

    async fn exchange(
        &self,
        app: &App,
        metadata: &Metadata,
        code: &str,
        verifier: &str,
    ) -> Result<Tokens, Trouble> {
        let callback = app.url(CALLBACK);
        let id = self.settings.client_id.as_str();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &callback),
            ("code_verifier", verifier),
        ];
        let mut request = self.http.post(&metadata.token_endpoint).header("accept", "application/json");
        let methods = &metadata.token_endpoint_auth_methods_supported;
        match &self.settings.client_secret {
            None => form.push(("client_id", id)),
            Some(secret) if methods.is_empty() || methods.iter().any(|m| m == "client_secret_basic") => {
                // RFC 6749 §2.3.1: both are encoded as in a form first.
                let part = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = STANDARD.encode(format!("{}:{}", part(id), part(secret.expose())));
                request = request.header("authorization", format!("Basic {pair}"));
            }
            Some(secret) => form.extend([("client_id", id), ("client_secret", secret.expose())]),
        }
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        fetch(request, "the token endpoint").await
    }

    async fn user_info(
        &self,
        endpoint: &str,
        token: &str,
        claims: &Claims,
    ) -> Result<Map<String, Value>, Trouble> {
        let request = self.http.get(endpoint).bearer_auth(token).header("accept", "application/json");
        let told: Map<String, Value> = fetch(request, "the userinfo endpoint").await?;
        // OpenID Connect Core §5.3.2: else it may be somebody else's.
        if told.get("sub").and_then(Value::as_str) != Some(claims.subject.as_str()) {
            return trouble("the userinfo endpoint speaks of somebody else than the ID token");
        }
        Ok(told)
    }

    async fn known(&self, app: &App) -> Result<Known, Trouble> {
        let mut known = self.known.lock().await;
        let now = app.now();
        if let Some(known) = known.as_ref().filter(|known| now.since(known.read_at) < MEMORY) {
            return Ok(known.clone());
        }
        let issuer = &self.settings.issuer;
        let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let metadata: Metadata = fetch(self.http.get(&place), &place).await?;
        if metadata.issuer != *issuer {
            return trouble(format!("{place} says that it is {}, not {issuer}", metadata.issuer));
        }
        let keys = self.read_keys(&metadata).await?;
        let read = Known { metadata, read_at: now, keys, keys_read_at: now };
        *known = Some(read.clone());
        Ok(read)
    }

    async fn read_keys(&self, metadata: &Metadata) -> Result<Vec<Jwk>, Trouble> {
        let set: Keys = fetch(self.http.get(&metadata.jwks_uri), "the key set").await?;
        // One of a kind that we do not know must not hide the others.
        Ok(set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
    }

    /// The keys that may have signed a token; read again if it names one that is not among those known.
    async fn keys_for(&self, app: &App, known: Known, token: &str) -> Result<Vec<Jwk>, Trouble> {
        let now = app.now();
        if jwt::has_key_of(token, &known.keys) || now.since(known.keys_read_at) < KEYS_AGAIN {
            return Ok(known.keys);
        }
        let keys = self.read_keys(&known.metadata).await?;
        *self.known.lock().await = Some(Known { keys: keys.clone(), keys_read_at: now, ..known });
        Ok(keys)
    }
}

async fn fetch<T: DeserializeOwned>(request: reqwest::RequestBuilder, what: &str) -> Result<T, Trouble> {
    let failed =
        |error: reqwest::Error| Trouble(format!("{what} cannot be reached: {}", error.without_url()));
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > LARGEST {
            return trouble(format!("{what} answers with more than {LARGEST} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    if !status.is_success() {
        // RFC 6749 §5.2: a word for programs; the rest of the body may hold what must not be logged.
        let told = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        return trouble(format!("{what} answers {status} {}", told["error"].as_str().unwrap_or_default()));
    }
    serde_json::from_slice(&body)
        .map_err(|error| Trouble(format!("{what} answers no such document: {error}")))
}
