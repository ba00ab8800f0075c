//! Old data: how long it is kept, and how owners delete it; and the exports of plans, which are kept for an hour.

use super::acceptance::{CHANGE, planned, states};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::io::Read;
use testkit::{Api, TestServer, archive, on_both};

const DAY: i64 = 24 * 3600 * 1_000_000;

async fn state(api: &Api, ws: &str, serial: u32) -> String {
    let body = states::inline(serial, "l", &states::state(serial, "l", "x"), json!({}));
    api.post(&format!("/workspaces/{ws}/state-versions"), body).await.expect(201).id()
}

async fn status(api: &Api, path: &str) -> Value {
    api.get(path).await.expect(200).attribute("status").clone()
}

async fn policy(api: &Api, of: &str, days: Option<u32>) -> testkit::Answer {
    let body = match days {
        Some(days) => json!({ "data": {
            "type": "data-retention-policy-delete-olders", "attributes": { "delete-older-than-n-days": days },
        } }),
        None => json!({ "data": { "type": "data-retention-policy-dont-deletes", "attributes": {} } }),
    };
    api.post(&format!("{of}/relationships/data-retention-policy"), body).await
}

async fn sweep(server: &TestServer) {
    runs::retention::sweep(&server.assembled.app).await.unwrap();
}

async fn blobs(server: &TestServer) -> i64 {
    let sql = "SELECT COUNT(*) FROM blobs";
    server.assembled.app.db.one::<(i64,)>(sql, vec![]).await.unwrap().unwrap().0
}

