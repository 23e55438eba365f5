//! A throw-away storage root.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nacre_engine::{Config, Engine};
use rustix::mount::{UnmountFlags, unmount};

use crate::report::Driver;
use crate::{Error, Subject};

/// A storage root of its own, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Root {
    dir: PathBuf,
    config: Config,
    /// Where nacre keeps what a reboot may lose of this root.
    run_dir: PathBuf,
    driver: Driver,
}

impl Root {
    /// Make one, and see whether the driver can work there.
    pub(crate) fn new(subject: &Subject) -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let place = |action| {
            let path = subject.on.clone();
            move |source| Error::Place { action, path, source }
        };
        let on = subject.on.canonicalize().map_err(place("find"))?;
        let dir = on.join(format!(".nacre-conformance-{}-{number}", std::process::id()));
        std::fs::create_dir(&dir).map_err(place("make a directory in"))?;
        std::fs::create_dir(dir.join("files")).map_err(place("make a directory in"))?;
        let config = Config {
            root: Some(dir.join("root")),
            driver: Some(subject.driver.clone()),
            storage_opts: subject.storage_opts.clone(),
            explain: false,
        };
        let mut root = Self { dir, config, run_dir: PathBuf::new(), driver: Driver::default() };
        let refused = |error| subject.refused(error);
        let engine = root.engine().map_err(refused)?;
        let info = engine.info().map_err(refused)?;
        root.run_dir = PathBuf::from(&info.run_dir);
        let Some(driver) = info.driver else {
            // The engine's own words for it are better than a listing's.
            engine.inspect_driver(&subject.driver).map_err(refused)?;
            return Err(subject.refused(nacre_engine::Error::Unsupported { what: info.driver_reason }));
        };
        drop(engine);
        root.driver = Driver {
            name: driver.name,
            version: driver.version,
            digest: driver.digest,
            filesystem: info.facts.home.name,
            max_depth: info.max_depth,
        };
        Ok(root)
    }

    /// Open the engine, which mends what a crash left.
    pub(crate) fn engine(&self) -> Result<Engine, nacre_engine::Error> {
        Engine::open(self.config.clone())
    }

    /// How the engine is opened on it.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// What is known of the driver.
    pub(crate) fn driver(&self) -> &Driver {
        &self.driver
    }

    /// A folder for files beside the root, on the same file system.
    pub(crate) fn files(&self) -> PathBuf {
        self.dir.join("files")
    }

    /// The storage root itself.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// Mount points below it, the innermost first.
    pub(crate) fn mounts(&self) -> io::Result<Vec<PathBuf>> {
        let mut found: Vec<PathBuf> = [&self.dir, &self.run_dir]
            .into_iter()
            .filter(|dir| !dir.as_os_str().is_empty())
            .map(|dir| nacre_sys::mount::below(dir).map_err(io::Error::other))
            .collect::<io::Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .map(|mount| mount.mount_point)
            .collect();
        found.reverse();
        Ok(found)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        for mount in self.mounts().unwrap_or_default() {
            let _ = unmount(&mount, UnmountFlags::DETACH);
        }
        if let Err(error) = self.engine().and_then(|engine| engine.release()) {
            tracing::warn!(root = %self.path().display(), %error, "what its driver holds in the kernel stays");
        }
        for dir in [&self.dir, &self.run_dir] {
            remove(dir);
        }
    }
}

/// Remove a folder. What is still mounted in it is not touched: `remove_dir_all` stops at a busy directory,
/// and everything was unmounted before.
fn remove(dir: &Path) {
    if !dir.as_os_str().is_empty()
        && let Err(error) = std::fs::remove_dir_all(dir)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(dir = %dir.display(), %error, "cannot be removed");
    }
}
