//! Archives as strangers make them. Each hostile kind is refused by `check` and by `unpack` alike, with a message that
//! names the entry and the rule, and nothing appears outside the destination.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use flate2::{Compression, write::GzEncoder};
use slug::{Illegal, Limits, Summary, check, unpack};
use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

/// An archive written header by header, so that it may say anything.
struct Tar(Vec<u8>);

impl Tar {
    fn new() -> Self {
        Self(vec![])
    }

    /// Adds an entry. The name and link name go into the header's fields as they are.
    fn raw(mut self, flag: u8, name: &[u8], link: &[u8], mode: u32, content: &[u8]) -> Self {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link);
        header.as_mut_bytes()[156] = flag;
        header.set_mode(mode);
        header.set_mtime(1_600_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &[u8]) -> Self {
        self.raw(b'0', name.as_bytes(), b"", 0o644, content)
    }
    fn dir(self, name: &str) -> Self {
        self.raw(b'5', name.as_bytes(), b"", 0o755, b"")
    }
    fn link(self, name: &str, target: &str) -> Self {
        self.raw(b'2', name.as_bytes(), target.as_bytes(), 0o777, b"")
    }
    /// PAX records for the next entry.
    fn pax(self, records: &[(&str, &str)]) -> Self {
        let mut text = String::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (1..).find(|digits| (rest + digits).to_string().len() == *digits).unwrap() + rest;
            text += &format!("{length} {key}={value}\n");
        }
        self.raw(b'x', b"PaxHeaders.0/x", b"", 0o644, text.as_bytes())
    }
    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
    fn gz(self) -> Vec<u8> {
        gzip(&self.end())
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(vec![], Compression::best());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

/// Unpacks into a folder beside which a bait lies, and sees to it that `check` agrees and that the bait is untouched.
fn open(archive: &[u8], limits: &Limits) -> (tempfile::TempDir, Result<Summary, Illegal>) {
    let room = tempfile::tempdir().unwrap();
    let dest = room.path().join("dest");
    fs::create_dir(&dest).unwrap();
    fs::write(room.path().join("bait"), "untouched").unwrap();
    let unpacked = unpack(archive, &dest, limits);
    let checked = check(archive, limits);
    match (&unpacked, &checked) {
        (Ok(a), Ok(b)) => assert_eq!(a, b),
        (Err(a), Err(b)) => assert_eq!(a.to_string(), b.to_string()),
        other => panic!("check and unpack differ: {other:?}"),
    }
    let mut outside: Vec<_> = fs::read_dir(room.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    outside.sort();
    assert_eq!(outside, ["bait", "dest"], "something appeared outside");
    assert_eq!(fs::read_to_string(room.path().join("bait")).unwrap(), "untouched");
    (room, unpacked)
}

#[track_caller]
fn refused(archive: &[u8], with: &[&str]) {
    let (_room, outcome) = open(archive, &Limits::default());
    let error = outcome.expect_err("it was accepted");
    assert!(error.is_archives_fault(), "{error}");
    let text = error.to_string();
    for part in with {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

#[track_caller]
fn accepted(archive: &[u8]) -> (tempfile::TempDir, Summary) {
    let (room, outcome) = open(archive, &Limits::default());
    (room, outcome.unwrap())
}

#[test]
fn a_name_that_climbs_out_is_refused() {
    let rule = r#"traversal with ".." outside of current directory"#;
    refused(
        &Tar::new().file("../bait", b"x").gz(),
        &["illegal slug error: invalid filename \"../bait\"", rule],
    );
    refused(&Tar::new().file("a/../../bait", b"x").gz(), &[rule]);
    refused(&Tar::new().dir("../new").gz(), &[rule]);
    refused(&Tar::new().link("../new", "x").gz(), &[rule]);
    refused(&Tar::new().pax(&[("path", "../bait")]).file("ok", b"x").gz(), &["../bait", rule]);
    refused(&Tar::new().raw(b'L', b"././@LongLink", b"", 0, b"../bait\0").file("ok", b"x").gz(), &[rule]);
}

#[test]
fn an_absolute_name_is_refused() {
    refused(
        &Tar::new().file("/etc/evil", b"x").gz(),
        &["illegal slug error", "\"/etc/evil\"", "absolute path"],
    );
    refused(&Tar::new().dir("/tmp/x").gz(), &["absolute path"]);
}

#[test]
fn an_absolute_symlink_is_refused() {
    let text = r#"illegal slug error: invalid symlink ("l" -> "/etc/shadow") has external target"#;
    refused(&Tar::new().link("l", "/etc/shadow").gz(), &[text]);
}

#[test]
fn a_symlink_that_leaves_the_root_is_refused() {
    for target in ["..", "../bait", "../../../../../etc/shadow", "foo/bar/../../../etc/shadow", ""] {
        refused(&Tar::new().link("l", target).gz(), &["invalid symlink (\"l\"", "has external target"]);
    }
    refused(&Tar::new().link("a/b/l", "../../../bait").gz(), &["has external target"]);
    refused(&Tar::new().pax(&[("linkpath", "../bait")]).link("l", "ok").gz(), &["../bait"]);
}

#[test]
fn a_symlink_that_leaves_the_root_by_way_of_another_is_refused() {
    let archive = Tar::new().link("x/y/z", "..").link("l", "x/y/z/../../bait").gz();
    refused(&archive, &["invalid symlink (\"l\"", "has external target"]);
    let later_first = Tar::new().link("l", "x/y/z/../../bait").link("x/y/z", "..").gz();
    refused(&later_first, &["invalid symlink (\"l\"", "has external target"]);
}

#[test]
fn writing_through_a_symlinked_folder_is_refused() {
    let parent = || Tar::new().link("subdir/parent", "..");
    let text = |name| format!("illegal slug error: cannot extract {name:?} through symlink");
    refused(&parent().file("subdir/parent/file", b"x").gz(), &[&text("subdir/parent/file")]);
    refused(&parent().dir("subdir/parent/dir").gz(), &[&text("subdir/parent/dir")]);
    refused(&parent().link("subdir/parent/escapes", "..").gz(), &[&text("subdir/parent/escapes")]);
    refused(&parent().file("subdir/parent/a/b", b"x").gz(), &["through symlink"]);
    refused(&parent().dir("subdir/parent").gz(), &["through symlink"]);
}

#[test]
fn a_file_that_takes_a_symlinks_place_is_refused() {
    let archive = Tar::new().file("real", b"good").link("l", "real").file("l", b"evil").gz();
    refused(&archive, &["cannot extract \"l\" through symlink"]);
}

#[test]
fn a_symlink_that_takes_something_elses_place_is_refused() {
    for first in [Tar::new().file("x", b""), Tar::new().dir("x"), Tar::new().link("x", "y")] {
        refused(&first.link("x", "z").gz(), &["failed creating symlink (\"x\" -> \"z\"): file exists"]);
    }
}

#[test]
fn a_file_and_a_folder_of_one_name_are_refused() {
    refused(&Tar::new().file("x", b"").file("x/y", b"").gz(), &["failed to create directory \"x\""]);
    refused(&Tar::new().file("x", b"").dir("x").gz(), &["failed to create directory \"x\""]);
    refused(&Tar::new().dir("x").file("x", b"").gz(), &["failed creating file \"x\""]);
    refused(&Tar::new().file(".", b"x").gz(), &["the root is a directory"]);
}

#[test]
fn hard_links_are_refused() {
    let archive = Tar::new().file("a", b"").raw(b'1', b"hard", b"a", 0o644, b"").gz();
    refused(&archive, &["illegal slug error: failed creating \"hard\", unsupported file type 1 (hard link)"]);
}

#[test]
fn devices_are_refused() {
    refused(&Tar::new().raw(b'3', b"dev", b"", 0o666, b"").gz(), &["\"dev\"", "unsupported file type 3"]);
    refused(&Tar::new().raw(b'4', b"dev", b"", 0o666, b"").gz(), &["\"dev\"", "unsupported file type 4"]);
}

#[test]
fn fifos_are_refused() {
    refused(&Tar::new().raw(b'6', b"pipe", b"", 0o644, b"").gz(), &["\"pipe\"", "unsupported file type 6"]);
}

#[test]
fn sparse_and_unknown_kinds_are_refused() {
    refused(&Tar::new().raw(b'S', b"s", b"", 0o644, b"").gz(), &["\"s\"", "sparse"]);
    refused(&Tar::new().pax(&[("GNU.sparse.major", "1")]).file("s", b"").gz(), &["\"s\"", "sparse"]);
    refused(&Tar::new().raw(b'Z', b"z", b"", 0o644, b"").gz(), &["\"z\"", "unsupported file type Z"]);
    refused(&Tar::new().raw(7, b"z", b"", 0o644, b"").gz(), &["unsupported file type"]);
}

#[test]
fn names_that_no_file_system_takes_are_refused() {
    let long = "n".repeat(256);
    refused(&Tar::new().pax(&[("path", &long)]).file("x", b"").gz(), &["longer than 255 bytes"]);
    let deep = "d/".repeat(2100);
    refused(&Tar::new().pax(&[("path", &deep)]).dir("x").gz(), &["longer than 4095 bytes"]);
    refused(&Tar::new().pax(&[("path", "a\0b")]).file("x", b"").gz(), &["NUL"]);
}

#[test]
fn what_is_not_gzip_is_refused() {
    refused(b"", &["failed to decompress slug"]);
    refused(b"PK\x03\x04 a zip file", &["failed to decompress slug: gzip: invalid header"]);
    refused(&Tar::new().file("main.tf", b"").end(), &["failed to decompress slug: gzip: invalid header"]);
    refused(b"\x1f\x8b", &["failed to untar slug"]);
}

#[test]
fn gzip_that_holds_no_tar_is_refused() {
    refused(&gzip(&b"not a tar archive at all ".repeat(100)), &["failed to untar slug"]);
    let mut bad_checksum = Tar::new().file("main.tf", b"x").end();
    bad_checksum[0] ^= 1;
    refused(&gzip(&bad_checksum), &["failed to untar slug"]);
}

#[test]
fn an_archive_cut_anywhere_is_refused() {
    let noise: Vec<u8> = (0..4000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let whole = Tar::new().file("main.tf", b"x").file("noise", &noise).gz();
    accepted(&whole);
    for len in (0..whole.len()).step_by(97).chain(whole.len() - 9..whole.len()) {
        let (_room, outcome) = open(&whole[..len], &Limits::default());
        assert!(outcome.unwrap_err().is_archives_fault(), "cut to {len}");
    }
    refused(&whole[..whole.len() / 2], &["failed to copy slug file \"noise\"", "cut"]);
}

#[test]
fn a_tar_stream_that_ends_within_a_file_is_refused() {
    let whole = Tar::new().file("main.tf", &[b'x'; 5000]).end();
    refused(&gzip(&whole[..3000]), &["failed to copy slug file \"main.tf\""]);
    refused(&gzip(&whole[..300]), &["failed to untar slug"]);
}

#[test]
fn a_flipped_byte_is_noticed_by_the_checksum_even_behind_the_last_entry() {
    let mut archive = Tar::new().file("main.tf", b"x").gz();
    let at = archive.len() - 6;
    archive[at] ^= 1;
    refused(&archive, &["failed to untar slug"]);
}

#[test]
fn a_bomb_by_size_stops_at_the_cap() {
    let limits = Limits { expanded_bytes: 1 << 20, ratio: u64::MAX, ..Limits::default() };
    let archive = Tar::new().file("zeros", &vec![0; 4 << 20]).gz();
    let (room, outcome) = open(&archive, &limits);
    let text = outcome.unwrap_err().to_string();
    assert_eq!(text, "illegal slug error: the archive expands to more than 1048576 bytes");
    assert!(fs::metadata(room.path().join("dest/zeros")).unwrap().len() <= 1 << 20);
}

#[test]
fn a_bomb_by_ratio_stops_at_the_cap() {
    let archive = Tar::new().file("zeros", &vec![0; 64 << 20]).gz();
    assert!(archive.len() < 400_000);
    let (room, outcome) = open(&archive, &Limits::default());
    let text = outcome.unwrap_err().to_string();
    assert_eq!(text, "illegal slug error: the archive expands to more than 200 times its size");
    assert!(fs::metadata(room.path().join("dest/zeros")).unwrap().len() < (64 << 20));
    let repetitive = Tar::new().file("small", &vec![b' '; 900_000]).gz();
    assert!(repetitive.len() < 4500, "more than 200 : 1, but within the free first MiB");
    accepted(&repetitive);
}

#[test]
fn a_bomb_behind_the_end_of_the_tar_archive_stops_at_the_cap() {
    let mut stream = Tar::new().file("main.tf", b"x").end();
    stream.resize(64 << 20, 0);
    refused(&gzip(&stream), &["200 times its size"]);
}

#[test]
fn a_bomb_by_count_stops_at_the_cap() {
    let limits = Limits { entries: 10, ratio: u64::MAX, ..Limits::default() };
    let many = (0..1000).fold(Tar::new(), |tar, n| tar.file(&format!("f{n}"), b"")).gz();
    let (room, outcome) = open(&many, &limits);
    let text = outcome.unwrap_err().to_string();
    assert_eq!(text, "illegal slug error: the archive has more than 10 entries");
    assert!(fs::read_dir(room.path().join("dest")).unwrap().count() <= 11);

    let same = (0..1000).fold(Tar::new(), |tar, _| tar.file("f", b"")).gz();
    assert!(open(&same, &limits).1.unwrap_err().to_string().contains("more than 10 entries"));
    let implied = Tar::new().dir(&"d/".repeat(11)).gz();
    assert!(open(&implied, &limits).1.unwrap_err().to_string().contains("more than 10 entries"));
    let skipped = (0..1000).fold(Tar::new(), |tar, _| tar.file("._f", b"")).gz();
    assert!(open(&skipped, &limits).1.unwrap_err().to_string().contains("more than 10 entries"));
}

#[test]
fn an_upload_over_the_cap_is_refused_before_more_of_it_is_read() {
    struct Endless(u64);
    impl Read for Endless {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.0 += out.len() as u64;
            out.iter_mut().enumerate().for_each(|(i, byte)| *byte = (i as u8).wrapping_mul(37));
            Ok(out.len())
        }
    }
    let limits = Limits { compressed_bytes: 1 << 20, ..Limits::default() };
    let mut tail = Endless(0);
    let archive = Tar::new().file("main.tf", b"x").gz();
    let error = check(archive.chain(&mut tail), &limits).unwrap_err();
    assert_eq!(error.to_string(), "illegal slug error: the archive is larger than 1048576 bytes");
    assert!(tail.0 < 2 << 20);
}

#[test]
fn a_huge_extended_header_is_refused_without_holding_it() {
    let archive = Tar::new().raw(b'x', b"pax", b"", 0, &vec![b'9'; 2 << 20]).file("main.tf", b"").gz();
    refused(&archive, &["failed to untar slug: an extended header is larger than 1 MiB"]);
    let malformed = Tar::new().raw(b'x', b"pax", b"", 0, b"99 path=x\n").file("main.tf", b"").gz();
    refused(&malformed, &["failed to untar slug: invalid tar header"]);
}

#[test]
fn a_source_that_fails_is_not_the_archives_fault() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::ConnectionReset, "the client went away"))
        }
    }
    let archive = Tar::new().file("main.tf", &[b'x'; 100_000]).gz();
    for len in [0, 5, 100] {
        let error = check(archive[..len].chain(Broken), &Limits::default()).unwrap_err();
        assert!(!error.is_archives_fault());
        assert!(
            matches!(&error, Illegal::Source(e) if e.kind() == io::ErrorKind::ConnectionReset),
            "{error}"
        );
    }
}

