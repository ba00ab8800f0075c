//! Reading an archive entry by entry, and the rules.
//!
//! - Names are cleaned; one that is absolute or leaves the root by `..` is illegal. Entries without a name and `._*`
//!   (which macOS adds) are skipped.
//! - Files, folders and symlinks are legal; hard links, devices, FIFOs and sparse files are not.
//! - A symlink must stay in the root, by its text and when followed through the archive's other links. Nothing is
//!   written through a symlink.
//! - A file may come again: the later one wins. Nothing else may take another's place.
//! - Modes (without set-user-id and the like) and modification times are restored; owners are not.
//! - A reached [`Limits`] bound is an error at that point.

use crate::{
    Illegal, Limits, Summary,
    disk::Disk,
    error::shown,
    source::{Gunzip, Meter},
    tree::{CleanPath, Kind, Placed, Tree},
};
use std::{
    io::{self, BufReader, Read, Write},
    path::Path,
};

/// Bytes that the extra header of an entry (a long name, PAX records) may take; they are held in memory.
const MAX_EXTRA: u64 = 1 << 20;

/// Reads an archive to its end without writing anything.
///
/// # Errors
/// [`Illegal`] with the first rule or limit that is broken. The reader is then not read further.
pub fn check(reader: impl Read, limits: &Limits) -> Result<Summary, Illegal> {
    walk(reader, limits, &mut Nowhere)
}

/// Unpacks an archive into `dest`, which must exist and be empty. Nothing is touched outside. Not synced to disk.
///
/// # Errors
/// [`Illegal`] with the first rule or limit that is broken, or what the file system refused. What was unpacked until
/// then stays: remove `dest`.
pub fn unpack(reader: impl Read, dest: &Path, limits: &Limits) -> Result<Summary, Illegal> {
    let mut disk = Disk::open(dest)
        .map_err(|source| Illegal::Io { what: format!("to open root directory {dest:?}"), source })?;
    walk(reader, limits, &mut disk)
}

/// Mode (nine permission bits) and time of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    pub(crate) mtime_seconds: i64,
    pub(crate) mtime_nanos: i64,
}

/// Where the entries go.
pub(crate) trait Sink {
    type Out: Write;
    fn dir(&mut self, path: &CleanPath, attributes: Attributes) -> io::Result<()>;
    fn link(&mut self, path: &CleanPath, target: &[u8], attributes: Attributes) -> io::Result<()>;
    fn create(&mut self, path: &CleanPath, replaces: bool) -> io::Result<Self::Out>;
    fn close(&mut self, out: Self::Out, attributes: Attributes) -> io::Result<()>;
    fn finish(&mut self) -> io::Result<()>;
}

/// For checking.
struct Nowhere;

impl Sink for Nowhere {
    type Out = io::Sink;
    fn dir(&mut self, _: &CleanPath, _: Attributes) -> io::Result<()> {
        Ok(())
    }
    fn link(&mut self, _: &CleanPath, _: &[u8], _: Attributes) -> io::Result<()> {
        Ok(())
    }
    fn create(&mut self, _: &CleanPath, _: bool) -> io::Result<io::Sink> {
        Ok(io::sink())
    }
    fn close(&mut self, _: io::Sink, _: Attributes) -> io::Result<()> {
        Ok(())
    }
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn walk<R: Read>(reader: R, limits: &Limits, sink: &mut impl Sink) -> Result<Summary, Illegal> {
    let meter = Meter::new(limits);
    let untar = |e: io::Error| meter.explain(&e, Illegal::Untar);
    let gunzip = Gunzip::new(reader, meter.clone())?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(64 * 1024, gunzip));
    let mut walk = Walk { tree: Tree::new(), sink, meter: &meter, buffer: vec![0; 64 * 1024] };
    let (mut count, mut entries) = (0, 0);
    let mut extra = Extra::default();
    // Raw: long names and PAX records are read here, where their size is bounded.
    for entry in archive.entries().map_err(untar)?.raw(true) {
        let mut entry = entry.map_err(untar)?;
        if extra.absorb(&mut entry).map_err(untar)? {
            continue;
        }
        count += 1;
        if walk.entry(entry, std::mem::take(&mut extra))? {
            entries += 1;
        }
        if count > limits.entries || walk.tree.len() > limits.entries {
            return Err(Illegal::Limit(format!("the archive has more than {} entries", limits.entries)));
        }
    }
    walk.tree.links_stay_inside().map_err(Illegal::Entry)?;
    let tree = walk.tree;
    archive.into_inner().into_inner().drain()?;
    sink.finish().map_err(|source| Illegal::Io {
        what: "setting permissions and times on directories".to_owned(),
        source,
    })?;
    Ok(Summary::new(&tree, entries, meter.expanded()))
}

