//! Proofs: a row together with the permission that the caller was found to have on it.

use kernel::ids::{OrganizationId, ProjectId, WorkspaceId};
use std::{fmt, marker::PhantomData, ops::Deref};

/// A row that belongs to a workspace: the workspace itself, a run, a variable, a state version.
pub trait InWorkspace {
    /// Its workspace.
    fn workspace(&self) -> &WorkspaceId;
    /// The project of that workspace.
    fn project(&self) -> &ProjectId;
    /// The organization of that workspace.
    fn organization(&self) -> &OrganizationId;
}

/// A row that belongs to an organization: the organization itself, a team, a membership.
pub trait InOrganization {
    /// Its organization.
    fn organization(&self) -> &OrganizationId;
}

impl<T: InWorkspace> InWorkspace for &T {
    fn workspace(&self) -> &WorkspaceId {
        (*self).workspace()
    }
    fn project(&self) -> &ProjectId {
        (*self).project()
    }
    fn organization(&self) -> &OrganizationId {
        (*self).organization()
    }
}

impl<T: InOrganization> InOrganization for &T {
    fn organization(&self) -> &OrganizationId {
        (*self).organization()
    }
}

/// A row that the caller may act on in the way `P` names. Only [`crate::Grants`] makes one.
///
/// ```compile_fail
/// // Outside this crate there is no way to a proof but to ask for it.
/// let forged: authz::Granted<authz::perm::ApplyRun, u8> = authz::Granted::new(1);
/// ```
pub struct Granted<P, T> {
    row: T,
    permission: PhantomData<fn() -> P>,
}

impl<P, T> Granted<P, T> {
    pub(crate) fn new(row: T) -> Self {
        Self { row, permission: PhantomData }
    }

    /// The row, without the proof.
    pub fn into_inner(self) -> T {
        self.row
    }
}

impl<P, T> Deref for Granted<P, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.row
    }
}

impl<P, T: fmt::Debug> fmt::Debug for Granted<P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.row.fmt(f)
    }
}
