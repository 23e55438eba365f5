//! Images and containers that move from one storage driver to another.
//!
//! Nothing is removed before the new copy is recorded durably, and a process that dies in between leaves what a
//! dead process leaves elsewhere: unfinished layers, which the journal undoes, and a container that is to be
//! removed, which the next command does.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use nacre_archive::layer::{BlobOptions, UnpackOptions, unpack};
use nacre_plugin::types::{LayerKind, Setting};
use nacre_store::{Container, ContainerId, Image, Layer, LayerId, NewContainer, Tx};
use nacre_sys::dir::Dir;
use nacre_sys::sync::syncfs;
use nacre_union::{FileType, Stack};

use crate::assemble::{Claim, Part, Parts};
use crate::config::ContainerConfig;
use crate::diff::placeholders;
use crate::driver::Driver;
use crate::filling::archive_format;
use crate::journal::Durability;
use crate::progress::{LayerStatus, Progress};
use crate::types::{MigrateOptions, Migrated};
use crate::{Engine, Error};

/// What is recorded of a container that is being made on the other driver: whoever finds it without its process
/// removes it.
const UNFINISHED: &str = "a copy on another driver that was not finished";

type NoRestore = fn(&Tx<'_>) -> Result<(), nacre_store::Error>;

impl Engine {
    /// Move an image, or a container that does not run, to another driver.
    pub fn migrate(
        &self,
        object: &str,
        options: &MigrateOptions,
        progress: &dyn Progress,
    ) -> Result<Migrated, Error> {
        let target = self.driver(&options.to)?;
        target.probe()?;
        match self.find_container(object) {
            Err(Error::Store(nacre_store::Error::NotFound { .. })) => {
                self.migrate_image(&self.find_image(object)?, &target, progress)
            }
            container => self.migrate_container(&container?, &target, options, progress),
        }
    }

    /// The IDs of all that can move: containers, and then images, whose layers nothing holds back any more.
    pub fn migratable(&self) -> Result<Vec<String>, Error> {
        let (containers, images) = self.store.read(|view| Ok((view.containers(true)?, view.images()?)))?;
        let containers = containers.into_iter().map(|container| container.id.as_str().to_owned());
        Ok(containers.chain(images.into_iter().map(|image| image.id.to_string())).collect())
    }

    fn migrate_image(
        &self,
        image: &Image,
        target: &Arc<Driver>,
        progress: &dyn Progress,
    ) -> Result<Migrated, Error> {
        let (_claim, copied) = self.copy_image(image, target, progress)?;
        let name = image.tags.first().map_or_else(|| image.id.short(), |tag| crate::image::familiar(tag));
        let mut migrated = Migrated { kind: "image", name, layers: copied, ..Migrated::default() };
        if !self.config.explain {
            self.drop_copies(image, target.name(), &mut migrated)?;
        }
        Ok(migrated)
    }

    /// Have all layers of an image in a driver, and hold them there. The answer says how many were made.
    fn copy_image(
        &self,
        image: &Image,
        target: &Arc<Driver>,
        progress: &dyn Progress,
    ) -> Result<(Claim<'_>, u64), Error> {
        let layers = self.store.read(|view| view.image_layers(&image.id))?;
        let chains: Vec<_> = layers.iter().map(|layer| layer.chain_id).collect();
        let claim = self.claim_chain(target.name(), &chains, |_| {})?;
        let mut below: Vec<String> = Vec::new();
        let mut parts = Vec::new();
        let mut copied = 0;
        for (layer, there) in layers.iter().zip(&claim.layers) {
            let name = layer.diff_id.to_string();
            if let Some(there) = there {
                progress.layer(&name, LayerStatus::Exists);
                below.insert(0, there.dir.as_str().to_owned());
                parts.push(Part::Exists(Box::new(there.clone())));
                continue;
            }
            copied += 1;
            let dir = LayerId::random()?;
            if self.config.explain {
                self.explain_layer(target, &dir, below.clone())?;
            } else {
                let source = self.layer_elsewhere(layer, target.name())?;
                progress.layer(&name, LayerStatus::Loading { done: 0, total: Some(source.raw_size) });
                let filling = self.begin_layer(target, dir.clone(), Some(below.clone()))?;
                let unpack = UnpackOptions::new(nacre_archive::layer::Whiteouts::Overlay);
                let blob = BlobOptions { diff_id: Some(layer.diff_id), ..BlobOptions::new(unpack) };
                let filled = self.read_layer(&source, |tar| filling.fill(tar, blob))?;
                let mut filled = filled.map_err(|source| Error::Layer { layer: name.clone(), source })?;
                filled.commit(below.clone())?;
                parts.push(Part::New(Box::new(filled)));
                progress.layer(&name, LayerStatus::Done);
            }
            below.insert(0, dir.as_str().to_owned());
        }
        if copied > 0 && !self.config.explain {
            let config = self.config_bytes(image)?;
            self.record_image(target, Parts { config, layers: parts, references: Vec::new() })?;
        }
        Ok((claim, copied))
    }

    /// A layer as another driver has it.
    fn layer_elsewhere(&self, layer: &nacre_store::ImageLayer, but: &str) -> Result<Layer, Error> {
        let found = self.store.read(|view| {
            for driver in view.drivers_in_use()?.iter().filter(|driver| *driver != but) {
                if let Some(found) = view.layer(driver, &layer.chain_id)? {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        })?;
        found.ok_or_else(|| Error::NotFound { kind: "layer", name: layer.diff_id.to_string() })
    }

    /// Remove what other drivers have of an image that `kept_in` has. What containers or other images' layers
    /// stand on stays.
    fn drop_copies(&self, image: &Image, kept_in: &str, migrated: &mut Migrated) -> Result<(), Error> {
        let (layers, mut drivers) =
            self.store.read(|view| Ok((view.image_layers(&image.id)?, view.drivers_in_use()?)))?;
        drivers.retain(|driver| driver != kept_in);
        for name in drivers {
            for layer in layers.iter().rev() {
                let Some(copy) = self.store.read(|view| view.layer(&name, &layer.chain_id))? else {
                    continue;
                };
                let driver = self.driver(&name)?;
                let _lock = self.store.lock_layer(&name, &layer.chain_id)?;
                let plan = driver.remove(copy.dir.as_str())?;
                let forget = |tx: &Tx<'_>| tx.remove_layer_copy(&name, &layer.chain_id, kept_in).map(drop);
                match self.unmake(&driver, &plan, forget, None::<NoRestore>) {
                    Err(Error::Store(nacre_store::Error::LayerMissing { .. })) => {}
                    Err(Error::Store(nacre_store::Error::LayerInUse { by, .. })) => {
                        migrated.kept.push(format!("{} in {name}, as {by} needs it", layer.diff_id.short()));
                        break;
                    }
                    other => {
                        other?;
                        migrated.removed += 1;
                    }
                }
            }
        }
        Ok(())
    }

    fn migrate_container(
        &self,
        container: &Container,
        target: &Arc<Driver>,
        options: &MigrateOptions,
        progress: &dyn Progress,
    ) -> Result<Migrated, Error> {
        let _lock = self.store.lock_container(&container.id)?;
        let container = &self.find_container(container.id.as_str())?;
        let mut migrated =
            Migrated { kind: "container", name: container.name.clone(), ..Migrated::default() };
        if container.driver == target.name() {
            return Ok(migrated);
        }
        self.refuse_busy(container)?;
        let image = match &container.image {
            Some(id) => self.store.read(|view| view.image(id))?,
            None => None,
        };
        let held = image.map(|image| self.copy_image(&image, target, progress)).transpose()?;
        migrated.layers = held.as_ref().map_or(0, |(_, copied)| *copied);
        let config = self.config_for(container, target, options)?;
        let source = self.driver(&container.driver)?;
        if self.config.explain {
            // The layers below are not there: what is planned on them is told of them alone.
            self.note_explained(&source, &source.remove(container.dir.as_str())?);
            return Ok(migrated);
        }
        let new = NewContainer {
            id: ContainerId::random()?,
            name: Some(format!("{}.moving-{}", container.name, LayerId::random()?.short())),
            image: container.image,
            image_ref: container.image_ref.clone(),
            driver: target.name().to_owned(),
            dir: LayerId::random()?,
            parent: container.parent,
            config: serde_json::to_value(&config).map_err(nacre_store::Error::from)?,
            created: Timestamp::now(),
        };
        // Nobody takes it for one that nobody finishes.
        let _copy_lock = self.store.lock_container(&new.id)?;
        let copy = self.make_copy(target, &new, &config.settings)?;
        let moved = self
            .fill_copy(container, &copy)
            .and_then(|()| self.verify_copy(container, &copy))
            .and_then(|()| self.take_over(container, &copy, &source, target, &new.config));
        if moved.is_err()
            && let Err(error) = self.drop_all_holders(&copy).and_then(|()| self.remove_found(&copy))
        {
            tracing::warn!(%error, "an unfinished copy stays; the next command removes it");
        }
        moved.map(|()| migrated)
    }

    fn refuse_busy(&self, container: &Container) -> Result<(), Error> {
        if matches!(self.process_state(container)?, nacre_runtime::State::Running(_)) {
            return Err(nacre_store::Error::Running { container: container.id.clone() }.into());
        }
        if self.store.read(|view| view.mount(&container.dir))?.is_some() {
            return Err(Error::Conflict {
                what: format!("{} is mounted", container.name),
                help: format!("`nacre umount {}` first", container.name),
            });
        }
        Ok(())
    }

    /// What is kept of a container, with those of its own options that the other driver has.
    fn config_for(
        &self,
        container: &Container,
        target: &Driver,
        options: &MigrateOptions,
    ) -> Result<ContainerConfig, Error> {
        let mut config = ContainerConfig::of(container)?;
        let known = &target.component().description().options;
        let is_known = |setting: &Setting| known.iter().any(|option| option.name == setting.name);
        if let Some(lost) = config.settings.iter().find(|setting| !is_known(setting))
            && !options.drop_options
        {
            return Err(Error::Usage {
                what: format!(
                    "{} has the option {}={}, which {} does not know",
                    container.name,
                    lost.name,
                    lost.value,
                    target.name()
                ),
                help: Some("with --drop-options it moves without it".to_owned()),
            });
        }
        config.settings.retain(is_known);
        let given: Vec<String> = config.settings.iter().map(|s| format!("{}={}", s.name, s.value)).collect();
        config.settings = self.own_settings(target, &given)?;
        Ok(config)
    }

    /// A container without changes on the other driver, which is removed unless it is finished.
    fn make_copy(&self, target: &Driver, new: &NewContainer, own: &[Setting]) -> Result<Container, Error> {
        let parents = match &new.parent {
            Some(parent) => self.parents(target.name(), parent)?,
            None => Vec::new(),
        };
        let layer = target.create(new.dir.as_str(), LayerKind::Container, Some(parents), own)?;
        let made = self.make(target, &layer.plan, Durability::Process, |tx| {
            let copy = tx.add_container(new)?;
            tx.container_dead(&copy.id, UNFINISHED)?;
            Ok(copy)
        })?;
        made.ok_or_else(|| Error::usage("nothing was made"))
    }

    fn fill_copy(&self, container: &Container, copy: &Container) -> Result<(), Error> {
        let opened = self.open_container(copy)?;
        let (content, format) = &*opened;
        let whiteouts = archive_format(*format);
        self.pack_into(container, &[], |tar| {
            let options = UnpackOptions { framing: false, ..UnpackOptions::new(whiteouts) };
            unpack(tar, content, &options)
        })?;
        let original = self.open_container(container)?;
        copy_root(&original.0, content)
            .map_err(|e| Error::io("copy the attributes of", original.0.path(), e))?;
        syncfs(content)?;
        Ok(())
    }

    /// The whole tree of the copy is that of the container: types, modes, owners, times, attributes and links,
    /// and the bytes of every file that the container changed. The image's layers were verified by their digests.
    fn verify_copy(&self, container: &Container, copy: &Container) -> Result<(), Error> {
        let (old, _) = self.stack_of(container.id.as_str())?;
        let (new, _) = self.stack_of(copy.id.as_str())?;
        let (old, new): (&Stack, &Stack) = (&old, &new);
        let differs = |path: &Path| Error::Unsupported {
            what: format!(
                "{} cannot be moved: {} is another one in the copy",
                container.name,
                path.display()
            ),
        };
        // The other way round: what a runtime made to mount something on may be missing in the copy.
        let made: Vec<&str> = placeholders().collect();
        for change in nacre_union::compare(new, old, &made)? {
            if !is_socket(old, &change.path)? && !leads_to_socket(old, &change)? {
                return Err(differs(&change.path));
            }
        }
        for change in self.changes(container)? {
            if !same_bytes(old, new, &change.path)? {
                return Err(differs(&change.path));
            }
        }
        Ok(())
    }

    /// The container is its copy from now on, and its old layer goes.
    fn take_over(
        &self,
        container: &Container,
        copy: &Container,
        source: &Driver,
        target: &Driver,
        config: &serde_json::Value,
    ) -> Result<(), Error> {
        syncfs(target.roots().home())?;
        let _mount = self.store.lock_mount(&container.dir)?;
        let plan = source.remove(container.dir.as_str())?;
        let take_over = |tx: &Tx<'_>| {
            tx.remove_container(&copy.id)?;
            tx.move_container(&container.id, target.name(), &copy.dir, config)
        };
        let outcome = self.unmake(source, &plan, take_over, None::<NoRestore>);
        let moved = self.find_container(container.id.as_str())?.dir == copy.dir;
        match outcome {
            Err(error) if moved => {
                tracing::warn!(%error, "the old copy could not be removed; the next command tries again");
                Ok(())
            }
            outcome => outcome,
        }
    }
}

/// The root of a tree is no entry of its tar.
fn copy_root(from: &Dir, to: &Dir) -> Result<(), rustix::io::Errno> {
    let stat = rustix::fs::fstat(from)?;
    let time = |tv_sec, tv_nsec| rustix::fs::Timespec { tv_sec, tv_nsec };
    let (uid, gid) = (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid));
    rustix::fs::fchown(to, Some(uid), Some(gid))?;
    rustix::fs::fchmod(to, rustix::fs::Mode::from_raw_mode(stat.st_mode))?;
    let times = rustix::fs::Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec as _),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec as _),
    };
    rustix::fs::futimens(to, &times)
}

