//! What a start says, to a person at a terminal, into a pipe, and to a machine.

use super::{
    ferroform, place,
    terminal::{CTRL_C, Terminal},
};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
};

fn serve(data: &Path, more: &[&str]) -> Command {
    let mut command = ferroform(&["serve", "--no-engine-download", "--data-dir"]);
    command.arg(data).args(more).env("FERROFORM_LISTEN", "127.0.0.1:0");
    command
}

fn token(data: &Path) -> String {
    fs::read_to_string(data.join("admin-token")).unwrap().trim().to_owned()
}

/// Standard error until the server serves, and then to its end, which SIGTERM brings.
fn said(mut command: Command) -> String {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    while !text.contains("serving") {
        assert_ne!(reader.read_line(&mut text).unwrap(), 0, "{text}");
    }
    let process = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(process, Signal::SIGTERM).unwrap();
    reader.read_to_string(&mut text).unwrap();
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(out, "", "standard output stays free");
    assert!(child.wait().unwrap().success(), "{text}");
    text
}

#[test]
fn a_person_sees_where_it_serves_what_to_trust_and_the_first_token_once() {
    let (_dir, data) = place();
    let mut terminal = Terminal::of(&serve(&data, &[]));
    for part in
        ["Ferroform ", "https://localhost:", "data ", "engine ", "runners ", "sandbox ", "SSL_CERT_FILE="]
    {
        terminal.sees(part);
    }
    terminal.sees(data.canonicalize().unwrap().join("ca.pem").to_str().unwrap());
    terminal.sees(data.canonicalize().unwrap().join("admin-token").to_str().unwrap());
    terminal.sees("(shown this once)");
    terminal.sees("ferroform push");
    terminal.types(CTRL_C);
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    let made = token(&data);
    assert_eq!(screen.matches(&made).count(), 1, "{screen}");

    let mut again = Terminal::of(&serve(&data, &[]));
    again.sees("Ferroform ");
    again.types(CTRL_C);
    let (_, screen) = again.ends();
    assert!(!screen.contains(&made), "{screen}");
}

#[test]
fn a_pipe_gets_lines_without_colours_and_without_the_token() {
    let (_dir, data) = place();
    let text = said(serve(&data, &[]));
    assert!(!text.contains('\x1b'), "{text:?}");
    assert!(!text.contains(&token(&data)), "{text}");
    assert!(!text.contains("ERROR"), "nothing went wrong, at the end neither: {text}");
    for part in ["https://localhost:", "admin-token", "ca.pem"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_json_log_is_one_object_a_line_without_the_token_on_a_terminal_too() {
    let (_dir, data) = place();
    let text = said(serve(&data, &["--log-format", "json"]));
    let mut terminal = Terminal::of(&serve(&data, &["--log-format", "json"]));
    terminal.sees("\"serving\"");
    terminal.types(CTRL_C);
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    // The terminal itself echoes what is typed.
    for line in text
        .lines()
        .chain(screen.lines())
        .map(|line| line.trim_start_matches("^C"))
        .filter(|line| !line.is_empty())
    {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(value["message"].is_string() && value["level"].is_string(), "{line}");
    }
    assert!(!text.contains(&token(&data)) && text.contains("admin-token"), "{text}");
}

#[test]
fn a_preset_token_is_not_shown_at_all() {
    let (_dir, data) = place();
    let mut command = serve(&data, &[]);
    command.env("FERROFORM_ADMIN_TOKEN", "preset-by-the-operator-0123");
    let mut terminal = Terminal::of(&command);
    terminal.sees("admin token");
    terminal.sees("ferroform push");
    terminal.types(CTRL_C);
    let (_, screen) = terminal.ends();
    assert!(!screen.contains("preset-by-the-operator"), "{screen}");
}

#[test]
fn a_start_without_an_engine_says_so_and_what_to_do() {
    let (dir, data) = place();
    let text = said({
        let mut command = serve(&data, &[]);
        command.env("PATH", dir.path());
        command
    });
    assert!(text.contains("runs cannot start") && text.contains("--engine"), "{text}");
}
