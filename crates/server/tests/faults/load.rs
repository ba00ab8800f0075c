//! Clients at work while the server dies and comes back. They note what was acknowledged, and nothing else.

use crate::program::{Api, Program};
use base64::{Engine, engine::general_purpose::STANDARD};
use md5::Digest;
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

/// What one client was promised.
#[derive(Default)]
pub(crate) struct Acknowledged {
    /// Its workspace.
    pub(crate) workspace: String,
    /// Runs, and how many resources each was to apply; none for plan-only runs.
    pub(crate) runs: Vec<(String, Option<usize>)>,
    /// Variables by id.
    pub(crate) variables: Vec<String>,
    /// The greatest serial of a state.
    pub(crate) serial: i64,
}

/// The clients.
pub(crate) struct Load {
    ending: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Acknowledged>>,
}

/// A configuration with `count` resources, each of which runs a command when it is made.
pub(crate) fn resources(count: usize, command: &str) -> String {
    format!(
        "resource \"terraform_data\" \"r\" {{\n  for_each = toset([for n in range({count}) : tostring(n)])\n  \
         provisioner \"local-exec\" {{ command = \"{command}\" }}\n}}\n"
    )
}

impl Load {
    pub(crate) fn begin(program: &Program) -> Self {
        let api = program.api();
        api.organization("acme");
        let ending = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for number in 0..3 {
            let (api, ending) = (api.clone(), ending.clone());
            let workspace = api.workspace("acme", &format!("runs{number}"));
            clients.push(std::thread::spawn(move || runs(&api, workspace, &ending)));
        }
        let (states, until) = (api.workspace("acme", "states"), ending.clone());
        clients.push(std::thread::spawn(move || writes(&api, states, &until)));
        Self { ending, clients }
    }

    pub(crate) fn end(self) -> Vec<Acknowledged> {
        self.ending.store(true, Ordering::Relaxed);
        self.clients
            .into_iter()
            .map(|client| client.join().expect("a client met an impossible answer"))
            .collect()
    }
}

/// Pushes configurations that grow by a resource each time, every third one plan-only.
fn runs(api: &Api, workspace: String, ending: &AtomicBool) -> Acknowledged {
    let mut done = Acknowledged { workspace, ..Acknowledged::default() };
    let (mut count, mut turn) = (0, 0);
    while !ending.load(Ordering::Relaxed) {
        turn += 1;
        if turn % 3 == 0 {
            if let Some(run) = api.push(&done.workspace, &resources(1, "true"), false) {
                done.runs.push((run, None));
            }
            continue;
        }
        count += 1;
        if let Some(run) = api.push(&done.workspace, &resources(count, "sleep 0.15"), true) {
            done.runs.push((run.clone(), Some(count)));
            // One after the other, so that the line does not grow without end.
            api.until(&run, &["applied", "errored", "canceled", "planned_and_finished", "discarded"]);
        }
    }
    done
}

/// Writes variables, and states under the lock.
fn writes(api: &Api, workspace: String, ending: &AtomicBool) -> Acknowledged {
    let mut done = Acknowledged { workspace, ..Acknowledged::default() };
    let path = format!("/workspaces/{}", done.workspace);
    let mut turn = 0;
    while !ending.load(Ordering::Relaxed) {
        turn += 1;
        let attributes = json!({ "key": format!("k{turn}"), "value": "v", "category": "env" });
        let made =
            api.json("POST", &format!("{path}/vars"), Some(json!({ "data": { "attributes": attributes } })));
        done.variables.extend(made.and_then(|made| made["data"]["id"].as_str().map(str::to_owned)));
        // A lock that was granted before the server died is still held: both answers let the write go on.
        let _ = api.json("POST", &format!("{path}/actions/lock"), Some(json!({})));
        // Large enough for a file of its own, now and then.
        let filler = "x".repeat(if turn % 5 == 0 { 100_000 } else { 10 });
        let state = json!({ "version": 4, "serial": turn, "lineage": "l", "outputs": {
            "filler": { "value": filler, "type": "string" } }, "resources": [] })
        .to_string();
        let md5: String =
            md5::Md5::digest(state.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let attributes =
            json!({ "serial": turn, "lineage": "l", "md5": md5, "state": STANDARD.encode(&state) });
        let body = json!({ "data": { "attributes": attributes } });
        if api.json("POST", &format!("{path}/state-versions"), Some(body)).is_some() {
            done.serial = turn;
        }
        let _ = api.json("POST", &format!("{path}/actions/unlock"), Some(json!({})));
    }
    done
}
