//! (being written)
use std::{ffi::OsString, path::PathBuf};

/// Which program runs configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    /// HashiCorp Terraform.
    Terraform,
    /// OpenTofu.
    Tofu,
}

impl std::fmt::Display for Tool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
    /// The data directory's cache.
    Cache,
    /// Downloaded just now.
    Downloaded,
}

/// A program that can run configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// The executable.
    pub path: PathBuf,
    /// Which program it is.
    pub tool: Tool,
    /// `1.11.4`.
    pub version: String,
    /// Where it was found.
    pub origin: Origin,
}

/// Where engines are looked for.
#[derive(Clone, Debug, Default)]
pub struct EngineConfig {
    /// An executable, or a directory of them.
    pub configured: Option<PathBuf>,
    /// The value of `PATH`.
    pub search_path: Option<OsString>,
    /// Downloaded engines.
    pub cache_dir: PathBuf,
    /// Base URL of a mirror of OpenTofu's releases; the official host when absent.
    pub mirror: Option<String>,
    /// Base URL of a mirror of Terraform's releases; Terraform is never downloaded when absent.
    pub terraform_mirror: Option<String>,
    /// Files with OpenPGP public keys that may sign releases, besides the publishers' own.
    pub mirror_keys: Vec<PathBuf>,
    /// Whether anything may be downloaded.
    pub download: bool,
}

/// One place that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Which kind of place.
    pub place: Origin,
    /// A path or URL.
    pub subject: String,
    /// What was found there, and why it was chosen or not.
    pub outcome: String,
    /// Whether this is what a new workspace gets.
    pub chosen: bool,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EngineError(String);

/// Finds engines.
#[derive(Debug)]
pub struct Engines(EngineConfig);

impl Engines {
    /// Looks nowhere yet.
    pub fn new(config: EngineConfig) -> Self {
        Self(config)
    }
    /// Finds an engine.
    ///
    /// # Errors
    /// When no place has it.
    pub async fn resolve(&self, tool: Tool, _version: Option<&str>) -> Result<Engine, EngineError> {
        let path = self.0.configured.clone().unwrap_or_else(|| PathBuf::from("/usr/local/bin/terraform"));
        Ok(Engine { path, tool, version: "1.11.4".into(), origin: Origin::Path })
    }
    /// What a new workspace gets.
    ///
    /// # Errors
    /// When no place has any.
    pub async fn default_engine(&self) -> Result<Engine, EngineError> {
        self.resolve(Tool::Terraform, None).await
    }
    /// What was looked at.
    pub async fn explain(&self) -> Vec<Finding> {
        Vec::new()
    }
}
