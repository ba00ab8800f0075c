//! The permissions as types. Each is the `P` of a [`crate::Granted`], so that a function says in its signature what its
//! caller must have proved.
//!
//! Source: semantics.md §6.5 (which action needs what).

use crate::{
    level::{RunsLevel, SentinelMocksLevel, StateVersionsLevel, VariablesLevel},
    organization::OrganizationPermission,
    workspace::WorkspacePermissions,
};

/// A permission in a workspace.
pub trait WorkspacePermission {
    /// Its name, for logs and tables.
    const NAME: &'static str;

    /// Whether those who hold `held` have it.
    fn allowed(held: &WorkspacePermissions) -> bool;
}

/// A permission in an organization.
pub trait OrganizationPermissionMarker {
    /// Which one.
    const PERMISSION: OrganizationPermission;
}

macro_rules! in_workspace {
    ($($(#[$doc:meta])* $name:ident = |$held:ident| $rule:expr;)*) => {
        $(
            $(#[$doc])*
            pub enum $name {}

            impl WorkspacePermission for $name {
                const NAME: &'static str = stringify!($name);

                fn allowed($held: &WorkspacePermissions) -> bool {
                    $rule
                }
            }
        )*

        /// Every permission in a workspace: its name and its rule.
        pub const WORKSPACE: &[(&str, fn(&WorkspacePermissions) -> bool)] =
            &[$(($name::NAME, <$name as WorkspacePermission>::allowed),)*];
    };
}

in_workspace! {
    /// See the workspace and its settings.
    ReadWorkspace = |held| held.visible();
    /// See runs, plans, applies, logs and configuration versions.
    ReadRun = |held| held.runs >= RunsLevel::Read;
    /// Create configuration versions and runs, and comment.
    QueuePlan = |held| held.runs >= RunsLevel::Plan;
    /// Apply, discard, cancel and force-execute runs.
    ApplyRun = |held| held.runs >= RunsLevel::Apply;
    /// End a run that does not end when it is cancelled.
    ForceCancel = |held| held.force_cancel;
    /// Read a plan as JSON, unredacted.
    ReadPlanJson = |held| held.plan_json;
    /// Export a plan's mock data.
    ReadSentinelMocks = |held| held.sentinel_mocks >= SentinelMocksLevel::Read;
    /// Override policies that failed.
    OverridePolicies = |held| held.policy_overrides;
    /// See variables.
    ReadVariables = |held| held.variables >= VariablesLevel::Read;
    /// Create, change and delete variables.
    WriteVariables = |held| held.variables >= VariablesLevel::Write;
    /// See the outputs of states.
    ReadStateOutputs = |held| held.state_versions >= StateVersionsLevel::ReadOutputs;
    /// See and download states.
    ReadState = |held| held.state_versions >= StateVersionsLevel::Read;
    /// Create state versions and roll back.
    WriteState = |held| held.state_versions >= StateVersionsLevel::Write;
    /// Lock the workspace, and unlock what one locked.
    Lock = |held| held.workspace_locking;
    /// Take away somebody else's lock.
    ForceUnlock = |held| held.force_unlock;
    /// Change the workspace's settings.
    UpdateWorkspace = |held| held.update;
    /// Delete the workspace while it manages no resources.
    DeleteWorkspace = |held| held.delete;
    /// Delete the workspace although it manages resources.
    ForceDeleteWorkspace = |held| held.force_delete;
    /// Move the workspace to another project; the other project must allow it too.
    MoveWorkspace = |held| held.move_workspace;
    /// See which teams have access.
    ReadTeamAccess = |held| held.visible();
    /// Give teams access, and take it.
    ManageTeamAccess = |held| held.team_access;
    /// Attach run tasks.
    ManageWorkspaceRunTasks = |held| held.run_tasks;
    /// Let other workspaces' applies start runs.
    ManageRunTriggers = |held| held.run_triggers;
    /// Manage notifications.
    ManageNotifications = |held| held.notifications;
}

macro_rules! in_organization {
    ($($(#[$doc:meta])* $name:ident = $permission:ident;)*) => {$(
        $(#[$doc])*
        pub enum $name {}

        impl OrganizationPermissionMarker for $name {
            const PERMISSION: OrganizationPermission = OrganizationPermission::$permission;
        }
    )*};
}

in_organization! {
    /// See the organization, and its visible teams and members.
    ReadOrganization = Read;
    /// Change its settings.
    UpdateOrganization = Update;
    /// Delete it.
    DeleteOrganization = Delete;
    /// Create and revoke its own token.
    ManageOrganizationToken = ManageOrganizationToken;
    /// Read its audit trail.
    ReadAuditTrail = ReadAuditTrail;
    /// Create a workspace in the default project.
    CreateWorkspace = CreateWorkspace;
    /// Manage the pools of agents that runs wait for.
    ManageAgentPools = ManageAgentPools;
    /// Manage its variable sets.
    ManageVariableSets = ManageVariableSets;
    /// Manage the SSH keys with which runs fetch modules.
    ManageSshKeys = ManageSshKeys;
    /// Create, change and delete projects.
    ManageProjects = ManageProjects;
    /// Invite and remove members.
    ManageMembership = ManageMembership;
    /// Manage teams, their members and tokens.
    ManageTeams = ManageTeams;
    /// Give teams organization access.
    ManageOrganizationAccess = ManageOrganizationAccess;
    /// See secret teams that one is not in.
    ReadSecretTeams = ReadSecretTeams;
}
