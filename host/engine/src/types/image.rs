//! Images and their layers: loaded, listed, committed, saved.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

/// Where an image archive comes from.
#[derive(Debug, Clone)]
pub enum LoadSource {
    /// A file, or a directory that is an OCI layout.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// Bounds on what an archive may unpack to.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The most bytes that one layer may unpack to; none means the built-in bound.
    pub max_layer_bytes: Option<u64>,
    /// The most entries that one layer may have; none means the built-in bound.
    pub max_layer_entries: Option<u64>,
}

/// An image that was loaded.
#[derive(Debug, Clone, Serialize)]
pub struct LoadedImage {
    /// `sha256:…`, the digest of its configuration.
    pub id: String,
    /// The names that it has now, in their familiar form.
    pub references: Vec<String>,
}

/// An image in a listing.
#[derive(Debug, Clone, Serialize)]
pub struct ImageSummary {
    /// `sha256:…`.
    pub id: String,
    /// Its names in their familiar form (`debian:latest`); none for a dangling image.
    pub references: Vec<String>,
    /// Seconds since the epoch, where the configuration says it.
    pub created: Option<i64>,
    /// Bytes of all its layers.
    pub size: u64,
    /// How many containers use it.
    pub containers: u64,
    /// Labels of its configuration.
    pub labels: BTreeMap<String, String>,
}

/// One line of an image's history, newest first.
#[derive(Debug, Clone, Serialize)]
pub struct HistoryEntry {
    /// The image's ID for the newest line, and none (`<missing>`) for the others, as Docker prints.
    pub id: Option<String>,
    /// Seconds since the epoch.
    pub created: Option<i64>,
    /// The instruction that made it.
    pub created_by: String,
    /// Bytes of its layer, 0 for an empty one.
    pub size: u64,
    /// A comment.
    pub comment: String,
    /// The diff ID of its layer, none for an empty one.
    pub layer: Option<String>,
}

/// What to call a committed image and what to change in its configuration.
#[derive(Debug, Clone)]
pub struct CommitOptions {
    /// Who made it.
    pub author: Option<String>,
    /// Why.
    pub message: Option<String>,
    /// Dockerfile instructions such as `CMD ["sh"]`.
    pub changes: Vec<String>,
    /// Its name; none leaves it dangling.
    pub reference: Option<String>,
    /// A running container is held still while its changes are read.
    pub pause: bool,
}

impl Default for CommitOptions {
    fn default() -> Self {
        Self { author: None, message: None, changes: Vec::new(), reference: None, pause: true }
    }
}

/// The form of a saved archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SaveFormat {
    /// A docker-archive that is an OCI layout too, as `docker save` writes.
    #[default]
    DockerArchive,
    /// An OCI layout in a tar.
    OciArchive,
    /// An OCI layout in a directory.
    OciDir,
}

/// What a layer does to a path of the layers below it.
#[derive(Debug, Clone)]
pub struct LayerChange {
    /// `A` (added), `C` (changed) or `D` (deleted).
    pub kind: char,
    /// Absolute; bytes, as names need not be UTF-8.
    pub path: Vec<u8>,
    /// Bytes that the layer has there, where it is a file.
    pub size: u64,
    /// Bytes of files below that nobody sees any more through this layer.
    pub hidden: u64,
}

/// A layer in a listing.
#[derive(Debug, Clone, Serialize)]
pub struct LayerSummary {
    /// `sha256:…`, the OCI chain ID.
    pub chain_id: String,
    /// `sha256:…`, the digest of its uncompressed tar.
    pub diff_id: String,
    /// The chain ID of its parent.
    pub parent: Option<String>,
    /// The driver that holds it.
    pub driver: String,
    /// The name of its directory in the driver's home.
    pub dir: String,
    /// Bytes that it adds.
    pub size: u64,
    /// Seconds since the epoch, of its commit here.
    pub created: i64,
    /// The images that stand on it, by name or short ID.
    pub images: Vec<String>,
    /// How many containers' writable layers stand directly on it.
    pub containers: u64,
}
