//! Opening a storage root, and making drivers ready.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use nacre_plugin::types::{Facts, Filesystem};
use nacre_plugin::{ComponentHost, StateError, StateView};
use nacre_store::{Paths, Store};
use nacre_sys::dir::Dir;

use crate::assemble::Holds;
use crate::components::{COMPONENTS, Found};
use crate::driver::{Driver, Prepared};
use crate::plan::show::explain;
use crate::types::{Config, Explained};
use crate::{Class, Error, facts, reserve};

/// Where nacre keeps its things unless it is told otherwise.
const DEFAULT_ROOT: &str = "/var/lib/nacre";

/// A storage root, open. It can be shared between threads.
#[derive(Debug)]
pub struct Engine {
    pub(crate) config: Config,
    pub(crate) store: Arc<Store>,
    root: Dir,
    run: Dir,
    host: OnceLock<ComponentHost>,
    drivers: Mutex<BTreeMap<String, Arc<Driver>>>,
    explained: Mutex<Vec<Explained>>,
    holds: Mutex<Holds>,
    /// What was spent in components that are no drivers.
    spent: Mutex<nacre_plugin::Spent>,
    opened: Instant,
    /// Whoever is told what happens.
    pub(crate) observer: OnceLock<Arc<dyn crate::event::Observer>>,
}

/// With `NACRE_TIMING` set, what an engine's life took goes to standard error as a line of JSON, in
/// microseconds: all of it, and the part spent in components.
impl Drop for Engine {
    fn drop(&mut self) {
        if std::env::var_os("NACRE_TIMING").is_some() {
            let spent = self.component_time();
            let times = serde_json::json!({
                "total_us": self.opened.elapsed().as_micros() as u64,
                "wasm_us": spent.time.as_micros() as u64,
                "wasm_calls": spent.calls,
            });
            eprintln!("{times}");
        }
    }
}

impl Engine {
    /// Open a storage root, making it where it is missing, and undo or complete what a process that died
    /// in the middle of a command left there. A root on a read-only file system can be looked at.
    pub fn open(config: Config) -> Result<Self, Error> {
        let path = config.root.as_deref().unwrap_or(Path::new(DEFAULT_ROOT));
        let store = Store::open(Paths::prepare(path)?)?;
        let root = Dir::open(&store.paths().root)?;
        let run = Dir::open(&store.paths().run)?;
        let engine = Self {
            config,
            store: Arc::new(store),
            root,
            run,
            host: OnceLock::new(),
            drivers: Mutex::default(),
            explained: Mutex::default(),
            holds: Mutex::default(),
            spent: Mutex::default(),
            opened: Instant::now(),
            observer: OnceLock::new(),
        };
        // On a read-only file system nothing can be left to undo that could be undone.
        if !engine.config.explain && !engine.store.is_read_only() {
            reserve::keep(&engine.root);
            match engine.recover_all() {
                Err(error) if error.class() == Class::NoSpace => {
                    engine.make_room();
                    engine.recover_all()?;
                }
                other => other?,
            }
        }
        Ok(engine)
    }

    fn recover_all(&self) -> Result<(), Error> {
        self.note_boot()?;
        self.recover()?;
        self.recover_containers()?;
        self.recover_mounts()
    }

    /// To be called first by whatever frees space: on a full disk there is room for its records then.
    pub(crate) fn make_room(&self) {
        if !self.config.explain {
            reserve::give_up(&self.root);
        }
    }

    /// The storage root.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Where nacre keeps what a reboot may lose of this root: locks, mounts, sockets.
    pub fn run_dir(&self) -> &Path {
        &self.store.paths().run
    }

    pub(crate) fn root_dir(&self) -> &Dir {
        &self.root
    }

    /// Plans are collected, and nothing is changed: see [`Config::explain`].
    pub fn explains(&self) -> bool {
        self.config.explain
    }

    /// Refuse an operation that has no plan to be told instead.
    pub(crate) fn refuse_to_explain(&self, operation: &str) -> Result<(), Error> {
        match self.config.explain {
            true => Err(Error::usage(format!("{operation} has no plan that could be told in its place"))),
            false => Ok(()),
        }
    }

    /// The plans that the last operations would have run, with [`Config::explain`].
    pub fn explained(&self) -> Vec<Explained> {
        std::mem::take(&mut self.lock_explained())
    }

    /// Time spent in components so far, and the calls that it took.
    pub fn component_time(&self) -> nacre_plugin::Spent {
        let others = *self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        self.lock_drivers().values().fold(others, |sum, driver| add(sum, driver.spent()))
    }

    pub(crate) fn note_spent(&self, spent: nacre_plugin::Spent) {
        let mut sum = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        *sum = add(*sum, spent);
    }

