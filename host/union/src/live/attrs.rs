use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{FileType, OFlags, Stat, StatVfs, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, XattrFlags};
use rustix::io::Errno;

use super::copyup::CAPABILITIES;
use super::inode::Inode;
use super::policy::Purpose;
use super::{File, Result, Tree, probe};

/// What is known of an inode besides its names and content.
#[derive(Debug, Clone, Copy)]
pub struct Attributes {
    /// Its number.
    pub number: u64,
    /// Its type.
    pub kind: FileType,
    /// What its layer says, but for the number and, of some, the names.
    pub stat: Stat,
}

/// A time to be set.
#[derive(Debug, Clone, Copy)]
pub enum TimeToSet {
    /// The time at which it is set.
    Now,
    /// Seconds since 1970, and nanoseconds.
    At(i64, i64),
}

/// Attributes to be set; none: they stay.
#[derive(Debug, Default, Clone, Copy)]
pub struct SetAttributes {
    /// Permission bits.
    pub mode: Option<u32>,
    /// The owner.
    pub uid: Option<u32>,
    /// The group.
    pub gid: Option<u32>,
    /// The length in bytes.
    pub size: Option<u64>,
    /// When it was read.
    pub accessed: Option<TimeToSet>,
    /// When it was changed.
    pub modified: Option<TimeToSet>,
    /// Whoever truncates may keep the setuid bits.
    pub privileged: bool,
}

impl Attributes {
    pub(crate) fn of(inode: &Inode, stat: &Stat) -> Self {
        let mut stat = *stat;
        let state = inode.state.lock();
        if state.upper.is_none() {
            stat.st_nlink = stat.st_nlink.saturating_sub(u64::from(state.removed));
        }
        if state.dir.as_ref().is_some_and(|dir| dir.lowers.len() + usize::from(dir.upper.is_some()) > 1) {
            // Programs that count subdirectories by links take this for: not counted.
            stat.st_nlink = 1;
        }
        if inode.kind == FileType::Directory && inode.dead.load(Ordering::Acquire) {
            stat.st_nlink = 0;
        }
        Self { number: inode.shown, kind: probe::kind(&stat), stat }
    }
}

impl Tree {
    /// What is known of an inode.
    pub fn attributes(&self, inode: &Inode) -> Result<Attributes> {
        let stat = self.stat_of(inode)?;
        Ok(Attributes::of(inode, &stat))
    }

    /// Change attributes. `file` is open for writing, if it is there.
    pub fn set_attributes(
        &self,
        inode: &Arc<Inode>,
        set: &SetAttributes,
        file: Option<&File>,
    ) -> Result<Attributes> {
        self.copy_up(inode, set.size.map_or(Purpose::Attributes, Purpose::Resize))?;
        let place = inode.place().ok_or(Errno::STALE)?;
        if let Some(size) = set.size {
            match (inode.ranges(), file) {
                (Some(ranges), _) => ranges.set_len(size)?,
                (None, Some(file)) => file.set_len(size)?,
                (None, None) => rustix::fs::ftruncate(place.open(OFlags::WRONLY)?, size)?,
            }
            if !set.privileged {
                self.drop_privileges(inode)?;
            }
        }
        let ranges = inode.ranges();
        let steady = ranges.as_ref().map(|ranges| ranges.steady());
        if set.uid.is_some() || set.gid.is_some() {
            place.chown(set.uid, set.gid)?;
        }
        if let Some(mode) = set.mode {
            place.chmod(mode)?;
        }
        if set.accessed.is_some() || set.modified.is_some() {
            let times = Timestamps { last_access: time(set.accessed), last_modification: time(set.modified) };
            place.set_times(&times)?;
        }
        drop(steady);
        self.attributes(inode)
    }

    /// What writing does to a file of somebody without privileges: it is setuid and setgid no more.
    pub fn drop_privileges(&self, inode: &Inode) -> Result<()> {
        let stat = self.stat_of(inode)?;
        let mut mode = stat.st_mode & 0o7777;
        mode &= !0o4000;
        if mode & 0o010 != 0 {
            mode &= !0o2000;
        }
        if mode == stat.st_mode & 0o7777 || inode.kind != FileType::RegularFile {
            return Ok(());
        }
        inode.place().ok_or(Errno::STALE)?.chmod(mode)
    }

    /// What a symbolic link says.
    pub fn read_link(&self, inode: &Inode) -> Result<Vec<u8>> {
        inode.place().ok_or(Errno::STALE)?.read_link()
    }

    /// Open a file. To be written, it is copied up first; to be truncated, without its data.
    pub fn open_file(&self, inode: &Arc<Inode>, write: bool, truncate: bool) -> Result<File> {
        if write || truncate {
            self.copy_up(inode, if truncate { Purpose::Resize(0) } else { Purpose::Write })?;
        }
        let _tree = self.names.read();
        let below = !inode.is_upper();
        let place = inode.place().ok_or(Errno::STALE)?;
        let stitched = inode.ranges().is_some();
        let flags = if write { OFlags::RDWR } else { OFlags::RDONLY };
        let flags = if truncate && !stitched { flags | OFlags::TRUNC } else { flags };
        let file = File::new(inode.clone(), place.open(flags | OFlags::NONBLOCK)?, below);
        if truncate && stitched {
            file.truncate()?;
        }
        Ok(file)
    }

    /// The names of extended attributes, each ended by a NUL.
    pub fn list_xattrs(&self, inode: &Inode) -> Result<Vec<u8>> {
        let stored = inode.place().ok_or(Errno::STALE)?.list_xattrs()?;
        let names = stored.split(|b| *b == 0).filter(|name| !name.is_empty());
        let mut shown = Vec::new();
        for name in names.filter_map(|name| self.shown_name(name)) {
            shown.extend_from_slice(&name);
            shown.push(0);
        }
        Ok(shown)
    }

    /// The value of an extended attribute.
    pub fn xattr(&self, inode: &Inode, name: &[u8]) -> Result<Vec<u8>> {
        let place = inode.place().ok_or(Errno::STALE)?;
        place.xattr(&self.stored_name(name))?.ok_or(Errno::NODATA)
    }

    /// Set an extended attribute.
    pub fn set_xattr(&self, inode: &Arc<Inode>, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        self.copy_up(inode, Purpose::Attributes)?;
        if name == CAPABILITIES {
            // They would go when data is moved.
            self.settle(inode)?;
        }
        inode.state.lock().default_acl = None;
        let flags = XattrFlags::from_bits_truncate(flags);
        inode.place().ok_or(Errno::STALE)?.set_xattr(&self.stored_name(name), value, flags)
    }

    /// Remove an extended attribute.
    pub fn remove_xattr(&self, inode: &Arc<Inode>, name: &[u8]) -> Result<()> {
        self.xattr(inode, name)?;
        self.copy_up(inode, Purpose::Attributes)?;
        inode.state.lock().default_acl = None;
        inode.place().ok_or(Errno::STALE)?.remove_xattr(&self.stored_name(name))
    }

    /// The room on the file system of the writable layer, or of the newest layer.
    pub fn room(&self) -> Result<StatVfs> {
        match &self.upper {
            Some(upper) => rustix::fs::fstatvfs(&*upper.root),
            None => rustix::fs::fstatvfs(&*self.lowers.first().ok_or(Errno::NOENT)?.root),
        }
    }
}

fn time(set: Option<TimeToSet>) -> Timespec {
    match set {
        None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        Some(TimeToSet::Now) => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        Some(TimeToSet::At(tv_sec, tv_nsec)) => Timespec { tv_sec, tv_nsec },
    }
}
