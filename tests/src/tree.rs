//! Trees of files, entry by entry.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{lgetxattr, llistxattr};
use sha2::Digest;

/// All that is known of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `file`, `directory`, `symlink`, `fifo`, `socket`, `char` or `block`.
    pub kind: &'static str,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Bytes of a regular file.
    pub size: u64,
    /// SHA-256 of a regular file.
    pub sha256: String,
    /// What a symbolic link says.
    pub target: Vec<u8>,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Seconds and nanoseconds.
    pub mtime: (i64, i64),
    /// Extended attributes but overlayfs's own.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first path of the entry's hard-link group, for files with more than one link.
    pub links_to: Option<Vec<u8>>,
}

/// A tree: its entries by path. The root itself is the empty path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    /// Entries by path relative to the root.
    pub entries: BTreeMap<Vec<u8>, Entry>,
}

impl Tree {
    /// Reads a tree, contents and all.
    pub fn read(root: &Path) -> Self {
        let mut tree = Self::default();
        let mut groups: BTreeMap<(u64, u64), Vec<Vec<u8>>> = BTreeMap::new();
        let mut todo = vec![PathBuf::new()];
        while let Some(relative) = todo.pop() {
            let path = root.join(&relative);
            let meta =
                std::fs::symlink_metadata(&path).unwrap_or_else(|e| panic!("stat {}: {e}", path.display()));
            if meta.is_dir() {
                let names =
                    std::fs::read_dir(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
                todo.extend(names.map(|name| relative.join(name.expect("a directory entry").file_name())));
            }
            let entry = entry(&path, &meta);
            tree.entries.insert(relative.into_os_string().into_vec(), entry);
        }
        // Groups are named after their first path in order, not in the order of reading.
        for path in tree.entries.keys() {
            let meta = std::fs::symlink_metadata(root.join(OsStr::from_bytes(path))).expect("stat");
            if meta.nlink() > 1 && !meta.is_dir() {
                groups.entry((meta.dev(), meta.ino())).or_default().push(path.clone());
            }
        }
        // A file's other names may all be outside of the tree.
        for names in groups.values().filter(|names| names.len() > 1) {
            for name in names {
                tree.entries.entry(name.clone()).and_modify(|entry| entry.links_to = Some(names[0].clone()));
            }
        }
        tree
    }

    /// One hash of everything in it, times of access aside.
    pub fn hash(&self) -> String {
        crate::sha256(format!("{:?}", self.entries).as_bytes())
    }

    /// How `other` differs, a line for each difference; empty when it does not.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, mine) in &self.entries {
            let name = String::from_utf8_lossy(path);
            match other.entries.get(path) {
                None => lines.push(format!("/{name}: only in the first")),
                Some(theirs) => lines.extend(mine.differences(theirs).map(|d| format!("/{name}: {d}"))),
            }
        }
        for path in other.entries.keys().filter(|path| !self.entries.contains_key(*path)) {
            lines.push(format!("/{}: only in the second", String::from_utf8_lossy(path)));
        }
        lines
    }

    /// Fails with a readable list unless `other` is the same.
    #[track_caller]
    pub fn assert_same(&self, other: &Self, what: &str) {
        let lines = self.differences(other);
        let mut message = String::new();
        for line in lines.iter().take(40) {
            let _ = writeln!(message, "  {line}");
        }
        assert!(lines.is_empty(), "{what}: {} differences\n{message}", lines.len());
    }
}

impl Entry {
    fn differences(&self, other: &Self) -> impl Iterator<Item = String> {
        let pairs = [
            ("type", self.kind.to_owned(), other.kind.to_owned()),
            ("mode", format!("{:o}", self.mode), format!("{:o}", other.mode)),
            ("owner", format!("{:?}", self.owner), format!("{:?}", other.owner)),
            ("size", self.size.to_string(), other.size.to_string()),
            ("content", self.sha256.clone(), other.sha256.clone()),
            ("link target", lossy(&self.target), lossy(&other.target)),
            ("device", format!("{:?}", self.device), format!("{:?}", other.device)),
            (
                "mtime",
                format!("{}.{:09}", self.mtime.0, self.mtime.1),
                format!("{}.{:09}", other.mtime.0, other.mtime.1),
            ),
            ("xattrs", attributes(&self.xattrs), attributes(&other.xattrs)),
            (
                "hard link",
                format!("{:?}", self.links_to.as_deref().map(lossy)),
                format!("{:?}", other.links_to.as_deref().map(lossy)),
            ),
        ];
        pairs.into_iter().filter(|(_, a, b)| a != b).map(|(what, a, b)| format!("{what} {a}, then {b}"))
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn attributes(xattrs: &BTreeMap<Vec<u8>, Vec<u8>>) -> String {
    xattrs
        .iter()
        .map(|(name, value)| format!("{}={}", lossy(name), hex::encode(value)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn entry(path: &Path, meta: &std::fs::Metadata) -> Entry {
    let kind = match meta.mode() & 0o170_000 {
        0o040_000 => "directory",
        0o120_000 => "symlink",
        0o010_000 => "fifo",
        0o140_000 => "socket",
        0o020_000 => "char",
        0o060_000 => "block",
        _ => "file",
    };
    let device = if matches!(kind, "char" | "block") { meta.rdev() } else { 0 };
    Entry {
        kind,
        mode: meta.mode() & 0o7777,
        owner: (meta.uid(), meta.gid()),
        size: if kind == "file" { meta.len() } else { 0 },
        sha256: if kind == "file" { hash_file(path) } else { String::new() },
        target: if kind == "symlink" {
            std::fs::read_link(path).expect("reading a link").into_os_string().into_vec()
        } else {
            Vec::new()
        },
        device: (rustix::fs::major(device), rustix::fs::minor(device)),
        mtime: (meta.mtime(), meta.mtime_nsec()),
        xattrs: xattrs(path),
        links_to: None,
    }
}

fn hash_file(path: &Path) -> String {
    let mut file = std::fs::File::open(path).unwrap_or_else(|e| panic!("open {}: {e}", path.display()));
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match std::io::Read::read(&mut file, &mut buffer) {
            Ok(0) => return hex::encode(hasher.finalize()),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(e) => panic!("read {}: {e}", path.display()),
        }
    }
}

fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 64 << 10];
    let length = match llistxattr(path, &mut names[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        Err(e) => panic!("attributes of {}: {e}", path.display()),
    };
    let mut found = BTreeMap::new();
    for name in names[..length].split(|b| *b == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(b"trusted.overlay.") || name == b"security.selinux" {
            continue;
        }
        let mut value = vec![0; 64 << 10];
        let length = lgetxattr(path, OsStr::from_bytes(name), &mut value[..])
            .unwrap_or_else(|e| panic!("attribute {} of {}: {e}", lossy(name), path.display()));
        value.truncate(length);
        found.insert(name.to_vec(), value);
    }
    found
}
