//! Subvolumes, on a btrfs in a file.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nacre_sys::{Dir, Error, btrfs, mount, quota};
use nacre_tests::{FsKind, LoopFs, skip};

/// None where it cannot be made, which was said.
fn file_system() -> Option<(LoopFs, Dir)> {
    if !common::root() {
        return None;
    }
    let Some(made) = LoopFs::new(FsKind::Btrfs, 600) else {
        skip("no mkfs.btrfs to make a file system with subvolumes");
        return None;
    };
    let dir = Dir::open(made.path()).unwrap();
    Some((made, dir))
}

fn create(dir: &Dir, rel: impl AsRef<Path>) {
    btrfs::create_subvolume(dir, rel, 0o755).unwrap();
}

#[test]
fn a_subvolume_has_its_mode_and_is_told_from_a_directory() {
    let Some((_fs, dir)) = file_system() else { return };
    btrfs::create_subvolume(&dir, "a", 0o1750).unwrap();
    dir.make_dir("plain", 0o755).unwrap();
    assert_eq!(dir.stat("a").unwrap().st_mode & 0o7777, 0o1750);
    assert!(btrfs::is_subvolume(&dir.sub("a").unwrap()).unwrap());
    assert!(!btrfs::is_subvolume(&dir.sub("plain").unwrap()).unwrap());
    assert!(btrfs::create_subvolume(&dir, "a", 0o755).unwrap_err().already_exists());
    assert!(btrfs::create_subvolume(&dir, "absent/b", 0o755).unwrap_err().is_not_found());
    assert!(matches!(btrfs::create_subvolume(&dir, "../b", 0o755), Err(Error::Escape { .. })));
}

#[test]
fn a_snapshot_has_what_its_source_had_and_goes_its_own_way() {
    let Some((_fs, dir)) = file_system() else { return };
    create(&dir, "a");
    create(&dir, "a/inner");
    dir.write_atomic("a/file", b"before", 0o640).unwrap();
    btrfs::snapshot(&dir.sub("a").unwrap(), &dir, "b").unwrap();
    dir.write_atomic("b/file", b"after", 0o640).unwrap();
    assert_eq!(dir.read("a/file").unwrap(), b"before");
    assert_eq!(dir.read("b/file").unwrap(), b"after");
    assert!(!btrfs::is_subvolume(&dir.sub("b/inner").unwrap()).unwrap());
    assert!(btrfs::snapshot(&dir.sub("a").unwrap(), &dir, "b").unwrap_err().already_exists());
    dir.make_dir("a/plain", 0o755).unwrap();
    let plain = btrfs::snapshot(&dir.sub("a/plain").unwrap(), &dir, "c").unwrap_err();
    assert!(plain.to_string().contains("a/plain: it is no subvolume"), "{plain}");
}

#[test]
fn a_subvolume_is_deleted_with_those_inside_it_however_deep() {
    let Some((fs, dir)) = file_system() else { return };
    create(&dir, "a");
    create(&dir, "beside");
    dir.make_dir("a/dir", 0o755).unwrap();
    // Many of them: more than one answer of the kernel holds.
    let mut deep = dir.sub("a/dir").unwrap();
    for _ in 0..18 {
        let name = "d".repeat(200);
        create(&deep, &name);
        deep = deep.sub(&name).unwrap();
    }
    for number in 0..120 {
        create(&dir, format!("a/{number}"));
    }
    drop(deep);
    btrfs::delete_subvolume(&dir, "a").unwrap();
    assert!(!dir.exists("a").unwrap());
    let list = nacre_tests::shell(&format!("btrfs subvolume list {}", fs.path().display()));
    assert!(list.lines().count() == 1 && list.contains("beside"), "{list}");
    btrfs::delete_subvolume(&dir, "a").unwrap();
    btrfs::delete_subvolume(&dir, "absent/a").unwrap();
}

