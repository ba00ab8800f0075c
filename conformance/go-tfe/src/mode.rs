//! The four ways in which the suite can be run: it decides by two environment variables which tests it skips.

use std::fmt;

/// One of them. The server does not know which.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, clap::ValueEnum)]
pub(crate) enum Mode {
    /// As against HCP Terraform: without what is Enterprise's alone
    A,
    /// `a`, with the tests of what is in beta
    ABeta,
    /// As against Terraform Enterprise: with the admin API, without subscriptions
    B,
    /// `b`, with the tests of what is in beta
    BBeta,
}

impl Mode {
    pub(crate) const ALL: [Self; 4] = [Self::A, Self::ABeta, Self::B, Self::BBeta];

    /// As on the command line and in the files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::ABeta => "a-beta",
            Self::B => "b",
            Self::BBeta => "b-beta",
        }
    }

    /// Its place in a row of four.
    pub(crate) fn column(self) -> usize {
        self as usize
    }

    /// What the suite is told in its environment.
    pub(crate) fn variables(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::A => &[],
            Self::ABeta => &[("ENABLE_BETA", "1")],
            Self::B => &[("ENABLE_TFE", "1")],
            Self::BBeta => &[("ENABLE_TFE", "1"), ("ENABLE_BETA", "1")],
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
