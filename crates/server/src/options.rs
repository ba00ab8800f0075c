//! The options of `serve`: flag > environment (`FERROFORM_*`) > TOML file > default.
//!
//! The order is decided once, in [`parse`]: an option that neither a flag nor the environment sets is taken from the file
//! as if it had been given as a flag. So each option is declared in one place, below, and a key of the file is its flag's
//! name without the dashes.

use clap::{CommandFactory, FromArgMatches, Parser, parser::ValueSource};
use std::{ffi::OsString, path::PathBuf, time::Duration};

const LIMITS: &str = "Limits (times as 90s, 15m, 2h; sizes as 64KiB, 100MiB, 1GiB)";

/// Run the server.
#[derive(Parser, Clone, Debug)]
#[command(name = "serve", about = "Run the server: API, scheduler and runner in one process", version)]
pub struct ServeOptions {
    /// Folder for everything that is kept; made with mode 0700
    #[arg(long, value_name = "DIR", env = "FERROFORM_DATA_DIR", default_value_os_t = default_data_dir(), help_heading = "Where")]
    pub data_dir: PathBuf,
    /// TOML file with these options, by their names without dashes in front [default: <data-dir>/ferroform.toml, if there]
    #[arg(long, value_name = "FILE", env = "FERROFORM_CONFIG", help_heading = "Where")]
    pub config: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, value_name = "ADDR:PORT", env = "FERROFORM_LISTEN", default_value = "127.0.0.1:8443", help_heading = "Where")]
    pub listen: std::net::SocketAddr,
    /// Address that clients use, in URLs that the server gives out [default: from --listen]
    #[arg(long, value_name = "URL", env = "FERROFORM_URL", help_heading = "Where")]
    pub url: Option<String>,
    /// auto: a certificate authority of its own; off: plain HTTP; CERT,KEY: PEM files
    #[arg(long, value_name = "auto|off|CERT,KEY", env = "FERROFORM_TLS", default_value = "auto", value_parser = parse_tls, help_heading = "Where")]
    pub tls: Tls,
    /// sqlite, or a postgres:// URL (which may hold a password: then prefer the environment or --database-file)
    #[arg(long, value_name = "DATABASE", env = "FERROFORM_DATABASE", default_value = "sqlite", hide_env_values = true, help_heading = "Where")]
    pub database: String,
    /// File that holds the value of --database
    #[arg(long, value_name = "FILE", env = "FERROFORM_DATABASE_FILE", help_heading = "Where")]
    pub database_file: Option<PathBuf>,

    /// Runs worked on at the same time; 0 for a server that only serves [default: the number of processors]
    #[arg(long, value_name = "N", env = "FERROFORM_RUNNERS", help_heading = "Runs")]
    pub runners: Option<u32>,
    /// Engine to use: an executable, or a folder with executables [default: terraform or tofu on PATH]
    #[arg(long, value_name = "PATH", env = "FERROFORM_ENGINE", help_heading = "Runs")]
    pub engine: Option<PathBuf>,
    /// CLI configuration file for the engine, in place of the one that the server writes
    #[arg(long, value_name = "FILE", env = "FERROFORM_ENGINE_CONFIG", help_heading = "Runs")]
    pub engine_config: Option<PathBuf>,
    /// Folder with providers, in the layout of `terraform providers mirror` [default: ~/.terraform.d/plugins, if there]
    #[arg(long, value_name = "DIR", env = "FERROFORM_PROVIDER_MIRROR", help_heading = "Runs")]
    pub provider_mirror: Option<PathBuf>,
    /// Do not download OpenTofu when a workspace asks for a version that is not installed
    #[arg(long, env = "FERROFORM_NO_ENGINE_DOWNLOAD", help_heading = "Runs")]
    pub no_engine_download: bool,
    /// Mirror of OpenTofu's releases [default: the project's own]
    #[arg(long, value_name = "URL", env = "FERROFORM_ENGINE_MIRROR", help_heading = "Runs")]
    pub engine_mirror: Option<String>,
    /// Mirror of Terraform's releases. From 1.6 on Terraform is under the BUSL: it is downloaded only if this is set
    #[arg(long, value_name = "URL", env = "FERROFORM_TERRAFORM_MIRROR", help_heading = "Runs")]
    pub terraform_mirror: Option<String>,
    /// File with OpenPGP keys that may sign what the mirrors serve (repeatable)
    #[arg(long, value_name = "FILE", help_heading = "Runs")]
    pub engine_mirror_key: Vec<PathBuf>,
    /// Refuse to run when the kernel cannot confine runs
    #[arg(long, env = "FERROFORM_REQUIRE_SANDBOX", help_heading = "Runs")]
    pub require_sandbox: bool,
    /// File or folder that every run may read, besides the system's (repeatable)
    #[arg(long, value_name = "PATH", help_heading = "Runs")]
    pub run_read: Vec<PathBuf>,
    /// Environment variable of the server that every run gets, such as HTTPS_PROXY (repeatable)
    #[arg(long, value_name = "NAME", help_heading = "Runs")]
    pub run_env: Vec<String>,

    /// Longest plan
    #[arg(long, value_name = "TIME", env = "FERROFORM_PLAN_TIMEOUT", default_value = "2h", value_parser = parse_duration, help_heading = LIMITS)]
    pub plan_timeout: Duration,
    /// Longest apply
    #[arg(long, value_name = "TIME", env = "FERROFORM_APPLY_TIMEOUT", default_value = "24h", value_parser = parse_duration, help_heading = LIMITS)]
    pub apply_timeout: Duration,
    /// From a cancel until a force-cancel is allowed
    #[arg(long, value_name = "TIME", env = "FERROFORM_FORCE_CANCEL_AFTER", default_value = "60s", value_parser = parse_duration, help_heading = LIMITS)]
    pub force_cancel_after: Duration,
    /// How long SIGTERM waits for running phases; what still runs then goes on and is taken up by the next start
    #[arg(long, value_name = "TIME", env = "FERROFORM_GRACE_PERIOD", default_value = "30s", value_parser = parse_duration, help_heading = LIMITS)]
    pub grace_period: Duration,
    /// Largest configuration archive, as uploaded
    #[arg(long, value_name = "SIZE", env = "FERROFORM_UPLOAD_LIMIT", default_value = "100MiB", value_parser = parse_size, help_heading = LIMITS)]
    pub upload_limit: u64,
    /// Largest configuration, unpacked
    #[arg(long, value_name = "SIZE", env = "FERROFORM_EXPANDED_LIMIT", default_value = "1GiB", value_parser = parse_size, help_heading = LIMITS)]
    pub expanded_limit: u64,
    /// Most files, links and folders in a configuration
    #[arg(long, value_name = "N", env = "FERROFORM_ENTRY_LIMIT", default_value = "100000", help_heading = LIMITS)]
    pub entry_limit: u64,
    /// Most bytes that one byte of an archive may become, beyond the first MiB
    #[arg(long, value_name = "N", env = "FERROFORM_RATIO_LIMIT", default_value = "200", help_heading = LIMITS)]
    pub ratio_limit: u64,
    /// Largest state
    #[arg(long, value_name = "SIZE", env = "FERROFORM_STATE_LIMIT", default_value = "256MiB", value_parser = parse_size, help_heading = LIMITS)]
    pub state_limit: u64,
    /// Largest JSON body of a request that carries no state
    #[arg(long, value_name = "SIZE", env = "FERROFORM_BODY_LIMIT", default_value = "4MiB", value_parser = parse_size, help_heading = LIMITS)]
    pub body_limit: u64,
    /// Largest log of a plan or an apply
    #[arg(long, value_name = "SIZE", env = "FERROFORM_LOG_LIMIT", default_value = "64MiB", value_parser = parse_size, help_heading = LIMITS)]
    pub log_limit: u64,
    /// Memory that each process of a run may use; 0 is no limit
    #[arg(long, value_name = "SIZE", env = "FERROFORM_RUN_MEMORY", default_value = "4GiB", value_parser = parse_size, help_heading = LIMITS)]
    pub run_memory: u64,
    /// Largest file that a run may write; 0 is no limit
    #[arg(long, value_name = "SIZE", env = "FERROFORM_RUN_FILE_SIZE", default_value = "4GiB", value_parser = parse_size, help_heading = LIMITS)]
    pub run_file_size: u64,
    /// Files that each process of a run may have open; 0 is no limit
    #[arg(long, value_name = "N", env = "FERROFORM_RUN_OPEN_FILES", default_value = "4096", help_heading = LIMITS)]
    pub run_open_files: u64,
    /// Connections to PostgreSQL, or readers of SQLite
    #[arg(long, value_name = "N", env = "FERROFORM_DATABASE_CONNECTIONS", default_value = "8", help_heading = LIMITS)]
    pub database_connections: u32,

    /// Form of the log on standard error
    #[arg(long, value_name = "text|json", env = "FERROFORM_LOG_FORMAT", default_value = "text", help_heading = "Watching it")]
    pub log_format: LogFormat,
    /// Serve /metrics here, without a token; loopback is wise
    #[arg(long, value_name = "ADDR:PORT", env = "FERROFORM_METRICS_LISTEN", help_heading = "Watching it")]
    pub metrics_listen: Option<std::net::SocketAddr>,
    /// File with the bearer token that may read /metrics on the main address
    #[arg(long, value_name = "FILE", env = "FERROFORM_METRICS_TOKEN_FILE", help_heading = "Watching it")]
    pub metrics_token_file: Option<PathBuf>,
}

