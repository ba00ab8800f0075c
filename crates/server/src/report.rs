//! The single checks of `ferroform doctor`.

use crate::{
    boot,
    options::{ServeOptions, Tls},
    tls::{self, Facts},
};
use db::Db;
use kernel::{Env, Timestamp};
use serde::Serialize;
use std::{error::Error, io, path::Path, time::Duration};

/// Certificates that end sooner are warned about.
const SOON_DAYS: i64 = 14;

/// One line of the report.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, and what to do where it is not well.
    pub detail: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Well.
    Ok,
    /// Neither good nor bad.
    Note,
    /// The server works, with a loss.
    Warn,
    /// The server does not work so.
    Fail,
}

impl Verdict {
    /// For the first column.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "-",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

fn check(name: &str, verdict: Verdict, detail: impl Into<String>) -> Check {
    Check { name: name.to_owned(), verdict, detail: detail.into() }
}

/// Whether the data directory is there, private and ours.
pub fn data_dir(options: &ServeOptions) -> Check {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let dir = &options.data_dir;
    let shown = dir.display();
    match std::fs::metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            check("data directory", Verdict::Ok, format!("{shown} will be made by the first start"))
        }
        Err(error) => check("data directory", Verdict::Fail, format!("{shown}: {error}")),
        Ok(metadata) if metadata.uid() != nix::unistd::geteuid().as_raw() => check(
            "data directory",
            Verdict::Fail,
            format!("{shown} belongs to another user; change its owner"),
        ),
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => check(
            "data directory",
            Verdict::Warn,
            format!("{shown} is open to others; a start sets its mode to 0700"),
        ),
        Ok(_) => check("data directory", Verdict::Ok, format!("{shown}")),
    }
}

/// How much room the disk has.
pub fn disk(options: &ServeOptions) -> Check {
    let mut dir: &Path = &options.data_dir;
    while !dir.exists() {
        dir = dir.parent().unwrap_or(Path::new("/"));
    }
    match nix::sys::statvfs::statvfs(dir) {
        Ok(stat) => {
            let free = stat.blocks_available() * stat.fragment_size();
            let verdict = if free < 1 << 30 { Verdict::Warn } else { Verdict::Ok };
            check(
                "disk",
                verdict,
                format!("{:.1} GiB free at {}", free as f64 / f64::from(1 << 30), dir.display()),
            )
        }
        Err(error) => check("disk", Verdict::Warn, format!("{}: {error}", dir.display())),
    }
}

