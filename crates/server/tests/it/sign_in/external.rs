//! Signing in by an external provider: a real one, in a process of its own (`conformance/oidc`).
//!
//! It needs Node and the package `oidc-provider`. Where they are not there the tests say `NOT RUN` and why, as does
//! `cargo xtask test`, which installs the package where it can: then it must be there.

use super::{Browser, PASSWORD, parameter};
use accounts::{external::provider::ProviderSettings, people};
use reqwest::{Client, redirect::Policy};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};
use testkit::{Database, TestServer, server::Settings};

const HOME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/oidc");

/// Why the provider cannot run here.
fn missing() -> Option<String> {
    if Command::new("node").arg("--version").output().is_err() {
        return Some("node is not on PATH".to_owned());
    }
    let package = Path::new(HOME).join("node_modules/oidc-provider");
    (!package.is_dir())
        .then(|| "the package oidc-provider is not there: `npm ci` in conformance/oidc".to_owned())
}

/// A provider that ends with its owner.
struct Provider {
    process: Child,
    /// Kept open: what it still says must go somewhere.
    _said: BufReader<ChildStdout>,
    url: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct House {
    server: TestServer,
    provider: Provider,
}

impl House {
    async fn build(database: Database, people: &Value, create_users: bool, in_token: bool) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}");
        let external = ProviderSettings {
            issuer: url.clone(),
            client_id: "ferroform".to_owned(),
            client_secret: Some("secret of the tests: %".into()),
            name: "Acme ID".to_owned(),
            scopes: vec!["email".to_owned(), "profile".to_owned()],
            username_claim: "preferred_username".to_owned(),
            email_claim: "email".to_owned(),
            trust_email: false,
            create_users,
        };
        let settings = Settings { external: Some(external), ..Settings::default() };
        let server = TestServer::start_with(database, settings).await;
        let mut process = Command::new("node")
            .arg("provider.mjs")
            .arg(port.to_string())
            .arg(format!("{}/sign-in/external/callback", server.url))
            .current_dir(HOME)
            .env("PEOPLE", people.to_string())
            .env("IN_TOKEN", if in_token { "1" } else { "0" })
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        assert!(said.by_ref().lines().any(|line| line.unwrap() == "ready"), "the provider has ended");
        Self { server, provider: Provider { process, _said: said, url } }
    }

    /// Goes to the provider with a browser, as `subject`, and back: to the address with which it sends people back.
    async fn there(&self, browser: &mut Browser, subject: &str, to: &str) -> String {
        let http = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        http.get(format!("{}/as/{subject}", self.provider.url)).send().await.unwrap();
        let mut next = browser.get(&format!("/sign-in/external?to={to}")).await.expect(303).location();
        assert_eq!(parameter(&next, "code_challenge_method"), "S256");
        let mut cookies = BTreeMap::new();
        for _ in 0..10 {
            let pairs: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let shown = http.get(&next).header("cookie", pairs.join("; ")).send().await.unwrap();
            for line in shown.headers().get_all("set-cookie") {
                let pair = line.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                cookies.insert(name.to_owned(), value.to_owned());
            }
            let location = shown.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
            let Some(location) = location else { panic!("{next}: {}", shown.text().await.unwrap()) };
            next =
                if location.starts_with('/') { format!("{}{location}", self.provider.url) } else { location };
            if next.starts_with(&self.server.url) {
                return next;
            }
        }
        panic!("the provider sends people in circles: {next}");
    }

    async fn sign_in(&self, browser: &mut Browser, subject: &str) -> super::Shown {
        let back = self.there(browser, subject, "%2Fapp").await;
        browser.get(&back).await
    }

    fn browser(&self) -> Browser {
        Browser::new(&self.server.url, None)
    }
}

fn everybody() -> Value {
    json!({
        "1": { "email": "Mona@Example.com", "email_verified": true, "preferred_username": "mona" },
        "2": { "email": "mona@example.com", "email_verified": true, "preferred_username": "impostor" },
        "3": { "email": "nils@example.com", "email_verified": false, "preferred_username": "nils" },
        "4": { "email": "olga@example.com", "email_verified": true, "preferred_username": "admin" },
    })
}

async fn linked_by_address_then_known_by_subject(database: Database) {
    let house = House::build(database, &everybody(), false, false).await;
    let app = &house.server.assembled.app;
    people::create(app, "mona.l", "mona@example.com", false).await.unwrap();
    let mut browser = house.browser();
    let page = browser.get("/sign-in").await.expect(200).text;
    assert!(page.contains("Sign in with Acme ID"), "{page}");
    let entered = house.sign_in(&mut browser, "1").await.expect(303);
    assert_eq!(entered.location(), "/app");
    assert!(browser.get("/app").await.expect(200).text.contains("Welcome, mona.l"));
    assert!(browser.get("/app/settings/sessions").await.text.contains("by your organization"));
    // The address was the way in once; it is not any more.
    app.db
        .exec("UPDATE users SET email = 'else@example.com' WHERE username = 'mona.l'", vec![])
        .await
        .unwrap();
    let mut again = house.browser();
    house.sign_in(&mut again, "1").await.expect(303);
    assert!(again.get("/app").await.expect(200).text.contains("Welcome, mona.l"));
    // Nor is it for somebody who has the same address later.
    app.db
        .exec("UPDATE users SET email = 'mona@example.com' WHERE username = 'mona.l'", vec![])
        .await
        .unwrap();
    let refused = house.sign_in(&mut house.browser(), "2").await.expect(403);
    assert!(refused.text.contains("somebody else"), "{}", refused.text);
    // What the visitor asked for first is where they arrive: `terraform login`.
    let wanted = "%2Foauth%2Fauthorize%3Fclient_id%3Dterraform-cli";
    let mut terminal = house.browser();
    let back = house.there(&mut terminal, "1", wanted).await;
    assert_eq!(terminal.get(&back).await.expect(303).location(), "/oauth/authorize?client_id=terraform-cli");
    people::suspend(app, "mona.l", true).await.unwrap();
    browser.get("/app").await.expect(303);
    let refused = house.sign_in(&mut house.browser(), "1").await.expect(403);
    assert!(refused.text.contains("suspended"), "{}", refused.text);
    house.server.stop().await;
}

