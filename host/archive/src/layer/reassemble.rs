//! A layer's raw tar stream, made again from its directory and its framing.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::error::{EntryName, LayerError};
use super::framing;

const BUFFER: usize = 256 << 10;
/// No path and no run of raw bytes is longer: what is longer is damage, not data.
const LONGEST: u64 = 1 << 30;

type Frame<'a> = BufReader<zstd::stream::read::Decoder<'static, &'a [u8]>>;

/// Streams the bytes of a layer's tar. An [`io::Error`] of it carries a [`LayerError`].
///
/// The sizes of the files are checked, not their content: compare the digest of the stream with the diff ID.
pub struct Reassembler<'a> {
    directory: BorrowedFd<'a>,
    operations: Frame<'a>,
    overrides: HashMap<Vec<u8>, VecDeque<Vec<u8>>>,
    file: Option<Source>,
    path: Vec<u8>,
    raw_left: u64,
    file_left: u64,
    offset: u64,
    ended: bool,
}

enum Source {
    File(File),
    Override { content: Vec<u8>, at: usize },
}

/// Stream a layer's raw tar from its content directory and its framing.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let framing = Vec::new();
/// let directory = std::fs::File::open("/var/lib/nacre/overlay2/4f2a/diff")?;
/// let mut tar = nacre_archive::layer::reassemble(&framing, &directory)?;
/// std::io::copy(&mut tar, &mut std::io::stdout())?;
/// # Ok(()) }
/// ```
pub fn reassemble<'a>(framing: &'a [u8], directory: &'a impl AsFd) -> Result<Reassembler<'a>, LayerError> {
    Reassembler::open(framing, directory.as_fd()).map_err(|what| damaged(0, what.to_string()))
}

impl<'a> Reassembler<'a> {
    fn open(framing: &'a [u8], directory: BorrowedFd<'a>) -> io::Result<Self> {
        let mut rest =
            framing.strip_prefix(framing::MAGIC).ok_or_else(|| bad("not a framing of version 1"))?;
        let length = number(&mut rest)? as usize;
        let (overrides, operations) =
            rest.split_at_checked(length).ok_or_else(|| bad("the overrides are cut short"))?;
        Ok(Self {
            directory,
            operations: frame(operations)?,
            overrides: read_overrides(frame(overrides)?)?,
            file: None,
            path: Vec::new(),
            raw_left: 0,
            file_left: 0,
            offset: 0,
            ended: false,
        })
    }

    /// Write the whole stream, and return its length.
    pub fn write_to(mut self, output: &mut impl Write) -> Result<u64, LayerError> {
        let mut buffer = vec![0; BUFFER];
        loop {
            match self.step(&mut buffer)? {
                0 => return Ok(self.offset),
                count => output.write_all(&buffer[..count]).map_err(LayerError::Output)?,
            }
        }
    }

    fn step(&mut self, buffer: &mut [u8]) -> Result<usize, LayerError> {
        while !self.ended && !buffer.is_empty() {
            let count = if self.raw_left > 0 {
                let wanted = clamp(buffer.len(), self.raw_left);
                let count = self.operations.read(&mut buffer[..wanted]).map_err(|e| self.damage(e))?;
                self.raw_left -= count as u64;
                count
            } else if self.file_left > 0 {
                let wanted = clamp(buffer.len(), self.file_left);
                let count = self.read_file(&mut buffer[..wanted])?;
                self.file_left -= count as u64;
                count
            } else {
                self.next_operation()?;
                continue;
            };
            if count == 0 {
                return Err(damaged(self.offset, "it, or a file of the layer, is cut short".into()));
            }
            self.offset += count as u64;
            return Ok(count);
        }
        Ok(0)
    }