on_both! {
    async fn what_is_older_than_the_policy_keeps_it_is_deleted_but_not_what_is_needed(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        let kept = admin.workspace("acme", "kept", json!({})).await;
        let (mut versions, mut configurations, mut safe) = (vec![], vec![], vec![]);
        for ws in [&ws, &kept] {
            admin.lock(ws).await;
        }
        for serial in 1..=2 {
            versions.push(format!("/state-versions/{}", state(&admin, &ws, serial).await));
            safe.push(format!("/state-versions/{}", state(&admin, &kept, serial).await));
        }
        for _ in 0..3 {
            let uploaded = admin.uploaded(&ws, archive(&[("main.tf", CHANGE)])).await;
            configurations.push(format!("/configuration-versions/{uploaded}"));
        }
        let (_, used) = configurations[1].rsplit_once('/').unwrap();
        admin.ask_run(&ws, Some(used), json!({})).await.expect(201);
        policy(&admin, "/organizations/acme", Some(0)).await.expect(422);
        let set = policy(&admin, "/organizations/acme", Some(10)).await.expect(200);
        assert_eq!(set.attribute("delete-older-than-n-days"), 10);
        let shown = admin.get("/organizations/acme").await;
        assert_eq!(shown.related("data-retention-policy"), Some(set.id().as_str()));
        policy(&admin, &format!("/workspaces/{kept}"), None).await.expect(200);
        sweep(server).await;
        assert_eq!(status(&admin, &versions[0]).await, "finalized", "not old enough");
        server.assembled.app.env.advance(11 * DAY);
        let before = blobs(server).await;
        sweep(server).await;
        assert_eq!(status(&admin, &versions[0]).await, "backing_data_permanently_deleted");
        assert_eq!(status(&admin, &versions[1]).await, "finalized", "the current state");
        assert_eq!(status(&admin, &configurations[0]).await, "backing_data_permanently_deleted");
        assert_eq!(status(&admin, &configurations[1]).await, "uploaded", "an unfinished run uses it");
        assert_eq!(status(&admin, &configurations[2]).await, "uploaded", "the current configuration");
        for path in &safe {
            assert_eq!(status(&admin, path).await, "finalized", "its workspace forbids it");
        }
        assert_eq!(blobs(server).await, before - 2);
        admin.get(&format!("{}/download", versions[0])).await.expect(404);
        admin.get(&format!("{}/download", configurations[0])).await.expect(404);

        let path = format!("/workspaces/{kept}/relationships/data-retention-policy");
        assert_eq!(admin.get(&path).await.json["data"]["type"], "data-retention-policy-dont-deletes");
        admin.delete(&path).await.expect(204);
        assert_eq!(admin.get(&path).await.expect(200).json, json!({ "data": null }));
        sweep(server).await;
        assert_eq!(status(&admin, &safe[0]).await, "backing_data_permanently_deleted", "the organization's holds again");
    }

    async fn deleted_data_can_be_restored_until_it_is_deleted_for_good(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        admin.lock(&ws).await;
        let old = state(&admin, &ws, 1).await;
        let shown = admin.get(&format!("/state-versions/{old}")).await;
        let url = shown.attribute("hosted-state-download-url").as_str().unwrap().to_owned();
        let current = state(&admin, &ws, 2).await;
        let configuration = admin.uploaded(&ws, archive(&[("main.tf", CHANGE)])).await;
        admin.uploaded(&ws, archive(&[("main.tf", CHANGE)])).await;
        let outputs = format!("/state-versions/{old}/outputs");
        assert_eq!(admin.get(&outputs).await.ids().len(), 1);
        let writer = server.with_token(&admin.team_token("acme", "managers", &ws, "admin").await);
        for (path, bytes) in [
            (format!("/state-versions/{old}"), url.clone()),
            (format!("/configuration-versions/{configuration}"), format!("/configuration-versions/{configuration}/download")),
        ] {
            let act = |action: &str| {
                let (admin, path) = (admin.clone(), format!("{path}/actions/{action}_backing_data"));
                async move { admin.post(&path, json!({})).await }
            };
            writer.post(&format!("{path}/actions/soft_delete_backing_data"), json!({})).await.expect(404);
            assert!(act("restore").await.expect(400).error().contains("transition not allowed"));
            act("soft_delete").await.expect(200);
            admin.get(&bytes).await.expect(404);
            act("soft_delete").await.expect(400);
            act("restore").await.expect(200);
            assert!(admin.get(&bytes).await.status.as_u16() < 400);
            act("permanently_delete").await.expect(400);
            act("soft_delete").await.expect(200);
            act("permanently_delete").await.expect(200);
            act("restore").await.expect(400);
            admin.get(&bytes).await.expect(404);
        }
        assert_eq!(admin.get(&outputs).await.ids().len(), 0);
        let refused = admin.post(&format!("/state-versions/{current}/actions/soft_delete_backing_data"), json!({})).await;
        assert!(refused.expect(400).error().contains("not the workspace's current state"));
        let back = json!({ "data": { "relationships": { "rollback-state-version": { "data": { "type": "state-versions", "id": old } } } } });
        admin.patch(&format!("/workspaces/{ws}/state-versions"), back).await.expect(422);
    }

    async fn logs_and_json_of_plans_and_applies_are_deleted_for_now_and_for_good(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "demo", json!({ "auto-apply": true })).await;
        admin.uploaded(&ws, archive(&[("main.tf", CHANGE)])).await;
        let run = admin.run(&ws, json!({})).await;
        admin.wait(&run, &["applied"]).await;
        let found = admin.get(&format!("/runs/{run}")).await;
        let path = |phase: &str| format!("/{}/{}", if phase == "plan" { "plans" } else { "applies" }, found.related(phase).unwrap());
        let export = json!({ "data": { "attributes": { "data-type": "sentinel-mock-bundle-v0" },
            "relationships": { "plan": { "data": { "type": "plans", "id": found.related("plan") } } } } });
        let export = admin.post("/plan-exports", export).await.expect(201).id();
        let writer = server.with_token(&admin.team_token("acme", "managers", &ws, "admin").await);
        for (phase, objects) in [("plan", 4), ("apply", 1)] {
            let path = path(phase);
            let act = |api: &Api, action: &str| {
                let (api, path) = (api.clone(), format!("{path}/actions/{action}-backing-data"));
                async move { api.post(&path, json!({})).await }
            };
            let log = admin.get(&path).await.attribute("log-read-url").as_str().unwrap().to_owned();
            let anyone = server.anonymous();
            let whole = anyone.get(&log).await.expect(200).bytes;
            assert!(whole.len() > 20);
            let before = blobs(server).await;
            act(&writer, "soft-delete").await.expect(404);
            act(&admin, "permanently-delete").await.expect(400);
            assert!(act(&admin, "restore").await.expect(400).error().contains("not deleted"));
            act(&admin, "soft-delete").await.expect(204);
            anyone.get(&log).await.expect(404);
            act(&admin, "soft-delete").await.expect(400);
            if phase == "plan" {
                for part in ["json-output", "json-output-redacted", "json-schema"] {
                    admin.get(&format!("{path}/{part}")).await.expect(404);
                }
            }
            assert_eq!(blobs(server).await, before, "still restorable");
            act(&admin, "restore").await.expect(204);
            assert_eq!(anyone.get(&log).await.expect(200).bytes, whole);
            if phase == "plan" {
                admin.get(&format!("{path}/json-output")).await.expect(307);
            }
            act(&admin, "soft-delete").await.expect(204);
            act(&admin, "permanently-delete").await.expect(204);
            assert_eq!(blobs(server).await, before - objects);
            act(&admin, "restore").await.expect(400);
            anyone.get(&log).await.expect(404);
            admin.get(&path).await.expect(200);
        }
        admin.get(&format!("/plan-exports/{export}/download")).await.expect(404);

        // What waits too long goes by itself.
        let other = admin.run(&ws, json!({})).await;
        let plan = admin.get(&format!("/runs/{other}")).await.related("plan").unwrap().to_owned();
        admin.wait(&other, &["planned_and_finished"]).await;
        admin.post(&format!("/plans/{plan}/actions/soft-delete-backing-data"), json!({})).await.expect(204);
        let before = blobs(server).await;
        sweep(server).await;
        assert_eq!(blobs(server).await, before);
        server.assembled.app.env.advance(31 * DAY);
        sweep(server).await;
        assert_eq!(blobs(server).await, before - 3);
        admin.post(&format!("/plans/{plan}/actions/restore-backing-data"), json!({})).await.expect(400);
    }

    async fn the_schemas_of_a_plans_providers_are_there_as_long_as_the_runner_keeps_them(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        let run = planned(&admin, &ws, CHANGE).await;
        let plan = admin.get(&format!("/runs/{run}")).await.related("plan").unwrap().to_owned();
        let reader = server.with_token(&admin.team_token("acme", "readers", &ws, "read").await);
        for path in [format!("/plans/{plan}/json-schema"), format!("/runs/{run}/plan/json-schema")] {
            let there = reader.get(&path).await.expect(307);
            let schemas = server.anonymous().get(there.headers["location"].to_str().unwrap()).await.expect(200);
            let resources = &schemas.json["provider_schemas"]["terraform.io/builtin/terraform"]["resource_schemas"];
            assert!(resources["terraform_data"]["block"].is_object(), "{}", schemas.json);
        }
        // Of a plan that an older server has made, nothing is known.
        let sql = "UPDATE runs SET results = '{}' WHERE id = $1";
        server.assembled.app.db.exec(sql, db::args![run.as_str()]).await.unwrap();
        reader.get(&format!("/plans/{plan}/json-schema")).await.expect(404);
    }

    async fn a_plan_is_exported_as_mocks_that_are_there_for_an_hour(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        let run = planned(&admin, &ws, CHANGE).await;
        let plan = admin.get(&format!("/runs/{run}")).await.related("plan").unwrap().to_owned();
        let ask = |kind: &str| json!({ "data": { "type": "plan-exports", "attributes": { "data-type": kind },
            "relationships": { "plan": { "data": { "type": "plans", "id": plan } } } } });
        admin.post("/plan-exports", ask("other")).await.expect(422);
        let reader = server.with_token(&admin.team_token("acme", "readers", &ws, "read").await);
        reader.post("/plan-exports", ask("sentinel-mock-bundle-v0")).await.expect(404);
        let made = admin.post("/plan-exports", ask("sentinel-mock-bundle-v0")).await.expect(201);
        assert_eq!(made.attribute("status"), "finished");
        let path = format!("/plan-exports/{}", made.id());
        reader.get(&path).await.expect(404);
        let there = admin.get(&format!("{path}/download")).await.expect(302);
        let bundle = server.anonymous().get(there.headers["location"].to_str().unwrap()).await.expect(200).bytes;
        let mut found = std::collections::BTreeMap::new();
        let mut tar = tar::Archive::new(GzDecoder::new(bundle.as_slice()));
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            found.insert(name, text);
        }
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(names, ["mock-tfconfig-v2.sentinel", "mock-tfplan-v2.sentinel", "mock-tfrun.sentinel", "mock-tfstate-v2.sentinel", "sentinel.hcl"]);
        assert!(found["mock-tfplan-v2.sentinel"].contains("\"terraform_data.a\""));
        assert!(found["mock-tfrun.sentinel"].contains(&run));
        assert!(found["sentinel.hcl"].contains("mock \"tfplan/v2\""));
        server.assembled.app.env.advance(DAY);
        sweep(server).await;
        assert_eq!(status(&admin, &path).await, "expired");
        admin.get(&format!("{path}/download")).await.expect(404);
        admin.delete(&path).await.expect(204);
        admin.get(&path).await.expect(404);
    }
}
