//! Certificates: the server's own authority and leaf, or the operator's files.
//!
//! The authority is written once ([`own`]). The leaf is made for the names that clients may use, and made again when they
//! change or less than a third of its life is left, also while the server runs. Files of the operator are read again on
//! SIGHUP and twice a day.

mod facts;
mod own;

pub use facts::Facts;

use crate::options::Tls;
use kernel::Env;
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
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
    time::Duration,
};

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

/// Makes or loads what `tls` says, with the server's own in the data directory `dir`; `None` for plain HTTP.
///
/// # Errors
/// With the file and what is wrong with it.
pub fn load(tls: &Tls, dir: &Path, names: Vec<String>, env: &Env) -> io::Result<Option<Arc<Certificates>>> {
    let source = match tls {
        Tls::Off => return Ok(None),
        Tls::Auto => Source::Own { dir: dir.join("tls"), names },
        Tls::Files(cert, key) => Source::Files { cert: cert.clone(), key: key.clone() },
    };
    let current = source.key(env).map_err(|e| match &source {
        Source::Own { .. } => e,
        Source::Files { .. } => io::Error::new(e.kind(), format!("--tls: {e}")),
    });
    let current = RwLock::new(current?);
    Ok(Some(Arc::new(Certificates { source, env: env.clone(), current })))
}

/// The file with the leaf of a data directory's own authority.
pub fn own_leaf(data_dir: &Path) -> PathBuf {
    data_dir.join("tls/leaf.pem")
}

/// Where systems keep all certificates that they trust, in one file.
const TRUSTED: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Writes a file with what the system trusts and our own authority, beside that, and returns its path.
///
/// # Errors
/// When it cannot be written.
pub fn bundle(authority: &Path) -> io::Result<PathBuf> {
    let mut all = TRUSTED.iter().find_map(|file| fs::read(file).ok()).unwrap_or_default();
    if !all.is_empty() && !all.ends_with(b"\n") {
        all.push(b'\n');
    }
    all.extend(fs::read(authority)?);
    let path = authority.with_file_name("trusted-by-runs.pem");
    fs::write(&path, all)?;
    Ok(path)
}

/// The names that the leaf is made for: those by which this machine is reached, and the host of the URL. Addresses are in
/// their usual form, and names in lower case.
pub fn names(listen: SocketAddr, url: &str) -> Vec<String> {
    let mut names: BTreeSet<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    if !listen.ip().is_unspecified() {
        names.insert(listen.ip().to_string());
    }
    if let Ok(host) = nix::unistd::gethostname() {
        // What is no DNS name cannot be asked for either.
        names.extend(host.into_string().ok().filter(|name| !name.is_empty() && name.is_ascii()));
    }
    if let Some(host) = url.parse::<axum::http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)) {
        let host = host.trim_matches(['[', ']']);
        names.insert(host.parse::<IpAddr>().map_or_else(|_| host.to_owned(), |address| address.to_string()));
    }
    names.into_iter().map(|name| name.to_ascii_lowercase()).collect::<BTreeSet<_>>().into_iter().collect()
}

impl Certificates {
    /// What a listener needs: HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// None that the built-in cryptography has.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Looks at the source again: renews the own leaf when it is time, rereads files. New connections get the result.
    ///
    /// # Errors
    /// With the file and what is wrong with it; the former certificate stays in use.
    pub fn refresh(&self) -> io::Result<()> {
        let key = self.source.key(&self.env)?;
        *self.current.write().expect("no holder of this lock panics") = key;
        Ok(())
    }

    /// The file with the authority that clients must trust, if it is our own.
    pub fn authority(&self) -> Option<PathBuf> {
        match &self.source {
            Source::Own { dir, .. } => Some(own::published(dir)),
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
        let certified = match self {
            Self::Files { cert, key } => certified(&read(cert)?, cert, &read(key)?, key)?,
            Self::Own { dir, names } => {
                let (pem, file) = (own::leaf(dir, names, env)?, dir.join("leaf.pem"));
                certified(&pem, &file, &pem, &file)?
            }
        };
        Ok(Arc::new(certified))
    }
}

fn read(path: &Path) -> io::Result<String> {
    fs::read_to_string(path).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
}

/// Certificate and key from PEM texts, and the files to blame.
fn certified(cert: &str, cert_file: &Path, key: &str, key_file: &Path) -> io::Result<CertifiedKey> {
    let wrong =
        |file: &Path, why: &dyn std::fmt::Display| io::Error::other(format!("{}: {why}", file.display()));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(cert.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|e| wrong(cert_file, &format!("not a PEM certificate: {e}")))?;
    if chain.is_empty() {
        return Err(wrong(cert_file, &"the file holds no PEM certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|e| wrong(key_file, &format!("not an unencrypted PEM key: {e}")))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|e| {
        wrong(key_file, &format!("the key cannot be used with the certificate {}: {e}", cert_file.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(cert: &Path, key: &Path) -> String {
        let tls = Tls::Files(cert.to_owned(), key.to_owned());
        load(&tls, Path::new("/nowhere"), vec![], &Env::real()).unwrap_err().to_string()
    }

    #[test]
    fn files_that_cannot_be_used_are_named_with_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
        assert!(refusal(&cert, &key).contains("c.pem: No such file"));
        fs::write(&cert, "nothing").unwrap();
        fs::write(&key, "nothing").unwrap();
        assert!(refusal(&cert, &key).contains("c.pem: the file holds no PEM certificate"));
        let leaf = own::leaf(&dir.path().join("tls"), &["localhost".to_owned()], &Env::real()).unwrap();
        fs::write(&cert, leaf).unwrap();
        assert!(refusal(&cert, &key).contains("k.pem: not an unencrypted PEM key"));
        fs::copy(dir.path().join("tls/ca-key.pem"), &key).unwrap();
        let mismatch = refusal(&cert, &key);
        assert!(mismatch.contains("k.pem") && mismatch.contains("c.pem"), "{mismatch}");
    }

    #[test]
    fn the_names_are_those_of_the_address_the_url_and_this_machine() {
        let names = names("192.0.2.7:443".parse().unwrap(), "https://TFE.example.com:8443");
        for name in ["localhost", "127.0.0.1", "::1", "192.0.2.7", "tfe.example.com"] {
            assert!(names.iter().any(|n| n == name), "{name} in {names:?}");
        }
        let unspecified = super::names("0.0.0.0:443".parse().unwrap(), "https://[0:0::1]");
        assert!(!unspecified.iter().any(|name| name == "0.0.0.0" || name == "0:0::1"), "{unspecified:?}");
    }
}
