//! The tree of a stack and its changes against the kernel's own overlayfs: random histories of a few
//! layers, each written through a real mount.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use common::{Scratch, Tree, root, see, see_stack};
use nacre_sys::mount::{self, OverlayMount, OverlayOptions};
use nacre_sys::{Dir, xattr};
use nacre_union::{Change, ChangeKind, Layer, Stack, Whiteouts, changes, compare};
use proptest::prelude::*;

const NO_PLACEHOLDERS: &[&str] = &[];
const NAMES: [&[u8]; 5] = [b"a", b"b", b"a-b", b"\xff\xfe", b"new\nline"];

type Names = Vec<usize>;

#[derive(Debug, Clone)]
enum Op {
    Write(Names),
    MakeDir(Names),
    Remove(Names),
    Link(Names, Names),
    Symlink(Names),
    Device(Names),
    Rename(Names, Names),
    Mode(Names),
    Attribute(Names),
    /// Remove a directory and make it again.
    Again(Names),
}

fn op() -> impl Strategy<Value = Op> {
    // Mostly the same few names, so that one is made and removed often.
    let name = || prop_oneof![5 => 0..2usize, 1 => 0..NAMES.len()];
    let path = move || prop::collection::vec(name(), 1..4);
    prop_oneof![
        4 => path().prop_map(Op::Write),
        4 => path().prop_map(Op::MakeDir),
        3 => path().prop_map(Op::Remove),
        1 => (path(), path()).prop_map(|(a, b)| Op::Link(a, b)),
        1 => path().prop_map(Op::Symlink),
        1 => path().prop_map(Op::Device),
        3 => (path(), path()).prop_map(|(a, b)| Op::Rename(a, b)),
        1 => path().prop_map(Op::Mode),
        1 => path().prop_map(Op::Attribute),
        3 => path().prop_map(Op::Again),
    ]
}

fn rel(names: &Names) -> PathBuf {
    names.iter().map(|n| OsStr::from_bytes(NAMES[*n])).collect()
}

/// Do it where it can be done; `n` makes what is written differ from all before.
fn apply(root: &Path, op: &Op, n: i64) {
    let at = |names: &Names| root.join(rel(names));
    let touched = match op {
        Op::Write(p) => std::fs::create_dir_all(at(p).parent().unwrap())
            .and_then(|()| std::fs::write(at(p), format!("written {n}")))
            .map(|()| at(p)),
        Op::MakeDir(p) => std::fs::create_dir_all(at(p)).map(|()| at(p)),
        Op::Remove(p) => Dir::open(root).unwrap().remove_tree(rel(p)).map_or(Ok(()), Ok).map(|()| at(p)),
        Op::Link(p, q) => std::fs::hard_link(at(p), at(q)).map(|()| at(q)),
        Op::Symlink(p) => symlink(format!("to/{n}"), at(p)).map(|()| at(p)),
        Op::Device(p) => {
            let (kind, mode) = (nacre_sys::FileType::CharacterDevice, nacre_sys::Mode::RUSR);
            let made = rustix::fs::mknodat(rustix::fs::CWD, at(p), kind, mode, n as u64 + 1);
            made.map(|()| at(p)).map_err(Into::into)
        }
        Op::Rename(p, q) => std::fs::rename(at(p), at(q)).map(|()| at(q)),
        Op::Mode(p) => {
            let mode = std::fs::Permissions::from_mode(0o700 + (n as u32 % 0o77));
            std::fs::symlink_metadata(at(p))
                .and_then(
                    |meta| if meta.is_symlink() { Ok(()) } else { std::fs::set_permissions(at(p), mode) },
                )
                .map(|()| at(p))
        }
        Op::Attribute(p) => std::fs::File::open(at(p)).map(|file| {
            let _ = xattr::set(&file, b"user.test", n.to_string().as_bytes());
            at(p)
        }),
        Op::Again(p) => {
            let _ = Dir::open(root).unwrap().remove_tree(rel(p));
            std::fs::create_dir(at(p)).map(|()| at(p))
        }
    };
    if let Ok(path) = touched {
        let time = rustix::fs::Timespec { tv_sec: 1_000_000 + n, tv_nsec: n };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        let _ = rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
    }
}

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
