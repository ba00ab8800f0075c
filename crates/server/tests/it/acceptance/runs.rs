use super::{CHANGE, NOTHING, SLOW_APPLY, locked, planned, workspace};
use serde_json::json;
use testkit::{Database, Settings, TestServer, archive, on_both, server};

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
    }

    async fn a06_a_confirmed_run_is_applied_and_leaves_a_new_state(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let run = planned(&api, &ws, CHANGE).await;
        api.post(&format!("/runs/{run}/actions/apply"), json!({ "comment": "go ahead" })).await.expect(202);
        let found = api.wait(&run, &["applied"]).await;
        assert!(found.related("confirmed-by").is_some());
        let comments = api.get(&format!("/runs/{run}/comments")).await;
        assert_eq!(comments.json["data"][0]["attributes"]["body"], "go ahead");
        assert!(!locked(&api, &ws).await);
        let state = api.get(&format!("/workspaces/{ws}/current-state-version")).await.expect(200);
        assert_eq!(state.related("run"), Some(run.as_str()));
        let log = api.log(&run, "apply").await;
        assert!(log.contains("1 added, 0 changed, 0 destroyed"), "{log}");
    }

    async fn a07_a_plan_without_changes_finishes_and_releases_the_lock(server) {
        let (api, ws) = workspace(server, json!({})).await;
        api.uploaded(&ws, archive(&[("main.tf", NOTHING)])).await;
        let run = api.run(&ws, json!({})).await;
        let found = api.wait(&run, &["planned_and_finished"]).await;
        assert_eq!(found.attribute("has-changes"), false);
        assert_eq!(api.get(&format!("/runs/{run}/apply")).await.attribute("status"), "unreachable");
        assert!(!locked(&api, &ws).await);
    }

    async fn a08_an_empty_apply_that_is_allowed_needs_no_confirmation(server) {
        let (api, ws) = workspace(server, json!({})).await;
        api.uploaded(&ws, archive(&[("main.tf", NOTHING)])).await;
        let run = api.run(&ws, json!({ "allow-empty-apply": true })).await;
        api.wait(&run, &["applied"]).await;
    }

    async fn a09_a_speculative_run_finishes_aside_from_the_queue(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let (_, url) = api.configuration(&ws, json!({ "speculative": true })).await;
        api.put(&url, archive(&[("main.tf", CHANGE)])).await.expect(200);
        let path = format!("/workspaces/{ws}/runs");
        assert!(api.get(&path).await.ids().is_empty(), "hidden from the default list");
        let runs = api.get(&format!("{path}?filter%5Boperation%5D=plan_only")).await.ids();
        assert_eq!(runs.len(), 1);
        let found = api.wait(&runs[0], &["planned_and_finished"]).await;
        assert_eq!(found.attribute("plan-only"), true);
        assert_eq!(found.attribute("has-changes"), true);
        assert_eq!(api.get(&format!("/workspaces/{ws}")).await.related("current-run"), None);
    }

    async fn a10_a_second_run_waits_until_the_first_is_discarded(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let first = planned(&api, &ws, CHANGE).await;
        let second = api.run(&ws, json!({})).await;
        let waiting = api.get(&format!("/runs/{second}")).await;
        assert_eq!(waiting.attribute("status"), "pending");
        assert_eq!(waiting.attribute("waiting-for")["type"], "run-ahead");
        assert_eq!(waiting.attribute("waiting-for")["run"], first);
        api.act(&format!("/runs/{first}/actions/discard")).await;
        api.wait(&second, &["planned"]).await;
        assert_eq!(api.get(&format!("/runs/{first}")).await.attribute("status"), "discarded");
    }

    async fn a11_a_plan_only_run_does_not_wait_for_a_run_that_waits(server) {
        let (api, ws) = workspace(server, json!({})).await;
        planned(&api, &ws, CHANGE).await;
        let aside = api.run(&ws, json!({ "plan-only": true })).await;
        api.wait(&aside, &["planned_and_finished"]).await;
    }

    async fn a12_a_run_of_a_locked_workspace_waits_for_the_unlock(server) {
        let (api, ws) = workspace(server, json!({})).await;
        api.uploaded(&ws, archive(&[("main.tf", CHANGE)])).await;
        api.post(&format!("/workspaces/{ws}/actions/lock"), json!({ "reason": "repairs" })).await.expect(200);
        let run = api.run(&ws, json!({})).await;
        let found = api.get(&format!("/runs/{run}")).await;
        assert_eq!(found.attribute("status"), "pending");
        assert_eq!(found.attribute("waiting-for")["type"], "lock");
        assert_eq!(api.get(&format!("/workspaces/{ws}")).await.related("current-run"), Some(run.as_str()));
        api.post(&format!("/workspaces/{ws}/actions/unlock"), json!({})).await.expect(200);
        api.wait(&run, &["planned"]).await;
    }

    async fn a13_a_waiting_run_can_be_put_through_by_force(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let first = planned(&api, &ws, CHANGE).await;
        let second = api.run(&ws, json!({})).await;
        api.act(&format!("/runs/{second}/actions/force-execute")).await;
        assert_eq!(api.get(&format!("/runs/{first}")).await.attribute("status"), "discarded");
        api.wait(&second, &["planned"]).await;
    }

    async fn a14_force_is_refused_for_a_run_that_does_not_wait(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let run = planned(&api, &ws, CHANGE).await;
        api.post(&format!("/runs/{run}/actions/force-execute"), json!({})).await.expect(403);
    }

    async fn a15_a_finished_run_takes_no_more_actions(server) {
        let (api, ws) = workspace(server, json!({})).await;
        api.uploaded(&ws, archive(&[("main.tf", NOTHING)])).await;
        let run = api.run(&ws, json!({})).await;
        api.wait(&run, &["planned_and_finished"]).await;
        for action in ["apply", "discard", "cancel"] {
            let refused = api.post(&format!("/runs/{run}/actions/{action}"), json!({})).await.expect(409);
            assert!(refused.error().starts_with("transition not allowed"), "{}", refused.error());
        }
        assert_eq!(api.get(&format!("/runs/{run}")).await.attribute("status"), "planned_and_finished");
    }

    async fn a_canceled_apply_keeps_what_was_done(server) {
        let (api, ws) = workspace(server, json!({ "auto-apply": true })).await;
        api.uploaded(&ws, archive(&[("main.tf", SLOW_APPLY)])).await;
        let run = api.run(&ws, json!({})).await;
        see(&api, &run, "apply", "slow: Provisioning").await;
        api.act(&format!("/runs/{run}/actions/cancel")).await;
        let found = api.wait(&run, &["canceled"]).await;
        assert!(found.attribute("canceled-at").is_string());
        assert!(!locked(&api, &ws).await);
        let resources = api.get(&format!("/workspaces/{ws}/resources")).await.expect(200);
        let names: Vec<_> = resources.json["data"].as_array().unwrap().iter().map(|r| r["attributes"]["name"].clone()).collect();
        assert!(names.contains(&json!("first")), "{names:?}");
    }

    async fn a_run_variable_beats_a_workspace_variable_and_a_later_change_does_not_reach_it(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let main = "variable \"v\" {}\nvariable \"w\" {}\noutput \"o\" { value = \"${var.v}-${var.w}\" }";
        let variable = |key: &str, value: &str| json!({ "data": { "attributes": { "key": key, "value": value, "category": "terraform" } } });
        api.post(&format!("/workspaces/{ws}/vars"), variable("v", "workspace")).await.expect(201);
        let w = api.post(&format!("/workspaces/{ws}/vars"), variable("w", "early")).await.expect(201).id();
        api.uploaded(&ws, archive(&[("main.tf", main)])).await;
        api.post(&format!("/workspaces/{ws}/actions/lock"), json!({})).await.expect(200);
        let run = api.run(&ws, json!({ "auto-apply": true, "variables": [{ "key": "v", "value": "\"run\"" }] })).await;
        let change = json!({ "data": { "attributes": { "value": "late" } } });
        api.patch(&format!("/workspaces/{ws}/vars/{w}"), change).await.expect(200);
        api.post(&format!("/workspaces/{ws}/actions/unlock"), json!({})).await.expect(200);
        api.wait(&run, &["applied"]).await;
        let outputs = api.get(&format!("/workspaces/{ws}/current-state-version-outputs")).await.expect(200);
        assert_eq!(outputs.json["data"][0]["attributes"]["value"], "run-early");
    }
}

