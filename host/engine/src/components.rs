//! The components of a storage root: built in, installed, or named by their file.
//!
//! One that was installed is a file in `<root>/components`, named by its digest, and a record that pins it to that
//! digest and says what it may do. It goes before the one of its name that is built in.

use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nacre_archive::digest::Digest;
use nacre_drivers::Builtin;
use nacre_plugin::description::{Description, Grant, Role};
use nacre_plugin::{Component, Report};
use nacre_store::{Decision, Installed, LayerId, Tx};
use nacre_sys::dir::Dir;
use nacre_sys::sync::fsync;
use serde_json::json;

use crate::inventory::{lost_summary, summary};
use crate::types::{DriverSummary, Installation};
use crate::{Engine, Error, event};

/// The folder of installed and of compiled components.
pub(crate) const COMPONENTS: &str = "components";

/// A component that was found and loaded, and what it may do.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub component: Component,
    pub grants: Vec<Grant>,
    pub origin: Origin,
}

/// Where a component comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    BuiltIn,
    Installed,
    File,
}

impl Origin {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BuiltIn => "built in",
            Self::Installed => "installed",
            Self::File => "file",
        }
    }
}

/// Whether a driver is named by the file of its component.
pub(crate) fn is_file(driver: &str) -> bool {
    driver.contains('/') || driver.ends_with(".wasm")
}

/// The component that ships with nacre under a name.
pub(crate) fn built_in(name: &str) -> Option<&'static Builtin> {
    nacre_drivers::find(name)
}

/// The bytes of a component's file; of one that is larger than any may be, as many as it takes to be refused.
fn read_component(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut wasm = Vec::new();
    let most = nacre_plugin::Limits::default().component_size as u64 + 1;
    std::fs::File::open(path)?.take(most).read_to_end(&mut wasm)?;
    Ok(wasm)
}

impl Engine {
    /// The component of this name: the one that was installed, or the one that is built in.
    pub(crate) fn component(&self, name: &str) -> Result<Found, Error> {
        if let Some(installed) = self.store.read(|view| view.component(name))? {
            return self.installed_component(&installed);
        }
        match built_in(name) {
            Some(builtin) => self.built_in_component(builtin),
            None => Err(Error::DriverAbsent { driver: name.to_owned() }),
        }
    }

    /// The component in a file. To name the file for a command grants all that the component asks for.
    pub(crate) fn component_of_file(&self, path: &Path) -> Result<Found, Error> {
        let wasm = read_component(path).map_err(|e| Error::io("read", path, e))?;
        let component = self.host()?.load(&path.display().to_string(), &wasm)?;
        let grants = component.description().grants.clone();
        Ok(Found { component, grants, origin: Origin::File })
    }

    pub(crate) fn built_in_component(&self, builtin: &Builtin) -> Result<Found, Error> {
        let component = self.host()?.load(Origin::BuiltIn.name(), builtin.wasm)?;
        let grants = component.description().grants.clone();
        Ok(Found { component, grants, origin: Origin::BuiltIn })
    }

    /// A component that was installed. Its file must be what it was then.
    pub(crate) fn installed_component(&self, installed: &Installed) -> Result<Found, Error> {
        let path = self.root().join(COMPONENTS).join(file_name(&installed.digest));
        let lost = |reason: String| Error::ComponentLost {
            driver: installed.name.clone(),
            path: path.clone(),
            reason,
        };
        let wasm = read_component(&path).map_err(|error| lost(error.to_string()))?;
        let found = Digest::of(&wasm);
        if found != installed.digest {
            return Err(lost(format!("its digest is {found}, and {} was installed", installed.digest)));
        }
        let component = self.host()?.load(&path.display().to_string(), &wasm);
        let component = component.map_err(|error| lost(error.to_string()))?;
        if component.description().name != installed.name {
            return Err(lost(format!("it calls itself {}", component.description().name)));
        }
        let grants = installed.grants.iter().filter_map(|name| Grant::named(name)).collect();
        Ok(Found { component, grants, origin: Origin::Installed })
    }

    /// Look at a component in a file without trusting it.
    pub fn check_component(&self, path: &Path) -> Result<Report, Error> {
        let wasm = read_component(path).map_err(|e| Error::io("read", path, e))?;
        Ok(self.host()?.check(&path.display().to_string(), &wasm))
    }

    /// What it would mean to install a component. Nothing is changed.
    pub fn consider(&self, path: &Path) -> Result<Installation, Error> {
        let wasm = read_component(path).map_err(|e| Error::io("read", path, e))?;
        let component = self.host()?.load(&path.display().to_string(), &wasm)?;
        let description = component.description();
        let asks = |grant: &Grant| (grant.name().to_owned(), grant.meaning().to_owned());
        Ok(Installation {
            summary: summary(&component, &[], Origin::Installed, false),
            asks: description.grants.iter().map(asks).collect(),
            replaces: self.replaced_by(description)?,
            path: path.to_owned(),
            wasm,
        })
    }

