//! A layer's blob into a directory: read, hash, inflate, hash and untar at the same time.
//!
//! ```text
//! read and hash ──▶ inflate ──▶ hash ──▶ untar        gzip, zstd: four threads
//! read and hash ────────────────────────▶ untar       plain: the blob's digest is the diff ID
//! ```
//!
//! Between two threads is a bounded channel of buffers; emptied ones go back, so that none is allocated or
//! cleared twice. The first error wins and ends them all: a thread that ends closes its channels, and its
//! neighbours find that out.

use std::io::{self, BufRead, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, Sender};

use super::error::LayerError;
use super::options::{BlobOptions, Monitor, Unpacked, UnpackedBlob};
use super::unpack::unpack_from;
use crate::compression::Compression;
use crate::digest::{DiffId, Digest, Hasher};

const BUFFER: usize = 256 << 10;
/// Enough for one side to go on while the other waits for a disk; few enough to stay in the cache.
const DEPTH: usize = 8;

/// Read a blob to its end, verify it, and unpack it into `directory`.
///
/// The compression is told from the first bytes. The blob's digest and size and the diff ID are checked as far
/// as `options` has them; since they are known only at the end, on an error the directory holds part of the
/// layer or all of it: it is for the caller to remove it. No thread outlives the call; one that waits for
/// `reader` is waited for.
///
/// ```no_run
/// use nacre_archive::layer::{BlobOptions, UnpackOptions, Whiteouts, unpack_blob};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let blob = std::fs::File::open("layer.tar.gz")?;
/// let diff = std::fs::File::open("/var/lib/nacre/overlay2/4f2a/diff")?;
/// let unpacked = unpack_blob(blob, &diff, &BlobOptions::new(UnpackOptions::new(Whiteouts::Overlay)))?;
/// println!("{} is {}", unpacked.digest, unpacked.layer.diff_id);
/// # Ok(()) }
/// ```
#[tracing::instrument(level = "debug", skip_all)]
pub fn unpack_blob(
    mut reader: impl Read + Send,
    directory: &impl AsFd,
    options: &BlobOptions<'_>,
) -> Result<UnpackedBlob, LayerError> {
    let mut first = vec![0; BUFFER];
    let filled = fill(&mut reader, &mut first).map_err(|source| LayerError::Read { offset: 0, source })?;
    first.truncate(filled);
    let compression = Compression::sniff(&first);
    let blob = Blob { first, reader, size: options.size, monitor: options.unpack.monitor };
    let run = Run { failure: Mutex::new(None) };
    let (digest, size, layer) = match compression {
        Compression::Plain => run.plain(blob, directory.as_fd(), options),
        _ => run.compressed(blob, compression, directory.as_fd(), options),
    }?;
    verify(options, digest, size, &layer)?;
    Ok(UnpackedBlob { digest, size, compression, layer })
}

fn verify(options: &BlobOptions<'_>, digest: Digest, size: u64, layer: &Unpacked) -> Result<(), LayerError> {
    if let Some(expected) = options.size.filter(|expected| *expected != size) {
        return Err(LayerError::BlobSize { expected, actual: size });
    }
    if let Some(expected) = options.digest.filter(|expected| *expected != digest) {
        return Err(LayerError::BlobDigest { expected, actual: digest });
    }
    let actual = layer.diff_id;
    match options.diff_id.filter(|expected| *expected != actual) {
        Some(expected) => Err(LayerError::DiffId { expected, actual }),
        None => Ok(()),
    }
}

/// One run of the pipeline: where its threads leave the first error.
struct Run {
    failure: Mutex<Option<LayerError>>,
}

impl Run {
    fn plain<R: Read + Send>(
        &self,
        blob: Blob<'_, R>,
        directory: BorrowedFd<'_>,
        options: &BlobOptions<'_>,
    ) -> Result<(Digest, u64, Unpacked), LayerError> {
        thread::scope(|scope| {
            let (output, input) = link();
            let read = scope.spawn(move || self.keep(blob.read(output)));
            let layer = self.untar(input, directory, options);
            match (join(read), layer) {
                (Some((digest, size)), Some(layer)) => {
                    Ok((digest, size, Unpacked { diff_id: DiffId::new(digest), ..layer }))
                }
                _ => Err(self.failure()),
            }
        })
    }

    fn compressed<R: Read + Send>(
        &self,
        blob: Blob<'_, R>,
        compression: Compression,
        directory: BorrowedFd<'_>,
        options: &BlobOptions<'_>,
    ) -> Result<(Digest, u64, Unpacked), LayerError> {
        thread::scope(|scope| {
            let (to_inflate, packed) = link();
            let (to_hash, raw) = link();
            let (to_untar, hashed) = link();
            let read = scope.spawn(move || self.keep(blob.read(to_inflate)));
            let inflated = scope.spawn(move || self.keep(inflate(packed, compression, to_hash)));
            let hash = scope.spawn(move || self.keep(hash(raw, to_untar)));
            let layer = self.untar(hashed, directory, options);
            match (join(read), join(inflated), join(hash), layer) {
                (Some((digest, size)), Some(()), Some(diff), Some(layer)) => {
                    Ok((digest, size, Unpacked { diff_id: DiffId::new(diff), ..layer }))
                }
                _ => Err(self.failure()),
            }
        })
    }

