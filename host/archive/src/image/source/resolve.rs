//! From the documents of an archive to its images. The same for every kind of archive.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::digest::{Digest, ImageId};
use crate::reference::Reference;

use crate::compression::Compression;

use super::super::spec::{self, Descriptor, DockerImage, Foreign};
use super::super::{Error, MAX_IMAGES, MAX_INDEX_DEPTH, MAX_LAYERS, Result, config};
use super::{ImageManifest, LayerBlob, Platform};

/// An archive, as far as finding its images needs it.
pub(super) trait Contents {
    /// For messages.
    fn path(&self) -> &Path;
    /// Whether there is an entry of that name.
    fn contains(&self, name: &str) -> Result<bool>;
    /// A document.
    fn json(&self, name: &str) -> Result<Option<Vec<u8>>>;
    /// What is known of a layer without reading it.
    fn layer(&self, name: &str) -> Result<Option<Layer>>;
}

pub(super) struct Layer {
    /// The file's own name, if `name` was a link.
    pub name: String,
    pub size: u64,
    pub compression: Compression,
}

/// All images. A newer docker-archive is an OCI layout too; then that is read, because it has digests of
/// the layers' bytes, and `manifest.json` only adds names.
pub(super) fn images(contents: &dyn Contents, platform: &Platform) -> Result<Vec<ImageManifest>> {
    let docker = match contents.json("manifest.json")? {
        Some(bytes) => parse::<Vec<DockerImage>>("manifest.json", &bytes)?,
        None => Vec::new(),
    };
    if docker.len() > MAX_IMAGES {
        return Err(Error::TooManyImages { name: "manifest.json".to_owned() });
    }
    if contents.contains("index.json")? {
        let mut images = Layout { contents, platform }.images()?;
        for image in &docker {
            let digest = digest_in_name(&image.config);
            if let Some(known) = images.iter_mut().find(|known| Some(*known.id.digest()) == digest) {
                add_names(known, docker_references(image)?);
            }
        }
        return Ok(images);
    }
    if docker.is_empty() {
        return Err(Error::NoImage { path: contents.path().to_owned() });
    }
    let mut images = Vec::new();
    for image in &docker {
        merge(&mut images, docker_image(contents, image)?);
    }
    Ok(images)
}

/// The same image twice is one image with both names.
fn merge(images: &mut Vec<ImageManifest>, image: ImageManifest) {
    match images.iter_mut().find(|known| known.id == image.id) {
        Some(known) => {
            add_names(known, image.references);
            for name in image.bare_names {
                if !known.bare_names.contains(&name) {
                    known.bare_names.push(name);
                }
            }
        }
        None => images.push(image),
    }
}

fn add_names(image: &mut ImageManifest, references: Vec<Reference>) {
    for reference in references {
        if !image.references.contains(&reference) {
            image.references.push(reference);
        }
    }
}

fn docker_references(image: &DockerImage) -> Result<Vec<Reference>> {
    let tags = image.repo_tags.iter().filter(|tag| !tag.starts_with("<none>"));
    tags.map(|tag| {
        tag.parse().map_err(|source| Error::Reference { name: "manifest.json".to_owned(), source })
    })
    .collect()
}

fn docker_image(contents: &dyn Contents, image: &DockerImage) -> Result<ImageManifest> {
    let missing =
        |name: &str| Error::Missing { name: name.to_owned(), wanted_by: "manifest.json".to_owned() };
    let name = clean(&image.config)?;
    let config = contents.json(&name)?.ok_or_else(|| missing(&name))?;
    let actual = Digest::of(&config);
    if let Some(expected) = digest_in_name(&image.config).filter(|expected| *expected != actual) {
        return Err(Error::WrongDigest { name, expected, actual });
    }
    let diff_ids = config::diff_ids(&name, &config)?;
    check_layer_count(&name, image.layers.len(), diff_ids.len())?;
    let mut layers = Vec::with_capacity(diff_ids.len());
    for (layer, diff_id) in image.layers.iter().zip(diff_ids) {
        let layer = clean(layer)?;
        let Layer { name, size, compression } = contents.layer(&layer)?.ok_or_else(|| missing(&layer))?;
        layers.push(LayerBlob { name, digest: None, size, compression, diff_id });
    }
    Ok(ImageManifest {
        id: ImageId::new(actual),
        config,
        layers,
        references: docker_references(image)?,
        bare_names: Vec::new(),
        manifest: None,
    })
}

