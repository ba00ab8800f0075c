//! One's own sessions: seen, ended, and as short as one's organizations want them.

use super::{Browser, PASSWORD, admin};
use accounts::people;
use serde_json::json;
use testkit::on_both;

const MINUTE: i64 = 60_000_000;
const PAGE: &str = "/app/settings/sessions";

/// The ids of the sessions that a page shows.
fn shown(page: &str) -> Vec<String> {
    page.split("/sessions/us-")
        .skip(1)
        .map(|rest| format!("us-{}", rest.split('/').next().unwrap()))
        .collect()
}

on_both! {
    async fn one_sees_where_one_is_signed_in_and_ends_it_there(server) {
        let mut here = admin(server).await;
        let mut there = Browser::new(&server.url, None);
        there.sign_in("admin", PASSWORD).await.expect(303);
        server.assembled.app.env.advance(2 * MINUTE);
        let page = here.get(PAGE).await.expect(200).text;
        let ids = shown(&page);
        assert_eq!(ids.len(), 2, "{page}");
        assert_eq!(page.matches("this one").count(), 1);
        assert!(page.contains("127.0.0.1") && page.contains("2 minutes ago"), "{page}");
        // The one seen last comes first, and that is this one.
        here.send(&format!("{PAGE}/{}/end", ids[1]), &[]).await.expect(303);
        there.get("/app").await.expect(303);
        here.get("/app").await.expect(200);
        assert_eq!(shown(&here.get(PAGE).await.text).len(), 1);
        let out = here.send(&format!("{PAGE}/{}/end", ids[0]), &[]).await.expect(303);
        assert_eq!(out.location(), "/signed-out");
        here.get("/app").await.expect(303);
    }

    async fn one_signs_out_everywhere_else_at_once(server) {
        let mut here = admin(server).await;
        let mut others = [Browser::new(&server.url, None), Browser::new(&server.url, None)];
        for other in &mut others {
            other.sign_in("admin", PASSWORD).await.expect(303);
        }
        here.get(PAGE).await.expect(200);
        here.send(&format!("{PAGE}/end-others"), &[]).await.expect(303);
        for other in &mut others {
            other.get("/app").await.expect(303);
        }
        here.get("/app").await.expect(200);
    }

    async fn nobody_ends_the_session_of_somebody_else(server) {
        let app = &server.assembled.app;
        let mut admin = admin(server).await;
        people::create(app, "mona", "mona@example.com", false).await.unwrap();
        people::set_password(app, "mona", &PASSWORD.into()).await.unwrap();
        let mut mona = Browser::new(&server.url, None);
        mona.sign_in("mona", PASSWORD).await.expect(303);
        let id = shown(&mona.get(PAGE).await.expect(200).text).pop().unwrap();
        let page = admin.get(PAGE).await.expect(200).text;
        assert!(!page.contains(&id));
        admin.send(&format!("{PAGE}/{id}/end"), &[]).await.expect(404);
        mona.get("/app").await.expect(200);
    }

    async fn the_strictest_of_ones_organizations_says_how_long_a_session_lasts(server) {
        let mut browser = admin(server).await;
        let api = server.admin();
        let env = &server.assembled.app.env;
        for name in ["acme", "other"] {
            api.organization(name).await;
        }
        let set = async |name: &str, timeout: Option<i64>, remember: Option<i64>| {
            let body = json!({ "data": { "attributes": { "session-timeout": timeout, "session-remember": remember } } });
            api.patch(&format!("/organizations/{name}"), body).await
        };
        set("acme", Some(0), None).await.expect(422);
        set("acme", Some(30), None).await.expect(200);
        set("other", Some(60), Some(100)).await.expect(200);
        for _ in 0..4 {
            env.advance(20 * MINUTE);
            browser.get("/app").await.expect(200);
        }
        env.advance(21 * MINUTE);
        browser.get("/app").await.expect(303);
        browser.sign_in("admin", PASSWORD).await.expect(303);
        env.advance(31 * MINUTE);
        browser.get("/app").await.expect(303);
        set("acme", None, None).await.expect(200);
        browser.sign_in("admin", PASSWORD).await.expect(303);
        env.advance(50 * MINUTE);
        browser.get("/app").await.expect(200);
    }

    async fn an_organization_that_takes_no_tokens_of_users_still_shows_them_its_pages(server) {
        let mut browser = admin(server).await;
        let api = server.admin();
        api.organization("acme").await;
        let body = json!({ "data": { "attributes": { "user-tokens-enabled": false } } });
        let _ = api.patch("/organizations/acme", body).await;
        api.get("/organizations/acme").await.expect(401);
        browser.get("/app/acme").await.expect(200);
    }
}
