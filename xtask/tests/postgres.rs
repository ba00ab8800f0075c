//! The PostgreSQL starter, with the real server, wherever tests run on PostgreSQL (`cargo xtask test`).

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use xtask::postgres::{Durability, Postgres};

/// Whether this run of the tests is without PostgreSQL.
fn left_out() -> bool {
    std::env::var_os("FERROFORM_TEST_POSTGRES").is_none()
}

/// `HOST:PORT` of a URL.
fn address(url: &str) -> &str {
    url.split(['@', '/']).nth(3).expect("postgres://ROLE:PASSWORD@HOST:PORT/DATABASE")
}

fn answers(url: &str) -> bool {
    TcpStream::connect(address(url)).is_ok()
}

#[test]
fn a_started_server_answers_until_it_is_dropped() {
    if left_out() {
        return;
    }
    let server = Postgres::start(Durability::ThrowAway).unwrap();
    let url = server.url().to_owned();
    assert!(answers(&url));
    drop(server);
    assert!(!answers(&url));
}

#[test]
fn a_server_and_its_folder_are_gone_after_its_starter_was_killed() {
    if left_out() {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(temporary.path(), everyone).unwrap();
    let mut starter = Starter::new(temporary.path());
    let url = starter.first_line();
    assert!(answers(&url));
    // The warden holds the other end of standard error until it has cleaned up.
    assert_eq!(starter.kill_and_read_errors(), "");
    assert!(!answers(&url));
    assert_eq!(temporary.path().read_dir().unwrap().count(), 0);
}

/// `cargo xtask postgres`, killed at the latest when the test is over.
struct Starter(Child);

impl Starter {
    fn new(temporary: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("postgres").env("TMPDIR", temporary).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("our own program can be started"))
    }

    fn first_line(&mut self) -> String {
        let mut line = String::new();
        let output = self.0.stdout.as_mut().expect("standard output was asked to be a pipe");
        BufReader::new(output).read_line(&mut line).expect("the starter prints text");
        line.trim().to_owned()
    }

    fn kill_and_read_errors(&mut self) -> String {
        self.0.kill().expect("a child that has not been waited for can be killed");
        let mut said = String::new();
        let errors = self.0.stderr.as_mut().expect("standard error was asked to be a pipe");
        errors.read_to_string(&mut said).expect("errors are text");
        said
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
