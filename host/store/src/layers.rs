//! Committed image layers.

use jiff::Timestamp;
use nacre_archive::digest::{ChainId, DiffId, Digest};
use rusqlite::{OptionalExtension, Row, named_params, params};

use crate::row::{Micros, Text, maybe_text, text, time};
use crate::{Error, Kind, LayerId, Owner, Result, Tx, View};

/// A committed image layer in a driver's home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The driver that holds it.
    pub driver: String,
    /// What it is, with all below it.
    pub chain_id: ChainId,
    /// What it is by itself.
    pub diff_id: DiffId,
    /// The layer below; none for a base layer.
    pub parent: Option<ChainId>,
    /// Its name in the driver's home.
    pub dir: LayerId,
    /// Bytes of file content, counted when it was unpacked.
    pub size: u64,
    /// Bytes of its uncompressed tar.
    pub raw_size: u64,
    /// Entries of its tar.
    pub entries: u64,
    /// The blob that, with the files, gives back its tar.
    pub framing: Option<Digest>,
    /// When it was committed here.
    pub created: Timestamp,
}

fn layer(row: &Row<'_>) -> rusqlite::Result<Layer> {
    Ok(Layer {
        driver: row.get("driver")?,
        chain_id: text(row, "chain_id")?,
        diff_id: text(row, "diff_id")?,
        parent: maybe_text(row, "parent_chain")?,
        dir: text(row, "dir")?,
        size: row.get("size")?,
        raw_size: row.get("raw_size")?,
        entries: row.get("entries")?,
        framing: maybe_text(row, "framing")?,
        created: time(row, "created")?,
    })
}

/// Layers that nothing needs. Image layers are needed in every driver, as an image does not say which.
const UNREFERENCED: &str = "
    WITH RECURSIVE
    needed (chain) AS (
        SELECT chain_id FROM image_layers
        UNION SELECT parent_chain FROM containers WHERE driver = ?1 AND parent_chain IS NOT NULL
        UNION SELECT chain_id FROM layer_holds WHERE driver = ?1
        UNION SELECT l.parent_chain FROM needed n JOIN layers l ON l.driver = ?1 AND l.chain_id = n.chain
              WHERE l.parent_chain IS NOT NULL
    ),
    depths (chain, depth) AS (
        SELECT chain_id, 0 FROM layers WHERE driver = ?1 AND parent_chain IS NULL
        UNION ALL
        SELECT l.chain_id, d.depth + 1 FROM depths d
        JOIN layers l ON l.driver = ?1 AND l.parent_chain = d.chain
    )
    SELECT l.* FROM layers l JOIN depths d ON d.chain = l.chain_id
    WHERE l.driver = ?1 AND l.chain_id NOT IN (SELECT chain FROM needed)
    ORDER BY d.depth DESC, l.chain_id";

