use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use nacre_sys::Dir;
use parking_lot::{Mutex, RwLock};
use rustix::fs::FileType;

use super::listing::{Listing, LowerNames};
use super::place::Place;
use super::ranges::Ranges;
use crate::layer::Whiteouts;

/// A file or directory of the tree. It stays the same one when it is renamed or copied up.
#[derive(Debug)]
pub struct Inode {
    pub(crate) ino: u64,
    /// What stat(2) says: the root has a number of its own in the table.
    pub(crate) shown: u64,
    pub(crate) kind: FileType,
    /// The real inode that the number was made of.
    pub(crate) key: (u64, u64),
    pub(crate) state: Mutex<State>,
    /// Held while it is copied up: of two writers one copies, the other waits.
    pub(crate) copying: Mutex<()>,
    /// Where its data is, while only some of it is in the writable layer.
    pub(crate) ranges: RwLock<Option<Arc<Ranges>>>,
    /// It was copied up and not synced since: its place in the writable layer may not be on disk.
    pub(crate) fresh: AtomicBool,
    /// It has no name any more.
    pub(crate) dead: AtomicBool,
    /// Its attributes were promised to stay for long.
    pub(crate) promised: AtomicBool,
    /// Handles by which it can be written.
    pub(crate) writers: AtomicU32,
    /// Handles of any kind.
    pub(crate) opens: AtomicU32,
}

#[derive(Debug)]
pub(crate) struct State {
    /// Where it is in the writable layer.
    pub(crate) upper: Option<Place>,
    /// Where it is in the newest read-only layer that has it.
    pub(crate) lower: Option<Place>,
    /// Names by which it was found: a directory has one, a file as many as are known.
    pub(crate) names: Vec<(Arc<Inode>, OsString)>,
    /// Names of the lower file that were deleted or replaced.
    pub(crate) removed: u32,
    pub(crate) dir: Option<DirState>,
    /// The real inode in the writable layer by which it is found again.
    pub(crate) alias: Option<(u64, u64)>,
    /// Whether it has a default ACL, once that was asked.
    pub(crate) default_acl: Option<bool>,
}

/// What a directory is made of.
#[derive(Debug, Default)]
pub(crate) struct DirState {
    pub(crate) upper: Option<Arc<Dir>>,
    pub(crate) lowers: Arc<[Part]>,
    /// Probes of lower layers that found nothing, since there was no list of their names.
    pub(crate) wasted: u32,
    pub(crate) names: Option<Arc<LowerNames>>,
    pub(crate) listing: Option<Arc<Listing>>,
}

/// What one read-only layer has of a directory.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) layer: usize,
    pub(crate) whiteouts: Whiteouts,
    pub(crate) dir: Arc<Dir>,
}

/// The layers' directories that are one directory of the tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    pub(crate) upper: Option<Arc<Dir>>,
    pub(crate) lowers: Arc<[Part]>,
}

impl Inode {
    pub(crate) fn new(
        ino: u64,
        key: (u64, u64),
        kind: FileType,
        upper: Option<Place>,
        lower: Option<Place>,
        parts: Option<Parts>,
    ) -> Self {
        let dir = parts.map(|p| DirState { upper: p.upper, lowers: p.lowers, ..DirState::default() });
        let state =
            State { upper, lower, names: Vec::new(), removed: 0, dir, alias: None, default_acl: None };
        Self {
            ino,
            shown: ino,
            kind,
            key,
            state: Mutex::new(state),
            copying: Mutex::new(()),
            ranges: RwLock::new(None),
            fresh: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            promised: AtomicBool::new(false),
            writers: AtomicU32::new(0),
            opens: AtomicU32::new(0),
        }
    }

    /// Its number: the same for as long as the tree is open, and unique in it.
    pub fn number(&self) -> u64 {
        self.shown
    }

    /// The number of the directory that it is in; its own, where it is the root.
    pub fn parent_number(&self) -> u64 {
        self.state.lock().names.first().map_or(self.shown, |(parent, _)| parent.shown)
    }

    /// Its type.
    pub fn kind(&self) -> FileType {
        self.kind
    }

    /// Where its data and attributes are now.
    pub(crate) fn place(&self) -> Option<Place> {
        let state = self.state.lock();
        state.upper.clone().or_else(|| state.lower.clone())
    }

    /// How to get at its data, where its place alone does not have all of it.
    pub(crate) fn ranges(&self) -> Option<Arc<Ranges>> {
        self.ranges.read().as_ref().filter(|ranges| !ranges.is_done()).cloned()
    }

    pub(crate) fn is_upper(&self) -> bool {
        self.state.lock().upper.is_some()
    }

