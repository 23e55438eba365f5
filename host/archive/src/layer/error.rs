//! What can be wrong with a layer, and where in it.

use std::fmt;
use std::io;

use crate::digest::{DiffId, Digest};

/// The name of an entry as its archive spells it: any bytes. Printed escaped, and shortened when long.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryName(Vec<u8>);

impl EntryName {
    /// Take the name over.
    pub fn new(name: impl Into<Vec<u8>>) -> Self {
        Self(name.into())
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 240;
        for chunk in self.0[..self.0.len().min(LONGEST)].utf8_chunks() {
            write!(out, "{}", chunk.valid().escape_debug())?;
            for byte in chunk.invalid() {
                write!(out, "\\x{byte:02x}")?;
            }
        }
        if self.0.len() > LONGEST {
            out.write_str("…")?;
        }
        Ok(())
    }
}

impl fmt::Debug for EntryName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\"{self}\"")
    }
}

/// Why a layer could not be unpacked, packed or put together again.
///
/// `offset` is the byte in the raw tar stream where the entry's first header begins.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// The stream could not be read.
    #[error("reading the layer at byte {offset}: {source}")]
    Read {
        /// Where in the stream.
        offset: u64,
        /// What the reader said.
        source: io::Error,
    },
    /// The compressed stream is damaged or cut short.
    #[error("decompressing the layer ({format}): {source}")]
    Decompress {
        /// The compression that the magic bytes announced.
        format: &'static str,
        /// What the decoder said.
        source: io::Error,
    },
    /// The bytes are not a tar stream.
    #[error("entry `{name}` at byte {offset} of the layer: {what}")]
    Malformed {
        /// The entry, as far as its name was known.
        name: EntryName,
        /// Where in the stream.
        offset: u64,
        /// What is wrong.
        what: Malformed,
    },
    /// The entry asks for what no layer may do.
    #[error("entry `{name}` at byte {offset} of the layer was refused: {why}")]
    Refused {
        /// The entry.
        name: EntryName,
        /// Where in the stream.
        offset: u64,
        /// The rule that it breaks.
        why: Refusal,
    },
    /// The layer is larger than [`super::Limits`] allow.
    #[error("entry `{name}` at byte {offset} of the layer exceeds the limit of {max} {limit}")]
    Limit {
        /// The entry.
        name: EntryName,
        /// Where in the stream.
        offset: u64,
        /// Which limit.
        limit: LimitName,
        /// Its value.
        max: u64,
    },
    /// The file system refused.
    #[error("entry `{name}` at byte {offset} of the layer: {op}: {source}")]
    Write {
        /// The entry.
        name: EntryName,
        /// Where in the stream.
        offset: u64,
        /// The operation, as a verb.
        op: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A tree that is being packed, or a layer that is being put together, could not be read.
    #[error("`{name}`: {op}: {source}")]
    Tree {
        /// The path below the root of the tree.
        name: EntryName,
        /// The operation, as a verb.
        op: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file has a name that says something else in a layer.
    #[error(
        "`{name}` cannot be in an image: in its layers a name that begins with `.wh.` says that something was deleted \
         (OCI image specification, layer.md); rename the file"
    )]
    Reserved {
        /// The path below the root of the tree.
        name: EntryName,
    },
    /// The tar stream could not be written out.
    #[error("writing the layer's tar stream: {0}")]
    Output(#[source] io::Error),
    /// The blob is not the one that was asked for.
    #[error("the blob's digest is {actual}, and {expected} was expected")]
    BlobDigest {
        /// What the manifest says.
        expected: Digest,
        /// What the bytes are.
        actual: Digest,
    },
    /// The blob has another size than was announced.
    #[error("the blob has {actual} bytes or more, and {expected} were expected")]
    BlobSize {
        /// What the manifest says.
        expected: u64,
        /// What was read until it was clear.
        actual: u64,
    },
    /// The uncompressed layer is not the one that the image's configuration names.
    #[error("the layer's diff ID is {actual}, and the image's configuration says {expected}")]
    DiffId {
        /// What the configuration says.
        expected: DiffId,
        /// What the bytes are.
        actual: DiffId,
    },
    /// The framing of a layer is damaged, or does not fit the directory any more.
    #[error("the framing of the layer at byte {offset}: {what}")]
    Framing {
        /// Where in the raw tar stream.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// [`super::Monitor::cancel`] was called.
    #[error("cancelled")]
    Cancelled,
}

/// What is wrong with a tar stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The stream ends inside of an entry.
    #[error("the archive ends in the middle of it")]
    Truncated,
    /// The sum over the header is not what the header says.
    #[error("the header's checksum is wrong")]
    Checksum,
    /// A number that is none, is negative where that makes no sense, or is too large.
    #[error("the field `{0}` is not a valid number")]
    Number(&'static str),
    /// An extended header that breaks POSIX.1-2001's grammar.
    #[error("the PAX record `{0}` is not valid")]
    Pax(EntryName),
    /// A list of data segments that overlap, run backwards, or do not add up.
    #[error("its map of data segments is not valid")]
    Sparse,
    /// An extension header that no entry follows.
    #[error("an extended header has no entry after it")]
    Dangling,
    /// A single block of zeros with more headers after it.
    #[error("a header follows the end of the archive")]
    AfterEnd,
    /// An entry type that is not known, such as a multi-volume continuation.
    #[error("entries of type {0:?} are not supported")]
    Type(char),
}

/// Which rule an entry broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The name is empty or has a NUL in it.
    #[error("its name is not valid")]
    Name,
    /// The name begins with a slash.
    #[error("its name is absolute")]
    AbsoluteName,
    /// The name has `..` in it.
    #[error("its name has `..` in it")]
    ParentInName,
    /// A symbolic link on the way to the entry leads out of the layer.
    #[error("the symbolic link `{link}` (to `{target}`) on its way leads out of the layer")]
    LinkEscapes {
        /// The link's path.
        link: EntryName,
        /// Where it points.
        target: EntryName,
    },
    /// A symbolic link on the way leads nowhere.
    #[error("the symbolic link `{link}` (to `{target}`) on its way leads to no directory")]
    LinkDangles {
        /// The link's path.
        link: EntryName,
        /// Where it points.
        target: EntryName,
    },
    /// Something on the way is not a directory.
    #[error("`{0}` on its way is not a directory")]
    NotADirectory(EntryName),
    /// The target of a hard link is not in this layer.
    #[error("the target `{0}` of the hard link is not a file of this layer")]
    HardLinkMissing(EntryName),
    /// The target of a hard link is absolute, has `..` in it, or leads out.
    #[error("the target `{0}` of the hard link is outside of the layer")]
    HardLinkEscapes(EntryName),
    /// The target of a hard link is a directory or a whiteout.
    #[error("`{0}` cannot be hard-linked")]
    HardLinkKind(EntryName),
    /// The target of a symbolic link is empty or has a NUL in it.
    #[error("the target of the symbolic link is not valid")]
    LinkTarget,
    /// The root of the layer is not a directory.
    #[error("the root of a layer must be a directory")]
    Root,
    /// A whiteout of `.`, `..` or of nothing.
    #[error("a whiteout must name a file")]
    Whiteout,
    /// A character device 0:0, which overlayfs would take as a whiteout.
    #[error("a character device 0:0 is a whiteout to overlayfs")]
    WhiteoutDevice,
    /// A directory where the tree has something else, or the other way round, and that may not be replaced.
    #[error("a directory cannot replace a file here, nor a file a directory")]
    DirectoryOverFile,
}

