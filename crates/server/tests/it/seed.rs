//! The document's own script, `terraform-enterprise-push.sh`, to the letter but for the server's address.

use serde_json::json;
use std::{path::Path, process::Command};
use testkit::{TestServer, on_both, server::ADMIN};

/// A copy of the complete script of the API-driven run workflow's documentation.
const SCRIPT: &str = include_str!("seed/terraform-enterprise-push.sh");

/// Runs the script in a folder, as a person would.
async fn push(server: &TestServer, folder: &Path, content: &str) {
    let script = folder.parent().unwrap().join("terraform-enterprise-push.sh");
    std::fs::write(&script, SCRIPT.replace("https://app.terraform.io", &server.url)).unwrap();
    let mut command = Command::new("bash");
    command.arg(&script).args([content, "acme/demo"]).current_dir(folder).env("TOKEN", ADMIN);
    let output =
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("bash is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let content = dir.path().join("content");
    std::fs::create_dir(&content).unwrap();
    std::fs::write(content.join("main.tf"), "output \"o\" { value = 1 }").unwrap();
    dir
}

on_both! {
    async fn the_script_pushed_from_inside_the_folder_plans(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({})).await;
        let dir = folder();
        push(server, &dir.path().join("content"), ".").await;
        let run = api.get(&format!("/workspaces/{ws}/runs")).await.ids()[0].clone();
        api.wait(&run, &["planned"]).await;
    }

    async fn the_script_pushed_from_outside_fails_with_both_ways_out_and_plans_with_the_working_directory(server) {
        let api = server.admin();
        api.organization("acme").await;
        let ws = api.workspace("acme", "demo", json!({})).await;
        let dir = folder();
        push(server, dir.path(), "./content").await;
        let run = api.get(&format!("/workspaces/{ws}/runs")).await.ids()[0].clone();
        let failed = api.wait(&run, &["errored"]).await;
        let why = failed.attribute("error-message").as_str().unwrap().to_owned();
        assert!(why.contains("content") && why.contains("tar") && why.contains("working"), "{why}");
        let change = json!({ "data": { "attributes": { "working-directory": "content" } } });
        api.patch(&format!("/workspaces/{ws}"), change).await.expect(200);
        push(server, dir.path(), "./content").await;
        let run = api.get(&format!("/workspaces/{ws}/runs")).await.ids()[0].clone();
        api.wait(&run, &["planned"]).await;
    }
}
