use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use crate::digest::{DiffId, Digest};
use crate::reference::Reference;

use super::super::spec::{self, Descriptor, DockerImage};
use super::super::{Error, Result, config};
use super::{Format, LayerContent, SavedImage, layer_name};

/// Everything of an archive but the layers' content.
pub(super) struct Documents<'a> {
    /// Names and content, sorted.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Each layer once, in the order in which the images have them.
    pub layers: Vec<&'a dyn LayerContent>,
}

impl<'a> Documents<'a> {
    pub fn of(format: Format, images: &[SavedImage<'a>]) -> Result<Self> {
        let mut documents = Self { files: BTreeMap::new(), layers: Vec::new() };
        let mut written = HashSet::new();
        let mut index = Vec::new();
        for image in images {
            check(image)?;
            index.extend(documents.add_image(image)?);
            documents.layers.extend(image.layers.iter().filter(|layer| written.insert(layer.diff_id())));
        }
        let media_type = Some(spec::OCI_INDEX.to_owned());
        let index =
            spec::Index { schema_version: 2, media_type, manifests: index, layers: None, config: None };
        documents.add("index.json", &index)?;
        documents.add("oci-layout", &serde_json::json!({ "imageLayoutVersion": "1.0.0" }))?;
        if format == Format::DockerArchive {
            documents.add("manifest.json", &images.iter().map(docker_image).collect::<Vec<_>>())?;
            documents.add("repositories", &repositories(images))?;
        }
        Ok(documents)
    }

    /// Add an image's manifest and configuration. Returns its entries in the index: one for each name.
    fn add_image(&mut self, image: &SavedImage<'_>) -> Result<Vec<Descriptor>> {
        let config = self.add_blob(image.config.to_vec(), spec::OCI_CONFIG);
        let layers = image
            .layers
            .iter()
            .map(|layer| descriptor(spec::OCI_LAYER, *layer.diff_id().digest(), layer.size()));
        let manifest = spec::Manifest {
            schema_version: 2,
            media_type: Some(spec::OCI_MANIFEST.to_owned()),
            config,
            layers: layers.collect(),
            manifests: None,
        };
        let mut manifest = self.add_blob(encode("manifest", &manifest)?, spec::OCI_MANIFEST);
        manifest.platform = platform(image.config);
        if image.references.is_empty() {
            return Ok(vec![manifest]);
        }
        let named = image.references.iter().map(|reference| {
            let names = [spec::REF_NAME, spec::IMAGE_NAME].map(|key| (key.to_owned(), reference.to_string()));
            Descriptor { annotations: BTreeMap::from(names), ..manifest.clone() }
        });
        Ok(named.collect())
    }

    fn add_blob(&mut self, bytes: Vec<u8>, media_type: &str) -> Descriptor {
        let descriptor = descriptor(media_type, Digest::of(&bytes), bytes.len() as u64);
        self.files.insert(layer_name(DiffId::new(Digest::of(&bytes))), bytes);
        descriptor
    }

    fn add(&mut self, name: &str, document: &impl Serialize) -> Result<()> {
        self.files.insert(name.to_owned(), encode(name, document)?);
        Ok(())
    }
}

fn encode(name: &str, document: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(document).map_err(|source| Error::Json { name: name.to_owned(), source })
}

fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: digest.to_string(),
        size,
        urls: Vec::new(),
        annotations: BTreeMap::new(),
        platform: None,
    }
}

/// The configuration must list just these layers, or nobody could load the image.
fn check(image: &SavedImage<'_>) -> Result<()> {
    let name = Digest::of(image.config).to_string();
    let listed = config::diff_ids(&name, image.config)?;
    if listed.len() != image.layers.len() {
        return Err(Error::LayerCount { name, layers: image.layers.len(), diff_ids: listed.len() });
    }
    let differs = listed.iter().zip(&image.layers).find(|(listed, layer)| **listed != layer.diff_id());
    match differs {
        Some((&expected, layer)) => Err(Error::LayerChanged { expected, actual: layer.diff_id() }),
        None => Ok(()),
    }
}

/// What the configuration says that the image is made for, if it says both things that a reader must have.
fn platform(config: &[u8]) -> Option<spec::Platform> {
    let platform: spec::Platform = serde_json::from_slice(config).ok()?;
    (!platform.os.is_empty() && !platform.architecture.is_empty()).then_some(platform)
}

fn docker_image(image: &SavedImage<'_>) -> DockerImage {
    DockerImage {
        config: layer_name(DiffId::new(Digest::of(image.config))),
        repo_tags: tagged(image).map(ToString::to_string).collect(),
        layers: image.layers.iter().map(|layer| layer_name(layer.diff_id())).collect(),
    }
}

/// A docker-archive knows no names with a digest. Names are written whole: Podman takes `debian:12` in a
/// docker-archive for `localhost/debian:12`, and Docker reads either.
fn tagged<'i>(image: &'i SavedImage<'_>) -> impl Iterator<Item = &'i Reference> {
    image.references.iter().filter(|reference| reference.digest().is_none())
}

/// The names again, for readers from before `manifest.json`: repository → tag → topmost layer.
fn repositories(images: &[SavedImage<'_>]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for image in images {
        let Some(top) = image.layers.last() else { continue };
        for reference in tagged(image) {
            if let Some(tag) = reference.tag() {
                let name = format!("{}/{}", reference.registry(), reference.repository());
                let tags = repositories.entry(name).or_default();
                tags.insert(tag.to_owned(), top.diff_id().hex());
            }
        }
    }
    repositories
}
