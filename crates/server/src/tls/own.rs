//! The server's own authority and leaf.
//!
//! ```text
//! <data-dir>/ca.pem         what clients trust: mode 0644, a copy
//! <data-dir>/tls/ca.pem     the authority, written once
//! <data-dir>/tls/ca-key.pem
//! <data-dir>/tls/leaf.pem   certificate and key in one file, so that they are exchanged together
//! ```

use super::{Facts, read};
use crate::data_dir::{self, write_private};
use kernel::{Env, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Duration,
};

const CA_DAYS: i64 = 3650;
pub(super) const LEAF_DAYS: i64 = 90;
pub(super) const DAY: i64 = 86_400;
/// Clocks of clients may be behind ours.
const BACKDATED: i64 = 3600;

/// The leaf and its key as PEM, in one text; made again when needed.
pub(super) fn leaf(dir: &Path, names: &[String], env: &Env) -> io::Result<String> {
    data_dir::prepare(dir).map_err(io::Error::other)?;
    let now = env.now();
    let authority = Authority::load_or_make(dir, now)?;
    publish(dir, &authority.cert)?;
    let file = dir.join("leaf.pem");
    // A leaf that cannot be read is no loss: another is made.
    if let Ok(pem) = fs::read_to_string(&file)
        && let Ok(facts) = Facts::of(&pem)
        && facts.serves(names, now)
        && facts.issuer == Facts::of(&authority.cert)?.subject
    {
        return Ok(pem);
    }
    let pem = make_leaf(authority, names, now)?;
    write_private(&file, pem.as_bytes())?;
    Ok(pem)
}

fn make_leaf(authority: Authority, names: &[String], now: Timestamp) -> io::Result<String> {
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let mut params = CertificateParams::new(names.to_vec()).map_err(io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, "Ferroform");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Strict clients (Python 3.13) refuse a leaf that does not say which key signed it.
    params.use_authority_key_identifier_extension = true;
    validity(&mut params, now, LEAF_DAYS);
    let cert = params.signed_by(&key, &authority.issuer()?).map_err(io::Error::other)?.pem();
    Ok(cert + &key.serialize_pem())
}

/// Signs leaves.
struct Authority {
    cert: String,
    key: KeyPair,
}

impl Authority {
    /// Clients have copied its certificate, so an authority that is there is never replaced: what cannot be read is an
    /// error.
    fn load_or_make(dir: &Path, now: Timestamp) -> io::Result<Self> {
        let (key_file, cert_file) = (dir.join("ca-key.pem"), dir.join("ca.pem"));
        let (key, cert) = (absent_or(read(&key_file))?, absent_or(read(&cert_file))?);
        let key = match (key, &cert) {
            (Some(pem), _) => KeyPair::from_pem(&pem)
                .map_err(|e| io::Error::other(format!("{}: {e}", key_file.display())))?,
            (None, None) => KeyPair::generate().map_err(io::Error::other)?,
            (None, Some(_)) => {
                return Err(io::Error::other(format!(
                    "the certificate authority's key {} is gone: restore it from a backup, or remove {} and {} to have \
                     another authority made, which clients must then trust",
                    key_file.display(),
                    cert_file.display(),
                    dir.join("leaf.pem").display(),
                )));
            }
        };
        if let Some(cert) = cert {
            return Ok(Self { cert, key });
        }
        // A key without a certificate is from a start that was cut short.
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("Ferroform authority {}", now.iso8601()));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        validity(&mut params, now, CA_DAYS);
        let cert = params.self_signed(&key).map_err(io::Error::other)?.pem();
        write_private(&key_file, key.serialize_pem().as_bytes())?;
        write_private(&cert_file, cert.as_bytes())?;
        Ok(Self { cert, key })
    }

    fn issuer(self) -> io::Result<Issuer<'static, KeyPair>> {
        Issuer::from_ca_cert_pem(&self.cert, self.key).map_err(io::Error::other)
    }
}

