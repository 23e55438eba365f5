use std::collections::HashSet;
use std::ffi::OsStr;
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
        let fd: OwnedFd = root.into();
        let mut stack = vec![tally.level(fd).on("read directory", &path)?];
        while let Some((fd, subdirs)) = stack.last_mut() {
            let Some(name) = subdirs.pop() else {
                stack.pop();
                continue;
            };
            match rustix::fs::openat(&*fd, &name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(fd) => stack.push(tally.level(fd).on("read directory", &path)?),
                Err(Errno::NOENT) => {}
                Err(e) => return Err(e).on("open directory", path.join(name)),
            }
        }
        Ok(tally.usage)
    }
}

struct Tally {
    usage: Usage,
    seen: HashSet<(u32, u32, u64)>,
}

type Level = (OwnedFd, Vec<std::ffi::OsString>);

impl Tally {
    fn level(&mut self, fd: OwnedFd) -> Result<Level, Errno> {
        let mut subdirs = Vec::new();
        for entry in entries_of(fd.as_fd())? {
            match self.count(&fd, &entry.name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(true) => subdirs.push(entry.name),
                Ok(false) | Err(Errno::NOENT) => {}
                Err(e) => return Err(e),
            }
        }
        Ok((fd, subdirs))
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
