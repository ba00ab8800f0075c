//! Requests about a team's access to a workspace.

use crate::{
    AccessLevel, RunsLevel, StateVersionsLevel, TeamAccess, TeamAccessChange, VariablesLevel,
    WorkspacePermissions,
};
use kernel::Error;
use serde_json::json;

fn asked(attributes: serde_json::Value) -> TeamAccessChange {
    serde_json::from_value(attributes).unwrap()
}

fn refused(result: Result<TeamAccess, Error>) -> Vec<(String, String)> {
    match result {
        Err(Error::Invalid(wrong)) => wrong,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn a_sub_permission_of_a_fixed_level_is_read_only() {
    let wrong =
        refused(TeamAccess::create(&asked(json!({"access": "read", "runs": "apply", "run-tasks": true}))));
    let text = |name| {
        format!(
            "{name} is read-only when access level is 'read'; use the 'custom' access level to set this attribute."
        )
    };
    assert_eq!(wrong, [("runs".into(), text("Runs")), ("run-tasks".into(), text("Run tasks"))]);
}

#[test]
fn what_a_fixed_level_says_anyway_may_be_sent_back() {
    let read = TeamAccess::create(&asked(json!({"access": "write"}))).unwrap();
    let echo = TeamAccess::create(&asked(serde_json::to_value(read).unwrap())).unwrap();
    assert_eq!(echo, TeamAccess::preset(AccessLevel::Write));
}

#[test]
fn a_custom_access_holds_what_it_names_and_sees_runs_besides() {
    let access =
        TeamAccess::create(&asked(json!({"access": "custom", "state-versions": "read-outputs"}))).unwrap();
    let held = access.permissions();
    assert_eq!(
        held,
        WorkspacePermissions { state_versions: StateVersionsLevel::ReadOutputs, ..WorkspacePermissions::SEE }
    );
}

#[test]
fn a_custom_access_with_everything_is_still_no_admin() {
    let all = json!({
        "access": "custom", "runs": "apply", "variables": "write", "state-versions": "write",
        "sentinel-mocks": "read", "workspace-locking": true, "run-tasks": true, "policy-overrides": true,
    });
    let held = TeamAccess::create(&asked(all)).unwrap().permissions();
    assert!(held.run_tasks && held.policy_overrides && held.runs == RunsLevel::Apply);
    assert!(!held.update && !held.delete && !held.team_access && !held.plan_json && !held.force_unlock);
}

#[test]
fn unknown_levels_and_a_missing_access_are_named() {
    let wrong = refused(TeamAccess::create(&asked(json!({"access": "root", "variables": "all"}))));
    assert_eq!(wrong[0], ("access".into(), "Access is not included in the list".into()));
    assert_eq!(wrong[1], ("variables".into(), "Variables is not included in the list".into()));
    let wrong = refused(TeamAccess::create(&asked(json!({"access": "custom", "runs": "none"}))));
    assert_eq!(wrong, [("runs".into(), "Runs is not included in the list".into())]);
    let wrong = refused(TeamAccess::create(&asked(json!({"runs": "read"}))));
    assert_eq!(wrong, [("access".into(), "Access can't be blank".into())]);
}

#[test]
fn going_custom_keeps_what_was_in_effect_and_going_back_takes_the_levels() {
    let admin = TeamAccess::preset(AccessLevel::Admin);
    let custom = admin.change(&asked(json!({"access": "custom", "variables": "read"}))).unwrap();
    assert_eq!(custom, TeamAccess { level: AccessLevel::Custom, variables: VariablesLevel::Read, ..admin });
    assert!(!custom.permissions().update);
    let plan = custom.change(&asked(json!({"access": "plan"}))).unwrap();
    assert_eq!(plan, TeamAccess::preset(AccessLevel::Plan));
}

#[test]
fn policy_overrides_may_be_given_with_any_level() {
    let access = TeamAccess::create(&asked(json!({"access": "read", "policy-overrides": true}))).unwrap();
    assert!(access.permissions().policy_overrides);
    let changed = access.change(&asked(json!({"access": "write"}))).unwrap();
    assert!(changed.policy_overrides);
}

#[test]
fn an_access_reads_and_is_stored_under_the_names_of_the_api() {
    insta::assert_json_snapshot!(TeamAccess::preset(AccessLevel::Write), @r#"
    {
      "access": "write",
      "runs": "apply",
      "variables": "write",
      "state-versions": "write",
      "sentinel-mocks": "read",
      "workspace-locking": true,
      "run-tasks": false,
      "policy-overrides": false
    }
    "#);
}
