//! Locks between processes, as files.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Context, Error, Result};

/// A `flock(2)` on a file, held until it is dropped or the process dies. The file is made where it is
/// missing, and stays.
///
/// The lock belongs to this value: two of them in one process exclude each other as those of two processes
/// do, and a child process does not inherit it.
#[derive(Debug)]
pub struct FileLock {
    fd: OwnedFd,
    path: PathBuf,
}

impl FileLock {
    /// Wait until nobody else holds the lock.
    pub fn exclusive(path: impl AsRef<Path>) -> Result<Self> {
        Self::take(path.as_ref(), FlockOperation::LockExclusive).map(|(lock, _)| lock)
    }

    /// Wait until nobody holds the lock exclusively.
    pub fn shared(path: impl AsRef<Path>) -> Result<Self> {
        Self::take(path.as_ref(), FlockOperation::LockShared).map(|(lock, _)| lock)
    }

    /// The lock, unless somebody else holds it.
    pub fn try_exclusive(path: impl AsRef<Path>) -> Result<Option<Self>> {
        let (lock, held) = Self::take(path.as_ref(), FlockOperation::NonBlockingLockExclusive)?;
        Ok(held.then_some(lock))
    }

    /// The lock's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Remove the file and give the lock up. Whoever waits for it makes a new file. For a lock held
    /// exclusively: the others of a shared one would go on holding a file that nobody finds.
    pub fn remove_and_release(self) -> Result<()> {
        match rustix::fs::unlink(&self.path) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(Error::io("remove", &self.path, e)),
        }
    }

    /// A lock on a file that was removed while it was waited for would exclude nobody: then again.
    fn take(path: &Path, how: FlockOperation) -> Result<(Self, bool)> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        loop {
            let fd = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).on("open lock", path)?;
            let held = match rustix::fs::flock(&fd, how) {
                Ok(()) => true,
                Err(Errno::WOULDBLOCK) => false,
                Err(Errno::INTR) => continue,
                Err(e) => return Err(Error::io("lock", path, e)),
            };
            if !held || is_still(&fd, path)? {
                return Ok((Self { fd, path: path.to_owned() }, held));
            }
        }
    }
}

/// Unlocked rather than closed alone: a child that is being started shares the descriptor for a moment.
impl Drop for FileLock {
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.fd, FlockOperation::Unlock);
    }
}

impl std::os::fd::AsFd for FileLock {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn is_still(fd: &OwnedFd, path: &Path) -> Result<bool> {
    let ours = rustix::fs::fstat(fd).on("stat", path)?;
    match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(there) => Ok((there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(Error::io("stat", path, e)),
    }
}
