//! Site admins who act as another user.

use super::{Browser, PASSWORD, admin};
use accounts::people;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use testkit::{TestServer, on_both};

const USERS: &str = "/app/admin/users";

async fn mona(server: &TestServer) -> String {
    let app = &server.assembled.app;
    people::create(app, "mona", "mona@example.com", false).await.unwrap();
    people::set_password(app, "mona", &PASSWORD.into()).await.unwrap();
    people::find(app, "mona").await.unwrap().id.to_string()
}

/// A request to the API with a browser's cookie.
async fn api(
    server: &TestServer,
    browser: &Browser,
    path: &str,
    body: &Value,
    more: &[(&str, &str)],
) -> (u16, HeaderMap) {
    let cookies: Vec<_> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut request =
        browser.http.post(format!("{}/api/v2{path}", server.url)).header("cookie", cookies.join("; "));
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    let answer = request.body(body.to_string()).send().await.unwrap();
    (answer.status().as_u16(), answer.headers().clone())
}

fn keep(browser: &mut Browser, headers: &HeaderMap) {
    let line = headers["set-cookie"].to_str().unwrap();
    let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
    browser.cookies.insert(name.to_owned(), value.to_owned());
}

on_both! {
    async fn a_site_admin_acts_as_a_user_and_returns_and_the_audit_trail_says_so(server) {
        let id = mona(server).await;
        let mut browser = admin(server).await;
        let page = browser.get(&format!("{USERS}?q=mona")).await.expect(200).text;
        assert!(page.contains("Act as") && !page.contains("admin@"), "{page}");
        let path = format!("{USERS}/{id}/impersonate");
        browser.send(&path, &[("reason", " ")]).await.expect(400);
        browser.get(USERS).await.expect(200);
        let before = browser.cookies.clone();
        browser.send(&path, &[("reason", "ticket 42")]).await.expect(303);
        let mut old = Browser::new(&server.url, None);
        old.cookies = before;
        old.get("/app").await.expect(303);
        let home = browser.get("/app").await.expect(200).text;
        assert!(home.contains("Welcome, mona") && home.contains("You act as"), "{home}");
        // As the user, and not as a site admin.
        browser.get(USERS).await.expect(404);
        // Nothing that outlives it.
        for (path, fields) in [
            ("/app/settings/tokens", &[("description", "x"), ("days", "90")][..]),
            ("/app/settings/password", &[("former", PASSWORD), ("password", "a much better one"), ("again", "a much better one")][..]),
            ("/app/settings/two-factor", &[("former", PASSWORD)][..]),
            ("/oauth/authorize", &[("decision", "allow")][..]),
        ] {
            browser.get("/app").await.expect(200);
            let refused = browser.send(path, fields).await.expect(403);
            assert!(refused.text.contains("in your own name"), "{}", refused.text);
        }
        browser.get("/app").await.expect(200);
        assert_eq!(browser.send("/impersonation/end", &[]).await.expect(303).location(), USERS);
        assert!(browser.get("/app").await.expect(200).text.contains("Welcome, admin"));

        let trail = server.admin().get("/admin/audit-trail").await.expect(200);
        let entries = trail.json["data"].as_array().unwrap();
        let own = people::find(&server.assembled.app, "admin").await.unwrap().id.to_string();
        let begun = entries.iter().find(|e| e["resource"]["meta"]["operation"] == "web.admin-user.impersonate").unwrap();
        assert_eq!(begun["auth"]["accessor_id"], own.as_str());
        assert_eq!(begun["resource"]["id"], id.as_str());
        assert_eq!(begun["resource"]["meta"]["reason"], "ticket 42");
        let ended = entries.iter().find(|e| e["resource"]["meta"]["operation"] == "web.impersonation.end").unwrap();
        assert_eq!(ended["auth"]["impersonator_id"], own.as_str());
        assert_eq!(ended["auth"]["accessor_id"], id.as_str());
        assert_eq!(ended["auth"]["type"], "Impersonated");
        assert_eq!(begun["auth"]["type"], "Client");
        assert_eq!(begun["auth"]["impersonator_id"], Value::Null);
    }

    async fn the_api_takes_the_browsers_cookie_and_answers_with_another(server) {
        let id = mona(server).await;
        let mut browser = admin(server).await;
        let (begin, end) = (format!("/admin/users/{id}/actions/impersonate"), "/admin/users/actions/unimpersonate");
        let reason = json!({ "reason": "ticket 42" });
        server.admin().post(&begin, reason.clone()).await.expect(401);
        assert_eq!(api(server, &Browser::new(&server.url, None), &begin, &reason, &[]).await.0, 401);
        assert_eq!(api(server, &browser, &begin, &json!({}), &[]).await.0, 400);
        assert_eq!(api(server, &browser, &begin, &reason, &[("origin", "https://evil.test")]).await.0, 403);
        assert_eq!(api(server, &browser, "/admin/users/user-none/actions/impersonate", &reason, &[]).await.0, 404);
        assert_eq!(api(server, &browser, "/admin/users/admin/actions/impersonate", &reason, &[]).await.0, 403);
        assert_eq!(api(server, &browser, end, &json!({}), &[]).await.0, 400);
        let (status, headers) = api(server, &browser, &begin, &reason, &[]).await;
        assert_eq!(status, 204);
        keep(&mut browser, &headers);
        assert!(browser.get("/app").await.text.contains("Welcome, mona"));
        assert_eq!(api(server, &browser, &begin, &reason, &[]).await.0, 403);
        let (status, headers) = api(server, &browser, end, &json!({}), &[]).await;
        assert_eq!(status, 204);
        keep(&mut browser, &headers);
        assert!(browser.get("/app").await.text.contains("Welcome, admin"));
        let mut other = Browser::new(&server.url, None);
        other.sign_in("mona", PASSWORD).await.expect(303);
        assert_eq!(api(server, &other, &begin, &reason, &[]).await.0, 404);
        other.get(USERS).await.expect(404);
    }

    async fn acting_as_somebody_ends_with_the_admins_own_session_and_rights(server) {
        let id = mona(server).await;
        let app = &server.assembled.app;
        people::create(app, "root", "root@example.com", true).await.unwrap();
        people::set_password(app, "root", &PASSWORD.into()).await.unwrap();
        let act = async || {
            let mut browser = Browser::new(&server.url, None);
            browser.sign_in("root", PASSWORD).await.expect(303);
            browser.get(USERS).await.expect(200);
            browser.send(&format!("{USERS}/{id}/impersonate"), &[("reason", "x")]).await.expect(303);
            browser.get("/app").await.expect(200);
            browser
        };
        let mut browser = act().await;
        people::set_password(app, "root", &PASSWORD.into()).await.unwrap();
        browser.get("/app").await.expect(303);
        let mut browser = act().await;
        app.db.exec("UPDATE users SET site_admin = FALSE WHERE username = 'root'", vec![]).await.unwrap();
        browser.get("/app").await.expect(303);
        app.db.exec("UPDATE users SET site_admin = TRUE WHERE username = 'root'", vec![]).await.unwrap();
        let mut browser = act().await;
        people::suspend(app, "root", true).await.unwrap();
        browser.get("/app").await.expect(303);
    }
}
