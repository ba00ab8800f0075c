//! Verifying an ID token: its signature by a key of the provider, and every claim that the standard asks to look at.
//!
//! Only signatures by public keys are taken, never `none` and never one by a shared secret, and the algorithm must be the
//! key's own. Source: OpenID Connect Core 1.0 §3.1.3.7; RFC 7515, 7517, 7518; RFC 8725.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kernel::Timestamp;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Seconds by which the provider's clock and ours may differ.
const LEEWAY: i64 = 60;

/// A public key as the provider publishes it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// What a token must say.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) audience: &'a str,
    pub(super) nonce: &'a str,
    pub(super) now: Timestamp,
}

/// What a verified token says.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) subject: String,
    pub(super) all: Map<String, Value>,
}

fn decode(part: &str) -> Result<Vec<u8>, String> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| "the ID token is not in base 64".to_owned())
}

fn header(token: &str) -> Result<Header, String> {
    let head = token.split('.').next().unwrap_or_default();
    serde_json::from_slice(&decode(head)?).map_err(|_| "the ID token has no header".to_owned())
}

impl Jwk {
    fn may_have_signed(&self, header: &Header) -> bool {
        let fits = |own: &Option<String>, asked: &str| own.as_deref().is_none_or(|own| own == asked);
        let kid = header.kid.as_deref().is_none_or(|kid| self.kid.as_deref() == Some(kid));
        kid && fits(&self.usage, "sig") && fits(&self.alg, &header.alg)
    }

    fn verifies(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        let number = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let rsa = |parameters: &'static RsaParameters| {
            let (Some(n), Some(e)) = (number(&self.n), number(&self.e)) else { return false };
            // ring takes numbers without leading zeros.
            let plain =
                |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
            RsaPublicKeyComponents { n: plain(&n), e: plain(&e) }
                .verify(parameters, message, signature)
                .is_ok()
        };
        let raw = |algorithm: &'static dyn VerificationAlgorithm, key: Option<Vec<u8>>| {
            key.is_some_and(|key| UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok())
        };
        let point = || Some([&[4][..], &number(&self.x)?, &number(&self.y)?].concat());
        match (self.kty.as_str(), self.crv.as_deref(), algorithm) {
            ("RSA", _, "RS256") => rsa(&RSA_PKCS1_2048_8192_SHA256),
            ("RSA", _, "RS384") => rsa(&RSA_PKCS1_2048_8192_SHA384),
            ("RSA", _, "RS512") => rsa(&RSA_PKCS1_2048_8192_SHA512),
            ("RSA", _, "PS256") => rsa(&RSA_PSS_2048_8192_SHA256),
            ("RSA", _, "PS384") => rsa(&RSA_PSS_2048_8192_SHA384),
            ("RSA", _, "PS512") => rsa(&RSA_PSS_2048_8192_SHA512),
            ("EC", Some("P-256"), "ES256") => raw(&ECDSA_P256_SHA256_FIXED, point()),
            ("EC", Some("P-384"), "ES384") => raw(&ECDSA_P384_SHA384_FIXED, point()),
            ("OKP", Some("Ed25519"), "EdDSA") => raw(&ED25519, number(&self.x)),
            _ => false,
        }
    }
}

/// Whether one of the keys is the one that a token names.
pub(super) fn has_key_of(token: &str, keys: &[Jwk]) -> bool {
    header(token).is_ok_and(|header| keys.iter().any(|key| key.may_have_signed(&header)))
}

/// The claims of a token that is genuine, for us, and of now.
///
/// # Errors
/// A sentence for the log that does not hold the token.
pub(super) fn verify(token: &str, keys: &[Jwk], expected: &Expected<'_>) -> Result<Claims, String> {
    let header = header(token)?;
    if header.crit.is_some() {
        return Err("the ID token has extensions that must be understood".to_owned());
    }
    let (message, signature) = token.rsplit_once('.').ok_or("the ID token has no signature")?;
    let payload =
        message.split_once('.').map(|(_, payload)| payload).filter(|payload| !payload.contains('.'));
    let payload = payload.ok_or("the ID token does not have three parts")?;
    let signature = decode(signature)?;
    let genuine = keys
        .iter()
        .filter(|key| key.may_have_signed(&header))
        .any(|key| key.verifies(&header.alg, message.as_bytes(), &signature));
    if !genuine {
        return Err(format!("no key of the provider has signed the ID token ({})", header.alg));
    }
    let all: Map<String, Value> =
        serde_json::from_slice(&decode(payload)?).map_err(|_| "the ID token holds no claims".to_owned())?;
    check(&all, expected)?;
    let subject = text(&all, "sub").filter(|subject| (1..=255).contains(&subject.len()));
    let subject = subject.ok_or("the ID token names nobody")?.to_owned();
    Ok(Claims { subject, all })
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str()
}

