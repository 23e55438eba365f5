//! Images and containers that move from one storage driver to another.
//!
//! Nothing is removed before the new copy is recorded durably, and a process that dies in between leaves what a
//! dead process leaves elsewhere: unfinished layers, which the journal undoes, and a container that is to be
//! removed, which the next command does.

use std::sync::Arc;

use jiff::Timestamp;
use nacre_archive::digest::{ChainId, DiffId};
use nacre_archive::layer::{UnpackOptions, unpack};
use nacre_plugin::types::{LayerKind, Setting};
use nacre_store::{Container, ContainerId, Image, Layer, LayerId, NewContainer, Tx};
use nacre_sys::sync::syncfs;
use serde_json::json;

use crate::assemble::{Claim, Parts};
use crate::components::is_file;
use crate::compose::Gathered;
use crate::config::ContainerConfig;
use crate::driver::Driver;
use crate::filling::{archive_format, is_overlays};
use crate::journal::Durability;
use crate::progress::Progress;
use crate::types::{MigrateOptions, Migrated};
use crate::{Engine, Error, event};

/// What is recorded of a container that is being made on the other driver: whoever finds it without its process
/// removes it.
const UNFINISHED: &str = "a copy on another driver that was not finished";

/// The layers of an image in a driver.
struct Copied<'e> {
    /// It holds them there.
    claim: Claim<'e>,
    /// Those that were made, the base first.
    made: Vec<ChainId>,
    /// Their folders, the newest first.
    dirs: Vec<String>,
}

