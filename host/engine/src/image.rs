//! Images: listed, named, inspected, removed.

use std::collections::{BTreeMap, VecDeque};

use nacre_archive::image::config::{HistoryEntry as ConfigHistory, ImageConfig};
use nacre_archive::reference::Reference;
use nacre_store::{Image, ImageLayer, Layer, Tx, View};
use serde_json::json;

use crate::types::{HistoryEntry, ImageSummary, Removed};
use crate::{Engine, Error, event};

impl Engine {
    /// List images, the newest first, without their labels.
    pub fn images(&self) -> Result<Vec<ImageSummary>, Error> {
        self.summaries(|_| Ok(BTreeMap::new()))
    }

    /// List images with their labels, for which each image's configuration is read.
    pub fn images_with_labels(&self) -> Result<Vec<ImageSummary>, Error> {
        self.summaries(|image| Ok(self.image_config(image)?.config.labels))
    }

    fn summaries(
        &self,
        labels: impl Fn(&Image) -> Result<BTreeMap<String, String>, Error>,
    ) -> Result<Vec<ImageSummary>, Error> {
        let images = self.store.read(|view| view.images())?;
        images
            .into_iter()
            .map(|image| {
                Ok(ImageSummary {
                    id: image.id.to_string(),
                    references: image.tags.iter().map(|tag| familiar(tag)).collect(),
                    created: image.created.map(|t| t.as_second()),
                    size: image.size,
                    containers: image.containers,
                    labels: labels(&image)?,
                })
            })
            .collect()
    }

    /// Give an image a further name. An image that had it before loses it.
    pub fn tag(&self, image: &str, reference: &str) -> Result<(), Error> {
        self.refuse_to_explain("a name")?;
        self.observed(
            [&event::IMAGE_TAG, &event::IMAGE_TAGGED],
            || json!({ "image": image, "name": reference }),
            || self.tag_unheard(image, reference),
            event::nothing_more,
        )
    }

    fn tag_unheard(&self, image: &str, reference: &str) -> Result<(), Error> {
        let image = self.find_image(image)?;
        let reference = parse_reference(reference)?;
        if reference.tag().is_none() {
            return Err(Error::usage(format!("{reference} names a digest; a name for an image needs a tag")));
        }
        self.store.durable(|tx| tx.tag(&reference.to_string(), &image.id))?;
        Ok(())
    }

    /// How an image came to be, newest first.
    pub fn history(&self, image: &str) -> Result<Vec<HistoryEntry>, Error> {
        let image = self.find_image(image)?;
        let config = self.image_config(&image)?;
        let layers = self.image_layers(&image)?;
        let mut next = layers.iter();
        let mut entries: Vec<HistoryEntry> = config
            .history
            .iter()
            .map(|step| history_entry(step, if step.empty_layer { None } else { next.next() }))
            .collect();
        // Tools that write no history still have layers.
        entries.extend(next.map(|layer| history_entry(&ConfigHistory::default(), Some(layer))));
        entries.reverse();
        if let Some(newest) = entries.first_mut() {
            newest.id = Some(image.id.to_string());
        }
        Ok(entries)
    }

    /// Everything about an image, in Docker's words.
    pub fn inspect_image(&self, image: &str) -> Result<serde_json::Value, Error> {
        let image = self.find_image(image)?;
        let config = self.image_config(&image)?;
        let layers = self.image_layers(&image)?;
        let raw: serde_json::Value =
            serde_json::from_slice(&self.config_bytes(&image)?).map_err(nacre_store::Error::from)?;
        let dirs: Vec<_> = layers
            .iter()
            .rev()
            .map(|layer| self.root().join(&layer.driver).join(layer.dir.as_str()))
            .collect();
        Ok(serde_json::json!({
            "Id": image.id.to_string(),
            "RepoTags": image.tags.iter().map(|tag| familiar(tag)).collect::<Vec<_>>(),
            "Created": image.created.map(|t| t.to_string()),
            "Author": config.author,
            "Architecture": image.architecture,
            "Os": image.os,
            "Size": image.size,
            "VirtualSize": image.size,
            "Config": raw.get("config"),
            "GraphDriver": { "Name": layers.first().map(|layer| &layer.driver), "Data": { "LayerDirs": dirs } },
            "RootFS": {
                "Type": "layers",
                "Layers": config.diff_ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "ChainIDs": layers.iter().map(|layer| layer.chain_id.to_string()).collect::<Vec<_>>(),
            },
        }))
    }

