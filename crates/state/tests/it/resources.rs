//! Resources of the current state.

use crate::world::*;
use serde_json::{Value, json};

/// A state with these instances of one resource: key and a value.
fn instances(serial: i64, instances: &[(&str, i64)]) -> Vec<u8> {
    let instances: Vec<Value> =
        instances.iter().map(|(key, n)| json!({ "index_key": key, "attributes": { "n": n } })).collect();
    let resource = json!({ "mode": "managed", "type": "terraform_data", "name": "t",
        "provider": "provider[\"terraform.io/builtin/terraform\"]", "instances": instances });
    let state =
        json!({ "version": 4, "serial": serial, "lineage": "l", "outputs": {}, "resources": [resource] });
    state.to_string().into_bytes()
}

async fn list(world: &World, workspace: &str) -> Vec<Value> {
    let list = world.get(ADMIN, &format!("/workspaces/{workspace}/resources")).await.expect(200);
    list["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn managed_resources_are_listed_with_tfes_addresses() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    assert!(list(&world, &workspace).await.is_empty());
    let version = id(&world.store(&workspace, 1, &state(1, "a")).await.expect(201));
    let all = list(&world, &workspace).await;
    assert_eq!(all.len(), 1);
    let told = &all[0]["attributes"];
    assert_eq!(all[0]["type"], "resources");
    assert_eq!(told["address"], "media_bucket.aws_s3_bucket.this[0]");
    assert_eq!(told["name"], "this");
    assert_eq!(told["module"], "media_bucket");
    assert_eq!(told["provider"], "hashicorp/aws");
    assert_eq!(told["provider-type"], "aws_s3_bucket");
    assert_eq!(told["name-index"], "0");
    assert_eq!(told["modified-by-state-version-id"], version);
    let page =
        world.get(ADMIN, &format!("/workspaces/{workspace}/resources?page[number]=999")).await.expect(200);
    assert_eq!(page["data"], json!([]));
    assert_eq!(page["meta"]["pagination"]["total-count"], 1);
}

#[tokio::test]
async fn a_new_state_touches_only_the_resources_that_it_changed() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let first =
        id(&world.store(&workspace, 1, &instances(1, &[("a", 1), ("b", 1), ("c", 1)])).await.expect(201));
    let before = list(&world, &workspace).await;
    let second =
        id(&world.store(&workspace, 2, &instances(2, &[("a", 1), ("b", 2), ("d", 1)])).await.expect(201));
    let after = list(&world, &workspace).await;
    let summary: Vec<(&str, &str)> = after
        .iter()
        .map(|row| {
            let told = &row["attributes"];
            (told["name-index"].as_str().unwrap(), told["modified-by-state-version-id"].as_str().unwrap())
        })
        .collect();
    assert_eq!(summary, [("a", first.as_str()), ("b", second.as_str()), ("d", second.as_str())]);
    assert_eq!(before[0], after[0]);
    assert_eq!(before[1]["id"], after[1]["id"], "a changed resource is still the same one");
    assert_eq!(before[1]["attributes"]["created-at"], after[1]["attributes"]["created-at"]);
    let told = world.get(ADMIN, &format!("/workspaces/{workspace}")).await.expect(200);
    assert_eq!(told["data"]["attributes"]["resource-count"], 3);
}

#[tokio::test]
async fn thousands_of_resources_come_and_go_with_their_states() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let keys: Vec<String> = (0..1001).map(|n| format!("k{n:04}")).collect();
    let all: Vec<(&str, i64)> = keys.iter().map(|key| (key.as_str(), 1)).collect();
    let total = async || {
        let list =
            world.get(ADMIN, &format!("/workspaces/{workspace}/resources?page[size]=100")).await.expect(200);
        assert_eq!(
            list["data"].as_array().unwrap().len() as u64,
            list["meta"]["pagination"]["total-count"].as_u64().unwrap().min(100)
        );
        list["meta"]["pagination"]["total-count"].as_u64().unwrap()
    };
    world.store(&workspace, 1, &instances(1, &all)).await.expect(201);
    assert_eq!(total().await, 1001);
    world.store(&workspace, 2, &instances(2, &all[..1])).await.expect(201);
    assert_eq!(total().await, 1);
}
