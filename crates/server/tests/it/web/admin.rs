//! Site administration: for site admins, and for nobody else.

use crate::{
    acceptance::{CHANGE, planned},
    sign_in::{self, Shown},
};
use serde_json::json;
use testkit::on_both;

const PAGES: [&str; 6] = ["", "/runs", "/organizations", "/users", "/versions", "/settings"];

fn sees(shown: &Shown, texts: &[&str]) {
    for text in texts {
        assert!(shown.text.contains(text), "{text} is missing in {}", shown.text);
    }
}

on_both! {
    async fn only_site_admins_find_the_administration(server) {
        let api = server.admin();
        api.organization("acme").await;
        let name = api.invite("acme", "mona@example.com", &[]).await;
        let (mut admin, mut mona) = (sign_in::admin(server).await, sign_in::of(server, &name).await);
        sees(&admin.get("/app").await.expect(200), &["href=\"/app/admin\""]);
        assert!(!mona.get("/app").await.expect(200).text.contains("/app/admin"));
        for page in PAGES {
            admin.get(&format!("/app/admin{page}")).await.expect(200);
            mona.get(&format!("/app/admin{page}")).await.expect(404);
        }
        for (path, fields) in [
            ("/app/admin/organizations/acme", &[("is-disabled", "true")][..]),
            ("/app/admin/organizations/acme/delete", &[("confirmation", "acme")][..]),
            ("/app/admin/versions/terraform", &[("version", "1.0.0"), ("official", "true")][..]),
            ("/app/admin/settings/general", &[("api-rate-limit", "5")][..]),
            ("/app/admin/settings/customization", &[("footer", "mine")][..]),
        ] {
            mona.get("/app").await.expect(200);
            mona.send(path, fields).await.expect(404);
        }
        sees(&admin.get("/app/admin").await.expect(200), &["All is well", "This server", "terraform"]);
    }

    async fn users_are_suspended_let_in_made_admins_and_deleted(server) {
        let api = server.admin();
        api.organization("acme").await;
        let name = api.invite("acme", "mona@example.com", &[]).await;
        let (mut admin, mut mona) = (sign_in::admin(server).await, sign_in::of(server, &name).await);
        let id = api.get("/admin/users?q=mona").await.ids()[0].clone();
        let act = |action: &str| format!("/app/admin/users/{id}/{action}");
        sees(&admin.get("/app/admin/users?q=mona").await.expect(200), &[&name, "acme"]);
        admin.send(&act("suspend"), &[]).await.expect(303);
        mona.get("/app").await.expect(303);
        sees(&admin.get("/app/admin/users?which=suspended").await.expect(200), &[&name, "Unsuspend"]);
        admin.send(&act("unsuspend"), &[]).await.expect(303);
        admin.get("/app/admin/users").await.expect(200);
        admin.send(&act("grant_admin"), &[]).await.expect(303);
        mona.sign_in(&name, sign_in::PASSWORD).await.expect(303);
        mona.get("/app/admin").await.expect(200);
        admin.get("/app/admin/users").await.expect(200);
        admin.send(&act("revoke_admin"), &[]).await.expect(303);
        mona.get("/app/admin").await.expect(404);
        // The last one stays.
        let own = api.get("/account/details").await.id();
        admin.get("/app/admin/users").await.expect(200);
        let refused = admin.send(&format!("/app/admin/users/{own}/suspend"), &[]).await.expect(422);
        assert!(refused.text.contains("role=\"alert\""), "{}", refused.text);
        admin.send(&act("explode"), &[]).await.expect(404);
        admin.get("/app/admin/users").await.expect(200);
        admin.send(&act("delete"), &[]).await.expect(303);
        assert!(!admin.get("/app/admin/users").await.expect(200).text.contains("mona@example.com"));
    }

    async fn an_organization_is_limited_closed_and_deleted(server) {
        let api = server.admin();
        api.organization("acme").await;
        let mut admin = sign_in::admin(server).await;
        let page = "/app/admin/organizations/acme";
        sees(&admin.get("/app/admin/organizations").await.expect(200), &[page]);
        admin.get(page).await.expect(200);
        sees(&admin.send(page, &[("plan-timeout", "soon")]).await.expect(422), &["must be a span of time", "value=\"soon\""]);
        admin.get(page).await.expect(200);
        admin.send(page, &[("is-disabled", "true"), ("workspace-limit", "3"), ("plan-timeout", "45m")]).await.expect(303);
        sees(&admin.get(page).await.expect(200), &["value=\"3\"", "value=\"45m\""]);
        sees(&admin.get("/app/admin/organizations").await.expect(200), &["Disabled"]);
        admin.get(page).await.expect(200);
        admin.send(&format!("{page}/delete"), &[("confirmation", "other")]).await.expect(422);
        admin.get(page).await.expect(200);
        admin.send(&format!("{page}/delete"), &[("confirmation", "acme")]).await.expect(303);
        admin.get(page).await.expect(404);
    }

    async fn a_version_is_added_deprecated_disabled_and_deleted(server) {
        let mut admin = sign_in::admin(server).await;
        let list = "/app/admin/versions";
        admin.get(list).await.expect(200);
        let wrong = [("version", "1.9.8"), ("url", "https://example.com/t.zip"), ("sha", "abc")];
        let refused = admin.send(&format!("{list}/terraform"), &[("version", "0.1.2"), wrong[1], wrong[2]]).await.expect(422);
        sees(&refused, &["SHA-256", "value=\"abc\""]);
        admin.get(list).await.expect(200);
        let sha = "a".repeat(64);
        let fields = [("version", "0.1.2"), wrong[1], ("sha", sha.as_str())];
        let made = admin.send(&format!("{list}/terraform"), &fields).await.expect(303);
        let page = made.location().split('?').next().unwrap().to_owned();
        sees(&admin.get(&page).await.expect(200), &["Terraform 0.1.2", &sha]);
        let changed = [("deprecated", "true"), ("deprecated-reason", "Too old"), wrong[1], ("sha", sha.as_str())];
        admin.send(&page, &changed).await.expect(303);
        sees(&admin.get(&page).await.expect(200), &["Disabled", "Deprecated", "Too old"]);
        admin.send(&format!("{page}/delete"), &[]).await.expect(303);
        admin.get(&page).await.expect(404);
        admin.get("/app/admin/versions?tool=opentofu").await.expect(200);
    }

    async fn runs_of_the_whole_site_are_seen_and_stopped_by_force(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "net", json!({})).await;
        let run = planned(&api, &ws, CHANGE).await;
        let mut admin = sign_in::admin(server).await;
        sees(&admin.get("/app/admin/runs?which=confirm").await.expect(200), &[&run, "acme / net"]);
        admin.send(&format!("/app/admin/runs/{run}/force-cancel"), &[]).await.expect(303);
        assert_eq!(api.status(&run).await, "canceled");
        sees(&admin.get("/app/admin/runs").await.expect(200), &["No run is in progress"]);
    }

    async fn settings_hold_at_once_and_texts_are_no_markup(server) {
        let mut admin = sign_in::admin(server).await;
        let page = "/app/admin/settings";
        admin.get(page).await.expect(200);
        let general = [("api-rate-limit", "50"), ("plan-timeout", "1h"), ("apply-timeout", "never")];
        sees(&admin.send(&format!("{page}/general"), &general).await.expect(422), &["must be a span of time", "value=\"never\""]);
        admin.get(page).await.expect(200);
        let general = [("api-rate-limit", "50"), ("plan-timeout", "1h"), ("apply-timeout", "2h"),
            ("limit-user-organization-creation", "true")];
        admin.send(&format!("{page}/general"), &general).await.expect(303);
        admin.get(page).await.expect(200);
        admin.send(&format!("{page}/customization"), &[("footer", "Of <b>Acme</b>")]).await.expect(303);
        sees(&admin.get(page).await.expect(200), &["value=\"1h\"", "<p>Of &lt;b&gt;Acme&lt;/b&gt;</p>"]);
    }
}
