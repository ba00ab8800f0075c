//! Rights that travel in a URL, and tokens that are kept only as a hash.
//!
//! A [`Signer`]'s token stands in a path segment (`/_signed/{token}`), needs no login, names one thing for one purpose
//! and ends at an instant. Nothing is stored for it: whoever holds it has the right until it expires, so callers that
//! allow one use only must look at the thing itself.
//!
//! A [`TokenHasher`] gives the only form in which API tokens are stored. Tokens have 256 random bits, hence a single
//! keyed hash is enough; the key keeps a stolen database from being useful even for telling whether a token was known.

use crate::hex;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kernel::Timestamp;
use ring::hmac;

/// Makes and checks the tokens of signed URLs.
#[derive(Clone, Debug)]
pub struct Signer(hmac::Key);

impl Signer {
    /// From a key that serves nothing else (`RootKey::derive("signed-urls")`).
    pub fn new(key: [u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }

    /// A token for `purpose` on `id` until `expires`, made of `A–Z a–z 0–9 - _ .` only.
    pub fn sign(&self, purpose: &str, id: &str, expires: Timestamp) -> String {
        let mut payload = expires.micros().to_be_bytes().to_vec();
        payload.extend_from_slice(id.as_bytes());
        let mac = hmac::sign(&self.0, &signed_bytes(purpose, &payload));
        let mut token = URL_SAFE_NO_PAD.encode(&payload);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(mac, &mut token);
        token
    }

    /// The id that `token` names, unless it was altered, made for another purpose or with another key, or has expired.
    pub fn verify(&self, token: &str, purpose: &str, now: Timestamp) -> Option<String> {
        let (payload, mac) = token.split_once('.')?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        hmac::verify(&self.0, &signed_bytes(purpose, &payload), &mac).ok()?;
        let (expires, id) = payload.split_first_chunk::<8>()?;
        if now >= Timestamp::from_micros(i64::from_be_bytes(*expires)) {
            return None;
        }
        String::from_utf8(id.to_vec()).ok()
    }
}

/// The purpose goes in with its length, or `("a", "bc")` and `("ab", "c")` would have one signature.
fn signed_bytes(purpose: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + purpose.len() + payload.len());
    bytes.extend_from_slice(&(purpose.len() as u64).to_be_bytes());
    bytes.extend_from_slice(purpose.as_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Turns API tokens into the form that is stored and looked up.
#[derive(Clone, Debug)]
pub struct TokenHasher(hmac::Key);

impl TokenHasher {
    /// From a key that serves nothing else (`RootKey::derive("tokens")`).
    pub fn new(key: [u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }

    /// HMAC-SHA256 of the token, 64 hexadecimal digits.
    pub fn hash(&self, token: &str) -> String {
        hex(hmac::sign(&self.0, token.as_bytes()).as_ref())
    }

    /// Whether `hash` is this token's, in a time that does not depend on where they differ.
    pub fn verify(&self, token: &str, hash: &str) -> bool {
        unhex(hash).is_some_and(|mac| hmac::verify(&self.0, token.as_bytes(), &mac).is_ok())
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    #[test]
    fn a_signed_token_names_its_thing_until_it_expires() {
        let signer = Signer::new([1; 32]);
        let token = signer.sign("upload", "cv-123", NOON.plus_seconds(60));
        assert_eq!(signer.verify(&token, "upload", NOON).as_deref(), Some("cv-123"));
        assert_eq!(signer.verify(&token, "upload", NOON.plus_seconds(59)).as_deref(), Some("cv-123"));
        assert_eq!(signer.verify(&token, "upload", NOON.plus_seconds(60)), None);
        assert!(token.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c)), "{token}");
    }

    #[test]
    fn a_signed_token_serves_one_purpose_and_one_key() {
        let signer = Signer::new([1; 32]);
        let token = signer.sign("upload", "cv-123", NOON.plus_seconds(60));
        assert_eq!(signer.verify(&token, "download", NOON), None);
        assert_eq!(signer.verify(&token, "unload", NOON), None);
        assert_eq!(signer.verify(&token, "uploa", NOON), None);
        assert_eq!(Signer::new([2; 32]).verify(&token, "upload", NOON), None);
    }

    #[test]
    fn an_altered_token_is_refused_whichever_character_changed() {
        let signer = Signer::new([1; 32]);
        let token = signer.sign("upload", "cv-123", NOON.plus_seconds(60));
        for at in 0..token.len() {
            for other in ["A", "b", "_", "."] {
                let mut altered = token.clone();
                altered.replace_range(at..=at, other);
                assert!(altered == token || signer.verify(&altered, "upload", NOON).is_none(), "{altered}");
            }
            assert_eq!(signer.verify(&token[..at], "upload", NOON), None);
        }
        assert_eq!(signer.verify(&format!("{token}A"), "upload", NOON), None);
        assert_eq!(signer.verify("", "upload", NOON), None);
        assert_eq!(signer.verify(".", "upload", NOON), None);
    }

    #[test]
    fn a_token_is_known_by_its_keyed_hash_alone() {
        let hasher = TokenHasher::new([1; 32]);
        let hash = hasher.hash("secret.atlasv1.token");
        assert_eq!(hash.len(), 64);
        assert!(hasher.verify("secret.atlasv1.token", &hash));
        assert!(!hasher.verify("secret.atlasv1.tokem", &hash));
        assert!(!hasher.verify("secret.atlasv1.token", &hash[..62]));
        assert!(!hasher.verify("secret.atlasv1.token", "é"));
        assert_ne!(TokenHasher::new([2; 32]).hash("secret.atlasv1.token"), hash);
    }
}
