//! A machine without an engine, and without a way to get one.

use super::{ferroform, house::House, place, words};
use serde_json::Value;

/// Nobody serves there.
const MIRROR: &str = "http://127.0.0.1:9";

#[tokio::test]
async fn a_run_without_an_engine_ends_with_what_to_do() {
    let empty = place();
    for more in [&["--engine-mirror", MIRROR][..], &["--no-engine-download"]] {
        let house = House::open_with(&[&["--tls", "off"], more].concat(), |command| {
            command.env("PATH", empty.0.path()).env_remove("FERROFORM_ENGINE");
            command.env("FERROFORM_NO_ENGINE_DOWNLOAD", "false");
        })
        .await;
        let output = house.push("locals { a = 1 }", &[]).output().unwrap();
        let said = words(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        for part in ["No engine was found", "--engine", "The run failed (errored)"] {
            assert!(said.contains(part), "{more:?}: {part:?} in {said}");
        }
        let run = house.newest_run().await;
        assert_eq!(run["attributes"]["status"], "errored");
        let workspace = house.get("/workspaces/WS").await;
        assert_eq!(workspace["data"]["attributes"]["locked"], false, "the next run may begin");
    }
}

#[test]
fn doctor_says_where_it_looked_and_what_to_do() {
    let (dir, data) = place();
    let doctor = |more: &[&str]| {
        let mut command = ferroform(&["doctor", "--json", "--listen", "127.0.0.1:0", "--data-dir"]);
        let output = command.arg(&data).args(more).env("PATH", dir.path()).output().unwrap();
        let checks: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code().unwrap(), Value::from(checks).to_string())
    };
    let (code, said) = doctor(&["--no-engine-download"]);
    assert_eq!(code, 1, "{said}");
    for part in ["PATH", "terraform", "--engine"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, said) = doctor(&["--engine-mirror", MIRROR]);
    assert_eq!(code, 0, "what the first run downloads is no failure yet: {said}");
    assert!(said.contains("the first run downloads it") && said.contains("127.0.0.1:9"), "{said}");
}
