use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use nacre_sys::Dir;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::ranges::{FOLDER, MARK_PARENT};
use super::settle::CLOSING;
use crate::error::{Context, Error};
use crate::layer::Layer;

/// A layer reached through a mount of its own that takes no writes; itself, where that cannot be made.
pub(super) fn guarded(layer: Layer) -> Layer {
    match nacre_sys::mount::read_only_clone(&layer.root) {
        Ok(root) => Layer { root: Arc::new(root), ..layer },
        Err(e) => {
            tracing::debug!("a layer is read without a mount of its own: {e}");
            layer
        }
    }
}

/// The directory in which things are made before they are visible. What makes overlayfs refuse the layer stays
/// for as long as that is so.
pub(super) fn empty(work: &Dir) -> crate::Result<Dir> {
    if work.exists("work")? {
        if work.exists(FOLDER)? {
            let made = work.sub("work")?;
            for entry in made.entries()?.iter().filter(|entry| entry.name != MARK_PARENT) {
                made.remove_tree(&entry.name)?;
            }
            return Ok(made);
        }
        work.remove_tree("work")?;
    }
    Ok(work.make_dir("work", 0o700)?)
}

/// A server that was told to end may need a moment more.
pub(super) fn lock(work: &Dir) -> crate::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(work, ".", flags, Mode::empty()).on("open", work.path(), "")?;
    let fd = match nacre_sys::mount::private_clone(work, work) {
        Ok((own, _)) => rustix::fs::openat(&own, ".", flags, Mode::empty()).on("open", work.path(), "")?,
        Err(_) => fd,
    };
    let mut tries = 0;
    // What completes its files ends, however long it takes.
    while tries < LOCK_TRIES || work.exists(CLOSING)? {
        match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(fd),
            Err(Errno::WOULDBLOCK | Errno::INTR) => std::thread::sleep(LOCK_PAUSE),
            Err(e) => return Err(e).on("lock", work.path(), ""),
        }
        tries += 1;
    }
    Err(Error::Busy { path: work.path().to_owned() })
}

const LOCK_TRIES: u32 = 1000;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
