use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use rustix::fs::{FallocateFlags, OFlags, SeekFrom};
use rustix::io::Errno;

use super::Result;
use super::inode::Inode;
use super::ranges::Ranges;

/// As much is copied from one file to another at once where their data is in several places.
const COPY: usize = 1 << 20;

/// An open file of the tree. Where all its data is in one file of a layer, that is open; else it is read and
/// written through what knows where it is.
#[derive(Debug)]
pub struct File {
    inode: Arc<Inode>,
    file: OwnedFd,
    /// It was opened in a read-only layer, and may have been copied up since.
    below: bool,
    copied_up: OnceLock<OwnedFd>,
}

impl File {
    pub(crate) fn new(inode: Arc<Inode>, file: OwnedFd, below: bool) -> Self {
        Self { inode, file, below, copied_up: OnceLock::new() }
    }

    /// The file that has all of the data, for as long as the tree's inode is what it is now; none while the data
    /// is in two files, of which nobody else may write to either.
    pub fn backing(&self) -> Option<&OwnedFd> {
        let outdated = self.below && self.inode.is_upper();
        if outdated || self.ranges().is_some() { None } else { Some(&self.file) }
    }

    fn ranges(&self) -> Option<Arc<Ranges>> {
        self.inode.ranges()
    }

    /// The real file: of one that was copied up since it was opened, the copy.
    fn real(&self) -> Result<BorrowedFd<'_>> {
        if !self.below || !self.inode.is_upper() {
            return Ok(self.file.as_fd());
        }
        if let Some(file) = self.copied_up.get() {
            return Ok(file.as_fd());
        }
        let place = self.inode.place().ok_or(Errno::STALE)?;
        let file = place.open(OFlags::RDONLY | OFlags::NONBLOCK)?;
        Ok(self.copied_up.get_or_init(|| file).as_fd())
    }

    /// Read until the buffer is full or the file ends.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        if let Some(ranges) = self.ranges() {
            return ranges.read(buffer, offset);
        }
        let file = self.real()?;
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match rustix::io::pread(file, rest, offset + done as u64)? {
                0 => break,
                got => done += got,
            }
        }
        Ok(done)
    }

    /// Write as much as can be. An error is one of the first byte.
    pub fn write(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        if let Some(ranges) = self.ranges() {
            return ranges.write(bytes, offset);
        }
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            match rustix::io::pwrite(&self.file, rest, offset + done as u64) {
                Ok(put) => done += put,
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// Cut it off, or make it longer with zeros.
    pub fn set_len(&self, length: u64) -> Result<()> {
        match self.ranges() {
            Some(ranges) => ranges.set_len(length),
            None => rustix::fs::ftruncate(&self.file, length),
        }
    }

    /// Open to be truncated, maybe not to be written.
    pub(crate) fn truncate(&self) -> Result<()> {
        match self.ranges() {
            Some(ranges) => ranges.set_len(0),
            None => rustix::fs::ftruncate(self.inode.place().ok_or(Errno::STALE)?.open(OFlags::WRONLY)?, 0),
        }
    }

    /// fallocate(2).
    pub fn allocate(&self, flags: FallocateFlags, offset: u64, length: u64) -> Result<()> {
        match self.ranges() {
            Some(ranges) => ranges.allocate(flags, offset, length),
            None => rustix::fs::fallocate(&self.file, flags, offset, length),
        }
    }

    /// fsync(2); fdatasync(2) with `data_only`. The first after a copy-up is never of the data alone: the name of
    /// the copy, without which the file below is seen, is no part of that.
    pub fn sync(&self, data_only: bool) -> Result<()> {
        let fresh = self.inode.fresh.swap(false, Ordering::AcqRel);
        self.sync_real(data_only && !fresh).inspect_err(|_| {
            self.inode.fresh.fetch_or(fresh, Ordering::AcqRel);
        })
    }

    fn sync_real(&self, data_only: bool) -> Result<()> {
        if let Some(ranges) = self.ranges() {
            return ranges.sync(data_only);
        }
        let file = self.real()?;
        if data_only { rustix::fs::fdatasync(file) } else { rustix::fs::fsync(file) }
    }

    /// Where the next data or the next hole is: lseek(2) with `SEEK_DATA` or `SEEK_HOLE`.
    pub fn seek(&self, to: SeekFrom) -> Result<u64> {
        match self.ranges() {
            Some(ranges) => ranges.seek(to),
            None => rustix::fs::seek(self.real()?, to),
        }
    }

    /// copy_file_range(2): at most so much. It may be less.
    pub fn copy_to(&self, offset: u64, to: &Self, to_offset: u64, length: u64) -> Result<usize> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if self.ranges().is_none() && to.ranges().is_none() {
            let (mut from_at, mut to_at) = (offset, to_offset);
            let length = length.min(1 << 30);
            let (from, to) = (self.real()?, &to.file);
            return rustix::fs::copy_file_range(from, Some(&mut from_at), to, Some(&mut to_at), length);
        }
        let mut buffer = vec![0; length.min(COPY)];
        let got = self.read(&mut buffer, offset)?;
        to.write(buffer.get(..got).unwrap_or_default(), to_offset)
    }
}