    /// Take a name away from an image, and remove the image with its last one. By ID, `force` removes all
    /// its names. Layers that nothing else needs go with it; with `no_prune` they stay, for `image prune`.
    pub fn remove_image(&self, name: &str, force: bool, no_prune: bool) -> Result<Removed, Error> {
        self.observed(
            [&event::IMAGE_REMOVE, &event::IMAGE_REMOVED],
            || json!({ "image": name }),
            || self.remove_image_unheard(name, force, no_prune),
            |removed| json!({ "untagged": removed.untagged, "deleted": removed.deleted }),
        )
    }

    fn remove_image_unheard(&self, name: &str, force: bool, no_prune: bool) -> Result<Removed, Error> {
        self.make_room();
        let mut removed = Removed::default();
        while !self.remove_image_as_it_is(name, force, no_prune, &mut removed)? {
            // Somebody gave it a name or took one away meanwhile: what is to be done may be another thing.
        }
        Ok(removed)
    }

    /// As [`Engine::remove_image`]; false where the image's names changed meanwhile, and nothing was done.
    fn remove_image_as_it_is(
        &self,
        name: &str,
        force: bool,
        no_prune: bool,
        removed: &mut Removed,
    ) -> Result<bool, Error> {
        let image = self.find_image(name)?;
        let reference = parse_reference(name).ok().map(|r| r.to_string());
        let named = reference.filter(|reference| image.tags.contains(reference));
        if let Some(named) = named
            && image.tags.len() > 1
        {
            self.untag(&[named], removed)?;
            return Ok(true);
        }
        if image.tags.len() > 1 && !force {
            return Err(Error::Conflict {
                what: format!("image {} has several names: {}", image.id.short(), image.tags.join(", ")),
                help: "remove it by each of its names, or use --force".to_owned(),
            });
        }
        if image.containers > 0 && force && !image.tags.is_empty() {
            // As Docker: the names go, the image stays for its containers.
            self.untag(&image.tags, removed)?;
            return Ok(true);
        }
        self.drop_image(&image, no_prune, removed)
    }

    fn untag(&self, names: &[String], removed: &mut Removed) -> Result<(), Error> {
        if !self.config.explain {
            self.store.durable(|tx| names.iter().try_for_each(|name| tx.untag(name).map(drop)))?;
            removed.untagged.extend(names.iter().map(|name| familiar(name)));
        }
        Ok(())
    }

    /// Remove images that no container uses: those without a name, or with `all` the others too; then
    /// layers and content that nothing needs.
    pub fn prune_images(&self, all: bool) -> Result<Removed, Error> {
        self.make_room();
        let mut removed = Removed::default();
        for image in self.store.read(|view| view.unused_images(all))? {
            let dropped = self.observed(
                [&event::IMAGE_REMOVE, &event::IMAGE_REMOVED],
                || json!({ "image": image.id.to_string() }),
                || self.drop_image(&image, false, &mut removed),
                |_| json!({ "untagged": image.tags, "deleted": [image.id.to_string()] }),
            );
            match dropped {
                Err(Error::Refused { .. }) => {
                    tracing::warn!(image = image.id.short(), "it stays: a hook refused its removal");
                }
                // It went, or a container came, meanwhile.
                Err(Error::Store(
                    nacre_store::Error::NotFound { .. } | nacre_store::Error::ImageInUse { .. },
                )) => {}
                other => drop(other?),
            }
        }
        for driver in self.store.read(|view| view.drivers_in_use())? {
            let layers = self.store.read(|view| view.unreferenced_layers(&driver))?;
            self.drop_layers(layers, &mut removed)?;
        }
        if !self.config.explain {
            removed.bytes += self.store.sweep_content()?.iter().map(|(_, size)| size).sum::<u64>();
        }
        Ok(removed)
    }

