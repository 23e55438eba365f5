//! What can be decided differently: where to search, what to keep, how to copy up. The defaults are native.

use std::fmt::Debug;
use std::path::Path;

pub use super::cache::Lru;

/// Says which read-only layers are worth a look. It is asked only where no list of names answers.
pub trait SearchPolicy: Debug + Send + Sync {
    /// The layers among the 64 from `first` on that are to be probed for a path from the root of a layer: bit 0 is the
    /// layer `first`, by its place in the stack, 0 the newest. None: all. What is left out is taken to have neither an
    /// entry nor a whiteout there.
    fn layers(&self, path: &[u8], first: usize) -> Option<u64>;

    /// What is left out is believed. Of a policy that is not, it is probed all the same.
    fn is_trusted(&self) -> bool;

    /// A layer was left out, and has something under that path after all. The answer is not used.
    fn refuted(&self, path: &Path, layer: usize);
}

/// The policy can go on no more: the host's own takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutAside;

/// Says which lists of names go when there is no room. A list is known by its directory's number.
///
/// Where a function cannot answer, [`Lru`] takes over with what is kept.
pub trait CachePolicy: Debug + Send {
    /// A list is kept from now on, or has another size.
    fn admitted(&mut self, key: u64, bytes: usize) -> Result<(), PutAside>;
    /// Lists were used, in this order. Told in batches.
    fn accessed(&mut self, keys: &[u64]) -> Result<(), PutAside>;
    /// A list is kept no more.
    fn removed(&mut self, key: u64) -> Result<(), PutAside>;
    /// The list that goes next; none: any does.
    fn victim(&mut self) -> Result<Option<u64>, PutAside>;
    /// It named a victim that is not kept, or that was admitted just now. [`Lru`] takes over.
    fn refuted(&mut self, key: u64);
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
    /// That file system shares data between files.
    pub can_share: bool,
    /// What for.
    pub purpose: Purpose,
    /// How much of the data is needed: less than the size when it is truncated at once.
    pub needed: u64,
}

/// What a file is copied up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Its mode, owner, times or extended attributes change.
    Attributes,
    /// It gets another name, or its directory does.
    Names,
    /// It is opened to be written.
    Write,
    /// It gets this length, in bytes.
    Resize(u64),
}

impl Purpose {
    /// How much of a file's data is needed, of `size` bytes.
    pub(crate) fn needs(self, size: u64) -> u64 {
        if let Self::Resize(length) = self { length.min(size) } else { size }
    }
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
    /// Its attributes alone. It is carried out as [`CopyUpKind::Ranges`] of which nothing is taken.
    MetadataOnly,
}

/// Chooses how a file is copied up. It is asked once for each regular file of whose data some is needed.
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
