//! Configuration archives, made in memory: well-behaved ones, and any that a hostile client could send.

use flate2::{Compression, write::GzEncoder};
use tar::{Builder, EntryType, Header};

/// A tar.gz of files: name and content.
pub fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    raw_archive(|tar| {
        for (name, content) in files {
            let mut header = Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(content.len() as u64);
            header.set_entry_type(EntryType::Regular);
            tar.append_data(&mut header, name, content.as_bytes()).expect("writing to memory does not fail");
        }
    })
}

/// A tar.gz of whatever `fill` appends.
pub fn raw_archive(fill: impl FnOnce(&mut Builder<GzEncoder<Vec<u8>>>)) -> Vec<u8> {
    let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    fill(&mut tar);
    let gzip = tar.into_inner().expect("writing to memory does not fail");
    gzip.finish().expect("writing to memory does not fail")
}

/// A header with a name that the library would refuse to write.
pub fn header(name: &str, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    let field = &mut header.as_gnu_mut().expect("made as a GNU header").name;
    field[..name.len()].copy_from_slice(name.as_bytes());
    header.set_mode(0o644);
    header.set_size(size);
    header.set_entry_type(kind);
    header.set_cksum();
    header
}
