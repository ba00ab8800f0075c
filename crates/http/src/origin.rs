//! From where a request comes: the connection's peer, or whom a trusted proxy names.
//!
//! `X-Forwarded-For` is a list to which every proxy appends whom it has seen. It is believed from its end, as long as
//! those who appended are trusted: the first address that is not a trusted proxy's is the client's. From anybody else
//! the header says nothing.

use axum::http::{Extensions, HeaderMap};
use kernel::Timestamp;
use std::{fmt, net::IpAddr, str::FromStr};

/// The address of a request's peer, which the listener puts among the request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Addresses that begin with the same bits: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "expected an address or a network, such as 10.0.0.7, 10.0.0.0/8 or 2001:db8::/32".to_owned();
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(all), |bits| bits.parse().map_err(|_| wrong()))?;
        if bits > all { Err(wrong()) } else { Ok(Self { address, bits }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// Who talks to whom, by networks: for people who set up firewalls around the server. Only the operator knows.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    /// Of each kind, in the operator's order.
    pub networks: Vec<(RangeKind, Network)>,
    /// Since when they are so.
    pub since: Timestamp,
}

/// What a network is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeKind {
    /// Clients reach the API there.
    Api,
    /// Notifications come from there.
    Notifications,
    /// Requests of policies come from there.
    Sentinel,
    /// Requests to version control come from there.
    Vcs,
}

impl RangeKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Api, Self::Notifications, Self::Sentinel, Self::Vcs];

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Notifications => "notifications",
            Self::Sentinel => "sentinel",
            Self::Vcs => "vcs",
        }
    }
}

impl Network {
    /// Whether the address is one of them.
    pub fn has(self, address: IpAddr) -> bool {
        match (self.address, plain(address)) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.bits);
                u32::from(own).checked_shr(shift) == u32::from(other).checked_shr(shift)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.bits);
                u128::from(own).checked_shr(shift) == u128::from(other).checked_shr(shift)
            }
            _ => false,
        }
    }
}

/// An IPv4 address as such, also where a listener for both families has seen it.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// From where a request comes; none where the listener does not tell.
pub fn address(trusted: &[Network], headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
    let peer = extensions.get::<Peer>().map(|Peer(address)| plain(*address))?;
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.has(address));
    if !is_trusted(peer) {
        return Some(peer);
    }
    let lines: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    let mut nearest = peer;
    for named in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let Some(address) = named_address(named.trim()) else { break };
        nearest = address;
        if !is_trusted(address) {
            break;
        }
    }
    Some(nearest)
}

/// An address as proxies write it: some add the port.
fn named_address(text: &str) -> Option<IpAddr> {
    let address = text.parse().ok().or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|a| a.ip()));
    address.map(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let mut extensions = Extensions::new();
        extensions.insert(Peer(peer.parse().unwrap()));
        address(&trusted, &headers, &extensions).unwrap().to_string()
    }

    #[test]
    fn whom_a_stranger_names_is_not_believed() {
        assert_eq!(seen(&[], "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(seen(&["10.0.0.0/8"], "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_what_the_client_says_itself_is_not() {
        let own = ["10.0.0.0/8", "2001:db8::/32"];
        assert_eq!(seen(&own, "10.1.2.3", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen(&own, "10.1.2.3", &["1.1.1.1, 198.51.100.1:4711, 10.9.9.9"]), "198.51.100.1");
        assert_eq!(seen(&own, "10.1.2.3", &["1.1.1.1", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen(&own, "::ffff:10.1.2.3", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen(&own, "2001:db8::1", &["[2001:db9::7]:80"]), "2001:db9::7");
        assert_eq!(seen(&own, "10.1.2.3", &["rubbish"]), "10.1.2.3");
        assert_eq!(seen(&own, "10.1.2.3", &[]), "10.1.2.3");
    }

    #[test]
    fn a_network_is_an_address_with_or_without_its_bits() {
        let any: Network = "0.0.0.0/0".parse().unwrap();
        assert!(any.has("203.0.113.9".parse().unwrap()) && !any.has("::1".parse().unwrap()));
        let one: Network = "10.0.0.7".parse().unwrap();
        assert!(one.has("10.0.0.7".parse().unwrap()) && !one.has("10.0.0.8".parse().unwrap()));
        for wrong in ["", "10.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/x", "proxy"] {
            wrong.parse::<Network>().unwrap_err();
        }
    }
}
