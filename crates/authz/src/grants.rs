//! Everything that one caller holds in one organization, and every decision that follows from it.

use crate::{
    actor::TokenKind,
    granted::{Granted, InOrganization, InWorkspace},
    level::VariablesLevel,
    organization::{OrganizationAccess, OrganizationPermission},
    perm::{OrganizationPermissionMarker, WorkspacePermission},
    project::{ProjectPermissions, VariableSetsLevel},
    workspace::WorkspacePermissions,
};
use kernel::{
    Error,
    ids::{OrganizationId, ProjectId, WorkspaceId},
};
use std::collections::HashMap;

/// Everything an actor holds in one organization, already summed up over their teams.
///
/// Nothing counts unless the caller is a `member` (a person's active membership; the organization of a team's or an
/// organization's token) or a site admin. A site admin is as good as an owner everywhere, as in Terraform Enterprise,
/// where they may act for any user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// Where these grants hold, and nowhere else.
    pub organization: OrganizationId,
    /// Whether the caller belongs to the organization.
    pub member: bool,
    /// Whether they are in the team `owners`.
    pub owner: bool,
    /// What kind of token was shown.
    pub kind: TokenKind,
    /// The union of their teams' organization access.
    pub access: OrganizationAccess,
    /// The union of their teams' access to each workspace.
    pub workspaces: HashMap<WorkspaceId, WorkspacePermissions>,
    /// The union of their teams' access to each project.
    pub projects: HashMap<ProjectId, ProjectPermissions>,
    /// Whether they administer the installation.
    pub site_admin: bool,
    /// The organization's setting `allow-force-delete-workspaces`: who may delete a workspace may do so although it
    /// manages resources. Otherwise only owners may.
    pub allow_force_delete: bool,
}

/// Which workspaces a caller may see: what a list must be filtered by, in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible<'a> {
    /// All of the organization.
    All,
    /// Those named, and all of the projects named. Both empty: none. Sorted.
    Of {
        /// By access to the workspace itself.
        workspaces: Vec<&'a WorkspaceId>,
        /// By access to its project.
        projects: Vec<&'a ProjectId>,
    },
}

impl Grants {
    /// What a stranger holds: nothing.
    pub fn none(organization: OrganizationId) -> Self {
        Self {
            organization,
            member: false,
            owner: false,
            kind: TokenKind::User,
            access: OrganizationAccess::default(),
            workspaces: HashMap::new(),
            projects: HashMap::new(),
            site_admin: false,
            allow_force_delete: false,
        }
    }

    /// Whether the caller may do everything: a person or team of `owners`, or a site admin. Prefer this to the field
    /// `owner`, which says nothing of membership and of site admins.
    pub fn is_owner(&self) -> bool {
        match self.kind {
            TokenKind::Organization | TokenKind::AuditTrail | TokenKind::Scim | TokenKind::Run => false,
            TokenKind::Team => self.member && self.owner,
            TokenKind::User => self.site_admin || (self.member && self.owner),
        }
    }

    /// What one may do in a workspace of this organization: the greatest of all grants.
    pub fn workspace(&self, workspace: &WorkspaceId, project: &ProjectId) -> WorkspacePermissions {
        let mut held = self.in_all_workspaces();
        if self.member && self.kind != TokenKind::Organization {
            if let Some(grant) = self.workspaces.get(workspace) {
                held = held.union(*grant);
            }
            if let Some(grant) = self.projects.get(project) {
                held = held.union(grant.workspaces);
            }
        }
        held.force_delete |= held.delete && self.allow_force_delete;
        held
    }

    /// What one may do in every workspace, whichever it is.
    fn in_all_workspaces(&self) -> WorkspacePermissions {
        if self.is_owner() {
            return WorkspacePermissions::OWNER;
        }
        match (self.member, self.kind) {
            (false, _) => WorkspacePermissions::NONE,
            (true, TokenKind::Organization) => WorkspacePermissions::ORGANIZATION_TOKEN,
            (true, _) => self.access.in_workspaces(),
        }
    }

