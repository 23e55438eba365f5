use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use nacre_sys::Dir;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::Result;
use crate::node;

/// Where a real file is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A name in an open directory. The empty name is the directory itself.
    At(Arc<Dir>, OsString),
    /// It has no name that is known, or none at all: a descriptor opened with `O_PATH`.
    Held(Arc<OwnedFd>),
}

impl Place {
    pub(crate) fn stat(&self) -> Result<Stat> {
        match self {
            Self::At(dir, name) if name.is_empty() => rustix::fs::fstat(&**dir),
            Self::At(dir, name) => rustix::fs::statat(&**dir, name, AtFlags::SYMLINK_NOFOLLOW),
            Self::Held(fd) => rustix::fs::fstat(fd),
        }
    }

    /// Open it; nothing is followed.
    pub(crate) fn open(&self, flags: OFlags) -> Result<OwnedFd> {
        match self {
            Self::At(dir, name) => node::open(dir, name, flags),
            Self::Held(fd) => {
                let flags = flags.difference(OFlags::NOFOLLOW) | OFlags::CLOEXEC;
                rustix::fs::open(proc_path(fd.as_raw_fd(), None), flags, Mode::empty())
            }
        }
    }

    /// Keep it reachable whatever becomes of its name.
    pub(crate) fn hold(&self) -> Result<Self> {
        match self {
            Self::Held(fd) => Ok(Self::Held(fd.clone())),
            Self::At(..) => Ok(Self::Held(Arc::new(self.open(OFlags::PATH | OFlags::NOFOLLOW)?))),
        }
    }

    pub(crate) fn chmod(&self, mode: u32) -> Result<()> {
        let mode = Mode::from_raw_mode(mode & 0o7777);
        match self {
            Self::At(dir, name) if name.is_empty() => rustix::fs::fchmod(&**dir, mode),
            Self::At(dir, name) => rustix::fs::chmodat(&**dir, name, mode, AtFlags::empty()),
            Self::Held(fd) => rustix::fs::chmod(proc_path(fd.as_raw_fd(), None), mode),
        }
    }

    pub(crate) fn chown(&self, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        match self {
            Self::At(dir, name) => {
                let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
                rustix::fs::chownat(&**dir, name, uid, gid, flags)
            }
            Self::Held(fd) => rustix::fs::chownat(fd, "", uid, gid, AtFlags::EMPTY_PATH),
        }
    }

    pub(crate) fn set_times(&self, times: &Timestamps) -> Result<()> {
        match self {
            Self::At(dir, name) if name.is_empty() => rustix::fs::futimens(&**dir, times),
            Self::At(dir, name) => rustix::fs::utimensat(&**dir, name, times, AtFlags::SYMLINK_NOFOLLOW),
            Self::Held(fd) => rustix::fs::utimensat(fd, "", times, AtFlags::EMPTY_PATH),
        }
    }

    pub(crate) fn read_link(&self) -> Result<Vec<u8>> {
        match self {
            Self::At(dir, name) => rustix::fs::readlinkat(&**dir, name, Vec::new()).map(CString::into_bytes),
            Self::Held(fd) => rustix::fs::readlinkat(fd, "", Vec::new()).map(CString::into_bytes),
        }
    }

    /// Give it one more name.
    pub(crate) fn link_to(&self, dir: &Dir, name: &OsStr) -> Result<()> {
        match self {
            Self::At(from, old) => rustix::fs::linkat(&**from, old, dir, name, AtFlags::empty()),
            Self::Held(fd) => rustix::fs::linkat(fd, "", dir, name, AtFlags::EMPTY_PATH),
        }
    }

    pub(crate) fn get_xattr(&self, name: &[u8], buffer: &mut [u8]) -> Result<usize> {
        let path = self.path();
        match self {
            Self::At(..) => rustix::fs::lgetxattr(path, name, buffer),
            Self::Held(_) => rustix::fs::getxattr(path, name, buffer),
        }
    }

    pub(crate) fn set_xattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<()> {
        let path = self.path();
        match self {
            Self::At(..) => rustix::fs::lsetxattr(path, name, value, flags),
            Self::Held(_) => rustix::fs::setxattr(path, name, value, flags),
        }
    }

    pub(crate) fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        let path = self.path();
        match self {
            Self::At(..) => rustix::fs::lremovexattr(path, name),
            Self::Held(_) => rustix::fs::removexattr(path, name),
        }
    }

    /// The names of its attributes, each ended by a NUL. A file system without attributes has none.
    pub(crate) fn list_xattrs(&self) -> Result<Vec<u8>> {
        let path = self.path();
        let listed = growing(|buffer| match self {
            Self::At(..) => rustix::fs::llistxattr(&path, buffer),
            Self::Held(_) => rustix::fs::listxattr(&path, buffer),
        });
        match listed {
            Err(Errno::NOTSUP) => Ok(Vec::new()),
            other => other,
        }
    }

    /// An attribute; none where it is absent.
    pub(crate) fn xattr(&self, name: &[u8]) -> Result<Option<Vec<u8>>> {
        match growing(|buffer| self.get_xattr(name, buffer)) {
            Ok(value) => Ok(Some(value)),
            Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn path(&self) -> CString {
        match self {
            Self::At(dir, name) => proc_path(rustix::fd::AsFd::as_fd(&**dir).as_raw_fd(), Some(name)),
            Self::Held(fd) => proc_path(fd.as_raw_fd(), None),
        }
    }
}

/// The path by which a descriptor, or a name in it, can be given to a call that takes a path.
fn proc_path(fd: i32, name: Option<&OsStr>) -> CString {
    let mut path = format!("/proc/self/fd/{fd}").into_bytes();
    if let Some(name) = name {
        path.push(b'/');
        path.extend_from_slice(if name.is_empty() { b"." } else { name.as_bytes() });
    }
    CString::new(path).unwrap_or_default()
}

/// Calls with a small buffer first, and with the largest that the kernel fills when it is too small.
fn growing(mut call: impl FnMut(&mut [u8]) -> Result<usize>) -> Result<Vec<u8>> {
    let mut small = [0; 512];
    match call(&mut small) {
        Ok(len) => Ok(small.get(..len).unwrap_or_default().to_vec()),
        Err(Errno::RANGE) => {
            let mut large = vec![0; 64 * 1024];
            let len = call(&mut large)?;
            large.truncate(len);
            Ok(large)
        }
        Err(e) => Err(e),
    }
}