#[test]
fn a_destination_that_is_not_empty_keeps_what_it_has() {
    let room = tempfile::tempdir().unwrap();
    fs::write(room.path().join("main.tf"), "mine").unwrap();
    symlink("/etc", room.path().join("etc")).unwrap();
    let error = unpack(&*Tar::new().file("main.tf", b"x").gz(), room.path(), &Limits::default()).unwrap_err();
    assert!(!error.is_archives_fault(), "{error}");
    let error =
        unpack(&*Tar::new().file("etc/evil", b"x").gz(), room.path(), &Limits::default()).unwrap_err();
    assert!(!error.is_archives_fault(), "{error}");
    assert!(!Path::new("/etc/evil").exists());
    assert_eq!(fs::read_to_string(room.path().join("main.tf")).unwrap(), "mine");
}

#[test]
fn an_honest_archive_keeps_contents_modes_and_times() {
    let archive = Tar::new()
        .dir("./")
        .file("./main.tf", b"terraform {}")
        .raw(b'0', b"run.sh", b"", 0o4755, b"#!/bin/sh")
        .dir("modules/a/")
        .file("modules/a/x.tf", b"a")
        .raw(b'5', b"sealed", b"", 0o500, b"")
        .link("modules/again", "a/../a")
        .pax(&[("mtime", "1500000000.25"), ("SCHILY.xattr.x", "with\nnewline")])
        .file("fine.txt", b"f")
        .gz();
    let (room, summary) = accepted(&archive);
    let dest = room.path().join("dest");
    let meta = |name: &str| fs::symlink_metadata(dest.join(name)).unwrap();
    assert_eq!(fs::read_to_string(dest.join("main.tf")).unwrap(), "terraform {}");
    assert_eq!(meta("main.tf").permissions().mode() & 0o7777, 0o644);
    assert_eq!(meta("run.sh").permissions().mode() & 0o7777, 0o755, "set-user-id is dropped");
    assert_eq!(meta("sealed").permissions().mode() & 0o7777, 0o700, "the owner can still remove it");
    for name in ["main.tf", "modules/a", "modules/a/x.tf", "modules/again"] {
        assert_eq!(meta(name).mtime(), 1_600_000_000, "{name}");
    }
    assert_eq!((meta("fine.txt").mtime(), meta("fine.txt").mtime_nsec()), (1_500_000_000, 250_000_000));
    assert_eq!(fs::read_link(dest.join("modules/again")).unwrap(), Path::new("a/../a"));
    assert_eq!(summary.entries, 8);
    assert!(summary.has_root_tf);
    assert_eq!(summary.top_level_dirs, ["modules", "sealed"]);
    assert_eq!(summary.single_top_dir, None);
    assert_eq!(summary.tf_dirs, ["", "modules/a"]);
}

