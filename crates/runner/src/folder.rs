//! Reading what a run has left behind without being led astray.
//!
//! Everything below a phase's folder may have been written by code from the configuration. The server reads it with
//! rights that this code did not have, so a planted symbolic link, device or pipe must never be followed: each step of
//! a path is opened by itself relative to the last, refusing links, and only regular files are read.

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    path::Path,
};

/// An open directory.
pub(crate) struct Folder(OwnedFd);

/// One name in a directory.
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: FileType,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Last change of its content, in seconds since the epoch.
    pub(crate) modified: u64,
}

impl Folder {
    /// Opens a directory that only the server writes to.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(CWD, path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// Opens the directory `name` in this one, and nothing that only leads to a directory.
    pub(crate) fn sub(&self, name: &[u8]) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(Self(rustix::fs::openat(&self.0, name, flags, Mode::empty())?))
    }

    /// Opens the regular file `name` in this one for reading.
    pub(crate) fn file(&self, name: &[u8]) -> io::Result<File> {
        // NONBLOCK: opening a pipe that nobody writes to would wait for ever.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let fd = rustix::fs::openat(&self.0, name, flags, Mode::empty())?;
        if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
        }
        Ok(File::from(fd))
    }

    /// The content of the file at `path`, given as names relative to this directory. `None` when there is no such
    /// regular file; an error when it is longer than `limit` bytes.
    pub(crate) fn read(&self, path: &[&str], limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some((last, dirs)) = path.split_last() else { return Ok(None) };
        let mut at = None;
        for dir in dirs {
            match at.as_ref().unwrap_or(self).sub(dir.as_bytes()) {
                Ok(next) => at = Some(next),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let file = match at.as_ref().unwrap_or(self).file(last.as_bytes()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        if length > limit {
            return Err(too_large(last, limit));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
        file.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(too_large(last, limit));
        }
        Ok(Some(bytes))
    }

    /// The names in this directory, sorted, so that packing the same tree twice gives the same bytes.
    pub(crate) fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let stat = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let kind = FileType::from_raw_mode(stat.st_mode);
            let modified = u64::try_from(stat.st_mtime).unwrap_or(0);
            entries.push(Entry { name: name.to_vec(), kind, mode: stat.st_mode & 0o777, modified });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// What `name` is, if it is there.
    pub(crate) fn kind(&self, name: &[u8]) -> Option<FileType> {
        let stat = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(FileType::from_raw_mode(stat.st_mode))
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.0
    }

    /// Where the symbolic link `name` points.
    pub(crate) fn link_target(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.0, name, Vec::new())?.into_bytes())
    }
}

fn too_large(name: &str, limit: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("{name} is larger than {limit} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_pipes_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "x").unwrap();
        std::fs::create_dir(dir.path().join("in")).unwrap();
        std::os::unix::fs::symlink("../secret", dir.path().join("in/link")).unwrap();
        std::os::unix::fs::symlink("in", dir.path().join("door")).unwrap();
        let fifo = dir.path().join("in/pipe");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
        std::fs::write(dir.path().join("in/plain"), "plain").unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert!(folder.read(&["in", "link"], 10).is_err());
        assert!(folder.read(&["in", "pipe"], 10).is_err());
        assert!(folder.read(&["door", "plain"], 10).is_err());
        assert_eq!(folder.read(&["in", "plain"], 10).unwrap().unwrap(), b"plain");
        assert!(folder.read(&["in", "plain"], 4).is_err());
        assert_eq!(folder.read(&["in", "absent"], 10).unwrap(), None);
    }
}
