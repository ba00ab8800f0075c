//! A server on one of the databases, with every engine of the matrix, and the folder that its rows live in.

use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;
use xtask::api::Api;
use xtask::engines;
use xtask::postgres::{Durability, Postgres};
use xtask::server::{Server, Tls};

use crate::versions::{Tool, Version};

/// Of a server that many rows share: each waits for the command line's own sleeps most of the time.
pub(crate) const RUNNERS: u32 = 8;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, clap::ValueEnum)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

pub(crate) struct House {
    pub(crate) database: Database,
    pub(crate) api: Api,
    pub(crate) token: String,
    pub(crate) url: String,
    pub(crate) authority: PathBuf,
    /// The server program.
    pub(crate) ferroform: PathBuf,
    pub(crate) data_dir: PathBuf,
    /// The provider mirror.
    pub(crate) mirror: PathBuf,
    folder: TempDir,
    // In this order: the server goes before its database.
    server: Server,
    postgres: Option<Postgres>,
}

impl House {
    /// Starts the server `ferroform`, which finds each of `versions` as a workspace asks for it, and works on `runners` runs
    /// at the same time.
    pub(crate) fn open(
        ferroform: &Path,
        versions: &[Version],
        database: Database,
        runners: u32,
    ) -> Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("conformance-").tempdir().context("no temporary folder")?;
        let engines_folder = folder.path().join("engines");
        for version in versions {
            let name = if version.tool == Tool::Terraform { "terraform" } else { "tofu" };
            let place = engines_folder.join(name).join(&version.full);
            std::fs::create_dir_all(&place).context("cannot make a folder for engines")?;
            symlink(&version.program, place.join(name)).context("cannot link an engine")?;
        }
        let mirror = engines::null_provider_mirror()?;
        let postgres = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(Postgres::start(Durability::ThrowAway)?),
        };
        let mut options: Vec<OsString> = vec!["--engine".into(), engines_folder.into()];
        for version in versions {
            // An engine of the recipe has its library beside it.
            let folder = version.program.parent().context("a program lies in a folder")?;
            options.extend(["--run-read".into(), folder.into()]);
        }
        options.extend(["--provider-mirror".into(), mirror.clone().into()]);
        options.extend(["--runners".into(), runners.to_string().into(), "--no-engine-download".into()]);
        if let Some(postgres) = &postgres {
            options.extend(["--database".into(), postgres.url().into()]);
        }
        let server = Server::start(ferroform, Tls::Own, &options)?;
        Ok(Self {
            database,
            api: server.api()?,
            token: server.token()?,
            url: server.url().to_owned(),
            authority: server.authority_file(),
            ferroform: ferroform.to_owned(),
            data_dir: server.data_dir(),
            mirror,
            folder,
            server,
            postgres,
        })
    }

    /// `127.0.0.1:PORT`, as the command line knows the server.
    pub(crate) fn host(&self) -> &str {
        self.url.trim_start_matches("https://")
    }

    /// Where PostgreSQL is.
    pub(crate) fn database_url(&self) -> Option<&str> {
        self.postgres.as_ref().map(Postgres::url)
    }

    /// A new folder for one row.
    pub(crate) fn room(&self, name: &str) -> Result<PathBuf> {
        let room = self.folder.path().join(name);
        std::fs::create_dir(&room).with_context(|| format!("cannot make {}", room.display()))?;
        Ok(room)
    }

    /// The last lines of what the server said.
    pub(crate) fn last_words(&self) -> String {
        self.server.log_tail()
    }
}