fn clean(name: &str) -> Result<String> {
    let unsafe_name = || Error::UnsafeName { name: name.chars().take(256).collect() };
    super::names::clean(name.as_bytes())?.ok_or_else(unsafe_name)
}

/// The digest that a configuration is named by: `<hex>.json`, `blobs/sha256/<hex>` or `sha256:<hex>`. Some
/// tools call it `config.json`.
fn digest_in_name(name: &str) -> Option<Digest> {
    let last = name.rsplit('/').next()?;
    let stem = last.strip_suffix(".json").unwrap_or(last);
    Digest::from_hex(stem.strip_prefix("sha256:").unwrap_or(stem)).ok()
}

fn check_layer_count(name: &str, layers: usize, diff_ids: usize) -> Result<()> {
    if layers != diff_ids {
        return Err(Error::LayerCount { name: name.to_owned(), layers, diff_ids });
    }
    if layers > MAX_LAYERS {
        return Err(Error::TooManyLayers { name: name.to_owned(), layers });
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|source| Error::Json { name: name.to_owned(), source })
}

fn digest(name: &str, text: &str) -> Result<Digest> {
    text.parse().map_err(|source| Error::Digest { name: name.to_owned(), source })
}

fn check_version(name: &str, version: u64) -> Result<()> {
    if version == 2 { Ok(()) } else { Err(Error::SchemaVersion { name: name.to_owned(), version }) }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// An OCI layout (OCI image-spec, image-layout.md).
struct Layout<'a> {
    contents: &'a dyn Contents,
    platform: &'a Platform,
}

