//! The tree that is served, against a plain directory and against the kernel's own overlayfs.
#![cfg(feature = "fuse")]
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::ops::{Op, apply, op};
use common::{Scratch, Tree as Shown, root, see, see_stack};
use nacre_sys::mount::{self, OverlayMount, OverlayOptions};
use nacre_union::fuse::{ServeOptions, mount as serve};
use nacre_union::live::policy::{Auto, CopyUpPolicy, Ranges};
use nacre_union::live::{Options, Tree};
use nacre_union::{Stack, Whiteouts};
use proptest::prelude::*;

/// A mount and the thread that serves it.
struct Live<'a> {
    s: &'a Scratch,
    at: &'a str,
    server: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

impl<'a> Live<'a> {
    fn new(s: &'a Scratch, upper: &str, lowers: &[String], whiteouts: Whiteouts, passthrough: bool) -> Self {
        Self::copying(s, upper, lowers, whiteouts, passthrough, Arc::new(Auto))
    }

    fn copying(
        s: &'a Scratch,
        upper: &str,
        lowers: &[String],
        whiteouts: Whiteouts,
        passthrough: bool,
        copy_up: Arc<dyn CopyUpPolicy>,
    ) -> Self {
        s.make(&["live", &format!("live-work-{upper}")]);
        let tree = Tree::open(
            s.layer(upper, whiteouts),
            &s.sub(&format!("live-work-{upper}")),
            lowers.iter().map(|lower| s.layer(lower, whiteouts)),
            Options { volatile: true, copy_up, ..Options::default() },
        );
        let options = ServeOptions { passthrough, threads: 2, ..ServeOptions::default() };
        let mounted = serve(tree.unwrap(), &s.path().join("live"), &options).unwrap();
        let server = std::thread::spawn(move || mounted.serve());
        Self { s, at: "live", server: Some(server) }
    }

    fn path(&self) -> PathBuf {
        self.s.path().join(self.at)
    }

    fn end(mut self) {
        assert!(mount::unmount(&self.s.dir, self.at).unwrap());
        self.server.take().unwrap().join().unwrap().unwrap();
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        if self.server.is_some() {
            let _ = mount::detach(&self.s.dir, self.at);
        }
    }
}

fn by_kernel(s: &Scratch, upper: &str, lowers: &[String]) {
    s.make(&["merged", &format!("work-{upper}")]);
    OverlayMount::new(lowers.iter().map(|lower| s.sub(lower)))
        .upper(s.sub(upper), s.sub(&format!("work-{upper}")))
        .options(OverlayOptions {
            index: Some(false),
            metacopy: Some(false),
            redirect_dir: Some(false),
            ..Default::default()
        })
        .mount(&s.sub("merged"))
        .unwrap();
}

/// Which names are one file.
fn links(root: &Path) -> BTreeSet<Vec<PathBuf>> {
    let mut groups: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
    for (path, seen) in see(root) {
        let meta = root.join(&path).symlink_metadata().unwrap();
        if !seen.is_dir() && meta.nlink() > 1 {
            groups.entry(meta.ino()).or_default().push(path);
        }
    }
    // A newer layer may hide all names but one.
    groups.into_values().filter(|names| names.len() > 1).collect()
}

/// Without what no two trees have in common: when directories were changed.
fn timeless(tree: Shown) -> Shown {
    let still = |(path, mut seen): (PathBuf, common::Seen)| {
        if seen.is_dir() {
            seen.mtime = (0, 0);
        }
        (path, seen)
    };
    tree.into_iter().map(still).collect()
}

/// One layer more, written through the mount of nacre and to a plain copy alike.
fn ours(s: &Scratch, number: usize, ops: &[Op], passthrough: bool, ranges: bool) {
    let upper = format!("layer-{number}");
    let lowers: Vec<_> = (0..number).rev().map(|n| format!("layer-{n}")).collect();
    s.make(&[&upper]);
    let copy_up: Arc<dyn CopyUpPolicy> = if ranges { Arc::new(Ranges { from: 1 }) } else { Arc::new(Auto) };
    let live = Live::copying(s, &upper, &lowers, Whiteouts::Overlay, passthrough, copy_up);
    let plain = format!("plain-{number}");
    let plain = s.path().join(plain);
    let copied = std::process::Command::new("cp").arg("-a").arg(live.path()).arg(&plain).status().unwrap();
    assert!(copied.success());
    for (n, op) in ops.iter().enumerate() {
        let n = (number * 1000 + n) as i64;
        apply(&plain, op, n);
        apply(&live.path(), op, n);
        assert_eq!(timeless(see(&live.path())), timeless(see(&plain)), "after {op:?}");
    }
    assert_eq!(links(&live.path()), links(&plain), "hard links");
    let shown = see(&live.path());
    let groups = links(&live.path());
    live.end();
    let again = Live::new(s, &upper, &lowers, Whiteouts::Overlay, passthrough);
    assert_eq!(see(&again.path()), shown, "mounted again");
    assert_eq!(links(&again.path()), groups, "hard links, mounted again");
    again.end();
    by_kernel(s, &upper, &lowers);
    assert_eq!(see(&s.path().join("merged")), shown, "mounted by the kernel");
    assert!(mount::unmount(&s.dir, "merged").unwrap());
    let stack = Stack::writable(
        s.layer(&upper, Whiteouts::Overlay),
        lowers.iter().map(|lower| s.layer(lower, Whiteouts::Overlay)),
    );
    assert_eq!(see_stack(&stack), shown, "in process");
}

