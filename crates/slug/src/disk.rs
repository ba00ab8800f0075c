//! Writing below one folder. Paths were judged by `tree` before they come here; this is the second lock: each folder is
//! opened from its parent without following links, and files are only ever created, never opened for writing.

use crate::{
    tree::CleanPath,
    walk::{Attributes, Sink},
};
use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    sys::stat::{Mode, UtimensatFlags, fchmod, futimens, mkdirat, utimensat},
    sys::time::TimeSpec,
    unistd::{UnlinkatFlags, symlinkat, unlinkat},
};
use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::Path,
};

pub(crate) struct Disk {
    root: OwnedFd,
    /// The folder used last: archives list a folder's files one after the other.
    last: Option<(Vec<u8>, OwnedFd)>,
    /// Modes and times of folders wait for the end: until then files are made in them.
    folders: Vec<(CleanPath, Attributes)>,
}

const FOLDER: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

impl Disk {
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let root = File::open(root)?;
        if !root.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { root: root.into(), last: None, folders: vec![] })
    }

    /// Opens a folder, making what is missing of it.
    fn folder(&mut self, path: &[u8]) -> io::Result<&OwnedFd> {
        if path.is_empty() {
            return Ok(&self.root);
        }
        if self.last.as_ref().is_none_or(|(last, _)| last != path) {
            let mut parts = path.split(|&c| c == b'/');
            let first = parts.next().unwrap_or_default();
            let mut at = enter(&self.root, first)?;
            for part in parts {
                at = enter(&at, part)?;
            }
            self.last = Some((path.to_vec(), at));
        }
        Ok(self.last.as_ref().map_or(&self.root, |(_, folder)| folder))
    }
}

fn enter(parent: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    let name = OsStr::from_bytes(name);
    match openat(parent, name, FOLDER, Mode::empty()) {
        Err(Errno::ENOENT) => {
            mkdirat(parent, name, Mode::from_bits_truncate(0o755))?;
            Ok(openat(parent, name, FOLDER, Mode::empty())?)
        }
        other => Ok(other?),
    }
}

impl Sink for Disk {
    type Out = File;

    fn dir(&mut self, path: &CleanPath, attributes: Attributes) -> io::Result<()> {
        self.folder(path.as_bytes())?;
        if !path.is_root() {
            self.folders.push((path.clone(), attributes));
        }
        Ok(())
    }

    fn link(&mut self, path: &CleanPath, target: &[u8], attributes: Attributes) -> io::Result<()> {
        let (folder, name) = path.split();
        let (folder, name) = (self.folder(folder)?, OsStr::from_bytes(name));
        symlinkat(OsStr::from_bytes(target), folder, name)?;
        let time = attributes.time();
        Ok(utimensat(folder, name, &TimeSpec::UTIME_OMIT, &time, UtimensatFlags::NoFollowSymlink)?)
    }

    fn create(&mut self, path: &CleanPath, replaces: bool) -> io::Result<File> {
        let (folder, name) = path.split();
        let (folder, name) = (self.folder(folder)?, OsStr::from_bytes(name));
        if replaces {
            unlinkat(folder, name, UnlinkatFlags::NoRemoveDir)?;
        }
        let new = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(openat(folder, name, new, Mode::from_bits_truncate(0o600))?.into())
    }

    fn close(&mut self, file: File, attributes: Attributes) -> io::Result<()> {
        fchmod(&file, Mode::from_bits_truncate(attributes.mode))?;
        Ok(futimens(&file, &TimeSpec::UTIME_OMIT, &attributes.time())?)
    }

    fn finish(&mut self) -> io::Result<()> {
        for (path, attributes) in std::mem::take(&mut self.folders) {
            let folder = self.folder(path.as_bytes())?;
            // The owner keeps access whatever the archive says, or the tree could not be removed again.
            fchmod(folder, Mode::from_bits_truncate(attributes.mode | 0o700))?;
            futimens(folder, &TimeSpec::UTIME_OMIT, &attributes.time())?;
        }
        Ok(())
    }
}

impl Attributes {
    fn time(self) -> TimeSpec {
        // Beyond the year 9999, or before 1970, the time is noise, and file systems differ in what they make of it.
        let seconds = self.mtime_seconds.clamp(0, 253_402_300_799);
        TimeSpec::new(seconds, self.mtime_nanos.clamp(0, 999_999_999))
    }
}
