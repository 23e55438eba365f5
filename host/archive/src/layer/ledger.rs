//! What a layer has put into the tree so far, by canonical path (one without symbolic links).

use std::collections::BTreeMap;

use super::field::Time;
use super::sparse::Segment;

/// An entry that something is still to be done about.
#[derive(Debug)]
pub(super) enum Made {
    /// A directory: what must wait until nothing is created in it any more.
    Directory(Late),
    /// A regular file with content, or the segments of a sparse one: the framing refers to it.
    Content { size: u64, segments: Option<Vec<Segment>> },
    /// Anything else. Kept only where it matters what came from this layer.
    Other,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Late {
    pub(super) mtime: Time,
    pub(super) atime: Option<Time>,
    /// The mode, if it has the set-group-ID bit: what is made in such a directory inherits the group.
    pub(super) mode: Option<u32>,
    /// The default ACL: what is made in the directory inherits it.
    pub(super) default_acl: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    made: BTreeMap<Vec<u8>, Made>,
}

impl Ledger {
    pub(super) fn insert(&mut self, path: Vec<u8>, made: Made) {
        self.made.insert(path, made);
    }

    /// Whether the layer made this, or something below it.
    pub(super) fn has(&self, path: &[u8]) -> bool {
        self.made.contains_key(path) || self.made.range(below(path)).next().is_some()
    }

    /// Whether the layer made this itself.
    pub(super) fn has_exactly(&self, path: &[u8]) -> bool {
        self.made.contains_key(path)
    }

    /// It is gone from the tree, with all that was below it.
    pub(super) fn take(&mut self, path: &[u8]) -> Vec<(Vec<u8>, Made)> {
        let mut taken = Vec::new();
        taken.extend(self.made.remove_entry(path));
        let paths: Vec<_> = self.made.range(below(path)).map(|(path, _)| path.clone()).collect();
        taken.extend(paths.into_iter().filter_map(|path| self.made.remove_entry(&path)));
        taken
    }

    /// The directories, and what is left to do to them. The ledger is empty afterwards.
    pub(super) fn into_directories(self) -> impl Iterator<Item = (Vec<u8>, Late)> {
        self.made.into_iter().filter_map(|(path, made)| match made {
            Made::Directory(late) => Some((path, late)),
            _ => None,
        })
    }
}

/// All paths that begin with this one and a slash.
fn below(path: &[u8]) -> std::ops::Range<Vec<u8>> {
    if path.is_empty() {
        // Below the root is everything that has a name.
        return vec![0]..vec![0xff; 2];
    }
    let mut first = path.to_vec();
    let mut after = path.to_vec();
    first.push(b'/');
    after.push(b'/' + 1);
    first..after
}
