//! What a certificate says.

use super::own::{DAY, LEAF_DAYS};
use kernel::Timestamp;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::{io, net::IpAddr};
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    prelude::{ASN1Time, FromDer},
};

/// The first certificate of a PEM text.
#[derive(Debug, PartialEq, Eq)]
pub struct Facts {
    /// Names and addresses that it is for, sorted.
    pub names: Vec<String>,
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// From when it is good.
    pub not_before: Timestamp,
    /// Until when it is good.
    pub not_after: Timestamp,
}

impl Facts {
    /// Reads them.
    ///
    /// # Errors
    /// When the text holds no certificate.
    pub fn of(pem: &str) -> io::Result<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(io::Error::other)?;
        let (_, cert) = X509Certificate::from_der(&der).map_err(io::Error::other)?;
        let alternatives = cert.subject_alternative_name().map_err(io::Error::other)?;
        let listed = alternatives.map(|extension| extension.value.general_names.as_slice());
        let mut names: Vec<String> = listed.unwrap_or_default().iter().filter_map(name).collect();
        names.sort();
        let at = |time: ASN1Time| Timestamp::from_micros(time.timestamp().saturating_mul(1_000_000));
        Ok(Self {
            names,
            subject: cert.subject().to_string(),
            issuer: cert.issuer().to_string(),
            not_before: at(cert.validity().not_before),
            not_after: at(cert.validity().not_after),
        })
    }

    /// Days from `now` until it is no longer good; negative afterwards.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        (self.not_after.micros() - now.micros()).div_euclid(DAY * 1_000_000)
    }

    /// Whether clients accept it for this name, as far as names go; `*` stands for one label.
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.names.iter().any(|name| {
            let wildcard = || name.strip_prefix("*.").zip(host.split_once('.').map(|(_, parent)| parent));
            name.eq_ignore_ascii_case(&host) || wildcard().is_some_and(|(one, other)| one == other)
        })
    }

    /// Whether an own leaf is still for these names (sorted), and good for long enough.
    pub(super) fn serves(&self, names: &[String], now: Timestamp) -> bool {
        self.names == names && self.not_before <= now && self.days_left(now) >= LEAF_DAYS / 3
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let at = Timestamp::from_micros;
        let facts = Facts {
            names: vec!["*.example.com".to_owned(), "192.0.2.1".to_owned()],
            subject: String::new(),
            issuer: String::new(),
            not_before: at(0),
            not_after: at(DAY * 1_000_000 * 3 - 1),
        };
        assert!(facts.is_for("tfe.Example.com") && facts.is_for("192.0.2.1"));
        assert!(!facts.is_for("example.com") && !facts.is_for("a.b.example.com"));
        assert_eq!((facts.days_left(at(0)), facts.days_left(facts.not_after)), (2, 0));
    }
}
