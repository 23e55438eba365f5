//! Image archives and layer tars, read and written.
//!
//! An *image archive* is what `docker save` or `skopeo copy` makes: documents that describe images, and a
//! blob for each layer. A *layer* is a tar of files, plain or compressed, that is unpacked into a directory.
//!
//! - [`image`] finds the images of an archive and writes archives. To it a layer is a named run of bytes.
//! - [`layer`] hashes, inflates and unpacks such bytes, packs a directory again, and keeps what is needed
//!   to give back the very tar that a directory was unpacked from.
//! - [`digest`], [`reference`](mod@reference) and [`compression`] are the words that both share, and the rest of nacre with
//!   them.
//!
//! Nothing that is read is believed: sizes, counts and depths are bounded, digests are verified, and no name
//! or link leads out of the directory that is unpacked into.

pub mod compression;
pub mod digest;
pub mod image;
pub mod layer;
pub mod reference;
