use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use nacre_sys::{Dir, xattr};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::error::{Context, Result};

/// What is known of an entry besides its name and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Its type.
    pub kind: FileType,
    /// Its permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its length in bytes; of a directory, what its file system says.
    pub size: u64,
    /// The bytes set aside for it.
    pub allocated: u64,
    /// When its content was changed: seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// When its content or attributes were changed, by the kernel's own clock.
    pub ctime: (i64, u32),
    /// What a device file stands for; 0 for anything else.
    pub rdev: u64,
    /// Its names in its layer.
    pub nlink: u64,
    /// Its inode in its layer: the file system's number and its own.
    pub inode: (u64, u64),
}

impl Metadata {
    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == FileType::Directory
    }

    pub(crate) fn of(stat: &Stat) -> Self {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let device = matches!(kind, FileType::CharacterDevice | FileType::BlockDevice);
        Self {
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            allocated: u64::try_from(stat.st_blocks).unwrap_or(0) * 512,
            mtime: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            ctime: (stat.st_ctime, u32::try_from(stat.st_ctime_nsec).unwrap_or(0)),
            rdev: if device { stat.st_rdev } else { 0 },
            nlink: stat.st_nlink,
            inode: (stat.st_dev, stat.st_ino),
        }
    }
}

/// An entry of the tree, and where it is. It holds its directory open; what it says was true when it was
/// found.
#[derive(Debug, Clone)]
pub struct Node {
    /// The layer that answers, by its place in the stack; of a merged directory the topmost one.
    pub layer: usize,
    /// What it is.
    pub metadata: Metadata,
    pub(crate) parent: Arc<Dir>,
    /// Empty for the root of the tree.
    pub(crate) name: OsString,
}

impl Node {
    /// Where it is on this machine, for messages.
    pub fn path(&self) -> PathBuf {
        if self.name.is_empty() { self.parent.path().to_owned() } else { self.parent.path().join(&self.name) }
    }

    /// Open it: a regular file, or a directory of its layer alone. Nothing is followed.
    pub fn open(&self) -> Result<OwnedFd> {
        let flags = if self.metadata.is_dir() { OFlags::DIRECTORY } else { OFlags::empty() };
        open(&self.parent, &self.name, OFlags::RDONLY | OFlags::NONBLOCK | flags).on(
            "open",
            self.parent.path(),
            &self.name,
        )
    }

    /// What a symbolic link says.
    pub fn read_link(&self) -> Result<PathBuf> {
        let said = rustix::fs::readlinkat(&*self.parent, &self.name, Vec::new()).on(
            "read link",
            self.parent.path(),
            &self.name,
        )?;
        Ok(OsString::from_vec(said.into_bytes()).into())
    }

    /// Its extended attributes, sorted by name, without those that overlayfs keeps for itself.
    pub fn xattrs(&self) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let carrier = if self.name.is_empty() {
            xattr::Carrier::Open(self.parent.as_fd())
        } else {
            xattr::Carrier::At(self.parent.as_fd(), &self.name)
        };
        let mut found = Vec::new();
        for name in xattr::list(carrier)? {
            if !name.starts_with(b"trusted.overlay.")
                && let Some(value) = xattr::get(carrier, &name)?
            {
                found.push((name, value));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Open one name in a directory of a layer, following nothing.
pub(crate) fn open(parent: &Dir, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let name = if name.is_empty() { OsStr::new(".") } else { name };
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(parent, name, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty(), how)
}

/// What a name in a directory of a layer is.
pub(crate) fn stat(parent: &Dir, name: &OsStr) -> Result<Option<Metadata>> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(Metadata::of(&stat))),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e).on("stat", parent.path(), name),
    }
}
