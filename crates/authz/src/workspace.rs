//! What one may do in one workspace, and a team's access to it (`team-workspaces`).
//!
//! Source: semantics.md §6.1. Where it is silent (policy overrides of the fixed levels) the answer is no.

use crate::level::{RunsLevel, SentinelMocksLevel, StateVersionsLevel, VariablesLevel, levels};
use kernel::Error;
use serde::{Deserialize, Serialize};

/// All that one may do in one workspace. Grants add up by [`union`](Self::union).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WorkspacePermissions {
    /// Runs, their plans, applies and logs, and configuration versions.
    pub runs: RunsLevel,
    /// Variables.
    pub variables: VariablesLevel,
    /// State versions and outputs.
    pub state_versions: StateVersionsLevel,
    /// Mock data for Sentinel.
    pub sentinel_mocks: SentinelMocksLevel,
    /// Lock it, and unlock what one locked.
    pub workspace_locking: bool,
    /// Attach run tasks.
    pub run_tasks: bool,
    /// Override policies that failed.
    pub policy_overrides: bool,
    /// Change its settings, tags and VCS connection.
    pub update: bool,
    /// Delete it while it manages no resources.
    pub delete: bool,
    /// Delete it although it manages resources.
    pub force_delete: bool,
    /// Move it to another project; the other project must allow it too.
    pub move_workspace: bool,
    /// Give teams access to it.
    pub team_access: bool,
    /// Let other workspaces' applies start its runs.
    pub run_triggers: bool,
    /// Manage its notifications.
    pub notifications: bool,
    /// Force-cancel its runs.
    pub force_cancel: bool,
    /// Take away somebody else's lock.
    pub force_unlock: bool,
    /// Read plans as JSON, unredacted.
    pub plan_json: bool,
}

impl WorkspacePermissions {
    /// Nothing; the workspace does not exist for the caller.
    pub const NONE: Self = Self {
        runs: RunsLevel::None,
        variables: VariablesLevel::None,
        state_versions: StateVersionsLevel::None,
        sentinel_mocks: SentinelMocksLevel::None,
        workspace_locking: false,
        run_tasks: false,
        policy_overrides: false,
        update: false,
        delete: false,
        force_delete: false,
        move_workspace: false,
        team_access: false,
        run_triggers: false,
        notifications: false,
        force_cancel: false,
        force_unlock: false,
        plan_json: false,
    };
    /// The least that a team with any access has: see the workspace and its runs.
    pub const SEE: Self = Self { runs: RunsLevel::Read, ..Self::NONE };
    /// Access level `read`.
    pub const READ: Self =
        Self { variables: VariablesLevel::Read, state_versions: StateVersionsLevel::Read, ..Self::SEE };
    /// Access level `plan`.
    pub const PLAN: Self = Self { runs: RunsLevel::Plan, ..Self::READ };
    /// Access level `write`.
    pub const WRITE: Self = Self {
        runs: RunsLevel::Apply,
        variables: VariablesLevel::Write,
        state_versions: StateVersionsLevel::Write,
        sentinel_mocks: SentinelMocksLevel::Read,
        workspace_locking: true,
        ..Self::NONE
    };
    /// Access level `admin`.
    pub const ADMIN: Self = Self {
        run_tasks: true,
        update: true,
        delete: true,
        team_access: true,
        run_triggers: true,
        notifications: true,
        force_cancel: true,
        force_unlock: true,
        plan_json: true,
        ..Self::WRITE
    };
    /// What an owner of the organization has in every workspace.
    pub const OWNER: Self =
        Self { policy_overrides: true, force_delete: true, move_workspace: true, ..Self::ADMIN };
    /// What an organization's token has in every workspace: set-up, never runs, states or plan JSON (§6.4). It may
    /// lock, since it may even delete; `force-*` is documented as closed to it.
    pub const ORGANIZATION_TOKEN: Self = Self {
        variables: VariablesLevel::Write,
        workspace_locking: true,
        run_tasks: true,
        update: true,
        delete: true,
        move_workspace: true,
        team_access: true,
        run_triggers: true,
        ..Self::READ
    };

