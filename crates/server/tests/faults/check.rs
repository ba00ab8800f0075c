//! What must hold, in the eyes of a client: while the load goes on, and after it.

use crate::{
    api::Api,
    load::{Acknowledged, ENDED, End, Promised, State, Variable},
    program::Program,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
};

/// Looks at the same promises once while the load goes on, and at all of them at the end.
#[derive(Default)]
pub(crate) struct Checker {
    /// How many configurations and states of each client were looked at already.
    seen: BTreeMap<String, (usize, usize)>,
    /// How the runs ended, and what they said.
    ends: BTreeMap<String, usize>,
}

impl Checker {
    /// What holds at any moment, for what was acknowledged since the last look.
    pub(crate) fn meanwhile(&mut self, api: &Api, promises: &[Arc<Mutex<Acknowledged>>]) {
        for client in promises {
            // Copies, so that the client goes on.
            let client = client.lock().unwrap();
            let (workspace, variables) = (client.workspace.clone(), client.variables.clone());
            let seen = self.seen.entry(workspace.clone()).or_default();
            let configurations: Vec<(String, Vec<u8>)> = client.configurations[seen.0..]
                .iter()
                .map(|uploaded| (uploaded.id.clone(), uploaded.archive.clone()))
                .collect();
            let states = client.states[seen.1..].to_vec();
            *seen = (client.configurations.len(), client.states.len());
            drop(client);
            configurations.iter().for_each(|(id, archive)| configuration(api, id, archive));
            states.iter().for_each(|wanted| state(api, wanted));
            // All but the newest, which may be changing.
            let settled = variables.len().saturating_sub(1);
            variables[..settled].iter().for_each(|wanted| variable(api, &workspace, wanted));
            locked_by_nobody_or_a_living_run(api, &workspace);
        }
    }

    /// Every promise is kept. Returns a sentence with the numbers.
    pub(crate) fn afterwards(&mut self, program: &Program, promises: &[Arc<Mutex<Acknowledged>>]) -> String {
        let api = program.api();
        let (mut resources, mut writes) = (0, [0; 3]);
        for client in promises {
            let client = client.lock().unwrap();
            let (mut due, mut made) = (0, HashSet::new());
            for run in &client.runs {
                self.run(program, run, &mut made);
                if let End::Applied(count) = run.end {
                    due = due.max(count);
                }
            }
            resources += made.len();
            client.configurations.iter().for_each(|wanted| configuration(&api, &wanted.id, &wanted.archive));
            client.states.iter().for_each(|wanted| state(&api, wanted));
            client.variables.iter().for_each(|wanted| variable(&api, &client.workspace, wanted));
            let more = [client.configurations.len(), client.variables.len(), client.states.len()];
            writes.iter_mut().zip(more).for_each(|(sum, n)| *sum += n);
            self.every_run_has_ended(program, &client);
            workspace(&api, &client, due, &made);
        }
        for (end, count) in &self.ends {
            eprintln!("{count:6} × {end}");
        }
        let [configurations, variables, states] = writes;
        format!(
            "{resources} resources, {configurations} configurations, {variables} variables, {states} states"
        )
    }

    /// A run has ended as its configuration wants it, and its logs are whole.
    fn run(&mut self, program: &Program, run: &Promised, made: &mut HashSet<String>) {
        let api = program.api();
        let found = api.until(&run.id, ENDED);
        let attributes = &found["data"]["attributes"];
        let status = attributes["status"].as_str().unwrap();
        let message = attributes["error-message"].as_str().unwrap_or_default();
        *self.ends.entry(format!("{status} {message}").trim().to_owned()).or_default() += 1;
        let expected = match run.end {
            End::Applied(_) => ("applied", ""),
            End::Planned => ("planned_and_finished", ""),
            // The only legitimate reason: its own command. That the server died is none.
            End::Fails => ("errored", "apply failed with exit code 1"),
        };
        assert_eq!((status, message), expected, "{}: {attributes}\n{}", run.id, program.words());
        for phase in if run.end == End::Planned { &["plan"][..] } else { &["plan", "apply"] } {
            let log = api.log(&run.id, phase);
            let last = if *phase == "plan" { "planned" } else { "applied" };
            let whole = log.starts_with('\u{2}') && log.ends_with('\u{3}');
            assert!(whole && log.contains("change_summary") || run.end == End::Fails, "no {last}: {log}");
            made.extend(ids(&log));
        }
    }

