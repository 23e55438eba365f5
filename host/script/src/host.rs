//! What a script is given of this machine.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use nacre_engine::{Config, Engine, Explained};

use crate::events::{self, Events};
use crate::fixture::Suite;
use crate::grants::Grants;
use crate::sandbox::protect::Protected;
use crate::{Code, Fault};

/// What a script is given of this machine: a storage root, what it was granted, and where it prints.
pub struct Host {
    config: RefCell<Config>,
    /// Opened by the first function that needs it.
    engine: RefCell<Option<Arc<Engine>>>,
    /// The engine that collects plans, while they are asked for.
    explaining: Cell<bool>,
    grants: Grants,
    /// Directories that go with the script.
    pub(crate) temporary: RefCell<Vec<tempfile::TempDir>>,
    /// Bytes that it wrote to files of its own.
    pub(crate) written: Cell<u64>,
    modules: RefCell<Option<PathBuf>>,
    output: RefCell<Box<dyn Write>>,
    pub(crate) events: Rc<Events>,
    pub(crate) protected: OnceCell<Rc<Protected>>,
    /// There where the script is a file of tests.
    pub(crate) suite: Option<Suite>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("config", &self.config)
            .field("grants", &self.grants)
            .finish_non_exhaustive()
    }
}

impl Host {
    /// A host with that storage root, which is opened when the script first asks for it. The script prints to standard
    /// output, may name no files and run no programs.
    pub fn new(config: Config) -> Self {
        Self {
            config: RefCell::new(config),
            engine: RefCell::default(),
            explaining: Cell::default(),
            grants: Grants::default(),
            temporary: RefCell::default(),
            written: Cell::default(),
            modules: RefCell::default(),
            output: RefCell::new(Box::new(io::stdout())),
            events: Rc::default(),
            protected: OnceCell::new(),
            suite: None,
        }
    }

    /// The same, printing somewhere else.
    pub fn with_output(self, output: impl Write + 'static) -> Self {
        Self { output: RefCell::new(Box::new(output)), ..self }
    }

    /// The same with these grants.
    pub fn with_grants(self, grants: Grants) -> Self {
        Self { grants, ..self }
    }

    /// The same with the files below a folder, which the script may have nacre read and write.
    ///
    /// # Errors
    /// There is no such folder.
    pub fn grant_files(mut self, dir: &Path) -> io::Result<Self> {
        self.grants.allow_files(dir)?;
        Ok(self)
    }

    /// The same for a script whose timers run: see [`crate::serve`].
    pub fn with_timers(self) -> Self {
        self.events.keep_timers(true);
        self
    }

    /// The same for a script that is loaded for its handlers, and whose timers run elsewhere.
    pub fn as_hook(self) -> Self {
        self.events.keep_timers(false);
        self
    }

    pub(crate) fn for_tests(self, suite: Suite) -> Self {
        Self { suite: Some(suite), ..self }
    }

    /// What the script was granted.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// nacre's engine on the script's root.
    pub(crate) fn engine(&self) -> Result<Arc<Engine>, Fault> {
        events::refuse_where_locked()?;
        if let Some(engine) = self.engine.borrow().as_ref() {
            return Ok(engine.clone());
        }
        if let Some(suite) = &self.suite {
            self.config.borrow_mut().root = Some(suite.root()?);
        }
        let config = Config { explain: self.explaining.get(), ..self.config.borrow().clone() };
        let engine = Arc::new(Engine::open(config)?);
        engine.observe(events::observer());
        Ok(self.engine.borrow_mut().insert(engine).clone())
    }

    /// The present test is over: its root goes, and the next use of the engine makes another.
    pub(crate) fn clear(&self) {
        self.engine.replace(None);
        if let Some(suite) = &self.suite {
            suite.clear();
        }
    }

    /// Runs `work` with an engine that collects plans and changes nothing: the plans.
    pub(crate) fn explain(&self, work: impl FnOnce() -> Result<(), Fault>) -> Result<Vec<Explained>, Fault> {
        if self.explaining.replace(true) {
            return Err(Fault::usage("plans are asked for already"));
        }
        let before = self.engine.replace(None);
        let done = work();
        let plans = self.engine().map(|engine| engine.explained());
        self.explaining.set(false);
        self.engine.replace(before);
        done?;
        plans
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
        self.grants.file(named)
    }
}

/// Standard output has no reader any more.
pub(crate) const CLOSED: Code = Code { name: "closed", number: 0 };
