//! Run triggers: what an apply starts elsewhere, and who may say so.

use super::acceptance::CHANGE;
use db::args;
use serde_json::{Value, json};
use testkit::{Api, TestServer, archive, on_both};

fn source(id: &str) -> Value {
    json!({ "data": { "type": "run-triggers", "relationships": {
        "sourceable": { "data": { "type": "workspaces", "id": id } },
    } } })
}

async fn trigger(api: &Api, workspace: &str, by: &str) -> String {
    api.post(&format!("/workspaces/{workspace}/run-triggers"), source(by)).await.expect(201).id()
}

async fn runs(api: &Api, workspace: &str) -> Vec<String> {
    api.get(&format!("/workspaces/{workspace}/runs")).await.expect(200).ids()
}

async fn schedule(server: &TestServer) {
    runs::scheduler::pass(&server.assembled.app).await.unwrap();
}

async fn applied(api: &Api, workspace: &str) -> String {
    api.uploaded(workspace, archive(&[("main.tf", CHANGE)])).await;
    let run = api.run(workspace, json!({ "auto-apply": true, "message": "new network" })).await;
    api.wait(&run, &["applied"]).await;
    run
}

on_both! {
    async fn an_apply_starts_a_run_in_each_workspace_that_it_triggers(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let network = admin.workspace("acme", "network", json!({})).await;
        let cluster = admin.workspace("acme", "cluster", json!({ "auto-apply-run-trigger": true })).await;
        let asked = admin.workspace("acme", "asked", json!({ "auto-apply": true })).await;
        let empty = admin.workspace("acme", "empty", json!({})).await;
        let local = admin.workspace("acme", "local", json!({ "execution-mode": "local" })).await;
        for triggered in [&cluster, &asked, &empty, &local] {
            trigger(&admin, triggered, &network).await;
        }
        for ready in [&cluster, &asked, &local] {
            admin.uploaded(ready, archive(&[("main.tf", CHANGE)])).await;
        }
        let first = applied(&admin, &network).await;
        schedule(server).await;
        let made = runs(&admin, &cluster).await;
        assert_eq!(made.len(), 1);
        let run = admin.wait(&made[0], &["applied"]).await;
        assert_eq!(run.attribute("source"), "tfe-run-trigger");
        assert_eq!(run.attribute("trigger-reason"), "run-trigger");
        assert_eq!(run.related("triggering-run"), Some(first.as_str()));
        let message = run.attribute("message").as_str().unwrap();
        assert!(message.contains("network") && message.contains(&first) && message.contains("new network"));
        let waits = runs(&admin, &asked).await;
        assert_eq!(waits.len(), 1);
        // Its own auto-apply is about runs that people make.
        admin.wait(&waits[0], &["planned"]).await;
        assert_eq!((runs(&admin, &empty).await, runs(&admin, &local).await), (vec![], vec![]));

        let speculative = admin.run(&network, json!({ "plan-only": true })).await;
        admin.wait(&speculative, &["planned_and_finished"]).await;
        schedule(server).await;
        assert_eq!(runs(&admin, &cluster).await.len(), 1, "only an apply triggers");
    }

    async fn a_run_that_was_due_when_the_server_died_is_made_once(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let network = admin.workspace("acme", "network", json!({})).await;
        let cluster = admin.workspace("acme", "cluster", json!({})).await;
        admin.uploaded(&cluster, archive(&[("main.tf", CHANGE)])).await;
        let run = applied(&admin, &network).await;
        let sql = "INSERT INTO run_trigger_firings (run_id, workspace_id, created_at) VALUES ($1, $2, 1)";
        server.assembled.app.db.exec(sql, args![run.as_str(), cluster.as_str()]).await.unwrap();
        tokio::join!(schedule(server), schedule(server), schedule(server));
        assert_eq!(runs(&admin, &cluster).await.len(), 1);
        let left: Option<(String,)> =
            server.assembled.app.db.one("SELECT run_id FROM run_trigger_firings", vec![]).await.unwrap();
        assert_eq!(left, None);
    }

    async fn a_trigger_needs_both_workspaces_and_there_are_at_most_twenty(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let target = admin.workspace("acme", "target", json!({})).await;
        let path = format!("/workspaces/{target}/run-triggers");
        let refused = admin.post(&path, source(&target)).await.expect(422);
        assert!(refused.error().contains("the workspace itself"), "{}", refused.error());
        admin.get(&path).await.expect(400);
        let mut made = Vec::new();
        for number in 0..20 {
            let ws = admin.workspace("acme", &format!("source{number}"), json!({})).await;
            made.push((trigger(&admin, &target, &ws).await, ws));
        }
        let refused = admin.post(&path, source(&made[0].1)).await.expect(422);
        assert!(refused.error().contains("already been taken"), "{}", refused.error());
        let one_more = admin.workspace("acme", "more", json!({})).await;
        let refused = admin.post(&path, source(&one_more)).await.expect(422);
        assert!(refused.error().contains("at most 20"), "{}", refused.error());
        let inbound = admin.get(&format!("{path}?filter%5Brun-trigger%5D%5Btype%5D=inbound&include=sourceable")).await;
        assert_eq!(inbound.expect(200).json["meta"]["pagination"]["total-count"], 20);
        let outbound = format!("/workspaces/{}/run-triggers?filter%5Brun-trigger%5D%5Btype%5D=outbound", made[0].1);
        assert_eq!(admin.get(&outbound).await.ids(), [made[0].0.as_str()]);

        let writer = server.with_token(&admin.team_token("acme", "writers", &target, "write").await);
        writer.get(&format!("/run-triggers/{}", made[0].0)).await.expect(200);
        writer.delete(&format!("/run-triggers/{}", made[0].0)).await.expect(404);
        let manager = server.with_token(&admin.team_token("acme", "managers", &target, "admin").await);
        manager.delete(&format!("/run-triggers/{}", made[0].0)).await.expect(204);
        manager.post(&path, source(&made[0].1)).await.expect(404);
        admin.get(&format!("/run-triggers/{}", made[0].0)).await.expect(404);
    }
}
