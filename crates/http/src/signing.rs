//! Tokens that others verify: JSON Web Tokens, signed by keys whose public half everybody may read.
//!
//! [`sign`] signs with the newest key (RS256: what every cloud takes). [`rotate`] makes a new one; older keys stay among the
//! published ones, so that what they have signed is still good, until [`trim`] removes them. The first key is made when it is
//! first needed. Keys are sealed by the root key. Decisions: `docs/adr/0008-signing-keys.md`; RFC 7515, 7517, 7518.

use crate::App;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use db::{FromRow, args};
use kernel::{Env, Error, Result, Secret, ids::SigningKeyId};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rsa::{
    PrivateKey,
    pkcs8::EncodePrivateKey,
    rand_core::{TryCryptoRng, TryRng},
    traits::PublicKeyParts,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};
use tokio::task::spawn_blocking;

/// The algorithm that [`sign`] uses, as headers and discovery documents name it.
pub const ALGORITHM: &str = "RS256";
/// Bits of a key. More makes every token longer and is not asked for by anybody.
const BITS: usize = 2048;
const LOCK: &str = "no holder of this lock panics";

/// The key that signed last, opened.
#[derive(Default)]
pub(crate) struct Signing {
    opened: Mutex<Option<(SigningKeyId, Arc<RsaKeyPair>)>>,
    /// One at a time: whoever waited finds the key that the first has made.
    making: tokio::sync::Mutex<()>,
}

#[derive(FromRow)]
struct Row {
    id: SigningKeyId,
    private: Vec<u8>,
}

/// A new JSON Web Token with these claims, good for whoever trusts this server's published keys.
///
/// # Errors
/// When the database is away, or the stored key was sealed with another root key.
pub async fn sign(app: &App, claims: &impl Serialize) -> Result<Secret> {
    let (id, pair) = newest(app).await?;
    let header = json!({ "alg": ALGORITHM, "typ": "JWT", "kid": id });
    let part = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
    let header = part(serde_json::to_vec(&header).map_err(Error::internal)?);
    let mut token = format!("{header}.{}", part(serde_json::to_vec(claims).map_err(Error::internal)?));
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
        .map_err(|_| Error::internal("the token could not be signed"))?;
    token.push('.');
    token.push_str(&part(signature));
    Ok(Secret::new(token))
}

/// The published keys, as a JSON Web Key Set: the one that signs comes first.
pub async fn published(app: &App) -> Result<Value> {
    let keys = public(app).await?;
    if !keys.is_empty() {
        return Ok(json!({ "keys": keys }));
    }
    ensure(app).await?;
    Ok(json!({ "keys": public(app).await? }))
}

async fn public(app: &App) -> Result<Vec<Value>> {
    let sql = "SELECT public FROM signing_keys ORDER BY created_at DESC, id";
    let rows: Vec<(String,)> = app.db.all(sql, vec![]).await?;
    rows.iter().map(|(text,)| serde_json::from_str(text).map_err(Error::internal)).collect()
}

/// Makes the first key, where there is none. It takes the better part of a second.
pub async fn ensure(app: &App) -> Result<()> {
    let _alone = app.signing.making.lock().await;
    if stored(app).await?.is_none() {
        make(app).await?;
    }
    Ok(())
}

/// Makes a new key, which signs from now on. Older ones stay published.
pub async fn rotate(app: &App) -> Result<()> {
    let _alone = app.signing.making.lock().await;
    make(app).await
}

/// Removes all keys but the newest: what they have signed is good no more.
pub async fn trim(app: &App) -> Result<()> {
    let Some(newest) = stored(app).await? else { return Ok(()) };
    app.db.exec("DELETE FROM signing_keys WHERE id <> $1", args![&newest.id]).await.map(drop)
}

async fn stored(app: &App) -> Result<Option<Row>> {
    app.db.one("SELECT id, private FROM signing_keys ORDER BY created_at DESC, id LIMIT 1", vec![]).await
}

/// The key that signs. Its row is read each time, because another node may have rotated; it is opened once.
async fn newest(app: &App) -> Result<(SigningKeyId, Arc<RsaKeyPair>)> {
    let row = match stored(app).await? {
        Some(row) => row,
        None => {
            ensure(app).await?;
            stored(app).await?.ok_or(Error::NotFound)?
        }
    };
    let known = app.signing.opened.lock().expect(LOCK).clone();
    if let Some(known) = known.filter(|(id, _)| *id == row.id) {
        return Ok(known);
    }
    let plain = app.root_key.open(&purpose(&row.id), &row.private).map_err(Error::internal)?;
    let pair = RsaKeyPair::from_pkcs8(plain.expose())
        .map_err(|error| Error::internal(format!("the signing key {} cannot be used: {error}", row.id)))?;
    let opened = (row.id, Arc::new(pair));
    *app.signing.opened.lock().expect(LOCK) = Some(opened.clone());
    Ok(opened)
}

fn purpose(id: &SigningKeyId) -> String {
    format!("signing key {id}")
}

async fn make(app: &App) -> Result<()> {
    let id = SigningKeyId::new(&app.env);
    let env = app.env.clone();
    let made = spawn_blocking(move || generate(&env)).await.map_err(Error::internal)?;
    let Made { private, modulus, exponent } = made?;
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let public = json!({
        "kty": "RSA", "alg": ALGORITHM, "use": "sig", "kid": id, "n": number(&modulus), "e": number(&exponent),
    });
    let sealed = app.root_key.seal(&app.env, &purpose(&id), private.expose());
    // After every other, also by a clock that was set back: the newest one signs.
    let sql = "INSERT INTO signing_keys (id, private, public, created_at)
               SELECT $1, $2, $3, CASE WHEN MAX(created_at) >= $4 THEN MAX(created_at) + 1 ELSE $4 END FROM signing_keys";
    app.db.exec(sql, args![&id, sealed, public.to_string(), app.now()]).await.map(drop)
}

/// A key as PKCS #8, and the two numbers of its public half, big end first.
struct Made {
    private: Secret<Vec<u8>>,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

fn generate(env: &Env) -> Result<Made> {
    let key = PrivateKey::new(&mut Generator(env), BITS).map_err(Error::internal)?;
    let private = key.to_pkcs8_der().map_err(Error::internal)?;
    Ok(Made {
        private: Secret::new(private.as_bytes().to_vec()),
        modulus: key.n_bytes().to_vec(),
        exponent: key.e_bytes().to_vec(),
    })
}

/// The environment's randomness, in the form that the maker of keys asks for.
struct Generator<'a>(&'a Env);

impl TryRng for Generator<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.0.random()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.0.random()))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        for chunk in to.chunks_mut(32) {
            chunk.copy_from_slice(&self.0.random::<32>()[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Generator<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};

    #[test]
    fn what_a_made_key_signs_its_public_half_verifies() {
        let Made { private, modulus: n, exponent: e } = generate(&Env::real()).unwrap();
        let pair = RsaKeyPair::from_pkcs8(private.expose()).unwrap();
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), b"text", &mut signature).unwrap();
        let public = RsaPublicKeyComponents { n: &n, e: &e };
        public.verify(&RSA_PKCS1_2048_8192_SHA256, b"text", &signature).unwrap();
        public.verify(&RSA_PKCS1_2048_8192_SHA256, b"other", &signature).unwrap_err();
        assert_eq!((n.len(), e), (BITS / 8, vec![1, 0, 1]));
    }
}
