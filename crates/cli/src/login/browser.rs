//! Signing in by the person's browser: OAuth's authorization code with PKCE, as `terraform login` does it.
//!
//! The browser comes back to a port of this machine's loopback address. Whatever does not carry the secret `state` of
//! this attempt is turned away and waited past: any program or page on this machine can connect.

use crate::{desk::Desk, failure::Failure};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use client::{Client, LoginService};
use kernel::{Env, Secret};
use std::process::{Command, Stdio};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Bytes of a request that are read.
const LONGEST_REQUEST: usize = 16 << 10;
/// A connection that says nothing is given up after this long, so that it does not keep the browser out.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

pub(super) async fn sign_in(
    desk: &mut Desk,
    client: &Client,
    service: &LoginService,
    open: bool,
) -> Result<Secret, Failure> {
    let env = Env::real();
    let (listener, port) = listen(service, &env).await?;
    let redirect = format!("http://localhost:{port}/login");
    let verifier = Secret::new(BASE64_URL_SAFE_NO_PAD.encode(env.random::<32>()));
    let state = Secret::new(BASE64_URL_SAFE_NO_PAD.encode(env.random::<24>()));
    let digest = ring::digest::digest(&ring::digest::SHA256, verifier.expose().as_bytes());
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest);
    let url = service.authorization_url(&challenge, &redirect, state.expose());
    let opened = open && open_browser(desk, url.as_str());
    let how =
        if opened { "Your browser opens; if it does not, open" } else { "Open in a browser on this machine" };
    desk.say(&format!("{how}:\n\n  {url}\n\nWaiting for {}; Ctrl-C gives up.", client.host()));
    let code = callback(&listener, &state).await?;
    Ok(client.exchange_code(service, &code, &verifier, &redirect).await?)
}

/// The first free port of those that the server allows, from a random one on.
async fn listen(service: &LoginService, env: &Env) -> Result<(TcpListener, u16), Failure> {
    let ports: Vec<u16> = service.ports.clone().collect();
    let start = usize::from(u16::from_le_bytes(env.random())) % ports.len();
    for port in ports[start..].iter().chain(&ports[..start]) {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", *port)).await {
            return Ok((listener, *port));
        }
    }
    let (first, last) = (service.ports.start(), service.ports.end());
    let detail = format!(
        "The browser has to come back to one of the ports {first} to {last} of this machine, and all are taken. Free \
         one, or use --paste."
    );
    Err(Failure::Plain("No port is free", detail))
}

/// Asks the desktop to open an address; `false` where there is none.
fn open_browser(desk: &Desk, url: &str) -> bool {
    let own = desk.world.variable("BROWSER");
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| desk.world.variable(name).is_some());
    let program = match own {
        Some(program) => program,
        None if cfg!(target_os = "macos") => "open",
        None if desktop => "xdg-open",
        None => return false,
    };
    let mut command = Command::new(program);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Not waited for: it may live as long as the browser does.
    command.spawn().is_ok()
}

/// Waits for the browser: the code that it brings.
async fn callback(listener: &TcpListener, state: &Secret) -> Result<Secret, Failure> {
    loop {
        let accepted = listener.accept().await;
        let (mut stream, _) =
            accepted.map_err(|e| Failure::Plain("The browser cannot come back", e.to_string()))?;
        let Some(request) = tokio::time::timeout(PATIENCE, request_line(&mut stream)).await.ok().flatten()
        else {
            continue;
        };
        let answer = Answer::of(request.expose(), state);
        let (status, words) = match &answer {
            Answer::Code(_) => {
                ("200 OK", "You are signed in. You can close this page and go back to the terminal.")
            }
            Answer::Denied(_) => ("200 OK", "You are not signed in. You can close this page."),
            Answer::Other => ("404 Not Found", "There is nothing here."),
        };
        respond(&mut stream, status, words).await;
        match answer {
            Answer::Code(code) => return Ok(code),
            Answer::Denied(why) => {
                return Err(Failure::Plain("Not signed in", format!("The server said: {why}")));
            }
            Answer::Other => {}
        }
    }
}

/// What the browser brings.
enum Answer {
    Code(Secret),
    Denied(String),
    /// Nothing of ours.
    Other,
}

impl Answer {
    fn of(request: &str, state: &Secret) -> Self {
        let mut words = request.split(' ');
        let (Some("GET"), Some(target)) = (words.next(), words.next()) else { return Self::Other };
        let Some(query) = target.strip_prefix("/login?") else { return Self::Other };
        let find = |name: &str| {
            let parts = query.split('&').filter_map(|part| part.split_once('='));
            parts.filter(|(key, _)| *key == name).map(|(_, value)| decode(value)).next()
        };
        if find("state").as_deref() != Some(state.expose().as_str()) {
            return Self::Other;
        }
        match (find("code").filter(|code| !code.is_empty()), find("error")) {
            (_, Some(error)) => Self::Denied(find("error_description").unwrap_or(error)),
            (Some(code), None) => Self::Code(Secret::new(code)),
            (None, None) => Self::Denied("it gave no code".to_owned()),
        }
    }
}

/// A value of a query as text; control characters are dropped.
fn decode(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits =
                    [rest.next(), rest.next()].map(|digit| char::from(digit.unwrap_or(b'?')).to_digit(16));
                match digits {
                    [Some(high), Some(low)] => u8::try_from(high * 16 + low).unwrap_or(b'?'),
                    _ => b'?',
                }
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control()).collect()
}

/// The first line of a request, once its head has come; `None` when that is none.
async fn request_line(stream: &mut TcpStream) -> Option<Secret> {
    let mut head = Vec::new();
    let mut bytes = [0; 2048];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut bytes).await.ok().filter(|read| *read > 0)?;
        head.extend_from_slice(&bytes[..read]);
        if head.len() > LONGEST_REQUEST {
            return None;
        }
    }
    let line = head.split(|byte| *byte == b'\r').next()?;
    Some(Secret::new(String::from_utf8(line.to_vec()).ok()?))
}

async fn respond(stream: &mut TcpStream, status: &str, words: &str) {
    let page = format!("<!doctype html><meta charset=utf-8><title>ferroform</title><p>{words}\n");
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: \
         no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_carries_the_state_is_listened_to() {
        let state = Secret::from("s3cret");
        let of = |target: &str| Answer::of(&format!("GET {target} HTTP/1.1"), &state);
        assert!(matches!(of("/login?code=a%2Fb&state=s3cret"), Answer::Code(code) if code.expose() == "a/b"));
        assert!(
            matches!(of("/login?error=access_denied&state=s3cret"), Answer::Denied(why) if why == "access_denied")
        );
        assert!(matches!(of("/login?state=s3cret"), Answer::Denied(_)));
        for other in ["/login?code=a&state=other", "/login?code=a", "/favicon.ico", "/login"] {
            assert!(matches!(of(other), Answer::Other), "{other}");
        }
        assert!(matches!(Answer::of("POST /login?code=a&state=s3cret HTTP/1.1", &state), Answer::Other));
    }
}
