//! What site admins set for organizations, and what it does.

use serde_json::json;
use testkit::on_both;

on_both! {
    async fn a_site_admin_sees_every_organization_with_its_owners(server) {
        let api = server.admin();
        api.organization("acme").await;
        api.organization("other").await;
        let list = api.get("/admin/organizations?include=owners").await.expect(200);
        assert_eq!(list.ids(), ["acme", "other"]);
        assert_eq!(list.json["included"][0]["attributes"]["username"], "admin");
        assert_eq!(api.get("/admin/organizations?q=acm").await.expect(200).ids(), ["acme"]);
        api.delete("/admin/organizations/other").await.expect(204);
        api.get("/organizations/other").await.expect(404);
    }

    async fn an_organization_has_no_more_workspaces_than_site_admins_allow(server) {
        let api = server.admin();
        api.organization("acme").await;
        let limit = |limit: serde_json::Value| json!({ "data": { "attributes": { "workspace-limit": limit } } });
        api.patch("/admin/organizations/acme", limit(json!(1))).await.expect(200);
        api.workspace("acme", "one", json!({})).await;
        let two = json!({ "data": { "attributes": { "name": "two" } } });
        let refused = api.post("/organizations/acme/workspaces", two.clone()).await.expect(422);
        assert!(refused.error().contains("1 workspaces"), "{}", refused.error());
        api.patch("/admin/organizations/acme", limit(json!(null))).await.expect(200);
        api.post("/organizations/acme/workspaces", two).await.expect(201);
        api.patch("/admin/organizations/acme", limit(json!(-1))).await.expect(422);
    }

    async fn a_disabled_organization_is_closed_to_all_but_site_admins(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "app", json!({})).await;
        let team = server.with_token(&api.team_token("acme", "admins", &ws, "admin").await);
        team.get(&format!("/workspaces/{ws}")).await.expect(200);
        let disabled = |on: bool| json!({ "data": { "attributes": { "is-disabled": on } } });
        api.patch("/admin/organizations/acme", disabled(true)).await.expect(200);
        team.get(&format!("/workspaces/{ws}")).await.expect(404);
        api.get(&format!("/workspaces/{ws}")).await.expect(200);
        api.patch("/admin/organizations/acme", disabled(false)).await.expect(200);
        team.get(&format!("/workspaces/{ws}")).await.expect(200);
    }

    async fn a_new_workspace_works_as_its_organization_does_by_default(server) {
        let api = server.admin();
        api.organization("acme").await;
        let local = json!({ "data": { "attributes": { "default-execution-mode": "local" } } });
        api.patch("/organizations/acme", local).await.expect(200);
        let ws = api.workspace("acme", "app", json!({})).await;
        assert_eq!(*api.get(&format!("/workspaces/{ws}")).await.attribute("execution-mode"), json!("local"));
    }

    async fn the_versions_that_are_on_the_machine_are_listed_with_their_use(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "app", json!({})).await;
        let shown = api.get(&format!("/workspaces/{ws}")).await;
        let kind = if *shown.attribute("engine") == json!("tofu") { "opentofu" } else { "terraform" };
        let version = shown.attribute("terraform-version").as_str().unwrap().to_owned();
        let path = format!("/admin/{kind}-versions?filter[version]={version}");
        let listed = api.get(&path).await.expect(200);
        assert_eq!(listed.json["data"][0]["attributes"]["usage"], 1);
        let one = api.get(&format!("/admin/{kind}-versions/{}", listed.ids()[0])).await.expect(200);
        assert_eq!(*one.attribute("version"), json!(version));
    }
}
