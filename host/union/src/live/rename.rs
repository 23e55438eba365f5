use std::ffi::OsStr;
use std::sync::Arc;

use nacre_sys::Dir;
use rustix::fs::{AtFlags, FileType, RenameFlags};
use rustix::io::Errno;

use super::inode::Inode;
use super::place::Place;
use super::probe::{Found, Here, find};
use super::{DirectoryRename, Result, Tree, Upper};
use crate::layer::Whiteouts;

/// A name in a directory of the tree.
#[derive(Debug, Clone, Copy)]
pub struct Spot<'a> {
    /// The directory.
    pub parent: &'a Arc<Inode>,
    /// The name.
    pub name: &'a OsStr,
}

/// What a rename finds at one end.
struct End {
    inode: Arc<Inode>,
    found: Found,
}

impl Tree {
    /// Give something another name. With `replace` unset the new name must be free; with `exchange` both
    /// names are there, and are swapped.
    pub fn rename(&self, from: Spot<'_>, to: Spot<'_>, replace: bool, exchange: bool) -> Result<()> {
        self.top()?;
        if self.reserved(to.name) {
            return Err(Errno::PERM);
        }
        self.prepare(from)?;
        if exchange {
            self.prepare(to)?;
        }
        let _tree = self.names.write();
        let source = self.end(from)?.ok_or(Errno::NOENT)?;
        let target = self.end(to);
        let target = target.inspect_err(|_| self.forget(source.inode.ino, 1))?;
        let done = if exchange {
            target.as_ref().map_or(Err(Errno::NOENT), |target| self.swap(from, &source, to, target))
        } else {
            self.move_over(from, &source, to, target.as_ref(), replace)
        };
        self.forget(source.inode.ino, 1);
        if let Some(target) = target {
            self.forget(target.inode.ino, 1);
        }
        done
    }

    /// Bring what is renamed into the writable layer, before the tree's names are locked: it may take long.
    fn prepare(&self, spot: Spot<'_>) -> Result<()> {
        let (inode, _) = self.lookup(spot.parent, spot.name)?.ok_or(Errno::NOENT)?;
        let done = (|| {
            let merged = inode.parts().is_some_and(|parts| !parts.lowers.is_empty());
            if merged && self.options.directory_rename == DirectoryRename::Refuse {
                return Err(Errno::XDEV);
            }
            self.make_whole(&inode)
        })();
        self.forget(inode.ino, 1);
        done
    }

    fn end(&self, spot: Spot<'_>) -> Result<Option<End>> {
        let Some(found) = self.probe(spot.parent, spot.name)? else { return Ok(None) };
        let copy = Found {
            stat: found.stat,
            upper: found.upper.clone(),
            lower: found.lower.clone(),
            parts: found.parts.clone(),
        };
        let (inode, _) = self.adopt(spot.parent, spot.name, copy)?;
        Ok(Some(End { inode, found }))
    }

    fn move_over(
        &self,
        from: Spot<'_>,
        source: &End,
        to: Spot<'_>,
        target: Option<&End>,
        replace: bool,
    ) -> Result<()> {
        let top = self.top()?;
        let directory = source.inode.kind == FileType::Directory;
        if source.found.upper.is_none() {
            // It changed since it was prepared.
            return Err(Errno::BUSY);
        }
        if let Some(target) = target {
            if !replace {
                return Err(Errno::EXIST);
            }
            if Arc::ptr_eq(&source.inode, &target.inode) {
                return Ok(());
            }
            self.check_replaceable(directory, target)?;
            self.prepare_loss(&target.inode, to.parent, to.name, &target.found)?;
        }
        let (old, new) = (self.raise(from.parent)?, self.raise(to.parent)?);
        let uncovers = self.lower_has(from.parent, from.name)?;
        if directory && self.lower_has(to.parent, to.name)? {
            self.set_opaque(&source.inode.upper_dir().ok_or(Errno::STALE)?)?;
        }
        let there = find(top.whiteouts, &new, to.name)?;
        relocate(top, &old, from.name, &new, to.name, directory, uncovers, &there)?;
        from.parent.entries_changed();
        to.parent.entries_changed();
        if let Some(target) = target {
            self.lose(&target.inode, to.parent, to.name, &target.found);
            self.drop_ranges(&target.found);
            if target.inode.kind == FileType::Directory {
                self.table.lock().bury(&target.inode);
            }
        }
        self.moved(&source.inode, from, to, &new);
        Ok(())
    }

