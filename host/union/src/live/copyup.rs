use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nacre_sys::{DataCopy, Dir};
use rustix::fs::{FileType, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use super::inode::Inode;
use super::place::Place;
use super::policy::{CopyUp, CopyUpKind, Purpose};
use super::ranges::Begun;
use super::{Counters, Result, Tree, Upper, sys_errno};
use crate::trace::Operation;

pub(crate) const CAPABILITIES: &[u8] = b"security.capability";

/// For each layer that was asked about: the names of its files that have several, by inode.
pub(crate) type LinkMap = HashMap<usize, Arc<HashMap<u64, Vec<PathBuf>>>>;

impl Tree {
    /// Bring a file or directory into the writable layer, if it is not there: with its mode, owner, times and
    /// attributes, all its names, and as much of its data as `purpose` needs. It is complete and synced before
    /// anybody sees it there.
    pub fn copy_up(&self, inode: &Arc<Inode>, purpose: Purpose) -> Result<()> {
        if inode.is_upper() {
            return Ok(());
        }
        let top = self.top()?;
        if inode.kind == FileType::Directory {
            let _tree = self.names.write();
            return self.raise(inode).map(drop);
        }
        let _one = inode.copying.lock();
        if inode.is_upper() {
            return Ok(());
        }
        let lower = inode.place().ok_or(Errno::STALE)?;
        let stat = lower.stat()?;
        let temp = top.temp();
        let begun =
            self.copy_to_work(top, &lower, &stat, &temp, purpose).inspect_err(|_| top.discard(&temp))?;
        let _tree = self.names.write();
        *inode.ranges.write() = begun.as_ref().map(|begun| begun.ranges.clone());
        self.publish(inode, &stat, &temp, begun.as_ref()).inspect_err(|_| {
            if let Some(begun) = inode.ranges.write().take() {
                top.ranges.drop_nameless(begun.ino);
                begun.unlink();
            }
            top.discard(&temp);
        })?;
        self.note_copy_up(inode, &stat);
        Ok(())
    }

    fn note_copy_up(&self, inode: &Inode, stat: &Stat) {
        if let Some(recorder) = self.recorder() {
            let size = u64::try_from(stat.st_size).unwrap_or(0);
            recorder.note(0, &Operation::CopyUp { inode: inode.ino, size });
        }
    }

    fn copy_to_work<'a>(
        &'a self,
        top: &'a Upper,
        lower: &Place,
        stat: &Stat,
        temp: &str,
        purpose: Purpose,
    ) -> Result<Option<Begun<'a>>> {
        let made = Place::At(top.work.clone(), temp.into());
        match super::probe::kind(stat) {
            FileType::RegularFile => {
                let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let to = rustix::fs::openat(&*top.work, temp, flags, Mode::RUSR | Mode::WUSR)?;
                let asked = self.asked(top, stat, &to, purpose)?;
                if asked.needed > 0 {
                    let way = self.options.copy_up.choose(&asked);
                    if let Some(begun) = self.begin_ranges(top, lower, stat, temp, &to, (asked, way))? {
                        Counters::one(&self.counters.ranges);
                        return Ok(Some(begun));
                    }
                    self.copy_data(lower, &to, asked, way)?;
                } else {
                    Counters::one(&self.counters.others);
                }
                self.dress(lower, &made, stat)?;
                if !self.options.volatile {
                    rustix::fs::fsync(&to)?;
                }
                return Ok(None);
            }
            FileType::Symlink => {
                rustix::fs::symlinkat(OsStr::from_bytes(&lower.read_link()?), &*top.work, temp)?
            }
            kind => rustix::fs::mknodat(&*top.work, temp, kind, Mode::RUSR, stat.st_rdev)?,
        }
        Counters::one(&self.counters.others);
        self.dress(lower, &made, stat).map(|()| None)
    }

    /// Give a file a map in place of its data, where that is the way and can be. Then it is complete, and synced.
    fn begin_ranges<'a>(
        &'a self,
        top: &'a Upper,
        lower: &Place,
        stat: &Stat,
        temp: &str,
        to: &OwnedFd,
        (asked, way): (CopyUp, CopyUpKind),
    ) -> Result<Option<Begun<'a>>> {
        // What is written to a file takes its capabilities, also where nobody asked for it to be written.
        if !self.options.ranges
            || !matches!(way, CopyUpKind::Ranges | CopyUpKind::MetadataOnly)
            || lower.xattr(CAPABILITIES)?.is_some()
        {
            return Ok(None);
        }
        let from = lower.open(OFlags::RDONLY)?;
        if asked.same_filesystem && asked.needed == asked.size && rustix::fs::ioctl_ficlone(to, &from).is_ok()
        {
            rustix::fs::ftruncate(to, 0)?;
            return Ok(None);
        }
        let Some(pass) = top.ranges.gate.enter(&top.root) else { return Ok(None) };
        rustix::fs::ftruncate(to, asked.needed)?;
        self.dress(lower, &Place::At(top.work.clone(), temp.into()), stat)?;
        let begun = top.ranges.begin(pass, &self.lowers, lower, from, temp, to.try_clone().map_err(io)?)?;
        if begun.is_none() {
            rustix::fs::ftruncate(to, 0)?;
        }
        Ok(begun)
    }

    fn asked(&self, top: &Upper, stat: &Stat, to: &OwnedFd, purpose: Purpose) -> Result<CopyUp> {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let same_filesystem = rustix::fs::fstat(to)?.st_dev == stat.st_dev;
        let can_share = *self.can_share.get_or_init(|| nacre_sys::facts::shares_data(&top.work));
        let allocated = u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        Ok(CopyUp { size, allocated, same_filesystem, can_share, purpose, needed: purpose.needs(size) })
    }

    fn copy_data(&self, lower: &Place, to: &OwnedFd, asked: CopyUp, way: CopyUpKind) -> Result<()> {
        let CopyUp { size, needed, .. } = asked;
        let from = lower.open(OFlags::RDONLY)?;
        let share = match way {
            CopyUpKind::Reflink => true,
            CopyUpKind::Ranges | CopyUpKind::MetadataOnly => asked.same_filesystem,
            CopyUpKind::Whole => false,
        };
        let copied = nacre_sys::copy_file_data(&from, to, needed, size, share);
        match copied.map_err(io)? {
            DataCopy::Shared => Counters::one(&self.counters.shared),
            DataCopy::Written(bytes) => {
                Counters::one(&self.counters.whole);
                self.counters.copied_bytes.fetch_add(bytes, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Owner, attributes, mode and times, in this order: a change of owner takes capabilities and setuid bits
    /// away.
    fn dress(&self, from: &Place, to: &Place, stat: &Stat) -> Result<()> {
        to.chown(Some(stat.st_uid), Some(stat.st_gid))?;
        for name in from.list_xattrs()?.split(|b| *b == 0).filter(|name| !name.is_empty()) {
            let Some(value) = (if self.is_private(name) { None } else { from.xattr(name)? }) else {
                continue;
            };
            match to.set_xattr(name, &value, XattrFlags::empty()) {
                // A security module labels what it makes; its label cannot always be set.
                Err(e) if name == b"security.selinux" && e != Errno::NOSPC => {}
                other => other?,
            }
        }
        if super::probe::kind(stat) != FileType::Symlink {
            to.chmod(stat.st_mode)?;
        }
        to.set_times(&times(stat))
    }

    /// Give a complete copy in the work directory its place in the writable layer.
    fn publish(&self, inode: &Arc<Inode>, stat: &Stat, temp: &str, begun: Option<&Begun<'_>>) -> Result<()> {
        let top = self.top()?;
        let name = inode.state.lock().names.first().cloned();
        let Some((parent, name)) = name else {
            // It was deleted, and is still open: the copy has no name.
            let held = Place::At(top.work.clone(), temp.into());
            let held = held.hold()?;
            top.discard(temp);
            if let Some(begun) = begun {
                begun.ranges.unlink();
            }
            inode.state.lock().upper = Some(held);
            return Ok(());
        };
        let dir = self.raise(&parent)?;
        let before = rustix::fs::fstat(&*dir)?;
        if let Some(begun) = begun {
            top.ranges.insert(begun.ranges.clone());
        }
        rustix::fs::renameat_with(&*top.work, temp, &*dir, &name, RenameFlags::NOREPLACE)?;
        inode.fresh.store(true, Ordering::Release);
        let place = Place::At(dir.clone(), name.clone());
        let made = place.stat()?;
        let _ = rustix::fs::futimens(&*dir, &times(&before));
        let lower = {
            let mut state = inode.state.lock();
            state.upper = Some(place.clone());
            state.lower.clone()
        };
        self.table.lock().set_alias(inode, (made.st_dev, made.st_ino));
        parent.entries_changed();
        if stat.st_nlink > 1
            && let Some(Place::At(lower_dir, _)) = lower
        {
            self.link_other_names(inode, &parent, &lower_dir, stat.st_ino, &place);
        }
        Ok(())
    }

    /// Bring a directory into the writable layer, and before it those above. The tree's names are locked.
    pub(crate) fn raise(&self, inode: &Arc<Inode>) -> Result<Arc<Dir>> {
        if let Some(dir) = inode.upper_dir() {
            return Ok(dir);
        }
        let top = self.top()?;
        let (parent, name) = inode.state.lock().names.first().cloned().ok_or(Errno::NOENT)?;
        let above = self.raise(&parent)?;
        let lower = inode.place().ok_or(Errno::STALE)?;
        let stat = lower.stat()?;
        let temp = top.temp();
        let made = top.work.make_dir(&temp, 0o700).map_err(|e| sys_errno(&e))?;
        let made = Arc::new(made);
        let before = rustix::fs::fstat(&*above)?;
        let done = self.dress(&lower, &Place::At(made.clone(), OsString::new()), &stat).and_then(|()| {
            rustix::fs::renameat_with(&*top.work, &temp, &*above, &name, RenameFlags::NOREPLACE)
        });
        done.inspect_err(|_| top.discard(&temp))?;
        let _ = rustix::fs::futimens(&*above, &times(&before));
        Counters::one(&self.counters.others);
        self.note_copy_up(inode, &stat);
        let real = rustix::fs::fstat(&*made)?;
        {
            let mut state = inode.state.lock();
            state.upper = Some(Place::At(made.clone(), OsString::new()));
            if let Some(dir) = &mut state.dir {
                dir.upper = Some(made.clone());
                dir.listing = None;
            }
        }
        self.table.lock().set_alias(inode, (real.st_dev, real.st_ino));
        parent.entries_changed();
        Ok(made)
    }

    /// The other names that the copied file has in its layer become names of the copy, as far as the tree
    /// shows them: they stay one file. A name that cannot be made stays what it was.
    fn link_other_names(
        &self,
        inode: &Arc<Inode>,
        parent: &Arc<Inode>,
        lower_dir: &Arc<Dir>,
        ino: u64,
        place: &Place,
    ) {
        let layer = parent.parts().and_then(|parts| {
            parts.lowers.iter().find(|part| Arc::ptr_eq(&part.dir, lower_dir)).map(|part| part.layer)
        });
        let Some(layer) = layer else { return };
        let paths = match self.links_of(layer) {
            Ok(map) => map.get(&ino).cloned().unwrap_or_default(),
            Err(e) => {
                tracing::warn!("hard links of a copied file cannot be searched for: {e}");
                return;
            }
        };
        for path in paths {
            if let Err(e) = self.link_name(inode, &path, place) {
                tracing::debug!("{} stays a file of its own: {e}", path.display());
            }
        }
    }

    fn link_name(&self, inode: &Arc<Inode>, path: &Path, place: &Place) -> Result<()> {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let mut held = Vec::new();
        let linked = (|| {
            let mut at = self.root.clone();
            for part in dir {
                let found = self.probe(&at, part)?.ok_or(Errno::NOENT)?;
                at = self.adopt(&at, part, found)?.0;
                held.push(at.ino);
            }
            let found = self.probe(&at, name)?.ok_or(Errno::NOENT)?;
            if found.upper.is_some() || (found.stat.st_dev, found.stat.st_ino) != inode.key {
                return Ok(());
            }
            let upper = self.raise(&at)?;
            let before = rustix::fs::fstat(&*upper)?;
            place.link_to(&upper, name)?;
            let _ = rustix::fs::futimens(&*upper, &times(&before));
            self.table.lock().add_name(inode, &at, name);
            at.entries_changed();
            Ok(())
        })();
        let mut table = self.table.lock();
        held.into_iter().for_each(|number| table.release(number, 1));
        linked
    }

    /// The files of a layer that have several names. The layer's directories are read once.
    fn links_of(&self, layer: usize) -> Result<Arc<HashMap<u64, Vec<PathBuf>>>> {
        let mut known = self.links.lock();
        if let Some(map) = known.get(&layer) {
            return Ok(map.clone());
        }
        let root = &self.lowers.get(layer).ok_or(Errno::INVAL)?.root;
        let mut names: HashMap<u64, Vec<PathBuf>> = HashMap::new();
        let mut pending = vec![PathBuf::new()];
        while let Some(path) = pending.pop() {
            let dir = root.sub(&path).map_err(|e| sys_errno(&e))?;
            for entry in dir.entries().map_err(|e| sys_errno(&e))? {
                match entry.kind {
                    FileType::Directory => pending.push(path.join(&entry.name)),
                    _ => names.entry(entry.ino).or_default().push(path.join(&entry.name)),
                }
            }
        }
        names.retain(|_, paths| paths.len() > 1);
        let map = Arc::new(names);
        known.insert(layer, map.clone());
        Ok(map)
    }

    /// Bring all that a directory shows into the writable layer, so that it needs no other.
    pub(crate) fn make_whole(&self, inode: &Arc<Inode>) -> Result<()> {
        let Some(parts) = inode.parts() else { return self.copy_up(inode, Purpose::Names) };
        if parts.lowers.is_empty() {
            // What is in it can have parts below only where it has some itself.
            return Ok(());
        }
        self.copy_up(inode, Purpose::Names)?;
        for entry in &self.listing(inode)?.entries {
            if let Some((child, _)) = self.lookup(inode, &entry.name)? {
                let done = self.make_whole(&child);
                self.forget(child.ino, 1);
                done?;
            }
        }
        let _tree = self.names.write();
        let dir = inode.upper_dir().ok_or(Errno::STALE)?;
        let before = rustix::fs::fstat(&*dir)?;
        self.set_opaque(&dir)?;
        self.top()?.clear_whiteouts(&dir)?;
        let _ = rustix::fs::futimens(&*dir, &times(&before));
        if let Some(dir) = &mut inode.state.lock().dir {
            (dir.lowers, dir.names, dir.listing) = (Arc::new([]), None, None);
        }
        Ok(())
    }
}

fn io(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

pub(crate) fn times(stat: &Stat) -> Timestamps {
    let time = |sec: i64, nsec: u64| Timespec { tv_sec: sec, tv_nsec: nsec.try_into().unwrap_or(0) };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}
