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

/// Steps in the order in which they are run.
pub(crate) type Plan = Vec<Step>;

/// The folders that a driver's places start from, held open.
#[derive(Debug)]
pub(crate) struct Roots {
    home: Dir,
    run: Dir,
}

impl Roots {
    /// Open the folders of a driver, making them where they are missing.
    pub(crate) fn open(root: &Dir, run: &Dir, driver: &str) -> Result<Self, nacre_sys::Error> {
        Ok(Self { home: ensured(root, driver)?, run: ensured(run, driver)? })
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

    /// A place as an absolute path, for people and for those who are handed paths.
    pub(crate) fn absolute(&self, place: &Place) -> PathBuf {
        self.dir(place.root).path().join(&place.path)
    }
}

/// dockerd gives the folder of a driver this mode.
const HOME_MODE: u32 = 0o710;

fn ensured(parent: &Dir, name: &str) -> Result<Dir, nacre_sys::Error> {
    parent.ensure_dir(name, HOME_MODE)?;
    parent.sub(name)
}
