//! Outputs: who sees which values.

use crate::world::*;
use serde_json::{Value, json};

fn value(list: &Value, name: &str) -> Value {
    let items = list["data"].as_array().unwrap();
    items.iter().find(|item| item["attributes"]["name"] == name).unwrap()["attributes"]["value"].clone()
}

#[tokio::test]
async fn sensitive_values_are_hidden_in_the_current_list_and_shown_one_by_one() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let version = id(&world.store(&workspace, 1, &state(1, "a")).await.expect(201));
    let current =
        world.get(ADMIN, &format!("/workspaces/{workspace}/current-state-version-outputs")).await.expect(200);
    assert_eq!(value(&current, "v"), "a");
    assert_eq!(value(&current, "secret"), Value::Null);
    let of_version = world.get(ADMIN, &format!("/state-versions/{version}/outputs")).await.expect(200);
    assert_eq!(value(&of_version, "secret"), "hunter2");
    let secret = current["data"][0]["id"].as_str().unwrap();
    let one = world.get(ADMIN, &format!("/state-version-outputs/{secret}")).await.expect(200);
    assert_eq!(one["data"]["attributes"]["value"], "hunter2");
    assert_eq!(one["data"]["attributes"]["detailed-type"], "string");
}

#[tokio::test]
async fn who_may_read_outputs_only_sees_no_state_and_sensitive_values_one_by_one() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let version = id(&world.store(&workspace, 1, &state(1, "a")).await.expect(201));
    let access =
        json!({ "access": "custom", "runs": "read", "variables": "none", "state-versions": "read-outputs" });
    let reader = world.team(&workspace, access).await;
    let of_version = world.get(&reader, &format!("/state-versions/{version}/outputs")).await.expect(200);
    assert_eq!(value(&of_version, "v"), "a");
    assert_eq!(value(&of_version, "secret"), Value::Null);
    let secret = of_version["data"][0]["id"].as_str().unwrap();
    let one = world.get(&reader, &format!("/state-version-outputs/{secret}")).await.expect(200);
    assert_eq!(one["data"]["attributes"]["value"], "hunter2");
    world.get(&reader, &format!("/workspaces/{workspace}/current-state-version-outputs")).await.expect(200);
    world.get(&reader, &format!("/state-versions/{version}")).await.refused(404);
    world.get(&reader, &format!("/workspaces/{workspace}/current-state-version")).await.refused(404);
}

#[tokio::test]
async fn the_current_list_is_whole_and_the_list_of_a_version_is_paged() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    world.get(ADMIN, &format!("/workspaces/{workspace}/current-state-version-outputs")).await.refused(404);
    let outputs: serde_json::Map<String, Value> =
        (0..150).map(|n| (format!("o{n:03}"), json!({ "value": n, "type": "number" }))).collect();
    let state =
        json!({ "version": 4, "serial": 1, "lineage": "l", "outputs": outputs, "resources": [] }).to_string();
    let version = id(&world.store(&workspace, 1, state.as_bytes()).await.expect(201));
    let current =
        world.get(ADMIN, &format!("/workspaces/{workspace}/current-state-version-outputs")).await.expect(200);
    assert_eq!(current["data"].as_array().unwrap().len(), 150);
    assert_eq!(value(&current, "o149"), 149);
    let page =
        world.get(ADMIN, &format!("/state-versions/{version}/outputs?page[number]=2&page[size]=100")).await;
    let page = page.expect(200);
    assert_eq!(page["data"].as_array().unwrap().len(), 50);
    assert_eq!(page["meta"]["pagination"]["total-count"], 150);
    let beyond =
        world.get(ADMIN, &format!("/state-versions/{version}/outputs?page[number]=999")).await.expect(200);
    assert_eq!(beyond["data"], json!([]));
    assert_eq!(beyond["meta"]["pagination"]["current-page"], 999);
}

#[tokio::test]
async fn outputs_given_beside_an_encrypted_state_are_its_outputs() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let outputs = base64(br#"{"a":{"sensitive":false,"type":["list","string"],"value":["x"]}}"#);
    let sealed = br#"{"serial":1,"lineage":"l","encrypted_data":"AAAA"}"#;
    let mut asked = inline(1, sealed);
    asked["json-state-outputs"] = json!(outputs);
    world.create(ADMIN, &workspace, asked).await.expect(201);
    let path = format!("/workspaces/{workspace}/current-state-version-outputs");
    let current = world.get(ADMIN, &path).await.expect(200);
    assert_eq!(value(&current, "a"), json!(["x"]));
    assert_eq!(current["data"][0]["attributes"]["type"], "array");
    // Announced and uploaded, they are there at once and stay.
    let sealed = br#"{"serial":2,"lineage":"l","encrypted_data":"BBBB"}"#;
    let asked = json!({ "serial": 2, "md5": md5(sealed), "json-state-outputs": outputs });
    let pending = world.create(ADMIN, &workspace, asked).await.expect(201);
    let path_of = format!("/state-versions/{}/outputs", id(&pending));
    assert_eq!(value(&world.get(ADMIN, &path_of).await.expect(200), "a"), json!(["x"]));
    let url = pending["data"]["attributes"]["hosted-state-upload-url"].as_str().unwrap();
    world.put(url, sealed).await.expect(200);
    assert_eq!(value(&world.get(ADMIN, &path_of).await.expect(200), "a"), json!(["x"]));
}

#[tokio::test]
async fn what_the_state_says_of_outputs_counts_more_than_what_came_beside_it() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let bytes = state(1, "from the state");
    let beside = base64(br#"{"v":{"type":"string","value":"from beside"}}"#);
    let asked = json!({ "serial": 1, "md5": md5(&bytes), "json-state-outputs": beside });
    let pending = world.create(ADMIN, &workspace, asked).await.expect(201);
    let url = pending["data"]["attributes"]["hosted-state-upload-url"].as_str().unwrap();
    world.put(url, &bytes).await.expect(200);
    let current =
        world.get(ADMIN, &format!("/workspaces/{workspace}/current-state-version-outputs")).await.expect(200);
    assert_eq!(current["data"].as_array().unwrap().len(), 2);
    assert_eq!(value(&current, "v"), "from the state");
}
