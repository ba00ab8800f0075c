//! Objects in a local folder: configurations, states, plans, logs.
//!
//! The contract: an object is written once under a random id and then only read or removed. [`ObjectWriter::finish`]
//! returns when the object will survive a power cut; a writer that is dropped, or a process that is killed, leaves no
//! object. So the order is: finish, then commit the row that names the object; a sweeper removes what no row names,
//! with [`Objects::list`]. Small objects (≤ [`INLINE_MAX`]) are not written to a file at all: their encrypted bytes go
//! into the row, and the row's commit is the only wait for the disk.
//!
//! ```text
//! DIR/            mode 0700
//!   tmp/          objects being written; each is locked by its writer, so that leftovers can be told apart
//!   Ab/blob-Ab…   objects, mode 0600, by the two characters after the id's prefix
//! ```

use crate::{
    hex,
    keys::DataKey,
    stream::{Opener, SEGMENT, Sealer},
};
use kernel::{Env, Timestamp, ids::BlobId};
use md5::{Digest as _, Md5};
use ring::digest;
use std::{
    fs::{self, DirBuilder, File, OpenOptions, ReadDir},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// Plaintext bytes up to which an object is handed back for the database row instead of written to a file. One segment
/// of the encrypted form: large enough for most states, logs and configurations, small enough for a row.
pub const INLINE_MAX: u64 = SEGMENT as u64;

const TMP: &str = "tmp";

/// A folder of encrypted objects. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Objects {
    dir: PathBuf,
}

/// What was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Bytes of plaintext.
    pub size: u64,
    /// SHA-256 of the plaintext, 64 hexadecimal digits.
    pub sha256: String,
    /// MD5 of the plaintext, 32 hexadecimal digits: what clients compare states by; no safeguard.
    pub md5: String,
    /// The encrypted object, when it was small enough to be kept in the row that names it. None: it is in a file.
    pub inline: Option<Vec<u8>>,
}

