//! Containers: created, listed, inspected, removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use nacre_archive::digest::ChainId;
use nacre_plugin::storage::Difference;
use nacre_plugin::types::LayerKind;
use nacre_store::{Container, ContainerId, ContainerState, Image, LayerId, NewContainer, Tx};
use nacre_sys::dir::Dir;
use serde_json::json;

use crate::config::ContainerConfig;
use crate::driver::{Chain, Driver, NewLayer};
use crate::journal::Durability;
use crate::types::{ContainerSize, ContainerSummary, CreateOptions, Created, Removed, State};
use crate::{Engine, Error, event};

/// A container that is planned and not made.
struct Prospect {
    driver: Arc<Driver>,
    layer: NewLayer,
    chain: Chain,
    config: ContainerConfig,
    new: NewContainer,
}

impl Engine {
    /// Create a container: a thin writable layer on an image, and a record of what to run on it.
    pub fn create(&self, options: &CreateOptions) -> Result<Created, Error> {
        let created = self.observed(
            [&event::CONTAINER_CREATE, &event::CONTAINER_CREATED],
            || json!({ "image": options.image, "name": options.name }),
            || self.create_unheard(options),
            |created| json!({ "id": created.id, "name": created.name }),
        )?;
        self.tell_low_space();
        Ok(created)
    }

    fn create_unheard(&self, options: &CreateOptions) -> Result<Created, Error> {
        let Prospect { driver, layer, chain, new, .. } = self.prospect(options)?;
        let added = self.make(&driver, &layer.plan, Durability::Power, |tx| {
            // An image can go and be loaded again while a layer is made on it: in other folders then.
            if let Some(parent) = &new.parent {
                let below = match tx.layer_chain(&new.driver, parent) {
                    Err(nacre_store::Error::LayerMissing { .. }) => Vec::new(),
                    found => found?,
                };
                if !below.iter().map(|layer| layer.dir.as_str()).eq(&chain.parents) {
                    return Err(nacre_store::Error::LayersChanged { image: new.image_ref.clone() });
                }
            }
            tx.add_container(&new)
        })?;
        Ok(match added {
            Some(container) => Created { id: container.id.as_str().to_owned(), name: container.name },
            None => Created { id: new.id.as_str().to_owned(), name: new.name.unwrap_or_default() },
        })
    }

    /// Note every plan that running a container would take, for `run --explain`.
    pub fn explain_run(&self, options: &CreateOptions) -> Result<(), Error> {
        let Prospect { driver, layer, chain, config, .. } = self.prospect(options)?;
        self.note_explained(&driver, &layer.plan);
        self.note_explained(&driver, &driver.mount(&chain, false, &config.settings)?.plan);
        self.note_explained(&driver, &driver.unmount(&chain.layer)?);
        if options.auto_remove {
            self.note_explained(&driver, &driver.remove(&chain.layer)?);
        }
        Ok(())
    }

    /// Plan a container.
    fn prospect(&self, options: &CreateOptions) -> Result<Prospect, Error> {
        let (image, layers) = self.find_image_and_layers(&options.image)?;
        let parent = layers.last().map(|layer| layer.chain_id);
        self.prospect_on(&image, parent, options).map_err(|error| match self.find_image(&options.image) {
            // What was missing went with it.
            Err(gone @ Error::Store(nacre_store::Error::NotFound { .. })) => gone,
            _ => error,
        })
    }

    fn prospect_on(
        &self,
        image: &Image,
        parent: Option<ChainId>,
        options: &CreateOptions,
    ) -> Result<Prospect, Error> {
        let driver = self.current_driver()?;
        let settings = self.own_settings(&driver, &options.storage_opts)?;
        let config = ContainerConfig::merge(options, &self.image_config(image)?, settings)?;
        let parents = match &parent {
            Some(chain) => self.parents(driver.name(), chain)?,
            None => Vec::new(),
        };
        let dir = LayerId::random()?;
        let kind = LayerKind::Container;
        let layer = driver.create(dir.as_str(), kind, Some(parents.clone()), &config.settings)?;
        let chain = Chain { layer: dir.as_str().to_owned(), kind, parents };
        let new = NewContainer {
            id: ContainerId::random()?,
            name: options.name.clone(),
            image: Some(image.id),
            image_ref: options.image.clone(),
            driver: driver.name().to_owned(),
            dir,
            parent,
            config: serde_json::to_value(&config).map_err(nacre_store::Error::from)?,
            created: Timestamp::now(),
        };
        if self.config.explain {
            // The name may be taken.
            self.rehearse(|tx| tx.add_container(&new).map(drop))?;
        }
        Ok(Prospect { driver, layer, chain, config, new })
    }

