//! Loading images from archives.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nacre_archive::digest::DiffId;
use nacre_archive::image::source::{ArchiveIndex, ImageManifest, LayerBlob, Platform, Source};
use nacre_archive::layer::{BlobOptions, Limits, Monitor, UnpackOptions, Whiteouts};
use nacre_archive::reference::Reference;
use nacre_store::LayerId;
use serde_json::json;

use crate::assemble::{Claim, Part, Parts, chain_ids};
use crate::driver::Driver;
use crate::filling::{Filled, Filling};
use crate::progress::{LayerStatus, Progress};
use crate::types::{LoadOptions, LoadSource, LoadedImage};
use crate::{Engine, Error, event};

mod stream;

impl Engine {
    /// Load every image of an archive. An image whose load fails leaves nothing behind; those that were
    /// loaded before it stay.
    pub fn load(
        &self,
        source: LoadSource,
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Vec<LoadedImage>, Error> {
        let name = source_name(&source);
        self.announce(&event::IMAGE_LOAD, || json!({ "source": name }))?;
        let loaded = self.load_unheard(source, options, progress)?;
        for LoadedImage { id, references } in &loaded {
            let fields = || json!({ "source": name, "id": id, "references": references });
            self.tell(&event::IMAGE_LOADED, fields);
        }
        self.tell_low_space();
        Ok(loaded)
    }

    fn load_unheard(
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

/// What is read, for people: a file, or `-` for standard input.
pub(crate) fn source_name(source: &LoadSource) -> String {
    match source {
        LoadSource::File(path) => path.display().to_string(),
        LoadSource::Stdin => "-".to_owned(),
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
