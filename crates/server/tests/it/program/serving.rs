//! Starting, ending, and what is left on the disk.

use super::{PATIENCE, Server, client, ferroform, place, status, words};
use nix::sys::signal::Signal;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::Path,
};

const PLAIN: [&str; 2] = ["--tls", "off"];

fn token(data: &Path) -> String {
    fs::read_to_string(data.join("admin-token")).unwrap().trim().to_owned()
}

/// A request that is open: its head and half of its body are sent.
fn half_a_request(server: &Server, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST /api/v2/organizations HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/vnd.api+json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        BODY.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The server asks for the body when its handler does: from then on the request is known to be open.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&BODY.as_bytes()[..9]).unwrap();
    stream
}

const BODY: &str = r#"{"data":{"type":"organizations","attributes":{"name":"late","email":"a@b.test"}}}"#;

#[test]
fn a_server_that_is_asked_to_end_finishes_open_requests_and_takes_no_more() {
    let (_dir, data) = place();
    let mut server = Server::start(&data, &PLAIN);
    let mut request = half_a_request(&server, &token(&data));
    server.signal(Signal::SIGTERM);
    server.says("ending");
    while TcpStream::connect(("127.0.0.1", server.port())).is_ok() {
        std::thread::yield_now();
    }
    request.write_all(&BODY.as_bytes()[9..]).unwrap();
    let mut answer = String::new();
    request.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201") && answer.contains("late"), "{answer}");
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn the_grace_period_bounds_the_end_and_a_second_signal_needs_none() {
    let (_dir, data) = place();
    let server = Server::start(&data, &["--tls", "off", "--grace-period", "0s"]);
    let _request = half_a_request(&server, &token(&data));
    assert!(server.stop().success(), "nothing was waited for");

    let mut server = Server::start(&data, &["--tls", "off", "--grace-period", "1h"]);
    let _request = half_a_request(&server, &token(&data));
    server.signal(Signal::SIGINT);
    server.says("ending");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.child.wait().unwrap().signal(), Some(Signal::SIGKILL as i32));
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let (_dir, data) = place();
    let first = Server::start(&data, &PLAIN);
    let output = Server::command(&data, &PLAIN).output().unwrap();
    let said = words(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains(&format!("(process {})", first.child.id())) && said.contains("--data-dir"),
        "{said}"
    );
}

#[test]
fn everything_that_is_kept_is_its_owners_alone_but_the_authority_is_readable() {
    let (_dir, data) = place();
    let server = Server::start(&data, &[]);
    assert!(server.stop().success());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for entry in fs::read_dir(&data).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        match name.to_str().unwrap() {
            "ca.pem" => assert_eq!(mode(&path), 0o644),
            "admin-token" | "root.key" | "lock" => assert_eq!(mode(&path), 0o600, "{name:?}"),
            _ => {}
        }
    }
    assert!(data.join("root.key").exists() && data.join("ca.pem").exists());
}

#[tokio::test]
async fn the_first_admins_token_works_and_stays() {
    let (_dir, data) = place();
    let ask = |server: &Server, token: &str| {
        let request = client(None).get(format!("{}/api/v2/account/details", server.url)).bearer_auth(token);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    let server = Server::start(&data, &PLAIN);
    let made = token(&data);
    assert_eq!(ask(&server, &made).await, 200);
    assert!(server.stop().success());
    let again = Server::start_by(
        Server::command(&data, &PLAIN).env("FERROFORM_ADMIN_TOKEN", "too-late-to-be-preset-0123"),
    );
    assert_eq!(token(&data), made, "later starts change nothing");
    assert_eq!(ask(&again, &made).await, 200);
    assert_eq!(ask(&again, "too-late-to-be-preset-0123").await, 401);
}

#[tokio::test]
async fn the_first_admins_token_can_be_preset_by_a_file() {
    let (dir, data) = place();
    let file = dir.path().join("preset");
    fs::write(&file, "preset-by-a-file-0123456789\n").unwrap();
    let server = Server::start_by(Server::command(&data, &PLAIN).env("FERROFORM_ADMIN_TOKEN_FILE", &file));
    let request = client(None).get(format!("{}/api/v2/account/details", server.url));
    let answer = request.bearer_auth("preset-by-a-file-0123456789").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(token(&data), "preset-by-a-file-0123456789");
}

#[tokio::test]
async fn metrics_need_their_token_or_an_address_of_their_own() {
    let (dir, data) = place();
    let server = Server::start(&data, &PLAIN);
    assert_eq!(status(&client(None), format!("{}/metrics", server.url)).await, 404);
    assert!(server.stop().success());

    let file = dir.path().join("metrics-token");
    fs::write(&file, "\n").unwrap();
    let with_token = ["--tls", "off", "--metrics-token-file", file.to_str().unwrap()];
    let refused = Server::command(&data, &with_token).output().unwrap();
    assert!(words(&refused).contains("holds no token"), "{}", words(&refused));

    fs::write(&file, "scrape-me\n").unwrap();
    let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let server = Server::start(&data, &[&with_token[..], &["--metrics-listen", &own]].concat());
    let metrics = format!("{}/metrics", server.url);
    assert_eq!(status(&client(None), metrics.clone()).await, 401);
    let answer = client(None).get(metrics).bearer_auth("scrape-me").send().await.unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let text = answer.text().await.unwrap();
    assert!(text.contains("{operation=\"server.metrics.read\",status=\"4xx\"} 1"), "{text}");
    assert_eq!(status(&client(None), format!("http://{own}/metrics")).await, 200);
}

#[tokio::test]
async fn health_says_what_was_looked_at_and_never_waits_for_a_download() {
    let (dir, data) = place();
    // An engine from nowhere but a mirror that nobody serves: only a download would ask it.
    let mut command = ferroform(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json"]);
    command.args(["--tls", "off", "--engine-mirror", "http://127.0.0.1:9", "--data-dir"]).arg(&data);
    let server = Server::start_by(command.env("PATH", dir.path()));
    let health = format!("{}/_health_check", server.url);
    assert_eq!(status(&client(None), health.clone()).await, 200);
    let answer = client(None).get(health + "?full=1").send().await.unwrap().text().await.unwrap();
    let full: serde_json::Value = serde_json::from_str(&answer).unwrap();
    for part in ["status", "database", "objects"] {
        assert_eq!(full[part], "ok", "{full}");
    }
    let detail = full["runner"]["engine"]["detail"].as_str().unwrap();
    assert!(detail.contains("downloaded by the first run"), "{full}");
}

#[test]
fn a_database_that_cannot_be_reached_is_said_without_its_password() {
    let (_dir, data) = place();
    let mut command = Server::command(&data, &PLAIN);
    let output = command.env("FERROFORM_DATABASE", "postgres://u:planted@127.0.0.1:9/d").output().unwrap();
    let said = words(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("planted"), "{said}");
}

#[test]
fn an_address_that_is_taken_is_named_with_the_option_that_changes_it() {
    let (_dir, data) = place();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--metrics-listen"] {
        let output = Server::command(&data, &PLAIN).args([flag, &address]).output().unwrap();
        let said = words(&output);
        assert!(said.contains(&address) && said.contains(flag), "{said}");
        assert_eq!(output.status.code(), Some(1));
    }
}
