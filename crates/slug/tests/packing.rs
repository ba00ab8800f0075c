//! Packing real folders, and unpacking what came out.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use proptest::prelude::*;
use slug::{Limits, PackError, Packed, pack, unpack};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

/// Everything about a tree that packing must keep: kind, mode, whole seconds of the time, content or target.
fn tree(dir: &Path) -> BTreeMap<PathBuf, String> {
    fn walk(dir: &Path, root: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let kind = meta.file_type();
            let what = if kind.is_symlink() {
                format!("link {}", fs::read_link(&path).unwrap().display())
            } else if kind.is_dir() {
                walk(&path, root, found);
                format!("dir {:o} {}", meta.mode() & 0o777, meta.mtime())
            } else {
                format!("file {:o} {} {:?}", meta.mode() & 0o777, meta.mtime(), fs::read(&path).unwrap())
            };
            found.insert(path.strip_prefix(root).unwrap().to_owned(), what);
        }
    }
    let mut found = BTreeMap::new();
    walk(dir, dir, &mut found);
    found
}

fn write(root: &Path, files: &[&str]) {
    for file in files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
}

fn packed(dir: &Path) -> Result<(Packed, BTreeMap<PathBuf, String>), PackError> {
    let mut archive = vec![];
    let packed = pack(dir, &mut archive)?;
    let dest = tempfile::tempdir().unwrap();
    unpack(&*archive, dest.path(), &Limits::default()).unwrap();
    Ok((packed, tree(dest.path())))
}

fn names(tree: &BTreeMap<PathBuf, String>) -> Vec<&str> {
    tree.iter().filter(|(_, what)| !what.starts_with("dir")).map(|(path, _)| path.to_str().unwrap()).collect()
}

#[derive(Debug, Clone)]
enum Item {
    Dir,
    File(u32, Vec<u8>),
    Link(String),
}

fn item() -> impl Strategy<Value = Item> {
    prop_oneof![
        Just(Item::Dir),
        (prop::sample::select(vec![0o644, 0o600, 0o755, 0o444]), prop::collection::vec(any::<u8>(), 0..2000))
            .prop_map(|(mode, content)| Item::File(mode, content)),
        // Relative to the folder of the link; the ones that happen to leave the root are not made.
        "(\\.\\./){0,2}[a-c](/[a-c]){0,2}".prop_map(Item::Link),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_was_packed_is_unpacked_the_same(
        items in prop::collection::vec(("[a-cé ]{1,3}(/[a-c]){0,3}(/[d-f]{1,120})?", item()), 0..20),
    ) {
        let dir = tempfile::tempdir().unwrap();
        for (name, item) in items {
            let path = dir.path().join(&name);
            if fs::create_dir_all(path.parent().unwrap()).is_err() || path.symlink_metadata().is_ok() {
                continue; // Something else is in its way.
            }
            match item {
                Item::Dir => drop(fs::create_dir(&path)),
                Item::File(mode, content) => {
                    fs::write(&path, content).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                }
                Item::Link(target) => {
                    let depth = name.matches('/').count();
                    if target.matches("../").count() <= depth {
                        symlink(target, &path).unwrap();
                    }
                }
            }
        }
        let escapes = |path: &Path| path.canonicalize().is_ok_and(|real| !real.starts_with(dir.path().canonicalize().unwrap()));
        prop_assume!(!tree(dir.path()).keys().any(|path| escapes(&dir.path().join(path))));
        let (packed, unpacked) = packed(dir.path()).unwrap();
        prop_assert_eq!(&unpacked, &tree(dir.path()));
        prop_assert_eq!(packed.files as usize, names(&unpacked).len());
        prop_assert_eq!(packed.skipped, 0);
    }
}

#[test]
fn the_folder_is_the_root_of_the_archive_and_git_and_plugins_stay_behind() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &[
            "main.tf",
            "terraform.tfstate",
            "prod.tfvars",
            ".terraform.lock.hcl",
            ".git/HEAD",
            "sub/.git/x",
            ".terraform/providers/p",
            ".terraform/modules/modules.json",
            ".terraform/modules/a/b.tf",
            "sub/a.tf",
        ],
    );
    let (packed, unpacked) = packed(dir.path()).unwrap();
    assert_eq!(
        names(&unpacked),
        [
            ".terraform/modules/a/b.tf",
            ".terraform/modules/modules.json",
            ".terraform.lock.hcl",
            "main.tf",
            "prod.tfvars",
            "sub/a.tf",
            "terraform.tfstate",
        ]
    );
    assert_eq!(packed, Packed { files: 7, bytes: packed.bytes, skipped: 3 });
    assert_eq!(packed.bytes, names(&unpacked).iter().map(|name| name.len() as u64).sum::<u64>());
}

