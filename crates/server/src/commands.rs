//! The small commands: `token` and `version`.

use crate::{
    assemble::assemble,
    boot::{self, Failure},
    options::{self, ServeOptions},
};
use accounts::tokens;
use http_api::{App, audit};
use kernel::{Env, Timestamp};
use serde_json::json;
use std::{ffi::OsString, io::Write, path::PathBuf};

/// Whose data a command works on: a server's, which may be running or stopped.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ServerArgs {
    /// Folder of the server, which may be running or stopped [default and environment: as for `serve`]
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// TOML file of the server [default and environment: as for `serve`]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Its database [default and environment: as for `serve`]
    #[arg(long, value_name = "DATABASE", global = true)]
    database: Option<String>,
    /// File that holds the value of --database
    #[arg(long, value_name = "FILE", global = true)]
    database_file: Option<PathBuf>,
    /// One JSON document on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// `ferroform token`
#[derive(clap::Args, Clone, Debug)]
pub struct TokenArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum TokenCommand {
    /// Make a token for a user; it is shown this once
    Create {
        /// Whose token
        #[arg(long, value_name = "NAME", default_value = accounts::bootstrap::ADMIN)]
        user: String,
        /// What it is for
        #[arg(long, value_name = "TEXT", default_value = "made on the server's command line")]
        description: String,
        /// Days that it is good for [default: 730]
        #[arg(long, value_name = "DAYS")]
        days: Option<i64>,
    },
    /// List all tokens, without their text
    List,
    /// Revoke a token by its id; a running server refuses it within 5 seconds
    Revoke {
        /// For example at-1234567890abcdef
        id: String,
    },
}

/// Runs `token`.
///
/// # Errors
/// With a sentence for the operator.
pub async fn token(args: TokenArgs) -> Result<(), Failure> {
    let (app, json) = (args.server.open().await?, args.server.json);
    match args.command {
        TokenCommand::Create { user, description, days } => {
            let making = tokens::create_for(&app, &user, &description, days);
            let of = ("users", user.as_str());
            let made = audited(&app, "command.token.create", "ferroform token create", of, making).await;
            let (id, text) = made.map_err(|e| {
                if matches!(e, kernel::Error::NotFound) {
                    format!("there is no user {user}")
                } else {
                    e.to_string()
                }
            })?;
            if json {
                say(&json!({ "id": id, "user": user, "token": text.expose() }).to_string());
            } else {
                say(text.expose());
                note(&format!("{id} for {user}; the text above is shown this once"));
            }
        }
        TokenCommand::List => list(&tokens::list_all(&app).await?, json),
        TokenCommand::Revoke { id } => {
            if !tokens::list_all(&app).await?.iter().any(|token| token.id.as_str() == id) {
                return Err(
                    format!("there is no token {id}; `ferroform token list` shows those there are").into()
                );
            }
            let token = id.as_str().into();
            let of = ("authentication-tokens", id.as_str());
            let revoking = tokens::revoke(&app, &token);
            audited(&app, "command.token.revoke", "ferroform token revoke", of, revoking).await?;
            if json { say(&json!({ "revoked": id }).to_string()) } else { note(&format!("revoked {id}")) }
        }
    }
    Ok(())
}

fn list(all: &[tokens::Listed], as_json: bool) {
    let day =
        |at: Option<Timestamp>, never: &str| at.map_or(never.to_owned(), |at| at.iso8601()[..10].to_owned());
    if as_json {
        let rows: Vec<_> = all
            .iter()
            .map(|t| {
                json!({
                    "id": t.id, "kind": t.kind, "user": t.username, "description": t.description,
                    "created-at": t.created_at.iso8601(), "expires-at": t.expires_at.map(Timestamp::iso8601),
                    "last-used-at": t.last_used_at.map(Timestamp::iso8601),
                })
            })
            .collect();
        return say(&json!(rows).to_string());
    }
    let width = all.iter().map(|t| t.username.len()).max().unwrap_or(0).max(4);
    say(&format!(
        "{:<20} {:<12} {:<width$} {:<10} {:<10} {:<10} DESCRIPTION",
        "ID", "KIND", "USER", "CREATED", "EXPIRES", "LAST USED"
    ));
    for t in all {
        say(&format!(
            "{:<20} {:<12} {:<width$} {:<10} {:<10} {:<10} {}",
            t.id.to_string(),
            t.kind,
            t.username,
            day(Some(t.created_at), ""),
            day(t.expires_at, "never"),
            day(t.last_used_at, "never"),
            t.description
        ));
    }
}

/// Does what a command does, with its entry in the audit trail.
pub(crate) async fn audited<T>(
    app: &App,
    operation: &'static str,
    command: &'static str,
    of: (&str, &str),
    work: impl Future<Output = kernel::Result<T>>,
) -> kernel::Result<T> {
    let own = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    let own = own.map_or_else(|| format!("uid {}", nix::unistd::getuid()), |user| user.name);
    let by = match std::env::var("SUDO_USER") {
        Ok(who) if !who.is_empty() => format!("{who} (as {own})"),
        _ => own,
    };
    audit::command(app, &by, operation, command, of, work).await
}

impl ServerArgs {
    /// The server's parts, without its runner.
    ///
    /// # Errors
    /// With a sentence for the operator.
    pub(crate) async fn open(&self) -> Result<App, Failure> {
        let options = self.server()?;
        let dir = existing(&options)?;
        let mut plan = boot::blueprint(&options, &dir, "http://localhost", Env::real())?;
        plan.runners = 0;
        Ok(assemble(plan).await?.app)
    }

    /// The server's own options, as far as these arguments tell.
    fn server(&self) -> Result<ServeOptions, Failure> {
        let text = |path: &PathBuf| path.clone().into_os_string();
        let given = [
            ("--data-dir", self.data_dir.as_ref().map(text)),
            ("--config", self.config.as_ref().map(text)),
            ("--database", self.database.as_ref().map(OsString::from)),
            ("--database-file", self.database_file.as_ref().map(text)),
        ];
        let flags = given.into_iter().filter_map(|(flag, value)| Some([OsString::from(flag), value?]));
        Ok(options::parse(std::iter::once("serve".into()).chain(flags.flatten()).collect())?)
    }
}

fn existing(options: &ServeOptions) -> Result<PathBuf, Failure> {
    let dir = &options.data_dir;
    if !dir.join("root.key").exists() && std::env::var_os("FERROFORM_ROOT_KEY").is_none() {
        let dir = dir.display();
        return Err(format!("{dir} is not the data directory of a server; name it with --data-dir, or start `ferroform serve` first").into());
    }
    Ok(std::fs::canonicalize(dir)?)
}

/// Runs `version`.
pub fn version(as_json: bool) {
    let version = env!("CARGO_PKG_VERSION");
    if as_json {
        say(&json!({ "version": version, "os": std::env::consts::OS, "arch": std::env::consts::ARCH })
            .to_string());
    } else {
        say(&format!("ferroform {version} ({}/{})", std::env::consts::OS, std::env::consts::ARCH));
    }
}

/// A line on standard output; a reader that went away is no error.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// A line for the person beside the output.
pub(crate) fn note(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
