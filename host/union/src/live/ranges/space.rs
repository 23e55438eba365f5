use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;

use super::map::Record;
use super::stitched::{Ranges, State, size};
use crate::live::Result;

impl Ranges {
    /// fallocate(2): set aside, make a hole, zero.
    pub(crate) fn allocate(&self, flags: FallocateFlags, offset: u64, length: u64) -> Result<()> {
        let known = FallocateFlags::KEEP_SIZE | FallocateFlags::PUNCH_HOLE | FallocateFlags::ZERO_RANGE;
        if !known.contains(flags) {
            return Err(Errno::OPNOTSUPP);
        }
        self.touch();
        let end = offset.checked_add(length).ok_or(Errno::FBIG)?;
        let mut state = self.state.write();
        if !flags.contains(FallocateFlags::KEEP_SIZE) {
            self.may_grow(&mut state, end)?;
        }
        let below = end.min(state.limit);
        let span = if offset < below { self.chunks(offset, below) } else { 0..0 };
        if !flags.intersects(FallocateFlags::PUNCH_HOLE | FallocateFlags::ZERO_RANGE) {
            for gap in state.taken.parts(span, false) {
                self.take(&mut state, gap, u64::MAX)?;
            }
            return rustix::fs::fallocate(&self.files.upper, flags, offset, length);
        }
        self.take_edges(&mut state, span.clone(), offset, end)?;
        self.assure(&mut state, span.clone())?;
        // Where this fails, nothing has changed.
        rustix::fs::fallocate(&self.files.upper, flags, offset, length)?;
        for gap in state.taken.parts(span, false) {
            state.note(&Record::Sure(gap))?;
        }
        Ok(())
    }

    /// Let the map vouch for chunks that are taken, before there are holes in what it says is data.
    fn assure(&self, state: &mut State, span: std::ops::Range<u64>) -> Result<()> {
        let taken = state.taken.parts(span, true).into_iter();
        let unsure: Vec<_> = taken.flat_map(|run| state.sure.parts(run, false)).collect();
        if unsure.is_empty() {
            return Ok(());
        }
        self.barrier()?;
        for run in unsure {
            state.note(&Record::Sure(run))?;
        }
        if self.volatile { Ok(()) } else { state.map.sync() }
    }

    /// Where the next data or the next hole is: lseek(2).
    pub(crate) fn seek(&self, to: SeekFrom) -> Result<u64> {
        self.touch();
        let (offset, data) = match to {
            SeekFrom::Data(offset) => (offset, true),
            SeekFrom::Hole(offset) => (offset, false),
            _ => return Err(Errno::INVAL),
        };
        let state = self.state.read();
        let size = size(&self.files.upper)?;
        if offset >= size {
            return Err(Errno::NXIO);
        }
        let mut at = offset;
        while at < size {
            let (below, stop) = state.source(at, size);
            let file = if below { &self.files.lower } else { &self.files.upper };
            let next = if data { SeekFrom::Data(at) } else { SeekFrom::Hole(at) };
            match rustix::fs::seek(file, next) {
                Ok(found) if found < stop => return Ok(found),
                // A file that is as long as the part ends with a hole that is none of this one.
                Ok(_) | Err(Errno::NXIO) => at = stop,
                Err(e) => return Err(e),
            }
        }
        if data { Err(Errno::NXIO) } else { Ok(size) }
    }
}