#[test]
fn the_ignore_file_decides_what_goes_in() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &["main.tf", "secret.txt", "sub/secret.txt", "keep/secret.txt", "logs/a/b", "x/logs/c"],
    );
    fs::write(dir.path().join(".terraformignore"), "secret.txt\n!/keep/secret.txt\n/logs/\n").unwrap();
    let (_, unpacked) = packed(dir.path()).unwrap();
    assert_eq!(names(&unpacked), [".terraformignore", "keep/secret.txt", "main.tf", "x/logs/c"]);
    assert!(!unpacked.contains_key(Path::new("logs")), "no empty folder stays");
}

#[test]
fn an_ignore_file_that_cannot_be_read_stops_packing() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &["main.tf", ".terraformignore/oops"]);
    assert!(matches!(packed(dir.path()), Err(PackError::Ignore { .. })));
}

#[test]
fn links_inside_stay_links_and_absolute_ones_become_relative() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &["a/file", "b/c/x"]);
    symlink("../../a/file", dir.path().join("b/c/relative")).unwrap();
    symlink(dir.path().join("a/file"), dir.path().join("b/c/absolute")).unwrap();
    symlink(dir.path(), dir.path().join("b/root")).unwrap();
    symlink("nothing", dir.path().join("dangling")).unwrap();
    let real = dir.path().canonicalize().unwrap();
    symlink(real.join("not/there"), dir.path().join("b/dangling")).unwrap();
    let (_, unpacked) = packed(dir.path()).unwrap();
    assert_eq!(unpacked[Path::new("b/c/relative")], "link ../../a/file");
    assert_eq!(unpacked[Path::new("b/c/absolute")], "link ../../a/file");
    assert_eq!(unpacked[Path::new("b/root")], "link ..");
    assert_eq!(unpacked[Path::new("dangling")], "link nothing");
    assert_eq!(unpacked[Path::new("b/dangling")], "link ../not/there");
}

#[test]
fn links_that_lead_out_are_replaced_by_what_they_lead_to() {
    let room = tempfile::tempdir().unwrap();
    let (dir, shared) = (room.path().join("dir"), room.path().join("shared"));
    write(&dir, &["main.tf"]);
    write(&shared, &["file.tf", "sub/deep.tf", ".terraform/plugins/p", "secret.txt"]);
    symlink("deep.tf", shared.join("sub/link.tf")).unwrap();
    symlink("../shared/file.tf", dir.join("file.tf")).unwrap();
    symlink(&shared, dir.join("module")).unwrap();
    fs::write(dir.join(".terraformignore"), "secret.txt\n/module/sub/deep.tf\n").unwrap();
    let (_, unpacked) = packed(&dir).unwrap();
    assert_eq!(
        names(&unpacked),
        [".terraformignore", "file.tf", "main.tf", "module/file.tf", "module/sub/link.tf"]
    );
    assert!(unpacked[Path::new("file.tf")].starts_with("file 644"));
    assert!(unpacked[Path::new("module/sub/link.tf")].starts_with("file 644"));
}

#[test]
fn a_link_that_leads_out_to_nothing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    symlink("../no/such/thing", dir.path().join("lost")).unwrap();
    let error = packed(dir.path()).unwrap_err();
    assert!(matches!(&error, PackError::Dangling { path, .. } if path.ends_with("lost")), "{error}");
}

#[test]
fn a_link_that_leads_out_and_around_is_named() {
    let room = tempfile::tempdir().unwrap();
    write(room.path(), &["dir/main.tf"]);
    symlink("..", room.path().join("dir/up")).unwrap();
    let error = packed(&room.path().join("dir")).unwrap_err();
    assert!(matches!(&error, PackError::Cycle { path, .. } if path.ends_with("up")), "{error}");
}

#[test]
fn a_folder_given_as_a_link_is_packed_as_the_folder() {
    let room = tempfile::tempdir().unwrap();
    write(room.path(), &["real/main.tf"]);
    symlink("real", room.path().join("link")).unwrap();
    assert_eq!(names(&packed(&room.path().join("link")).unwrap().1), ["main.tf"]);
}

#[test]
fn sockets_and_the_like_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &["main.tf"]);
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let (packed, unpacked) = packed(dir.path()).unwrap();
    assert_eq!(names(&unpacked), ["main.tf"]);
    assert_eq!(packed.skipped, 1);
}

#[test]
fn the_same_folder_gives_the_same_archive() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &["b.tf", "a.tf", "sub/c.tf"]);
    let (mut one, mut two) = (vec![], vec![]);
    pack(dir.path(), &mut one).unwrap();
    pack(dir.path(), &mut two).unwrap();
    assert!(one == two);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = pack(Path::new("/no/such/folder"), vec![]).unwrap_err();
    assert!(error.to_string().contains("/no/such/folder"), "{error}");
}
