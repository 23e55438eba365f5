//! A directory tree as a value, to be compared with another.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// What there is to know of a file but its inode number and the times that nobody can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    mode: u32,
    owner: (u32, u32),
    mtime: Option<(i64, i64)>,
    device: u64,
    content: Vec<u8>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The first path of the same inode.
    same_as: Option<Vec<u8>>,
}

/// All below a directory, and itself as the empty path. `nanoseconds` says whether those of the times count.
pub(super) fn tree_of(root: &Path, nanoseconds: bool) -> BTreeMap<String, Node> {
    let mut tree = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    let mut inodes: HashMap<u64, Vec<u8>> = HashMap::new();
    let mut all = Vec::new();
    while let Some(path) = left.pop() {
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        all.push(path);
    }
    all.sort();
    for path in all {
        let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let kind = metadata.file_type();
        let mut same_as = None;
        if !kind.is_dir() && metadata.nlink() > 1 {
            same_as = Some(inodes.entry(metadata.ino()).or_insert(name.clone()).clone());
        }
        let content = if kind.is_file() {
            fs::read(&path).unwrap()
        } else if kind.is_symlink() {
            fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
        } else {
            Vec::new()
        };
        let is_device = kind.is_char_device() || kind.is_block_device();
        let node = Node {
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            mtime: Some((metadata.mtime(), if nanoseconds { metadata.mtime_nsec() } else { 0 })),
            device: if is_device { metadata.rdev() } else { 0 },
            content,
            xattrs: xattrs_of(&path),
            same_as,
        };
        tree.insert(name.escape_ascii().to_string(), node);
    }
    tree
}

pub(super) fn xattrs_of(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names = vec![0; 4096];
    let length = rustix::fs::llistxattr(path, names.as_mut_slice()).unwrap();
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut xattrs: Vec<_> = names
        .map(|name| {
            let mut value = vec![0; 65536];
            let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).unwrap();
            value.truncate(length);
            (name.to_vec(), value)
        })
        .collect();
    xattrs.sort();
    xattrs
}

pub(super) fn assert_same(one: &BTreeMap<String, Node>, other: &BTreeMap<String, Node>) {
    for (name, node) in one {
        assert_eq!(Some(node), other.get(name), "`{name}` differs");
    }
    for name in other.keys() {
        assert!(one.contains_key(name), "`{name}` is too much");
    }
}
