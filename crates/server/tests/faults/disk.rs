//! The disk of the data directory fills up and is freed again, and the server is not restarted.

use crate::{
    api::{Api, archive, noise},
    check, load,
    program::{Program, no_disk_of_its_own},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

/// Bytes of the disk.
const DISK: u64 = 24 << 20;
const ENDED: &[&str] = load::ENDED;

/// A server on a small disk; says why not, where that cannot be had.
fn begin() -> Option<(Program, Api, String)> {
    let mount = tempfile::tempdir().unwrap();
    if let Some(why) = no_disk_of_its_own(mount.path()) {
        eprintln!("NOT RUN: no disk of its own can be mounted for the server: {why}");
        return None;
    }
    let mut program = Program::on_a_disk_of(DISK);
    program.start();
    let api = program.api();
    api.organization("acme");
    let workspace = api.workspace("acme", "small");
    Some((program, api, workspace))
}

/// A file that takes all the room there is, beside the data directory.
struct Ballast(PathBuf);

impl Ballast {
    fn fill(program: &Program) -> Self {
        let path = program.data_dir().parent().unwrap().join("ballast");
        let mut ballast = Self(path);
        ballast.more();
        ballast
    }

    /// Leaves this much room.
    fn leave(&self, bytes: u64) {
        let file = fs::File::options().write(true).open(&self.0).unwrap();
        file.set_len(file.metadata().unwrap().len() - bytes).unwrap();
    }

    /// Takes what was freed since.
    fn more(&mut self) {
        let mut file = fs::File::options().create(true).append(true).open(&self.0).unwrap();
        while file.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
    }

    fn free(self) {
        fs::remove_file(&self.0).unwrap();
    }
}

/// The answer says that the disk is full, and what to do.
fn says_so((status, document): (u16, Value), what: &str) {
    assert_eq!(status, 503, "{what}: {document}");
    let error = &document["errors"][0];
    let detail = error["detail"].as_str().unwrap_or_default();
    assert!(error["status"] == json!("503") && detail.contains("disk is full"), "{what}: {document}");
    assert!(detail.contains("free space, then try again"), "{what}: {document}");
}

fn put(api: &Api, url: &str, bytes: Vec<u8>) -> (u16, Value) {
    let (status, answer) = api.ask("PUT", url, Some(bytes)).unwrap();
    (status, serde_json::from_slice(&answer).unwrap_or_default())
}

#[test]
fn a_full_disk_is_said_and_nothing_acknowledged_is_lost_and_freed_space_is_used_without_a_restart() {
    let Some((program, api, workspace)) = begin() else { return };
    let path = format!("/workspaces/{workspace}");
    let before = api.push(&workspace, &load::resources(2, "true"), true).unwrap();
    api.until(&before, &["applied"]);
    let kept = api.upload(&workspace, archive(&[("main.tf", b""), ("filler", &noise(100_000, 1))])).unwrap();
    let (large, large_url) = api.configuration(&workspace).unwrap();
    let states = api.workspace("acme", "states");
    let states = format!("/workspaces/{states}");
    api.json("POST", &format!("{states}/actions/lock"), Some(json!({}))).unwrap();
    let mut stored = vec![load::state(&api, &states, 5).unwrap()];

    let mut ballast = Ballast::fill(&program);
    let contents = archive(&[("main.tf", b""), ("filler", &noise(1 << 20, 2))]);
    // Too little for the upload, and enough to note that it was refused, if it were.
    for room in [256 << 10, 0] {
        ballast.more();
        ballast.leave(room);
        says_so(put(&api, &large_url, contents.clone()), "an upload");
        let found = api.get(&format!("/configuration-versions/{large}"));
        assert_eq!(found["data"]["attributes"]["status"], json!("pending"), "it may be tried again: {found}");
    }
    // Small writes find room in what the database has already, for a while.
    let mut variables = vec![];
    let refused = (0..10_000).find_map(|n| {
        let attributes = json!({ "key": format!("k{n}"), "value": "x".repeat(2000), "category": "env" });
        let body = json!({ "data": { "attributes": attributes } });
        let answer = api.answer("POST", &format!("{path}/vars"), Some(body)).unwrap();
        if answer.0 != 201 {
            return Some(answer);
        }
        variables.push(answer.1["data"]["id"].as_str().unwrap().to_owned());
        ballast.more();
        None
    });
    says_so(refused.expect("a disk that is full stays so"), "a variable");
    // One inline, one by upload.
    let mut serial = 10;
    for _ in 0..2 {
        let full = (0..100).any(|_| {
            serial += 5;
            let made = load::state(&api, &states, serial);
            let full = made.is_none();
            stored.extend(made);
            full
        });
        assert!(full, "a large state was stored on a full disk");
    }
    let asked = api.ask_run(&workspace, &kept.id, false).unwrap();
    let waits = match asked {
        (201, run) => Some(run["data"]["id"].as_str().unwrap().to_owned()),
        refused => {
            says_so(refused, "a run");
            None
        }
    };
    // Reading goes on.
    api.get(&format!("/runs/{before}"));
    assert_eq!(api.bytes(&format!("/api/v2/configuration-versions/{}/download", kept.id)), kept.archive);
    ballast.free();

    let (status, answer) = put(&api, &large_url, contents.clone());
    assert_eq!(status, 200, "the same URL is good after the disk was freed: {answer}");
    assert_eq!(api.bytes(&format!("/api/v2/configuration-versions/{large}/download")), contents);
    if let Some(run) = waits {
        let found = api.until(&run, ENDED);
        let attributes = &found["data"]["attributes"];
        let ended = (
            attributes["status"].as_str().unwrap(),
            attributes["error-message"].as_str().unwrap_or_default(),
        );
        assert!(ended.0 == "planned_and_finished" || speaks_of_the_disk(ended.1), "{ended:?}");
    }
    for variable in variables {
        api.get(&format!("{path}/vars/{variable}"));
    }
    stored.push(load::state(&api, &states, serial + 5).expect("there is room again"));
    stored.iter().for_each(|wanted| check::state(&api, wanted));
    let after = api.push(&workspace, &load::resources(3, "true"), true).unwrap();
    api.until(&after, &["applied"]);
    assert_eq!(api.ask("GET", "/_health_check", None).unwrap().0, 200);
    assert_eq!(api.get(&path)["data"]["attributes"]["locked"], json!(false));
}

fn speaks_of_the_disk(message: &str) -> bool {
    message.contains("disk is full") || message.contains("No space left on device")
}

#[test]
fn a_run_whose_disk_fills_up_says_so_or_waits_and_what_it_made_is_in_its_state() {
    let Some((program, api, workspace)) = begin() else { return };
    // The first resource is there when the disk fills up. With the second the state is so large that it has no room.
    let slow = "resource \"terraform_data\" \"first\" {}\n\
                resource \"terraform_data\" \"slow\" {\n  depends_on = [terraform_data.first]\n  \
                input = [for n in range(1000) : \"not even on a disk that is almost full, and this line is long enough\"]\n  \
                provisioner \"local-exec\" { command = \"sleep 3\" }\n}\n";
    let run = api.push(&workspace, slow, true).unwrap();
    api.until(&run, &["applying"]);
    let first = wait_for_the_state(&program, &run);
    let ballast = Ballast::fill(&program);
    wait_for_the_engine(&program, &run);
    // What the server does with it meets a full disk.
    std::thread::sleep(Duration::from_millis(500));
    ballast.free();
    let found = api.until(&run, &["applied", "errored"]);
    let attributes = &found["data"]["attributes"];
    let message = attributes["error-message"].as_str().unwrap_or_default();
    eprintln!("the run ended {} {message}", attributes["status"]);
    assert!(attributes["status"] == json!("applied") || speaks_of_the_disk(message), "{attributes}");
    let current = api.get(&format!("/workspaces/{workspace}/current-state-version"));
    let state = api.bytes(current["data"]["attributes"]["hosted-state-download-url"].as_str().unwrap());
    let state = String::from_utf8(state).unwrap();
    assert!(state.contains(&first), "the first resource was made, and its state was handed over: {state}");
    let after = api.push(&workspace, &load::resources(1, "true"), true).unwrap();
    api.until(&after, &["applied"]);
}

/// Waits until the state of an apply has its first resource; the resource's id.
fn wait_for_the_state(program: &Program, run: &str) -> String {
    let path = program.data_dir().join(format!("runs/{run}/apply/state/small/terraform.tfstate"));
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let state: Value =
            fs::read(&path).ok().and_then(|state| serde_json::from_slice(&state).ok()).unwrap_or_default();
        if let Some(id) = state["resources"][0]["instances"][0]["attributes"]["id"].as_str() {
            // Long enough for the server to have taken a copy.
            std::thread::sleep(Duration::from_millis(700));
            return id.to_owned();
        }
        assert!(Instant::now() < deadline, "the apply writes no state: {}", program.words());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until the shell of the apply has come to its end, whether or not it could write that down.
fn wait_for_the_engine(program: &Program, run: &str) {
    let path = program.data_dir().join(format!("runs/{run}"));
    let deadline = Instant::now() + Duration::from_secs(30);
    let ended = || {
        let exits = fs::read_to_string(path.join("apply/exits")).unwrap_or_default();
        exits.contains("apply ") || !path.exists()
    };
    while !ended() && Instant::now() < deadline - Duration::from_secs(22) {
        std::thread::sleep(Duration::from_millis(20));
    }
}
