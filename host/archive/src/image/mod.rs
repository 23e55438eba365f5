//! Images: archives read and written, configurations read and derived.
//!
//! - [`source`] finds the images of an archive that somebody else wrote, whatever its form: Docker's
//!   (`manifest.json`) or the OCI's (`index.json`), a tar, a compressed tar or a directory, a file or a pipe.
//! - [`config`] reads an image's configuration, and derives that of a new image from it.
//! - [`sink`] writes archives that Docker, Podman, skopeo and containerd load.
//!
//! None of them touches a layer's content: a layer is a named run of bytes here, to be hashed, inflated
//! and unpacked by [`crate::layer`].
//!
//! # Whom an archive is believed
//!
//! Nobody. What is read is bounded ([`MAX_JSON`], [`MAX_JSON_TOTAL`], [`MAX_ENTRIES`], [`MAX_LAYERS`],
//! [`MAX_IMAGES`]); names and links that lead out of the archive are refused; every manifest and
//! configuration must have the digest and size that it was referred to by. A layer's diff ID, and its
//! blob's digest where there is one, are handed on for the layer's reader to verify.

pub mod config;
mod error;
pub mod sink;
pub mod source;
mod spec;

pub use error::{BoxError, Error, Result};

/// The largest manifest, index or configuration that is read, in bytes.
pub const MAX_JSON: u64 = 8 << 20;
/// The most bytes of all manifests, indexes and configurations of one archive.
pub const MAX_JSON_TOTAL: u64 = 64 << 20;
/// The most entries of an archive, directories included.
pub const MAX_ENTRIES: usize = 100_000;
/// The most layers of an image.
pub const MAX_LAYERS: usize = 1_000;
/// The most images in one archive.
pub const MAX_IMAGES: usize = 1_000;
/// The deepest chain of an index in an index.
pub const MAX_INDEX_DEPTH: usize = 4;
