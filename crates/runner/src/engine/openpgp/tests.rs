use super::{
    forge::{Secret, packet},
    *,
};

const DATA: &[u8] = b"0000  tofu_1.0.0_linux_amd64.zip\n";
const SIGN: &[u8] = &[MAY_SIGN];

fn ring_of(file: &[u8]) -> Keyring {
    let mut keyring = Keyring::default();
    keyring.add(file).unwrap();
    keyring
}

#[test]
fn the_built_in_key_is_opentofus() {
    let keyring = ring_of(crate::engine::download::OPENTOFU_KEY);
    // The key that https://get.opentofu.org/opentofu.asc serves; its encryption subkey does not sign.
    let owners: Vec<_> = keyring.0.iter().map(|signer| signer.owner.as_str()).collect();
    let expected = "E3E6E43D84CB852EADB0051D0C0AF313E5FD9F80 (OpenTofu (This key is used to sign opentofu providers) \
                    <core@opentofu.org>)";
    assert_eq!(owners, [expected]);
}

/// The files were made by GnuPG 2.2: a certifying RSA key with a signing subkey, and a signing Ed25519 key.
#[test]
fn what_gnupg_signed_is_accepted() {
    let keyring = ring_of(include_bytes!("testdata/keys.asc"));
    let rsa = include_bytes!("testdata/rsa.sig");
    let ed25519 = include_bytes!("testdata/ed25519.asc");
    assert!(keyring.verify(rsa, b"release\n").unwrap().contains("release@example.com"));
    assert!(keyring.verify(ed25519, b"release\n").unwrap().contains("curve@example.com"));
    for signature in [&rsa[..], ed25519] {
        assert!(matches!(keyring.verify(signature, b"release"), Err(OpenPgpError::Bad(_))));
    }
}

#[test]
fn no_changed_bit_and_no_missing_byte_of_a_signature_is_accepted() {
    let keyring = ring_of(include_bytes!("testdata/keys.asc"));
    let signature = include_bytes!("testdata/rsa.sig");
    for index in 0..signature.len() {
        assert!(keyring.verify(&signature[..index], b"release\n").is_err(), "cut at {index}");
        let mut changed = signature.to_vec();
        changed[index] ^= 1;
        if keyring.verify(&changed, b"release\n").is_ok() {
            // What is not signed may change, as long as it misleads nobody: the key's id said a second time, the first
            // two bytes of the digest, and how many bits of the value's first byte are used.
            let unhashed = signature.windows(10).rposition(|bytes| bytes[..2] == [9, 16]).unwrap() - 2;
            assert!((unhashed..unhashed + 16).contains(&index), "bit of byte {index}");
        }
    }
}

#[test]
fn a_key_that_is_not_trusted_is_named() {
    let (ours, other) = (Secret::new(100), Secret::new(100));
    let keyring = ring_of(&ours.certificate("us", 100, &[(27, SIGN)]));
    assert!(keyring.verify(&ours.detached(200, DATA), DATA).is_ok());
    let error = keyring.verify(&other.detached(200, DATA), DATA).unwrap_err();
    assert!(matches!(&error, OpenPgpError::Unknown(id) if id.len() == 16), "{error}");
    assert!(keyring.verify(b"<html>not found</html>", DATA).is_err());
    assert!(keyring.verify(b"", DATA).is_err());
}

#[test]
fn only_signatures_made_while_the_key_was_valid_count() {
    let secret = Secret::new(100);
    let day = 50_u32.to_be_bytes();
    let keyring = ring_of(&secret.certificate("us", 100, &[(27, SIGN), (9, &day)]));
    for (created, accepted) in [(99, false), (100, true), (149, true), (150, false)] {
        assert_eq!(keyring.verify(&secret.detached(created, DATA), DATA).is_ok(), accepted, "{created}");
    }
    let ending = packet(2, &secret.sign(0x00, 120, &[(3, &day)], DATA));
    assert!(keyring.verify(&ending, DATA).is_err(), "a signature with an end of its own");
    let critical = packet(2, &secret.sign(0x00, 120, &[(20 | 0x80, b"x")], DATA));
    assert!(keyring.verify(&critical, DATA).is_err(), "a condition that is not understood");
    let text = packet(2, &secret.sign(0x01, 120, &[], DATA));
    assert!(keyring.verify(&text, DATA).is_err(), "a signature of another kind");
}

#[test]
fn keys_that_are_revoked_or_may_not_sign_or_do_not_certify_themselves_are_not_taken() {
    let secret = Secret::new(100);
    let mut keyring = Keyring::default();
    let certificate = secret.certificate("us", 100, &[(27, SIGN)]);
    let revocation = packet(2, &secret.sign(0x20, 200, &[], &secret.framed()));
    let revoked =
        [packet(6, &secret.body), revocation, certificate[packet(6, &secret.body).len()..].to_vec()];
    assert!(keyring.add(&revoked.concat()).is_err(), "revoked");
    assert!(keyring.add(&secret.certificate("us", 100, &[(27, &[1])])).is_err(), "may only certify");
    assert!(keyring.add(&packet(6, &secret.body)).is_err(), "without a signature of its own");
    let other = Secret::new(100);
    let renamed = [packet(6, &other.body), certificate[packet(6, &secret.body).len()..].to_vec()].concat();
    assert!(keyring.add(&renamed).is_err(), "another key's signature");
    assert!(keyring.is_empty());
}

#[test]
fn a_subkey_signs_only_when_both_keys_say_so() {
    let (primary, sub) = (Secret::new(100), Secret::new(100));
    let subject = [primary.framed(), sub.framed()].concat();
    let back = sub.sign(KIND_BINDING_BACK, 100, &[], &subject);
    let with = |further: &[(u8, &[u8])], after: &[u8]| {
        let binding = primary.sign(KIND_BINDING, 100, further, &subject);
        let certificate = primary.certificate("us", 100, &[(27, &[1])]);
        let file = [&certificate[..], &packet(14, &sub.body), &packet(2, &binding), after].concat();
        let mut keyring = Keyring::default();
        keyring.add(&file).map(|()| keyring)
    };
    let signature = sub.detached(120, DATA);
    assert!(with(&[(27, SIGN), (32, &back)], &[]).unwrap().verify(&signature, DATA).is_ok());
    let expired = with(&[(27, SIGN), (32, &back), (9, &10_u32.to_be_bytes())], &[]).unwrap();
    assert!(expired.verify(&signature, DATA).is_err());
    assert!(with(&[(27, SIGN)], &[]).is_err(), "the subkey does not bind itself back");
    assert!(with(&[(27, &[4]), (32, &back)], &[]).is_err(), "a subkey for encryption");
    let forged = primary.sign(KIND_BINDING_BACK, 100, &[], &subject);
    assert!(with(&[(27, SIGN), (32, &forged)], &[]).is_err(), "the way back signed by the primary key");
    let revocation = packet(2, &primary.sign(KIND_REVOKES_SUBKEY, 110, &[], &subject));
    assert!(with(&[(27, SIGN), (32, &back)], &revocation).is_err(), "revoked");
}
