//! The vocabulary of statuses, and the groups that the API knows.
//!
//! The whole of TFE's vocabulary is here, so that any stored or requested text parses; [`super::step`] produces the
//! part that is built. `force_canceled` is left out on purpose: such a run is `canceled` with `force-canceled-at`,
//! because typed clients refuse a status that they do not know.

use kernel::Timestamp;

/// Defines [`Status`]: name, text, and the key in `status-timestamps` where there is one.
macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident $text:literal $($key:literal)?;)*) => {
        /// Where a run stands.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum Status {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Status {
            /// Every status, in the order of a run's life.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The status as the API and the database write it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The key in `status-timestamps` that reaching this status sets; waiting states have none.
            pub const fn timestamp_key(self) -> Option<&'static str> {
                match self { $(Self::$name => { let key: &[&str] = &[$($key)?]; if key.is_empty() { None } else { Some(key[0]) } })* }
            }
        }
    };
}

statuses! {
    /// Created; waits for its turn.
    Pending "pending" "plan-queueable-at";
    /// The configuration is being fetched again.
    Fetching "fetching" "fetching-at";
    /// The configuration is here again.
    FetchingCompleted "fetching_completed" "fetched-at";
    /// Run tasks before the plan.
    PrePlanRunning "pre_plan_running" "pre-plan-running-at";
    /// A task before the plan waits for somebody's decision.
    PrePlanAwaitingDecision "pre_plan_awaiting_decision";
    /// The tasks before the plan are through.
    PrePlanCompleted "pre_plan_completed" "pre-plan-completed-at";
    /// On its way to the runners.
    Queuing "queuing" "queuing-at";
    /// The plan waits for a runner.
    PlanQueued "plan_queued" "plan-queued-at";
    /// A runner plans.
    Planning "planning" "planning-at";
    /// Planned; rests here for confirmation when nothing else follows.
    Planned "planned" "planned-at";
    /// Run tasks and policy evaluations after the plan.
    PostPlanRunning "post_plan_running" "post-plan-running-at";
    /// An evaluation after the plan waits for somebody's decision.
    PostPlanAwaitingDecision "post_plan_awaiting_decision";
    /// The stage after the plan is through.
    PostPlanCompleted "post_plan_completed" "post-plan-completed-at";
    /// Costs are being estimated.
    CostEstimating "cost_estimating" "cost-estimating-at";
    /// Costs are estimated.
    CostEstimated "cost_estimated" "cost-estimated-at";
    /// Policies are being checked.
    PolicyChecking "policy_checking";
    /// A policy failed that may be overridden.
    PolicyOverride "policy_override";
    /// A policy failed that might have been overridden, in a plan-only run. Final.
    PolicySoftFailed "policy_soft_failed" "policy-soft-failed-at";
    /// The policies passed, or were overridden.
    PolicyChecked "policy_checked" "policy-checked-at";
    /// Terraform policies passed (beta).
    TfPolicyChecked "tf_policy_checked" "tf-policy-checked-at";
    /// A Terraform policy was overridden (beta).
    TfPolicyOverride "tf_policy_override" "tf-policy-override-at";
    /// Confirmed, by a person or by itself.
    Confirmed "confirmed" "confirmed-at";
    /// Run tasks before the apply.
    PreApplyRunning "pre_apply_running" "pre-apply-running-at";
    /// The tasks before the apply are through.
    PreApplyCompleted "pre_apply_completed" "pre-apply-completed-at";
    /// The apply is on its way to the runners.
    QueuingApply "queuing_apply" "queuing-apply-at";
    /// The apply waits for a runner.
    ApplyQueued "apply_queued" "apply-queued-at";
    /// A runner applies.
    Applying "applying" "applying-at";
    /// Run tasks after the apply.
    PostApplyRunning "post_apply_running" "post-apply-running-at";
    /// The tasks after the apply are through.
    PostApplyCompleted "post_apply_completed" "post-apply-completed-at";
    /// Applied. Final.
    Applied "applied" "applied-at";
    /// Discarded. Final.
    Discarded "discarded" "discarded-at";
    /// Failed. Final.
    Errored "errored" "errored-at";
    /// Canceled, by force or not. Final.
    Canceled "canceled" "canceled-at";
    /// Planned, and nothing is to be applied. Final.
    PlannedAndFinished "planned_and_finished" "planned-and-finished-at";
    /// Planned, and kept to be confirmed some time.
    PlannedAndSaved "planned_and_saved" "planned-and-saved-at";
    /// A health assessment runs.
    Assessing "assessing";
    /// A health assessment is through. Final.
    Assessed "assessed" "assessed-at";
}

