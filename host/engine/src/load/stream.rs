//! Archives that come as a stream: a layer is unpacked when it comes by, before it is known where it belongs.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use nacre_archive::digest::DiffId;
use nacre_archive::image::source::{ArchiveStream, ImageManifest, LayerBlob, Platform};
use nacre_archive::layer::LayerError;
use nacre_store::LayerId;

use super::{Counted, Load};
use crate::Error;
use crate::assemble::{Claim, Part, digest_of_name};
use crate::filling::Filled;
use crate::types::LoadedImage;

impl<'e> Load<'e> {
    pub(super) fn stream(&self, archive: ArchiveStream) -> Result<Vec<LoadedImage>, Error> {
        if self.engine.config.explain || !self.driver.layout().detached {
            return Err(Error::Usage {
                what: "this needs an archive that can be read in any order".to_owned(),
                help: Some(
                    "save it to a file that is not compressed as a whole, and load that with -i".to_owned(),
                ),
            });
        }
        let mut streamed: HashMap<String, Filled<'e>> = HashMap::new();
        // What does not come by a second time stays until the images that need it are recorded.
        let mut twins: HashMap<DiffId, Claim<'e>> = HashMap::new();
        let images = archive.read(&Platform::host(), |name, size, bytes| {
            match self.known(name)? {
                Some((diff, twin)) => drop(twins.insert(diff, twin)),
                None => drop(streamed.insert(name.to_owned(), self.fill_from_stream(name, size, bytes)?)),
            }
            Ok::<_, Error>(())
        })?;
        images.into_iter().map(|image| self.streamed_image(image, &mut streamed, &twins)).collect()
    }

    /// A layer that this blob was unpacked to before, held.
    fn known(&self, name: &str) -> Result<Option<(DiffId, Claim<'e>)>, Error> {
        let Some(digest) = digest_of_name(name) else { return Ok(None) };
        let twin = self.engine.store.read(|view| match view.blob_diff(&digest)? {
            Some(diff) => view.layer_with_diff(&diff),
            None => Ok(None),
        })?;
        let Some(twin) = twin else { return Ok(None) };
        let claim = self.engine.claim_chain(&twin.driver, &[twin.chain_id], |_| {})?;
        // It may have gone before it was held.
        let there = claim.layers.iter().all(Option::is_some);
        Ok(there.then_some((twin.diff_id, claim)))
    }

    fn fill_from_stream(&self, name: &str, size: u64, bytes: &mut dyn Read) -> Result<Filled<'e>, Error> {
        let filling = self.engine.begin_layer(&self.driver, LayerId::random()?, None)?;
        let mut options = self.blob_options();
        options.digest = digest_of_name(name);
        options.size = Some(size);
        let mut counted = Counted { inner: bytes, name, done: 0, total: size, progress: self.progress };
        let filled = through_pipe(&mut counted, |reader| filling.fill(reader, options))
            .map_err(|source| Error::Layer { layer: name.to_owned(), source })?;
        self.filled(name, &filled);
        Ok(filled)
    }

    /// An image whose layers came by before it was known.
    fn streamed_image(
        &self,
        image: ImageManifest,
        streamed: &mut HashMap<String, Filled<'e>>,
        twins: &HashMap<DiffId, Claim<'e>>,
    ) -> Result<LoadedImage, Error> {
        let claim = self.claim(&image)?;
        let mut layers = Vec::with_capacity(image.layers.len());
        for (blob, there) in image.layers.iter().zip(&claim.layers) {
            layers.push(match there {
                Some(layer) => Part::Exists(Box::new(layer.clone())),
                None => Part::New(Box::new(self.streamed_layer(blob, streamed, twins, &layers)?)),
            });
        }
        self.record(image, layers)
    }

    /// The layer that came by under a name; or, where it was known already and stands on another chain, a
    /// copy of what is there.
    fn streamed_layer(
        &self,
        blob: &LayerBlob,
        streamed: &mut HashMap<String, Filled<'e>>,
        twins: &HashMap<DiffId, Claim<'e>>,
        below: &[Part<'e>],
    ) -> Result<Filled<'e>, Error> {
        let layer_fault = |source| Error::Layer { layer: blob.diff_id.to_string(), source };
        if let Some(filled) = streamed.remove(&blob.name) {
            let actual = filled.blob().layer.diff_id;
            if actual != blob.diff_id {
                return Err(layer_fault(LayerError::DiffId { expected: blob.diff_id, actual }));
            }
            if let Some(expected) = blob.digest.filter(|digest| *digest != filled.blob().digest) {
                return Err(layer_fault(LayerError::BlobDigest { expected, actual: filled.blob().digest }));
            }
            return Ok(filled);
        }
        let mut options = self.blob_options();
        options.diff_id = Some(blob.diff_id);
        let filling = self.engine.begin_layer(&self.driver, LayerId::random()?, None)?;
        if let Some(Part::New(twin)) =
            below.iter().find(|part| matches!(part, Part::New(f) if f.blob().layer.diff_id == blob.diff_id))
        {
            return twin.reassemble(|tar| filling.fill(tar, options)).map_err(layer_fault);
        }
        let held = twins.get(&blob.diff_id).and_then(|claim| claim.layers.iter().flatten().next());
        let twin = match held {
            Some(layer) => layer.clone(),
            None => self.engine.layer_with_diff(&blob.diff_id)?,
        };
        self.engine.read_layer(&twin, |tar| filling.fill(tar, options))?.map_err(layer_fault)
    }
}

/// Hand what a reader of this thread gives to `work`, which may read on other threads.
fn through_pipe<T: Send>(
    from: &mut dyn Read,
    work: impl FnOnce(io::PipeReader) -> Result<T, LayerError> + Send,
) -> Result<T, LayerError> {
    let broken = |source| LayerError::Read { offset: 0, source };
    let (reader, mut writer) = io::pipe().map_err(broken)?;
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| work(reader));
        let pumped = pump(from, &mut writer);
        drop(writer);
        match worker.join() {
            Ok(Ok(value)) => pumped.map(|()| value).map_err(broken),
            Ok(Err(error)) => Err(pumped.err().map_or(error, broken)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Copy until the end, or until nobody reads any more.
fn pump(from: &mut dyn Read, to: &mut io::PipeWriter) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        match to.write_all(buffer.get(..count).unwrap_or_default()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
    }
}
