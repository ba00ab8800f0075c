//! Uploads, and what runs make of them.

use super::{CHANGE, NOTHING, planned, workspace};
use serde_json::json;
use testkit::{archive, on_both, raw_archive};

on_both! {
    async fn a01_with_a_plan_token_a_configuration_version_is_pending_and_its_upload_url_is_shown_once(server) {
        let (admin, ws) = workspace(server, json!({})).await;
        let team = server.with_token(&admin.team_token("acme", "planners", &ws, "plan").await);
        let body = json!({ "data": { "type": "configuration-version" } });
        let made = team.post(&format!("/workspaces/{ws}/configuration-versions"), body).await.expect(201);
        assert_eq!(made.attribute("status"), "pending");
        assert!(made.attribute("upload-url").as_str().unwrap().starts_with(&server.url));
        let read = team.get(&format!("/configuration-versions/{}", made.id())).await.expect(200);
        assert!(read.attribute("upload-url").is_null());
    }

    async fn a02_an_upload_without_a_token_makes_the_configuration_version_uploaded(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let (id, url) = api.configuration(&ws, json!({ "auto-queue-runs": false })).await;
        server.anonymous().put(&url, archive(&[("main.tf", CHANGE)])).await.expect(200);
        assert_eq!(api.get(&format!("/configuration-versions/{id}")).await.attribute("status"), "uploaded");
    }

    async fn a03_an_upload_queues_exactly_one_run_by_default(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let (id, url) = api.configuration(&ws, json!({})).await;
        api.put(&url, archive(&[("main.tf", NOTHING)])).await.expect(200);
        let runs = api.get(&format!("/workspaces/{ws}/runs")).await.expect(200);
        assert_eq!(runs.ids().len(), 1);
        let run = &runs.json["data"][0];
        assert_eq!(run["attributes"]["source"], "tfe-configuration-version");
        assert_eq!(run["relationships"]["configuration-version"]["data"]["id"], id);
        api.wait(&runs.ids()[0], &["planned_and_finished"]).await;
    }

    async fn a04_without_auto_queue_no_run_exists_until_it_is_asked_for(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let id = api.uploaded(&ws, archive(&[("main.tf", NOTHING)])).await;
        assert!(api.get(&format!("/workspaces/{ws}/runs")).await.ids().is_empty());
        let run = api.ask_run(&ws, Some(&id), json!({})).await.expect(201);
        assert_eq!(run.attribute("status"), "pending");
        assert!(run.attribute("status-timestamps")["plan-queueable-at"].is_string());
        api.wait(&run.id(), &["planned_and_finished"]).await;
    }

    async fn a22_a_run_needs_an_uploaded_configuration(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let missing = api.ask_run(&ws, None, json!({})).await.expect(422);
        assert!(missing.error().contains("Configuration version is missing"), "{}", missing.error());
        let (pending, _) = api.configuration(&ws, json!({})).await;
        let refused = api.ask_run(&ws, Some(&pending), json!({})).await.expect(422);
        assert!(refused.error().contains("invalid run parameters"), "{}", refused.error());
    }

    async fn a23_a_configuration_of_another_organization_makes_no_run(server) {
        let (api, ws) = workspace(server, json!({})).await;
        api.organization("other").await;
        let other = api.workspace("other", "demo", json!({})).await;
        let foreign = api.uploaded(&other, archive(&[("main.tf", NOTHING)])).await;
        api.ask_run(&ws, Some(&foreign), json!({})).await.expect(404);
        assert!(api.get(&format!("/workspaces/{ws}/runs")).await.ids().is_empty());
    }

    async fn a25_without_configuration_files_a_plan_fails_and_a_destroy_plan_succeeds(server) {
        let (api, ws) = workspace(server, json!({})).await;
        api.uploaded(&ws, raw_archive(|_| {})).await;
        let run = api.run(&ws, json!({})).await;
        api.wait(&run, &["errored"]).await;
        let log = api.log(&run, "plan").await;
        assert!(log.contains("No configuration files"), "{log}");
        let destroy = api.run(&ws, json!({ "is-destroy": true })).await;
        api.wait(&destroy, &["planned_and_finished"]).await;
    }

    async fn a26_files_in_one_top_folder_fail_until_it_is_the_working_directory(server) {
        let (api, ws) = workspace(server, json!({})).await;
        api.uploaded(&ws, archive(&[("content/main.tf", NOTHING)])).await;
        let run = api.run(&ws, json!({})).await;
        let failed = api.wait(&run, &["errored"]).await;
        let why = format!("{}\n{}", failed.attribute("error-message"), api.log(&run, "plan").await);
        assert!(why.contains("content"), "names the folder found: {why}");
        assert!(why.contains("tar") && why.contains("working"), "names both ways out: {why}");
        let change = json!({ "data": { "attributes": { "working-directory": "content" } } });
        api.patch(&format!("/workspaces/{ws}"), change).await.expect(200);
        let run = api.run(&ws, json!({})).await;
        api.wait(&run, &["planned_and_finished"]).await;
    }

    async fn a30_an_upload_may_be_replaced_until_a_run_uses_it(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let (id, url) = api.configuration(&ws, json!({ "auto-queue-runs": false })).await;
        let (first, second) = (archive(&[("main.tf", NOTHING)]), archive(&[("main.tf", CHANGE)]));
        api.put(&url, first.clone()).await.expect(200);
        api.put(&url, second.clone()).await.expect(200);
        let run = api.ask_run(&ws, Some(&id), json!({})).await.expect(201).id();
        api.put(&url, first).await.expect(409);
        let download = api.get(&format!("/configuration-versions/{id}/download")).await.expect(302);
        let bytes = api.get(download.headers["location"].to_str().unwrap()).await.expect(200).bytes;
        assert_eq!(bytes, second);
        api.wait(&run, &["planned"]).await;
    }

    async fn a31_a_broken_upload_leaves_it_pending_and_may_be_tried_again(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let (id, url) = api.configuration(&ws, json!({ "auto-queue-runs": false })).await;
        let whole = archive(&[("main.tf", CHANGE)]);
        break_off(&url, &whole).await;
        assert_eq!(api.get(&format!("/configuration-versions/{id}")).await.attribute("status"), "pending");
        api.put(&url, whole).await.expect(200);
        assert_eq!(api.get(&format!("/configuration-versions/{id}")).await.attribute("status"), "uploaded");
    }

    async fn a32_the_configuration_of_a_discarded_run_stays_as_it_is_and_can_be_used_again(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let (id, url) = api.configuration(&ws, json!({})).await;
        let bytes = archive(&[("main.tf", CHANGE)]);
        api.put(&url, bytes.clone()).await.expect(200);
        let run = api.get(&format!("/workspaces/{ws}/runs")).await.ids()[0].clone();
        api.wait(&run, &["planned"]).await;
        api.act(&format!("/runs/{run}/actions/discard")).await;
        api.put(&url, archive(&[("main.tf", NOTHING)])).await.expect(409);
        let download = api.get(&format!("/configuration-versions/{id}/download")).await.expect(302);
        assert_eq!(api.get(download.headers["location"].to_str().unwrap()).await.bytes, bytes);
        let again = api.ask_run(&ws, Some(&id), json!({})).await.expect(201).id();
        api.wait(&again, &["planned"]).await;
    }

    async fn a33_an_altered_or_expired_url_stores_and_shows_nothing(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let (id, url) = api.configuration(&ws, json!({ "auto-queue-runs": false })).await;
        let bytes = archive(&[("main.tf", CHANGE)]);
        let altered = format!("{}{}", &url[..url.len() - 1], if url.ends_with('A') { 'B' } else { 'A' });
        api.put(&altered, bytes.clone()).await.expect(404);
        server.assembled.app.env.advance(26 * 3600 * 1_000_000);
        api.put(&url, bytes).await.expect(404);
        server.assembled.app.env.advance(-26 * 3600 * 1_000_000);
        assert_eq!(api.get(&format!("/configuration-versions/{id}")).await.attribute("status"), "pending");
    }

    async fn a34_the_current_configuration_cannot_be_archived_and_an_older_one_can(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let first = api.uploaded(&ws, archive(&[("main.tf", NOTHING)])).await;
        let path = format!("/configuration-versions/{first}/actions/archive");
        let refused = api.post(&path, json!({})).await.expect(409);
        assert!(refused.error().contains("transition not allowed"), "{}", refused.error());
        assert!(refused.error().contains("because it is current"), "{}", refused.error());
        api.uploaded(&ws, archive(&[("main.tf", CHANGE)])).await;
        api.post(&path, json!({})).await.expect(202);
        assert_eq!(api.get(&format!("/configuration-versions/{first}")).await.attribute("status"), "archived");
        api.get(&format!("/configuration-versions/{first}/download")).await.expect(404);
    }

    async fn a35_a_download_equals_the_upload_byte_for_byte(server) {
        let (api, ws) = workspace(server, json!({})).await;
        // More than fits into the row, and bytes after the archive's end.
        let noise: String = (0..200_000u32).map(|n| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 27) as u8 % 26)).collect();
        let mut bytes = archive(&[("main.tf", CHANGE), ("noise.txt", &noise)]);
        bytes.extend_from_slice(&[0; 100]);
        let id = api.uploaded(&ws, bytes.clone()).await;
        let download = api.get(&format!("/configuration-versions/{id}/download")).await.expect(302);
        assert_eq!(api.get(download.headers["location"].to_str().unwrap()).await.expect(200).bytes, bytes);
    }

    async fn a_planned_run_keeps_its_configuration_from_being_archived(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let run = planned(&api, &ws, CHANGE).await;
        let id = api.get(&format!("/runs/{run}")).await.related("configuration-version").unwrap().to_owned();
        api.uploaded(&ws, archive(&[("main.tf", NOTHING)])).await;
        let refused = api.post(&format!("/configuration-versions/{id}/actions/archive"), json!({})).await.expect(409);
        assert!(refused.error().contains(&run), "{}", refused.error());
    }
}

/// Announces the whole archive, sends half of it, and hangs up.
async fn break_off(url: &str, whole: &[u8]) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let head = format!("PUT {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n\r\n", whole.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&whole[..whole.len() / 2]).await.unwrap();
    stream.shutdown().await.unwrap();
    // The server notices and answers, or closes; either way it is done with this upload then.
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
}
