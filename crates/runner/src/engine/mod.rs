//! Which program runs a configuration: Terraform or OpenTofu, where it comes from, and why that one.
//!
//! Places are tried in order, and the first that has a version that will do wins: what the operator configured, `PATH`,
//! the cache in the data directory, a download. So `latest` means what the first place has, and only where no place of
//! this machine has anything the newest release. Ferroform ships no engine and by itself downloads only OpenTofu.
//!
//! A configured path may be a program or a directory of programs. There as in the cache, versions are kept side by side
//! as `terraform/1.9.8/terraform` and `tofu/1.9.0/tofu`; an operator may put some there.
//!
//! Reading order: [`Engines::resolve`], [`places`], [`download`], [`openpgp`], [`version`].

mod download;
mod openpgp;
mod places;
mod version;

use download::{DownloadError, Downloader, Source};
use places::{Candidate, Identity, Prober};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt::{self, Write},
    path::PathBuf,
};
use version::Wanted;

/// Which program runs configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    /// HashiCorp Terraform.
    Terraform,
    /// OpenTofu.
    Tofu,
}

impl fmt::Display for Tool {
    /// As the program's file is called.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terraform => "terraform",
            Self::Tofu => "tofu",
        })
    }
}

/// Where an engine was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The path that the operator configured.
    Configured,
    /// A directory of `PATH`.
    Path,
    /// The cache in the data directory.
    Cache,
    /// Downloaded just now; the next time it is in the cache.
    Downloaded,
}

impl fmt::Display for Origin {
    /// As the place is called in findings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configured => "configured",
            Self::Path => "PATH",
            Self::Cache => "cache",
            Self::Downloaded => "download",
        })
    }
}

/// The places of this machine, in the order in which they are tried.
const LOCAL: [Origin; 3] = [Origin::Configured, Origin::Path, Origin::Cache];

/// A program that can run configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// The program, with links followed. A run must be able to read and execute it.
    pub path: PathBuf,
    /// Which program it is.
    pub tool: Tool,
    /// What it says its version is: `1.11.4`.
    pub version: String,
    /// Where it was found.
    pub origin: Origin,
}

/// Where engines are looked for.
#[derive(Clone, Debug, Default)]
pub struct EngineConfig {
    /// A program, or a directory of them (see the module's documentation). One that does not work is an error.
    pub configured: Option<PathBuf>,
    /// The value of `PATH`; only absolute entries count.
    pub search_path: Option<OsString>,
    /// Where downloaded engines are kept. Created when needed.
    pub cache_dir: PathBuf,
    /// Base URL of a mirror of OpenTofu's releases, with `tofu/api.json` and `tofu/VERSION/FILE` below it. Its
    /// project's own release host when absent.
    pub mirror: Option<String>,
    /// Base URL of a mirror of Terraform's releases, with `terraform/index.json` and `terraform/VERSION/FILE` below it.
    /// Terraform is never downloaded when absent: its licence from 1.6 on, BUSL-1.1, is the operator's to accept.
    pub terraform_mirror: Option<String>,
    /// Files with OpenPGP public keys that may sign releases. OpenTofu's own is trusted besides; for Terraform,
    /// HashiCorp's (<https://www.hashicorp.com/.well-known/pgp-key.txt>) has to be given.
    pub mirror_keys: Vec<PathBuf>,
    /// Whether anything may be downloaded.
    pub download: bool,
}

/// An archive of a version that is an installation's own.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Archive {
    /// Where it is: a zip file that holds the program.
    pub url: String,
    /// Its SHA-256, in lower-case hex.
    pub sha256: String,
    /// What it is for: `linux_amd64`.
    pub platform: String,
}

/// One place that was looked at, for `doctor`, the server's log and a run's log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Which kind of place.
    pub place: Origin,
    /// A path, a search path, or a URL; empty where there is nothing to name.
    pub subject: String,
    /// What was found there, and why it was taken or not.
    pub outcome: String,
    /// Whether this was taken.
    pub chosen: bool,
}

