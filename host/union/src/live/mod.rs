//! A stack of layers as one writable tree: what a file system of its own serves, as a library.
//!
//! # Contract
//!
//! - The read-only layers never change, whatever is done: they are reached through a read-only mount of
//!   their own where that can be made.
//! - The writable layer is at every moment one that overlayfs (or aufs) would show as the same tree, apart
//!   from the moment in which an entry is replaced, which is atomic, and from files that are copied up by ranges
//!   ([`policy::CopyUpKind::Ranges`]): they have only some of their data until they are settled
//!   ([`Tree::settle_all`]), and until then overlayfs refuses the layer. Who reads the layer without the tree
//!   settles it first ([`Settled`]).
//! - Operations on names exclude one another; what copies data does not hold others up.
//! - Only the tree changes its writable layer. Whoever else does is not noticed.
//!
//! Errors are the kernel's numbers, since they are answers to system calls.

mod attrs;
mod cache;
mod copyup;
mod counters;
mod create;
mod file;
mod inode;
mod links;
mod listing;
mod listing_view;
mod marks;
mod place;
pub mod policy;
mod probe;
mod ranges;
mod remove;
mod rename;
mod settle;
mod sought;
mod work;

use std::ffi::OsStr;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use nacre_sys::Dir;
use parking_lot::{Mutex, RwLock};
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use crate::error::{Context, Error};
use crate::layer::{Layer, Whiteouts};
use crate::trace::Recorder;
use copyup::LinkMap;
use inode::{Inode as Node, Part, Parts, Table};
use place::Place;
use policy::{Auto, CachePolicy, CopyUpPolicy, Lru, SearchPolicy};
use probe::Found;
use ranges::{Ranges, Registry};

pub use attrs::{Attributes, SetAttributes, TimeToSet};
pub use counters::{Counters, Statistics};
pub use create::{New, Owner};
pub use file::File;
pub use inode::Inode;
pub use listing_view::{Entries, Entry};
pub use rename::Spot;
pub use settle::{Settled, unsettled};

/// What operations on the tree return.
pub type Result<T, E = Errno> = std::result::Result<T, E>;

/// The number by which the root of the tree is known.
pub const ROOT: u64 = 1;

/// How directories that read-only layers have a part in are renamed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryRename {
    /// All that is in them is copied up first. Any overlayfs shows the result.
    #[default]
    Copy,
    /// It is refused (EXDEV), as overlayfs does by default: programs then copy.
    Refuse,
}

/// How a tree works.
#[derive(Debug, Clone)]
pub struct Options {
    /// Attributes of overlayfs are in `user.overlay.`, not in `trusted.overlay.`: for users without
    /// privileges.
    pub userxattr: bool,
    /// Never sync. After a crash of the machine the writable layer is not to be used.
    pub volatile: bool,
    /// What becomes of directories that are renamed.
    pub directory_rename: DirectoryRename,
    /// Which layers are searched; none: all, the newest first.
    pub search: Option<Arc<dyn SearchPolicy>>,
    /// What goes when the lists of names take more than `cache_bytes`. For one tree.
    pub cache: Arc<Mutex<dyn CachePolicy>>,
    /// The most bytes of memory for lists of names.
    pub cache_bytes: usize,
    /// How files are copied up.
    pub copy_up: Arc<dyn CopyUpPolicy>,
    /// Files may be copied up by ranges. Whoever else reads the writable layer settles it first ([`Settled`]).
    pub ranges: bool,
    /// What records what the tree is asked for, if anything does. For one tree.
    pub trace: Option<Arc<Recorder>>,
    /// What counts what happens. For one tree.
    pub counters: Arc<Counters>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            userxattr: false,
            volatile: false,
            directory_rename: DirectoryRename::default(),
            search: None,
            cache: Arc::new(Mutex::new(Lru::default())),
            cache_bytes: 64 << 20,
            copy_up: Arc::new(Auto),
            ranges: true,
            trace: None,
            counters: Arc::default(),
        }
    }
}

/// The writable layer.
#[derive(Debug)]
pub(crate) struct Upper {
    pub(crate) root: Arc<Dir>,
    pub(crate) work: Arc<Dir>,
    pub(crate) whiteouts: Whiteouts,
    /// A whiteout that others are links of.
    pub(crate) whiteout: Mutex<Option<String>>,
    pub(crate) temps: AtomicU64,
    /// Its files that have only some of their data.
    pub(crate) ranges: Registry,
    _lock: OwnedFd,
}