    /// Also those that were stored and whose answer was lost.
    fn every_run_has_ended(&mut self, program: &Program, client: &Acknowledged) {
        let api = program.api();
        let known: HashSet<&str> = client.runs.iter().map(|run| run.id.as_str()).collect();
        for page in 1.. {
            let path = format!("/workspaces/{}/runs?page[size]=100&page[number]={page}", client.workspace);
            let list = api.get(&path);
            for run in list["data"].as_array().unwrap() {
                let id = run["id"].as_str().unwrap();
                if known.contains(id) {
                    continue;
                }
                let found = api.until(id, ENDED);
                let attributes = &found["data"]["attributes"];
                let message = attributes["error-message"].as_str().unwrap_or_default();
                let status = attributes["status"].as_str().unwrap();
                *self.ends.entry(format!("{status} {message} (unacknowledged)")).or_default() += 1;
                let why = ["", "apply failed with exit code 1"];
                assert!(why.contains(&message), "{id}: {attributes}\n{}", program.words());
            }
            if list["meta"]["pagination"]["next-page"].is_null() {
                return;
            }
        }
    }
}

/// The ids of the resources that a log says were made.
fn ids(log: &str) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    for line in log.lines() {
        let event: Value = serde_json::from_str(line.trim_matches(['\u{2}', '\u{3}'])).unwrap_or_default();
        if event["type"] == "apply_complete" && event["hook"]["action"] == "create" {
            found.extend(event["hook"]["id_value"].as_str().map(str::to_owned));
        }
    }
    found.into_iter()
}

fn configuration(api: &Api, id: &str, archive: &[u8]) {
    let found = api.get(&format!("/configuration-versions/{id}"));
    assert_eq!(found["data"]["attributes"]["status"], json!("uploaded"), "{id}");
    let bytes = api.bytes(&format!("/api/v2/configuration-versions/{id}/download"));
    assert!(
        bytes == archive,
        "{id}: {} bytes were uploaded, {} other ones come back",
        archive.len(),
        bytes.len()
    );
}

pub(crate) fn state(api: &Api, wanted: &State) {
    let found = api.get(&format!("/state-versions/{}", wanted.id));
    let attributes = &found["data"]["attributes"];
    assert_eq!(attributes["serial"], json!(wanted.serial), "{}", wanted.id);
    let bytes = api.bytes(attributes["hosted-state-download-url"].as_str().unwrap());
    assert!(bytes == *wanted.bytes, "{}: the bytes of the state are others", wanted.id);
}

fn variable(api: &Api, workspace: &str, wanted: &Variable) {
    let found = api.get(&format!("/workspaces/{workspace}/vars/{}", wanted.id));
    let attributes = &found["data"]["attributes"];
    let described = [&attributes["key"], &attributes["category"], &attributes["sensitive"]];
    assert_eq!(
        described,
        [&json!(wanted.key), &json!(wanted.category), &json!(wanted.sensitive)],
        "{}",
        wanted.id
    );
    if !wanted.sensitive {
        let value = attributes["value"].as_str().unwrap();
        assert!(
            wanted.values.iter().any(|known| known == value),
            "{}: {value}, not {:?}",
            wanted.id,
            wanted.values
        );
    }
}

/// The workspace's lock is free, or a person's, or that of a run that has not ended.
fn locked_by_nobody_or_a_living_run(api: &Api, workspace: &str) {
    let holder = || {
        let found = api.get(&format!("/workspaces/{workspace}"));
        let by = found["data"]["relationships"]["locked-by"]["data"].clone();
        (by["type"] == json!("runs")).then(|| by["id"].as_str().unwrap().to_owned())
    };
    let Some(run) = holder() else { return };
    let found = api.get(&format!("/runs/{run}"));
    let status = found["data"]["attributes"]["status"].as_str().unwrap().to_owned();
    // It may have ended since; then it has let go as well.
    if ENDED.contains(&status.as_str()) {
        assert_ne!(holder(), Some(run.clone()), "{workspace} is locked by {run}, which is {status}");
    }
}

/// What must be true of a workspace after its last run: its lock, and its state, which has all that was made.
fn workspace(api: &Api, client: &Acknowledged, due: usize, made: &HashSet<String>) {
    let path = format!("/workspaces/{}", client.workspace);
    let current = || api.get(&format!("{path}/current-state-version"));
    if let Some(newest) = client.states.iter().map(|state| state.serial).max() {
        let serial = current()["data"]["attributes"]["serial"].as_i64().unwrap();
        assert!(serial >= newest, "serial {newest} was acknowledged, {serial} is current");
        return;
    }
    let found = api.get(&path);
    let locked = &found["data"]["attributes"]["locked"];
    assert_eq!(*locked, json!(false), "no run is left, but the workspace is locked");
    if due == 0 {
        return;
    }
    let current = current();
    let state = api.bytes(current["data"]["attributes"]["hosted-state-download-url"].as_str().unwrap());
    let text = String::from_utf8(state).unwrap();
    for id in made {
        assert!(text.contains(id), "the resource {id} was made and is not in the state");
    }
    let count = found["data"]["attributes"]["resource-count"].as_u64().unwrap();
    assert!(count >= due as u64, "{due} resources were applied, {count} are in the state");
}
