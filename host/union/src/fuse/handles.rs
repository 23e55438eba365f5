use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fuser::BackingId;
use parking_lot::{Mutex, RwLock};

use crate::live::{File, Inode};

/// A file that somebody has open.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) inode: Arc<Inode>,
    pub(crate) file: File,
    pub(crate) write: bool,
    /// By which node the kernel knows it.
    pub(crate) node: u64,
    pub(crate) passthrough: bool,
}

/// How the kernel has a node open: all its files in one way.
#[derive(Debug, Default)]
struct Mode {
    backing: Option<Arc<BackingId>>,
    /// The backing file is in the writable layer.
    upper: bool,
    /// Files that pass the server by.
    direct: u32,
    /// Files that the kernel has in its page cache.
    cached: u32,
}

/// How a file is to be opened.
pub(crate) enum Way {
    Direct(Arc<BackingId>),
    Cached,
    /// The node's readers have the read-only file, this one needs the copy: a node of its own.
    Split,
}

#[derive(Debug, Default)]
pub(crate) struct Handles {
    open: RwLock<HashMap<u64, Arc<Handle>>>,
    next: AtomicU64,
    modes: Mutex<HashMap<u64, Mode>>,
    splits: Mutex<Splits>,
}

/// Files that the kernel knows by more than one node.
#[derive(Debug, Default)]
struct Splits {
    /// Node to inode, and how often the kernel looked it up.
    nodes: HashMap<u64, (u64, u64)>,
    /// Inode to its newest node.
    newest: HashMap<u64, u64>,
    next: u64,
}

const SPLIT: u64 = 3 << 62;

impl Handles {
    /// Decide how a node is opened, and count it.
    pub(crate) fn way(
        &self,
        node: u64,
        upper: bool,
        backing: Option<&OwnedFd>,
        back: impl FnOnce(&OwnedFd) -> std::io::Result<BackingId>,
    ) -> Way {
        let mut modes = self.modes.lock();
        let mode = modes.entry(node).or_default();
        if mode.direct > 0 {
            match &mode.backing {
                Some(known) if mode.upper == upper && backing.is_some() => {
                    let backing = known.clone();
                    mode.direct += 1;
                    return Way::Direct(backing);
                }
                _ => return Way::Split,
            }
        }
        if let Some(backing) = backing.filter(|_| mode.cached == 0) {
            match back(backing) {
                Ok(backing) => {
                    let backing = Arc::new(backing);
                    (mode.backing, mode.upper, mode.direct) = (Some(backing.clone()), upper, 1);
                    return Way::Direct(backing);
                }
                Err(e) => tracing::debug!("a file does not pass the server by: {e}"),
            }
        }
        mode.cached += 1;
        Way::Cached
    }

    pub(crate) fn insert(&self, handle: Handle) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        handle.inode.opens.fetch_add(1, Ordering::AcqRel);
        if handle.write {
            handle.inode.writers.fetch_add(1, Ordering::AcqRel);
        }
        self.open.write().insert(number, Arc::new(handle));
        number
    }

    pub(crate) fn get(&self, number: u64) -> Result<Arc<Handle>, fuser::Errno> {
        self.open.read().get(&number).cloned().ok_or(fuser::Errno::EBADF)
    }

    pub(crate) fn remove(&self, number: u64) {
        let Some(handle) = self.open.write().remove(&number) else { return };
        handle.inode.opens.fetch_sub(1, Ordering::AcqRel);
        if handle.write {
            handle.inode.writers.fetch_sub(1, Ordering::AcqRel);
        }
        let mut modes = self.modes.lock();
        if let Some(mode) = modes.get_mut(&handle.node) {
            if handle.passthrough {
                mode.direct = mode.direct.saturating_sub(1);
            } else {
                mode.cached = mode.cached.saturating_sub(1);
            }
            if mode.direct == 0 && mode.cached == 0 {
                modes.remove(&handle.node);
                self.unsplit(handle.inode.ino);
            }
        }
    }

    /// Give an inode a new node; lookups answer with it from now on.
    pub(crate) fn split(&self, inode: u64) {
        let mut splits = self.splits.lock();
        splits.next += 1;
        let node = SPLIT | splits.next;
        splits.nodes.insert(node, (inode, 0));
        splits.newest.insert(inode, node);
    }

    /// Drop the newest node of an inode if the kernel does not know it.
    fn unsplit(&self, inode: u64) {
        let mut splits = self.splits.lock();
        if let Some(node) = splits.newest.get(&inode).copied()
            && splits.nodes.get(&node).is_none_or(|(_, count)| *count == 0)
        {
            splits.newest.remove(&inode);
            splits.nodes.remove(&node);
        }
    }

    /// The inode of a node.
    pub(crate) fn inode_of(&self, node: u64) -> u64 {
        if node < SPLIT {
            return node;
        }
        self.splits.lock().nodes.get(&node).map_or(node, |(inode, _)| *inode)
    }

    /// The node by which a lookup answers, counted. Whether it is the inode's own.
    pub(crate) fn node_of(&self, inode: u64) -> u64 {
        let mut splits = self.splits.lock();
        if splits.newest.is_empty() {
            return inode;
        }
        let Some(node) = splits.newest.get(&inode).copied() else { return inode };
        if let Some((_, count)) = splits.nodes.get_mut(&node) {
            *count += 1;
        }
        node
    }

    /// The kernel forgot a node so often. Returns its inode.
    pub(crate) fn forget(&self, node: u64, count: u64) -> u64 {
        if node < SPLIT {
            return node;
        }
        let mut splits = self.splits.lock();
        let Some((inode, known)) = splits.nodes.get_mut(&node) else { return node };
        let inode = *inode;
        *known = known.saturating_sub(count);
        // The newest stays while another node is open: the kernel forgets the first lookup of a new node at
        // once, since it asked for the old one, and then looks up again.
        if *known == 0 && splits.newest.get(&inode) != Some(&node) {
            splits.nodes.remove(&node);
        }
        inode
    }
}
