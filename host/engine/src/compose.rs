//! Images made of layers that are here already: composed anew, or flattened into one.

use std::io::{self, Write};
use std::sync::Arc;

use jiff::Timestamp;
use nacre_archive::digest::{ChainId, DiffId};
use nacre_archive::image::config::ImageConfig;
use nacre_archive::layer::{BlobOptions, LayerError, PackOptions, UnpackOptions, Whiteouts, pack_tree};
use nacre_store::{Image, Layer, LayerId};
use nacre_sys::dir::Dir;
use serde_json::{Map, Value, json};

use crate::assemble::{Claim, Part, Parts, chain_ids};
use crate::driver::Driver;
use crate::files::{PipeFault, through_pipe, while_at};
use crate::image::parse_reference;
use crate::progress::{LayerStatus, NoProgress, Progress};
use crate::{Engine, Error};

/// The layers of a chain in one driver: those that were there, and copies of those that were not.
pub(crate) struct Gathered<'e> {
    /// It holds them there.
    pub claim: Claim<'e>,
    /// For an image's record, the base first; those to be made are missing with `--explain`.
    pub parts: Vec<Part<'e>>,
    /// Those that were made, the base first.
    pub made: Vec<ChainId>,
    /// Their folders, the newest first.
    pub dirs: Vec<String>,
}

impl Engine {
    /// An image's configuration, byte for byte as it was loaded: its SHA-256 is the image's ID.
    pub fn image_configuration(&self, image: &str) -> Result<Vec<u8>, Error> {
        self.config_bytes(&self.find_image(image)?)
    }

    /// Make an image of a configuration whose layers (`rootfs.diff_ids`) are all here, whatever they stand on: what is
    /// not yet on that chain is copied there, and verified on its way. Returns its ID.
    ///
    /// # Errors
    /// The configuration is none, or a layer is in no driver.
    pub fn compose(&self, configuration: &[u8], name: Option<&str>) -> Result<String, Error> {
        let diffs = ImageConfig::parse("the configuration", configuration)?.diff_ids;
        let references = name.map(parse_reference).transpose()?.into_iter().collect();
        let driver = self.current_driver()?;
        let anywhere = |_: &ChainId, diff: &DiffId| self.layer_with_diff(diff);
        let gathered = self.gather(&driver, &diffs, anywhere, &NoProgress)?;
        if self.config.explain {
            return Ok(String::new());
        }
        let parts = Parts { config: configuration.to_vec(), layers: gathered.parts, references };
        Ok(self.record_image(&driver, parts)?.id.to_string())
    }

    /// Make an image of one layer that has the tree and the configuration of an image. Returns its ID.
    pub fn flatten(&self, image: &str, name: Option<&str>) -> Result<String, Error> {
        let references = name.map(parse_reference).transpose()?.into_iter().collect();
        let (image, driver) = (self.find_image(image)?, self.current_driver()?);
        if self.config.explain {
            return self.explain_layer(&driver, &LayerId::random()?, Vec::new()).map(|()| String::new());
        }
        let configuration = self.config_bytes(&image)?;
        let filling = self.begin_layer(&driver, LayerId::random()?, Some(Vec::new()))?;
        let options = BlobOptions::new(UnpackOptions::new(Whiteouts::Overlay));
        let filled = self.pack_image(&image, |tar| filling.fill(tar, options))?;
        let diff = filled.blob().layer.diff_id;
        let claim = self.claim_chain(driver.name(), &[ChainId::of(None, diff)], |_| {})?;
        let layer = match claim.layers.first() {
            Some(Some(there)) => Part::Exists(Box::new(there.clone())),
            _ => Part::New(Box::new(filled)),
        };
        let config = flattened(&configuration, &image, diff)?;
        Ok(self.record_image(&driver, Parts { config, layers: vec![layer], references })?.id.to_string())
    }

    /// Write an image's whole tree as a tar.
    pub fn export_image(&self, image: &str, out: &mut (dyn Write + Send)) -> Result<(), Error> {
        let image = self.find_image(image)?;
        self.with_image_mount(&image, |root| {
            pack_tree(root, b"", b"", &PackOptions::default(), out).map_err(|error| unreadable(&image, error))
        })?;
        Ok(())
    }

