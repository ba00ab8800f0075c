//! What one may do in an organization, and a team's `organization-access`.
//!
//! Source: semantics.md §6.3 (flags and what each implies) and §6.4 (organization tokens).

use crate::{project::ProjectPermissions, workspace::WorkspacePermissions};
use serde::{Deserialize, Serialize};

/// Defines the flags, all false by default, with their union.
macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident)*) => {
        /// A team's permissions in its organization, as on the wire and as stored; all false by default.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", default)]
        pub struct OrganizationAccess { $($(#[$doc])* pub $name: bool,)* }

        impl OrganizationAccess {
            /// All that either allows.
            #[must_use]
            pub fn union(self, other: Self) -> Self {
                Self { $($name: self.$name | other.$name,)* }
            }

            /// Every flag with its Rust name, in order; for tables of them.
            #[cfg(test)]
            pub(crate) const FLAGS: &[(&str, fn(&mut Self) -> &mut bool)] =
                &[$((stringify!($name), |access| &mut access.$name),)*];
        }
    };
}

flags! {
    /// Administer every workspace, create some in the default project, manage variable sets.
    manage_workspaces
    /// And manage projects, and move workspaces.
    manage_projects
    /// See every workspace.
    read_workspaces
    /// See every project and workspace.
    read_projects
    /// Manage policies and policy sets; see every workspace's runs.
    manage_policies
    /// Override policies that failed; see every workspace's runs.
    manage_policy_overrides
    /// Let workspaces and projects give away the right to override.
    delegate_policy_overrides
    /// Manage agent pools; see every workspace.
    manage_agent_pools
    /// Manage VCS connections and SSH keys.
    manage_vcs_settings
    /// Manage run tasks.
    manage_run_tasks
    /// Manage modules of the private registry.
    manage_modules
    /// Manage providers of the private registry.
    manage_providers
    /// Publish public modules (HCP Terraform).
    manage_public_modules
    /// Publish public providers (HCP Terraform).
    manage_public_providers
    /// Manage components of the private registry.
    manage_registry_components
    /// Manage tags of registry artifacts.
    manage_registry_artifact_tags
    /// Manage tags of registry artifacts' versions.
    manage_registry_artifact_version_tags
    /// Invite and remove members.
    manage_membership
    /// And manage teams, their members and tokens.
    manage_teams
    /// And give teams organization access.
    manage_organization_access
    /// Do the former three to secret teams too.
    access_secret_teams
}

impl OrganizationAccess {
    fn projects(self) -> bool {
        self.manage_projects
    }

    fn workspaces(self) -> bool {
        self.manage_workspaces || self.manage_projects
    }

    fn teams(self) -> bool {
        self.manage_teams || self.manage_organization_access
    }

    fn membership(self) -> bool {
        self.manage_membership || self.teams()
    }

    /// What the flags allow in every workspace.
    pub fn in_workspaces(self) -> WorkspacePermissions {
        let mut held = WorkspacePermissions::NONE;
        if self.workspaces() {
            held = held.union(WorkspacePermissions::ADMIN);
        }
        if self.read_workspaces || self.read_projects || self.manage_agent_pools {
            held = held.union(WorkspacePermissions::READ);
        }
        if self.manage_policies || self.manage_policy_overrides {
            held = held.union(WorkspacePermissions::SEE);
        }
        held.policy_overrides |= self.manage_policy_overrides;
        held.move_workspace |= self.projects();
        held
    }

    /// What the flags allow in every project.
    pub fn in_projects(self) -> ProjectPermissions {
        let mut held = ProjectPermissions { workspaces: self.in_workspaces(), ..ProjectPermissions::NONE };
        if self.projects() {
            held = held.union(ProjectPermissions::ADMIN);
        }
        if self.workspaces() || self.read_projects || self.read_workspaces {
            held = held.union(ProjectPermissions { workspaces: held.workspaces, ..ProjectPermissions::READ });
        }
        held
    }

    /// What the flags allow in the organization itself.
    pub fn allows(self, permission: OrganizationPermission) -> bool {
        use OrganizationPermission as P;
        match permission {
            // Members see the organization without any flag; the rest is for owners alone.
            P::Read | P::Update | P::Delete | P::ManageOrganizationToken | P::ReadAuditTrail => false,
            P::CreateWorkspace | P::ManageVariableSets => self.workspaces(),
            P::ManageProjects => self.projects(),
            P::ManageMembership => self.membership(),
            P::ManageTeams => self.teams(),
            P::ManageOrganizationAccess => self.manage_organization_access,
            P::ReadSecretTeams => self.access_secret_teams && self.membership(),
            P::ManagePolicies => self.manage_policies,
            P::OverridePolicies => self.manage_policy_overrides,
            P::ManageAgentPools => self.manage_agent_pools,
            P::ManageVcsSettings | P::ManageSshKeys => self.manage_vcs_settings,
            P::ManageRunTasks => self.manage_run_tasks,
            P::ManageModules => self.manage_modules,
            P::ManageProviders => self.manage_providers,
        }
    }
}

/// Defines the permissions with their names.
macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident)*) => {
        /// What one may do in an organization.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum OrganizationPermission { $($(#[$doc])* $name,)* }

        impl OrganizationPermission {
            /// Every permission.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name, for logs and tables.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

permissions! {
    /// See that it exists, its settings, and its visible teams and members.
    Read
    /// Change its settings.
    Update
    /// Delete it.
    Delete
    /// Create and revoke its own token.
    ManageOrganizationToken
    /// Read its audit trail.
    ReadAuditTrail
    /// Create a workspace in the default project. In another project ask [`crate::Grants::project`].
    CreateWorkspace
    /// Manage its variable sets.
    ManageVariableSets
    /// Create, change and delete projects.
    ManageProjects
    /// Invite and remove members.
    ManageMembership
    /// Manage teams, their members and tokens.
    ManageTeams
    /// Give teams organization access.
    ManageOrganizationAccess
    /// See secret teams that one is not in.
    ReadSecretTeams
    /// Manage policies and policy sets.
    ManagePolicies
    /// Override policies that failed.
    OverridePolicies
    /// Manage agent pools.
    ManageAgentPools
    /// Manage VCS connections.
    ManageVcsSettings
    /// Manage SSH keys.
    ManageSshKeys
    /// Manage run tasks.
    ManageRunTasks
    /// Manage modules of the private registry.
    ManageModules
    /// Manage providers of the private registry.
    ManageProviders
}

impl OrganizationPermission {
    /// Whether an organization's token has it (§6.4): everything that sets an organization up, but not its own
    /// settings, SSH keys and policy overrides.
    pub fn of_organization_token(self) -> bool {
        !matches!(
            self,
            Self::Update
                | Self::Delete
                | Self::ManageOrganizationToken
                | Self::OverridePolicies
                | Self::ManageSshKeys
        )
    }
}
