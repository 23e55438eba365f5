//! Extended attributes: names and values are bytes, and a symbolic link is never followed.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::dir::{proc_path, proc_path_at};
use crate::error::{Context, Error, Result};

/// What carries the attributes.
#[derive(Debug, Clone, Copy)]
pub enum Carrier<'a> {
    /// An open file or directory, not one opened with `O_PATH`.
    Open(BorrowedFd<'a>),
    /// A name in an open directory; one name, without `/`.
    At(BorrowedFd<'a>, &'a OsStr),
}

impl<'a, F: AsFd> From<&'a F> for Carrier<'a> {
    fn from(fd: &'a F) -> Self {
        Self::Open(fd.as_fd())
    }
}

impl Carrier<'_> {
    fn path(&self) -> PathBuf {
        match *self {
            Self::Open(fd) => proc_path(fd),
            Self::At(parent, name) => proc_path_at(parent, name),
        }
    }

    /// For messages: the path that the kernel knows.
    fn shown(&self) -> PathBuf {
        let (Self::Open(fd) | Self::At(fd, _)) = *self;
        let path = std::fs::read_link(proc_path(fd)).unwrap_or_else(|_| proc_path(fd));
        if let Self::At(_, name) = *self { path.join(name) } else { path }
    }
}

/// The names of all attributes that this process may see.
pub fn list<'a>(of: impl Into<Carrier<'a>>) -> Result<Vec<Vec<u8>>> {
    let of = of.into();
    let names = growing(|buffer| match of {
        Carrier::Open(fd) => rustix::fs::flistxattr(fd, buffer),
        Carrier::At(..) => rustix::fs::llistxattr(of.path(), buffer),
    });
    match names {
        Ok(names) => Ok(names.split(|b| *b == 0).filter(|n| !n.is_empty()).map(<[u8]>::to_vec).collect()),
        Err(Errno::NOTSUP) => Ok(Vec::new()),
        Err(e) => Err(Error::io("list attributes of", of.shown(), e)),
    }
}

/// An attribute's value; none where it is absent or the file system has none of its kind.
pub fn get<'a>(of: impl Into<Carrier<'a>>, name: &[u8]) -> Result<Option<Vec<u8>>> {
    let of = of.into();
    let value = growing(|buffer| match of {
        Carrier::Open(fd) => rustix::fs::fgetxattr(fd, name, buffer),
        Carrier::At(..) => rustix::fs::lgetxattr(of.path(), name, buffer),
    });
    match value {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        Err(e) => Err(Error::io("read attribute of", of.shown(), e)),
    }
}

/// Set an attribute, replacing the value that it had.
pub fn set<'a>(of: impl Into<Carrier<'a>>, name: &[u8], value: &[u8]) -> Result<()> {
    let of = of.into();
    match of {
        Carrier::Open(fd) => rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()),
        Carrier::At(..) => rustix::fs::lsetxattr(of.path(), name, value, XattrFlags::empty()),
    }
    .map_err(|e| Error::io("set attribute of", of.shown(), e))
}

/// Remove an attribute. Tells whether it was there.
pub fn remove<'a>(of: impl Into<Carrier<'a>>, name: &[u8]) -> Result<bool> {
    let of = of.into();
    let removed = match of {
        Carrier::Open(fd) => rustix::fs::fremovexattr(fd, name),
        Carrier::At(..) => rustix::fs::lremovexattr(of.path(), name),
    };
    match removed {
        Ok(()) => Ok(true),
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(false),
        Err(e) => Err(e).on("remove attribute of", of.shown()),
    }
}

/// Calls with a small buffer first, and with the largest that the kernel fills (64 KiB) when it is too
/// small.
fn growing(mut call: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut small = [0; 256];
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
