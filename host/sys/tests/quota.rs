//! Project quota, on ext4 and XFS in a file.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::Path;

use nacre_sys::{Dir, Error, quota};
use nacre_tests::{FsKind, LoopFs, skip};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Run a test on each file system whose projects this kernel limits.
fn on_each(work: impl Fn(&LoopFs, &Dir)) {
    if !common::root() {
        return;
    }
    heed_limits();
    for kind in [FsKind::Ext4, FsKind::Xfs] {
        match LoopFs::with_project_quota(kind, 400) {
            Some(made) => work(&made, &Dir::open(made.path()).unwrap()),
            None => skip(&format!("this kernel has no project quota on {}", kind.name())),
        }
    }
}

/// Whoever has `CAP_SYS_RESOURCE` is not limited (quotactl(2)); a container does not have it.
fn heed_limits() {
    let all = rustix::thread::capabilities(None).unwrap();
    let effective = all.effective.difference(CapabilitySet::SYS_RESOURCE);
    rustix::thread::set_capabilities(None, CapabilitySets { effective, ..all }).unwrap();
}

/// The project of a directory, as `lsattr -p` has it.
fn project(path: &Path) -> u32 {
    let said = nacre_tests::shell(&format!("lsattr -dp {}", path.display()));
    said.split_whitespace().next().unwrap().parse().unwrap()
}

fn fill(path: &Path, megabytes: usize) -> std::io::Result<()> {
    let written = std::fs::File::create(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, &vec![1; megabytes << 20]).map(|()| file))
        .and_then(|file| file.sync_all());
    if written.is_err() {
        std::fs::remove_file(path).unwrap();
    }
    written
}

#[test]
fn a_limited_folder_takes_so_many_bytes_and_the_one_beside_it_more() {
    on_each(|fs, dir| {
        for name in ["a", "b", "free"] {
            dir.make_dir(name, 0o755).unwrap();
        }
        quota::limit(&dir.sub("a").unwrap(), Some(10 << 20), None).unwrap();
        quota::limit(&dir.sub("b").unwrap(), Some(40 << 20), None).unwrap();
        dir.make_dir("a/deep", 0o755).unwrap();
        let full = fill(&fs.path().join("a/deep/big"), 20).unwrap_err();
        assert!(matches!(full.raw_os_error(), Some(libc::EDQUOT | libc::ENOSPC)), "{full}");
        fill(&fs.path().join("a/deep/small"), 5).unwrap();
        fill(&fs.path().join("b/big"), 20).unwrap();
        fill(&fs.path().join("free/big"), 60).unwrap();
        assert_eq!(project(&fs.path().join("a")), project(&fs.path().join("a/deep")));
        assert_ne!(project(&fs.path().join("a")), project(&fs.path().join("b")));
    });
}

#[test]
fn the_number_of_files_is_limited_too() {
    on_each(|fs, dir| {
        dir.make_dir("a", 0o755).unwrap();
        quota::limit(&dir.sub("a").unwrap(), None, Some(10)).unwrap();
        // The folder itself is one of them.
        let made =
            (0..20).take_while(|n| std::fs::write(fs.path().join(format!("a/{n}")), "").is_ok()).count();
        assert_eq!(made, 9);
    });
}

#[test]
fn a_second_limit_takes_the_place_of_the_first() {
    on_each(|fs, dir| {
        dir.make_dir("a", 0o755).unwrap();
        let a = dir.sub("a").unwrap();
        quota::limit(&a, Some(5 << 20), None).unwrap();
        let first = project(&fs.path().join("a"));
        quota::limit(&a, Some(30 << 20), None).unwrap();
        assert_eq!(project(&fs.path().join("a")), first);
        fill(&fs.path().join("a/file"), 20).unwrap();
        quota::limit(&a, None, None).unwrap();
        fill(&fs.path().join("a/more"), 40).unwrap();
    });
}

#[test]
fn a_removed_folder_takes_its_limit_with_it() {
    on_each(|fs, dir| {
        dir.make_dir("a", 0o755).unwrap();
        dir.make_dir("a/b", 0o755).unwrap();
        quota::limit(&dir.sub("a").unwrap(), Some(5 << 20), None).unwrap();
        let number = project(&fs.path().join("a"));
        dir.make_dir("a/below", 0o755).unwrap();
        dir.remove_tree("a/below").unwrap();
        let full = fill(&fs.path().join("a/big"), 20);
        assert!(full.is_err(), "the limit went with a folder that is not its own");
        dir.remove_tree("a").unwrap();
        dir.make_dir("next", 0o755).unwrap();
        let next = fs.path().join("next");
        nacre_tests::shell(&format!("chattr +P -p {number} {}", next.display()));
        fill(&next.join("big"), 20).unwrap();
    });
}

#[test]
fn a_file_system_without_project_quota_says_so_and_nothing_changes() {
    if !common::root() {
        return;
    }
    let Some(plain) = LoopFs::new(FsKind::Ext4, 100) else {
        return skip("no mkfs.ext4 to make a file system without quota");
    };
    let dir = Dir::open(plain.path()).unwrap();
    dir.make_dir("a", 0o755).unwrap();
    let refused = quota::limit(&dir.sub("a").unwrap(), Some(1 << 20), None).unwrap_err();
    assert!(matches!(refused, Error::Lacks { .. }), "{refused}");
    assert!(refused.to_string().contains("prjquota"), "{refused}");
    std::fs::write(plain.path().join("a/big"), vec![1; 5 << 20]).unwrap();
}