impl View<'_> {
    /// A layer, where the driver has it.
    pub fn layer(&self, driver: &str, chain: &ChainId) -> Result<Option<Layer>> {
        let mut query = self.db.prepare_cached("SELECT * FROM layers WHERE driver = ?1 AND chain_id = ?2")?;
        Ok(query.query_row(params![driver, Text(chain)], layer).optional()?)
    }

    /// A layer and all below it, newest first; its depth is the length.
    ///
    /// # Errors
    /// [`Error::LayerMissing`] where the driver does not have the layer.
    pub fn layer_chain(&self, driver: &str, chain: &ChainId) -> Result<Vec<Layer>> {
        let mut query = self.db.prepare_cached(
            "WITH RECURSIVE stack (chain, depth) AS (
                 SELECT ?2, 0
                 UNION ALL
                 SELECT l.parent_chain, s.depth + 1 FROM stack s
                 JOIN layers l ON l.driver = ?1 AND l.chain_id = s.chain WHERE l.parent_chain IS NOT NULL
             )
             SELECT l.* FROM stack s JOIN layers l ON l.driver = ?1 AND l.chain_id = s.chain ORDER BY s.depth",
        )?;
        let layers: Vec<Layer> =
            query.query_map(params![driver, Text(chain)], layer)?.collect::<rusqlite::Result<_>>()?;
        if layers.is_empty() {
            return Err(Error::LayerMissing { driver: driver.to_owned(), layer: *chain });
        }
        Ok(layers)
    }

    /// The oldest layer with this content, whatever it stands on.
    pub fn layer_with_diff(&self, diff: &DiffId) -> Result<Option<Layer>> {
        let mut query =
            self.db.prepare_cached("SELECT * FROM layers WHERE diff_id = ?1 ORDER BY created LIMIT 1")?;
        Ok(query.query_row([Text(diff)], layer).optional()?)
    }

    /// All layers, of one driver or of all, oldest first.
    pub fn layers(&self, driver: Option<&str>) -> Result<Vec<Layer>> {
        let mut query = self.db.prepare_cached(
            "SELECT * FROM layers WHERE ?1 IS NULL OR driver = ?1 ORDER BY created, driver, chain_id",
        )?;
        Ok(query.query_map([driver], layer)?.collect::<rusqlite::Result<_>>()?)
    }

    /// A layer by chain ID, diff ID or directory, or by a prefix of one of them with or without `sha256:`.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Ambiguous`], whose candidates are chain IDs.
    pub fn find_layer(&self, driver: &str, name: &str) -> Result<Layer> {
        let digits = name.strip_prefix("sha256:").unwrap_or(name);
        let none = || Error::NotFound { kind: Kind::Layer, name: name.to_owned() };
        if digits.is_empty() || !crate::id::is_lower_hex(digits) {
            return Err(none());
        }
        let mut query = self.db.prepare_cached(
            "SELECT * FROM layers WHERE driver = :driver AND (
                 chain_id BETWEEN 'sha256:' || :digits AND 'sha256:' || :digits || 'g'
                 OR diff_id BETWEEN 'sha256:' || :digits AND 'sha256:' || :digits || 'g'
                 OR dir BETWEEN :digits AND :digits || 'g')
             ORDER BY chain_id LIMIT 8",
        )?;
        let found = query.query_map(named_params! { ":driver": driver, ":digits": digits }, layer)?;
        let mut found: Vec<Layer> = found.collect::<rusqlite::Result<_>>()?;
        // A whole chain ID may be another layer's diff ID: that of the base layer.
        if let Some(whole) = found.iter().position(|layer| layer.chain_id.hex() == digits) {
            return Ok(found.swap_remove(whole));
        }
        match found.len() {
            0 => Err(none()),
            1 => Ok(found.swap_remove(0)),
            _ => Err(Error::Ambiguous {
                kind: Kind::Layer,
                name: name.to_owned(),
                candidates: found.iter().map(|layer| layer.chain_id.to_string()).collect(),
            }),
        }
    }

    /// Which layer a compressed blob unpacks to, where that was seen before and such a layer is there.
    pub fn blob_diff(&self, blob: &Digest) -> Result<Option<DiffId>> {
        let mut query = self.db.prepare_cached("SELECT diff_id FROM blob_diffs WHERE blob = ?1")?;
        Ok(query.query_row([Text(blob)], |row| text(row, "diff_id")).optional()?)
    }

    /// Layers of a driver that no image, container, child or hold needs, children before their parents.
    pub fn unreferenced_layers(&self, driver: &str) -> Result<Vec<Layer>> {
        let mut query = self.db.prepare_cached(UNREFERENCED)?;
        Ok(query.query_map([driver], layer)?.collect::<rusqlite::Result<_>>()?)
    }

    /// Names of drivers that have layers or containers.
    pub fn drivers_in_use(&self) -> Result<Vec<String>> {
        let mut query = self
            .db
            .prepare_cached("SELECT driver FROM layers UNION SELECT driver FROM containers ORDER BY 1")?;
        Ok(query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }

    /// Who needs a layer, in words; none where it can be removed.
    fn layer_needed_by(&self, driver: &str, chain: &ChainId) -> Result<Option<String>> {
        let mut query = self.db.prepare_cached(
            "SELECT 'image ' || substr(image, 8, 12) FROM image_layers WHERE chain_id = ?1 LIMIT 1",
        )?;
        match query.query_row([Text(chain)], |row| row.get(0)).optional()? {
            Some(image) => Ok(Some(image)),
            None => self.copy_needed_by(driver, chain),
        }
    }

    /// Who needs a layer in this very driver.
    fn copy_needed_by(&self, driver: &str, chain: &ChainId) -> Result<Option<String>> {
        let mut query = self.db.prepare_cached(
            "SELECT 'container ' || name FROM containers WHERE driver = ?1 AND parent_chain = ?2
             UNION ALL SELECT 'layer ' || substr(chain_id, 8, 12) FROM layers WHERE driver = ?1 AND parent_chain = ?2
             UNION ALL SELECT 'an operation under way' FROM layer_holds WHERE driver = ?1 AND chain_id = ?2
             LIMIT 1",
        )?;
        Ok(query.query_row(params![driver, Text(chain)], |row| row.get(0)).optional()?)
    }
}

