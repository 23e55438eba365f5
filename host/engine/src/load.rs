//! Loading images from archives.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nacre_archive::digest::DiffId;
use nacre_archive::image::source::{ArchiveIndex, ArchiveStream, ImageManifest, LayerBlob, Platform, Source};
use nacre_archive::layer::{BlobOptions, LayerError, Limits, Monitor, UnpackOptions, Whiteouts};
use nacre_archive::reference::Reference;
use nacre_store::LayerId;

use crate::assemble::{Claim, Part, Parts, chain_ids, digest_of_name};
use crate::driver::Driver;
use crate::filling::{Filled, Filling};
use crate::progress::{LayerStatus, Progress};
use crate::types::{LoadOptions, LoadSource, LoadedImage};
use crate::{Engine, Error};

impl Engine {
    /// Load every image of an archive. An image whose load fails leaves nothing behind; those that were
    /// loaded before it stay.
    pub fn load(
        &self,
        source: LoadSource,
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Vec<LoadedImage>, Error> {
        let source = match source {
            LoadSource::File(path) => Source::open(&path)?,
            LoadSource::Stdin => Source::stdin()?,
        };
        let driver = self.current_driver()?;
        let load = Load { engine: self, driver, options, progress, monitor: Monitor::new() };
        match source {
            Source::Index(archive) => load.index(&archive),
            Source::Stream(archive) => load.stream(archive),
        }
    }
}

/// One run of `load`.
struct Load<'e> {
    engine: &'e Engine,
    driver: Arc<Driver>,
    options: &'e LoadOptions,
    progress: &'e dyn Progress,
    monitor: Monitor,
}

/// A layer of a chain that is to be filled: its place in the chain, its blob, and its folder.
struct Job<'a, 'e> {
    position: usize,
    blob: &'a LayerBlob,
    filling: Filling<'e>,
}

/// Layers that may stand on one another: a load that fails takes them down from the top.
struct Tower<'e>(Vec<Option<Filled<'e>>>);

impl Drop for Tower<'_> {
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}

impl<'e> Load<'e> {
    fn index(&self, archive: &ArchiveIndex) -> Result<Vec<LoadedImage>, Error> {
        let images = archive.images(&Platform::host())?;
        images.into_iter().map(|image| self.index_image(archive, image)).collect()
    }

    fn index_image(&self, archive: &ArchiveIndex, image: ImageManifest) -> Result<LoadedImage, Error> {
        let claim = self.claim(&image)?;
        let new = self.fill_missing(archive, &image.layers, &claim)?;
        if self.engine.config.explain {
            return Ok(self.loaded(&image.id.to_string(), &references(&image)));
        }
        let layers = claim
            .layers
            .iter()
            .zip(new)
            .filter_map(|(there, new)| match there {
                Some(layer) => Some(Part::Exists(Box::new(layer.clone()))),
                None => new.map(|new| Part::New(Box::new(new))),
            })
            .collect();
        self.record(image, layers)
    }

