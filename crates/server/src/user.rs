//! `ferroform user`: who may sign in, and how. On the server's machine, beside it or while it is stopped.

use crate::{
    boot::Failure,
    commands::{ServerArgs, audited, note, say},
};
use accounts::{bootstrap, passwords, people, sign_in};
use http_api::App;
use kernel::{Error, Secret};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use serde_json::json;
use std::io::{BufRead, IsTerminal, Write, stderr, stdin};

/// `ferroform user`
#[derive(clap::Args, Clone, Debug)]
pub struct UserArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum UserCommand {
    /// Make a user, who signs in with a link at first
    Create {
        /// Unique name: letters, digits, hyphens, underscores, dots
        name: String,
        /// Their address
        #[arg(long, value_name = "ADDRESS")]
        email: String,
        /// They administrate the whole installation
        #[arg(long)]
        site_admin: bool,
    },
    /// List all users
    List,
    /// Set a user's password, typed twice or from standard input; they are signed out everywhere
    Password {
        /// Whose
        name: String,
    },
    /// Print a link with which a user signs in; it works once, for 15 minutes
    Link {
        /// Whose
        #[arg(default_value = bootstrap::ADMIN)]
        name: String,
        /// Address of the server in the link [default: as the server was started last]
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
    /// Sign a user out everywhere, and refuse their password and tokens from now on
    Suspend {
        /// Who
        name: String,
    },
    /// Take away a user's second factor, which they have lost; their password alone signs them in then
    NoTwoFactor {
        /// Whose
        name: String,
    },
    /// End a suspension
    Resume {
        /// Who
        name: String,
    },
}

/// Runs `user`.
///
/// # Errors
/// With a sentence for the operator.
pub async fn user(args: UserArgs) -> Result<(), Failure> {
    let (app, as_json) = (args.server.open().await?, args.server.json);
    let done = |name: &str, what: &str| {
        if as_json {
            say(&json!({ "user": name, "done": what }).to_string());
        } else {
            note(&format!("{what} {name}"));
        }
    };
    match args.command {
        UserCommand::Create { name, email, site_admin } => {
            let making = people::create(&app, &name, &email, site_admin);
            let made =
                audited(&app, "command.user.create", "ferroform user create", ("users", &name), making).await;
            made.map_err(|e| plainly(e, &name))?;
            done(&name, "made");
            if !as_json {
                note(&format!("let them sign in with: ferroform user link {name}"));
            }
        }
        UserCommand::List => list(&people::list(&app).await?, as_json),
        UserCommand::Password { name } => {
            people::find(&app, &name).await.map_err(|e| plainly(e, &name))?;
            let password = read_password(&name).await?;
            let setting = people::set_password(&app, &name, &password);
            let of = ("users", name.as_str());
            let set = audited(&app, "command.user.password", "ferroform user password", of, setting).await;
            set.map_err(|e| plainly(e, &name))?;
            done(&name, "set the password of");
        }
        UserCommand::Link { name, url } => link(&app, &name, url, as_json).await?,
        UserCommand::Suspend { name } => {
            let suspending = people::suspend(&app, &name, true);
            let of = ("users", name.as_str());
            let changed =
                audited(&app, "command.user.suspend", "ferroform user suspend", of, suspending).await;
            changed.map_err(|e| plainly(e, &name))?;
            done(&name, "suspended");
        }
        UserCommand::NoTwoFactor { name } => {
            let turning = people::turn_two_factor_off(&app, &name);
            let of = ("users", name.as_str());
            let changed =
                audited(&app, "command.user.no-two-factor", "ferroform user no-two-factor", of, turning)
                    .await;
            changed.map_err(|e| plainly(e, &name))?;
            done(&name, "took away the second factor of");
        }
        UserCommand::Resume { name } => {
            let resuming = people::suspend(&app, &name, false);
            let of = ("users", name.as_str());
            let changed = audited(&app, "command.user.resume", "ferroform user resume", of, resuming).await;
            changed.map_err(|e| plainly(e, &name))?;
            done(&name, "ended the suspension of");
        }
    }
    Ok(())
}

fn plainly(error: Error, name: &str) -> Failure {
    match error {
        Error::NotFound => {
            format!("there is no user {name}; `ferroform user list` shows those there are").into()
        }
        Error::Invalid(why) => {
            let why: Vec<_> = why.into_iter().map(|(_, message)| message).collect();
            why.join("; ").into()
        }
        Error::Conflict { detail, .. } | Error::Unprocessable(detail) => detail.into(),
        other => other.into(),
    }
}

async fn link(app: &App, name: &str, url: Option<String>, as_json: bool) -> Result<(), Failure> {
    let url = match url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => bootstrap::remembered_url(app)
            .await?
            .ok_or("the server was never started with this data: say its address with --url")?,
    };
    let making = sign_in::make_link(app, name);
    let made = audited(app, "command.user.link", "ferroform user link", ("users", name), making).await;
    let secret = made.map_err(|e| plainly(e, name))?;
    let link = format!("{url}/sign-in/link/{}", secret.expose());
    if as_json {
        say(&json!({ "user": name, "url": link, "seconds": sign_in::LINK_SECONDS }).to_string());
    } else {
        say(&link);
        let minutes = sign_in::LINK_SECONDS / 60;
        note(&format!("whoever opens it within {minutes} minutes is {name}; it works once"));
    }
    Ok(())
}

