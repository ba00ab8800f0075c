//! The shape of the API itself.

use super::{CHANGE, NOTHING, workspace};
use serde_json::json;
use testkit::{archive, on_both};

on_both! {
    async fn a_zero_byte_is_refused_wherever_it_comes(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let named = |name: &str| json!({ "data": { "attributes": { "name": name } } });
        api.patch(&format!("/workspaces/{ws}"), named("a\0b")).await.expect(422);
        api.get("/workspaces/ws-%00").await.expect(404);
        api.get("/organizations/acme/workspaces?search[name]=%00").await.expect(400);
        let described = json!({ "data": { "attributes": { "description": "written \\u0000" } } });
        let kept = api.patch(&format!("/workspaces/{ws}"), described).await.expect(200);
        assert_eq!(*kept.attribute("description"), json!("written \\u0000"), "a backslash is no escape");
    }

    async fn a40_what_cannot_be_asked_is_refused_by_the_right_status(server) {
        let (api, ws) = workspace(server, json!({})).await;
        api.uploaded(&ws, archive(&[("main.tf", NOTHING)])).await;
        api.ask_run(&ws, None, json!({ "is-destroy": true, "refresh-only": true })).await.expect(422);
        api.ask_run(&ws, None, json!({ "terraform-version": "1.0.0" })).await.expect(422);
        let refused = api.get(&format!("/workspaces/{ws}?include=nonsense")).await.expect(400);
        assert_eq!(refused.json["errors"][0]["title"], "Invalid include parameter");
        let far = api.get("/organizations/acme/workspaces?page%5Bnumber%5D=999").await.expect(200);
        assert_eq!(far.json["data"], json!([]));
        assert_eq!(far.json["meta"]["pagination"]["current-page"], 999);
        assert_eq!(far.json["meta"]["pagination"]["total-count"], 1);
    }

    async fn every_answer_carries_what_the_command_line_reads(server) {
        let answer = server.admin().get("/ping").await.expect(204);
        assert_eq!(answer.headers["tfp-api-version"], "2.6");
        assert_eq!(answer.headers["tfp-appname"], "Terraform Enterprise");
        let version = answer.headers["x-tfe-version"].to_str().unwrap();
        assert!(version.starts_with("v20") && version.contains('-'), "{version}");
        assert!(answer.headers.get("x-ratelimit-limit").is_none());
    }

    async fn what_does_not_exist_is_404_whatever_it_is_called(server) {
        let api = server.admin();
        for path in ["/nothing", "/workspaces/nonexisting", "/runs/%2F%2F", "/!%20/%20nope", "/organizations/x/stacks"] {
            let refused = api.get(path).await.expect(404);
            assert_eq!(refused.json["errors"][0]["status"], "404", "{path}");
        }
        api.send(reqwest::Method::PUT, "/organizations", None).await.expect(404);
    }

    async fn the_command_lines_waiting_calls_have_nothing_to_wait_for(server) {
        let (api, ws) = workspace(server, json!({})).await;
        api.uploaded(&ws, archive(&[("main.tf", NOTHING)])).await;
        let run = api.run(&ws, json!({})).await;
        let found = api.get(&format!("/runs/{run}?include=task_stages")).await.expect(200);
        assert!(found.json["data"]["relationships"]["cost-estimate"]["data"].is_null());
        assert_eq!(api.get(&format!("/runs/{run}/policy-checks")).await.expect(200).ids(), Vec::<String>::new());
        assert_eq!(api.get(&format!("/runs/{run}/task-stages")).await.expect(200).ids(), Vec::<String>::new());
        assert!(!api.get(&format!("/runs/{run}/run-events")).await.expect(200).ids().is_empty());
        api.wait(&run, &["planned_and_finished"]).await;
        api.get("/organizations/acme/capacity").await.expect(200);
        api.get("/organizations/acme/runs/queue").await.expect(200);
        api.get("/organizations/acme/entitlement-set").await.expect(200);
    }

    async fn an_included_resource_comes_once_and_the_primary_one_never(server) {
        let (api, ws) = workspace(server, json!({})).await;
        api.uploaded(&ws, archive(&[("main.tf", NOTHING)])).await;
        let run = api.run(&ws, json!({})).await;
        api.wait(&run, &["planned_and_finished"]).await;
        let found = api.get(&format!("/runs/{run}?include=plan,apply,created_by,workspace,configuration_version")).await;
        let mut kinds: Vec<_> =
            found.json["included"].as_array().unwrap().iter().map(|r| r["type"].as_str().unwrap().to_owned()).collect();
        kinds.sort();
        assert_eq!(kinds, ["applies", "configuration-versions", "plans", "users", "workspaces"]);
        let ws = api.get(&format!("/workspaces/{ws}?include=current_run.plan,organization")).await.expect(200);
        assert!(ws.json["included"].as_array().unwrap().iter().all(|r| r["type"] != "workspaces"));
    }

    async fn the_stored_events_of_a_run_lead_to_the_stored_run(server) {
        let (api, ws) = workspace(server, json!({ "auto-apply": true })).await;
        api.uploaded(&ws, archive(&[("main.tf", CHANGE)])).await;
        let run = api.run(&ws, json!({})).await;
        api.wait(&run, &["applied"]).await;
        let db = &server.assembled.app.db;
        let sql = "SELECT event, created_at FROM run_events WHERE run_id = $1 AND event <> 'null' ORDER BY number";
        let rows: Vec<(String, i64)> = db.all(sql, vec![db::Arg::from(run.as_str())]).await.unwrap();
        let events: Vec<_> = rows
            .iter()
            .map(|(event, at)| (serde_json::from_str(event).unwrap(), kernel::Timestamp::from_micros(*at)))
            .collect();
        let stored = runs::runs::by_id(&server.assembled.app, &run).await.unwrap().life;
        assert_eq!(runs::life::replay(&events).unwrap(), stored);
    }
}
