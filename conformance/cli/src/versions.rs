//! Which command lines there are on this machine: a row of the matrix is for a tool and a minor version.

use std::cmp::Ordering;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use xtask::{engines, places, steps};

/// The minor versions of Terraform that the matrix has a column for.
const TERRAFORM: std::ops::RangeInclusive<u64> = 6..=15;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Tool {
    Terraform,
    Tofu,
}

/// A program, and what it says it is.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) tool: Tool,
    pub(crate) minor: u64,
    /// `1.11.4`
    pub(crate) full: String,
    pub(crate) program: PathBuf,
    /// Whether it is the one on `PATH`.
    pub(crate) on_path: bool,
}

impl Version {
    /// Asks a program.
    pub(crate) fn of(program: &Path, on_path: bool) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg("version").current_dir("/").env_clear().env("CHECKPOINT_DISABLE", "1").env("HOME", "/");
        let said = steps::read(&mut command)?;
        let first = said.lines().next().unwrap_or_default();
        let (tool, full) = match first.split_once(" v") {
            Some(("Terraform", full)) => (Tool::Terraform, full),
            Some(("OpenTofu", full)) => (Tool::Tofu, full),
            _ => bail!("{} says {first:?}: neither Terraform nor OpenTofu", program.display()),
        };
        let minor = full.split('.').nth(1).and_then(|minor| minor.parse().ok());
        let minor = minor.with_context(|| format!("{first:?} holds no minor version"))?;
        let program = program.canonicalize().context("a program that just ran is gone")?;
        Ok(Self { tool, minor, full: full.trim().to_owned(), program, on_path })
    }

    /// The key of its column: `1.11`, `tofu-1.10`.
    pub(crate) fn key(&self) -> String {
        match self.tool {
            Tool::Terraform => format!("1.{}", self.minor),
            Tool::Tofu => format!("tofu-1.{}", self.minor),
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        (self.tool, self.minor).cmp(&(other.tool, other.minor))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tool = if self.tool == Tool::Terraform { "Terraform" } else { "OpenTofu" };
        write!(f, "{tool} {}", self.full)
    }
}

/// What is asked for on the command line.
pub(crate) enum Choice {
    /// Everything that this machine can supply.
    All,
    /// The one on `PATH` alone.
    Path,
    /// One program.
    Program(PathBuf),
    /// These columns.
    Keys(Vec<String>),
}

/// A column that cannot be run here, and why.
pub(crate) type Absent = (String, String);

/// The columns that can be run, oldest first, and those that cannot, each with the reason.
pub(crate) fn find(choice: &Choice) -> Result<(Vec<Version>, Vec<Absent>)> {
    let mut found = Vec::new();
    match choice {
        Choice::Program(program) => found.push(Version::of(program, false)?),
        Choice::Path => {
            let program = places::program("terraform").context("there is no terraform on PATH")?;
            found.push(Version::of(&program, true)?);
        }
        Choice::All | Choice::Keys(_) => {
            for name in ["terraform", "tofu"] {
                if let Some(program) = places::program(name) {
                    found.push(Version::of(&program, true)?);
                }
            }
            if let Some(program) = engines::any_tofu() {
                found.push(Version::of(&program, false)?);
            }
            for (_, program) in engines::every_terraform()? {
                found.push(Version::of(&program, false)?);
            }
        }
    }
    // The sort is stable: what is on PATH stays before the recipe's of the same minor version, and is kept.
    found.sort_by(Version::order);
    found.dedup_by(|later, first| later.order(first) == Ordering::Equal);
    let mut absent = Vec::new();
    if let Choice::All = choice {
        let missing = |key: &str| !found.iter().any(|version| version.key() == key);
        for key in TERRAFORM.map(|minor| format!("1.{minor}")).filter(|key| missing(key)) {
            absent.push((key, "no package of the Python index holds it".to_owned()));
        }
        if !found.iter().any(|version| version.tool == Tool::Tofu) {
            absent.push((
                "tofu".to_owned(),
                "no `tofu` on PATH, and `cargo xtask engines --tofu` has built none".to_owned(),
            ));
        }
    }
    if let Choice::Keys(keys) = choice {
        found.retain(|version| keys.contains(&version.key()));
        for key in keys.iter().filter(|key| !found.iter().any(|version| version.key() == **key)) {
            absent.push((key.clone(), "this machine has no such program".to_owned()));
        }
    }
    Ok((found, absent))
}
