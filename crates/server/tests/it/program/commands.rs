//! Options and their sources, `doctor`, `token`, `version`.

use super::{Server, client, ferroform, place, words};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};

/// What `doctor` finds, by the name of the check.
fn examined(command: &mut Command) -> (Option<i32>, Vec<Value>) {
    let output = command.arg("--json").output().unwrap();
    let checks: Vec<Value> =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", words(&output)));
    (output.status.code(), checks)
}

fn doctor(data: &Path) -> Command {
    let mut command = ferroform(&["doctor", "--no-engine-download", "--data-dir"]);
    command.arg(data);
    command
}

#[track_caller]
fn check<'a>(checks: &'a [Value], name: &str) -> (&'a str, &'a str) {
    let found = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{checks:?}"));
    (found["verdict"].as_str().unwrap(), found["detail"].as_str().unwrap())
}

#[test]
fn a_flag_beats_the_environment_and_the_environment_beats_the_file() {
    let (_dir, data) = place();
    fs::create_dir(&data).unwrap();
    fs::write(data.join("ferroform.toml"), "listen = \"127.0.0.3:1\"\n").unwrap();
    let address = |command: &mut Command| check(&examined(command).1, "address").1.to_owned();
    assert!(address(&mut doctor(&data)).contains("127.0.0.3:1"));
    assert!(address(doctor(&data).env("FERROFORM_LISTEN", "127.0.0.2:1")).contains("127.0.0.2:1"));
    let both =
        address(doctor(&data).env("FERROFORM_LISTEN", "127.0.0.2:1").args(["--listen", "127.0.0.1:1"]));
    assert!(both.contains("127.0.0.1:1"), "{both}");
}

#[test]
fn a_switch_of_the_environment_beats_the_file_in_both_directions() {
    let (_dir, data) = place();
    fs::create_dir(&data).unwrap();
    let engine = |file: &str, value: &str| {
        fs::write(data.join("ferroform.toml"), file).unwrap();
        let mut command = ferroform(&["doctor", "--data-dir"]);
        command.arg(&data).env("FERROFORM_NO_ENGINE_DOWNLOAD", value);
        examined(&mut command).1.iter().any(|c| c["detail"].to_string().contains("only signed releases"))
    };
    assert!(engine("no-engine-download = true", "false"), "downloads are asked");
    assert!(!engine("no-engine-download = false", "true"), "downloads are off");
}

#[test]
fn a_wrong_variable_is_named_as_such() {
    let (_dir, data) = place();
    let mut command = ferroform(&["serve", "--data-dir", data.to_str().unwrap()]);
    let output = command.env("FERROFORM_PLAN_TIMEOUT", "two hours").output().unwrap();
    let said = words(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("FERROFORM_PLAN_TIMEOUT: ") && said.contains("90s"), "{said}");
    assert!(!data.exists(), "nothing was made");
}

