//! What a case works with: images and containers on a throw-away root.

use std::cell::Cell;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use nacre_engine::{CommitOptions, CreateOptions, Engine, LoadSource, NoProgress};

use crate::case::Case;
use crate::files::{set_mtime, write};
use crate::layer::{Archive, Layer};
use crate::root::Root;
use crate::tree::{Tree, time_of};
use crate::verdict::{Done, Expected, Stop, Verdict, holds};
use crate::{Subject, Wanted};

/// Runs a case on a root, which comes back if it is as it was before.
pub(crate) fn run(case: &Case, subject: &Subject, wanted: &Wanted, root: Root) -> (Verdict, Option<Root>) {
    let (done, clean) = match Bench::new(subject, wanted, &root) {
        Ok(bench) => {
            let done = catch_unwind(AssertUnwindSafe(|| (case.run)(&bench)))
                .unwrap_or_else(|_| Err(Stop::failed("the case comes to its end", "it panicked")));
            (done, bench.clean_up())
        }
        Err(stop) => (Err(stop), Ok(())),
    };
    // A driver that fails a case may have left anything; what else it left is not worth telling.
    let reusable = clean.is_ok() && !matches!(&done, Err(Stop(Verdict::Failed { .. })));
    let verdict = match (done, clean) {
        (Ok(()), Ok(())) => Verdict::Passed,
        // What a driver leaves behind is told even where the case itself does not hold for it.
        (Ok(()) | Err(Stop(Verdict::Skipped { .. })), Err(Stop(left))) => left,
        (Err(Stop(verdict)), _) => verdict,
    };
    (verdict, reusable.then_some(root))
}

/// A root, open, for one case.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) wanted: &'a Wanted,
    root: &'a Root,
    engine: Engine,
    serial: Cell<u32>,
}

impl<'a> Bench<'a> {
    fn new(subject: &'a Subject, wanted: &'a Wanted, root: &'a Root) -> Done<Self> {
        Ok(Self { subject, wanted, root, engine: root.engine()?, serial: Cell::new(0) })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn root(&self) -> &Root {
        self.root
    }

    /// The most layers in a chain, the writable one included, by the driver's own word.
    pub(crate) fn max_depth(&self) -> u32 {
        self.root.driver().max_depth
    }

    /// A file of this case's own that does not exist yet.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.files().join(format!("{}-{name}", self.number()))
    }

    /// What a file's modification time is once it was set, as [`Tree::aspect`] tells it: some file systems (that of
    /// zfs-fuse) keep whole seconds, and no driver on them can keep more.
    pub(crate) fn mtime(&self, seconds: i64, nanos: i64) -> Done<String> {
        let file = self.file("time");
        let kept = write(&file, b"").and_then(|()| set_mtime(&file, seconds, nanos)).and_then(|()| {
            let meta = std::fs::metadata(&file).or_stop(|| format!("{} can be looked at", file.display()))?;
            Ok(time_of(&meta))
        });
        let _ = std::fs::remove_file(&file);
        kept
    }

    fn number(&self) -> u32 {
        self.serial.replace(self.serial.get() + 1)
    }

    /// Writes an image of these layers as a docker-archive, the base first, and returns its name too.
    pub(crate) fn archive(&self, layers: &[Layer]) -> Done<(PathBuf, String)> {
        let (file, name) = (self.file("image.tar"), format!("conformance:{}", self.number()));
        let bytes = Archive::new(&name, layers)?.tar()?;
        std::fs::File::create(&file)
            .and_then(|mut out| out.write_all(&bytes))
            .or_stop(|| format!("an archive can be written to {}", file.display()))?;
        Ok((file, name))
    }

    /// Loads an image of these layers, the base first.
    pub(crate) fn image(&self, layers: &[Layer]) -> Done<String> {
        let (file, name) = self.archive(layers)?;
        self.load(&file)?;
        Ok(name)
    }

    pub(crate) fn load(&self, archive: &Path) -> Done {
        self.engine.load(LoadSource::File(archive.to_owned()), &Default::default(), &NoProgress)?;
        Ok(())
    }

