//! Certificates: the server's own authority and leaf, or the operator's files.
//!
//! The authority (`ca.pem`, `ca-key.pem`) is written once. The leaf is made for the names that clients may use, and made
//! again when they change or less than a third of its life is left, also while the server runs. Files of the operator
//! are read again on SIGHUP.

use crate::{data_dir::write_private, options::Tls};
use kernel::{Env, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    collections::BTreeSet,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
    time::Duration,
};

const CA_DAYS: i64 = 3650;
const LEAF_DAYS: i64 = 90;
const DAY: i64 = 86_400;

/// Where certificates come from, and the one in use.
#[derive(Debug)]
pub struct Certificates {
    source: Source,
    env: Env,
    current: RwLock<Arc<CertifiedKey>>,
}

#[derive(Debug)]
enum Source {
    Own { dir: PathBuf, names: Vec<String> },
    Files { cert: PathBuf, key: PathBuf },
}

/// Makes or loads what `tls` says; `None` for plain HTTP.
///
/// # Errors
/// With the file and what is wrong with it.
pub fn load(tls: &Tls, dir: &Path, names: Vec<String>, env: &Env) -> io::Result<Option<Arc<Certificates>>> {
    let source = match tls {
        Tls::Off => return Ok(None),
        Tls::Auto => Source::Own { dir: dir.join("tls"), names },
        Tls::Files(cert, key) => Source::Files { cert: cert.clone(), key: key.clone() },
    };
    let current = RwLock::new(source.key(env)?);
    Ok(Some(Arc::new(Certificates { source, env: env.clone(), current })))
}

/// The names that the leaf is made for: those by which this machine is reached, and the host of the URL.
pub fn names(listen: SocketAddr, url: &str) -> Vec<String> {
    let mut names: BTreeSet<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    if !listen.ip().is_unspecified() {
        names.insert(listen.ip().to_string());
    }
    if let Ok(host) = nix::unistd::gethostname() {
        names.extend(host.into_string().ok().filter(|name| !name.is_empty()));
    }
    if let Some(host) = url.parse::<axum::http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)) {
        names.insert(host.trim_matches(['[', ']']).to_owned());
    }
    names.into_iter().collect()
}

impl Certificates {
    /// What a listener needs: HTTP/2 and HTTP/1.1.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Looks at the source again: renews the own leaf when it is time, rereads files.
    pub fn refresh(&self) -> io::Result<()> {
        let key = self.source.key(&self.env)?;
        *self.current.write().expect("no holder of this lock panics") = key;
        Ok(())
    }

    /// The file with the authority that clients must trust, if it is our own.
    pub fn authority(&self) -> Option<PathBuf> {
        match &self.source {
            Source::Own { dir, .. } => Some(dir.parent().unwrap_or(dir).join("ca.pem")),
            Source::Files { .. } => None,
        }
    }

