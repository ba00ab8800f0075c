//! What the object folder promises, seen from outside and on real files.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use blob::{DataKey, INLINE_MAX, Objects};
use kernel::{Env, Timestamp, ids::BlobId};
use proptest::prelude::*;
use std::{
    fs,
    io::{ErrorKind, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

const SEGMENT: usize = 64 * 1024;
const HEADER: usize = 33;
const SEALED: usize = SEGMENT + 16;

struct Room {
    dir: tempfile::TempDir,
    objects: Objects,
    key: DataKey,
    env: Env,
}

fn room() -> Room {
    let dir = tempfile::tempdir().unwrap();
    let objects = Objects::open(&dir.path().join("objects")).unwrap();
    let env = Env::real();
    Room { dir, objects, key: DataKey::new(&env), env }
}

impl Room {
    /// Stores `plain` and gives its id and file.
    fn put(&self, plain: &[u8]) -> (BlobId, PathBuf) {
        let id = BlobId::new(&self.env);
        assert_eq!(self.objects.put(&id, &self.key, &self.env, plain).unwrap().inline, None);
        let file = files(self.dir.path()).into_iter().find(|f| f.ends_with(id.as_str())).unwrap();
        (id, file)
    }

    fn get(&self, id: &BlobId) -> std::io::Result<Vec<u8>> {
        self.objects.get(id, &self.key, None)
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

/// Sizes around the bounds of segments, where mistakes live, and any other.
fn size() -> impl Strategy<Value = usize> {
    let near = |bound: usize| (bound.saturating_sub(2))..=(bound + 2);
    prop_oneof![near(0), near(SEGMENT), near(2 * SEGMENT), near(3 * SEGMENT), 0..=4 * SEGMENT]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_was_written_in_any_pieces_is_read_in_any_pieces(
        size in size(), write_by in 1usize..100_000, read_by in 1usize..100_000,
    ) {
        let room = room();
        let plain = pattern(size);
        let id = BlobId::new(&room.env);
        let mut writer = room.objects.writer(&id, &room.key, &room.env);
        for piece in plain.chunks(write_by) {
            writer.write_all(piece).unwrap();
        }
        let stored = writer.finish().unwrap();
        prop_assert_eq!(stored.size, size as u64);
        prop_assert_eq!(stored.inline.is_some(), size as u64 <= INLINE_MAX);
        prop_assert_eq!(files(room.dir.path()).len(), usize::from(stored.inline.is_none()));

        let mut reader = room.objects.reader(&id, &room.key, stored.inline).unwrap();
        let mut read = vec![];
        let mut piece = vec![0; read_by];
        loop {
            match reader.read(&mut piece).unwrap() {
                0 => break,
                n => read.extend_from_slice(&piece[..n]),
            }
        }
        prop_assert!(read == plain);
    }
}

#[test]
fn the_digests_are_those_of_the_plaintext() {
    let room = room();
    let stored = room.objects.put(&BlobId::new(&room.env), &room.key, &room.env, b"abc").unwrap();
    assert_eq!(stored.md5, "900150983cd24fb0d6963f7d28e17f72");
    assert_eq!(stored.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn an_altered_byte_anywhere_in_the_file_is_noticed() {
    let room = room();
    let (id, file) = room.put(&pattern(SEGMENT + 100));
    let good = fs::read(&file).unwrap();
    for at in
        [0, 1, HEADER - 1, HEADER, HEADER + SEGMENT, HEADER + SEALED - 1, HEADER + SEALED, good.len() - 1]
    {
        let mut bad = good.clone();
        bad[at] ^= 0x80;
        fs::write(&file, bad).unwrap();
        assert_eq!(room.get(&id).unwrap_err().kind(), ErrorKind::InvalidData, "byte {at}");
    }
}

#[test]
fn an_object_cut_at_any_place_is_noticed_even_at_a_segments_bound() {
    let room = room();
    let (id, file) = room.put(&pattern(2 * SEGMENT + 5));
    let good = fs::read(&file).unwrap();
    for len in [0, 10, HEADER, HEADER + 5, HEADER + SEALED, HEADER + 2 * SEALED, good.len() - 1] {
        fs::write(&file, &good[..len]).unwrap();
        assert_eq!(room.get(&id).unwrap_err().kind(), ErrorKind::InvalidData, "cut to {len}");
    }
    fs::write(&file, [&good[..], b"x"].concat()).unwrap();
    assert_eq!(room.get(&id).unwrap_err().kind(), ErrorKind::InvalidData, "lengthened");
}

#[test]
fn segments_that_were_exchanged_or_dropped_are_noticed() {
    let room = room();
    let (id, file) = room.put(&pattern(3 * SEGMENT));
    let good = fs::read(&file).unwrap();
    let segment = |n: usize| &good[HEADER + n * SEALED..][..SEALED];
    let header = &good[..HEADER];
    for order in [[1, 0, 2].as_slice(), &[0, 2, 1], &[0, 2], &[1, 2], &[0, 0, 2], &[0, 1, 2, 2]] {
        let body: Vec<u8> = order.iter().flat_map(|&n| segment(n)).copied().collect();
        fs::write(&file, [header, &body].concat()).unwrap();
        assert_eq!(room.get(&id).unwrap_err().kind(), ErrorKind::InvalidData, "{order:?}");
    }
    fs::write(&file, good).unwrap();
    assert!(room.get(&id).is_ok());
}

#[test]
fn a_reader_never_gives_bytes_after_damage_and_never_ends_well() {
    let room = room();
    let (id, file) = room.put(&pattern(2 * SEGMENT));
    let mut bad = fs::read(&file).unwrap();
    bad[HEADER + SEALED + 7] ^= 1;
    fs::write(&file, bad).unwrap();
    let mut reader = room.objects.reader(&id, &room.key, None).unwrap();
    let mut read = vec![];
    assert!(reader.read_to_end(&mut read).is_err());
    assert!(read == pattern(SEGMENT), "only the sound segment came out");
    assert!(reader.read(&mut [0; 8]).is_err(), "reading on is an error again, not an end");
}

#[test]
fn an_object_in_anothers_place_or_under_another_key_is_refused() {
    let room = room();
    let (a, file_a) = room.put(&pattern(2 * SEGMENT));
    let (b, file_b) = room.put(&pattern(2 * SEGMENT));
    fs::copy(&file_a, &file_b).unwrap();
    assert_eq!(room.get(&b).unwrap_err().kind(), ErrorKind::InvalidData);
    let other = DataKey::new(&room.env);
    assert_eq!(room.objects.get(&a, &other, None).unwrap_err().kind(), ErrorKind::InvalidData);

    let small = room.objects.put(&a, &room.key, &room.env, b"small").unwrap();
    assert_eq!(room.objects.get(&a, &room.key, small.inline.clone()).unwrap(), b"small");
    assert!(room.objects.get(&b, &room.key, small.inline).is_err(), "in another row");
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let room = room();
    let id = BlobId::new(&room.env);
    let mut writer = room.objects.writer(&id, &room.key, &room.env);
    writer.write_all(&pattern(3 * SEGMENT)).unwrap();
    assert_eq!(files(room.dir.path()).len(), 1, "it is being written");
    assert_eq!(room.get(&id).unwrap_err().kind(), ErrorKind::NotFound, "but is no object yet");
    drop(writer);
    assert_eq!(files(room.dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn opening_the_folder_removes_what_a_killed_process_left_but_no_living_writers_file() {
    let room = room();
    let dir = room.dir.path().join("objects");
    let id = BlobId::new(&room.env);
    let mut writer = room.objects.writer(&id, &room.key, &room.env);
    writer.write_all(&pattern(3 * SEGMENT)).unwrap();
    fs::write(dir.join("tmp/blob-dead.xyz"), b"half").unwrap();
    Objects::open(&dir).unwrap();
    assert_eq!(files(&dir).len(), 1);
    writer.finish().unwrap();
    assert!(room.get(&id).unwrap() == pattern(3 * SEGMENT));
}

#[test]
fn no_plaintext_lies_in_files_or_inline_bytes() {
    let room = room();
    let secret = b"AKIA-planted-secret";
    let mut plain = pattern(2 * SEGMENT);
    plain[SEGMENT - 5..][..secret.len()].copy_from_slice(secret);
    plain[100..][..secret.len()].copy_from_slice(secret);
    room.put(&plain);
    let small = room.objects.put(&BlobId::new(&room.env), &room.key, &room.env, secret).unwrap();
    let found = |bytes: &[u8]| bytes.windows(8).any(|w| w == &secret[..8] || w == &secret[11..]);
    assert!(found(&plain));
    assert!(files(room.dir.path()).iter().all(|f| !found(&fs::read(f).unwrap())));
    assert!(!found(&small.inline.unwrap()));
}

#[test]
fn files_and_folders_are_their_owners_alone() {
    let room = room();
    let (_, file) = room.put(&pattern(2 * SEGMENT));
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let mut dir = file.as_path();
    while dir != room.dir.path().join("objects") {
        dir = dir.parent().unwrap();
        assert_eq!(fs::metadata(dir).unwrap().mode() & 0o777, 0o700, "{}", dir.display());
    }
}

#[test]
fn the_listing_gives_each_object_with_its_age_and_removal_takes_it_away() {
    let room = room();
    let before = room.env.now();
    let mut ids: Vec<BlobId> = (0..20).map(|_| room.put(&pattern(SEGMENT + 1)).0).collect();
    ids.sort();
    let mut listed: Vec<(BlobId, Timestamp)> = room.objects.list().unwrap().map(Result::unwrap).collect();
    listed.sort();
    assert_eq!(listed.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(), ids);
    assert!(listed.iter().all(|(_, at)| *at >= before.plus_seconds(-1) && *at <= room.env.now()));

    assert!(room.objects.remove(&ids[0]).unwrap());
    assert!(!room.objects.remove(&ids[0]).unwrap(), "twice is no error");
    assert_eq!(room.objects.list().unwrap().count(), 19);
    assert_eq!(room.get(&ids[0]).unwrap_err().kind(), ErrorKind::NotFound);
}
