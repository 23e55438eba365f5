use std::io;
use std::path::{Path, PathBuf};

use crate::zfs;

/// What a call of this room returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the kernel, or this room before it, refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error("{op} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb: `open`, `make directory`.
        op: &'static str,
        /// What it was attempted on.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A path, or a symbolic link on it, leads out of the directory that it must stay in.
    #[error("{} leads out of its directory", path.display())]
    Escape {
        /// The path.
        path: PathBuf,
    },
    /// A path has no last name that something could be made or removed under.
    #[error("{} does not name an entry of a directory", path.display())]
    NotAName {
        /// The path.
        path: PathBuf,
    },
    /// Something is mounted at or below a tree that was to be removed or copied.
    #[error("{} holds a mount at {}", path.display(), mount.display())]
    HoldsMount {
        /// The tree.
        path: PathBuf,
        /// The mount, as far as it is known.
        mount: PathBuf,
    },
    /// A mount cannot be ended because something uses it.
    #[error("{} is in use", path.display())]
    Busy {
        /// Where it is mounted.
        path: PathBuf,
    },
    /// The file system cannot do what was asked. Nothing was changed.
    #[error("the file system of {} has no {what}", path.display())]
    Lacks {
        /// Where.
        path: PathBuf,
        /// What it has not.
        what: &'static str,
    },
    /// A thin pool, or a volume in it, cannot be used.
    #[error("the thin pool {pool}: {why}")]
    PoolFailed {
        /// Its name below /dev/mapper.
        pool: String,
        /// What is wrong, as a sentence about the pool.
        why: String,
    },
    /// A block device holds something already. Nothing was written to it.
    #[error(
        "{at} holds something already ({holds}): name another device, or erase its beginning with \
         `dd if=/dev/zero of={at} bs=1M count=1`",
        at = device.display()
    )]
    Used {
        /// The device.
        device: PathBuf,
        /// What was found, as blkid(8) names it.
        holds: String,
    },
    /// A thin pool has less room than must stay free. Nothing was changed.
    #[error("the thin pool {pool} has {free} of {total} {what} blocks free, and {reserve} % must stay free")]
    PoolLow {
        /// Its name below /dev/mapper.
        pool: String,
        /// `data` or `metadata`.
        what: &'static str,
        /// Blocks that are free.
        free: u64,
        /// Blocks that there are.
        total: u64,
        /// The percentage.
        reserve: u32,
    },
    /// A thin pool had no room for what was written.
    #[error("the thin pool {pool} is full: its {total} {what} blocks are used; what is removed makes room")]
    PoolFull {
        /// Its name below /dev/mapper.
        pool: String,
        /// `data` or `metadata`.
        what: &'static str,
        /// Blocks that there are.
        total: u64,
    },
    /// A program that works on a device failed.
    #[error("{program} on {}: {said}", on.display())]
    Program {
        /// Its name.
        program: String,
        /// The device.
        on: PathBuf,
        /// The last line of its complaint.
        said: String,
    },
    /// A mount failed. Nothing was mounted.
    #[error("mount {kind} on {}: {step}: {source}{}", target.display(), said(log))]
    Mount {
        /// The type of file system, or `bind`.
        kind: &'static str,
        /// Where it was to be mounted.
        target: PathBuf,
        /// The step that failed: the option or the system call.
        step: String,
        /// The kernel's own messages about it, such as
        /// `overlay: too many lower directories, limit is 500`. Empty for failures that the kernel tells
        /// its log alone (dmesg).
        log: Vec<String>,
        /// What the kernel said.
        source: io::Error,
    },
    /// ZFS refused.
    #[error("zfs {op} {dataset}: {said}")]
    Zfs {
        /// What was attempted: the `zfs` program's own word.
        op: &'static str,
        /// The dataset or snapshot.
        dataset: String,
        /// What kind of refusal it is.
        fault: zfs::Fault,
        /// What it said.
        said: String,
    },
    /// The layers of an overlay do not fit into the one page that `mount(2)` takes.
    #[error("mount overlay on {}: {bytes} bytes of options, the most is {limit}", target.display())]
    OptionsTooLong {
        /// Where it was to be mounted.
        target: PathBuf,
        /// Bytes needed.
        bytes: usize,
        /// Bytes that go.
        limit: usize,
    },
}

fn said(log: &[String]) -> String {
    if log.is_empty() {
        " (the kernel's log may tell more: dmesg)".into()
    } else {
        format!(" ({})", log.join("; "))
    }
}

impl Error {
    pub(crate) fn io(op: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> Self {
        Self::Io { op, path: path.as_ref().to_owned(), source: source.into() }
    }

    /// The kernel's error, where there is one.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } | Self::Mount { source, .. } => Some(source.kind()),
            Self::Busy { .. } => Some(io::ErrorKind::ResourceBusy),
            _ => None,
        }
    }

    /// The `errno` behind this error, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } | Self::Mount { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// The named thing, or a directory on its path, does not exist.
    pub fn is_not_found(&self) -> bool {
        self.io_kind() == Some(io::ErrorKind::NotFound) || self.zfs_fault() == Some(zfs::Fault::Missing)
    }

    /// The thing to be made exists already.
    pub fn already_exists(&self) -> bool {
        self.io_kind() == Some(io::ErrorKind::AlreadyExists) || self.zfs_fault() == Some(zfs::Fault::Exists)
    }

    fn zfs_fault(&self) -> Option<zfs::Fault> {
        match self {
            Self::Zfs { fault, .. } => Some(*fault),
            _ => None,
        }
    }

    /// The file system is full, or a quota on it is used up.
    pub fn is_full(&self) -> bool {
        if self.zfs_fault() == Some(zfs::Fault::Full) {
            return true;
        }
        matches!(self, Self::PoolLow { .. } | Self::PoolFull { .. })
            || matches!(self.errno(), Some(libc::ENOSPC | libc::EDQUOT))
    }
}

/// Adds the operation and the path to what a system call returns.
pub(crate) trait Context<T> {
    fn on(self, op: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn on(self, op: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|e| Error::io(op, path, e))
    }
}
