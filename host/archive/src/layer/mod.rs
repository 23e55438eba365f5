//! Layers: the tar streams that images are made of, unpacked, put together again, and made.
//!
//! What must hold:
//!
//! - **Nothing leaves the directory.** Names are resolved by the kernel relative to the directory's file
//!   descriptor (`openat2(2)` with `RESOLVE_BENEATH`), and what would lead out is refused by name.
//! - **Nothing is lost.** Modes, owners, times to the nanosecond, hard links, devices, extended attributes,
//!   access control lists and holes are kept, and so are names that are no text. What the file system cannot
//!   keep is told in [`Unpacked::warnings`].
//! - **Nothing is kept twice.** The [framing](Unpacked::framing) and the directory together give back the
//!   very bytes that came in, by [`reassemble`].
//! - **Nothing grows without a bound.** [`Limits`] say how much of a stranger's archive is too much.
//!
//! [`unpack_blob`] is the door for what comes in: it reads a blob, checks its digests and unpacks it in one
//! go. [`unpack`] does the last part alone. [`pack_changes`] and [`pack_tree`] are the way out. [`Entries`] tells what is
//! in a tar without unpacking it.

mod acl;
mod attributes;
mod entry;
mod error;
mod field;
mod framing;
mod input;
mod ledger;
mod list;
mod options;
mod pack;
mod pack_header;
mod pack_sink;
mod pax;
mod pipeline;
mod reassemble;
mod replace;
mod sparse;
mod tree;
mod unpack;
mod whiteout;

#[cfg(test)]
mod tests;

pub use error::{EntryName, LayerError, LimitName, Malformed, Refusal};
pub use list::{Entries, EntryKind, ListedEntry};
pub use options::{
    BlobOptions, ExtractOptions, Limits, Monitor, Packed, UnpackOptions, Unpacked, UnpackedBlob, WRITEBACK,
    WRITEBACK_LEAST, Warning, Whiteouts, Written,
};
pub use pack::{Exclude, PackOptions, Selected, pack_changes, pack_selected, pack_tree};
pub use pipeline::unpack_blob;
pub use reassemble::{Reassembler, reassemble};
pub use unpack::{extract_into, unpack};
