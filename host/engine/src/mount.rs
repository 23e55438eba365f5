//! Mounting containers' trees, for as long as somebody needs them.
//!
//! A tree is mounted once, for any number of holders: the user (`nacre mount`), a running process, an
//! operation such as `cp`. It is unmounted when the last one lets it go.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nacre_plugin::types::{LayerKind, Setting};
use nacre_store::{Container, ContainerState, LayerId, Mount, Tx};
use nacre_sys::dir::Dir;
use nacre_sys::mount::is_mount_point;
use serde_json::json;

use crate::config::ContainerConfig;
use crate::driver::{Chain, Driver};
use crate::journal::Durability;
use crate::types::UnionPolicies;
use crate::union::{NO_POLICIES, unite};
use crate::{Engine, Error, event};

/// The holder of a mount that a user asked for.
pub(crate) const USER: &str = "user";
/// The holder of a mount for one operation: this, the token of its process, and a word of its own.
const OPERATION: &str = "op:";
/// The holder of a mount for a container's process: this and the container's ID.
const RUN: &str = "run:";

/// Who holds the mount while the container's process runs.
pub(crate) fn run_holder(container: &Container) -> String {
    format!("{RUN}{}", container.id.as_str())
}

impl Engine {
    /// Mount a container's tree until [`Engine::unmount`], and tell where it is.
    pub fn mount(&self, container: &str) -> Result<PathBuf, Error> {
        self.mount_heard(container, || {
            let container = self.find_container(container)?;
            self.hold_mount(&container, USER)
        })
    }

    pub(crate) fn mount_heard(
        &self,
        container: &str,
        work: impl FnOnce() -> Result<PathBuf, Error>,
    ) -> Result<PathBuf, Error> {
        self.observed(
            [&event::CONTAINER_MOUNT, &event::CONTAINER_MOUNTED],
            || self.told_of(container),
            work,
            |path| json!({ "path": path }),
        )
    }

    /// End what [`Engine::mount`] began. The tree stays mounted while a process runs on it.
    pub fn unmount(&self, container: &str) -> Result<(), Error> {
        self.observed(
            [&event::CONTAINER_UMOUNT, &event::CONTAINER_UMOUNTED],
            || self.told_of(container),
            || self.unmount_unheard(container),
            event::nothing_more,
        )
    }

    fn unmount_unheard(&self, container: &str) -> Result<(), Error> {
        self.make_room();
        let container = self.find_container(container)?;
        let holders = self.store.read(|view| view.holders(&container.dir))?;
        if !holders.iter().any(|holder| holder == USER) {
            let (what, help) = if holders.is_empty() {
                ("is not mounted", "`nacre mount` mounts it")
            } else {
                ("is mounted for its process only", "it is unmounted when the process ends")
            };
            return Err(Error::Conflict {
                what: format!("{} {what}", container.name),
                help: help.to_owned(),
            });
        }
        self.release_mount(&container, USER)
    }

    /// Use a container's tree while `work` runs.
    pub(crate) fn with_mount(
        &self,
        container: &Container,
        work: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.config.explain {
            return self.explain_mount(container);
        }
        let holder = self.operation_holder()?;
        let target = self.hold_mount(container, &holder)?;
        let outcome = work(&target);
        let released = self.release_mount(container, &holder);
        outcome.and(released)
    }

    pub(crate) fn explain_mount(&self, container: &Container) -> Result<(), Error> {
        let driver = self.driver(&container.driver)?;
        if !container.mounted {
            let settings = ContainerConfig::of(container)?.settings;
            let mount = driver.mount(&self.chain(container)?, false, &settings)?;
            self.note_explained(&driver, &mount.plan);
            self.note_explained(&driver, &driver.unmount(container.dir.as_str())?);
        }
        Ok(())
    }

    /// Who holds a mount for one operation of this process.
    pub(crate) fn operation_holder(&self) -> Result<String, Error> {
        Ok(format!("{OPERATION}{}:{}", self.store.owner()?.token(), LayerId::random()?.short()))
    }

    /// Mount a container's tree unless it is mounted, and count `holder` among those who need it.
    pub(crate) fn hold_mount(&self, container: &Container, holder: &str) -> Result<PathBuf, Error> {
        let driver = self.driver(&container.driver)?;
        let settings = ContainerConfig::of(container)?.settings;
        self.hold_layer(&driver, &self.chain(container)?, &settings, holder)
    }

    /// Mount a layer with the chain below it unless it is mounted, and count `holder` among those who need it.
    /// `own` are the settings of this layer alone.
    pub(crate) fn hold_layer(
        &self,
        driver: &Driver,
        chain: &Chain,
        own: &[Setting],
        holder: &str,
    ) -> Result<PathBuf, Error> {
        self.hold_layer_by(driver, chain, own, holder, None)
    }

