//! The tree of a stack and its changes against the kernel's own overlayfs: random histories of a few
//! layers, each written through a real mount.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use common::ops::{NAMES, Op, apply, op};
use common::{Scratch, Tree, root, see, see_stack};
use nacre_sys::mount::{self, OverlayMount, OverlayOptions};
use nacre_sys::{Dir, xattr};
use nacre_union::{Change, ChangeKind, Layer, Stack, Whiteouts, changes, compare};
use proptest::prelude::*;

const NO_PLACEHOLDERS: &[&str] = &[];
/// What changed between two trees. `rewritten` are files that count as modified whatever is in them.
fn differences(before: &Tree, after: &Tree, rewritten: &BTreeSet<PathBuf>) -> Vec<Change> {
    let mut found: Vec<(PathBuf, ChangeKind, bool)> = Vec::new();
    for (path, was) in before {
        let parent_is_dir = || after.get(path.parent().unwrap()).is_some_and(|parent| parent.is_dir());
        if !after.contains_key(path) && parent_is_dir() {
            found.push((path.clone(), ChangeKind::Deleted, was.is_dir()));
        }
    }
    for (path, is) in after {
        match before.get(path) {
            None => found.push((path.clone(), ChangeKind::Added, is.is_dir())),
            Some(was) if was != is || rewritten.contains(path) => {
                found.push((path.clone(), ChangeKind::Modified, is.is_dir()));
            }
            Some(_) => {}
        }
    }
    let mut all: BTreeSet<(PathBuf, ChangeKind, bool)> = found.iter().cloned().collect();
    for (path, ..) in &found {
        for dir in path.ancestors().skip(1) {
            let was_dir = before.get(dir).is_some_and(|was| was.is_dir());
            let is_dir = after.get(dir).is_some_and(|is| is.is_dir());
            if was_dir && is_dir {
                all.insert((dir.to_owned(), ChangeKind::Modified, true));
            }
        }
    }
    let change = |(path, kind, is_dir)| Change { path: Path::new("/").join(path), kind, is_dir };
    let mut all: Vec<_> =
        all.into_iter().filter(|(path, ..)| !path.as_os_str().is_empty()).map(change).collect();
    all.sort_by(|a, b| a.path.as_os_str().as_bytes().cmp(b.path.as_os_str().as_bytes()));
    all
}

/// Write a layer's whiteouts as aufs does.
fn to_aufs(dir: &Path) {
    let meta = dir.symlink_metadata().unwrap();
    let entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap()).collect();
    for entry in entries {
        let (kind, path) = (entry.file_type().unwrap(), entry.path());
        if kind.is_dir() {
            to_aufs(&path);
        } else if kind.is_char_device()
            && std::os::unix::fs::MetadataExt::rdev(&entry.metadata().unwrap()) == 0
        {
            std::fs::remove_file(&path).unwrap();
            let name = [b".wh.", entry.file_name().as_bytes()].concat();
            std::fs::write(dir.join(OsStr::from_bytes(&name)), "").unwrap();
        }
    }
    let opened = Dir::open(dir).unwrap();
    if xattr::remove(&opened, b"trusted.overlay.opaque").unwrap() {
        std::fs::write(dir.join(".wh..wh..opq"), "").unwrap();
    }
    let times = std::fs::FileTimes::new().set_modified(meta.modified().unwrap());
    std::fs::File::open(dir).unwrap().set_times(times).unwrap();
}

fn check_view(stack: &Stack, shown: &Tree) {
    let mut seen = see_stack(stack);
    // The root is that of the topmost layer, which the mount's own upper layer was when it was seen.
    seen.insert(PathBuf::new(), shown[Path::new("")].clone());
    assert_eq!(&seen, shown, "the walk");
    for (path, seen) in shown {
        let node = stack.lookup(path).unwrap().unwrap();
        assert_eq!(node.metadata.kind.as_raw_mode() | node.metadata.mode, seen.mode, "{path:?}");
        assert_eq!(stack.trail(path).unwrap().answer, Some(node.layer), "the trail of {path:?}");
        for name in NAMES {
            let below = path.join(OsStr::from_bytes(name));
            if shown.contains_key(&below) {
                continue;
            }
            assert_eq!(stack.trail(&below).unwrap().answer, None, "the trail of {below:?}");
            if seen.is_dir() {
                assert!(stack.lookup(&below).unwrap().is_none(), "{below:?} is not shown");
            } else {
                assert!(stack.lookup(&below).is_err(), "{below:?} goes through a file");
            }
        }
    }
}

/// One layer more: mounted, written to, compared, unmounted.
fn generation(s: &Scratch, number: usize, ops: &[Op]) {
    let name = |n: usize| format!("layer-{n}");
    s.make(&[&name(number), &format!("work-{number}"), "merged"]);
    let lowers: Vec<_> = (0..number).rev().map(name).collect();
    OverlayMount::new(lowers.iter().map(|lower| s.sub(lower)))
        .upper(s.sub(&name(number)), s.sub(&format!("work-{number}")))
        .options(OverlayOptions {
            index: Some(false),
            metacopy: Some(false),
            redirect_dir: Some(false),
            ..Default::default()
        })
        .mount(&s.sub("merged"))
        .unwrap();
    let merged = s.path().join("merged");
    let before = see(&merged);
    for (n, op) in ops.iter().enumerate() {
        apply(&merged, op, (number * 1000 + n) as i64);
    }
    let after = see(&merged);
    assert!(mount::unmount(&s.dir, "merged").unwrap());

    let layers = |kind: &str, whiteouts| -> Vec<Layer> {
        lowers.iter().map(|lower| s.layer(&format!("{kind}{lower}"), whiteouts)).collect()
    };
    let upper = name(number);
    s.dir.copy_tree(&upper, &s.dir, format!("aufs-{upper}")).unwrap();
    to_aufs(&s.path().join(format!("aufs-{upper}")));
    let files = |(path, _): &(&PathBuf, &common::Seen)| {
        std::fs::symlink_metadata(s.path().join(&upper).join(path)).is_ok_and(|meta| !meta.is_dir())
    };
    let rewritten: BTreeSet<_> = after.iter().filter(files).map(|(path, _)| path.clone()).collect();
    let expected = differences(&before, &after, &rewritten);
    for (kind, whiteouts) in [("", Whiteouts::Overlay), ("aufs-", Whiteouts::Aufs)] {
        let top = s.layer(&format!("{kind}{upper}"), whiteouts);
        let below = Stack::new(layers(kind, whiteouts));
        check_view(&below, &before);
        let stack = Stack::writable(top.clone(), layers(kind, whiteouts));
        check_view(&stack, &after);
        assert_eq!(changes(&top, &below, NO_PLACEHOLDERS).unwrap(), expected, "changes, {whiteouts:?}");
        let pure = differences(&before, &after, &BTreeSet::new());
        assert_eq!(compare(&below, &stack, NO_PLACEHOLDERS).unwrap(), pure, "compared, {whiteouts:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64, failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::default()
    })]

    #[test]
    fn a_stack_shows_what_the_kernel_shows_and_its_changes_are_what_happened(
        history in prop::collection::vec(prop::collection::vec(op(), 1..25), 2..5)
    ) {
        if root() {
            let s = Scratch::new();
            s.make(&["layer-0", "aufs-layer-0"]);
            for (n, ops) in history.iter().enumerate() {
                generation(&s, n + 1, ops);
            }
        }
    }
}
