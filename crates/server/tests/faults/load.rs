//! Clients at work while the server dies and comes back. They note what was acknowledged, and nothing else.

use crate::{
    api::{Api, Uploaded, archive, noise},
    program::Program,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use md5::Digest;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// What one client was promised.
#[derive(Default)]
pub(crate) struct Acknowledged {
    /// Its workspace.
    pub(crate) workspace: String,
    pub(crate) runs: Vec<Promised>,
    pub(crate) configurations: Vec<Uploaded>,
    pub(crate) variables: Vec<Variable>,
    pub(crate) states: Vec<State>,
}

/// A run, and how it must end.
#[derive(Clone)]
pub(crate) struct Promised {
    pub(crate) id: String,
    pub(crate) end: End,
}

/// How a run must end, whatever happens to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// `applied`, with at least this many resources.
    Applied(usize),
    /// `planned_and_finished`
    Planned,
    /// `errored`, because a command of its configuration fails during the apply.
    Fails,
}

/// A variable as it must be found.
#[derive(Clone)]
pub(crate) struct Variable {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) category: &'static str,
    pub(crate) sensitive: bool,
    /// The acknowledged value, then those of changes to which no answer came.
    pub(crate) values: Vec<String>,
}

/// A state version that was acknowledged.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) id: String,
    pub(crate) serial: i64,
    pub(crate) bytes: Arc<[u8]>,
}

/// The clients.
pub(crate) struct Load {
    ending: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
    pub(crate) promises: Vec<Arc<Mutex<Acknowledged>>>,
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
        let mut load = Self { ending: Arc::default(), clients: vec![], promises: vec![] };
        for number in 0..3 {
            load.client(&api, &format!("runs{number}"), runs);
        }
        load.client(&api, "states", writes);
        // Last, so that it knows all the others' workspaces.
        let watched: Vec<String> =
            load.promises.iter().map(|client| client.lock().unwrap().workspace.clone()).collect();
        let (api, ending) = (api.clone(), load.ending.clone());
        load.clients.push(std::thread::spawn(move || watch(&api, &watched, &ending)));
        load
    }

    fn client(&mut self, api: &Api, name: &str, work: fn(&Api, &Mutex<Acknowledged>, &AtomicBool)) {
        let workspace = api.workspace("acme", name);
        let promises = Arc::new(Mutex::new(Acknowledged { workspace, ..Acknowledged::default() }));
        self.promises.push(promises.clone());
        let (api, ending) = (api.clone(), self.ending.clone());
        self.clients.push(std::thread::spawn(move || work(&api, &promises, &ending)));
    }

    /// Whether a client has met an impossible answer.
    pub(crate) fn has_failed(&self) -> bool {
        self.clients.iter().any(JoinHandle::is_finished)
    }

    pub(crate) fn end(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().expect("a client met an impossible answer");
        }
    }
}

/// Pushes configurations that grow by a resource each time; of six, one is plan-only, one fails, and two stand in line
/// together.
fn runs(api: &Api, promises: &Mutex<Acknowledged>, ending: &AtomicBool) {
    let workspace = promises.lock().unwrap().workspace.clone();
    let (mut count, mut turn) = (0, 0);
    let mut waiting: Option<String> = None;
    while !ending.load(Ordering::Relaxed) {
        turn += 1;
        let (main, end) = match turn % 6 {
            3 => (resources(1, "true"), End::Planned),
            5 => (resources(count, "true") + BROKEN, End::Fails),
            _ => {
                count += 1;
                (resources(count, "sleep 0.15"), End::Applied(count))
            }
        };
        // Large enough for a file of its own, now and then.
        let filler = noise(if turn % 4 == 0 { 100_000 } else { 10 }, turn);
        let archive = archive(&[("main.tf", main.as_bytes()), ("filler", &filler)]);
        let Some(uploaded) = api.upload(&workspace, archive) else { continue };
        let run = api.run(&workspace, &uploaded.id, end != End::Planned);
        let mut promises = promises.lock().unwrap();
        promises.configurations.push(uploaded);
        let Some(id) = run else { continue };
        promises.runs.push(Promised { id: id.clone(), end });
        drop(promises);
        // Two at a time, so that there is a line and it does not grow without end.
        if let Some(before) = waiting.replace(id) {
            api.until(&before, ENDED);
        }
    }
}

/// Statuses that a run does not leave.
pub(crate) const ENDED: &[&str] = &["applied", "planned_and_finished", "errored", "canceled", "discarded"];

