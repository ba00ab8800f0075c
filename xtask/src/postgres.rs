//! A PostgreSQL of our own, from the server programs that are installed, thrown away when done.
//!
//! It lives in a temporary folder, listens on a free port of 127.0.0.1 with a random password, and runs as `postgres`
//! or `nobody` when we are root, because PostgreSQL refuses to run as root. It is gone when its [`Postgres`] is
//! dropped, and also when this process is killed: see [`crate::lifeline`].

use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::unistd::{Uid, User};
use tempfile::TempDir;

use crate::lifeline::{self, Lifeline};
use crate::{places, steps};

/// The superuser of a started server, and the owner of its first database.
const ROLE: &str = "ferroform";

/// Starts the server in folder `$2` with the programs in `$1`, and takes both away when our end of the pipe closes.
const WARDEN: &str = r#"
"$1/pg_ctl" -D "$2/data" -l "$2/log" -w -t 60 -s start >&2 || { cat "$2/log" >&2; rm -rf -- "$2"; exit 1; }
echo ready
cat >/dev/null
"$1/pg_ctl" -D "$2/data" -m immediate -s stop >&2
rm -rf -- "$2"
"#;

/// Arguments of `cargo xtask postgres`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Write to disk as a real server would; without it, a power cut would lose data and everything is faster
    #[arg(long)]
    durable: bool,
}

/// `cargo xtask postgres`: starts a server, prints its URL alone on a line, and waits for Ctrl-C.
///
/// # Errors
/// When the server cannot be started.
pub fn run(arguments: &Arguments) -> Result<()> {
    let durability = if arguments.durable { Durability::Durable } else { Durability::ThrowAway };
    let server = Postgres::start(durability)?;
    println!("{}", server.url());
    println!("{}", steps::dim("It and its data are gone when this ends (Ctrl-C)."));
    lifeline::until_interrupted()?;
    println!("stopped");
    Ok(())
}

/// How much a started server does for its data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing is synced to disk: for tests.
    ThrowAway,
    /// PostgreSQL's own defaults: for benchmarks, whose numbers would be a lie otherwise.
    Durable,
}

/// A running server; it and its data are gone when this is dropped.
pub struct Postgres {
    url: String,
    _lifeline: Lifeline,
}

impl Postgres {
    /// Makes an empty database cluster and starts a server on it, and returns once it accepts connections.
    ///
    /// Where the server programs are missing, they are installed if we are root on Debian or one of its kin.
    ///
    /// # Errors
    /// When the programs are missing (the error says what to install), or the server does not start.
    pub fn start(durability: Durability) -> Result<Self> {
        let programs = Programs::find_or_install()?;
        let account = Account::to_run_as()?;
        let mut failure = None;
        // Somebody may take the free port before the server does; twice in a row is another problem.
        for _ in 0..2 {
            match start_on(&programs, account.as_ref(), durability, places::free_port()?) {
                Ok(server) => return Ok(server),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.expect("two attempts that did not return left their error"))
            .context("PostgreSQL did not start")
    }

    /// Where to connect, as superuser: `postgres://ROLE:PASSWORD@127.0.0.1:PORT/postgres`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn start_on(
    programs: &Programs,
    account: Option<&Account>,
    durability: Durability,
    port: u16,
) -> Result<Postgres> {
    let folder =
        tempfile::Builder::new().prefix("ferroform-postgres-").tempdir().context("no temporary folder")?;
    let password = password()?;
    initialize(programs, account, &folder, &password)?;
    configure(&folder, durability, port)?;
    let mut warden = Command::new("/bin/sh");
    warden.args(["-c", WARDEN, "postgres-warden"]).arg(&programs.folder).arg(folder.path());
    prepare(&mut warden, account);
    let mut lifeline = Lifeline::start(warden)?;
    // From here on the warden removes the folder, for it outlives us when we are killed.
    let _ = folder.keep();
    lifeline.line()?;
    Ok(Postgres {
        url: format!("postgres://{ROLE}:{password}@127.0.0.1:{port}/postgres"),
        _lifeline: lifeline,
    })
}

/// Runs `initdb`.
fn initialize(
    programs: &Programs,
    account: Option<&Account>,
    folder: &TempDir,
    password: &str,
) -> Result<()> {
    let secret = folder.path().join("password");
    let mut file = File::create(&secret).context("cannot write in a new temporary folder")?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(password.as_bytes())?;
    if let Some(account) = account {
        chown(folder.path(), Some(account.uid), Some(account.gid)).context("cannot give the folder away")?;
        chown(&secret, Some(account.uid), Some(account.gid)).context("cannot give the password file away")?;
    }
    let mut initdb = Command::new(programs.folder.join("initdb"));
    initdb.arg("-D").arg(folder.path().join("data")).args([
        "-U",
        ROLE,
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
    ]);
    // The password crosses only the loopback interface, so it may go in clear, which costs clients nothing.
    initdb.arg("--auth=password").arg("--pwfile").arg(&secret);
    prepare(&mut initdb, account);
    steps::read(&mut initdb)?;
    Ok(())
}

/// Adds our settings to the new cluster's own.
fn configure(folder: &TempDir, durability: Durability, port: u16) -> Result<()> {
    let mut settings = format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\nmax_connections = 400\n\
         jit = off\nlogging_collector = off\n",
        folder.path().display(),
    );
    if durability == Durability::ThrowAway {
        settings.push_str("fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n");
        settings.push_str("wal_level = minimal\nmax_wal_senders = 0\n");
    }
    let path = folder.path().join("data/postgresql.conf");
    let mut file = File::options().append(true).open(&path).context("initdb made no postgresql.conf")?;
    file.write_all(settings.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

/// Gives `command` the environment and the account that the server programs want.
fn prepare(command: &mut Command, account: Option<&Account>) {
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C").current_dir("/");
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
}

/// 32 hexadecimal digits of the kernel's randomness.
fn password() -> Result<String> {
    let mut bytes = [0_u8; 16];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).context("no /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The account that runs the server when we are root.
struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// `postgres`, else `nobody`; none when we are not root and run it ourselves.
    fn to_run_as() -> Result<Option<Self>> {
        if !Uid::effective().is_root() {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name).context("cannot read the accounts of this machine")? {
                return Ok(Some(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() }));
            }
        }
        bail!(
            "PostgreSQL does not run as root, and there is no account `postgres` or `nobody`: run this as another user"
        )
    }
}

