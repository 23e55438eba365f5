use std::ffi::OsStr;
use std::sync::Arc;

use fuser::INodeNo;

use super::Server;
use crate::live::{Attributes, Inode, Result};
use crate::trace::Operation;

/// What a search found.
pub(crate) type Found = (Arc<Inode>, Attributes);

impl Server {
    /// Record what was asked and how it ended, where that is wanted.
    pub(crate) fn noted<T>(
        &self,
        done: Result<T>,
        operation: impl FnOnce(Option<&T>) -> Operation,
    ) -> Result<T> {
        if let Some(recorder) = self.tree.recorder() {
            let error = done.as_ref().err().map_or(0, |e| e.raw_os_error().unsigned_abs());
            recorder.note(error, &operation(done.as_ref().ok()));
        }
        done
    }

    /// The same of a search.
    pub(crate) fn noted_lookup(
        &self,
        done: Result<Option<Found>>,
        parent: u64,
        name: &OsStr,
    ) -> Result<Option<Found>> {
        self.noted(done, |found| {
            let found = found.and_then(Option::as_ref).map_or(0, |(inode, _)| inode.ino);
            Operation::Lookup { parent, name: name.to_owned(), found }
        })
    }

    /// The same of something that was made.
    pub(crate) fn noted_create<T>(
        &self,
        done: Result<T>,
        made: impl FnOnce(&T) -> &Arc<Inode>,
        parent: INodeNo,
        name: &OsStr,
    ) -> Result<T> {
        self.noted(done, |done| Operation::Create {
            parent: self.number(parent),
            name: name.to_owned(),
            found: done.map_or(0, |done| made(done).ino),
        })
    }

    /// The same of a name that was removed.
    pub(crate) fn noted_remove(&self, done: Result<()>, parent: INodeNo, name: &OsStr) -> Result<()> {
        self.noted(done, |_| Operation::Remove { parent: self.number(parent), name: name.to_owned() })
    }

    /// The same of an extended attribute that was changed.
    pub(crate) fn noted_xattr(&self, done: Result<()>, node: INodeNo, name: &OsStr) -> Result<()> {
        self.noted(done, |_| Operation::Xattr { inode: self.number(node), name: name.to_owned() })
    }

    /// The tree's own number of a node.
    pub(crate) fn number(&self, node: INodeNo) -> u64 {
        self.handles.inode_of(node.0)
    }
}
