//! Plans: checked, journaled, run, and undone or completed after a crash.
//!
//! The life of a plan is in [`crate::journal`]; here is what is done with its steps.

pub(crate) mod check;
pub(crate) mod run;
pub(crate) mod show;

use std::path::PathBuf;

use nacre_plugin::plan::Step;
use nacre_plugin::types::{Place, Root};
use nacre_sys::dir::Dir;
use run::zfs::Base;
use rustix::fs::FileType;

/// Steps in the order in which they are run.
pub(crate) type Plan = Vec<Step>;

/// The folders that a driver's places start from, held open.
#[derive(Debug)]
pub(crate) struct Roots {
    home: Dir,
    run: Dir,
    datasets: Option<Base>,
}

impl Roots {
    /// Open the folders of a driver, making them where they are missing.
    pub(crate) fn open(root: &Dir, run: &Dir, driver: &str) -> Result<Self, nacre_sys::Error> {
        Ok(Self { home: ensured(root, driver)?, run: ensured(run, driver)?, datasets: None })
    }

    /// The same with the dataset that the driver's own are below.
    pub(crate) fn with_datasets(self, base: Base) -> Self {
        Self { datasets: Some(base), ..self }
    }

    /// The dataset that the driver's own are below; none where it has none.
    pub(crate) fn datasets(&self) -> Option<&Base> {
        self.datasets.as_ref()
    }

    /// The folder that a place starts from.
    pub(crate) fn dir(&self, root: Root) -> &Dir {
        match root {
            Root::Home => &self.home,
            Root::Run => &self.run,
        }
    }

    /// The driver's home.
    pub(crate) fn home(&self) -> &Dir {
        &self.home
    }

    /// Open the directory at a place.
    pub(crate) fn open_place(&self, place: &Place) -> Result<Dir, nacre_sys::Error> {
        self.dir(place.root).sub(&place.path)
    }

    /// Open the directory at a place that is to be changed. A step changes what it names and nothing else, so
    /// no symbolic link is followed: a plan is checked by its names.
    pub(crate) fn open_own(&self, place: &Place) -> Result<Dir, nacre_sys::Error> {
        self.own(place)?;
        refuse_link(self.dir(place.root), &place.path)?;
        self.open_place(place)
    }

    /// The folder that a place to be changed starts from. No symbolic link is on the way to its last name.
    pub(crate) fn own(&self, place: &Place) -> Result<&Dir, nacre_sys::Error> {
        let dir = self.dir(place.root);
        for (end, _) in place.path.match_indices('/') {
            refuse_link(dir, place.path.get(..end).unwrap_or_default())?;
        }
        Ok(dir)
    }

    /// A place as an absolute path, for people and for those who are handed paths.
    pub(crate) fn absolute(&self, place: &Place) -> PathBuf {
        self.dir(place.root).path().join(&place.path)
    }
}

fn refuse_link(dir: &Dir, path: &str) -> Result<(), nacre_sys::Error> {
    match dir.stat(path) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
            Err(nacre_sys::Error::Escape { path: dir.path().join(path) })
        }
        // What is missing is the step's to report.
        _ => Ok(()),
    }
}

/// dockerd gives the folder of a driver this mode.
const HOME_MODE: u32 = 0o710;

fn ensured(parent: &Dir, name: &str) -> Result<Dir, nacre_sys::Error> {
    parent.ensure_dir(name, HOME_MODE)?;
    parent.sub(name)
}