fn absent_or(text: io::Result<String>) -> io::Result<Option<String>> {
    match text {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where clients find the authority: in the data directory itself.
pub(super) fn published(dir: &Path) -> std::path::PathBuf {
    dir.parent().unwrap_or(dir).join("ca.pem")
}

fn publish(dir: &Path, cert: &str) -> io::Result<()> {
    let path = published(dir);
    if fs::read_to_string(&path).is_ok_and(|known| known == cert) {
        return Ok(());
    }
    let said = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    write_private(&path, cert.as_bytes()).map_err(said)?;
    // It is no secret, and is copied from here.
    fs::set_permissions(&path, Permissions::from_mode(0o644)).map_err(said)
}

fn validity(params: &mut CertificateParams, now: Timestamp, days: i64) {
    let at = |seconds: i64| {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    };
    let now = now.micros() / 1_000_000;
    params.not_before = at(now - BACKDATED);
    params.not_after = at(now + days * DAY);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Env {
        Env::fixed(Timestamp::parse("2026-01-01T00:00:00Z").unwrap(), 1)
    }

    fn leaf_for(dir: &Path, names: &[&str], env: &Env) -> io::Result<String> {
        leaf(&dir.join("tls"), &names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>(), env)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_authority_is_written_once_and_the_leaf_follows_its_names() {
        let (dir, env) = (tempfile::tempdir().unwrap(), start());
        let first = leaf_for(dir.path(), &["localhost"], &env).unwrap();
        let ca = fs::read_to_string(dir.path().join("ca.pem")).unwrap();
        assert_eq!(
            leaf_for(dir.path(), &["localhost"], &env).unwrap(),
            first,
            "the same names keep the leaf"
        );
        let other = leaf_for(dir.path(), &["127.0.0.1", "::1", "example.test"], &env).unwrap();
        assert_eq!(Facts::of(&other).unwrap().names, ["127.0.0.1", "::1", "example.test"]);
        assert_eq!(fs::read_to_string(dir.path().join("ca.pem")).unwrap(), ca);
    }

    #[test]
    fn keys_are_their_owners_alone_and_the_authority_is_for_everybody() {
        let dir = tempfile::tempdir().unwrap();
        leaf_for(dir.path(), &["localhost"], &start()).unwrap();
        assert_eq!(mode(&dir.path().join("ca.pem")), 0o644);
        assert_eq!(mode(&dir.path().join("tls")), 0o700);
        for file in ["tls/ca-key.pem", "tls/ca.pem", "tls/leaf.pem"] {
            assert_eq!(mode(&dir.path().join(file)), 0o600, "{file}");
        }
    }

    #[test]
    fn a_leaf_is_renewed_when_a_third_of_its_life_is_left() {
        let (dir, env) = (tempfile::tempdir().unwrap(), start());
        let first = leaf_for(dir.path(), &["localhost"], &env).unwrap();
        env.advance(59 * DAY * 1_000_000);
        assert_eq!(leaf_for(dir.path(), &["localhost"], &env).unwrap(), first);
        env.advance(2 * DAY * 1_000_000);
        assert_ne!(leaf_for(dir.path(), &["localhost"], &env).unwrap(), first);
    }

    #[test]
    fn a_leaf_from_a_clock_that_was_ahead_is_made_again() {
        let (dir, env) = (tempfile::tempdir().unwrap(), start());
        env.advance(40 * DAY * 1_000_000);
        let ahead = leaf_for(dir.path(), &["localhost"], &env).unwrap();
        env.advance(-40 * DAY * 1_000_000);
        assert_ne!(leaf_for(dir.path(), &["localhost"], &env).unwrap(), ahead);
    }

    #[test]
    fn an_authority_without_its_key_is_never_replaced_silently() {
        let (dir, env) = (tempfile::tempdir().unwrap(), start());
        leaf_for(dir.path(), &["localhost"], &env).unwrap();
        fs::remove_file(dir.path().join("tls/ca-key.pem")).unwrap();
        let error = leaf_for(dir.path(), &["localhost"], &env).unwrap_err().to_string();
        assert!(error.contains("ca-key.pem") && error.contains("backup"), "{error}");
    }

    #[test]
    fn an_authority_that_the_operator_removed_is_made_again_with_its_leaf() {
        let (dir, env) = (tempfile::tempdir().unwrap(), start());
        let first = leaf_for(dir.path(), &["localhost"], &env).unwrap();
        for file in ["tls/ca.pem", "tls/ca-key.pem"] {
            fs::remove_file(dir.path().join(file)).unwrap();
        }
        env.advance(1_000_000);
        let second = leaf_for(dir.path(), &["localhost"], &env).unwrap();
        assert_ne!(Facts::of(&second).unwrap().issuer, Facts::of(&first).unwrap().issuer);
        let published = fs::read_to_string(dir.path().join("ca.pem")).unwrap();
        assert_eq!(Facts::of(&published).unwrap().subject, Facts::of(&second).unwrap().issuer);
    }
}
