use std::cell::RefCell;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nacre_sys::Dir;
use parking_lot::{RwLock, RwLockReadGuard};
use rustix::fs::{AtFlags, FallocateFlags, SeekFrom, Stat};
use rustix::io::Errno;

use super::extents::Extents;
use super::map::{Header, Map, Record, get, put, put_some};
use crate::live::Result;

/// As much is copied at once.
pub(super) const BLOCK: u64 = 256 << 10;

/// A file of the writable layer that has only some of its data: the rest is read from the file below. What is
/// written to is taken first, in whole chunks.
///
/// A byte is read from below when it lies before the limit and in no chunk that was taken; everywhere else the
/// upper file is right. The upper file has its full length and is sparse.
#[derive(Debug)]
pub(crate) struct Ranges {
    /// The number of the upper file.
    pub(crate) ino: u64,
    pub(super) files: Files,
    /// What the file below has set aside, in units of 512 bytes.
    blocks: u64,
    pub(super) chunk: u64,
    pub(super) volatile: bool,
    /// Held for reading by what reads, and by what writes where all is taken.
    pub(super) state: RwLock<State>,
    /// Whether the upper file still has its name beside the map.
    linked: RwLock<bool>,
    done: AtomicBool,
    /// Somebody read or wrote since this was asked for.
    touched: AtomicBool,
}

/// What is open of a file, and where its map is: in a folder, by a name with an ending; without the ending that is
/// one more name of the upper file.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) upper: OwnedFd,
    pub(super) lower: OwnedFd,
    pub(super) folder: Arc<Dir>,
    pub(super) name: String,
}

#[derive(Debug)]
pub(super) struct State {
    /// Whole chunks that are in the upper file.
    pub(super) taken: Extents,
    /// Those of them that the map vouches for, be they holes in the upper file.
    pub(super) sure: Extents,
    /// Nothing behind it is read from below. Never more than the length of the file.
    pub(super) limit: u64,
    /// The limit that the map has. Where it is another one, the file is as long as the limit.
    pub(super) recorded: u64,
    pub(super) map: Map,
    /// A part of the file below that is known to be data.
    dense: Range<u64>,
}

impl State {
    pub(super) fn new(taken: Extents, sure: Extents, limit: u64, recorded: u64, map: Map) -> Self {
        Self { taken, sure, limit, recorded, map, dense: 0..0 }
    }

    /// Whether these bytes can be written to the upper file as they are.
    fn is_free(&self, run: Range<u64>) -> bool {
        (self.recorded == self.limit || run.end <= self.limit)
            && self.taken.covers(&(run.start..run.end.min(self.limit)))
    }

    /// Note what is in the upper file: first in the map.
    pub(super) fn note(&mut self, record: &Record) -> Result<()> {
        self.map.append(record)?;
        match record {
            Record::Data(run) => self.taken.insert(run.clone()),
            Record::Sure(run) => {
                self.taken.insert(run.clone());
                self.sure.insert(run.clone());
            }
            Record::Limit(limit) => self.recorded = *limit,
            Record::Busy(..) | Record::Calm | Record::Done => {}
        }
        Ok(())
    }

    /// Where a byte is read: whether from below, and how far that stays so, up to `end`.
    pub(super) fn source(&self, at: u64, end: u64) -> (bool, u64) {
        if at >= self.limit {
            return (false, end);
        }
        let (taken, stop) = self.taken.at(at, end.min(self.limit));
        (!taken, stop)
    }
}

impl Ranges {
    pub(super) fn new(ino: u64, header: &Header, files: Files, state: State, volatile: bool) -> Self {
        Self {
            ino,
            files,
            blocks: header.lower.blocks,
            chunk: header.chunk,
            volatile,
            state: RwLock::new(state),
            linked: RwLock::new(true),
            done: AtomicBool::new(false),
            touched: AtomicBool::new(true),
        }
    }

