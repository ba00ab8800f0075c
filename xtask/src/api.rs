//! As much of an API client as a demonstration needs: JSON in, JSON out, over TLS with a given certificate authority.
//!
//! The typed client is the crate `client`; this one keeps xtask quick to compile, and its calls look like curl's.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// JSON:API's media type.
pub const JSON_API: &str = "application/vnd.api+json";

/// One server, as seen with one token.
pub struct Api {
    url: String,
    authorization: String,
    agent: Agent,
}

impl Api {
    /// Talks to `url` (no slash at its end) with `token`, and trusts the certificates in `authority` (PEM) alone;
    /// without any, only plain HTTP works.
    ///
    /// # Errors
    /// When `authority` is not a certificate.
    pub fn new(url: &str, token: &str, authority: Option<&[u8]>) -> Result<Self> {
        let mut trusted = Vec::new();
        if let Some(pem) = authority {
            trusted.push(
                Certificate::from_pem(pem).context("the certificate authority's file is no PEM")?.to_owned(),
            );
        }
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&trusted))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = Agent::config_builder().tls_config(tls).http_status_as_error(false).build().new_agent();
        Ok(Self { url: url.to_owned(), authorization: format!("Bearer {token}"), agent })
    }

    /// The JSON document at `path` (from the server's root, or a whole URL).
    ///
    /// # Errors
    /// When the server does not answer 2xx with JSON; the error holds what it said.
    pub fn get(&self, path: &str) -> Result<Value> {
        let response = self.agent.get(self.at(path)).header("Authorization", &self.authorization).call();
        read(path, response)
    }

    /// Posts `document` to `path` and returns the answer; null if that is empty.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub fn post(&self, path: &str, document: &Value) -> Result<Value> {
        let request = self.agent.post(self.at(path)).header("Authorization", &self.authorization);
        read(path, request.header("Content-Type", JSON_API).send(document.to_string()))
    }

    /// Sends `method` to `path`, with `document` if there is one, and returns the status and the answer, whatever they are;
    /// null if it is no JSON.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn send(&self, method: &str, path: &str, document: Option<&Value>) -> Result<(u16, Value)> {
        let body = document.map(Value::to_string).unwrap_or_default();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(self.at(path))
            .header("Authorization", &self.authorization)
            .header("Content-Type", JSON_API)
            .body(body)
            .context("not a request")?;
        let mut response = self.agent.run(request).with_context(|| format!("no answer to {path}"))?;
        let text =
            response.body_mut().read_to_string().with_context(|| format!("half an answer to {path}"))?;
        Ok((response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// Puts `body` to the upload URL `url`, which needs no token.
    ///
    /// # Errors
    /// When the server does not answer 2xx.
    pub fn put(&self, url: &str, body: &[u8]) -> Result<()> {
        let request = self.agent.put(self.at(url)).header("Content-Type", "application/octet-stream");
        read(url, request.send(body)).map(drop)
    }

    /// The bytes at the download URL `url`, which needs no token.
    ///
    /// # Errors
    /// When the server does not answer 2xx.
    pub fn bytes(&self, url: &str) -> Result<Vec<u8>> {
        let mut response =
            self.agent.get(self.at(url)).call().with_context(|| format!("no answer to {url}"))?;
        if !response.status().is_success() {
            bail!("{url} was answered {}", response.status());
        }
        response.body_mut().read_to_vec().with_context(|| format!("half an answer to {url}"))
    }

    /// Whether the server says that it is ready; an error while it cannot even be reached.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn ready(&self) -> Result<bool> {
        let response = self.agent.get(self.at("/_health_check")).call().context("no answer")?;
        Ok(response.status() == 200)
    }

    fn at(&self, path: &str) -> String {
        if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) }
    }
}

fn read(path: &str, response: Result<ureq::http::Response<Body>, ureq::Error>) -> Result<Value> {
    let mut response = response.with_context(|| format!("no answer to {path}"))?;
    let text = response.body_mut().read_to_string().with_context(|| format!("half an answer to {path}"))?;
    if !response.status().is_success() {
        bail!("{path} was answered {}: {text}", response.status());
    }
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).with_context(|| format!("the answer to {path} is not JSON: {text}"))
}
