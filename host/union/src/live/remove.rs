use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::inode::Inode;
use super::place::Place;
use super::probe::{self, Found};
use super::{Result, Tree};

impl Tree {
    /// Remove a name of something that is no directory.
    pub fn unlink(&self, parent: &Arc<Inode>, name: &OsStr) -> Result<()> {
        let top = self.top()?;
        let _tree = self.names.write();
        let found = self.probe(parent, name)?.ok_or(Errno::NOENT)?;
        if found.parts.is_some() {
            return Err(Errno::ISDIR);
        }
        let hidden = found.upper.is_none() || self.lower_has(parent, name)?;
        let dir = self.raise(parent)?;
        let inode = self.known(&found);
        if let Some(inode) = &inode {
            self.prepare_loss(inode, parent, name, &found)?;
        }
        if hidden {
            top.whiteout(&dir, name, found.upper.is_some())?;
        } else {
            rustix::fs::unlinkat(&*dir, name, rustix::fs::AtFlags::empty())?;
        }
        parent.entries_changed();
        if let Some(inode) = &inode {
            self.lose(inode, parent, name, &found);
        }
        self.drop_ranges(&found);
        Ok(())
    }

    /// Remove a directory that shows nothing.
    pub fn rmdir(&self, parent: &Arc<Inode>, name: &OsStr) -> Result<()> {
        let top = self.top()?;
        let _tree = self.names.write();
        let found = self.probe(parent, name)?.ok_or(Errno::NOENT)?;
        if found.parts.is_none() {
            return Err(Errno::NOTDIR);
        }
        let present = found.upper.is_some();
        let hidden = !present || self.lower_has(parent, name)?;
        let inode = self.adopt(parent, name, found)?.0;
        let empty = self.listing_locked(&inode).map(|listing| listing.entries.is_empty());
        let done = match empty {
            Ok(true) => self.raise(parent).and_then(|dir| {
                if present {
                    top.remove_directory(&dir, name, hidden)
                } else {
                    top.whiteout(&dir, name, false)
                }
            }),
            Ok(false) => Err(Errno::NOTEMPTY),
            Err(e) => Err(e),
        };
        let mut table = self.table.lock();
        if done.is_ok() {
            parent.entries_changed();
            table.remove_name(&inode, parent, name);
            table.bury(&inode);
        }
        table.release(inode.ino, 1);
        done
    }

    /// The inode of what was found, if somebody knows it.
    pub(crate) fn known(&self, found: &Found) -> Option<Arc<Inode>> {
        let real = (found.stat.st_dev, found.stat.st_ino);
        let table = self.table.lock();
        let inode = match table.aliased(real) {
            Some(number) if found.upper.is_some() => table.find(number, None),
            _ => table.find(self.number(real), Some(real)),
        };
        inode.filter(|inode| inode.kind == probe::kind(&found.stat))
    }

    /// Before a name goes: what is still open, or has other names, stays reachable.
    pub(crate) fn prepare_loss(
        &self,
        inode: &Arc<Inode>,
        parent: &Arc<Inode>,
        name: &OsStr,
        found: &Found,
    ) -> Result<()> {
        if inode.kind == FileType::Directory || found.upper.is_none() {
            return Ok(());
        }
        if inode.opens.load(Ordering::Acquire) == 0 && found.stat.st_nlink <= 1 {
            return Ok(());
        }
        let place = inode.state.lock().upper.clone();
        if let Some(place @ Place::At(..)) = place
            && place_is(&place, parent, name)
        {
            let held = place.hold()?;
            inode.state.lock().upper = Some(held);
        }
        Ok(())
    }

    /// After a name in the writable layer went: with the last one goes what says where the data is.
    pub(crate) fn drop_ranges(&self, found: &Found) {
        if let (Some(_), Some(top)) = (&found.upper, &self.upper)
            && found.parts.is_none()
            && found.stat.st_nlink <= 1
        {
            top.ranges.drop_nameless(found.stat.st_ino);
        }
    }

    /// After a name went.
    pub(crate) fn lose(&self, inode: &Arc<Inode>, parent: &Arc<Inode>, name: &OsStr, found: &Found) {
        let mut table = self.table.lock();
        table.remove_name(inode, parent, name);
        let last = if found.upper.is_some() {
            found.stat.st_nlink <= 1
        } else {
            let mut state = inode.state.lock();
            state.removed += 1;
            u64::from(state.removed) >= found.stat.st_nlink
        };
        if last {
            table.bury(inode);
        }
    }
}

fn place_is(place: &Place, parent: &Inode, name: &OsStr) -> bool {
    match (place, parent.upper_dir()) {
        (Place::At(dir, at), Some(upper)) => Arc::ptr_eq(dir, &upper) && at == name,
        _ => false,
    }
}
