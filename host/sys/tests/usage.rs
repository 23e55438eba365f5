//! What trees take.
#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;

use nacre_sys::Dir;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Alone in its process, since it lowers a limit.
#[test]
fn a_tree_may_be_deeper_than_files_may_be_open() {
    let temp = tempfile::tempdir_in("/var/tmp").unwrap();
    let root = Dir::open(temp.path()).unwrap();
    let depth = 300;
    let mut at = root.make_dir("tree", 0o755).unwrap();
    for _ in 0..depth {
        // A second subdirectory on every level, so that every level is come back to.
        at.make_dir("b", 0o755).unwrap();
        at.write_atomic("file", b"12345", 0o644).unwrap();
        at = Dir::from_fd(at.make_dir("a", 0o755).unwrap().into(), OsStr::new("a"));
    }
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), ..limit }).unwrap();
    let usage = root.tree_bytes("tree").unwrap();
    assert_eq!((usage.bytes, usage.inodes), (5 * depth, 3 * depth + 1));
    setrlimit(Resource::Nofile, limit).unwrap();
    root.remove_tree("tree").unwrap();
}