/// One layer more, written through the kernel's overlayfs.
fn theirs(s: &Scratch, number: usize, ops: &[Op]) {
    let upper = format!("layer-{number}");
    let lowers: Vec<_> = (0..number).rev().map(|n| format!("layer-{n}")).collect();
    s.make(&[&upper]);
    by_kernel(s, &upper, &lowers);
    let merged = s.path().join("merged");
    for (n, op) in ops.iter().enumerate() {
        apply(&merged, op, (number * 1000 + n) as i64);
    }
    let shown = see(&merged);
    assert!(mount::unmount(&s.dir, "merged").unwrap());
    let live = Live::new(s, &upper, &lowers, Whiteouts::Overlay, true);
    assert_eq!(see(&live.path()), shown, "mounted by nacre");
    live.end();
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48, failure_persistence: None, max_shrink_iters: 300, ..ProptestConfig::default()
    })]

    #[test]
    fn a_tree_is_what_a_plain_directory_would_be_and_the_kernel_shows_the_same(
        history in prop::collection::vec(
            (any::<[bool; 3]>(), prop::collection::vec(op(), 1..25)), 2..5
        )
    ) {
        if root() {
            let s = Scratch::new();
            s.make(&["layer-0"]);
            for (n, ([by_us, passthrough, ranges], ops)) in history.iter().enumerate() {
                if *by_us {
                    ours(&s, n + 1, ops, *passthrough, *ranges);
                } else {
                    theirs(&s, n + 1, ops);
                }
            }
        }
    }
}

#[test]
fn a_file_that_is_being_read_below_can_be_written_and_stays_one_inode() {
    use std::io::{Read, Write};
    if !root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["upper", "lower"]);
    s.write("lower/file", "old");
    for passthrough in [true, false] {
        let upper = format!("upper-{passthrough}");
        let live = Live::new(&s, &upper, &["lower".into()], Whiteouts::Overlay, passthrough);
        let path = live.path().join("file");
        let number = path.metadata().unwrap().ino();
        let mut reader = std::fs::File::open(&path).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b" and new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old and new");
        assert_eq!(path.metadata().unwrap().ino(), number);
        assert_eq!(reader.metadata().unwrap().len(), 11);
        let mut seen = String::new();
        reader.read_to_string(&mut seen).unwrap();
        assert!(seen.starts_with("old"), "{seen}");
        drop(reader);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old and new");
        live.end();
        assert_eq!(s.read("lower/file"), "old");
    }
}

#[test]
fn what_was_deleted_and_is_open_can_be_read_written_and_changed() {
    use std::io::{Read, Seek, Write};
    use std::os::unix::fs::PermissionsExt;
    if !root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["upper", "lower"]);
    for file in ["lower/read", "lower/written"] {
        s.write(file, "below");
    }
    let live = Live::new(&s, "upper", &["lower".into()], Whiteouts::Overlay, true);
    let mut read = std::fs::File::open(live.path().join("read")).unwrap();
    let open = std::fs::OpenOptions::new().read(true).append(true).open(live.path().join("written"));
    let mut written = open.unwrap();
    for name in ["read", "written"] {
        std::fs::remove_file(live.path().join(name)).unwrap();
    }
    written.write_all(b", more").unwrap();
    written.rewind().unwrap();
    let mut seen = String::new();
    written.read_to_string(&mut seen).unwrap();
    read.read_to_string(&mut seen).unwrap();
    assert_eq!(seen, "below, morebelow");
    read.set_permissions(std::fs::Permissions::from_mode(0o600)).unwrap();
    for file in [&read, &written] {
        assert_eq!(file.metadata().unwrap().nlink(), 0);
    }
    assert_eq!(read.metadata().unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(live.path()).unwrap().count(), 0);
    drop((read, written));
    live.end();
    assert_eq!((s.read("lower/read"), s.read("lower/written")), ("below".into(), "below".into()));
}

#[test]
fn names_of_one_file_below_stay_one_file_when_it_is_copied_up() {
    if !root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["upper", "newer", "lower/deep/down"]);
    s.write("lower/one", "text");
    for name in ["lower/two", "lower/deep/down/three", "lower/hidden"] {
        std::fs::hard_link(s.path().join("lower/one"), s.path().join(name)).unwrap();
    }
    s.whiteout("newer/hidden");
    let lowers = ["newer".into(), "lower".into()];
    let live = Live::new(&s, "upper", &lowers, Whiteouts::Overlay, true);
    std::fs::write(live.path().join("two"), "changed").unwrap();
    live.end();
    by_kernel(&s, "upper", &lowers);
    let merged = s.path().join("merged");
    for name in ["one", "two", "deep/down/three"] {
        assert_eq!(std::fs::read_to_string(merged.join(name)).unwrap(), "changed", "{name}");
        assert_eq!(merged.join(name).metadata().unwrap().nlink(), 3);
    }
    assert!(!merged.join("hidden").exists());
    assert!(mount::unmount(&s.dir, "merged").unwrap());
}

#[test]
fn a_directory_that_was_renamed_shows_nothing_that_was_deleted_in_it_before() {
    if !root() {
        return;
    }
    let s = Scratch::new();
    s.make(&["upper", "lower/dir/gone", "lower/dir/sub"]);
    s.write("lower/dir/sub/gone", "");
    let live = Live::new(&s, "upper", &["lower".into()], Whiteouts::Overlay, true);
    std::fs::remove_dir(live.path().join("dir/gone")).unwrap();
    std::fs::remove_file(live.path().join("dir/sub/gone")).unwrap();
    std::fs::rename(live.path().join("dir"), live.path().join("new")).unwrap();
    let shown = see(&live.path());
    live.end();
    by_kernel(&s, "upper", &["lower".into()]);
    assert_eq!(see(&s.path().join("merged")), shown);
    assert_eq!(shown.len(), 3);
    assert!(mount::unmount(&s.dir, "merged").unwrap());
}
