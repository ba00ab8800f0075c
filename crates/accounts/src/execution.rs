//! How runs are made by default: an execution mode, and with `agent` the pool whose agents they wait for.
//!
//! A workspace's setting is its own, else its project's, else its organization's. The mode and the pool go together: one
//! overwrites both, or inherits both. [`settle`] is the one rule, for all three; [`usable`] says which pools there are to
//! choose. Source: the Organizations, Projects and Workspaces APIs; semantics.md §7.

use db::{Tx, args};
use http_api::{Error, Result};
use kernel::ids::{AgentPoolId, OrganizationId, ProjectId, WorkspaceId};

/// A mode, and a pool where the mode is `agent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// `remote`, `local` or `agent`.
    pub mode: String,
    /// Whose agents carry runs out.
    pub pool: Option<AgentPoolId>,
}

impl Execution {
    /// Runs by this server.
    pub fn remote() -> Self {
        Self { mode: "remote".to_owned(), pool: None }
    }
}

/// What a request says of it.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// A mode.
    pub mode: Option<String>,
    /// A pool, by its id.
    pub pool: Option<String>,
    /// Whether the setting is its own (`true`) or inherited.
    pub own: Option<bool>,
}

/// What attributes are called, for the one who asked.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// Of the mode.
    pub mode: &'static str,
    /// Of the pool.
    pub pool: &'static str,
}

/// Of organizations and projects.
pub const DEFAULTS: Names = Names { mode: "default-execution-mode", pool: "default-agent-pool-id" };
/// Of workspaces.
pub const OF_WORKSPACES: Names = Names { mode: "execution-mode", pool: "agent-pool-id" };

/// The two flags of `setting-overwrites`, which stand for one.
///
/// # Errors
/// 422 when they contradict each other.
pub fn overwrites(mode: Option<bool>, pool: Option<bool>) -> Result<Option<bool>> {
    match (mode, pool) {
        (Some(mode), Some(pool)) if mode != pool => Err(Error::invalid(
            "setting-overwrites",
            "If agent-pool and execution-mode are both included in setting-overwrites, their values must be the same.",
        )),
        (mode, pool) => Ok(mode.or(pool)),
    }
}

/// What is a resource's own after a request: `None` where it inherits. `own` is what it was, `inherited` what holds without.
///
/// # Errors
/// 422 for an unknown mode, for `agent` without a pool and for a pool without `agent`.
pub fn settle(
    own: Option<Execution>,
    inherited: Execution,
    asked: Asked,
    names: Names,
) -> Result<Option<Execution>> {
    if let Some(mode) = asked.mode.as_deref().filter(|mode| !["remote", "local", "agent"].contains(mode)) {
        return Err(Error::invalid(
            names.mode,
            format!("Execution mode {mode:?} is not remote, local or agent"),
        ));
    }
    if asked.own == Some(false) {
        return Ok(None);
    }
    if asked.mode.is_none() && asked.pool.is_none() && asked.own.is_none() {
        return Ok(own);
    }
    let before = own.unwrap_or(inherited);
    let mode = asked.mode.unwrap_or(before.mode);
    let pool = match (mode.as_str(), asked.pool) {
        ("agent", pool) => Some(pool.map(AgentPoolId::from).or(before.pool).ok_or_else(|| {
            Error::invalid(names.pool, "Agent pool must be specified when using 'agent' execution mode")
        })?),
        (_, Some(_)) => {
            return Err(Error::invalid(
                names.pool,
                "Agent pool must not be specified unless using 'agent' execution mode",
            ));
        }
        (_, None) => None,
    };
    Ok(Some(Execution { mode, pool }))
}

/// Who is to use a pool.
#[derive(Clone, Copy, Debug)]
pub enum User<'a> {
    /// An organization, for whatever does not say otherwise.
    Organization,
    /// A project, for the workspaces in it.
    Project(&'a ProjectId),
    /// A workspace, of this project.
    Workspace(&'a WorkspaceId, &'a ProjectId),
}