/// Why there is no engine. Displayed on several lines: what was asked, where it was looked for, what was found there,
/// and what to do.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The version asked for is no version.
    #[error("the workspace's engine version cannot be understood: {0}")]
    Version(String),
    /// What the operator configured is no engine. Nothing else is tried then.
    #[error(
        "the configured engine {path} cannot be used: {reason}\nCorrect the server's setting for the engine, or remove \
         it to use one from PATH.",
        path = path.display()
    )]
    Configured {
        /// The path that was configured.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A version of the installation's own cannot be had.
    #[error(
        "{asked} cannot be used: {reason}\nA site admin can correct the URL and the checksum of this version; until then, \
         choose another one."
    )]
    Own {
        /// `terraform 1.9.8`.
        asked: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No place has what was asked for.
    #[error("{}", not_found(.asked, .looked))]
    NotFound {
        /// `terraform 1.9.8`.
        asked: String,
        /// Every place, in the order in which they were tried.
        looked: Vec<Finding>,
    },
}

fn not_found(asked: &str, looked: &[Finding]) -> String {
    let mut text = format!("No engine was found for {asked}. Looked for it here:\n");
    for Finding { place, subject, outcome, .. } in looked {
        let subject = if subject.is_empty() { String::new() } else { format!("{subject}: ") };
        writeln!(text, "  {:<11} {subject}{outcome}", place.to_string())
            .expect("writing to a string does not fail");
    }
    text + "Set the workspace's Terraform version to one that was found, or have the server's operator provide this one: on \
            the PATH of `ferroform serve`, or by its option --engine (`ferroform doctor` says more)."
}

/// Finds engines, and remembers what it found out about each program.
#[derive(Debug)]
pub struct Engines {
    config: EngineConfig,
    prober: Prober,
    downloader: Downloader,
    /// One download at a time: the others find its result in the cache.
    downloading: tokio::sync::Mutex<()>,
}

impl Engines {
    /// Looks nowhere yet.
    pub fn new(config: EngineConfig) -> Self {
        Self {
            config,
            prober: Prober::default(),
            downloader: Downloader::default(),
            downloading: tokio::sync::Mutex::new(()),
        }
    }

    /// Finds an engine of a version: `1.9.8`, a constraint such as `~> 1.9.0`, `latest` or none. Programs are asked for
    /// their version once; afterwards this costs a few looks at the file system.
    ///
    /// # Errors
    /// When no place has it, when it cannot be downloaded or verified, or when the configured engine does not work.
    pub async fn resolve(&self, tool: Tool, version: Option<&str>) -> Result<Engine, EngineError> {
        let wanted = Wanted::parse(version).map_err(EngineError::Version)?;
        let mut looked = Vec::new();
        if let Some(engine) = self.local(tool, &wanted, &mut looked).await? {
            return Ok(engine);
        }
        // A command line that somebody built says it is `1.9.8-dev` and sets its workspaces to that.
        if let Some(release) = wanted.without_dev()
            && let Some(engine) = self.local(tool, &release, &mut Vec::new()).await?
        {
            return Ok(engine);
        }
        let _alone = self.downloading.lock().await;
        // Somebody else may have downloaded it while this waited.
        if let Some(engine) = self.local(tool, &wanted, &mut Vec::new()).await? {
            return Ok(engine);
        }
        let (subject, error) = match Source::of(tool, &self.config) {
            Err(error) => (String::new(), error),
            Ok(source) => match self.download(&source, tool, &wanted).await {
                Ok(engine) => return Ok(engine),
                Err(error) => (String::new(), error),
            },
        };
        looked.push(Finding {
            place: Origin::Downloaded,
            subject,
            outcome: error.to_string(),
            chosen: false,
        });
        Err(EngineError::NotFound { asked: format!("{tool} {wanted}"), looked })
    }

