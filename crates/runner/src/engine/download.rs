//! Downloads an engine from a releases mirror, and believes nothing of what it gets.
//!
//! The checksums must be signed by a trusted key, the archive must have the checksum of its name (which holds tool,
//! version and platform, so that no other release can be passed off), and the program must say that it is what was
//! asked for. Only then is it renamed into the cache; what fails leaves nothing behind.
//!
//! A version of an installation's own comes from the URL that its site admins have noted, with the checksum that they have
//! noted, which is all there is to believe.
//!
//! OpenTofu comes from its project's release host, or from a mirror laid out as `tofu/api.json` and
//! `tofu/VERSION/FILE`. Terraform comes only from a mirror that the operator set for it, laid out as HashiCorp's:
//! `terraform/index.json` and `terraform/VERSION/FILE`; from 1.6 on its licence (BUSL-1.1) asks whether a use competes
//! with HashiCorp's, which only the operator can answer.
//!
//! Source: OpenTofu's mirror specification (`MIRROR-SPECIFICATION.md` of opentofu/tofudl); the layout of
//! releases.hashicorp.com.

use super::{
    EngineConfig, Tool,
    openpgp::{Keyring, OpenPgpError},
    version::{Wanted, parse_version},
};
use crate::outbound;
use ring::digest::{Context, SHA256};
use semver::Version;
use serde::{Deserialize, de::IgnoredAny};
use std::{
    collections::BTreeMap,
    fs::{File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{io::AsyncWriteExt, sync::OnceCell, task::spawn_blocking};

/// What signs OpenTofu's releases: <https://get.opentofu.org/opentofu.asc>.
pub(super) const OPENTOFU_KEY: &[u8] = include_bytes!("keys/opentofu.asc");

/// The list of all releases.
const INDEX_LIMIT: u64 = 32 << 20;
/// Checksums and signatures.
const SMALL_LIMIT: u64 = 1 << 20;
/// The archive, and the program in it. Terraform 1.11 has 30 and 90 MB.
const ARCHIVE_LIMIT: u64 = 256 << 20;
const PROGRAM_LIMIT: u64 = 1 << 30;

const CONNECT_TIME: Duration = Duration::from_secs(15);
/// Without a byte, not for the whole.
const READ_TIME: Duration = Duration::from_secs(60);

/// Why nothing was downloaded. Shown after the place, `download`.
#[derive(Debug, thiserror::Error)]
pub(super) enum DownloadError {
    #[error("not tried: {0}")]
    NotTried(String),
    #[error("the list of releases at {0} has no version that fits")]
    NoSuchVersion(String),
    #[error("{url}: {reason}")]
    Fetch { url: String, reason: String },
    #[error("{url} is refused: {error}")]
    Signature { url: String, error: OpenPgpError },
    #[error("{url} is refused: {reason}")]
    Archive { url: String, reason: String },
    #[error("{path}: {error}", path = path.display())]
    Disk { path: PathBuf, error: io::Error },
}

/// Where releases of one tool are, and who may sign them.
pub(super) struct Source {
    tool: Tool,
    index: String,
    /// With `{version}` and `{file}`.
    files: String,
    keys: Keyring,
}

impl Source {
    /// # Errors
    /// When the configuration does not allow to download this tool; says why.
    pub(super) fn of(tool: Tool, config: &EngineConfig) -> Result<Self, DownloadError> {
        let not = |reason: String| Err(DownloadError::NotTried(reason));
        if !config.download {
            return not("downloads are switched off".into());
        }
        let mut keys = Keyring::default();
        for path in &config.mirror_keys {
            let read =
                || keys.add(&std::fs::read(path).map_err(|e| e.to_string())?).map_err(|e| e.to_string());
            if let Err(error) = { read }() {
                return not(format!("the key file {} cannot be used: {error}", path.display()));
            }
        }
        let base = |mirror: &str| mirror.trim_end_matches('/').to_owned();
        let (index, files) = match (tool, config.mirror.as_deref(), config.terraform_mirror.as_deref()) {
            (Tool::Tofu, None, _) => (
                "https://get.opentofu.org/tofu/api.json".to_owned(),
                "https://github.com/opentofu/opentofu/releases/download/v{version}/{file}".to_owned(),
            ),
            (Tool::Tofu, Some(mirror), _) => (
                format!("{}/tofu/api.json", base(mirror)),
                format!("{}/tofu/{{version}}/{{file}}", base(mirror)),
            ),
            (Tool::Terraform, _, Some(mirror)) => (
                format!("{}/terraform/index.json", base(mirror)),
                format!("{}/terraform/{{version}}/{{file}}", base(mirror)),
            ),
            (Tool::Terraform, _, None) => {
                return not(
                    "Terraform comes only from a mirror that is set for it, because from 1.6 on it is under \
                            the Business Source License"
                        .into(),
                );
            }
        };
        if tool == Tool::Tofu {
            keys.add(OPENTOFU_KEY).expect("a test reads this key");
        }
        if keys.is_empty() {
            return not(format!(
                "no key is configured that may sign {tool} releases, and unsigned ones are not used"
            ));
        }
        Ok(Self { tool, index, files, keys })
    }

    /// What would be asked, for people.
    pub(super) fn describe(&self) -> &str {
        &self.index
    }

    fn file(&self, version: &Version, file: &str) -> String {
        self.files.replace("{version}", &version.to_string()).replace("{file}", file)
    }
}

/// Fetches releases. Nothing is set up until the first is needed.
#[derive(Debug, Default)]
pub(super) struct Downloader {
    client: OnceCell<reqwest::Client>,
}

impl Downloader {
    /// The newest release that will do.
    pub(super) async fn choose(&self, source: &Source, wanted: &Wanted) -> Result<Version, DownloadError> {
        if let Wanted::Exact(version) = wanted {
            return Ok(version.clone());
        }
        let mut bytes = Vec::new();
        self.get(&source.index, INDEX_LIMIT, &mut bytes).await?;
        let versions = releases(source.tool, &bytes)
            .map_err(|error| DownloadError::Fetch { url: source.index.clone(), reason: error.to_string() })?;
        let fitting = versions.into_iter().filter(|version| wanted.accepts_release(version));
        fitting.max().ok_or_else(|| DownloadError::NoSuchVersion(source.index.clone()))
    }

    /// Puts a release's program, verified, into a new directory below `cache`. It is gone when the result is dropped,
    /// unless [`Unproven::keep`] is called.
    pub(super) async fn fetch(
        &self,
        source: &Source,
        version: &Version,
        cache: &Path,
    ) -> Result<Unproven, DownloadError> {
        let tool = source.tool;
        let signed = format!("{tool}_{version}_SHA256SUMS");
        let sums_url = source.file(version, &signed);
        let signature_url = source.file(version, &format!("{signed}.{}", signature_suffix(tool)));
        let (mut sums, mut signature) = (Vec::new(), Vec::new());
        self.get(&sums_url, SMALL_LIMIT, &mut sums).await?;
        self.get(&signature_url, SMALL_LIMIT, &mut signature).await?;
        let verified = source.keys.verify(&signature, &sums);
        let signer = verified.map_err(|error| DownloadError::Signature { url: sums_url.clone(), error })?;

        let name = format!("{tool}_{version}_{}.zip", platform());
        let url = source.file(version, &name);
        let refused = |reason: String| DownloadError::Archive { url: url.clone(), reason };
        let expected = checksum(&sums, &name).ok_or_else(|| {
            refused(format!(
                "{sums_url}, signed by {signer}, does not list it: there is no release for {}",
                platform()
            ))
        })?;
        let said_by = format!("{sums_url}, signed by {signer},");
        let client = self.client(&url).await?;
        archive(client, tool, &url, (&expected, &said_by), cache).await
    }

    /// Puts the program of an archive that has this checksum into a new directory below `cache`, likewise.
    pub(super) async fn fetch_own(
        tool: Tool,
        url: &str,
        expected: &str,
        cache: &Path,
    ) -> Result<Unproven, DownloadError> {
        let failed = |reason| DownloadError::Fetch { url: url.to_owned(), reason };
        let client = client(url).map_err(failed)?;
        archive(&client, tool, url, (expected, "what site admins have noted"), cache).await
    }

    async fn client(&self, url: &str) -> Result<&reqwest::Client, DownloadError> {
        let failed = |reason| DownloadError::Fetch { url: url.to_owned(), reason };
        self.client.get_or_try_init(|| async { client(url) }).await.map_err(failed)
    }

    async fn get(&self, url: &str, limit: u64, sink: &mut impl Sink) -> Result<(), DownloadError> {
        get(self.client(url).await?, url, limit, sink).await
    }
}

/// Fetches an archive, compares its checksum with the one that somebody has said, and unpacks the program in it.
async fn archive(
    client: &reqwest::Client,
    tool: Tool,
    url: &str,
    (expected, said_by): (&str, &str),
    cache: &Path,
) -> Result<Unproven, DownloadError> {
    let refused = |reason: String| DownloadError::Archive { url: url.to_owned(), reason };
    let work = workplace(cache).map_err(|error| DownloadError::Disk { path: cache.to_owned(), error })?;
    let disk = |error| DownloadError::Disk { path: work.path().to_owned(), error };
    let archive = work.path().join("archive.zip");
    let mut hashing = Hashing(tokio::fs::File::create(&archive).await.map_err(disk)?, Context::new(&SHA256));
    get(client, url, ARCHIVE_LIMIT, &mut hashing).await?;
    hashing.0.flush().await.map_err(disk)?;
    let found = hex(hashing.1.finish().as_ref());
    if found != expected {
        return Err(refused(format!("its SHA-256 is {found}, and {said_by} says {expected}")));
    }
    let folder = work.path().join("engine");
    let program = folder.join(tool.to_string());
    let extracted = program.clone();
    spawn_blocking(move || extract(&archive, tool, &extracted))
        .await
        .unwrap_or_else(|error| Err(error.to_string()))
        .map_err(refused)?;
    Ok(Unproven { work, folder, program, url: url.to_owned() })
}

async fn get(
    client: &reqwest::Client,
    url: &str,
    limit: u64,
    sink: &mut impl Sink,
) -> Result<(), DownloadError> {
    let failed = |reason: String| DownloadError::Fetch { url: url.to_owned(), reason };
    let request = client.get(url);
    // A plain-text mirror is the operator's choice, but a redirect away from TLS is nobody's.
    let mut response = request.send().await.map_err(|error| failed(causes(&error)))?;
    if url.starts_with("https:") && response.url().scheme() != "https" {
        return Err(failed(format!("it redirects to {}, which is not encrypted", response.url())));
    }
    if !response.status().is_success() {
        return Err(failed(format!("the server answered {}", response.status())));
    }
    let mut size = 0;
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(causes(&error)))? {
        size += chunk.len() as u64;
        if size > limit {
            return Err(failed(format!("it has more than {limit} bytes")));
        }
        sink.take(&chunk).await.map_err(|error| failed(error.to_string()))?;
    }
    Ok(())
}

/// A program whose origin is verified and which nobody has run yet.
pub(super) struct Unproven {
    work: tempfile::TempDir,
    folder: PathBuf,
    pub(super) program: PathBuf,
    url: String,
}

impl Unproven {
    /// The refusal of what turned out not to be what its name says.
    pub(super) fn refuse(&self, reason: String) -> DownloadError {
        DownloadError::Archive { url: self.url.clone(), reason }
    }

    /// Moves the program's directory to where it is to be found from now on.
    pub(super) fn keep(self, to: &Path) -> Result<(), DownloadError> {
        let parent = to.parent().unwrap_or(to);
        let moved = std::fs::create_dir_all(parent).and_then(|()| match std::fs::rename(&self.folder, to) {
            // Another server that shares this cache was faster.
            Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty) => Ok(()),
            moved => moved,
        });
        drop(self.work);
        moved.map_err(|error| DownloadError::Disk { path: to.to_owned(), error })
    }
}

