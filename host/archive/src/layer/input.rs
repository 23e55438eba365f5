//! The raw tar stream as it is consumed: counted, hashed and recorded, and never copied on the way to a file.

use std::io::{self, BufRead};

use super::error::{LimitName, Malformed, Problem};
use super::framing::Recorder;
use super::options::{Limits, Monitor};
use crate::digest::Hasher;

pub(super) const BLOCK: usize = 512;

pub(super) struct Input<'a, R> {
    reader: R,
    offset: u64,
    inline: u64,
    limits: Limits,
    monitor: Option<&'a Monitor>,
    pub(super) hasher: Option<Hasher>,
    pub(super) recorder: Option<Recorder>,
}

impl<'a, R: BufRead> Input<'a, R> {
    pub(super) fn new(reader: R, limits: Limits, monitor: Option<&'a Monitor>) -> Self {
        Self { reader, offset: 0, inline: 0, limits, monitor, hasher: None, recorder: None }
    }

    /// How many bytes of the stream were consumed.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next header block; none where the stream ends before it.
    pub(super) fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Problem> {
        let mut block = [0; BLOCK];
        let mut at = 0;
        while at < BLOCK {
            let available = self.fill()?;
            if available.is_empty() {
                return if at == 0 { Ok(None) } else { Err(Malformed::Truncated.into()) };
            }
            let count = available.len().min(BLOCK - at);
            block[at..at + count].copy_from_slice(&available[..count]);
            self.consume(count, true)?;
            at += count;
        }
        Ok(Some(block))
    }

    /// The content of an extension header, with its padding.
    pub(super) fn extension(&mut self, len: u64) -> Result<Vec<u8>, Problem> {
        let mut content = Vec::with_capacity(len as usize);
        self.each(len, true, |part| {
            content.extend_from_slice(part);
            Ok(())
        })?;
        self.padding(len)?;
        Ok(content)
    }

    /// Content that goes into a file: each part to `sink`, in order. It is for the caller to record it.
    pub(super) fn content(
        &mut self,
        len: u64,
        sink: impl FnMut(&[u8]) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        self.each(len, false, sink)
    }

    /// Content that goes nowhere, with its padding: the framing keeps it.
    pub(super) fn inline(&mut self, len: u64) -> Result<(), Problem> {
        self.count_inline(len)?;
        self.each(len, true, |_| Ok(()))?;
        self.padding(len)
    }

    /// Count content that the framing has to keep because no file does.
    pub(super) fn count_inline(&mut self, len: u64) -> Result<(), Problem> {
        self.inline = self.inline.saturating_add(len);
        if self.recorder.is_some() && self.inline > self.limits.inline_bytes {
            return Err(Problem::Limit(LimitName::InlineBytes, self.limits.inline_bytes));
        }
        Ok(())
    }

    /// What fills the last block after `len` bytes of content.
    pub(super) fn padding(&mut self, len: u64) -> Result<(), Problem> {
        let padding = (BLOCK as u64 - len % BLOCK as u64) % BLOCK as u64;
        self.each(padding, true, |_| Ok(()))
    }

    /// All that comes after the end of the archive. It belongs to the layer's diff ID.
    pub(super) fn drain(&mut self) -> Result<(), Problem> {
        loop {
            let count = self.fill()?.len();
            if count == 0 {
                return Ok(());
            }
            self.count_inline(count as u64)?;
            self.consume(count, true)?;
        }
    }

    fn each(
        &mut self,
        mut left: u64,
        record: bool,
        mut sink: impl FnMut(&[u8]) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        while left > 0 {
            let available = self.fill()?;
            if available.is_empty() {
                return Err(Malformed::Truncated.into());
            }
            let count = usize::try_from(left).map_or(available.len(), |left| available.len().min(left));
            sink(&available[..count])?;
            self.consume(count, record)?;
            left -= count as u64;
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<&[u8], Problem> {
        if self.monitor.is_some_and(Monitor::is_cancelled) {
            return Err(Problem::Cancelled);
        }
        // A second look with the same answer: the borrow checker does not let the first one be returned.
        while let Err(error) = self.reader.fill_buf() {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(Problem::Read(error));
            }
        }
        self.reader.fill_buf().map_err(Problem::Read)
    }

    fn consume(&mut self, count: usize, record: bool) -> Result<(), Problem> {
        self.offset += count as u64;
        if self.offset > self.limits.raw_bytes {
            return Err(Problem::Limit(LimitName::RawBytes, self.limits.raw_bytes));
        }
        if self.hasher.is_some() || (record && self.recorder.is_some()) {
            let bytes = &self.reader.fill_buf().map_err(Problem::Read)?[..count];
            if let Some(hasher) = &mut self.hasher {
                hasher.update(bytes);
            }
            if let (true, Some(recorder)) = (record, &mut self.recorder) {
                recorder.raw(bytes).map_err(Problem::write("record the framing"))?;
            }
        }
        if let Some(monitor) = self.monitor {
            monitor.add_raw(count as u64);
        }
        self.reader.consume(count);
        Ok(())
    }
}