/// A socket of a container that does not run is heard by nobody, and a tar has no type for it: it is left behind.
fn is_socket(stack: &Stack, path: &Path) -> Result<bool, Error> {
    Ok(stack.lookup(path)?.is_some_and(|node| node.metadata.kind == FileType::Socket))
}

/// A directory that lost a socket has another time, and nothing else.
fn leads_to_socket(stack: &Stack, change: &nacre_union::Change) -> Result<bool, Error> {
    if !change.is_dir {
        return Ok(false);
    }
    for entry in stack.read_dir(&change.path)? {
        let path = change.path.join(&entry.name);
        if is_socket(stack, &path)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether two trees have the same bytes under a name, where both have a regular file.
fn same_bytes(old: &Stack, new: &Stack, path: &Path) -> Result<bool, Error> {
    let file = |stack: &Stack| -> Result<Option<File>, Error> {
        let node = stack.lookup(path)?.filter(|node| node.metadata.kind == FileType::RegularFile);
        Ok(node.map(|node| node.open()).transpose()?.map(File::from))
    };
    let (Some(mut one), Some(mut other)) = (file(old)?, file(new)?) else { return Ok(true) };
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        for (file, buffer) in [(&mut one, &mut left), (&mut other, &mut right)] {
            buffer.clear();
            file.by_ref().take(256 << 10).read_to_end(buffer).map_err(|e| Error::io("read", path, e))?;
        }
        if left != right || left.is_empty() {
            return Ok(left == right);
        }
    }
}