/// Takes in what comes over the network.
trait Sink {
    async fn take(&mut self, bytes: &[u8]) -> io::Result<()>;
}

impl Sink for Vec<u8> {
    async fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend(bytes);
        Ok(())
    }
}

struct Hashing(tokio::fs::File, Context);

impl Sink for Hashing {
    async fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.1.update(bytes);
        self.0.write_all(bytes).await
    }
}

fn client(url: &str) -> Result<reqwest::Client, String> {
    let builder = || outbound::client(url).connect_timeout(CONNECT_TIME).read_timeout(READ_TIME);
    builder()
        .build()
        .or_else(|error| {
            // A machine without certificates can still use a plain-text mirror: signatures protect what comes from it.
            if url.starts_with("http:") { builder().tls_certs_only([]).build() } else { Err(error) }
        })
        .map_err(|error| causes(&error))
}

/// An error with what is behind it; the outermost alone says little.
fn causes(error: &reqwest::Error) -> String {
    // The address stands before the reason already.
    let mut text = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += if text.is_empty() { "" } else { ": " };
        text += &error.to_string();
        cause = error.source();
    }
    if text.is_empty() { error.to_string() } else { text }
}

fn signature_suffix(tool: Tool) -> &'static str {
    match tool {
        Tool::Terraform => "sig",
        Tool::Tofu => "gpgsig",
    }
}

