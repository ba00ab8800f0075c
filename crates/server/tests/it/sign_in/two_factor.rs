//! Second factors: enrolling, being asked, codes that work once, and organizations that require them.

use super::{Browser, PASSWORD, admin};
use accounts::{people, sign_in};
use ring::hmac;
use serde_json::json;
use testkit::{TestServer, on_both};

const SECOND: i64 = 1_000_000;
const PAGE: &str = "/app/settings/two-factor";

/// What an authenticator app does with the key that a person types into it.
struct Phone(hmac::Key);

impl Phone {
    fn new(key: &str) -> Self {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let bits: String = key.chars().map(|c| format!("{:05b}", alphabet.find(c).unwrap())).collect();
        let bytes: Vec<u8> = bits
            .as_bytes()
            .chunks_exact(8)
            .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
            .collect();
        Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes))
    }

    fn code(&self, server: &TestServer) -> String {
        let step = server.assembled.app.now().micros() / SECOND / 30;
        let mac = hmac::sign(&self.0, &step.to_be_bytes());
        let offset = usize::from(mac.as_ref()[19] & 15);
        let word = u32::from_be_bytes(mac.as_ref()[offset..offset + 4].try_into().unwrap());
        format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
    }
}

fn between<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
    let at = page.find(start).unwrap_or_else(|| panic!("no {start} in {page}")) + start.len();
    let rest = &page[at..];
    let rest = &rest[rest.find('>').unwrap() + 1..];
    rest[..rest.find(end).unwrap()].trim()
}

/// Enrols who is signed in; their phone, and their recovery codes.
async fn enrol(server: &TestServer, browser: &mut Browser) -> (Phone, Vec<String>) {
    browser.get(PAGE).await.expect(200);
    browser.send(PAGE, &[("former", "wrong horse battery")]).await.expect(422);
    let page = browser.send(PAGE, &[("former", PASSWORD)]).await.expect(200).text;
    assert!(page.contains("<svg") && page.contains("viewBox"), "{page}");
    let phone = Phone::new(&between(&page, "<pre class=\"key\"", "</pre>").replace(char::is_whitespace, ""));
    browser.send(&format!("{PAGE}/confirm"), &[("code", "000000")]).await.expect(422);
    let code = phone.code(server);
    let page = browser.send(&format!("{PAGE}/confirm"), &[("code", &code)]).await.expect(200).text;
    let codes: Vec<String> =
        between(&page, "<pre class=\"codes\"", "</pre>").lines().map(str::to_owned).collect();
    assert_eq!(codes.len(), 10);
    (phone, codes)
}

fn next_step(server: &TestServer) {
    server.assembled.app.env.advance(30 * SECOND);
}

