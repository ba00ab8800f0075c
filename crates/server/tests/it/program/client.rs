//! `ferroform run`, `workspace`, `state`, `login`, `completions` and `man` against our own server: real sockets, a real
//! engine, and a person at a terminal.

use super::{Following, ferroform, house::House, place, terminal::Terminal, words};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
};

const PLAIN: [&str; 2] = ["--tls", "off"];

fn of(input: &str) -> String {
    format!(
        "resource \"terraform_data\" \"greeting\" {{ input = \"{input}\" }}\n\
         output \"greeting\" {{ value = \"{input}\" }}\n\
         output \"hidden\" {{\n value = \"hunter-{input}\"\n sensitive = true\n}}\n"
    )
}

impl House {
    /// A command about `acme/demo`.
    fn does(&self, arguments: &[&str]) -> Command {
        let mut command = ferroform(arguments);
        // A home and a folder of its own, where nothing says anything.
        let home = self.folder();
        command.env("HOME", &home).current_dir(&home);
        command.env("FERROFORM_ORGANIZATION", "acme").env("FERROFORM_WORKSPACE", "demo");
        command.env("FERROFORM_ADDRESS", &self.server.url).env("FERROFORM_TOKEN", &self.token);
        if self.authority().exists() {
            command.env("FERROFORM_CA_FILE", self.authority());
        }
        command
    }

    fn applies(&self, input: &str) {
        let output = self.push(&of(input), &["--auto-approve"]).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
    }

    /// A planned run that waits for its confirmation.
    async fn waiting(&self, input: &str) -> String {
        let output = self.push(&of(input), &[]).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
        self.newest_run().await["id"].as_str().unwrap().to_owned()
    }
}

/// Output of a command that succeeds, for a person: without colours, since nobody looks.
#[track_caller]
fn said(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = words(&output);
    assert!(output.status.success(), "{text}");
    assert!(!text.contains('\x1b'), "{text:?}");
    text
}

/// The one document of a command with --json that succeeds.
#[track_caller]
fn told(mut command: Command) -> Value {
    let output = command.arg("--json").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", words(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", words(&output)))
}

/// That a command fails with 1, saying this on standard error; and with --json as an object on standard output.
#[track_caller]
fn refused(command: impl Fn() -> Command, parts: &[&str]) {
    let all = |text: &str| parts.iter().all(|part| text.replace("\n│ ", " ").contains(part));
    let output = command().output().unwrap();
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(text.contains("Error: ") && all(&text), "{parts:?} in {text}");
    let output = command().arg("--json").output().unwrap();
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &object["type"]), (Some(1), &json!("error")));
    assert!(
        output.stderr.is_empty() && all(&format!("{} {}", object["summary"], object["detail"])),
        "{object}"
    );
}

