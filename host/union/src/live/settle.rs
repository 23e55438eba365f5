use std::os::fd::OwnedFd;
use std::sync::Arc;

use nacre_sys::Dir;
use rustix::fs::FlockOperation;

use super::inode::Inode;
use super::ranges::{FOLDER, Ranges, locked};
use super::{Counters, Options, Result, Tree};
use crate::error::Context;
use crate::layer::Layer;

/// As much of a file is copied before others have their turn with it.
const STEP: u64 = 4 << 20;
/// In the work directory while a tree that is not served any more completes its files.
pub(super) const CLOSING: &str = "closing";

/// Whether a writable layer has files of which only a tree can tell what is in them; `work` is its work
/// directory.
pub fn unsettled(work: &Dir) -> crate::Result<bool> {
    Ok(work.exists(FOLDER)?)
}

/// For as long as it is there, no file of a writable layer begins to have only some of its data.
#[derive(Debug)]
pub struct Settled {
    _lock: OwnedFd,
}

impl Settled {
    /// Let no more such files be made. Those that there are have to be settled by their tree then.
    pub fn hold(upper: &Layer) -> crate::Result<Self> {
        let lock = locked(&upper.root, FlockOperation::LockShared);
        Ok(Self { _lock: lock.on("lock", upper.root.path(), "")? })
    }

    /// Complete the files of a layer that is not mounted. Where its tree is being closed, this waits for it.
    pub fn complete(
        upper: Layer,
        work: &Dir,
        lowers: impl IntoIterator<Item = Layer>,
        options: Options,
    ) -> crate::Result<Self> {
        let held = Self::hold(&upper)?;
        if unsettled(work)? {
            Tree::open(upper, work, lowers, options)?.close()?;
        }
        Ok(held)
    }
}

impl Tree {
    /// Copy what a file of the writable layer lacks, so that it has all of its data.
    pub fn settle(&self, inode: &Inode) -> Result<()> {
        let Some(ranges) = inode.ranges() else { return Ok(()) };
        self.settle_while(&ranges, || true)?;
        self.sweep();
        Ok(())
    }

    /// Copy what the files of the writable layer lack. Those that can be completed are, whatever fails.
    pub fn settle_all(&self) -> Result<()> {
        let mut done = Ok(());
        for ranges in self.unsettled() {
            let one = self.settle_while(&ranges, || true);
            done = done.and(one);
        }
        self.sweep();
        done
    }

    /// Go on with files that nobody used since this was called last, for as long as nobody uses them and `more`
    /// says so.
    pub fn settle_idle(&self, more: impl Fn() -> bool) -> Result<()> {
        let mut done = Ok(());
        let idle: Vec<_> = self.unsettled().into_iter().filter(|ranges| ranges.is_idle()).collect();
        for ranges in idle {
            let one = self.settle_while(&ranges, || more() && ranges.stays_idle());
            done = done.and(one);
        }
        self.sweep();
        done
    }

    /// Complete all files, for the layer to be used without a tree. What fails stays as it is, and whoever opens
    /// the layer next goes on with it.
    pub fn close(&self) -> crate::Result<()> {
        if let Some(Err(e)) = self.recorder().map(crate::trace::Recorder::flush) {
            tracing::warn!("the end of the record of operations is lost: {e}");
        }
        let Some(top) = &self.upper else { return Ok(()) };
        let ranges = &top.ranges;
        let layer = top.root.path().to_owned();
        ranges.set_closing(true);
        let done = self.settle_all();
        ranges.set_closing(false);
        done.on("complete the files of", &layer, "")
    }

    /// How many files have only some of their data.
    pub fn unsettled_files(&self) -> usize {
        self.unsettled().len()
    }

    fn unsettled(&self) -> Vec<Arc<Ranges>> {
        let known = self.upper.as_ref().map(|top| top.ranges.all()).unwrap_or_default();
        known.into_iter().filter(|ranges| !ranges.is_done()).collect()
    }

    fn settle_while(&self, ranges: &Ranges, more: impl Fn() -> bool) -> Result<()> {
        while more() {
            if ranges.settle_some(STEP)? {
                self.let_go(ranges);
                break;
            }
        }
        Ok(())
    }

    /// Close what was open for a file that is complete.
    fn let_go(&self, ranges: &Ranges) {
        Counters::one(&self.counters.settled);
        let Ok(stat) = ranges.stat() else { return };
        let real = (stat.st_dev, stat.st_ino);
        let table = self.table.lock();
        let inode = match table.aliased(real) {
            Some(number) => table.find(number, None),
            None => table.find(self.number(real), Some(real)),
        };
        drop(table);
        if let Some(inode) = inode {
            inode.ranges.write().take_if(|known| known.is_done());
        }
    }

    fn sweep(&self) {
        if let Some(top) = &self.upper {
            top.ranges.sweep();
        }
    }
}
