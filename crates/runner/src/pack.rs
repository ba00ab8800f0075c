//! The archive in which a plan waits for its apply: the configuration folder as the plan phase left it, the plan file,
//! and what the apply has to know. It is kept by the server, so that another runner can apply, and so that no value
//! rests on this machine's disk in the clear while somebody thinks about the plan.
//!
//! Providers are left out: the lock file names them with their checksums. Modules are packed, because nothing pins them.

use crate::folder::Folder;
use flate2::{Compression, write::GzEncoder};
use rustix::fs::FileType;
use std::{
    ffi::OsStr,
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};
use tar::{Builder, EntryType, Header};

/// What an apply needs to know of its plan.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Facts {
    /// The engine that planned, as only the same version reads its plan.
    pub(crate) engine_version: String,
    /// The folder in which the engine was started, relative to `config`, free of links.
    pub(crate) folder: PathBuf,
    /// Input variables that are not part of the plan and have to be given again (`ephemeral = true`).
    pub(crate) again: Vec<String>,
}

/// The facts as one line of JSON, and after it a tar.gz of `config/` and `plan.tfplan`. Refuses more than `limit` bytes of
/// content.
pub(crate) fn pack(phase: &Folder, facts: &Facts, limit: u64) -> io::Result<Vec<u8>> {
    let mut kept = serde_json::to_vec(facts)?;
    kept.push(b'\n');
    let mut packer = Packer { tar: Builder::new(GzEncoder::new(kept, Compression::fast())), left: limit };
    packer.file(phase, b"plan.tfplan", (0o600, 0), Path::new("plan.tfplan"))?;
    packer.tar.append_data(&mut header(EntryType::Directory, 0o700, 0, 0), "config", io::empty())?;
    let engine_data = Path::new("config").join(&facts.folder).join(".terraform");
    packer.folder(&phase.sub(b"config")?, Path::new("config"), &engine_data)?;
    packer.tar.into_inner()?.finish()
}

/// Takes what [`pack`] has made apart into the facts and the archive.
pub(crate) fn open(kept: &[u8]) -> Option<(Facts, &[u8])> {
    let end = kept.iter().position(|byte| *byte == b'\n')?;
    Some((serde_json::from_slice(&kept[..end]).ok()?, &kept[end + 1..]))
}

struct Packer<W: Write> {
    tar: Builder<W>,
    left: u64,
}

impl<W: Write> Packer<W> {
    fn folder(&mut self, folder: &Folder, path: &Path, engine_data: &Path) -> io::Result<()> {
        for entry in folder.entries()? {
            let at = path.join(OsStr::from_bytes(&entry.name));
            match entry.kind {
                // Of the engine's own folder only the modules, and of these not their history.
                _ if path == engine_data && entry.name != b"modules" => {}
                _ if entry.name == b".git" && path.starts_with(engine_data) => {}
                FileType::Directory => {
                    self.tar.append_data(
                        &mut header(EntryType::Directory, entry.mode, entry.modified, 0),
                        &at,
                        io::empty(),
                    )?;
                    self.folder(&folder.sub(&entry.name)?, &at, engine_data)?;
                }
                FileType::RegularFile => self.file(folder, &entry.name, (entry.mode, entry.modified), &at)?,
                FileType::Symlink => {
                    let target = folder.link_target(&entry.name)?;
                    let target = Path::new(OsStr::from_bytes(&target));
                    if stays_inside(path, target) {
                        self.tar.append_link(
                            &mut header(EntryType::Symlink, 0o777, entry.modified, 0),
                            &at,
                            target,
                        )?;
                    }
                }
                // Sockets, pipes and devices mean nothing on another machine.
                _ => {}
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        folder: &Folder,
        name: &[u8],
        (mode, modified): (u32, u64),
        at: &Path,
    ) -> io::Result<()> {
        let file = folder.file(name)?;
        let size = file.metadata()?.len();
        self.left = self.left.checked_sub(size).ok_or_else(|| {
            io::Error::new(io::ErrorKind::FileTooLarge, format!("{} exceeds what can be kept", at.display()))
        })?;
        // Exactly the announced size, should something still be writing to it.
        let content = io::Read::take(file, size).chain_zeros(size);
        self.tar.append_data(&mut header(EntryType::Regular, mode, modified, size), at, content)
    }
}

trait ChainZeros: io::Read + Sized {
    /// Pads a file that shrinks while it is read.
    fn chain_zeros(self, size: u64) -> io::Take<io::Chain<Self, io::Repeat>> {
        io::Read::take(io::Read::chain(self, io::repeat(0)), size)
    }
}

impl<R: io::Read> ChainZeros for R {}

/// Whether a link at `from` (a folder below the archive's root) points to something below `config`.
fn stays_inside(from: &Path, target: &Path) -> bool {
    let mut depth = from.components().count();
    target.components().all(|component| match component {
        Component::Normal(_) => {
            depth += 1;
            true
        }
        Component::CurDir => true,
        Component::ParentDir => {
            depth -= 1;
            depth > 0
        }
        Component::RootDir | Component::Prefix(_) => false,
    })
}

fn header(kind: EntryType, mode: u32, modified: u64, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(modified);
    header.set_size(size);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, fs};

    #[test]
    fn a_kept_plan_has_modules_but_no_providers_and_no_links_out() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config/in");
        for folder in [".terraform/modules/m/.git", ".terraform/providers/p", "sub"] {
            fs::create_dir_all(config.join(folder)).unwrap();
        }
        for file in [
            "main.tf",
            ".terraform/modules/m/m.tf",
            ".terraform/modules/m/.git/x",
            ".terraform/providers/p/x",
        ] {
            fs::write(config.join(file), "x").unwrap();
        }
        fs::write(dir.path().join("plan.tfplan"), "plan").unwrap();
        std::os::unix::fs::symlink("../main.tf", config.join("sub/inside")).unwrap();
        std::os::unix::fs::symlink("../../../secret", config.join("sub/outside")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", config.join("absolute")).unwrap();
        let facts = Facts { folder: "in".into(), ..Facts::default() };
        let folder = Folder::open(dir.path()).unwrap();
        let bytes = pack(&folder, &facts, 1000).unwrap();
        let (_, archive) = open(&bytes).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
        let names: BTreeSet<_> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .filter(|name| !name.ends_with('/'))
            .collect();
        let expected = ["config/in/main.tf", "config/in/sub/inside", "plan.tfplan"];
        for name in expected {
            assert!(names.contains(name), "{names:?}");
        }
        assert!(names.contains("config/in/.terraform/modules/m/m.tf"));
        assert!(!names.iter().any(|name| name.contains(".git") || name.contains("providers")), "{names:?}");
        assert!(!names.iter().any(|name| name.contains("outside") || name.contains("absolute")), "{names:?}");
        assert!(pack(&folder, &facts, 3).is_err());
    }
}
