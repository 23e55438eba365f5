//! Writing image archives.
//!
//! [`Format::DockerArchive`] is what Docker writes since version 25: a docker-archive that is an OCI layout
//! too, so that Docker, Podman, skopeo and containerd, old and new, load it. [`Format::OciArchive`] is the
//! layout alone. Either can be written to any stream ([`write()`]) or to a file ([`save_file`]);
//! [`save_layout`] makes the layout as a directory.
//!
//! Layers are written uncompressed, which makes a blob's digest the layer's diff ID: the documents are
//! known before the first layer is read, so one pass is enough, even into a pipe, and they come first. A
//! layer that several images share is written once. The bytes depend on the images alone: no times, no
//! owners, a fixed order.
//!
//! Every layer is hashed on its way. One that is not what its diff ID says is an error; no file is left
//! behind then, and a stream ends without the two blocks that close a tar.

mod documents;
mod file;

use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::digest::{DiffId, Hasher};
use crate::reference::Reference;

use super::{Error, Result};

pub use file::{save_file, save_layout};

use documents::Documents;

/// The kind of archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A tar for `docker load`, and an OCI layout at the same time.
    DockerArchive,
    /// A tar of an OCI layout.
    OciArchive,
}

/// A layer that can be read, by whoever keeps layers.
pub trait LayerContent {
    /// What it is.
    fn diff_id(&self) -> DiffId;
    /// The length of its uncompressed tar in bytes.
    fn size(&self) -> u64;
    /// Its uncompressed tar, from the start.
    fn open(&self) -> io::Result<Box<dyn Read + '_>>;
}

/// An image that is to be written.
pub struct SavedImage<'a> {
    /// Its configuration, byte for byte.
    pub config: &'a [u8],
    /// Its layers, the base first: those that the configuration lists.
    pub layers: Vec<&'a dyn LayerContent>,
    /// The names that it is to have in the archive. None is allowed.
    pub references: Vec<Reference>,
}

impl fmt::Debug for SavedImage<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SavedImage")
            .field("layers", &self.layers.iter().map(|layer| layer.diff_id()).collect::<Vec<_>>())
            .field("references", &self.references)
            .finish_non_exhaustive()
    }
}

/// Write an archive as a tar to any stream, `-` in messages. Writes in large pieces; needs no buffer.
pub fn write(format: Format, images: &[SavedImage<'_>], out: &mut dyn Write) -> Result<()> {
    write_tar(&Documents::of(format, images)?, out, Path::new("-"))
}

fn write_tar(documents: &Documents<'_>, out: &mut dyn Write, path: &Path) -> Result<()> {
    let fail = |source| Error::Io { what: "write", path: path.to_owned(), source };
    let mut buffer = io::BufWriter::with_capacity(64 << 10, out);
    for folder in ["blobs/", "blobs/sha256/"] {
        buffer
            .write_all(header(folder, tar::EntryType::Directory, 0).map_err(fail)?.as_bytes())
            .map_err(fail)?;
    }
    for (name, bytes) in &documents.files {
        let size = bytes.len() as u64;
        let header = header(name, tar::EntryType::Regular, size).map_err(fail)?;
        buffer.write_all(header.as_bytes()).map_err(fail)?;
        buffer.write_all(bytes).and_then(|()| pad(&mut buffer, size)).map_err(fail)?;
    }
    for layer in &documents.layers {
        let header =
            header(&layer_name(layer.diff_id()), tar::EntryType::Regular, layer.size()).map_err(fail)?;
        buffer.write_all(header.as_bytes()).map_err(fail)?;
        copy_layer(*layer, &mut buffer, path)?;
        pad(&mut buffer, layer.size()).map_err(fail)?;
    }
    buffer.write_all(&[0; 1024]).and_then(|()| buffer.flush()).map_err(fail)
}

fn layer_name(diff_id: DiffId) -> String {
    format!("blobs/sha256/{}", diff_id.hex())
}

fn header(name: &str, kind: tar::EntryType, size: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(kind);
    header.set_mode(if kind.is_dir() { 0o755 } else { 0o644 });
    header.set_size(size);
    header.set_cksum();
    Ok(header)
}

fn pad(out: &mut dyn Write, size: u64) -> io::Result<()> {
    let rest = (size % 512) as usize;
    if rest == 0 { Ok(()) } else { out.write_all(&[0; 512][rest..]) }
}

/// Copy a layer, and verify it on its way. `path` is what is written, for messages.
pub fn copy_layer(layer: &dyn LayerContent, out: &mut dyn Write, path: &Path) -> Result<()> {
    const PIECE: usize = 1 << 20;
    let (expected, size) = (layer.diff_id(), layer.size());
    let unreadable = |source| Error::LayerRead { layer: expected, source };
    let mut content = layer.open().map_err(unreadable)?;
    let mut buffer = vec![0; PIECE];
    let mut hasher = Hasher::new();
    let mut left = size;
    loop {
        let count = match content.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(unreadable)?,
        };
        if count == 0 {
            break;
        }
        let length = Error::LayerLength { layer: expected, expected: size };
        left = left.checked_sub(count as u64).ok_or(length)?;
        hasher.update(&buffer[..count]);
        let written = out.write_all(&buffer[..count]);
        written.map_err(|source| Error::Io { what: "write", path: path.to_owned(), source })?;
    }
    if left > 0 {
        return Err(Error::LayerLength { layer: expected, expected: size });
    }
    let actual = DiffId::new(hasher.finish());
    if actual == expected { Ok(()) } else { Err(Error::LayerChanged { expected, actual }) }
}
