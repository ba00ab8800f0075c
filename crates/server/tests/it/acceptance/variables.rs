//! Variables, and what runs see of them.

use super::workspace;
use serde_json::{Value, json};
use testkit::{archive, on_both};

on_both! {
    async fn a39_a_sensitive_value_is_shown_to_nobody_and_only_it_may_change(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let vars = format!("/workspaces/{ws}/vars");
        let attributes = json!({ "key": "password", "value": "hunter2", "category": "terraform", "sensitive": true });
        let made = api.post(&vars, json!({ "data": { "attributes": attributes } })).await.expect(201);
        assert!(made.attribute("value").is_null());
        let path = format!("{vars}/{}", made.id());
        for level in ["read", "admin"] {
            let team = server.with_token(&api.team_token("acme", level, &ws, level).await);
            assert!(team.get(&path).await.expect(200).attribute("value").is_null(), "{level}");
            assert!(!team.get(&vars).await.json.to_string().contains("hunter2"), "{level}");
        }
        let change = |attributes: Value| json!({ "data": { "attributes": attributes } });
        api.patch(&path, change(json!({ "key": "other" }))).await.expect(422);
        api.patch(&path, change(json!({ "sensitive": false }))).await.expect(422);
        let main = "variable \"password\" { sensitive = true }\noutput \"n\" { value = nonsensitive(length(var.password)) }";
        api.uploaded(&ws, archive(&[("main.tf", main)])).await;
        api.lock(&ws).await;
        let pending = api.run(&ws, json!({ "auto-apply": true })).await;
        let changed = api.patch(&path, change(json!({ "value": "longer-secret" }))).await.expect(200);
        assert_ne!(changed.attribute("version-id"), made.attribute("version-id"));
        let next = api.run(&ws, json!({ "auto-apply": true })).await;
        api.unlock(&ws).await;
        api.wait(&pending, &["applied"]).await;
        assert!(api.log(&pending, "apply").await.contains('7'), "the value as it was when the run was made");
        api.wait(&next, &["applied"]).await;
        let outputs = api.get(&format!("/workspaces/{ws}/current-state-version-outputs")).await;
        assert_eq!(outputs.json["data"][0]["attributes"]["value"], 13);
    }

    async fn a_run_variable_beats_a_workspace_variable_and_a_later_change_does_not_reach_it(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let main = "variable \"v\" {}\nvariable \"w\" {}\noutput \"o\" { value = \"${var.v}-${var.w}\" }";
        let variable = |key: &str, value: &str| json!({ "data": { "attributes": { "key": key, "value": value, "category": "terraform" } } });
        api.post(&format!("/workspaces/{ws}/vars"), variable("v", "workspace")).await.expect(201);
        let w = api.post(&format!("/workspaces/{ws}/vars"), variable("w", "early")).await.expect(201).id();
        api.uploaded(&ws, archive(&[("main.tf", main)])).await;
        api.lock(&ws).await;
        let run = api.run(&ws, json!({ "auto-apply": true, "variables": [{ "key": "v", "value": "\"run\"" }] })).await;
        let change = json!({ "data": { "attributes": { "value": "late" } } });
        api.patch(&format!("/workspaces/{ws}/vars/{w}"), change).await.expect(200);
        api.unlock(&ws).await;
        api.wait(&run, &["applied"]).await;
        let outputs = api.get(&format!("/workspaces/{ws}/current-state-version-outputs")).await.expect(200);
        assert_eq!(outputs.json["data"][0]["attributes"]["value"], "run-early");
    }
}
