//! What `ferroform push` is told.

use crate::place::PlaceArgs;
use std::path::PathBuf;

/// Options of `ferroform push`.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(after_long_help = AFTER_HELP)]
pub struct PushArgs {
    /// Folder with the configuration; what .terraformignore names is left out
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,

    /// Where to push to; the cloud block is that of DIR.
    #[command(flatten)]
    pub place: PlaceArgs,

    /// Create the workspace if it does not exist
    #[arg(long, help_heading = "Where")]
    pub create: bool,

    /// Why this run, for the people who see it
    #[arg(long, short, value_name = "TEXT", help_heading = "What to run")]
    pub message: Option<String>,

    /// Only plan; the run can never be applied
    #[arg(long, help_heading = "What to run", conflicts_with = "auto_approve")]
    pub plan_only: bool,

    /// Plan to destroy everything the workspace manages
    #[arg(long, help_heading = "What to run", conflicts_with = "refresh_only")]
    pub destroy: bool,

    /// Only bring the state up to date with what exists
    #[arg(long, help_heading = "What to run")]
    pub refresh_only: bool,

    /// Plan this resource and what it depends on, nothing else (repeatable)
    #[arg(long, value_name = "ADDRESS", help_heading = "What to run")]
    pub target: Vec<String>,

    /// Replace this resource even if nothing demands it (repeatable)
    #[arg(long, value_name = "ADDRESS", help_heading = "What to run")]
    pub replace: Vec<String>,

    /// Input variable of this run alone (repeatable). VALUE is text, or HCL where it begins with [ or { or is in double quotes
    #[arg(long, value_name = "KEY=VALUE", help_heading = "What to run")]
    pub var: Vec<String>,

    /// Apply without asking
    #[arg(long, help_heading = "How")]
    pub auto_approve: bool,

    /// Exit with 2 instead of 0 when there are changes that were not applied
    #[arg(long, help_heading = "How")]
    pub detailed_exitcode: bool,

    /// Write one JSON object a line to standard output, for programs; nothing is asked
    #[arg(long, help_heading = "How")]
    pub json: bool,
}

const AFTER_HELP: &str = "\
Without a terminal (or with --json) nothing is asked: unless --auto-approve is given or the workspace applies by \
itself, the run is left waiting for its confirmation, and its address is printed.

Ctrl-C offers to cancel the run (without a terminal it cancels at once); a second Ctrl-C leaves the run alone.

With --json each line is an object with a \"type\": workspace_created, packed, uploaded, run_created, waiting, status, \
log (\"phase\", and \"entry\" for the engine's JSON lines or \"text\" for others), planned, notice; the last is finished \
(\"outcome\": no_changes, applied, planned, awaiting_confirmation, discarded, canceled, errored or left) or error. Types \
and members may be added.

Exit status: 0 nothing to change, applied, or (without --detailed-exitcode) changes left unapplied; 1 failed, canceled \
or discarded; 2 changes left unapplied, with --detailed-exitcode; 130 left by Ctrl-C while the run goes on.";
