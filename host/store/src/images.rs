//! Images and their names.

use std::collections::HashSet;

use jiff::Timestamp;
use nacre_archive::digest::{ChainId, DiffId, ImageId};
use rusqlite::{OptionalExtension, Row, params};

use crate::row::{Micros, Text, maybe_time, text};
use crate::{Error, Kind, Layer, Result, Tx, View};

/// An image. Its configuration, and with it its history, is the blob of the same digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The digest of its configuration.
    pub id: ImageId,
    /// When it was built, where the configuration says it.
    pub created: Option<Timestamp>,
    /// `amd64`, …
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// Bytes of all its layers.
    pub size: u64,
    /// Its names, normalised, in order; none for a dangling image.
    pub tags: Vec<String>,
    /// How many containers use it.
    pub containers: u64,
}

/// One layer of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLayer {
    /// What it is by itself.
    pub diff_id: DiffId,
    /// What it is with all below it.
    pub chain_id: ChainId,
}

/// An image to be recorded.
#[derive(Debug, Clone)]
pub struct NewImage {
    /// The digest of its configuration, which is in the content already.
    pub id: ImageId,
    /// When it was built, where the configuration says it.
    pub created: Option<Timestamp>,
    /// `amd64`, …
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// Bytes of all its layers.
    pub size: u64,
    /// Its diff IDs, the base layer first.
    pub layers: Vec<DiffId>,
}

/// What went away with an image.
#[derive(Debug, Clone)]
pub struct RemovedImage {
    /// The names that it had.
    pub tags: Vec<String>,
    /// Its layers that nothing needs any more, in any driver, children before their parents. They are still
    /// recorded: remove each with [`Tx::remove_layer`].
    pub layers: Vec<Layer>,
}

/// The diff IDs of a configuration with their chain IDs, the base layer first.
fn stack(diffs: &[DiffId]) -> impl Iterator<Item = ImageLayer> + '_ {
    diffs.iter().scan(None, |parent, &diff_id| {
        let chain_id = ChainId::of(*parent, diff_id);
        *parent = Some(chain_id);
        Some(ImageLayer { diff_id, chain_id })
    })
}

/// References have no line ends: one separates them.
const IMAGES: &str = "
    SELECT i.*, (SELECT group_concat(reference, char(10) ORDER BY reference) FROM tags WHERE image = i.id) AS tags,
           (SELECT count(*) FROM containers WHERE image = i.id) AS containers
    FROM images i";

fn image(row: &Row<'_>) -> rusqlite::Result<Image> {
    let tags: Option<String> = row.get("tags")?;
    Ok(Image {
        id: text(row, "id")?,
        created: maybe_time(row, "created")?,
        architecture: row.get("architecture")?,
        os: row.get("os")?,
        size: row.get("size")?,
        tags: tags.iter().flat_map(|tags| tags.split('\n')).map(str::to_owned).collect(),
        containers: row.get("containers")?,
    })
}

/// Those of `free`, children first, that are among `chains` and stand below no layer that is not: that one,
/// though nothing needs it, is not this image's to remove.
fn without_children_outside(free: Vec<Layer>, chains: &HashSet<ChainId>) -> Vec<Layer> {
    let mut kept_below = HashSet::new();
    let mut removable = free;
    removable.retain(|layer| {
        let goes = chains.contains(&layer.chain_id) && !kept_below.contains(&layer.chain_id);
        if !goes {
            kept_below.extend(layer.parent);
        }
        goes
    });
    removable
}