/// Whether the address is free, or a server answers there.
pub async fn address(options: &ServeOptions) -> Check {
    let address = options.listen;
    match std::net::TcpListener::bind(address) {
        Ok(_) => check("address", Verdict::Ok, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match ask_health(options).await {
            Ok(said) => check("address", Verdict::Ok, format!("a server answers at {address}: {said}")),
            Err(why) => check(
                "address",
                Verdict::Warn,
                format!(
                    "{address} is in use, and no Ferroform with this certificate answers there ({why}); find out who has \
                     it, or choose another with --listen"
                ),
            ),
        },
        Err(error) => {
            check("address", Verdict::Fail, format!("{address}: {error}; choose another with --listen"))
        }
    }
}

/// What a server at the address says of its health.
async fn ask_health(options: &ServeOptions) -> Result<String, Box<dyn Error>> {
    // One provider for the process; a second installation is refused and harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).no_proxy();
    let (scheme, client) = match &options.tls {
        Tls::Off => ("http", client),
        Tls::Auto => {
            let authority = std::fs::read(options.data_dir.join("ca.pem"))?;
            let authority = reqwest::Certificate::from_pem(&authority)?;
            ("https", client.tls_certs_only([authority]))
        }
        // Names and issuers are looked at elsewhere, and nothing secret is sent.
        Tls::Files(..) => ("https", client.tls_danger_accept_invalid_certs(true)),
    };
    let mut address = options.listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let answer = client.build()?.get(format!("{scheme}://{address}/_health_check")).send().await?;
    let status = answer.status();
    let health: serde_json::Value = serde_json::from_slice(&answer.bytes().await?)?;
    let word = health["status"].as_str().ok_or("it says nothing of its health")?;
    Ok(format!("{word} ({status})"))
}

/// Whether the database answers.
pub async fn database(options: &ServeOptions) -> Check {
    let failed = |why: String| check("database", Verdict::Fail, why);
    match options.database.postgres() {
        Err(why) => failed(why),
        Ok(Some(url)) => match Db::postgres(url.expose(), 2).await {
            Ok(db) => answered(db, "PostgreSQL".to_owned()).await,
            Err(error) => failed(boot::plainly(error).to_string()),
        },
        Ok(None) => {
            let file = options.data_dir.join("ferroform.db");
            let shown = file.display();
            if !file.exists() {
                let detail = format!("SQLite; {shown} will be made by the first start");
                return check("database", Verdict::Ok, detail);
            }
            match Db::sqlite(&file, 1).await {
                Ok(db) => answered(db, format!("SQLite at {shown}")).await,
                Err(error) => failed(format!("{shown}: {error}")),
            }
        }
    }
}

async fn answered(db: Db, what: String) -> Check {
    match db.ping().await {
        Ok(()) => check("database", Verdict::Ok, format!("{what} answers")),
        Err(error) => check("database", Verdict::Fail, format!("{what}: {error}")),
    }
}

/// What protects connections: which names it is for, and until when.
pub fn certificates(options: &ServeOptions, now: Timestamp) -> Vec<Check> {
    match &options.tls {
        Tls::Off => vec![check(
            "tls",
            if options.listen.ip().is_loopback() { Verdict::Note } else { Verdict::Warn },
            "off: tokens travel in the clear unless something in front of the server encrypts",
        )],
        Tls::Auto => {
            let (authority, leaf) = (options.data_dir.join("ca.pem"), tls::own_leaf(&options.data_dir));
            if !authority.exists() {
                return vec![check("tls", Verdict::Ok, "own authority; will be made by the first start")];
            }
            vec![
                certificate("tls authority", &authority, now, None, OWN_AUTHORITY),
                certificate("tls certificate", &leaf, now, options.url.as_deref(), OWN_LEAF),
            ]
        }
        Tls::Files(cert, _) => {
            if let Err(error) = tls::load(&options.tls, &options.data_dir, vec![], &Env::real()) {
                return vec![check("tls", Verdict::Fail, error.to_string())];
            }
            vec![certificate("tls certificate", cert, now, options.url.as_deref(), OPERATORS)]
        }
    }
}

const OWN_AUTHORITY: &str = "remove tls/ca.pem, tls/ca-key.pem and tls/leaf.pem to have another made, which clients \
                             must then trust";
const OWN_LEAF: &str = "a start makes another";
const OPERATORS: &str = "replace the files, then send the server SIGHUP";

/// A certificate, for this URL if there is one, with what to do when it is not well.
fn certificate(name: &str, file: &Path, now: Timestamp, url: Option<&str>, what_to_do: &str) -> Check {
    let shown = file.display();
    let facts = std::fs::read_to_string(file).and_then(|pem| Facts::of(&pem));
    let facts = match facts {
        Ok(facts) => facts,
        Err(error) => return check(name, Verdict::Fail, format!("{shown}: {error}; {what_to_do}")),
    };
    let (days, until) = (facts.days_left(now), &facts.not_after.iso8601()[..10]);
    let host = url.and_then(|url| url.parse::<axum::http::Uri>().ok()?.host().map(str::to_owned));
    let missing = host.filter(|host| !facts.is_for(host.trim_matches(['[', ']'])));
    if facts.not_before > now {
        let from = facts.not_before.iso8601();
        let detail = format!("{shown} is good from {from} on only: is the clock right? If so, {what_to_do}");
        return check(name, Verdict::Fail, detail);
    }
    if days < 0 {
        return check(name, Verdict::Fail, format!("{shown} was good until {until}; {what_to_do}"));
    }
    if let Some(host) = missing {
        let names = facts.names.join(", ");
        let detail = format!("{shown} is not for {host} of --url, but for {names}; {what_to_do}");
        return check(name, Verdict::Warn, detail);
    }
    if days < SOON_DAYS {
        return check(name, Verdict::Warn, format!("{shown} is good until {until} only; {what_to_do}"));
    }
    let names =
        if facts.names.is_empty() { String::new() } else { format!(" for {}", facts.names.join(", ")) };
    check(name, Verdict::Ok, format!("{shown}{names}, until {until}"))
}
