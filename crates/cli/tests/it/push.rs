//! `push` from the arguments to the exit status, against a server on a real connection.

use crate::{
    engine::Engine,
    server::{Script, TOKEN, Tfe},
};
use clap::Parser;
use cli::{
    PushArgs,
    push::push_in,
    render::Style,
    world::{Answers, World},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
};
use tokio::{sync::mpsc, task::JoinHandle};

/// What a push has written so far.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: PushArgs,
}

/// A person, or none, at a terminal.
struct Session {
    directory: tempfile::TempDir,
    environment: BTreeMap<String, String>,
    answers: Option<Vec<&'static str>>,
    screen: Screen,
    interrupt: mpsc::UnboundedSender<()>,
    interrupts: Option<mpsc::UnboundedReceiver<()>>,
}

impl Session {
    fn new(address: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("main.tf"), "terraform {}\n").unwrap();
        let (interrupt, interrupts) = mpsc::unbounded_channel();
        let variables = [("FERROFORM_ADDRESS", address), ("TFE_TOKEN", TOKEN)];
        let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let screen = Screen::default();
        Self { directory, environment, answers: None, screen, interrupt, interrupts: Some(interrupts) }
    }

    /// A person who will give these answers, and then closes the terminal.
    fn answering(mut self, answers: &[&'static str]) -> Self {
        self.answers = Some(answers.to_vec());
        self
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn unset(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    fn start(&mut self, options: &[&str]) -> JoinHandle<u8> {
        let directory = self.directory.path().to_owned();
        self.start_in(&directory, options)
    }

    fn start_in(&mut self, directory: &Path, options: &[&str]) -> JoinHandle<u8> {
        let answers = self.answers.clone().map(|answers| {
            let mut answers = answers.into_iter();
            Answers::new(move || answers.next().map(str::to_owned))
        });
        self.start_with(directory, answers, options)
    }

    fn start_with(&mut self, directory: &Path, answers: Option<Answers>, options: &[&str]) -> JoinHandle<u8> {
        let mut all = vec!["push", directory.to_str().unwrap()];
        for (name, value) in [("--organization", "acme"), ("--workspace", "demo")] {
            if !options.contains(&name) {
                all.extend([name, value]);
            }
        }
        all.extend(options);
        let args = Cli::try_parse_from(all).unwrap().args;
        let world = World {
            environment: self.environment.clone(),
            out: Box::new(self.screen.clone()),
            err: Box::new(self.screen.clone()),
            input: Box::new(std::io::empty()),
            progress: None,
            style: Style::PLAIN,
            answers,
            interrupts: self.interrupts.take().unwrap(),
        };
        tokio::spawn(async move { push_in(&args, world).await })
    }

    /// Runs to the end: exit status and what was shown.
    async fn push(mut self, options: &[&str]) -> (u8, String) {
        let status = self.start(options).await.unwrap();
        (status, self.screen.text())
    }
}

async fn push(script: Script, options: &[&str]) -> (u8, String) {
    let tfe = Tfe::start(script).await;
    Session::new(&tfe.address).push(options).await
}

fn without_changes() -> Script {
    Script { changes: false, ..Script::default() }
}

#[tokio::test]
async fn nothing_to_change_is_success() {
    let (status, shown) = push(without_changes(), &["--detailed-exitcode"]).await;
    assert_eq!(status, 0, "{shown}");
    assert!(
        shown.contains("Terraform v1.11.4\non linux_amd64\nInitializing plugins and modules...\n"),
        "{shown}"
    );
    assert!(shown.contains("\nNothing to change.\nRun: http://127.0.0.1:"), "{shown}");
    assert!(shown.trim_end().ends_with("/app/acme/workspaces/demo/runs/run-1"), "{shown}");
}

#[tokio::test]
async fn a_failed_plan_is_failure() {
    let (status, shown) = push(Script { fails: true, ..Script::default() }, &["--detailed-exitcode"]).await;
    assert_eq!(status, 1);
    assert!(shown.contains("The run failed (errored)."), "{shown}");
}

#[tokio::test]
async fn without_a_terminal_the_run_is_left_waiting() {
    for (options, expected) in [(&[][..], 0), (&["--detailed-exitcode"][..], 2)] {
        let tfe = Tfe::start(Script::default()).await;
        let (status, shown) = Session::new(&tfe.address).push(options).await;
        assert_eq!(status, expected);
        assert!(
            shown.contains("Not applied yet: 1 to add, 0 to change, 0 to destroy. The run waits (planned)."),
            "{shown}"
        );
        assert!(shown.contains("Confirm or discard it at http://"), "{shown}");
        assert_eq!(tfe.calls("POST /runs/run-1/actions/apply").len(), 0);
        // Without a person the workspace decides whether it applies by itself.
        assert_eq!(tfe.calls("POST /runs")[0]["data"]["attributes"]["auto-apply"], Value::Null);
    }
}

#[tokio::test]
async fn a_person_who_says_yes_sees_the_apply() {
    let tfe = Tfe::start(Script { apply_log: "the apply's log\n".to_owned(), ..Script::default() }).await;
    let (status, shown) = Session::new(&tfe.address).answering(&["maybe", "yes"]).push(&[]).await;
    assert_eq!(status, 0);
    assert_eq!(
        shown.matches("Apply these changes in acme/demo?").count(),
        2,
        "an unclear answer is asked for again"
    );
    assert!(shown.ends_with("/runs/run-1\n") && shown.contains("the apply's log\n"), "{shown}");
    assert!(shown.contains("Applied: 1 added, 0 changed, 0 destroyed."), "{shown}");
    assert_eq!(tfe.calls("POST /runs")[0]["data"]["attributes"]["auto-apply"], false);
}

#[tokio::test]
async fn a_person_who_says_no_discards_the_run() {
    let tfe = Tfe::start(Script::default()).await;
    let (status, shown) = Session::new(&tfe.address).answering(&["no"]).push(&[]).await;
    assert_eq!(status, 1);
    assert!(shown.contains("Discarded; nothing was applied."), "{shown}");
    assert_eq!(tfe.calls("POST /runs/run-1/actions/discard").len(), 1);
}

#[tokio::test]
async fn auto_approve_applies_without_a_question() {
    let tfe = Tfe::start(Script::default()).await;
    let (status, shown) = Session::new(&tfe.address).answering(&[]).push(&["--auto-approve"]).await;
    assert_eq!(status, 0);
    assert!(!shown.contains("Enter a value") && shown.contains("Applied: 1 added"), "{shown}");
    assert_eq!(tfe.calls("POST /runs")[0]["data"]["attributes"]["auto-apply"], true);
    assert_eq!(tfe.calls("POST /runs/run-1/actions/apply").len(), 0, "the server applies by itself");
}

#[tokio::test]
async fn a_token_that_may_not_apply_leaves_the_run_to_others() {
    let script = Script { can_apply: false, ..Script::default() };
    let (status, shown) = push(script, &["--auto-approve", "--detailed-exitcode"]).await;
    assert_eq!(status, 2);
    assert!(shown.contains("This token may not apply."), "{shown}");
}

#[tokio::test]
async fn a_plan_only_run_is_speculative_and_never_asks() {
    let tfe = Tfe::start(Script::default()).await;
    let (status, shown) =
        Session::new(&tfe.address).answering(&[]).push(&["--plan-only", "--detailed-exitcode"]).await;
    assert_eq!(status, 2);
    assert!(
        shown.contains("Planned: 1 to add, 0 to change, 0 to destroy. This run cannot be applied."),
        "{shown}"
    );
    let configuration = &tfe.calls("POST /workspaces/ws-1/configuration-versions")[0]["data"]["attributes"];
    assert_eq!(*configuration, json!({"auto-queue-runs": false, "speculative": true}));
    assert_eq!(tfe.calls("POST /runs")[0]["data"]["attributes"], json!({"plan-only": true}));
}

#[tokio::test]
async fn options_become_attributes_of_the_run() {
    let tfe = Tfe::start(without_changes()).await;
    let options = [
        "--message",
        "why",
        "--destroy",
        "--target",
        "a.b",
        "--target",
        "c.d",
        "--replace",
        "e.f",
        "--var",
        "n=1",
        "--var",
        "l=[1, 2]",
    ];
    let (status, _) = Session::new(&tfe.address).push(&options).await;
    assert_eq!(status, 0);
    let run = &tfe.calls("POST /runs")[0]["data"];
    assert_eq!(
        run["attributes"],
        json!({"message": "why", "is-destroy": true, "target-addrs": ["a.b", "c.d"], "replace-addrs": ["e.f"],
            "variables": [{"key": "n", "value": "\"1\""}, {"key": "l", "value": "[1, 2]"}]})
    );
    assert_eq!(run["relationships"]["configuration-version"]["data"]["id"], "cv-1");
}

#[tokio::test]
async fn a_pending_run_says_what_it_waits_for() {
    for (waits_for, workspace, expected) in [
        (json!("the lock of user mara"), json!({}), "Waiting: the lock of user mara."),
        (
            json!({"kind": "lock", "message": "user mara holds the lock"}),
            json!({}),
            "Waiting: user mara holds the lock.",
        ),
        // A server without this attribute: what the workspace shows.
        (json!({}), json!({}), "Waiting: run run-0 (planned) is ahead."),
    ] {
        let script = Script { waits_for: Some(waits_for), workspace, changes: false, ..Script::default() };
        let tfe = Tfe::start(script).await;
        let mut session = Session::new(&tfe.address);
        let push = session.start(&[]);
        while !session.screen.text().contains("Waiting:") {
            tokio::task::yield_now().await;
        }
        tfe.release();
        assert_eq!(push.await.unwrap(), 0);
        let shown = session.screen.text();
        assert_eq!(shown.matches("Waiting:").count(), 1, "{shown}");
        assert!(shown.contains(expected), "{shown}");
    }
}

#[tokio::test]
async fn ctrl_c_without_a_person_cancels_at_once() {
    let tfe = Tfe::start(Script { hangs: true, ..Script::default() }).await;
    let mut session = Session::new(&tfe.address);
    let push = session.start(&[]);
    tfe.held.notified().await;
    session.interrupt.send(()).unwrap();
    assert_eq!(push.await.unwrap(), 1);
    let shown = session.screen.text();
    assert!(shown.contains("Canceling.") && shown.contains("\nCanceled.\n"), "{shown}");
    assert_eq!(tfe.calls("POST /runs/run-1/actions/cancel").len(), 1);
}

#[tokio::test]
async fn ctrl_c_asks_a_person_before_it_cancels() {
    let tfe = Tfe::start(Script { hangs: true, ..Script::default() }).await;
    let mut session = Session::new(&tfe.address).answering(&["no", "yes"]);
    let push = session.start(&[]);
    tfe.held.notified().await;
    session.interrupt.send(()).unwrap();
    while !session.screen.text().contains("The run goes on.") {
        tokio::task::yield_now().await;
    }
    session.interrupt.send(()).unwrap();
    assert_eq!(push.await.unwrap(), 1);
    assert_eq!(session.screen.text().matches("Cancel the run?").count(), 2);
    assert_eq!(tfe.calls("POST /runs/run-1/actions/cancel").len(), 1);
}

#[tokio::test]
async fn a_second_ctrl_c_leaves_the_run_alone() {
    let tfe = Tfe::start(Script { hangs: true, ..Script::default() }).await;
    // The person never answers: the first question is still open.
    let mut session = Session::new(&tfe.address);
    let (_never, silence) = std::sync::mpsc::channel::<String>();
    let directory = session.directory.path().to_owned();
    let push = session.start_with(&directory, Some(Answers::new(move || silence.recv().ok())), &[]);
    tfe.held.notified().await;
    session.interrupt.send(()).unwrap();
    session.interrupt.send(()).unwrap();
    assert_eq!(push.await.unwrap(), 130);
    assert!(session.screen.text().contains("Left. The run goes on (planning)."), "{}", session.screen.text());
    assert_eq!(tfe.calls("POST /runs/run-1/actions/cancel").len(), 0);
}

#[tokio::test]
async fn a_second_ctrl_c_does_not_wait_for_a_run_that_does_not_stop() {
    let tfe = Tfe::start(Script { hangs: true, deaf: true, ..Script::default() }).await;
    let mut session = Session::new(&tfe.address);
    let push = session.start(&[]);
    tfe.held.notified().await;
    session.interrupt.send(()).unwrap();
    while !session.screen.text().contains("Canceling.") {
        tokio::task::yield_now().await;
    }
    session.interrupt.send(()).unwrap();
    assert_eq!(push.await.unwrap(), 130);
    assert_eq!(tfe.calls("POST /runs/run-1/actions/cancel").len(), 1);
}

#[tokio::test]
async fn json_is_one_object_a_line_with_the_engines_own_lines_inside() {
    let script = Script {
        plan_log: format!(
            "Terraform v1.11.4\n{}\n",
            json!({"@level": "info", "@message": "Plan: 1 to add", "type": "change_summary"})
        ),
        ..Script::default()
    };
    let (status, shown) = push(script, &["--json", "--auto-approve"]).await;
    assert_eq!(status, 0);
    let events: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let expected =
        ["packed", "uploaded", "run_created", "log", "log", "planned", "log", "log", "log", "finished"];
    assert_eq!(kinds, expected, "{shown}");
    assert_eq!(events[3], json!({"type": "log", "phase": "plan", "text": "Terraform v1.11.4"}));
    assert_eq!(events[4]["entry"]["@message"], "Plan: 1 to add");
    assert_eq!(
        events[5],
        json!({"type": "planned", "has_changes": true,
        "changes": {"import": 0, "add": 1, "change": 0, "destroy": 0}})
    );
    assert_eq!(events[9]["outcome"], "applied");
    assert_eq!(events[9]["run"], "run-1");
}

#[tokio::test]
async fn a_structured_plan_shows_its_differences_before_it_asks() {
    let engine = Engine::new("resource \"terraform_data\" \"a\" { input = \"hello\" }\n");
    let plan_log = engine.print(&["plan", "-json", "-out=p"]);
    let document = Some(engine.document("p"));
    let apply_log = engine.print(&["apply", "-json", "p"]);
    let tfe = Tfe::start(Script { plan_log, apply_log, document, ..Script::default() }).await;
    let (status, shown) = Session::new(&tfe.address).answering(&["yes"]).push(&[]).await;
    assert_eq!(status, 0);
    let place = |text: &str| shown.find(text).unwrap_or_else(|| panic!("no {text:?} in {shown}"));
    let difference = place("      + input  = \"hello\"");
    assert!(place("  + resource \"terraform_data\" \"a\" {") < difference);
    assert!(difference < place("Plan: 1 to add, 0 to change, 0 to destroy."));
    assert!(place("Plan: 1 to add") < place("Apply these changes in acme/demo?"));
    assert!(place("Apply these changes") < place("terraform_data.a: Creating..."));
    assert!(place("Creating...") < place("Apply complete! Resources: 1 added, 0 changed, 0 destroyed."));
}

#[tokio::test]
async fn what_is_uploaded_is_the_packed_folder_without_what_is_ignored() {
    let tfe = Tfe::start(without_changes()).await;
    let mut session = Session::new(&tfe.address);
    let write = |name: &str| std::fs::write(session.directory.path().join(name), "x").unwrap();
    write("secret.txt");
    std::fs::write(session.directory.path().join(".terraformignore"), "secret.txt\n").unwrap();
    assert_eq!(session.start(&[]).await.unwrap(), 0);
    assert_eq!(names_in(&tfe.uploads()[0]), [".terraformignore", "main.tf"]);
}

#[tokio::test]
async fn a_folder_that_is_the_working_directory_is_pushed_from_the_root_above() {
    let workspace = json!({"name": "demo", "working-directory": "infra/prod/"});
    let tfe = Tfe::start(Script { workspace: workspace.clone(), ..without_changes() }).await;
    let mut session = Session::new(&tfe.address);
    let below = session.directory.path().join("infra/prod");
    std::fs::create_dir_all(&below).unwrap();
    std::fs::write(below.join("main.tf"), "").unwrap();
    assert_eq!(session.start_in(&below, &[]).await.unwrap(), 0);
    assert!(names_in(&tfe.uploads()[0]).contains(&"infra/prod/main.tf".to_owned()));

    let tfe = Tfe::start(Script { workspace, ..without_changes() }).await;
    let (status, shown) = Session::new(&tfe.address).push(&[]).await;
    assert_eq!(status, 1);
    assert!(
        shown.contains("The folder does not fit the workspace") && shown.contains("infra/prod"),
        "{shown}"
    );
}

fn names_in(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
    let entries = archive.entries().unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.header().entry_type().is_file());
    let mut names: Vec<_> = files
        .map(|entry| entry.path().unwrap().to_str().unwrap().trim_start_matches("./").to_owned())
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_missing_workspace_is_told_from_a_missing_organization_and_can_be_created() {
    let tfe = Tfe::start(without_changes()).await;
    let (status, shown) = Session::new(&tfe.address).push(&["--workspace", "new"]).await;
    assert_eq!(status, 1);
    assert!(
        shown.contains("Error: Workspace not found") && shown.contains("Use --create to create it."),
        "{shown}"
    );
    let (_, shown) = Session::new(&tfe.address).push(&["--organization", "acne"]).await;
    assert!(shown.contains("Error: Organization not found") && shown.contains("\"acne\""), "{shown}");
    let (status, shown) = Session::new(&tfe.address).push(&["--workspace", "new", "--create"]).await;
    assert_eq!(status, 0);
    assert!(shown.contains("Created the workspace new (ws-1)."), "{shown}");
}

#[tokio::test]
async fn a_workspace_that_cannot_be_run_in_is_told_before_anything_is_uploaded() {
    for (workspace, expected) in [
        (json!({"permissions": {"can-queue-run": false}}), "The token may not start runs here"),
        (json!({"execution-mode": "local"}), "The workspace runs elsewhere"),
    ] {
        let tfe = Tfe::start(Script { workspace, ..Script::default() }).await;
        let (status, shown) = Session::new(&tfe.address).push(&[]).await;
        assert_eq!(status, 1);
        assert!(shown.contains(expected), "{shown}");
        assert_eq!(tfe.calls("POST /workspaces/ws-1/configuration-versions").len(), 0);
    }
}

#[tokio::test]
async fn a_refused_token_is_named_by_its_source_and_never_shown() {
    let tfe = Tfe::start(Script::default()).await;
    let (status, shown) = Session::new(&tfe.address).set("TFE_TOKEN", "wrong-secret").push(&[]).await;
    assert_eq!(status, 1);
    assert!(shown.contains("Error: The token was refused"), "{shown}");
    assert!(shown.replace("\n│ ", " ").contains("environment variable TFE_TOKEN"), "{shown}");
    assert!(!shown.contains("wrong-secret"), "{shown}");
}

#[tokio::test]
async fn tokens_are_looked_for_in_order() {
    let tfe = Tfe::start(without_changes()).await;
    let host = tfe.address.strip_prefix("http://").unwrap().to_owned();
    let session = || Session::new(&tfe.address).unset("TFE_TOKEN");
    let with_home = |session: Session| {
        let home = session.directory.path().join("home");
        std::fs::create_dir_all(home.join(".terraform.d")).unwrap();
        let stored = json!({"credentials": {host.as_str(): {"token": TOKEN}}}).to_string();
        std::fs::write(home.join(".terraform.d/credentials.tfrc.json"), stored).unwrap();
        session.set("HOME", home.to_str().unwrap())
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{TOKEN}\n")).unwrap();
    let literal = format!("TF_TOKEN_{host}");

    // Each is the right one, and whatever comes later in the order is wrong.
    let named = ["--token-file", file.path().to_str().unwrap()];
    let from_file = session().set("FERROFORM_TOKEN", "wrong").push(&named);
    assert_eq!(from_file.await.0, 0);
    let ours = session().set("FERROFORM_TOKEN", TOKEN).set("TFE_TOKEN", "wrong").push(&[]);
    assert_eq!(ours.await.0, 0);
    let theirs = session().set("TFE_TOKEN", TOKEN).set(&literal, "wrong").push(&[]);
    assert_eq!(theirs.await.0, 0);
    let of_host = with_home(session()).set(&literal, TOKEN).push(&[]);
    assert_eq!(of_host.await.0, 0);
    assert_eq!(with_home(session()).push(&[]).await.0, 0);
    let (status, shown) = with_home(session()).set(&literal, "wrong").push(&[]).await;
    assert_eq!(status, 1, "the variable comes before the file: {shown}");

    let (status, shown) = session().push(&[]).await;
    assert_eq!(status, 1);
    assert!(shown.contains(&format!("no token for {host}")), "{shown}");
}

#[tokio::test]
async fn a_wrong_address_is_explained() {
    let (status, shown) = Session::new("http://127.0.0.1:1").push(&[]).await;
    assert_eq!(status, 1);
    assert!(
        shown.contains("Error: The server cannot be reached") && shown.contains("127.0.0.1:1"),
        "{shown}"
    );
    let (_, shown) = Session::new("x").unset("FERROFORM_ADDRESS").push(&[]).await;
    assert!(shown.contains("no server is named; use --address"), "{shown}");
}
