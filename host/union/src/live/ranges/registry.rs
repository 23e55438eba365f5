use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nacre_sys::Dir;
use parking_lot::{Mutex, RwLock};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::extents::Extents;
use super::gate::Pass;
use super::log::has_one_log;
use super::map::{Header, Map};
use super::stitched::{Files, Ranges, State, map_name};
use super::{CHUNK, Gate, load};
use crate::layer::Layer;
use crate::live::place::Place;
use crate::live::settle::CLOSING;
use crate::live::{Result, errno, sys_errno};

/// Where the maps are, beside `work`.
pub(crate) const FOLDER: &str = "ranges";
/// What is in here, in the work directory, makes overlayfs refuse it.
pub(crate) const MARK_PARENT: &str = "incompat";
const MARK: &str = "work/incompat/nacre-ranges";

/// The files of a writable layer that have a map, by the number of the upper file.
#[derive(Debug)]
pub(crate) struct Registry {
    /// The directory that `work` and `ranges` are in.
    work: Dir,
    volatile: bool,
    /// To sync the newest change syncs those before it.
    one_log: bool,
    folder: Mutex<Folder>,
    known: RwLock<HashMap<u64, Arc<Ranges>>>,
    count: AtomicUsize,
    pub(crate) gate: Gate,
}

/// The folder of the maps, while there is one, and how many are being made.
#[derive(Debug, Default)]
struct Folder {
    dir: Option<Arc<Dir>>,
    /// Its name is on disk.
    synced: bool,
    starting: usize,
}

/// A file with a map that is not visible in the layer yet.
#[derive(Debug)]
pub(crate) struct Begun<'a> {
    pub(crate) ranges: Arc<Ranges>,
    /// Readers of the layer wait until it is known.
    _pass: Pass<'a>,
    _starting: Starting<'a>,
}

#[derive(Debug)]
struct Starting<'a>(&'a Registry);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.0.folder.lock().starting -= 1;
    }
}

impl Registry {
    /// Take up what an earlier process left.
    pub(crate) fn load(work: Dir, lowers: &[Layer], volatile: bool) -> crate::Result<Self> {
        let registry = Self {
            one_log: has_one_log(&work),
            work,
            volatile,
            folder: Mutex::default(),
            known: RwLock::default(),
            count: AtomicUsize::new(0),
            gate: Gate::default(),
        };
        registry.set_closing(false);
        if !registry.work.exists(FOLDER)? {
            return Ok(registry);
        }
        let folder = Arc::new(registry.work.sub(FOLDER)?);
        *registry.folder.lock() = Folder { dir: Some(folder.clone()), synced: true, starting: 0 };
        let mut names: Vec<String> = Vec::new();
        for entry in folder.entries()? {
            let name = entry.name.to_string_lossy();
            names.push(name.strip_suffix(".map").unwrap_or(&name).to_owned());
        }
        names.sort_unstable();
        names.dedup();
        for name in names {
            if let Some(ranges) = load::load(&folder, &name, lowers, volatile)? {
                registry.insert(ranges);
            }
        }
        registry.sweep();
        Ok(registry)
    }