/// Whether the pool is one of the organization's, and allows whoever is to use it.
///
/// # Errors
/// 422 when there is no such pool; `Ok(false)` when it is for others.
pub async fn usable(
    tx: &mut Tx,
    pool: &AgentPoolId,
    organization: &OrganizationId,
    user: User<'_>,
    names: Names,
) -> Result<()> {
    let sql = "SELECT name, organization_scoped FROM agent_pools WHERE id = $1 AND organization_id = $2";
    let found: Option<(String, bool)> = tx.one(sql, args![pool, organization]).await?;
    let (name, scoped) = found.ok_or_else(|| {
        Error::invalid(names.pool, format!("Agent pool {pool} does not exist in this organization"))
    })?;
    let project =
        "SELECT project_id FROM agent_pool_allowed_projects WHERE agent_pool_id = $1 AND project_id = $2";
    let workspace = "SELECT workspace_id FROM agent_pool_allowed_workspaces WHERE agent_pool_id = $1 AND workspace_id = $2";
    let excluded = "SELECT workspace_id FROM agent_pool_excluded_workspaces WHERE agent_pool_id = $1 AND workspace_id = $2";
    let allowed = match user {
        User::Organization => true,
        User::Project(id) => scoped || named(tx, project, pool, id.as_str()).await?,
        User::Workspace(id, of) => {
            !named(tx, excluded, pool, id.as_str()).await?
                && (scoped
                    || named(tx, workspace, pool, id.as_str()).await?
                    || named(tx, project, pool, of.as_str()).await?)
        }
    };
    if allowed {
        return Ok(());
    }
    Err(Error::invalid(
        names.pool,
        format!(
            "Agent pool {name} is not for this {}: whoever manages the pool can allow it",
            match user {
                User::Project(_) => "project",
                _ => "workspace",
            }
        ),
    ))
}

async fn named(tx: &mut Tx, sql: &'static str, pool: &AgentPoolId, id: &str) -> Result<bool> {
    let found: Option<(String,)> = tx.one(sql, args![pool, id]).await?;
    Ok(found.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(mode: &str, pool: Option<&str>) -> Execution {
        Execution { mode: mode.to_owned(), pool: pool.map(AgentPoolId::from) }
    }

    fn asked(mode: Option<&str>, pool: Option<&str>, own: Option<bool>) -> Asked {
        Asked { mode: mode.map(str::to_owned), pool: pool.map(str::to_owned), own }
    }

    fn settled(own: Option<Execution>, inherited: Execution, ask: Asked) -> Result<Option<Execution>> {
        settle(own, inherited, ask, DEFAULTS)
    }

    #[test]
    fn a_mode_that_is_not_agent_drops_the_pool() {
        for mode in ["remote", "local"] {
            let after =
                settled(Some(of("agent", Some("p"))), Execution::remote(), asked(Some(mode), None, None));
            assert_eq!(after.unwrap(), Some(of(mode, None)));
        }
    }

    #[test]
    fn agent_needs_a_pool_and_nothing_else_may_have_one() {
        let inherited = || of("remote", None);
        assert!(settled(None, inherited(), asked(Some("agent"), None, None)).is_err());
        assert!(settled(None, inherited(), asked(None, Some("p"), None)).is_err());
        assert!(settled(None, inherited(), asked(Some("local"), Some("p"), None)).is_err());
        assert!(settled(None, inherited(), asked(Some("magic"), None, None)).is_err());
        let given = settled(None, inherited(), asked(Some("agent"), Some("p"), None)).unwrap();
        assert_eq!(given, Some(of("agent", Some("p"))));
        let another = settled(given, inherited(), asked(None, Some("q"), None)).unwrap();
        assert_eq!(another, Some(of("agent", Some("q"))));
    }

    #[test]
    fn what_is_inherited_becomes_ones_own_when_asked_for_and_is_given_back() {
        let inherited = || of("agent", Some("p"));
        assert_eq!(settled(None, inherited(), asked(None, None, None)).unwrap(), None);
        let own = settled(None, inherited(), asked(None, None, Some(true))).unwrap();
        assert_eq!(own, Some(inherited()));
        assert_eq!(settled(own, inherited(), asked(None, None, Some(false))).unwrap(), None);
    }

    #[test]
    fn the_two_flags_are_one() {
        assert!(overwrites(Some(true), Some(false)).is_err());
        assert_eq!(overwrites(None, Some(true)).unwrap(), Some(true));
        assert_eq!(overwrites(Some(false), Some(false)).unwrap(), Some(false));
    }
}
