//! Getting data to the disk.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::error::{Context, Result};

/// Wait until everything written to the file system that holds `fd` is on its disk.
pub fn syncfs(fd: impl AsFd) -> Result<()> {
    let fd = fd.as_fd();
    rustix::fs::syncfs(fd).on("sync", crate::dir::proc_path(fd))
}

/// Wait until a file, or the names in a directory, are on the disk.
pub fn fsync(fd: impl AsFd) -> Result<()> {
    let fd = fd.as_fd();
    rustix::fs::fsync(fd).on("sync", crate::dir::proc_path(fd))
}

/// Let the kernel start to write a range of a file, so that less is left for [`syncfs`]; it waits for
/// nothing but room in the queue. A length of 0 means to the end. It promises nothing: failure is no error.
pub fn start_writeback(fd: BorrowedFd<'_>, offset: u64, len: u64) {
    let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) else { return };
    // SAFETY: the descriptor is open for the length of the call, and no memory is passed.
    unsafe {
        libc::sync_file_range(fd.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE);
    }
}