/// `linux_amd64`, as releases are named.
pub(super) fn platform() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    format!("{}_{arch}", std::env::consts::OS)
}

fn releases(tool: Tool, index: &[u8]) -> serde_json::Result<Vec<Version>> {
    #[derive(Deserialize)]
    struct Terraform {
        versions: BTreeMap<String, IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Tofu {
        versions: Vec<Release>,
    }
    #[derive(Deserialize)]
    struct Release {
        id: String,
    }
    let names: Vec<String> = match tool {
        Tool::Terraform => serde_json::from_slice::<Terraform>(index)?.versions.into_keys().collect(),
        Tool::Tofu => {
            serde_json::from_slice::<Tofu>(index)?.versions.into_iter().map(|release| release.id).collect()
        }
    };
    Ok(names.iter().filter_map(|name| parse_version(name).ok()).map(|(version, _)| version).collect())
}

/// The checksum of a file in a list as `sha256sum` prints it, in lower case.
fn checksum(sums: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(sums).ok()?;
    text.lines().find_map(|line| {
        let (sum, file) = line.trim().split_once(char::is_whitespace)?;
        (file.trim_start().trim_start_matches('*') == name).then(|| sum.to_ascii_lowercase())
    })
}

/// A directory to work in, on the cache's file system; what earlier downloads left when they were killed is removed.
fn workplace(cache: &Path) -> io::Result<tempfile::TempDir> {
    const PREFIX: &str = ".download-";
    std::fs::create_dir_all(cache)?;
    for entry in std::fs::read_dir(cache)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            // If it cannot be removed it is in nobody's way.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    tempfile::Builder::new().prefix(PREFIX).tempdir_in(cache)
}

/// Takes the one file that is needed out of the archive, so that no other name in it matters.
fn extract(archive: &Path, tool: Tool, to: &Path) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let mut archive =
        zip::ZipArchive::new(File::open(archive).map_err(text)?).map_err(|error| error.to_string())?;
    let entry = archive.by_name(&tool.to_string()).map_err(|error| format!("it holds no {tool}: {error}"))?;
    if !entry.is_file() {
        return Err(format!("{tool} in it is no file"));
    }
    std::fs::create_dir(to.parent().unwrap_or(to)).map_err(text)?;
    let mut file = File::create_new(to).map_err(text)?;
    let size = io::copy(&mut entry.take(PROGRAM_LIMIT + 1), &mut file).map_err(text)?;
    if size > PROGRAM_LIMIT {
        return Err(format!("{tool} in it has more than {PROGRAM_LIMIT} bytes"));
    }
    file.flush().map_err(text)?;
    file.set_permissions(Permissions::from_mode(0o755)).map_err(text)?;
    // The cache is trusted from now on: what a power cut leaves of it must be whole.
    file.sync_all().map_err(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
