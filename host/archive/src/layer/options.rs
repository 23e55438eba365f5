//! What a caller says and gets.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::error::EntryName;
use crate::compression::Compression;
use crate::digest::{DiffId, Digest};

/// How whiteouts (`.wh.<name>` and `.wh..wh..opq`, OCI image-spec, layer.md, "Whiteouts") are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteouts {
    /// For overlayfs: a character device 0:0, and `trusted.overlay.opaque=y` on a directory.
    Overlay,
    /// For aufs and for engines that read layers as they are in the archive: the files themselves.
    Aufs,
    /// For drivers whose layers are whole trees: what a whiteout names, as lower layers left it, is deleted.
    Delete,
    /// They mean nothing: `.wh.` is an ordinary name.
    Literal,
}

/// What a layer may ask for before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries in a layer.
    pub entries: u64,
    /// Bytes of the uncompressed tar stream.
    pub raw_bytes: u64,
    /// Bytes of one file, holes counted.
    pub content_bytes: u64,
    /// Bytes of a whole name or link target. A part of a name can have 255, as Linux says.
    pub name_bytes: u64,
    /// Bytes of one PAX extended header.
    pub pax_bytes: u64,
    /// Bytes of the extended attributes of one entry, names and values.
    pub xattr_bytes: u64,
    /// Data segments of one sparse file.
    pub sparse_segments: u64,
    /// Bytes of content that the framing has to hold because no file does: of entries that a later one
    /// replaced, and of entries that are not unpacked.
    pub inline_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 5_000_000,
            raw_bytes: 1 << 40,
            content_bytes: 1 << 40,
            name_bytes: 4095,
            pax_bytes: 1 << 20,
            xattr_bytes: 512 << 10,
            sparse_segments: 1 << 20,
            inline_bytes: 256 << 20,
        }
    }
}

/// How a layer is unpacked.
#[derive(Debug, Clone, Copy)]
pub struct UnpackOptions<'a> {
    /// How whiteouts are written.
    pub whiteouts: Whiteouts,
    /// What is too much.
    pub limits: Limits,
    /// Whether [`Unpacked::framing`] is wanted.
    pub framing: bool,
    /// Progress and cancellation.
    pub monitor: Option<&'a Monitor>,
    /// Told of what was written to a file of [`WRITEBACK_LEAST`] bytes or more, by [`WRITEBACK`] bytes: so that its
    /// way to the disk can begin while the rest is unpacked.
    pub written: Option<Written>,
    /// Whether blocks of zeros become holes, as in a file that was sparse before it was packed.
    pub holes: bool,
}

/// [`UnpackOptions::written`]: a file, an offset and a length in bytes.
pub type Written = fn(BorrowedFd<'_>, u64, u64);

/// [`UnpackOptions::written`]: how many bytes of a file are told at once.
pub const WRITEBACK: u64 = 8 << 20;

/// [`UnpackOptions::written`]: the least that is told. Smaller files are many, and it is a call for each.
pub const WRITEBACK_LEAST: u64 = 128 << 10;

impl UnpackOptions<'_> {
    /// With the default limits, with framing, unwatched.
    pub fn new(whiteouts: Whiteouts) -> Self {
        Self {
            whiteouts,
            limits: Limits::default(),
            framing: true,
            monitor: None,
            written: None,
            holes: false,
        }
    }
}

/// Counters that a running operation advances, and the switch that stops it. Shared by reference between
/// threads.
#[derive(Debug, Default)]
pub struct Monitor {
    read: AtomicU64,
    raw: AtomicU64,
    cancelled: AtomicBool,
}

impl Monitor {
    /// Nothing read yet.
    pub const fn new() -> Self {
        Self { read: AtomicU64::new(0), raw: AtomicU64::new(0), cancelled: AtomicBool::new(false) }
    }

    /// Bytes of the blob, as it is stored, that were read.
    pub fn blob_bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes of the uncompressed tar stream that were unpacked.
    pub fn raw_bytes(&self) -> u64 {
        self.raw.load(Ordering::Relaxed)
    }