#[test]
fn help_shows_the_options_in_groups_and_never_the_databases_password() {
    for arguments in [&["serve", "--help"][..], &["help", "serve"]] {
        let mut command = ferroform(arguments);
        let output = command.env("FERROFORM_DATABASE", "postgres://u:planted@h/d").output().unwrap();
        let said = words(&output);
        assert!(output.status.success() && !said.contains("planted"), "{said}");
        for part in ["Usage: ferroform serve [OPTIONS]", "Where:", "Runs:", "Limits (", "[default: 24h]"] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
    let output = ferroform(&[]).output().unwrap();
    assert!(words(&output).contains("Usage: ferroform <COMMAND>"), "{}", words(&output));
}

#[test]
fn doctor_sees_a_first_start_a_running_server_and_its_certificates() {
    let (_dir, data) = place();
    let (code, before) = examined(doctor(&data).args(["--runners", "0", "--listen", "127.0.0.1:0"]));
    assert_eq!(code, Some(0), "{before:?}");
    assert!(check(&before, "data directory").1.contains("will be made"));
    assert!(!data.exists(), "it only looks");

    let server = Server::start(&data, &["--runners", "0"]);
    let listen = format!("127.0.0.1:{}", server.port());
    let (code, during) = examined(doctor(&data).args(["--runners", "0", "--listen", &listen]));
    assert_eq!(code, Some(0), "{during:?}");
    let (verdict, said) = check(&during, "address");
    assert!(verdict == "ok" && said.contains("a server answers") && said.contains("ok (200"), "{said}");
    let (verdict, said) = check(&during, "tls certificate");
    assert!(verdict == "ok" && said.contains("localhost") && said.contains("until 2"), "{said}");
    assert_eq!(check(&during, "tls authority").0, "ok");
    assert!(check(&during, "database").1.contains("answers"));
    let (_, other) = examined(doctor(&data).args(["--url", "https://other.test", "--listen", &listen]));
    let (verdict, said) = check(&other, "tls certificate");
    assert!(verdict == "warn" && said.contains("other.test"), "{said}");
}

#[test]
fn doctor_fails_with_what_to_do() {
    let (dir, data) = place();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let mut command = doctor(&data);
    command.args(["--engine", "/no/such/engine", "--tls", "/no/cert.pem,/no/key.pem"]);
    let file = dir.path().join("database");
    fs::write(&file, "mysql://u:planted@h/d").unwrap();
    let (code, checks) =
        examined(command.args(["--database-file", file.to_str().unwrap(), "--listen", &listen]));
    assert_eq!(code, Some(1));
    assert!(matches!(check(&checks, "engine"), ("fail", said) if said.contains("/no/such/engine")));
    assert!(matches!(check(&checks, "tls"), ("fail", said) if said.contains("/no/cert.pem")));
    let (verdict, said) = check(&checks, "database");
    assert!(verdict == "fail" && said.contains("postgres://") && !said.contains("planted"), "{said}");
    drop(taken);
}

#[tokio::test]
async fn a_token_is_made_listed_and_revoked_beside_a_running_server() {
    let (_dir, data) = place();
    let server = Server::start(&data, &["--tls", "off"]);
    let token = |more: &[&str]| {
        let mut command = ferroform(&["token", "--json", "--data-dir"]);
        let output = command.arg(&data).args(more).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let made = token(&["create", "--description", "for a test"]);
    let (id, text) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    let details = format!("{}/api/v2/account/details", server.url);
    let answer = client(None).get(&details).bearer_auth(text).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(token(&["list"]).as_array().unwrap().iter().any(|row| row["id"] == id));
    token(&["revoke", id]);
    assert!(!token(&["list"]).as_array().unwrap().iter().any(|row| row["id"] == id));
    let trail = client(None).get(format!("{}/api/v2/admin/audit-trail", server.url));
    let own = fs::read_to_string(data.join("admin-token")).unwrap();
    let trail: Value = trail.bearer_auth(own.trim()).send().await.unwrap().json().await.unwrap();
    let entries: Vec<_> = trail["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["resource"]["meta"]["method"] == "COMMAND")
        .map(|entry| (entry["resource"]["action"].clone(), entry["resource"]["id"].clone()))
        .collect();
    assert_eq!(entries, [(json!("create"), json!(id)), (json!("revoke"), json!(id))]);
    let first = trail["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|e| e["resource"]["meta"]["method"] == "COMMAND")
        .unwrap();
    assert_eq!(
        (&first["auth"]["accessor_id"], &first["resource"]["meta"]["status"]),
        (&json!("operator"), &json!(200))
    );
    assert!(!trail.to_string().contains(text));
    let mut wrong = ferroform(&["token", "revoke", id, "--data-dir"]);
    assert_eq!(wrong.arg(&data).output().unwrap().status.code(), Some(1), "it is not there any more");
}

#[test]
fn the_version_is_for_people_and_for_programs() {
    let plain = words(&ferroform(&["version"]).output().unwrap());
    assert!(plain.starts_with(&format!("ferroform {}", env!("CARGO_PKG_VERSION"))), "{plain}");
    let json: Value =
        serde_json::from_slice(&ferroform(&["version", "--json"]).output().unwrap().stdout).unwrap();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
}