/// A stack of layers as one tree.
pub struct Tree {
    pub(crate) upper: Option<Upper>,
    pub(crate) lowers: Vec<Layer>,
    /// Held for reading by searches, for writing by what changes names.
    pub(crate) names: RwLock<()>,
    pub(crate) table: Mutex<Table>,
    pub(crate) devices: Mutex<Vec<u64>>,
    pub(crate) root: Arc<Node>,
    pub(crate) options: Options,
    pub(crate) counters: Arc<Counters>,
    pub(crate) links: Mutex<LinkMap>,
    pub(crate) cache: cache::Cache,
    /// Whether the file system of the writable layer shares data, once that was asked.
    pub(crate) can_share: OnceLock<bool>,
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inodes = self.table.lock().len();
        f.debug_struct("Tree").field("lowers", &self.lowers.len()).field("inodes", &inodes).finish()
    }
}

impl Tree {
    /// Open a tree that cannot be written to.
    pub fn read_only(lowers: impl IntoIterator<Item = Layer>, options: Options) -> crate::Result<Self> {
        Self::new(None, lowers.into_iter().map(work::guarded).collect(), options)
    }

    /// Open a tree whose changes go into `upper`. `work` is a directory on the same file system that serves
    /// nothing else; what is in its folder `work` is removed. It is locked: an upper layer has one tree at a
    /// time. Files that an earlier tree left with only some of their data are taken up, and refused with
    /// [`Error::Unsettled`] where the rest is not in `lowers`.
    pub fn open(
        upper: Layer,
        work: &Dir,
        lowers: impl IntoIterator<Item = Layer>,
        options: Options,
    ) -> crate::Result<Self> {
        let lock = work::lock(work)?;
        let lowers: Vec<_> = lowers.into_iter().map(work::guarded).collect();
        let made = work::empty(work)?;
        let own = match nacre_sys::mount::private_clone(work, work) {
            Ok((own, _)) => own,
            Err(_) => work.try_clone()?,
        };
        let ranges = Registry::load(own, &lowers, options.volatile)?;
        let (root, work) = match nacre_sys::mount::private_clone(&upper.root, &made) {
            Ok((root, work)) => (Arc::new(root), Arc::new(work)),
            Err(e) => {
                tracing::debug!("the writable layer is reached without a mount of its own: {e}");
                (upper.root.clone(), Arc::new(made))
            }
        };
        let upper = Upper {
            root,
            work,
            whiteouts: upper.whiteouts,
            whiteout: Mutex::new(None),
            temps: AtomicU64::new(0),
            ranges,
            _lock: lock,
        };
        Self::new(Some(upper), lowers, options)
    }

    fn new(upper: Option<Upper>, lowers: Vec<Layer>, options: Options) -> crate::Result<Self> {
        let mut parts = Vec::new();
        let mut hidden = false;
        if let Some(upper) = &upper {
            hidden = upper.whiteouts == Whiteouts::Aufs && upper.whiteouts.is_opaque(&upper.root)?;
        }
        for (layer, Layer { root, whiteouts }) in lowers.iter().enumerate() {
            if hidden {
                break;
            }
            hidden = *whiteouts == Whiteouts::Aufs && whiteouts.is_opaque(root)?;
            parts.push(Part { layer, whiteouts: *whiteouts, dir: root.clone() });
        }
        let lower = parts.first().map(|part| Place::At(part.dir.clone(), "".into()));
        let top = upper.as_ref().map(|upper| Place::At(upper.root.clone(), "".into()));
        let Some(place) = top.clone().or_else(|| lower.clone()) else {
            return Err(Error::NotFound { path: "/".into() });
        };
        let stat = place.stat().on("stat", std::path::Path::new("/"), "")?;
        let parts = Parts { upper: upper.as_ref().map(|u| u.root.clone()), lowers: parts.into() };
        let key = (stat.st_dev, stat.st_ino);
        let mut root = Node::new(ROOT, key, FileType::Directory, top, lower, Some(parts));
        root.shown = stat.st_ino;
        let root = Arc::new(root);
        let mut table = Table::default();
        table.insert(root.clone());
        table.hold(ROOT);
        Ok(Self {
            upper,
            lowers,
            names: RwLock::new(()),
            table: Mutex::new(table),
            devices: Mutex::new(vec![stat.st_dev]),
            root,
            cache: cache::Cache::new(&options),
            counters: options.counters.clone(),
            options,
            links: Mutex::new(LinkMap::default()),
            can_share: OnceLock::new(),
        })
    }

    /// The root of the tree.
    pub fn root(&self) -> Arc<Inode> {
        self.root.clone()
    }

    pub(crate) fn recorder(&self) -> Option<&Recorder> {
        self.options.trace.as_deref()
    }

    /// What happened so far.
    pub fn statistics(&self) -> Statistics {
        self.counters.read()
    }

    /// A file was opened, and the kernel reads and writes it itself or not.
    #[cfg(feature = "fuse")]
    pub(crate) fn note_open(&self, passthrough: bool) {
        Counters::one(&self.counters.opens);
        if passthrough {
            Counters::one(&self.counters.passthrough);
        }
    }