struct Walk<'a, S> {
    tree: Tree,
    sink: &'a mut S,
    meter: &'a Meter,
    buffer: Vec<u8>,
}

impl<S: Sink> Walk<'_, S> {
    /// Handles one entry; says whether it counts, or was skipped.
    fn entry<R: Read>(&mut self, entry: tar::Entry<'_, R>, extra: Extra) -> Result<bool, Illegal> {
        let header = entry.header();
        let name = extra.path.clone().unwrap_or_else(|| header.path_bytes().into_owned());
        if name.is_empty() {
            return Ok(false);
        }
        let path = CleanPath::new(&name).map_err(Illegal::Entry)?;
        if path.split().1.starts_with(b"._") {
            return Ok(false);
        }
        let bytes = header.as_bytes();
        let invalid = || Illegal::Untar(format!("invalid tar header of {:?}", shown(&name)));
        let mode = number(&bytes[100..108]).ok_or_else(invalid)?;
        let seconds = number(&bytes[136..148]).ok_or_else(invalid)?;
        let (mtime_seconds, mtime_nanos) = extra.mtime.unwrap_or((seconds, 0));
        let mode = u32::try_from(mode & 0o777).expect("nine bits are a small number");
        let attributes = Attributes { mode, mtime_seconds, mtime_nanos };
        let failed = |doing: &str| {
            let what = format!("{doing} {:?}", shown(path.as_bytes()));
            move |source| Illegal::Io { what, source }
        };
        let kind = kind(header, &name, &extra).map_err(|kind| {
            Illegal::Entry(format!("failed creating {:?}, unsupported file type {kind}", shown(&name)))
        })?;
        let placed = self.tree.place(&path, kind.clone()).map_err(Illegal::Entry)?;
        match kind {
            Kind::Dir => self.sink.dir(&path, attributes).map_err(failed("to create directory"))?,
            Kind::Link(target) => {
                self.sink.link(&path, &target, attributes).map_err(failed("creating symlink"))?;
            }
            Kind::File => {
                let creating = self.sink.create(&path, placed == Placed::Again);
                let mut out = creating.map_err(failed("creating file"))?;
                self.copy(entry, &path, &mut out)?;
                self.sink.close(out, attributes).map_err(failed("setting permissions and times on"))?;
            }
        }
        Ok(true)
    }

    fn copy<R: Read>(
        &mut self,
        mut entry: tar::Entry<'_, R>,
        path: &CleanPath,
        out: &mut S::Out,
    ) -> Result<(), Illegal> {
        let name = || shown(path.as_bytes());
        let mut left = entry.size();
        while left > 0 {
            let count = match entry.read(&mut self.buffer) {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                other => other,
            };
            let count = match count {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other
                    .map_err(|e| self.meter.explain(&e, |reason| Illegal::Copy { name: name(), reason }))?,
            };
            let writing = out.write_all(&self.buffer[..count]);
            writing.map_err(|source| Illegal::Io { what: format!("writing file {:?}", name()), source })?;
            left -= count as u64;
        }
        Ok(())
    }
}

