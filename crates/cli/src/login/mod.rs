//! `ferroform login` and `logout`: a token where Terraform keeps its own.
//!
//! The token comes from the person's browser where the server offers `login.v1`, else it is pasted. It is tried before it
//! is stored, so that what worked is never replaced by what does not.

mod browser;

use crate::{
    connection::{self, host_of},
    credentials,
    desk::{self, Desk},
    failure::Failure,
    place::ServerArgs,
    world::World,
};
use client::{Account, Client, Endpoint};
use kernel::Secret;
use serde_json::json;
use std::{
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Bytes of a token that are read; more than any has.
const LONGEST_TOKEN: u64 = 1 << 16;

/// `ferroform login`
#[derive(clap::Args, Clone, Debug)]
pub struct LoginArgs {
    /// Server, as host:port or a URL [default: the one that the environment or the folder names]
    #[arg(value_name = "HOST")]
    host: Option<String>,

    /// Read the token from standard input, for automation
    #[arg(long, conflicts_with = "paste")]
    token_stdin: bool,

    /// Ask for a token even where the server would sign you in by a browser
    #[arg(long)]
    paste: bool,

    /// Do not open a browser; only print the address
    #[arg(long)]
    no_browser: bool,

    #[command(flatten)]
    server: Trust,

    /// Write one JSON document to standard output, for programs
    #[arg(long, help_heading = "How")]
    json: bool,
}

/// Whom to trust.
#[derive(clap::Args, Clone, Debug, Default)]
struct Trust {
    /// PEM certificates to trust besides the system's (which SSL_CERT_FILE replaces)
    #[arg(long, value_name = "FILE", env = "FERROFORM_CA_FILE")]
    ca_file: Option<PathBuf>,
}

/// `ferroform logout`
#[derive(clap::Args, Clone, Debug)]
pub struct LogoutArgs {
    /// Server, as host:port or a URL [default: the one that the environment or the folder names]
    #[arg(value_name = "HOST")]
    host: Option<String>,

    /// Write one JSON document to standard output, for programs
    #[arg(long, help_heading = "How")]
    json: bool,
}

/// Signs in, in the process's own surroundings.
pub async fn login(args: LoginArgs) -> ExitCode {
    let world = World::of_process(args.json);
    ExitCode::from(login_in(&args, world).await)
}

/// Signs out, in the process's own surroundings.
pub async fn logout(args: LogoutArgs) -> ExitCode {
    let world = World::of_process(args.json);
    ExitCode::from(logout_in(&args, world).await)
}

/// Signs in, in the given surroundings, and returns the exit status.
pub async fn login_in(args: &LoginArgs, world: World) -> u8 {
    desk::run(args, world, args.json, |args, desk| Box::pin(sign_in(args, desk))).await
}

/// Signs out, in the given surroundings, and returns the exit status.
pub async fn logout_in(args: &LogoutArgs, world: World) -> u8 {
    desk::run(args, world, args.json, |args, desk| Box::pin(sign_out(args, desk))).await
}

/// The server that is meant.
fn address(host: Option<&str>, desk: &Desk) -> Result<String, Failure> {
    let server = ServerArgs { address: host.map(str::to_owned), ..ServerArgs::default() };
    let found = server.address(&desk.world, Path::new("."))?;
    found.map(|address| address.text).ok_or_else(|| {
        let detail = "Say which: `ferroform login HOST`, as tfe.example.com or localhost:8443.".to_owned();
        Failure::Plain("No server is named", detail)
    })
}

fn file(desk: &Desk) -> Result<PathBuf, Failure> {
    credentials::file(&desk.world).ok_or_else(|| {
        let detail =
            "HOME is not set, so there is no place for credentials. Set TF_TOKEN_<host> instead.".to_owned();
        Failure::Plain("No home directory", detail)
    })
}

async fn sign_in(args: &LoginArgs, desk: &mut Desk) -> Result<u8, Failure> {
    let address = address(args.host.as_deref(), desk)?;
    let path = file(desk)?;
    let client = |token: Secret| {
        let mut endpoint = Endpoint::new(address.clone(), token);
        endpoint.ca_file = args.server.ca_file.clone();
        Client::new(endpoint)
    };
    let host = host_of(&address);
    let token = obtain(args, desk, &client(Secret::default())?).await?;
    let account = verify(&client(token.clone())?).await?;
    credentials::store(&path, &host, &token)?;
    let document = json!({"host": host, "username": account.username, "file": path});
    desk.answer(&document, |style| {
        format!(
            "{} to {host} as {}.\nThe token is in {}, for Terraform, OpenTofu and ferroform.",
            style.green("Signed in"),
            style.bold(&account.username),
            path.display()
        )
    });
    if let Some((_, name)) = connection::of_environment(&desk.world, &host, true) {
        let detail = format!("As long as the environment variable {name} is set, it is used instead.");
        desk.warn("Another token wins", &detail);
    }
    Ok(0)
}

/// The token: from standard input, the browser, or a person.
async fn obtain(args: &LoginArgs, desk: &mut Desk, client: &Client) -> Result<Secret, Failure> {
    if args.token_stdin {
        return piped(desk).await;
    }
    // Also finds out whether this is a server that we can speak to, before anybody types a secret.
    let service = client.login_service().await?;
    if desk.world.answers.is_none() || desk.json {
        let detail =
            "Signing in needs a terminal. For automation, pipe a token in: --token-stdin.".to_owned();
        return Err(Failure::Plain("There is nobody to ask", detail));
    }
    if let Some(service) = service.filter(|_| !args.paste) {
        return browser::sign_in(desk, client, &service, !args.no_browser).await;
    }
    let base = client.base_url().as_str().trim_end_matches('/');
    desk.say(&format!(
        "Make a token in your account's settings there, and paste it here:\n\n  {base}/app/settings/tokens\n"
    ));
    let typed = desk.ask_hidden(&format!("Token for {} (not shown):", client.host())).await;
    let missing = || Failure::Plain("Not signed in", "No token was given; nothing has changed.".to_owned());
    typed.map(Secret::new).ok_or_else(missing)
}

async fn piped(desk: &mut Desk) -> Result<Secret, Failure> {
    let failed = |why: String| Failure::Plain("The token cannot be read", why);
    let mut input = std::mem::replace(&mut desk.world.input, Box::new(std::io::empty()));
    let read = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        (&mut input).take(LONGEST_TOKEN).read_to_string(&mut text).map(|_| Secret::new(text))
    });
    let text = read.await.map_err(|e| failed(e.to_string()))?;
    let text = text.map_err(|e| failed(format!("Standard input is no text: {e}.")))?;
    match text.expose().trim() {
        "" => Err(failed("Standard input held none.".to_owned())),
        token => Ok(Secret::from(token)),
    }
}

async fn verify(client: &Client) -> Result<Account, Failure> {
    match client.account().await {
        Err(error) if error.status() == Some(401) => Err(Failure::Plain(
            "The token was refused",
            format!(
                "{} does not accept it: it is wrong, incomplete, revoked or expired. Nothing has been stored.\n\n{error}",
                client.host()
            ),
        )),
        other => Ok(other?),
    }
}

async fn sign_out(args: &LogoutArgs, desk: &mut Desk) -> Result<u8, Failure> {
    let host = host_of(&address(args.host.as_deref(), desk)?);
    let path = file(desk)?;
    let forgotten = credentials::forget(&path, &host)?;
    desk.answer(&json!({"host": host, "forgotten": forgotten, "file": path}), |_| {
        if forgotten {
            format!(
                "Signed out: {} holds no token for {host} any more.\nThe token itself is still good; revoke it in your \
                 account's settings there.",
                path.display()
            )
        } else {
            format!("There was no token for {host} in {}.", path.display())
        }
    });
    if let Some((_, name)) = connection::of_environment(&desk.world, &host, false) {
        desk.warn("There is another token", &format!("The environment variable {name} is still set."));
    }
    Ok(0)
}
