//! `terraform login` and `logout` themselves.

use super::{Browser, PASSWORD};
use ferroform::{
    listen::{self, Patience},
    options::Tls,
    tls,
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use testkit::{TestServer, on_both};

/// The engine, as a path: it gets a `PATH` on which there is no browser.
pub(crate) fn engine() -> PathBuf {
    if let Some(engine) = std::env::var_os("FERROFORM_TEST_ENGINE") {
        return engine.into();
    }
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path)
        .flat_map(|dir| ["terraform", "tofu"].map(|name| dir.join(name)))
        .find(|file| file.is_file());
    found.expect("an engine is on PATH")
}

/// The command line of somebody who has never logged in, with a home of its own.
pub(crate) fn command(home: &Path, authority: &Path, arguments: &[&str]) -> Command {
    fs::create_dir_all(home.join(".terraform.d")).unwrap();
    let mut command = Command::new(engine());
    command.args(arguments).env_clear().env("HOME", home).env("PATH", home).env("CHECKPOINT_DISABLE", "1");
    command.env("SSL_CERT_FILE", authority).current_dir(home);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The token that a login has saved, if any.
pub(crate) fn saved(home: &Path, host: &str) -> Option<String> {
    let text = fs::read_to_string(home.join(".terraform.d/credentials.tfrc.json")).ok()?;
    let file: Value = serde_json::from_str(&text).unwrap();
    Some(file["credentials"][host]["token"].as_str()?.to_owned())
}

/// A command line that waits for the browser, and the address that it wants opened.
struct Waiting {
    child: Child,
    said: BufReader<std::process::ChildStdout>,
    url: String,
}

impl Waiting {
    fn begin(home: &Path, authority: &Path, host: &str) -> Self {
        let mut child = command(home, authority, &["login", "-no-color", host]).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"yes\n").unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let (mut line, mut all) = (String::new(), String::new());
        while !line.contains("/oauth/authorize?") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "it says no address: {all}");
            all.push_str(&line);
        }
        Self { child, said, url: line.trim().to_owned() }
    }

    /// Whether it succeeded, and what else it said.
    fn end(mut self) -> (bool, String) {
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().success(), rest)
    }
}

/// The server once more, over TLS; the command line speaks to no other. Its host, and the authority to trust.
async fn over_tls(server: &TestServer) -> (String, PathBuf) {
    let dir = server.dir.path().join("certificates");
    fs::create_dir(&dir).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let names = tls::names(address, "https://localhost");
    let certificates = tls::load(&Tls::Auto, &dir, names, &kernel::Env::real()).unwrap();
    let router = server.assembled.router.clone();
    tokio::spawn(listen::serve(listener, certificates, router, Patience::default(), std::future::pending()));
    (format!("localhost:{}", address.port()), dir.join("ca.pem"))
}

on_both! {
    async fn terraform_logs_in_with_a_browser_and_out_again(server) {
        accounts::people::set_password(&server.assembled.app, "admin", &PASSWORD.into()).await.unwrap();
        let (host, authority) = over_tls(server).await;
        let home = server.dir.path().join("home");
        let waiting = Waiting::begin(&home, &authority, &host);

        let mut browser = Browser::new(&format!("https://{host}"), Some(&authority));
        let sign_in = browser.get(&waiting.url).await.expect(303).location();
        browser.get(&sign_in).await.expect(200);
        let back = browser.send("/sign-in", &[("name", "admin"), ("password", PASSWORD)]).await.expect(303);
        let page = browser.get(&back.location()).await.expect(200);
        assert!(page.text.contains("admin") && page.text.contains("Allow"), "{}", page.text);
        let to = browser.send("/oauth/authorize", &[("decision", "allow")]).await.expect(303).location();
        let end = browser.get(&to).await.expect(200);
        assert!(end.text.contains("return to the terminal"), "{}", end.text);
        let (succeeded, said) = waiting.end();
        assert!(succeeded && said.contains("obtained and saved"), "{said}");

        let token = saved(&home, &host).unwrap();
        let api = server.with_token(&token);
        let user = api.get("/account/details").await.expect(200).id();
        let tokens = api.get(&format!("/users/{user}/authentication-tokens")).await.expect(200);
        let all = tokens.json["data"].as_array().unwrap().clone();
        let made = all.iter().find(|t| t["attributes"]["description"] == "terraform login from 127.0.0.1");
        assert!(made.expect("its description").pointer("/attributes/expired-at").unwrap().is_null());

        let out = command(&home, &authority, &["logout", &host]).output().unwrap();
        assert!(out.status.success() && saved(&home, &host).is_none(), "{out:?}");
    }

    async fn terraform_is_told_when_its_user_says_no(server) {
        accounts::people::set_password(&server.assembled.app, "admin", &PASSWORD.into()).await.unwrap();
        let (host, authority) = over_tls(server).await;
        let home = server.dir.path().join("home");
        let waiting = Waiting::begin(&home, &authority, &host);
        let mut browser = Browser::new(&format!("https://{host}"), Some(&authority));
        browser.sign_in("admin", PASSWORD).await.expect(303);
        browser.get(&waiting.url).await.expect(200);
        let to = browser.send("/oauth/authorize", &[("decision", "deny")]).await.expect(303).location();
        browser.get(&to).await;
        let mut waiting = waiting;
        // Having been told, it shows an error page and goes on to wait, as it does for every server.
        waiting.child.kill().unwrap();
        waiting.end();
        assert_eq!(saved(&home, &host), None);
    }
}
