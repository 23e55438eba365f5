//! Completing files that have only some of their data: when nobody uses them, and when somebody asks.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::fs::{Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use crate::error::Context;
use crate::live::Tree;

/// To set one of these on the root of a mount is to ask for it: the first by the privileged, the second by whoever
/// may write there.
const REQUESTS: [&str; 2] = ["trusted.nacre.settle", "user.nacre.settle"];
/// The type that statfs(2) says (linux/magic.h).
const FUSE_SUPER_MAGIC: i64 = 0x6573_5546;

/// To look more often whether files are used would cost more than it is good for.
const SHORTEST: Duration = Duration::from_millis(10);

/// A thread that completes files when nobody uses them.
#[derive(Debug)]
pub(crate) struct Background {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: JoinHandle<()>,
}

pub(crate) fn in_background(tree: Arc<Tree>, after: Duration) -> io::Result<Background> {
    let after = after.max(SHORTEST);
    let stop = Arc::new((Mutex::new(false), Condvar::new()));
    let told = stop.clone();
    let thread = std::thread::Builder::new().name("union-settle".into()).spawn(move || {
        let (stopped, changed) = &*told;
        loop {
            let mut now = stopped.lock();
            if !*now {
                changed.wait_for(&mut now, after);
            }
            if *now {
                return;
            }
            drop(now);
            if let Err(e) = tree.settle_idle(|| !*stopped.lock()) {
                tracing::warn!("files cannot be completed now: {e}");
            }
        }
    })?;
    Ok(Background { stop, thread })
}

impl Background {
    /// End it. What is not complete yet stays so.
    pub(crate) fn stop(self) {
        let (stopped, changed) = &*self.stop;
        *stopped.lock() = true;
        changed.notify_all();
        let _ = self.thread.join();
    }
}

/// Whether an extended attribute that is set on the root is a request.
pub(crate) fn is_request(name: &OsStr) -> bool {
    REQUESTS.iter().any(|request| name == *request)
}

/// Ask the server of a mount to complete the files of its writable layer, and wait until it has. False where
/// nothing is served there.
pub fn settle(at: &Path) -> crate::Result<bool> {
    let Some(root) = served(at)? else { return Ok(false) };
    let path = path_of(&root);
    let ask = |name: &str| rustix::fs::setxattr(&path, name, b"", XattrFlags::empty());
    let [privileged, other] = REQUESTS;
    match ask(privileged).or_else(|e| if e == Errno::PERM { ask(other) } else { Err(e) }) {
        Ok(()) => Ok(true),
        Err(Errno::NOTCONN) => Ok(false),
        Err(e) => Err(e).on("settle", at, ""),
    }
}

/// The root of a mount that may be served by such a server; none where nothing is served.
pub(super) fn served(at: &Path) -> crate::Result<Option<OwnedFd>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = match rustix::fs::open(at, flags, Mode::empty()) {
        Ok(root) => root,
        // The server was killed.
        Err(Errno::NOTCONN | Errno::NOENT) => return Ok(None),
        Err(e) => return Err(e).on("open", at, ""),
    };
    match rustix::fs::fstatfs(&root) {
        Ok(found) if found.f_type == FUSE_SUPER_MAGIC => Ok(Some(root)),
        Ok(_) | Err(Errno::NOTCONN) => Ok(None),
        Err(e) => Err(e).on("statfs", at, ""),
    }
}

/// A path for calls that take no descriptor opened for its path alone.
pub(super) fn path_of(root: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", root.as_raw_fd())
}
