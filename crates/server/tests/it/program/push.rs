//! `ferroform push` against our own server: real sockets, a real engine, and a person at a terminal.

use super::{
    ferroform,
    house::House,
    place,
    terminal::{CTRL_C, Terminal},
    words,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};
use testkit::Gate;

const CHANGE: &str = r#"
resource "terraform_data" "greeting" { input = "hello" }
output "greeting" { value = terraform_data.greeting.output }
"#;

/// An apply that says that it runs, and then lasts until somebody opens the gate or ends it.
fn slow(gate: &Path) -> String {
    format!(
        r#"
resource "terraform_data" "slow" {{
  provisioner "local-exec" {{ command = "echo the apply has come this far; cat {}; echo and goes on" }}
}}
"#,
        gate.display()
    )
}

const PLAIN: [&str; 2] = ["--tls", "off"];

fn exit(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[tokio::test]
async fn a_person_who_says_yes_over_tls_has_the_changes_applied() {
    let house = House::open(&[]).await;
    assert!(house.server.url.starts_with("https://localhost:"));
    let mut terminal = Terminal::of(&house.push(CHANGE, &[]));
    terminal.sees("Packed ");
    terminal.sees("Uploaded ");
    terminal.sees(&format!("{}/app/acme/workspaces/demo/runs/run-", house.server.url));
    terminal.sees("# terraform_data.greeting will be created");
    terminal.sees("Plan: 1 to add, 0 to change, 0 to destroy.");
    terminal.sees("Apply these changes in acme/demo?");
    terminal.sees("Enter a value:");
    terminal.types("perhaps\n");
    terminal.sees("Enter a value:");
    terminal.types("yes\n");
    terminal.sees("terraform_data.greeting: Creation complete");
    terminal.sees("Applied: 1 added, 0 changed, 0 destroyed.");
    terminal.sees("/runs/run-");
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    let state = house.get("/workspaces/WS/current-state-version?include=outputs").await;
    assert_eq!(state["included"][0]["attributes"]["value"], "hello", "{state}");

    let again = house.push(CHANGE, &["--detailed-exitcode"]).output().unwrap();
    let said = words(&again);
    assert!(said.contains("Nothing to change."), "{said}");
    assert_eq!(exit(&again), 0);
}

#[tokio::test]
async fn a_person_who_says_no_discards_the_run() {
    let house = House::open(&PLAIN).await;
    let mut terminal = Terminal::of(&house.push(CHANGE, &[]));
    terminal.sees("'yes' applies them, 'no' discards the run.");
    terminal.types("no\n");
    terminal.sees("Discarded; nothing was applied.");
    assert_eq!(terminal.ends().0, 1);
    assert_eq!(house.newest_run().await["attributes"]["status"], "discarded");
}

#[tokio::test]
async fn the_exit_codes_are_those_of_the_help() {
    let house = House::open(&PLAIN).await;
    for (options, expected, said, status) in [
        (&["--plan-only"][..], 0, "This run cannot be applied.", "planned_and_finished"),
        (&["--plan-only", "--detailed-exitcode"], 2, "This run cannot be applied.", "planned_and_finished"),
        // No terminal: nobody is asked.
        (&["--detailed-exitcode"], 2, "Confirm or discard it at http", "planned"),
        (&["--detailed-exitcode", "--auto-approve"], 0, "Applied: 1 added", "applied"),
        (&["--detailed-exitcode", "--plan-only"], 0, "Nothing to change.", "planned_and_finished"),
    ] {
        let output = house.push(CHANGE, options).output().unwrap();
        let shown = words(&output);
        assert!(shown.contains(said), "{options:?}: {shown}");
        assert_eq!(exit(&output), expected, "{options:?}: {shown}");
        let run = house.newest_run().await;
        assert_eq!(run["attributes"]["status"], status, "{options:?}");
        if status == "planned" {
            let discard = format!("/runs/{}/actions/discard", run["id"].as_str().unwrap());
            house.post(&discard, json!({})).await;
        }
        assert!(!shown.contains('\x1b'), "no colours for a pipe: {shown:?}");
    }
    let waiting = house.push("resource \"terraform_data\" \"more\" {}", &[]).output().unwrap();
    assert_eq!(exit(&waiting), 0, "changes that wait are a success without --detailed-exitcode");
}

#[tokio::test]
async fn every_line_of_json_parses_and_the_last_names_the_final_status() {
    let house = House::open(&[]).await;
    let run = |main: &str, more: &[&str]| {
        let output = house.push(main, &[&["--json"], more].concat()).output().unwrap();
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        (exit(&output), lines)
    };
    let (code, lines) = run(CHANGE, &["--auto-approve"]);
    let kinds: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    for (index, kind) in ["packed", "uploaded", "run_created"].into_iter().enumerate() {
        assert_eq!(kinds[index], kind);
    }
    let of =
        |phase: &str| lines.iter().filter(|line| line["type"] == "log" && line["phase"] == phase).count();
    assert!(of("plan") > 2 && of("apply") > 2, "{lines:?}");
    let last = lines.last().unwrap();
    assert_eq!(
        (code, &last["type"], &last["outcome"], &last["status"]),
        (0, &json!("finished"), &json!("applied"), &json!("applied"))
    );
    assert_eq!(last["changes"]["add"], 1);

    let (code, lines) = run("resource \"nonsense\" {}", &[]);
    let last = lines.last().unwrap();
    assert_eq!(
        (code, &last["outcome"], &last["status"]),
        (1, &json!("errored"), &json!("errored")),
        "{lines:?}"
    );

    let (code, lines) = run(CHANGE, &["--workspace", "none"]);
    assert_eq!((code, lines.len(), &lines[0]["type"]), (1, 1, &json!("error")));
    assert!(lines[0]["detail"].as_str().unwrap().contains("--create"), "{lines:?}");
}

#[tokio::test]
async fn a_failing_configuration_is_shown_with_its_diagnostic() {
    let house = House::open(&PLAIN).await;
    let broken = "resource \"terraform_data\" \"a\" {\n  input = local.missing\n}\n";
    let output = house.push(broken, &["--detailed-exitcode"]).output().unwrap();
    let said = words(&output);
    assert_eq!(exit(&output), 1, "{said}");
    for part in [
        "Error: Reference to undeclared local value",
        "on main.tf line 2",
        "input = local.missing",
        "The run failed",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test]
async fn what_cannot_begin_is_said_with_what_was_wrong_where_and_what_to_do() {
    let house = House::open(&[]).await;
    let host = house.server.url.strip_prefix("https://").unwrap().to_owned();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("https://{free}");
    let refused = |change: &dyn Fn(&mut Command), parts: &[&str]| {
        let mut command = house.push(CHANGE, &[]);
        change(&mut command);
        let output = command.output().unwrap();
        let said = words(&output).split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", "");
        assert_eq!(exit(&output), 1, "{said}");
        for part in parts {
            assert!(said.contains(part), "{part:?} in {said}");
        }
        assert!(!said.contains(&house.token), "{said}");
    };
    refused(
        &|c| {
            c.env("FERROFORM_TOKEN", "no-such-token");
        },
        &[
            "The token was refused",
            &host,
            "the environment variable FERROFORM_TOKEN",
            "ferroform token create",
        ],
    );
    refused(
        &|c| {
            c.args(["--organization", "acne"]);
        },
        &["Organization not found", &host, "\"acne\""],
    );
    refused(
        &|c| {
            c.args(["--workspace", "dome"]);
        },
        &["Workspace not found", "\"acme\"", "\"dome\"", "--create"],
    );
    refused(
        &|c| {
            c.args(["--address", "https://no-such-host.invalid"]);
        },
        &["The server cannot be reached", "no-such-host.invalid", "--address"],
    );
    refused(
        &|c| {
            c.args(["--address", &nobody]);
        },
        &["The server cannot be reached", &free.to_string(), "refused", "--address"],
    );
    refused(
        &|c| {
            c.env_remove("FERROFORM_CA_FILE");
        },
        &["The server cannot be trusted", &host, "--ca-file"],
    );
    refused(
        &|c| {
            c.args(["--ca-file", "/no/such/ca.pem"]);
        },
        &["A file cannot be read", "/no/such/ca.pem", "No such file"],
    );
    let plain = house.server.url.replacen("https", "http", 1);
    refused(
        &|c| {
            c.args(["--address", &plain]);
        },
        &[&host, "https://"],
    );
}

#[tokio::test]
async fn a_locked_workspace_is_waited_for_by_name_of_its_holder() {
    let house = House::open(&PLAIN).await;
    house.post("/workspaces/WS/actions/lock", json!({ "reason": "moving house" })).await;
    let mut terminal = Terminal::of(&house.push(CHANGE, &["--auto-approve"]));
    terminal.sees("Waiting: ");
    terminal.sees("lock");
    terminal.sees("admin");
    house.post("/workspaces/WS/actions/unlock", json!({})).await;
    terminal.sees("Applied: 1 added");
    assert_eq!(terminal.ends().0, 0);
}

#[tokio::test]
async fn ctrl_c_during_a_plan_offers_to_cancel_the_run() {
    let house = House::open(&PLAIN).await;
    let gate = Gate::new().await;
    let mut terminal = Terminal::of(&house.push(&gate.configuration(), &[]));
    let visitor = gate.visitor().await;
    terminal.types(CTRL_C);
    terminal.sees("Cancel the run?");
    terminal.types("no\n");
    terminal.sees("The run goes on.");
    terminal.types(CTRL_C);
    terminal.sees("Cancel the run?");
    terminal.types("yes\n");
    terminal.sees("Canceling.");
    terminal.sees("Interrupt received");
    drop(visitor);
    terminal.sees("Canceled.");
    let (code, screen) = terminal.ends();
    assert_eq!(code, 1, "{screen}");
    assert_eq!(house.newest_run().await["attributes"]["status"], "canceled");
}

#[tokio::test]
async fn ctrl_c_twice_leaves_a_run_that_goes_on() {
    let house = House::open(&PLAIN).await;
    let gate = Gate::new().await;
    let mut terminal = Terminal::of(&house.push(&gate.configuration(), &[]));
    let visitor = gate.visitor().await;
    terminal.types(CTRL_C);
    terminal.sees("Cancel the run?");
    terminal.types(CTRL_C);
    terminal.sees("Left. The run goes on (planning).");
    assert_eq!(terminal.ends().0, 130);
    assert_eq!(house.newest_run().await["attributes"]["status"], "planning");
    visitor.admit().await;
}

#[tokio::test]
async fn ctrl_c_during_an_apply_offers_to_cancel_the_run() {
    let house = House::open(&PLAIN).await;
    let gate = house.fifo();
    let mut terminal = Terminal::of(&house.push(&slow(&gate), &[]));
    terminal.sees("Enter a value:");
    terminal.types("yes\n");
    terminal.sees("the apply has come this far");
    terminal.types(CTRL_C);
    terminal.sees("Cancel the run?");
    terminal.types("yes\n");
    terminal.sees("Canceled.");
    assert_eq!(terminal.ends().0, 1);
    assert_eq!(house.newest_run().await["attributes"]["status"], "canceled");
}

#[tokio::test]
async fn a_server_that_is_killed_and_started_again_does_not_end_the_push() {
    let mut house = House::open(&PLAIN).await;
    let gate = house.fifo();
    let mut terminal = Terminal::of(&house.push(&slow(&gate), &["--auto-approve"]));
    terminal.sees("the apply has come this far");
    house.server.child.kill().unwrap();
    house.server.child.wait().unwrap();
    house.start_again(&PLAIN);
    // The engine has outlived the server; now it may go on.
    fs::write(&gate, "").unwrap();
    terminal.sees("and goes on");
    terminal.sees("Applied: 1 added");
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    assert_eq!(
        screen.matches("the apply has come this far").count(),
        1 + 1,
        "no line twice (once as the command): {screen}"
    );
}

#[tokio::test]
async fn tokens_of_a_run_are_hidden_in_its_log_also_by_the_next_server() {
    let mut house = House::open(&PLAIN).await;
    let gate = house.fifo();
    let asks = |key: &str| json!({"data": {"attributes": {"key": key, "value": "cloud", "category": "env"}}});
    house.post("/workspaces/WS/vars", asks("TFC_WORKLOAD_IDENTITY_AUDIENCE")).await;
    let main = format!(
        r#"
resource "terraform_data" "slow" {{
  provisioner "local-exec" {{
    command = <<-SH
      echo the apply has come this far; cat {}
      echo "identity: $TFC_WORKLOAD_IDENTITY_TOKEN."
      sed -n 's/.*token = "\(.*\)"/own: \1/p' "$TF_CLI_CONFIG_FILE"
    SH
  }}
}}
"#,
        gate.display()
    );
    let mut terminal = Terminal::of(&house.push(&main, &["--auto-approve"]));
    terminal.sees("the apply has come this far");
    house.server.child.kill().unwrap();
    house.server.child.wait().unwrap();
    house.start_again(&PLAIN);
    fs::write(&gate, "").unwrap();
    terminal.sees("identity: (sensitive value)");
    terminal.sees("own: (sensitive value)");
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
}

#[tokio::test]
async fn what_terraformignore_names_stays_at_home() {
    let house = House::open(&PLAIN).await;
    let folder = house.folder();
    fs::write(folder.join(".terraformignore"), "secret/\n*.big\n!keep.big\n").unwrap();
    fs::create_dir_all(folder.join("secret")).unwrap();
    fs::create_dir_all(folder.join(".git")).unwrap();
    for name in ["secret/a.txt", "x.big", "keep.big", ".git/config"] {
        fs::write(folder.join(name), "planted").unwrap();
    }
    let found = r#"output "found" { value = fileset(path.root, "**") }"#;
    let output = house.push(found, &["--auto-approve"]).output().unwrap();
    assert_eq!(exit(&output), 0, "{}", words(&output));
    let state = house.get("/workspaces/WS/current-state-version?include=outputs").await;
    let names: Vec<&str> = state["included"][0]["attributes"]["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_str().unwrap())
        .collect();
    assert!(names.contains(&"keep.big") && names.contains(&"main.tf"), "{names:?}");
    assert!(
        !names.iter().any(|name| name.contains("secret") || *name == "x.big" || name.contains(".git/")),
        "{names:?}"
    );
}

#[test]
fn a_push_without_an_address_says_how_to_name_one() {
    let (dir, _) = place();
    let mut command = ferroform(&["push", "--organization", "o", "--workspace", "w"]);
    let output = command.arg(dir.path()).env("HOME", dir.path()).output().unwrap();
    assert_eq!(exit(&output), 1);
    assert!(
        words(&output).contains("--address") && words(&output).contains("FERROFORM_ADDRESS"),
        "{}",
        words(&output)
    );
}
