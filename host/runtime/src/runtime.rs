//! Which runtime runs the containers.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bundle::{Bundle, create_private_dir, read_json, write_json};
use crate::container::Container;
use crate::error::{Error, Result};
use crate::oci::{self, Oci};

/// A runtime that works on this machine, and the run directory that it works in.
#[derive(Debug, Clone)]
pub struct Runtime {
    run_dir: PathBuf,
    name: String,
    helper: PathBuf,
}

/// The name of the built-in runner.
const BUILTIN: &str = "builtin";
/// In the order in which they are tried.
const KNOWN: [&str; 2] = ["crun", "runc"];

impl Runtime {
    /// The first of crun, runc and the built-in runner that works here, or `preference` (`crun`, `runc`,
    /// `builtin`, or the path of an OCI runtime), or what the variable `NACRE_RUNTIME` names.
    ///
    /// Whether a binary works is tried once, by creating a container that is not started, and remembered
    /// in `run_dir` until the binary changes. `run_dir` is made when missing (mode 0700).
    ///
    /// # Errors
    /// A preference that is not there or doesn't work; a run directory that can't be made.
    pub fn find(run_dir: &Path, preference: Option<&str>) -> Result<Self> {
        create_private_dir(run_dir)?;
        // The runtimes are started in other directories.
        let run_dir = run_dir.canonicalize().map_err(|error| Error::io("find", run_dir, error))?;
        let variable = std::env::var("NACRE_RUNTIME").ok().filter(|name| !name.is_empty());
        let name = match preference.map(str::to_owned).or(variable) {
            Some(name) if name == BUILTIN => name,
            Some(name) => required(&run_dir, &name)?,
            None => first_working(&run_dir)?,
        };
        Ok(Self { run_dir, name, helper: "/proc/self/exe".into() })
    }

    /// Whether anything is kept in `run_dir` of a container of that ID, that is, whether it was started since
    /// the machine was and not deleted. Costs no more than a look at a directory.
    pub fn knows(run_dir: &Path, id: &str) -> bool {
        Bundle::new(run_dir, id).dir().exists()
    }

    /// The IDs of all containers of which anything is kept in `run_dir`.
    ///
    /// # Errors
    /// When the run directory can't be read.
    pub fn all_known(run_dir: &Path) -> Result<Vec<String>> {
        let dir = run_dir.join("containers");
        let names = |entries: std::fs::ReadDir| {
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        };
        match std::fs::read_dir(&dir).and_then(names) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            names => names.map_err(|error| Error::io("list", dir, error)),
        }
    }

    /// `builtin`, or the path of an OCI runtime.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same, with another program to start the helpers with than this one. It calls
    /// [`crate::helper_main`].
    pub fn with_helper(self, program: impl Into<PathBuf>) -> Self {
        Self { helper: program.into(), ..self }
    }

    /// The container of that ID: one that is to be started, or was started before, by this process or
    /// another one and with whichever runtime.
    ///
    /// # Errors
    /// [`Error::BadId`] unless the ID matches `[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}`.
    pub fn container(&self, id: &str) -> Result<Container> {
        let starts = id.starts_with(|first: char| first.is_ascii_alphanumeric());
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if !starts || id.len() > 128 || !id.bytes().all(allowed) {
            return Err(Error::BadId { id: id.to_owned() });
        }
        Ok(Container::new(id, self.clone()))
    }

    pub(crate) fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    pub(crate) fn helper(&self) -> &Path {
        &self.helper
    }

    /// The runtime that was found before under this name, by this process or another one.
    pub(crate) fn known(run_dir: PathBuf, name: String, helper: PathBuf) -> Self {
        Self { run_dir, name, helper }
    }

    /// `None` for the built-in runner.
    pub(crate) fn oci(&self) -> Option<Oci> {
        (self.name != BUILTIN).then(|| Oci::new(Path::new(&self.name), &self.run_dir))
    }
}

fn required(run_dir: &Path, name: &str) -> Result<String> {
    let missing = |reason: &str| Error::NoRuntime { name: name.to_owned(), reason: reason.to_owned() };
    let program = search(name).ok_or_else(|| missing("not found in the PATH"))?;
    match works(run_dir, &program)? {
        None => program.into_os_string().into_string().map_err(|_| missing("its path is no UTF-8")),
        Some(reason) => Err(missing(&format!("it does not work on this machine: {reason}"))),
    }
}

fn first_working(run_dir: &Path) -> Result<String> {
    for name in KNOWN {
        match required(run_dir, name) {
            Err(Error::NoRuntime { .. }) => {}
            found => return found,
        }
    }
    Ok(BUILTIN.to_owned())
}

fn search(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Path::new(name).canonicalize().ok();
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// What was found out about a binary.
#[derive(Debug, Serialize, Deserialize)]
struct Tried {
    modified: (i64, i64),
    size: u64,
    failure: Option<String>,
}

/// Why the program does not work here, or `None` when it does.
fn works(run_dir: &Path, program: &Path) -> Result<Option<String>> {
    let file = run_dir.join("runtimes.json");
    let metadata = program.metadata().map_err(|error| Error::io("read", program, error))?;
    let (modified, size) = ((metadata.mtime(), metadata.mtime_nsec()), metadata.size());
    // A damaged record is made anew.
    let mut tried: BTreeMap<PathBuf, Tried> = read_json(&file).ok().flatten().unwrap_or_default();
    if let Some(known) = tried.get(program)
        && known.modified == modified
        && known.size == size
    {
        return Ok(known.failure.clone());
    }
    let failure = oci::probe(program, run_dir)?.err();
    if let Some(reason) = &failure {
        tracing::debug!(runtime = %program.display(), %reason, "the runtime does not work on this machine");
    }
    tried.insert(program.to_owned(), Tried { modified, size, failure: failure.clone() });
    write_json(&file, &tried)?;
    Ok(failure)
}
