//! Datasets on a real pool, which zfs-fuse serves. The kernel's own mounts of ZFS are not tested here: they
//! need a kernel with ZFS.
// clippy takes only the functions marked #[test] for tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../tests/src/zfs.rs"]
#[allow(missing_docs, dead_code)]
mod pool;

use std::fs;

use nacre_skip::skip;
use nacre_sys::{Dir, Error, mount, zfs};
use pool::{POOL, ZfsPool};

fn with_pool(work: impl FnOnce(&ZfsPool) + Send) {
    if let Err(why) = ZfsPool::within(200, work) {
        skip(&why);
    }
}

fn name(dataset: &str) -> String {
    format!("{POOL}/{dataset}")
}

fn fault(error: Error) -> zfs::Fault {
    match error {
        Error::Zfs { fault, .. } => fault,
        other => panic!("{other}"),
    }
}

#[test]
fn a_directory_tells_its_dataset() {
    with_pool(|pool| {
        fs::create_dir_all(pool.path().join("a/b")).unwrap();
        let on = |path| zfs::dataset_of(&Dir::open(path).unwrap()).unwrap();
        assert_eq!(on(pool.path().join("a/b")).as_deref(), Some(POOL));
        assert_eq!(on(pool.elsewhere().to_owned()), None);
    });
}

#[test]
fn a_clone_starts_as_its_snapshot_and_outlives_the_snapshots_name() {
    with_pool(|pool| {
        let (base, copy, snapshot) = (name("base"), name("copy"), name("base@copy"));
        zfs::create(&base).unwrap();
        let at = Dir::open(pool.elsewhere()).unwrap();
        let (one, two) = (at.make_dir("one", 0o755).unwrap(), at.make_dir("two", 0o755).unwrap());
        zfs::mount(&base, &one, false).unwrap();
        fs::write(pool.elsewhere().join("one/file"), "pearl").unwrap();
        assert!(zfs::unmount(&at, "one").unwrap());

        zfs::snapshot(&snapshot).unwrap();
        zfs::clone(&snapshot, &copy).unwrap();
        assert!(zfs::destroy_snapshot(&snapshot).unwrap(), "it goes when its clone does");
        zfs::mount(&copy, &two, false).unwrap();
        assert_eq!(fs::read_to_string(pool.elsewhere().join("two/file")).unwrap(), "pearl");
        assert_eq!(fault(zfs::destroy(&base).unwrap_err()), zfs::Fault::HasClones);
        assert!(zfs::unmount(&at, "two").unwrap());
        assert!(zfs::destroy(&copy).unwrap());
        assert!(!zfs::exists(&snapshot).unwrap());
        assert!(zfs::destroy(&base).unwrap());
        assert!(!zfs::destroy(&base).unwrap(), "one that is gone is no error");
        assert_eq!(pool.datasets(), [""; 0]);
    });
}

#[test]
fn what_is_there_and_what_is_missing_are_told_apart() {
    with_pool(|_| {
        zfs::create(&name("a")).unwrap();
        assert!(zfs::create(&name("a")).unwrap_err().already_exists());
        zfs::snapshot(&name("a@s")).unwrap();
        assert!(zfs::snapshot(&name("a@s")).unwrap_err().already_exists());
        zfs::clone(&name("a@s"), &name("b")).unwrap();
        assert!(zfs::clone(&name("a@s"), &name("b")).unwrap_err().already_exists());
        assert!(zfs::clone(&name("a@none"), &name("c")).unwrap_err().is_not_found());
        assert!(zfs::create(&name("no/parent")).unwrap_err().is_not_found());
        assert!(!zfs::destroy_snapshot(&name("a@none")).unwrap());
        assert!(zfs::exists(&name("a@s")).unwrap() && !zfs::exists(&name("c")).unwrap());
        let mut children = zfs::children(POOL).unwrap();
        children.sort();
        assert_eq!(children, ["a", "b"]);
    });
}

#[test]
fn a_mount_ends_with_its_property_and_a_lost_one_can_be_made_again() {
    with_pool(|pool| {
        let (a, at) = (name("a"), Dir::open(pool.elsewhere()).unwrap());
        zfs::create(&a).unwrap();
        let target = at.make_dir("target", 0o755).unwrap();
        zfs::mount(&a, &target, false).unwrap();
        assert!(mount::is_mount_point(&at, "target").unwrap());
        assert!(zfs::unmount(&at, "target").unwrap());
        assert_eq!(zfs::get(&a, "mountpoint").unwrap(), "legacy");
        assert!(!zfs::unmount(&at, "target").unwrap());
        assert!(!zfs::unmount(&at, "nowhere").unwrap());

        zfs::mount(&a, &target, false).unwrap();
        assert!(mount::unmount(&at, "target").unwrap(), "by hand");
        zfs::mount(&a, &target, false).unwrap();
        assert!(mount::is_mount_point(&at, "target").unwrap());

        let held = fs::File::create(pool.elsewhere().join("target/held")).unwrap();
        assert!(matches!(zfs::unmount(&at, "target"), Err(Error::Busy { .. })));
        drop(held);
        assert!(zfs::unmount(&at, "target").unwrap());
    });
}

#[test]
fn nothing_is_written_through_a_read_only_mount() {
    with_pool(|pool| {
        let (a, at) = (name("a"), Dir::open(pool.elsewhere()).unwrap());
        zfs::create(&a).unwrap();
        let target = at.make_dir("target", 0o755).unwrap();
        zfs::mount(&a, &target, true).unwrap();
        let refused = fs::write(pool.elsewhere().join("target/file"), "").unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
        zfs::unmount(&at, "target").unwrap();
        zfs::mount(&a, &target, false).unwrap();
        fs::write(pool.elsewhere().join("target/file"), "").unwrap();
        zfs::unmount(&at, "target").unwrap();
    });
}

#[test]
fn a_quota_bounds_what_is_written() {
    with_pool(|pool| {
        let (a, at) = (name("a"), Dir::open(pool.elsewhere()).unwrap());
        zfs::create(&a).unwrap();
        zfs::set(&a, "quota", "4194304").unwrap();
        assert_eq!(zfs::get(&a, "quota").unwrap(), "4194304");
        let target = at.make_dir("target", 0o755).unwrap();
        zfs::mount(&a, &target, false).unwrap();
        let full = fs::write(pool.elsewhere().join("target/big"), vec![7; 16 << 20]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::QuotaExceeded);
        zfs::unmount(&at, "target").unwrap();
    });
}
