//! A01–A40, and what else holds of the same things.

mod api;
mod archives;
mod cancel;
mod configurations;
mod permissions;
mod queue;
mod runs;
pub(crate) mod states;
mod variables;

use serde_json::{Value, json};
use testkit::{Api, TestServer, archive};

/// One resource and one output: a plan with changes.
pub(crate) const CHANGE: &str = r#"
resource "terraform_data" "a" { input = "x" }
output "o" { value = terraform_data.a.output }
"#;
/// Nothing at all to do.
pub(crate) const NOTHING: &str = "locals { a = 1 }";

/// The admin's API with an organization and a workspace.
pub(crate) async fn workspace(server: &TestServer, attributes: Value) -> (Api, String) {
    let api = server.admin();
    api.organization("acme").await;
    let workspace = api.workspace("acme", "demo", attributes).await;
    (api, workspace)
}

/// A run of `main.tf` that rests at its confirmable plan.
pub(crate) async fn planned(api: &Api, workspace: &str, main: &str) -> String {
    let run = run_of(api, workspace, main).await;
    api.wait(&run, &["planned"]).await;
    run
}

/// A run of `main.tf`.
pub(crate) async fn run_of(api: &Api, workspace: &str, main: &str) -> String {
    api.uploaded(workspace, archive(&[("main.tf", main)])).await;
    api.run(workspace, json!({})).await
}

/// Whether a workspace is locked.
pub(crate) async fn locked(api: &Api, workspace: &str) -> bool {
    api.get(&format!("/workspaces/{workspace}")).await.expect(200).attribute("locked") == true
}
