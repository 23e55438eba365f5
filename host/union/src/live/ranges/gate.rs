use std::os::fd::OwnedFd;

use nacre_sys::Dir;
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::live::Result;

/// Whether files with a map may be made now: not while somebody reads the layer without the tree. Readers hold
/// a shared lock on the layer's directory, makers an exclusive one that all threads have together.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<(usize, Option<OwnedFd>)>);

/// While there is one, readers wait.
#[derive(Debug)]
pub(crate) struct Pass<'a>(&'a Gate);

impl Gate {
    /// Begin to make a file; none where somebody reads.
    pub(crate) fn enter(&self, layer: &Dir) -> Option<Pass<'_>> {
        let mut held = self.0.lock();
        if held.1.is_none() {
            held.1 = Some(locked(layer, FlockOperation::NonBlockingLockExclusive).ok()?);
        }
        held.0 += 1;
        Some(Pass(self))
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut held = self.0.0.lock();
        held.0 -= 1;
        if held.0 == 0 {
            held.1 = None;
        }
    }
}

/// A directory, locked for as long as the descriptor is open.
pub(crate) fn locked(dir: &Dir, how: FlockOperation) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, ".", flags, Mode::empty())?;
    loop {
        match rustix::fs::flock(&fd, how) {
            Err(rustix::io::Errno::INTR) => {}
            done => return done.map(|()| fd),
        }
    }
}
