//! The log: on standard error, for people or for programs.

use crate::options::LogFormat;
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

const VARIABLE: &str = "FERROFORM_LOG";
const DEFAULT: &str = "info,sqlx=warn";

/// Starts logging. `FERROFORM_LOG` sets the levels (`debug`, `info,runs=debug`); the default is `info`.
pub fn start(format: LogFormat) {
    let wanted = std::env::var(VARIABLE).ok().filter(|levels| !levels.is_empty());
    let read = wanted.as_deref().map(EnvFilter::try_new);
    let wrong = read.as_ref().and_then(|read| read.as_ref().err().map(ToString::to_string));
    let filter = read.and_then(Result::ok).unwrap_or_else(|| EnvFilter::new(DEFAULT));
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let layer = fmt::layer().with_target(false).with_ansi(colour).with_writer(std::io::stderr);
            registry.with(layer).try_init()
        }
    };
    // Only a second server in the same process finds a log already there, and shares it.
    drop(started);
    if let Some(why) = wrong {
        tracing::warn!("{VARIABLE} is not understood ({why}); the levels are {DEFAULT}");
    }
}
