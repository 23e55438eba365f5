//! Whether what is on disk is what the records say: `system check`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nacre_plugin::description::Role;
use nacre_plugin::storage::Difference;
use nacre_plugin::types::{Place, Root};
use nacre_store::{Depth, LayerId, Mount};
use nacre_sys::mount::below;

use crate::driver::Driver;
use crate::mount::is_mounted;
use crate::plan::run::{delete_volume, volumes};
use crate::types::Finding;
use crate::{Engine, Error};

impl Engine {
    /// List everything that is not as it must be: in the records, in the drivers' folders, among the mounts.
    /// With `repair`, what can be mended without losing anything is mended.
    pub fn check(&self, repair: bool) -> Result<Vec<Finding>, Error> {
        let mut findings = Vec::new();
        if repair {
            self.refuse_to_explain("a repair")?;
            self.make_room();
            let swept = self.store.sweep_content()?;
            findings.extend(swept.into_iter().map(|(digest, size)| Finding {
                kind: "unneeded-content".to_owned(),
                message: format!("content {digest} of {size} bytes was needed by nothing"),
                repaired: true,
            }));
            self.store.sweep_run()?;
        }
        findings.extend(self.store.check(Depth::Bytes)?.into_iter().map(|finding| Finding {
            kind: kind_of(&finding),
            message: finding.to_string(),
            repaired: false,
        }));
        findings.extend(self.forgotten_processes(repair)?.into_iter().map(|id| Finding {
            repaired: repair,
            ..finding("orphan", format!("what is kept of the container {id} belongs to no container"))
        }));
        for name in self.drivers_with_homes()? {
            let checked =
                self.driver(&name).and_then(|driver| self.check_driver(&driver, repair, &mut findings));
            match checked {
                Err(error) if error.is_of_driver() => {
                    findings.push(finding(
                        "absent-driver",
                        format!("layers of {name} cannot be looked at: {error}"),
                    ));
                }
                checked => checked?,
            }
        }
        Ok(findings)
    }

    /// The drivers that may have something on the root: those that ship with nacre, those that were installed, the one
    /// that was asked for, and those of the records.
    pub(crate) fn drivers_with_homes(&self) -> Result<BTreeSet<String>, Error> {
        let (layers, containers, installed) =
            self.store.read(|view| Ok((view.layers(None)?, view.containers(true)?, view.components()?)))?;
        let recorded = layers.into_iter().map(|layer| layer.driver);
        let recorded = recorded.chain(containers.into_iter().map(|container| container.driver));
        let mut names: BTreeSet<String> = recorded.collect();
        let shipped = nacre_drivers::BUILTIN.iter().map(|shipped| shipped.name.to_owned());
        let asked_for = self.config.driver.as_ref().map(|_| self.current_driver()).transpose()?;
        let asked_for = asked_for.iter().map(|driver| driver.name().to_owned());
        let role = Role::StorageDriver.to_string();
        let installed = installed.into_iter().filter(|one| one.roles.contains(&role)).map(|one| one.name);
        names
            .extend(shipped.chain(asked_for).chain(installed).filter(|name| self.root().join(name).is_dir()));
        Ok(names)
    }

    fn check_driver(&self, driver: &Driver, repair: bool, findings: &mut Vec<Finding>) -> Result<(), Error> {
        // What is there is listed before the records are read: what is made in between has no place in the list,
        // and what was made before has one in the records or in the journal.
        let entries = entries(driver)?;
        let volumes = if driver.keeps_volumes() { volumes(driver.roots())? } else { Vec::new() };
        let real: BTreeSet<PathBuf> =
            below(driver.roots().home().path())?.into_iter().map(|mount| mount.mount_point).collect();
        let (layers, containers, mounts, journal) = self.store.read(|view| {
            Ok((view.layers(Some(driver.name()))?, view.containers(true)?, view.mounts()?, view.journal()?))
        })?;
        let containers = containers.iter().filter(|container| container.driver == driver.name());
        let recorded: Vec<String> = layers
            .iter()
            .map(|layer| layer.dir.as_str().to_owned())
            .chain(containers.map(|container| container.dir.as_str().to_owned()))
            .collect();
        // What is being made or removed right now is in the journal.
        let changing: Vec<String> = journal.into_iter().map(|entry| entry.new.subject).collect();
        let mut owned = BTreeSet::new();
        for layer in recorded.iter().chain(&changing) {
            owned.extend(driver.footprint(layer)?.into_iter().map(key));
        }
        let orphans: Vec<Place> =
            entries.into_iter().filter(|place| !owned.contains(&key(place.clone()))).collect();
        // What bears the name of a layer that is recorded is that layer's, whatever the component says: one that does
        // not know its layers' folders has no say in what belongs to none.
        let names_recorded =
            |place: &&Place| place.path.split('/').any(|name| recorded.iter().any(|l| l == name));
        let disowned: Vec<&Place> = orphans.iter().filter(names_recorded).collect();
        findings.extend(disowned.iter().map(|place| {
            let path = driver.roots().absolute(place);
            finding(
                "disowned-layer",
                format!("{} is a layer's, and the component of {} disowns it", path.display(), driver.name()),
            )
        }));
        if !disowned.is_empty() {
            return Ok(());
        }
        for layer in &recorded {
            // One that is read while it is mounted has no place before.
            if matches!(driver.diff(layer)?, Difference::Mounted) {
                continue;
            }
            let usage = driver.usage(layer)?;
            if !driver.roots().dir(usage.root).exists(&usage.path)? && self.is_recorded(driver, layer)? {
                findings.push(finding(
                    "lost-layer",
                    format!("layer folder {usage} of {} is gone", driver.name()),
                ));
            }
        }
        for orphan in &orphans {
            let dir = driver.roots().dir(orphan.root);
            if !dir.exists(&orphan.path)? {
                continue;
            }
            if repair {
                dir.remove_tree(&orphan.path)?;
            }
            let path = driver.roots().absolute(orphan);
            findings.push(Finding {
                repaired: repair,
                ..finding("orphan", format!("{} belongs to no layer", path.display()))
            });
        }
        for volume in volumes.into_iter().filter(|v| !recorded.contains(v) && !changing.contains(v)) {
            if repair {
                delete_volume(driver.roots(), &volume)?;
            }
            let what = format!("the volume {volume} of {} belongs to no layer", driver.name());
            findings.push(Finding { repaired: repair, ..finding("orphan", what) });
        }
        let recorded: BTreeSet<&PathBuf> = mounts.iter().map(|mount| &mount.target).collect();
        for target in real.iter().filter(|target| !recorded.contains(target)) {
            let holds_recorded = recorded.iter().any(|mount| mount.starts_with(target));
            if !holds_recorded && self.is_stray(target)? {
                findings.push(finding("stray-mount", format!("{} is mounted for nobody", target.display())));
            }
        }
        for mount in mounts.iter().filter(|m| m.driver == driver.name() && !real.contains(&m.target)) {
            findings.extend(self.check_lost(driver, mount, repair)?);
        }
        Ok(())
    }