    /// A version that is the installation's own: from its archive for this platform, which is kept by its checksum. No other
    /// place counts. The program may say that it is any version of the tool.
    ///
    /// # Errors
    /// When there is none for this platform, when it cannot be downloaded, or when it is not what was noted.
    pub async fn own(&self, tool: Tool, version: &str, archives: &[Archive]) -> Result<Engine, EngineError> {
        let failed = |reason: String| EngineError::Own { asked: format!("{tool} {version}"), reason };
        let platform = download::platform();
        let archive = archives.iter().find(|archive| archive.platform == platform);
        let archive = archive.ok_or_else(|| failed(format!("it has no archive for {platform}")))?;
        let folder = self.config.cache_dir.join("own").join(tool.to_string()).join(&archive.sha256);
        let path = folder.join(tool.to_string());
        let mut origin = Origin::Cache;
        if !path.is_file() {
            let _alone = self.downloading.lock().await;
            if !path.is_file() {
                let fetched =
                    Downloader::fetch_own(tool, &archive.url, &archive.sha256, &self.config.cache_dir);
                fetched
                    .await
                    .and_then(|unproven| unproven.keep(&folder))
                    .map_err(|e| failed(e.to_string()))?;
                origin = Origin::Downloaded;
            }
        }
        let path = path.canonicalize().unwrap_or(path);
        match self.prober.identify(&path).await {
            Ok(found) if found.tool == tool => {
                Ok(Engine { path, tool, version: found.version.to_string(), origin })
            }
            Ok(found) => Err(failed(format!("the program in {} says it is {found}", archive.url))),
            Err(reason) => Err(failed(format!("the program in {}: {reason}", archive.url))),
        }
    }

    /// The engines of a tool that are on this machine, one of each version, the newest first. Downloads nothing.
    pub async fn installed(&self, tool: Tool) -> Vec<Engine> {
        let mut found = BTreeMap::new();
        for origin in LOCAL {
            for Candidate { real: path, identity, .. } in
                self.prober.candidates(&self.config, origin, tool).await
            {
                let Ok(identity) = identity else { continue };
                if identity.tool == tool {
                    let version = identity.version.to_string();
                    found.entry(identity.version).or_insert(Engine { path, tool, version, origin });
                }
            }
        }
        found.into_values().rev().collect()
    }

    /// What a new workspace gets: the configured engine; else one from `PATH`, Terraform before OpenTofu; else one from
    /// the cache; else the newest OpenTofu, downloaded.
    ///
    /// # Errors
    /// As [`Engines::resolve`].
    pub async fn default_engine(&self) -> Result<Engine, EngineError> {
        for origin in LOCAL {
            for tool in [Tool::Terraform, Tool::Tofu] {
                if let Some(engine) = self.place(origin, tool, &Wanted::Any, &mut Vec::new()).await? {
                    return Ok(engine);
                }
            }
        }
        self.resolve(Tool::Tofu, None).await
    }

    /// Each place that [`Engines::default_engine`] looks at, what is there, and why it is what a new workspace gets or
    /// not. Downloads nothing.
    pub async fn explain(&self) -> Vec<Finding> {
        let mut looked = Vec::new();
        let mut settled = false;
        for origin in LOCAL {
            let mut candidates: Vec<Candidate> = Vec::new();
            for tool in [Tool::Terraform, Tool::Tofu] {
                let more = self.prober.candidates(&self.config, origin, tool).await;
                candidates.extend(more);
            }
            candidates.dedup_by(|one, other| one.real == other.real);
            if candidates.is_empty() {
                looked.push(self.nothing(origin, "engine"));
            }
            for Candidate { path, identity, .. } in candidates {
                let chosen = identity.is_ok() && !settled;
                let outcome = match identity {
                    Ok(found) if chosen => format!("{found}: what a new workspace gets"),
                    Ok(found) => format!("{found}: for workspaces that ask for it"),
                    Err(reason) => format!("cannot be used: {reason}"),
                };
                settled |= chosen || origin == Origin::Configured;
                looked.push(Finding { place: origin, subject: path.display().to_string(), outcome, chosen });
            }
        }
        for tool in [Tool::Tofu, Tool::Terraform] {
            let (subject, outcome) = match Source::of(tool, &self.config) {
                Err(error) => (String::new(), format!("{tool}: {error}")),
                Ok(source) => (
                    source.describe().to_owned(),
                    format!(
                        "{tool}: asked when no other place has what a workspace wants; only signed releases are used"
                    ),
                ),
            };
            let chosen = !settled && tool == Tool::Tofu && !subject.is_empty();
            looked.push(Finding { place: Origin::Downloaded, subject, outcome, chosen });
        }
        looked
    }

