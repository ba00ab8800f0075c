//! Banners: what site admins tell everybody, on every page.

use super::sign_in::Browser;
use serde_json::{Value, json};
use testkit::{TestServer, on_both};

const HOUR: i64 = 3600;

fn banner(more: Value) -> Value {
    let mut attributes = json!({
        "title": "Maintenance", "body": "Down at <b>8</b>, <script>see</script> <a href=\"https://a.test/\">why</a>",
        "style": "warning", "audience": "all_users",
    });
    attributes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "data": { "type": "admin-banners", "attributes": attributes } })
}

async fn signed_in(server: &TestServer) -> Browser {
    accounts::people::set_password(&server.assembled.app, "admin", &"correct horse battery".into())
        .await
        .unwrap();
    let mut browser = Browser::new(&server.url, None);
    browser.sign_in("admin", "correct horse battery").await.expect(303);
    browser
}

on_both! {
    async fn every_page_shows_the_banner_and_the_api_serves_it(server) {
        let admin = server.admin();
        let mut inside = signed_in(server).await;
        let mut outside = Browser::new(&server.url, None);
        admin.get("/banners/active").await.expect(404);
        let first = admin.post("/admin/banners", banner(json!({}))).await.expect(201);
        assert!(first.id().starts_with("ab-"));
        assert!(first.attribute("published-at").is_string() && first.attribute("deactivated-at").is_null());
        assert_eq!(first.attribute("body"), "Down at <b>8</b>, see <a href=\"https://a.test/\">why</a>");
        for page in [inside.get("/app").await, inside.get("/app/settings/tokens").await, outside.get("/sign-in").await, inside.get("/app/none").await] {
            assert!(page.text.contains("<strong>Maintenance</strong> Down at <b>8</b>, see <a href=\"https://a.test/\">why</a>"), "{}", page.text);
            assert!(page.text.contains("class=\"banner warning\""));
        }
        assert_eq!(admin.get("/banners/active").await.expect(200).id(), first.id());

        let path = format!("/admin/banners/{}", first.id());
        let only = json!({ "data": { "attributes": { "audience": "authenticated_only", "style": "critical" } } });
        assert_eq!(admin.patch(&path, only).await.expect(200).attribute("title"), "Maintenance");
        assert!(inside.get("/app").await.text.contains("class=\"banner critical\""));
        assert!(!outside.get("/sign-in").await.text.contains("Maintenance"));

        let second = admin.post("/admin/banners", banner(json!({ "title": "Other" }))).await.expect(201);
        let page = inside.get("/app").await.text;
        assert!(page.contains("Other") && !page.contains("Maintenance"));
        let former = admin.patch(&path, json!({ "data": { "attributes": {} } })).await.expect(200);
        assert!(former.attribute("deactivated-at").is_string(), "one at a time");
        admin.delete(&format!("/admin/banners/{}", second.id())).await.expect(204);
        assert!(!inside.get("/app").await.text.contains("Other"));
        admin.get("/banners/active").await.expect(404);
        admin.delete("/admin/banners/ab-none").await.expect(404);
        let mona = server.as_user("mona", &admin.organization("acme").await, &[]).await;
        mona.post("/admin/banners", banner(json!({}))).await.expect(404);
    }

    async fn a_banner_with_a_schedule_comes_and_goes_by_itself(server) {
        let admin = server.admin();
        let mut inside = signed_in(server).await;
        let now = server.assembled.app.now();
        let at = |hours: i64| now.plus_seconds(hours * HOUR).iso8601();
        let schedule = |from: &str, to: &str| json!({
            "scheduled-publish-at": from, "scheduled-expire-at": to, "timezone": "Europe/Berlin",
        });
        for wrong in [
            json!({ "title": "x".repeat(101) }), json!({ "body": "x".repeat(256) }), json!({ "style": "loud" }), json!({ "audience": "some" }),
            json!({ "timezone": "UTC" }), json!({ "scheduled-publish-at": at(1) }), schedule("soon", &at(2)), schedule(&at(2), &at(1)), json!({ "body": "<p></p>" }),
        ] {
            admin.post("/admin/banners", banner(wrong.clone())).await.expect(422);
        }
        let made = admin.post("/admin/banners", banner(schedule(&at(1), &at(3)))).await.expect(201);
        assert!(made.attribute("published-at").is_null());
        assert!(!inside.get("/app").await.text.contains("Maintenance"));
        server.assembled.app.env.advance(2 * HOUR * 1_000_000);
        assert!(inside.get("/app").await.text.contains("Maintenance"));
        assert_eq!(admin.get("/banners/active").await.expect(200).attribute("published-at"), at(1).as_str());
        server.assembled.app.env.advance(2 * HOUR * 1_000_000);
        assert!(!inside.get("/app").await.text.contains("Maintenance"));
        admin.get("/banners/active").await.expect(404);
    }
}
