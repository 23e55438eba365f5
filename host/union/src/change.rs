use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::node::Node;
use crate::stack::names;

/// What happened to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is different, or something in it is.
    Modified,
    /// It is gone.
    Deleted,
}

impl ChangeKind {
    /// `A`, `C` or `D`, as `docker diff` prints.
    pub fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Modified => 'C',
            Self::Deleted => 'D',
        }
    }
}

/// A difference between two trees.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Change {
    /// Where, with a leading `/`.
    pub path: PathBuf,
    /// What.
    pub kind: ChangeKind,
    /// It is a directory; of a deleted one, that it was.
    pub is_dir: bool,
}

/// How a directory itself differs from what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    Added,
    None,
    /// In its time of modification alone: entries came or went.
    Time,
    Other,
}

impl Difference {
    /// Of a directory that was one before.
    pub(crate) fn of(old: &Node, new: &Node) -> Result<Self> {
        let (was, is) = (&old.metadata, &new.metadata);
        let plain = |m: &crate::node::Metadata| (m.mode, m.uid, m.gid);
        Ok(if plain(was) != plain(is) || old.xattrs()? != new.xattrs()? {
            Self::Other
        } else if was.mtime != is.mtime {
            Self::Time
        } else {
            Self::None
        })
    }
}

/// What was met in a directory.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Inside {
    pub(crate) changed: bool,
    pub(crate) placeholder: bool,
}

/// Changes as they are found, without placeholders: files and directories that a container's runtime makes
/// to mount something on.
#[derive(Debug)]
pub(crate) struct Report {
    changes: Vec<Change>,
    placeholders: HashSet<PathBuf>,
}

impl Report {
    pub(crate) fn new(placeholders: &[impl AsRef<Path>]) -> Self {
        let normal = |path: &dyn AsRef<Path>| names(path.as_ref()).iter().collect();
        Self { changes: Vec::new(), placeholders: placeholders.iter().map(|p| normal(p)).collect() }
    }

    /// Note a change of anything that need not be looked into.
    pub(crate) fn note(&mut self, path: &Path, kind: ChangeKind, is_dir: bool, inside: &mut Inside) {
        self.changes.push(Change { path: Path::new("/").join(path), kind, is_dir });
        inside.changed = true;
    }

    /// Note something new that is no directory.
    pub(crate) fn note_new_file(&mut self, path: &Path, node: &Node, inside: &mut Inside) {
        let file = node.metadata.kind == rustix::fs::FileType::RegularFile;
        if file && node.metadata.size == 0 && self.placeholders.contains(path) {
            inside.placeholder = true;
        } else {
            self.note(path, ChangeKind::Added, false, inside);
        }
    }

    /// Note a directory after all that is in it.
    pub(crate) fn leave(&mut self, path: &Path, how: Difference, met: Inside, parent: &mut Inside) {
        let only_placeholders = met.placeholder && !met.changed;
        let left_out = match how {
            Difference::Added => only_placeholders || (!met.changed && self.placeholders.contains(path)),
            Difference::Time => only_placeholders,
            Difference::None => !met.changed,
            Difference::Other => false,
        };
        if left_out {
            parent.placeholder |= met.placeholder || how == Difference::Added;
            return;
        }
        let kind = if how == Difference::Added { ChangeKind::Added } else { ChangeKind::Modified };
        self.note(path, kind, true, parent);
    }

    /// All changes, sorted by path.
    pub(crate) fn finish(mut self) -> Vec<Change> {
        let bytes = |change: &Change| change.path.as_os_str().as_bytes().to_vec();
        self.changes.sort_by_cached_key(bytes);
        self.changes
    }
}