/// How connections are protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// By a certificate of the server's own authority.
    Auto,
    /// Not at all: plain HTTP.
    Off,
    /// By a certificate from PEM files: certificate chain, key.
    Files(PathBuf, PathBuf),
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

fn default_data_dir() -> PathBuf {
    let home = || std::env::var_os("HOME").map(PathBuf::from);
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/ferroform");
    }
    std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| home().map(|home| home.join(".local/share")))
        .map_or_else(|| PathBuf::from("ferroform-data"), |base| base.join("ferroform"))
}

fn parse_tls(text: &str) -> Result<Tls, String> {
    match text {
        "auto" => Ok(Tls::Auto),
        "off" => Ok(Tls::Off),
        files => match files.split_once(',') {
            Some((cert, key)) if !cert.is_empty() && !key.is_empty() => Ok(Tls::Files(cert.into(), key.into())),
            _ => Err("expected `auto`, `off`, or two PEM files as CERT,KEY".to_owned()),
        },
    }
}

/// `90s`, `15m`, `2h`, `1d`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| "expected a number with a unit: 90s, 15m, 2h, 1d".to_owned())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(format!("the unit must be s, m, h or d, as in {number}s")),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(|| "too long".to_owned())
}

/// `1024`, `64KiB`, `100MiB`, `1GiB`.
fn parse_size(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| "expected a size: 1024, 64KiB, 100MiB, 1GiB".to_owned())?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(format!("the unit must be KiB, MiB or GiB, as in {number}MiB")),
    };
    number.checked_mul(factor).ok_or_else(|| "too large".to_owned())
}

