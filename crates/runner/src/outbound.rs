//! How this program speaks to servers of others: one way for engines' downloads and for what a run's identity is exchanged at.

use std::net::IpAddr;

/// A client for requests to this address. It trusts what the system trusts and goes through the proxies that the environment
/// names, except to this machine.
pub fn client(url: &str) -> reqwest::ClientBuilder {
    // Whoever comes first installs the process's provider; every part of this program installs the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("ferroform/", env!("CARGO_PKG_VERSION")))
        .referer(false);
    if is_loopback(url) { builder.no_proxy() } else { builder }
}

fn is_loopback(url: &str) -> bool {
    let host =
        reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
