//! What may be done with a run now: the `actions` object of the API.
//!
//! It depends on the run alone; who may do it is the `permissions` object's matter. [`super::step`] asks the same
//! functions, so the flags and the endpoints agree, but for `pending`: discarding it is accepted and the flag is
//! false, as TFE's documentation and its samples have it.

use super::{Run, Status};
use kernel::Timestamp;

/// The `actions` object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Actions {
    /// A cancel would be accepted. False once one was: a second SIGINT would make the engine give up its state.
    pub is_cancelable: bool,
    /// The plan waits for somebody to confirm it.
    pub is_confirmable: bool,
    /// The plan waits, and may be discarded.
    pub is_discardable: bool,
    /// A cancel was asked for, the process still runs, and the cool-off is over.
    pub is_force_cancelable: bool,
}

/// What may be done with the run at this time.
pub fn actions(run: &Run, now: Timestamp) -> Actions {
    Actions {
        is_cancelable: cancelable_status(run.status) && run.cancel.is_none(),
        is_confirmable: is_confirmable(run),
        is_discardable: is_discardable(run.status),
        is_force_cancelable: !run.is_final()
            && run.cancel.as_ref().is_some_and(|cancel| now >= cancel.force_available_at),
    }
}

/// Whether a run in this status does something, or waits for its turn, so that a cancel makes sense. One that waits
/// for a person is discarded instead.
pub(super) const fn cancelable_status(status: Status) -> bool {
    use Status as S;
    match status {
        S::Pending | S::Fetching | S::FetchingCompleted => true,
        S::PrePlanRunning | S::PrePlanAwaitingDecision | S::PrePlanCompleted => true,
        S::Queuing | S::PlanQueued | S::Planning => true,
        S::PostPlanRunning | S::CostEstimating | S::PolicyChecking => true,
        S::Confirmed | S::PreApplyRunning | S::PreApplyCompleted => true,
        S::QueuingApply | S::ApplyQueued | S::Applying => true,
        S::PostApplyRunning | S::PostApplyCompleted => true,
        S::Assessing => true,
        S::Planned | S::PostPlanAwaitingDecision | S::PostPlanCompleted | S::CostEstimated => false,
        S::PolicyOverride | S::PolicyChecked | S::TfPolicyChecked | S::TfPolicyOverride => false,
        S::PlannedAndSaved => false,
        S::Applied | S::Discarded | S::Errored | S::Canceled | S::PlannedAndFinished => false,
        S::PolicySoftFailed | S::Assessed => false,
    }
}

/// Whether the run rests with a plan that somebody may confirm.
pub(super) fn is_confirmable(run: &Run) -> bool {
    let rests = match run.status {
        Status::PolicyChecked | Status::PlannedAndSaved => true,
        Status::Planned | Status::PostPlanCompleted | Status::CostEstimated => !auto_applies(run),
        _ => false,
    };
    rests && !run.options.plan_only && run.is_applyable()
}

/// Whether the run goes on to apply by itself once all checks after the plan have passed.
///
/// Its creator must be allowed to apply: nobody gets by `auto-apply` or `allow-empty-apply` what their token cannot do.
/// An empty apply that was asked for needs no `auto-apply`. Plan-only runs and saved plans never go on by themselves.
pub(super) fn auto_applies(run: &Run) -> bool {
    let o = &run.options;
    let empty = o.allow_empty_apply && run.has_changes == Some(false);
    run.waits_its_turn() && run.is_applyable() && o.creator_may_apply && (o.auto_apply || empty)
}

/// Whether a run in this status may be discarded. `pending` is accepted as well, without the flag.
pub(super) const fn is_discardable(status: Status) -> bool {
    matches!(
        status,
        Status::Planned
            | Status::PlannedAndSaved
            | Status::PostPlanRunning
            | Status::PostPlanAwaitingDecision
            | Status::PostPlanCompleted
            | Status::CostEstimated
            | Status::PolicyChecked
            | Status::PolicyOverride
    )
}
