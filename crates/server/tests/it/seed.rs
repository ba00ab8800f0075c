//! The document's own script, `terraform-enterprise-push.sh`, to the letter but for the server's address.

use serde_json::json;
use std::{path::Path, process::Command};
use tempfile::TempDir;
use testkit::{Api, TestServer, on_both, server::ADMIN};

/// The complete script of "The API-driven Run Workflow", from HashiCorp's documentation of Terraform Enterprise.
const SCRIPT: &str = include_str!("seed/terraform-enterprise-push.sh");

/// A folder `content` with a configuration, and room for the script's files beside it.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let content = dir.path().join("content");
    std::fs::create_dir(&content).unwrap();
    std::fs::write(content.join("main.tf"), "output \"o\" { value = 1 }").unwrap();
    dir
}

/// Runs the script in a folder, as a person would; the run that came of it.
async fn push(server: &TestServer, api: &Api, workspace: &str, folder: &Path, content: &str) -> String {
    let script = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&script, SCRIPT.replace("https://app.terraform.io", &server.url)).unwrap();
    let list = format!("/workspaces/{workspace}/runs");
    let before = api.get(&list).await.expect(200).ids();
    let mut command = Command::new("bash");
    command.arg(script.path()).args([content, "acme/demo"]).current_dir(folder).env("TOKEN", ADMIN);
    let output =
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("bash is installed");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    let mut runs = api.get(&list).await.expect(200).ids();
    runs.retain(|run| !before.contains(run));
    assert_eq!(runs.len(), 1, "a push makes one run: {said}");
    runs.remove(0)
}

async fn workspace(server: &TestServer) -> (Api, String) {
    let api = server.admin();
    api.organization("acme").await;
    let workspace = api.workspace("acme", "demo", json!({})).await;
    (api, workspace)
}

on_both! {
    async fn the_script_pushed_from_inside_the_folder_plans(server) {
        let (api, ws) = workspace(server).await;
        let dir = folder();
        let run = push(server, &api, &ws, &dir.path().join("content"), ".").await;
        api.wait(&run, &["planned"]).await;
    }

    async fn the_script_pushed_from_beside_the_folder_fails_and_names_both_ways_out(server) {
        let (api, ws) = workspace(server).await;
        let dir = folder();
        let run = push(server, &api, &ws, dir.path(), "./content").await;
        let failed = api.wait(&run, &["errored"]).await;
        let why = failed.attribute("error-message").as_str().unwrap();
        for part in ["in the folder \"content\"", "tar -C content", "working-directory to \"content\""] {
            assert!(why.contains(part), "{why}");
        }
        assert!(api.log(&run, "plan").await.contains(why), "the log says it too");
    }

    async fn the_script_pushed_to_a_workspace_whose_working_directory_is_the_folder_plans(server) {
        let (api, ws) = workspace(server).await;
        let dir = folder();
        let first = push(server, &api, &ws, dir.path(), "content").await;
        api.wait(&first, &["errored"]).await;
        let change = json!({ "data": { "attributes": { "working-directory": "content" } } });
        api.patch(&format!("/workspaces/{ws}"), change).await.expect(200);
        let run = push(server, &api, &ws, dir.path(), "content").await;
        api.wait(&run, &["planned"]).await;
    }
}