    /// Whether all of it is in the upper file, so that nobody needs to ask here any more.
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// While this is held, no data moves by itself, and so the times are only changed by who holds it.
    pub(crate) fn steady(&self) -> impl Sized + '_ {
        RwLockReadGuard::map(self.state.read(), |state| &state.limit)
    }

    /// What stat(2) says of the upper file, without the name that is not the tree's.
    pub(crate) fn adjusted(&self, stat: impl FnOnce() -> Result<Stat>) -> Result<Stat> {
        let linked = self.linked.read();
        let mut stat = stat()?;
        if *linked {
            stat.st_nlink = stat.st_nlink.saturating_sub(1);
        }
        if !self.is_done() {
            stat.st_blocks = stat.st_blocks.max(self.blocks.try_into().unwrap_or(i64::MAX));
        }
        Ok(stat)
    }

    pub(super) fn touch(&self) {
        self.touched.store(true, Ordering::Relaxed);
    }

    /// Whether nobody used it since this was asked last.
    pub(crate) fn is_idle(&self) -> bool {
        !self.touched.swap(false, Ordering::Relaxed)
    }

    /// Whether nobody used it since [`Self::is_idle`] was asked.
    pub(crate) fn stays_idle(&self) -> bool {
        !self.touched.load(Ordering::Relaxed)
    }

    /// What its upper file is.
    pub(crate) fn stat(&self) -> Result<Stat> {
        rustix::fs::fstat(&self.files.upper)
    }

    pub(crate) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.touch();
        let state = self.state.read();
        let size = size(&self.files.upper)?;
        let end = offset.saturating_add(buffer.len() as u64).min(size);
        let mut at = offset;
        while at < end {
            let (below, stop) = state.source(at, end);
            let part = (at - offset) as usize..(stop - offset) as usize;
            let Some(part) = buffer.get_mut(part) else { break };
            let length = part.len();
            let file = if below { &self.files.lower } else { &self.files.upper };
            if get(file, part, at)? < length {
                // Shorter than it said: of the lower file that cannot be.
                return if below { Err(Errno::IO) } else { Ok((at - offset) as usize) };
            }
            at = stop;
        }
        Ok(at.saturating_sub(offset) as usize)
    }

    /// Write as much as can be. An error is one of the first byte.
    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        self.touch();
        let end = offset.checked_add(bytes.len() as u64).ok_or(Errno::FBIG)?;
        if bytes.is_empty() {
            return Ok(0);
        }
        {
            let state = self.state.read();
            if state.is_free(offset..end) {
                return put_some(&self.files.upper, bytes, offset);
            }
        }
        let mut state = self.state.write();
        self.may_grow(&mut state, end)?;
        let span = self.chunks(offset, end.min(state.limit));
        self.take_edges(&mut state, span.clone(), offset, end)?;
        let written = put_some(&self.files.upper, bytes, offset)?;
        let stop = offset + written as u64;
        // Chunks that are not taken yet are written in full, but for one in which there was no more room.
        for gap in state.taken.parts(span.clone(), false) {
            let whole = if stop >= gap.end.min(state.limit) { gap.end } else { stop & !(self.chunk - 1) };
            if whole > gap.start {
                state.note(&Record::Data(gap.start..whole))?;
            }
        }
        match state.taken.parts(span, false).first() {
            Some(gap) if gap.start <= offset => Err(Errno::NOSPC),
            Some(gap) => Ok(written.min((gap.start - offset) as usize)),
            None => Ok(written),
        }
    }

    /// Cut it off, or make it longer with zeros.
    pub(crate) fn set_len(&self, length: u64) -> Result<()> {
        self.touch();
        let mut state = self.state.write();
        self.may_grow(&mut state, length)?;
        rustix::fs::ftruncate(&self.files.upper, length)?;
        state.limit = state.limit.min(length);
        if state.limit == 0 { self.finish(&mut state) } else { Ok(()) }
    }

    /// Make what was written last: first the data, then what trusts it.
    pub(crate) fn sync(&self, data_only: bool) -> Result<()> {
        if data_only {
            rustix::fs::fdatasync(&self.files.upper)?;
        } else {
            rustix::fs::fsync(&self.files.upper)?;
        }
        self.state.read().map.sync()
    }

    /// The chunks that these bytes are in.
    pub(super) fn chunks(&self, start: u64, end: u64) -> Range<u64> {
        let start = start & !(self.chunk - 1);
        start..end.max(start).next_multiple_of(self.chunk)
    }

    /// Before the file gets bytes behind a limit that the map does not have: else they could be mistaken for
    /// what lies below.
    pub(super) fn may_grow(&self, state: &mut State, end: u64) -> Result<()> {
        if end <= state.limit || state.recorded == state.limit {
            return Ok(());
        }
        self.barrier()?;
        let limit = state.limit;
        state.note(&Record::Limit(limit))?;
        if self.volatile { Ok(()) } else { state.map.sync() }
    }

    pub(super) fn barrier(&self) -> Result<()> {
        if self.volatile { Ok(()) } else { rustix::fs::fsync(&self.files.upper) }
    }

    /// Take the chunks of `span` that the bytes from `start` to `end` cover in part.
    pub(super) fn take_edges(&self, state: &mut State, span: Range<u64>, start: u64, end: u64) -> Result<()> {
        for gap in state.taken.parts(span, false) {
            if gap.start < start {
                self.take(state, gap.start..gap.start + self.chunk, u64::MAX)?;
            }
            let last = gap.end - self.chunk;
            if gap.end.min(state.limit) > end && (last > gap.start || gap.start >= start) {
                self.take(state, last..gap.end, u64::MAX)?;
            }
        }
        Ok(())
    }

    /// Copy chunks that are not taken from below, until all are or `most` bytes are copied.
    pub(super) fn take(&self, state: &mut State, run: Range<u64>, most: u64) -> Result<()> {
        let (end, mut at, mut copied) = (run.end.min(state.limit), run.start, 0);
        while at < end && copied < most {
            if !state.dense.contains(&at) {
                let data = match rustix::fs::seek(&self.files.lower, SeekFrom::Data(at)) {
                    Ok(data) => (data & !(self.chunk - 1)).clamp(at, end),
                    Err(Errno::NXIO) => end,
                    Err(Errno::INVAL) => at,
                    Err(e) => return Err(e),
                };
                if data > at {
                    self.clear(at..data)?;
                    state.note(&Record::Sure(self.chunks(at, data)))?;
                    at = data;
                    continue;
                }
                let hole = rustix::fs::seek(&self.files.lower, SeekFrom::Hole(at)).unwrap_or(end);
                state.dense = at..hole.max(at + 1).next_multiple_of(self.chunk);
            }
            let stop = state.dense.end.min(at + BLOCK.max(self.chunk)).min(end);
            self.copy(at..stop)?;
            state.note(&Record::Data(self.chunks(at, stop)))?;
            copied += stop - at;
            at = stop;
        }
        Ok(())
    }

    fn copy(&self, run: Range<u64>) -> Result<()> {
        thread_local! {
            static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let length = usize::try_from(run.end - run.start).map_err(|_| Errno::FBIG)?;
        BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(length, 0);
            if get(&self.files.lower, buffer, run.start)? < length {
                return Err(Errno::IO);
            }
            put(&self.files.upper, buffer, run.start)
        })
    }

    /// Let bytes of the upper file be zeros: what is there is left from a write that failed.
    pub(super) fn clear(&self, run: Range<u64>) -> Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.files.upper, flags, run.start, run.end - run.start) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            other => return other,
        }
        let zeros = vec![0; (run.end - run.start).min(BLOCK) as usize];
        let mut at = run.start;
        while at < run.end {
            let length = zeros.len().min((run.end - at) as usize);
            put(&self.files.upper, zeros.get(..length).unwrap_or_default(), at)?;
            at += length as u64;
        }
        Ok(())
    }

    /// All of it is in the upper file. That is known to the map before anybody writes past it.
    pub(super) fn finish(&self, state: &mut State) -> Result<()> {
        if self.is_done() {
            return Ok(());
        }
        self.barrier()?;
        state.note(&Record::Done)?;
        if !self.volatile {
            state.map.sync()?;
        }
        self.unlink();
        self.done.store(true, Ordering::Release);
        Ok(())
    }

    /// Drop its map, and the name by which the upper file is found from it. Who has it open goes on.
    pub(crate) fn unlink(&self) {
        let mut linked = self.linked.write();
        if *linked {
            for name in [self.files.name.clone(), map_name(&self.files.name)] {
                if let Err(e) = rustix::fs::unlinkat(&*self.files.folder, &name, AtFlags::empty()) {
                    tracing::debug!("{name} stays beside the work directory: {e}");
                }
            }
            *linked = false;
        }
    }
}

/// The name of the map of an upper file.
pub(super) fn map_name(name: &str) -> String {
    format!("{name}.map")
}

pub(super) fn size(file: &OwnedFd) -> Result<u64> {
    Ok(u64::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0))
}
