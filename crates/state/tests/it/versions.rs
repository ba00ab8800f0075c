//! Reading and listing.

use crate::world::*;
use serde_json::{Value, json};

#[tokio::test]
async fn state_versions_are_listed_for_one_workspace_newest_first() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let name = world.get(ADMIN, &format!("/workspaces/{workspace}")).await.expect(200);
    let name = name["data"]["attributes"]["name"].as_str().unwrap().to_owned();
    let organization = &world.organization;
    let first = id(&world.store(&workspace, 0, &state(5, "a")).await.expect(201));
    let second = id(&world.store(&workspace, 1, &state(5, "a")).await.expect(201));
    let pending =
        id(&world.create(ADMIN, &workspace, json!({ "serial": 2, "md5": md5(b"x") })).await.expect(201));
    let filter =
        format!("filter%5Borganization%5D%5Bname%5D={organization}&filter%5Bworkspace%5D%5Bname%5D={name}");
    let ids = |list: &Value| -> Vec<String> {
        list["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    let list = world.get(ADMIN, &format!("/state-versions?{filter}")).await.expect(200);
    assert_eq!(ids(&list), [pending, second.clone(), first.clone()]);
    let list = world
        .get(ADMIN, &format!("/state-versions?{filter}&filter[status]=finalized,discarded"))
        .await
        .expect(200);
    assert_eq!(ids(&list), [second, first]);
    assert_eq!(list["meta"]["pagination"]["total-count"], 2);
    let beyond = world
        .get(ADMIN, &format!("/state-versions?{filter}&page[number]=999&page[size]=100"))
        .await
        .expect(200);
    assert_eq!(beyond["data"], json!([]));
    assert_eq!(beyond["meta"]["pagination"]["total-count"], 3);
    let refused =
        world.get(ADMIN, &format!("/state-versions?filter[workspace][name]={name}")).await.refused(400);
    assert!(refused.contains("filter[organization][name]"), "{refused}");
    let refused = world
        .get(ADMIN, &format!("/state-versions?filter[organization][name]={organization}"))
        .await
        .refused(400);
    assert!(refused.contains("filter[workspace][name]"), "{refused}");
}

#[tokio::test]
async fn a_state_version_includes_its_outputs_and_its_creator() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let made = world.store(&workspace, 1, &state(1, "a")).await.expect(201);
    assert!(made["included"].is_null());
    let read = world
        .get(ADMIN, &format!("/workspaces/{workspace}/current-state-version?include=outputs,created_by"))
        .await;
    let read = read.expect(200);
    let included = read["included"].as_array().unwrap();
    let kinds: Vec<&str> = included.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["state-version-outputs", "state-version-outputs", "users"]);
    assert_eq!(included[0]["attributes"]["sensitive"], true);
    assert_eq!(
        included[0]["attributes"]["value"],
        Value::Null,
        "a sensitive value does not come along with something else"
    );
    assert_eq!(read["data"]["relationships"]["outputs"]["data"][0]["id"], included[0]["id"]);
    assert_eq!(read["data"]["relationships"]["workspace"]["data"]["id"], workspace);
    assert_eq!(read["data"]["relationships"]["run"]["data"], Value::Null);
    let refused =
        world.get(ADMIN, &format!("/state-versions/{}?include=nothing", id(&read))).await.refused(400);
    assert!(refused.contains("Invalid include parameter"), "{refused}");
    let workspace =
        world.get(ADMIN, &format!("/workspaces/{workspace}?include=current-state-version")).await.expect(200);
    assert_eq!(workspace["included"][0]["id"], read["data"]["id"]);
}

#[tokio::test]
async fn a_download_is_redirected_to_a_url_that_needs_no_token() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let bytes = state(1, "a");
    let made = world.store(&workspace, 1, &bytes).await.expect(201);
    let answer = world.get(ADMIN, &format!("/state-versions/{}/download", id(&made))).await;
    assert_eq!(answer.status, 302);
    assert_eq!(world.fetch(&answer.location.unwrap()).await.body, bytes);
    let pending = world.create(ADMIN, &workspace, json!({ "serial": 2, "md5": md5(b"x") })).await.expect(201);
    world.get(ADMIN, &format!("/state-versions/{}/download", id(&pending))).await.refused(404);
}