impl Layout<'_> {
    fn images(&self) -> Result<Vec<ImageManifest>> {
        let name = "index.json";
        let missing = || Error::NoImage { path: self.contents.path().to_owned() };
        let index = self.index(name, &self.contents.json(name)?.ok_or_else(missing)?, None)?;
        if index.manifests.len() > MAX_IMAGES {
            return Err(Error::TooManyImages { name: name.to_owned() });
        }
        let mut images = Vec::new();
        for (label, group) in grouped_by_name(&index.manifests) {
            for descriptor in self.suitable(name, &group)? {
                let mut image = self.image(descriptor, name, 0)?;
                name_image(&mut image, &label);
                merge(&mut images, image);
            }
        }
        if images.is_empty() { Err(missing()) } else { Ok(images) }
    }

    fn index(&self, name: &str, bytes: &[u8], referred_as: Option<&str>) -> Result<spec::Index> {
        let index: spec::Index = parse(name, bytes)?;
        check_version(name, index.schema_version)?;
        if index.layers.is_some() || index.config.is_some() {
            return Err(Error::Ambiguous { name: name.to_owned(), why: "it is an index and a manifest" });
        }
        check_media_type(name, index.media_type.as_deref(), referred_as)?;
        Ok(index)
    }

    /// Of entries that stand for one thing on several platforms: those for this one, or else the only one.
    fn suitable<'d>(&self, name: &str, group: &[&'d Descriptor]) -> Result<Vec<&'d Descriptor>> {
        let images: Vec<_> = group.iter().copied().filter(|descriptor| is_image(descriptor)).collect();
        let here: Vec<_> = (images.iter().copied())
            .filter(|descriptor| self.platform.runs(descriptor.platform.as_ref()))
            .collect();
        match (here.is_empty(), &images[..]) {
            (false, _) => Ok(here),
            (true, [] | [_]) => Ok(images),
            (true, several) => {
                let found = several.iter().filter_map(|descriptor| descriptor.platform.as_ref());
                let found: Vec<_> = found.take(20).map(|found| Platform::from(found).to_string()).collect();
                let wanted = self.platform.to_string();
                Err(Error::NoPlatform { name: name.to_owned(), wanted, found: found.join(", ") })
            }
        }
    }

    fn image(&self, descriptor: &Descriptor, wanted_by: &str, depth: usize) -> Result<ImageManifest> {
        let digest = digest(wanted_by, &descriptor.digest)?;
        let name = blob_name(&digest);
        match descriptor.media_type.as_str() {
            spec::OCI_MANIFEST | spec::DOCKER_MANIFEST => {
                let bytes = self.document(descriptor, wanted_by)?;
                self.manifest(&name, &bytes, digest, &descriptor.media_type)
            }
            spec::OCI_INDEX | spec::DOCKER_LIST if depth < MAX_INDEX_DEPTH => {
                let bytes = self.document(descriptor, wanted_by)?;
                let index = self.index(&name, &bytes, Some(&descriptor.media_type))?;
                let chosen = self.chosen(&name, &index)?;
                self.image(chosen, &name, depth + 1)
            }
            spec::OCI_INDEX | spec::DOCKER_LIST => Err(Error::TooDeep { name }),
            other => Err(unknown(&name, other, "an image")),
        }
    }

    /// The one image of a nested index that is meant for this machine. What is not in the archive does not
    /// count: an image is often saved for one of its platforms only.
    fn chosen<'d>(&self, name: &str, index: &'d spec::Index) -> Result<&'d Descriptor> {
        let mut present = Vec::new();
        for descriptor in &index.manifests {
            if self.contents.contains(&blob_name(&digest(name, &descriptor.digest)?))? {
                present.push(descriptor);
            }
        }
        let none = || match index.manifests.first() {
            Some(first) => Error::Missing { name: first.digest.clone(), wanted_by: name.to_owned() },
            None => Error::NoImage { path: self.contents.path().join(name) },
        };
        self.suitable(name, &present)?.into_iter().next().ok_or_else(none)
    }

    fn manifest(&self, name: &str, bytes: &[u8], digest: Digest, media_type: &str) -> Result<ImageManifest> {
        let manifest: spec::Manifest = parse(name, bytes)?;
        check_version(name, manifest.schema_version)?;
        if manifest.manifests.is_some() {
            return Err(Error::Ambiguous { name: name.to_owned(), why: "it is a manifest and an index" });
        }
        check_media_type(name, manifest.media_type.as_deref(), Some(media_type))?;
        if !matches!(manifest.config.media_type.as_str(), spec::OCI_CONFIG | spec::DOCKER_CONFIG) {
            return Err(unknown(name, &manifest.config.media_type, "an image's configuration"));
        }
        let config = self.document(&manifest.config, name)?;
        let diff_ids = config::diff_ids(&manifest.config.digest, &config)?;
        check_layer_count(name, manifest.layers.len(), diff_ids.len())?;
        let mut layers = Vec::with_capacity(diff_ids.len());
        for (descriptor, diff_id) in manifest.layers.iter().zip(diff_ids) {
            let (layer, digest) = self.layer(descriptor, name)?;
            let Layer { name, size, compression } = layer;
            layers.push(LayerBlob { name, digest: Some(digest), size, compression, diff_id });
        }
        Ok(ImageManifest {
            id: ImageId::new(Digest::of(&config)),
            config,
            layers,
            references: Vec::new(),
            bare_names: Vec::new(),
            manifest: Some(digest),
        })
    }

    fn layer(&self, descriptor: &Descriptor, wanted_by: &str) -> Result<(Layer, Digest)> {
        let digest = digest(wanted_by, &descriptor.digest)?;
        let name = blob_name(&digest);
        let Some(Foreign(foreign)) = spec::layer_type(&descriptor.media_type) else {
            return Err(unknown(&name, &descriptor.media_type, "a layer"));
        };
        match self.contents.layer(&name)? {
            Some(layer) => {
                check_size(&name, descriptor.size, layer.size)?;
                Ok((layer, digest))
            }
            None if foreign => {
                let url = descriptor.urls.first().cloned().unwrap_or_else(|| "an unknown place".to_owned());
                Err(Error::ForeignLayer { name, url })
            }
            None => Err(Error::Missing { name, wanted_by: wanted_by.to_owned() }),
        }
    }

    /// A document, verified against what refers to it.
    fn document(&self, descriptor: &Descriptor, wanted_by: &str) -> Result<Vec<u8>> {
        let expected = digest(wanted_by, &descriptor.digest)?;
        let name = blob_name(&expected);
        let Some(bytes) = self.contents.json(&name)? else {
            return Err(Error::Missing { name, wanted_by: wanted_by.to_owned() });
        };
        check_size(&name, descriptor.size, bytes.len() as u64)?;
        let actual = Digest::of(&bytes);
        if actual == expected { Ok(bytes) } else { Err(Error::WrongDigest { name, expected, actual }) }
    }
}

