//! How a person gets a token: the service `login.v1`, OAuth's authorization code with PKCE (RFC 7636).
//!
//! The contract is Terraform's: the person's browser goes to `authz`, and comes back with a code to a port of this
//! machine; the code and the verifier are exchanged at `token`. Source: Terraform's login protocol.

use crate::{Client, Error, Result};
use kernel::Secret;
use reqwest::Url;
use serde::Deserialize;
use std::ops::RangeInclusive;

/// The code grant of a server's `login.v1`.
#[derive(Clone, Debug)]
pub struct LoginService {
    /// The id under which a command line is known there.
    pub client: String,
    /// Ports of this machine that the browser may come back to.
    pub ports: RangeInclusive<u16>,
    authz: Url,
    token: Url,
    scopes: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    client: String,
    #[serde(default = "code_grant")]
    grant_types: Vec<String>,
    authz: String,
    token: String,
    #[serde(default = "all_ports")]
    ports: [u16; 2],
    #[serde(default)]
    scopes: Vec<String>,
}

fn code_grant() -> Vec<String> {
    vec!["authz_code".to_owned()]
}

fn all_ports() -> [u16; 2] {
    [1024, 65535]
}

impl LoginService {
    /// Where the person's browser has to go.
    pub fn authorization_url(&self, challenge: &str, redirect: &str, state: &str) -> Url {
        let mut url = self.authz.clone();
        let mut query = url.query_pairs_mut();
        query.append_pair("client_id", &self.client);
        query.append_pair("code_challenge", challenge);
        query.append_pair("code_challenge_method", "S256");
        query.append_pair("redirect_uri", redirect);
        query.append_pair("response_type", "code");
        query.append_pair("state", state);
        if !self.scopes.is_empty() {
            query.append_pair("scope", &self.scopes.join(" "));
        }
        drop(query);
        url
    }
}

impl Client {
    /// The server's `login.v1`, if it offers one with the code grant.
    ///
    /// # Errors
    /// [`Error::NotTerraformEnterprise`] when what it offers is malformed, or would send the code in the clear.
    pub async fn login_service(&self) -> Result<Option<LoginService>> {
        let (services, from) = self.services().await?;
        let Some(service) = services.get("login.v1").filter(|service| service.is_object()) else {
            return Ok(None);
        };
        let malformed = |reason: String| Error::NotTerraformEnterprise { host: self.host(), reason };
        let document = Document::deserialize(service)
            .map_err(|e| malformed(format!("its service login.v1 is malformed: {e}")))?;
        if !document.grant_types.iter().any(|grant| grant == "authz_code") {
            return Ok(None);
        }
        let [first, last] = document.ports;
        if first > last {
            return Err(malformed(format!("its service login.v1 names the ports {first} to {last}")));
        }
        Ok(Some(LoginService {
            client: document.client,
            ports: first..=last,
            authz: self.service_url("login.v1", &from, &document.authz)?,
            token: self.service_url("login.v1", &from, &document.token)?,
            scopes: document.scopes,
        }))
    }

    /// Exchanges the code that the browser brought for a token.
    ///
    /// # Errors
    /// [`Error::Refused`] when the server does not know the code or the verifier.
    pub async fn exchange_code(
        &self,
        service: &LoginService,
        code: &Secret,
        verifier: &Secret,
        redirect: &str,
    ) -> Result<Secret> {
        #[derive(Deserialize)]
        struct Answer {
            access_token: Secret,
        }
        let name = "POST of the login's code";
        let fields = [
            ("client_id", service.client.as_str()),
            ("code", code.expose()),
            ("code_verifier", verifier.expose()),
            ("grant_type", "authorization_code"),
            ("redirect_uri", redirect),
        ];
        let reply = self.post_form(service.token.clone(), name, &fields).await?;
        let answer: Result<Answer, _> = serde_json::from_slice(&reply.body);
        // The parser's message may quote the token.
        answer.map(|answer| answer.access_token).map_err(|_| Error::Unexpected {
            request: name.to_owned(),
            reason: "it holds no access_token".to_owned(),
            request_id: None,
        })
    }
}
