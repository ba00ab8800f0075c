//! Rollback.

use crate::world::*;
use axum::http::Method;
use serde_json::{Value, json};

async fn roll_back(world: &World, workspace: &str, to: &str) -> Answer {
    let body = json!({ "data": { "type": "state-versions", "relationships": {
        "rollback-state-version": { "data": { "type": "state-versions", "id": to } } } } });
    let path = format!("/workspaces/{workspace}/state-versions");
    world.call(Method::PATCH, &path, Some(ADMIN), body.to_string()).await
}

#[tokio::test]
async fn a_rollback_is_a_copy_with_the_next_serial_also_inside_the_file() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let old = state(1, "old");
    let first = id(&world.store(&workspace, 1, &old).await.expect(201));
    world.store(&workspace, 8, &state(8, "new")).await.expect(201);
    let back = roll_back(&world, &workspace, &first).await.expect(201);
    assert_ne!(id(&back), first);
    assert_eq!(back["data"]["attributes"]["serial"], 9);
    let bytes = world.download(&back).await;
    let expected = String::from_utf8(old).unwrap().replace("\"serial\": 1", "\"serial\": 9");
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
    assert_eq!(back["data"]["attributes"]["md5"], md5(&bytes));
    assert_eq!(id(&world.current(&workspace).await.expect(200)), id(&back));
    let outputs =
        world.get(ADMIN, &format!("/workspaces/{workspace}/current-state-version-outputs")).await.expect(200);
    assert_eq!(outputs["data"][1]["attributes"]["value"], "old");
    let locked = world.get(ADMIN, &format!("/workspaces/{workspace}")).await.expect(200);
    assert_eq!(locked["data"]["attributes"]["locked"], true, "the workspace stays locked");
    world.store(&workspace, 10, &state(10, "next")).await.expect(201);
}

#[tokio::test]
async fn a_rollback_needs_the_callers_lock_and_a_finalized_state_of_the_workspace() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let first = id(&world.store(&workspace, 1, &state(1, "a")).await.expect(201));
    let other = world.locked_workspace().await;
    roll_back(&world, &other, &first).await.refused(404);
    let pending = json!({ "serial": 2, "md5": md5(b"x") });
    let pending = id(&world.create(ADMIN, &workspace, pending).await.expect(201));
    let refused = roll_back(&world, &workspace, &pending).await.refused(422);
    assert!(refused.contains("pending"), "{refused}");
    world.post(ADMIN, &format!("/workspaces/{workspace}/actions/force-unlock"), json!({})).await.expect(200);
    roll_back(&world, &workspace, &first).await.refused(409);
    let path = format!("/workspaces/{workspace}/state-versions");
    world.call(Method::PATCH, &path, Some(ADMIN), attributes(json!({})).to_string()).await.refused(422);
}

#[tokio::test]
async fn an_encrypted_state_is_not_rolled_back_to_but_says_how_it_can_return() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let sealed = br#"{"serial":1,"lineage":"l","meta":{},"encrypted_data":"AAAA","encryption_version":"v0"}"#;
    let first: Value = world.store(&workspace, 1, sealed).await.expect(201);
    let refused = roll_back(&world, &workspace, &id(&first)).await.refused(422);
    assert!(refused.contains("encrypted") && refused.contains("state push"), "{refused}");
}
