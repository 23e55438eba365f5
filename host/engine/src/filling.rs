//! New image layers: made, filled, sealed, and recorded together with the image that they belong to.

use std::sync::Arc;

use jiff::Timestamp;
use nacre_archive::digest::{ChainId, DiffId, Digest};
use nacre_archive::layer::{BlobOptions, LayerError, UnpackedBlob, reassemble, unpack_blob};
use nacre_plugin::plan::Step;
use nacre_plugin::types::{LayerKind, Whiteouts};
use nacre_store::{JournalId, Layer, LayerId, Owner, Publishing, Tx};
use nacre_sys::dir::Dir;

use crate::driver::{Driver, Operation};
use crate::journal::begun;
use crate::{Engine, Error, crash};

/// A layer that is there and that no record names yet. Dropped, it is undone; when the process dies, the
/// journal has it.
#[derive(Debug)]
pub(crate) struct Filling<'e> {
    engine: &'e Engine,
    driver: Arc<Driver>,
    dir: LayerId,
    /// Where it is filled; none once the layer was committed, which may unmount it.
    content: Option<Dir>,
    format: Whiteouts,
    journaled: Vec<(JournalId, Vec<Step>)>,
}

/// A layer that was filled and verified.
#[derive(Debug)]
pub(crate) struct Filled<'e> {
    filling: Filling<'e>,
    blob: UnpackedBlob,
}

/// A filled layer that has its place in a chain.
#[derive(Debug)]
pub(crate) struct Sealed<'e> {
    filled: Filled<'e>,
    framing: Digest,
    chain: ChainId,
    parent: Option<ChainId>,
}

impl Engine {
    /// Make a layer to be filled. Parents are none where they are not known yet.
    pub(crate) fn begin_layer(
        &self,
        driver: &Arc<Driver>,
        dir: LayerId,
        parents: Option<Vec<String>>,
    ) -> Result<Filling<'_>, Error> {
        let new = driver.create(dir.as_str(), LayerKind::Image, parents, &[])?;
        let entry = self.begin(driver, &new.plan)?;
        let made = self
            .run_steps(driver, &new.plan)
            .and_then(|()| driver.roots().open_own(&new.content).map_err(Error::from));
        match made {
            Ok(content) => Ok(Filling {
                engine: self,
                driver: driver.clone(),
                dir,
                content: Some(content),
                format: new.format,
                journaled: vec![(entry, new.plan.steps)],
            }),
            Err(error) => {
                self.give_up(driver, entry, begun(&new.plan.steps, &error));
                Err(error)
            }
        }
    }
}

impl<'e> Filling<'e> {
    /// Unpack a blob into the layer.
    pub(crate) fn fill(
        self,
        blob: impl std::io::Read + Send,
        options: BlobOptions<'_>,
    ) -> Result<Filled<'e>, LayerError> {
        let mut options = options;
        options.unpack.whiteouts = archive_format(self.format);
        let blob = unpack_blob(blob, self.open_content()?, &options)?;
        crash::at(Operation::Create, "fill");
        Ok(Filled { filling: self, blob })
    }

    fn open_content(&self) -> Result<&Dir, LayerError> {
        let closed = || LayerError::Output(std::io::Error::other("the layer was committed"));
        self.content.as_ref().ok_or_else(closed)
    }

    /// Run a further plan for the layer; it is undone with it.
    fn run(&mut self, plan: &crate::driver::Prepared) -> Result<(), Error> {
        let entry = self.engine.begin(&self.driver, plan)?;
        let outcome = self.engine.run_steps(&self.driver, plan);
        let steps = outcome.as_ref().err().map_or(&plan.steps[..], |error| begun(&plan.steps, error));
        self.journaled.push((entry, steps.to_vec()));
        outcome
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        // An open directory would keep its mount busy.
        self.content = None;
        for (entry, steps) in self.journaled.drain(..).rev() {
            self.engine.give_up(&self.driver, entry, &steps);
        }
    }
}

impl<'e> Filled<'e> {
    pub(crate) fn blob(&self) -> &UnpackedBlob {
        &self.blob
    }

    /// Read the layer as the tar that it was filled from.
    pub(crate) fn reassemble<T>(
        &self,
        work: impl FnOnce(&mut (dyn std::io::Read + Send)) -> Result<T, LayerError>,
    ) -> Result<T, LayerError> {
        work(&mut reassemble(&self.blob.layer.framing, self.filling.open_content()?)?)
    }

    /// Have the layer ready to be a parent, on a chain (folder names, newest first). It is done once.
    pub(crate) fn commit(&mut self, below: Vec<String>) -> Result<(), Error> {
        if self.filling.content.take().is_none() {
            return Ok(());
        }
        let plan = self.filling.driver.commit(self.filling.dir.as_str(), below)?;
        self.filling.run(&plan)
    }

    /// Give the layer its place on a chain (folder names, newest first), and put what the files do not
    /// tell of its tar into the content. Not synced yet.
    pub(crate) fn seal(
        mut self,
        publishing: &Publishing<'_>,
        parent: Option<ChainId>,
        below: Vec<String>,
    ) -> Result<Sealed<'e>, Error> {
        let engine = self.filling.engine;
        self.commit(below)?;
        let mut writer = engine.store.content().writer()?;
        writer.append(&self.blob.layer.framing)?;
        let framing = writer.finish_unsynced(publishing)?;
        Ok(Sealed { chain: ChainId::of(parent, self.blob.layer.diff_id), filled: self, framing, parent })
    }
}

impl Sealed<'_> {
    pub(crate) fn chain(&self) -> ChainId {
        self.chain
    }

    pub(crate) fn diff_id(&self) -> DiffId {
        self.filled.blob.layer.diff_id
    }

    pub(crate) fn size(&self) -> u64 {
        self.filled.blob.layer.content_bytes
    }

    pub(crate) fn dir(&self) -> &LayerId {
        &self.filled.filling.dir
    }

    /// Record the layer, and that nothing of it is to be undone after a crash. When the transaction was
    /// committed, [`Sealed::keep`] must follow.
    pub(crate) fn record(&self, tx: &Tx<'_>, owner: &Owner) -> Result<(), nacre_store::Error> {
        let UnpackedBlob { digest, layer, .. } = &self.filled.blob;
        let filling = &self.filled.filling;
        let driver = filling.driver.name();
        tx.add_layer(&Layer {
            driver: driver.to_owned(),
            chain_id: self.chain,
            diff_id: layer.diff_id,
            parent: self.parent,
            dir: filling.dir.clone(),
            size: layer.content_bytes,
            raw_size: layer.raw_bytes,
            entries: layer.entries,
            framing: Some(self.framing),
            created: Timestamp::now(),
        })?;
        tx.add_blob_diff(digest, &layer.diff_id)?;
        for (entry, steps) in &filling.journaled {
            tx.change_state(driver, &crate::journal::state_changes(steps))?;
            tx.journal_finish(owner, *entry)?;
        }
        Ok(())
    }

    /// The layer stays.
    pub(crate) fn keep(mut self) {
        self.filled.filling.journaled.clear();
    }
}

/// The same form of whiteouts in the words of the archive room.
pub(crate) fn archive_format(format: Whiteouts) -> nacre_archive::layer::Whiteouts {
    match format {
        Whiteouts::Overlay => nacre_archive::layer::Whiteouts::Overlay,
        Whiteouts::Aufs => nacre_archive::layer::Whiteouts::Aufs,
        Whiteouts::None => nacre_archive::layer::Whiteouts::Delete,
    }
}
