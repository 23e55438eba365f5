//! Throw-away storage roots for tests, and images for them.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use nacre_engine::{CommitOptions, Config, Engine, LoadSource, NoProgress};
use rustix::mount::{UnmountFlags, unmount};

use crate::{Code, Fault};

/// The throw-away directories that are there, for whoever ends the process.
static THERE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Passed,
    /// With this error.
    Failed(String),
    /// It said that it cannot be run here, and why.
    Skipped(String),
}

/// A test that was run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its name, after those of the groups that it is in.
    pub name: String,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub seconds: f64,
}

/// What tests are given: a throw-away root for each, and somebody who hears how they end.
pub(crate) struct Suite {
    /// Where roots are made.
    on: PathBuf,
    place: RefCell<Option<Place>>,
    heard: Box<dyn Fn(&Outcome)>,
}

impl Suite {
    pub(crate) fn new(on: PathBuf, heard: impl Fn(&Outcome) + 'static) -> Self {
        Self { on, place: RefCell::default(), heard: Box::new(heard) }
    }

    pub(crate) fn ended(&self, outcome: &Outcome) {
        (self.heard)(outcome);
    }

    /// The root of the present test.
    pub(crate) fn root(&self) -> Result<PathBuf, Fault> {
        Ok(self.place()?.join("root"))
    }

    /// A directory beside the root of the present test.
    fn place(&self) -> Result<PathBuf, Fault> {
        let mut place = self.place.borrow_mut();
        if let Some(place) = place.as_ref() {
            return Ok(place.dir.clone());
        }
        let new = Place::new(&self.on)
            .map_err(|error| Fault::new(Code::FAILED, format!("cannot make a root: {error}")))?;
        Ok(place.insert(new).dir.clone())
    }

    /// The present test is over: its root goes.
    pub(crate) fn clear(&self) {
        self.place.replace(None);
    }

    /// An image with one layer of these files, made on the spot: its ID.
    pub(crate) fn image(
        &self,
        engine: &Engine,
        name: &str,
        files: &[(String, Vec<u8>)],
    ) -> Result<String, Fault> {
        let path = self.place()?.join("layer.tar");
        let failed = |error: io::Error| Fault::new(Code::FAILED, format!("cannot make {name}: {error}"));
        write_tar(&path, files).map_err(failed)?;
        let options = CommitOptions {
            reference: Some(name.to_owned()),
            changes: vec!["CMD [\"/bin/true\"]".to_owned()],
            ..CommitOptions::default()
        };
        let made = engine.import(LoadSource::File(path.clone()), &options, &NoProgress);
        fs::remove_file(&path).map_err(failed)?;
        Ok(made?)
    }
}

fn write_tar(path: &Path, files: &[(String, Vec<u8>)]) -> io::Result<()> {
    let mut tar = tar::Builder::new(fs::File::create(path)?);
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name.trim_start_matches('/'), content.as_slice())?;
    }
    tar.into_inner()?.sync_all()
}

/// A directory with a storage root in it. Dropped, it is gone with all that nacre keeps of the root elsewhere.
struct Place {
    dir: PathBuf,
}

impl Place {
    fn new(on: &Path) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = on.canonicalize()?.join(format!(".nacre-test-{}-{number}", std::process::id()));
        fs::create_dir(&dir)?;
        there().push(dir.clone());
        Ok(Self { dir })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        remove(&self.dir);
        there().retain(|dir| *dir != self.dir);
    }
}

/// Removes all throw-away roots of this process, which is about to end.
pub fn remove_all() {
    there().drain(..).for_each(|dir| remove(&dir));
}

fn there() -> std::sync::MutexGuard<'static, Vec<PathBuf>> {
    THERE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends processes and mounts of a throw-away root, and removes it. What cannot be removed is told.
fn remove(dir: &Path) {
    let root = dir.join("root");
    let mut run = None;
    if root.exists() {
        match Engine::open(Config { root: Some(root), ..Config::default() }) {
            Ok(engine) => {
                run = Some(engine.run_dir().to_owned());
                empty(&engine);
            }
            Err(error) => tracing::warn!(dir = %dir.display(), %error, "a throw-away root cannot be opened"),
        }
    }
    for dir in [Some(dir), run.as_deref()].into_iter().flatten() {
        let mounts = nacre_sys::mount::below(dir).unwrap_or_default();
        for mount in mounts.iter().rev() {
            let _ = unmount(&mount.mount_point, UnmountFlags::DETACH);
        }
        if let Err(error) = fs::remove_dir_all(dir)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %dir.display(), %error, "a throw-away root cannot be removed");
        }
    }
}

/// Removes containers with their processes and mounts, and lets go what drivers hold in the kernel.
fn empty(engine: &Engine) {
    let containers = engine.containers(true, false).unwrap_or_default();
    let mut failed: Vec<nacre_engine::Error> =
        containers.iter().filter_map(|known| engine.remove_container(&known.id, true).err()).collect();
    failed.extend(engine.release().err());
    for error in failed {
        tracing::warn!(%error, "something of a throw-away root stays");
    }
}
