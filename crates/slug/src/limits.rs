//! How much an archive may ask for.

/// Upper bounds for one archive. An archive that reaches a bound is refused there; what follows is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes as uploaded.
    pub compressed_bytes: u64,
    /// Bytes after decompression, headers and padding included.
    pub expanded_bytes: u64,
    /// Files, links and folders, folders that are only implied by a name included.
    pub entries: u64,
    /// Expanded bytes allowed for each compressed byte, beyond a first MiB that is free so that small archives of
    /// repetitive text pass.
    pub ratio: u64,
}

impl Default for Limits {
    /// 100 MiB compressed, 1 GiB expanded, 100 000 entries, 200 : 1. Configurations with bundled providers stay well
    /// below; the worst that deflate can do is about 1000 : 1.
    fn default() -> Self {
        Self { compressed_bytes: 100 << 20, expanded_bytes: 1 << 30, entries: 100_000, ratio: 200 }
    }
}
