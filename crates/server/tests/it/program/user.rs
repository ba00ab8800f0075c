//! `ferroform user`, the first sign-in, and the pasted form of `terraform login`.

use super::{Server, ferroform, place, words};
use crate::sign_in::{Browser, terraform};
use serde_json::Value;
use std::{
    io::{Read, Write},
    path::Path,
    process::{Output, Stdio},
};

fn user(data: &Path, more: &[&str], typed: &str) -> Output {
    let mut command = ferroform(&["user", "--data-dir"]);
    command.arg(data).args(more).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that reads nothing may have ended already.
    let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
    child.wait_with_output().unwrap()
}

fn said(data: &Path, more: &[&str], typed: &str) -> String {
    let output = user(data, more, typed);
    assert!(output.status.success(), "{}", words(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn the_first_admin_signs_in_by_a_link_and_sets_a_password() {
    let (_dir, data) = place();
    let server = Server::start(&data, &[]);
    let link = said(&data, &["link"], "");
    assert!(link.starts_with(&format!("{}/sign-in/link/", server.url)), "{link}");
    let mut browser = Browser::new(&server.url, Some(&data.join("ca.pem")));
    browser.get(&link).await.expect(200);
    let cookie = browser.send(&link, &[]).await.expect(303).header("set-cookie");
    let session = cookie.lines().find(|line| line.starts_with("__Host-ferroform-session=")).unwrap();
    for part in ["; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
        assert!(session.contains(part) && !session.contains("Domain"), "{session}");
    }
    let fields = [("password", "correct horse battery"), ("again", "correct horse battery")];
    browser.get("/app/settings/password").await.expect(200);
    browser.send("/app/settings/password", &fields).await.expect(303);
    let mut other = Browser::new(&server.url, Some(&data.join("ca.pem")));
    other.sign_in("admin", "correct horse battery").await.expect(303);
}

#[tokio::test]
async fn users_are_made_listed_suspended_and_given_passwords_beside_a_running_server() {
    let (_dir, data) = place();
    let server = Server::start(&data, &["--tls", "off", "--url", "http://tfe.example.com"]);
    said(&data, &["create", "mona", "--email", "mona@example.com"], "");
    let again = user(&data, &["create", "mona", "--email", "other@example.com"], "");
    assert!(!again.status.success() && words(&again).contains("already"), "{}", words(&again));
    let weak = user(&data, &["password", "mona"], "too short\n");
    assert!(!weak.status.success() && words(&weak).contains("12 characters"), "{}", words(&weak));
    said(&data, &["password", "mona"], "correct horse battery\n");
    let made: Value = serde_json::from_str(&said(&data, &["link", "mona", "--json"], "")).unwrap();
    assert!(made["url"].as_str().unwrap().starts_with("http://tfe.example.com/sign-in/link/"), "{made}");
    said(&data, &["suspend", "mona"], "");
    let all: Value = serde_json::from_str(&said(&data, &["list", "--json"], "")).unwrap();
    let mona = all.as_array().unwrap().iter().find(|person| person["username"] == "mona").unwrap();
    assert_eq!((&mona["suspended"], &mona["password"]), (&Value::Bool(true), &Value::Bool(true)));
    said(&data, &["resume", "mona"], "");
    let alone = user(&data, &["suspend", "admin"], "");
    assert!(!alone.status.success() && words(&alone).contains("only site admin"), "{}", words(&alone));
    let nobody = user(&data, &["link", "nobody"], "");
    assert!(words(&nobody).contains("ferroform user list"), "{}", words(&nobody));
    drop(server);
}

#[tokio::test]
async fn terraform_asks_for_a_token_to_paste_where_the_operator_wants_that() {
    let (dir, data) = place();
    let server = Server::start(&data, &["--terraform-login", "paste"]);
    let authority = data.join("ca.pem");
    let (host, home) = (server.url.trim_start_matches("https://").to_owned(), dir.path().join("home"));
    said(&data, &["password", "admin"], "correct horse battery\n");
    let mut browser = Browser::new(&server.url, Some(&authority));
    browser.sign_in("admin", "correct horse battery").await.expect(303);
    browser.get("/app/settings/tokens?source=terraform-login").await.expect(200);
    let fields = [("description", "terraform login"), ("days", "30")];
    let made = browser.send("/app/settings/tokens", &fields).await.expect(200).text;
    let token = made.split(['<', '>']).find(|part| part.contains(".atlasv1.")).unwrap();

    let login = |token: &str| {
        let mut child =
            terraform::command(&home, &authority, &["login", "-no-color", &host]).spawn().unwrap();
        let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut shown = String::new();
        // It reads whole buffers and forgets what it did not ask for yet.
        for (prompts, answer) in [(1, "yes"), (2, token)] {
            let mut byte = [0];
            while shown.matches("Enter a value:").count() < prompts && screen.read(&mut byte).unwrap() > 0 {
                shown.push(char::from(byte[0]));
            }
            let _ = writeln!(keyboard, "{answer}");
        }
        let rest = child.stderr.take().unwrap();
        screen.chain(rest).read_to_string(&mut shown).unwrap();
        (child.wait().unwrap().success(), shown)
    };
    let (ok, words) = login("wrong");
    assert!(!ok && terraform::saved(&home, &host).is_none(), "{words}");
    let (ok, words) = login(token);
    assert!(ok && words.contains("/app/settings/tokens?source=terraform-login"), "{words}");
    assert_eq!(terraform::saved(&home, &host).as_deref(), Some(token));
}