on_both! {
    async fn who_has_a_second_factor_is_asked_for_it_and_each_code_works_once(server) {
        let api = server.admin();
        let mut browser = admin(server).await;
        let mut other = Browser::new(&server.url, None);
        other.sign_in("admin", PASSWORD).await.expect(303);
        let told = async || api.get("/account/details").await.attribute("two-factor").clone();
        assert_eq!(told().await, json!({ "enabled": false, "verified": false }));
        let (phone, _) = enrol(server, &mut browser).await;
        assert_eq!(told().await, json!({ "enabled": true, "verified": true }));
        other.get("/app").await.expect(303);
        browser.get("/app").await.expect(200);
        let page = browser.get(PAGE).await.expect(200).text;
        assert!(page.contains("10 of 10 left") && !page.contains("<svg class=\"picture"), "{page}");

        // The code that confirmed it is used up.
        let asked = other.sign_in("admin", PASSWORD).await.expect(200);
        assert!(asked.text.contains("Enter your code") && asked.header("set-cookie").is_empty());
        other.get("/app").await.expect(303);
        other.sign_in("admin", PASSWORD).await.expect(200);
        other.send("/sign-in/code", &[("code", &phone.code(server))]).await.expect(422);
        next_step(server);
        let code = phone.code(server);
        other.send("/sign-in/code", &[("code", &format!("{} {}", &code[..3], &code[3..]))]).await.expect(303);
        other.get("/app").await.expect(200);
        let mut third = Browser::new(&server.url, None);
        third.sign_in("admin", PASSWORD).await.expect(200);
        third.send("/sign-in/code", &[("code", &code)]).await.expect(422);
        next_step(server);
        third.send("/sign-in/code", &[("code", &phone.code(server))]).await.expect(303);
    }

    async fn a_link_asks_for_the_second_factor_too_and_recovery_codes_work_once_each(server) {
        let mut browser = admin(server).await;
        let (_, codes) = enrol(server, &mut browser).await;
        let app = &server.assembled.app;
        for (code, right) in [(codes[0].clone(), true), (codes[0].clone(), false), (codes[1].to_uppercase(), true)] {
            let link = format!("/sign-in/link/{}", sign_in::make_link(app, "admin").await.unwrap().expose());
            let mut other = Browser::new(&server.url, None);
            other.get(&link).await.expect(200);
            other.send(&link, &[]).await.expect(200);
            other.get("/app").await.expect(303);
            other.get(&link).await.expect(404);
            let link = format!("/sign-in/link/{}", sign_in::make_link(app, "admin").await.unwrap().expose());
            other.get(&link).await.expect(200);
            other.send(&link, &[]).await.expect(200);
            other.send("/sign-in/code", &[("code", &code)]).await.expect(if right { 303 } else { 422 });
        }
        assert!(browser.get(PAGE).await.text.contains("8 of 10 left"));
        let stored: Vec<(String,)> = app.db.all("SELECT hash FROM recovery_codes", vec![]).await.unwrap();
        assert!(stored.iter().all(|(hash,)| hash.len() == 64 && !codes.contains(hash)));
        let renewed = browser.send(&format!("{PAGE}/codes"), &[("code", &codes[2])]).await.expect(200).text;
        assert!(!renewed.contains(&codes[3]));
        browser.get(PAGE).await.expect(200);
        browser.send(&format!("{PAGE}/off"), &[("code", &codes[3])]).await.expect(422);
    }

    async fn guesses_are_held_up_and_a_right_password_in_between_does_not_help(server) {
        let mut browser = admin(server).await;
        let (phone, _) = enrol(server, &mut browser).await;
        let mut other = Browser::new(&server.url, None);
        for guess in 0..5 {
            other.sign_in("admin", PASSWORD).await.expect(200);
            other.send("/sign-in/code", &[("code", &format!("00000{guess}"))]).await.expect(422);
        }
        next_step(server);
        other.sign_in("admin", PASSWORD).await.expect(200);
        other.send("/sign-in/code", &[("code", "000009")]).await.expect(422);
        let held = other.send("/sign-in/code", &[("code", &phone.code(server))]).await.expect(429);
        assert!(held.text.contains("Wait"), "{}", held.text);
        server.assembled.app.env.advance(11 * 60 * SECOND);
        let late = other.send("/sign-in/code", &[("code", &phone.code(server))]).await.expect(422);
        assert!(late.text.contains("took too long"));
        other.sign_in("admin", PASSWORD).await.expect(200);
        other.send("/sign-in/code", &[("code", &phone.code(server))]).await.expect(303);
    }

    async fn a_new_password_ends_sign_ins_that_wait_for_a_code(server) {
        let mut browser = admin(server).await;
        let (phone, _) = enrol(server, &mut browser).await;
        let mut other = Browser::new(&server.url, None);
        other.sign_in("admin", PASSWORD).await.expect(200);
        people::set_password(&server.assembled.app, "admin", &"a much better one".into()).await.unwrap();
        next_step(server);
        other.send("/sign-in/code", &[("code", &phone.code(server))]).await.expect(422);
        other.get("/app").await.expect(303);
    }

    async fn it_is_turned_off_by_its_owner_with_a_code_or_by_a_site_admin(server) {
        let (api, app) = (server.admin(), &server.assembled.app);
        people::create(app, "mona", "mona@example.com", false).await.unwrap();
        people::set_password(app, "mona", &PASSWORD.into()).await.unwrap();
        let mut mona = Browser::new(&server.url, None);
        mona.sign_in("mona", PASSWORD).await.expect(303);
        let id = api.get("/admin/users?q=mona").await.ids()[0].clone();
        let action = format!("/admin/users/{id}/actions/disable_two_factor");
        api.post(&action, json!({})).await.expect(400);
        let (phone, _) = enrol(server, &mut mona).await;
        let listed = api.get("/admin/users?q=mona").await;
        assert_eq!(listed.json["data"][0]["attributes"]["two-factor"]["enabled"], true);
        let off = api.post(&action, json!({})).await.expect(200);
        assert_eq!(off.attribute("two-factor")["enabled"], false);
        mona.get(PAGE).await.expect(200);
        let (phone_again, _) = enrol(server, &mut mona).await;
        mona.get(PAGE).await.expect(200);
        mona.send(&format!("{PAGE}/off"), &[("code", &phone.code(server))]).await.expect(422);
        next_step(server);
        mona.send(&format!("{PAGE}/off"), &[("code", &phone_again.code(server))]).await.expect(303);
        let mut again = Browser::new(&server.url, None);
        again.sign_in("mona", PASSWORD).await.expect(303);
    }

    async fn site_admins_may_require_it_of_one_another_for_administration(server) {
        let (api, app) = (server.admin(), &server.assembled.app);
        let required = |on: bool| json!({ "data": { "attributes": { "require-two-factor-for-admins": on } } });
        let refused = api.patch("/admin/general-settings", required(true)).await.expect(422);
        assert!(refused.error().contains("yourself"), "{}", refused.error());
        people::create(app, "root", "root@example.com", true).await.unwrap();
        people::set_password(app, "root", &PASSWORD.into()).await.unwrap();
        let (_, token) = accounts::tokens::create_for(app, "root", "of a test", None).await.unwrap();
        let root = server.with_token(token.expose());
        let mut page = Browser::new(&server.url, None);
        page.sign_in("root", PASSWORD).await.expect(303);
        let mut browser = admin(server).await;
        enrol(server, &mut browser).await;
        let set = api.patch("/admin/general-settings", required(true)).await.expect(200);
        assert_eq!(set.attribute("require-two-factor-for-admins"), true);
        for path in ["/admin/users", "/admin/organizations", "/admin/general-settings"] {
            let refused = root.get(path).await.expect(403);
            assert!(refused.error().contains("require-two-factor-for-admins"), "{}", refused.error());
            api.get(path).await.expect(200);
        }
        root.patch("/admin/general-settings", required(false)).await.expect(403);
        page.get("/app/admin/users").await.expect(403);
        root.get("/account/details").await.expect(200);
        enrol(server, &mut page).await;
        root.get("/admin/users").await.expect(200);
        page.get("/app/admin/users").await.expect(200);
        api.patch("/admin/general-settings", required(false)).await.expect(200);
    }

    async fn an_organization_that_requires_it_refuses_members_without(server) {
        let (api, app) = (server.admin(), &server.assembled.app);
        api.organization("acme").await;
        let mandatory = json!({ "data": { "attributes": { "collaborator-auth-policy": "two_factor_mandatory" } } });
        let refused = api.patch("/organizations/acme", mandatory.clone()).await.expect(422);
        assert!(refused.error().contains("yourself"), "{}", refused.error());
        let mut browser = admin(server).await;
        enrol(server, &mut browser).await;
        let mona = server.as_user("mona", "acme", &[]).await;
        mona.get("/organizations/acme").await.expect(200);
        api.patch("/organizations/acme", mandatory).await.expect(200);
        let refused = mona.get("/organizations/acme").await.expect(403);
        assert!(refused.error().contains("two-factor"), "{}", refused.error());
        mona.get("/organizations/acme/workspaces").await.expect(403);
        assert!(mona.get("/organizations").await.expect(200).ids().is_empty(), "the rest goes on");
        let mine = mona.get("/organization-memberships").await.expect(200);
        assert_eq!(mine.json["data"][0]["attributes"]["is-org-two-factor-required"], true);
        assert_eq!(api.get("/organizations").await.ids(), ["acme"]);
        let username = mona.get("/account/details").await.attribute("username").as_str().unwrap().to_owned();
        people::set_password(app, &username, &PASSWORD.into()).await.unwrap();
        let mut there = Browser::new(&server.url, None);
        there.sign_in(&username, PASSWORD).await.expect(303);
        enrol(server, &mut there).await;
        mona.get("/organizations/acme").await.expect(200);
    }
}
