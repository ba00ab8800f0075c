//! Just enough OpenPGP to tell who signed a release's checksums.
//!
//! It reads public keys and detached binary signatures, version 4, by RSA (2048 to 8192 bits) and Ed25519 with SHA-2,
//! which is what OpenTofu's and HashiCorp's releases and GnuPG's defaults use, and refuses everything else. A key may
//! sign when it certifies itself as a signing key, or is a subkey that the primary key bound as one and that bound
//! itself back; when neither is revoked; and when the signature was made before either expired. Parsing is done here
//! and arithmetic by `ring`: a general OpenPGP library would bring a second set of cryptography for this one question.
//!
//! Source: RFC 9580, sections 5.2 (signatures), 5.5 (keys), 6 (armor), 10 (what keys consist of).
//! Reading order: [`Keyring`], `Signature`, `Certificate`, then the packets.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ring::{digest, signature};

/// Why a signature does not count.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OpenPgpError {
    /// What was read is no key or no signature, or of a kind that is not supported.
    #[error("{0}")]
    Malformed(&'static str),
    /// None of the trusted keys has the id that the signature names.
    #[error("it is signed by the key {0}, which is not trusted")]
    Unknown(String),
    /// The signature is not one over these bytes, or was not made while the key was valid.
    #[error("it does not fit the signature that names the trusted key {0}")]
    Bad(String),
}

type Result<T, E = OpenPgpError> = std::result::Result<T, E>;

/// Keys that are trusted to sign.
#[derive(Clone, Debug, Default)]
pub(super) struct Keyring(Vec<Signer>);

/// A key that may sign, and during which time: seconds since 1970.
#[derive(Clone, Debug)]
struct Signer {
    key: Key,
    until: u64,
    /// The primary key's fingerprint and user, for people.
    owner: String,
}

impl Keyring {
    /// Trusts the keys in a file, armored or not.
    ///
    /// # Errors
    /// When the file holds no key that may sign.
    pub(super) fn add(&mut self, file: &[u8]) -> Result<()> {
        let signers: Vec<Signer> =
            Certificate::all(&dearmor(file)?)?.iter().flat_map(Certificate::signers).collect();
        if signers.is_empty() {
            return Err(OpenPgpError::Malformed("it holds no usable public key that may sign"));
        }
        self.0.extend(signers);
        Ok(())
    }

    /// Whether no key is trusted.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who signed `data`, if `file`, armored or not, holds a signature of it by a trusted key.
    ///
    /// # Errors
    /// When it does not; the error is of the signature that came closest.
    pub(super) fn verify(&self, file: &[u8], data: &[u8]) -> Result<&str> {
        let mut error = OpenPgpError::Malformed("it is no detached OpenPGP signature");
        for (tag, body) in packets(&dearmor(file)?)? {
            let Some(signature) = (tag == TAG_SIGNATURE).then(|| Signature::parse(body)).transpose()? else {
                continue;
            };
            if signature.kind != KIND_BINARY {
                continue;
            }
            let issuer = signature.issuer.ok_or(OpenPgpError::Malformed("the signature names no key"))?;
            for signer in self.0.iter().filter(|signer| signer.key.id() == issuer) {
                // A signature with an end of its own would need a clock to be judged; releases have none.
                let in_time = signature.created >= signer.key.created
                    && u64::from(signature.created) < signer.until
                    && signature.lifetime == 0;
                if in_time && signature.is_by(&signer.key, &[data]) {
                    return Ok(&signer.owner);
                }
                error = OpenPgpError::Bad(signer.owner.clone());
            }
            if !matches!(error, OpenPgpError::Bad(_)) {
                error = OpenPgpError::Unknown(hex(&issuer));
            }
        }
        Err(error)
    }
}

const TAG_SIGNATURE: u8 = 2;
const TAG_PRIMARY: u8 = 6;
const TAG_USER: u8 = 13;
const TAG_SUBKEY: u8 = 14;

const KIND_BINARY: u8 = 0x00;
const KIND_BINDING: u8 = 0x18;
const KIND_BINDING_BACK: u8 = 0x19;
const KIND_DIRECT: u8 = 0x1F;
const KIND_REVOKES_KEY: u8 = 0x20;
const KIND_REVOKES_SUBKEY: u8 = 0x28;

const MAY_SIGN: u8 = 0x02;

/// A public key's own packet.
#[derive(Clone, Debug)]
struct Key {
    created: u32,
    fingerprint: [u8; 20],
    /// As it enters signatures about keys: with its length before it.
    framed: Vec<u8>,
    material: Material,
}