fn check_size(name: &str, expected: u64, actual: u64) -> Result<()> {
    if expected == actual {
        return Ok(());
    }
    Err(Error::WrongSize { name: name.to_owned(), expected, actual })
}

/// A document that calls itself something else than it was referred to as could be read in two ways
/// (CVE-2021-41190).
fn check_media_type(name: &str, own: Option<&str>, referred_as: Option<&str>) -> Result<()> {
    match (own.filter(|own| !own.is_empty()), referred_as) {
        (Some(own), Some(referred_as)) if own != referred_as => Err(Error::Ambiguous {
            name: name.to_owned(),
            why: "its media type is not that of its descriptor",
        }),
        (Some(own), None) if !matches!(own, spec::OCI_INDEX | spec::DOCKER_LIST) => {
            Err(unknown(name, own, "an index"))
        }
        _ => Ok(()),
    }
}

fn unknown(name: &str, media_type: &str, role: &'static str) -> Error {
    let media_type = media_type.chars().take(256).collect();
    Error::MediaType { name: name.to_owned(), media_type, role }
}

/// Provenance and the like are listed among images, for the platform `unknown/unknown`.
fn is_image(descriptor: &Descriptor) -> bool {
    let unknown = descriptor.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
    !unknown && !descriptor.annotations.contains_key(spec::ATTESTATION)
}

/// Entries with the same name are the same image for several platforms.
fn grouped_by_name(descriptors: &[Descriptor]) -> Vec<(Label, Vec<&Descriptor>)> {
    let mut order: Vec<(Label, Vec<&Descriptor>)> = Vec::new();
    let mut known: BTreeMap<Label, usize> = BTreeMap::new();
    for descriptor in descriptors {
        let label = Label {
            full: descriptor.annotations.get(spec::IMAGE_NAME).cloned(),
            short: descriptor.annotations.get(spec::REF_NAME).cloned(),
        };
        let at = *known.entry(label.clone()).or_insert_with(|| {
            order.push((label, Vec::new()));
            order.len() - 1
        });
        order[at].1.push(descriptor);
    }
    order
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Label {
    full: Option<String>,
    short: Option<String>,
}

/// The whole name if there is one; otherwise the short one, which is a reference only when it has a name
/// and a tag: a bare word could be either.
fn name_image(image: &mut ImageManifest, label: &Label) {
    let whole = label.full.as_deref().and_then(|full| full.parse().ok());
    let short = label.short.as_deref().filter(|short| short.contains(['/', ':']));
    match (whole.or_else(|| short.and_then(|short| short.parse().ok())), &label.short) {
        (Some(reference), _) => add_names(image, vec![reference]),
        (None, Some(short)) if !short.is_empty() => image.bare_names.push(short.chars().take(256).collect()),
        (None, _) => {}
    }
}
