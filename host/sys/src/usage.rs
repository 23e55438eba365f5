use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use crate::dir::{DIRECTORY, Dir, entries_of};
use crate::error::{Context, Result};

/// What a tree takes. Every inode counts once, however many names it has.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The sizes of everything but directories, as Docker counts: holes as if they were full, a symbolic
    /// link as the length of what it says.
    pub bytes: u64,
    /// The bytes that the file system has set aside for files and directories.
    pub allocated: u64,
    /// Files and directories, the tree's own root included.
    pub inodes: u64,
}

impl Dir {
    /// What a directory and everything below it takes. What is mounted below is counted as it appears;
    /// what vanishes meanwhile is not.
    pub fn tree_bytes(&self, rel: impl AsRef<Path>) -> Result<Usage> {
        let root = self.sub(rel)?;
        let path = root.path().to_owned();
        let mut tally = Tally { usage: Usage::default(), seen: HashSet::new() };
        tally.count(&root, OsStr::new(""), AtFlags::EMPTY_PATH).on("stat", &path)?;
        let root: OwnedFd = root.into();
        tally.walk(&root).on("read below", &path)?;
        Ok(tally.usage)
    }
}

/// A directory on the way down to where the count is. Only the last one is open, so that a tree may be deeper than
/// files may be open.
struct Level {
    name: OsString,
    inode: (u64, u64),
    subdirs: Vec<OsString>,
}

/// A directory below; none where it has gone, or is something else by now.
fn enter(parent: &OwnedFd, name: &OsStr) -> Result<Option<OwnedFd>, Errno> {
    match rustix::fs::openat(parent, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(e) => Err(e),
    }
}

fn inode(fd: &OwnedFd) -> Result<(u64, u64), Errno> {
    rustix::fs::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino))
}

/// Open the last level again, coming from one below it. Levels that were moved away meanwhile are given up.
fn back_up(root: &OwnedFd, below: &OwnedFd, levels: &mut Vec<Level>) -> Result<OwnedFd, Errno> {
    if let (Some(up), Some(level)) = (enter(below, OsStr::new(".."))?, levels.last())
        && inode(&up)? == level.inode
    {
        return Ok(up);
    }
    let mut here = rustix::fs::openat(root, ".", DIRECTORY, Mode::empty())?;
    let mut found = 1;
    for level in levels.iter().skip(1) {
        match enter(&here, &level.name)? {
            Some(fd) if inode(&fd)? == level.inode => here = fd,
            _ => break,
        }
        found += 1;
    }
    levels.truncate(found);
    Ok(here)
}

struct Tally {
    usage: Usage,
    seen: HashSet<(u32, u32, u64)>,
}

impl Tally {
    fn walk(&mut self, root: &OwnedFd) -> Result<(), Errno> {
        let mut here = rustix::fs::openat(root, ".", DIRECTORY, Mode::empty())?;
        let mut levels = vec![self.level(&here, OsString::new())?];
        while let Some(level) = levels.last_mut() {
            if let Some(name) = level.subdirs.pop() {
                if let Some(fd) = enter(&here, &name)? {
                    levels.push(self.level(&fd, name)?);
                    here = fd;
                }
            } else {
                levels.pop();
                if !levels.is_empty() {
                    here = back_up(root, &here, &mut levels)?;
                }
            }
        }
        Ok(())
    }

    fn level(&mut self, fd: &OwnedFd, name: OsString) -> Result<Level, Errno> {
        let mut subdirs = Vec::new();
        for entry in entries_of(fd.as_fd())? {
            match self.count(fd, &entry.name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(true) => subdirs.push(entry.name),
                Ok(false) | Err(Errno::NOENT) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Level { name, inode: inode(fd)?, subdirs })
    }

    /// Count one inode; tells whether it is a directory.
    fn count(&mut self, at: impl AsFd, name: &OsStr, flags: AtFlags) -> Result<bool, Errno> {
        let wanted =
            StatxFlags::TYPE | StatxFlags::SIZE | StatxFlags::BLOCKS | StatxFlags::INO | StatxFlags::NLINK;
        let found = rustix::fs::statx(at, name, flags | AtFlags::STATX_DONT_SYNC, wanted)?;
        let is_dir = FileType::from_raw_mode(found.stx_mode.into()) == FileType::Directory;
        let inode = (found.stx_dev_major, found.stx_dev_minor, found.stx_ino);
        if !is_dir && found.stx_nlink > 1 && !self.seen.insert(inode) {
            return Ok(false);
        }
        self.usage.inodes += 1;
        self.usage.allocated += found.stx_blocks * 512;
        if !is_dir {
            self.usage.bytes += found.stx_size;
        }
        Ok(is_dir)
    }
}