impl Objects {
    /// Opens the folder, making it when it is missing, and removes what killed processes left half written.
    ///
    /// # Errors
    /// Those of the file system, naming the folder.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let objects = Self { dir: dir.to_owned() };
        let opened =
            make_dir(dir).and_then(|_| make_dir(&objects.dir.join(TMP))).and_then(|_| objects.sweep_tmp());
        opened.map_err(|e| explain(e, &format!("cannot use the object folder {}", dir.display())))?;
        Ok(objects)
    }

    /// Starts an object. Bytes written to the writer are encrypted as they come; at most one segment is held.
    pub fn writer(&self, id: &BlobId, key: &DataKey, env: &Env) -> ObjectWriter {
        ObjectWriter {
            tmp: self.dir.join(TMP).join(format!("{}.{}", file_name(id).unwrap_or("invalid"), env.base58(8))),
            objects: self.clone(),
            id: id.clone(),
            sealer: Sealer::new(id.as_str(), key, env),
            buffer: Vec::new(),
            file: None,
            failed: false,
            size: 0,
            sha256: digest::Context::new(&digest::SHA256),
            md5: Md5::new(),
        }
    }

    /// Reads an object, from `inline` when the row holds it, else from its file.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there is no such object. Reading gives [`io::ErrorKind::InvalidData`] when it
    /// was altered, cut, exchanged, or encrypted with another key.
    pub fn reader(
        &self,
        id: &BlobId,
        key: &DataKey,
        inline: Option<Vec<u8>>,
    ) -> io::Result<Box<dyn Read + Send>> {
        Ok(match inline {
            Some(bytes) => Box::new(Opener::new(io::Cursor::new(bytes), id.as_str(), key)?),
            None => {
                let file = File::open(self.path(id)?)
                    .map_err(|e| explain(e, &format!("cannot read the stored object {id}")))?;
                Box::new(Opener::new(file, id.as_str(), key)?)
            }
        })
    }

    /// Stores bytes that are in memory already.
    ///
    /// # Errors
    /// As [`ObjectWriter::finish`].
    pub fn put(&self, id: &BlobId, key: &DataKey, env: &Env, bytes: &[u8]) -> io::Result<Stored> {
        let mut writer = self.writer(id, key, env);
        writer.write_all(bytes)?;
        writer.finish()
    }

    /// The whole plaintext of an object.
    ///
    /// # Errors
    /// As [`Objects::reader`] and its reader.
    pub fn get(&self, id: &BlobId, key: &DataKey, inline: Option<Vec<u8>>) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader(id, key, inline)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Removes an object's file; says whether there was one. Objects kept in rows have none.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn remove(&self, id: &BlobId) -> io::Result<bool> {
        match fs::remove_file(self.path(id)?) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(explain(e, &format!("cannot remove the stored object {id}"))),
        }
    }

    /// Every object that has a file, in no order, with the time it was written. Objects that come or go meanwhile may
    /// or may not be seen. A sweeper must spare the young: their row may not be committed yet.
    ///
    /// # Errors
    /// Those of the file system, for the folder now and for each part of it as it is reached.
    pub fn list(&self) -> io::Result<Listing> {
        Ok(Listing { shards: fs::read_dir(&self.dir)?, objects: None })
    }

    fn path(&self, id: &BlobId) -> io::Result<PathBuf> {
        let name = file_name(id)?;
        Ok(self.dir.join(shard(name)).join(name))
    }

    /// A file in `tmp/` whose lock is free has lost its writer.
    fn sweep_tmp(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.dir.join(TMP))? {
            let path = entry?.path();
            match File::open(&path) {
                Ok(file) if file.try_lock().is_ok() => remove_if_there(&path)?,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// The objects of a folder: see [`Objects::list`].
#[derive(Debug)]
pub struct Listing {
    shards: ReadDir,
    objects: Option<ReadDir>,
}

impl Iterator for Listing {
    type Item = io::Result<(BlobId, Timestamp)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(entry) = self.objects.as_mut().and_then(Iterator::next) else {
                let shard = match self.shards.next()? {
                    Ok(shard) => shard,
                    Err(e) => return Some(Err(e)),
                };
                if shard.file_name().len() == 2 {
                    match fs::read_dir(shard.path()) {
                        Ok(objects) => self.objects = Some(objects),
                        Err(e) => return Some(Err(e)),
                    }
                }
                continue;
            };
            match entry.and_then(|entry| Ok((entry.file_name(), entry.metadata()?.modified()?))) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Some(Err(e)),
                Ok((name, modified)) => {
                    let micros = modified.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros());
                    let modified = Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX));
                    if let Some(name) = name.to_str() {
                        return Some(Ok((BlobId::from(name), modified)));
                    }
                }
            }
        }
    }
}

/// An object being written: see [`Objects::writer`]. Dropped without [`ObjectWriter::finish`] it leaves nothing.
pub struct ObjectWriter {
    objects: Objects,
    id: BlobId,
    sealer: Sealer,
    /// Plaintext of the segment that is not full yet, or that is full and may be the last.
    buffer: Vec<u8>,
    tmp: PathBuf,
    file: Option<File>,
    failed: bool,
    size: u64,
    sha256: digest::Context,
    md5: Md5,
}

impl std::fmt::Debug for ObjectWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectWriter").field("id", &self.id).field("size", &self.size).finish_non_exhaustive()
    }
}

impl ObjectWriter {
    /// Bytes of plaintext written so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Completes the object. When this returns it is on disk, or in [`Stored::inline`] for the caller to keep.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] when the disk or the quota is full, others of the file system. Also when a
    /// write failed before. Then nothing is left, or at most (the last sync failed) an object for the sweeper.
    pub fn finish(mut self) -> io::Result<Stored> {
        if self.failed {
            return Err(io::Error::other(format!("writing the object {} had failed before", self.id)));
        }
        let inline = if self.file.is_none() {
            let mut segment = std::mem::take(&mut self.buffer);
            self.sealer.seal(&mut segment, true)?;
            Some([self.sealer.header(), &segment].concat())
        } else {
            self.finish_file().map_err(|e| self.explain(e))?;
            None
        };
        let sha256 = std::mem::replace(&mut self.sha256, digest::Context::new(&digest::SHA256)).finish();
        let md5 = std::mem::take(&mut self.md5).finalize();
        Ok(Stored { size: self.size, sha256: hex(sha256.as_ref()), md5: hex(&md5), inline })
    }

