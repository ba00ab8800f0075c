//! Which run is next.

use super::{CHANGE, NOTHING, locked, planned, run_of, workspace};
use kernel::ids::RunId;
use runs::jobs::Jobs;
use serde_json::json;
use testkit::{Api, Gate, archive, on_both};

/// Lets a run through that waits for nobody. Whatever waits still after that, the scheduler has looked at and left.
async fn something_else_goes_through(api: &Api, workspace: &str) {
    let aside = api.run(workspace, json!({ "plan-only": true })).await;
    api.wait(&aside, &["planned_and_finished"]).await;
}

on_both! {
    async fn a10_a_second_run_waits_until_the_first_is_discarded(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let first = planned(&api, &ws, CHANGE).await;
        let second = api.run(&ws, json!({})).await;
        something_else_goes_through(&api, &ws).await;
        let waiting = api.get(&format!("/runs/{second}")).await;
        assert_eq!(waiting.attribute("status"), "pending");
        assert_eq!(waiting.attribute("waiting-for")["type"], "run-ahead");
        assert_eq!(waiting.attribute("waiting-for")["run"], first);
        api.act(&format!("/runs/{first}/actions/discard")).await;
        api.wait(&second, &["planned"]).await;
        assert_eq!(api.status(&first).await, "discarded");
    }

    async fn a11_a_plan_only_run_does_not_wait_for_a_run_that_waits(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let first = planned(&api, &ws, CHANGE).await;
        let second = api.run(&ws, json!({})).await;
        let aside = api.run(&ws, json!({ "plan-only": true })).await;
        api.wait(&aside, &["planned_and_finished"]).await;
        assert_eq!((api.status(&first).await, api.status(&second).await), ("planned".into(), "pending".into()));
    }

    async fn a12_a_run_of_a_locked_workspace_waits_for_the_unlock(server) {
        let (api, ws) = workspace(server, json!({})).await;
        api.uploaded(&ws, archive(&[("main.tf", CHANGE)])).await;
        let team = api.team("acme", "operators", &ws, "write").await;
        let alice = server.as_user("alice", "acme", &[&team]).await;
        alice.post(&format!("/workspaces/{ws}/actions/lock"), json!({ "reason": "repairs" })).await.expect(200);
        let made = api.ask_run(&ws, None, json!({})).await.expect(201);
        assert_eq!(made.attribute("status"), "pending");
        let run = made.id();
        something_else_goes_through(&api, &ws).await;
        let found = api.get(&format!("/runs/{run}")).await;
        assert_eq!(found.attribute("status"), "pending");
        assert_eq!(found.attribute("waiting-for")["type"], "lock");
        assert_eq!(api.get(&format!("/workspaces/{ws}")).await.related("current-run"), Some(run.as_str()));
        alice.unlock(&ws).await;
        api.wait(&run, &["planned"]).await;
    }

    async fn a13_a_waiting_run_can_be_put_through_by_force(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let first = planned(&api, &ws, CHANGE).await;
        let second = api.run(&ws, json!({})).await;
        api.post(&format!("/runs/{second}/actions/force-execute"), json!({})).await.expect(202);
        assert_eq!(api.status(&first).await, "discarded");
        api.wait(&second, &["planned"]).await;
        let ws = api.get(&format!("/workspaces/{ws}")).await;
        assert_eq!(ws.related("locked-by"), Some(second.as_str()));
    }

    async fn a14_force_is_refused_for_a_run_that_does_not_wait(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let run = planned(&api, &ws, CHANGE).await;
        api.post(&format!("/runs/{run}/actions/force-execute"), json!({})).await.expect(403);
        assert_eq!(api.status(&run).await, "planned");
    }

    async fn a14_force_is_refused_while_the_run_ahead_plans(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let gate = Gate::new().await;
        let first = run_of(&api, &ws, &gate.configuration()).await;
        let visitor = gate.visitor().await;
        let second = api.run(&ws, json!({})).await;
        api.post(&format!("/runs/{second}/actions/force-execute"), json!({})).await.expect(409);
        assert_eq!((api.status(&first).await, api.status(&second).await), ("planning".into(), "pending".into()));
        visitor.admit().await;
        api.wait(&first, &["planned"]).await;
    }

    async fn runs_of_one_workspace_go_one_after_another_in_the_order_they_were_made(server) {
        let (api, ws) = workspace(server, json!({ "auto-apply": true })).await;
        api.lock(&ws).await;
        api.uploaded(&ws, archive(&[("main.tf", "resource \"terraform_data\" \"a\" { input = uuid() }")])).await;
        let mut runs = Vec::new();
        for _ in 0..3 {
            runs.push(api.run(&ws, json!({})).await);
        }
        api.unlock(&ws).await;
        api.wait(&runs[2], &["applied"]).await;
        // The newest state came from the last, each before it from the one before.
        let states = api.get("/state-versions?filter%5Bworkspace%5D%5Bname%5D=demo&filter%5Borganization%5D%5Bname%5D=acme").await;
        let makers: Vec<_> = states.expect(200).json["data"].as_array().unwrap().iter()
            .map(|state| state["relationships"]["run"]["data"]["id"].as_str().unwrap().to_owned()).collect();
        runs.reverse();
        assert_eq!(makers, runs);
        assert!(!locked(&api, &ws).await);
    }

    async fn an_apply_begins_only_once_its_plan_is_put_away(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let other = api.workspace("acme", "other", json!({})).await;
        api.uploaded(&other, archive(&[("main.tf", NOTHING)])).await;
        let run = planned(&api, &ws, CHANGE).await;
        server.settled().await;
        let (app, id) = (&server.assembled.app, RunId::from(run.as_str()));
        // As if the plan's work directory took its time.
        let _signals = app.area::<Jobs>().begin(&id);
        api.act(&format!("/runs/{run}/actions/apply")).await;
        something_else_goes_through(&api, &other).await;
        assert_eq!(api.status(&run).await, "apply_queued");
        app.area::<Jobs>().end(&id);
        app.pulse();
        api.wait(&run, &["applied"]).await;
    }
}
