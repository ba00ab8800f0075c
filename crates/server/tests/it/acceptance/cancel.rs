//! Stopping a run.

use super::{CHANGE, locked, planned, run_of, workspace};
use serde_json::json;
use testkit::{Gate, on_both};

/// An apply that lasts until somebody ends it.
const SLOW_APPLY: &str = r#"
resource "terraform_data" "first" {}
resource "terraform_data" "slow" {
  depends_on = [terraform_data.first]
  provisioner "local-exec" { command = "sleep 60" }
}
"#;

on_both! {
    async fn a16_a_canceled_plan_is_interrupted_and_releases_the_lock(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let gate = Gate::new().await;
        let run = run_of(&api, &ws, &gate.configuration()).await;
        let visitor = gate.visitor().await;
        api.post(&format!("/runs/{run}/actions/cancel"), json!({ "comment": "stop" })).await.expect(202);
        // The engine's own answer to SIGINT; it waits for what it reads.
        api.wait_for_log(&run, "plan", "Interrupt received").await;
        let stopping = api.get(&format!("/runs/{run}")).await;
        assert_eq!(stopping.attribute("status"), "planning", "until its process has stopped");
        assert!(stopping.attribute("canceled-at").is_string(), "from the request on");
        assert!(locked(&api, &ws).await);
        drop(visitor);
        let found = api.wait(&run, &["canceled"]).await;
        assert!(found.attribute("canceled-at").is_string());
        assert!(found.attribute("status-timestamps")["canceled-at"].is_string());
        assert!(!locked(&api, &ws).await);
        let comments = api.get(&format!("/runs/{run}/comments")).await;
        assert_eq!(comments.json["data"][0]["attributes"]["body"], "stop");
    }

    async fn a17_a_force_cancel_needs_a_cancel_its_cool_off_and_an_administrator(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let writer = server.with_token(&api.team_token("acme", "writers", &ws, "write").await);
        let gate = Gate::new().await;
        let run = run_of(&api, &ws, &gate.configuration()).await;
        let visitor = gate.visitor().await;
        let force = format!("/runs/{run}/actions/force-cancel");
        api.post(&force, json!({})).await.expect(409);
        writer.act(&format!("/runs/{run}/actions/cancel")).await;
        api.wait_for_log(&run, "plan", "Interrupt received").await;
        let found = api.get(&format!("/runs/{run}")).await;
        assert_eq!(found.attribute("status"), "planning", "it does not stop");
        assert!(found.attribute("force-cancel-available-at").is_string());
        assert_eq!(found.attribute("actions")["is-force-cancelable"], false);
        api.post(&force, json!({})).await.expect(409);
        server.assembled.app.env.advance(61_000_000);
        assert_eq!(api.get(&format!("/runs/{run}")).await.attribute("actions")["is-force-cancelable"], true);
        writer.post(&force, json!({})).await.expect(404);
        api.post(&force, json!({})).await.expect(202);
        let found = api.get(&format!("/runs/{run}")).await;
        assert_eq!(found.attribute("status"), "canceled");
        assert!(found.attribute("status-timestamps")["force-canceled-at"].is_string());
        assert!(!locked(&api, &ws).await, "at once");
        visitor.gone().await;
    }

    async fn a_canceled_apply_keeps_what_was_done(server) {
        let (api, ws) = workspace(server, json!({ "auto-apply": true })).await;
        let run = run_of(&api, &ws, SLOW_APPLY).await;
        api.wait_for_log(&run, "apply", "Executing").await;
        api.act(&format!("/runs/{run}/actions/cancel")).await;
        let found = api.wait(&run, &["canceled"]).await;
        assert!(found.attribute("canceled-at").is_string());
        assert!(!locked(&api, &ws).await);
        let resources = api.get(&format!("/workspaces/{ws}/resources")).await.expect(200);
        let names: Vec<_> = resources.json["data"].as_array().unwrap().iter().map(|r| r["attributes"]["name"].clone()).collect();
        assert!(names.contains(&json!("first")), "{names:?}");
    }

    async fn a_run_that_waits_is_canceled_at_once(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let first = planned(&api, &ws, CHANGE).await;
        let second = api.run(&ws, json!({})).await;
        api.act(&format!("/runs/{second}/actions/cancel")).await;
        assert_eq!(api.status(&second).await, "canceled");
        for phase in ["plan", "apply"] {
            let found = api.get(&format!("/runs/{second}/{phase}")).await;
            assert_eq!(found.attribute("status"), "unreachable", "{phase}");
        }
        assert_eq!(api.status(&first).await, "planned");
        assert!(locked(&api, &ws).await, "the first holds it still");
    }
}
