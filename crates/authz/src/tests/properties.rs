//! What must hold of any grants at all.

use super::*;
use crate::{
    Actor, OrganizationPermission, ProjectAccess, ProjectLevel, ProjectPermissions, TeamAccess, Visible,
    WorkspacePermissions, level::*, perm, project::*, workspace::AccessLevel,
};
use kernel::Error;
use proptest::{collection::hash_map, prelude::*, sample::select};

fn any_permissions() -> impl Strategy<Value = WorkspacePermissions> {
    (
        (select(RunsLevel::ALL), select(VariablesLevel::ALL), select(StateVersionsLevel::ALL)),
        select(SentinelMocksLevel::ALL),
        any::<[bool; 13]>(),
    )
        .prop_map(|((runs, variables, state_versions), sentinel_mocks, bits)| {
            let [workspace_locking, run_tasks, policy_overrides, update, delete, force_delete, ..] = bits;
            let [
                ..,
                move_workspace,
                team_access,
                run_triggers,
                notifications,
                force_cancel,
                force_unlock,
                plan_json,
            ] = bits;
            WorkspacePermissions {
                runs,
                variables,
                state_versions,
                sentinel_mocks,
                workspace_locking,
                run_tasks,
                policy_overrides,
                update,
                delete,
                force_delete,
                move_workspace,
                team_access,
                run_triggers,
                notifications,
                force_cancel,
                force_unlock,
                plan_json,
            }
        })
}

fn any_project() -> impl Strategy<Value = ProjectPermissions> {
    let levels =
        (select(ProjectSettingsLevel::ALL), select(ProjectTeamsLevel::ALL), select(VariableSetsLevel::ALL));
    (levels, any::<[bool; 2]>(), any_permissions()).prop_map(
        |((settings, teams, variable_sets), [create_workspaces, move_workspaces], workspaces)| {
            ProjectPermissions {
                settings,
                teams,
                variable_sets,
                create_workspaces,
                move_workspaces,
                workspaces,
            }
        },
    )
}

fn any_access() -> impl Strategy<Value = OrganizationAccess> {
    let flags = OrganizationAccess::FLAGS.len();
    // Sparse, so that one flag's effect is not always hidden by another's.
    proptest::collection::vec(0..flags, 0..3).prop_map(|chosen| {
        let mut access = OrganizationAccess::default();
        chosen.into_iter().for_each(|index| *(OrganizationAccess::FLAGS[index].1)(&mut access) = true);
        access
    })
}

fn any_kind() -> impl Strategy<Value = TokenKind> {
    select(&[TokenKind::User, TokenKind::Team, TokenKind::Organization][..])
}

fn any_grants() -> impl Strategy<Value = Grants> {
    (
        any_kind(),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        any::<bool>(),
        any_access(),
        hash_map(select(WORKSPACES).prop_map(WorkspaceId::from), any_permissions(), 0..3),
        hash_map(select(PROJECTS).prop_map(ProjectId::from), any_project(), 0..3),
    )
        .prop_map(
            |(kind, member, owner, site_admin, allow_force_delete, access, workspaces, projects)| Grants {
                organization: "org-1".into(),
                member,
                owner,
                kind,
                access,
                workspaces,
                projects,
                site_admin,
                allow_force_delete,
            },
        )
}

const WORKSPACES: &[&str] = &["ws-1", "ws-2", "ws-3"];
const PROJECTS: &[&str] = &["prj-1", "prj-2", "prj-3"];

/// Every decision that these grants lead to, each as one answer.
fn decisions(grants: &Grants) -> Vec<bool> {
    let mut all: Vec<bool> = OrganizationPermission::ALL.iter().map(|p| grants.allows(*p)).collect();
    for workspace in WORKSPACES {
        for project in PROJECTS {
            let held = grants.workspace(&(*workspace).into(), &(*project).into());
            all.extend(perm::WORKSPACE.iter().map(|(_, rule)| rule(&held)));
        }
    }
    for project in PROJECTS {
        let held = grants.project(&(*project).into());
        all.extend(ProjectSettingsLevel::ALL.iter().map(|level| held.settings >= *level));
        all.extend(ProjectTeamsLevel::ALL.iter().map(|level| held.teams >= *level));
        all.extend(VariableSetsLevel::ALL.iter().map(|level| held.variable_sets >= *level));
        all.extend([held.create_workspaces, held.move_workspaces]);
    }
    all
}

