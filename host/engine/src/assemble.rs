//! An image made of layers that were there and layers that were just filled: sealed, synced and recorded
//! in one transaction.

use std::sync::Arc;

use nacre_archive::digest::{ChainId, DiffId, Digest, ImageId};
use nacre_archive::image::config::ImageConfig;
use nacre_archive::reference::Reference;
use nacre_plugin::types::LayerKind;
use nacre_store::{Image, Layer, NewImage};
use nacre_sys::sync::syncfs;
use serde_json::json;

use crate::driver::{Chain, Driver, Operation};
use crate::filling::{Filled, Sealed};
use crate::{Engine, Error, crash, event};

/// What an image is made of.
#[derive(Debug)]
pub(crate) struct Parts<'e> {
    /// The configuration, byte for byte.
    pub config: Vec<u8>,
    /// Its layers, the base first.
    pub layers: Vec<Part<'e>>,
    /// The names that it is to have.
    pub references: Vec<Reference>,
}

/// A layer of an image to be.
#[derive(Debug)]
pub(crate) enum Part<'e> {
    /// It was there, and is held by this process.
    Exists(Box<Layer>),
    /// It was just filled.
    New(Box<Filled<'e>>),
}

impl Engine {
    /// Record an image with its new layers. Either all of it is there afterwards, or nothing of what is new.
    pub(crate) fn record_image(&self, driver: &Arc<Driver>, parts: Parts<'_>) -> Result<Image, Error> {
        let config = ImageConfig::parse("the image's configuration", &parts.config)?;
        let publishing = self.store.publish()?;
        let mut sealed: Vec<Sealed<'_>> = Vec::new();
        let mut size = 0;
        let mut diffs: Vec<DiffId> = Vec::new();
        let mut below: Vec<String> = Vec::new();
        let mut parent: Option<ChainId> = None;
        for part in parts.layers {
            match part {
                Part::Exists(layer) => {
                    (size, parent) = (size + layer.size, Some(layer.chain_id));
                    diffs.push(layer.diff_id);
                    below.insert(0, layer.dir.as_str().to_owned());
                }
                Part::New(filled) => {
                    let layer = filled.seal(&publishing, parent, below.clone())?;
                    (size, parent) = (size + layer.size(), Some(layer.chain()));
                    diffs.push(layer.diff_id());
                    below.insert(0, layer.dir().as_str().to_owned());
                    sealed.push(layer);
                }
            }
        }
        let id = ImageId::new(publishing.put(&parts.config)?);
        let new = NewImage {
            id,
            created: config.created,
            architecture: config.architecture.clone(),
            os: config.os.clone(),
            size,
            layers: diffs,
        };
        if !sealed.is_empty() {
            self.sync_data(driver)?;
        }
        crash::at(Operation::Create, "sync");
        let owner = self.store.owner()?;
        let image = self.store.durable(|tx| {
            for layer in &sealed {
                layer.record(tx, &owner)?;
            }
            tx.add_image(&new, driver.name())?;
            for reference in &parts.references {
                tx.tag(&reference.to_string(), &id)?;
            }
            tx.image(&id)?.ok_or_else(|| nacre_store::Error::NotFound {
                kind: nacre_store::Kind::Image,
                name: id.to_string(),
            })
        })?;
        for layer in sealed {
            let (chain, size) = (layer.chain(), layer.size());
            self.tell(
                &event::LAYER_CREATED,
                || json!({ "driver": driver.name(), "layer": chain.to_string(), "size": size }),
            );
            layer.keep();
        }
        crash::at(Operation::Create, "image");
        if let Some(layer) = below.first() {
            let parents = below.get(1..).unwrap_or_default().to_vec();
            let chain = Chain { layer: layer.clone(), kind: LayerKind::Image, parents };
            self.index_new_image(driver, &chain);
        }
        Ok(image)
    }