    /// What one may do in a project of this organization: the greatest of all grants. What it says of workspaces
    /// leaves out grants for single workspaces.
    pub fn project(&self, project: &ProjectId) -> ProjectPermissions {
        if self.is_owner() {
            return ProjectPermissions::OWNER;
        }
        match (self.member, self.kind) {
            (false, _) => ProjectPermissions::NONE,
            (true, TokenKind::Organization) => ProjectPermissions::ORGANIZATION_TOKEN,
            (true, _) => {
                let everywhere = self.access.in_projects();
                self.projects.get(project).map_or(everywhere, |grant| everywhere.union(*grant))
            }
        }
    }

    /// Whether one may do something in the organization itself.
    pub fn allows(&self, permission: OrganizationPermission) -> bool {
        if self.is_owner() {
            return true;
        }
        match (self.member, self.kind) {
            (false, _) => false,
            (true, TokenKind::Organization) => permission.of_organization_token(),
            (true, _) => permission == OrganizationPermission::Read || self.access.allows(permission),
        }
    }

    /// Whether one sees a team: a secret one is hidden from those who are not in it, but for owners and managers of secret
    /// teams.
    pub fn sees_team(&self, secret: bool, in_it: bool) -> bool {
        let open = !secret || in_it || self.allows(OrganizationPermission::ReadSecretTeams);
        open && self.allows(OrganizationPermission::Read)
    }

    /// Whether there is a project whose own grants let one create workspaces in it.
    pub fn creates_workspaces_in_a_project(&self) -> bool {
        self.member && self.projects.values().any(|project| project.create_workspaces)
    }

    /// Which workspaces one may see.
    pub fn visible(&self) -> Visible<'_> {
        self.holding(WorkspacePermissions::visible)
    }

    /// In which workspaces one may see variables.
    pub fn variables_visible(&self) -> Visible<'_> {
        self.holding(|held| held.variables >= VariablesLevel::Read)
    }

    /// Projects with whose own variable sets one may do so much by a grant for the project. Sorted.
    pub fn projects_with_variable_sets(&self, least: VariableSetsLevel) -> Vec<&ProjectId> {
        let sees = |grant: &ProjectPermissions| grant.variable_sets >= least;
        let mut found: Vec<&ProjectId> =
            self.projects.iter().filter(|(_, grant)| self.member && sees(grant)).map(|(id, _)| id).collect();
        found.sort_unstable();
        found
    }

    fn holding(&self, holds: impl Fn(&WorkspacePermissions) -> bool) -> Visible<'_> {
        if holds(&self.in_all_workspaces()) {
            return Visible::All;
        }
        let (mut workspaces, mut projects) = (Vec::new(), Vec::new());
        if self.member {
            workspaces.extend(self.workspaces.iter().filter(|(_, grant)| holds(grant)).map(|(id, _)| id));
            projects
                .extend(self.projects.iter().filter(|(_, grant)| holds(&grant.workspaces)).map(|(id, _)| id));
            workspaces.sort_unstable();
            projects.sort_unstable();
        }
        Visible::Of { workspaces, projects }
    }

    /// Proves that the caller has permission `P` in the workspace to which a row belongs.
    ///
    /// # Errors
    /// [`Error::NotFound`] if not, and if the row is another organization's.
    pub fn prove_workspace<P: WorkspacePermission, T: InWorkspace>(
        &self,
        row: T,
    ) -> Result<Granted<P, T>, Error> {
        let held = self.workspace(row.workspace(), row.project());
        if row.organization() == &self.organization && P::allowed(&held) {
            Ok(Granted::new(row))
        } else {
            Err(Error::NotFound)
        }
    }

    /// Proves that the caller has permission `P` in the organization to which a row belongs.
    ///
    /// # Errors
    /// [`Error::NotFound`] if not, and if the row is another organization's.
    pub fn prove_organization<P: OrganizationPermissionMarker, T: InOrganization>(
        &self,
        row: T,
    ) -> Result<Granted<P, T>, Error> {
        if row.organization() == &self.organization && self.allows(P::PERMISSION) {
            Ok(Granted::new(row))
        } else {
            Err(Error::NotFound)
        }
    }
}
