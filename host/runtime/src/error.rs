//! What can go wrong.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A result of this room.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a container could not be made, started or reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory could not be read, written or mounted.
    #[error("{operation} {path}: {source}")]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A system call that concerns no file failed.
    #[error("{operation}: {source}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file of this room is not what it should be.
    #[error("{path} is damaged: {source}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The ID can't be the name of a directory.
    #[error("{id:?} is not a container ID")]
    BadId {
        /// As given.
        id: String,
    },
    /// The specification contradicts itself or names nothing to run.
    #[error("{0}")]
    BadSpec(String),
    /// The user or group is unknown in the image.
    #[error("unable to find {kind} {name}: no matching entries in {file}")]
    NoSuchUser {
        /// `user` or `group`.
        kind: &'static str,
        /// As given.
        name: String,
        /// `passwd` or `group`.
        file: &'static str,
    },
    /// No runtime of that name is in the `PATH`, or it doesn't work here.
    #[error("runtime {name:?}: {reason}")]
    NoRuntime {
        /// The runtime asked for.
        name: String,
        /// Why it can't be used.
        reason: String,
    },
    /// The runtime refused.
    #[error("{runtime} {command} failed: {message}")]
    Runtime {
        /// `runc`, `crun` or `builtin`.
        runtime: String,
        /// The runtime's command.
        command: &'static str,
        /// What it said.
        message: String,
    },
    /// The container has no such program (exit code 127).
    #[error("exec: {program:?}: executable file not found in the container")]
    NotFound {
        /// The first argument.
        program: String,
    },
    /// The program is there and can't be executed (exit code 126).
    #[error("exec: {program:?}: {reason}")]
    NotExecutable {
        /// The first argument.
        program: String,
        /// Why, `permission denied` for example.
        reason: String,
    },
    /// `-t` with `-i`, and the caller's standard input is not a terminal.
    #[error("the input device is not a TTY")]
    NotATerminal,
    /// Nothing runs under this ID.
    #[error("container {id} is not running")]
    NotRunning {
        /// The container.
        id: String,
    },
    /// Something already runs under this ID.
    #[error("container {id} is already running")]
    AlreadyRunning {
        /// The container.
        id: String,
    },
    /// The container did not end though it was killed.
    #[error("container {id} did not end within {seconds} s after SIGKILL")]
    WouldNotDie {
        /// The container.
        id: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The container's processes could not be held still.
    #[error("the processes of container {id} did not stand still within {seconds} s")]
    NotStill {
        /// The container.
        id: String,
        /// How long was waited.
        seconds: u64,
    },
    /// There is no such signal.
    #[error("{0:?} is not a signal")]
    BadSignal(String),
    /// A helper failed at something that these variants don't tell apart.
    #[error("{0}")]
    Helper(String),
    /// The monitor ended before it could tell whether the container started.
    #[error("the monitor of {id} ended unexpectedly: {message}")]
    Monitor {
        /// The container.
        id: String,
        /// The end of its log.
        message: String,
    },
}

impl Error {
    /// What the command should exit with: 127 when the program is missing, 126 when it can't be
    /// executed, 125 for all else, as `docker run` does.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
            _ => 125,
        }
    }

    pub(crate) fn no_working_directory(program: &str) -> Self {
        let reason = "its working directory is not in the container".to_owned();
        Self::NotExecutable { program: program.to_owned(), reason }
    }

    pub(crate) fn io(operation: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> Self {
        Self::Io { operation, path: path.as_ref().to_owned(), source: source.into() }
    }

    pub(crate) fn system(operation: &'static str, source: impl Into<io::Error>) -> Self {
        Self::System { operation, source: source.into() }
    }
}

/// An error on its way from a helper to the command.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Failure {
    NotFound { program: String },
    NotExecutable { program: String, reason: String },
    Other(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound { program } => Self::NotFound { program },
            Error::NotExecutable { program, reason } => Self::NotExecutable { program, reason },
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotFound { program } => Self::NotFound { program },
            Failure::NotExecutable { program, reason } => Self::NotExecutable { program, reason },
            Failure::Other(message) => Self::Helper(message),
        }
    }
}