    /// What is used under the name of a component until it is installed.
    fn replaced_by(&self, description: &Description) -> Result<Option<DriverSummary>, Error> {
        let name = &description.name;
        match self.component(name) {
            Ok(found) => Ok(Some(summary(&found.component, &found.grants, found.origin, false))),
            Err(Error::DriverAbsent { .. }) => Ok(None),
            Err(Error::ComponentLost { .. }) => {
                Ok(self.store.read(|view| view.component(name))?.map(lost_summary))
            }
            Err(error) => Err(error),
        }
    }

    /// Install a component with these grants, which may be fewer than it asks for. With `replace` it takes the
    /// place of another one of its name.
    pub fn install(
        &self,
        new: &Installation,
        grants: &[String],
        replace: bool,
    ) -> Result<DriverSummary, Error> {
        self.refuse_to_explain("an installation")?;
        let it = &new.summary;
        self.observed(
            [&event::DRIVER_INSTALL, &event::DRIVER_INSTALLED],
            || json!({ "name": it.name, "version": it.version, "digest": it.digest, "grants": grants }),
            || self.install_unheard(new, grants, replace),
            event::nothing_more,
        )
    }

    fn install_unheard(
        &self,
        new: &Installation,
        grants: &[String],
        replace: bool,
    ) -> Result<DriverSummary, Error> {
        let component = self.host()?.load(&new.path.display().to_string(), &new.wasm)?;
        let description = component.description().clone();
        if let Some(other) = grants.iter().find(|grant| !new.asks.iter().any(|(asked, _)| asked == *grant)) {
            let asked: Vec<&str> = new.asks.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Error::Usage {
                what: format!("{} does not ask for `{other}`", description.name),
                help: Some(format!(
                    "it asks for {}",
                    if asked.is_empty() { "nothing".into() } else { asked.join(", ") }
                )),
            });
        }
        let granted: Vec<Grant> = grants.iter().filter_map(|name| Grant::named(name)).collect();
        // What was shown may be another one by now.
        let _alone = self.store.lock_components()?;
        let replaces = self.replaced_by(&description)?;
        let other = replaces.as_ref().filter(|old| old.digest != component.digest().to_string());
        if let Some(old) = other.filter(|_| !replace) {
            return Err(Error::Conflict {
                what: format!("{} {} is {} already ({})", old.name, old.version, old.origin, old.digest),
                help: "with --replace the new one takes its place; what layers it has stay".to_owned(),
            });
        }
        self.refuse_second_policy(&description)?;
        let mut judged = Vec::new();
        if description.roles.contains(&Role::StorageDriver) {
            let found =
                Found { component: component.clone(), grants: granted.clone(), origin: Origin::Installed };
            judged = self.refuse_other_unmounts(&description.name, found)?;
        }
        let digest = Digest::of(&new.wasm);
        self.keep_file(&digest, &new.wasm)?;
        let record = Installed {
            name: description.name.clone(),
            version: description.version.clone(),
            digest,
            roles: description.roles.iter().map(ToString::to_string).collect(),
            grants: granted.iter().map(|grant| grant.name().to_owned()).collect(),
            size: new.wasm.len() as u64,
            installed: Timestamp::now(),
        };
        self.store.durable(|tx| {
            refuse_new_mounts(tx, &record.name, &judged)?;
            tx.put_component(&record)
        })?;
        self.forget_driver(&description.name);
        self.sweep_components()?;
        Ok(summary(&component, &granted, Origin::Installed, false))
    }

    /// Remove a component that was installed. One whose name is built in gives way to that. Otherwise it must hold
    /// nothing, or with `force` what it holds stays and cannot be reached.
    pub fn uninstall(&self, name: &str, force: bool) -> Result<(), Error> {
        self.refuse_to_explain("the removal of a component")?;
        self.observed(
            [&event::DRIVER_REMOVE, &event::DRIVER_REMOVED],
            || json!({ "name": name }),
            || self.uninstall_unheard(name, force),
            event::nothing_more,
        )
    }

    fn uninstall_unheard(&self, name: &str, force: bool) -> Result<(), Error> {
        let _alone = self.store.lock_components()?;
        if self.store.read(|view| view.component(name))?.is_none() {
            return Err(match built_in(name) {
                Some(_) => Error::Conflict {
                    what: format!("{name} is built in, and cannot be removed"),
                    help: "another one can be installed in its place".to_owned(),
                },
                None => Error::DriverAbsent { driver: name.to_owned() },
            });
        }
        let mut judged = None;
        match built_in(name) {
            Some(builtin) if nacre_drivers::BUILTIN.iter().any(|driver| driver.name == name) => {
                judged = Some(self.refuse_other_unmounts(name, self.built_in_component(builtin)?)?);
            }
            // A policy has no mounts.
            Some(_) => {}
            None => self.refuse_to_orphan(name, force)?,
        }
        self.store.durable(|tx| {
            judged.iter().try_for_each(|judged| refuse_new_mounts(tx, name, judged))?;
            if built_in(name).is_none() && tx.decision(Decision::Named)?.as_deref() == Some(name) {
                tx.decide(Decision::Named, None)?;
            }
            tx.remove_component(name)
        })?;
        self.forget_driver(name);
        self.sweep_components()
    }

    /// One policy can be installed: it is the one in use.
    fn refuse_second_policy(&self, new: &Description) -> Result<(), Error> {
        let role = Role::SelectionPolicy.to_string();
        let installed = self.store.read(|view| view.components())?;
        let other = installed.into_iter().find(|one| one.name != new.name && one.roles.contains(&role));
        match other.filter(|_| new.roles.contains(&Role::SelectionPolicy)) {
            Some(other) => Err(Error::Conflict {
                what: format!("the selection policy {} is installed", other.name),
                help: format!("one is asked: `nacre driver rm {}` makes room", other.name),
            }),
            None => Ok(()),
        }
    }

    /// What is mounted stays as it is when its driver's component is replaced: the new one must plan the same end
    /// of it as the old one.
    ///
    /// The answer is the layers that are mounted, see [`refuse_new_mounts`].
    fn refuse_other_unmounts(&self, name: &str, new: Found) -> Result<Vec<LayerId>, Error> {
        let mut mounts = self.store.read(|view| view.mounts())?;
        mounts.retain(|mount| mount.driver == name);
        let judged = mounts.iter().map(|mount| mount.dir.clone()).collect();
        if mounts.is_empty() {
            return Ok(judged);
        }
        // What an old one that fails made can only be ended by a new one.
        let Ok(old) = self.driver(name) else { return Ok(judged) };
        let new = self.ready(new)?;
        for mount in mounts {
            let layer = mount.dir.as_str();
            if old.unmount(layer)?.steps != new.unmount(layer)?.steps {
                let container = self.store.read(|view| view.container_of_layer(&mount.dir))?;
                let container = container.map_or_else(|| mount.dir.short().to_owned(), |one| one.name);
                return Err(Error::Conflict {
                    what: format!("{container} is mounted, and this {name} would unmount it in another way"),
                    help: format!("stop or unmount {container} first"),
                });
            }
        }
        Ok(judged)
    }

    fn refuse_to_orphan(&self, name: &str, force: bool) -> Result<(), Error> {
        let (used, mounts) = self.store.read(|view| Ok((view.driver_usage()?, view.mounts()?)))?;
        let Some((_, layers, containers)) = used.into_iter().find(|(driver, ..)| driver == name) else {
            return Ok(());
        };
        if mounts.iter().any(|mount| mount.driver == name) {
            return Err(Error::Conflict {
                what: format!("{name} has containers mounted, which nobody else can unmount"),
                help: "stop or unmount them first".to_owned(),
            });
        }
        if force {
            return Ok(());
        }
        Err(Error::Conflict {
            what: format!("{name} holds {layers} layers and {containers} containers"),
            help:
                "`nacre driver migrate` moves them to another driver; with --force they stay, out of reach \
                   until it is installed again"
                    .to_owned(),
        })
    }

    fn keep_file(&self, digest: &Digest, wasm: &[u8]) -> Result<(), Error> {
        let dir = self.components_dir()?;
        let name = file_name(digest);
        dir.write_atomic(&name, wasm, 0o600)?;
        let file = dir.path().join(&name);
        let file = std::fs::File::open(&file).map_err(|e| Error::io("open", file, e))?;
        fsync(&file)?;
        fsync(&dir)?;
        Ok(())
    }

    fn components_dir(&self) -> Result<Dir, Error> {
        let root = Dir::open(self.root())?;
        root.ensure_dir(COMPONENTS, 0o700)?;
        Ok(root.sub(COMPONENTS)?)
    }

    /// Remove the files of components that no record names any more.
    fn sweep_components(&self) -> Result<(), Error> {
        let dir = self.components_dir()?;
        let installed = self.store.read(|view| view.components())?;
        for entry in dir.entries()? {
            let name = entry.name.to_string_lossy();
            let needed = installed.iter().any(|one| file_name(&one.digest) == *name);
            if name.ends_with(".wasm") && !needed {
                dir.remove(&*name)?;
            }
        }
        Ok(())
    }
}

/// What was mounted since the mounts of a driver were judged was mounted by the component that is about to be replaced.
fn refuse_new_mounts(tx: &Tx<'_>, name: &str, judged: &[LayerId]) -> Result<(), nacre_store::Error> {
    let mut new =
        tx.mounts()?.into_iter().filter(|mount| mount.driver == name && !judged.contains(&mount.dir));
    match new.next() {
        Some(_) => Err(nacre_store::Error::MountsChanged { name: name.to_owned() }),
        None => Ok(()),
    }
}

fn file_name(digest: &Digest) -> PathBuf {
    format!("{}.wasm", digest.hex()).into()
}
