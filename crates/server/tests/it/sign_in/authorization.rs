//! The authorization code and its exchange, attacked.

use super::{Browser, admin, encode, parameter};
use reqwest::StatusCode;
use serde_json::Value;
use testkit::{TestServer, on_both};

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "http://localhost:10003/login";

fn request(changes: &[(&str, &str)]) -> String {
    let mut all = vec![
        ("response_type", "code"),
        ("client_id", "terraform-cli"),
        ("redirect_uri", REDIRECT),
        ("state", "s t&te"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        all.retain(|(known, _)| known != name);
        if !value.is_empty() {
            all.push((name, value));
        }
    }
    let all: Vec<_> = all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    format!("/oauth/authorize?{}", encode(&all))
}

/// Where consent leads.
async fn consent(browser: &mut Browser) -> String {
    let page = browser.get(&request(&[])).await.expect(200);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("form-action 'self' http://localhost:10003;"), "{policy}");
    browser.send("/oauth/authorize", &[("decision", "allow")]).await.expect(303).location()
}

async fn code(browser: &mut Browser) -> String {
    parameter(&consent(browser).await, "code")
}

async fn exchange(server: &TestServer, code: &str, changes: &[(&str, &str)]) -> (StatusCode, Value) {
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("client_id", "terraform-cli"),
        ("redirect_uri", REDIRECT),
        ("code", code),
        ("code_verifier", VERIFIER),
    ];
    for (name, value) in changes {
        form.retain(|(known, _)| known != name);
        form.push((name, value));
    }
    let form: Vec<_> = form.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let response = reqwest::Client::builder()
        .tls_certs_only([])
        .build()
        .unwrap()
        .post(format!("{}/oauth/token", server.url))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(encode(&form))
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["content-type"], "application/json");
    (response.status(), serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

async fn refused(server: &TestServer, code: &str, changes: &[(&str, &str)], status: u16, error: &str) {
    let (was, body) = exchange(server, code, changes).await;
    assert_eq!((was.as_u16(), body["error"].as_str()), (status, Some(error)), "{changes:?}: {body}");
}

on_both! {
    async fn a_code_gives_a_token_that_is_its_users(server) {
        let mut browser = admin(server).await;
        let to = consent(&mut browser).await;
        assert!(to.starts_with("http://localhost:10003/login?code="), "{to}");
        assert_eq!(parameter(&to, "state"), "s t&te");
        let code = parameter(&to, "code");
        let stored: Vec<(String,)> =
            server.assembled.app.db.all("SELECT hash FROM authorization_codes", vec![]).await.unwrap();
        assert!(stored.len() == 1 && !stored[0].0.contains(&code));
        let (status, body) = exchange(server, &code, &[]).await;
        assert_eq!((status.as_u16(), body["token_type"].as_str()), (200, Some("bearer")), "{body}");
        let api = server.with_token(body["access_token"].as_str().unwrap());
        assert_eq!(api.get("/account/details").await.expect(200).attribute("username"), "admin");
    }

    async fn a_code_that_is_shown_twice_takes_its_token_with_it(server) {
        let mut browser = admin(server).await;
        let code = code(&mut browser).await;
        let (_, body) = exchange(server, &code, &[]).await;
        let api = server.with_token(body["access_token"].as_str().unwrap());
        api.get("/account/details").await.expect(200);
        refused(server, &code, &[], 400, "invalid_grant").await;
        api.get("/account/details").await.expect(401);
    }

    async fn of_exchanges_at_once_at_most_one_succeeds(server) {
        let mut browser = admin(server).await;
        let code = code(&mut browser).await;
        let all = futures_util::future::join_all((0..8).map(|_| exchange(server, &code, &[]))).await;
        assert_eq!(all.iter().filter(|(status, _)| *status == 200).count(), 1, "{all:?}");
    }

    async fn a_failed_exchange_uses_the_code_up(server) {
        let mut browser = admin(server).await;
        for wrong in [
            ("code_verifier", "wrong-verifier-wrong-verifier-wrong-verifier"),
            ("redirect_uri", "http://localhost:10004/login"),
        ] {
            let code = code(&mut browser).await;
            refused(server, &code, &[wrong], 400, "invalid_grant").await;
            refused(server, &code, &[], 400, "invalid_grant").await;
        }
        let late = code(&mut browser).await;
        server.assembled.app.env.advance(60_000_000);
        refused(server, &late, &[], 400, "invalid_grant").await;
        let orphan = code(&mut browser).await;
        let app = &server.assembled.app;
        app.db.exec("UPDATE users SET suspended = TRUE WHERE username = 'admin'", vec![]).await.unwrap();
        refused(server, &orphan, &[], 400, "invalid_grant").await;
    }

    async fn a_malformed_exchange_is_refused_as_the_standard_says(server) {
        refused(server, "no-such-code", &[], 400, "invalid_grant").await;
        refused(server, "c", &[("grant_type", "password")], 400, "unsupported_grant_type").await;
        refused(server, "c", &[("client_id", "somebody")], 401, "invalid_client").await;
        let answer = server.anonymous().post(&format!("{}/oauth/token", server.url), Value::Null).await;
        assert_eq!(answer.expect(400).json["error"], "invalid_request");
    }

    async fn nobody_is_sent_to_an_address_that_is_not_the_command_lines(server) {
        let mut browser = admin(server).await;
        for wrong in [
            ("redirect_uri", "https://evil.test/login"),
            ("redirect_uri", "http://localhost:9999/login"),
            ("redirect_uri", "http://localhost:10003@evil.test/login"),
            ("redirect_uri", ""),
            ("client_id", "somebody"),
            ("client_id", ""),
        ] {
            let shown = browser.get(&request(&[wrong])).await.expect(400);
            assert!(shown.headers.get("location").is_none() && shown.text.contains("terraform login"));
        }
        browser.get(&request(&[])).await.expect(200);
        let planted = [("decision", "allow"), ("redirect_uri", "https://evil.test/login")];
        // Of two fields of one name the first counts, and that is the page's own.
        let to = browser.send("/oauth/authorize", &planted).await.expect(303).location();
        assert!(to.starts_with("http://localhost:10003/"), "{to}");
    }

    async fn without_proof_of_possession_there_is_no_code(server) {
        let mut browser = admin(server).await;
        for wrong in [
            ("code_challenge", ""),
            ("code_challenge", "short"),
            ("code_challenge_method", ""),
            ("code_challenge_method", "plain"),
        ] {
            let to = browser.get(&request(&[wrong])).await.expect(303).location();
            assert!(to.starts_with("http://localhost:10003/login?error=invalid_request&"), "{to}");
            assert_eq!(parameter(&to, "state"), "s t&te");
        }
        let to = browser.get(&request(&[("response_type", "token")])).await.expect(303).location();
        assert_eq!(parameter(&to, "error"), "unsupported_response_type");
    }

    async fn who_says_no_or_is_not_asked_gives_no_token(server) {
        let mut browser = admin(server).await;
        browser.get(&request(&[])).await.expect(200);
        for decision in ["deny", "", "allow "] {
            let to = browser.send("/oauth/authorize", &[("decision", decision)]).await.expect(303).location();
            assert_eq!(parameter(&to, "error"), "access_denied", "{to}");
        }
        browser.send_from("https://evil.test", "/oauth/authorize", &[("decision", "allow")]).await.expect(403);
        let codes: Vec<(String,)> =
            server.assembled.app.db.all("SELECT hash FROM authorization_codes", vec![]).await.unwrap();
        assert!(codes.is_empty());
    }
}