/// `a` with all that `b` holds added.
fn together(a: &Grants, b: &Grants) -> Grants {
    let mut sum = a.clone();
    sum.member |= b.member;
    sum.owner |= b.owner;
    sum.site_admin |= b.site_admin;
    sum.allow_force_delete |= b.allow_force_delete;
    sum.access = sum.access.union(b.access);
    for (id, grant) in &b.workspaces {
        let held = sum.workspaces.entry(id.clone()).or_default();
        *held = held.union(*grant);
    }
    for (id, grant) in &b.projects {
        let held = sum.projects.entry(id.clone()).or_default();
        *held = held.union(*grant);
    }
    sum
}

proptest! {
    #[test]
    fn a_union_is_the_least_that_includes_both(
        a in any_permissions(), b in any_permissions(), c in any_permissions(),
    ) {
        prop_assert_eq!(a.union(b), b.union(a));
        prop_assert_eq!(a.union(b).union(c), a.union(b.union(c)));
        prop_assert_eq!(a.union(a), a);
        prop_assert_eq!(a.union(WorkspacePermissions::NONE), a);
        for (name, rule) in perm::WORKSPACE {
            prop_assert_eq!(rule(&a.union(b)), rule(&a) || rule(&b), "{}", name);
        }
    }

    #[test]
    fn unions_of_project_permissions_and_of_flags_are_maxima_too(
        a in any_project(), b in any_project(), x in any_access(), y in any_access(),
    ) {
        prop_assert_eq!(a.union(b), b.union(a));
        prop_assert_eq!(a.union(a), a);
        prop_assert_eq!(a.union(ProjectPermissions::NONE), a);
        prop_assert_eq!(a.union(b).union(b), a.union(b));
        prop_assert_eq!(x.union(y), y.union(x));
        prop_assert_eq!(x.union(x), x);
    }

    #[test]
    fn no_further_grant_takes_a_permission_away(a in any_grants(), b in any_grants()) {
        let sum = together(&a, &b);
        for (before, after) in decisions(&a).into_iter().zip(decisions(&sum)) {
            prop_assert!(after >= before);
        }
    }

    #[test]
    fn an_organization_token_never_runs_writes_state_or_reads_plan_json(grants in any_grants()) {
        let grants = Grants { kind: TokenKind::Organization, ..grants };
        for workspace in WORKSPACES {
            let row = Row { workspace: (*workspace).into(), ..Row::of("org-1") };
            prop_assert!(grants.prove_workspace::<perm::QueuePlan, _>(&row).is_err());
            prop_assert!(grants.prove_workspace::<perm::ApplyRun, _>(&row).is_err());
            prop_assert!(grants.prove_workspace::<perm::WriteState, _>(&row).is_err());
            prop_assert!(grants.prove_workspace::<perm::ForceCancel, _>(&row).is_err());
            prop_assert!(grants.prove_workspace::<perm::ForceUnlock, _>(&row).is_err());
            prop_assert!(grants.prove_workspace::<perm::ReadPlanJson, _>(&row).is_err());
            prop_assert!(grants.prove_workspace::<perm::OverridePolicies, _>(&row).is_err());
        }
        prop_assert!(!grants.is_owner());
        prop_assert!(!grants.allows(OrganizationPermission::Update));
        prop_assert!(!grants.allows(OrganizationPermission::Delete));
    }

    #[test]
    fn a_row_of_another_organization_is_not_found_whatever_one_holds(grants in any_grants()) {
        let (row, plain) = (Row::of("org-2"), Plain("org-2".into()));
        let read = grants.prove_workspace::<perm::ReadWorkspace, _>(&row);
        prop_assert!(matches!(read, Err(Error::NotFound)));
        let apply = grants.prove_workspace::<perm::ApplyRun, _>(&row);
        prop_assert!(matches!(apply, Err(Error::NotFound)));
        let organization = grants.prove_organization::<perm::ReadOrganization, _>(&plain);
        prop_assert!(matches!(organization, Err(Error::NotFound)));
    }

    #[test]
    fn who_is_neither_a_member_nor_a_site_admin_has_nothing(grants in any_grants()) {
        let grants = Grants { member: false, site_admin: false, ..grants };
        prop_assert!(decisions(&grants).iter().zip(decisions(&stranger())).all(|(a, b)| *a == b));
        prop_assert_eq!(grants.visible(), Visible::Of { workspaces: vec![], projects: vec![] });
    }

    #[test]
    fn a_refusal_and_an_absence_look_alike(grants in any_grants()) {
        if let Err(error) = grants.prove_workspace::<perm::ApplyRun, _>(Row::of("org-1")) {
            prop_assert!(matches!(error, Error::NotFound));
        }
    }

    #[test]
    fn a_list_shows_exactly_what_may_be_read_one_by_one(grants in any_grants()) {
        for workspace in WORKSPACES {
            for project in PROJECTS {
                let (workspace, project) = (WorkspaceId::from(*workspace), ProjectId::from(*project));
                let listed = match grants.visible() {
                    Visible::All => true,
                    Visible::Of { workspaces, projects } => {
                        workspaces.contains(&&workspace) || projects.contains(&&project)
                    }
                };
                prop_assert_eq!(listed, grants.workspace(&workspace, &project).visible());
            }
        }
    }

    #[test]
    fn whoever_may_do_anything_in_a_workspace_may_see_it(held in any_permissions()) {
        let any = perm::WORKSPACE.iter().any(|(_, rule)| rule(&held));
        prop_assert_eq!(any, held.visible());
    }
}