/// A numeric field: octal digits, nothing at all for zero, or, marked by the highest bit, a big-endian number in two's
/// complement. Go's programs write modes of the last form; the tar crate reads only sizes so.
fn number(field: &[u8]) -> Option<i64> {
    if field[0] & 0x80 != 0 {
        let start = if field[0] & 0x40 == 0 { 0 } else { -1 };
        return Some(field[1..].iter().fold(start, |number: i64, &byte| number << 8 | i64::from(byte)));
    }
    let end = field.iter().position(|&c| c == 0).unwrap_or(field.len());
    match str::from_utf8(&field[..end]).ok()?.trim() {
        "" => Some(0),
        digits => i64::from_str_radix(digits, 8).ok(),
    }
}

/// What an entry makes; the error is the name of a type that is not supported.
fn kind(header: &tar::Header, name: &[u8], extra: &Extra) -> Result<Kind, String> {
    let flag = header.as_bytes()[156];
    match flag {
        // In archives older than POSIX a folder is a file whose name ends in a slash.
        0 if name.ends_with(b"/") => Ok(Kind::Dir),
        0 | b'0' if extra.sparse => Err("sparse file".to_owned()),
        0 | b'0' if extra.other_size.is_some_and(|size| header.entry_size().is_ok_and(|own| own != size)) => {
            Err("file of more than 8 GiB".to_owned())
        }
        0 | b'0' => Ok(Kind::File),
        b'5' => Ok(Kind::Dir),
        b'2' => {
            let own = || header.link_name_bytes().map(|name| name.into_owned()).unwrap_or_default();
            Ok(Kind::Link(extra.link.clone().unwrap_or_else(own)))
        }
        _ => {
            let known = match flag {
                b'1' => " (hard link)",
                b'3' => " (character device)",
                b'4' => " (block device)",
                b'6' => " (FIFO)",
                b'S' => " (sparse file)",
                _ => "",
            };
            Err(format!("{}{known}", char::from(flag).escape_default()))
        }
    }
}

/// What extra headers say about the entry that follows them.
#[derive(Default)]
pub(crate) struct Extra {
    pub(crate) path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    mtime: Option<(i64, i64)>,
    other_size: Option<u64>,
    sparse: bool,
}

impl Extra {
    /// Reads an extra header; says whether the entry was one. Global ones are for all entries and carry nothing that
    /// matters here.
    pub(crate) fn absorb<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> io::Result<bool> {
        let flag = entry.header().as_bytes()[156];
        if !matches!(flag, b'x' | b'g' | b'L' | b'K') {
            return Ok(false);
        }
        if entry.size() > MAX_EXTRA {
            return Err(io::Error::other("an extended header is larger than 1 MiB"));
        }
        let mut bytes = Vec::new();
        let size = entry.size();
        if entry.read_to_end(&mut bytes)? as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = |bytes: &[u8]| bytes.split(|&c| c == 0).next().unwrap_or_default().to_vec();
        match flag {
            b'x' => self
                .pax(&bytes)
                .ok_or_else(|| io::Error::other("invalid tar header: malformed PAX records"))?,
            b'L' => self.path = Some(text(&bytes)),
            b'K' => self.link = Some(text(&bytes)),
            _ => {}
        }
        Ok(true)
    }

    /// Records are `length key=value\n`, where the length counts all of it; values may hold any byte.
    fn pax(&mut self, mut records: &[u8]) -> Option<()> {
        while !records.is_empty() {
            let space = records.iter().position(|&c| c == b' ')?;
            let length: usize = str::from_utf8(&records[..space]).ok()?.parse().ok()?;
            let (record, rest) = records.split_at_checked(length)?;
            let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|&c| c == b'=')?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"mtime" => self.mtime = Some(seconds_and_nanos(value)?),
                b"size" => self.other_size = Some(str::from_utf8(value).ok()?.parse().ok()?),
                key if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
            records = rest;
        }
        Some(())
    }
}

/// `1700000000.25` as seconds and nanoseconds.
fn seconds_and_nanos(text: &[u8]) -> Option<(i64, i64)> {
    let text = str::from_utf8(text).ok()?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let nanos: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    Some((seconds.parse().ok()?, nanos.parse().ok()?))
}