    /// How often to look at the source.
    pub fn period() -> Duration {
        Duration::from_secs(12 * 3600)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().expect("no holder of this lock panics").clone())
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl Source {
    fn key(&self, env: &Env) -> io::Result<Arc<CertifiedKey>> {
        let (cert, key) = match self {
            Self::Files { cert, key } => (read(cert)?, read(key)?),
            Self::Own { dir, names } => own_leaf(dir, names, env)?,
        };
        certified(&cert, &key).map(Arc::new)
    }
}

fn read(path: &Path) -> io::Result<String> {
    fs::read_to_string(path).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
}

fn certified(cert: &str, key: &str) -> io::Result<CertifiedKey> {
    let wrong = |what: &str, e: &dyn std::fmt::Display| io::Error::other(format!("the TLS {what} cannot be used: {e}"));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(cert.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|e| wrong("certificate", &e))?;
    if chain.is_empty() {
        return Err(wrong("certificate", &"the file holds no PEM certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| wrong("key", &e))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|e| wrong("certificate and key", &e))
}

/// What the leaf was made for, to notice changes.
#[derive(PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct LeafFacts {
    names: Vec<String>,
    not_after: i64,
}

/// The leaf and its key as PEM, made again when needed.
fn own_leaf(dir: &Path, names: &[String], env: &Env) -> io::Result<(String, String)> {
    crate::data_dir::prepare(dir).map_err(io::Error::other)?;
    let now = env.now();
    let facts: Option<LeafFacts> =
        fs::read(dir.join("leaf.json")).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let good = facts.is_some_and(|facts| {
        facts.names == names && facts.not_after - now.micros() / 1_000_000 > LEAF_DAYS * DAY / 3
    });
    if good {
        if let (Ok(cert), Ok(key)) = (read(&dir.join("leaf.pem")), read(&dir.join("leaf-key.pem"))) {
            return Ok((cert, key));
        }
    }
    let authority = authority(dir, now)?;
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let mut params = CertificateParams::new(names.to_vec()).map_err(io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, "Ferroform");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    validity(&mut params, now, LEAF_DAYS);
    let cert = params.signed_by(&key, &authority).map_err(io::Error::other)?.pem();
    let facts = LeafFacts { names: names.to_vec(), not_after: now.plus_seconds(LEAF_DAYS * DAY).micros() / 1_000_000 };
    write_private(&dir.join("leaf-key.pem"), key.serialize_pem().as_bytes())?;
    write_private(&dir.join("leaf.pem"), cert.as_bytes())?;
    // Last: facts without their certificate would be believed.
    write_private(&dir.join("leaf.json"), &serde_json::to_vec(&facts)?)?;
    Ok((cert, key.serialize_pem()))
}

/// The authority, written once. Its certificate is also `ca.pem` beside the data, for clients to copy.
fn authority(dir: &Path, now: Timestamp) -> io::Result<Issuer<'static, KeyPair>> {
    let (key_file, cert_file) = (dir.join("ca-key.pem"), dir.join("ca.pem"));
    if let (Ok(key), Ok(cert)) = (fs::read_to_string(&key_file), fs::read_to_string(&cert_file)) {
        publish(dir, &cert)?;
        let key = KeyPair::from_pem(&key).map_err(io::Error::other)?;
        return Issuer::from_ca_cert_pem(&cert, key).map_err(io::Error::other);
    }
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("Ferroform authority {}", now.iso8601()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut params, now, CA_DAYS);
    let cert = params.self_signed(&key).map_err(io::Error::other)?.pem();
    write_private(&key_file, key.serialize_pem().as_bytes())?;
    write_private(&cert_file, cert.as_bytes())?;
    publish(dir, &cert)?;
    Issuer::from_ca_cert_pem(&cert, key).map_err(io::Error::other)
}

fn publish(dir: &Path, cert: &str) -> io::Result<()> {
    let path = dir.parent().unwrap_or(dir).join("ca.pem");
    if fs::read_to_string(&path).is_ok_and(|known| known == cert) {
        return Ok(());
    }
    fs::write(&path, cert)
}

fn validity(params: &mut CertificateParams, now: Timestamp, days: i64) {
    let at = |seconds: i64| {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    };
    let now = now.micros() / 1_000_000;
    // Clocks of clients may be behind ours.
    params.not_before = at(now - 3600);
    params.not_after = at(now + days * DAY);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(dir: &Path, names: &[&str], env: &Env) -> (String, String) {
        own_leaf(&dir.join("tls"), &names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>(), env).unwrap()
    }

    #[test]
    fn the_authority_is_written_once_and_the_leaf_follows_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::fixed(Timestamp::parse("2026-01-01T00:00:00Z").unwrap(), 1);
        let first = leaf(dir.path(), &["localhost"], &env);
        let ca = fs::read_to_string(dir.path().join("ca.pem")).unwrap();
        assert_eq!(leaf(dir.path(), &["localhost"], &env), first, "the same names keep the leaf");
        assert_ne!(leaf(dir.path(), &["localhost", "example.test"], &env), first);
        assert_eq!(fs::read_to_string(dir.path().join("ca.pem")).unwrap(), ca);
    }

    #[test]
    fn a_leaf_is_renewed_when_a_third_of_its_life_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::fixed(Timestamp::parse("2026-01-01T00:00:00Z").unwrap(), 1);
        let first = leaf(dir.path(), &["localhost"], &env);
        env.advance(59 * DAY * 1_000_000);
        assert_eq!(leaf(dir.path(), &["localhost"], &env), first);
        env.advance(2 * DAY * 1_000_000);
        assert_ne!(leaf(dir.path(), &["localhost"], &env), first);
    }

    #[test]
    fn files_that_hold_no_certificate_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
        fs::write(&cert, "nothing").unwrap();
        fs::write(&key, "nothing").unwrap();
        let tls = Tls::Files(cert, key);
        let error = load(&tls, dir.path(), vec![], &Env::real()).unwrap_err().to_string();
        assert!(error.contains("certificate"), "{error}");
    }
}
