//! The key hierarchy: a root key that never touches the database, and data keys that never leave it unsealed.
//!
//! The root key is 32 random bytes, in a file of mode 0600 or handed over by the operator. It encrypts nothing itself:
//! [`RootKey::derive`] gives a separate key for each purpose (sealing data keys, signing URLs, hashing tokens), so that
//! no two uses can be played against each other. Each organization has a [`DataKey`]; the database holds it only in
//! its sealed form. Losing the root key loses every sealed value, so a damaged key file is an error and is never
//! replaced by a new one.
//!
//! A sealed value is: one version byte (1), a random 96-bit nonce, the ciphertext, a 128-bit tag (AES-256-GCM). The
//! associated data says what the value is (`var:var-…`), so that a value moved to another row does not open. Random
//! nonces are safe for 2³² values per data key.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kernel::{Env, Secret};
use ring::{aead, hkdf};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

const KEY_LEN: usize = 32;
const VERSION: u8 = 1;
const SEAL_DATA_KEY: &str = "seal-data-key";

/// Why a root key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is not 32 bytes in base64.
    #[error("the root key is not 32 bytes in base64; make one with `openssl rand -base64 32`")]
    Malformed,
    /// The file holds something else than a key.
    #[error("the root key file {} does not hold 32 bytes in base64; restore it from a backup, for nothing encrypted with it can be read otherwise", .0.display())]
    MalformedFile(PathBuf),
    /// Others than the owner may read or write the file.
    #[error("the root key file {} is open to other users (mode {mode:04o}); run `chmod 600 {}`", .path.display(), .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file could not be read or written.
    #[error("cannot use the root key file {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a sealed value did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Too short, or of a version this program does not know.
    #[error("the value is not in a sealed form that this version of the program knows")]
    Format,
    /// Sealed with another key or for another place, or altered.
    #[error("the sealed value was altered, or it belongs to another key or another place")]
    Authentication,
}

/// The installation's root key.
#[derive(Clone)]
pub struct RootKey(Secret<[u8; KEY_LEN]>);

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootKey([secret])")
    }
}

impl RootKey {
    /// Reads a key of 32 bytes in standard base64; white space around it is ignored.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| KeyError::Malformed)?);
        <[u8; KEY_LEN]>::try_from(bytes.as_slice())
            .map(|key| Self(Secret::new(key)))
            .map_err(|_| KeyError::Malformed)
    }

    /// Reads the key file at `path`, or creates it with a new key. Of several processes that create it at once one
    /// wins and all get its key. The key is on disk when this returns.
    ///
    /// # Errors
    /// [`KeyError::Exposed`] when group or others may use the file, [`KeyError::MalformedFile`], [`KeyError::Io`].
    pub fn load_or_create(path: &Path, env: &Env) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { path: path.to_owned(), source };
        match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => create(path, env).map_err(io)?,
            Err(e) => return Err(io(e)),
            Ok(_) => {}
        }
        let mut file = File::open(path).map_err(io)?;
        let mode = file.metadata().map_err(io)?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::with_capacity(64));
        file.read_to_string(&mut text).map_err(io)?;
        Self::from_base64(&text).map_err(|_| KeyError::MalformedFile(path.to_owned()))
    }

    /// The key for one purpose (HKDF-SHA256). The same purpose always gives the same key.
    pub fn derive(&self, purpose: &str) -> [u8; KEY_LEN] {
        let mut key = [0; KEY_LEN];
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"ferroform root key v1")
            .extract(self.0.expose())
            .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key))
            .expect("32 bytes are within what HKDF-SHA256 can give");
        key
    }

    /// Seals a small secret of the installation, by a key for this purpose alone.
    pub fn seal(&self, env: &Env, purpose: &str, plain: &[u8]) -> Vec<u8> {
        seal(&Zeroizing::new(self.derive(&format!("seal {purpose}"))), env, purpose, plain)
    }

    /// Reads what [`RootKey::seal`] gave for the same purpose.
    ///
    /// # Errors
    /// [`SealError`]: another key, another purpose, altered, or not a sealed value.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
        open(&Zeroizing::new(self.derive(&format!("seal {purpose}"))), purpose, sealed).map(Secret::new)
    }
}

