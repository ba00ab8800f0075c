//! Hostile and oversized uploads.

use super::{CHANGE, workspace};
use serde_json::json;
use std::path::Path;
use tar::EntryType;
use testkit::{Settings, archive, archive::header, on_both, raw_archive};

/// Every file below a folder.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path())
            } else {
                found.push(entry.path().display().to_string())
            }
        }
    }
    found.sort();
    found
}

fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let link = |name: &'static str, target: &'static str, kind: EntryType| {
        raw_archive(move |tar| {
            let mut entry = header(name, kind, 0);
            entry.set_link_name(target).unwrap();
            entry.set_cksum();
            tar.append(&entry, std::io::empty()).unwrap();
        })
    };
    vec![
        (
            "dot-dot",
            raw_archive(|tar| tar.append(&header("../x.tf", EntryType::Regular, 1), &b"x"[..]).unwrap()),
        ),
        (
            "absolute",
            raw_archive(|tar| tar.append(&header("/etc/x.tf", EntryType::Regular, 1), &b"x"[..]).unwrap()),
        ),
        ("absolute link", link("l", "/etc/passwd", EntryType::Symlink)),
        ("link out", link("a/l", "../../x", EntryType::Symlink)),
        ("hard link", link("l", "main.tf", EntryType::Link)),
        (
            "device",
            raw_archive(|tar| tar.append(&header("dev", EntryType::Char, 0), std::io::empty()).unwrap()),
        ),
        (
            "through a link",
            raw_archive(|tar| {
                let mut entry = header("d", EntryType::Symlink, 0);
                entry.set_link_name("e").unwrap();
                entry.set_cksum();
                tar.append(&entry, std::io::empty()).unwrap();
                tar.append(&header("d/x.tf", EntryType::Regular, 1), &b"x"[..]).unwrap();
            }),
        ),
    ]
}

on_both! {
    async fn a24_a_body_that_is_no_archive_is_refused_with_the_reason(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let (id, url) = api.configuration(&ws, json!({})).await;
        let refused = api.put(&url, b"this is no gzip".to_vec()).await.expect(422);
        assert!(refused.error().contains("decompress"), "{}", refused.error());
        let version = api.get(&format!("/configuration-versions/{id}")).await;
        assert_eq!(version.attribute("status"), "errored");
        assert!(version.attribute("error-message").as_str().unwrap().contains("decompress"));
        assert!(api.get(&format!("/workspaces/{ws}/runs")).await.ids().is_empty());
    }

    async fn a27_entries_that_leave_the_root_are_refused_and_nothing_is_written(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let before = files(&server.dir.path().join("objects"));
        for (kind, bytes) in hostile() {
            let (id, url) = api.configuration(&ws, json!({})).await;
            let refused = api.put(&url, bytes).await.expect(422);
            assert!(refused.error().contains("illegal slug"), "{kind}: {}", refused.error());
            assert_eq!(api.get(&format!("/configuration-versions/{id}")).await.attribute("status"), "errored", "{kind}");
        }
        assert_eq!(files(&server.dir.path().join("objects")), before);
        assert!(api.get(&format!("/workspaces/{ws}/runs")).await.ids().is_empty());
    }

    async fn a_truncated_archive_is_refused_and_a_good_one_may_follow(server) {
        let (api, ws) = workspace(server, json!({})).await;
        let (id, url) = api.configuration(&ws, json!({ "auto-queue-runs": false })).await;
        let whole = archive(&[("main.tf", CHANGE)]);
        api.put(&url, whole[..whole.len() - 20].to_vec()).await.expect(422);
        assert_eq!(api.get(&format!("/configuration-versions/{id}")).await.attribute("status"), "errored");
        api.put(&url, whole).await.expect(200);
        assert_eq!(api.get(&format!("/configuration-versions/{id}")).await.attribute("status"), "uploaded");
    }
}

fn small() -> Settings {
    let archives =
        slug::Limits { compressed_bytes: 200_000, expanded_bytes: 2 << 20, entries: 20, ratio: 50 };
    Settings { archives, ..Settings::default() }
}

on_both! {
    async fn a28_a_bomb_is_stopped_at_its_cap(server, small()) {
        let (api, ws) = workspace(server, json!({})).await;
        let zeros = "0".repeat(3 << 20);
        let many: Vec<(String, &str)> = (0..30).map(|n| (format!("f{n}.tf"), "")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        for (kind, bytes) in [("size and ratio", archive(&[("main.tf", &zeros)])), ("entries", archive(&many))] {
            let (id, url) = api.configuration(&ws, json!({})).await;
            let refused = api.put(&url, bytes).await.expect(422);
            assert!(
                refused.error().contains("limit")
                    || refused.error().contains("exceed")
                    || refused.error().contains("more than"),
                "{kind}: {}",
                refused.error()
            );
            assert_eq!(
                api.get(&format!("/configuration-versions/{id}")).await.attribute("status"),
                "errored",
                "{kind}"
            );
        }
        assert!(files(&server.dir.path().join("objects")).is_empty(), "the disk is freed");
        let (_, url) = api.configuration(&ws, json!({ "auto-queue-runs": false })).await;
        api.put(&url, archive(&[("main.tf", CHANGE)])).await.expect(200);
    }

    async fn a29_a_body_over_the_cap_is_413_and_never_uploaded(server, small()) {
        let (api, ws) = workspace(server, json!({})).await;
        let noise: Vec<u8> = (0..400_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let (id, url) = api.configuration(&ws, json!({})).await;
        // Announced: refused before it is sent.
        let refused = api.put(&url, noise.clone()).await.expect(413);
        assert!(refused.error().contains("200000"), "{}", refused.error());
        // Not announced: refused on the way. The server may close before all is sent.
        let chunks: Vec<Result<Vec<u8>, std::io::Error>> =
            noise.chunks(10_000).map(|chunk| Ok(chunk.to_vec())).collect();
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
        if let Ok(answer) = api.put_streamed(&url, body).await {
            assert!([413, 422].contains(&answer.status.as_u16()), "{}", answer.status);
        }
        assert_ne!(api.get(&format!("/configuration-versions/{id}")).await.attribute("status"), "uploaded");
    }
}
