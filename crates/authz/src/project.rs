//! What one may do in one project, and a team's access to it (`team-projects`).
//!
//! Source: semantics.md §6.2. The variable sets of the fixed levels are not in it: those who may change settings
//! manage them, the others read them.

use crate::{level::levels, workspace::WorkspacePermissions};
use serde::{Deserialize, Serialize};

levels! {
    /// What one may do with a project itself.
    ProjectSettingsLevel {
        /// Nothing; the project does not exist for the caller.
        #[default] None = "none",
        /// See it.
        Read = "read",
        /// And change its name and settings.
        Update = "update",
        /// And delete it.
        Delete = "delete",
    }
    /// What one may do with the teams of a project.
    ProjectTeamsLevel {
        /// Nothing.
        #[default] None = "none",
        /// See which teams have access.
        Read = "read",
        /// And give and take access.
        Manage = "manage",
    }
    /// What one may do with a project's variable sets.
    VariableSetsLevel {
        /// Nothing.
        #[default] None = "none",
        /// See them.
        Read = "read",
        /// And create, change and delete them.
        Manage = "manage",
    }
    /// The named levels of a team's access to a project. Their order means nothing for `Custom`.
    ProjectLevel {
        /// See the project and its workspaces.
        #[default] Read = "read",
        /// And run them.
        Write = "write",
        /// And administer its workspaces.
        Maintain = "maintain",
        /// And the project, its teams, and moving workspaces.
        Admin = "admin",
        /// Exactly the permissions given.
        Custom = "custom",
    }
}

/// All that one may do in one project. Grants add up by [`union`](Self::union).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProjectPermissions {
    /// The project itself.
    pub settings: ProjectSettingsLevel,
    /// Its teams.
    pub teams: ProjectTeamsLevel,
    /// Its variable sets.
    pub variable_sets: VariableSetsLevel,
    /// Create workspaces in it.
    pub create_workspaces: bool,
    /// Move workspaces out of it and into it.
    pub move_workspaces: bool,
    /// What one may do in each of its workspaces.
    pub workspaces: WorkspacePermissions,
}

impl ProjectPermissions {
    /// Nothing.
    pub const NONE: Self = Self {
        settings: ProjectSettingsLevel::None,
        teams: ProjectTeamsLevel::None,
        variable_sets: VariableSetsLevel::None,
        create_workspaces: false,
        move_workspaces: false,
        workspaces: WorkspacePermissions::NONE,
    };
    /// Project access `read`.
    pub const READ: Self = Self {
        settings: ProjectSettingsLevel::Read,
        variable_sets: VariableSetsLevel::Read,
        workspaces: WorkspacePermissions::READ,
        ..Self::NONE
    };
    /// Project access `write`.
    pub const WRITE: Self = Self { workspaces: WorkspacePermissions::WRITE, ..Self::READ };
    /// Project access `maintain`: administers the workspaces, not the project.
    pub const MAINTAIN: Self = Self {
        variable_sets: VariableSetsLevel::Manage,
        create_workspaces: true,
        workspaces: WorkspacePermissions::ADMIN,
        ..Self::READ
    };
    /// Project access `admin`.
    pub const ADMIN: Self = Self {
        settings: ProjectSettingsLevel::Delete,
        teams: ProjectTeamsLevel::Manage,
        variable_sets: VariableSetsLevel::Manage,
        create_workspaces: true,
        move_workspaces: true,
        workspaces: WorkspacePermissions { move_workspace: true, ..WorkspacePermissions::ADMIN },
    };
    /// What an owner of the organization has in every project.
    pub const OWNER: Self = Self { workspaces: WorkspacePermissions::OWNER, ..Self::ADMIN };
    /// What an organization's token has in every project.
    pub const ORGANIZATION_TOKEN: Self =
        Self { workspaces: WorkspacePermissions::ORGANIZATION_TOKEN, ..Self::ADMIN };

    /// All that either allows: the greatest of each level.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            settings: self.settings.max(other.settings),
            teams: self.teams.max(other.teams),
            variable_sets: self.variable_sets.max(other.variable_sets),
            create_workspaces: self.create_workspaces | other.create_workspaces,
            move_workspaces: self.move_workspaces | other.move_workspaces,
            workspaces: self.workspaces.union(other.workspaces),
        }
    }
}