#[test]
fn what_is_no_subvolume_or_holds_a_mount_is_not_deleted() {
    let Some((_fs, dir)) = file_system() else { return };
    dir.make_dir("plain", 0o755).unwrap();
    dir.write_atomic("file", b"", 0o644).unwrap();
    for name in ["plain", "file"] {
        let refused = btrfs::delete_subvolume(&dir, name).unwrap_err();
        assert!(refused.to_string().contains("it is no subvolume"), "{refused}");
    }
    create(&dir, "a");
    create(&dir, "a/inner");
    dir.make_dir("a/inner/mnt", 0o755).unwrap();
    mount::tmpfs(&dir.sub("a/inner/mnt").unwrap(), None, 0o755).unwrap();
    assert!(matches!(btrfs::delete_subvolume(&dir, "a"), Err(Error::HoldsMount { .. })));
    assert!(btrfs::is_subvolume(&dir.sub("a/inner").unwrap()).unwrap());
    mount::unmount(&dir, "a/inner/mnt").unwrap();
    btrfs::delete_subvolume(&dir, "a").unwrap();
}

#[test]
fn a_limited_subvolume_takes_so_much_and_its_quota_group_goes_with_it() {
    let Some((fs, dir)) = file_system() else { return };
    create(&dir, "a");
    create(&dir, "a/inner");
    let a = dir.sub("a").unwrap();
    quota::limit(&a, Some(10 << 20), None).unwrap();
    let full = std::fs::write(fs.path().join("a/big"), vec![1; 20 << 20]).unwrap_err();
    assert_eq!(full.raw_os_error(), Some(libc::EDQUOT));
    std::fs::remove_file(fs.path().join("a/big")).unwrap();
    // What is deleted is accounted when it is on the disk.
    fs.sync();
    quota::limit(&a, None, None).unwrap();
    std::fs::write(fs.path().join("a/big"), vec![1; 20 << 20]).unwrap();
    assert!(matches!(quota::limit(&a, None, Some(5)), Err(Error::Lacks { .. })));
    drop(a);
    btrfs::delete_subvolume(&dir, "a").unwrap();
    let path = fs.path().display().to_string();
    let groups =
        format!("btrfs filesystem sync {path}; btrfs subvolume sync {path} >&2; btrfs qgroup show {path}");
    // The kernel's cleaner removes the group some moments after the data.
    let mut left = nacre_tests::shell(&groups);
    for _ in 0..100 {
        if left.lines().count() == 3 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
        left = nacre_tests::shell(&groups);
    }
    assert!(!left.contains("stale") && left.lines().count() == 3, "{left}");
}

#[test]
fn a_directory_alone_cannot_be_limited_on_btrfs() {
    let Some((_fs, dir)) = file_system() else { return };
    dir.make_dir("plain", 0o755).unwrap();
    let refused = quota::limit(&dir.sub("plain").unwrap(), Some(1 << 20), None).unwrap_err();
    assert!(refused.to_string().contains("it is no subvolume"), "{refused}");
}

#[test]
fn other_file_systems_say_that_they_have_no_subvolumes() {
    if !common::root() {
        return;
    }
    let s = common::Scratch::new();
    s.make(&["ext", "plain"]);
    let Some(ext4) = LoopFs::new(FsKind::Ext4, 100) else {
        return skip("no mkfs.ext4 to make a file system without subvolumes");
    };
    let dir = Dir::open(ext4.path()).unwrap();
    dir.make_dir("plain", 0o755).unwrap();
    for refused in [
        btrfs::create_subvolume(&dir, "a", 0o755).unwrap_err(),
        btrfs::delete_subvolume(&dir, "plain").unwrap_err(),
    ] {
        assert!(matches!(refused, Error::Lacks { .. }), "{refused}");
    }
    let root: PathBuf = ext4.path();
    assert_eq!(root.join("plain").metadata().unwrap().mode() & 0o777, 0o755);
}
