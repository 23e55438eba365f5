use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nacre_archive::digest::Digest;

use crate::{Error, Result};

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// What survives a reboot. Mode 0711: containers' processes pass through, and list nothing.
    pub root: PathBuf,
    /// What a reboot may lose: locks, mounts, sockets. Mode 0700. Every process that uses the root must use
    /// the same one, or locks exclude nobody.
    pub run: PathBuf,
}

/// Where SQLite is told to have its shared memory (`.cargo/config.toml`), whatever the run directory is.
const SHARED_MEMORY: &str = "/run/nacre";

impl Paths {
    /// Make the root where it is missing, and its run directory: `$NACRE_RUN`, or
    /// `/run/nacre/<first 12 digits of the SHA-256 of the root's real path>`.
    pub fn prepare(root: impl AsRef<Path>) -> Result<Self> {
        let root = make_root(root.as_ref())?;
        let run = match std::env::var_os("NACRE_RUN").filter(|run| !run.is_empty()) {
            Some(run) => PathBuf::from(run),
            None => Path::new("/run/nacre").join(Digest::of(root.as_os_str().as_bytes()).short()),
        };
        Self::finish(root, run)
    }

    /// The same with a run directory of one's choice.
    pub fn with_run(root: impl AsRef<Path>, run: impl Into<PathBuf>) -> Result<Self> {
        Self::finish(make_root(root.as_ref())?, run.into())
    }

    /// `<root>/nacre.db`.
    pub fn database(&self) -> PathBuf {
        self.root.join("nacre.db")
    }

    /// `<root>/content`.
    pub fn content(&self) -> PathBuf {
        self.root.join("content")
    }

    /// `<run>/owners`.
    pub fn owners(&self) -> PathBuf {
        self.run.join("owners")
    }

    /// `<run>/locks`.
    pub fn locks(&self) -> PathBuf {
        self.run.join("locks")
    }

    /// The folder of a driver on the root.
    pub fn home(&self, driver: &str) -> PathBuf {
        self.root.join(driver)
    }

    fn finish(root: PathBuf, run: PathBuf) -> Result<Self> {
        let paths = Self { root, run };
        make_dir(Path::new(SHARED_MEMORY), 0o700)?;
        make_dir(&paths.run, 0o700)?;
        let run = real_path(&paths.run)?;
        // Somebody else's directory, say in /tmp, would let them hold or replace the locks.
        let owner = fs::metadata(&run).map_err(|e| Error::io("stat", &run, e))?.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return Err(Error::Permission { op: "use", path: run });
        }
        let paths = Self { run, ..paths };
        for dir in [paths.owners(), paths.locks()] {
            make_dir(&dir, 0o700)?;
        }
        Ok(paths)
    }
}

fn make_root(root: &Path) -> Result<PathBuf> {
    make_dir(root, 0o711)?;
    real_path(root)
}

fn real_path(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).map_err(|e| Error::io("resolve", path, e))
}

/// Parents that are missing are made open to all, as the system's own are.
pub(crate) fn make_dir(path: &Path, mode: u32) -> Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().ok_or_else(|| Error::io("make directory", path, e))?;
            make_dir(parent, 0o755)?;
            make_dir(path, mode)
        }
        Err(e) => Err(Error::io("make directory", path, e)),
    }
}
