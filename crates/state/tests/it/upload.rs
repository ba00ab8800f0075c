//! Announced states: the signed uploads, what they wait for, and what ends the wait.

use crate::world::*;
use axum::{body::Body, http::Method};
use http_api::Settings;
use serde_json::{Value, json};

/// Announces a state.
async fn announce(world: &World, workspace: &str, serial: i64, state: &[u8]) -> Value {
    let asked = json!({ "serial": serial, "md5": md5(state), "lineage": "lineage-1" });
    world.create(ADMIN, workspace, asked).await.expect(201)
}

fn url(version: &Value, name: &str) -> String {
    version["data"]["attributes"][format!("hosted-{name}-url")].as_str().unwrap().to_owned()
}

async fn reread(world: &World, version: &Value) -> Value {
    world.get(ADMIN, &format!("/state-versions/{}", id(version))).await.expect(200)
}

/// A38
#[tokio::test]
async fn an_announced_state_blocks_the_unlock_until_its_upload_finalizes_it() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let bytes = state(1, "a");
    let pending = announce(&world, &workspace, 1, &bytes).await;
    assert_eq!(pending["data"]["attributes"]["status"], "pending");
    assert!(pending["data"]["attributes"]["hosted-state-download-url"].is_null());
    let refused = world.unlock(ADMIN, &workspace).await.refused(503);
    assert!(refused.contains("latest state version is still pending"), "{refused}");
    world.current(&workspace).await.refused(404);
    world.put(&url(&pending, "state-upload"), &bytes).await.expect(200);
    let stored = reread(&world, &pending).await;
    assert_eq!(stored["data"]["attributes"]["status"], "finalized");
    assert!(stored["data"]["attributes"]["hosted-state-upload-url"].is_null());
    assert_eq!(world.download(&stored).await, bytes);
    assert_eq!(id(&world.current(&workspace).await.expect(200)), id(&pending));
    assert_eq!(world.unlock(ADMIN, &workspace).await.status, 200);
}

#[tokio::test]
async fn the_json_of_a_state_may_be_uploaded_before_or_after_the_state() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    for (serial, first) in [(1, true), (2, false)] {
        let bytes = state(serial, "a");
        let pending = announce(&world, &workspace, serial, &bytes).await;
        let (raw, json) = (url(&pending, "state-upload"), url(&pending, "json-state-upload"));
        if first {
            world.put(&json, b"{\"format_version\":\"1.0\"}").await.expect(200);
        }
        world.put(&raw, &bytes).await.expect(200);
        if !first {
            world.put(&json, b"{\"format_version\":\"1.0\"}").await.expect(200);
        }
        let stored = reread(&world, &pending).await;
        assert!(stored["data"]["attributes"]["hosted-json-state-upload-url"].is_null());
        let content = world.fetch(&url(&stored, "json-state-download")).await;
        assert_eq!(content.body, b"{\"format_version\":\"1.0\"}");
        world.put(&json, b"{\"format_version\":\"1.0\"}").await.expect(200);
        world.put(&json, b"{}").await.refused(409);
    }
}

#[tokio::test]
async fn an_upload_must_be_what_was_announced() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let bytes = state(1, "a");
    let pending = announce(&world, &workspace, 1, &bytes).await;
    let upload = url(&pending, "state-upload");
    world.put(&upload, &state(1, "b")).await.refused(422);
    world.put(&upload, b"").await.refused(422);
    assert_eq!(reread(&world, &pending).await["data"]["attributes"]["status"], "pending");
    world.put(&upload, &bytes).await.expect(200);
    world.put(&upload, &bytes).await.expect(200);
    world.put(&upload, &state(1, "b")).await.refused(409);
}

#[tokio::test]
async fn a_newer_announcement_discards_the_one_that_still_waits() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let (old, new) = (state(1, "a"), state(1, "b"));
    let first = announce(&world, &workspace, 1, &old).await;
    let second = announce(&world, &workspace, 1, &new).await;
    assert_eq!(reread(&world, &first).await["data"]["attributes"]["status"], "discarded");
    let refused = world.put(&url(&first, "state-upload"), &old).await.refused(409);
    assert!(refused.contains("was discarded"), "{refused}");
    world.put(&url(&second, "state-upload"), &new).await.expect(200);
    assert_eq!(world.unlock(ADMIN, &workspace).await.status, 200);
}

#[tokio::test]
async fn a_lock_taken_away_discards_what_its_holder_announced() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let bytes = state(1, "a");
    let pending = announce(&world, &workspace, 1, &bytes).await;
    world.post(ADMIN, &format!("/workspaces/{workspace}/actions/force-unlock"), json!({})).await.expect(200);
    world.put(&url(&pending, "state-upload"), &bytes).await.refused(409);
    world.put(&url(&pending, "json-state-upload"), b"{}").await.refused(409);
    world.current(&workspace).await.refused(404);
}

#[tokio::test]
async fn an_upload_beyond_the_limit_is_refused() {
    let world = World::with(Settings { state_bytes: 1000, ..Settings::default() }).await;
    let workspace = world.locked_workspace().await;
    let bytes = vec![b' '; 1001];
    let pending = announce(&world, &workspace, 1, &bytes).await;
    world.put(&url(&pending, "state-upload"), &bytes).await.refused(413);
    world.put(&url(&pending, "json-state-upload"), &bytes).await.refused(413);
}

#[tokio::test]
async fn a_signed_url_is_good_for_its_one_purpose() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let bytes = state(1, "a");
    let pending = announce(&world, &workspace, 1, &bytes).await;
    let upload = url(&pending, "state-upload");
    world.put(&upload, &bytes).await.expect(200);
    let stored = reread(&world, &pending).await;
    let download = url(&stored, "state-download");
    let token = |url: &str| url.rsplit('/').next().unwrap().to_owned();
    world.put(&upload.replace(&token(&upload), &token(&download)), &bytes).await.refused(404);
    world.fetch(&download.replace(&token(&download), &token(&upload))).await.refused(404);
    world.call(Method::PUT, &download, None, Body::empty()).await.refused(404);
    world.app.env.advance(26 * 3600 * 1_000_000);
    world.fetch(&download).await.refused(404);
}
