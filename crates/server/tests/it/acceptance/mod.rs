//! A01–A40.

mod api;
mod archives;
mod configurations;
mod permissions;
mod runs;
mod states;

use serde_json::{Value, json};
use testkit::{Api, TestServer, archive};

/// One resource and one output: a plan with changes.
pub(crate) const CHANGE: &str = r#"
resource "terraform_data" "a" { input = "x" }
output "o" { value = terraform_data.a.output }
"#;
/// Nothing at all to do.
pub(crate) const NOTHING: &str = "locals { a = 1 }";
/// An apply that lasts until somebody ends it.
pub(crate) const SLOW_APPLY: &str = r#"
resource "terraform_data" "first" {}
resource "terraform_data" "slow" {
  depends_on = [terraform_data.first]
  provisioner "local-exec" { command = "sleep 60" }
}
"#;

/// The admin's API with an organization and a workspace.
pub(crate) async fn workspace(server: &TestServer, attributes: Value) -> (Api, String) {
    let api = server.admin();
    api.organization("acme").await;
    let workspace = api.workspace("acme", "demo", attributes).await;
    (api, workspace)
}

/// A run of `main.tf` that rests at its confirmable plan.
pub(crate) async fn planned(api: &Api, workspace: &str, main: &str) -> String {
    api.uploaded(workspace, archive(&[("main.tf", main)])).await;
    let run = api.run(workspace, json!({})).await;
    api.wait(&run, &["planned"]).await;
    run
}

/// Whether a workspace is locked.
pub(crate) async fn locked(api: &Api, workspace: &str) -> bool {
    api.get(&format!("/workspaces/{workspace}")).await.expect(200).attribute("locked") == true
}
