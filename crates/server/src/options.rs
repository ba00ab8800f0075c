//! The options of `serve`: flag > environment (`FERROFORM_*`) > TOML file > default.
//!
//! Each option is declared in one place, below; [`layers`] decides once, for all of them, which source wins. A key of the
//! file is its flag's name without the dashes.

mod database;
mod external;
mod layers;
mod values;

pub use database::DatabaseSource;
pub use external::ExternalOptions;
pub use layers::parse;

use clap::Parser;
use http_api::origin::{Network, RangeKind};
use std::{path::PathBuf, time::Duration};
use values::{parse_address, parse_duration, parse_number, parse_range, parse_size, parse_tls, parse_url};

const LIMITS: &str = "Limits (times as 90s, 15m, 1h30m, 2d; sizes as 64KiB, 100MiB, 1GiB)";

/// Run the server.
#[derive(Parser, Clone, Debug)]
#[command(name = "serve", about = "Run the server: API, scheduler and runner in one process")]
pub struct ServeOptions {
    /// Folder for everything that is kept; made with mode 0700
    #[arg(long, value_name = "DIR", env = "FERROFORM_DATA_DIR", default_value_os_t = default_data_dir(), help_heading = "Where")]
    pub data_dir: PathBuf,
    /// TOML file with these options, by their names without dashes in front [default: <data-dir>/ferroform.toml, if there]
    #[arg(long, value_name = "FILE", env = "FERROFORM_CONFIG", help_heading = "Where")]
    pub config: Option<PathBuf>,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", env = "FERROFORM_LISTEN", default_value = "127.0.0.1:8443", value_parser = parse_address, help_heading = "Where")]
    pub listen: std::net::SocketAddr,
    /// Address that clients use, in URLs that the server gives out [default: from --listen]
    #[arg(long, value_name = "URL", env = "FERROFORM_URL", value_parser = parse_url, help_heading = "Where")]
    pub url: Option<String>,
    /// auto: a certificate authority of its own; off: plain HTTP; CERT,KEY: PEM files
    #[arg(long, value_name = "auto|off|CERT,KEY", env = "FERROFORM_TLS", default_value = "auto", value_parser = parse_tls, help_heading = "Where")]
    pub tls: Tls,
    /// Proxy, or network of proxies, whose X-Forwarded-For tells where a request comes from; others' says nothing
    /// (repeatable, or separated by commas)
    #[arg(
        long,
        value_name = "CIDR",
        env = "FERROFORM_TRUSTED_PROXY",
        value_delimiter = ',',
        help_heading = "Where"
    )]
    pub trusted_proxy: Vec<Network>,
    /// Network that GET /api/meta/ip-ranges names, for firewalls: where clients reach the API (api=203.0.113.7), or from
    /// where the server calls others (notifications=, sentinel=, vcs=) (repeatable, or separated by commas)
    #[arg(
        long,
        value_name = "KIND=CIDR",
        env = "FERROFORM_IP_RANGE",
        value_delimiter = ',',
        value_parser = parse_range,
        help_heading = "Where"
    )]
    pub ip_range: Vec<(RangeKind, Network)>,
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseSource,

    /// A browser is signed out when nobody has used it for so long
    #[arg(long, value_name = "TIME", env = "FERROFORM_SESSION_IDLE", default_value = "24h", value_parser = parse_duration, help_heading = "Signing in")]
    pub session_idle: Duration,
    /// A browser is signed out after so long in any case
    #[arg(long, value_name = "TIME", env = "FERROFORM_SESSION_LIFETIME", default_value = "14d", value_parser = parse_duration, help_heading = "Signing in")]
    pub session_lifetime: Duration,
    /// What `terraform login` does: browser hands the command line a token; paste asks for one that was made on a page,
    /// for people whose terminal and browser are on different machines
    #[arg(
        long,
        value_name = "browser|paste",
        env = "FERROFORM_TERRAFORM_LOGIN",
        default_value = "browser",
        help_heading = "Signing in"
    )]
    pub terraform_login: TerraformLogin,
    /// The provider that people may sign in by.
    #[command(flatten)]
    pub external: ExternalOptions,

    /// Runs worked on at the same time; 0 for a server that only serves [default: the number of processors]
    #[arg(long, value_name = "N", env = "FERROFORM_RUNNERS", value_parser = parse_number::<u32>, help_heading = "Runs")]
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
    /// File with OpenPGP keys that may sign what the mirrors serve (repeatable, or separated by commas)
    #[arg(
        long,
        value_name = "FILE",
        env = "FERROFORM_ENGINE_MIRROR_KEY",
        value_delimiter = ',',
        help_heading = "Runs"
    )]
    pub engine_mirror_key: Vec<PathBuf>,
    /// Refuse to run when the kernel cannot confine runs
    #[arg(long, env = "FERROFORM_REQUIRE_SANDBOX", help_heading = "Runs")]
    pub require_sandbox: bool,
    /// File or folder that every run may read, besides the system's (repeatable, or separated by commas)
    #[arg(
        long,
        value_name = "PATH",
        env = "FERROFORM_RUN_READ",
        value_delimiter = ',',
        help_heading = "Runs"
    )]
    pub run_read: Vec<PathBuf>,
    /// Environment variable of the server that every run gets, such as HTTPS_PROXY (repeatable, or separated by commas)
    #[arg(
        long,
        value_name = "NAME",
        env = "FERROFORM_RUN_ENV",
        value_delimiter = ',',
        help_heading = "Runs"
    )]
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
    /// How long SIGTERM waits for open requests and running phases; what still runs then goes on without the server, and
    /// the next start takes it up
    #[arg(long, value_name = "TIME", env = "FERROFORM_GRACE_PERIOD", default_value = "30s", value_parser = parse_duration, help_heading = LIMITS)]
    pub grace_period: Duration,
    /// Largest configuration archive, as uploaded
    #[arg(long, value_name = "SIZE", env = "FERROFORM_UPLOAD_LIMIT", default_value = "100MiB", value_parser = parse_size, help_heading = LIMITS)]
    pub upload_limit: u64,
    /// Largest configuration, unpacked
    #[arg(long, value_name = "SIZE", env = "FERROFORM_EXPANDED_LIMIT", default_value = "1GiB", value_parser = parse_size, help_heading = LIMITS)]
    pub expanded_limit: u64,
    /// Most files, links and folders in a configuration
    #[arg(long, value_name = "N", env = "FERROFORM_ENTRY_LIMIT", default_value = "100000", value_parser = parse_number::<u64>, help_heading = LIMITS)]
    pub entry_limit: u64,
    /// Most bytes that one byte of an archive may become, beyond the first MiB
    #[arg(long, value_name = "N", env = "FERROFORM_RATIO_LIMIT", default_value = "200", value_parser = parse_number::<u64>, help_heading = LIMITS)]
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
    /// Requests a second from one user, with all their tokens, or from one address without a token; 0 is no limit
    #[arg(long, value_name = "N", env = "FERROFORM_RATE_LIMIT", default_value = "30", value_parser = parse_number::<u32>, help_heading = LIMITS)]
    pub rate_limit: u32,
    /// Memory that each process of a run may use; 0 is no limit
    #[arg(long, value_name = "SIZE", env = "FERROFORM_RUN_MEMORY", default_value = "4GiB", value_parser = parse_size, help_heading = LIMITS)]
    pub run_memory: u64,
    /// Largest file that a run may write; 0 is no limit
    #[arg(long, value_name = "SIZE", env = "FERROFORM_RUN_FILE_SIZE", default_value = "4GiB", value_parser = parse_size, help_heading = LIMITS)]
    pub run_file_size: u64,
    /// Files that each process of a run may have open; 0 is no limit
    #[arg(long, value_name = "N", env = "FERROFORM_RUN_OPEN_FILES", default_value = "4096", value_parser = parse_number::<u64>, help_heading = LIMITS)]
    pub run_open_files: u64,
    /// Connections to PostgreSQL, or readers of SQLite
    #[arg(long, value_name = "N", env = "FERROFORM_DATABASE_CONNECTIONS", default_value = "8", value_parser = parse_number::<u32>, help_heading = LIMITS)]
    pub database_connections: u32,

    /// Days that the audit trail's entries are kept; 0 is for ever
    #[arg(long, value_name = "DAYS", env = "FERROFORM_AUDIT_DAYS", default_value = "0", value_parser = parse_number::<u32>, help_heading = "Watching it")]
    pub audit_days: u32,
    /// Keep no audit trail: only to measure what it costs
    #[arg(long, env = "FERROFORM_NO_AUDIT", hide = true, help_heading = "Watching it")]
    pub no_audit: bool,
    /// Form of the log on standard error
    #[arg(
        long,
        value_name = "text|json",
        env = "FERROFORM_LOG_FORMAT",
        default_value = "text",
        help_heading = "Watching it"
    )]
    pub log_format: LogFormat,
    /// Serve /metrics here, without a token; loopback is wise
    #[arg(long, value_name = "ADDR:PORT", env = "FERROFORM_METRICS_LISTEN", value_parser = parse_address, help_heading = "Watching it")]
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

/// How `terraform login` gets its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TerraformLogin {
    /// From a browser that it opens.
    Browser,
    /// From the person, who has made one on a page.
    Paste,
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