    /// End the operation with [`super::LayerError::Cancelled`] at the next buffer.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether [`Monitor::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(super) fn add_blob(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn add_raw(&self, bytes: u64) {
        self.raw.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A layer that was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// The SHA-256 of the raw tar stream up to its last byte, trailing bytes included.
    pub diff_id: DiffId,
    /// The length of the raw tar stream.
    pub raw_bytes: u64,
    /// The sizes of the regular files, each inode once: what Docker gives as the size of a layer.
    pub content_bytes: u64,
    /// Entries of the archive, extended headers not counted.
    pub entries: u64,
    /// What [`super::reassemble`] needs besides the directory; empty when it was not asked for.
    pub framing: Vec<u8>,
    /// Directories that entries lie in and that have no entry of their own, parents first: made as 0755 of root.
    /// Where a lower layer has them they are to look as they do there, which only the caller can know.
    pub implied: Vec<Vec<u8>>,
    /// What could not be kept, at most [`Warning::MOST`] of them.
    pub warnings: Vec<Warning>,
}

/// Something in a layer that was left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// `trusted.overlay.*` and `user.overlay.*` steer overlayfs; no archive may set them.
    #[error("`{name}`: the extended attribute `{xattr}` is overlayfs's own and was left out")]
    OverlayXattr {
        /// The entry.
        name: EntryName,
        /// The attribute.
        xattr: EntryName,
    },
    /// The file system does not have attributes of this kind.
    #[error("`{name}`: the file system cannot keep the extended attribute `{xattr}`")]
    XattrUnsupported {
        /// The entry.
        name: EntryName,
        /// The attribute.
        xattr: EntryName,
    },
    /// A textual ACL that names users this machine does not know, or that is not valid.
    #[error("`{name}`: the access control list `{acl}` could not be read")]
    Acl {
        /// The entry.
        name: EntryName,
        /// The list as text.
        acl: EntryName,
    },
    /// aufs's own bookkeeping.
    #[error("`{name}`: metadata of aufs was left out")]
    AufsMetadata {
        /// The entry.
        name: EntryName,
    },
}

impl Warning {
    /// Later ones are not kept.
    pub const MOST: usize = 100;
}

/// What is known about a blob before it is read, and how it is to be unpacked.
#[derive(Debug, Clone, Copy)]
pub struct BlobOptions<'a> {
    /// The digest of the blob as it is stored.
    pub digest: Option<Digest>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// The digest of the raw tar stream.
    pub diff_id: Option<DiffId>,
    /// How it is unpacked.
    pub unpack: UnpackOptions<'a>,
}

impl<'a> BlobOptions<'a> {
    /// Nothing known.
    pub fn new(unpack: UnpackOptions<'a>) -> Self {
        Self { digest: None, size: None, diff_id: None, unpack }
    }
}

/// A blob that was read, verified and unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpackedBlob {
    /// The digest of the blob as it is stored.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// How it is compressed.
    pub compression: Compression,
    /// What it held.
    pub layer: Unpacked,
}

/// How [`super::extract_into`] treats what is there already.
#[derive(Debug, Clone, Copy)]
pub struct ExtractOptions<'a> {
    /// Below which directory of the tree the entries go: a relative path, resolved as a process whose
    /// root is the tree would resolve it. Empty for the root itself.
    pub at: &'a [u8],
    /// Let a file replace a directory and the other way round. `docker cp` does not.
    pub replace_directories: bool,
    /// Give the files to this user and group instead of the archive's.
    pub owner: Option<(u32, u32)>,
    /// What is too much.
    pub limits: Limits,
    /// Progress and cancellation.
    pub monitor: Option<&'a Monitor>,
}

impl Default for ExtractOptions<'_> {
    fn default() -> Self {
        Self { at: b"", replace_directories: false, owner: None, limits: Limits::default(), monitor: None }
    }
}

/// A tar stream that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The SHA-256 of the stream.
    pub diff_id: DiffId,
    /// Its length.
    pub raw_bytes: u64,
    /// The sizes of the regular files, each inode once.
    pub content_bytes: u64,
    /// Entries, extended headers not counted.
    pub entries: u64,
    /// The framing over the packed directory; empty when it was not asked for.
    pub framing: Vec<u8>,
}