    /// What a run has in its own workspace: read and write its state, and see itself.
    pub const OWN_RUN: Self =
        Self { state_versions: StateVersionsLevel::Write, workspace_locking: true, ..Self::SEE };
    /// What a run has in a workspace that shares its state with the run's.
    pub const SHARED_STATE: Self = Self { state_versions: StateVersionsLevel::Read, ..Self::NONE };

    /// Whether the workspace exists for the caller at all.
    pub fn visible(&self) -> bool {
        *self != Self::NONE
    }

    /// All that either allows: the greatest of each level.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            runs: self.runs.max(other.runs),
            variables: self.variables.max(other.variables),
            state_versions: self.state_versions.max(other.state_versions),
            sentinel_mocks: self.sentinel_mocks.max(other.sentinel_mocks),
            workspace_locking: self.workspace_locking | other.workspace_locking,
            run_tasks: self.run_tasks | other.run_tasks,
            policy_overrides: self.policy_overrides | other.policy_overrides,
            update: self.update | other.update,
            delete: self.delete | other.delete,
            force_delete: self.force_delete | other.force_delete,
            move_workspace: self.move_workspace | other.move_workspace,
            team_access: self.team_access | other.team_access,
            run_triggers: self.run_triggers | other.run_triggers,
            notifications: self.notifications | other.notifications,
            force_cancel: self.force_cancel | other.force_cancel,
            force_unlock: self.force_unlock | other.force_unlock,
            plan_json: self.plan_json | other.plan_json,
        }
    }
}

levels! {
    /// The named levels of a team's access to a workspace. Their order means nothing for `Custom`.
    AccessLevel {
        /// See everything but the values of secrets.
        #[default] Read = "read",
        /// And start runs that somebody else must confirm.
        Plan = "plan",
        /// And apply, and change variables and states.
        Write = "write",
        /// And settings, team access and deletion.
        Admin = "admin",
        /// Exactly the sub-permissions given.
        Custom = "custom",
    }
}

/// A team's access to a workspace: the level, and the sub-permissions that are in effect. Also its stored form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TeamAccess {
    /// The named level; `access` on the wire.
    #[serde(rename = "access")]
    pub level: AccessLevel,
    /// Never `None`: who has any access sees runs.
    pub runs: RunsLevel,
    /// Variables.
    pub variables: VariablesLevel,
    /// State versions and outputs.
    pub state_versions: StateVersionsLevel,
    /// Mock data for Sentinel.
    pub sentinel_mocks: SentinelMocksLevel,
    /// Lock and unlock.
    pub workspace_locking: bool,
    /// Attach run tasks.
    pub run_tasks: bool,
    /// Override policies that failed. The one sub-permission that may be given with any level.
    #[serde(default)]
    pub policy_overrides: bool,
}

impl TeamAccess {
    /// The sub-permissions of a level; of `Custom`, those that it starts from.
    pub fn preset(level: AccessLevel) -> Self {
        let set = match level {
            AccessLevel::Read => WorkspacePermissions::READ,
            AccessLevel::Plan => WorkspacePermissions::PLAN,
            AccessLevel::Write => WorkspacePermissions::WRITE,
            AccessLevel::Admin => WorkspacePermissions::ADMIN,
            AccessLevel::Custom => WorkspacePermissions::SEE,
        };
        Self {
            level,
            runs: set.runs,
            variables: set.variables,
            state_versions: set.state_versions,
            sentinel_mocks: set.sentinel_mocks,
            workspace_locking: set.workspace_locking,
            run_tasks: set.run_tasks,
            policy_overrides: set.policy_overrides,
        }
    }

    /// What the team may do in the workspace by this access alone.
    pub fn permissions(&self) -> WorkspacePermissions {
        let settings = if self.level == AccessLevel::Admin {
            WorkspacePermissions::ADMIN
        } else {
            WorkspacePermissions::SEE
        };
        settings.union(WorkspacePermissions {
            runs: self.runs,
            variables: self.variables,
            state_versions: self.state_versions,
            sentinel_mocks: self.sentinel_mocks,
            workspace_locking: self.workspace_locking,
            run_tasks: self.run_tasks,
            policy_overrides: self.policy_overrides,
            ..WorkspacePermissions::NONE
        })
    }