async fn strangers_stay_out_unless_users_are_made(database: Database) {
    let house = House::build(database, &everybody(), false, true).await;
    let refused = house.sign_in(&mut house.browser(), "3").await.expect(403);
    assert!(refused.text.contains("has not verified"), "{}", refused.text);
    let refused = house.sign_in(&mut house.browser(), "4").await.expect(403);
    assert!(refused.text.contains("no account"), "{}", refused.text);
    let refused = house.sign_in(&mut house.browser(), "nobody").await.expect(403);
    assert!(refused.text.contains("did not sign you in"), "{}", refused.text);
    house.server.stop().await;

    let house = House::build(database, &everybody(), true, true).await;
    let mut browser = house.browser();
    house.sign_in(&mut browser, "4").await.expect(303);
    let home = browser.get("/app").await.expect(200).text;
    assert!(home.contains("Welcome, admin-") && home.contains("olga@example.com"), "{home}");
    assert!(!home.contains("Site administrator"));
    let mut again = house.browser();
    house.sign_in(&mut again, "4").await.expect(303);
    assert_eq!(people::list(&house.server.assembled.app).await.unwrap().len(), 2);
    // They are in no way like who has a password.
    let refused = house.sign_in(&mut house.browser(), "3").await.expect(403);
    assert!(refused.text.contains("has not verified"));
    house.server.stop().await;
}

async fn an_answer_counts_once_and_in_the_browser_that_asked(database: Database) {
    let house = House::build(database, &everybody(), true, false).await;
    let (mut browser, mut other) = (house.browser(), house.browser());
    let back = house.there(&mut browser, "1", "%2Fapp").await;
    other.get(&back).await.expect(403);
    house.there(&mut other, "1", "%2Fapp").await;
    other.get(&back).await.expect(403);
    let (start, _) = back.split_once("iss=").unwrap();
    let foreign = format!("{start}iss=https%3A%2F%2Fevil.test");
    assert!(back.contains("state="), "{back}");
    let mut third = house.browser();
    let mine = house.there(&mut third, "1", "%2Fapp").await;
    let state = parameter(&mine, "state");
    let mixed = foreign.replace(&parameter(&back, "state"), &state);
    assert!(third.get(&mixed).await.expect(403).text.contains("another provider"));
    browser.get(&back).await.expect(303);
    browser.get("/app").await.expect(200);
    // A code that was used, with a fresh cookie: the provider refuses it.
    house.there(&mut browser, "1", "%2Fapp").await;
    let stale = back.replace(&parameter(&back, "state"), "other");
    browser.get(&stale).await.expect(403);
    // A code that belongs to another verifier and nonce.
    let mut thief = house.browser();
    let own = house.there(&mut thief, "2", "%2Fapp").await;
    let mut victim = house.browser();
    let stolen = house.there(&mut victim, "1", "%2Fapp").await;
    let injected = own.replace(&parameter(&own, "code"), &parameter(&stolen, "code"));
    thief.get(&injected).await.expect(403);
    house.server.assembled.app.env.advance(20 * 60 * 1_000_000);
    assert!(victim.get(&stolen).await.expect(403).text.contains("took too long"));
    house.server.stop().await;
}

async fn the_second_factor_is_the_providers_business(database: Database) {
    let house = House::build(database, &everybody(), true, false).await;
    let (api, app) = (house.server.admin(), &house.server.assembled.app);
    api.organization("acme").await;
    let name = api.invite("acme", "mona@example.com", &[]).await;
    let made = accounts::tokens::create_for(app, &name, "of a test", None).await.unwrap();
    let mona = house.server.with_token(made.1.expose());
    let strict =
        "UPDATE organizations SET settings = REPLACE(settings, '\"password\"', '\"two_factor_mandatory\"')";
    app.db.exec(strict, vec![]).await.unwrap();
    app.identities.forget();
    mona.get("/organizations/acme").await.expect(403);
    let mut browser = house.browser();
    house.sign_in(&mut browser, "1").await.expect(303);
    mona.get("/organizations/acme").await.expect(200);
    // With a password of their own there is a way around the provider.
    people::set_password(app, &name, &PASSWORD.into()).await.unwrap();
    mona.get("/organizations/acme").await.expect(403);
    house.server.stop().await;
}

macro_rules! with_provider {
    ($($name:ident)*) => {$(
        mod $name {
            use testkit::Database;

            fn run(database: Database) {
                if let Some(why) = super::missing() {
                    assert!(std::env::var_os("FERROFORM_TEST_OIDC").is_none(), "NOT RUN: {why}");
                    eprintln!("NOT RUN: {why}");
                    return;
                }
                if !database.is_at_hand() {
                    eprintln!("NOT RUN on PostgreSQL: FERROFORM_TEST_POSTGRES is not set (`cargo xtask test` sets it)");
                    return;
                }
                tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build()
                    .unwrap()
                    .block_on(super::$name(database));
            }

            #[test]
            fn sqlite() {
                run(Database::Sqlite);
            }

            #[test]
            fn postgres() {
                run(Database::Postgres);
            }
        }
    )*};
}

with_provider! {
    linked_by_address_then_known_by_subject
    strangers_stay_out_unless_users_are_made
    an_answer_counts_once_and_in_the_browser_that_asked
    the_second_factor_is_the_providers_business
}