#[test]
fn the_fixed_levels_of_access_grow() {
    let held = |level| TeamAccess::preset(level).permissions();
    let levels = [AccessLevel::Read, AccessLevel::Plan, AccessLevel::Write, AccessLevel::Admin];
    for pair in levels.windows(2) {
        assert_eq!(held(pair[0]).union(held(pair[1])), held(pair[1]), "{pair:?}");
    }
    let held = |level| ProjectAccess::preset(level).permissions();
    let levels = [ProjectLevel::Read, ProjectLevel::Write, ProjectLevel::Maintain, ProjectLevel::Admin];
    for pair in levels.windows(2) {
        assert_eq!(held(pair[0]).union(held(pair[1])), held(pair[1]), "{pair:?}");
    }
}

#[test]
fn a_proof_gives_the_row_that_was_asked_for() {
    let granted = owner().prove_workspace::<perm::ApplyRun, _>(Row::of("org-1")).unwrap();
    assert_eq!(granted.workspace.as_str(), "ws-1");
    assert_eq!(granted.into_inner().organization.as_str(), "org-1");
}

#[test]
fn only_a_person_is_a_site_admin_and_each_caller_has_a_user() {
    let person = |site_admin| Actor::User {
        id: "user-1".into(),
        username: "ada".into(),
        site_admin,
        token: "at-1".into(),
        session: false,
    };
    let team = Actor::Team {
        id: "team-1".into(),
        organization: "org-1".into(),
        service_user: "user-2".into(),
        token: "at-2".into(),
    };
    let organization =
        Actor::Organization { id: "org-1".into(), service_user: "user-3".into(), token: "at-3".into() };
    assert!(person(true).is_site_admin());
    assert!(![person(false), team.clone(), organization.clone()].iter().any(Actor::is_site_admin));
    let seen =
        [person(false), team, organization].map(|a| format!("{} {} {:?}", a.user_id(), a.token(), a.kind()));
    assert_eq!(seen, ["user-1 at-1 User", "user-2 at-2 Team", "user-3 at-3 Organization"]);
}