    /// Claim the layers of an image, and tell which of them are there.
    fn claim(&self, image: &ImageManifest) -> Result<Claim<'e>, Error> {
        let diffs: Vec<DiffId> = image.layers.iter().map(|layer| layer.diff_id).collect();
        let name = |i: usize| diffs.get(i).map(ToString::to_string).unwrap_or_default();
        for i in 0..diffs.len() {
            self.progress.layer(&name(i), LayerStatus::Waiting);
        }
        let claim = self.engine.claim_chain(self.driver.name(), &chain_ids(&diffs), |i| {
            self.progress.layer(&name(i), LayerStatus::WaitingForOther);
        })?;
        for (i, _) in claim.layers.iter().enumerate().filter(|(_, layer)| layer.is_some()) {
            self.progress.layer(&name(i), LayerStatus::Exists);
        }
        Ok(claim)
    }

    /// Make and fill the layers of a chain that are not there. Their folders are made first, from the base
    /// upwards: a chain that is too deep is refused before a byte is unpacked.
    fn fill_missing(
        &self,
        archive: &ArchiveIndex,
        blobs: &[LayerBlob],
        claim: &Claim<'e>,
    ) -> Result<Vec<Option<Filled<'e>>>, Error> {
        let mut below: Vec<String> = Vec::new();
        let mut jobs = Vec::new();
        let mut filled = Tower(blobs.iter().map(|_| None).collect());
        for (position, (blob, there)) in blobs.iter().zip(&claim.layers).enumerate() {
            let dir = match there {
                Some(layer) => layer.dir.clone(),
                None => {
                    let dir = LayerId::random()?;
                    if self.engine.config.explain {
                        self.engine.explain_layer(&self.driver, &dir, below.clone())?;
                    } else {
                        let filling =
                            self.engine.begin_layer(&self.driver, dir.clone(), Some(below.clone()))?;
                        let job = Job { position, blob, filling };
                        if self.driver.layout().detached {
                            jobs.push(job);
                        } else if let Some(slot) = filled.0.get_mut(position) {
                            let mut layer = self.fill(archive, job)?;
                            layer.commit(below.clone())?;
                            *slot = Some(layer);
                        }
                    }
                    dir
                }
            };
            below.insert(0, dir.as_str().to_owned());
        }
        for (position, layer) in self.fill_side_by_side(archive, jobs)? {
            if let Some(slot) = filled.0.get_mut(position) {
                *slot = Some(layer);
            }
        }
        Ok(std::mem::take(&mut filled.0))
    }

    /// Fill layers on as many threads as there are processors, the largest first. The first error stops all.
    fn fill_side_by_side<'a>(
        &self,
        archive: &ArchiveIndex,
        mut jobs: Vec<Job<'a, 'e>>,
    ) -> Result<Vec<(usize, Filled<'e>)>, Error> {
        jobs.sort_by_key(|job| std::cmp::Reverse(job.blob.size));
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
        let count = jobs.len();
        let jobs: Vec<Mutex<Option<Job<'a, 'e>>>> =
            jobs.into_iter().map(|job| Mutex::new(Some(job))).collect();
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(count));
        let failed = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let Some(job) = lock(job).take() else { continue };
                        let position = job.position;
                        match self.fill(archive, job) {
                            Ok(filled) => lock(&done).push((position, filled)),
                            Err(error) => {
                                // Only the first failure is the cause; the others were cancelled for it.
                                lock(&failed).get_or_insert(error);
                                self.monitor.cancel();
                            }
                        }
                    }
                });
            }
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn fill(&self, archive: &ArchiveIndex, job: Job<'_, 'e>) -> Result<Filled<'e>, Error> {
        let blob = job.blob;
        let name = blob.diff_id.to_string();
        let reader = Counted {
            inner: archive.open_blob(&blob.name)?,
            name: &name,
            done: 0,
            total: blob.size,
            progress: self.progress,
        };
        let mut options = self.blob_options();
        options.digest = blob.digest;
        options.size = Some(blob.size);
        options.diff_id = Some(blob.diff_id);
        let filled = job
            .filling
            .fill(reader, options)
            .map_err(|source| Error::Layer { layer: name.clone(), source })?;
        self.filled(&name, &filled);
        Ok(filled)
    }

    fn filled(&self, name: &str, filled: &Filled<'_>) {
        for warning in &filled.blob().layer.warnings {
            self.progress.warning(&warning.to_string());
        }
        self.progress.layer(name, LayerStatus::Done);
    }

    fn blob_options(&self) -> BlobOptions<'_> {
        let mut limits = Limits::default();
        if let Some(bytes) = self.options.max_layer_bytes {
            limits.raw_bytes = bytes;
        }
        if let Some(entries) = self.options.max_layer_entries {
            limits.entries = entries;
        }
        // The form of whiteouts is the driver's choice, see `Filling::fill`.
        let unpack =
            UnpackOptions { limits, monitor: Some(&self.monitor), ..UnpackOptions::new(Whiteouts::Overlay) };
        BlobOptions::new(unpack)
    }

    fn stream(&self, archive: ArchiveStream) -> Result<Vec<LoadedImage>, Error> {
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

    fn record(&self, image: ImageManifest, layers: Vec<Part<'e>>) -> Result<LoadedImage, Error> {
        let references = references(&image);
        let parts = Parts { config: image.config, layers, references: references.clone() };
        let recorded = self.engine.record_image(&self.driver, parts)?;
        Ok(self.loaded(&recorded.id.to_string(), &references))
    }

    fn loaded(&self, id: &str, references: &[Reference]) -> LoadedImage {
        LoadedImage { id: id.to_owned(), references: references.iter().map(Reference::familiar).collect() }
    }
}

/// The names of an archive's image. A bare word in an OCI layout is taken for a name, as `docker load` has
/// no other use for it; `latest` alone names nothing.
fn references(image: &ImageManifest) -> Vec<Reference> {
    let bare = image.bare_names.iter().filter(|name| *name != "latest").filter_map(|name| name.parse().ok());
    image.references.iter().cloned().chain(bare).collect()
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

/// A reader that tells how far it is.
struct Counted<'a, R> {
    inner: R,
    name: &'a str,
    done: u64,
    total: u64,
    progress: &'a dyn Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.done += count as u64;
        self.progress.layer(self.name, LayerStatus::Loading { done: self.done, total: Some(self.total) });
        Ok(count)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
