//! Who calls.

use kernel::ids::{OrganizationId, RunId, TeamId, TokenId, UserId, WorkspaceId};

/// The kinds of caller that the API admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TokenKind {
    /// A person: everything their teams may do, and their own account.
    #[default]
    User,
    /// A team: exactly what that team may do.
    Team,
    /// An organization: set-up of workspaces and teams, never runs.
    Organization,
    /// An organization's audit trail, and nothing else.
    AuditTrail,
    /// An identity provider that keeps users and groups by SCIM, and nothing else.
    Scim,
    /// A run, while it lasts: the state of its workspace, and the states that others share with it.
    Run,
}

/// The caller behind one authenticated token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A person.
    User {
        /// Their id.
        id: UserId,
        /// Their unique name.
        username: String,
        /// Whether they administer the whole installation.
        site_admin: bool,
        /// The token they showed; the session's id, where they have signed in on the pages.
        token: TokenId,
        /// Whether they have signed in on the pages: what organizations demand of people's tokens does not hold then.
        session: bool,
    },
    /// A team's token.
    Team {
        /// The team.
        id: TeamId,
        /// Whose team it is.
        organization: OrganizationId,
        /// The synthetic user that stands for the team wherever the API names a user.
        service_user: UserId,
        /// The token shown.
        token: TokenId,
    },
    /// An organization's token.
    Organization {
        /// The organization.
        id: OrganizationId,
        /// The synthetic user that stands for the organization wherever the API names a user.
        service_user: UserId,
        /// The token shown.
        token: TokenId,
    },
    /// A token that reads an organization's audit trail.
    AuditTrail {
        /// The organization.
        organization: OrganizationId,
        /// The synthetic user that stands for the organization.
        service_user: UserId,
        /// The token shown.
        token: TokenId,
    },
    /// An identity provider's token for SCIM.
    Scim {
        /// The synthetic user that stands for the identity provider.
        service_user: UserId,
        /// The token shown.
        token: TokenId,
    },
    /// What runs in a run: its engine and the programs that the configuration starts.
    Run {
        /// The run.
        id: RunId,
        /// Its workspace.
        workspace: WorkspaceId,
        /// The organization of that.
        organization: OrganizationId,
        /// Who made the run; what the run does is theirs.
        creator: UserId,
        /// Stands for the token, which is signed and not stored.
        token: TokenId,
    },
}

impl Actor {
    /// The person, or the synthetic user that stands for the team or organization; of a run, who made it.
    pub fn user_id(&self) -> &UserId {
        match self {
            Self::User { id, .. } => id,
            Self::Team { service_user, .. }
            | Self::Organization { service_user, .. }
            | Self::AuditTrail { service_user, .. }
            | Self::Scim { service_user, .. } => service_user,
            Self::Run { creator, .. } => creator,
        }
    }

    /// The token that was shown.
    pub fn token(&self) -> &TokenId {
        match self {
            Self::User { token, .. }
            | Self::Team { token, .. }
            | Self::Organization { token, .. }
            | Self::AuditTrail { token, .. }
            | Self::Scim { token, .. }
            | Self::Run { token, .. } => token,
        }
    }

    /// Whether the caller administers the whole installation. Only a person can.
    pub fn is_site_admin(&self) -> bool {
        matches!(self, Self::User { site_admin: true, .. })
    }

    /// What kind of token was shown.
    pub fn kind(&self) -> TokenKind {
        match self {
            Self::User { .. } => TokenKind::User,
            Self::Team { .. } => TokenKind::Team,
            Self::Organization { .. } => TokenKind::Organization,
            Self::AuditTrail { .. } => TokenKind::AuditTrail,
            Self::Scim { .. } => TokenKind::Scim,
            Self::Run { .. } => TokenKind::Run,
        }
    }
}
