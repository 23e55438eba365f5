//! What is in a tar, one entry after the other, without unpacking anything.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use super::entry::{Headers, Kind};
use super::error::{LayerError, Problem};
use super::input::Input;
use super::options::Limits;
use super::sparse::Sparse;
use crate::compression::Compression;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// One more name of an earlier entry.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A FIFO.
    Fifo,
}

/// An entry of a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEntry {
    /// Its name as the archive has it.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// What a link says; empty for anything else.
    pub link: Vec<u8>,
    /// Bytes of its content, holes counted.
    pub size: u64,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// When its content was changed, in seconds since the epoch.
    pub mtime: i64,
}

/// The entries of a tar, plain or compressed, in the archive's order. After an error there are no more.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use nacre_archive::layer::{Entries, Limits};
/// for entry in Entries::open(std::fs::File::open("layer.tar.gz")?, Limits::default())? {
///     println!("{}", String::from_utf8_lossy(&entry?.name));
/// }
/// # Ok(()) }
/// ```
pub struct Entries {
    input: Input<'static, Box<dyn BufRead>>,
    headers: Headers,
    /// Content of the last entry that was not read: its bytes in the stream, and where they belong.
    left: Option<(u64, Option<Sparse>)>,
    ended: bool,
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Entries").field("headers", &self.headers).finish_non_exhaustive()
    }
}

impl Entries {
    /// Begin with the first entry.
    ///
    /// # Errors
    /// The first bytes cannot be read, or are no tar.
    pub fn open(mut tar: impl Read + 'static, limits: Limits) -> Result<Self, LayerError> {
        let unreadable = |source| LayerError::Read { offset: 0, source };
        let mut head = Vec::with_capacity(512);
        tar.by_ref().take(512).read_to_end(&mut head).map_err(unreadable)?;
        let compression = Compression::sniff_tar(&head);
        let whole = BufReader::with_capacity(64 << 10, Cursor::new(head).chain(tar));
        let reader: Box<dyn BufRead> = match compression {
            Some(Compression::Gzip) => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(whole))),
            Some(Compression::Zstd) => {
                let decoder = zstd::stream::read::Decoder::with_buffer(whole).map_err(unreadable)?;
                Box::new(BufReader::new(decoder))
            }
            Some(Compression::Plain) => Box::new(whole),
            None => return Err(unreadable(io::Error::new(io::ErrorKind::InvalidData, "it is no tar"))),
        };
        let input = Input::new(reader, limits, None);
        Ok(Self { input, headers: Headers::new(limits), left: None, ended: false })
    }

    /// The content of the entry that came last, holes as zeros. None where it has more than `most` bytes; it is
    /// there once.
    ///
    /// # Errors
    /// The archive is cut short or cannot be read.
    pub fn content(&mut self, most: u64) -> Result<Option<Vec<u8>>, LayerError> {
        let Some((stored, sparse)) = self.left.take() else { return Ok(Some(Vec::new())) };
        let size = sparse.as_ref().map_or(stored, |sparse| sparse.real_size);
        if size > most {
            self.left = Some((stored, sparse));
            return Ok(None);
        }
        let read = self.read_content(stored, sparse.as_ref(), size);
        read.map(Some).map_err(|problem| self.fault(problem))
    }

    fn read_content(&mut self, stored: u64, sparse: Option<&Sparse>, size: u64) -> Result<Vec<u8>, Problem> {
        let mut content = Vec::new();
        let Some(sparse) = sparse else {
            self.input.content(stored, |part| {
                content.extend_from_slice(part);
                Ok(())
            })?;
            self.input.padding(stored)?;
            return Ok(content);
        };
        for segment in &sparse.segments {
            content.resize(segment.offset as usize, 0);
            self.input.content(segment.length, |part| {
                content.extend_from_slice(part);
                Ok(())
            })?;
        }
        content.resize(size as usize, 0);
        self.input.padding(stored)?;
        Ok(content)
    }

    fn read_next(&mut self) -> Result<Option<ListedEntry>, Problem> {
        if let Some((stored, _)) = self.left.take() {
            self.input.inline(stored)?;
        }
        let Some(entry) = self.headers.next(&mut self.input)? else { return Ok(None) };
        let size = entry.size();
        self.left = Some((entry.stored, entry.sparse));
        Ok(Some(ListedEntry {
            name: entry.name,
            kind: match entry.kind {
                Kind::File => EntryKind::File,
                Kind::HardLink => EntryKind::HardLink,
                Kind::Symlink => EntryKind::Symlink,
                Kind::CharDevice => EntryKind::CharDevice,
                Kind::BlockDevice => EntryKind::BlockDevice,
                Kind::Directory => EntryKind::Directory,
                Kind::Fifo => EntryKind::Fifo,
            },
            link: entry.link,
            size,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime.seconds,
        }))
    }

    fn fault(&mut self, problem: Problem) -> LayerError {
        self.ended = true;
        problem.at(&self.headers.name, self.headers.offset, self.input.offset())
    }
}

impl Iterator for Entries {
    type Item = Result<ListedEntry, LayerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.read_next() {
            Ok(None) => {
                self.ended = true;
                None
            }
            Ok(Some(entry)) => Some(Ok(entry)),
            Err(problem) => Some(Err(self.fault(problem))),
        }
    }
}