#[derive(Clone, Debug)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Ed25519(Vec<u8>),
}

impl Key {
    /// `None` for keys of a kind that is not supported.
    fn parse(body: &[u8]) -> Result<Option<Self>> {
        const ED25519: &[u8] = &[0x2B, 0x06, 0x01, 0x04, 0x01, 0xDA, 0x47, 0x0F, 0x01];
        let mut reader = Reader(body);
        if reader.byte()? != 4 {
            return Ok(None);
        }
        let created = reader.number(4)?;
        let material = match reader.byte()? {
            1 | 3 => Material::Rsa { n: reader.integer()?.to_vec(), e: reader.integer()?.to_vec() },
            22 => {
                let length = reader.byte()?;
                let curve = reader.take(usize::from(length))?;
                match (curve == ED25519, reader.integer()?) {
                    (true, [0x40, point @ ..]) if point.len() == 32 => Material::Ed25519(point.to_vec()),
                    _ => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        let length = u16::try_from(body.len()).map_err(|_| OpenPgpError::Malformed("a key is too long"))?;
        let framed = [&[0x99][..], &length.to_be_bytes(), body].concat();
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &framed);
        let fingerprint = digest.as_ref().try_into().expect("SHA-1 has twenty bytes");
        Ok(Some(Self { created, fingerprint, framed, material }))
    }

    fn id(&self) -> [u8; 8] {
        self.fingerprint[12..].try_into().expect("eight of twenty bytes are left")
    }

    /// When the key expires, with the lifetime that a signature gives it; 0 is never.
    fn until(&self, lifetime: u32) -> u64 {
        if lifetime == 0 { u64::MAX } else { u64::from(self.created) + u64::from(lifetime) }
    }
}

/// A signature, of which nothing is believed until [`Signature::is_by`] says so.
#[derive(Clone)]
struct Signature<'a> {
    kind: u8,
    algorithm: u8,
    hash: u8,
    /// What is signed besides the subject: everything from the version to the end of the hashed subpackets.
    hashed: &'a [u8],
    value: &'a [u8],
    created: u32,
    /// Seconds from its creation for which it counts; 0 is for ever.
    lifetime: u32,
    key_lifetime: u32,
    flags: Option<u8>,
    issuer: Option<[u8; 8]>,
    embedded: Option<&'a [u8]>,
}

impl<'a> Signature<'a> {
    fn parse(body: &'a [u8]) -> Result<Self> {
        let mut reader = Reader(body);
        if reader.byte()? != 4 {
            return Err(OpenPgpError::Malformed("a signature is not of version 4"));
        }
        let (kind, algorithm, hash) = (reader.byte()?, reader.byte()?, reader.byte()?);
        let length = reader.number(2)?;
        let subpackets = reader.take(length as usize)?;
        let hashed = &body[..6 + subpackets.len()];
        let length = reader.number(2)?;
        let unhashed = reader.take(length as usize)?;
        reader.take(2)?;
        let mut signature = Self {
            kind,
            algorithm,
            hash,
            hashed,
            value: reader.0,
            created: 0,
            lifetime: 0,
            key_lifetime: 0,
            flags: None,
            issuer: None,
            embedded: None,
        };
        signature.subpackets(subpackets, true)?;
        signature.subpackets(unhashed, false)?;
        Ok(signature)
    }

