//! New image layers: made, filled, sealed, and recorded together with the image that they belong to.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use nacre_archive::digest::{ChainId, DiffId, Digest};
use nacre_archive::layer::{BlobOptions, LayerError, UnpackedBlob, reassemble, unpack_blob};
use nacre_plugin::types::{LayerKind, Whiteouts};
use nacre_store::{JournalId, Layer, LayerId, Owner, Publishing, Tx};
use nacre_sys::dir::Dir;
use nacre_sys::sync::start_writeback;
use nacre_union::Stack;
use serde_json::json;

use crate::diff::layer;
use crate::driver::{Driver, Operation, Prepared};
use crate::{Engine, Error, crash, event};

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
    journaled: Vec<(JournalId, Prepared)>,
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
        let fields = || json!({ "driver": driver.name(), "layer": dir.as_str() });
        self.announce(&event::LAYER_CREATE, fields)?;
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
                journaled: vec![(entry, new.plan)],
            }),
            Err(error) => {
                self.give_up(driver, entry, &new.plan.begun(&error));
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
        // Less is left for the sync at the end.
        options.unpack.written = Some(start_writeback);
        let blob = unpack_blob(blob, self.open_content()?, &options)?;
        crash::at(Operation::Create, "fill");
        Ok(Filled { filling: self, blob })
    }

    fn open_content(&self) -> Result<&Dir, LayerError> {
        let closed = || LayerError::Output(std::io::Error::other("the layer was committed"));
        self.content.as_ref().ok_or_else(closed)
    }

    /// Run a further plan for the layer; it is undone with it.
    fn run(&mut self, plan: &Prepared) -> Result<(), Error> {
        let entry = self.engine.begin(&self.driver, plan)?;
        let outcome = self.engine.run_steps(&self.driver, plan);
        let to_undo = outcome.as_ref().err().map_or_else(|| plan.clone(), |error| plan.begun(error));
        self.journaled.push((entry, to_undo));
        outcome
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        // An open directory would keep its mount busy.
        self.content = None;
        for (entry, plan) in self.journaled.drain(..).rev() {
            self.engine.give_up(&self.driver, entry, &plan);
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
        if self.filling.content.is_none() {
            return Ok(());
        }
        self.adopt_implied(&below)?;
        // The plan may unmount it.
        self.filling.content = None;
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

impl Filled<'_> {
    /// Directories that the layer's tar only implies look as they do in the layers below, as containerd and umoci
    /// have it. What the layer was filled with without its parents could not know that.
    fn adopt_implied(&self, below: &[String]) -> Result<(), Error> {
        let Some(content) = &self.filling.content else { return Ok(()) };
        // A whole tree has them from its parent.
        if self.blob.layer.implied.is_empty() || self.filling.format == Whiteouts::None {
            return Ok(());
        }
        let mut layers = Vec::with_capacity(below.len());
        for dir in below {
            layers.extend(self.filling.driver.content(dir)?.map(layer));
        }
        let stack = Stack::new(layers);
        for path in &self.blob.layer.implied {
            let path = Path::new(OsStr::from_bytes(path));
            let lower = match stack.lookup(path) {
                Ok(Some(found)) if found.metadata.is_dir() => Dir::from_fd(found.open()?, found.path()),
                Ok(_) | Err(nacre_union::Error::NotADirectory { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            // A later entry may have put something else in its place.
            if content.stat(path).is_ok_and(|stat| is_directory(&stat)) {
                let own = content.sub(path)?;
                own.dress_as(&lower, is_overlays)?;
            }
        }
        Ok(())
    }
}

/// An attribute that overlayfs keeps for itself.
pub(crate) fn is_overlays(xattr: &[u8]) -> bool {
    [&b"trusted.overlay."[..], b"user.overlay."].iter().any(|own| xattr.starts_with(own))
}

fn is_directory(stat: &rustix::fs::Stat) -> bool {
    rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory
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
        for (entry, plan) in &filling.journaled {
            tx.change_state(driver, &crate::journal::state_changes(&plan.steps))?;
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
