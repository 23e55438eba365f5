use rustix::fs::{Mode, Timespec, Timestamps};

use super::map::Record;
use super::stitched::{Ranges, State};
use crate::live::Result;
use crate::live::copyup::times;

impl Ranges {
    /// Copy `most` bytes, or a little more, of what is not taken. Whether all of it is done then, and the file
    /// is one that needs no map.
    pub(crate) fn settle_some(&self, most: u64) -> Result<bool> {
        let mut state = self.state.write();
        if self.is_done() {
            return Ok(true);
        }
        let (taken, stop) = state.taken.at(0, state.limit);
        let start = if taken { stop } else { 0 };
        if start >= state.limit {
            return self.finish(&mut state).map(|()| true);
        }
        let (_, stop) = state.taken.at(start, state.limit);
        self.keep_times(&mut state, |this, state| this.take(state, this.chunks(start, stop), most))?;
        Ok(false)
    }

    /// Move data that nobody wrote: the times stay what they were, and the mode.
    fn keep_times(
        &self,
        state: &mut State,
        work: impl FnOnce(&Self, &mut State) -> Result<()>,
    ) -> Result<()> {
        let before = rustix::fs::fstat(&self.files.upper)?;
        state.note(&Record::Busy(before.st_mtime, before.st_mtime_nsec))?;
        let done = work(self, state);
        if rustix::fs::fstat(&self.files.upper)?.st_mode != before.st_mode {
            rustix::fs::fchmod(&self.files.upper, Mode::from_raw_mode(before.st_mode & 0o7777))?;
        }
        rustix::fs::futimens(&self.files.upper, &times(&before))?;
        state.note(&Record::Calm)?;
        done
    }

    /// Take back the time that an interrupted move of data left.
    pub(super) fn restore_modified(&self, seconds: i64, nanoseconds: u64) -> Result<()> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
            last_modification: Timespec {
                tv_sec: seconds,
                tv_nsec: nanoseconds.try_into().unwrap_or_default(),
            },
        };
        rustix::fs::futimens(&self.files.upper, &times)
    }
}
