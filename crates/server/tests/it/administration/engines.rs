//! Versions of engines: what may be chosen, and where one of an installation's own comes from.

use super::super::acceptance::CHANGE;
use axum::{Router, routing::get};
use ring::digest::{SHA256, digest};
use runner::engine::{Engine, Tool};
use runs::jobs::Jobs;
use serde_json::{Value, json};
use std::io::{Cursor, Write};
use testkit::{Api, TestServer, archive, on_both};
use tokio::net::TcpListener;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

fn attributes(wanted: Value) -> Value {
    json!({ "data": { "type": "terraform-versions", "attributes": wanted } })
}

/// The engine of this machine, its place in the API, and the name by which workspaces ask for it.
async fn engine(server: &TestServer) -> (Engine, String) {
    let engines = server.assembled.app.area::<Jobs>().runner.engines();
    for (tool, name) in [(Tool::Terraform, "terraform"), (Tool::Tofu, "opentofu")] {
        if let Some(engine) = engines.installed(tool).await.into_iter().next() {
            return (engine, format!("/admin/{name}-versions"));
        }
    }
    panic!("tests need an engine");
}

/// Serves the engine as its makers pack it; the URL and the checksum.
async fn served(engine: &Engine) -> (String, String) {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    zip.start_file(engine.tool.to_string(), options).unwrap();
    zip.write_all(&std::fs::read(&engine.path).unwrap()).unwrap();
    let bytes = bytes::Bytes::from(zip.finish().unwrap().into_inner());
    let sha = digest(&SHA256, &bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/engine.zip", listener.local_addr().unwrap());
    let router = Router::new().route("/engine.zip", get(move || async move { bytes }));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, sha)
}

/// A run with this version, when it is planned or has failed; the run and its log.
async fn tried(api: &Api, engine: &Engine, name: &str, version: &str) -> (Value, String) {
    let asked = json!({ "engine": engine.tool, "terraform-version": version });
    let ws = api.workspace("acme", name, asked).await;
    tried_in(api, &ws).await
}

async fn tried_in(api: &Api, ws: &str) -> (Value, String) {
    api.uploaded(ws, archive(&[("main.tf", CHANGE)])).await;
    let run = api.run(ws, json!({})).await;
    let found = api.wait(&run, &["planned", "errored"]).await;
    (found.attribute("status").clone(), api.log(&run, "plan").await)
}

fn archs() -> Value {
    ["amd64", "arm64"].iter().map(|arch| json!({ "os": "linux", "arch": arch })).collect()
}

