//! The tables of semantics.md §6 as snapshots to review, and what must hold of any grants.

mod matrix;
mod properties;
mod scopes;
mod team_access;

use crate::{Grants, InOrganization, InWorkspace, OrganizationAccess, TokenKind};
use kernel::ids::{OrganizationId, ProjectId, WorkspaceId};

/// A row of some workspace.
#[derive(Debug)]
struct Row {
    workspace: WorkspaceId,
    project: ProjectId,
    organization: OrganizationId,
}

impl Row {
    fn of(organization: &str) -> Self {
        Self { workspace: "ws-1".into(), project: "prj-1".into(), organization: organization.into() }
    }
}

impl InWorkspace for Row {
    fn workspace(&self) -> &WorkspaceId {
        &self.workspace
    }
    fn project(&self) -> &ProjectId {
        &self.project
    }
    fn organization(&self) -> &OrganizationId {
        &self.organization
    }
}

/// A row of some organization.
#[derive(Debug)]
struct Plain(OrganizationId);

impl InOrganization for Plain {
    fn organization(&self) -> &OrganizationId {
        &self.0
    }
}

fn stranger() -> Grants {
    Grants::none("org-1".into())
}

fn member() -> Grants {
    Grants { member: true, ..stranger() }
}

fn owner() -> Grants {
    Grants { owner: true, ..member() }
}

fn organization_token() -> Grants {
    Grants { kind: TokenKind::Organization, ..member() }
}

fn holding(access: OrganizationAccess) -> Grants {
    Grants { access, ..member() }
}
