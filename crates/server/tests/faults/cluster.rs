//! A PostgreSQL of the test's own that can crash: `pg_ctl stop -m immediate` and a start that recovers.
//!
//! It runs as `postgres` or `nobody` when we are root, which PostgreSQL refuses to run as. A warden stops it and removes
//! its folder when this process ends, however it ends.

use nix::unistd::{Uid, User};
use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader, Read, Write},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// See the module.
pub(crate) struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    account: Option<(u32, u32)>,
    port: u16,
    password: String,
    warden: Child,
}

/// `$1` the programs, `$2` the folder.
const WARDEN: &str = r#"
echo ready
cat >/dev/null
"$1/pg_ctl" -D "$2/data" -m immediate -s stop 2>/dev/null
rm -rf -- "$2"
"#;

impl Cluster {
    /// A running server.
    ///
    /// # Errors
    /// Why there can be none on this machine.
    pub(crate) fn new() -> Result<Self, String> {
        let programs = programs().ok_or("PostgreSQL's server programs are not installed")?;
        let account = account()?;
        let folder = tempfile::Builder::new().prefix("ffpg").tempdir().unwrap().keep();
        let mut random = [0; 16];
        fs::File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
        let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let port = crate::program::free_port();
        let secret = folder.join("password");
        fs::write(&secret, &password).unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        if let Some((uid, gid)) = account {
            chown(&folder, Some(uid), Some(gid)).unwrap();
            chown(&secret, Some(uid), Some(gid)).unwrap();
        }
        let mut warden = command(Path::new("/bin/sh"), account);
        warden.args(["-c", WARDEN, "warden"]).arg(&programs).arg(&folder);
        let mut warden = warden.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        BufReader::new(warden.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
        let cluster = Self { programs, folder, account, port, password, warden };
        cluster.initialize(&secret);
        cluster.start();
        Ok(cluster)
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://ferroform:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }

    /// Starts it; it recovers what was committed, and accepts connections when this returns.
    pub(crate) fn start(&self) {
        let log = self.folder.join("log");
        let log = log.to_str().unwrap();
        self.run("pg_ctl", &["-D", &self.data(), "-l", log, "-w", "-t", "60", "-s", "start"]);
    }

    /// Kills it: connections break, nothing is put in order.
    pub(crate) fn crash(&self) {
        self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "-s", "stop"]);
    }

    fn initialize(&self, secret: &Path) {
        let (data, secret) = (self.data(), secret.to_str().unwrap());
        let who = ["-U", "ferroform", "--auth=password", "--pwfile", secret];
        self.run("initdb", &[&["-D", &data, "-E", "UTF8", "--locale=C", "--no-sync"], &who[..]].concat());
        // A process that is killed loses nothing that it has handed to the system, so there is no need to wait for disks;
        // what is committed must have been handed over.
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = ''\nfsync = off\nsynchronous_commit = on\n",
            self.port
        );
        let path = self.folder.join("data/postgresql.conf");
        fs::File::options().append(true).open(path).unwrap().write_all(settings.as_bytes()).unwrap();
    }

    fn data(&self) -> String {
        self.folder.join("data").to_str().unwrap().to_owned()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = command(&self.programs.join(program), self.account);
        // Not a pipe: the server would inherit it, and its end would never come.
        let said = self.folder.join(format!("{program}.out"));
        let output = fs::File::create(&said).unwrap();
        command.args(arguments).stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let status = command.status().unwrap();
        let said = || fs::read_to_string(&said).unwrap_or_default();
        assert!(status.success(), "{program} {arguments:?}: {status}: {}", said());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.warden.stdin.take());
        let _ = self.warden.wait();
    }
}

fn command(program: &Path, account: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C").current_dir("/");
    if let Some((uid, gid)) = account {
        command.uid(uid).gid(gid);
    }
    command
}

/// Whom to run it as, when not as ourselves.
fn account() -> Result<Option<(u32, u32)>, String> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let found = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
    let user =
        found.ok_or("PostgreSQL does not run as root, and there is no account `postgres` or `nobody`")?;
    Ok(Some((user.uid.as_raw(), user.gid.as_raw())))
}

/// The folder with the newest `initdb` and `pg_ctl`: Debian's, else that of `pg_config`.
fn programs() -> Option<PathBuf> {
    let mut packaged: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    packaged.sort();
    let asked = Command::new("pg_config").arg("--bindir").output().ok();
    let asked = asked.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let candidates = packaged.into_iter().rev().map(|(_, path)| path).chain(asked);
    candidates.into_iter().find(|folder| folder.join("initdb").exists() && folder.join("pg_ctl").exists())
}
