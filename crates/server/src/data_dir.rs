//! The data directory: private to its user, and one server's at a time.

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// An open data directory. While it lives no other server can have it.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: Flock<File>,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It is another user's.
    #[error(
        "the data directory {0} belongs to another user; choose another with --data-dir, or change its owner"
    )]
    NotOurs(PathBuf),
    /// Another server has it: which, if known.
    #[error(
        "another ferroform server{1} is using the data directory {0}; stop it, or choose another with --data-dir"
    )]
    InUse(PathBuf, String),
    /// The file system refused.
    #[error(
        "the data directory {0} cannot be used: {1}; give this user access to it, or choose another with --data-dir"
    )]
    Io(PathBuf, #[source] io::Error),
}

/// Makes the directory if it is missing and closes it to others. Returns whether its mode had to be tightened.
pub fn prepare(path: &Path) -> Result<bool, DataDirError> {
    let io = |error| DataDirError::Io(path.to_owned(), error);
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
    let metadata = fs::metadata(path).map_err(io)?;
    if metadata.uid() != nix::unistd::geteuid().as_raw() {
        return Err(DataDirError::NotOurs(path.to_owned()));
    }
    let loose = metadata.permissions().mode() & 0o077 != 0;
    if loose {
        fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(io)?;
    }
    Ok(loose)
}

impl DataDir {
    /// Prepares the directory and takes it for this process, until it ends.
    ///
    /// # Errors
    /// When it is another user's, in use, or cannot be made.
    pub fn take(path: &Path) -> Result<Self, DataDirError> {
        if prepare(path)? {
            tracing::warn!(path = %path.display(), "the data directory was open to others; its mode is 0700 now");
        }
        let io = |error| DataDirError::Io(path.to_owned(), error);
        let path = fs::canonicalize(path).map_err(io)?;
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(io)?;
        match lock_soon(file) {
            Ok(mut lock) => {
                lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(io)?;
                Ok(Self { path, _lock: lock })
            }
            Err((file, Errno::EWOULDBLOCK)) => Err(DataDirError::InUse(path, holder(file))),
            Err((_, errno)) => Err(io(errno.into())),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Takes the lock, trying for two seconds: a server that was just killed may have left a child between its fork and its
/// exec, which holds the lock for that long.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing is served yet, and a lock that comes free tells nobody"
)]
fn lock_soon(mut file: File) -> Result<Flock<File>, (File, Errno)> {
    for _ in 0..40 {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Err((refused, Errno::EWOULDBLOCK)) => file = refused,
            other => return other,
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
}

/// Which process holds the lock, for a person: the kernel knows that it is held, the file says by whom.
fn holder(mut file: File) -> String {
    let mut text = String::new();
    let _ = file.read_to_string(&mut text);
    text.trim().parse::<u32>().map_or_else(|_| String::new(), |process| format!(" (process {process})"))
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(0o600)).tempfile_in(parent)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_directory_is_private_and_an_open_one_is_closed() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        assert!(!prepare(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        assert!(prepare(&path).unwrap(), "and it is said");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_second_server_on_the_same_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::take(dir.path()).unwrap();
        let refused = DataDir::take(dir.path()).unwrap_err();
        assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        DataDir::take(dir.path()).unwrap();
    }

    #[test]
    fn private_files_are_readable_by_their_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        write_private(&path, b"secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read(&path).unwrap(), b"secret");
    }
}
