//! Making an archive of a folder.
//!
//! The folder is the root of the archive. What [`crate::ignore`] says is left out. Folders, files and symlinks go in;
//! FIFOs, sockets and devices do not. A symlink to something in the folder stays a link, written relative so that it
//! holds wherever the archive is unpacked; one that leads out is replaced by what it leads to. Entries come in the
//! order of their names and carry no owner, so the same folder gives the same archive.

use crate::{ignore::Rules, tree::within};
use flate2::{Compression, write::GzEncoder};
use std::{
    fs::{self, File, Metadata},
    io::{self, Read, Write},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Component, Path, PathBuf},
};

/// What was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Packed {
    /// Files and symlinks.
    pub files: u64,
    /// Bytes of the files, before compression.
    pub bytes: u64,
    /// Files, links and whole folders that rules or their kind left out.
    pub skipped: u64,
}

/// Why a folder could not be packed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// Reading the folder or writing the archive failed.
    #[error("cannot pack {}: {source}", .path.display())]
    Io {
        /// What was being packed.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The ignore file is there but cannot be read. Packing without it could upload what it was to keep back.
    #[error("cannot read {}: {source}; mend or remove it", .path.display())]
    Ignore {
        /// The ignore file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A symlink leads out of the folder to nothing.
    #[error("the symlink {} leads out of the folder to {}, which is not there; remove the link or list it in .terraformignore", .path.display(), .target.display())]
    Dangling {
        /// The link.
        path: PathBuf,
        /// Its target, as written.
        target: PathBuf,
    },
    /// A symlink leads out of the folder and around back to itself.
    #[error("the symlink {} leads around in a circle by way of {}; remove the link or list it in .terraformignore", .path.display(), .target.display())]
    Cycle {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
}

/// Packs the folder `dir` as tar.gz into `out`, which is flushed at the end.
///
/// # Errors
/// [`PackError`], naming the path. What was written to `out` until then is no archive.
pub fn pack(dir: &Path, out: impl Write) -> Result<Packed, PackError> {
    let root = dir.canonicalize().map_err(at(dir))?;
    let ignore = root.join(".terraformignore");
    let rules = match fs::read(&ignore) {
        Ok(text) => Rules::parse(&String::from_utf8_lossy(&text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Rules::builtin(),
        Err(source) => return Err(PackError::Ignore { path: ignore, source }),
    };
    let mut tar = tar::Builder::new(GzEncoder::new(out, Compression::fast()));
    tar.sparse(false);
    let mut packer = Packer { followed: vec![root.clone()], root, rules, tar, packed: Packed::default() };
    let start =
        Place { path: packer.root.clone(), ruled: PathBuf::new(), name: PathBuf::new(), outside: false };
    packer.folder(&start)?;
    let finish = || packer.tar.into_inner()?.finish()?.flush();
    finish().map_err(at(dir))?;
    Ok(packer.packed)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> PackError {
    let path = path.to_owned();
    move |source| PackError::Io { path, source }
}

struct Packer<W: Write> {
    root: PathBuf,
    rules: Rules,
    tar: tar::Builder<GzEncoder<W>>,
    packed: Packed,
    /// The root and the folders outside that links led to, on the way to where the walk is.
    followed: Vec<PathBuf>,
}

/// Something on the way: where it lies, and what it is called.
struct Place {
    path: PathBuf,
    /// Its path as the rules see it: below the root, or below the folder outside that a link led to.
    ruled: PathBuf,
    /// Its path in the archive.
    name: PathBuf,
    /// A link led out of the root on the way here.
    outside: bool,
}

impl<W: Write> Packer<W> {
    fn folder(&mut self, folder: &Place) -> Result<(), PackError> {
        let read = || {
            fs::read_dir(&folder.path)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()
        };
        let mut names = read().map_err(at(&folder.path))?;
        names.sort();
        for name in names {
            self.place(&Place {
                path: folder.path.join(&name),
                ruled: folder.ruled.join(&name),
                name: folder.name.join(&name),
                outside: folder.outside,
            })?;
        }
        Ok(())
    }

    fn place(&mut self, place: &Place) -> Result<(), PackError> {
        let metadata = place.path.symlink_metadata().map_err(at(&place.path))?;
        let kind = metadata.file_type();
        let mut excluded = self.verdict(place, "").0;
        if kind.is_dir() {
            if !excluded {
                let dominating;
                (excluded, dominating) = self.verdict(place, "/");
                if dominating {
                    self.packed.skipped += 1;
                    return Ok(());
                }
            }
            // A folder that is left out may hold what a later rule includes again.
            if !excluded {
                self.append(place, &metadata, tar::EntryType::Directory, io::empty())?;
            }
            return self.folder(place);
        }
        if excluded {
            self.packed.skipped += 1;
            return Ok(());
        }
        if kind.is_symlink() {
            return self.link(place, &metadata);
        }
        self.file(place, &metadata)
    }

    /// Whether the rules leave a path out, and with all that is below it. Rules that match the path in the archive hold
    /// outside the root, too: what a user keeps back must not slip in through a link.
    fn verdict(&self, place: &Place, slash: &str) -> (bool, bool) {
        let ask = |path: &Path| self.rules.verdict(&format!("{}{slash}", path.to_string_lossy()));
        let mut verdict = ask(&place.ruled);
        if place.outside && !verdict.excluded {
            verdict = ask(&place.name);
        }
        (verdict.excluded, verdict.dominating)
    }

    fn file(&mut self, place: &Place, metadata: &Metadata) -> Result<(), PackError> {
        if !metadata.is_file() {
            self.packed.skipped += 1;
            return Ok(());
        }
        let file = File::open(&place.path).map_err(at(&place.path))?;
        let size = metadata.len();
        self.append(place, metadata, tar::EntryType::Regular, Exactly { file, left: size })?;
        self.packed.files += 1;
        self.packed.bytes += size;
        Ok(())
    }

    fn link(&mut self, place: &Place, metadata: &Metadata) -> Result<(), PackError> {
        let target = fs::read_link(&place.path).map_err(at(&place.path))?;
        let leads_to = place.path.canonicalize();
        if !place.outside
            && let Some(target) = self.target_inside(place, &target, leads_to.as_deref().ok())
        {
            let mut header = header(metadata, tar::EntryType::Symlink);
            self.tar.append_link(&mut header, &place.name, &target).map_err(at(&place.path))?;
            self.packed.files += 1;
            return Ok(());
        }
        let Ok(real) = leads_to else {
            return Err(PackError::Dangling { path: place.path.clone(), target });
        };
        let metadata = real.metadata().map_err(at(&place.path))?;
        let there = Place { path: real, ruled: place.ruled.clone(), name: place.name.clone(), outside: true };
        if !metadata.is_dir() {
            return self.file(&there, &metadata);
        }
        if self.followed.contains(&there.path) {
            return Err(PackError::Cycle { path: place.path.clone(), target: there.path });
        }
        self.append(&there, &metadata, tar::EntryType::Directory, io::empty())?;
        self.followed.push(there.path.clone());
        self.folder(&Place { ruled: PathBuf::new(), ..there })?;
        self.followed.pop();
        Ok(())
    }

    /// The target to write for a link that stays in the root; None for one that leads out. A link to nothing stays when
    /// its text does.
    fn target_inside(&self, place: &Place, target: &Path, leads_to: Option<&Path>) -> Option<PathBuf> {
        let folder = place.name.parent().unwrap_or(Path::new(""));
        let stays = within(folder.as_os_str().as_bytes(), target.as_os_str().as_bytes());
        let inside = match leads_to {
            Some(real) => real.strip_prefix(&self.root).ok()?.to_owned(),
            None if stays => return Some(target.to_owned()),
            None => lexically(target.strip_prefix(&self.root).ok()?)?,
        };
        if stays {
            return Some(target.to_owned());
        }
        let up = folder.components().map(|_| Component::ParentDir.as_os_str());
        Some(up.chain(inside.components().map(Component::as_os_str)).collect())
    }

    fn append(
        &mut self,
        place: &Place,
        metadata: &Metadata,
        kind: tar::EntryType,
        content: impl Read,
    ) -> Result<(), PackError> {
        let mut header = header(metadata, kind);
        let mut name = place.name.as_os_str().to_owned();
        if kind.is_dir() {
            name.push("/");
        }
        self.tar.append_data(&mut header, name, content).map_err(at(&place.path))
    }
}

fn header(metadata: &Metadata, kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(metadata.mode() & 0o777);
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
    header.set_size(if kind.is_file() { metadata.len() } else { 0 });
    header
}

/// A path without `..`; None when it would leave where it starts.
fn lexically(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => clean.pop().then_some(())?,
            part => clean.push(part),
        }
    }
    Some(clean)
}

/// A file's first bytes, as many as the header promises: a file that grows meanwhile is cut, one that shrinks is an
/// error, for everything behind it would be read wrongly.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = (&self.file).take(self.left).read(out)?;
        if count == 0 && self.left > 0 && !out.is_empty() {
            return Err(io::Error::other("the file was shortened while it was packed; try again"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}