    /// List containers, the newest first: those that run, or all.
    pub fn containers(&self, all: bool, sizes: bool) -> Result<Vec<ContainerSummary>, Error> {
        let (containers, images) = self.store.read(|view| {
            let images = if sizes { view.images()? } else { Vec::new() };
            Ok((view.containers(all)?, images))
        })?;
        let image_sizes: BTreeMap<_, _> = images.iter().map(|image| (image.id, image.size)).collect();
        let mut summaries = Vec::with_capacity(containers.len());
        for container in containers {
            let mut summary = summary_of(&container)?;
            if !all && summary.state != State::Running {
                continue;
            }
            if sizes {
                let below = container.image.and_then(|id| image_sizes.get(&id).copied()).unwrap_or(0);
                summary.size = self
                    .known_size(&container)?
                    .map(|writable| ContainerSize { writable, virtual_size: writable + below });
            }
            summaries.push(summary);
        }
        Ok(summaries)
    }

    /// Remove a container and its writable layer; with `force` also a running or mounted one.
    pub fn remove_container(&self, container: &str, force: bool) -> Result<(), Error> {
        self.observed(
            [&event::CONTAINER_REMOVE, &event::CONTAINER_REMOVED],
            || self.told_of(container),
            || self.remove_unheard(container, force),
            event::nothing_more,
        )
    }

    fn remove_unheard(&self, container: &str, force: bool) -> Result<(), Error> {
        self.make_room();
        let container = self.find_container(container)?;
        if self.config.explain {
            if force {
                self.drop_all_holders(&container)?;
            } else {
                self.rehearse(|tx| tx.remove_container(&container.id))?;
            }
            return self.remove_found(&container);
        }
        if force {
            self.end_process(&container)?;
        }
        let _lock = self.store.lock_container(&container.id)?;
        let recorded = || self.store.read(|view| view.container(&container.id));
        if let Some(container) = recorded()? {
            self.settle(&container)?;
        }
        match recorded()? {
            Some(container) => {
                if force {
                    self.drop_all_holders(&container)?;
                }
                self.remove_found(&container)
            }
            // Its end removed it.
            None if force => Ok(()),
            None => Err(Error::NotFound { kind: "container", name: container.name }),
        }
    }

    /// Remove all containers that do not run.
    pub fn prune_containers(&self) -> Result<Removed, Error> {
        self.make_room();
        let (mut removed, mut gone) = (Removed::default(), Vec::new());
        for container in self.store.read(|view| view.containers(true))? {
            if container.state == ContainerState::Running || container.mounted {
                continue;
            }
            if let Err(error) = self.announce(&event::CONTAINER_REMOVE, || event::told_of(&container)) {
                tracing::warn!(container = container.name, %error, "it stays");
                continue;
            }
            // Whoever starts it has its lock.
            let Some(_lock) = self.store.try_lock_container(&container.id)? else { continue };
            let Some(container) = self.store.read(|view| view.container(&container.id))? else { continue };
            if container.mounted
                || matches!(self.process_state(&container)?, nacre_runtime::State::Running(_))
            {
                continue;
            }
            let bytes = self.writable_size(&container).unwrap_or_else(|error| {
                tracing::warn!(container = container.name, %error, "it is removed unmeasured");
                0
            });
            self.remove_found(&container)?;
            removed.deleted.push(container.id.as_str().to_owned());
            removed.bytes += bytes;
            gone.push(container);
        }
        gone.iter().for_each(|gone| self.tell(&event::CONTAINER_REMOVED, || event::told_of(gone)));
        Ok(removed)
    }

    /// Everything about a container, in Docker's words.
    pub fn inspect_container(&self, container: &str) -> Result<serde_json::Value, Error> {
        let container = self.find_container(container)?;
        let config = ContainerConfig::of(&container)?;
        let (entrypoint, command) = config.args.split_at(config.entrypoint.min(config.args.len()));
        let driver = self.driver(&container.driver)?;
        let (mount, holders) =
            self.store.read(|view| Ok((view.mount(&container.dir)?, view.holders(&container.dir)?)))?;
        let changes = driver.content(container.dir.as_str())?.map(|(dir, _)| dir.path().to_owned());
        let summary = summary_of(&container)?;
        let time = |t: Option<Timestamp>| t.map(|t| t.to_string()).unwrap_or_default();
        Ok(serde_json::json!({
            "Id": container.id.as_str(),
            "Name": format!("/{}", container.name),
            "Created": container.created.to_string(),
            "Path": config.args.first(),
            "Args": config.args.get(1..).unwrap_or_default(),
            "State": {
                "Status": summary.state,
                "Running": summary.state == State::Running,
                "Pid": summary.pid.unwrap_or(0),
                "ExitCode": container.exit_code.unwrap_or(0),
                "Error": container.error.clone().unwrap_or_default(),
                "StartedAt": time(container.started),
                "FinishedAt": time(container.finished),
            },
            "Image": container.image.map(|id| id.to_string()),
            "Driver": container.driver,
            "GraphDriver": {
                "Name": container.driver,
                "Data": {
                    "LayerDir": driver.roots().home().path().join(container.dir.as_str()),
                    "ChangesDir": changes,
                    "MergedDir": mount.as_ref().map(|m| m.target.clone()),
                },
            },
            "MountHolders": holders,
            "UnionPolicies": self.mount_policies(container.dir.as_str()),
            "SizeRw": self.writable_size(&container)?,
            "HostConfig": {
                "NetworkMode": if config.host_network { "host" } else { "none" },
                "AutoRemove": config.auto_remove,
                "ReadonlyRootfs": config.read_only,
                "StorageOpt": config.settings.iter().map(|s| (s.name.clone(), s.value.clone()))
                    .collect::<BTreeMap<_, _>>(),
            },
            "Config": {
                "Hostname": config.hostname,
                "User": config.user,
                "Tty": config.tty,
                "OpenStdin": config.interactive,
                "Env": config.env,
                "Cmd": command,
                "Entrypoint": entrypoint,
                "Image": container.image_ref,
                "WorkingDir": config.workdir,
                "Labels": config.labels,
                "StopSignal": config.stop_signal,
            },
        }))
    }

