//! The `permissions` objects of the API: what the caller may do with the resource they are reading.
//!
//! They depend on the caller alone, never on the resource's state; its `actions` say that. Source: semantics.md §1.5,
//! §6.5 and the attribute lists of the API.

use crate::{
    actor::TokenKind,
    grants::Grants,
    level::{RunsLevel, SentinelMocksLevel, StateVersionsLevel, VariablesLevel},
    organization::OrganizationPermission as P,
    project::{ProjectPermissions, ProjectSettingsLevel, ProjectTeamsLevel, VariableSetsLevel},
    workspace::WorkspacePermissions,
};
use serde::Serialize;

/// Defines one object of booleans with kebab-case names.
macro_rules! document {
    ($(#[$doc:meta])* $name:ident { $($field:ident)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "kebab-case")]
        #[expect(missing_docs, reason = "each name says what the caller may do; the names are the API's")]
        pub struct $name { $(pub $field: bool,)* }
    };
}

document! {
    /// `permissions` of a workspace.
    WorkspaceDocument {
        can_create_state_versions can_destroy can_force_delete can_force_unlock can_lock can_manage_assessments
        can_manage_ephemeral_workspaces can_manage_run_tasks can_manage_tags can_queue_apply can_queue_destroy
        can_queue_run can_read_assessment_results can_read_run can_read_settings can_read_state_outputs
        can_read_state_versions can_read_variable can_unlock can_update can_update_variable
    }
}

document! {
    /// `permissions` of a run.
    RunDocument {
        can_apply can_cancel can_comment can_discard can_force_cancel can_force_execute can_override_policy_check
    }
}

document! {
    /// `permissions` of a plan.
    PlanDocument { can_export }
}

document! {
    /// `permissions` of a team.
    TeamDocument {
        can_destroy can_update_api_token can_update_member_token_management can_update_membership can_update_name
        can_update_organization_access can_update_sso_team_id can_update_visibility can_view_api_token
    }
}

document! {
    /// `permissions` of a project.
    ProjectDocument {
        can_create_workspace can_deploy_no_code_modules can_destroy can_manage_ephemeral_workspace_for_projects
        can_manage_in_hcp can_manage_stacks can_manage_tags can_manage_teams can_manage_varsets can_move_stack
        can_move_workspace can_read can_read_teams can_update can_update_stacks can_view_stacks
    }
}

document! {
    /// `permissions` of an organization. What only HCP Terraform has is always false.
    OrganizationDocument {
        can_access_via_teams can_create_module can_create_project can_create_project_in_hcp can_create_provider
        can_create_team can_create_workspace can_deploy_no_code_modules can_destroy can_enable_stacks
        can_manage_assessments can_manage_custom_providers can_manage_groups_in_hcp can_manage_no_code_modules
        can_manage_org_public_modules can_manage_org_public_providers can_manage_public_modules
        can_manage_public_providers can_manage_recoverable_items can_manage_run_tasks can_manage_sso
        can_manage_subscription can_manage_tags can_manage_users can_manage_varsets can_read_assessments
        can_read_policies can_read_run_tasks can_read_varsets can_traverse can_update can_update_agent_pools
        can_update_api_token can_update_authentication_token can_update_hyok_configuration can_update_oauth
        can_update_sentinel can_update_ssh_keys can_view_authentication can_view_explorer can_view_usage
        can_view_users
    }
}

impl WorkspacePermissions {
    /// The workspace's `permissions`. Every key is there: the official client takes a missing `can-force-delete` for a
    /// server that cannot delete safely.
    pub fn document(&self) -> WorkspaceDocument {
        WorkspaceDocument {
            can_create_state_versions: self.state_versions >= StateVersionsLevel::Write,
            can_destroy: self.delete,
            can_force_delete: self.force_delete,
            can_force_unlock: self.force_unlock,
            can_lock: self.workspace_locking,
            can_manage_assessments: self.update,
            can_manage_ephemeral_workspaces: self.update,
            can_manage_run_tasks: self.run_tasks,
            can_manage_tags: self.update,
            can_queue_apply: self.runs >= RunsLevel::Apply,
            can_queue_destroy: self.runs >= RunsLevel::Apply,
            can_queue_run: self.runs >= RunsLevel::Plan,
            can_read_assessment_results: self.runs >= RunsLevel::Read,
            can_read_run: self.runs >= RunsLevel::Read,
            can_read_settings: self.visible(),
            can_read_state_outputs: self.state_versions >= StateVersionsLevel::ReadOutputs,
            can_read_state_versions: self.state_versions >= StateVersionsLevel::Read,
            can_read_variable: self.variables >= VariablesLevel::Read,
            can_unlock: self.workspace_locking,
            can_update: self.update,
            can_update_variable: self.variables >= VariablesLevel::Write,
        }
    }

    /// The `permissions` of each of the workspace's runs.
    pub fn run_document(&self) -> RunDocument {
        let apply = self.runs >= RunsLevel::Apply;
        RunDocument {
            can_apply: apply,
            can_cancel: apply,
            can_comment: self.runs >= RunsLevel::Plan,
            can_discard: apply,
            can_force_cancel: self.force_cancel,
            can_force_execute: apply,
            can_override_policy_check: self.policy_overrides,
        }
    }

    /// The `permissions` of each of the workspace's plans.
    pub fn plan_document(&self) -> PlanDocument {
        PlanDocument { can_export: self.sentinel_mocks >= SentinelMocksLevel::Read }
    }
}

impl ProjectPermissions {
    /// The project's `permissions`.
    pub fn document(&self) -> ProjectDocument {
        let update = self.settings >= ProjectSettingsLevel::Update;
        ProjectDocument {
            can_create_workspace: self.create_workspaces,
            can_destroy: self.settings >= ProjectSettingsLevel::Delete,
            can_manage_tags: update,
            can_manage_teams: self.teams >= ProjectTeamsLevel::Manage,
            can_manage_varsets: self.variable_sets >= VariableSetsLevel::Manage,
            can_manage_ephemeral_workspace_for_projects: update,
            can_move_workspace: self.move_workspaces,
            can_read: self.settings >= ProjectSettingsLevel::Read,
            can_read_teams: self.teams >= ProjectTeamsLevel::Read,
            can_update: update,
            ..ProjectDocument::default()
        }
    }
}

/// What decides about a team, besides the caller's grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TeamFacts {
    /// Whether it is the team `owners`, whom only owners manage and nobody renames, restricts or deletes.
    pub owners: bool,
    /// Whether the caller is in it, or is it.
    pub member: bool,
    /// Its setting `allow-member-token-management`.
    pub members_manage_tokens: bool,
}