/// The limits that [`super::Limits`] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitName {
    /// [`super::Limits::entries`].
    Entries,
    /// [`super::Limits::raw_bytes`].
    RawBytes,
    /// [`super::Limits::content_bytes`].
    ContentBytes,
    /// [`super::Limits::name_bytes`].
    NameBytes,
    /// [`super::Limits::pax_bytes`].
    PaxBytes,
    /// [`super::Limits::xattr_bytes`].
    XattrBytes,
    /// [`super::Limits::sparse_segments`].
    SparseSegments,
    /// [`super::Limits::inline_bytes`].
    InlineBytes,
}

impl fmt::Display for LimitName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Entries => "entries",
            Self::RawBytes => "bytes in the tar stream",
            Self::ContentBytes => "bytes in one file",
            Self::NameBytes => "bytes in a name",
            Self::PaxBytes => "bytes in an extended header",
            Self::XattrBytes => "bytes in an entry's extended attributes",
            Self::SparseSegments => "segments in a sparse file",
            Self::InlineBytes => "bytes of content that belongs to no file",
        })
    }
}

/// A [`LayerError`] that does not know yet which entry it is about.
#[derive(Debug)]
pub(super) enum Problem {
    Read(io::Error),
    Malformed(Malformed),
    Refused(Refusal),
    Limit(LimitName, u64),
    Write(&'static str, io::Error),
    Cancelled,
}

impl Problem {
    /// For `map_err` after a system call.
    pub(super) fn write<E: Into<io::Error>>(op: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Write(op, error.into())
    }

    /// Say which entry it was. `read_to` is how far the stream was read.
    pub(super) fn at(self, name: &[u8], offset: u64, read_to: u64) -> LayerError {
        let name = EntryName::new(name);
        match self {
            Self::Read(source) => LayerError::Read { offset: read_to, source },
            Self::Malformed(what) => LayerError::Malformed { name, offset, what },
            Self::Refused(why) => LayerError::Refused { name, offset, why },
            Self::Limit(limit, max) => LayerError::Limit { name, offset, limit, max },
            Self::Write(op, source) => LayerError::Write { name, offset, op, source },
            Self::Cancelled => LayerError::Cancelled,
        }
    }
}

impl From<Malformed> for Problem {
    fn from(what: Malformed) -> Self {
        Self::Malformed(what)
    }
}

impl From<Refusal> for Problem {
    fn from(why: Refusal) -> Self {
        Self::Refused(why)
    }
}