/// A team's access to a project as stored: the level, and what a custom one consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProjectAccess {
    /// The named level; `access` on the wire.
    #[serde(rename = "access")]
    pub level: ProjectLevel,
    /// The project itself; decides only when the level is `Custom`.
    pub project_access: ProjectPart,
    /// Its workspaces; decides only when the level is `Custom`.
    pub workspace_access: WorkspacesPart,
}

/// `project-access`: what a custom access allows in the project itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the attributes of `project-access`, as in ProjectPermissions")]
pub struct ProjectPart {
    pub settings: ProjectSettingsLevel,
    pub teams: ProjectTeamsLevel,
    #[serde(default)]
    pub variable_sets: VariableSetsLevel,
}

/// `workspace-access`: what a custom access allows in each workspace of the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the attributes of `workspace-access`, as in WorkspacePermissions")]
pub struct WorkspacesPart {
    pub create: bool,
    pub delete: bool,
    #[serde(rename = "move")]
    pub move_workspace: bool,
    pub locking: bool,
    pub runs: crate::RunsLevel,
    pub variables: crate::VariablesLevel,
    pub state_versions: crate::StateVersionsLevel,
    pub sentinel_mocks: crate::SentinelMocksLevel,
    pub run_tasks: bool,
    #[serde(default)]
    pub policy_overrides: bool,
}

impl ProjectAccess {
    /// What a level consists of; of `Custom`, what it starts from.
    pub fn preset(level: ProjectLevel) -> Self {
        let set = match level {
            ProjectLevel::Read => ProjectPermissions::READ,
            ProjectLevel::Write => ProjectPermissions::WRITE,
            ProjectLevel::Maintain => ProjectPermissions::MAINTAIN,
            ProjectLevel::Admin => ProjectPermissions::ADMIN,
            ProjectLevel::Custom => ProjectPermissions {
                settings: ProjectSettingsLevel::Read,
                workspaces: WorkspacePermissions::SEE,
                ..ProjectPermissions::NONE
            },
        };
        Self {
            level,
            project_access: ProjectPart {
                settings: set.settings,
                teams: set.teams,
                variable_sets: set.variable_sets,
            },
            workspace_access: WorkspacesPart {
                create: set.create_workspaces,
                delete: set.workspaces.delete,
                move_workspace: set.move_workspaces,
                locking: set.workspaces.workspace_locking,
                runs: set.workspaces.runs,
                variables: set.workspaces.variables,
                state_versions: set.workspaces.state_versions,
                sentinel_mocks: set.workspaces.sentinel_mocks,
                run_tasks: set.workspaces.run_tasks,
                policy_overrides: set.workspaces.policy_overrides,
            },
        }
    }

    /// What the team may do in the project by this access alone. Any access shows the project and its workspaces.
    pub fn permissions(&self) -> ProjectPermissions {
        match self.level {
            ProjectLevel::Read => ProjectPermissions::READ,
            ProjectLevel::Write => ProjectPermissions::WRITE,
            ProjectLevel::Maintain => ProjectPermissions::MAINTAIN,
            ProjectLevel::Admin => ProjectPermissions::ADMIN,
            ProjectLevel::Custom => self.custom(),
        }
    }

    fn custom(&self) -> ProjectPermissions {
        let (project, workspaces) = (&self.project_access, &self.workspace_access);
        ProjectPermissions {
            settings: project.settings.max(ProjectSettingsLevel::Read),
            teams: project.teams,
            variable_sets: project.variable_sets,
            create_workspaces: workspaces.create,
            move_workspaces: workspaces.move_workspace,
            workspaces: WorkspacePermissions {
                runs: workspaces.runs,
                variables: workspaces.variables,
                state_versions: workspaces.state_versions,
                sentinel_mocks: workspaces.sentinel_mocks,
                workspace_locking: workspaces.locking,
                run_tasks: workspaces.run_tasks,
                policy_overrides: workspaces.policy_overrides,
                delete: workspaces.delete,
                move_workspace: workspaces.move_workspace,
                ..WorkspacePermissions::NONE
            }
            .union(WorkspacePermissions::SEE),
        }
    }
}