impl Grants {
    /// Whether the caller may change who is in a team, and its plain attributes.
    pub fn manages_team(&self, team: TeamFacts) -> bool {
        if team.owners { self.is_owner() } else { self.allows(P::ManageTeams) }
    }

    /// Whether the caller may see, create and revoke a team's tokens: as its manager, or as a member whom it lets.
    pub fn manages_team_tokens(&self, team: TeamFacts) -> bool {
        self.manages_team(team) || (self.member && team.member && team.members_manage_tokens)
    }

    /// The team's `permissions`.
    pub fn team_document(&self, team: TeamFacts) -> TeamDocument {
        let manage = self.manages_team(team);
        let tokens = self.manages_team_tokens(team);
        let membership = manage || (!team.owners && self.allows(P::ManageMembership));
        TeamDocument {
            can_destroy: manage && !team.owners,
            can_update_api_token: tokens,
            can_update_member_token_management: manage,
            can_update_membership: membership,
            can_update_name: manage && !team.owners,
            can_update_organization_access: !team.owners && self.allows(P::ManageOrganizationAccess),
            can_update_sso_team_id: manage,
            can_update_visibility: manage && !team.owners,
            can_view_api_token: tokens,
        }
    }

    /// The organization's `permissions`.
    pub fn organization_document(&self) -> OrganizationDocument {
        let can = |permission| self.allows(permission);
        let owner = self.is_owner();
        let see = can(P::Read);
        let workspaces = can(P::CreateWorkspace);
        let person_or_team = self.kind != TokenKind::Organization;
        let create_in_project = self.creates_workspaces_in_a_project();
        OrganizationDocument {
            can_access_via_teams: person_or_team && see,
            can_create_module: can(P::ManageModules),
            can_create_project: can(P::ManageProjects),
            can_create_provider: can(P::ManageProviders),
            can_create_team: can(P::ManageTeams),
            can_create_workspace: workspaces || (person_or_team && create_in_project),
            can_deploy_no_code_modules: person_or_team && workspaces,
            can_destroy: can(P::Delete),
            can_manage_assessments: owner,
            can_manage_custom_providers: can(P::ManageProviders),
            can_manage_no_code_modules: can(P::ManageModules),
            can_manage_recoverable_items: owner,
            can_manage_run_tasks: can(P::ManageRunTasks),
            can_manage_sso: owner,
            can_manage_tags: workspaces,
            can_manage_users: can(P::ManageMembership),
            can_manage_varsets: can(P::ManageVariableSets),
            can_read_assessments: see,
            can_read_policies: can(P::ManagePolicies) || can(P::OverridePolicies),
            can_read_run_tasks: see,
            can_read_varsets: see,
            can_traverse: see,
            can_update: can(P::Update),
            can_update_agent_pools: can(P::ManageAgentPools),
            can_update_api_token: can(P::ManageOrganizationToken),
            can_update_authentication_token: can(P::ManageOrganizationToken),
            can_update_oauth: can(P::ManageVcsSettings),
            can_update_sentinel: can(P::ManagePolicies),
            can_update_ssh_keys: can(P::ManageSshKeys),
            can_view_authentication: owner,
            can_view_explorer: person_or_team && matches!(self.visible(), crate::Visible::All),
            can_view_usage: owner,
            can_view_users: see,
            ..OrganizationDocument::default()
        }
    }
}
