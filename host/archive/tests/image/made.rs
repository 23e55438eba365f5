//! Archives made by hand, and both ways of reading them.

use std::collections::HashMap;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use nacre_archive::compression::Compression;
use nacre_archive::digest::{DiffId, Digest};
use nacre_archive::image::source::{ArchiveStream, ImageManifest, Platform, Source};
use nacre_archive::image::{Error, Result};
use serde_json::{Value, json};

/// A tar that is put together entry by entry, and may be wrong in any way.
pub struct Outer(tar::Builder<Vec<u8>>);

impl Outer {
    pub fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    pub fn file(mut self, name: &str, bytes: &[u8]) -> Self {
        self.0.append(&header(name, tar::EntryType::Regular, bytes.len() as u64), bytes).unwrap();
        self
    }

    pub fn json(self, name: &str, value: &Value) -> Self {
        self.file(name, value.to_string().as_bytes())
    }

    /// A file under its digest, as a layout has it.
    pub fn blob(self, bytes: &[u8]) -> Self {
        self.file(&blob_name(bytes), bytes)
    }

    pub fn link(mut self, kind: tar::EntryType, name: &str, target: &str) -> Self {
        let mut header = header(name, kind, 0);
        header.as_mut_bytes()[157..157 + target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        self.0.append(&header, &[][..]).unwrap();
        self
    }

    pub fn special(mut self, kind: tar::EntryType, name: &str) -> Self {
        self.0.append(&header(name, kind, 0), &[][..]).unwrap();
        self
    }

    pub fn build(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// Without the checks of the crate, which would refuse what these tests are for.
fn header(name: &str, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    header
}

pub fn blob_name(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", Digest::of(bytes).hex())
}

pub fn layer(content: &str) -> Vec<u8> {
    Outer::new().file("file", content.as_bytes()).build()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

pub fn config(layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let config = json!({ "os": "linux", "architecture": Platform::host().architecture,
        "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    config.to_string().into_bytes()
}

pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": format!("application/vnd.{media_type}"),
        "digest": Digest::of(bytes), "size": bytes.len() })
}

pub const MANIFEST: &str = "oci.image.manifest.v1+json";
pub const INDEX: &str = "oci.image.index.v1+json";
pub const CONFIG: &str = "oci.image.config.v1+json";
pub const LAYER: &str = "oci.image.layer.v1.tar";

pub fn manifest(config: &[u8], layers: &[(&str, &[u8])]) -> Vec<u8> {
    let layers: Vec<_> = layers.iter().map(|(media_type, bytes)| descriptor(media_type, bytes)).collect();
    json!({ "schemaVersion": 2, "config": descriptor(CONFIG, config), "layers": layers })
        .to_string()
        .into_bytes()
}

pub fn index(manifests: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "manifests": manifests })
}

/// An image of one plain layer as a layout, with the name that a test wants to break.
pub fn simple_layout() -> Vec<u8> {
    let layer = layer("content");
    let config = config(&[&layer]);
    let manifest = manifest(&config, &[(LAYER, &layer)]);
    Outer::new()
        .blob(&layer)
        .blob(&config)
        .blob(&manifest)
        .json("index.json", &index(&[descriptor(MANIFEST, &manifest)]))
        .json("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))
        .build()
}

/// Read from a file, where one can jump about, and verify every layer.
pub fn by_index(archive: &[u8]) -> Result<Vec<ImageManifest>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), archive).unwrap();
    by_path(file.path())
}

/// Read whatever is there, and verify every layer.
pub fn by_path(path: &Path) -> Result<Vec<ImageManifest>> {
    match Source::open(path)? {
        Source::Stream(stream) => verified_stream(stream),
        Source::Index(archive) => {
            let images = archive.images(&Platform::host())?;
            for blob in images.iter().flat_map(|image| &image.layers) {
                let mut bytes = Vec::new();
                let mut reader = archive.open_blob(&blob.name)?;
                assert_eq!(reader.remaining(), blob.size);
                reader.read_to_end(&mut bytes).unwrap();
                verify(blob, &bytes);
            }
            Ok(images)
        }
    }
}

/// Read as from a pipe, and verify every layer.
pub fn by_stream(archive: &[u8]) -> Result<Vec<ImageManifest>> {
    verified_stream(ArchiveStream::new(Cursor::new(archive.to_vec()), "-".into()))
}

fn verified_stream(stream: ArchiveStream) -> Result<Vec<ImageManifest>> {
    let mut seen = HashMap::new();
    let images = stream.read(&Platform::host(), |name, size, bytes| {
        let mut content = Vec::new();
        let read = bytes.read_to_end(&mut content);
        read.map_err(|source| Error::Io { what: "read", path: name.into(), source })?;
        assert_eq!(content.len() as u64, size);
        assert!(seen.insert(name.to_owned(), content).is_none(), "{name} was announced twice");
        Ok::<_, Error>(())
    })?;
    for blob in images.iter().flat_map(|image| &image.layers) {
        verify(blob, &seen[&blob.name]);
    }
    Ok(images)
}

fn verify(blob: &nacre_archive::image::source::LayerBlob, bytes: &[u8]) {
    assert_eq!(bytes.len() as u64, blob.size);
    if let Some(digest) = blob.digest {
        assert_eq!(Digest::of(bytes), digest);
    }
    let mut plain = Vec::new();
    match blob.compression {
        Compression::Plain => plain.extend(bytes),
        Compression::Gzip => drop(flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain).unwrap()),
        Compression::Zstd => plain = zstd::decode_all(bytes).unwrap(),
    }
    assert_eq!(DiffId::new(Digest::of(&plain)), blob.diff_id);
}

/// Both ways must come to the same images.
pub fn both(archive: &[u8]) -> Vec<ImageManifest> {
    let images = by_index(archive).unwrap();
    let streamed = by_stream(archive).unwrap();
    assert_eq!(format!("{images:?}"), format!("{streamed:?}"));
    images
}

pub fn references(image: &ImageManifest) -> Vec<String> {
    image.references.iter().map(|reference| reference.familiar()).collect()
}
