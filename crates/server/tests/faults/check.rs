//! What must hold after the last start.

use crate::{
    load::Acknowledged,
    program::{Api, Program},
};
use db::{Arg, Db};
use runs::life;
use serde_json::{Value, json};
use std::{collections::HashSet, path::Path};

const ENDED: &[&str] = &["applied", "planned_and_finished", "errored", "canceled", "discarded"];

/// Every promise is kept, as a client sees it. Returns a sentence with the numbers.
pub(crate) fn through_the_api(program: &Program, done: &[Acknowledged]) -> String {
    let api = program.api();
    let (mut applied, mut errored, mut planned, mut resources) = (0, 0, 0, 0);
    for client in done {
        let mut due = 0;
        let mut made = HashSet::new();
        for (run, count) in &client.runs {
            let found = api.until(run, ENDED);
            let attributes = &found["data"]["attributes"];
            match (attributes["status"].as_str().unwrap(), count) {
                ("applied", Some(count)) => {
                    applied += 1;
                    due = due.max(*count);
                    made.extend(ids(&api.log(run, "apply")));
                }
                ("planned_and_finished", None) => planned += 1,
                // An apply whose work was lost says so, and what it had made is in the state.
                ("errored", _) => {
                    errored += 1;
                    let message = attributes["error-message"].as_str().expect("a failed run says why");
                    eprintln!("{run} errored: {message}");
                    made.extend(ids(&api.log(run, "apply")));
                }
                (status, _) => panic!("{run} ended {status}: {attributes}\n{}", program.words()),
            }
        }
        resources += made.len();
        workspace(&api, client, due, &made);
    }
    let writes: usize = done.iter().map(|client| client.variables.len()).sum();
    format!(
        "{applied} applied, {planned} planned, {errored} errored, {resources} resources, {writes} variables"
    )
}

/// The ids of the resources that an apply's log says were made.
fn ids(log: &str) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_default();
        if event["type"] == "apply_complete" {
            found.extend(event["hook"]["id_value"].as_str().map(str::to_owned));
        }
    }
    found.into_iter()
}

fn workspace(api: &Api, client: &Acknowledged, due: usize, made: &HashSet<String>) {
    let path = format!("/workspaces/{}", client.workspace);
    for variable in &client.variables {
        api.get(&format!("{path}/vars/{variable}"));
    }
    if client.runs.is_empty() {
        let current = api.get(&format!("{path}/current-state-version"));
        let serial = current["data"]["attributes"]["serial"].as_i64().unwrap();
        assert!(serial >= client.serial, "serial {} was acknowledged, {serial} is current", client.serial);
        return;
    }
    let found = api.get(&path);
    assert_eq!(
        found["data"]["attributes"]["locked"],
        json!(false),
        "no run is left, but the workspace is locked"
    );
    if due == 0 {
        return;
    }
    let current = api.get(&format!("{path}/current-state-version"));
    let url = current["data"]["attributes"]["hosted-state-download-url"].as_str().unwrap();
    let (_, state) = api.ask("GET", url, None).unwrap();
    let text = String::from_utf8(state).unwrap();
    for id in made {
        assert!(text.contains(id), "the resource {id} was made and is not in the state");
    }
    let count = found["data"]["attributes"]["resource-count"].as_u64().unwrap();
    assert!(count >= due as u64, "{due} resources were applied, {count} are in the state");
}

/// What is stored agrees with itself.
pub(crate) fn at_rest(program: &Program) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let db = match program.database() {
            Some(url) => Db::postgres(url, 2).await.unwrap(),
            None => Db::sqlite(&program.data_dir().join("ferroform.db"), 1).await.unwrap(),
        };
        events_lead_to_rows(&db).await;
        objects_are_accounted_for(&db, &program.data_dir().join("objects")).await;
        db.close().await;
    });
}

async fn events_lead_to_rows(db: &Db) {
    let runs: Vec<(String, String)> = db.all("SELECT id, life FROM runs", vec![]).await.unwrap();
    for (id, stored) in runs {
        let sql = "SELECT event, created_at FROM run_events WHERE run_id = $1 ORDER BY number";
        let rows: Vec<(String, i64)> = db.all(sql, vec![Arg::from(&id)]).await.unwrap();
        let events: Vec<_> = rows
            .iter()
            .map(|(event, at)| (serde_json::from_str(event).unwrap(), kernel::Timestamp::from_micros(*at)))
            .collect();
        let stored: life::Run = serde_json::from_str(&stored).unwrap();
        assert_eq!(life::replay(&events).unwrap(), stored, "{id}");
    }
}

async fn objects_are_accounted_for(db: &Db, dir: &Path) {
    let missing: Vec<(String,)> = db
        .all(
            "SELECT used.id FROM (
               SELECT blob_id AS id FROM configuration_versions UNION SELECT blob_id FROM state_versions
               UNION SELECT plan_log_id FROM runs UNION SELECT plan_json_id FROM runs
               UNION SELECT plan_redacted_id FROM runs UNION SELECT kept_id FROM runs
               UNION SELECT apply_log_id FROM runs UNION SELECT snapshot_id FROM runs) AS used
             WHERE used.id IS NOT NULL AND used.id NOT IN (SELECT id FROM blobs)",
            vec![],
        )
        .await
        .unwrap();
    assert!(missing.is_empty(), "objects that are referred to have no row: {missing:?}");
    let filed: Vec<(String,)> = db.all("SELECT id FROM blobs WHERE inline IS NULL", vec![]).await.unwrap();
    let objects = blob::store::Objects::open(dir).unwrap();
    let files: HashSet<String> = objects.list().unwrap().map(|file| file.unwrap().0.to_string()).collect();
    for (id,) in &filed {
        assert!(files.contains(id), "the object {id} has a row and no file");
    }
}