/// Reads a live log until it says something.
async fn see(api: &testkit::Api, run: &str, phase: &str, text: &str) {
    api.wait(run, &["applying", "planning"]).await;
    if phase == "apply" {
        api.wait(run, &["applying"]).await;
    }
    let url =
        api.get(&format!("/runs/{run}/{phase}")).await.attribute("log-read-url").as_str().unwrap().to_owned();
    let mut log = Vec::new();
    while !String::from_utf8_lossy(&log).contains(text) {
        let part = api.get(&format!("{url}?offset={}", log.len())).await.expect(200).bytes;
        assert!(log.last() != Some(&3), "the log ended: {}", String::from_utf8_lossy(&log));
        log.extend(part);
    }
}

async fn a17(server: TestServer) {
    let (api, ws) = workspace(&server, json!({})).await;
    api.uploaded(&ws, archive(&[("main.tf", CHANGE)])).await;
    let run = api.run(&ws, json!({})).await;
    see(&api, &run, "plan", "gate").await;
    let force = format!("/runs/{run}/actions/force-cancel");
    api.post(&force, json!({})).await.expect(409);
    api.act(&format!("/runs/{run}/actions/cancel")).await;
    let found = api.get(&format!("/runs/{run}")).await;
    assert_eq!(found.attribute("status"), "planning", "it does not stop");
    assert!(found.attribute("force-cancel-available-at").is_string());
    api.post(&force, json!({})).await.expect(409);
    server.assembled.app.env.advance(61_000_000);
    api.act(&force).await;
    let found = api.wait(&run, &["canceled"]).await;
    assert!(found.attribute("status-timestamps")["force-canceled-at"].is_string());
    assert!(!locked(&api, &ws).await);
}