#[test]
fn a_root_entry_is_fine_in_every_spelling() {
    for root in [".", "./", "/"] {
        let (_room, summary) = accepted(&Tar::new().dir(root).file("file.txt", b"body").gz());
        assert_eq!(summary.top_level_dirs, Vec::<String>::new());
    }
}

#[test]
fn nameless_entries_and_macos_leavings_are_skipped() {
    let archive = Tar::new()
        .raw(b'0', b"", b"", 0o644, b"nameless")
        .file("._main.tf", b"\0binary")
        .file("a/._b.hcl", b"")
        .file("a/b.tf", b"")
        .raw(b'g', b"pax_global_header", b"", 0o644, b"19 comment=0123456\n")
        .gz();
    let (room, summary) = accepted(&archive);
    assert_eq!(summary.entries, 1);
    assert!(!room.path().join("dest/._main.tf").exists() && !room.path().join("dest/a/._b.hcl").exists());
    assert!(!summary.has_root_tf);
}

#[test]
fn a_later_file_of_the_same_name_wins_even_over_a_read_only_one() {
    let archive = Tar::new().raw(b'0', b"f", b"", 0o000, b"first").file("./f", b"second").gz();
    let (room, _) = accepted(&archive);
    assert_eq!(fs::read_to_string(room.path().join("dest/f")).unwrap(), "second");
}