impl Tx<'_> {
    /// Record a layer whose data is complete and synced.
    ///
    /// # Errors
    /// [`Error::LayerExists`]; [`Error::LayerMissing`] names the parent.
    pub fn add_layer(&self, new: &Layer) -> Result<()> {
        if self.layer(&new.driver, &new.chain_id)?.is_some() {
            return Err(Error::LayerExists { driver: new.driver.clone(), layer: new.chain_id });
        }
        if let Some(parent) = new.parent {
            self.require_layer(&new.driver, &parent)?;
        }
        let mut insert = self.db.prepare_cached(
            "INSERT INTO layers (driver, chain_id, diff_id, parent_chain, dir, size, raw_size, entries, framing, created)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        insert.execute(params![
            new.driver,
            Text(new.chain_id),
            Text(new.diff_id),
            new.parent.map(Text),
            new.dir.as_str(),
            new.size,
            new.raw_size,
            new.entries,
            new.framing.map(Text),
            Micros(new.created),
        ])?;
        Ok(())
    }

    /// Forget a layer that nothing needs, in the transaction that writes its removal to the journal.
    ///
    /// # Errors
    /// [`Error::LayerMissing`], [`Error::LayerInUse`], [`Error::Mounted`].
    pub fn remove_layer(&self, driver: &str, chain: &ChainId) -> Result<Layer> {
        let gone = self.require_layer(driver, chain)?;
        if let Some(by) = self.layer_needed_by(driver, chain)? {
            return Err(Error::LayerInUse { driver: driver.to_owned(), layer: *chain, by });
        }
        self.require_unmounted(&gone.dir)?;
        self.db.execute(
            "DELETE FROM layers WHERE driver = ?1 AND chain_id = ?2",
            params![driver, Text(chain)],
        )?;
        self.db.execute(
            "DELETE FROM blob_diffs WHERE diff_id = ?1 AND NOT EXISTS (SELECT 1 FROM layers WHERE diff_id = ?1)",
            [Text(gone.diff_id)],
        )?;
        Ok(gone)
    }

    /// Forget a driver's copy of a layer that another driver has too: images do not need it here. In the
    /// transaction that writes its removal to the journal.
    ///
    /// # Errors
    /// [`Error::LayerMissing`] for either driver, [`Error::LayerInUse`], [`Error::Mounted`].
    pub fn remove_layer_copy(&self, driver: &str, chain: &ChainId, kept_in: &str) -> Result<Layer> {
        self.require_layer(kept_in, chain)?;
        let gone = self.require_layer(driver, chain)?;
        if let Some(by) = self.copy_needed_by(driver, chain)? {
            return Err(Error::LayerInUse { driver: driver.to_owned(), layer: *chain, by });
        }
        self.require_unmounted(&gone.dir)?;
        self.db.execute(
            "DELETE FROM layers WHERE driver = ?1 AND chain_id = ?2",
            params![driver, Text(chain)],
        )?;
        Ok(gone)
    }

    /// Remember which layer a compressed blob unpacks to, after that was verified.
    pub fn add_blob_diff(&self, blob: &Digest, diff: &DiffId) -> Result<()> {
        let mut insert =
            self.db.prepare_cached("INSERT OR REPLACE INTO blob_diffs (blob, diff_id) VALUES (?1, ?2)")?;
        insert.execute(params![Text(blob), Text(diff)])?;
        Ok(())
    }

    /// Keep layers that are there, or will be, from being removed until this process ends or lets them go.
    /// Then look which of them are there: those will stay.
    pub fn hold_layers(&self, owner: &Owner, driver: &str, chains: &[ChainId]) -> Result<()> {
        let mut insert = self.db.prepare_cached(
            "INSERT OR IGNORE INTO layer_holds (owner, driver, chain_id) VALUES (?1, ?2, ?3)",
        )?;
        for chain in chains {
            insert.execute(params![owner.token(), driver, Text(chain)])?;
        }
        Ok(())
    }

    /// Let layers go that this process held.
    pub fn release_layers(&self, owner: &Owner, driver: &str, chains: &[ChainId]) -> Result<()> {
        let mut delete = self
            .db
            .prepare_cached("DELETE FROM layer_holds WHERE owner = ?1 AND driver = ?2 AND chain_id = ?3")?;
        for chain in chains {
            delete.execute(params![owner.token(), driver, Text(chain)])?;
        }
        Ok(())
    }

    pub(crate) fn require_layer(&self, driver: &str, chain: &ChainId) -> Result<Layer> {
        self.layer(driver, chain)?
            .ok_or_else(|| Error::LayerMissing { driver: driver.to_owned(), layer: *chain })
    }
}