fn with_input(mut command: Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[tokio::test]
async fn runs_are_listed_shown_and_decided() {
    let house = House::open(&PLAIN).await;
    assert!(said(house.does(&["run", "list"])).contains("No runs in acme/demo."));
    let run = house.waiting("one").await;
    let list = said(house.does(&["run", "list"]));
    let row = list.lines().nth(1).unwrap();
    assert!(list.starts_with("RUN ") && row.starts_with(&run), "{list}");
    assert!(row.contains("planned") && row.contains("admin") && row.contains("just now"), "{list}");
    let everywhere = told(house.does(&["run", "list", "--workspace", ""]));
    assert_eq!(everywhere.as_array().unwrap().len(), 1);
    let mut organization = house.does(&["run", "list"]);
    organization.env_remove("FERROFORM_WORKSPACE");
    assert_eq!(told(organization)[0]["workspace"], "demo");

    let shown = said(house.does(&["run", "show", &run]));
    for part in ["acme/demo", "1 to add, 0 to change, 0 to destroy", &format!("ferroform run apply {run}")] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let document = told(house.does(&["run", "show", &format!("{}/x/runs/{run}", house.server.url)]));
    assert_eq!((&document["status"], &document["planned"]["add"]), (&json!("planned"), &json!(1)));
    assert!(document["events"].as_array().unwrap().iter().any(|event| event["by"] == "admin"), "{document}");

    refused(|| house.does(&["run", "cancel", &run]), &["cannot be canceled now", "ferroform run discard"]);
    refused(
        || house.does(&["run", "cancel", "--force", &run]),
        &["cannot be killed now", "first `ferroform"],
    );
    let discarded = told(house.does(&["run", "discard", &run, "--comment", "not today"]));
    assert_eq!(discarded, json!({"id": run, "status": "discarded"}));
    let comments = house.get(&format!("/runs/{run}/comments")).await;
    assert_eq!(comments["data"][0]["attributes"]["body"], "not today");
    refused(|| house.does(&["run", "apply", &run]), &["cannot be confirmed now", "is discarded"]);
    refused(|| house.does(&["run", "show", "run-nothing"]), &["Run not found", "run list"]);

    let run = house.waiting("two").await;
    assert!(said(house.does(&["run", "apply", &run])).contains("Confirmed"), "{run}");
    let watched = said(house.does(&["run", "watch", &run]));
    assert!(watched.contains("Applied: 1 added, 0 changed, 0 destroyed."), "{watched}");
    let shown = said(house.does(&["run", "show", &run]));
    assert!(shown.contains("Applied    1 added"), "{shown}");
    let only = told(house.does(&["run", "list", "--status", "discarded"]));
    assert_eq!(only.as_array().unwrap().len(), 1, "{only}");
}

#[tokio::test]
async fn a_watched_run_asks_a_person_and_is_left_alone_by_ctrl_c() {
    let house = House::open(&PLAIN).await;
    let run = house.waiting("one").await;
    let mut terminal = Terminal::of(&house.does(&["run", "watch", &run]));
    terminal.sees("Apply these changes in acme/demo?");
    terminal.types(super::terminal::CTRL_C);
    terminal.sees("Left. The run goes on (planned).");
    assert_eq!(terminal.ends().0, 130);
    assert_eq!(
        house.newest_run().await["attributes"]["status"],
        "planned",
        "it was neither canceled nor discarded"
    );
    let mut terminal = Terminal::of(&house.does(&["run", "watch", &run]));
    terminal.sees("Enter a value:");
    terminal.types("yes\n");
    terminal.sees("Applied: 1 added");
    assert_eq!(terminal.ends().0, 0);
}

#[tokio::test]
async fn a_running_apply_is_followed_live_and_canceled() {
    let house = House::open(&PLAIN).await;
    let gate = house.fifo();
    let main = format!(
        "resource \"terraform_data\" \"slow\" {{\n provisioner \"local-exec\" {{ command = \"echo this far; cat {}\" }}\n}}",
        gate.display()
    );
    let mut push = house.push(&main, &["--auto-approve"]);
    let mut push = Following::new(push.stdout(Stdio::piped()).spawn().unwrap());
    push.until("this far");
    let run = house.newest_run().await["id"].as_str().unwrap().to_owned();
    let mut watch = house.does(&["run", "watch", &run, "--json"]);
    let mut watch = Following::new(watch.stdout(Stdio::piped()).spawn().unwrap());
    watch.until("this far");
    let asked = told(house.does(&["run", "cancel", &run]));
    assert_eq!(asked["id"], json!(run));
    refused(|| house.does(&["run", "cancel", "--force", &run]), &["cannot be killed now"]);
    watch.until("\"outcome\":");
    drop(push);
}

#[tokio::test]
async fn workspaces_are_listed_shown_and_locked() {
    let house = House::open(&PLAIN).await;
    let list = said(house.does(&["workspace", "list"]));
    assert!(list.starts_with("WORKSPACE") && list.contains("\ndemo "), "{list}");
    let mut empty = house.does(&["workspace", "list", "--search", "nothing"]);
    assert_eq!(told(std::mem::replace(&mut empty, Command::new("true"))), json!([]));
    assert!(
        said(house.does(&["workspace", "lock", "--reason", "a rehearsal"])).contains("acme/demo is locked.")
    );
    let shown = said(house.does(&["workspace", "show", "demo"]));
    assert!(shown.contains("yes by the user admin: a rehearsal"), "{shown}");
    let document = told(house.does(&["workspace", "show"]));
    assert_eq!(
        (&document["locked_by"]["kind"], &document["locked_by"]["name"]),
        (&json!("user"), &json!("admin"))
    );
    refused(|| house.does(&["workspace", "lock"]), &["locked already", "user admin", "a rehearsal"]);
    assert_eq!(told(house.does(&["workspace", "unlock"]))["locked"], false);
    refused(|| house.does(&["workspace", "unlock"]), &["not locked"]);
    refused(|| house.does(&["workspace", "unlock", "--force"]), &["not locked"]);
    let run = house.waiting("one").await;
    refused(|| house.does(&["workspace", "unlock", "--force"]), &["cannot be taken", &run, "run discard"]);
    refused(|| house.does(&["workspace", "show", "nothing"]), &["Workspace not found", "workspace list"]);
    refused(|| house.does(&["workspace", "list", "-o", "nothing"]), &["Organization not found"]);
}

#[tokio::test]
async fn variables_are_set_without_showing_secrets() {
    let house = House::open(&PLAIN).await;
    assert!(said(house.does(&["workspace", "vars"])).contains("has no variables"));
    let made = said(house.does(&["workspace", "vars", "set", "region=eu", "zone=b"]));
    assert!(made.contains("Made region (terraform).") && made.contains("Made zone"), "{made}");
    assert_eq!(told(house.does(&["workspace", "vars", "set", "list=[1]", "--hcl"]))[0]["hcl"], true);
    assert_eq!(
        told(house.does(&["workspace", "vars", "set", "list=[2]"]))[0]["hcl"],
        true,
        "it stays what it was"
    );
    let piped =
        with_input(house.does(&["workspace", "vars", "set", "KEY=-", "--env", "--sensitive"]), "hunter2\n");
    assert!(piped.status.success() && words(&piped) == "Made KEY (env, sensitive).\n", "{}", words(&piped));
    let changed = said(house.does(&["workspace", "vars", "set", "region=us=1"]));
    assert!(changed.contains("Changed region"), "{changed}");
    let list = told(house.does(&["workspace", "vars"]));
    let values: Vec<_> =
        list.as_array().unwrap().iter().map(|v| (v["key"].clone(), v["value"].clone())).collect();
    assert_eq!(
        values,
        [("list", json!("[2]")), ("region", json!("us=1")), ("zone", json!("b")), ("KEY", Value::Null)]
            .map(|(k, v)| (json!(k), v))
    );
    assert!(said(house.does(&["workspace", "vars", "list"])).contains("(sensitive value)"));
    // The run sees what was piped, without its line break.
    let main = r#"
resource "terraform_data" "x" {
  provisioner "local-exec" { command = "printf %s \"$KEY\" | wc -c" }
}
"#;
    let seen = words(&house.push(main, &["--auto-approve"]).output().unwrap());
    assert!(seen.contains("(local-exec): 7"), "{seen}");

    let mut terminal = Terminal::of(&house.does(&["workspace", "vars", "set", "password=-", "--sensitive"]));
    terminal.sees("Value of password (not shown):");
    terminal.types("hunter3\n");
    terminal.sees("Made password");
    let (code, screen) = terminal.ends();
    assert!(code == 0 && !screen.contains("hunter3"), "{screen}");

    let warned = said(house.does(&["workspace", "vars", "set", "other=x", "--sensitive"]));
    assert!(warned.contains("stood on the command line"), "{warned}");
    refused(|| house.does(&["workspace", "vars", "set", "hunter4"]), &["Bad variable", "KEY=VALUE"]);
    let output = house.does(&["workspace", "vars", "set", "hunter4"]).output().unwrap();
    assert!(!words(&output).contains("hunter4"), "{}", words(&output));
    refused(|| house.does(&["workspace", "vars", "unset", "region", "KEY"]), &["not found", "use --env"]);
    assert_eq!(told(house.does(&["workspace", "vars", "unset", "region"])), json!({"unset": ["region"]}));
    assert_eq!(told(house.does(&["workspace", "vars", "unset", "KEY", "--env"])), json!({"unset": ["KEY"]}));
}

#[tokio::test]
async fn states_are_listed_shown_compared_and_rolled_back() {
    let house = House::open(&PLAIN).await;
    refused(|| house.does(&["state", "show"]), &["No state"]);
    assert!(said(house.does(&["state", "list"])).contains("no state yet"));
    house.applies("one");
    house.applies("two");
    let list = told(house.does(&["state", "list"]));
    let serials: Vec<u64> = list.as_array().unwrap().iter().map(|v| v["serial"].as_u64().unwrap()).collect();
    let (new, old) = (serials[0], *serials.last().unwrap());
    assert!(serials.len() >= 2 && new > old, "{list}");
    let id = |serial: u64| {
        list.as_array().unwrap().iter().find(|v| v["serial"] == serial).unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };

    let shown = said(house.does(&["state", "show"]));
    for part in ["terraform_data.greeting", "greeting = \"two\"", "hidden = (sensitive value)", &id(new)] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let document = told(house.does(&["state", "show", &old.to_string()]));
    assert_eq!(document["outputs"][1], json!({"name": "hidden", "value": null, "sensitive": true}));
    refused(|| house.does(&["state", "show", "4711"]), &["State version not found", "4711", "state list"]);

    let mut diff = house.does(&["state", "diff", &old.to_string(), &id(new), "--detailed-exitcode"]);
    let output = diff.output().unwrap();
    let text = words(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for part in ["~ terraform_data.greeting changed", "\"one\" -> \"two\"", "(sensitive value)"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let json = told(house.does(&["state", "diff", &old.to_string()]));
    assert_eq!(json["resource_changes"][0]["change"]["before"]["input"], "one", "{json}");
    assert_eq!(json["output_changes"]["hidden"]["before"], Value::Null);
    assert_eq!(json["output_changes"]["hidden"]["before_sensitive"], true);
    assert!(!text.contains("hunter") && !json.to_string().contains("hunter"), "{text}{json}");
    let same = said(house.does(&["state", "diff", &id(old), &id(old)]));
    assert!(same.contains("No resource and no output differs."), "{same}");

    refused(
        || house.does(&["state", "rollback", &old.to_string()]),
        &["has to be confirmed", "--auto-approve"],
    );
    refused(|| house.does(&["state", "rollback", &new.to_string()]), &["Nothing to roll back"]);
    let mut terminal = Terminal::of(&house.does(&["state", "rollback", &old.to_string()]));
    terminal.sees("1 changed, 0 removed; 2 outputs differ.");
    terminal.sees(&format!("Roll the state of acme/demo back to serial {old}?"));
    terminal.types("no\n");
    terminal.sees("Not rolled back");
    assert_eq!(terminal.ends().0, 1);
    let mut terminal = Terminal::of(&house.does(&["state", "rollback", &old.to_string()]));
    terminal.sees("Enter a value:");
    terminal.types("yes\n");
    terminal.sees("Rolled back.");
    assert_eq!(terminal.ends().0, 0);
    let current = told(house.does(&["state", "show"]));
    assert_eq!((&current["serial"], &current["outputs"][0]["value"]), (&json!(new + 1), &json!("one")));
    assert_eq!(told(house.does(&["workspace", "show"]))["locked"], false, "it was unlocked again");

    // A lock of one's own serves and stays.
    said(house.does(&["workspace", "lock"]));
    told(house.does(&["state", "rollback", &new.to_string(), "--auto-approve"]));
    assert_eq!(told(house.does(&["workspace", "show"]))["locked"], true);
}

#[tokio::test]
async fn a_person_signs_in_with_a_pasted_token_that_terraform_then_reads() {
    let house = House::open(&[]).await;
    let home = house.folder();
    let host = house.server.url.trim_start_matches("https://").to_owned();
    let here = |arguments: &[&str]| {
        let mut command = ferroform(arguments);
        command.env("HOME", &home).current_dir(&home).env("FERROFORM_CA_FILE", house.authority());
        command
    };
    let file = home.join(".terraform.d/credentials.tfrc.json");
    let mut terminal = Terminal::of(&here(&["login", &host, "--paste"]));
    terminal.sees("/app/settings/tokens");
    terminal.sees("(not shown):");
    terminal.types("wrong\n");
    terminal.sees("The token was refused");
    assert_eq!(terminal.ends().0, 1);
    assert!(!file.exists(), "nothing is stored that does not work");
    let mut terminal = Terminal::of(&here(&["login", &host, "--paste"]));
    terminal.sees("(not shown):");
    terminal.types(&format!("{}\n", house.token));
    terminal.sees(&format!("Signed in to {host} as admin."));
    let (code, screen) = terminal.ends();
    assert!(code == 0 && !screen.contains(&house.token), "{screen}");
    let stored: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(stored["credentials"][&host]["token"], json!(house.token));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    // The only server there are credentials for is meant, and a cloud block says the rest.
    let cloud = format!(
        "terraform {{\n  cloud {{\n    hostname     = \"{host}\"\n    organization = \"acme\"\n    workspaces {{ name = \"demo\" }}\n  }}\n}}\n"
    );
    assert!(said(here(&["workspace", "list", "-o", "acme"])).contains("demo"));
    fs::write(home.join("cloud.tf"), cloud).unwrap();
    assert!(said(here(&["workspace", "show"])).contains("acme/demo"));

    assert_eq!(told(here(&["logout", &host]))["forgotten"], true);
    assert!(said(here(&["logout", &host])).contains("There was no token"));
    // A token of no server in particular is not sent to one that only a file names.
    let hostless = || {
        let mut command = here(&["workspace", "show"]);
        command.env("FERROFORM_TOKEN", &house.token);
        command
    };
    refused(hostless, &["only a file names", "FERROFORM_TOKEN is not sent"]);
    refused(|| here(&["login", &host]), &["There is nobody to ask", "--token-stdin"]);
    let piped = with_input(here(&["login", &host, "--token-stdin", "--json"]), &format!("{}\n", house.token));
    let document: Value = serde_json::from_slice(&piped.stdout).unwrap();
    assert_eq!((&document["host"], &document["username"]), (&json!(host), &json!("admin")));
}

#[test]
fn completions_and_man_pages_know_every_command() {
    let (dir, _) = place();
    for (shell, part) in
        [("bash", "complete -F"), ("zsh", "#compdef ferroform"), ("fish", "complete -c ferroform")]
    {
        let script = said(ferroform(&["completions", shell]));
        assert!(script.contains(part) && script.contains("rollback"), "{shell}");
    }
    let page = said(ferroform(&["man"]));
    assert!(page.contains(".TH ferroform 1"), "{page}");
    let pages = dir.path().join("man");
    said(ferroform(&["man", pages.to_str().unwrap()]));
    for name in ["ferroform", "ferroform-push", "ferroform-run-watch", "ferroform-workspace-vars-set"] {
        assert!(pages.join(format!("{name}.1")).exists(), "{name}");
    }
    let serve = fs::read_to_string(pages.join("ferroform-serve.1")).unwrap();
    let usual = said(ferroform(&["serve", "--help"]));
    let usual = usual.split_once("--data-dir").unwrap().1.split_once("[default: ").unwrap().1;
    let usual = usual.split_once(']').unwrap().0;
    let machine = serve.replace('\\', "").contains(&format!("[default: {usual}]"));
    assert!(!machine, "the page tells of the machine that it was made on");
    let bash = dir.path().join("completions.bash");
    fs::write(&bash, said(ferroform(&["completions", "bash"]))).unwrap();
    if Path::new("/bin/bash").exists() {
        let checked = Command::new("/bin/bash").arg("-n").arg(&bash).output().unwrap();
        assert!(checked.status.success(), "{}", words(&checked));
    }
}

#[tokio::test]
async fn what_goes_wrong_says_what_to_do() {
    let house = House::open(&PLAIN).await;
    let with = |change: fn(&mut Command)| {
        let mut command = house.does(&["state", "list"]);
        change(&mut command);
        command
    };
    refused(
        || {
            with(|c| {
                c.env_remove("FERROFORM_ORGANIZATION");
            })
        },
        &["No organization is named", "--organization", "cloud block"],
    );
    refused(
        || {
            with(|c| {
                c.env_remove("FERROFORM_WORKSPACE");
            })
        },
        &["No workspace is named", "--workspace"],
    );
    refused(
        || {
            with(|c| {
                c.env_remove("FERROFORM_ADDRESS");
            })
        },
        &["no server is named", "--address"],
    );
    refused(
        || {
            with(|c| {
                c.env_remove("FERROFORM_TOKEN");
            })
        },
        &["no token for", "ferroform login"],
    );
    refused(
        || {
            with(|c| {
                c.env("FERROFORM_TOKEN", "at-wrong.atlasv1.planted");
            })
        },
        &["The token was refused", "FERROFORM_TOKEN"],
    );
    let output = house.does(&["run", "show", "ws-123"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(words(&output).contains("begins with run-"), "{}", words(&output));
}

#[tokio::test]
async fn an_operation_prints_what_the_engine_prints_and_nothing_else() {
    let house = House::open(&PLAIN).await;
    let exec = |line: &[&str]| {
        let mut command = house.does(&["exec", "--"]);
        command.args(line);
        command
    };
    let unused = exec(&["state", "list"]).output().unwrap();
    assert_eq!(unused.status.code(), Some(1));
    assert!(words(&unused).contains("Say where it is with --configuration"), "{}", words(&unused));

    house.applies("one");
    let list = exec(&["state", "list"]).output().unwrap();
    assert!(list.status.success(), "{}", words(&list));
    assert_eq!(String::from_utf8(list.stdout).unwrap(), "terraform_data.greeting\n");
    let about = String::from_utf8(list.stderr).unwrap();
    let run = house.get("/workspaces/WS/runs?filter[operation]=exec").await["data"][0]["id"].clone();
    assert_eq!(about.trim().split(':').next(), Some(format!("Run {}", run.as_str().unwrap()).as_str()));

    let piped = with_input(exec(&["console"]), "length(terraform_data.greeting.input)\n");
    assert_eq!(String::from_utf8(piped.stdout).unwrap(), "3\n");

    let failed = exec(&["state", "show", "terraform_data.absent"]).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(words(&failed).contains("No instance found") && words(&failed).contains("The run failed"));
    let refused = exec(&["apply"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        words(&refused).contains("The server does not run this") && words(&refused).contains("make a run")
    );

    let told = house.does(&["exec", "--json", "--", "state", "list"]).output().unwrap();
    let last: Value =
        serde_json::from_str(String::from_utf8(told.stdout).unwrap().lines().last().unwrap()).unwrap();
    assert_eq!((&last["type"], &last["outcome"]), (&json!("finished"), &json!("done")));
}

#[tokio::test]
async fn a_file_that_an_operation_makes_is_written_here_and_over_nothing() {
    let house = House::open(&PLAIN).await;
    let folder = house.folder();
    fs::write(folder.join("main.tf"), "import {\n to = terraform_data.found\n id = \"abc\"\n}\n").unwrap();
    let generate = |more: &[&str]| {
        let mut command = house.does(&["exec", "--configuration", "."]);
        command.args(more).args(["--", "plan", "-generate-config-out=made.tf"]);
        command
    };
    let text = said(generate(&[]));
    assert!(text.contains("1 to import") && text.contains("Wrote made.tf."), "{text}");
    let made = fs::read_to_string(folder.join("made.tf")).unwrap();
    assert!(made.contains("resource \"terraform_data\" \"found\""), "{made}");
    let again = generate(&[]).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(words(&again).contains("The file exists") && words(&again).contains("--overwrite"));
    let runs = house.get("/workspaces/WS/runs?filter[operation]=exec").await;
    assert_eq!(runs["data"].as_array().unwrap().len(), 1, "it is said before anything is run");
}

#[tokio::test]
async fn an_operation_outlives_the_server_that_is_killed_under_it() {
    let mut house = House::open(&PLAIN).await;
    house.applies("one");
    let gate = house.fifo();
    let mut console = house.does(&["exec", "--", "console"]);
    console.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut console = console.spawn().unwrap();
    let expression = format!("upper(file(\"{}\"))\n", gate.display());
    console.stdin.take().unwrap().write_all(expression.as_bytes()).unwrap();
    // Opens when the engine reads.
    let opened = tokio::task::spawn_blocking(move || fs::OpenOptions::new().write(true).open(gate).unwrap());
    let mut opened = opened.await.unwrap();
    house.server.child.kill().unwrap();
    house.server.child.wait().unwrap();
    house.start_again(&PLAIN);
    opened.write_all(b"and goes on").unwrap();
    drop(opened);
    let output = console.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "\"AND GOES ON\"\n");
    let workspace = house.get("/workspaces/WS").await;
    assert_eq!(workspace["data"]["attributes"]["locked"], false);
}
