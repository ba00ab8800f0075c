//! `cargo xtask browser`: a real browser against the real server and a real engine, on both databases.
//!
//! The tests are in `conformance/browser`, and drive Debian's Chromium by Playwright from Node. They start the server
//! themselves, because they also kill it; this finds or installs what they need, and starts PostgreSQL.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::unistd::Uid;

use crate::build::{self, Profile};
use crate::postgres::{Durability, Postgres};
use crate::{engines, places, steps};

/// Arguments of `cargo xtask browser`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The server program [default: built from this workspace]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// Run only tests whose sentence contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Leave PostgreSQL out
    #[arg(long)]
    sqlite_only: bool,
    /// Take pictures of every page, light and dark, into docs/ui, in place of the tests
    #[arg(long)]
    screenshots: bool,
}

/// Runs the tests on SQLite and then on PostgreSQL, or takes the pictures.
///
/// # Errors
/// When what they need is missing and cannot be installed, or a test fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    let tools = Tools::find_or_install()?;
    let server = match &arguments.server {
        Some(path) => std::path::absolute(path).context("no current folder")?,
        None => build::binary("ferroform", Profile::Debug)?,
    };
    let engine = engines::any()?;
    let suite = Suite { tools, server, engine };
    if arguments.screenshots {
        return suite.run("screenshots.mjs", None, None);
    }
    let filter = arguments.filter.as_deref();
    println!("{}", steps::bold("On SQLite"));
    let sqlite = suite.run("suite.test.mjs", filter, None);
    let postgres = if arguments.sqlite_only {
        Ok(())
    } else {
        let postgres = Postgres::start(Durability::ThrowAway)?;
        println!("{}", steps::bold("On PostgreSQL"));
        suite.run("suite.test.mjs", filter, Some(&postgres))
    };
    sqlite.context("on SQLite")?;
    postgres.context("on PostgreSQL")
}

/// The tests with what they run on.
struct Suite {
    tools: Tools,
    server: PathBuf,
    engine: PathBuf,
}

impl Suite {
    fn run(&self, file: &str, filter: Option<&str>, postgres: Option<&Postgres>) -> Result<()> {
        let mut node = Command::new("node");
        node.current_dir(folder());
        if file.ends_with(".test.mjs") {
            node.args(["--test", "--test-reporter=spec"]);
            if let Some(filter) = filter {
                node.arg(format!("--test-name-pattern={filter}"));
            }
        }
        node.arg(file);
        places::forget_settings(&mut node);
        node.env("FERROFORM_BROWSER_SERVER", &self.server);
        node.env("FERROFORM_BROWSER_ENGINE", &self.engine);
        node.env("FERROFORM_BROWSER_CHROMIUM", &self.tools.chromium);
        if let Some(postgres) = postgres {
            node.env("FERROFORM_BROWSER_DATABASE", postgres.url());
        }
        steps::run(&mut node)
    }
}

fn folder() -> PathBuf {
    places::workspace().join("conformance/browser")
}

/// The programs that the tests need beside ours.
struct Tools {
    chromium: PathBuf,
}

impl Tools {
    /// Finds Node and Chromium, or installs Debian's packages of them where we may, and then the Node packages of the tests.
    ///
    /// # Errors
    /// When something is missing and cannot be installed; the error says what to do.
    fn find_or_install() -> Result<Self> {
        install_missing()?;
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(folder());
        steps::run(&mut npm)?;
        let chromium = chromium().context("Chromium was there a moment ago")?;
        Ok(Self { chromium })
    }
}

fn chromium() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| places::program(name))
}

fn install_missing() -> Result<()> {
    let mut missing: Vec<&str> =
        ["node", "npm"].into_iter().filter(|name| places::program(name).is_none()).collect();
    for name in &mut missing {
        if *name == "node" {
            *name = "nodejs";
        }
    }
    if chromium().is_none() {
        missing.push("chromium");
    }
    if missing.is_empty() {
        return Ok(());
    }
    if !Uid::effective().is_root() || places::program("apt-get").is_none() {
        bail!(
            "the browser tests need Node (18 or later) with npm, and Chromium; on Debian: `apt-get install {}`",
            missing.join(" ")
        );
    }
    println!("Installing Debian's packages of what is missing: {}", missing.join(", "));
    let apt = |words: &[&str]| {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        steps::run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").arg("-qq").args(words))
    };
    apt(&["update"])?;
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(missing);
    apt(&install)
}
