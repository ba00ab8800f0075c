//! Ordered levels: each includes all before it, and the effective one is the greatest.

/// Defines one ordered level with its names on the wire, lowest first.
macro_rules! levels {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ })*) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// Every level, lowest first.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The level of that name.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|level| level.as_str() == text)
            }
        }
    )*};
}
pub(crate) use levels;

levels! {
    /// What one may do with a workspace's runs.
    RunsLevel {
        /// Nothing.
        #[default] None = "none",
        /// See runs, plans, applies, logs and configuration versions.
        Read = "read",
        /// And create configuration versions and runs, and comment.
        Plan = "plan",
        /// And apply, discard, cancel and force-execute.
        Apply = "apply",
    }
    /// What one may do with a workspace's variables.
    VariablesLevel {
        /// Nothing.
        #[default] None = "none",
        /// See them; the values of sensitive ones are shown to nobody.
        Read = "read",
        /// And create, change and delete them.
        Write = "write",
    }
    /// What one may do with a workspace's state versions.
    StateVersionsLevel {
        /// Nothing.
        #[default] None = "none",
        /// See the outputs of the current state.
        ReadOutputs = "read-outputs",
        /// And see and download states.
        Read = "read",
        /// And create state versions and roll back.
        Write = "write",
    }
    /// What one may do with the mock data that a plan yields for Sentinel.
    SentinelMocksLevel {
        /// Nothing.
        #[default] None = "none",
        /// Export it.
        Read = "read",
    }
}