    fn finish_file(&mut self) -> io::Result<()> {
        self.flush_segment(true)?;
        let path = self.objects.path(&self.id)?;
        let shard = path.parent().expect("an object's path ends in shard and name");
        if make_dir(shard)? {
            File::open(&self.objects.dir)?.sync_all()?;
        }
        if let Some(file) = &self.file {
            file.sync_all()?;
        }
        fs::rename(&self.tmp, &path)?;
        self.file = None; // From here on there is nothing to clean up in tmp/.
        File::open(shard)?.sync_all()
    }

    /// Encrypts the buffer as one segment and writes it to the temporary file, which begins with the first segment.
    fn flush_segment(&mut self, last: bool) -> io::Result<()> {
        self.sealer.seal(&mut self.buffer, last)?;
        let mut file = match &self.file {
            Some(file) => file,
            None => {
                file_name(&self.id)?;
                let file = self.file.insert(create_locked(&self.tmp)?);
                file.write_all(self.sealer.header())?;
                file
            }
        };
        file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    fn explain(&self, e: io::Error) -> io::Error {
        explain(e, &format!("cannot write the object {}", self.id))
    }
}

impl Write for ObjectWriter {
    /// Takes up to one segment at a time; a full segment waits in memory until it is known whether more follows.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.buffer.len() == SEGMENT {
            self.failed = true;
            self.flush_segment(false).map_err(|e| self.explain(e))?;
            self.failed = false;
        }
        let taken = &bytes[..bytes.len().min(SEGMENT - self.buffer.len())];
        self.buffer.extend_from_slice(taken);
        self.sha256.update(taken);
        self.md5.update(taken);
        self.size += taken.len() as u64;
        Ok(taken.len())
    }

    /// Does nothing: an object exists when it is finished.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        if self.file.is_some() {
            // What cannot be removed now is removed by the next `Objects::open`.
            let _ = fs::remove_file(&self.tmp);
        }
    }
}

/// Creates a temporary file and locks it. A sweep that came in between has unlinked it: then it is made anew.
fn create_locked(path: &Path) -> io::Result<File> {
    loop {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.lock()?;
        if file.metadata()?.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// An id as a file name. Ids come from the database, but one that could leave the folder is never made into a path.
fn file_name(id: &BlobId) -> io::Result<&str> {
    let name = id.as_str();
    let plain = name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_');
    if plain && (2..=128).contains(&name.len()) {
        Ok(name)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is no object's id")))
    }
}

/// The two characters that choose the sub-folder: those after the prefix, or an id's last two when it has none.
fn shard(name: &str) -> &str {
    name.split_once('-').and_then(|(_, random)| random.get(..2)).unwrap_or(&name[name.len() - 2..])
}

/// Makes a folder of mode 0700 unless it is there; says whether it was made.
fn make_dir(path: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Says what was tried, and makes "no space" and "quota used up" one kind.
fn explain(e: io::Error, what: &str) -> io::Error {
    let kind = match e.kind() {
        io::ErrorKind::QuotaExceeded => io::ErrorKind::StorageFull,
        kind => kind,
    };
    io::Error::new(kind, format!("{what}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_used_up_quota_are_one_kind_of_error() {
        const ENOSPC: i32 = 28;
        const EDQUOT: i32 = 122;
        for code in [ENOSPC, EDQUOT] {
            let e = explain(io::Error::from_raw_os_error(code), "cannot write the object blob-1");
            assert_eq!(e.kind(), io::ErrorKind::StorageFull);
        }
    }

    #[test]
    fn ids_that_are_no_file_names_never_become_paths() {
        for id in ["", "a", "..", "../../etc/passwd", "a/b", "blob-\0", "."] {
            assert!(file_name(&BlobId::from(id)).is_err(), "{id:?}");
        }
        assert_eq!(shard("blob-XYz9"), "XY");
        assert_eq!(shard("ab"), "ab");
        assert_eq!(shard("blob-X"), "-X");
    }
}
