//! Which command lines there are on this machine: a row of the matrix is for a tool and a minor version.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use regex::Regex;
use xtask::{engines, places, steps};

/// The minor versions of Terraform that the matrix has a column for.
const TERRAFORM: std::ops::RangeInclusive<u64> = 1..=15;

/// Why a column is not run.
const NOT_BUILT: &str = "it is not on PATH, and `cargo xtask engines --from-source` has not built it";

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

    /// `text` of a scenario as it is said to this version. Before 1.4 Terraform has no `terraform_data`: `null_resource`
    /// stands for it, whose trigger is what was the input.
    pub(crate) fn words<'text>(&self, text: &'text str) -> Cow<'text, str> {
        if self.tool == Tool::Tofu || self.minor >= 4 || !text.contains("terraform_data") {
            return Cow::Borrowed(text);
        }
        let value = Regex::new(r"terraform_data\.(\w+)\.(?:input|output)\b").expect("a test runs it");
        let input = Regex::new(r"(?m)^(\s+)input\s*= (.*)$").expect("a test runs it");
        let text = value
            .replace_all(text, "null_resource.$1.triggers.input")
            .replace("terraform_data", "null_resource");
        Cow::Owned(input.replace_all(&text, "${1}triggers = { input = $2 }").into_owned())
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
            for program in engines::every()? {
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
            absent.push((key, NOT_BUILT.to_owned()));
        }
        if !found.iter().any(|version| version.tool == Tool::Tofu) {
            absent.push(("tofu".to_owned(), NOT_BUILT.to_owned()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terraform_before_1_4_gets_null_resource_for_terraform_data() {
        let of = |minor| Version {
            tool: Tool::Terraform,
            minor,
            full: format!("1.{minor}.0"),
            program: "terraform".into(),
            on_path: false,
        };
        let text = "resource \"terraform_data\" \"one\" {\n  input = \"a\"\n}\noutput \"o\" {\n  value = terraform_data.one.output\n}\n";
        assert_eq!(of(4).words(text), text);
        assert_eq!(
            of(3).words(text),
            "resource \"null_resource\" \"one\" {\n  triggers = { input = \"a\" }\n}\noutput \"o\" {\n  value = null_resource.one.triggers.input\n}\n"
        );
    }
}