/// The real engine behind a gate: its `plan` waits until somebody ends it, and `on_interrupt` says whether it listens.
fn gated(on_interrupt: &str) -> (Settings, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let real = std::env::var("FERROFORM_TEST_ENGINE").unwrap_or_else(|_| which("terraform"));
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = plan ]; then echo waiting at the gate; trap '{on_interrupt}' INT; while :; do sleep 0.05; done; fi\nexec {real} \"$@\"\n"
    );
    let path = dir.path().join("terraform");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    (Settings { engine: Some(path), ..Settings::default() }, dir)
}

fn which(name: &str) -> String {
    std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .expect("an engine is on PATH")
        .display()
        .to_string()
}

async fn a14_planning(server: TestServer) {
    let (api, ws) = workspace(&server, json!({})).await;
    api.uploaded(&ws, archive(&[("main.tf", CHANGE)])).await;
    let first = api.run(&ws, json!({})).await;
    see(&api, &first, "plan", "gate").await;
    let second = api.run(&ws, json!({})).await;
    api.post(&format!("/runs/{second}/actions/force-execute"), json!({})).await.expect(409);
    api.act(&format!("/runs/{first}/actions/cancel")).await;
    api.wait(&first, &["canceled"]).await;
    see(&api, &second, "plan", "gate").await;
    api.act(&format!("/runs/{second}/actions/cancel")).await;
    api.wait(&second, &["canceled"]).await;
}

async fn a16(server: TestServer) {
    let (api, ws) = workspace(&server, json!({})).await;
    api.uploaded(&ws, archive(&[("main.tf", CHANGE)])).await;
    let run = api.run(&ws, json!({})).await;
    see(&api, &run, "plan", "gate").await;
    api.post(&format!("/runs/{run}/actions/cancel"), json!({ "comment": "stop" })).await.expect(202);
    let found = api.wait(&run, &["canceled"]).await;
    assert!(found.attribute("canceled-at").is_string());
    assert!(!locked(&api, &ws).await);
}

#[test]
fn a14_force_is_refused_while_the_run_ahead_plans_sqlite() {
    let (settings, _dir) = gated("exit 130");
    server::run_with(Database::Sqlite, settings, |server| Box::pin(a14_planning(server)));
}

#[test]
fn a14_force_is_refused_while_the_run_ahead_plans_postgres() {
    let (settings, _dir) = gated("exit 130");
    server::run_with(Database::Postgres, settings, |server| Box::pin(a14_planning(server)));
}

#[test]
fn a17_a_force_cancel_needs_a_cancel_and_its_cool_off_sqlite() {
    let (settings, _dir) = gated("");
    server::run_with(Database::Sqlite, settings, |server| Box::pin(a17(server)));
}

#[test]
fn a17_a_force_cancel_needs_a_cancel_and_its_cool_off_postgres() {
    let (settings, _dir) = gated("");
    server::run_with(Database::Postgres, settings, |server| Box::pin(a17(server)));
}

#[test]
fn a16_a_canceled_plan_is_interrupted_and_releases_the_lock_sqlite() {
    let (settings, _dir) = gated("exit 130");
    server::run_with(Database::Sqlite, settings, |server| Box::pin(a16(server)));
}

#[test]
fn a16_a_canceled_plan_is_interrupted_and_releases_the_lock_postgres() {
    let (settings, _dir) = gated("exit 130");
    server::run_with(Database::Postgres, settings, |server| Box::pin(a16(server)));
}
