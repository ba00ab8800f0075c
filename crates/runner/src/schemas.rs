//! A cache of what `providers schema -json` prints.
//!
//! Asking costs as much as a plan (each provider is started), and the answer depends only on the engine and on the
//! providers that the dependency lock file pins. Entries are plain files, at most a given number of bytes together;
//! the oldest goes first. Losing any of them costs time only.
//!
//! What a run prints is no more trustworthy than the run: a hostile one may have written the answer itself. Keep one
//! cache for each party that trusts its own runs (an organization), never one for all.

use crate::engine::Engine;
use ring::digest::{Context, SHA256};
use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    time::SystemTime,
};

/// Bytes that a cache holds unless told otherwise; large providers take tens of MB each.
const LIMIT: u64 = 512 << 20;

/// A directory of schemas.
#[derive(Clone, Debug)]
pub struct SchemaCache {
    dir: PathBuf,
    limit: u64,
}

impl SchemaCache {
    /// A cache in a directory, which is created when the first entry is stored.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, limit: LIMIT }
    }

    /// Holds at most this many bytes, or a single entry.
    #[must_use]
    pub fn with_limit(self, bytes: u64) -> Self {
        Self { limit: bytes, ..self }
    }

    /// Names what the schemas depend on: the engine, and the lock file as `init` left it, which lists exactly the
    /// providers in use. Without a lock file only the engine's own provider is.
    ///
    /// `organization` keeps organizations apart: a run prints the schemas itself, and a hostile one could print false ones
    /// for others to find.
    pub fn key(organization: &str, engine: &Engine, lock_file: Option<&[u8]>) -> String {
        let mut context = Context::new(&SHA256);
        // Separators, so that no two pairs run into the same bytes.
        context.update(format!("{organization}\n{} {}\n", engine.tool, engine.version).as_bytes());
        context.update(if lock_file.is_some() { b"locked\n" } else { b"none\n" });
        context.update(lock_file.unwrap_or_default());
        context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The schemas stored under a key, if there are any.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        let bytes = fs::read(self.path(key)).ok()?;
        // Files are not synced: after a power cut one may be empty or cut short.
        let whole = bytes.first() == Some(&b'{') && bytes.trim_ascii_end().last() == Some(&b'}');
        whole.then_some(bytes)
    }

    /// Stores schemas, replacing what was there.
    ///
    /// # Errors
    /// When the file system does; the run can go on without.
    pub fn put(&self, key: &str, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        // Renamed when complete, so that a reader never sees a part.
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(bytes)?;
        file.persist(self.path(key))?;
        self.evict(&self.path(key))
    }

    fn path(&self, key: &str) -> PathBuf {
        self.dir.join(format!("{key}.json"))
    }

    /// Removes the oldest entries until the rest fit; never the one just stored.
    fn evict(&self, keep: &PathBuf) -> io::Result<()> {
        let mut entries: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            // Another thread may have removed it meanwhile.
            if let Ok(metadata) = entry.metadata() {
                entries.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        let mut total: u64 = entries.iter().map(|(_, size, _)| size).sum();
        entries.retain(|(_, _, path)| path != keep);
        entries.sort();
        for (_, size, path) in entries {
            if total <= self.limit {
                break;
            }
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => total -= size,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Origin, Tool};

    fn engine(version: &str) -> Engine {
        Engine {
            path: "terraform".into(),
            tool: Tool::Terraform,
            version: version.into(),
            origin: Origin::Path,
        }
    }

    #[test]
    fn the_key_changes_with_the_organization_the_engine_and_the_lock_file() {
        let keys = [
            SchemaCache::key("org", &engine("1.11.4"), None),
            SchemaCache::key("org", &engine("1.11.5"), None),
            SchemaCache::key("org", &engine("1.11.4"), Some(b"")),
            SchemaCache::key("org", &engine("1.11.4"), Some(b"provider")),
            SchemaCache::key("other", &engine("1.11.4"), None),
            SchemaCache::key("org", &Engine { tool: Tool::Tofu, ..engine("1.11.4") }, None),
        ];
        let different: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
        assert_eq!(keys[0], SchemaCache::key("org", &engine("1.11.4"), None));
    }

    #[test]
    fn a_stored_entry_is_found_again_and_a_truncated_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let cache = SchemaCache::new(dir.path().join("schemas"));
        assert_eq!(cache.get("k"), None);
        cache.put("k", b"{\"a\":1}\n").unwrap();
        assert_eq!(cache.get("k").unwrap(), b"{\"a\":1}\n");
        for truncated in [&b""[..], b"{\"a\""] {
            fs::write(cache.path("k"), truncated).unwrap();
            assert_eq!(cache.get("k"), None);
        }
    }

    #[test]
    fn the_oldest_entries_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let cache = SchemaCache::new(dir.path().to_owned()).with_limit(20);
        for (age, key) in [(3, "a"), (2, "b"), (1, "c")] {
            cache.put(key, b"{23456}").unwrap();
            let file = fs::File::open(cache.path(key)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(100 - age)).unwrap();
        }
        assert_eq!(cache.get("a"), None, "three entries of seven bytes do not fit in twenty");
        assert!(cache.get("b").is_some() && cache.get("c").is_some());
        cache.put("huge", format!("{{{}}}", "0".repeat(100)).as_bytes()).unwrap();
        assert!(cache.get("huge").is_some() && cache.get("c").is_none());
    }
}
