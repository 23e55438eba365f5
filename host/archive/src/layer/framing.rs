//! The framing of a layer: everything of its raw tar stream that is not the content of regular files.
//!
//! With it and the unpacked directory the exact byte stream can be made again, so that an image is saved
//! with the diff IDs that it was loaded with and no second copy of the data is kept. (The idea is that of
//! tar-split; the format is nacre's own.)
//!
//! # Format, version 1
//!
//! All integers are LEB128 unless said otherwise.
//!
//! ```text
//! magic        8 bytes  "nacrefr" and the version, 0x01
//! length       of the next part
//! overrides    a zstd frame: count, then for each: path length, path, content length, content
//! operations   a zstd frame: operations until END
//!
//! 0x00 END     total length of the raw stream
//! 0x01 RAW     length, then so many bytes of the stream
//! 0x02 FILE    path length, path, offset, length: this part of that file's content comes next
//! 0x03 MORE    offset, length: another part of the same file (sparse files)
//! ```
//!
//! A path is relative to the directory and has no symbolic link in it. When an entry was replaced by a later
//! one of the same layer, its content is nowhere in the directory: it stands in the overrides. The n-th
//! override of a path belongs to the n-th FILE operation of that path; later FILE operations of it read the
//! directory. An override holds the parts of its entry one after another.

use std::io::{self, Write};

pub(super) const MAGIC: &[u8; 8] = b"nacrefr\x01";
pub(super) const END: u8 = 0;
pub(super) const RAW: u8 = 1;
pub(super) const FILE: u8 = 2;
pub(super) const MORE: u8 = 3;

/// The stream is long and regular: the fastest level already shrinks it 20 to 40 times.
const LEVEL: i32 = 1;
const PENDING: usize = 128 << 10;

/// Writes the framing of a stream while it is unpacked or packed.
pub(super) struct Recorder {
    operations: zstd::stream::write::Encoder<'static, Vec<u8>>,
    pending: Vec<u8>,
    overrides: Vec<(Vec<u8>, Vec<u8>)>,
    total: u64,
}

impl Recorder {
    pub(super) fn new() -> io::Result<Self> {
        let operations = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
        Ok(Self { operations, pending: Vec::with_capacity(PENDING), overrides: Vec::new(), total: 0 })
    }

    /// The next bytes of the stream belong to no file.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.total += bytes.len() as u64;
        if self.pending.len() + bytes.len() > PENDING {
            self.flush()?;
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// The next `len` bytes of the stream are the content of `path` from `offset` on. `first` for the first
    /// part of an entry.
    pub(super) fn file(&mut self, first: bool, path: &[u8], offset: u64, len: u64) -> io::Result<()> {
        self.total += len;
        self.flush()?;
        let mut head = Vec::with_capacity(path.len() + 24);
        if first {
            head.push(FILE);
            put_number(&mut head, path.len() as u64);
            head.extend_from_slice(path);
        } else {
            head.push(MORE);
        }
        put_number(&mut head, offset);
        put_number(&mut head, len);
        self.operations.write_all(&head)
    }

    /// What is at `path` is about to be replaced: this was the content of the entry's parts.
    pub(super) fn replaced(&mut self, path: &[u8], content: Vec<u8>) {
        self.overrides.push((path.to_vec(), content));
    }

    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.flush()?;
        let mut end = vec![END];
        put_number(&mut end, self.total);
        self.operations.write_all(&end)?;
        let operations = self.operations.finish()?;

        let mut overrides = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
        let mut head = Vec::new();
        put_number(&mut head, self.overrides.len() as u64);
        overrides.write_all(&head)?;
        for (path, content) in &self.overrides {
            head.clear();
            put_number(&mut head, path.len() as u64);
            head.extend_from_slice(path);
            put_number(&mut head, content.len() as u64);
            overrides.write_all(&head)?;
            overrides.write_all(content)?;
        }
        let overrides = overrides.finish()?;

        let mut framing = Vec::with_capacity(MAGIC.len() + 10 + overrides.len() + operations.len());
        framing.extend_from_slice(MAGIC);
        put_number(&mut framing, overrides.len() as u64);
        framing.extend_from_slice(&overrides);
        framing.extend_from_slice(&operations);
        Ok(framing)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut head = vec![RAW];
        put_number(&mut head, self.pending.len() as u64);
        self.operations.write_all(&head)?;
        self.operations.write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Recorder").field("total", &self.total).finish_non_exhaustive()
    }
}

pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
