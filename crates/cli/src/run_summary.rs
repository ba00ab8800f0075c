//! How a run ended, in numbers and words: for the last lines of `push`, its exit status, and other programs of ours.

use client::{Apply, Plan, Run};
use serde::Serialize;

/// What a plan will do or an apply has done to resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Resources imported.
    pub import: u64,
    /// Resources added.
    pub add: u64,
    /// Resources changed in place.
    pub change: u64,
    /// Resources destroyed.
    pub destroy: u64,
}

impl Changes {
    /// Of a finished plan; `None` while the server has not counted.
    pub fn of_plan(plan: &Plan) -> Option<Self> {
        Some(Self {
            import: plan.resource_imports.unwrap_or(0),
            add: plan.resource_additions?,
            change: plan.resource_changes?,
            destroy: plan.resource_destructions?,
        })
    }

    /// Of a finished apply; `None` while the server has not counted.
    pub fn of_apply(apply: &Apply) -> Option<Self> {
        Some(Self {
            import: apply.resource_imports.unwrap_or(0),
            add: apply.resource_additions?,
            change: apply.resource_changes?,
            destroy: apply.resource_destructions?,
        })
    }

    /// `3 to add, 0 to change, 1 to destroy`.
    pub fn planned(self) -> String {
        let import = if self.import > 0 { format!("{} to import, ", self.import) } else { String::new() };
        format!("{import}{} to add, {} to change, {} to destroy", self.add, self.change, self.destroy)
    }

    /// `3 added, 0 changed, 1 destroyed`.
    pub fn applied(self) -> String {
        let import = if self.import > 0 { format!("{} imported, ", self.import) } else { String::new() };
        format!("{import}{} added, {} changed, {} destroyed", self.add, self.change, self.destroy)
    }
}

/// How a push ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// There was nothing to change.
    NoChanges,
    /// The changes were applied.
    Applied,
    /// The operation is carried out.
    Done,
    /// A plan that cannot be applied found changes.
    Planned,
    /// The changes wait for somebody's confirmation, or for the decision about a policy.
    AwaitingConfirmation,
    /// The changes were turned down.
    Discarded,
    /// The run was stopped.
    Canceled,
    /// The run failed.
    Errored,
    /// The person left; the run goes on.
    Left,
}

impl Outcome {
    /// The outcome of a run that has ended.
    pub fn of(run: &Run) -> Self {
        match run.status.as_str() {
            "applied" => Self::Applied,
            "planned_and_finished" if run.exec.is_some() => Self::Done,
            "planned_and_finished" if run.has_changes => Self::Planned,
            "planned_and_finished" | "assessed" => Self::NoChanges,
            "discarded" => Self::Discarded,
            "canceled" => Self::Canceled,
            _ => Self::Errored,
        }
    }

    /// The exit status. `detailed` tells changes that were not applied from none.
    pub fn exit_code(self, detailed: bool) -> u8 {
        match self {
            Self::NoChanges | Self::Applied | Self::Done => 0,
            Self::Planned | Self::AwaitingConfirmation => {
                if detailed {
                    2
                } else {
                    0
                }
            }
            Self::Discarded | Self::Canceled | Self::Errored => 1,
            Self::Left => 130,
        }
    }
}

/// The page of a run for people.
pub fn run_url(base: &str, organization: &str, workspace: &str, run: &str) -> String {
    format!("{}/app/{organization}/workspaces/{workspace}/runs/{run}", base.trim_end_matches('/'))
}
