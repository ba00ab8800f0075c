//! A `ferroform serve` of our own in a temporary folder, for demonstrations and measurements.
//!
//! It runs with its embedded defaults on a free port of 127.0.0.1, as a person's first server would, and is gone with
//! its folder when its [`Server`] is dropped or this process is killed: see [`crate::lifeline`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::api::Api;
use crate::lifeline::Lifeline;
use crate::places;

/// The file of the data directory that holds the first site admin's token.
const TOKEN_FILE: &str = "admin-token";
/// The file of the data directory that holds the certificate authority.
const AUTHORITY_FILE: &str = "ca.pem";

/// Runs `$2…` with its output in `$1/server.log`, says its process id, and waits for it. When our end of the pipe
/// closes, the server is asked to stop, and made to after 30 seconds. The folder `$1` goes last.
const WARDEN: &str = r#"
folder=$1
shift
exec 3<&0
"$@" </dev/null 3<&- >"$folder/server.log" 2>&1 &
server=$!
{
    cat <&3
    : >"$folder/stopping"
    kill -TERM "$server"
    sleep 30
    kill -KILL "$server"
} >/dev/null 2>&1 &
exec 3<&-
echo "$server"
wait "$server"
status=$?
[ -e "$folder/stopping" ] || cat "$folder/server.log" >&2
trap '' TERM
kill -TERM 0
rm -rf -- "$folder"
exit "$status"
"#;

/// How a started server is spoken to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// HTTPS, with the certificate authority that the server makes for itself: the default.
    Own,
    /// Plain HTTP: for measurements of what lies behind it.
    Off,
}

/// A running server.
pub struct Server {
    url: String,
    tls: Tls,
    process: u32,
    folder: PathBuf,
    lifeline: Lifeline,
}

impl Server {
    /// Starts `ferroform` (the program's path) on an empty data directory, with `options` added to those that place it,
    /// and waits until it is ready.
    ///
    /// # Errors
    /// When it ends instead, or is not ready within a minute.
    pub fn start(ferroform: &Path, tls: Tls, options: &[OsString]) -> Result<Self> {
        let mut server = Self::launch(ferroform, tls, options)?;
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Starts it without waiting.
    fn launch(ferroform: &Path, tls: Tls, options: &[OsString]) -> Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("ferroform-").tempdir().context("no temporary folder")?;
        let port = places::free_port()?;
        let scheme = if tls == Tls::Own { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{port}");
        let mut warden = Command::new("/bin/sh");
        warden.args(["-c", WARDEN, "server-warden"]).arg(folder.path()).arg(ferroform).arg("serve");
        warden.arg("--data-dir").arg(folder.path().join("data"));
        warden.args(["--listen", &format!("127.0.0.1:{port}")]);
        // Clients may come by another address, as through a proxy.
        if !options.iter().any(|option| option == "--url") {
            warden.args(["--url", &url]);
        }
        // What is measured is the server, not its limit; the command line and the SDK slow down when they are told one.
        if !options.iter().any(|option| option == "--rate-limit") {
            warden.args(["--rate-limit", "0"]);
        }
        if tls == Tls::Off {
            warden.args(["--tls", "off"]);
        }
        warden.args(options);
        places::forget_settings(&mut warden);
        let mut lifeline = Lifeline::start(warden)?;
        let folder = folder.keep();
        let process = lifeline.line()?.parse().context("the warden says the server's process id first")?;
        Ok(Self { url, tls, process, folder, lifeline })
    }

    /// Asks `/_health_check` until it says yes.
    fn wait_until_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        while !self.ready() {
            if self.lifeline.ended()? {
                bail!("the server ended while it started; what it said is above");
            }
            if started.elapsed() > Duration::from_secs(60) {
                bail!("the server is not ready after a minute; it said:\n{}", self.log_tail());
            }
            pause();
        }
        Ok(())
    }

    fn ready(&self) -> bool {
        // There is no certificate authority to trust before the server has made it.
        let Ok(authority) = self.authority() else { return false };
        Api::new(&self.url, "", authority.as_deref()).and_then(|api| api.ready()).unwrap_or(false)
    }

    /// `https://127.0.0.1:PORT`, or `http://…` without TLS.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server's process id.
    pub fn process(&self) -> u32 {
        self.process
    }

    /// The server's data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The file with the first site admin's token.
    pub fn token_file(&self) -> PathBuf {
        self.data_dir().join(TOKEN_FILE)
    }

    /// The certificate authority's file.
    pub fn authority_file(&self) -> PathBuf {
        self.data_dir().join(AUTHORITY_FILE)
    }

    /// A client with the first site admin's token.
    ///
    /// # Errors
    /// When the server wrote no token or no certificate authority.
    pub fn api(&self) -> Result<Api> {
        Api::new(&self.url, &self.token()?, self.authority()?.as_deref())
    }

    /// The first site admin's token.
    ///
    /// # Errors
    /// When the server wrote none.
    pub fn token(&self) -> Result<String> {
        let file = self.token_file();
        let token =
            std::fs::read_to_string(&file).with_context(|| format!("no token in {}", file.display()))?;
        Ok(token.trim().to_owned())
    }

    /// The file with what the server says.
    pub fn log_file(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// The last lines of what the server said.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// The certificate authority's PEM text; none without TLS.
    fn authority(&self) -> Result<Option<Vec<u8>>> {
        if self.tls == Tls::Off {
            return Ok(None);
        }
        let file = self.authority_file();
        let pem = std::fs::read(&file);
        Ok(Some(pem.with_context(|| format!("no certificate authority in {}", file.display()))?))
    }
}

#[expect(clippy::disallowed_methods, reason = "another process becomes ready, and has no way to wake us")]
fn pause() {
    std::thread::sleep(Duration::from_millis(2));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program in place of the server, made of shell.
    fn program(folder: &Path, script: &str) -> PathBuf {
        let file = folder.join("ferroform");
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        file
    }

    #[test]
    fn a_dropped_server_is_asked_to_stop_and_its_folder_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let script = format!(
            "trap 'echo stopped >>{0}; exit 0' TERM; mkfifo {0}.pipe; echo started >{0}; echo >>{0}.started; read never <{0}.pipe",
            log.display()
        );
        let server = Server::launch(&program(folder.path(), &script), Tls::Own, &[]).unwrap();
        while !folder.path().join("log.started").exists() {
            pause();
        }
        let data = server.folder.clone();
        assert!(data.exists());
        drop(server);
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "started\nstopped\n");
        assert!(!data.exists());
    }

    #[test]
    fn a_server_that_does_not_start_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let error = Server::start(&program(folder.path(), "exit 1"), Tls::Own, &[]).map(drop).unwrap_err();
        assert_eq!(error.to_string(), "the server ended while it started; what it said is above");
    }
}