impl View<'_> {
    /// An image by its ID.
    pub fn image(&self, id: &ImageId) -> Result<Option<Image>> {
        let mut query = self.db.prepare_cached(&format!("{IMAGES} WHERE i.id = ?1"))?;
        Ok(query.query_row([Text(id)], image).optional()?)
    }

    /// All images, the newest first.
    pub fn images(&self) -> Result<Vec<Image>> {
        let mut query = self.db.prepare_cached(&format!("{IMAGES} ORDER BY i.created DESC, i.id"))?;
        Ok(query.query_map([], image)?.collect::<rusqlite::Result<_>>()?)
    }

    /// An image as a user names it: `reference` is that name in its normalised form, where it has one, and
    /// `name` as it was typed, which may be an ID or the beginning of one, with or without `sha256:`.
    /// A whole ID goes before a reference, a reference before a prefix.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ambiguous`].
    pub fn find_image(&self, name: &str, reference: Option<&str>) -> Result<Image> {
        let none = || Error::NotFound { kind: Kind::Image, name: name.to_owned() };
        let digits = name.strip_prefix("sha256:").unwrap_or(name);
        let may_be_id = !digits.is_empty() && digits.len() <= 64 && crate::id::is_lower_hex(digits);
        let tagged = match reference {
            Some(reference) if !(may_be_id && digits.len() == 64) => self.tagged(reference)?,
            _ => None,
        };
        if let Some(id) = tagged {
            return self.image(&id)?.ok_or_else(none);
        }
        if !may_be_id {
            return Err(none());
        }
        let mut query = self
            .db
            .prepare_cached(&format!("{IMAGES} WHERE i.id BETWEEN ?1 AND ?1 || 'g' ORDER BY i.id LIMIT 8"))?;
        let found = query.query_map([format!("sha256:{digits}")], image)?;
        let mut found: Vec<Image> = found.collect::<rusqlite::Result<_>>()?;
        match found.len() {
            0 => Err(none()),
            1 => Ok(found.swap_remove(0)),
            _ => Err(Error::Ambiguous {
                kind: Kind::Image,
                name: name.to_owned(),
                candidates: found.iter().map(|image| image.id.to_string()).collect(),
            }),
        }
    }

    /// The image that has this normalised name.
    pub fn tagged(&self, reference: &str) -> Result<Option<ImageId>> {
        let mut query = self.db.prepare_cached("SELECT image FROM tags WHERE reference = ?1")?;
        Ok(query.query_row([reference], |row| text(row, "image")).optional()?)
    }

    /// The layers of an image, the base first.
    pub fn image_layers(&self, id: &ImageId) -> Result<Vec<ImageLayer>> {
        let mut query = self.db.prepare_cached(
            "SELECT diff_id, chain_id FROM image_layers WHERE image = ?1 ORDER BY position",
        )?;
        let layers = query.query_map([Text(id)], |row| {
            Ok(ImageLayer { diff_id: text(row, "diff_id")?, chain_id: text(row, "chain_id")? })
        })?;
        Ok(layers.collect::<rusqlite::Result<_>>()?)
    }

    /// Which images stand on which layers: every pair, in the order of the chain IDs.
    pub fn layer_users(&self) -> Result<Vec<(ChainId, ImageId)>> {
        let mut query = self.db.prepare_cached("SELECT chain_id, image FROM image_layers ORDER BY 1, 2")?;
        let pairs = query.query_map([], |row| Ok((text(row, "chain_id")?, text(row, "image")?)))?;
        Ok(pairs.collect::<rusqlite::Result<_>>()?)
    }

    /// Images that no container uses: those without a name, or all of them.
    pub fn unused_images(&self, named_too: bool) -> Result<Vec<Image>> {
        let mut images = self.images()?;
        images.retain(|image| image.containers == 0 && (named_too || image.tags.is_empty()));
        Ok(images)
    }
}

impl Tx<'_> {
    /// Record an image whose layers `driver` has. To record it again changes nothing.
    ///
    /// # Errors
    /// [`Error::LayerMissing`].
    pub fn add_image(&self, new: &NewImage, driver: &str) -> Result<()> {
        for layer in stack(&new.layers) {
            self.require_layer(driver, &layer.chain_id)?;
        }
        let added = self.db.execute(
            "INSERT OR IGNORE INTO images (id, created, architecture, os, size) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![Text(new.id), new.created.map(Micros), new.architecture, new.os, new.size],
        )?;
        if added == 0 {
            return Ok(());
        }
        let mut insert = self.db.prepare_cached(
            "INSERT INTO image_layers (image, position, diff_id, chain_id) VALUES (?1, ?2, ?3, ?4)",
        )?;
        for (position, layer) in stack(&new.layers).enumerate() {
            insert.execute(params![Text(new.id), position, Text(layer.diff_id), Text(layer.chain_id)])?;
        }
        Ok(())
    }

    /// Give an image a normalised name; the image that had it before loses it, and is returned.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn tag(&self, reference: &str, id: &ImageId) -> Result<Option<ImageId>> {
        if self.image(id)?.is_none() {
            return Err(Error::NotFound { kind: Kind::Image, name: id.to_string() });
        }
        let before = self.tagged(reference)?.filter(|before| before != id);
        self.db.execute(
            "INSERT OR REPLACE INTO tags (reference, image) VALUES (?1, ?2)",
            params![reference, Text(id)],
        )?;
        Ok(before)
    }

    /// Take a name away; returns the image that had it.
    pub fn untag(&self, reference: &str) -> Result<Option<ImageId>> {
        let id = self.tagged(reference)?;
        self.db.execute("DELETE FROM tags WHERE reference = ?1", [reference])?;
        Ok(id)
    }

    /// Forget an image with its names.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::ImageInUse`] while containers use it.
    pub fn remove_image(&self, id: &ImageId) -> Result<RemovedImage> {
        let gone =
            self.image(id)?.ok_or_else(|| Error::NotFound { kind: Kind::Image, name: id.to_string() })?;
        let containers = self.container_names_of(id)?;
        if !containers.is_empty() {
            return Err(Error::ImageInUse { image: *id, containers });
        }
        let chains: HashSet<ChainId> = self.image_layers(id)?.iter().map(|layer| layer.chain_id).collect();
        self.db.execute("DELETE FROM images WHERE id = ?1", [Text(id)])?;
        let mut layers = Vec::new();
        for driver in self.drivers_in_use()? {
            let free = self.unreferenced_layers(&driver)?;
            layers.extend(without_children_outside(free, &chains));
        }
        Ok(RemovedImage { tags: gone.tags, layers })
    }

    fn container_names_of(&self, id: &ImageId) -> Result<Vec<String>> {
        let mut query =
            self.db.prepare_cached("SELECT name FROM containers WHERE image = ?1 ORDER BY name")?;
        Ok(query.query_map([Text(id)], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }
}