    fn untar(&self, input: Input, directory: BorrowedFd<'_>, options: &BlobOptions<'_>) -> Option<Unpacked> {
        let unpacked = unpack_from(input, directory, &options.unpack, None);
        self.keep(unpacked.map_err(Stop::Because)).map(|(unpacked, _)| unpacked)
    }

    /// Remember a failure if it is the first one.
    fn keep<T>(&self, result: Result<T, Stop>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(Stop::Neighbour) => None,
            Err(Stop::Because(LayerError::Read { source, .. })) if is_closed(&source) => None,
            Err(Stop::Because(error)) => {
                let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert(error);
                None
            }
        }
    }

    /// Some thread has failed; the others only found their channels closed.
    fn failure(&self) -> LayerError {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.take().unwrap_or(LayerError::Cancelled)
    }
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Why a thread ends before the end.
enum Stop {
    /// Its neighbour is gone.
    Neighbour,
    Because(LayerError),
}

/// The blob as it is stored, of which the first bytes were read.
struct Blob<'a, R> {
    first: Vec<u8>,
    reader: R,
    size: Option<u64>,
    monitor: Option<&'a Monitor>,
}

impl<R: Read> Blob<'_, R> {
    fn read(mut self, output: Output) -> Result<(Digest, u64), Stop> {
        let (mut hasher, mut size) = (Hasher::new(), 0);
        let mut buffer = std::mem::take(&mut self.first);
        while !buffer.is_empty() {
            if self.monitor.is_some_and(Monitor::is_cancelled) {
                return Err(Stop::Because(LayerError::Cancelled));
            }
            size += buffer.len() as u64;
            if let Some(expected) = self.size.filter(|expected| size > *expected) {
                return Err(Stop::Because(LayerError::BlobSize { expected, actual: size }));
            }
            hasher.update(&buffer);
            if let Some(monitor) = self.monitor {
                monitor.add_blob(buffer.len() as u64);
            }
            output.send(buffer)?;
            buffer = output.empty();
            let filled = fill(&mut self.reader, &mut buffer)
                .map_err(|source| Stop::Because(LayerError::Read { offset: size, source }))?;
            buffer.truncate(filled);
        }
        output.end()?;
        Ok((hasher.finish(), size))
    }
}

fn inflate(input: Input, compression: Compression, output: Output) -> Result<(), Stop> {
    let broken = |source: io::Error| {
        if is_closed(&source) {
            return Stop::Neighbour;
        }
        Stop::Because(LayerError::Decompress { format: compression.name(), source })
    };
    let mut decoder: Box<dyn Read> = match compression {
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input).map_err(broken)?),
        _ => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
    };
    loop {
        let mut buffer = output.empty();
        let filled = fill(&mut decoder, &mut buffer).map_err(broken)?;
        if filled == 0 {
            return output.end();
        }
        buffer.truncate(filled);
        output.send(buffer)?;
    }
}

fn hash(input: Input, output: Output) -> Result<Digest, Stop> {
    let mut hasher = Hasher::new();
    while let Some(buffer) = input.receive()? {
        hasher.update(&buffer);
        output.send(buffer)?;
        // The next thread gives it back to its own channel; what comes out there goes on to ours.
        if let Ok(buffer) = output.emptied.try_recv() {
            input.give_back(buffer);
        }
    }
    output.end()?;
    Ok(hasher.finish())
}

/// Read until the buffer is full or the input ends.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A channel of full buffers, and one back of emptied ones. An empty buffer marks the end, so that the end and
/// a neighbour's death differ.
fn link() -> (Output, Input) {
    let (full, filled) = crossbeam_channel::bounded(DEPTH);
    let (empty, emptied) = crossbeam_channel::bounded(DEPTH + 2);
    (Output { full, emptied }, Input { filled, empty, buffer: Vec::new(), at: 0, ended: false })
}

struct Output {
    full: Sender<Vec<u8>>,
    emptied: Receiver<Vec<u8>>,
}

impl Output {
    fn send(&self, buffer: Vec<u8>) -> Result<(), Stop> {
        self.full.send(buffer).map_err(|_| Stop::Neighbour)
    }

    fn end(&self) -> Result<(), Stop> {
        self.send(Vec::new())
    }

    /// A buffer to fill, of full length.
    fn empty(&self) -> Vec<u8> {
        let mut buffer = self.emptied.try_recv().unwrap_or_default();
        buffer.resize(BUFFER, 0);
        buffer
    }
}

struct Input {
    filled: Receiver<Vec<u8>>,
    empty: Sender<Vec<u8>>,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Input {
    fn receive(&self) -> Result<Option<Vec<u8>>, Stop> {
        let buffer = self.filled.recv().map_err(|_| Stop::Neighbour)?;
        Ok(Some(buffer).filter(|buffer| !buffer.is_empty()))
    }

    fn give_back(&self, buffer: Vec<u8>) {
        // Nobody there to take it, or enough of them: it is freed.
        let _ = self.empty.try_send(buffer);
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.buffer.len() && !self.ended {
            let emptied = std::mem::take(&mut self.buffer);
            self.at = 0;
            if !emptied.is_empty() {
                self.give_back(emptied);
            }
            match self.receive() {
                Ok(Some(buffer)) => self.buffer = buffer,
                Ok(None) => self.ended = true,
                Err(_) => return Err(io::Error::new(io::ErrorKind::BrokenPipe, Closed)),
            }
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// The thread that feeds this one is gone; it has said why.
#[derive(Debug, thiserror::Error)]
#[error("the pipeline was stopped")]
struct Closed;

fn is_closed(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Closed>())
}
