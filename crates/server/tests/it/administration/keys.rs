//! Keys that sign identity tokens.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http_api::signing;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Value, json};
use testkit::{TestServer, on_both};

async fn keys(server: &TestServer) -> Vec<Value> {
    let set = server.anonymous().get(&format!("{}/.well-known/jwks", server.url)).await.expect(200);
    set.json["keys"].as_array().unwrap().clone()
}

/// The claims of a token, if one of these keys has signed it: as a cloud would look at it.
fn verified(token: &str, keys: &[Value]) -> Option<Value> {
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header: Value = serde_json::from_slice(&bytes(header)).unwrap();
    assert_eq!((&header["alg"], &header["typ"]), (&json!("RS256"), &json!("JWT")));
    let key = keys.iter().find(|key| key["kid"] == header["kid"])?;
    let number = |name: &str| bytes(key[name].as_str().unwrap());
    let public = RsaPublicKeyComponents { n: number("n"), e: number("e") };
    public.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &bytes(signature)).ok()?;
    Some(serde_json::from_slice(&bytes(claims)).unwrap())
}

on_both! {
    async fn a_token_is_verified_by_the_published_keys_until_its_key_is_trimmed(server) {
        let (api, app) = (server.admin(), &server.assembled.app);
        let claims = json!({ "sub": "organization:acme", "aud": "aws" });
        let early = signing::sign(app, &claims).await.unwrap();
        let first = keys(server).await;
        assert_eq!(first.len(), 1);
        assert_eq!((&first[0]["kty"], &first[0]["use"], &first[0]["e"]), (&json!("RSA"), &json!("sig"), &json!("AQAB")));
        assert_eq!(verified(early.expose(), &first), Some(claims.clone()));
        api.post("/admin/oidc-settings/actions/rotate-key", json!({})).await.expect(204);
        let both = keys(server).await;
        assert_eq!((both.len(), &both[1]), (2, &first[0]), "the newest first");
        let late = signing::sign(app, &claims).await.unwrap();
        assert!(verified(early.expose(), &both).is_some() && verified(late.expose(), &both).is_some());
        assert!(verified(late.expose(), &first).is_none(), "the newest signs");
        api.post("/admin/oidc-settings/actions/trim-key", json!({})).await.expect(204);
        let left = keys(server).await;
        assert_eq!(left, both[..1]);
        assert!(verified(early.expose(), &left).is_none());
        assert!(verified(late.expose(), &left).is_some());
    }

    async fn keys_are_found_by_discovery_and_sealed_where_they_rest(server) {
        let path = format!("{}/.well-known/openid-configuration", server.url);
        let found = server.anonymous().get(&path).await.expect(200);
        assert_eq!(found.json["issuer"], json!(server.url));
        let (one, two) = (keys(server).await, keys(server).await);
        assert_eq!(one, two, "asking makes one key and no other");
        let set = server.anonymous().get(found.json["jwks_uri"].as_str().unwrap()).await.expect(200);
        assert_eq!(set.json["keys"], json!(one));
        let sql = "SELECT private FROM signing_keys";
        let (stored,): (Vec<u8>,) = server.assembled.app.db.one(sql, vec![]).await.unwrap().unwrap();
        ring::signature::RsaKeyPair::from_pkcs8(&stored).unwrap_err();
        assert!(!set.bytes.windows(4).any(|part| part == b"\"d\":"));
        let root = &server.assembled.app.root_key;
        assert!(root.open("signing key another", &stored).is_err(), "for its own id alone");
    }
}