    /// The same; with `union` by nacre's own union with these policies.
    pub(crate) fn hold_layer_by(
        &self,
        driver: &Driver,
        chain: &Chain,
        own: &[Setting],
        holder: &str,
        union: Option<&UnionPolicies>,
    ) -> Result<PathBuf, Error> {
        let dir: LayerId = chain.layer.parse()?;
        let _lock = self.store.lock_mount(&dir)?;
        let known = self.store.read(|view| view.mount(&dir))?;
        let lost = known.is_some();
        let mut kept = Vec::new();
        if let Some(mount) = known {
            if is_mounted(&mount.target)?
                && !(has_lost_its_server(&mount.target) && self.detach(&mount.target)?)
            {
                if let Some(policies) = union {
                    self.refuse_other_mount(&mount, policies)?;
                }
                if !self.config.explain {
                    self.store.write(|tx| tx.add_holder(&mount, holder))?;
                }
                return Ok(mount.target);
            }
            // It may be mounted in another mount namespace: a second overlay on the same folders would harm both.
            if self.is_mount_needed(&dir)? {
                return Err(not_visible(&mount));
            }
            kept = self.store.read(|view| view.holders(&dir))?;
            tracing::warn!(target = %mount.target.display(), "was unmounted behind nacre's back; mounting it again");
        }
        let mut mount = driver.mount(chain, chain.kind == LayerKind::Image, own)?;
        if let Some(policies) = union {
            unite(&mut mount.plan.steps, policies, driver.name())?;
        }
        let user = union.unwrap_or(&NO_POLICIES);
        mount.plan.serving = self.serving(driver, chain, &mount.plan.steps, (own, user))?;
        if lost || driver.roots().dir(mount.target.root).exists(&mount.target.path)? {
            self.clear_lost_mount(driver, &dir)?;
        }
        let record = Mount {
            dir,
            driver: driver.name().to_owned(),
            target: driver.roots().absolute(&mount.target),
            created: Timestamp::now(),
        };
        kept.push(holder.to_owned());
        self.make(driver, &mount.plan, Durability::Process, |tx| {
            driver.refuse_if_replaced(tx)?;
            kept.iter().try_for_each(|holder| tx.add_holder(&record, holder).map(drop))
        })?;
        Ok(record.target)
    }

    /// End a mount that nobody serves. What was written before is in the layer.
    fn detach(&self, target: &Path) -> Result<bool, Error> {
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else { return Ok(false) };
        if self.config.explain {
            return Ok(false);
        }
        tracing::warn!(target = %target.display(), "the process that served this mount is gone");
        Ok(nacre_sys::mount::detach(&Dir::open(parent)?, name)?)
    }

    /// A mount that ended without nacre, by hand or with the machine, leaves what was made for it. The plan
    /// that would have ended it takes that away.
    /// The caller has the mount's lock.
    pub(crate) fn clear_lost_mount(&self, driver: &Driver, layer: &LayerId) -> Result<(), Error> {
        let plan = driver.unmount(layer.as_str())?;
        let nothing_to_restore = |_: &Tx<'_>| Ok(());
        self.unmake(driver, &plan, |tx| tx.forget_mount(layer), Some(nothing_to_restore))
    }

    /// Let a container's tree go, and unmount it when nobody else needs it.
    pub(crate) fn release_mount(&self, container: &Container, holder: &str) -> Result<(), Error> {
        self.release_layer(&*self.driver(&container.driver)?, &container.dir, holder)
    }

    /// Let a layer's mount go, and end it when nobody else needs it.
    pub(crate) fn release_layer(&self, driver: &Driver, dir: &LayerId, holder: &str) -> Result<(), Error> {
        let _lock = self.store.lock_mount(dir)?;
        let (mount, holders) = self.store.read(|view| Ok((view.mount(dir)?, view.holders(dir)?)))?;
        let Some(mount) = mount.filter(|_| holders.iter().any(|known| known == holder)) else {
            return Ok(());
        };
        if holders.len() > 1 {
            if !self.config.explain {
                self.store.write(|tx| tx.drop_holder(dir, holder))?;
            }
            return Ok(());
        }
        let plan = driver.unmount(dir.as_str())?;
        let forget = |tx: &Tx<'_>| tx.drop_holder(dir, holder).map(drop);
        let restore = |tx: &Tx<'_>| tx.add_holder(&mount, holder).map(drop);
        self.unmake(driver, &plan, forget, Some(restore))?;
        self.warn_of_policies(dir);
        Ok(())
    }

    /// Let go what processes held that died. Costs one query where nothing is mounted.
    pub(crate) fn recover_mounts(&self) -> Result<(), Error> {
        for (dir, holder) in self.store.read(|view| view.mount_holders())? {
            if let Err(error) = self.recover_holder(&dir, &holder) {
                tracing::warn!(
                    layer = dir.as_str(), %error,
                    "what an interrupted command mounted is still mounted; the next command tries again"
                );
            }
        }
        Ok(())
    }

