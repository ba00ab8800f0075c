//! Users in the hands of site admins.

use serde_json::json;
use testkit::{Api, on_both};

/// The id of the one user whom a search finds.
async fn found(api: &Api, text: &str) -> String {
    let list = api.get(&format!("/admin/users?q={text}")).await.expect(200);
    assert_eq!(list.json["meta"]["pagination"]["total-count"], 1, "{text}: {}", list.json);
    list.ids()[0].clone()
}

on_both! {
    async fn users_are_found_by_name_address_and_standing_the_oldest_first(server) {
        let api = server.admin();
        api.organization("acme").await;
        api.invite("acme", "mona@example.com", &[]).await;
        let mona = found(&api, "mona").await;
        assert_eq!(found(&api, "MONA%40example.com").await, mona);
        assert!(api.get("/admin/users?q=%25").await.expect(200).ids().is_empty());
        let all = api.get("/admin/users?include=organizations").await.expect(200);
        let admin = api.get("/account/details").await.id();
        assert_eq!(all.ids(), [admin.clone(), mona.clone()]);
        assert_eq!(all.json["data"][0]["relationships"]["organizations"]["data"][0]["id"], "acme");
        assert_eq!(all.json["included"][0]["id"], "acme");
        assert_eq!(all.json["data"][1]["attributes"]["email"], "mona@example.com");
        assert_eq!(api.get("/admin/users?filter[admin]=true").await.ids(), [admin.as_str()]);
        assert_eq!(api.get("/admin/users?filter[admin]=false").await.ids(), [mona.as_str()]);
        assert!(api.get("/admin/users?filter[suspended]=true").await.expect(200).ids().is_empty());
        api.get("/admin/users?filter[suspended]=maybe").await.expect(400);
        let second = api.get("/admin/users?page[size]=1&page[number]=2").await.expect(200);
        assert_eq!(second.ids(), [mona]);
    }

    async fn a_suspended_user_is_kept_out_until_the_suspension_ends(server) {
        let api = server.admin();
        api.organization("acme").await;
        let mona = server.as_user("mona", "acme", &[]).await;
        mona.get("/account/details").await.expect(200);
        let id = found(&api, "mona").await;
        let suspended = api.post(&format!("/admin/users/{id}/actions/suspend"), json!({})).await.expect(200);
        assert_eq!(*suspended.attribute("is-suspended"), json!(true));
        mona.get("/account/details").await.expect(401);
        assert_eq!(api.get("/admin/users?filter[suspended]=true").await.ids(), [id.as_str()]);
        api.post(&format!("/admin/users/{id}/actions/unsuspend"), json!({})).await.expect(200);
        mona.get("/account/details").await.expect(200);
    }

    async fn a_site_admin_makes_others_and_takes_it_back(server) {
        let api = server.admin();
        api.organization("acme").await;
        let mona = server.as_user("mona", "acme", &[]).await;
        mona.get("/admin/users").await.expect(404);
        let id = found(&api, "mona").await;
        let granted = api.post(&format!("/admin/users/{id}/actions/grant_admin"), json!({})).await.expect(200);
        assert_eq!(*granted.attribute("is-admin"), json!(true));
        mona.get("/admin/users").await.expect(200);
        api.post(&format!("/admin/users/{id}/actions/revoke_admin"), json!({})).await.expect(200);
        mona.get("/admin/users").await.expect(404);
    }

    async fn the_last_site_admin_can_be_neither_suspended_nor_revoked_nor_deleted(server) {
        let api = server.admin();
        api.organization("acme").await;
        let mona = server.as_user("mona", "acme", &[]).await;
        let (admin, other) = (api.get("/account/details").await.id(), found(&api, "mona").await);
        // One who is suspended lets nobody in.
        api.post(&format!("/admin/users/{other}/actions/grant_admin"), json!({})).await.expect(200);
        api.post(&format!("/admin/users/{other}/actions/suspend"), json!({})).await.expect(200);
        for action in ["suspend", "revoke_admin"] {
            let refused = api.post(&format!("/admin/users/{admin}/actions/{action}"), json!({})).await.expect(422);
            assert!(refused.error().contains("only site admin left"), "{}", refused.error());
        }
        api.delete(&format!("/admin/users/{admin}")).await.expect(422);
        api.post(&format!("/admin/users/{other}/actions/unsuspend"), json!({})).await.expect(200);
        mona.post(&format!("/admin/users/{admin}/actions/revoke_admin"), json!({})).await.expect(200);
        api.get("/admin/users").await.expect(404);
        mona.delete(&format!("/admin/users/{other}")).await.expect(422);
    }

    async fn a_deleted_user_is_gone_and_what_they_made_stays(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({})).await;
        let team = api.team("acme", "planners", &ws, "plan").await;
        let mona = server.as_user("mona", "acme", &[&team]).await;
        let run = super::super::acceptance::planned(&mona, &ws, super::super::acceptance::CHANGE).await;
        let id = found(&api, "mona").await;
        api.delete(&format!("/admin/users/{id}")).await.expect(204);
        mona.get("/account/details").await.expect(401);
        assert!(api.get("/admin/users?q=mona").await.expect(200).ids().is_empty());
        api.delete(&format!("/admin/users/{id}")).await.expect(404);
        assert_eq!(api.get(&format!("/workspaces/{ws}/runs")).await.expect(200).ids(), [run.as_str()]);
        api.get(&format!("/runs/{run}?include=created_by")).await.expect(200);
        let members = api.get("/organizations/acme/organization-memberships").await.expect(200);
        assert_eq!(members.ids().len(), 1);
    }
}
