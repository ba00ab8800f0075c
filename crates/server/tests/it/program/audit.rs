//! `ferroform audit`, and the trail of a server that is killed.

use super::{ferroform, house::House, words};
use serde_json::{Value, json};

/// What `ferroform audit` says about the house's data.
fn audit(house: &House, arguments: &[&str]) -> (bool, String) {
    let mut command = ferroform(&["audit"]);
    command.args(arguments).arg("--data-dir").arg(house.data());
    let output = command.output().unwrap();
    (output.status.success(), words(&output))
}

#[tokio::test]
async fn the_trail_goes_on_after_kill_9_and_commands_check_and_export_it() {
    let mut house = House::open(&["--tls", "off"]).await;
    for n in 0..5 {
        let named = json!({ "data": { "attributes": { "name": format!("before-{n}") } } });
        house.post("/organizations/acme/workspaces", named).await;
    }
    // Killed before anything of it is in the chain.
    house.server.child.kill().unwrap();
    house.server.child.wait().unwrap();
    house.start_again(&["--tls", "off"]);
    let named = json!({ "data": { "attributes": { "name": "after" } } });
    house.post("/organizations/acme/workspaces", named).await;
    let trail = house.get("/admin/audit-trail").await;
    let names: Vec<Value> =
        trail["data"].as_array().unwrap().iter().map(|e| e["resource"]["action"].clone()).collect();
    assert_eq!(names, vec![json!("create"); 8]);

    let (whole, said) = audit(&house, &["verify"]);
    assert!(whole && said.contains("whole: 8 entries"), "{said}");
    let (_, lines) = audit(&house, &["export"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 8);
    assert_eq!(lines[7]["after"]["attributes"]["name"], "after");
    assert_eq!(lines[7]["previous"], lines[6]["hash"]);
    let (_, none) = audit(&house, &["export", "--since", "2999-01-01"]);
    assert_eq!(none, "");
    let (_, wrong) = audit(&house, &["export", "--since", "yesterday"]);
    assert!(wrong.contains("2026-01-31"), "{wrong}");
}
