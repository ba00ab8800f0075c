//! Role × permission × scope as one table: every role that a caller can have, and what it decides in the organization, in
//! the project and the workspace that a grant names, beside them, and in another organization.

use super::*;
use crate::{
    AccessLevel, OrganizationPermission, ProjectAccess, ProjectAccessChange, ProjectLevel,
    ProjectPermissions, TeamAccess, TeamAccessChange, document::TeamFacts, perm,
};
use std::fmt::Write;

/// A workspace in a project, both by their ids.
type Place = (&'static str, &'static str);

/// Where a role is asked, besides the organization itself.
const PLACES: [(&str, Place); 3] = [
    ("workspace", ("ws-1", "prj-1")),
    ("its neighbour", ("ws-2", "prj-1")),
    ("elsewhere", ("ws-3", "prj-2")),
];

fn team_access(asked: TeamAccessChange) -> Grants {
    let access = TeamAccess::create(&asked).unwrap();
    Grants { workspaces: [("ws-1".into(), access.permissions())].into(), ..member() }
}

fn project_access(asked: ProjectAccessChange) -> Grants {
    let access = ProjectAccess::create(&asked).unwrap();
    Grants { projects: [("prj-1".into(), access.permissions())].into(), ..member() }
}

/// A custom access with one attribute, as a request says it.
fn custom<T: serde::de::DeserializeOwned>(attribute: serde_json::Value) -> T {
    let mut asked = attribute;
    asked["access"] = "custom".into();
    serde_json::from_value(asked).unwrap()
}

/// Every role with its name.
fn roles() -> Vec<(String, Grants)> {
    use serde_json::json;
    let mut roles = vec![
        ("a stranger".to_owned(), stranger()),
        ("a stranger who was in owners".to_owned(), Grants { owner: true, ..stranger() }),
        ("a site admin who is a stranger".to_owned(), Grants { site_admin: true, ..stranger() }),
        ("a member".to_owned(), member()),
        ("an owner".to_owned(), owner()),
        (
            "an owner, workspaces may be deleted by force".to_owned(),
            Grants { allow_force_delete: true, ..owner() },
        ),
        ("token of a team".to_owned(), Grants { kind: TokenKind::Team, ..member() }),
        ("token of the team of owners".to_owned(), Grants { kind: TokenKind::Team, ..owner() }),
        ("token of the organization".to_owned(), organization_token()),
        (
            "token of the organization, marked an owner".to_owned(),
            Grants { owner: true, ..organization_token() },
        ),
        ("token of the audit trail".to_owned(), Grants { kind: TokenKind::AuditTrail, ..stranger() }),
        ("token of a run".to_owned(), of_a_run()),
        ("token of another organization's run".to_owned(), Grants { kind: TokenKind::Run, ..stranger() }),
    ];
    for (name, set) in OrganizationAccess::FLAGS {
        let mut access = OrganizationAccess::default();
        *set(&mut access) = true;
        roles.push((format!("organization access {name}"), holding(access)));
    }
    for level in AccessLevel::ALL {
        let asked = TeamAccessChange { access: Some(level.as_str().into()), ..TeamAccessChange::default() };
        roles.push((format!("workspace access {}", level.as_str()), team_access(asked)));
    }
    for attribute in [
        json!({ "runs": "plan" }),
        json!({ "runs": "apply" }),
        json!({ "variables": "read" }),
        json!({ "variables": "write" }),
        json!({ "state-versions": "read-outputs" }),
        json!({ "state-versions": "read" }),
        json!({ "state-versions": "write" }),
        json!({ "sentinel-mocks": "read" }),
        json!({ "workspace-locking": true }),
        json!({ "run-tasks": true }),
        json!({ "policy-overrides": true }),
    ] {
        roles.push((format!("workspace access custom {attribute}"), team_access(custom(attribute))));
    }
    for level in ProjectLevel::ALL {
        let asked =
            ProjectAccessChange { access: Some(level.as_str().into()), ..ProjectAccessChange::default() };
        roles.push((format!("project access {}", level.as_str()), project_access(asked)));
    }
    let of_project =
        [json!({ "settings": "update" }), json!({ "settings": "delete" }), json!({ "teams": "read" })];
    let of_project = of_project.into_iter().chain([
        json!({ "teams": "manage" }),
        json!({ "variable-sets": "read" }),
        json!({ "variable-sets": "write" }),
    ]);
    for attribute in of_project {
        let grants = project_access(custom(json!({ "project-access": attribute })));
        roles.push((format!("project access custom {attribute}"), grants));
    }
    for attribute in [
        json!({ "create": true }),
        json!({ "delete": true }),
        json!({ "move": true }),
        json!({ "locking": true }),
        json!({ "runs": "plan" }),
        json!({ "runs": "apply" }),
        json!({ "variables": "read" }),
        json!({ "variables": "write" }),
        json!({ "state-versions": "read-outputs" }),
        json!({ "state-versions": "read" }),
        json!({ "state-versions": "write" }),
        json!({ "sentinel-mocks": "read" }),
        json!({ "run-tasks": true }),
        json!({ "policy-overrides": true }),
    ] {
        let grants = project_access(custom(json!({ "workspace-access": attribute })));
        roles.push((format!("project access custom, workspaces {attribute}"), grants));
    }
    roles
}

