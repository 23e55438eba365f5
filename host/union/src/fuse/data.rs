//! Open files.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fuser::{BackingId, Errno, FileHandle, FopenFlags, Generation, ReplyCreate, ReplyOpen, Request};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::handles::{Handle, Way};
use super::{FOREVER, Server, convert};
use crate::live::{Attributes, File, Inode, Result};
use crate::trace::Operation;

impl Server {
    pub(crate) fn inode(&self, node: fuser::INodeNo) -> Result<Arc<Inode>> {
        self.tree.inode(self.handles.inode_of(node.0))
    }

    pub(crate) fn open_node(&self, req: &Request, node: u64, flags: i32, reply: ReplyOpen) {
        let write = flags & libc_flags::ACCMODE != libc_flags::RDONLY;
        let truncate = flags & libc_flags::TRUNC != 0;
        let opened = self.inode(fuser::INodeNo(node)).and_then(|inode| {
            let file = self.tree.open_file(&inode, write, truncate)?;
            if truncate && req.uid() != 0 {
                self.tree.drop_privileges(&inode)?;
            }
            Ok((inode, file))
        });
        let how = u64::from(write) | u64::from(truncate) << 1;
        let opened = self.noted(opened, |_| Operation::Open { inode: self.handles.inode_of(node), how });
        let (inode, file) = match opened {
            Ok(opened) => opened,
            Err(e) => return reply.error(convert::errno(e)),
        };
        let way = self.way(&inode, node, write, &file, |file| reply.open_backing(file));
        if let Way::Split = way {
            self.handles.split(inode.ino);
            return reply.error(Errno::ESTALE);
        }
        let (number, backing) = self.register(inode, file, node, write, way);
        let number = FileHandle(number);
        match backing {
            Some(backing) => reply.opened_passthrough(number, FopenFlags::FOPEN_NOFLUSH, &backing),
            None => reply.opened(number, self.cached_flags()),
        }
    }

    pub(crate) fn created(&self, inode: Arc<Inode>, attributes: &Attributes, file: File, reply: ReplyCreate) {
        let told = self.entry(&inode, attributes);
        let node = told.attr.ino.0;
        // The kernel asks again once it has written: nothing has to be taken back.
        inode.promised.store(false, Ordering::Release);
        let way = self.way(&inode, node, true, &file, |file| reply.open_backing(file));
        if let Way::Split = way {
            self.handles.split(inode.ino);
            self.tree.forget(self.handles.forget(node, 1), 1);
            return reply.error(Errno::ESTALE);
        }
        let (number, backing) = self.register(inode, file, node, true, way);
        let number = FileHandle(number);
        match backing {
            Some(backing) => {
                let flags = FopenFlags::FOPEN_NOFLUSH;
                reply.created_passthrough(&FOREVER, &told.attr, Generation(0), number, flags, &backing);
            }
            None => reply.created(&FOREVER, &told.attr, Generation(0), number, self.cached_flags()),
        }
    }

    fn way(
        &self,
        inode: &Inode,
        node: u64,
        write: bool,
        file: &File,
        back: impl FnOnce(&OwnedFd) -> std::io::Result<BackingId>,
    ) -> Way {
        let regular = inode.kind == rustix::fs::FileType::RegularFile;
        // While its data is in two files, the kernel must not have it from one.
        let backing = file.backing().filter(|_| self.passthrough && regular);
        let way = self.handles.way(node, inode.is_upper(), backing, |file| {
            if write { as_anybody(|| back(file)) } else { back(file) }
        });
        if write && inode.promised.swap(false, Ordering::AcqRel) {
            // From now on the kernel asks: see `attributes_stay`.
            if let Some(notifier) = self.notifier.get() {
                let _ = notifier.inval_inode(fuser::INodeNo(node), -1, 0);
            }
        }
        way
    }

    fn register(
        &self,
        inode: Arc<Inode>,
        file: File,
        node: u64,
        write: bool,
        way: Way,
    ) -> (u64, Option<Arc<BackingId>>) {
        let backing = if let Way::Direct(backing) = way { Some(backing) } else { None };
        let passthrough = backing.is_some();
        self.tree.note_open(passthrough);
        (self.handles.insert(Handle { inode, file, write, node, passthrough }), backing)
    }

    /// Where files also pass the server by, what the kernel has cached of one may be old.
    fn cached_flags(&self) -> FopenFlags {
        if self.passthrough {
            FopenFlags::FOPEN_NOFLUSH
        } else {
            FopenFlags::FOPEN_NOFLUSH | FopenFlags::FOPEN_KEEP_CACHE
        }
    }
}

/// Let the kernel write to a backing file as somebody whose writing takes setuid bits away: it writes with
/// the capabilities that this thread has when the file is made a backing one.
fn as_anybody<T>(work: impl FnOnce() -> T) -> T {
    thread_local! {
        static ALL: Option<CapabilitySets> = rustix::thread::capabilities(None).ok();
    }
    let Some(all) = ALL.with(|all| *all) else { return work() };
    let without = CapabilitySets { effective: all.effective.difference(CapabilitySet::FSETID), ..all };
    if without.effective == all.effective || rustix::thread::set_capabilities(None, without).is_err() {
        return work();
    }
    let done = work();
    let _ = rustix::thread::set_capabilities(None, all);
    done
}

/// Flags of open(2) as they are on the wire.
pub(crate) mod libc_flags {
    use rustix::fs::OFlags;

    pub(crate) const RDONLY: i32 = 0;
    pub(crate) const ACCMODE: i32 = 3;
    pub(crate) const TRUNC: i32 = OFlags::TRUNC.bits() as i32;
    pub(crate) const EXCL: i32 = OFlags::EXCL.bits() as i32;
}
