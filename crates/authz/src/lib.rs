//! Who may do what: pure decisions, and the proofs that carry them.
//!
//! Whoever answers a request computes [`Grants`], all that the caller holds in one organization, and asks it to prove a
//! permission for a row. The answer is a [`Granted`] row, which nothing outside this crate can make, or
//! [`kernel::Error::NotFound`]: absent, foreign and forbidden look alike on purpose. Code that acts asks for a
//! `Granted<P, Row>` and therefore cannot forget to check.
//!
//! Grants add up: what a caller may do is the greatest of all that their teams hold. No grant takes anything away. An
//! organization's token is the exception in kind: it holds a fixed set, whatever else is stored.
//!
//! Source: semantics.md §6 and its rulings; the names on the wire are those of the Terraform Enterprise API.
//!
//! Reading order: [`actor`], [`level`], [`workspace`], [`project`], [`organization`], [`grants`], [`perm`],
//! [`granted`], [`document`].

pub mod actor;
pub mod document;
pub mod granted;
pub mod grants;
pub mod level;
pub mod organization;
pub mod perm;
pub mod project;
pub mod workspace;

pub use actor::{Actor, TokenKind};
pub use granted::{Granted, InOrganization, InWorkspace};
pub use grants::{Grants, Visible};
pub use level::{RunsLevel, SentinelMocksLevel, StateVersionsLevel, VariablesLevel};
pub use organization::{OrganizationAccess, OrganizationPermission};
pub use perm::{OrganizationPermissionMarker, WorkspacePermission};
pub use project::{ProjectAccess, ProjectAccessChange, ProjectLevel, ProjectPermissions};
pub use workspace::{AccessLevel, TeamAccess, TeamAccessChange, WorkspacePermissions};

#[cfg(test)]
mod tests;