    /// Pack an image's tree, for `work` to read meanwhile.
    fn pack_image<T: Send>(
        &self,
        image: &Image,
        work: impl FnOnce(io::PipeReader) -> Result<T, LayerError> + Send,
    ) -> Result<T, Error> {
        let (reader, writer) = io::pipe().map_err(|e| Error::io("make", "a pipe", e))?;
        self.with_image_mount(image, |root: &Dir| {
            std::thread::scope(|scope| {
                let packer = scope.spawn(move || pack_tree(root, b"", b"", &PackOptions::default(), writer));
                let outcome = work(reader);
                let packed = match packer.join() {
                    Ok(packed) => packed,
                    Err(panic) => std::panic::resume_unwind(panic),
                };
                through_pipe(packed, outcome).map_err(|fault| match fault {
                    PipeFault::Packer(error) => unreadable(image, error),
                    PipeFault::Reader(error) => error.into(),
                })
            })
        })
    }

    /// Have all layers of a chain in a driver, and hold them there. `source` tells where a layer is copied from.
    pub(crate) fn gather(
        &self,
        target: &Arc<Driver>,
        diffs: &[DiffId],
        source: impl Fn(&ChainId, &DiffId) -> Result<Layer, Error>,
        progress: &dyn Progress,
    ) -> Result<Gathered<'_>, Error> {
        let chains = chain_ids(diffs);
        let claim = self.claim_chain(target.name(), &chains, |_| {})?;
        let mut dirs: Vec<String> = Vec::new();
        let (mut parts, mut made) = (Vec::new(), Vec::new());
        for ((chain, diff), there) in chains.iter().zip(diffs).zip(&claim.layers) {
            let name = diff.to_string();
            if let Some(there) = there {
                progress.layer(&name, LayerStatus::Exists);
                dirs.insert(0, there.dir.as_str().to_owned());
                parts.push(Part::Exists(Box::new(there.clone())));
                continue;
            }
            made.push(*chain);
            let dir = LayerId::random()?;
            let source = source(chain, diff)?;
            if self.config.explain {
                self.explain_layer(target, &dir, dirs.clone())?;
            } else {
                progress.layer(&name, LayerStatus::Loading { done: 0, total: Some(source.raw_size) });
                let filling = self.begin_layer(target, dir.clone(), Some(dirs.clone()))?;
                let unpack = UnpackOptions::new(Whiteouts::Overlay);
                let blob = BlobOptions { diff_id: Some(*diff), ..BlobOptions::new(unpack) };
                let filled = self.read_layer(&source, |tar| filling.fill(tar, blob))?;
                let mut filled = filled.map_err(|source| Error::Layer { layer: name.clone(), source })?;
                filled.commit(dirs.clone())?;
                parts.push(Part::New(Box::new(filled)));
                progress.layer(&name, LayerStatus::Done);
            }
            dirs.insert(0, dir.as_str().to_owned());
        }
        Ok(Gathered { claim, parts, made, dirs })
    }
}

/// The configuration of an image with one layer in place of its layers.
fn flattened(configuration: &[u8], image: &Image, layer: DiffId) -> Result<Vec<u8>, Error> {
    let mut config: Map<String, Value> =
        serde_json::from_slice(configuration).map_err(nacre_store::Error::from)?;
    let created = Timestamp::now().to_string();
    let step = json!({ "created": created, "comment": format!("Flattened from {}", image.id) });
    config.insert("created".to_owned(), json!(created));
    config.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": [layer.to_string()] }));
    config.insert("history".to_owned(), json!([step]));
    Ok(serde_json::to_vec(&config).map_err(nacre_store::Error::from)?)
}

fn unreadable(image: &Image, error: LayerError) -> Error {
    match error {
        LayerError::Tree { name, op, source } => {
            Error::io("read", format!("{}:/{name}", image.id.short()), while_at(op, &source))
        }
        other => other.into(),
    }
}
