//! Trees of files, entry by entry.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::files::xattrs;
use crate::verdict::{Done, Expected, holds};

/// All that is known of one entry, each aspect as text.
pub(crate) type Entry = BTreeMap<&'static str, String>;

/// A tree: its entries by path. The root itself is the empty path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tree {
    entries: BTreeMap<Vec<u8>, Entry>,
}

impl Tree {
    /// Reads a tree, contents and all.
    pub(crate) fn read(root: &Path) -> Done<Self> {
        let mut tree = Self::default();
        let mut links: BTreeMap<(u64, u64), Vec<Vec<u8>>> = BTreeMap::new();
        let mut todo = vec![PathBuf::new()];
        while let Some(relative) = todo.pop() {
            let path = if relative.as_os_str().is_empty() { root.to_owned() } else { root.join(&relative) };
            let readable = || format!("{} can be read", path.display());
            let meta = std::fs::symlink_metadata(&path).or_stop(readable)?;
            if meta.is_dir() {
                for name in std::fs::read_dir(&path).or_stop(readable)? {
                    todo.push(relative.join(name.or_stop(readable)?.file_name()));
                }
            }
            let name = relative.as_os_str().as_bytes().to_vec();
            if !meta.is_dir() && meta.nlink() > 1 {
                links.entry((meta.dev(), meta.ino())).or_default().push(name.clone());
            }
            tree.entries.insert(name, entry(&path, &meta)?);
        }
        // When the root was last changed says nothing: no layer tells, and a mount may be new.
        if let Some(root) = tree.entries.get_mut(&b""[..]) {
            root.remove("mtime");
        }
        for mut group in links.into_values().filter(|group| group.len() > 1) {
            group.sort();
            let names: Vec<_> = group.iter().map(|name| lossy(name)).collect();
            for name in &group {
                if let Some(entry) = tree.entries.get_mut(name) {
                    entry.insert("names", names.join(" = "));
                }
            }
        }
        Ok(tree)
    }

    /// Without some aspects: `mtime`, `names`, ….
    pub(crate) fn without(mut self, aspects: &[&str]) -> Self {
        for entry in self.entries.values_mut() {
            entry.retain(|aspect, _| !aspects.contains(aspect));
        }
        self
    }

    /// Without the times of directories, which change with what is in them.
    pub(crate) fn without_directory_times(mut self) -> Self {
        for entry in self.entries.values_mut() {
            if entry.get("type").is_some_and(|kind| kind == "directory") {
                entry.remove("mtime");
            }
        }
        self
    }

    /// Without the root itself, of which most layers say nothing.
    pub(crate) fn without_root(mut self) -> Self {
        self.entries.remove(&b""[..]);
        self
    }

    /// One aspect of an entry; empty where there is no such entry or aspect.
    pub(crate) fn aspect(&self, path: &str, aspect: &str) -> String {
        let entry = self.entries.get(path.as_bytes());
        entry.and_then(|entry| entry.get(aspect)).cloned().unwrap_or_default()
    }

    /// The paths in it, without the root.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.entries.keys().filter(|path| !path.is_empty()).map(|path| lossy(path)).collect()
    }

    /// How `found` differs from this, a line for each difference.
    pub(crate) fn differences(&self, found: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, mine) in &self.entries {
            let name = lossy(path);
            let Some(theirs) = found.entries.get(path) else {
                lines.push(format!("/{name} is missing"));
                continue;
            };
            let aspects: std::collections::BTreeSet<_> = mine.keys().chain(theirs.keys()).collect();
            for aspect in aspects {
                let (mine, theirs) = (mine.get(aspect), theirs.get(aspect));
                if mine != theirs {
                    let text = |value: Option<&String>| value.map_or("none", String::as_str).to_owned();
                    lines.push(format!("/{name}: {aspect} is {}, not {}", text(theirs), text(mine)));
                }
            }
        }
        let surplus = found.entries.keys().filter(|path| !self.entries.contains_key(*path));
        lines.extend(surplus.map(|path| format!("/{} should not be there", lossy(path))));
        lines
    }

    /// Stops unless `found` is the same.
    pub(crate) fn must_equal(&self, found: &Self, what: &str) -> Done {
        const SHOWN: usize = 8;
        let lines = self.differences(found);
        holds(lines.is_empty(), what, || {
            let more = lines.len().saturating_sub(SHOWN);
            let mut text = lines.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
            if more > 0 {
                text.push_str(&format!("; and {more} more differences"));
            }
            text
        })
    }
}

fn entry(path: &Path, meta: &std::fs::Metadata) -> Done<Entry> {
    let readable = || format!("{} can be read", path.display());
    let kind = meta.file_type();
    let mut entry = Entry::from([
        ("mode", format!("{:04o}", meta.mode() & 0o7777)),
        ("owner", format!("{}:{}", meta.uid(), meta.gid())),
        ("mtime", time_of(meta)),
    ]);
    let word = if kind.is_dir() {
        "directory"
    } else if kind.is_file() {
        entry.insert("size", meta.len().to_string());
        let content = std::fs::read(path).or_stop(readable)?;
        entry.insert("content", describe(&content));
        "file"
    } else if kind.is_symlink() {
        let target = std::fs::read_link(path).or_stop(readable)?;
        entry.insert("target", lossy(target.as_os_str().as_bytes()));
        "symlink"
    } else if kind.is_fifo() {
        "fifo"
    } else if kind.is_socket() {
        "socket"
    } else {
        let (major, minor) = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
        entry.insert("device", format!("{major}:{minor}"));
        if kind.is_block_device() { "block device" } else { "character device" }
    };
    entry.insert("type", word.to_owned());
    let attributes: Vec<_> =
        xattrs(path)?.into_iter().map(|(name, value)| format!("{name}={}", hex::encode(value))).collect();
    if !attributes.is_empty() {
        entry.insert("attributes", attributes.join(" "));
    }
    Ok(entry)
}

/// The time of the last change, in seconds.
pub(crate) fn time_of(meta: &std::fs::Metadata) -> String {
    format!("{}.{:09}", meta.mtime(), meta.mtime_nsec())
}

/// A short text itself, anything else by its digest.
fn describe(content: &[u8]) -> String {
    match std::str::from_utf8(content) {
        Ok(text) if text.len() <= 32 => format!("{text:?}"),
        _ => format!("sha256:{}", hex::encode(&Sha256::digest(content)[..8])),
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
