//! The single checks of `ferroform doctor`.

use crate::options::{ServeOptions, Tls};
use db::Db;
use serde::Serialize;
use std::path::Path;

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
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            check("data directory", Verdict::Ok, format!("{shown} will be made by the first start"))
        }
        Err(error) => check("data directory", Verdict::Fail, format!("{shown}: {error}")),
        Ok(metadata) if metadata.uid() != nix::unistd::geteuid().as_raw() => {
            check("data directory", Verdict::Fail, format!("{shown} belongs to another user; change its owner"))
        }
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
            check("data directory", Verdict::Warn, format!("{shown} is open to others; a start sets its mode to 0700"))
        }
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
            check("disk", verdict, format!("{:.1} GiB free at {}", free as f64 / f64::from(1 << 30), dir.display()))
        }
        Err(error) => check("disk", Verdict::Warn, format!("{}: {error}", dir.display())),
    }
}

/// Whether the address is free, or a server answers there.
pub fn listen(options: &ServeOptions) -> Check {
    let address = options.listen;
    match std::net::TcpListener::bind(address) {
        Ok(_) => check("address", Verdict::Ok, format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            check("address", Verdict::Note, format!("{address} is in use: by a running server, or choose another with --listen"))
        }
        Err(error) => check("address", Verdict::Fail, format!("{address}: {error}; choose another with --listen")),
    }
}

/// Whether the database answers.
pub async fn database(options: &ServeOptions) -> Check {
    let url = match &options.database_file {
        Some(file) => match std::fs::read_to_string(file) {
            Ok(text) => text.trim().to_owned(),
            Err(error) => return check("database", Verdict::Fail, format!("{}: {error}", file.display())),
        },
        None => options.database.clone(),
    };
    if url == "sqlite" {
        let file = options.data_dir.join("ferroform.db");
        if !file.exists() {
            return check("database", Verdict::Ok, format!("SQLite; {} will be made by the first start", file.display()));
        }
        return match Db::sqlite(&file, 1).await {
            Ok(db) => answered(db, format!("SQLite at {}", file.display())).await,
            Err(error) => check("database", Verdict::Fail, format!("{}: {error}", file.display())),
        };
    }
    match Db::postgres(&url, 2).await {
        Ok(db) => answered(db, "PostgreSQL".to_owned()).await,
        Err(error) => check("database", Verdict::Fail, format!("PostgreSQL: {error}; check the host, port, user and password of its URL")),
    }
}

async fn answered(db: Db, what: String) -> Check {
    match db.ping().await {
        Ok(()) => check("database", Verdict::Ok, format!("{what} answers")),
        Err(error) => check("database", Verdict::Fail, format!("{what}: {error}")),
    }
}

/// What protects connections.
pub fn certificates(options: &ServeOptions) -> Vec<Check> {
    match &options.tls {
        Tls::Off => vec![check(
            "tls",
            if options.listen.ip().is_loopback() { Verdict::Note } else { Verdict::Warn },
            "off: tokens travel in the clear unless something in front of the server encrypts",
        )],
        Tls::Auto => {
            let authority = options.data_dir.join("ca.pem");
            let detail = if authority.exists() {
                format!("own authority; clients must trust {}", authority.display())
            } else {
                "own authority; will be made by the first start".to_owned()
            };
            vec![check("tls", Verdict::Ok, detail)]
        }
        Tls::Files(cert, key) => [cert, key]
            .into_iter()
            .map(|file| match std::fs::read(file) {
                Ok(_) => check("tls", Verdict::Ok, file.display().to_string()),
                Err(error) => check("tls", Verdict::Fail, format!("{}: {error}", file.display())),
            })
            .collect(),
    }
}