    /// An inode that was found before and not forgotten since.
    pub fn inode(&self, number: u64) -> Result<Arc<Inode>> {
        if number == ROOT {
            return Ok(self.root.clone());
        }
        self.table.lock().get(number).ok_or(Errno::STALE)
    }

    /// What a name in a directory is; none where there is nothing. It is known until it is forgotten as often
    /// as it was found.
    pub fn lookup(&self, parent: &Arc<Inode>, name: &OsStr) -> Result<Option<(Arc<Inode>, Attributes)>> {
        Counters::one(&self.counters.lookups);
        let _tree = self.names.read();
        match self.probe(parent, name)? {
            Some(found) => self.adopt(parent, name, found).map(Some),
            None => Ok(None),
        }
    }

    /// Take back `count` times that an inode was found.
    pub fn forget(&self, number: u64, count: u64) {
        self.table.lock().release(number, count);
    }

    /// Make an inode of what was found, or take the one that there is.
    pub(crate) fn adopt(
        &self,
        parent: &Arc<Inode>,
        name: &OsStr,
        found: Found,
    ) -> Result<(Arc<Inode>, Attributes)> {
        let Found { stat, upper, lower, parts } = found;
        let real = (stat.st_dev, stat.st_ino);
        // A directory is known by the newest of its read-only parts, which stays when it is copied up.
        let origin = match (&upper, &lower) {
            (Some(_), Some(lower)) => lower.stat().map(|stat| (stat.st_dev, stat.st_ino))?,
            _ => real,
        };
        let mut table = self.table.lock();
        let known = match table.aliased(real) {
            Some(number) if upper.is_some() => table.find(number, None),
            _ => table.find(self.number(origin), Some(origin)),
        };
        let (inode, fresh) = match known {
            Some(inode) if inode.kind == probe::kind(&stat) => (inode, true),
            _ => {
                let number = table.free_number(self.number(origin));
                let is_upper = upper.is_some();
                let made = Node::new(number, origin, probe::kind(&stat), upper, lower, parts);
                if is_upper {
                    *made.ranges.write() = self.ranges_of(&stat);
                }
                let inode = Arc::new(made);
                table.insert(inode.clone());
                if is_upper && origin != real {
                    table.set_alias(&inode, real);
                }
                (inode, false)
            }
        };
        table.hold(inode.ino);
        table.add_name(&inode, parent, name);
        drop(table);
        // It may have been copied up by another of its names.
        let stat = if fresh && inode.place().is_some() { self.stat_of(&inode)? } else { stat };
        let attributes = Attributes::of(&inode, &stat);
        Ok((inode, attributes))
    }

    pub(crate) fn stat_of(&self, inode: &Inode) -> Result<Stat> {
        let stat = || inode.place().ok_or(Errno::STALE)?.stat();
        match inode.ranges() {
            Some(ranges) => ranges.adjusted(stat),
            None => stat(),
        }
    }

    /// What is to be known of a file of the writable layer that has only some of its data.
    pub(crate) fn ranges_of(&self, stat: &Stat) -> Option<Arc<Ranges>> {
        self.upper.as_ref().and_then(|upper| upper.ranges.get(stat.st_ino))
    }

    /// The number of a real inode: its own on the file system of the root, else with that of its file system
    /// in the upper bits.
    pub(crate) fn number(&self, (device, ino): (u64, u64)) -> u64 {
        let mut devices = self.devices.lock();
        let index = devices.iter().position(|known| *known == device).unwrap_or_else(|| {
            devices.push(device);
            devices.len() - 1
        });
        match (index as u64, ino) {
            (0, 0 | ROOT) => ino | (1 << 62),
            (0, ino) => ino,
            (index, ino) => ino ^ (index << 48),
        }
    }

    pub(crate) fn top(&self) -> Result<&Upper> {
        self.upper.as_ref().ok_or(Errno::ROFS)
    }
}

/// The kernel's number of an error.
pub(crate) fn errno(error: &Error) -> Errno {
    match error {
        Error::Io { source, .. } => Errno::from_io_error(source).unwrap_or(Errno::IO),
        Error::Sys(e) => sys_errno(e),
        Error::NotADirectory { .. } => Errno::NOTDIR,
        Error::NotFound { .. } => Errno::NOENT,
        Error::TooManyLinks { .. } => Errno::LOOP,
        Error::Busy { .. } => Errno::BUSY,
        Error::Unsettled { .. } => Errno::IO,
    }
}

pub(crate) fn sys_errno(error: &nacre_sys::Error) -> Errno {
    error.errno().map_or(Errno::IO, Errno::from_raw_os_error)
}
