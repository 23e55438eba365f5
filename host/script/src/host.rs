//! What a script is given of this machine.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nacre_engine::{Config, Engine};

use crate::{Code, Fault};

/// What a script is given of this machine: a storage root, the folders that it was granted, and where it prints.
pub struct Host {
    config: Config,
    /// Opened by the first function that needs it.
    engine: OnceCell<Arc<Engine>>,
    /// Folders whose files the script may name.
    pub(crate) granted: Vec<PathBuf>,
    /// Directories that go with the script.
    pub(crate) temporary: RefCell<Vec<tempfile::TempDir>>,
    /// Bytes that it wrote to files of its own.
    pub(crate) written: Cell<u64>,
    modules: RefCell<Option<PathBuf>>,
    output: RefCell<Box<dyn Write>>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("config", &self.config)
            .field("granted", &self.granted)
            .finish_non_exhaustive()
    }
}

impl Host {
    /// A host with that storage root, which is opened when the script first asks for it. The script prints to standard
    /// output and may name no files.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            engine: OnceCell::new(),
            granted: Vec::new(),
            temporary: RefCell::default(),
            written: Cell::default(),
            modules: RefCell::default(),
            output: RefCell::new(Box::new(io::stdout())),
        }
    }

    /// The same, printing somewhere else.
    pub fn with_output(self, output: impl Write + 'static) -> Self {
        Self { output: RefCell::new(Box::new(output)), ..self }
    }

    /// The same with the files below a folder, which the script may have nacre read and write.
    ///
    /// # Errors
    /// There is no such folder.
    pub fn grant_files(mut self, dir: &Path) -> io::Result<Self> {
        self.granted.push(dir.canonicalize()?);
        Ok(self)
    }

    pub(crate) fn engine(&self) -> Result<&Arc<Engine>, Fault> {
        if let Some(engine) = self.engine.get() {
            return Ok(engine);
        }
        let engine = Engine::open(self.config.clone())?;
        Ok(self.engine.get_or_init(|| Arc::new(engine)))
    }

    pub(crate) fn modules(&self) -> Option<PathBuf> {
        self.modules.borrow().clone()
    }

    pub(crate) fn set_modules(&self, dir: Option<PathBuf>) {
        self.modules.replace(dir);
    }

    pub(crate) fn write(&self, text: &[u8]) -> Result<(), Fault> {
        let mut output = self.output.borrow_mut();
        output.write_all(text).and_then(|()| output.flush()).map_err(|error| match error.kind() {
            // A reader that goes away ends the script, and nothing is said of it.
            io::ErrorKind::BrokenPipe => Fault::new(CLOSED, "standard output was closed"),
            io::ErrorKind::StorageFull => {
                Fault::new(Code::NO_SPACE, format!("cannot write to standard output: {error}"))
            }
            _ => Fault::new(Code::FAILED, format!("cannot write to standard output: {error}")),
        })
    }

    /// A file that a script names, where it was granted.
    pub(crate) fn file(&self, named: &Path) -> Result<PathBuf, Fault> {
        let refused = |why: String| {
            let dir = named.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Fault::new(Code::PERMISSION, why).with_hint(format!(
                "`nacre script run --allow fs={}` lets the script name files there",
                dir.display()
            ))
        };
        if self.granted.is_empty() {
            return Err(refused(format!("the script may name no files, such as {}", named.display())));
        }
        let path = resolved(named).map_err(|error| {
            let code = if error.kind() == io::ErrorKind::NotFound { Code::NOT_FOUND } else { Code::FAILED };
            Fault::new(code, format!("cannot find {}: {error}", named.display()))
        })?;
        match self.granted.iter().any(|dir| path.starts_with(dir)) {
            true => Ok(path),
            false => Err(refused(format!("the script may not name {}", path.display()))),
        }
    }
}

/// Standard output has no reader any more.
pub(crate) const CLOSED: Code = Code { name: "closed", number: 0 };

/// Without links: the file, or where it is to be made.
fn resolved(named: &Path) -> io::Result<PathBuf> {
    match named.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A link that leads nowhere is followed by whoever makes the file.
            if named.is_symlink() {
                return Err(error);
            }
            let name = named.file_name().ok_or(error)?;
            let dir = named.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Ok(dir.canonicalize()?.join(name))
        }
        path => path,
    }
}
