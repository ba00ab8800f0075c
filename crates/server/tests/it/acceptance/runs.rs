//! What becomes of one run.

use super::{CHANGE, NOTHING, locked, planned, run_of, workspace};
use serde_json::json;
use testkit::{Api, Gate, archive, on_both};

on_both! {
    async fn a05_a_plan_with_changes_rests_confirmable_and_holds_the_lock(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let run = planned(&api, &ws, CHANGE).await;
        let found = api.get(&format!("/runs/{run}")).await;
        assert_eq!(found.attribute("has-changes"), true);
        assert_eq!(found.attribute("actions")["is-confirmable"], true);
        assert_eq!(found.attribute("actions")["is-discardable"], true);
        let ws = api.get(&format!("/workspaces/{ws}")).await;
        assert_eq!(ws.attribute("locked"), true);
        assert_eq!(ws.related("locked-by"), Some(run.as_str()));
        assert_eq!(ws.json["data"]["relationships"]["locked-by"]["data"]["type"], "runs");
        assert_eq!(ws.related("current-run"), Some(run.as_str()));
    }

    async fn a06_a_confirmed_run_is_applied_and_leaves_a_new_state(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let run = planned(&api, &ws, CHANGE).await;
        api.get(&format!("/workspaces/{ws}/current-state-version")).await.expect(404);
        api.post(&format!("/runs/{run}/actions/apply"), json!({ "comment": "go ahead" })).await.expect(202);
        let found = api.wait(&run, &["applied"]).await;
        let me = api.get("/account/details").await.id();
        assert_eq!(found.related("confirmed-by"), Some(me.as_str()));
        let comments = api.get(&format!("/runs/{run}/comments")).await;
        assert_eq!(comments.ids().len(), 1);
        assert_eq!(comments.json["data"][0]["attributes"]["body"], "go ahead");
        assert!(!locked(&api, &ws).await);
        let state = api.get(&format!("/workspaces/{ws}/current-state-version")).await.expect(200);
        assert_eq!(state.related("run"), Some(run.as_str()));
        let log = api.log(&run, "apply").await;
        assert!(log.contains("1 added, 0 changed, 0 destroyed"), "{log}");
    }

    async fn a07_a_plan_without_changes_finishes_and_releases_the_lock(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let run = run_of(&api, &ws, NOTHING).await;
        let found = api.wait(&run, &["planned_and_finished"]).await;
        assert_eq!(found.attribute("has-changes"), false);
        assert_eq!(api.get(&format!("/runs/{run}/apply")).await.attribute("status"), "unreachable");
        assert!(!locked(&api, &ws).await);
    }

    async fn a08_an_empty_apply_that_is_allowed_needs_no_confirmation(server) {
        let (api, ws) = workspace(server, json!({})).await;
        api.uploaded(&ws, archive(&[("main.tf", NOTHING)])).await;
        let run = api.run(&ws, json!({ "allow-empty-apply": true })).await;
        let found = api.wait(&run, &["applied"]).await;
        assert_eq!(found.attribute("has-changes"), false);
        assert!(found.attribute("status-timestamps")["confirmed-at"].is_string());
        assert_eq!(api.get(&format!("/runs/{run}/apply")).await.attribute("status"), "finished");
    }

    async fn a09_a_speculative_run_finishes_aside_from_the_queue(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let gate = Gate::new().await;
        let (_, url) = api.configuration(&ws, json!({ "speculative": true })).await;
        api.put(&url, archive(&[("main.tf", &gate.configuration())])).await.expect(200);
        let path = format!("/workspaces/{ws}/runs");
        assert!(api.get(&path).await.ids().is_empty(), "hidden from the default list");
        let runs = api.get(&format!("{path}?filter%5Boperation%5D=plan_only")).await.ids();
        assert_eq!(runs.len(), 1);
        let current = || async { api.get(&format!("/workspaces/{ws}")).await.related("current-run").map(str::to_owned) };
        let visitor = gate.visitor().await;
        assert_eq!((current().await, locked(&api, &ws).await), (None, false), "while it plans");
        visitor.admit().await;
        let found = api.wait(&runs[0], &["planned_and_finished"]).await;
        assert_eq!(found.attribute("plan-only"), true);
        assert_eq!(found.attribute("has-changes"), true);
        assert_eq!(current().await, None);
        assert!(api.get(&path).await.ids().is_empty(), "hidden from the default list for good");
    }

    async fn a15_a_finished_run_takes_no_more_actions(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let finished = run_of(&api, &ws, NOTHING).await;
        refuses_all(&api, &finished, "planned_and_finished").await;
        let discarded = planned(&api, &ws, CHANGE).await;
        api.act(&format!("/runs/{discarded}/actions/discard")).await;
        refuses_all(&api, &discarded, "discarded").await;
        let errored = run_of(&api, &ws, "output \"o\" { value = local.nowhere }").await;
        refuses_all(&api, &errored, "errored").await;
        api.uploaded(&ws, archive(&[("main.tf", CHANGE)])).await;
        let applied = api.run(&ws, json!({ "auto-apply": true })).await;
        refuses_all(&api, &applied, "applied").await;
        api.lock(&ws).await;
        let canceled = api.run(&ws, json!({})).await;
        api.act(&format!("/runs/{canceled}/actions/cancel")).await;
        refuses_all(&api, &canceled, "canceled").await;
    }
}

/// Waits until the run has ended so, and asks it for more.
async fn refuses_all(api: &Api, run: &str, status: &str) {
    api.wait(run, &[status]).await;
    for action in ["apply", "discard", "cancel"] {
        let refused = api.post(&format!("/runs/{run}/actions/{action}"), json!({})).await.expect(409);
        assert!(refused.error().starts_with("transition not allowed"), "{}", refused.error());
        assert_eq!(api.status(run).await, status, "after {action}");
    }
}