on_both! {
    async fn an_installations_own_version_runs_from_its_url_when_the_checksum_is_right(server) {
        let api = server.admin();
        api.organization("acme").await;
        let (engine, path) = engine(server).await;
        let (url, sha) = served(&engine).await;
        let own = |version: &str, sha: &str| {
            let mut archs = archs();
            for arch in archs.as_array_mut().unwrap() {
                arch["url"] = json!(url);
                arch["sha"] = json!(sha);
            }
            attributes(json!({ "version": version, "archs": archs }))
        };
        let made = api.post(&path, own("99.0.0", &sha)).await.expect(201);
        assert_eq!((made.attribute("url"), made.attribute("sha")), (&json!(url), &json!(sha)));
        assert_eq!((made.attribute("official"), made.attribute("enabled")), (&json!(false), &json!(true)));
        let (status, log) = tried(&api, &engine, "own", "99.0.0").await;
        assert_eq!(status, "planned", "{log}");
        let cached = server.dir.path().join("engines/own").join(engine.tool.to_string()).join(&sha);
        assert!(cached.join(engine.tool.to_string()).is_file());
        assert_eq!(*api.get(&format!("{path}/{}", made.id())).await.attribute("usage"), json!(1));
        api.post(&path, own("99.0.1", &"0".repeat(64))).await.expect(201);
        let (status, log) = tried(&api, &engine, "forged", "99.0.1").await;
        assert_eq!(status, "errored");
        for text in ["99.0.1 cannot be used", &url, "SHA-256", &sha, &"0".repeat(64), "site admin"] {
            assert!(log.contains(text), "{text}: {log}");
        }
    }

    async fn a_version_that_is_not_enabled_can_neither_be_chosen_nor_run(server) {
        let api = server.admin();
        api.organization("acme").await;
        let (engine, path) = engine(server).await;
        let known = api.get(&format!("{path}?filter[version]={}", engine.version)).await.expect(200).ids();
        let ws = api.workspace("acme", "early", json!({})).await;
        let range = api.workspace("acme", "range", json!({ "terraform-version": format!("~> {}", engine.version) })).await;
        api.patch(&format!("{path}/{}", known[0]), attributes(json!({ "enabled": false }))).await.expect(200);
        let late = json!({ "data": { "attributes": { "name": "late", "terraform-version": engine.version } } });
        let refused = api.post("/organizations/acme/workspaces", late).await.expect(422);
        assert!(refused.error().contains("is not enabled"), "{}", refused.error());
        let other = json!({ "data": { "attributes": { "terraform-version": "1.0.4" } } });
        api.patch(&format!("/workspaces/{ws}"), other).await.expect(200);
        let back = json!({ "data": { "attributes": { "terraform-version": engine.version } } });
        api.patch(&format!("/workspaces/{ws}"), back).await.expect(422);
        let (status, log) = tried_in(&api, &range).await;
        assert_eq!(status, "errored");
        assert!(log.contains("is not enabled on this server"), "{log}");
    }

    async fn a_deprecated_version_runs_and_says_so(server) {
        let api = server.admin();
        api.organization("acme").await;
        let (engine, path) = engine(server).await;
        let known = api.get(&format!("{path}?filter[version]={}", engine.version)).await.expect(200).ids();
        let asked = attributes(json!({ "deprecated": true, "deprecated-reason": "use a newer one" }));
        let changed = api.patch(&format!("{path}/{}", known[0]), asked).await.expect(200);
        assert_eq!(*changed.attribute("deprecated-reason"), json!("use a newer one"));
        let (status, log) = tried(&api, &engine, "old", &engine.version).await;
        assert_eq!(status, "planned", "{log}");
        assert!(log.contains("is deprecated on this server: use a newer one"), "{log}");
        let asked = attributes(json!({ "deprecated": false }));
        let changed = api.patch(&format!("{path}/{}", known[0]), asked).await.expect(200);
        assert_eq!(*changed.attribute("deprecated-reason"), json!(null));
    }

    async fn releases_are_listed_without_a_network_and_what_is_official_or_used_stays(server) {
        let api = server.admin();
        api.organization("acme").await;
        let found = api.get("/admin/terraform-versions?filter[version]=1.0.4").await.expect(200);
        assert_eq!(found.ids().len(), 1);
        let shown = &found.json["data"][0]["attributes"];
        assert_eq!(shown["url"], "https://releases.hashicorp.com/terraform/1.0.4/terraform_1.0.4_linux_amd64.zip");
        assert_eq!((&shown["official"], &shown["archs"][1]["arch"]), (&json!(true), &json!("arm64")));
        api.delete(&format!("/admin/terraform-versions/{}", found.ids()[0])).await.expect(422);
        let searched = api.get("/admin/opentofu-versions?search[version]=1.8").await.expect(200);
        assert!(searched.json["data"][0]["attributes"]["url"].as_str().unwrap().contains("/v1.8."));
        assert!(api.get("/admin/terraform-versions?filter[version]=1000.1000.42").await.ids().is_empty());
        let own = attributes(json!({ "version": "98.0.0", "url": "https://example.com/t.zip", "sha": "a".repeat(64) }));
        let made = api.post("/admin/terraform-versions", own.clone()).await.expect(201);
        let archs = made.attribute("archs");
        assert_eq!((&archs[0]["os"], &archs[0]["arch"], &archs[1]), (&json!("linux"), &json!("amd64"), &json!(null)));
        api.post("/admin/terraform-versions", own).await.expect(422);
        let first = api.get("/admin/terraform-versions?page[size]=1").await.expect(200);
        assert_eq!(first.ids(), [made.id()], "the newest first");
        let path = format!("/admin/terraform-versions/{}", made.id());
        let moved = api.patch(&path, attributes(json!({ "url": "https://example.com/u.zip" }))).await.expect(200);
        assert_eq!((moved.attribute("url"), moved.attribute("sha")), (&json!("https://example.com/u.zip"), &json!("a".repeat(64))));
        let arm = json!([{ "url": "https://example.com/a.zip", "sha": "b".repeat(64), "os": "linux", "arch": "arm64" }]);
        let arm = api.patch(&path, attributes(json!({ "archs": arm }))).await.expect(200);
        assert_eq!((arm.attribute("url"), arm.attribute("archs")[0]["arch"].as_str()), (&json!(""), Some("arm64")));
        let ws = api.workspace("acme", "user", json!({ "engine": "terraform", "terraform-version": "98.0.0" })).await;
        let refused = api.delete(&path).await.expect(422);
        assert!(refused.error().contains("1 workspaces use it"), "{}", refused.error());
        api.patch(&path, attributes(json!({ "version": "97.0.0" }))).await.expect(422);
        api.delete(&format!("/workspaces/{ws}")).await.expect(204);
        api.delete(&path).await.expect(204);
        api.get(&path).await.expect(404);
        for wrong in [
            json!({ "version": "1.x" }),
            json!({ "version": "96.0.0" }),
            json!({ "version": "96.0.0", "url": "https://example.com", "sha": "short" }),
            json!({ "version": "96.0.0", "url": "file:///etc/passwd", "sha": "a".repeat(64) }),
            json!({ "url": "https://example.com", "sha": "a".repeat(64) }),
        ] {
            api.post("/admin/terraform-versions", attributes(wrong)).await.expect(422);
        }
    }
}
