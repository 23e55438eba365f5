//! What can go wrong, and what to do about it.

use std::path::PathBuf;

/// The class of an error; the command's exit code follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// None of the others.
    Other,
    /// An image, container, layer or path that does not exist.
    NotFound,
    /// Something is in use, running, or has that name already.
    Conflict,
    /// An argument that cannot be used.
    Usage,
    /// An archive that is damaged, hostile or of an unknown form.
    BadArchive,
    /// A component failed, lied or asked for what it may not have.
    Component,
    /// A privilege is missing.
    Permission,
    /// The disk is full.
    NoSpace,
    /// The store is damaged.
    Damaged,
    /// The user interrupted it.
    Interrupted,
}

/// An error of a use case.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such object.
    #[error("no such {kind}: {name}")]
    NotFound {
        /// `image`, `container`, `layer`, `driver` or `path`.
        kind: &'static str,
        /// As it was asked for.
        name: String,
    },
    /// An argument that cannot be used.
    #[error("{what}")]
    Usage {
        /// What is wrong with it.
        what: String,
        /// What to do.
        help: Option<String>,
    },
    /// Something is in the way.
    #[error("{what}")]
    Conflict {
        /// What is in the way of what.
        what: String,
        /// What to do.
        help: String,
    },
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// A verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Its class.
    pub fn class(&self) -> Class {
        match self {
            Self::NotFound { .. } => Class::NotFound,
            Self::Usage { .. } => Class::Usage,
            Self::Conflict { .. } => Class::Conflict,
            Self::Io { source, .. } => class_of_io(source),
        }
    }

    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Usage { help, .. } => help.clone(),
            Self::Conflict { help, .. } => Some(help.clone()),
            _ => None,
        }
    }
}

pub(crate) fn class_of_io(e: &std::io::Error) -> Class {
    match e.raw_os_error() {
        Some(libc_enospc) if libc_enospc == rustix::io::Errno::NOSPC.raw_os_error() => Class::NoSpace,
        _ => match e.kind() {
            std::io::ErrorKind::PermissionDenied => Class::Permission,
            std::io::ErrorKind::NotFound => Class::NotFound,
            _ => Class::Other,
        },
    }
}
