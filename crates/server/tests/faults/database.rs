//! PostgreSQL crashes during a run and comes back.

use crate::{api::Api, cluster::Cluster, program::Program};
use serde_json::{Value, json};
use std::{
    fs,
    time::{Duration, Instant},
};

/// How long a client may wait until it is told that the database is away.
const PROMPT: Duration = Duration::from_secs(3);
const TICKS: usize = 12;

#[test]
fn a_run_survives_a_postgres_that_crashes_and_comes_back() {
    let cluster = match Cluster::new() {
        Ok(cluster) => cluster,
        Err(why) => {
            eprintln!("NOT RUN: {why}");
            return;
        }
    };
    let mut program = Program::on(cluster.url());
    program.start();
    let api = program.api();
    api.organization("acme");
    let ws = api.workspace("acme", "slow");
    let variable = json!({ "data": { "attributes": { "key": "k", "value": "v", "category": "env" } } });
    let vars = format!("/workspaces/{ws}/vars");
    let made = api.json("POST", &vars, Some(variable.clone())).unwrap();
    let (_, upload) = api.configuration(&ws).unwrap();
    let ticks = format!("for i in $(seq {TICKS}); do echo tick-$i; sleep 0.25; done");
    let run = api.push(&ws, &crate::load::resources(1, &ticks), true).expect("the server is up");
    api.until(&run, &["applying"]);

    cluster.crash();
    // The first ones find connections that were good a moment ago.
    for _ in 0..2 {
        away(&api, "GET", &format!("/api/v2/runs/{run}"), None);
        away(&api, "GET", &format!("/api/v2/workspaces/{ws}"), None);
        away(&api, "POST", &format!("/api/v2{vars}"), Some(variable.to_string().into_bytes()));
        away(&api, "PUT", &upload, Some(crate::api::archive(&[("main.tf", b"")])));
    }
    let begun = Instant::now();
    let (status, _) = api.ask("GET", "/_health_check", None).expect("the server answers");
    assert_eq!(status, 503);
    assert!(begun.elapsed() < PROMPT, "{:?} until the health was told", begun.elapsed());
    // Its end falls into the time without a database.
    wait_for_the_engine(&program, &run);
    cluster.start();

    let found = api.until(&run, &["applied"]);
    assert_eq!(found["data"]["attributes"]["error-message"], Value::Null);
    let log = api.log(&run, "apply");
    for tick in 1..=TICKS {
        assert!(log.contains(&format!("tick-{tick}")), "tick {tick} is missing: {log}");
    }
    assert!(log.starts_with('\u{2}') && log.ends_with('\u{3}') && log.contains("Apply complete"), "{log}");
    let current = api.get(&format!("/workspaces/{ws}/current-state-version"));
    let state = api.bytes(current["data"]["attributes"]["hosted-state-download-url"].as_str().unwrap());
    assert!(String::from_utf8(state).unwrap().contains("terraform_data"));
    let variable = api.get(&format!("{vars}/{}", made["data"]["id"].as_str().unwrap()));
    assert_eq!(variable["data"]["attributes"]["value"], json!("v"));
    let workspace = api.get(&format!("/workspaces/{ws}"));
    assert_eq!(workspace["data"]["attributes"]["locked"], json!(false));
    let (status, _) = api.ask("GET", "/_health_check", None).unwrap();
    assert_eq!(status, 200);
    let next = api.push(&ws, "", false).expect("the server works on");
    api.until(&next, &["planned_and_finished"]);
}

/// A request is answered soon, that the database is away.
fn away(api: &Api, method: &str, path: &str, body: Option<Vec<u8>>) {
    let begun = Instant::now();
    let (status, bytes) = api.ask(method, path, body).expect("the server answers without its database");
    let took = begun.elapsed();
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(status, 503, "{method} {path}: {document}");
    assert_eq!(document["errors"][0]["status"], json!("503"), "{document}");
    let detail = document["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("database") && detail.contains("try again"), "{detail}");
    assert!(took < PROMPT, "{method} {path} took {took:?}");
}

/// Waits until the engine says in the log of the work directory that it is done.
fn wait_for_the_engine(program: &Program, run: &str) {
    let path = program.data_dir().join("runs").join(run).join("log");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let log = fs::read_to_string(&path).unwrap();
        if log.contains("Apply complete") {
            return;
        }
        assert!(Instant::now() < deadline, "the engine does not go on without a database: {log}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