/// A resource that cannot be made.
const BROKEN: &str =
    "resource \"terraform_data\" \"broken\" {\n  provisioner \"local-exec\" { command = \"exit 3\" }\n}\n";

/// Writes variables, and states under the lock.
fn writes(api: &Api, promises: &Mutex<Acknowledged>, ending: &AtomicBool) {
    let path = format!("/workspaces/{}", promises.lock().unwrap().workspace);
    let mut turn = 0;
    while !ending.load(Ordering::Relaxed) {
        turn += 1;
        variable(api, &path, promises, turn);
        // A lock that was granted before the server died is still held: both answers let the write go on.
        let _ = api.json("POST", &format!("{path}/actions/lock"), Some(json!({})));
        let made = state(api, &path, turn);
        promises.lock().unwrap().states.extend(made);
        let _ = api.json("POST", &format!("{path}/actions/unlock"), Some(json!({})));
    }
}

/// Makes a variable and changes the one before.
fn variable(api: &Api, path: &str, promises: &Mutex<Acknowledged>, turn: i64) {
    let (key, value) = (format!("k{turn}"), format!("v{turn}"));
    let category = if turn % 2 == 0 { "env" } else { "terraform" };
    let sensitive = turn % 5 == 0;
    let attributes = json!({ "key": key, "value": value, "category": category, "sensitive": sensitive });
    let body = json!({ "data": { "attributes": attributes } });
    let made = api.json("POST", &format!("{path}/vars"), Some(body));
    let before = promises.lock().unwrap().variables.last().map(|before| before.id.clone());
    if let Some(before) = before {
        let value = format!("changed{turn}");
        let body = json!({ "data": { "attributes": { "value": value } } });
        let changed = api.json("PATCH", &format!("{path}/vars/{before}"), Some(body)).is_some();
        let mut promises = promises.lock().unwrap();
        let values = &mut promises.variables.last_mut().unwrap().values;
        if changed {
            values.clear();
        }
        values.push(value);
    }
    if let Some(made) = made {
        let id = made["data"]["id"].as_str().unwrap().to_owned();
        let variable = Variable { id, key, category, sensitive, values: vec![value] };
        promises.lock().unwrap().variables.push(variable);
    }
}

/// Writes a state, inline or by its upload URL; what came of it if that was acknowledged.
pub(crate) fn state(api: &Api, path: &str, serial: i64) -> Option<State> {
    // Large enough for a file of its own, now and then.
    let filler = STANDARD.encode(noise(if serial % 5 == 0 { 100_000 } else { 10 }, serial.unsigned_abs()));
    let bytes = json!({ "version": 4, "serial": serial, "lineage": "l", "outputs": {
        "filler": { "value": filler, "type": "string" } }, "resources": [] })
    .to_string()
    .into_bytes();
    let md5: String = md5::Md5::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut attributes = json!({ "serial": serial, "lineage": "l", "md5": md5 });
    let inline = serial % 3 != 0;
    if inline {
        attributes["state"] = json!(STANDARD.encode(&bytes));
    }
    let body = json!({ "data": { "attributes": attributes } });
    let made = api.json("POST", &format!("{path}/state-versions"), Some(body))?;
    if !inline {
        let url = made["data"]["attributes"]["hosted-state-upload-url"].as_str().unwrap();
        api.ask("PUT", url, Some(bytes.clone())).filter(|(status, _)| *status == 200)?;
    }
    Some(State { id: made["data"]["id"].as_str().unwrap().to_owned(), serial, bytes: bytes.into() })
}

/// Looks, all the time, that no workspace has two runs that have left its line.
fn watch(api: &Api, workspaces: &[String], ending: &AtomicBool) {
    while !ending.load(Ordering::Relaxed) {
        for workspace in workspaces {
            let path = format!("/workspaces/{workspace}/runs?page[size]=20");
            if let Some(list) = api.json("GET", &path, None) {
                let current: Vec<&Value> =
                    list["data"].as_array().unwrap().iter().filter(is_current).collect();
                assert!(current.len() <= 1, "{workspace} has two current runs: {current:#?}");
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a run has left its workspace's line and has not ended.
fn is_current(run: &&Value) -> bool {
    let attributes = &run["attributes"];
    let status = attributes["status"].as_str().unwrap();
    attributes["plan-only"] == json!(false) && status != "pending" && !ENDED.contains(&status)
}