    /// Everything that was written is on the disk when this returns: layers, and what is kept beside them.
    fn sync_data(&self, driver: &Driver) -> Result<(), Error> {
        let home = driver.roots().home();
        syncfs(home)?;
        let root = nacre_sys::dir::Dir::open(self.root())?;
        // The driver's home may be a file system of its own.
        if home.stat("")?.st_dev != root.stat("")?.st_dev {
            syncfs(&root)?;
        }
        Ok(())
    }

    /// Take the locks of a chain's layers that are not there, and hold those that are: what is there after
    /// this stays, and nobody else makes what is not. The answer has one place for each layer, the base
    /// first.
    pub(crate) fn claim_chain(
        &self,
        driver: &str,
        chains: &[ChainId],
        mut waiting: impl FnMut(usize),
    ) -> Result<Claim<'_>, Error> {
        let owner = self.store.owner()?;
        let mut claim = Claim {
            engine: self,
            driver: driver.to_owned(),
            chains: chains.to_vec(),
            locks: Vec::new(),
            layers: Vec::new(),
        };
        self.count_holds(driver, chains);
        self.store.write(|tx| tx.hold_layers(&owner, driver, chains))?;
        for (i, chain) in chains.iter().enumerate() {
            let mut layer = self.store.read(|view| view.layer(driver, chain))?;
            if layer.is_none() {
                let lock = match self.store.try_lock_layer(driver, chain)? {
                    Some(lock) => lock,
                    None => {
                        waiting(i);
                        self.store.lock_layer(driver, chain)?
                    }
                };
                layer = self.store.read(|view| view.layer(driver, chain))?;
                if layer.is_none() {
                    claim.locks.push(lock);
                }
            }
            claim.layers.push(layer);
        }
        Ok(claim)
    }
}

/// How often threads of this process hold a layer of a driver: the store knows only the process.
pub(crate) type Holds = std::collections::BTreeMap<(String, ChainId), usize>;

impl Engine {
    fn count_holds(&self, driver: &str, chains: &[ChainId]) {
        let mut holds = self.lock_holds();
        for chain in chains {
            *holds.entry((driver.to_owned(), *chain)).or_default() += 1;
        }
    }

    /// The layers that no thread holds any more.
    fn uncount_holds(&self, driver: &str, chains: &[ChainId]) -> Vec<ChainId> {
        let mut holds = self.lock_holds();
        let mut unheld = Vec::new();
        for chain in chains {
            let key = (driver.to_owned(), *chain);
            match holds.get_mut(&key) {
                Some(count) if *count > 1 => *count -= 1,
                _ => {
                    holds.remove(&key);
                    unheld.push(*chain);
                }
            }
        }
        unheld
    }
}

/// A chain that nobody else changes meanwhile.
#[derive(Debug)]
pub(crate) struct Claim<'e> {
    engine: &'e Engine,
    driver: String,
    chains: Vec<ChainId>,
    locks: Vec<nacre_store::locks::Lock>,
    /// One for each layer, the base first; none where it is not there.
    pub layers: Vec<Option<Layer>>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let unheld = self.engine.uncount_holds(&self.driver, &self.chains);
        let released =
            self.engine.store.owner().and_then(|owner| {
                self.engine.store.write(|tx| tx.release_layers(&owner, &self.driver, &unheld))
            });
        if let Err(error) = released {
            tracing::debug!(%error, "layers stay held until this process ends");
        }
    }
}

/// The chain IDs of diff IDs, the base first.
pub(crate) fn chain_ids(diffs: &[DiffId]) -> Vec<ChainId> {
    let mut parent = None;
    diffs
        .iter()
        .map(|&diff| {
            let chain = ChainId::of(parent, diff);
            parent = Some(chain);
            chain
        })
        .collect()
}

/// A blob's digest from the name of its entry in an OCI layout, `blobs/sha256/<hex>`.
pub(crate) fn digest_of_name(name: &str) -> Option<Digest> {
    Digest::from_hex(name.strip_prefix("blobs/sha256/")?).ok()
}
