//! What an operator can get wrong before a start: each refusal says what was wrong, where, and what to do.

use super::{Server, by, place, words};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

/// That the command fails with this exit code, saying all of this and nothing of that.
#[track_caller]
fn refused(command: &mut Command, code: i32, parts: &[&str]) -> String {
    // A server that starts where it should refuse would go on for ever.
    let output = by(&["timeout", "60"], command).stdin(Stdio::null()).output().unwrap();
    let said = words(&output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} in\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn a_wrong_line_of_the_file_is_named_with_what_is_allowed() {
    for (text, parts) in [
        ("lisen = \"127.0.0.1:1\"", &["no option `lisen`", "did you mean `listen`?"][..]),
        ("qqq = 1", &["no option `qqq`", "serve --help"]),
        ("[serve]\nrunners = 1", &["no option `serve`"]),
        ("runners = \"two\"", &["runners", "two", "whole number"]),
        ("runners = -1", &["runners", "-1", "whole number"]),
        ("runners = 1.5", &["runners", "whole number"]),
        ("listen = 8443", &["listen", "8443", "127.0.0.1:8443"]),
        ("require-sandbox = \"yes\"", &["require-sandbox", "true or false"]),
        ("plan-timeout = 90", &["plan-timeout", "as in 90s"]),
        ("upload-limit = \"10MB\"", &["upload-limit", "KiB, MiB or GiB"]),
        ("tls = true", &["tls", "auto"]),
        ("log-format = \"xml\"", &["log-format", "xml", "text, json"]),
        ("url = \"tfe.example.com\"", &["url", "https://HOST"]),
        ("listen = \"127.0.0.1:1\"\nrunners = ", &["line 2"]),
        ("listen = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"", &["line 2", "duplicate"]),
    ] {
        let (_dir, data) = place();
        fs::create_dir(&data).unwrap();
        let file = data.join("ferroform.toml");
        fs::write(&file, text).unwrap();
        let mut command = super::ferroform(&["serve", "--data-dir"]);
        let parts = [&[file.to_str().unwrap()], parts].concat();
        refused(command.arg(&data), 2, &parts);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "nothing was made");
    }
}

#[test]
fn a_wrong_flag_is_named_with_what_is_allowed() {
    for (flag, value, allowed) in [
        ("--runners", "two", "whole number"),
        ("--entry-limit", "many", "whole number"),
        ("--rate-limit", "fast", "whole number"),
        ("--log-format", "xml", "text, json"),
        ("--listen", "8443", "127.0.0.1:8443"),
        ("--tls", "on", "CERT,KEY"),
        ("--plan-timeout", "soon", "90s"),
    ] {
        let (_dir, data) = place();
        let mut command = Server::command(&data, &[flag, value]);
        refused(&mut command, 2, &[flag, value, allowed]);
        assert!(!data.exists());
    }
}

#[test]
fn a_data_directory_that_cannot_be_had_is_named_with_the_option() {
    let (dir, _) = place();
    // Another user's.
    let foreign = if nix::unistd::geteuid().is_root() {
        let path = dir.path().join("foreign");
        fs::create_dir(&path).unwrap();
        nix::unistd::chown(&path, Some(65534.into()), None).unwrap();
        path
    } else {
        "/usr".into()
    };
    let shown = foreign.to_str().unwrap();
    refused(&mut Server::command(&foreign, &[]), 1, &[shown, "another user", "--data-dir"]);
    // A file.
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    refused(&mut Server::command(&file, &[]), 1, &[file.to_str().unwrap(), "--data-dir"]);
    // No place to make it.
    let nowhere = Path::new("/proc/none/data");
    refused(&mut Server::command(nowhere, &[]), 1, &["/proc/none/data", "--data-dir"]);
    // Ours, and closed to us. Nothing is closed to root.
    if !nix::unistd::geteuid().is_root() {
        let closed = dir.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        refused(&mut Server::command(&closed, &[]), 1, &[closed.to_str().unwrap(), "--data-dir", "denied"]);
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn files_for_tls_that_cannot_be_used_are_named() {
    let (dir, data) = place();
    let (own, other) = (dir.path().join("own"), dir.path().join("other"));
    for place in [&own, &other] {
        assert!(Server::start(place, &[]).stop().success());
    }
    let leaf = own.join("tls/leaf.pem").to_str().unwrap().to_owned();
    let foreign = other.join("tls/ca-key.pem").to_str().unwrap().to_owned();
    let nonsense = dir.path().join("nonsense").to_str().unwrap().to_owned();
    fs::write(&nonsense, "nonsense").unwrap();
    let start = |cert: &str, key: &str, parts: &[&str]| {
        refused(&mut Server::command(&data, &["--tls", &format!("{cert},{key}")]), 1, parts);
    };
    start("/no/cert.pem", &leaf, &["/no/cert.pem", "No such file", "--tls"]);
    start(&leaf, "/no/key.pem", &["/no/key.pem", "No such file", "--tls"]);
    start(&nonsense, &leaf, &[&nonsense, "no PEM certificate", "--tls"]);
    start(&leaf, &nonsense, &[&nonsense, "PEM key", "--tls"]);
    start(&leaf, &foreign, &[&foreign, &leaf, "--tls"]);
}

#[test]
fn a_database_that_refuses_is_said_without_its_password() {
    let (_dir, data) = place();
    let start = |url: &str, parts: &[&str]| {
        let mut command = Server::command(&data, &["--tls", "off"]);
        let said = refused(command.env("FERROFORM_DATABASE", url), 1, parts);
        assert!(!said.contains("planted"), "{said}");
    };
    start(
        "postgres://u:planted@no-such-host.invalid/d",
        &["PostgreSQL", "no-such-host.invalid", "--database"],
    );
    start("postgres://u:planted@127.0.0.1:9/d", &["PostgreSQL", "127.0.0.1:9", "--database"]);
    start("mysql://u:planted@h/d", &["postgres://"]);
    start("postgres://u:planted@:notaport/d", &["--database"]);
    let Ok(real) = std::env::var("FERROFORM_TEST_POSTGRES") else { return };
    let (before, after) = real.split_once('@').unwrap();
    let (user, _) = before.rsplit_once(':').unwrap();
    start(&format!("{user}:planted@{after}"), &["password authentication failed", "--database"]);
    let (server, _) = real.rsplit_once('/').unwrap();
    start(&format!("{server}/no_such_database"), &["no_such_database", "--database"]);
}