    /// Whether a mount in a driver's home is in no record. Sure only while nobody mounts or unmounts its layer.
    fn is_stray(&self, target: &Path) -> Result<bool, Error> {
        let layer = target.iter().filter_map(|name| name.to_str()?.parse::<LayerId>().ok()).next();
        let Some(layer) = layer else { return is_mounted(target) };
        let _lock = self.store.lock_mount(&layer)?;
        let known = self.store.read(|view| {
            let changing = view.journal()?.iter().any(|entry| entry.new.subject == layer.as_str());
            Ok(changing || view.mount(&layer)?.is_some())
        })?;
        Ok(!known && is_mounted(target)?)
    }

    /// A recorded mount that is not there: it was ended behind nacre's back. Where nobody needs it any more, a
    /// repair forgets it, and takes away what was made for it.
    fn check_lost(&self, driver: &Driver, mount: &Mount, repair: bool) -> Result<Option<Finding>, Error> {
        let _lock = self.store.lock_mount(&mount.dir)?;
        let Some(mount) = self.store.read(|view| view.mount(&mount.dir))? else { return Ok(None) };
        if is_mounted(&mount.target)? {
            return Ok(None);
        }
        let repaired = repair && !self.is_mount_needed(&mount.dir)?;
        if repaired {
            self.clear_lost_mount(driver, &mount.dir)?;
        }
        let message = format!("{} is not mounted", mount.target.display());
        Ok(Some(Finding { repaired, ..finding("lost-mount", message) }))
    }

    /// Whether a layer is still in the records: it may have been removed meanwhile.
    fn is_recorded(&self, driver: &Driver, layer: &str) -> Result<bool, Error> {
        Ok(self.store.read(|view| {
            let layers = view.layers(Some(driver.name()))?;
            let containers = view.containers(true)?;
            let dirs = layers.iter().map(|layer| &layer.dir).chain(containers.iter().map(|c| &c.dir));
            Ok(dirs.into_iter().any(|dir| dir.as_str() == layer))
        })?)
    }
}

/// Entries of a driver's home, and of the folders in it that layers share.
fn entries(driver: &Driver) -> Result<Vec<Place>, Error> {
    let shared = &driver.layout().shared;
    let mut places = Vec::new();
    for folder in std::iter::once("").chain(shared.iter().map(String::as_str)) {
        let dir = match driver.roots().home().sub(folder) {
            Err(e) if e.is_not_found() => continue,
            dir => dir?,
        };
        for entry in dir.entries()? {
            let name = entry.name.to_string_lossy();
            let path = if folder.is_empty() { name.into_owned() } else { format!("{folder}/{name}") };
            if !shared.contains(&path) && !driver.keeps(&path)? && !is_being_written(&entry.name) {
                places.push(Place { root: Root::Home, path });
            }
        }
    }
    Ok(places)
}

/// A file that takes another one's place in a moment (`write-file`).
fn is_being_written(name: &std::ffi::OsStr) -> bool {
    let writer = nacre_sys::dir::writer_of(name);
    writer.is_some_and(|pid| !matches!(nacre_sys::proc::start_time(pid), Ok(None)))
}

fn key(place: Place) -> (u8, String) {
    (place.root as u8, place.path)
}

fn finding(kind: &str, message: String) -> Finding {
    Finding { kind: kind.to_owned(), message, repaired: false }
}

/// The name of a finding's case, in the form `image-config-missing`.
fn kind_of(finding: &nacre_store::Finding) -> String {
    let debug = format!("{finding:?}");
    let name: String = debug.chars().take_while(|c| c.is_alphanumeric()).collect();
    name.chars().enumerate().fold(String::new(), |mut word, (i, c)| {
        if c.is_uppercase() && i > 0 {
            word.push('-');
        }
        word.push(c.to_ascii_lowercase());
        word
    })
}
