//! States from outside of runs.

use super::workspace;
use base64::{Engine, engine::general_purpose::STANDARD};
use md5::Digest;
use serde_json::{Value, json};
use testkit::on_both;

fn md5(bytes: &[u8]) -> String {
    md5::Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn state(serial: u32, lineage: &str, value: &str) -> Vec<u8> {
    json!({
        "version": 4, "terraform_version": "1.11.4", "serial": serial, "lineage": lineage,
        "outputs": { "o": { "value": value, "type": "string" } }, "resources": [],
    })
    .to_string()
    .into_bytes()
}

pub(crate) fn inline(serial: u32, lineage: &str, bytes: &[u8], more: Value) -> Value {
    let mut attributes =
        json!({ "serial": serial, "lineage": lineage, "md5": md5(bytes), "state": STANDARD.encode(bytes) });
    for (key, value) in more.as_object().cloned().unwrap_or_default() {
        attributes[key] = value;
    }
    json!({ "data": { "type": "state-versions", "attributes": attributes } })
}

on_both! {
    async fn a36_a_state_is_taken_only_from_the_holder_of_the_lock(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let path = format!("/workspaces/{ws}/state-versions");
        let body = || inline(1, "l", &state(1, "l", "x"), json!({}));
        api.post(&path, body()).await.expect(409);
        let team = server.with_token(&api.team_token("acme", "writers", &ws, "write").await);
        team.lock(&ws).await;
        api.post(&path, body()).await.expect(409);
        team.post(&path, body()).await.expect(201);
        assert_eq!(api.get(&format!("/workspaces/{ws}/current-state-version")).await.expect(200).attribute("serial"), 1);
    }

    async fn a37_serial_content_and_lineage_are_compared_with_the_newest_state(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let path = format!("/workspaces/{ws}/state-versions");
        api.lock(&ws).await;
        let five = state(5, "l", "x");
        api.post(&path, inline(5, "l", &five, json!({}))).await.expect(201);
        api.post(&path, inline(4, "l", &state(4, "l", "y"), json!({}))).await.expect(412);
        api.post(&path, inline(5, "l", &five, json!({}))).await.expect(201);
        api.post(&path, inline(5, "l", &state(5, "l", "z"), json!({}))).await.expect(409);
        let other = state(6, "other", "x");
        api.post(&path, inline(6, "other", &other, json!({}))).await.expect(409);
        api.post(&path, inline(6, "other", &other, json!({ "force": true }))).await.expect(201);
    }

    async fn a38_an_announced_state_is_final_once_it_is_uploaded(server) {
        let (api, ws) = workspace(server, json!({})).await;
        api.lock(&ws).await;
        let bytes = state(1, "l", "x");
        let body = json!({ "data": { "attributes": { "serial": 1, "lineage": "l", "md5": md5(&bytes) } } });
        let made = api.post(&format!("/workspaces/{ws}/state-versions"), body).await.expect(201);
        assert_eq!(made.attribute("status"), "pending");
        let url = made.attribute("hosted-state-upload-url").as_str().unwrap().to_owned();
        api.post(&format!("/workspaces/{ws}/actions/unlock"), json!({})).await.expect(503);
        server.anonymous().put(&url, bytes.clone()).await.expect(200);
        let read = api.get(&format!("/state-versions/{}", made.id())).await.expect(200);
        assert_eq!(read.attribute("status"), "finalized");
        assert!(read.attribute("hosted-state-upload-url").is_null());
        api.unlock(&ws).await;
        let download = read.attribute("hosted-state-download-url").as_str().unwrap();
        assert_eq!(api.get(download).await.expect(200).bytes, bytes);
    }

    async fn a_rollback_makes_an_older_state_current_under_a_new_serial(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let path = format!("/workspaces/{ws}/state-versions");
        api.lock(&ws).await;
        let first = api.post(&path, inline(1, "l", &state(1, "l", "old"), json!({}))).await.expect(201).id();
        api.post(&path, inline(2, "l", &state(2, "l", "new"), json!({}))).await.expect(201);
        let body = json!({ "data": { "type": "state-versions", "relationships": {
            "rollback-state-version": { "data": { "type": "state-versions", "id": first } } } } });
        let rolled = api.patch(&path, body).await.expect(201);
        assert_eq!(rolled.attribute("serial"), 3);
        let download = rolled.attribute("hosted-state-download-url").as_str().unwrap().to_owned();
        let file: Value = serde_json::from_slice(&api.get(&download).await.expect(200).bytes).unwrap();
        assert_eq!(file["serial"], 3, "also inside the file: the engine counts from there");
        assert_eq!(file["outputs"]["o"]["value"], "old");
    }
}
