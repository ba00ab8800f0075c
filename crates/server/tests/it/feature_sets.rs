//! What site admins allow an organization: what is granted, what is withheld, how many runs at a time.

use super::acceptance::{CHANGE, NOTHING, run_of};
use serde_json::{Value, json};
use testkit::{Answer, Api, Gate, archive, on_both};

/// The feature set of this name.
async fn feature_set(admin: &Api, name: &str) -> String {
    let found = admin.get(&format!("/admin/feature-sets?q={name}")).await.expect(200);
    assert_eq!(found.json["data"][0]["attributes"]["name"], name);
    found.ids()[0].clone()
}

async fn subscribe(admin: &Api, org: &str, set: &str, attributes: Value) -> Answer {
    let set = feature_set(admin, set).await;
    let body = json!({ "data": { "type": "subscription", "attributes": attributes, "relationships": {
        "feature-set": { "data": { "type": "feature-sets", "id": set } },
    } } });
    admin.post(&format!("/admin/organizations/{org}/subscription"), body).await
}

fn team(name: &str) -> Value {
    json!({ "data": { "type": "teams", "attributes": { "name": name } } })
}

on_both! {
    async fn an_organization_has_what_is_built_and_granted_and_nothing_else(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let entitled = || async { admin.get("/organizations/acme/entitlement-set").await.expect(200) };
        let at_first = entitled().await;
        for built in ["audit-logging", "operations", "state-storage", "teams"] {
            assert_eq!(at_first.attribute(built), &json!(true), "{built}");
        }
        for missing in ["sentinel", "private-module-registry", "run-tasks", "cost-estimation", "vcs-integrations"] {
            assert_eq!(at_first.attribute(missing), &json!(false), "{missing} is not built");
        }
        let mine = admin.get("/organizations/acme/subscription?include=feature_set").await.expect(200);
        assert_eq!(mine.json["included"][0]["attributes"]["name"], "Enterprise");

        subscribe(&admin, "acme", "Free", json!({})).await.expect(201);
        let free = entitled().await;
        assert_eq!(free.attribute("operations"), &json!(true));
        assert_eq!(free.attribute("teams"), &json!(false));
        let organization = admin.get("/organizations/acme").await;
        assert_eq!(organization.attribute("plan-identifier"), "free");
        let id = organization.related("subscription").unwrap().to_owned();
        assert_eq!(admin.get(&format!("/subscriptions/{id}")).await.expect(200).related("feature-set"), Some("fs-free"));

        subscribe(&admin, "acme", "Business", json!({ "end-at": "2001-01-01T00:00:00Z" })).await.expect(201);
        let ended = admin.get("/organizations/acme").await;
        assert_eq!((ended.attribute("plan-expired"), ended.attribute("plan-identifier")), (&json!(true), &json!("free")));
        assert_eq!(entitled().await.attribute("audit-logging"), &json!(false));
    }

    async fn what_is_withheld_is_refused_with_the_reason_and_what_was_made_before_stays(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let token = admin.organization_token("acme").await;
        let before = admin.post("/organizations/acme/teams", team("before")).await.expect(201).id();
        subscribe(&admin, "acme", "Free", json!({})).await.expect(201);
        let refused = admin.post("/organizations/acme/teams", team("after")).await.expect(404);
        let said = refused.json["errors"][0]["detail"].as_str().unwrap().to_owned();
        assert!(said.contains("not entitled to teams") && said.contains("Free"), "{said}");
        admin.get(&format!("/teams/{before}")).await.expect(200);
        let foreign = server.with_token(&{
            admin.organization("other").await;
            admin.organization_token("other").await
        });
        let hidden = foreign.post("/organizations/acme/teams", team("after")).await.expect(404);
        assert_eq!(hidden.json["errors"][0].get("detail"), None, "strangers learn nothing");

        admin.get("/organizations/acme/audit-trail").await.expect(404);
        server.with_token(&token).get("/organization/audit-trail").await.expect(404);
        admin.post("/organizations/acme/authentication-token?token=audit-trails", json!({})).await.expect(404);
        admin.get("/admin/audit-trail").await.expect(200);
        subscribe(&admin, "acme", "Business", json!({})).await.expect(201);
        admin.post("/organizations/acme/teams", team("after")).await.expect(201);
        let trail = admin.get("/organizations/acme/audit-trail").await.expect(200);
        assert!(String::from_utf8_lossy(&trail.bytes).contains(&before), "it was kept all the time");
    }

    async fn an_organization_has_no_more_members_than_its_contract_allows(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        subscribe(&admin, "acme", "Business", json!({ "contract-user-limit": 2 })).await.expect(201);
        let invite = |email: &str| json!({ "data": { "attributes": { "email": email } } });
        let path = "/organizations/acme/organization-memberships";
        admin.post(path, invite("second@example.com")).await.expect(201);
        let refused = admin.post(path, invite("third@example.com")).await.expect(422);
        assert!(refused.error().contains("may have 2 members"), "{}", refused.error());
        subscribe(&admin, "acme", "Business", json!({ "contract-user-limit": 3 })).await.expect(201);
        admin.post(path, invite("third@example.com")).await.expect(201);
    }

    async fn only_site_admins_give_subscriptions_and_only_such_as_can_be(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let token = server.with_token(&admin.organization_token("acme").await);
        token.get("/admin/feature-sets").await.expect(404);
        token.get("/admin/organizations/acme/subscription").await.expect(404);
        token.post("/admin/organizations/acme/subscription", json!({ "data": {} })).await.expect(404);
        assert_eq!(token.get("/organizations/acme/feature-sets").await.expect(200).ids().len(), 4);
        assert_eq!(token.get("/feature-sets?page%5Bsize%5D=2&page%5Bnumber%5D=2").await.expect(200).ids().len(), 2);
        subscribe(&admin, "nobody", "Free", json!({})).await.expect(404);
        subscribe(&admin, "acme", "Free", json!({ "runs-ceiling": 0 })).await.expect(422);
        subscribe(&admin, "acme", "Free", json!({ "end-at": "tomorrow" })).await.expect(422);
        let unknown = json!({ "data": { "relationships": { "feature-set": { "data": { "id": "fs-x" } } } } });
        admin.post("/admin/organizations/acme/subscription", unknown).await.expect(422);
        admin.post("/admin/organizations/acme/subscription", json!({ "data": {} })).await.expect(422);
    }

    async fn runs_beyond_the_ceiling_wait_and_say_so_and_other_organizations_do_not(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        admin.organization("other").await;
        subscribe(&admin, "acme", "Business", json!({ "runs-ceiling": 1 })).await.expect(201);
        let (first, second) =
            (admin.workspace("acme", "first", json!({})).await, admin.workspace("acme", "second", json!({})).await);
        let theirs = admin.workspace("other", "theirs", json!({})).await;
        let gate = Gate::new().await;
        let at_gate = run_of(&admin, &first, &gate.configuration()).await;
        let visitor = gate.visitor().await;
        let waiting = run_of(&admin, &second, CHANGE).await;
        admin.uploaded(&theirs, archive(&[("main.tf", NOTHING)])).await;
        let free = admin.run(&theirs, json!({})).await;
        admin.wait(&free, &["planned_and_finished"]).await;
        let found = admin.get(&format!("/runs/{waiting}")).await;
        assert_eq!(found.attribute("status"), "pending");
        assert_eq!(found.attribute("waiting-for")["type"], "runs-ceiling");
        assert_eq!(found.attribute("waiting-for")["ceiling"], 1);
        // More is allowed: it begins at once.
        subscribe(&admin, "acme", "Business", json!({ "runs-ceiling": 2 })).await.expect(201);
        admin.wait(&waiting, &["planned"]).await;
        assert_eq!(admin.status(&at_gate).await, "planning");
        visitor.admit().await;
        admin.wait(&at_gate, &["planned"]).await;
    }

    async fn a_run_that_waits_below_the_ceiling_begins_when_another_ends(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        subscribe(&admin, "acme", "Free", json!({})).await.expect(201);
        let (first, second) =
            (admin.workspace("acme", "first", json!({})).await, admin.workspace("acme", "second", json!({})).await);
        let gate = Gate::new().await;
        let at_gate = run_of(&admin, &first, &gate.configuration()).await;
        let visitor = gate.visitor().await;
        let waiting = run_of(&admin, &second, CHANGE).await;
        visitor.admit().await;
        admin.wait(&at_gate, &["planned"]).await;
        admin.wait(&waiting, &["planned"]).await;
    }
}
