//! What a run may read of other workspaces, with a token that lives as long as the run.

use kernel::ids::RunId;
use serde_json::{Value, json};
use testkit::{Api, Gate, TestServer, archive, on_both};

/// A workspace with one output in its state.
async fn producer(api: &Api, name: &str, attributes: Value) -> String {
    let ws = api.workspace("acme", name, attributes).await;
    api.uploaded(&ws, archive(&[("main.tf", "output \"secret\" { value = \"of the other\" }")])).await;
    let run = api.run(&ws, json!({ "auto-apply": true })).await;
    api.wait(&run, &["applied"]).await;
    ws
}

/// A run that is planning, and the API with its token.
async fn planning(
    server: &TestServer,
    api: &Api,
    ws: &str,
    gate: &Gate,
) -> (String, Api, testkit::gate::Visitor) {
    api.uploaded(ws, archive(&[("main.tf", &gate.configuration())])).await;
    let run = api.run(ws, json!({})).await;
    let visitor = gate.visitor().await;
    let app = &server.assembled.app;
    let token = http_api::auth::run_token(app, &RunId::from(run.as_str()), app.now().plus_seconds(60));
    (run, server.with_token(token.expose()), visitor)
}

async fn can_read(run: &Api, ws: &str) -> bool {
    let answer = run.get(&format!("/workspaces/{ws}/current-state-version")).await;
    if answer.status != 200 {
        answer.expect(404);
        return false;
    }
    let path = answer.attribute("hosted-state-download-url").as_str().unwrap().to_owned();
    assert!(String::from_utf8_lossy(&run.get(&path).await.expect(200).bytes).contains("of the other"));
    true
}

fn consumers(ids: &[&str]) -> Value {
    let list: Vec<Value> = ids.iter().map(|id| json!({ "type": "workspaces", "id": id })).collect();
    json!({ "data": list })
}

on_both! {
    async fn a_run_reads_the_states_that_are_shared_with_its_workspace_and_no_other(server) {
        let api = server.admin();
        api.organization("acme").await;
        let gate = Gate::new().await;
        let closed = producer(&api, "closed", json!({})).await;
        let global = producer(&api, "global", json!({ "global-remote-state": true })).await;
        let project = producer(&api, "project", json!({ "project-remote-state": true })).await;
        let ws = api.workspace("acme", "consumer", json!({})).await;
        let (_, run, _visitor) = planning(server, &api, &ws, &gate).await;
        assert!(can_read(&run, &global).await && can_read(&run, &project).await);
        assert!(!can_read(&run, &closed).await);
        let path = format!("/workspaces/{closed}/relationships/remote-state-consumers");
        api.post(&path, consumers(&[&ws])).await.expect(204);
        assert!(can_read(&run, &closed).await, "shared meanwhile");
        let listed = api.get(&path).await.expect(200);
        assert_eq!(listed.ids(), [ws.as_str()]);
        api.send(axum::http::Method::DELETE, &path, Some(consumers(&[&ws]))).await.expect(204);
        assert!(!can_read(&run, &closed).await, "taken back");
        api.send(axum::http::Method::PATCH, &path, Some(consumers(&[&global, &ws]))).await.expect(204);
        assert_eq!(api.get(&path).await.ids().len(), 2);
    }

    async fn the_token_of_a_run_can_nothing_else_and_is_dead_when_the_run_has_ended(server) {
        let api = server.admin();
        api.organization("acme").await;
        let gate = Gate::new().await;
        let shared = producer(&api, "shared", json!({ "global-remote-state": true })).await;
        let ws = api.workspace("acme", "consumer", json!({})).await;
        let (id, run, visitor) = planning(server, &api, &ws, &gate).await;
        run.get(&format!("/workspaces/{ws}")).await.expect(200);
        run.get("/organizations/acme/entitlement-set").await.expect(200);
        run.get(&format!("/workspaces/{shared}/vars")).await.expect(404);
        run.get(&format!("/workspaces/{ws}/vars")).await.expect(404);
        run.post(&format!("/runs/{id}/actions/cancel"), json!({})).await.expect(404);
        run.post(&format!("/workspaces/{shared}/actions/lock"), json!({})).await.expect(404);
        let taken = run.post(&format!("/workspaces/{ws}/actions/lock"), json!({})).await.expect(200);
        assert_eq!(taken.related("locked-by"), Some(id.as_str()), "it holds it already");
        let state = json!({ "data": { "attributes": { "serial": 9, "md5": "x", "lineage": "y" } } });
        run.post(&format!("/workspaces/{shared}/state-versions"), state).await.expect(404);
        drop(visitor);
        api.wait(&id, &["errored"]).await;
        run.get(&format!("/workspaces/{ws}")).await.expect(401);
    }
}