    /// A new access.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every attribute that is missing, unknown, or fixed by the level.
    pub fn create(asked: &TeamAccessChange) -> Result<Self, Error> {
        if asked.access.is_none() {
            return Err(Error::invalid("access", "Access can't be blank"));
        }
        Self::preset(AccessLevel::Custom).change(asked)
    }

    /// This access with what was asked changed. Going to a fixed level takes its sub-permissions; going to `custom`
    /// keeps those in effect.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every attribute that is unknown, or fixed by the level.
    pub fn change(self, asked: &TeamAccessChange) -> Result<Self, Error> {
        let mut wrong = Vec::new();
        let level =
            pick(&mut wrong, "access", asked.access.as_deref(), AccessLevel::parse).unwrap_or(self.level);
        let runs = pick(&mut wrong, "runs", asked.runs.as_deref(), |text| {
            RunsLevel::parse(text).filter(|level| *level != RunsLevel::None)
        });
        let variables = pick(&mut wrong, "variables", asked.variables.as_deref(), VariablesLevel::parse);
        let states = asked.state_versions.as_deref();
        let state_versions = pick(&mut wrong, "state-versions", states, StateVersionsLevel::parse);
        let mocks = asked.sentinel_mocks.as_deref();
        let sentinel_mocks = pick(&mut wrong, "sentinel-mocks", mocks, SentinelMocksLevel::parse);
        let base = match level {
            AccessLevel::Custom => Self { level, ..self },
            fixed => Self { policy_overrides: self.policy_overrides, ..Self::preset(fixed) },
        };
        let new = Self {
            level,
            runs: runs.unwrap_or(base.runs),
            variables: variables.unwrap_or(base.variables),
            state_versions: state_versions.unwrap_or(base.state_versions),
            sentinel_mocks: sentinel_mocks.unwrap_or(base.sentinel_mocks),
            workspace_locking: asked.workspace_locking.unwrap_or(base.workspace_locking),
            run_tasks: asked.run_tasks.unwrap_or(base.run_tasks),
            policy_overrides: asked.policy_overrides.unwrap_or(base.policy_overrides),
        };
        if level != AccessLevel::Custom {
            wrong.extend(new.departures(base));
        }
        if wrong.is_empty() { Ok(new) } else { Err(Error::Invalid(wrong)) }
    }

    /// The sub-permissions in which `self` differs from a fixed level. Repeating what the level says is no error, so
    /// that a client may send back what it read.
    fn departures(self, fixed: Self) -> impl Iterator<Item = (String, String)> {
        [
            ("runs", self.runs != fixed.runs),
            ("variables", self.variables != fixed.variables),
            ("state-versions", self.state_versions != fixed.state_versions),
            ("sentinel-mocks", self.sentinel_mocks != fixed.sentinel_mocks),
            ("workspace-locking", self.workspace_locking != fixed.workspace_locking),
            ("run-tasks", self.run_tasks != fixed.run_tasks),
        ]
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(move |(attribute, _)| {
            let level = fixed.level.as_str();
            let text = format!(
                "{} is read-only when access level is '{level}'; use the 'custom' access level to set this attribute.",
                title(attribute)
            );
            (attribute.to_owned(), text)
        })
    }
}

/// What a request asks of a team's access; absent and null both mean “leave it”.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[expect(missing_docs, reason = "the attributes of `team-workspaces`, one by one as in TeamAccess")]
pub struct TeamAccessChange {
    pub access: Option<String>,
    pub runs: Option<String>,
    pub variables: Option<String>,
    pub state_versions: Option<String>,
    pub sentinel_mocks: Option<String>,
    pub workspace_locking: Option<bool>,
    pub run_tasks: Option<bool>,
    pub policy_overrides: Option<bool>,
}

/// Reads one level, or notes that there is none of that name.
pub(crate) fn pick<T>(
    wrong: &mut Vec<(String, String)>,
    attribute: &str,
    asked: Option<&str>,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let level = parse(asked?);
    if level.is_none() {
        wrong.push((attribute.to_owned(), format!("{} is not included in the list", title(attribute))));
    }
    level
}

/// `state-versions` as a sentence begins with it: `State versions`.
pub(crate) fn title(attribute: &str) -> String {
    let mut text = attribute.replace('-', " ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}