    /// Give a file in the work directory a map: it has its length and is otherwise empty, has all its
    /// attributes, and is synced here. None where that cannot be, and it is to be copied whole.
    pub(crate) fn begin<'a>(
        &'a self,
        pass: Pass<'a>,
        lowers: &[Layer],
        from: &Place,
        lower: OwnedFd,
        temp: &str,
        upper: OwnedFd,
    ) -> Result<Option<Begun<'a>>> {
        let Place::At(dir, lower_name) = from else { return Ok(None) };
        let Some(origin) = load::remember(lowers, dir, lower_name).map_err(|e| errno(&e))? else {
            return Ok(None);
        };
        let (folder, starting) = self.folder()?;
        let stat = rustix::fs::fstat(&upper)?;
        let limit = u64::try_from(stat.st_size).unwrap_or(0);
        let header = Header { upper: stat.st_ino, chunk: CHUNK, limit, lower: origin };
        let name = format!("{:x}", stat.st_ino);
        // What could not be removed of an earlier file with this number.
        load::discard(&folder, &name).map_err(|e| errno(&e))?;
        let map = Map::create(&folder, &map_name(&name), &header)?;
        let from = Path::new("work").join(temp);
        let made = rustix::fs::linkat(&self.work, from, &*folder, &name, AtFlags::empty());
        let synced = made.and_then(|()| self.sync(&map, &upper, &folder));
        let files = Files { upper, lower, folder, name };
        let state = State::new(Extents::default(), Extents::default(), limit, limit, map);
        let ranges = Ranges::new(stat.st_ino, &header, files, state, self.volatile);
        match synced {
            Ok(()) => Ok(Some(Begun { ranges: Arc::new(ranges), _pass: pass, _starting: starting })),
            Err(e) => {
                ranges.unlink();
                match e {
                    Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP | Errno::XDEV => Ok(None),
                    e => Err(e),
                }
            }
        }
    }

    /// The folder of the maps, and before it the mark that there are some.
    fn folder(&self) -> Result<(Arc<Dir>, Starting<'_>)> {
        let mut folder = self.folder.lock();
        let dir = match &folder.dir {
            Some(dir) => dir.clone(),
            None => {
                let ensure = |name: &str| self.work.ensure_dir(name, 0o700).map_err(|e| sys_errno(&e));
                for name in [&format!("work/{MARK_PARENT}"), MARK, FOLDER] {
                    ensure(name)?;
                }
                let dir = Arc::new(self.work.sub(FOLDER).map_err(|e| sys_errno(&e))?);
                (folder.dir, folder.synced) = (Some(dir.clone()), false);
                dir
            }
        };
        folder.starting += 1;
        drop(folder);
        Ok((dir, Starting(self)))
    }

    /// Have all on disk that was made for a file: it is visible next.
    fn sync(&self, map: &Map, upper: &OwnedFd, folder: &Dir) -> Result<()> {
        if self.volatile {
            return Ok(());
        }
        map.sync()?;
        if self.one_log {
            // With the map, which came last.
            return Ok(());
        }
        rustix::fs::fsync(upper)?;
        rustix::fs::fsync(folder)?;
        if self.folder.lock().synced {
            return Ok(());
        }
        rustix::fs::fsync(self.open(".")?)?;
        // What is in the folder depends on it; on the mark nothing does that nacre reads.
        let marks = [self.open("work/incompat")?, self.open("work")?];
        let sync = move || marks.iter().try_for_each(rustix::fs::fsync);
        std::thread::Builder::new().name("union-mark".into()).spawn(sync).map_err(|_| Errno::AGAIN)?;
        self.folder.lock().synced = true;
        Ok(())
    }

    fn open(&self, below: &str) -> Result<OwnedFd> {
        crate::node::open(&self.work, below.as_ref(), OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Say that the layer is only completed now: who wants it next may wait.
    pub(crate) fn set_closing(&self, closing: bool) {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let done = match closing {
            true if self.count.load(Ordering::Acquire) == 0 => Ok(()),
            true => rustix::fs::openat(&self.work, CLOSING, flags, Mode::RUSR).map(drop),
            false => match rustix::fs::unlinkat(&self.work, CLOSING, AtFlags::empty()) {
                Err(Errno::NOENT) => Ok(()),
                done => done,
            },
        };
        if let Err(e) = done {
            tracing::debug!("{}: {CLOSING}: {e}", self.work.path().display());
        }
    }

    pub(crate) fn insert(&self, ranges: Arc<Ranges>) {
        let mut known = self.known.write();
        known.insert(ranges.ino, ranges);
        self.count.store(known.len(), Ordering::Release);
    }

    /// The map of an upper file.
    pub(crate) fn get(&self, ino: u64) -> Option<Arc<Ranges>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.known.read().get(&ino).filter(|ranges| !ranges.is_done()).cloned()
    }

    /// All files that have a map.
    pub(crate) fn all(&self) -> Vec<Arc<Ranges>> {
        self.known.read().values().cloned().collect()
    }

    /// An upper file has no name in the layer any more.
    pub(crate) fn drop_nameless(&self, ino: u64) {
        if self.count.load(Ordering::Acquire) > 0
            && let Some(ranges) = self.known.write().remove(&ino)
        {
            ranges.unlink();
        }
    }

    /// Forget files that need no map any more. With the last one the mark goes.
    pub(crate) fn sweep(&self) {
        let mut folder = self.folder.lock();
        let mut known = self.known.write();
        known.retain(|_, ranges| !ranges.is_done());
        self.count.store(known.len(), Ordering::Release);
        if folder.dir.is_none() || folder.starting > 0 || !known.is_empty() {
            return;
        }
        let gone = [FOLDER, MARK, &format!("work/{MARK_PARENT}")].into_iter().try_for_each(|name| {
            match rustix::fs::unlinkat(&self.work, name, AtFlags::REMOVEDIR) {
                Err(Errno::NOENT) => Ok(()),
                done => done,
            }
        });
        match gone {
            Ok(()) => folder.dir = None,
            Err(e) => {
                tracing::warn!("{}: the mark of files with a map stays: {e}", self.work.path().display())
            }
        }
    }
}