fn list(all: &[people::Person], as_json: bool) {
    if as_json {
        let rows: Vec<_> = all
            .iter()
            .map(|p| {
                json!({
                    "id": p.id, "username": p.username, "email": p.email, "site-admin": p.site_admin,
                    "suspended": p.suspended, "password": p.password, "created-at": p.created_at.iso8601(),
                })
            })
            .collect();
        return say(&json!(rows).to_string());
    }
    let width = all.iter().map(|p| p.username.len()).max().unwrap_or(0).max(4);
    say(&format!("{:<width$} {:<10} {:<9} {:<10} EMAIL", "NAME", "ROLE", "PASSWORD", "STATE"));
    for p in all {
        say(&format!(
            "{:<width$} {:<10} {:<9} {:<10} {}",
            p.username,
            if p.site_admin { "site admin" } else { "user" },
            if p.password { "yes" } else { "no" },
            if p.suspended { "suspended" } else { "active" },
            p.email
        ));
    }
}

/// From a person, twice and unseen; else the first line of standard input.
async fn read_password(name: &str) -> Result<Secret, Failure> {
    let terminal = stdin().is_terminal();
    let reading = async {
        let first = read_line(terminal.then(|| format!("New password for {name}: "))).await?;
        // Said before it is typed again.
        if let Some(why) = passwords::weakness(name, first.expose()) {
            return Err(why.into());
        }
        if terminal && read_line(Some("The same again: ".to_owned())).await? != first {
            return Err("the two differ; nothing was changed".into());
        }
        Ok(first)
    };
    let _unseen = terminal.then(Unseen::begin).transpose()?;
    tokio::select! {
        read = reading => read,
        // Otherwise the terminal would go on to show nothing that is typed.
        _ = tokio::signal::ctrl_c() => Err("interrupted; nothing was changed".into()),
    }
}

async fn read_line(prompt: Option<String>) -> Result<Secret, Failure> {
    let line = tokio::task::spawn_blocking(move || {
        if let Some(prompt) = &prompt {
            let _ = write!(stderr(), "{prompt}");
        }
        let mut line = String::new();
        let read = stdin().lock().read_line(&mut line).map(|_| Secret::new(line));
        if prompt.is_some() {
            let _ = writeln!(stderr());
        }
        read
    });
    let line = line.await??;
    Ok(Secret::from(line.expose().trim_end_matches(['\r', '\n'])))
}

/// While it lives, the terminal does not show what is typed.
struct Unseen(nix::sys::termios::Termios);

impl Unseen {
    fn begin() -> Result<Self, Failure> {
        let before = tcgetattr(stdin())?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(stdin(), SetArg::TCSAFLUSH, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), SetArg::TCSAFLUSH, &self.0);
    }
}
