//! A directory that a test works in; mounts in it end with it.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

pub mod ops;
pub mod ranges;
pub mod writer;

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nacre_sys::{Dir, FileType, Mode, mount, xattr};
use nacre_union::{Layer, Stack, Whiteouts};

#[derive(Debug)]
pub struct Scratch {
    pub dir: Dir,
    temp: tempfile::TempDir,
}

impl Scratch {
    pub fn new() -> Self {
        let temp = tempfile::tempdir_in("/var/tmp").unwrap();
        Self { dir: Dir::open(temp.path()).unwrap(), temp }
    }

    pub fn path(&self) -> &std::path::Path {
        self.temp.path()
    }

    pub fn make(&self, names: &[&str]) {
        for name in names {
            std::fs::create_dir_all(self.path().join(name)).unwrap();
        }
    }

    pub fn write(&self, rel: &str, text: &str) {
        std::fs::write(self.path().join(rel), text).unwrap();
    }

    pub fn sub(&self, rel: &str) -> Dir {
        self.dir.sub(rel).unwrap()
    }

    /// A layer in a directory, which is made where it is missing.
    pub fn layer(&self, rel: &str, whiteouts: Whiteouts) -> Layer {
        self.make(&[rel]);
        Layer::new(self.sub(rel), whiteouts)
    }

    /// A read-only stack of overlay layers.
    pub fn stack(&self, rels: &[&str]) -> Stack {
        Stack::new(rels.iter().map(|rel| self.layer(rel, Whiteouts::Overlay)))
    }

    /// Delete a name, as overlayfs does.
    pub fn whiteout(&self, rel: &str) {
        rustix::fs::mknodat(&self.dir, rel, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    }

    /// Make a directory opaque, as overlayfs does.
    pub fn opaque(&self, rel: &str) {
        self.make(&[rel]);
        xattr::set(&self.sub(rel), b"trusted.overlay.opaque", b"y").unwrap();
    }

    pub fn read(&self, rel: &str) -> String {
        std::fs::read_to_string(self.path().join(rel)).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for found in mount::below(self.path()).unwrap().iter().rev() {
            let rel = found.mount_point.strip_prefix(self.path()).unwrap();
            let _ = mount::detach(&self.dir, rel);
        }
    }
}

/// Mounts need root; says so where it is not.
pub fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        nacre_skip::skip("mounting needs root");
    }
    root
}

/// An entry of a tree, as anybody sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub mode: u32,
    pub owner: (u32, u32),
    pub rdev: u64,
    pub mtime: (i64, i64),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// A file's content or what a link says.
    pub content: Vec<u8>,
}

impl Seen {
    pub fn is_dir(&self) -> bool {
        FileType::from_raw_mode(self.mode) == FileType::Directory
    }
}

/// A tree as the system shows it: every path from its root, which is the empty one.
pub type Tree = std::collections::BTreeMap<PathBuf, Seen>;

pub fn see(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(rel) = pending.pop() {
        let seen = see_one(&root.join(&rel));
        if seen.is_dir() {
            let names = std::fs::read_dir(root.join(&rel)).unwrap();
            pending.extend(names.map(|entry| rel.join(entry.unwrap().file_name())));
        }
        tree.insert(rel, seen);
    }
    tree
}

fn see_one(path: &Path) -> Seen {
    use std::os::fd::AsFd;
    use std::os::unix::ffi::OsStringExt;
    let meta = path.symlink_metadata().unwrap();
    let parent = Dir::open(path.parent().unwrap()).unwrap();
    let carrier = xattr::Carrier::At(parent.as_fd(), path.file_name().unwrap_or(OsStr::new(".")));
    let value = |name: Vec<u8>| (xattr::get(carrier, &name).unwrap().unwrap(), name);
    let mut xattrs: Vec<_> =
        xattr::list(carrier).unwrap().into_iter().map(value).map(|(v, n)| (n, v)).collect();
    xattrs.sort();
    let content = match FileType::from_raw_mode(meta.mode()) {
        FileType::RegularFile => std::fs::read(path).unwrap(),
        FileType::Symlink => std::fs::read_link(path).unwrap().into_os_string().into_vec(),
        _ => Vec::new(),
    };
    Seen {
        mode: meta.mode(),
        owner: (meta.uid(), meta.gid()),
        rdev: meta.rdev(),
        mtime: (meta.mtime(), meta.mtime_nsec()),
        xattrs,
        content,
    }
}

/// The same, through a stack.
pub fn see_stack(stack: &Stack) -> Tree {
    use std::io::Read;
    use std::os::unix::ffi::OsStringExt;
    let mut tree = Tree::new();
    for entry in stack.walk() {
        let entry = entry.unwrap();
        let m = entry.node.metadata;
        let mut content = Vec::new();
        match m.kind {
            FileType::RegularFile => {
                std::fs::File::from(entry.node.open().unwrap()).read_to_end(&mut content).unwrap();
                assert_eq!(content.len() as u64, m.size);
            }
            FileType::Symlink => content = entry.node.read_link().unwrap().into_os_string().into_vec(),
            _ => {}
        }
        let seen = Seen {
            mode: m.kind.as_raw_mode() | m.mode,
            owner: (m.uid, m.gid),
            rdev: m.rdev,
            mtime: (m.mtime.0, m.mtime.1.into()),
            xattrs: entry.node.xattrs().unwrap(),
            content,
        };
        assert!(tree.insert(entry.path.clone(), seen).is_none(), "{:?} twice", entry.path);
    }
    tree
}
