//! One file out of an archive, without unpacking the rest.

use crate::{
    Illegal, Limits,
    source::{Gunzip, Meter},
    tree::CleanPath,
    walk::Extra,
};
use std::io::{BufReader, Read};

/// The first file whose path from the root of the archive is `wanted`, as far as its first `most` bytes. What follows it is
/// not read. Symlinks are no files and not followed.
///
/// # Errors
/// [`Illegal`] when the archive cannot be read so far, or a limit is reached before the file is found.
pub fn find(
    reader: impl Read,
    limits: &Limits,
    wanted: impl Fn(&[u8]) -> bool,
    most: u64,
) -> Result<Option<Vec<u8>>, Illegal> {
    let meter = Meter::new(limits);
    let untar = |e| meter.explain(&e, Illegal::Untar);
    let gunzip = Gunzip::new(reader, meter.clone())?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(64 * 1024, gunzip));
    let mut extra = Extra::default();
    for entry in archive.entries().map_err(untar)?.raw(true) {
        let mut entry = entry.map_err(untar)?;
        if extra.absorb(&mut entry).map_err(untar)? {
            continue;
        }
        let told = std::mem::take(&mut extra).path;
        let name = told.unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let is_file = entry.header().entry_type().is_file();
        if is_file && CleanPath::new(&name).is_ok_and(|path| wanted(path.as_bytes())) {
            let mut content = Vec::new();
            entry.take(most).read_to_end(&mut content).map_err(untar)?;
            return Ok(Some(content));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_by_its_path_from_the_root() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("README.md"), "root").unwrap();
        std::fs::write(dir.path().join("sub/README.md"), "sub folder").unwrap();
        let mut archive = Vec::new();
        crate::pack(dir.path(), &mut archive).unwrap();
        let found = |path: &str, most| {
            let found = find(&*archive, &Limits::default(), |name| name == path.as_bytes(), most).unwrap();
            found.map(|bytes| String::from_utf8(bytes).unwrap())
        };
        assert_eq!(found("README.md", 100).as_deref(), Some("root"));
        assert_eq!(found("sub/README.md", 3).as_deref(), Some("sub"));
        assert_eq!(found("sub", 100), None);
        assert_eq!(found("other", 100), None);
    }
}
