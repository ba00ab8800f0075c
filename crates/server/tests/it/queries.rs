//! Queries. The engine of the tests is older than Terraform's `query`, which is what they show besides the rest; with a newer
//! one the first test ends otherwise and says so.

use serde_json::{Value, json};
use testkit::{Answer, Api, archive, on_both};

const LIST: &str = "list \"null_resource\" \"all\" { provider = null }\n";

async fn ask(api: &Api, ws: &str, attributes: Value) -> Answer {
    let body = json!({ "data": { "type": "queries", "attributes": attributes, "relationships": {
        "workspace": { "data": { "type": "workspaces", "id": ws } },
        "configuration-version": { "data": null },
    } } });
    api.post("/queries", body).await
}

on_both! {
    async fn a_query_is_carried_out_beside_the_queue_and_needs_an_engine_that_can(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        admin.uploaded(&ws, archive(&[("main.tf", ""), ("all.tfquery.hcl", LIST)])).await;
        // Somebody's lock holds up runs, and not what changes nothing.
        admin.lock(&ws).await;
        let asked = ask(&admin, &ws, json!({ "source": "tfe-api" })).await.expect(201);
        assert_eq!(asked.attribute("generate-config-out"), true);
        let id = asked.id();
        admin.wait(&id, &["errored"]).await;
        let query = admin.get(&format!("/queries/{id}?include=created_by")).await.expect(200);
        assert_eq!(query.attribute("status"), "errored");
        assert!(query.attribute("status-timestamps")["errored-at"].is_string());
        assert_eq!(query.json["included"][0]["type"], "users");
        let url = query.attribute("log-read-url").as_str().unwrap().to_owned();
        let log = server.anonymous().get(&url).await.expect(200);
        let log = String::from_utf8_lossy(&log.bytes).into_owned();
        assert!(log.contains("has no `query`: it needs 1.14 or newer"), "{log}");

        let listed = admin.get(&format!("/workspaces/{ws}/queries")).await.expect(200);
        assert_eq!(listed.ids(), [id.as_str()]);
        assert_eq!(admin.get(&format!("/workspaces/{ws}/runs")).await.ids(), Vec::<String>::new());
        admin.post(&format!("/queries/{id}/actions/force-cancel"), json!({})).await.expect(409);
        let plain = ask(&admin, &ws, json!({ "generate-config-out": false })).await.expect(201);
        assert_eq!(plain.attribute("generate-config-out"), false);
        admin.wait(&plain.id(), &["errored"]).await;
    }

    async fn a_query_asks_for_the_rights_of_a_plan_and_of_reading_states(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        ask(&admin, &ws, json!({})).await.expect(422);
        admin.uploaded(&ws, archive(&[("main.tf", "")])).await;
        let reader = server.with_token(&admin.team_token("acme", "readers", &ws, "read").await);
        ask(&reader, &ws, json!({})).await.expect(404);
        let planner = server.with_token(&admin.team_token("acme", "planners", &ws, "plan").await);
        let asked = ask(&planner, &ws, json!({})).await.expect(201);
        reader.get(&format!("/queries/{}", asked.id())).await.expect(200);
        let stranger = admin.workspace("acme", "other", json!({})).await;
        let stranger = server.with_token(&admin.team_token("acme", "strangers", &stranger, "admin").await);
        stranger.get(&format!("/queries/{}", asked.id())).await.expect(404);
        let plan = admin.run(&ws, json!({ "plan-only": true })).await;
        admin.get(&format!("/queries/{plan}")).await.expect(404);
    }
}
