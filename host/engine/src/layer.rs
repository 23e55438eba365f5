//! Image layers: listed, read back as the tars that they came from.

use std::collections::BTreeMap;
use std::io::Read;

use nacre_archive::digest::{ChainId, DiffId};
use nacre_archive::layer::reassemble;
use nacre_plugin::types::Whiteouts;
use nacre_store::Layer;
use nacre_sys::dir::Dir;

use crate::tree::Opened;
use crate::types::LayerSummary;
use crate::{Engine, Error};

impl Engine {
    /// List the layers of all drivers, the oldest first.
    pub fn layers(&self) -> Result<Vec<LayerSummary>, Error> {
        let (layers, users, containers) =
            self.store.read(|view| Ok((view.layers(None)?, view.layer_users()?, view.containers(true)?)))?;
        let names = self.image_names()?;
        let mut images: BTreeMap<ChainId, Vec<String>> = BTreeMap::new();
        for (chain, image) in users {
            let name = names.get(&image).cloned().unwrap_or_else(|| image.short());
            images.entry(chain).or_default().push(name);
        }
        Ok(layers
            .into_iter()
            .map(|layer| LayerSummary {
                images: images.get(&layer.chain_id).cloned().unwrap_or_default(),
                containers: containers
                    .iter()
                    .filter(|c| c.driver == layer.driver && c.parent == Some(layer.chain_id))
                    .count() as u64,
                chain_id: layer.chain_id.to_string(),
                diff_id: layer.diff_id.to_string(),
                parent: layer.parent.map(|parent| parent.to_string()),
                driver: layer.driver,
                dir: layer.dir.as_str().to_owned(),
                size: layer.size,
                created: layer.created.as_second(),
            })
            .collect())
    }

    /// Everything about a layer, by chain ID, diff ID, folder, or a prefix of one.
    pub fn inspect_layer(&self, layer: &str) -> Result<serde_json::Value, Error> {
        let layer = self.find_layer(layer)?;
        let driver = self.driver(&layer.driver)?;
        let content = driver.content(layer.dir.as_str())?;
        let (changes, format) = content.map(|(dir, format)| (dir.path().to_owned(), format)).unzip();
        let depth = self.store.read(|view| view.layer_chain(driver.name(), &layer.chain_id))?.len();
        Ok(serde_json::json!({
            "ChainID": layer.chain_id.to_string(),
            "DiffID": layer.diff_id.to_string(),
            "Parent": layer.parent.map(|parent| parent.to_string()),
            "Driver": layer.driver,
            "Dir": layer.dir.as_str(),
            "ChangesDir": changes,
            "Whiteouts": format.unwrap_or(Whiteouts::None),
            "Depth": depth,
            "Size": layer.size,
            "TarSize": layer.raw_size,
            "Entries": layer.entries,
            "Framing": layer.framing.map(|framing| framing.to_string()),
            "Created": layer.created.to_string(),
        }))
    }

    /// A layer of the current driver, where that is known, or else of any that has it.
    pub(crate) fn find_layer(&self, name: &str) -> Result<Layer, Error> {
        let current = self.current_driver_name().ok().flatten();
        Ok(self.store.read(|view| {
            let mut drivers = view.drivers_in_use()?;
            drivers.sort_by_key(|driver| Some(driver) != current.as_ref());
            let mut missing = None;
            for driver in &drivers {
                match view.find_layer(driver, name) {
                    Err(error @ nacre_store::Error::NotFound { .. }) => missing = Some(error),
                    found => return found,
                }
            }
            let kind = nacre_store::Kind::Layer;
            Err(missing.unwrap_or_else(|| nacre_store::Error::NotFound { kind, name: name.to_owned() }))
        })?)
    }

    /// Read a layer as the very tar that it was unpacked from.
    pub(crate) fn read_layer<T>(
        &self,
        layer: &Layer,
        work: impl FnOnce(&mut (dyn Read + Send)) -> T,
    ) -> Result<T, Error> {
        let source = self.layer_source(layer)?;
        let (content, framing) = &*source;
        let mut tar = reassemble(framing, content)?;
        Ok(work(&mut tar))
    }

    /// The directory and the framing that give back a layer's tar.
    pub(crate) fn layer_source(&self, layer: &Layer) -> Result<Opened<'_, (Dir, Vec<u8>)>, Error> {
        let framing = layer.framing.as_ref().ok_or_else(|| Error::Unsupported {
            what: format!("layer {} has nothing that tells its tar", layer.chain_id),
        })?;
        let framing = self.store.content().read_verified(framing)?;
        Ok(self.open_image_layer(layer)?.map(|(content, _)| (content, framing)))
    }

    /// Some layer with this content, whatever it stands on.
    pub(crate) fn layer_with_diff(&self, diff: &DiffId) -> Result<Layer, Error> {
        self.store
            .read(|view| view.layer_with_diff(diff))?
            .ok_or_else(|| Error::NotFound { kind: "layer", name: diff.to_string() })
    }
}
