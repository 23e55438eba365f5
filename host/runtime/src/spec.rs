//! What to run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A process in a container: its first one, or one that `exec` adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessSpec {
    /// The program and its arguments. The program is searched for in the container's `PATH`.
    pub args: Vec<String>,
    /// `NAME=value` each; a later one wins. `PATH`, `HOSTNAME`, `HOME` and, with a terminal, `TERM` are
    /// added where they are missing.
    pub env: Vec<String>,
    /// The working directory in the container, made when missing. Empty means `/`.
    pub cwd: String,
    /// As Docker's `--user`: `""` (root), `uid`, `uid:gid`, `name`, `name:group`.
    pub user: String,
    /// The process gets a pseudoterminal of its own (`-t`).
    pub terminal: bool,
    /// The process reads the caller's standard input (`-i`); otherwise its input is empty.
    pub interactive: bool,
}

impl Default for ProcessSpec {
    fn default() -> Self {
        Self {
            args: Vec::new(),
            env: Vec::new(),
            cwd: "/".into(),
            user: String::new(),
            terminal: false,
            interactive: false,
        }
    }
}

/// A container: a mounted root file system, its surroundings, and the first process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// The mounted root file system. It stays mounted until the container has ended.
    pub rootfs: PathBuf,
    /// The first process.
    pub process: ProcessSpec,
    /// The root file system can't be written to (`--read-only`).
    pub read_only: bool,
    /// The host name inside. Empty: the container's ID, cut to twelve characters.
    pub hostname: String,
    /// The network that the processes see.
    pub network: Network,
    /// Further mounts, made in this order after the default ones.
    pub mounts: Vec<Mount>,
}

impl ContainerSpec {
    /// `process` in `rootfs`, writable, without a network, under the host name of its ID.
    pub fn new(rootfs: impl Into<PathBuf>, process: ProcessSpec) -> Self {
        Self {
            rootfs: rootfs.into(),
            process,
            read_only: false,
            hostname: String::new(),
            network: Network::None,
            mounts: Vec::new(),
        }
    }
}

/// The network that a container sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Only a loopback device of its own.
    #[default]
    None,
    /// The host's.
    Host,
}

/// A mount that the container gets beside the default ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "type")]
pub enum Mount {
    /// A file or directory of the host, with what is mounted beneath it.
    Bind {
        /// Absolute path on the host. It must exist.
        source: PathBuf,
        /// Absolute path in the container, made when missing.
        target: String,
        /// It can't be written to.
        read_only: bool,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// Absolute path in the container, made when missing.
        target: String,
        /// Options as mount(8) writes them, `size=64m` or `mode=1777` for example.
        options: Vec<String>,
    },
}

impl Mount {
    /// # Errors
    /// [`Error::BadSpec`] for a path that is not absolute, which each runtime would take otherwise.
    pub(crate) fn check(&self) -> Result<()> {
        let (source, target) = match self {
            Self::Bind { source, target, .. } => (Some(source), target),
            Self::Tmpfs { target, .. } => (None, target),
        };
        if let Some(source) = source.filter(|source| !source.is_absolute()) {
            return Err(Error::BadSpec(format!("the mount's source {source:?} is not an absolute path")));
        }
        if !target.starts_with('/') || target == "/" {
            return Err(Error::BadSpec(format!(
                "the mount point {target:?} is not an absolute path below /"
            )));
        }
        Ok(())
    }
}
