use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A run of bytes of a file that others may be reading at the same time. It does not buffer: read large
/// pieces. A file that has become shorter is an error, never an early end.
#[derive(Debug)]
pub struct BlobReader {
    file: Arc<File>,
    start: u64,
    at: u64,
    end: u64,
}

impl BlobReader {
    pub(super) fn new(file: Arc<File>, start: u64, length: u64) -> Self {
        Self { file, start, at: start, end: start.saturating_add(length) }
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.remaining()).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.file.read_at(&mut buffer[..wanted], self.at)?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive has become shorter"));
        }
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for BlobReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => self.start.checked_add(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.end.checked_add_signed(by),
        };
        match at.filter(|&at| at >= self.start) {
            Some(at) => {
                self.at = at;
                Ok(at - self.start)
            }
            None => Err(io::Error::new(io::ErrorKind::InvalidInput, "a position outside of the entry")),
        }
    }
}
