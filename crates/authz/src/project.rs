//! What one may do in one project, and a team's access to it (`team-projects`).
//!
//! Source: semantics.md §6.2. The variable sets of the fixed levels are not in it: those who may change settings
//! manage them, the others read them.

use crate::{
    RunsLevel, SentinelMocksLevel, StateVersionsLevel, VariablesLevel,
    level::levels,
    workspace::{WorkspacePermissions, pick, title},
};
use kernel::Error;
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
        /// And create, change and delete them. The documentation also calls it `manage`.
        Manage = "write",
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
    pub runs: RunsLevel,
    pub variables: VariablesLevel,
    pub state_versions: StateVersionsLevel,
    pub sentinel_mocks: SentinelMocksLevel,
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

    /// A new access.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every attribute that is missing, unknown, or fixed by the level.
    pub fn create(asked: &ProjectAccessChange) -> Result<Self, Error> {
        if asked.access.is_none() {
            return Err(Error::invalid("access", "Access can't be blank"));
        }
        Self::preset(ProjectLevel::Custom).change(asked)
    }

    /// This access with what was asked changed. Going to a fixed level takes its permissions; going to `custom` keeps
    /// those in effect.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every attribute that is unknown, or fixed by the level.
    pub fn change(self, asked: &ProjectAccessChange) -> Result<Self, Error> {
        let mut wrong = Vec::new();
        let level =
            pick(&mut wrong, "access", asked.access.as_deref(), ProjectLevel::parse).unwrap_or(self.level);
        let mut new =
            if level == ProjectLevel::Custom { Self { level, ..self } } else { Self::preset(level) };
        let fixed = new;
        new.project_access.change(&asked.project_access, &mut wrong);
        new.workspace_access.change(&asked.workspace_access, &mut wrong);
        // Repeating what the level says is no error, so that a client may send back what it read.
        if level != ProjectLevel::Custom {
            let parts = [
                ("project-access", new.project_access != fixed.project_access),
                ("workspace-access", new.workspace_access != fixed.workspace_access),
            ];
            wrong.extend(parts.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| {
                let text = format!(
                    "{} is read-only when access level is '{}'; use the 'custom' access level to set this attribute.",
                    title(part),
                    level.as_str()
                );
                (part.to_owned(), text)
            }));
        }
        if wrong.is_empty() { Ok(new) } else { Err(Error::Invalid(wrong)) }
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

/// What a request asks of a team's access to a project; absent and null both mean “leave it”.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[expect(missing_docs, reason = "the attributes of `team-projects`, one by one as in ProjectAccess")]
pub struct ProjectAccessChange {
    pub access: Option<String>,
    pub project_access: ProjectPartChange,
    pub workspace_access: WorkspacesPartChange,
}

/// What a request asks of [`ProjectPart`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[expect(missing_docs, reason = "the attributes of `project-access`, one by one as in ProjectPart")]
pub struct ProjectPartChange {
    pub settings: Option<String>,
    pub teams: Option<String>,
    pub variable_sets: Option<String>,
}

/// What a request asks of [`WorkspacesPart`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[expect(missing_docs, reason = "the attributes of `workspace-access`, one by one as in WorkspacesPart")]
pub struct WorkspacesPartChange {
    pub create: Option<bool>,
    pub delete: Option<bool>,
    #[serde(rename = "move")]
    pub move_workspace: Option<bool>,
    pub locking: Option<bool>,
    pub runs: Option<String>,
    pub variables: Option<String>,
    pub state_versions: Option<String>,
    pub sentinel_mocks: Option<String>,
    pub run_tasks: Option<bool>,
    pub policy_overrides: Option<bool>,
}

/// What is wrong with a request: attribute and message.
type Wrong = Vec<(String, String)>;

impl ProjectPart {
    fn change(&mut self, asked: &ProjectPartChange, wrong: &mut Wrong) {
        let settings = pick(wrong, "settings", asked.settings.as_deref(), |text| {
            ProjectSettingsLevel::parse(text).filter(|level| *level != ProjectSettingsLevel::None)
        });
        self.settings = settings.unwrap_or(self.settings);
        let teams = pick(wrong, "teams", asked.teams.as_deref(), ProjectTeamsLevel::parse);
        self.teams = teams.unwrap_or(self.teams);
        let sets = pick(wrong, "variable-sets", asked.variable_sets.as_deref(), |text| {
            VariableSetsLevel::parse(if text == "manage" { "write" } else { text })
        });
        self.variable_sets = sets.unwrap_or(self.variable_sets);
    }
}

impl WorkspacesPart {
    fn change(&mut self, asked: &WorkspacesPartChange, wrong: &mut Wrong) {
        let runs = pick(wrong, "runs", asked.runs.as_deref(), |text| {
            RunsLevel::parse(text).filter(|level| *level != RunsLevel::None)
        });
        self.runs = runs.unwrap_or(self.runs);
        let variables = pick(wrong, "variables", asked.variables.as_deref(), VariablesLevel::parse);
        self.variables = variables.unwrap_or(self.variables);
        let states = asked.state_versions.as_deref();
        let states = pick(wrong, "state-versions", states, StateVersionsLevel::parse);
        self.state_versions = states.unwrap_or(self.state_versions);
        let mocks = asked.sentinel_mocks.as_deref();
        let mocks = pick(wrong, "sentinel-mocks", mocks, SentinelMocksLevel::parse);
        self.sentinel_mocks = mocks.unwrap_or(self.sentinel_mocks);
        self.create = asked.create.unwrap_or(self.create);
        self.delete = asked.delete.unwrap_or(self.delete);
        self.move_workspace = asked.move_workspace.unwrap_or(self.move_workspace);
        self.locking = asked.locking.unwrap_or(self.locking);
        self.run_tasks = asked.run_tasks.unwrap_or(self.run_tasks);
        self.policy_overrides = asked.policy_overrides.unwrap_or(self.policy_overrides);
    }
}
