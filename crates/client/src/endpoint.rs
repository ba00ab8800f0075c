//! Where the server is, and how connections to it are made: proxies, TLS, whom to trust.

use crate::error::{self, Error, Result};
use kernel::Secret;
use reqwest::Url;
use std::{net::IpAddr, path::PathBuf, time::Duration};

const CONNECT_TIME: Duration = Duration::from_secs(15);

/// Where a Terraform Enterprise is and who asks.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `https://host[:port]`, `http://…`, or a bare host name, which means https.
    pub base_url: String,
    /// Sent with every request to the API and to nobody else.
    pub token: Secret,
    /// PEM certificates that are trusted besides the system's (which `SSL_CERT_FILE` and `SSL_CERT_DIR` replace).
    pub ca_file: Option<PathBuf>,
    /// Who the server is told is asking.
    pub user_agent: String,
}

impl Endpoint {
    /// An endpoint that trusts the system's certificates.
    pub fn new(base_url: impl Into<String>, token: Secret) -> Self {
        let user_agent = concat!("ferroform/", env!("CARGO_PKG_VERSION")).to_owned();
        Self { base_url: base_url.into(), token, ca_file: None, user_agent }
    }
}

pub(crate) fn parse_address(text: &str) -> Result<Url> {
    let text = text.trim();
    let full = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let wrong = |why: &str| {
        Error::Configuration(format!("{text:?} is no address of a server ({why}); write https://host[:port]"))
    };
    let mut url = Url::parse(&full).map_err(|e| wrong(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("only http and https are spoken"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Not repeated: it may hold a password.
        return Err(Error::Configuration(
            "the address of the server must hold no user name or password; use a token".to_owned(),
        ));
    }
    url.host_str().ok_or_else(|| wrong("no host"))?;
    url.set_path("/");
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

pub(crate) fn connector(endpoint: &Endpoint, base: &Url) -> Result<reqwest::Client> {
    // Whoever comes first installs the process's provider; every part of this program installs the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let extra = match &endpoint.ca_file {
        None => vec![],
        Some(path) => {
            let pem = std::fs::read(path).map_err(|source| Error::File { path: path.clone(), source })?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
            if certificates.is_empty() {
                return Err(Error::Configuration(format!("{} holds no PEM certificate", path.display())));
            }
            certificates
        }
    };
    let builder = || {
        let builder = reqwest::Client::builder()
            .user_agent(&endpoint.user_agent)
            .connect_timeout(CONNECT_TIME)
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            .referer(false);
        // As Terraform does: this machine is never asked through a proxy.
        if is_loopback(base) { builder.no_proxy() } else { builder }
    };
    let broken = |e: reqwest::Error| {
        Error::Configuration(format!(
            "TLS cannot be set up: {}. Install the system's certificates (ca-certificates) or name the server's \
             authority with --ca-file",
            error::innermost(&e)
        ))
    };
    match builder().tls_certs_merge(extra.clone()).build() {
        Ok(client) => Ok(client),
        // A machine without certificates of its own can still speak plain HTTP, or trust the given authority alone.
        Err(_) if base.scheme() == "http" || !extra.is_empty() => {
            builder().tls_certs_only(extra).build().map_err(broken)
        }
        Err(error) => Err(broken(error)),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_host_means_https_and_paths_are_dropped() {
        for (given, meant) in [
            ("tfe.example.com", "https://tfe.example.com/"),
            ("tfe.example.com:8443", "https://tfe.example.com:8443/"),
            ("http://127.0.0.1:80/api/v2?x#y", "http://127.0.0.1/"),
        ] {
            assert_eq!(parse_address(given).unwrap().as_str(), meant);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_a_password() {
        assert!(parse_address("ftp://x").unwrap_err().to_string().contains("only http and https"));
        assert!(parse_address("https://").is_err());
        let error = parse_address("https://me:hunter2@tfe.example.com").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