/// Writes a new key beside `path` and links it there, which fails rather than replaces when another was faster.
fn create(path: &Path, env: &Env) -> io::Result<()> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = dir.join(format!(".root-key.{}", env.base58(12)));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let key = Zeroizing::new(env.random::<KEY_LEN>());
        let mut text = Zeroizing::new(STANDARD.encode(*key));
        text.push('\n');
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        match fs::hard_link(&temporary, path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    })();
    let removed = fs::remove_file(&temporary);
    written.and(removed)?;
    File::open(dir)?.sync_all()
}

/// One organization's key.
#[derive(Clone)]
pub struct DataKey(Secret<[u8; KEY_LEN]>);

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey([secret])")
    }
}

impl DataKey {
    /// A new, random key.
    pub fn new(env: &Env) -> Self {
        Self(Secret::new(env.random()))
    }

    /// The key for what is sealed for one purpose of the installation and belongs to no organization.
    pub fn of_installation(root: &RootKey, purpose: &str) -> Self {
        Self(Secret::new(root.derive(purpose)))
    }

    /// The form the database keeps: 61 bytes that open only with the root key.
    pub fn sealed(&self, root: &RootKey, env: &Env) -> Vec<u8> {
        let wrapping = Zeroizing::new(root.derive(SEAL_DATA_KEY));
        seal(&wrapping, env, SEAL_DATA_KEY, self.0.expose())
    }

    /// Reads what [`DataKey::sealed`] gave.
    ///
    /// # Errors
    /// [`SealError::Authentication`] when it was sealed with another root key, or altered.
    pub fn open_sealed(root: &RootKey, sealed: &[u8]) -> Result<Self, SealError> {
        let wrapping = Zeroizing::new(root.derive(SEAL_DATA_KEY));
        let key = Zeroizing::new(open(&wrapping, SEAL_DATA_KEY, sealed)?);
        <[u8; KEY_LEN]>::try_from(key.as_slice())
            .map(|key| Self(Secret::new(key)))
            .map_err(|_| SealError::Format)
    }

    /// Seals a small value for the place that `aad` names: 29 bytes longer than `plain`.
    pub fn seal(&self, env: &Env, aad: &str, plain: &[u8]) -> Vec<u8> {
        seal(self.0.expose(), env, aad, plain)
    }

    /// Reads what [`DataKey::seal`] gave for the same `aad`.
    ///
    /// # Errors
    /// [`SealError`]: another key, another place, altered, or not a sealed value.
    pub fn open(&self, aad: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        open(self.0.expose(), aad, sealed)
    }

    /// The key of one object: derived from this key, the object's random salt and its id, so that the counters which
    /// serve as nonces within an object never meet those of another one.
    pub(crate) fn for_object(&self, salt: &[u8], id: &str) -> aead::LessSafeKey {
        let unbound = hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
            .extract(self.0.expose())
            .expand(&[b"object v1 ", id.as_bytes()], &aead::AES_256_GCM)
            .map(aead::UnboundKey::from)
            .expect("a key of AES-256 is within what HKDF-SHA256 can give");
        aead::LessSafeKey::new(unbound)
    }
}

fn cipher(key: &[u8; KEY_LEN]) -> aead::LessSafeKey {
    let unbound = aead::UnboundKey::new(&aead::AES_256_GCM, key).expect("the key has the length of AES-256");
    aead::LessSafeKey::new(unbound)
}

fn seal(key: &[u8; KEY_LEN], env: &Env, aad: &str, plain: &[u8]) -> Vec<u8> {
    let nonce = env.random::<{ aead::NONCE_LEN }>();
    let start = 1 + nonce.len();
    let mut out = Vec::with_capacity(start + plain.len() + aead::MAX_TAG_LEN);
    out.push(VERSION);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(plain);
    let tag = cipher(key)
        .seal_in_place_separate_tag(
            aead::Nonce::assume_unique_for_key(nonce),
            aead::Aad::from(aad.as_bytes()),
            &mut out[start..],
        )
        .expect("a value in memory is shorter than AES-GCM's limit of 64 GiB");
    out.extend_from_slice(tag.as_ref());
    out
}

