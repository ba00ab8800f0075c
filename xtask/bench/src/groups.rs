//! The scenarios, in groups that can be chosen with `--only`.

mod audit;
mod cli;
mod lists;
mod logs;
mod permissions;
pub(crate) mod process;
mod reads;
mod runs;
mod state;

use anyhow::Result;

use crate::Setting;
use crate::measure::Report;

/// A group of scenarios that share their set-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Group {
    /// Runs through the API against the bare commands
    Runs,
    /// A long log, and a log with many readers
    Logs,
    /// A large state version
    State,
    /// Reading one workspace, and lists of many
    Reads,
    /// Lists with what they include, of many workspaces and runs
    Lists,
    /// Deciding about a permission
    Permissions,
    /// Writes with and without the audit trail
    Audit,
    /// Terraform's own command line through the `cloud` block
    Cli,
}

impl Group {
    /// Measures the group's scenarios.
    ///
    /// # Errors
    /// When one cannot be carried out; a bar that is missed is no error.
    pub(crate) fn measure(self, setting: &Setting, report: &mut Report) -> Result<()> {
        match self {
            Self::Runs => runs::measure(setting, report),
            Self::Logs => logs::measure(setting, report),
            Self::State => state::measure(setting, report),
            Self::Reads => reads::measure(setting, report),
            Self::Lists => lists::measure(setting, report),
            Self::Permissions => {
                permissions::measure(report);
                Ok(())
            }
            Self::Audit => audit::measure(setting, report),
            Self::Cli => cli::measure(setting, report),
        }
    }
}
