//! Why an archive was refused, or could not be handled.

use std::io;

/// Why an archive was not accepted. The texts begin as those that users of Terraform Enterprise know and search for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Illegal {
    /// It is not gzip.
    #[error("failed to decompress slug: {0}")]
    Decompress(String),
    /// It is not a tar archive, or it is damaged or cut.
    #[error("failed to untar slug: {0}")]
    Untar(String),
    /// It ends within a file, or is damaged there.
    #[error("failed to copy slug file {name:?}: {reason}")]
    Copy {
        /// The file.
        name: String,
        /// What went wrong.
        reason: String,
    },
    /// An entry breaks a rule. The text names both.
    #[error("illegal slug error: {0}")]
    Entry(String),
    /// It is larger than allowed, in bytes, ratio or count. The text names the limit.
    #[error("illegal slug error: {0}")]
    Limit(String),
    /// The archive's bytes could not be had: not the archive's fault.
    #[error("the archive could not be read: {0}")]
    Source(#[source] io::Error),
    /// Writing failed: not the archive's fault. The kind of `source` tells a full disk.
    #[error("failed {what}: {source}")]
    Io {
        /// What was being done to which entry.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Illegal {
    /// Whether the archive is at fault, so that trying again with the same one is useless.
    pub fn is_archives_fault(&self) -> bool {
        !matches!(self, Self::Source(_) | Self::Io { .. })
    }
}

/// A name for a message: readable, and no longer than a line or two whatever the archive says.
pub(crate) fn shown(name: &[u8]) -> String {
    const MAX: usize = 200;
    let text = String::from_utf8_lossy(name);
    if text.chars().count() <= MAX {
        return text.into_owned();
    }
    text.chars().take(MAX).chain(['…']).collect()
}
