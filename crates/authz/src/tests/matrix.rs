//! Role × permission, as tables. A change of a table is a change of policy: review it against semantics.md §6.

use super::*;
use crate::{
    AccessLevel, OrganizationPermission, ProjectAccess, ProjectLevel, TeamAccess, WorkspacePermissions,
    document::TeamFacts, perm,
};
use std::fmt::Write;

/// A thing asked: its name, and the answer for one who holds something.
type Ask<R> = (&'static str, Box<dyn Fn(&R) -> String>);

/// A table with one column a role and one row a thing asked.
fn table<R>(roles: &[(String, R)], rows: &[Ask<R>]) -> String {
    let first = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let mut text = format!("{:first$}", "");
    for (role, _) in roles {
        write!(text, " | {role}").unwrap();
    }
    for (name, ask) in rows {
        write!(text, "\n{name:first$}").unwrap();
        for (role, held) in roles {
            write!(text, " | {:width$}", ask(held), width = role.len()).unwrap();
        }
    }
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn mark(yes: bool) -> String {
    if yes { "yes".into() } else { "-".into() }
}

fn workspace_rows() -> Vec<Ask<Grants>> {
    let decide = |rule: fn(&WorkspacePermissions) -> bool| -> Box<dyn Fn(&Grants) -> String> {
        Box::new(move |grants| mark(rule(&grants.workspace(&"ws-1".into(), &"prj-1".into()))))
    };
    perm::WORKSPACE.iter().map(|(name, rule)| (*name, decide(*rule))).collect()
}

fn organization_rows() -> Vec<Ask<Grants>> {
    let ask = |permission| -> Box<dyn Fn(&Grants) -> String> {
        Box::new(move |grants: &Grants| mark(grants.allows(permission)))
    };
    OrganizationPermission::ALL.iter().map(|permission| (permission.name(), ask(*permission))).collect()
}

fn kinds() -> Vec<(String, Grants)> {
    vec![
        ("stranger".into(), stranger()),
        ("stranger in owners".into(), Grants { owner: true, ..stranger() }),
        ("member".into(), member()),
        ("owner".into(), owner()),
        ("owners' team token".into(), Grants { kind: TokenKind::Team, ..owner() }),
        ("organization token".into(), organization_token()),
        ("site admin".into(), Grants { site_admin: true, ..stranger() }),
    ]
}

/// A member whose team has this access to the workspace.
fn with_team_access(access: TeamAccess) -> Grants {
    Grants { workspaces: [("ws-1".into(), access.permissions())].into(), ..member() }
}

fn with_project_access(access: ProjectAccess) -> Grants {
    Grants { projects: [("prj-1".into(), access.permissions())].into(), ..member() }
}

fn flag(set: fn(&mut OrganizationAccess) -> &mut bool) -> OrganizationAccess {
    let mut access = OrganizationAccess::default();
    *set(&mut access) = true;
    access
}

#[test]
fn each_workspace_access_level_has_the_sub_permissions_of_the_table() {
    let roles: Vec<_> =
        AccessLevel::ALL.iter().map(|l| (format!("{:11}", l.as_str()), TeamAccess::preset(*l))).collect();
    let rows: Vec<Ask<TeamAccess>> = vec![
        ("runs", Box::new(|a| a.runs.as_str().into())),
        ("variables", Box::new(|a| a.variables.as_str().into())),
        ("state-versions", Box::new(|a| a.state_versions.as_str().into())),
        ("sentinel-mocks", Box::new(|a| a.sentinel_mocks.as_str().into())),
        ("workspace-locking", Box::new(|a| mark(a.workspace_locking))),
        ("run-tasks", Box::new(|a| mark(a.run_tasks))),
        ("policy-overrides", Box::new(|a| mark(a.policy_overrides))),
    ];
    insta::assert_snapshot!("team_access", table(&roles, &rows));
}

#[test]
fn each_project_access_level_consists_of_what_the_table_says() {
    let roles: Vec<_> =
        ProjectLevel::ALL.iter().map(|l| (format!("{:8}", l.as_str()), ProjectAccess::preset(*l))).collect();
    let rows: Vec<Ask<ProjectAccess>> = vec![
        ("settings", Box::new(|a| a.project_access.settings.as_str().into())),
        ("teams", Box::new(|a| a.project_access.teams.as_str().into())),
        ("variable-sets", Box::new(|a| a.project_access.variable_sets.as_str().into())),
        ("runs", Box::new(|a| a.workspace_access.runs.as_str().into())),
        ("variables", Box::new(|a| a.workspace_access.variables.as_str().into())),
        ("state-versions", Box::new(|a| a.workspace_access.state_versions.as_str().into())),
        ("sentinel-mocks", Box::new(|a| a.workspace_access.sentinel_mocks.as_str().into())),
        ("locking", Box::new(|a| mark(a.workspace_access.locking))),
        ("create", Box::new(|a| mark(a.workspace_access.create))),
        ("delete", Box::new(|a| mark(a.workspace_access.delete))),
        ("run-tasks", Box::new(|a| mark(a.workspace_access.run_tasks))),
        ("move", Box::new(|a| mark(a.workspace_access.move_workspace))),
    ];
    insta::assert_snapshot!("project_access", table(&roles, &rows));
}

#[test]
fn workspace_permissions_by_team_access() {
    let roles: Vec<_> = AccessLevel::ALL
        .iter()
        .map(|level| (level.as_str().to_owned(), with_team_access(TeamAccess::preset(*level))))
        .collect();
    insta::assert_snapshot!("workspace_by_team_access", table(&roles, &workspace_rows()));
}

#[test]
fn workspace_permissions_by_project_access() {
    let roles: Vec<_> = ProjectLevel::ALL
        .iter()
        .map(|level| (level.as_str().to_owned(), with_project_access(ProjectAccess::preset(*level))))
        .collect();
    insta::assert_snapshot!("workspace_by_project_access", table(&roles, &workspace_rows()));
}

#[test]
fn workspace_permissions_by_kind_of_caller() {
    insta::assert_snapshot!("workspace_by_caller", table(&kinds(), &workspace_rows()));
}

#[test]
fn organization_permissions_by_kind_of_caller() {
    insta::assert_snapshot!("organization_by_caller", table(&kinds(), &organization_rows()));
}

#[test]
fn permissions_by_organization_access() {
    let mut text = String::new();
    for (name, set) in OrganizationAccess::FLAGS {
        let grants = holding(flag(*set));
        let names = |rows: &[Ask<Grants>]| -> String {
            let names: Vec<_> =
                rows.iter().filter(|(_, ask)| ask(&grants) == "yes").map(|(name, _)| *name).collect();
            names.join(" ")
        };
        let (organization, workspaces) = (names(&organization_rows()), names(&workspace_rows()));
        writeln!(text, "{name}\n  organization: {organization}\n  workspaces:   {workspaces}").unwrap();
    }
    insta::assert_snapshot!("by_organization_access", text);
}

#[test]
fn the_permissions_objects_by_kind_of_caller() {
    let mut roles = kinds();
    roles.drain(..2);
    roles.insert(1, ("write".into(), with_team_access(TeamAccess::preset(AccessLevel::Write))));
    let object = |value: serde_json::Value| value.as_object().unwrap().clone();
    let objects = |document: &dyn Fn(&Grants) -> serde_json::Value| {
        let names: Vec<String> = object(document(&roles[0].1)).keys().cloned().collect();
        let width = names.iter().map(String::len).max().unwrap();
        let mut text = format!("{:width$}", "");
        roles.iter().for_each(|(role, _)| write!(text, " | {role}").unwrap());
        for name in names {
            write!(text, "\n{name:width$}").unwrap();
            for (role, grants) in &roles {
                let yes = object(document(grants))[&name].as_bool().unwrap();
                write!(text, " | {:width$}", mark(yes), width = role.len()).unwrap();
            }
        }
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    };
    let held = |grants: &Grants| grants.workspace(&"ws-1".into(), &"prj-1".into());
    let facts = TeamFacts { owners: false, member: false, members_manage_tokens: true };
    insta::assert_snapshot!(
        "document_workspace",
        objects(&|g| serde_json::to_value(held(g).document()).unwrap())
    );
    insta::assert_snapshot!(
        "document_run",
        objects(&|g| serde_json::to_value(held(g).run_document()).unwrap())
    );
    insta::assert_snapshot!(
        "document_team",
        objects(&|g| serde_json::to_value(g.team_document(facts)).unwrap())
    );
    insta::assert_snapshot!(
        "document_project",
        objects(&|g| { serde_json::to_value(g.project(&"prj-1".into()).document()).unwrap() })
    );
    insta::assert_snapshot!(
        "document_organization",
        objects(&|g| { serde_json::to_value(g.organization_document()).unwrap() })
    );
}

#[test]
fn the_team_of_owners_is_managed_by_owners_alone_and_is_never_renamed_or_deleted() {
    let team = TeamFacts { owners: true, member: false, members_manage_tokens: false };
    let everything = OrganizationAccess { manage_organization_access: true, ..OrganizationAccess::default() };
    for grants in [member(), holding(everything), organization_token()] {
        assert_eq!(grants.team_document(team), Default::default(), "{grants:?}");
    }
    let document = owner().team_document(team);
    assert!(document.can_update_membership && document.can_update_api_token);
    assert!(!document.can_destroy && !document.can_update_name && !document.can_update_organization_access);
}

#[test]
fn members_manage_their_teams_tokens_only_where_the_team_lets_them() {
    for members_manage_tokens in [true, false] {
        let team = TeamFacts { owners: false, member: true, members_manage_tokens };
        assert_eq!(member().manages_team_tokens(team), members_manage_tokens);
        assert!(!Grants { member: false, ..member() }.manages_team_tokens(team));
    }
}

#[test]
fn workspace_admins_force_delete_only_where_the_organization_lets_them() {
    let admin = with_team_access(TeamAccess::preset(AccessLevel::Admin));
    let held = |grants: &Grants| grants.workspace(&"ws-1".into(), &"prj-1".into());
    assert!(!held(&admin).document().can_force_delete);
    assert!(held(&Grants { allow_force_delete: true, ..admin }).document().can_force_delete);
    assert!(!held(&Grants { allow_force_delete: true, ..member() }).force_delete);
    assert!(held(&owner()).document().can_force_delete);
}
