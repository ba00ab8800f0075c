//! The server as a process: how soon it is ready, and how much memory it holds.

use std::path::Path;

use anyhow::{Context, Result};
use xtask::server::{Server, Tls};

use crate::measure::{Bar, Report, Times};
use crate::{Setting, engine_option};

const STARTS: usize = 10;

/// Cold starts on empty data directories with the embedded defaults, and the memory of the idle server.
pub(crate) fn cold_starts(ferroform: &Path, engine: &Path, report: &mut Report) -> Result<()> {
    let mut starts = Times::default();
    let mut idle = 0.0_f64;
    for _ in 0..STARTS {
        let server = starts.once(|| Server::start(ferroform, Tls::Own, &engine_option(engine)))?;
        idle = idle.max(resident(server.process(), "VmRSS")?);
    }
    let from =
        format!("median of {STARTS}; from the process's start to 200 of /_health_check, certificates made");
    report.row("cold start", starts.median(), "s", from, Bar::AtMost(0.3));
    report.row(
        "idle memory",
        idle,
        "MB",
        format!("resident; the most of {STARTS} starts"),
        Bar::AtMost(40.0),
    );
    Ok(())
}

/// The most memory that the shared server ever held.
pub(crate) fn peak(setting: &Setting, report: &mut Report) -> Result<()> {
    let peak = resident(setting.server.process(), "VmHWM")?;
    report.row("peak memory", peak, "MB", "resident, after all of the above".to_owned(), Bar::AtMost(150.0));
    Ok(())
}

/// Megabytes (10⁶ bytes) of a process: `VmRSS` is what it holds now, `VmHWM` the most it ever held.
fn resident(process: u32, which: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).context("the server is gone")?;
    let line =
        status.lines().find_map(|line| line.strip_prefix(which)).context("the kernel does not tell")?;
    let kib: f64 =
        line.trim_matches([':', ' ', '\t']).trim_end_matches(" kB").parse().context("not a number")?;
    Ok(kib * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_process_is_a_few_megabytes() {
        let now = resident(std::process::id(), "VmRSS").unwrap();
        let most = resident(std::process::id(), "VmHWM").unwrap();
        assert!(0.5 < now && now <= most, "{now} {most}");
    }
}