fn open(key: &[u8; KEY_LEN], aad: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let (&version, rest) = sealed.split_first().ok_or(SealError::Format)?;
    let (&nonce, body) = rest.split_first_chunk::<{ aead::NONCE_LEN }>().ok_or(SealError::Format)?;
    if version != VERSION || body.len() < aead::MAX_TAG_LEN {
        return Err(SealError::Format);
    }
    let mut body = body.to_vec();
    let plain_len = cipher(key)
        .open_in_place(aead::Nonce::assume_unique_for_key(nonce), aead::Aad::from(aad.as_bytes()), &mut body)
        .map_err(|_| SealError::Authentication)?
        .len();
    body.truncate(plain_len);
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_root_key_file_is_made_once_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        let first = RootKey::load_or_create(&path, &Env::real()).unwrap();
        let again = RootKey::load_or_create(&path, &Env::real()).unwrap();
        assert_eq!(first.derive("x"), again.derive("x"));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn processes_that_create_the_root_key_at_once_agree_on_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        let keys: Vec<_> = std::thread::scope(|s| {
            let make = || RootKey::load_or_create(&path, &Env::real()).unwrap().derive("x");
            let threads: Vec<_> = (0..8).map(|_| s.spawn(make)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|k| *k == keys[0]));
    }

    #[test]
    fn a_root_key_that_others_can_read_is_refused_with_the_cure() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        RootKey::load_or_create(&path, &Env::real()).unwrap();
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let text = RootKey::load_or_create(&path, &Env::real()).unwrap_err().to_string();
            assert!(text.contains("chmod 600") && text.contains(&format!("{mode:04o}")), "{text}");
        }
    }

    #[test]
    fn a_damaged_root_key_file_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        for damage in ["", "c2hvcnQ=", "not base64 at all"] {
            fs::write(&path, damage).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let refused = RootKey::load_or_create(&path, &Env::real());
            assert!(matches!(refused, Err(KeyError::MalformedFile(_))));
            assert_eq!(fs::read_to_string(&path).unwrap(), damage);
        }
    }

    #[test]
    fn purposes_have_separate_keys() {
        let root = RootKey::from_base64(&STANDARD.encode([7; 32])).unwrap();
        assert_ne!(root.derive("signed-urls"), root.derive("tokens"));
        assert!(RootKey::from_base64(&STANDARD.encode([7; 31])).is_err());
    }

    #[test]
    fn a_data_key_opens_only_with_the_root_key_that_sealed_it() {
        let env = Env::real();
        let root = RootKey::from_base64(&STANDARD.encode([7; 32])).unwrap();
        let other = RootKey::from_base64(&STANDARD.encode([8; 32])).unwrap();
        let key = DataKey::new(&env);
        let sealed = key.sealed(&root, &env);
        assert_eq!(sealed.len(), 61);
        let value = key.seal(&env, "var:1", b"hunter2");
        assert_eq!(DataKey::open_sealed(&root, &sealed).unwrap().open("var:1", &value).unwrap(), b"hunter2");
        assert_eq!(DataKey::open_sealed(&other, &sealed).unwrap_err(), SealError::Authentication);
    }

    #[test]
    fn a_sealed_value_opens_only_whole_with_its_key_and_in_its_place() {
        let env = Env::real();
        let key = DataKey::new(&env);
        let sealed = key.seal(&env, "var:1", b"hunter2");
        assert!(!sealed.windows(7).any(|w| w == b"hunter2"));
        assert_eq!(key.open("var:2", &sealed), Err(SealError::Authentication));
        assert_eq!(DataKey::new(&env).open("var:1", &sealed), Err(SealError::Authentication));
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(key.open("var:1", &altered).is_err(), "byte {at}");
            assert!(key.open("var:1", &sealed[..at]).is_err(), "cut at {at}");
        }
        assert_ne!(sealed, key.seal(&env, "var:1", b"hunter2"), "equal values look different");
    }

    #[test]
    fn keys_do_not_show_themselves() {
        let root = RootKey::from_base64(&STANDARD.encode([7; 32])).unwrap();
        assert_eq!(
            format!("{root:?} {:?}", DataKey::new(&Env::real())),
            "RootKey([secret]) DataKey([secret])"
        );
    }
}
