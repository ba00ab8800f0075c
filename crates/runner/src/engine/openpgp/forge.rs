//! Makes Ed25519 keys and signatures for tests, valid ones and ones that must be refused. Also used by the tests of
//! downloads, which include this file.

use ring::{
    digest,
    rand::{SecureRandom, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair},
};

/// A secret key with its public packet's body.
pub(crate) struct Secret {
    pair: Ed25519KeyPair,
    pub(crate) body: Vec<u8>,
}

impl Secret {
    pub(crate) fn new(created: u32) -> Self {
        let mut seed = [0; 32];
        SystemRandom::new().fill(&mut seed).unwrap();
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let mut body = vec![4];
        body.extend(created.to_be_bytes());
        body.extend([22, 9, 0x2B, 0x06, 0x01, 0x04, 0x01, 0xDA, 0x47, 0x0F, 0x01]);
        body.extend([1, 7, 0x40]);
        body.extend(pair.public_key().as_ref());
        Self { pair, body }
    }

    pub(crate) fn framed(&self) -> Vec<u8> {
        [&[0x99, 0, u8::try_from(self.body.len()).unwrap()][..], &self.body].concat()
    }

    fn id(&self) -> [u8; 8] {
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.framed());
        *digest.as_ref().last_chunk().unwrap()
    }

    /// The body of a signature packet over `subject`, with further hashed subpackets.
    pub(crate) fn sign(&self, kind: u8, created: u32, further: &[(u8, &[u8])], subject: &[u8]) -> Vec<u8> {
        let created = created.to_be_bytes();
        let mut subpackets = Vec::new();
        for (kind, value) in [(2, &created[..]), (16, &self.id())].iter().chain(further) {
            let length = value.len() + 1;
            if length < 192 {
                subpackets.push(u8::try_from(length).unwrap());
            } else {
                subpackets.push(255);
                subpackets.extend(u32::try_from(length).unwrap().to_be_bytes());
            }
            subpackets.push(*kind);
            subpackets.extend(*value);
        }
        let mut body = vec![4, kind, 22, 8];
        body.extend(u16::try_from(subpackets.len()).unwrap().to_be_bytes());
        body.extend(subpackets);
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let hash = digest::digest(&digest::SHA256, &[subject, &body, &[4, 0xFF], &length].concat());
        let value = self.pair.sign(hash.as_ref());
        body.extend([0, 0]);
        body.extend(&hash.as_ref()[..2]);
        for number in value.as_ref().chunks(32) {
            // Numbers have no leading zeros.
            let number = &number[number.iter().take_while(|byte| **byte == 0).count()..];
            let bits = number.len() * 8 - number.first().map_or(0, |byte| byte.leading_zeros() as usize);
            body.extend(u16::try_from(bits).unwrap().to_be_bytes());
            body.extend(number);
        }
        body
    }

    /// A detached signature file.
    pub(crate) fn detached(&self, created: u32, data: &[u8]) -> Vec<u8> {
        packet(2, &self.sign(0x00, created, &[], data))
    }

    /// A public key file: the key, a user, and the key's signature over both.
    pub(crate) fn certificate(&self, user: &str, created: u32, further: &[(u8, &[u8])]) -> Vec<u8> {
        let length = u32::try_from(user.len()).unwrap().to_be_bytes();
        let subject = [&self.framed(), &[0xB4][..], &length, user.as_bytes()].concat();
        let own = self.sign(0x13, created, further, &subject);
        [packet(6, &self.body), packet(13, user.as_bytes()), packet(2, &own)].concat()
    }
}

/// A packet in the newer format.
pub(crate) fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[0xC0 | tag, 255][..], &length, body].concat()
}