impl Status {
    /// Whether a run in this status has ended: nothing changes it any more.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Applied
                | Self::Discarded
                | Self::Errored
                | Self::Canceled
                | Self::PlannedAndFinished
                | Self::PolicySoftFailed
                | Self::Assessed
        )
    }

    /// The status of this text; `None` when TFE has no such status.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| s.as_str() == text)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value of `filter[status_group]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusGroup {
    /// Runs that have ended.
    Final,
    /// Runs that have not.
    NonFinal,
    /// Runs that wait for a person, who may discard them. TFE's list, which leaves out `pending`.
    Discardable,
}

impl StatusGroup {
    /// The group of this name.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "final" => Some(Self::Final),
            "non_final" => Some(Self::NonFinal),
            "discardable" => Some(Self::Discardable),
            _ => None,
        }
    }

    /// Whether a status belongs to the group.
    pub const fn contains(self, status: Status) -> bool {
        match self {
            Self::Final => status.is_final(),
            Self::NonFinal => !status.is_final(),
            Self::Discardable => matches!(
                status,
                Status::Planned
                    | Status::PlannedAndSaved
                    | Status::CostEstimated
                    | Status::PolicyChecked
                    | Status::PolicyOverride
                    | Status::PostPlanRunning
                    | Status::PostPlanCompleted
            ),
        }
    }

    /// The statuses of the group, in the order of a run's life.
    pub fn statuses(self) -> impl Iterator<Item = Status> {
        Status::ALL.iter().copied().filter(move |s| self.contains(*s))
    }
}

/// Where a plan or an apply stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseStatus {
    /// Its turn has not come.
    #[default]
    Pending,
    /// Waits for a runner of an agent pool.
    ManagedQueued,
    /// Waits for a runner.
    Queued,
    /// A runner works on it.
    Running,
    /// Done.
    Finished,
    /// Failed.
    Errored,
    /// Stopped, or never begun, because the run was canceled.
    Canceled,
    /// Will never run.
    Unreachable,
}

impl PhaseStatus {
    /// The status as the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::ManagedQueued => "managed_queued",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Errored => "errored",
            Self::Canceled => "canceled",
            Self::Unreachable => "unreachable",
        }
    }

    /// Whether nothing will change the phase any more; clients stop to follow its log then.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Finished | Self::Errored | Self::Canceled | Self::Unreachable)
    }

    const fn timestamp_key(self) -> Option<&'static str> {
        match self {
            Self::ManagedQueued | Self::Queued => Some("queued-at"),
            Self::Running => Some("started-at"),
            Self::Finished => Some("finished-at"),
            Self::Errored => Some("errored-at"),
            Self::Canceled => Some("canceled-at"),
            Self::Pending | Self::Unreachable => None,
        }
    }
}

impl super::Run {
    /// Sets the status and its timestamp.
    pub(super) fn reach(&mut self, status: Status, now: Timestamp) {
        self.status = status;
        if let Some(key) = status.timestamp_key() {
            self.status_timestamps.insert(key.to_owned(), now);
        }
    }
}

impl super::Phase {
    /// Sets the status and its timestamp.
    pub(super) fn reach(&mut self, status: PhaseStatus, now: Timestamp) {
        self.status = status;
        if let Some(key) = status.timestamp_key() {
            self.status_timestamps.insert(key.to_owned(), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_statuses_are_those_of_the_documentation() {
        let names = |group: &str| -> Vec<_> {
            StatusGroup::parse(group).unwrap().statuses().map(Status::as_str).collect()
        };
        assert_eq!(
            names("final"),
            [
                "policy_soft_failed",
                "applied",
                "discarded",
                "errored",
                "canceled",
                "planned_and_finished",
                "assessed"
            ]
        );
        assert_eq!(
            names("discardable"),
            [
                "planned",
                "post_plan_running",
                "post_plan_completed",
                "cost_estimated",
                "policy_override",
                "policy_checked",
                "planned_and_saved"
            ]
        );
        assert_eq!(names("final").len() + names("non_final").len(), Status::ALL.len());
        assert!(StatusGroup::parse("open").is_none());
    }

    #[test]
    fn every_status_reads_back_from_its_text_and_from_json() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(*status));
            let json = serde_json::to_string(status).unwrap();
            assert_eq!(json, format!("\"{status}\""));
            assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), *status);
        }
        assert_eq!(Status::parse("force_canceled"), None);
    }
}