    /// Remove an image with exactly these names; false where it has others by now.
    fn drop_image(&self, image: &Image, no_prune: bool, removed: &mut Removed) -> Result<bool, Error> {
        if self.config.explain {
            let gone = self.rehearse(|tx| tx.remove_image(&image.id))?;
            if !no_prune {
                self.drop_layers(gone.layers, removed)?;
            }
            return Ok(true);
        }
        let gone = self.store.durable(|tx| {
            let now = tx.image(&image.id)?;
            if now.is_some_and(|now| now.tags != image.tags) {
                return Ok(None);
            }
            tx.remove_image(&image.id).map(Some)
        })?;
        let Some(gone) = gone else { return Ok(false) };
        removed.untagged.extend(gone.tags.iter().map(|tag| familiar(tag)));
        removed.deleted.push(image.id.to_string());
        if !no_prune {
            self.drop_layers(gone.layers, removed)?;
        }
        self.store.sweep_content()?;
        Ok(true)
    }

    /// Remove layers, children before their parents. One that somebody needs again by now stays.
    ///
    /// The parent of one that goes is tried too, unless an image has it: whoever removed the parent's image
    /// meanwhile left it, because it still had this child.
    fn drop_layers(&self, layers: Vec<Layer>, removed: &mut Removed) -> Result<(), Error> {
        let mut left = VecDeque::from(layers);
        while let Some(layer) = left.pop_front() {
            let driver = match self.driver(&layer.driver) {
                // The records stay, and a later prune removes it: only this driver's layers have to wait.
                Err(error) if error.is_of_driver() => {
                    tracing::warn!(layer = layer.chain_id.short(), %error, "the layer stays");
                    continue;
                }
                driver => driver?,
            };
            let _lock = self.store.lock_layer(&layer.driver, &layer.chain_id)?;
            let fields =
                || json!({ "driver": layer.driver, "layer": layer.chain_id.to_string(), "size": layer.size });
            // What somebody needs stays anyway.
            let goes =
                || self.rehearse(|tx| tx.remove_layer(&layer.driver, &layer.chain_id).map(drop)).is_ok();
            if self.is_heard()
                && goes()
                && let Err(error) = self.announce(&event::LAYER_REMOVE, fields)
            {
                tracing::warn!(layer = layer.chain_id.short(), %error, "the layer stays");
                continue;
            }
            let plan = driver.remove(layer.dir.as_str())?;
            let forget = |tx: &Tx<'_>| match tx.remove_layer(&layer.driver, &layer.chain_id)? {
                gone if gone.dir == layer.dir => Ok(()),
                // It went, and was loaded anew into another folder, before this had its lock.
                _ => Err(nacre_store::Error::LayerMissing {
                    driver: layer.driver.clone(),
                    layer: layer.chain_id,
                }),
            };
            let keep_in_journal = None::<fn(&Tx<'_>) -> Result<(), nacre_store::Error>>;
            match self.unmake(&driver, &plan, forget, keep_in_journal) {
                Err(Error::Store(
                    nacre_store::Error::LayerInUse { .. } | nacre_store::Error::LayerMissing { .. },
                )) => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    self.tell(&event::LAYER_REMOVED, fields);
                    removed.deleted.push(layer.chain_id.to_string());
                    removed.bytes += layer.size;
                    if let Some(parent) = &layer.parent
                        && !self.config.explain
                        && !left.iter().any(|next| next.chain_id == *parent)
                    {
                        left.extend(self.store.read(|view| view.layer(&layer.driver, parent))?);
                    }
                }
            }
        }
        Ok(())
    }

    /// An image by name, ID or ID prefix.
    pub(crate) fn find_image(&self, name: &str) -> Result<Image, Error> {
        self.find_image_and(name, |_, image| Ok(image))
    }

    /// An image, and its layers, the base first: one look, since the image may go between two.
    pub(crate) fn find_image_and_layers(&self, name: &str) -> Result<(Image, Vec<ImageLayer>), Error> {
        self.find_image_and(name, |view, image| {
            let layers = view.image_layers(&image.id)?;
            Ok((image, layers))
        })
    }

    fn find_image_and<T>(
        &self,
        name: &str,
        look: impl FnOnce(&View<'_>, Image) -> Result<T, nacre_store::Error>,
    ) -> Result<T, Error> {
        let reference = parse_reference(name).ok().map(|reference| reference.to_string());
        Ok(self.store.read(|view| look(view, view.find_image(name, reference.as_deref())?))?)
    }

    /// The chain IDs of an image's layers, the base first.
    pub fn image_chain(&self, name: &str) -> Result<Vec<String>, Error> {
        let (_, layers) = self.find_image_and_layers(name)?;
        Ok(layers.iter().map(|layer| layer.chain_id.to_string()).collect())
    }

    /// An image's configuration, as it was loaded.
    pub(crate) fn config_bytes(&self, image: &Image) -> Result<Vec<u8>, Error> {
        Ok(self.store.content().read_verified(image.id.digest())?)
    }

    pub(crate) fn image_config(&self, image: &Image) -> Result<ImageConfig, Error> {
        Ok(ImageConfig::parse(&image.id.to_string(), &self.config_bytes(image)?)?)
    }

    /// The image's layers, the base first, as the current driver holds them or else another one.
    pub(crate) fn image_layers(&self, image: &Image) -> Result<Vec<Layer>, Error> {
        let layers = self.store.read(|view| view.image_layers(&image.id))?;
        let Some(ImageLayer { chain_id, .. }) = layers.last() else { return Ok(Vec::new()) };
        // Where several drivers have layers, none may be current; to read, any will do.
        let current = self.current_driver_name().ok().flatten();
        let mut chain = self.store.read(|view| {
            let mut drivers = view.drivers_in_use()?;
            drivers.sort_by_key(|driver| Some(driver) != current.as_ref());
            let mut holders = drivers.iter().filter_map(|driver| view.layer_chain(driver, chain_id).ok());
            match holders.next() {
                Some(chain) => Ok(chain),
                None => view.layer_chain(drivers.first().map_or("any driver", String::as_str), chain_id),
            }
        })?;
        chain.reverse();
        Ok(chain)
    }

    /// The names of all images by ID, in their familiar form; the short ID for one without a name.
    pub(crate) fn image_names(&self) -> Result<BTreeMap<nacre_archive::digest::ImageId, String>, Error> {
        let images = self.store.read(|view| view.images())?;
        Ok(images
            .into_iter()
            .map(|image| {
                let name = image.tags.first().map_or_else(|| image.id.short(), |tag| familiar(tag));
                (image.id, name)
            })
            .collect())
    }
}

fn history_entry(step: &ConfigHistory, layer: Option<&Layer>) -> HistoryEntry {
    HistoryEntry {
        id: None,
        created: step.created.map(|t| t.as_second()),
        created_by: step.created_by.clone(),
        size: layer.map_or(0, |layer| layer.size),
        comment: step.comment.clone(),
        layer: layer.map(|layer| layer.diff_id.to_string()),
    }
}

/// A name as people write it.
pub(crate) fn parse_reference(text: &str) -> Result<Reference, Error> {
    text.parse().map_err(|source: nacre_archive::reference::ParseReferenceError| Error::Usage {
        what: format!("{text:?} is not an image's name: {source}"),
        help: Some("names are lower-case, such as debian:12 or example.org/team/app:1.0".to_owned()),
    })
}

/// A normalised name as people see it.
pub(crate) fn familiar(normalised: &str) -> String {
    normalised.parse::<Reference>().map_or_else(|_| normalised.to_owned(), |reference| reference.familiar())
}
