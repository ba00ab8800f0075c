//! `login` by a browser, against a server that demands PKCE; the test is the browser.

use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use clap::Parser;
use cli::{
    login::{LoginArgs, login_in},
    render::Style,
    world::{Answers, World},
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

const TOKEN: &str = "the-token-of-the-browser";

/// What was shown, told line by line as it comes.
#[derive(Clone)]
struct Screen(Arc<Mutex<String>>, mpsc::UnboundedSender<String>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.0.lock().unwrap().push_str(&text);
        let _ = self.1.send(text);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: LoginArgs,
}

/// What the server was asked to authorize.
type Challenge = Arc<Mutex<String>>;

async fn exchange(
    State(challenge): State<Challenge>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    assert!(!headers.contains_key("authorization"), "nobody is signed in yet");
    let digest = ring::digest::digest(&ring::digest::SHA256, form["code_verifier"].as_bytes());
    let fits = BASE64_URL_SAFE_NO_PAD.encode(digest) == *challenge.lock().unwrap();
    let fits = fits && form["client_id"] == "cli" && form["grant_type"] == "authorization_code";
    if !fits || form["code"] != "a/code" || !form["redirect_uri"].starts_with("http://localhost:100") {
        return StatusCode::BAD_REQUEST.into_response();
    }
    Json(json!({"access_token": TOKEN, "token_type": "bearer"})).into_response()
}

/// A server that offers the login service, with the given members changed.
async fn serve(challenge: &Challenge, change: Value) -> String {
    let mut service = json!({"client": "cli", "grant_types": ["authz_code"], "authz": "/oauth/authorize?x=1",
        "token": "/oauth/token", "ports": [10000, 10010]});
    for (name, value) in change.as_object().unwrap() {
        service[name] = value.clone();
    }
    let discovery = get(move || async move { Json(json!({"tfe.v2": "/api/v2/", "login.v1": service})) });
    let account = get(|headers: HeaderMap| async move {
        if headers["authorization"] == format!("Bearer {TOKEN}") {
            let user = json!({"type": "users", "id": "user-1", "attributes": {"username": "mara"}});
            Json(json!({ "data": user })).into_response()
        } else {
            StatusCode::UNAUTHORIZED.into_response()
        }
    });
    let app = Router::new()
        .route("/.well-known/terraform.json", discovery)
        .route("/api/v2/account/details", account)
        .route("/oauth/token", post(exchange))
        .with_state(Arc::clone(challenge));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// A login that has come as far as its address, or its end.
struct Login {
    task: tokio::task::JoinHandle<u8>,
    shown: Arc<Mutex<String>>,
    lines: mpsc::UnboundedReceiver<String>,
    interrupt: mpsc::UnboundedSender<()>,
}

impl Login {
    fn start(address: &str, home: &Path, options: &[&str]) -> Self {
        let args = Cli::try_parse_from([&["login", address, "--no-browser"], options].concat()).unwrap().args;
        let (told, lines) = mpsc::unbounded_channel();
        let shown = Arc::new(Mutex::new(String::new()));
        let screen = Screen(Arc::clone(&shown), told);
        let (interrupt, interrupts) = mpsc::unbounded_channel();
        let world = World {
            environment: [("HOME".to_owned(), home.to_str().unwrap().to_owned())].into(),
            out: Box::new(screen.clone()),
            err: Box::new(screen),
            input: Box::new(std::io::empty()),
            progress: None,
            style: Style::PLAIN,
            answers: Some(Answers::new(|| None)),
            interrupts,
        };
        let task = tokio::spawn(async move { login_in(&args, world).await });
        Self { task, shown, lines, interrupt }
    }

    /// Port, query and `state` of the address that the person has to open.
    async fn address(&mut self, challenge: &Challenge) -> (u16, String) {
        let text = loop {
            let text = self.lines.recv().await.unwrap();
            if text.contains("code_challenge") {
                break text;
            }
        };
        let url = text.lines().map(str::trim).find(|line| line.starts_with("http")).unwrap();
        let (page, query) = url.split_once('?').unwrap();
        assert!(page.ends_with("/oauth/authorize"), "{url}");
        let query: HashMap<_, _> = query.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
        assert_eq!((query["x"], query["client_id"], query["response_type"]), ("1", "cli", "code"));
        assert_eq!(query["code_challenge_method"], "S256");
        *challenge.lock().unwrap() = query["code_challenge"].to_owned();
        let redirect = query["redirect_uri"].replace("%3A", ":").replace("%2F", "/");
        let port = redirect.strip_prefix("http://localhost:").unwrap().strip_suffix("/login").unwrap();
        (port.parse().unwrap(), query["state"].to_owned())
    }

    async fn ends(self) -> (u8, String) {
        let code = self.task.await.unwrap();
        let shown = self.shown.lock().unwrap().clone();
        (code, shown)
    }
}

/// What a browser is answered.
async fn browse(port: u16, target: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn stored(home: &Path) -> Option<Value> {
    let text = std::fs::read(home.join(".terraform.d/credentials.tfrc.json")).ok()?;
    Some(serde_json::from_slice(&text).unwrap())
}

#[tokio::test]
async fn a_browser_that_comes_back_with_the_state_signs_in_and_no_other_does() {
    let (home, challenge) = (tempfile::tempdir().unwrap(), Challenge::default());
    let address = serve(&challenge, json!({})).await;
    let mut login = Login::start(&address, home.path(), &[]);
    let (port, state) = login.address(&challenge).await;
    assert!((10000..=10010).contains(&port));
    // Somebody else's page, a favicon, a connection that says nothing.
    drop(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    assert!(browse(port, "/login?code=evil&state=guess").await.starts_with("HTTP/1.1 404"));
    assert!(browse(port, "/favicon.ico").await.starts_with("HTTP/1.1 404"));
    let page = browse(port, &format!("/login?code=a%2Fcode&state={state}")).await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("You are signed in"), "{page}");
    let (code, shown) = login.ends().await;
    assert!(code == 0 && shown.contains("as mara.") && !shown.contains(TOKEN), "{shown}");
    let host = address.trim_start_matches("http://");
    assert_eq!(stored(home.path()).unwrap()["credentials"][host]["token"], TOKEN);
}

#[tokio::test]
async fn a_refusal_in_the_browser_stores_nothing() {
    let (home, challenge) = (tempfile::tempdir().unwrap(), Challenge::default());
    let address = serve(&challenge, json!({})).await;
    let mut login = Login::start(&address, home.path(), &[]);
    let (port, state) = login.address(&challenge).await;
    let page =
        browse(port, &format!("/login?error=access_denied&error_description=not+you&state={state}")).await;
    assert!(page.contains("You are not signed in"), "{page}");
    let (code, shown) = login.ends().await;
    assert!(code == 1 && shown.contains("Not signed in") && shown.contains("not you"), "{shown}");
    assert_eq!(stored(home.path()), None);
}

#[tokio::test]
async fn ctrl_c_gives_up() {
    let (home, challenge) = (tempfile::tempdir().unwrap(), Challenge::default());
    let address = serve(&challenge, json!({})).await;
    let mut login = Login::start(&address, home.path(), &[]);
    login.address(&challenge).await;
    login.interrupt.send(()).unwrap();
    assert_eq!(login.ends().await.0, 130);
    assert_eq!(stored(home.path()), None);
}

#[tokio::test]
async fn a_service_without_the_code_grant_asks_for_a_token_and_a_malformed_one_is_named() {
    let (home, challenge) = (tempfile::tempdir().unwrap(), Challenge::default());
    for (change, options, said) in [
        (json!({"grant_types": ["password"]}), &[][..], "/app/settings/tokens"),
        (json!({}), &["--paste"], "/app/settings/tokens"),
        (json!({"ports": [10010, 10000]}), &[], "names the ports 10010 to 10000"),
        (json!({"client": 7}), &[], "its service login.v1 is malformed"),
    ] {
        let address = serve(&challenge, change).await;
        let (code, shown) = Login::start(&address, home.path(), options).ends().await;
        assert!(code == 1 && shown.replace("\n│ ", " ").contains(said), "{said} in {shown}");
    }
    assert_eq!(stored(home.path()), None);
}
