//! Copies of trees.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;

use common::Scratch;
use nacre_sys::{Error, FileType, Mode, mount, xattr};
use nacre_tests::{FsKind, LoopFs};

/// Everything that a copy must keep of an entry; hard links as the first name of the same inode.
fn describe(root: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut found = BTreeMap::new();
    let mut first_names = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        let mut names: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
        names.push(dir.clone());
        names.sort();
        for path in names {
            let meta = path.symlink_metadata().unwrap();
            let rel = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            if meta.is_dir() && path != dir {
                pending.push(path);
                continue;
            }
            let first = first_names.entry(meta.ino()).or_insert(rel.clone()).clone();
            let parent = std::fs::File::open(path.parent().unwrap()).unwrap();
            let at = xattr::Carrier::At(parent.as_fd(), path.file_name().unwrap());
            let mut attributes: Vec<_> =
                xattr::list(at).unwrap().into_iter().map(|n| (xattr::get(at, &n).unwrap(), n)).collect();
            attributes.sort();
            let content = meta.is_file().then(|| std::fs::read(&path).unwrap());
            let link = std::fs::read_link(&path).ok();
            let size = if meta.is_dir() { 0 } else { meta.size() };
            let text = format!(
                "{:o} {}:{} {size} {} {}.{} first {first:?} {attributes:?} {link:?} {content:?}",
                meta.mode(),
                meta.uid(),
                meta.gid(),
                meta.rdev(),
                meta.mtime(),
                meta.mtime_nsec(),
            );
            found.insert(rel, text);
        }
    }
    found
}

fn awkward_tree(s: &Scratch) {
    let path = |rel: &str| s.path().join("tree").join(rel);
    s.make(&["tree/d/empty"]);
    s.write("tree/setuid", "#!");
    s.write("tree/d/one", "linked");
    std::fs::hard_link(path("d/one"), path("two")).unwrap();
    symlink("/nowhere", path("link")).unwrap();
    let raw = std::ffi::OsStr::from_bytes(b"\xff\xfe not UTF-8\n");
    std::fs::write(path("d").join(raw), "raw").unwrap();
    let sparse = std::fs::File::create(path("sparse")).unwrap();
    sparse.set_len(8 << 20).unwrap();
    sparse.write_at(b"middle", 4 << 20).unwrap();
    rustix::fs::mknodat(&s.dir, "tree/fifo", FileType::Fifo, Mode::RUSR, 0).unwrap();
    let dev = rustix::fs::makedev(1, 200_000);
    rustix::fs::mknodat(&s.dir, "tree/device", FileType::CharacterDevice, Mode::RUSR, dev).unwrap();
    rustix::fs::mknodat(&s.dir, "tree/whiteout", FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    for (name, id) in [("setuid", 70_000), ("link", 4_000_000_000), ("d", 5)] {
        std::os::unix::fs::lchown(path(name), Some(id), Some(id + 1)).unwrap();
    }
    let at = |name: &'static str| xattr::Carrier::At(s.dir.as_fd(), name.as_ref());
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let tree = s.dir.sub("tree").unwrap();
    xattr::set(&std::fs::File::open(path("setuid")).unwrap(), b"security.capability", &capability).unwrap();
    xattr::set(&tree, b"trusted.big", &[7; 3000]).unwrap();
    xattr::set(at("tree"), b"user.\xff", b"\0bytes\0").unwrap();
    xattr::set(xattr::Carrier::At(tree.as_fd(), "link".as_ref()), b"trusted.on-link", b"1").unwrap();
    rustix::fs::chmod(path("setuid"), Mode::from_raw_mode(0o6755)).unwrap();
    rustix::fs::chmod(path("d"), Mode::from_raw_mode(0o1500)).unwrap();
    let old = rustix::fs::Timespec { tv_sec: -86_400, tv_nsec: 123_456_789 };
    let times = rustix::fs::Timestamps { last_access: old, last_modification: old };
    for name in ["link", "d/one", "fifo", "d", "."] {
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(&tree, name, &times, flags).unwrap();
    }
}

#[test]
fn a_copy_of_a_tree_is_equal_in_everything() {
    if !common::root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["other"]);
    awkward_tree(&s);
    let copied = s.dir.copy_tree("tree", &s.dir.sub("other").unwrap(), "copy").unwrap();
    let (before, after) = (describe(&s.path().join("tree")), describe(&s.path().join("other/copy")));
    assert_eq!(before, after);
    assert_eq!(copied.entries as usize, before.len());
    let sparse = s.path().join("other/copy/sparse").metadata().unwrap();
    assert!(sparse.blocks() * 512 < 1 << 20, "the holes were filled: {} blocks", sparse.blocks());
}

#[test]
fn a_single_file_is_copied_and_an_existing_target_is_not_touched() {
    let s = Scratch::new();
    s.write("a", "a");
    s.write("b", "b");
    assert!(s.dir.copy_tree("a", &s.dir, "b").unwrap_err().already_exists());
    s.dir.copy_tree("a", &s.dir, "c").unwrap();
    assert_eq!((s.read("b"), s.read("c")), ("b".into(), "a".into()));
    assert!(s.dir.copy_tree("absent", &s.dir, "d").unwrap_err().is_not_found());
}

