//! Typed ids. Each kind of resource has its own type, so that a run's id cannot be given where a workspace's is asked.
//!
//! An id is a prefix, a hyphen and 16 characters of the base58 alphabet, as TFE's are (`ws-…`, `run-…`). Any text is
//! accepted when an id is read from a request: an unknown or malformed id is simply not found.

/// Defines one typed id per `Name "prefix"` pair.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        pub struct $name(String);

        impl $name {
            /// The prefix of this kind, without the hyphen.
            pub const PREFIX: &'static str = $prefix;

            /// A new, random id.
            pub fn new(env: &crate::Env) -> Self {
                Self(format!(concat!($prefix, "-{}"), env.base58(16)))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    )*};
}

ids! {
    /// An organization's stable id; its *name* is what the API calls its id.
    OrganizationId "org"
    /// A person, or the synthetic user behind a team's or an organization's token.
    UserId "user"
    /// A team of an organization.
    TeamId "team"
    /// A user's membership in an organization.
    MembershipId "ou"
    /// A team's access to one workspace.
    TeamAccessId "tws"
    /// A team's access to one project.
    TeamProjectAccessId "tprj"
    /// A set of variables.
    VariableSetId "varset"
    /// An API token of any kind.
    TokenId "at"
    /// A person's session in a browser.
    SessionId "us"
    /// A pool of agents.
    AgentPoolId "apool"
    /// A list of networks from which an organization lets its members in.
    CidrRangeListId "cidrlist"
    /// One of its networks.
    CidrRangeId "cidr"
    /// What site admins tell everybody.
    BannerId "ab"
    /// A project, which groups workspaces.
    ProjectId "prj"
    /// A workspace.
    WorkspaceId "ws"
    /// A name that workspaces of an organization are tagged with.
    TagId "tag"
    /// A key, with or without a value, on a workspace or a project.
    TagBindingId "tb"
    /// A workspace variable.
    VariableId "var"
    /// A configuration version.
    ConfigurationVersionId "cv"
    /// A run.
    RunId "run"
    /// What makes applies of one workspace start runs in another.
    RunTriggerId "rt"
    /// A private key for git over SSH.
    SshKeyId "sshkey"
    /// A filter of a list that a person keeps under a name.
    SavedFilterId "sf"
    /// A tag key that an organization has set aside.
    ReservedTagKeyId "rtk"
    /// How long a workspace's or an organization's old data is kept.
    DataRetentionPolicyId "drp"
    /// A plan's mock data for Sentinel.
    PlanExportId "pe"
    /// A run's plan.
    PlanId "plan"
    /// A run's apply.
    ApplyId "apply"
    /// An event in a run's life.
    RunEventId "re"
    /// A comment on a run.
    CommentId "wsc"
    /// A state version.
    StateVersionId "sv"
    /// An output of a state version.
    StateVersionOutputId "wsout"
    /// A resource of a workspace's current state.
    WorkspaceResourceId "wsr"
    /// A version of Terraform or OpenTofu.
    ToolVersionId "tool"
    /// A key that signs identity tokens.
    SigningKeyId "key"
    /// A group of the identity provider, as it provisions them.
    ScimGroupId "scimgroup"
    /// A stored object (configuration, state, plan, log).
    BlobId "blob"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_prefix_and_sixteen_base58_characters() {
        let id = WorkspaceId::new(&crate::Env::real());
        let (prefix, rest) = id.as_str().split_once('-').unwrap();
        assert_eq!(prefix, "ws");
        assert_eq!(rest.len(), 16);
        assert!(rest.chars().all(|c| c.is_ascii_alphanumeric() && !"0OIl".contains(c)));
    }

    #[test]
    fn seeded_environments_repeat_their_ids() {
        let env = || crate::Env::fixed(crate::Timestamp::from_micros(0), 7);
        assert_eq!(RunId::new(&env()), RunId::new(&env()));
    }
}