    fn recover_holder(&self, dir: &LayerId, holder: &str) -> Result<(), Error> {
        if let Some(token) = operation_owner(holder) {
            let mount = self.store.read(|view| view.mount(dir))?;
            return match mount {
                Some(mount) if self.store.is_dead(token)? => {
                    self.release_layer(&*self.driver(&mount.driver)?, dir, holder)
                }
                _ => Ok(()),
            };
        }
        match self.store.read(|view| view.container_of_layer(dir))? {
            // Whoever started it died, with or without a process.
            Some(container) if holder.starts_with(RUN) && container.state != ContainerState::Running => {
                self.recover_container(&container)
            }
            _ => Ok(()),
        }
    }

    /// Whether a living process, or an operation of one, holds a mounted layer. A user may ask for it again.
    pub(crate) fn is_mount_needed(&self, layer: &LayerId) -> Result<bool, Error> {
        let (holders, container) =
            self.store.read(|view| Ok((view.holders(layer)?, view.container_of_layer(layer)?)))?;
        let process = container.and_then(|container| container.process);
        for holder in holders {
            let needed = match operation_owner(&holder) {
                Some(token) => !self.store.is_dead(token)?,
                None => {
                    holder.starts_with(RUN)
                        && process.as_ref().is_some_and(|process| process.is_alive().unwrap_or(true))
                }
            };
            if needed {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Unmount a container's tree, whoever holds it.
    pub(crate) fn drop_all_holders(&self, container: &Container) -> Result<(), Error> {
        if self.config.explain {
            let mounted = self.store.read(|view| view.mount(&container.dir))?.is_some();
            let driver = self.driver(&container.driver)?;
            if mounted {
                self.note_explained(&driver, &driver.unmount(container.dir.as_str())?);
            }
            return Ok(());
        }
        for holder in self.store.read(|view| view.holders(&container.dir))? {
            self.release_mount(container, &holder)?;
        }
        Ok(())
    }

    /// A container's writable layer with the chain below it.
    pub(crate) fn chain(&self, container: &Container) -> Result<Chain, Error> {
        let parents = match &container.parent {
            Some(parent) => self.parents(&container.driver, parent)?,
            None => Vec::new(),
        };
        Ok(Chain { layer: container.dir.as_str().to_owned(), kind: LayerKind::Container, parents })
    }

    /// The folder names of a chain of image layers, newest first.
    pub(crate) fn parents(
        &self,
        driver: &str,
        top: &nacre_archive::digest::ChainId,
    ) -> Result<Vec<String>, Error> {
        let chain = self.store.read(|view| view.layer_chain(driver, top)).map_err(|error| match error {
            nacre_store::Error::LayerMissing { layer, .. } => Error::Conflict {
                what: format!("the driver {driver} does not have the layer {}", layer.short()),
                help: format!("load the image for it: `nacre --driver {driver} load …`"),
            },
            other => other.into(),
        })?;
        Ok(chain.into_iter().map(|layer| layer.dir.as_str().to_owned()).collect())
    }

    /// Settings that a container has for itself, checked against its driver.
    pub(crate) fn own_settings(&self, driver: &Driver, given: &[String]) -> Result<Vec<Setting>, Error> {
        if given.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<&str> = given.iter().map(|g| g.split('=').next().unwrap_or_default()).collect();
        let prefixed: Vec<String> = given.iter().map(|g| format!("{}.{g}", driver.name())).collect();
        let all = driver.component().settings(&prefixed)?;
        Ok(all.into_iter().filter(|setting| names.contains(&setting.name.as_str())).collect())
    }
}

/// A mount that somebody needs, and that this process does not see.
fn not_visible(mount: &Mount) -> Error {
    Error::Conflict {
        what: format!("a process runs on a mount that is not visible here: {}", mount.target.display()),
        help: "do it in the mount namespace that the container was started in (`nsenter -t PID -m`), or stop the \
               container first"
            .to_owned(),
    }
}

/// The token of the process whose operation a holder is.
fn operation_owner(holder: &str) -> Option<&str> {
    holder.strip_prefix(OPERATION)?.split(':').next()
}

/// What a mount of FUSE says when its server was killed.
fn has_lost_its_server(target: &Path) -> bool {
    rustix::fs::statfs(target).is_err_and(|error| error == rustix::io::Errno::NOTCONN)
}

/// Whether something is mounted on a directory. One that is gone holds no mount.
pub(crate) fn is_mounted(target: &Path) -> Result<bool, Error> {
    let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else { return Ok(false) };
    match Dir::open(parent) {
        Ok(parent) => Ok(is_mount_point(&parent, name)?),
        Err(e) if e.is_not_found() => Ok(false),
        Err(e) => Err(e.into()),
    }
}
