//! Health, and a log that is followed while the server ends.

use super::{PATIENCE, Server, client, house::House, place, status};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use testkit::Gate;

const PLAIN: [&str; 2] = ["--tls", "off"];

#[tokio::test]
async fn health_can_be_asked_by_head_and_says_503_when_a_part_is_missing() {
    let (_dir, data) = place();
    let server = Server::start(&data, &PLAIN);
    let health = format!("{}/_health_check", server.url);
    let head = client(None).head(&health).send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert!(head.bytes().await.unwrap().is_empty());

    let away = data.join("objects-away");
    fs::rename(data.join("objects"), &away).unwrap();
    assert_eq!(status(&client(None), health.clone()).await, 503);
    let head = client(None).head(&health).send().await.unwrap();
    assert_eq!(head.status(), 503);
    let answer = client(None).get(format!("{health}?full=1")).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let full: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(
        (&full["status"], &full["objects"], &full["database"]),
        (&json!("failing"), &json!("failing"), &json!("ok"))
    );

    fs::rename(away, data.join("objects")).unwrap();
    assert_eq!(status(&client(None), health).await, 200, "it comes back by itself");
}

/// Opens a read of a log from behind its end, and returns once the server must have begun to hold it.
async fn held(house: &House, plan: &str) -> tokio::task::JoinHandle<reqwest::Result<(u16, usize)>> {
    let url = house.get(&format!("/plans/{plan}")).await["data"]["attributes"]["log-read-url"]
        .as_str()
        .unwrap()
        .to_owned();
    let client = client(None);
    // What is there already is answered at once.
    let there = client.get(format!("{url}?limit=65536&offset=0")).send().await.unwrap();
    let offset = there.bytes().await.unwrap().len();
    let reading = tokio::spawn(async move {
        let answer = client.get(format!("{url}?limit=65536&offset={offset}")).send().await?;
        let status = answer.status().as_u16();
        Ok((status, answer.bytes().await?.len()))
    });
    // Later requests are answered meanwhile.
    for _ in 0..20 {
        house.get("/account/details").await;
    }
    assert!(!reading.is_finished(), "it is held");
    reading
}

#[tokio::test]
async fn a_log_that_is_waited_for_is_answered_at_once_when_the_server_ends() {
    let mut house = House::open(&["--tls", "off", "--grace-period", "1h"]).await;
    house.post("/workspaces/WS/actions/lock", json!({})).await;
    let pushed =
        house.push("locals { a = 1 }", &["--json"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut pushed = super::Following::new(pushed);
    pushed.until("waiting");
    let run = house.newest_run().await;
    let plan = run["relationships"]["plan"]["data"]["id"].as_str().unwrap().to_owned();
    let reading = held(&house, &plan).await;
    drop(pushed);
    house.server.signal(Signal::SIGTERM);
    let read =
        tokio::time::timeout(PATIENCE / 4, reading).await.expect("an answer at once").unwrap().unwrap();
    assert_eq!(read, (200, 0), "it ended, it did not grow");
    assert!(house.server.child.wait().unwrap().success());
}

#[tokio::test]
async fn the_log_of_a_running_plan_is_answered_while_the_plan_may_finish() {
    let mut house = House::open(&["--tls", "off", "--grace-period", "1h"]).await;
    let gate = Gate::new().await;
    let pushed = house
        .push(&gate.configuration(), &["--plan-only", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let visitor = gate.visitor().await;
    let run = house.newest_run().await;
    let plan = run["relationships"]["plan"]["data"]["id"].as_str().unwrap().to_owned();
    let reading = held(&house, &plan).await;
    drop(super::Following::new(pushed));
    house.server.signal(Signal::SIGTERM);
    let read =
        tokio::time::timeout(PATIENCE / 4, reading).await.expect("an answer at once").unwrap().unwrap();
    assert_eq!(read, (200, 0), "it ended, it did not grow");
    assert!(house.server.child.try_wait().unwrap().is_none(), "the plan has its grace period");
    visitor.admit().await;
    assert!(house.server.child.wait().unwrap().success());
}