#[test]
fn numbers_in_headers_may_be_octal_binary_or_absent() {
    let mut tar = Tar::new().file("main.tf", b"x");
    for (mode, time) in [(&[0x80, 0, 0, 0, 0x80, 0, 1, 0xed], &[0; 12]), (&[0; 8], &[0xff; 12])] {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..2].copy_from_slice(if time[0] == 0 { b"a/" } else { b"b/" });
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.as_mut_bytes()[100..108].copy_from_slice(mode);
        header.as_mut_bytes()[136..148].copy_from_slice(time);
        header.set_cksum();
        tar.0.extend_from_slice(header.as_bytes());
    }
    let (room, _) = accepted(&tar.gz());
    let meta = |name: &str| fs::metadata(room.path().join("dest").join(name)).unwrap();
    assert_eq!((meta("a").mode() & 0o777, meta("a").mtime()), (0o755, 0));
    assert_eq!((meta("b").mode() & 0o777, meta("b").mtime()), (0o700, 0), "before 1970 is 1970");
}

#[test]
fn folders_named_in_the_old_way_and_long_names_are_understood() {
    let long = format!("{}/main.tf", "folder".repeat(30));
    let archive = Tar::new()
        .raw(0, b"old/", b"", 0o755, b"")
        .raw(b'L', b"././@LongLink", b"", 0, format!("{long}\0").as_bytes())
        .file("cut", b"x")
        .gz();
    let (room, _) = accepted(&archive);
    assert!(room.path().join("dest/old").is_dir());
    assert!(room.path().join("dest").join(long).is_file());
}