    fn check_replaceable(&self, directory: bool, target: &End) -> Result<()> {
        match (directory, target.inode.kind == FileType::Directory) {
            (true, false) => Err(Errno::NOTDIR),
            (false, true) => Err(Errno::ISDIR),
            (true, true) if !self.listing_locked(&target.inode)?.entries.is_empty() => Err(Errno::NOTEMPTY),
            _ => Ok(()),
        }
    }

    /// Note where something is after it was renamed.
    fn moved(&self, inode: &Arc<Inode>, from: Spot<'_>, to: Spot<'_>, new: &Arc<Dir>) {
        let mut table = self.table.lock();
        // The new name first: what has no name is nobody's.
        table.add_name(inode, to.parent, to.name);
        table.remove_name(inode, from.parent, from.name);
        drop(table);
        if inode.kind != FileType::Directory {
            inode.state.lock().upper = Some(Place::At(new.clone(), to.name.to_owned()));
        }
    }

    fn swap(&self, from: Spot<'_>, source: &End, to: Spot<'_>, target: &End) -> Result<()> {
        if source.found.upper.is_none() || target.found.upper.is_none() {
            return Err(Errno::BUSY);
        }
        let (old, new) = (self.raise(from.parent)?, self.raise(to.parent)?);
        for (end, place) in [(source, to), (target, from)] {
            if end.inode.kind == FileType::Directory && self.lower_has(place.parent, place.name)? {
                self.set_opaque(&end.inode.upper_dir().ok_or(Errno::STALE)?)?;
            }
        }
        rustix::fs::renameat_with(&*old, from.name, &*new, to.name, RenameFlags::EXCHANGE)?;
        from.parent.entries_changed();
        to.parent.entries_changed();
        if !Arc::ptr_eq(&source.inode, &target.inode) {
            self.moved(&source.inode, from, to, &new);
            self.moved(&target.inode, to, from, &old);
        }
        Ok(())
    }
}

/// The rename in the writable layer. `uncovers` says that the layers below have the old name.
#[allow(clippy::too_many_arguments, reason = "two names in two directories, and what is known of them")]
fn relocate(
    top: &Upper,
    old: &Dir,
    from: &OsStr,
    new: &Dir,
    to: &OsStr,
    directory: bool,
    uncovers: bool,
    there: &Here,
) -> Result<()> {
    let aufs = top.whiteouts == Whiteouts::Aufs;
    if aufs && uncovers {
        top.aufs_whiteout(old, from)?;
    }
    let occupied = matches!(there, Here::Entry(_)) || (matches!(there, Here::Whiteout) && !aufs);
    if directory && occupied {
        // A directory replaces neither a deletion nor a directory with deletions in it: they change places.
        rustix::fs::renameat_with(old, from, new, to, RenameFlags::EXCHANGE)?;
        match there {
            Here::Whiteout if uncovers => {}
            Here::Whiteout => rustix::fs::unlinkat(old, from, AtFlags::empty())?,
            _ => top.remove_directory(old, from, uncovers)?,
        }
    } else {
        let flags = if uncovers && !aufs { RenameFlags::WHITEOUT } else { RenameFlags::empty() };
        match rustix::fs::renameat_with(old, from, new, to, flags) {
            // A file system without: the deletion is made first, and takes the new name for a moment.
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) if !flags.is_empty() => {
                rustix::fs::renameat(old, from, new, to)?;
                top.whiteout(old, from, false)?;
            }
            other => other?,
        }
    }
    if matches!(there, Here::Whiteout) { top.unwhiteout(new, to) } else { Ok(()) }
}
