//! What can be decided differently: where to search, what to keep, how to copy up. The defaults are native.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::path::Path;

pub use super::cache::Lru;

/// Some of the read-only layers, by their place in the stack, 0 the newest. At most 512.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LayerSet([u64; 8]);

impl LayerSet {
    /// Add a layer. Those behind the 512th are left out.
    pub fn insert(&mut self, layer: usize) {
        if let Some(word) = self.0.get_mut(layer / 64) {
            *word |= 1 << (layer % 64);
        }
    }

    /// Whether a layer is in it.
    pub fn contains(&self, layer: usize) -> bool {
        self.0.get(layer / 64).is_some_and(|word| word & (1 << (layer % 64)) != 0)
    }
}

/// Says which read-only layers are worth a look. It is asked only where no list of names answers.
pub trait SearchPolicy: Debug + Send + Sync {
    /// The layers to be probed for a name in a directory, whose path is from the root of a layer; none: all.
    /// What is left out is taken to lack the name.
    fn layers(&self, directory: &Path, name: &OsStr) -> Option<LayerSet>;
}

/// All layers, the newest first.
#[derive(Debug, Default, Clone, Copy)]
pub struct NewestFirst;

impl SearchPolicy for NewestFirst {
    fn layers(&self, _directory: &Path, _name: &OsStr) -> Option<LayerSet> {
        None
    }
}

/// Says which lists of names go when there is no room. A list is known by its directory's number.
pub trait CachePolicy: Debug + Send {
    /// A list is kept from now on, or has another size.
    fn admitted(&mut self, key: u64, bytes: usize);
    /// Lists were used, in this order. Told in batches.
    fn accessed(&mut self, keys: &[u64]);
    /// A list is kept no more.
    fn removed(&mut self, key: u64);
    /// The list that goes next; none, or one that is not kept: any does.
    fn victim(&mut self) -> Option<u64>;
}

/// A file that is to be copied up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyUp {
    /// Its length in bytes.
    pub size: u64,
    /// What of it is no hole, in bytes.
    pub allocated: u64,
    /// The writable layer is on the same file system.
    pub same_filesystem: bool,
    /// How much of the data is needed: less than the size when it is truncated at once.
    pub needed: u64,
}

/// How a file is copied up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyUpKind {
    /// The data is shared where the file system can, else all of it is copied.
    Reflink,
    /// All data is copied.
    Whole,
    /// The data is shared where the file system can. Else only the parts that are written are copied, and the
    /// rest is read from below until it is settled: a change of attributes copies nothing. Where that cannot be,
    /// all data is copied.
    Ranges,
}

/// Chooses how a file is copied up.
pub trait CopyUpPolicy: Debug + Send + Sync {
    /// How this file is.
    fn choose(&self, file: &CopyUp) -> CopyUpKind;
}

/// Share data where that can be.
#[derive(Debug, Default, Clone, Copy)]
pub struct Auto;

impl CopyUpPolicy for Auto {
    fn choose(&self, file: &CopyUp) -> CopyUpKind {
        if file.same_filesystem { CopyUpKind::Reflink } else { CopyUpKind::Whole }
    }
}

/// Copy all data, always.
#[derive(Debug, Default, Clone, Copy)]
pub struct Whole;

impl CopyUpPolicy for Whole {
    fn choose(&self, _file: &CopyUp) -> CopyUpKind {
        CopyUpKind::Whole
    }
}

/// Share data where that can be; else copy what is written of large files, and small files whole.
#[derive(Debug, Clone, Copy)]
pub struct Ranges {
    /// The smallest file that is large, in bytes.
    pub from: u64,
}

impl Default for Ranges {
    fn default() -> Self {
        Self { from: 1 << 20 }
    }
}

impl CopyUpPolicy for Ranges {
    fn choose(&self, file: &CopyUp) -> CopyUpKind {
        if file.needed >= self.from { CopyUpKind::Ranges } else { Auto.choose(file) }
    }
}