    async fn local(
        &self,
        tool: Tool,
        wanted: &Wanted,
        looked: &mut Vec<Finding>,
    ) -> Result<Option<Engine>, EngineError> {
        for origin in LOCAL {
            if let Some(engine) = self.place(origin, tool, wanted, looked).await? {
                return Ok(Some(engine));
            }
        }
        Ok(None)
    }

    /// The first engine in a place that will do, and what was found on the way.
    async fn place(
        &self,
        origin: Origin,
        tool: Tool,
        wanted: &Wanted,
        looked: &mut Vec<Finding>,
    ) -> Result<Option<Engine>, EngineError> {
        let candidates = self.prober.candidates(&self.config, origin, tool).await;
        if candidates.is_empty() {
            looked.push(self.nothing(origin, &tool.to_string()));
        }
        let mut look =
            |subject, outcome| looked.push(Finding { place: origin, subject, outcome, chosen: false });
        let accepts = |version: &semver::Version| match origin {
            Origin::Cache => wanted.accepts_release(version),
            _ => wanted.accepts(version),
        };
        for Candidate { path, real, identity } in candidates {
            let subject = path.display().to_string();
            match identity {
                Ok(Identity { tool: found, version }) if found == tool && accepts(&version) => {
                    return Ok(Some(Engine { path: real, tool, version: version.to_string(), origin }));
                }
                Ok(found) => look(subject, found.to_string()),
                Err(reason) if origin == Origin::Configured => {
                    return Err(EngineError::Configured { path, reason });
                }
                Err(reason) => look(subject, format!("cannot be used: {reason}")),
            }
        }
        Ok(None)
    }

    /// What is to be said of a place that has no program of this name.
    fn nothing(&self, place: Origin, name: &str) -> Finding {
        let subject = match place {
            Origin::Configured => self.config.configured.as_ref().map(|path| path.display().to_string()),
            Origin::Path => self.config.search_path.as_ref().map(|path| path.to_string_lossy().into_owned()),
            _ => Some(self.config.cache_dir.display().to_string()),
        };
        let outcome = if subject.is_some() { format!("no {name}") } else { "not set".to_owned() };
        Finding { place, subject: subject.unwrap_or_default(), outcome, chosen: false }
    }

    async fn download(&self, source: &Source, tool: Tool, wanted: &Wanted) -> Result<Engine, DownloadError> {
        let cache = &self.config.cache_dir;
        let version = self.downloader.choose(source, wanted).await?;
        let unproven = self.downloader.fetch(source, &version, cache).await?;
        let expected = Identity { tool, version };
        match self.prober.identify(&unproven.program).await {
            Ok(found) if found == expected => {}
            Ok(found) => return Err(unproven.refuse(format!("it says it is {found}"))),
            Err(reason) => return Err(unproven.refuse(reason)),
        }
        let version = expected.version.to_string();
        let folder = cache.join(tool.to_string()).join(&version);
        unproven.keep(&folder)?;
        let path = folder.join(tool.to_string());
        let path = path.canonicalize().unwrap_or(path);
        Ok(Engine { path, tool, version, origin: Origin::Downloaded })
    }
}
