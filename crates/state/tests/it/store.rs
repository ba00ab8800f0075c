//! Inline creation: the order of its checks, and what becomes of the state.

use crate::world::*;
use http_api::Settings;
use serde_json::json;

/// A36
#[tokio::test]
async fn a_state_is_accepted_only_from_who_holds_the_lock() {
    let world = World::new().await;
    let workspace = world.workspace().await;
    let refused = world.store(&workspace, 1, &state(1, "a")).await.refused(409);
    assert!(refused.contains("only while the workspace is locked"), "{refused}");
    let other = world.team(&workspace, json!({ "access": "write" })).await;
    world.lock(&other, &workspace).await;
    let refused = world.store(&workspace, 1, &state(1, "a")).await.refused(409);
    assert!(refused.starts_with("conflict") && refused.contains("locked by Team"), "{refused}");
    world.create(&other, &workspace, inline(1, &state(1, "a"))).await.expect(201);
}

/// A37
#[tokio::test]
async fn serial_md5_and_lineage_decide_whether_a_state_may_follow() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let five = state(5, "a");
    let with = |serial: i64, state: &[u8], lineage: &str, force: bool| {
        let mut asked = inline(serial, state);
        asked["lineage"] = json!(lineage);
        asked["force"] = json!(force);
        asked
    };
    world.create(ADMIN, &workspace, with(5, &five, "lineage-1", false)).await.expect(201);
    let refused = world.store(&workspace, 4, &state(4, "a")).await.refused(412);
    assert!(refused.starts_with("Precondition Failed") && refused.contains("serial 4"), "{refused}");
    world.store(&workspace, 5, &five).await.expect(201);
    let refused = world.store(&workspace, 5, &state(5, "b")).await.refused(409);
    assert!(refused.contains("does not match the md5 known"), "{refused}");
    let six = state(6, "b");
    let refused = world.create(ADMIN, &workspace, with(6, &six, "other", false)).await.refused(409);
    assert!(refused.contains("lineage"), "{refused}");
    world.create(ADMIN, &workspace, with(6, &six, "other", true)).await.expect(201);
    let current = world.current(&workspace).await.expect(200);
    assert_eq!(current["data"]["attributes"]["lineage"], "other");
    world.create(ADMIN, &workspace, with(2, &state(2, "migrated"), "lineage-1", true)).await.expect(201);
    assert_eq!(world.current(&workspace).await.expect(200)["data"]["attributes"]["serial"], 2);
}

#[tokio::test]
async fn a_stored_state_is_current_and_downloads_byte_for_byte() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    world.current(&workspace).await.refused(404);
    let bytes = state(3, "a");
    let made = world.store(&workspace, 7, &bytes).await.expect(201);
    let told = &made["data"]["attributes"];
    assert_eq!(told["status"], "finalized");
    assert_eq!(told["serial"], 7, "the serial of the request counts, not the file's");
    assert_eq!(told["size"], bytes.len());
    assert_eq!(told["resources-processed"], true);
    assert_eq!(told["terraform-version"], "1.11.4");
    assert_eq!(told["state-version"], 4);
    assert_eq!(told["billable-rum-count"], 1);
    assert_eq!(told["modules"]["media_bucket"]["aws-s3-bucket"], 1);
    assert_eq!(told["resources"][0]["type"], "aws_s3_bucket");
    assert!(told["hosted-state-upload-url"].is_null() && told["hosted-json-state-download-url"].is_null());
    assert_eq!(world.download(&made).await, bytes);
    let current = world.current(&workspace).await.expect(200);
    assert_eq!(id(&current), id(&made));
    assert_eq!(world.unlock(ADMIN, &workspace).await.status, 200);
}

#[tokio::test]
async fn the_same_state_stored_again_is_a_version_of_its_own() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let first = id(&world.store(&workspace, 0, &state(5, "a")).await.expect(201));
    let second = id(&world.store(&workspace, 0, &state(5, "a")).await.expect(201));
    assert_ne!(first, second);
    assert_eq!(id(&world.current(&workspace).await.expect(200)), second);
}

#[tokio::test]
async fn a_malformed_request_stores_nothing() {
    let world = World::new().await;
    let workspace = world.workspace().await;
    let bytes = state(1, "a");
    // Malformed comes before unlocked.
    world.create(ADMIN, &workspace, json!({ "serial": 1, "state": base64(&bytes) })).await.refused(422);
    world
        .create(ADMIN, &workspace, json!({ "md5": md5(&bytes), "state": base64(&bytes) }))
        .await
        .refused(422);
    world
        .create(ADMIN, &workspace, json!({ "serial": 1, "md5": md5(&bytes), "state": "*" }))
        .await
        .refused(422);
    world.lock(ADMIN, &workspace).await;
    let mut wrong = inline(1, &bytes);
    wrong["md5"] = json!(md5(b"something else"));
    let refused = world.create(ADMIN, &workspace, wrong).await.refused(422);
    assert!(refused.contains("does not match the state"), "{refused}");
    world.current(&workspace).await.refused(404);
}

#[tokio::test]
async fn a_state_may_be_as_large_as_the_operator_allows_and_no_larger() {
    let world = World::with(Settings { state_bytes: 3000, ..Settings::default() }).await;
    let workspace = world.locked_workspace().await;
    world.store(&workspace, 1, &[b' '; 3000]).await.expect(201);
    world.store(&workspace, 2, &[b' '; 3001]).await.refused(413);
    world.store(&workspace, 2, &vec![b' '; 3 << 20]).await.refused(413);
}

#[tokio::test]
async fn the_run_that_is_named_must_be_of_the_workspace() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let mut body = attributes(inline(1, &state(1, "a")));
    body["data"]["relationships"] = json!({ "run": { "data": { "type": "runs", "id": "run-unknown" } } });
    let path = format!("/workspaces/{workspace}/state-versions");
    let refused = world.post(ADMIN, &path, body.clone()).await.refused(422);
    assert!(refused.contains("Run does not exist"), "{refused}");
    body["data"]["relationships"] = json!({ "run": { "data": null } });
    world.post(ADMIN, &path, body).await.expect(201);
}

#[tokio::test]
async fn an_engine_that_leaves_the_state_as_it_was_makes_no_version() {
    let world = World::new().await;
    let workspace = world.locked_workspace().await;
    let first = id(&world.store(&workspace, 1, &state(1, "a")).await.expect(201));
    let append = async |bytes: Vec<u8>| {
        let held = workspaces::workspaces::by_id(&world.app, &workspace).await.unwrap().unwrap();
        let new = state::store::prepare(&world.app, &held.organization_id, bytes).await.unwrap();
        let origin = state::store::Origin {
            serial: new.facts.serial,
            lineage: new.facts.lineage.clone(),
            run: None,
            created_by: "user-1".into(),
        };
        let mut tx = world.app.db.begin().await.unwrap();
        let held = workspaces::workspaces::hold(&mut tx, &held.id).await.unwrap();
        let id = state::store::append(&world.app, &mut tx, &held, new, &origin).await.unwrap();
        tx.commit().await.unwrap();
        id.to_string()
    };
    assert_eq!(append(state(1, "a")).await, first);
    assert_ne!(append(state(2, "a")).await, first);
    assert_eq!(world.current(&workspace).await.expect(200)["data"]["attributes"]["serial"], 2);
}