/// Reads the options of `serve` from its arguments (program name first), the environment and the file.
///
/// # Errors
/// clap's own, which also carries `--help`; it names the key when the file is at fault.
pub fn parse(arguments: Vec<OsString>) -> Result<ServeOptions, clap::Error> {
    let command = ServeOptions::command();
    let matches = command.clone().try_get_matches_from(&arguments)?;
    let options = ServeOptions::from_arg_matches(&matches)?;
    let (file, required) = match &options.config {
        Some(file) => (file.clone(), true),
        None => (options.data_dir.join("ferroform.toml"), false),
    };
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if !required && error.kind() == std::io::ErrorKind::NotFound => return Ok(options),
        Err(error) => return Err(fault(&command, format!("{} cannot be read: {error}", file.display()))),
    };
    let table: toml::Table = text
        .parse()
        .map_err(|error| fault(&command, format!("{} is not valid TOML: {error}", file.display())))?;
    let mut all: Vec<OsString> = arguments.iter().take(1).cloned().collect();
    for (key, value) in &table {
        let argument = command.get_arguments().find(|a| a.get_long() == Some(key.as_str()) && key != "config");
        let Some(argument) = argument else {
            return Err(fault(&command, format!("{}: there is no option `{key}`", file.display())));
        };
        let set = matches.value_source(argument.get_id().as_str());
        if matches!(set, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            continue;
        }
        flags(key, value).map(|flags| all.extend(flags)).map_err(|why| {
            fault(&command, format!("{}: the value of `{key}` {why}", file.display()))
        })?;
    }
    all.extend(arguments.into_iter().skip(1));
    ServeOptions::from_arg_matches(&command.try_get_matches_from(all)?)
}

