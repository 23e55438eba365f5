use std::ffi::OsStr;
use std::sync::Arc;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::inode::Inode;
use super::policy::Purpose;
use super::{Attributes, Result, Tree};
use crate::layer::Whiteouts;

impl Tree {
    /// Give a file one more name.
    pub fn link(
        &self,
        inode: &Arc<Inode>,
        parent: &Arc<Inode>,
        name: &OsStr,
    ) -> Result<(Arc<Inode>, Attributes)> {
        let top = self.top()?;
        if inode.kind == FileType::Directory || self.reserved(name) {
            return Err(Errno::PERM);
        }
        self.copy_up(inode, Purpose::Names)?;
        let _tree = self.names.write();
        let covers = self.check_free(parent, name)?;
        let dir = self.raise(parent)?;
        let place = inode.place().ok_or(Errno::STALE)?;
        if covers && top.whiteouts != Whiteouts::Aufs {
            let temp = top.temp();
            place.link_to(&top.work, OsStr::new(&temp))?;
            rustix::fs::renameat(&*top.work, &temp, &*dir, name).inspect_err(|_| top.discard(&temp))?;
        } else {
            place.link_to(&dir, name)?;
            if covers {
                top.unwhiteout(&dir, name)?;
            }
        }
        parent.entries_changed();
        let mut table = self.table.lock();
        table.add_name(inode, parent, name);
        table.hold(inode.ino);
        drop(table);
        let stat = self.stat_of(inode)?;
        Ok((inode.clone(), Attributes::of(inode, &stat)))
    }
}
