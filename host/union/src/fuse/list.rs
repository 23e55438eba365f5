//! Directories, read.

use std::sync::Arc;

use fuser::{Generation, INodeNo, ReplyDirectoryPlus};
use rustix::fs::FileType;

use super::{Server, convert};
use crate::live::{Entry, Inode, Result};
use crate::trace::Operation;

const DOT: u64 = 1;
const DOT_DOT: u64 = 2;

impl Server {
    /// The directory that is read from an offset on.
    fn noted_list(&self, node: INodeNo, offset: u64) -> Result<Arc<Inode>> {
        let inode = self.inode(node);
        match offset {
            0 => self.noted(inode, |_| Operation::List { inode: self.number(node) }),
            _ => inode,
        }
    }

    /// Hand out the entries behind an offset until one does not fit.
    pub(crate) fn list(
        &self,
        node: INodeNo,
        offset: u64,
        mut add: impl FnMut(&Entry, FileType) -> bool,
    ) -> Result<()> {
        let inode = self.noted_list(node, offset)?;
        for entry in dots(&inode).into_iter().filter(|entry| entry.cookie > offset) {
            if !add(&entry, FileType::Directory) {
                return Ok(());
            }
        }
        let entries = self.tree.entries(&inode)?;
        for entry in self.tree.entries_after(&entries, offset) {
            if !add(&entry, entry.kind) {
                break;
            }
        }
        Ok(())
    }

    /// The same with attributes. The kernel counts each entry but the dots as looked up.
    pub(crate) fn list_plus(&self, node: INodeNo, offset: u64, reply: &mut ReplyDirectoryPlus) -> Result<()> {
        let inode = self.noted_list(node, offset)?;
        let attributes = self.tree.attributes(&inode)?;
        for entry in dots(&inode).into_iter().filter(|entry| entry.cookie > offset) {
            let attr = convert::attr(&attributes, entry.number);
            let none = std::time::Duration::ZERO;
            if reply.add(attr.ino, entry.cookie, &entry.name, &none, &attr, Generation(0)) {
                return Ok(());
            }
        }
        let entries = self.tree.entries(&inode)?;
        for entry in self.tree.entries_after(&entries, offset) {
            let found = self.noted_lookup(self.tree.lookup(&inode, &entry.name), inode.ino, &entry.name)?;
            let Some((found, attributes)) = found else { continue };
            let told = self.entry(&found, &attributes);
            let node = told.attr.ino;
            if reply.add(node, entry.cookie, &entry.name, &told.stays, &told.attr, Generation(0)) {
                self.tree.forget(self.handles.forget(node.0, 1), 1);
                break;
            }
        }
        Ok(())
    }
}

fn dots(inode: &Arc<Inode>) -> [Entry; 2] {
    let parent = inode.parent_number();
    let dot =
        |cookie, name: &str, number| Entry { cookie, name: name.into(), kind: FileType::Directory, number };
    [dot(DOT, ".", inode.number()), dot(DOT_DOT, "..", parent)]
}
