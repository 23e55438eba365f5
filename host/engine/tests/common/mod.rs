//! A throw-away root with the engine on it, and pictures of everything there for comparing.
// Each test binary uses its own part of this.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use nacre_engine::{Config, CreateOptions, Engine, Error, LoadSource, LoadedImage, NoProgress};
use nacre_store::{Paths, Store};
use nacre_tests::craft::{Image, Tar};
use nacre_tests::{Tree, mounts_below, scratch, unmount_below};

/// A root below /var/tmp. When it is dropped, nothing of it stays mounted.
#[derive(Debug)]
pub struct Bed {
    dir: tempfile::TempDir,
}

/// All that can be seen of a root: when two are equal, nothing has changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Picture {
    tree: Tree,
    records: Vec<String>,
    mounts: Vec<PathBuf>,
}

impl Bed {
    pub fn new() -> Self {
        Self { dir: scratch() }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn config(&self) -> Config {
        Config { root: Some(self.root()), ..Config::default() }
    }

    pub fn engine(&self) -> Engine {
        Engine::open(self.config()).unwrap()
    }

    /// An engine that only shows plans.
    pub fn explaining(&self) -> Engine {
        Engine::open(Config { explain: true, ..self.config() }).unwrap()
    }

    /// An engine with a driver of its own.
    pub fn engine_with(&self, driver: &Path, options: &[&str]) -> Engine {
        let storage_opts = options.iter().map(ToString::to_string).collect();
        let driver = Some(driver.display().to_string());
        Engine::open(Config { driver, storage_opts, ..self.config() }).unwrap()
    }

    pub fn store(&self) -> Store {
        Store::open(Paths::prepare(self.root()).unwrap()).unwrap()
    }

    /// Everything on the root but the database's files, which is read instead, and compiled components.
    pub fn picture(&self) -> Picture {
        let mut tree = Tree::read(&self.root());
        tree.entries.retain(|path, _| {
            !path.starts_with(b"nacre.db") && !path.starts_with(b"components") && !path.is_empty()
        });
        // A folder in which something was made and removed again is as it was.
        for entry in tree.entries.values_mut().filter(|entry| entry.kind == "directory") {
            entry.mtime = (0, 0);
        }
        Picture { tree, records: self.records(), mounts: mounts_below(&self.root()) }
    }

    fn records(&self) -> Vec<String> {
        self.store()
            .read(|view| {
                let drivers = ["overlay2", "hostile"];
                let states = drivers.iter().map(|driver| view.state_keys(driver, ""));
                Ok(vec![
                    format!("images {:#?}", view.images()?),
                    format!("layers {:#?}", view.layers(None)?),
                    format!("containers {:#?}", view.containers(true)?),
                    format!("mounts {:#?}", view.mounts()?),
                    format!("holders {:#?}", view.mount_holders()?),
                    format!("journal {:#?}", view.journal()?),
                    format!("states {:#?}", states.collect::<Result<Vec<_>, _>>()?),
                ])
            })
            .unwrap()
    }

    /// Fails unless the store is in order and nothing is under way.
    #[track_caller]
    pub fn assert_sound(&self, engine: &Engine) {
        let findings = engine.check(false).unwrap();
        assert!(findings.is_empty(), "{findings:#?}");
        let journal = self.store().read(|view| view.journal()).unwrap();
        assert!(journal.is_empty(), "{journal:#?}");
    }

    pub fn holders(&self) -> Vec<String> {
        let pairs = self.store().read(|view| view.mount_holders()).unwrap();
        pairs.into_iter().map(|(_, holder)| holder).collect()
    }

    pub fn mounts(&self) -> Vec<PathBuf> {
        mounts_below(&self.root())
    }

    /// The folder of a container's layer.
    pub fn layer_of(&self, container: &str) -> PathBuf {
        let container = self.store().read(|view| view.find_container(container)).unwrap();
        self.root().join(&container.driver).join(container.dir.as_str())
    }
}

impl Picture {
    #[track_caller]
    pub fn assert_same(&self, after: &Self, what: &str) {
        self.tree.assert_same(&after.tree, what);
        for (before, after) in self.records.iter().zip(&after.records) {
            assert_eq!(before, after, "{what}");
        }
        assert_eq!(self.mounts, after.mounts, "{what}");
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        unmount_below(self.dir.path());
        if let Ok(paths) = Paths::prepare(self.root()) {
            unmount_below(&paths.run);
            let _ = std::fs::remove_dir_all(&paths.run);
        }
    }
}

/// An image of two layers, `example/small:1`.
pub fn small() -> Image {
    Image::new("example/small:1")
        .layer(Tar::new().dir("etc").file("etc/motd", b"base\n").dir("d").file("d/f", b"old\n").finish())
        .layer(Tar::new().dir("etc").file("etc/top", b"top\n").finish())
}

pub fn load(engine: &Engine, archive: &Path) -> Result<Vec<LoadedImage>, Error> {
    engine.load(LoadSource::File(archive.to_owned()), &Default::default(), &NoProgress)
}

/// A bed with the small image loaded.
pub fn loaded() -> (Bed, Engine) {
    let bed = Bed::new();
    let archive = bed.file("small.tar", &small().docker_archive().tar());
    let engine = bed.engine();
    load(&engine, &archive).unwrap();
    (bed, engine)
}

pub fn of(image: &str, name: &str) -> CreateOptions {
    CreateOptions { image: image.to_owned(), name: Some(name.to_owned()), ..CreateOptions::default() }
}

pub fn create(engine: &Engine, name: &str) {
    engine.create(&of("example/small:1", name)).unwrap();
}