    /// Give a container another name, whatever its state.
    pub fn rename_container(&self, container: &str, name: &str) -> Result<(), Error> {
        self.refuse_to_explain("a new name")?;
        self.observed(
            [&event::CONTAINER_RENAME, &event::CONTAINER_RENAMED],
            || event::with(self.told_of(container), json!({ "new_name": name })),
            || {
                let container = self.find_container(container)?;
                Ok(self.store.durable(|tx| tx.rename_container(&container.id, name))?)
            },
            event::nothing_more,
        )
    }

    /// A container by name, ID or ID prefix.
    pub(crate) fn find_container(&self, name: &str) -> Result<Container, Error> {
        Ok(self.store.read(|view| view.find_container(name))?)
    }

    /// Bytes of a container's writable layer.
    pub(crate) fn writable_size(&self, container: &Container) -> Result<u64, Error> {
        let driver = self.driver(&container.driver)?;
        match driver.diff(container.dir.as_str())? {
            Difference::Changes(_) => self.layer_bytes(&driver, &container.dir),
            // Nothing is mounted to be counted.
            Difference::Mounted if self.config.explain => Ok(0),
            Difference::Tree(_) | Difference::Mounted => self.changed_bytes(container),
        }
    }

    /// The same for a listing; none where the container's driver is not here or fails, or the container is gone by now.
    pub(crate) fn known_size(&self, container: &Container) -> Result<Option<u64>, Error> {
        match self.writable_size(container) {
            Err(error) if error.is_of_driver() => {
                tracing::warn!(container = container.name, %error, "its size is not known");
                Ok(None)
            }
            Err(_) if self.store.read(|view| view.container(&container.id))?.is_none() => Ok(None),
            // One tree that cannot be read, such as one with names beyond PATH_MAX, keeps no listing back.
            Err(error) if !matches!(error, Error::Store(_)) => {
                tracing::warn!(container = container.name, %error, "its size is not known");
                Ok(None)
            }
            size => size.map(Some),
        }
    }

    fn layer_bytes(&self, driver: &Driver, layer: &LayerId) -> Result<u64, Error> {
        let place = driver.usage(layer.as_str())?;
        let root: &Dir = driver.roots().dir(place.root);
        Ok(root.tree_bytes(&place.path)?.bytes)
    }

    /// The caller has the container's lock.
    pub(crate) fn remove_found(&self, container: &Container) -> Result<(), Error> {
        // What is known of its process may be older than the process.
        let container = &self.find_container(container.id.as_str())?;
        if !self.config.explain
            && let nacre_runtime::State::Running(_) = self.process_state(container)?
        {
            return Err(nacre_store::Error::Running { container: container.id.clone() }.into());
        }
        let driver = self.driver(&container.driver)?;
        let lock = self.store.lock_mount(&container.dir)?;
        let plan = driver.remove(container.dir.as_str())?;
        let forget = |tx: &Tx<'_>| tx.remove_container(&container.id).map(drop);
        let keep_in_journal = None::<fn(&Tx<'_>) -> Result<(), nacre_store::Error>>;
        self.unmake(&driver, &plan, forget, keep_in_journal)?;
        drop(lock);
        if self.config.explain { Ok(()) } else { self.forget_process(container) }
    }
}

/// What a listing says of a container. A process that died unseen is told from the kernel.
pub(crate) fn summary_of(container: &Container) -> Result<ContainerSummary, Error> {
    let config = ContainerConfig::of(container)?;
    let alive = match &container.process {
        Some(process) => process.is_alive()?,
        None => false,
    };
    let state = match container.state {
        ContainerState::Created => State::Created,
        ContainerState::Running if alive => State::Running,
        _ => State::Exited,
    };
    Ok(ContainerSummary {
        id: container.id.as_str().to_owned(),
        name: container.name.clone(),
        image: container.image_ref.clone(),
        image_id: container.image.map(|id| id.to_string()),
        command: config.args.join(" "),
        created: container.created.as_second(),
        state,
        started: container.started.map(|t| t.as_second()),
        finished: container.finished.map(|t| t.as_second()),
        exit_code: container.exit_code,
        pid: container.process.as_ref().filter(|_| alive).and_then(|p| u32::try_from(p.pid).ok()),
        labels: config.labels,
        mounted: container.mounted,
        driver: container.driver.clone(),
        size: None,
    })
}