#[test]
fn a_copy_that_fails_midway_leaves_nothing() {
    if !common::root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["tree/a", "tree/z", "small"]);
    for name in ["a/1", "a/2", "z/3", "4"] {
        std::fs::write(s.path().join("tree").join(name), vec![1; 200_000]).unwrap();
    }
    mount::tmpfs(&s.dir.sub("small").unwrap(), Some(500_000), 0o755).unwrap();
    let small = s.dir.sub("small").unwrap();
    let full = s.dir.copy_tree("tree", &small, "copy").unwrap_err();
    assert!(full.is_full(), "{full}");
    assert_eq!(small.entries().unwrap(), []);
    mount::tmpfs(&s.dir.sub("tree/z").unwrap(), None, 0o755).unwrap();
    let held = s.dir.copy_tree("tree", &s.dir, "copy");
    assert!(matches!(held, Err(Error::HoldsMount { .. })), "{held:?}");
    assert!(!s.dir.exists("copy").unwrap());
}

#[test]
fn data_is_shared_where_the_file_system_can() {
    if !common::root() {
        return;
    }
    let Some(fs) = LoopFs::new(FsKind::Btrfs, 400) else {
        return nacre_skip::skip("no mkfs.btrfs to make a file system that shares data");
    };
    let dir = nacre_sys::Dir::open(fs.path()).unwrap();
    dir.write_atomic("a", &vec![3; 1 << 20], 0o644).unwrap();
    let copied = dir.copy_tree("a", &dir, "b").unwrap();
    assert_eq!((copied.bytes, copied.shared), (0, 1 << 20));
    assert!(nacre_sys::facts::probe(fs.path()).unwrap().home.reflink);
}

#[test]
fn a_linked_tree_has_its_own_directories_and_the_originals_files() {
    if !common::root() {
        return;
    }
    for kind in [FsKind::Ext4, FsKind::Xfs, FsKind::Btrfs] {
        let Some(fs) = LoopFs::new(kind, 600) else {
            nacre_skip::skip(&format!("no mkfs.{}", kind.name()));
            continue;
        };
        let s = Scratch::in_dir(fs.path());
        s.make(&["other"]);
        awkward_tree(&s);
        let before = describe(&s.path().join("tree"));
        let copied = s.dir.link_tree("tree", &s.dir.sub("other").unwrap(), "copy").unwrap();
        assert_eq!(describe(&s.path().join("tree")), before, "the original changed on {kind:?}");
        assert_eq!(describe(&s.path().join("other/copy")), before, "on {kind:?}");
        assert_eq!((copied.entries as usize, copied.bytes, copied.shared), (before.len(), 0, 0));
        let inode = |rel: &str| s.path().join(rel).symlink_metadata().unwrap().ino();
        for file in ["setuid", "d/one", "two", "link", "fifo", "device", "whiteout", "sparse"] {
            assert_eq!(inode(&format!("tree/{file}")), inode(&format!("other/copy/{file}")), "{file}");
        }
        for dir in ["", "d", "d/empty"] {
            assert_ne!(inode(&format!("tree/{dir}")), inode(&format!("other/copy/{dir}")), "{dir}");
        }
    }
}

#[test]
fn a_file_with_as_many_names_as_can_be_is_copied_into_a_linked_tree() {
    if !common::root() {
        return;
    }
    let Some(fs) = LoopFs::new(FsKind::Ext4, 200) else {
        return nacre_skip::skip("no mkfs.ext4, whose files have at most 65000 names");
    };
    let s = Scratch::in_dir(fs.path());
    s.make(&["tree", "names"]);
    s.write("tree/a", "shared");
    std::fs::hard_link(s.path().join("tree/a"), s.path().join("tree/b")).unwrap();
    let name = |n: u32| s.path().join(format!("names/{n}"));
    let more = (0..).find(|n| std::fs::hard_link(s.path().join("tree/a"), name(*n)).is_err()).unwrap();
    assert!(more > 60_000, "only {more} names");
    s.dir.link_tree("tree", &s.dir, "copy").unwrap();
    let inode = |rel: &str| s.path().join(rel).metadata().unwrap().ino();
    assert_eq!(s.read("copy/a"), "shared");
    assert_ne!(inode("copy/a"), inode("tree/a"));
    assert_eq!(inode("copy/a"), inode("copy/b"));
}

#[test]
fn a_linked_tree_that_cannot_be_completed_leaves_nothing() {
    if !common::root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["tree/d", "elsewhere"]);
    s.write("tree/d/file", "");
    mount::tmpfs(&s.dir.sub("elsewhere").unwrap(), None, 0o755).unwrap();
    let elsewhere = s.dir.sub("elsewhere").unwrap();
    let refused = s.dir.link_tree("tree", &elsewhere, "copy").unwrap_err();
    assert_eq!(refused.errno(), Some(libc::EXDEV), "{refused}");
    assert_eq!(elsewhere.entries().unwrap(), []);
}