/// A run of `ws-1`, whose state is its own, and with which `ws-3` shares its state.
fn of_a_run() -> Grants {
    let held = [
        ("ws-1".into(), crate::WorkspacePermissions::OWN_RUN),
        ("ws-3".into(), crate::WorkspacePermissions::SHARED_STATE),
    ];
    Grants { kind: TokenKind::Run, workspaces: held.into(), ..member() }
}

fn list(names: impl Iterator<Item = &'static str>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() { "-".to_owned() } else { names.join(" ") }
}

fn organization(grants: &Grants) -> String {
    list(OrganizationPermission::ALL.iter().filter(|one| grants.allows(**one)).map(|one| one.name()))
}

fn in_workspace(grants: &Grants, (workspace, project): Place) -> String {
    let held = grants.workspace(&workspace.into(), &project.into());
    list(perm::WORKSPACE.iter().filter(|(_, rule)| rule(&held)).map(|(name, _)| *name))
}

fn in_project(grants: &Grants, project: &str) -> String {
    let ProjectPermissions { settings, teams, variable_sets, create_workspaces, move_workspaces, .. } =
        grants.project(&project.into());
    let mut text = format!(
        "settings {}, teams {}, variable-sets {}",
        settings.as_str(),
        teams.as_str(),
        variable_sets.as_str()
    );
    for (may, what) in [(create_workspaces, "create"), (move_workspaces, "move")] {
        if may {
            write!(text, ", {what}").unwrap();
        }
    }
    text
}

/// Which teams one sees, and whose tokens one manages.
fn teams(grants: &Grants) -> String {
    let names = [("an open team", false), ("a secret team", true)];
    let sees = |member| {
        list(names.iter().filter(|(_, secret)| grants.sees_team(*secret, member)).map(|(name, _)| *name))
    };
    let facts = |member| TeamFacts { owners: false, member, members_manage_tokens: true };
    format!(
        "beside it {}, in it {}; tokens beside it {}, in it {}",
        sees(false),
        sees(true),
        grants.manages_team_tokens(facts(false)),
        grants.manages_team_tokens(facts(true))
    )
}

#[test]
fn every_role_decides_in_every_scope_as_reviewed() {
    let mut text = String::new();
    for (name, grants) in roles() {
        writeln!(text, "{name}\n  organization:  {}", organization(&grants)).unwrap();
        writeln!(text, "  teams:         {}", teams(&grants)).unwrap();
        for (what, project) in [("project", "prj-1"), ("other project", "prj-2")] {
            writeln!(text, "  {:14} {}", format!("{what}:"), in_project(&grants, project)).unwrap();
        }
        for (what, place) in PLACES {
            writeln!(text, "  {:14} {}", format!("{what}:"), in_workspace(&grants, place)).unwrap();
        }
        // Whatever one holds, a row of another organization is none of theirs.
        assert!(grants.prove_workspace::<perm::ReadWorkspace, _>(Row::of("org-2")).is_err(), "{name}");
        let plain = Plain("org-2".into());
        assert!(grants.prove_organization::<perm::ReadOrganization, _>(plain).is_err(), "{name}");
    }
    insta::assert_snapshot!("everything", text);
}
