//! Who may do what.

use crate::world::*;
use axum::http::Method;
use serde_json::json;

#[tokio::test]
async fn strangers_and_readers_store_nothing() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let reader = world.team(&workspace, json!({ "access": "read" })).await;
    let stranger = world.team(&world.workspace().await, json!({ "access": "admin" })).await;
    let path = format!("/organizations/{}/authentication-token", world.organization);
    let organization = world.post(ADMIN, &path, json!({})).await.expect(201);
    let organization = organization["data"]["attributes"]["token"].as_str().unwrap().to_owned();
    for token in [&reader, &stranger, &organization] {
        world.create(token, &workspace, inline(1, &state(1, "a"))).await.refused(404);
        let path = format!("/workspaces/{workspace}/state-versions");
        let body = json!({ "data": { "relationships": { "rollback-state-version": { "data": { "id": "sv-1" } } } } });
        world.call(Method::PATCH, &path, Some(token), body.to_string()).await.refused(404);
    }
    let version = id(&world.store(&workspace, 1, &state(1, "a")).await.expect(201));
    world.get(&reader, &format!("/state-versions/{version}")).await.expect(200);
    for path in [
        format!("/state-versions/{version}"),
        format!("/state-versions/{version}/outputs"),
        format!("/state-versions/{version}/download"),
        format!("/workspaces/{workspace}/current-state-version"),
        format!("/workspaces/{workspace}/current-state-version-outputs"),
        format!("/workspaces/{workspace}/resources"),
    ] {
        let hidden = world.get(&stranger, &path).await;
        let absent =
            world.get(&stranger, &path.replace(&version, "sv-none").replace(&workspace, "ws-none")).await;
        assert_eq!(hidden.refused(404), absent.refused(404), "{path}");
    }
}

#[tokio::test]
async fn upload_urls_are_shown_only_to_who_may_write() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let reader = world.team(&workspace, json!({ "access": "read" })).await;
    let pending = world.create(ADMIN, &workspace, json!({ "serial": 1, "md5": md5(b"x") })).await.expect(201);
    let path = format!("/state-versions/{}", id(&pending));
    let of_writer = world.get(ADMIN, &path).await.expect(200);
    assert!(of_writer["data"]["attributes"]["hosted-state-upload-url"].is_string());
    assert!(of_writer["data"]["attributes"]["hosted-json-state-upload-url"].is_string());
    let of_reader = world.get(&reader, &path).await.expect(200);
    assert!(of_reader["data"]["attributes"]["hosted-state-upload-url"].is_null());
    assert!(of_reader["data"]["attributes"]["hosted-json-state-upload-url"].is_null());
}
