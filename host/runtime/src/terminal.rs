//! Pseudoterminals, and the terminal that the caller sits at.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::{self, OptionalActions, Termios, Winsize};
use serde::{Deserialize, Serialize};

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size {
    pub rows: u16,
    pub columns: u16,
}

impl Size {
    /// The size of the terminal `fd`, `None` when it is none or doesn't know.
    pub(crate) fn of(fd: impl AsFd) -> Option<Self> {
        let size = termios::tcgetwinsize(fd).ok()?;
        (size.ws_row > 0 && size.ws_col > 0).then_some(Self { rows: size.ws_row, columns: size.ws_col })
    }

    pub(crate) fn set(self, fd: impl AsFd) -> Result<(), Errno> {
        let size = Winsize { ws_row: self.rows, ws_col: self.columns, ws_xpixel: 0, ws_ypixel: 0 };
        termios::tcsetwinsize(fd, size)
    }
}

/// Both ends of a new pseudoterminal of the devpts file system that is mounted at `/dev/pts`.
pub(crate) fn open(size: Option<Size>) -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let ours = rustix::fs::open("/dev/pts/ptmx", flags, Mode::empty())?;
    rustix::pty::unlockpt(&ours)?;
    let theirs = rustix::pty::ioctl_tiocgptpeer(
        &ours,
        OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
    )?;
    if let Some(size) = size {
        size.set(&ours)?;
    }
    Ok((ours, theirs))
}

/// Puts a terminal into raw mode, and back when it is dropped.
#[derive(Debug)]
pub(crate) struct RawMode {
    terminal: File,
    saved: Termios,
}

impl RawMode {
    /// `None` when `fd` is no terminal.
    pub(crate) fn enter(fd: impl AsFd) -> Option<Self> {
        let saved = termios::tcgetattr(&fd).ok()?;
        let terminal = File::from(fd.as_fd().try_clone_to_owned().ok()?);
        let mut raw = saved.clone();
        raw.make_raw();
        termios::tcsetattr(&terminal, OptionalActions::Drain, &raw).ok()?;
        Some(Self { terminal, saved })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to put back.
        let _ = termios::tcsetattr(&self.terminal, OptionalActions::Drain, &self.saved);
    }
}
