//! Writing images as archives that nacre and others load.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use nacre_archive::digest::DiffId;
use nacre_archive::image::sink::{self, Format, LayerContent, SavedImage};
use nacre_archive::layer::reassemble;
use nacre_archive::reference::Reference;
use nacre_store::Layer;
use nacre_sys::dir::Dir;

use crate::progress::{LayerStatus, NoProgress, Progress};
use crate::tree::Opened;
use crate::types::SaveFormat;
use crate::{Engine, Error};

/// Where a saved archive goes.
#[derive(Debug, Clone)]
pub enum SaveTarget {
    /// A file, or for [`SaveFormat::OciDir`] a directory. It appears when it is complete.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// A layer that is read back from its directory.
struct SavedLayer<'a> {
    diff_id: DiffId,
    /// Bytes of its tar.
    size: u64,
    /// Its directory, and what tells its tar.
    source: Opened<'a, (Dir, Vec<u8>)>,
    progress: &'a dyn Progress,
}

impl LayerContent for SavedLayer<'_> {
    fn diff_id(&self) -> DiffId {
        self.diff_id
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        self.progress
            .layer(&self.diff_id.to_string(), LayerStatus::Loading { done: 0, total: Some(self.size) });
        let (content, framing) = &*self.source;
        let tar = reassemble(framing, content).map_err(io::Error::other)?;
        Ok(Box::new(tar))
    }
}

impl Engine {
    /// Write images, each with the name that it was asked for by, into one archive. Every layer is verified
    /// on its way: a damaged one is an error, and leaves no file.
    pub fn save(
        &self,
        images: &[String],
        format: SaveFormat,
        target: SaveTarget,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let mut wanted: BTreeMap<_, (Vec<u8>, Vec<Layer>, Vec<Reference>)> = BTreeMap::new();
        for name in images {
            let image = self.find_image(name)?;
            let config = self.config_bytes(&image)?;
            let layers = self.image_layers(&image)?;
            let entry = wanted.entry(image.id).or_insert((config, layers, Vec::new()));
            // An image that was asked for by its ID is saved without a name, as Docker does.
            if let Ok(reference) = crate::image::parse_reference(name)
                && image.tags.contains(&reference.to_string())
            {
                entry.2.push(reference);
            }
        }
        let mut layers: BTreeMap<DiffId, SavedLayer<'_>> = BTreeMap::new();
        for layer in wanted.values().flat_map(|(_, layers, _)| layers) {
            if let Entry::Vacant(vacant) = layers.entry(layer.diff_id) {
                vacant.insert(self.saved_layer(layer, progress)?);
            }
        }
        let saved: Vec<SavedImage<'_>> = wanted
            .values()
            .map(|(config, chain, references)| SavedImage {
                config,
                layers: chain
                    .iter()
                    .filter_map(|layer| layers.get(&layer.diff_id))
                    .map(|layer| layer as &dyn LayerContent)
                    .collect(),
                references: references.clone(),
            })
            .collect();
        write(&saved, format, target)?;
        for layer in layers.values() {
            progress.layer(&layer.diff_id.to_string(), LayerStatus::Done);
        }
        Ok(())
    }

    /// Write a layer, by chain ID, diff ID, folder or a prefix of one, as the tar that it was unpacked from. It is
    /// verified on its way: a damaged one is an error, and what was written is not to be used then.
    pub fn save_layer(&self, layer: &str, out: &mut dyn Write) -> Result<(), Error> {
        let layer = self.find_layer(layer)?;
        let saved = self.saved_layer(&layer, &NoProgress)?;
        Ok(sink::copy_layer(&saved, out, Path::new(&layer.diff_id.to_string()))?)
    }

    fn saved_layer<'a>(&'a self, layer: &Layer, progress: &'a dyn Progress) -> Result<SavedLayer<'a>, Error> {
        let source = self.layer_source(layer)?;
        progress.layer(&layer.diff_id.to_string(), LayerStatus::Waiting);
        Ok(SavedLayer { diff_id: layer.diff_id, size: layer.raw_size, source, progress })
    }
}

fn write(saved: &[SavedImage<'_>], format: SaveFormat, target: SaveTarget) -> Result<(), Error> {
    let tar = match format {
        SaveFormat::DockerArchive => Some(Format::DockerArchive),
        SaveFormat::OciArchive => Some(Format::OciArchive),
        SaveFormat::OciDir => None,
    };
    match (tar, target) {
        (Some(tar), SaveTarget::File(path)) => sink::save_file(tar, saved, &path)?,
        (Some(tar), SaveTarget::Stdout) => sink::write(tar, saved, &mut io::stdout().lock())?,
        (None, SaveTarget::File(path)) => sink::save_layout(saved, &path)?,
        (None, SaveTarget::Stdout) => {
            return Err(Error::Usage {
                what: "a directory cannot be written to standard output".to_owned(),
                help: Some("name a directory with -o, or use --format oci-archive".to_owned()),
            });
        }
    }
    Ok(())
}