/// The folder that holds `initdb`, `pg_ctl` and `postgres`.
struct Programs {
    folder: PathBuf,
}

impl Programs {
    fn find_or_install() -> Result<Self> {
        if let Some(programs) = Self::find() {
            return Ok(programs);
        }
        if Uid::effective().is_root() && places::program("apt-get").is_some() {
            println!("PostgreSQL's server programs are missing; installing Debian's package.");
            install().context("installing PostgreSQL failed; install its server programs yourself")?;
            if let Some(programs) = Self::find() {
                return Ok(programs);
            }
        }
        bail!(
            "PostgreSQL's server programs (initdb, pg_ctl, postgres) are not installed. Install them and try again: \
             Debian, Ubuntu: `apt-get install postgresql`; Fedora: `dnf install postgresql-server`; Alpine: `apk add \
             postgresql`; macOS: `brew install postgresql`. They need not be on PATH on Debian. \
             `cargo xtask test --sqlite-only` does without"
        )
    }

    fn find() -> Option<Self> {
        let asked = places::program("pg_config")
            .and_then(|program| steps::read(Command::new(program).arg("--bindir")).ok())
            .map(|folder| PathBuf::from(folder.trim()));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).map(|folder| real_folder(&folder));
        let folder = asked.into_iter().chain(packaged()).chain(on_path).find(|folder| {
            ["initdb", "pg_ctl", "postgres"].iter().all(|name| places::executable(&folder.join(name)))
        })?;
        Some(Self { folder })
    }
}

/// Debian's folders, newest major version first.
fn packaged() -> Vec<PathBuf> {
    let Ok(entries) = Path::new("/usr/lib/postgresql").read_dir() else { return Vec::new() };
    let mut versions: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.iter().map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"))).collect()
}

/// Where `folder`'s `pg_ctl` really is: programs that find each other by their own place break through a link.
fn real_folder(folder: &Path) -> PathBuf {
    let real = folder.join("pg_ctl").canonicalize().ok();
    real.and_then(|program| program.parent().map(Path::to_path_buf)).unwrap_or_else(|| folder.to_path_buf())
}

/// Installs Debian's package without the cluster that it makes and starts by itself.
fn install() -> Result<()> {
    let apt = |arguments: &[&str]| {
        steps::run(
            Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").arg("-qq").args(arguments),
        )
    };
    apt(&["update"])?;
    apt(&["install", "-y", "--no-install-recommends", "postgresql-common"])?;
    let settings = Path::new("/etc/postgresql-common/createcluster.conf");
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(settings)
        .context("cannot write createcluster.conf")?;
    file.write_all(b"\n# Ferroform's tests start their own server.\ncreate_main_cluster = false\n")?;
    apt(&["install", "-y", "--no-install-recommends", "postgresql"])
}
