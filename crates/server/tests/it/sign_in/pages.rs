//! Pages: who gets in, who is kept out, and what every answer carries.

use super::{Browser, PASSWORD, admin, hidden};
use accounts::{people, sign_in};
use reqwest::Method;
use testkit::on_both;

const HOUR: i64 = 3_600_000_000;

/// Fills a path's parameters with what exists nowhere.
fn fill(path: &str) -> String {
    path.replace(['{', '}', '*'], "")
}

on_both! {
    async fn every_page_has_the_strict_headers_for_everybody(server) {
        let mut admin = admin(server).await;
        let mut nobody = Browser::new(&server.url, None);
        for route in web::routes() {
            for browser in [&mut admin, &mut nobody] {
                let shown = match route.method {
                    Method::GET => browser.get(&fill(route.path)).await,
                    // From elsewhere, so that nothing is done.
                    _ => browser.send_from("https://evil.test", &fill(route.path), &[]).await,
                };
                let policy = shown.header("content-security-policy");
                for part in ["default-src 'none'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'"] {
                    assert!(policy.contains(part), "{route:?}: {policy}");
                }
                assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
                assert_eq!(shown.header("x-content-type-options"), "nosniff", "{route:?}");
                assert_eq!(shown.header("referrer-policy"), "same-origin", "{route:?}");
                assert_eq!(shown.header("x-frame-options"), "DENY", "{route:?}");
                assert_eq!(shown.header("cache-control"), "no-store", "{route:?}");
                // Scripts are files of ours, never text of the page.
                let (all, ours) = ("<script", "<script src=\"/_assets/");
                assert_eq!(shown.text.matches(all).count(), shown.text.matches(ours).count(), "{route:?}");
                assert!(!shown.text.contains("style="), "{route:?}");
            }
        }
        let style = admin.get("/app").await.text;
        let style = style.split('"').find(|part| part.starts_with("/_assets/style-")).unwrap().to_owned();
        let kept = nobody.get(&style).await.expect(200).header("cache-control");
        assert!(kept.contains("immutable"), "{kept}");
    }

    async fn a_page_that_needs_a_session_asks_who_has_none_to_sign_in(server) {
        let mut nobody = Browser::new(&server.url, None);
        for route in web::routes().into_iter().filter(|route| route.needs == web::Needs::Session) {
            let shown = match route.method {
                Method::GET => nobody.get(&fill(route.path)).await,
                _ => nobody.send(&fill(route.path), &[]).await,
            };
            assert!(shown.expect(303).location().starts_with("/sign-in"), "{route:?}");
        }
        let asked = nobody.get("/app/settings/tokens?source=terraform-login").await.location();
        assert_eq!(asked, "/sign-in?to=%2Fapp%2Fsettings%2Ftokens%3Fsource%3Dterraform-login");
    }

    async fn a_form_from_another_site_or_for_another_visitor_does_nothing(server) {
        let mut admin = admin(server).await;
        for route in web::routes().into_iter().filter(|route| route.method == Method::POST) {
            admin.get("/app/settings/tokens").await.expect(200);
            let fields = [("description", "planted"), ("days", "0")];
            admin.send_from("https://evil.test", &fill(route.path), &fields).await.expect(403);
            admin.send_from("null", &fill(route.path), &fields).await.expect(403);
        }
        let mut other = Browser::new(&server.url, None);
        other.get("/sign-in").await;
        let theirs = hidden(&other.page).into_iter().find(|(name, _)| name == "token-of-form").unwrap().1;
        for token in ["", "0", &theirs] {
            let fields = [("token-of-form", token), ("description", "planted"), ("days", "0")];
            admin.page = String::new();
            admin.send("/app/settings/tokens", &fields).await.expect(403);
        }
        let shown = admin.get("/app/settings/tokens").await.expect(200);
        assert!(!shown.text.contains("planted"));
    }

    async fn a_person_signs_in_by_name_or_address_and_out_again(server) {
        let mut browser = admin(server).await;
        assert!(browser.get("/app").await.expect(200).text.contains("Welcome, admin"));
        assert_eq!(browser.get("/sign-in").await.expect(303).location(), "/app");
        let before = browser.cookies.clone();
        browser.get("/app").await;
        let out = browser.send("/sign-out", &[]).await.expect(303);
        assert_eq!(out.location(), "/signed-out");
        assert!(browser.get("/signed-out").await.expect(200).text.contains("Signed out"));
        browser.cookies = before;
        browser.get("/app").await.expect(303);

        let mut again = Browser::new(&server.url, None);
        let shown = again.sign_in("Admin@LOCALHOST.localdomain", PASSWORD).await.expect(303);
        let cookie = shown.header("set-cookie");
        let session = cookie.lines().find(|line| line.starts_with("ferroform-session=")).unwrap();
        assert!(session.contains("; Path=/; Max-Age=1209600; HttpOnly; SameSite=Lax"), "{session}");
        let secret = again.cookies["ferroform-session"].clone();
        let stored: Vec<(String,)> =
            server.assembled.app.db.all("SELECT hash FROM sessions", vec![]).await.unwrap();
        assert!(secret.len() >= 43 && !stored.iter().any(|(hash,)| hash.contains(&secret)));
    }

    async fn a_wrong_password_and_an_unknown_name_look_alike(server) {
        admin(server).await;
        let mut browser = Browser::new(&server.url, None);
        let wrong = browser.sign_in("admin", "wrong horse battery").await.expect(422);
        let unknown = browser.sign_in("nadmi", "wrong horse battery").await.expect(422);
        assert_eq!(wrong.text.replace("admin", "NAME"), unknown.text.replace("nadmi", "NAME"));
        assert!(wrong.text.contains("do not match") && !wrong.text.contains("wrong horse"));
    }

    async fn after_too_many_wrong_passwords_the_right_one_must_wait_too(server) {
        admin(server).await;
        let mut browser = Browser::new(&server.url, None);
        for _ in 0..5 {
            browser.sign_in("admin", "wrong horse battery").await.expect(422);
        }
        for _ in 0..2 {
            let held = browser.sign_in("admin", PASSWORD).await.expect(429);
            assert!(held.text.contains("Wait"), "{}", held.text);
        }
        server.assembled.app.env.advance(HOUR);
        browser.sign_in("admin", PASSWORD).await.expect(303);
    }

    async fn a_link_works_once_and_not_by_being_looked_at(server) {
        let app = &server.assembled.app;
        let link = format!("/sign-in/link/{}", sign_in::make_link(app, "admin").await.unwrap().expose());
        let mut browser = Browser::new(&server.url, None);
        for _ in 0..2 {
            assert!(browser.get(&link).await.expect(200).text.contains("Sign in as admin"));
        }
        browser.send_from("https://evil.test", &link, &[]).await.expect(403);
        browser.get(&link).await.expect(200);
        browser.send(&link, &[]).await.expect(303);
        assert!(browser.get("/app").await.expect(200).text.contains("no password yet"));
        let mut other = Browser::new(&server.url, None);
        other.get(&link).await.expect(404);

        let late = format!("/sign-in/link/{}", sign_in::make_link(app, "admin").await.unwrap().expose());
        other.get(&late).await.expect(200);
        app.env.advance(15 * 60 * 1_000_000);
        other.send(&late, &[]).await.expect(404);
        let first = format!("/sign-in/link/{}", sign_in::make_link(app, "admin").await.unwrap().expose());
        sign_in::make_link(app, "admin").await.unwrap();
        other.get(&first).await.expect(404);
    }

    async fn a_session_ends_when_it_is_idle_and_in_any_case_after_its_time(server) {
        let mut browser = admin(server).await;
        let env = &server.assembled.app.env;
        for _ in 0..20 {
            env.advance(16 * HOUR);
            browser.get("/app").await.expect(200);
        }
        env.advance(16 * HOUR);
        browser.get("/app").await.expect(303);
        browser.sign_in("admin", PASSWORD).await.expect(303);
        env.advance(24 * HOUR);
        browser.get("/app").await.expect(303);
    }

    async fn a_new_password_needs_the_former_one_and_ends_all_other_sessions(server) {
        let mut browser = admin(server).await;
        let mut other = Browser::new(&server.url, None);
        other.sign_in("admin", PASSWORD).await.expect(303);
        let path = "/app/settings/password";
        let new = "a much better one";
        browser.get(path).await.expect(200);
        for (former, password, again) in
            [("wrong horse", new, new), (PASSWORD, new, "another one again"), (PASSWORD, "short", "short")]
        {
            let fields = [("former", former), ("password", password), ("again", again)];
            browser.send(path, &fields).await.expect(422);
        }
        browser.send(path, &[("former", PASSWORD), ("password", new), ("again", new)]).await.expect(303);
        browser.get("/app").await.expect(200);
        other.get("/app").await.expect(303);
        other.sign_in("admin", PASSWORD).await.expect(422);
        other.sign_in("admin", new).await.expect(303);
    }

    async fn who_is_suspended_has_neither_session_nor_token_nor_password(server) {
        let app = &server.assembled.app;
        people::create(app, "mona", "mona@example.com", false).await.unwrap();
        people::set_password(app, "mona", &PASSWORD.into()).await.unwrap();
        let (_, token) = accounts::tokens::create_for(app, "mona", "of a test", None).await.unwrap();
        let api = server.with_token(token.expose());
        let mut browser = Browser::new(&server.url, None);
        browser.sign_in("mona", PASSWORD).await.expect(303);
        api.get("/account/details").await.expect(200);

        people::suspend(app, "mona", true).await.unwrap();
        browser.get("/app").await.expect(303);
        api.get("/account/details").await.expect(401);
        let refused = browser.sign_in("mona", PASSWORD).await.expect(403);
        assert!(refused.text.contains("suspended"));
        sign_in::make_link(app, "mona").await.unwrap_err();
        people::suspend(app, "mona", false).await.unwrap();
        api.get("/account/details").await.expect(200);
        people::suspend(app, "admin", true).await.unwrap_err();
    }

    async fn an_invited_person_becomes_a_member_by_signing_in(server) {
        let app = &server.assembled.app;
        server.admin().organization("acme").await;
        let name = server.admin().invite("acme", "mona@example.com", &[]).await;
        let link = format!("/sign-in/link/{}", sign_in::make_link(app, &name).await.unwrap().expose());
        let mut browser = Browser::new(&server.url, None);
        browser.get(&link).await.expect(200);
        browser.send(&link, &[]).await.expect(303);
        assert!(browser.get("/app").await.expect(200).text.contains("href=\"/app/acme\""));
    }

    async fn a_token_is_made_shown_once_and_revoked_by_its_owner_alone(server) {
        let app = &server.assembled.app;
        let mut browser = admin(server).await;
        let path = "/app/settings/tokens";
        let asked = browser.get("/app/settings/tokens?source=terraform-login").await.expect(200);
        assert!(asked.text.contains("value=\"terraform login\""));
        browser.send(path, &[("description", ""), ("days", "90")]).await.expect(422);
        browser.send(path, &[("description", "x"), ("days", "7")]).await.expect(422);
        let made = browser.send(path, &[("description", "for <b>"), ("days", "90")]).await.expect(200).text;
        assert!(made.contains("for &lt;b&gt;") && !made.contains("for <b>"));
        let text = made.split(['<', '>']).find(|part| part.contains(".atlasv1.")).unwrap();
        let api = server.with_token(text);
        let id = api.get("/account/details").await.expect(200).id();
        let listed = api.get(&format!("/users/{id}/authentication-tokens")).await.expect(200);
        let token = listed.ids().pop().unwrap();
        assert!(!browser.get(path).await.text.contains(text));

        people::create(app, "mona", "mona@example.com", false).await.unwrap();
        people::set_password(app, "mona", &PASSWORD.into()).await.unwrap();
        let mut mona = Browser::new(&server.url, None);
        mona.sign_in("mona", PASSWORD).await.expect(303);
        mona.get(path).await.expect(200);
        mona.send(&format!("{path}/{token}/revoke"), &[]).await.expect(404);
        api.get("/account/details").await.expect(200);
        browser.get(path).await.expect(200);
        browser.send(&format!("{path}/{token}/revoke"), &[]).await.expect(303);
        api.get("/account/details").await.expect(401);
    }
}
