//! Paths that stay where they must, and the small things made below them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use common::Scratch;
use nacre_sys::{Dir, Error, Mode, OFlags};

fn is_escape<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::Escape { .. })), "{result:?}");
}

#[test]
fn nothing_is_reached_outside_of_the_directory() {
    let s = Scratch::new();
    s.make(&["home/in", "out"]);
    s.write("out/secret", "x");
    symlink("/etc", s.path().join("home/absolute")).unwrap();
    symlink("../out", s.path().join("home/relative")).unwrap();
    symlink("in", s.path().join("home/inside")).unwrap();
    let home = s.dir.sub("home").unwrap();
    for path in ["../out/secret", "/etc/passwd", "absolute/passwd", "relative/secret", "in/../../out/secret"]
    {
        is_escape(home.open_beneath(path, OFlags::RDONLY, Mode::empty()));
    }
    for path in ["..", "/", "relative", "absolute"] {
        is_escape(home.sub(path));
    }
    is_escape(home.make_dir("relative/x", 0o755));
    is_escape(home.write_atomic("absolute/x", b"", 0o644));
    is_escape(home.remove_tree("relative/secret"));
    is_escape(home.copy_tree("relative/secret", &home, "copy"));
    is_escape(home.rename("relative/secret", "mine"));
    assert!(matches!(home.remove_tree(".."), Err(Error::NotAName { .. })));
    assert!(matches!(home.make_dir("in/..", 0o755), Err(Error::NotAName { .. })));
    assert!(matches!(home.remove_tree(""), Err(Error::NotAName { .. })));
    home.make_dir("inside/made", 0o755).unwrap();
    assert!(s.path().join("home/in/made").is_dir());
    assert_eq!(s.read("out/secret"), "x");
}

#[test]
fn made_things_have_exactly_the_mode_that_was_asked_for() {
    let s = Scratch::new();
    let before = nacre_sys::proc::set_umask(0o077);
    s.dir.make_dir("d", 0o1777).unwrap();
    s.dir.write_atomic("f", b"one", 0o4755).unwrap();
    s.dir.write_atomic("f", b"two", 0o640).unwrap();
    nacre_sys::proc::set_umask(before);
    let mode = |name| std::fs::metadata(s.path().join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("d"), mode("f")), (0o1777, 0o640));
    assert_eq!(s.read("f"), "two");
    assert!(s.dir.make_dir("d", 0o755).unwrap_err().already_exists());
    assert!(!s.dir.ensure_dir("d", 0o700).unwrap());
    assert!(s.dir.ensure_dir("e", 0o700).unwrap());
    assert_eq!(mode("d"), 0o1777);
    assert!(s.dir.ensure_dir("f", 0o700).is_err(), "a file is no directory");
}

#[test]
fn a_write_that_fails_leaves_no_temporary_file() {
    let s = Scratch::new();
    s.make(&["d/full"]);
    assert!(s.dir.write_atomic("d", b"x", 0o644).is_err(), "a directory cannot be replaced by a file");
    let names: Vec<_> = s.dir.entries().unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(names, ["d"]);
}

#[test]
fn a_rename_never_replaces() {
    let s = Scratch::new();
    s.write("a", "a");
    s.write("b", "b");
    assert!(s.dir.rename("a", "b").unwrap_err().already_exists());
    s.dir.rename("a", "c").unwrap();
    assert_eq!((s.read("b"), s.read("c")), ("b".into(), "a".into()));
    assert!(s.dir.rename("a", "d").unwrap_err().is_not_found());
}

#[test]
fn links_are_made_read_and_seen_without_being_followed() {
    let s = Scratch::new();
    s.dir.symlink("dangling", "nowhere/x").unwrap();
    assert_eq!(s.dir.read_link("dangling").unwrap().as_os_str(), "nowhere/x");
    assert!(s.dir.exists("dangling").unwrap());
    assert!(!s.dir.exists("absent").unwrap() && !s.dir.exists("absent/x").unwrap());
    assert!(s.dir.remove("dangling").unwrap());
    assert!(!s.dir.remove("dangling").unwrap());
}

#[test]
fn removing_a_tree_does_not_follow_links_and_may_be_repeated() {
    let s = Scratch::new();
    s.make(&["tree/a/b", "kept"]);
    s.write("kept/file", "x");
    s.write("tree/a/file", "y");
    symlink("../../kept", s.path().join("tree/a/link")).unwrap();
    s.dir.remove_tree("tree").unwrap();
    assert!(!s.path().join("tree").exists());
    assert_eq!(s.read("kept/file"), "x");
    s.dir.remove_tree("tree").unwrap();
    s.dir.remove_tree("tree/below/what/is/gone").unwrap();
    symlink("kept", s.path().join("link")).unwrap();
    s.dir.remove_tree("link").unwrap();
    assert_eq!(s.read("kept/file"), "x");
}

#[test]
fn a_tree_deeper_than_any_path_is_removed() {
    let s = Scratch::new();
    let mut deep = s.dir.make_dir("tree", 0o755).unwrap();
    let name = "n".repeat(200);
    for _ in 0..500 {
        deep.write_atomic("file", b"", 0o644).unwrap();
        deep = Dir::from_fd(deep.make_dir(&name, 0o755).unwrap().into(), "deep");
    }
    assert_eq!(s.dir.tree_bytes("tree").unwrap().inodes, 1001);
    s.dir.remove_tree("tree").unwrap();
    assert!(!s.path().join("tree").exists());
}

#[test]
fn usage_counts_each_inode_once_and_holes_as_full() {
    let s = Scratch::new();
    s.make(&["tree/d"]);
    s.write("tree/a", "12345");
    std::fs::hard_link(s.path().join("tree/a"), s.path().join("tree/d/b")).unwrap();
    symlink("abc", s.path().join("tree/link")).unwrap();
    std::fs::File::create(s.path().join("tree/hole")).unwrap().set_len(1 << 20).unwrap();
    let usage = s.dir.tree_bytes("tree").unwrap();
    assert_eq!((usage.bytes, usage.inodes), (5 + 3 + (1 << 20), 5));
    let meta = |n| std::fs::metadata(s.path().join(n)).unwrap();
    let blocks = ["tree", "tree/d", "tree/a", "tree/hole"].map(|n| meta(n).blocks()).iter().sum::<u64>();
    assert_eq!(usage.allocated, blocks * 512);
}