    pub(crate) fn parts(&self) -> Option<Parts> {
        let state = self.state.lock();
        state.dir.as_ref().map(|dir| Parts { upper: dir.upper.clone(), lowers: dir.lowers.clone() })
    }

    pub(crate) fn upper_dir(&self) -> Option<Arc<Dir>> {
        self.state.lock().dir.as_ref().and_then(|dir| dir.upper.clone())
    }

    /// Forget what its entries were.
    pub(crate) fn entries_changed(&self) {
        if let Some(dir) = &mut self.state.lock().dir {
            dir.listing = None;
        }
    }

    pub(crate) fn has_writers(&self) -> bool {
        self.writers.load(Ordering::Acquire) > 0
    }
}

/// All inodes that somebody knows.
#[derive(Debug, Default)]
pub(crate) struct Table {
    slots: HashMap<u64, Slot>,
    /// Numbers of what is in the writable layer under another real inode than its number was made of.
    aliases: HashMap<(u64, u64), u64>,
    invented: u64,
}

#[derive(Debug)]
struct Slot {
    inode: Arc<Inode>,
    /// Lookups that were not forgotten, and names of others in it.
    refs: u64,
}

impl Table {
    pub(crate) fn get(&self, ino: u64) -> Option<Arc<Inode>> {
        self.slots.get(&ino).map(|slot| slot.inode.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The inode that has this real inode in the writable layer.
    pub(crate) fn aliased(&self, real: (u64, u64)) -> Option<u64> {
        self.aliases.get(&real).copied()
    }

    /// The live inode of a number, if it was made of the same real inode.
    pub(crate) fn find(&self, ino: u64, key: Option<(u64, u64)>) -> Option<Arc<Inode>> {
        let slot = self.slots.get(&ino)?;
        let same = key.is_none_or(|key| slot.inode.key == key);
        (same && !slot.inode.dead.load(Ordering::Acquire)).then(|| slot.inode.clone())
    }

    /// A number that is free: the one asked for, or an invented one.
    pub(crate) fn free_number(&mut self, ino: u64) -> u64 {
        if !self.slots.contains_key(&ino) {
            return ino;
        }
        self.invented += 1;
        (1 << 63) | self.invented
    }

    pub(crate) fn insert(&mut self, inode: Arc<Inode>) {
        self.slots.insert(inode.ino, Slot { inode, refs: 0 });
    }

    pub(crate) fn hold(&mut self, ino: u64) {
        if let Some(slot) = self.slots.get_mut(&ino) {
            slot.refs += 1;
        }
    }

    /// Note a name of an inode.
    pub(crate) fn add_name(&mut self, inode: &Arc<Inode>, parent: &Arc<Inode>, name: &OsStr) {
        let mut state = inode.state.lock();
        if state.names.iter().any(|(dir, known)| dir.ino == parent.ino && known == name) {
            return;
        }
        state.names.push((parent.clone(), name.to_owned()));
        drop(state);
        self.hold(parent.ino);
    }

    /// A name of an inode is gone.
    pub(crate) fn remove_name(&mut self, inode: &Inode, parent: &Inode, name: &OsStr) {
        let mut state = inode.state.lock();
        let before = state.names.len();
        state.names.retain(|(dir, known)| dir.ino != parent.ino || known != name);
        let gone = before - state.names.len();
        drop(state);
        self.release(parent.ino, gone as u64);
    }

    pub(crate) fn set_alias(&mut self, inode: &Inode, real: (u64, u64)) {
        inode.state.lock().alias = Some(real);
        self.aliases.insert(real, inode.ino);
    }

    /// It has no name any more: its real inode's number may be used again.
    pub(crate) fn bury(&mut self, inode: &Inode) {
        inode.dead.store(true, Ordering::Release);
        if let Some(real) = inode.state.lock().alias.take() {
            self.aliases.remove(&real);
        }
    }

    /// Give back lookups; what nobody knows is dropped.
    pub(crate) fn release(&mut self, ino: u64, count: u64) {
        let mut pending = vec![(ino, count)];
        while let Some((ino, count)) = pending.pop() {
            let Some(slot) = self.slots.get_mut(&ino) else { continue };
            slot.refs = slot.refs.saturating_sub(count);
            if slot.refs > 0 || ino == super::ROOT {
                continue;
            }
            if let Some(slot) = self.slots.remove(&ino) {
                let mut state = slot.inode.state.lock();
                if let Some(real) = state.alias.take() {
                    self.aliases.remove(&real);
                }
                pending.extend(state.names.drain(..).map(|(parent, _)| (parent.ino, 1)));
            }
        }
    }
}
