//! Where a packed stream goes.

use std::fs::File;
use std::io::{self, Read, Write};

use super::error::{EntryName, LayerError};
use super::framing::Recorder;
use super::input::BLOCK;
use super::options::{Monitor, Packed};
use super::pack::PackOptions;
use crate::digest::{DiffId, Hasher};

const BUFFER: usize = 256 << 10;

/// Out, into the digest and, as far as it is no file's content, into the framing.
pub(super) struct Sink<'a, W> {
    output: W,
    hasher: Hasher,
    recorder: Option<Recorder>,
    bytes: u64,
    monitor: Option<&'a Monitor>,
}

impl<'a, W: Write> Sink<'a, W> {
    pub(super) fn new(output: W, options: &PackOptions<'a>) -> Result<Self, LayerError> {
        let recorder =
            if options.framing { Some(Recorder::new().map_err(LayerError::Output)?) } else { None };
        Ok(Self { output, hasher: Hasher::new(), recorder, bytes: 0, monitor: options.monitor })
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        if let Some(recorder) = &mut self.recorder {
            recorder.raw(bytes).map_err(LayerError::Output)?;
        }
        self.write(bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        if let Some(monitor) = self.monitor {
            if monitor.is_cancelled() {
                return Err(LayerError::Cancelled);
            }
            monitor.add_raw(bytes.len() as u64);
        }
        self.bytes += bytes.len() as u64;
        self.hasher.update(bytes);
        self.output.write_all(bytes).map_err(LayerError::Output)
    }

    /// The content of a file, as long as its header says: a file that became shorter meanwhile is filled up
    /// with zeros, as GNU tar does, so that the archive stays whole.
    pub(super) fn file(&mut self, path: &[u8], file: File, size: u64) -> Result<(), LayerError> {
        let mut buffer = vec![0; BUFFER.min(size as usize + 1)];
        let mut left = size;
        while left > 0 {
            let wanted = usize::try_from(left).map_or(buffer.len(), |left| buffer.len().min(left));
            match (&file).read(&mut buffer[..wanted]) {
                Ok(0) => break,
                Ok(count) => {
                    self.write(&buffer[..count])?;
                    left -= count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(LayerError::Tree { name: EntryName::new(path), op: "read", source });
                }
            }
        }
        if let (Some(recorder), true) = (&mut self.recorder, size > left) {
            recorder.file(true, path, 0, size - left).map_err(LayerError::Output)?;
        }
        let mut zeros = left + (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        while zeros > 0 {
            let count = zeros.min(8 * BLOCK as u64);
            self.raw(&[0; 8 * BLOCK][..count as usize])?;
            zeros -= count;
        }
        Ok(())
    }

    pub(super) fn finish(mut self, entries: u64, content_bytes: u64) -> Result<Packed, LayerError> {
        self.output.flush().map_err(LayerError::Output)?;
        let framing = match self.recorder {
            Some(recorder) => recorder.finish().map_err(LayerError::Output)?,
            None => Vec::new(),
        };
        let diff_id = DiffId::new(self.hasher.finish());
        Ok(Packed { diff_id, raw_bytes: self.bytes, content_bytes, entries, framing })
    }
}