fn check(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), String> {
    if text(claims, "iss") != Some(expected.issuer) {
        return Err(format!("the ID token is by {:?}, not by {}", claims.get("iss"), expected.issuer));
    }
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    if !audiences.contains(&expected.audience) {
        return Err(format!("the ID token is for {audiences:?}, not for {}", expected.audience));
    }
    let party = text(claims, "azp");
    if (audiences.len() > 1 || party.is_some()) && party != Some(expected.audience) {
        return Err(format!("the ID token was given to {party:?}, not to {}", expected.audience));
    }
    // Seconds, which some providers write with a fraction.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float that is too large becomes the largest integer"
    )]
    let seconds = |name: &str| {
        let value = claims.get(name)?;
        value.as_i64().or_else(|| value.as_f64().map(|float| float as i64))
    };
    let now = expected.now.micros() / 1_000_000;
    if seconds("exp").is_none_or(|end| now >= end.saturating_add(LEEWAY)) {
        return Err(
            "the ID token has expired, or does not say when it does; is the server's clock right?".to_owned()
        );
    }
    let begin = seconds("iat").ok_or("the ID token does not say when it was made")?;
    if begin.max(seconds("nbf").unwrap_or(begin)) > now + LEEWAY {
        return Err("the ID token is of the future; is the server's clock right?".to_owned());
    }
    if text(claims, "nonce") != Some(expected.nonce) {
        return Err("the ID token answers another request than this browser's".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
    };
    use serde_json::json;

    const NOW: i64 = 1_790_000_000;

    struct Signer(EcdsaKeyPair, SystemRandom);

    impl Signer {
        fn new() -> Self {
            let random = SystemRandom::new();
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            let pair =
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
            Self(pair, random)
        }

        fn key(&self) -> Jwk {
            let point = self.0.public_key().as_ref();
            let part = |range: std::ops::Range<usize>| Some(URL_SAFE_NO_PAD.encode(&point[range]));
            let text = |text: &str| Some(text.to_owned());
            Jwk {
                kty: "EC".into(),
                kid: text("k"),
                crv: text("P-256"),
                x: part(1..33),
                y: part(33..65),
                ..Jwk::default()
            }
        }

        fn sign(&self, header: &Value, claims: &Value) -> String {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let message = format!("{}.{}", part(header), part(claims));
            let signature = self.0.sign(&self.1, message.as_bytes()).unwrap();
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
    }

    fn claims() -> Value {
        json!({ "iss": "https://id.test", "aud": "ferroform", "sub": "42", "nonce": "n", "iat": NOW, "exp": NOW + 300 })
    }

    fn judge(signer: &Signer, token: &str) -> Result<Claims, String> {
        let expected = Expected {
            issuer: "https://id.test",
            audience: "ferroform",
            nonce: "n",
            now: Timestamp::from_micros(NOW * 1_000_000),
        };
        verify(token, &[signer.key()], &expected)
    }

    #[test]
    fn a_token_counts_only_if_every_claim_is_as_expected() {
        let signer = Signer::new();
        let header = json!({ "alg": "ES256", "kid": "k" });
        assert_eq!(judge(&signer, &signer.sign(&header, &claims())).unwrap().subject, "42");
        let wrong = [
            ("iss", json!("https://evil.test")),
            ("iss", json!("https://id.test/")),
            ("aud", json!("other")),
            ("aud", json!(["ferroform", "other"])),
            ("azp", json!("other")),
            ("exp", json!(NOW - 61)),
            ("exp", Value::Null),
            ("iat", json!(NOW + 61)),
            ("nbf", json!(NOW + 61)),
            ("nonce", json!("other")),
            ("nonce", Value::Null),
            ("sub", json!("")),
            ("sub", json!(42)),
        ];
        for (name, value) in wrong {
            let mut changed = claims();
            changed[name] = value.clone();
            judge(&signer, &signer.sign(&header, &changed)).expect_err(&format!("{name} {value}"));
        }
        let mut many = claims();
        (many["aud"], many["azp"]) = (json!(["other", "ferroform"]), json!("ferroform"));
        judge(&signer, &signer.sign(&header, &many)).unwrap();
    }

    #[test]
    fn a_token_counts_only_if_a_key_of_the_provider_has_signed_it_as_the_key_signs() {
        let (signer, other) = (Signer::new(), Signer::new());
        let header = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid });
        let good = signer.sign(&header("ES256", "k"), &claims());
        judge(&other, &good).unwrap_err();
        for bad in [header("none", "k"), header("HS256", "k"), header("RS256", "k"), header("ES256", "other")]
        {
            judge(&signer, &signer.sign(&bad, &claims())).expect_err(&bad.to_string());
        }
        let unsigned = good.rsplit_once('.').unwrap().0;
        for bad in [format!("{unsigned}."), unsigned.to_owned(), format!("{good}.x"), String::new()] {
            judge(&signer, &bad).expect_err(&bad);
        }
        let critical = json!({ "alg": "ES256", "kid": "k", "crit": ["x"] });
        judge(&signer, &signer.sign(&critical, &claims())).unwrap_err();
        judge(&signer, &signer.sign(&json!({ "alg": "ES256" }), &claims())).unwrap();
    }
}
