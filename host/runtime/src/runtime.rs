//! Which runtime runs the containers.

use std::path::{Path, PathBuf};

use crate::container::Container;
use crate::error::{Error, Result};

/// A runtime that works on this machine, and the run directory that it works in.
#[derive(Debug, Clone)]
pub struct Runtime {
    run_dir: PathBuf,
}

impl Runtime {
    /// The first of crun, runc and the built-in runner that works here, or `preference` (`crun`, `runc`,
    /// `builtin`, or the path of an OCI runtime), or what the variable `NACRE_RUNTIME` names.
    ///
    /// Whether a binary works is tried once with a container of one bundle, and remembered in `run_dir`
    /// until the binary changes. `run_dir` is made when missing (mode 0700).
    ///
    /// # Errors
    /// A preference that is not there or doesn't work; a run directory that can't be made.
    pub fn find(run_dir: &Path, preference: Option<&str>) -> Result<Self> {
        let _ = preference;
        Ok(Self { run_dir: run_dir.to_owned() })
    }

    /// `crun`, `runc` or `builtin`, or the path of another one.
    pub fn name(&self) -> &str {
        "builtin"
    }

    /// The same, with another program to start the helpers with than this one.
    pub fn with_helper(self, program: impl Into<PathBuf>) -> Self {
        let _ = program.into();
        self
    }

    /// The container of that ID: one that is to be started, or was started before, by this process or
    /// another one and with whichever runtime.
    ///
    /// # Errors
    /// [`Error::BadId`] unless the ID matches `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
    pub fn container(&self, id: &str) -> Result<Container> {
        Err(Error::NoRuntime { name: id.to_owned(), reason: self.run_dir.display().to_string() })
    }
}
