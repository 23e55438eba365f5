use std::sync::atomic::Ordering;
use std::time::Duration;

use fuser::{FileAttr, Generation, ReplyEntry};
use rustix::fs::FileType;

use super::{FOREVER, Server, convert};
use crate::live::{Attributes, Inode, Result};

/// What an inode is told to the kernel as.
pub(crate) struct Told {
    pub(crate) attr: FileAttr,
    /// How long its attributes stay.
    pub(crate) stays: Duration,
}

impl Server {
    /// An entry that the kernel will count as looked up.
    pub(crate) fn entry(&self, inode: &Inode, attributes: &Attributes) -> Told {
        let node = match inode.kind {
            FileType::RegularFile => self.handles.node_of(inode.ino),
            _ => inode.ino,
        };
        // By a node of its own the kernel asks again, and then learns the inode's number.
        let stays = if node == inode.ino { self.attributes_stay(inode) } else { Duration::ZERO };
        Told { attr: convert::attr(attributes, node), stays }
    }

    /// Attributes stay but those of a file that may be written through a mapping, of which the kernel does
    /// not tell its own inode.
    pub(crate) fn attributes_stay(&self, inode: &Inode) -> Duration {
        if inode.kind == FileType::RegularFile && inode.has_writers() {
            return Duration::ZERO;
        }
        inode.promised.store(true, Ordering::Release);
        FOREVER
    }

    pub(crate) fn reply_entry(&self, found: Result<(std::sync::Arc<Inode>, Attributes)>, reply: ReplyEntry) {
        match found {
            Ok((inode, attributes)) => {
                let told = self.entry(&inode, &attributes);
                reply.entry_with_ttls(&told.stays, &FOREVER, &told.attr, Generation(0));
            }
            Err(e) => reply.error(convert::errno(e)),
        }
    }
}
