use std::io;
use std::path::PathBuf;

use crate::digest::{DiffId, Digest, ParseDigestError};
use crate::reference::ParseReferenceError;

use super::{MAX_ENTRIES, MAX_IMAGES, MAX_INDEX_DEPTH, MAX_JSON, MAX_JSON_TOTAL, MAX_LAYERS};

/// A result whose error is [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of somebody else's code that was called back.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why an image could not be read, derived or written. `name` is always the entry of the archive, or the
/// blob's name in the layout.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused something.
    #[error("{what} {}", path.display())]
    Io {
        /// What was tried: a verb that reads well before a path.
        what: &'static str,
        /// The file, or `-` for the standard stream.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Neither a tar nor a compressed tar.
    #[error("{} is not an image archive: {found}", path.display())]
    NotAnArchive {
        /// The file.
        path: PathBuf,
        /// What it starts with.
        found: &'static str,
    },
    /// A tar or a directory, but without `manifest.json` and `index.json`.
    #[error("{} holds no image: it has neither `manifest.json` nor `index.json`", path.display())]
    NoImage {
        /// The archive.
        path: PathBuf,
    },
    /// The outer tar is damaged.
    #[error("{} is damaged after `{after}`", path.display())]
    Tar {
        /// The archive.
        path: PathBuf,
        /// The last entry that was read whole.
        after: String,
        /// What is wrong.
        source: io::Error,
    },
    /// The archive ends before an entry does.
    #[error("the archive ends within `{name}`: {missing} bytes are missing")]
    Truncated {
        /// The entry.
        name: String,
        /// How many bytes are missing.
        missing: u64,
    },
    /// A name that is absolute or leaves the archive.
    #[error("the archive has an entry with the unsafe name `{name}`")]
    UnsafeName {
        /// The name as it is in the archive.
        name: String,
    },
    /// A link that leaves the archive.
    #[error("the archive has a link that leads out of it: `{name}` → `{target}`")]
    UnsafeLink {
        /// The link.
        name: String,
        /// What it points to.
        target: String,
    },
    /// Links that lead to each other.
    #[error("the link `{name}` leads to no file")]
    LinkLoop {
        /// The first link.
        name: String,
    },
    /// Two entries of one name, so that readers could disagree about what the archive holds.
    #[error("the archive has two entries with the name `{name}`")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// More than [`MAX_ENTRIES`].
    #[error("the archive has more than {MAX_ENTRIES} entries")]
    TooManyEntries,
    /// Something refers to an entry that is not there.
    #[error("`{name}` is not in the archive, but {wanted_by} refers to it")]
    Missing {
        /// What is not there.
        name: String,
        /// Which manifest or index wants it.
        wanted_by: String,
    },
    /// An entry that is read is a directory, a device, a sparse file.
    #[error("`{name}` is not a plain file")]
    NotAFile {
        /// The entry.
        name: String,
    },
    /// In a stream: an entry that an image has as a layer is neither a tar nor compressed.
    #[error("the layer `{name}` is neither a tar nor compressed with gzip or zstd")]
    NotALayer {
        /// The entry.
        name: String,
    },
    /// A manifest, index or configuration larger than [`MAX_JSON`].
    #[error("`{name}` is too large: {size} bytes, and the limit is {MAX_JSON}")]
    JsonTooLarge {
        /// The entry.
        name: String,
        /// Its size in bytes.
        size: u64,
    },
    /// More than [`MAX_JSON_TOTAL`].
    #[error("the archive has more than {MAX_JSON_TOTAL} bytes of manifests and configurations (at `{name}`)")]
    TooMuchJson {
        /// The entry that was one too many.
        name: String,
    },
    /// Not JSON, or not of the form that it must have.
    #[error("`{name}` cannot be understood")]
    Json {
        /// The entry.
        name: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A manifest or index of another version than 2.
    #[error("`{name}` has schema version {version}, and only 2 is known")]
    SchemaVersion {
        /// The entry.
        name: String,
        /// Its version.
        version: u64,
    },
    /// A media type that nacre does not know in this place.
    #[error("`{name}` has the media type `{media_type}`, which is not known for {role}")]
    MediaType {
        /// The entry.
        name: String,
        /// Its type.
        media_type: String,
        /// What it should have been: `a layer`.
        role: &'static str,
    },
    /// A document that could be read in two ways.
    #[error("`{name}` is ambiguous: {why}")]
    Ambiguous {
        /// The entry.
        name: String,
        /// In what way.
        why: &'static str,
    },
    /// The bytes are not those that were referred to.
    #[error("`{name}` has the digest {actual}, and not {expected}")]
    WrongDigest {
        /// The entry.
        name: String,
        /// What it was referred to by.
        expected: Digest,
        /// What it is.
        actual: Digest,
    },
    /// The length is not that which was referred to.
    #[error("`{name}` has {actual} bytes, and not {expected}")]
    WrongSize {
        /// The entry.
        name: String,
        /// What it was referred to with.
        expected: u64,
        /// What it is.
        actual: u64,
    },
    /// A document has a digest of wrong form.
    #[error("in `{name}`")]
    Digest {
        /// The document.
        name: String,
        /// What is wrong.
        source: ParseDigestError,
    },
    /// A docker-archive has a name for an image that is not one.
    #[error("in `{name}`")]
    Reference {
        /// The document.
        name: String,
        /// What is wrong.
        source: ParseReferenceError,
    },
    /// Manifest and configuration disagree.
    #[error("the image `{name}` has {layers} layers but {diff_ids} diff IDs")]
    LayerCount {
        /// The manifest or configuration.
        name: String,
        /// How many layers the manifest lists.
        layers: usize,
        /// How many the configuration lists.
        diff_ids: usize,
    },
    /// More than [`MAX_LAYERS`].
    #[error("the image `{name}` has {layers} layers, and the limit is {MAX_LAYERS}")]
    TooManyLayers {
        /// The configuration.
        name: String,
        /// How many.
        layers: usize,
    },
    /// More than [`MAX_IMAGES`].
    #[error("`{name}` lists more than {MAX_IMAGES} images")]
    TooManyImages {
        /// The index or manifest list.
        name: String,
    },
    /// Deeper than [`MAX_INDEX_DEPTH`].
    #[error("`{name}` is an index in an index, more than {MAX_INDEX_DEPTH} deep")]
    TooDeep {
        /// The innermost.
        name: String,
    },
    /// A configuration without `rootfs`: it is of no image, or of one older than Docker 1.10.
    #[error("the configuration `{name}` has no `rootfs` with layers")]
    NoRootfs {
        /// The configuration.
        name: String,
    },
    /// A layer that must be fetched from elsewhere.
    #[error("the layer `{name}` is not distributable and not in the archive: it must be fetched from {url}")]
    ForeignLayer {
        /// The layer.
        name: String,
        /// Where its manifest says that it is.
        url: String,
    },
    /// The image exists for other platforms only.
    #[error("`{name}` has no image for {wanted}, only for {found}")]
    NoPlatform {
        /// The index.
        name: String,
        /// This machine's platform.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// A `--change` instruction that cannot be followed.
    #[error("the change `{text}`: {why}")]
    Change {
        /// The instruction.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A layer that is to be written is not what its diff ID says.
    #[error("the layer {expected} has other content now: {actual}")]
    LayerChanged {
        /// What it should be.
        expected: DiffId,
        /// What was read.
        actual: DiffId,
    },
    /// A layer that is to be written has another length than it was announced with.
    #[error("the layer {layer} has not the {expected} bytes that it should have")]
    LayerLength {
        /// The layer.
        layer: DiffId,
        /// What was announced.
        expected: u64,
    },
    /// A layer that is to be written could not be read.
    #[error("read the layer {layer}")]
    LayerRead {
        /// The layer.
        layer: DiffId,
        /// Why.
        source: io::Error,
    },
}
