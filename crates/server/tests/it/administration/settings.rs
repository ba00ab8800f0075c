//! Settings of the whole installation and of organizations, and what they do.

use super::super::acceptance::run_of;
use kernel::{Env, Timestamp};
use serde_json::{Value, json};
use testkit::{Gate, Settings, on_both};

fn set(attributes: Value) -> Value {
    json!({ "data": { "attributes": attributes } })
}

fn at_rest() -> Settings {
    let now = Timestamp::parse("2026-01-01T00:00:00.5Z").unwrap();
    Settings { env: Env::fixed(now, 7), ..Settings::default() }
}

on_both! {
    async fn general_settings_are_shown_as_they_hold_and_kept_as_they_are_set(server) {
        let api = server.admin();
        let before = api.get("/admin/general-settings").await.expect(200);
        assert_eq!((before.id(), before.attribute("api-rate-limit")), ("general".to_owned(), &json!(30)));
        assert_eq!(*before.attribute("api-rate-limiting-enabled"), json!(false));
        assert_eq!((before.attribute("apply-timeout"), before.attribute("plan-timeout")), (&json!("24h"), &json!("2h")));
        let asked = json!({ "apply-timeout": "2h", "plan-timeout": "30m", "default-remote-state-access": true });
        api.patch("/admin/general-settings", set(asked.clone())).await.expect(200);
        let after = api.get("/admin/general-settings").await.expect(200);
        for (name, value) in asked.as_object().unwrap() {
            assert_eq!(after.attribute(name), value);
        }
        api.patch("/admin/general-settings", set(json!({ "plan-timeout": "soon" }))).await.expect(422);
        api.patch("/admin/general-settings", set(json!({ "api-rate-limit": 0 }))).await.expect(422);
        api.patch("/admin/general-settings", set(json!({ "plan-timeout": null }))).await.expect(200);
        assert_eq!(*api.get("/admin/general-settings").await.attribute("plan-timeout"), json!("2h"));
    }

    async fn another_nodes_change_is_seen_when_the_memory_is_old(server) {
        let api = server.admin();
        let app = &server.assembled.app;
        let changed = "INSERT INTO settings (name, value) VALUES ('customization-settings', '{\"footer\":\"ours\"}')";
        app.db.exec(changed, vec![]).await.unwrap();
        app.read_site().await.unwrap();
        assert_eq!(*api.get("/admin/customization-settings").await.attribute("footer"), json!("ours"));
    }

    async fn a_rate_limit_holds_from_the_request_on_that_sets_it(server, at_rest()) {
        let api = server.admin();
        assert!(api.get("/account/details").await.expect(200).headers.get("x-ratelimit-limit").is_none());
        let limit = json!({ "api-rate-limiting-enabled": true, "api-rate-limit": 2 });
        api.patch("/admin/general-settings", set(limit)).await.expect(200);
        assert_eq!(api.get("/account/details").await.expect(200).headers["x-ratelimit-limit"], "2");
        api.get("/account/details").await.expect(200);
        api.get("/account/details").await.expect(429);
        server.assembled.app.env.advance(1_000_000);
        api.patch("/admin/general-settings", set(json!({ "api-rate-limiting-enabled": false }))).await.expect(200);
        for _ in 0..4 {
            api.get("/account/details").await.expect(200);
        }
    }

    async fn only_site_admins_make_organizations_where_that_is_limited(server) {
        let api = server.admin();
        api.organization("acme").await;
        let mona = server.as_user("mona", "acme", &[]).await;
        mona.organization("monas").await;
        let limited = set(json!({ "limit-user-organization-creation": true }));
        api.patch("/admin/general-settings", limited).await.expect(200);
        let body = json!({ "data": { "attributes": { "name": "more", "email": "a@example.com" } } });
        let refused = mona.post("/organizations", body.clone()).await.expect(403);
        assert!(refused.error().contains("site admins"), "{}", refused.error());
        let may = |account: &testkit::Answer| account.attribute("permissions")["can-create-organizations"].clone();
        assert_eq!(may(&mona.get("/account/details").await), json!(false));
        assert_eq!(may(&api.get("/account/details").await), json!(true));
        api.post("/organizations", body).await.expect(201);
    }

    async fn the_state_of_a_new_workspace_is_shared_where_that_is_the_default(server) {
        let api = server.admin();
        api.organization("acme").await;
        let shared = set(json!({ "default-remote-state-access": true }));
        api.patch("/admin/general-settings", shared).await.expect(200);
        let open = api.workspace("acme", "open", json!({})).await;
        let closed = api.workspace("acme", "closed", json!({ "global-remote-state": false })).await;
        let found = async |ws: &str| api.get(&format!("/workspaces/{ws}")).await.attribute("global-remote-state").clone();
        assert_eq!((found(&open).await, found(&closed).await), (json!(true), json!(false)));
    }

    async fn a_new_organization_has_the_installations_default_for_passing_statuses(server) {
        let api = server.admin();
        let name = "send-passing-statuses-for-untriggered-speculative-plans";
        let found = async |org: &str| api.get(&format!("/organizations/{org}")).await.attribute(name).clone();
        api.organization("early").await;
        api.patch("/admin/general-settings", set(json!({ name: true }))).await.expect(200);
        api.organization("late").await;
        assert_eq!((found("early").await, found("late").await), (json!(false), json!(true)));
    }

    async fn an_organizations_time_for_plans_beats_the_installations(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({})).await;
        api.patch("/admin/general-settings", set(json!({ "plan-timeout": "1h" }))).await.expect(200);
        let short = api.patch("/admin/organizations/acme", set(json!({ "plan-timeout": "1s" }))).await.expect(200);
        assert_eq!(*short.attribute("terraform-build-worker-plan-timeout"), json!("1s"));
        api.patch("/admin/organizations/acme", set(json!({ "apply-timeout": "never" }))).await.expect(422);
        let gate = Gate::new().await;
        let run = run_of(&api, &ws, &gate.configuration()).await;
        let visitor = gate.visitor().await;
        api.wait_for_log(&run, "plan", "Stopping operation").await;
        drop(visitor);
        api.wait(&run, &["errored"]).await;
        let log = api.log(&run, "plan").await;
        assert!(log.contains("timed out after 1s"), "{log}");
    }

    async fn what_site_admins_set_for_an_organization_is_kept(server) {
        let api = server.admin();
        api.organization("acme").await;
        let asked = json!({ "global-module-sharing": true, "global-provider-sharing": true, "access-beta-tools": true,
            "terraform-worker-sudo-enabled": true, "apply-timeout": "24h", "plan-timeout": "90m", "workspace-limit": 0 });
        api.patch("/admin/organizations/acme", set(asked.clone())).await.expect(200);
        let found = api.get("/admin/organizations/acme").await.expect(200);
        for (name, value) in asked.as_object().unwrap() {
            assert_eq!(found.attribute(name), value, "{name}");
        }
    }

    async fn consumers_of_modules_are_replaced_as_a_whole(server) {
        let api = server.admin();
        for name in ["acme", "two", "three"] {
            api.organization(name).await;
        }
        let path = "/admin/organizations/acme/relationships/module-consumers";
        let named = |name: &str| json!({ "data": [{ "type": "organizations", "id": name }] });
        api.patch(path, named("two")).await.expect(204);
        assert_eq!(api.get(path).await.expect(200).ids(), ["two"]);
        let refused = api.patch(path, named("nobody")).await.expect(422);
        assert!(refused.error().contains("nobody"), "{}", refused.error());
        assert_eq!(api.get(path).await.expect(200).ids(), ["two"], "what was refused changed nothing");
        api.patch(path, named("three")).await.expect(204);
        assert_eq!(api.get(path).await.expect(200).ids(), ["three"]);
        api.delete("/admin/organizations/three").await.expect(204);
        assert!(api.get(path).await.expect(200).ids().is_empty());
    }

    async fn an_installations_own_texts_are_on_its_pages_and_are_no_markup(server) {
        let api = server.admin();
        let texts = json!({ "support-email-address": "help@example.com", "login-help": "Ask <b>Mona</b>.\nOr Max.",
            "footer": "Example Corp.", "error": "Call 42.", "new-user": "Welcome." });
        api.patch("/admin/customization-settings", set(texts.clone())).await.expect(200);
        let found = api.get("/admin/customization-settings").await.expect(200);
        for (name, value) in texts.as_object().unwrap() {
            assert_eq!(found.attribute(name), value);
        }
        let wrong = set(json!({ "support-email-address": "nobody" }));
        api.patch("/admin/customization-settings", wrong).await.expect(422);
        let page = async |path: &str| {
            let shown = server.anonymous().get(&format!("{}{path}", server.url)).await;
            String::from_utf8(shown.bytes).unwrap()
        };
        let sign_in = page("/sign-in").await;
        for text in ["<p>Ask &lt;b&gt;Mona&lt;/b&gt;.</p>", "<p>Or Max.</p>", "Example Corp.", "mailto:help@example.com"] {
            assert!(sign_in.contains(text), "{text}: {sign_in}");
        }
        assert!(!sign_in.contains("Call 42."));
        let spent = page("/oauth/authorize").await;
        assert!(!spent.contains("Call 42."), "this is no failure of ours");
    }
}
