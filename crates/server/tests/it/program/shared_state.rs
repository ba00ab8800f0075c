//! A run that reads another workspace's state from this server: over TLS that only this server's authority vouches for, and
//! with nothing but the run's own token.

use super::house::House;
use serde_json::json;

fn reader(server: &str, backend: &str) -> String {
    let host = server.trim_start_matches("https://");
    format!(
        r#"
data "terraform_remote_state" "other" {{
  backend = "{backend}"
  config = {{ hostname = "{host}", organization = "acme", workspaces = {{ name = "producer" }} }}
  {}
}}
output "read" {{ value = "{backend} read: ${{data.terraform_remote_state.other.outputs.secret}}" }}
"#,
        // The `cloud` backend takes no default workspace.
        if backend == "cloud" { r#"workspace = "producer""# } else { "" }
    )
}

#[tokio::test]
async fn a_run_reads_a_state_that_is_shared_with_it_through_either_backend_and_no_other() {
    let house = House::open(&[]).await;
    let attributes = json!({ "data": { "attributes": { "name": "producer" } } });
    let producer = house.post("/organizations/acme/workspaces", attributes).await["data"]["id"].clone();
    let mut push = house.push("output \"secret\" { value = \"of the other\" }", &["--auto-approve"]);
    assert!(push.env("FERROFORM_WORKSPACE", "producer").output().unwrap().status.success());
    let refused = house.push(&reader(&house.server.url, "remote"), &["--auto-approve"]).output().unwrap();
    let text = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("terraform_remote_state"), "{text}");
    let path = format!("/workspaces/{}/relationships/remote-state-consumers", producer.as_str().unwrap());
    let consumer = house.get("/workspaces/WS").await["data"]["id"].clone();
    house.post(&path, json!({ "data": [{ "type": "workspaces", "id": consumer }] })).await;
    for backend in ["remote", "cloud"] {
        let read = house.push(&reader(&house.server.url, backend), &["--auto-approve"]).output().unwrap();
        let text = String::from_utf8_lossy(&read.stdout).into_owned();
        assert_eq!(read.status.code(), Some(0), "{backend}: {text}");
        assert!(text.contains(&format!("{backend} read: of the other")), "{backend}: {text}");
    }
}