    /// With `--explain`, note a plan in place of running it.
    pub(crate) fn note_explained(&self, driver: &Driver, plan: &Prepared) -> bool {
        if self.config.explain {
            self.lock_explained().push(Explained {
                operation: plan.operation.name().to_owned(),
                subject: plan.layer.clone(),
                driver: driver.name().to_owned(),
                after_crash: if plan.operation.is_completed_after_crash() { "redo" } else { "undo" }
                    .to_owned(),
                steps: plan.steps.iter().map(|step| explain(step, driver.roots())).collect(),
            });
        }
        self.config.explain
    }

    /// The driver of that name, ready for use.
    pub(crate) fn driver(&self, name: &str) -> Result<Arc<Driver>, Error> {
        if let Some(driver) = self.lock_drivers().get(name) {
            return Ok(driver.clone());
        }
        let driver = self.load_driver(name)?;
        Ok(self.lock_drivers().entry(name.to_owned()).or_insert(driver).clone())
    }

    /// The driver in a file, under the name that it gives itself.
    pub(crate) fn driver_from_file(&self, path: &Path) -> Result<Arc<Driver>, Error> {
        let origin = path.display().to_string();
        let known = |d: &&Arc<Driver>| d.component().origin() == origin;
        if let Some(driver) = self.lock_drivers().values().find(known) {
            return Ok(driver.clone());
        }
        let driver = Arc::new(self.ready(self.component_of_file(path)?)?);
        self.lock_drivers().insert(driver.name().to_owned(), driver.clone());
        Ok(driver)
    }

    fn load_driver(&self, name: &str) -> Result<Arc<Driver>, Error> {
        if let Some(path) = self.named_file() {
            let driver = self.driver_from_file(path)?;
            if driver.name() == name {
                return Ok(driver);
            }
        }
        self.ready(self.component(name)?).map(Arc::new)
    }

    /// The next use of a driver loads it anew.
    pub(crate) fn forget_driver(&self, name: &str) {
        self.lock_drivers().remove(name);
    }

    /// Make a driver's component ready for this root.
    pub(crate) fn ready(&self, found: Found) -> Result<Driver, Error> {
        let settings = found.component.settings(&self.config.storage_opts)?;
        let driver = found.component.description().name.clone();
        let state = Arc::new(StoredState { store: self.store.clone(), driver });
        let facts = |home: &Dir| match self.store.is_read_only() {
            true => self.facts_untried(home),
            false => match facts::probe(home) {
                // What frees space must work all the same.
                Err(error) if error.class() == Class::NoSpace => self.facts_untried(home),
                facts => facts,
            },
        };
        Driver::new(found, (&self.root, &self.run), facts, state, settings)
    }

    /// The facts of a file system on which nothing can be tried out, since it is read-only or full. What drivers need of
    /// one it had when layers were written to it.
    fn facts_untried(&self, home: &Dir) -> Result<Facts, Error> {
        let here = facts::probe(&self.run)?;
        let found = rustix::fs::fstatfs(home).map_err(|e| Error::io("statfs", home.path(), e))?;
        let home = Filesystem {
            name: nacre_sys::facts::filesystem_name(found.f_type as u64).to_owned(),
            magic: found.f_type as u64,
            d_type: true,
            trusted_xattrs: true,
            user_xattrs: true,
            reflink: false,
            project_quota: false,
        };
        Ok(Facts { home, ..here })
    }

    /// The component host, made when the first component is needed. It keeps compiled components in the root, or in
    /// `NACRE_CACHE`, which several roots can share.
    pub(crate) fn host(&self) -> Result<&ComponentHost, Error> {
        if let Some(host) = self.host.get() {
            return Ok(host);
        }
        let config =
            nacre_plugin::Config { cache_dir: Some(self.compiled_components()), ..Default::default() };
        let host = ComponentHost::new(config)?;
        Ok(self.host.get_or_init(|| host))
    }

    /// The cache of compiled components.
    pub(crate) fn compiled_components(&self) -> PathBuf {
        let cache = std::env::var_os("NACRE_CACHE").filter(|dir| !dir.is_empty());
        cache.map_or_else(|| self.root.path().join(COMPONENTS), PathBuf::from)
    }

    pub(crate) fn lock_drivers(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Driver>>> {
        self.drivers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_holds(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_explained(&self) -> MutexGuard<'_, Vec<Explained>> {
        self.explained.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(one: nacre_plugin::Spent, other: nacre_plugin::Spent) -> nacre_plugin::Spent {
    nacre_plugin::Spent { calls: one.calls + other.calls, time: one.time + other.time }
}

/// A component's view of what it saved.
#[derive(Debug)]
struct StoredState {
    store: Arc<Store>,
    driver: String,
}

impl StateView for StoredState {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.store.read(|view| view.state(&self.driver, key))?)
    }

    fn keys(&self, prefix: &str, most: usize) -> Result<Vec<String>, StateError> {
        let mut keys = self.store.read(|view| view.state_keys(&self.driver, prefix))?;
        keys.truncate(most);
        Ok(keys)
    }
}