type NoRestore = fn(&Tx<'_>) -> Result<(), nacre_store::Error>;

impl Engine {
    /// Move an image, or a container that does not run, to another driver.
    pub fn migrate(
        &self,
        object: &str,
        options: &MigrateOptions,
        progress: &dyn Progress,
    ) -> Result<Migrated, Error> {
        self.observed(
            [&event::DRIVER_MIGRATE, &event::DRIVER_MIGRATED],
            || json!({ "object": object, "to": options.to }),
            || self.migrate_unheard(object, options, progress),
            event::nothing_more,
        )
    }

    fn migrate_unheard(
        &self,
        object: &str,
        options: &MigrateOptions,
        progress: &dyn Progress,
    ) -> Result<Migrated, Error> {
        let target = self.migration_target(&options.to)?;
        match self.find_container(object) {
            Err(Error::Store(nacre_store::Error::NotFound { .. })) => match self.find_image(object) {
                Err(Error::Store(nacre_store::Error::NotFound { .. })) => {
                    Err(Error::NotFound { kind: "container or image", name: object.to_owned() })
                }
                image => self.migrate_image(&image?, &target, progress),
            },
            container => self.migrate_container(&container?, &target, options, progress),
        }
    }

    /// What moves must be found by the commands that follow.
    fn migration_target(&self, name: &str) -> Result<Arc<Driver>, Error> {
        if is_file(name) {
            return Err(Error::Usage {
                what: format!("{name} is a file, and what moves needs a driver that stays"),
                help: Some("`nacre driver install FILE` installs it; --to takes its name".to_owned()),
            });
        }
        let target = self.driver(name)?;
        target.probe()?;
        Ok(target)
    }

    /// The IDs of all that can move to a driver: containers, and then images, whose layers nothing holds back any
    /// more.
    ///
    /// # Errors
    /// There is no such driver, or it cannot work here.
    pub fn migratable(&self, to: &str) -> Result<Vec<String>, Error> {
        self.migration_target(to)?;
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
        let copied = self.copy_image(image, target, progress)?;
        let name = image.tags.first().map_or_else(|| image.id.short(), |tag| crate::image::familiar(tag));
        let mut migrated = Migrated { kind: "image", name, layers: copied.made.len(), ..Migrated::default() };
        if !self.config.explain {
            self.drop_copies(image, target.name(), &mut migrated)?;
        }
        migrated.moved = migrated.layers > 0 || migrated.removed > 0;
        Ok(migrated)
    }

    /// Have all layers of an image in a driver, and hold them there.
    fn copy_image(
        &self,
        image: &Image,
        target: &Arc<Driver>,
        progress: &dyn Progress,
    ) -> Result<Copied<'_>, Error> {
        let layers = self.store.read(|view| view.image_layers(&image.id))?;
        let diffs: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
        let elsewhere = |chain: &ChainId, diff: &DiffId| self.layer_elsewhere(chain, diff, target.name());
        let Gathered { claim, parts, made, dirs } = self.gather(target, &diffs, elsewhere, progress)?;
        if !made.is_empty() && !self.config.explain {
            let config = self.config_bytes(image)?;
            self.record_image(target, Parts { config, layers: parts, references: Vec::new() })?;
        }
        Ok(Copied { claim, made, dirs })
    }

    /// A layer as another driver has it.
    fn layer_elsewhere(&self, chain: &ChainId, diff: &DiffId, but: &str) -> Result<Layer, Error> {
        let found = self.store.read(|view| {
            for driver in view.drivers_in_use()?.iter().filter(|driver| *driver != but) {
                // A driver whose component is missing blocks its own layers only.
                if self.driver(driver).is_ok()
                    && let Some(found) = view.layer(driver, chain)?
                {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        })?;
        found.ok_or_else(|| Error::NotFound { kind: "layer", name: diff.to_string() })
    }

    /// Remove what other drivers have of an image that `kept_in` has. What containers or other images' layers
    /// stand on stays.
    fn drop_copies(&self, image: &Image, kept_in: &str, migrated: &mut Migrated) -> Result<(), Error> {
        let (layers, mut drivers) =
            self.store.read(|view| Ok((view.image_layers(&image.id)?, view.drivers_in_use()?)))?;
        drivers.retain(|driver| driver != kept_in);
        for name in drivers {
            for layer in layers.iter().rev() {
                match self.drop_copy(&name, &layer.chain_id, kept_in) {
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

    fn drop_copy(&self, driver: &str, chain: &ChainId, kept_in: &str) -> Result<(), Error> {
        let missing = || nacre_store::Error::LayerMissing { driver: driver.to_owned(), layer: *chain };
        let copy = self.store.read(|view| view.layer(driver, chain))?.ok_or_else(missing)?;
        let driver = self.driver(driver)?;
        let _lock = self.store.lock_layer(driver.name(), chain)?;
        let plan = driver.remove(copy.dir.as_str())?;
        let forget = |tx: &Tx<'_>| tx.remove_layer_copy(driver.name(), chain, kept_in).map(drop);
        self.unmake(&driver, &plan, forget, None::<NoRestore>)
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
        let config = self.config_for(container, target, options)?;
        let image = match &container.image {
            Some(id) => self.store.read(|view| view.image(id))?,
            None => None,
        };
        let copied = image.map(|image| self.copy_image(&image, target, progress)).transpose()?;
        let (claim, made, dirs) =
            copied.map_or_else(Default::default, |it| (Some(it.claim), it.made, it.dirs));
        migrated.layers = made.len();
        migrated.moved = true;
        let source = self.driver(&container.driver)?;
        if self.config.explain {
            let copy = LayerId::random()?;
            let copy = target.create(copy.as_str(), LayerKind::Container, Some(dirs), &config.settings)?;
            self.note_explained(target, &copy.plan);
            self.note_explained(&source, &source.remove(container.dir.as_str())?);
            return Ok(migrated);
        }
        let moved = self.move_container(container, &source, target, &config);
        drop(claim);
        if let Err(error) = moved {
            // What is in no other driver is nobody's but this migration's.
            for chain in made.iter().rev() {
                if let Err(error) = self.drop_copy(target.name(), chain, source.name()) {
                    tracing::debug!(%chain, %error, "a layer stays where the container did not come");
                }
            }
            return Err(error);
        }
        if !made.is_empty() {
            let driver = source.name();
            migrated
                .kept
                .push(format!("the image in {driver}; name the driver of new layers, or move it too"));
        }
        Ok(migrated)
    }

    /// Copy, compare, and let the copy take the container's place.
    fn move_container(
        &self,
        container: &Container,
        source: &Driver,
        target: &Driver,
        config: &ContainerConfig,
    ) -> Result<(), Error> {
        let new = NewContainer {
            id: ContainerId::random()?,
            // The container's own may be as long as a name can be.
            name: Some(format!("moving-{}", LayerId::random()?.short())),
            image: container.image,
            image_ref: container.image_ref.clone(),
            driver: target.name().to_owned(),
            dir: LayerId::random()?,
            parent: container.parent,
            config: serde_json::to_value(config).map_err(nacre_store::Error::from)?,
            created: Timestamp::now(),
        };
        // Nobody takes it for one that nobody finishes.
        let _copy_lock = self.store.lock_container(&new.id)?;
        let copy = self.make_copy(target, &new, &config.settings)?;
        let moved = self
            .fill_copy(container, &copy)
            .and_then(|()| self.verify_copy(container, &copy))
            .and_then(|()| self.take_over(container, &copy, source, target, &new.config));
        if moved.is_err()
            && let Err(error) = self.drop_all_holders(&copy).and_then(|()| self.remove_found(&copy))
        {
            tracing::warn!(%error, "an unfinished copy stays; the next command removes it");
        }
        moved
    }

    fn refuse_busy(&self, container: &Container) -> Result<(), Error> {
        if matches!(self.process_state(container)?, nacre_runtime::State::Running(_)) {
            return Err(Error::Conflict {
                what: format!("{} is running", container.name),
                help: format!("`nacre stop {}` first", container.name),
            });
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
        if options.drop_options {
            // It may know an option that it cannot keep here, such as a size without quotas.
            let dir = LayerId::random()?;
            let kept = |own: &Setting| {
                let own = std::slice::from_ref(own);
                target.create(dir.as_str(), LayerKind::Container, Some(Vec::new()), own).is_ok()
            };
            config.settings.retain(kept);
        }
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
            let options = UnpackOptions { framing: false, holes: true, ..UnpackOptions::new(whiteouts) };
            unpack(tar, content, &options)
        })?;
        // The root of a tree is no entry of its tar.
        content.dress_as(&self.open_container(container)?.0, is_overlays)?;
        syncfs(content)?;
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