#[test]
fn several_gzip_members_are_one_archive_and_padding_behind_is_ignored() {
    let tar = Tar::new().file("main.tf", b"x").file("other.tf", b"y").end();
    let archive = [gzip(&tar[..700]), gzip(&tar[700..]), vec![0; 500]].concat();
    assert_eq!(accepted(&archive).1.entries, 2);
}

#[test]
fn an_empty_archive_is_accepted() {
    for archive in [gzip(b""), Tar::new().gz(), Tar::new().dir("./").gz()] {
        let (_room, summary) = accepted(&archive);
        assert_eq!(
            summary.missing_tf("").unwrap(),
            "the archive has no .tf file at its root, nor anywhere else"
        );
    }
}

#[test]
fn a_wrapped_configuration_is_told_to_the_user() {
    let archive = Tar::new().file("content/main.tf", b"").file("content/modules/x/x.tf", b"").gz();
    let (_room, summary) = accepted(&archive);
    assert!(!summary.has_root_tf);
    assert_eq!(summary.single_top_dir.as_deref(), Some("content"));
    assert!(summary.has_tf_in("content") && summary.has_tf_in("./content/") && !summary.has_tf_in("other"));
    assert_eq!(summary.missing_tf("content"), None);
    let text = summary.missing_tf("").unwrap();
    assert!(text.starts_with("the archive has no .tf file at its root, but in folder `content`"), "{text}");

    let (_room, flat) =
        accepted(&Tar::new().file("main.tf.json", b"{}").file(".terraform/modules/m/a.tf", b"").gz());
    let text = flat.missing_tf("env/prod").unwrap();
    assert!(text.contains("in the working directory `env/prod`, but at its root"), "{text}");
}