/// A value of the file as the flags that say the same.
fn flags(key: &str, value: &toml::Value) -> Result<Vec<OsString>, &'static str> {
    let flag = |text: String| OsString::from(format!("--{key}={text}"));
    Ok(match value {
        toml::Value::String(text) => vec![flag(text.clone())],
        toml::Value::Integer(number) => vec![flag(number.to_string())],
        toml::Value::Boolean(true) => vec![OsString::from(format!("--{key}"))],
        toml::Value::Boolean(false) => vec![],
        toml::Value::Array(items) => {
            let mut all = Vec::new();
            for item in items {
                all.extend(flags(key, item)?);
            }
            all
        }
        _ => return Err("must be text, a number, true or false, or a list of these"),
    })
}

fn fault(command: &clap::Command, message: String) -> clap::Error {
    command.clone().error(clap::error::ErrorKind::ValueValidation, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Result<ServeOptions, clap::Error> {
        parse(std::iter::once("serve").chain(arguments.iter().copied()).map(OsString::from).collect())
    }

    fn with_file(text: &str, arguments: &[&str]) -> Result<ServeOptions, clap::Error> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ferroform.toml"), text).unwrap();
        let dir = dir.path().to_str().unwrap();
        options(&[&["--data-dir", dir], arguments].concat())
    }

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        assert_eq!(with_file("", &[]).unwrap().plan_timeout, Duration::from_secs(7200));
        assert_eq!(with_file("plan-timeout = \"5m\"", &[]).unwrap().plan_timeout, Duration::from_secs(300));
        let both = with_file("plan-timeout = \"5m\"", &["--plan-timeout", "9s"]).unwrap();
        assert_eq!(both.plan_timeout, Duration::from_secs(9));
    }

    #[test]
    fn the_environment_beats_the_file() {
        // The environment of a test process is shared, so the question is asked of a process of its own.
        let exe = std::env::current_exe().unwrap();
        let output = std::process::Command::new(exe)
            .args(["--exact", "options::tests::child_prints_the_entry_limit", "--nocapture", "--ignored"])
            .env("FERROFORM_ENTRY_LIMIT", "77")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("entry-limit=77"), "{text}");
    }

    #[test]
    #[ignore = "run by the_environment_beats_the_file in a process of its own"]
    fn child_prints_the_entry_limit() {
        println!("entry-limit={}", with_file("entry-limit = 5", &[]).unwrap().entry_limit);
    }

    #[test]
    fn an_unknown_key_of_the_file_is_named() {
        let error = with_file("plan-timeuot = \"5m\"", &[]).unwrap_err().to_string();
        assert!(error.contains("plan-timeuot"), "{error}");
    }

    #[test]
    fn lists_and_switches_come_from_the_file_too() {
        let o = with_file("run-env = [\"A\", \"B\"]\nrequire-sandbox = true\nentry-limit = 7", &[]).unwrap();
        assert_eq!(o.run_env, ["A", "B"]);
        assert!(o.require_sandbox);
        assert_eq!(o.entry_limit, 7);
    }

    #[test]
    fn wrong_values_explain_themselves() {
        let error = options(&["--plan-timeout", "2 hours"]).unwrap_err().to_string();
        assert!(error.contains("s, m, h or d"), "{error}");
        let error = options(&["--upload-limit", "10MB"]).unwrap_err().to_string();
        assert!(error.contains("KiB, MiB or GiB"), "{error}");
        let error = options(&["--tls", "on"]).unwrap_err().to_string();
        assert!(error.contains("CERT,KEY"), "{error}");
    }

    #[test]
    fn a_size_and_a_time_have_units() {
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(parse_tls("a.pem,b.pem"), Ok(Tls::Files("a.pem".into(), "b.pem".into())));
    }
}