    /// A container on an image, not mounted.
    pub(crate) fn container(&self, image: &str) -> Done<Container<'_>> {
        self.container_with(image, &[])
    }

    pub(crate) fn container_with(&self, image: &str, options: &[&str]) -> Done<Container<'_>> {
        Ok(Container { engine: &self.engine, id: create(&self.engine, image, options)? })
    }

    /// A container on an image, and its tree.
    pub(crate) fn mounted(&self, image: &str) -> Done<(Container<'_>, PathBuf)> {
        let container = self.container(image)?;
        let root = container.mount()?;
        Ok((container, root))
    }

    /// What a new container of an image sees.
    pub(crate) fn tree_of(&self, image: &str) -> Done<Tree> {
        let (container, root) = self.mounted(image)?;
        let tree = Tree::read(&root)?;
        container.unmount()?;
        container.remove()?;
        Ok(tree)
    }

    /// An image with one layer more: what `change` does in a container on `image`.
    pub(crate) fn changed(&self, image: &str, change: impl FnOnce(&Path) -> Done) -> Done<String> {
        let (container, root) = self.mounted(image)?;
        change(&root)?;
        container.unmount()?;
        let image = container.commit()?;
        container.remove()?;
        Ok(image)
    }

    /// Removes all containers and images, and stops if anything is left then.
    fn clean_up(self) -> Done {
        let engine = &self.engine;
        for container in engine.containers(true, false)? {
            engine.remove_container(&container.id, true)?;
        }
        // An image may stand on another one.
        for image in engine.images()? {
            match engine.remove_image(&image.id, true, false) {
                Ok(_) | Err(nacre_engine::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        engine.prune_images(true)?;
        self.nothing_is_left()
    }

    /// Stops unless the root is empty: no image, no layer, no mount, no orphan.
    pub(crate) fn nothing_is_left(&self) -> Done {
        let expected = "nothing is left when all images and containers are removed";
        let layers = self.engine.layers()?;
        holds(layers.is_empty(), expected, || format!("{} layers", layers.len()))?;
        let mounts = self.root.mounts().or_stop(|| "the mounts can be listed".to_owned())?;
        let mounts: Vec<_> = mounts.into_iter().filter(|at| !self.is_of_driver(at)).collect();
        holds(mounts.is_empty(), expected, || format!("mounts: {}", paths(&mounts)))?;
        self.sound(expected)?;
        let files = self.root.files();
        let _ = std::fs::remove_dir_all(&files);
        std::fs::create_dir_all(&files).or_stop(|| "files can be removed".to_owned())
    }

    /// The datasets below the one that the driver has them in, where it has them in one.
    fn datasets(&self, home: &Path) -> Done<Vec<PathBuf>> {
        let prefix = format!("{}.fsname=", self.root.driver().name);
        let named = self.subject.storage_opts.iter().find_map(|given| given.strip_prefix(&prefix));
        let base = match named {
            Some(name) => Some(name.to_owned()),
            None => nacre_sys::Dir::open(home)
                .and_then(|home| nacre_sys::zfs::dataset_of(&home))
                .or_stop(|| "the driver's home can be looked at".to_owned())?,
        };
        let Some(base) = base else { return Ok(Vec::new()) };
        let children = nacre_sys::zfs::children(&base).or_stop(|| "datasets can be listed".to_owned())?;
        Ok(children.into_iter().map(|name| format!("{base}/{name} (dataset)").into()).collect())
    }

    /// The names in the driver's home, what is mounted there aside, and those of its datasets.
    pub(crate) fn names(&self) -> Done<Vec<PathBuf>> {
        let home = self.root.path().join(&self.root.driver().name);
        let readable = || "the driver's home can be read".to_owned();
        let device = |path: &Path| std::fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.is_dir()));
        let mut names = self.datasets(&home)?;
        let (own, mut todo) = (device(&home).or_stop(readable)?.0, vec![home]);
        while let Some(dir) = todo.pop() {
            for entry in std::fs::read_dir(&dir).or_stop(readable)? {
                let path = entry.or_stop(readable)?.path();
                let (device, is_dir) = device(&path).or_stop(readable)?;
                if is_dir && device == own {
                    todo.push(path.clone());
                }
                names.push(path);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Stops unless the driver's home holds these names and no others.
    pub(crate) fn must_hold(&self, expected: &[PathBuf], when: &str) -> Done {
        let found = self.names()?;
        let left: Vec<_> = found.iter().filter(|name| !expected.contains(name)).cloned().collect();
        let what = format!("the driver's home holds what it held before {when}");
        holds(left.is_empty(), &what, || format!("left behind: {}", paths(&left)))?;
        let gone: Vec<_> = expected.iter().filter(|name| !found.contains(name)).cloned().collect();
        holds(gone.is_empty(), &what, || format!("gone: {}", paths(&gone)))
    }

    /// A driver may keep a file system of its own mounted on its home as long as it lives.
    fn is_of_driver(&self, at: &Path) -> bool {
        at.parent() == Some(&self.root.path()) || at == self.root.path()
    }

    /// Stops unless the engine finds its records and the disk in order.
    pub(crate) fn sound(&self, expected: &str) -> Done {
        let findings = self.engine.check(false)?;
        holds(findings.is_empty(), expected, || {
            let lines: Vec<_> = findings.iter().map(|f| format!("{}: {}", f.kind, f.message)).collect();
            lines.join("; ")
        })
    }
}

pub(crate) fn create(engine: &Engine, image: &str, options: &[&str]) -> Result<String, nacre_engine::Error> {
    let options = CreateOptions {
        image: image.to_owned(),
        command: vec!["/none".to_owned()],
        storage_opts: options.iter().map(|&option| option.to_owned()).collect(),
        ..CreateOptions::default()
    };
    Ok(engine.create(&options)?.id)
}

pub(crate) fn paths(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}

/// A container.
#[derive(Debug, Clone)]
pub(crate) struct Container<'b> {
    engine: &'b Engine,
    pub(crate) id: String,
}

impl Container<'_> {
    pub(crate) fn mount(&self) -> Done<PathBuf> {
        Ok(self.engine.mount(&self.id)?)
    }

    pub(crate) fn unmount(&self) -> Done {
        Ok(self.engine.unmount(&self.id)?)
    }

    /// Unmounts and mounts again.
    pub(crate) fn remount(&self) -> Done<PathBuf> {
        self.unmount()?;
        self.mount()
    }

    /// Makes an image of it.
    pub(crate) fn commit(&self) -> Done<String> {
        Ok(self.engine.commit(&self.id, &CommitOptions::default())?)
    }

    pub(crate) fn remove(&self) -> Done {
        Ok(self.engine.remove_container(&self.id, false)?)
    }

    /// Its changes as `docker diff` prints them, sorted by path.
    pub(crate) fn diff(&self) -> Done<Vec<String>> {
        let changes = self.engine.diff(&self.id)?;
        Ok(changes.iter().map(|c| format!("{} {}", c.kind, String::from_utf8_lossy(&c.path))).collect())
    }

    /// Bytes of its writable layer, and of everything below it too.
    pub(crate) fn size(&self) -> Done<(u64, u64)> {
        let listed = self.engine.containers(true, true)?;
        let size = listed.into_iter().find(|known| known.id == self.id).and_then(|known| known.size);
        size.map(|size| (size.writable, size.virtual_size))
            .ok_or_else(|| Stop::failed("a listing tells a container's size", "it does not"))
    }
}