    fn subpackets(&mut self, bytes: &'a [u8], hashed: bool) -> Result<()> {
        const CRITICAL: u8 = 0x80;
        let mut reader = Reader(bytes);
        while !reader.0.is_empty() {
            let length = match reader.byte()? {
                255 => reader.number(4)? as usize,
                first @ 192.. => ((usize::from(first) - 192) << 8) + usize::from(reader.byte()?) + 192,
                first => usize::from(first),
            };
            let mut reader = Reader(reader.take(length)?);
            let kind = reader.byte()?;
            match (kind & !CRITICAL, hashed) {
                (2, true) => self.created = reader.number(4)?,
                (3, true) => self.lifetime = reader.number(4)?,
                (9, true) => self.key_lifetime = reader.number(4)?,
                (27, true) => self.flags = reader.0.first().copied(),
                // The next three prove themselves: a wrong id finds no key or a key that did not sign.
                (16, _) => self.issuer = reader.0.try_into().ok(),
                (32, _) => self.embedded = Some(reader.0),
                (33, _) if reader.0.first() == Some(&4) => {
                    self.issuer = reader.0.last_chunk().copied();
                }
                // Preferences and descriptions, which change nothing about validity.
                (11 | 21..=25 | 28..=31 | 33..=35, _) => {}
                (_, true) if kind & CRITICAL != 0 => {
                    return Err(OpenPgpError::Malformed("a signature has a condition that is not supported"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether this is the key's signature over these bytes.
    fn is_by(&self, key: &Key, subject: &[&[u8]]) -> bool {
        let length = u32::try_from(self.hashed.len()).expect("it has at most 65,541 bytes").to_be_bytes();
        let signed = [&subject.concat(), self.hashed, &[4, 0xFF], &length].concat();
        let (rsa, sha): (&signature::RsaParameters, _) = match self.hash {
            8 => (&signature::RSA_PKCS1_2048_8192_SHA256, &digest::SHA256),
            9 => (&signature::RSA_PKCS1_2048_8192_SHA384, &digest::SHA384),
            10 => (&signature::RSA_PKCS1_2048_8192_SHA512, &digest::SHA512),
            _ => return false,
        };
        let mut reader = Reader(self.value);
        match (&key.material, self.algorithm) {
            (Material::Rsa { n, e }, 1 | 3) => reader.integer().is_ok_and(|value| {
                let Some(padded) = padded(value, n.len()) else { return false };
                signature::RsaPublicKeyComponents { n, e }.verify(rsa, &signed, &padded).is_ok()
            }),
            (Material::Ed25519(point), 22) => {
                let (Ok(r), Ok(s)) = (reader.integer(), reader.integer()) else { return false };
                let (Some(r), Some(s)) = (padded(r, 32), padded(s, 32)) else { return false };
                let key = signature::UnparsedPublicKey::new(&signature::ED25519, point);
                key.verify(digest::digest(sha, &signed).as_ref(), &[r, s].concat()).is_ok()
            }
            _ => false,
        }
    }
}

/// A primary key with what it says of itself and of its subkeys.
struct Certificate<'a> {
    primary: Key,
    user: String,
    revoked: bool,
    own: Option<Signature<'a>>,
    subkeys: Vec<Subkey<'a>>,
}

struct Subkey<'a> {
    key: Key,
    revoked: bool,
    binding: Option<Signature<'a>>,
}

impl<'a> Certificate<'a> {
    /// The certificates in a sequence of packets. Each packet is about the last key or user before it.
    fn all(bytes: &'a [u8]) -> Result<Vec<Self>> {
        let mut all: Vec<Self> = Vec::new();
        // Whether the packets at hand are about a primary key, and a key, that is supported.
        let (mut open, mut known) = (false, false);
        let mut user: Option<&[u8]> = None;
        for (tag, body) in packets(bytes)? {
            match tag {
                TAG_PRIMARY => {
                    let key = Key::parse(body)?;
                    known = key.is_some();
                    open = known;
                    user = None;
                    all.extend(key.map(|primary| Self {
                        primary,
                        user: String::new(),
                        revoked: false,
                        own: None,
                        subkeys: Vec::new(),
                    }));
                }
                _ if !open => {}
                TAG_USER => user = Some(body),
                TAG_SUBKEY => {
                    let key = Key::parse(body)?;
                    known = key.is_some();
                    let subkey = key.map(|key| Subkey { key, revoked: false, binding: None });
                    all.last_mut().expect("one is open").subkeys.extend(subkey);
                }
                // One that cannot be read can prove nothing; others may.
                TAG_SIGNATURE if known => {
                    if let Ok(signature) = Signature::parse(body) {
                        all.last_mut().expect("one is open").hear(signature, user);
                    }
                }
                _ => {}
            }
        }
        Ok(all)
    }

    /// Takes in what a signature says, if the primary key made it. Of several the newest counts.
    fn hear(&mut self, signature: Signature<'a>, user: Option<&[u8]>) {
        let primary = &self.primary;
        let newer =
            |old: &Option<Signature<'_>>| old.as_ref().is_none_or(|old| old.created <= signature.created);
        match (signature.kind, self.subkeys.last_mut()) {
            (0x10..=0x13, None) => {
                let Some(user) = user else { return };
                let length = u32::try_from(user.len()).unwrap_or(u32::MAX).to_be_bytes();
                let subject = [&primary.framed, &[0xB4][..], &length, user];
                if newer(&self.own) && signature.is_by(primary, &subject) {
                    self.user = String::from_utf8_lossy(user).into_owned();
                    self.own = Some(signature);
                }
            }
            (KIND_DIRECT, None) if newer(&self.own) && signature.is_by(primary, &[&primary.framed]) => {
                self.own = Some(signature);
            }
            (KIND_REVOKES_KEY, None) => self.revoked |= signature.is_by(primary, &[&primary.framed]),
            (KIND_BINDING, Some(subkey)) => {
                let subject = [&primary.framed[..], &subkey.key.framed];
                if newer(&subkey.binding) && signature.is_by(primary, &subject) {
                    subkey.binding = Some(signature);
                }
            }
            (KIND_REVOKES_SUBKEY, Some(subkey)) => {
                subkey.revoked |= signature.is_by(primary, &[&primary.framed, &subkey.key.framed]);
            }
            _ => {}
        }
    }

    fn signers(&self) -> Vec<Signer> {
        let Some(own) = self.own.as_ref().filter(|_| !self.revoked) else { return Vec::new() };
        let owner = format!("{} ({})", hex(&self.primary.fingerprint), self.user);
        let until = self.primary.until(own.key_lifetime);
        let mut signers = Vec::new();
        if own.flags.is_none_or(|flags| flags & MAY_SIGN != 0) {
            signers.push(Signer { key: self.primary.clone(), until, owner: owner.clone() });
        }
        for Subkey { key, revoked, binding } in &self.subkeys {
            let Some(binding) = binding.as_ref().filter(|_| !revoked) else { continue };
            // Without the way back, anybody could claim another's subkey, and with it its signatures.
            let back = binding.embedded.and_then(|body| Signature::parse(body).ok()).is_some_and(|back| {
                back.kind == KIND_BINDING_BACK && back.is_by(key, &[&self.primary.framed, &key.framed])
            });
            if back && binding.flags.is_some_and(|flags| flags & MAY_SIGN != 0) {
                let until = until.min(key.until(binding.key_lifetime));
                signers.push(Signer { key: key.clone(), until, owner: owner.clone() });
            }
        }
        signers
    }
}

/// Reads numbers and ranges, and fails where the bytes end early.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(OpenPgpError::Malformed("it ends in the middle of something"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// Of at most four bytes.
    fn number(&mut self, bytes: usize) -> Result<u32> {
        Ok(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    /// A number of any size, whose length in bits stands before it.
    fn integer(&mut self) -> Result<&'a [u8]> {
        let bits = self.number(2)? as usize;
        self.take(bits.div_ceil(8))
    }
}

/// The packets of a file, in both of the formats for their headers.
fn packets(bytes: &[u8]) -> Result<Vec<(u8, &[u8])>> {
    let mut reader = Reader(bytes);
    let mut packets = Vec::new();
    while !reader.0.is_empty() {
        let head = reader.byte()?;
        let (tag, length) = match head {
            0xC0.. => {
                let length = match reader.byte()? {
                    255 => reader.number(4)? as usize,
                    224..255 => return Err(OpenPgpError::Malformed("a packet comes in parts")),
                    first @ 192.. => ((usize::from(first) - 192) << 8) + usize::from(reader.byte()?) + 192,
                    first => usize::from(first),
                };
                (head & 0x3F, length)
            }
            0x80.. => match head & 3 {
                3 => return Err(OpenPgpError::Malformed("a packet has no length")),
                size => ((head >> 2) & 0x0F, reader.number(1 << size)? as usize),
            },
            _ => return Err(OpenPgpError::Malformed("it is not in OpenPGP's format")),
        };
        packets.push((tag, reader.take(length)?));
    }
    Ok(packets)
}

/// The bytes of all armored blocks in a file, or the file itself where it has none.
fn dearmor(file: &[u8]) -> Result<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN PGP ";
    let Some(text) = std::str::from_utf8(file).ok().filter(|text| text.contains(BEGIN)) else {
        return Ok(file.to_vec());
    };
    let mut bytes = Vec::new();
    for block in text.split(BEGIN).skip(1) {
        let lines = block.lines().map(str::trim).skip_while(|line| !line.is_empty()).skip(1);
        // A line that begins with `=` is the checksum, which guards against accidents only.
        let body: String = lines.take_while(|line| !line.starts_with(['=', '-'])).collect();
        bytes.extend(BASE64.decode(body).map_err(|_| OpenPgpError::Malformed("its armor is damaged"))?);
    }
    Ok(bytes)
}

fn padded(number: &[u8], length: usize) -> Option<Vec<u8>> {
    let missing = length.checked_sub(number.len())?;
    Some([&vec![0; missing][..], number].concat())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod forge;
#[cfg(test)]
mod tests;