    fn next_operation(&mut self) -> Result<(), LayerError> {
        let [code] = array(&mut self.operations).map_err(|e| self.damage(e))?;
        match code {
            framing::END => {
                let total = number(&mut self.operations).map_err(|e| self.damage(e))?;
                if total != self.offset {
                    return Err(damaged(self.offset, format!("it ends here instead of at {total}")));
                }
                self.ended = true;
                Ok(())
            }
            framing::RAW => {
                self.raw_left = number(&mut self.operations).map_err(|e| self.damage(e))?;
                Ok(())
            }
            framing::FILE => {
                self.path = bytes(&mut self.operations).map_err(|e| self.damage(e))?;
                self.file = Some(self.open_file()?);
                self.part()
            }
            framing::MORE => self.part(),
            code => Err(damaged(self.offset, format!("unknown operation {code}"))),
        }
    }

    fn open_file(&mut self) -> Result<Source, LayerError> {
        if let Some(content) = self.overrides.get_mut(&self.path).and_then(VecDeque::pop_front) {
            return Ok(Source::Override { content, at: 0 });
        }
        let file = rustix::fs::openat2(
            self.directory,
            self.path.as_slice(),
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
        );
        let file = File::from(file.map_err(|e| self.unreadable("open", e.into()))?);
        if !file.metadata().map_err(|e| self.unreadable("stat", e))?.is_file() {
            return Err(damaged(
                self.offset,
                format!("`{}` is no regular file", EntryName::new(&*self.path)),
            ));
        }
        Ok(Source::File(file))
    }

    fn part(&mut self) -> Result<(), LayerError> {
        let offset = number(&mut self.operations).map_err(|e| self.damage(e))?;
        self.file_left = number(&mut self.operations).map_err(|e| self.damage(e))?;
        if let Some(Source::File(file)) = &self.file {
            io::Seek::seek(&mut &*file, io::SeekFrom::Start(offset))
                .map_err(|e| self.unreadable("seek", e))?;
        }
        Ok(())
    }

    fn read_file(&mut self, buffer: &mut [u8]) -> Result<usize, LayerError> {
        match &mut self.file {
            Some(Source::File(file)) => file.read(buffer).map_err(|e| self.unreadable("read", e)),
            Some(Source::Override { content, at }) => {
                let count = buffer.len().min(content.len() - *at);
                buffer[..count].copy_from_slice(&content[*at..*at + count]);
                *at += count;
                Ok(count)
            }
            None => Err(damaged(self.offset, "a part of no file".into())),
        }
    }

    fn unreadable(&self, op: &'static str, source: io::Error) -> LayerError {
        LayerError::Tree { name: EntryName::new(&*self.path), op, source }
    }

    fn damage(&self, error: io::Error) -> LayerError {
        damaged(self.offset, error.to_string())
    }
}

impl Read for Reassembler<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.step(buffer).map_err(io::Error::other)
    }
}

impl std::fmt::Debug for Reassembler<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Reassembler").field("offset", &self.offset).finish_non_exhaustive()
    }
}

fn frame(compressed: &[u8]) -> io::Result<Frame<'_>> {
    Ok(BufReader::with_capacity(64 << 10, zstd::stream::read::Decoder::with_buffer(compressed)?))
}

fn read_overrides(mut input: Frame<'_>) -> io::Result<HashMap<Vec<u8>, VecDeque<Vec<u8>>>> {
    let mut overrides: HashMap<Vec<u8>, VecDeque<Vec<u8>>> = HashMap::new();
    for _ in 0..number(&mut input)? {
        let path = bytes(&mut input)?;
        overrides.entry(path).or_default().push_back(bytes(&mut input)?);
    }
    Ok(overrides)
}

fn bytes(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let length = number(input)?;
    if length > LONGEST {
        return Err(bad("a length is out of range"));
    }
    let mut content = Vec::new();
    if input.take(length).read_to_end(&mut content)? as u64 != length {
        return Err(bad("it is cut short"));
    }
    Ok(content)
}

fn number(input: &mut impl Read) -> io::Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = array(input)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(bad("a number is too long"))
}

fn array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn clamp(len: usize, left: u64) -> usize {
    usize::try_from(left).map_or(len, |left| len.min(left))
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn damaged(offset: u64, what: String) -> LayerError {
    LayerError::Framing { offset, what }
}
