//! Layers as directories that can be read.
//!
//! Most lie open at all times. The layers of some drivers can be read only while they are mounted
//! (`difference::mounted` in wit/storage-driver.wit): these are mounted for as long as somebody reads them, as a
//! container's tree is for its holders. What the union copied up in part is completed first, and stays so while the layer
//! is read.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use nacre_plugin::types::{LayerKind, Setting, Whiteouts};
use nacre_store::{Container, Layer, LayerId};
use nacre_sys::dir::Dir;
use nacre_union::live::Settled;

use crate::config::ContainerConfig;
use crate::driver::{Chain, Driver};
use crate::mount::is_mounted;
use crate::{Engine, Error};

/// Something that reads layers, with the mounts that it reads them through. They are let go after it.
#[derive(Debug)]
pub struct Opened<'e, T> {
    // Dropped in this order: open directories keep a mount busy.
    what: T,
    held: Vec<Held<'e>>,
    settled: Vec<Settled>,
}

/// A mount for as long as something is read.
#[derive(Debug)]
struct Held<'e> {
    engine: Of<'e>,
    /// None where somebody else took it over.
    mount: Option<(Arc<Driver>, LayerId, String)>,
}

/// The engine that a mount is let go with.
#[derive(Debug)]
enum Of<'e> {
    Borrowed(&'e Engine),
    Shared(Arc<Engine>),
}

impl<T> DerefMut for Opened<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.what
    }
}

impl<T> Deref for Opened<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.what
    }
}

impl<'e, T> Opened<'e, T> {
    /// The same mounts for something that is made of this.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Opened<'e, U> {
        Opened { what: make(self.what), held: self.held, settled: self.settled }
    }

    /// The same for as long as it is wanted, and not only as long as the engine is borrowed, which must be the one that
    /// it was opened by.
    pub fn keep(self, engine: &Arc<Engine>) -> Opened<'static, T> {
        let keep = |mut held: Held<'_>| Held { engine: Of::Shared(engine.clone()), mount: held.mount.take() };
        Opened { what: self.what, held: self.held.into_iter().map(keep).collect(), settled: self.settled }
    }

    /// What is made of several, with the mounts of all of them.
    pub(crate) fn join<U>(all: Vec<Self>, make: impl FnOnce(Vec<T>) -> U) -> Opened<'e, U> {
        let (mut held, mut settled) = (Vec::new(), Vec::new());
        let mut parts = Vec::with_capacity(all.len());
        for one in all {
            parts.push(one.what);
            held.extend(one.held);
            settled.extend(one.settled);
        }
        Opened { what: make(parts), held, settled }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let Some((driver, layer, holder)) = &self.mount else { return };
        let engine: &Engine = match &self.engine {
            Of::Borrowed(engine) => engine,
            Of::Shared(engine) => engine,
        };
        if let Err(error) = engine.release_layer(driver, layer, holder) {
            tracing::warn!(
                layer = layer.as_str(), %error,
                "what was mounted to be read is still mounted; the next command tries again"
            );
        }
    }
}

impl Engine {
    /// A container's own layer.
    pub(crate) fn open_container(
        &self,
        container: &Container,
    ) -> Result<Opened<'_, (Dir, Whiteouts)>, Error> {
        let driver = self.driver(&container.driver)?;
        let settings = ContainerConfig::of(container)?.settings;
        let settled = match driver.overlays() {
            true => {
                let mount = driver.mount(&self.chain(container)?, false, &settings)?;
                crate::plan::run::settled(&mount.plan.steps, driver.roots())?
            }
            false => None,
        };
        let opened =
            self.open_layer(&driver, container.dir.as_str(), || Ok((self.chain(container)?, settings)))?;
        Ok(Opened { settled: Vec::from_iter(settled), ..opened })
    }

    /// A layer of an image.
    pub(crate) fn open_image_layer(&self, layer: &Layer) -> Result<Opened<'_, (Dir, Whiteouts)>, Error> {
        let driver = self.driver(&layer.driver)?;
        self.open_layer(&driver, layer.dir.as_str(), || {
            let parents = match &layer.parent {
                Some(parent) => self.parents(driver.name(), parent)?,
                None => Vec::new(),
            };
            let chain = Chain { layer: layer.dir.as_str().to_owned(), kind: LayerKind::Image, parents };
            Ok((chain, Vec::new()))
        })
    }

    /// `chain` is asked only where the layer must be mounted.
    fn open_layer(
        &self,
        driver: &Arc<Driver>,
        layer: &str,
        chain: impl FnOnce() -> Result<(Chain, Vec<Setting>), Error>,
    ) -> Result<Opened<'_, (Dir, Whiteouts)>, Error> {
        if let Some(open) = driver.content(layer)? {
            return Ok(Opened { what: open, held: Vec::new(), settled: Vec::new() });
        }
        let (chain, settings) = chain()?;
        let holder = self.operation_holder()?;
        let target = self.hold_layer(driver, &chain, &settings, &holder)?;
        let mount = Some((driver.clone(), layer.parse()?, holder));
        let held = Held { engine: Of::Borrowed(self), mount };
        if self.config.explain && !is_mounted(&target)? {
            return Err(Error::Conflict {
                what: format!("{} can be read only while it is mounted, and --explain mounts nothing", layer),
                help: "leave --explain out".to_owned(),
            });
        }
        let what = (Dir::open(target)?, Whiteouts::None);
        Ok(Opened { what, held: vec![held], settled: Vec::new() })
    }
}
