use std::io;
use std::path::{Path, PathBuf};

/// What a call of this room returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a tree could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused something in a layer.
    #[error("{op} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb.
        op: &'static str,
        /// The path, that of the layer included.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A path goes through something that is no directory.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The part of the path that is none.
        path: PathBuf,
    },
    /// There is nothing to list.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// More than 40 symbolic links on one path.
    #[error("{} goes through too many symbolic links", path.display())]
    TooManyLinks {
        /// The path.
        path: PathBuf,
    },
    /// Something else uses the writable layer.
    #[error("{} is in use", path.display())]
    Busy {
        /// The directory that is locked.
        path: PathBuf,
    },
    /// A file of the writable layer has only some of its data, and the rest cannot be found.
    #[error("{} has only some of its data: {why}", path.display())]
    Unsettled {
        /// Its name beside its map.
        path: PathBuf,
        /// Why it cannot be completed.
        why: &'static str,
    },
    /// The kernel's door refused.
    #[error(transparent)]
    Sys(#[from] nacre_sys::Error),
}

/// Adds the operation and the path to what a system call returns. The path is only made for an error.
pub(crate) trait Context<T> {
    fn on(self, op: &'static str, parent: &Path, name: impl AsRef<Path>) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn on(self, op: &'static str, parent: &Path, name: impl AsRef<Path>) -> Result<T> {
        self.map_err(|e| Error::Io { op, path: parent.join(name), source: e.into() })
    }
}
