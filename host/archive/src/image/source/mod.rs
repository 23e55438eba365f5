//! Finding the images of an archive.
//!
//! There are two ways through an archive, and [`Source::open`] chooses:
//!
//! - [`ArchiveIndex`], where one can jump about: an uncompressed tar in a file, or an OCI layout in a
//!   directory. The images are known before any layer is read, and layers can be read side by side.
//! - [`ArchiveStream`], where one cannot: a pipe, or a tar that is compressed as a whole. Layers are handed
//!   out as they come by, often before it is known which image they belong to.
//!
//! Both end in the same list of [`ImageManifest`]s.
//!
//! ```no_run
//! use nacre_archive::image::source::{Platform, Source};
//! # use nacre_archive::image::Error;
//! match Source::open("debian.tar".as_ref())? {
//!     Source::Index(archive) => {
//!         for image in archive.images(&Platform::host())? {
//!             for layer in &image.layers {
//!                 let _bytes = archive.open_blob(&layer.name)?; // on any thread
//!             }
//!         }
//!     }
//!     Source::Stream(archive) => {
//!         archive.read(&Platform::host(), |_name, _size, _bytes| Ok::<_, Error>(()))?;
//!     }
//! }
//! # Ok::<(), Error>(())
//! ```

mod index;
mod names;
mod platform;
mod resolve;
mod section;
mod stream;

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::compression::Compression;
use crate::digest::{DiffId, Digest, ImageId};
use crate::reference::Reference;

use super::{Error, Result};

pub use index::ArchiveIndex;
pub use platform::Platform;
pub use section::BlobReader;
pub use stream::ArchiveStream;

/// One image of an archive.
#[derive(Debug, Clone)]
pub struct ImageManifest {
    /// The digest of `config`.
    pub id: ImageId,
    /// The configuration, byte for byte as it is in the archive.
    pub config: Vec<u8>,
    /// The layers, the base first, as many as `config` has diff IDs.
    pub layers: Vec<LayerBlob>,
    /// The names that the archive gives the image.
    pub references: Vec<Reference>,
    /// Names in an OCI layout that are no whole reference: `latest`, as umoci and skopeo write them. Such
    /// a word may be meant as a tag or as a name; what to make of it is the caller's choice.
    pub bare_names: Vec<String>,
    /// The digest of the OCI or Docker manifest, where the archive has one.
    pub manifest: Option<Digest>,
}

/// A layer in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerBlob {
    /// The entry that holds it: what [`ArchiveIndex::open_blob`] takes, and what [`ArchiveStream::read`]
    /// announced it by. Links have been followed. Two layers may be in one entry.
    pub name: String,
    /// The digest that the entry's bytes must have: not verified yet. A legacy docker-archive has none.
    pub digest: Option<Digest>,
    /// The length of the entry in bytes.
    pub size: u64,
    /// How the entry is compressed, from its own first bytes: media types are often wrong.
    pub compression: Compression,
    /// The digest that the uncompressed tar must have: not verified yet.
    pub diff_id: DiffId,
}

/// An opened archive.
#[derive(Debug)]
pub enum Source {
    /// One can jump about in it.
    Index(ArchiveIndex),
    /// It comes by once.
    Stream(ArchiveStream),
}

impl Source {
    /// Open a file or a directory. For `-` use [`Source::stdin`].
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |source| Error::Io { what: "open", path: path.to_owned(), source };
        let file = File::open(path).map_err(fail)?;
        if file.metadata().map_err(fail)?.is_dir() {
            return Ok(Self::Index(ArchiveIndex::of_directory(file, path)));
        }
        Self::from_file(file, path)
    }

    /// Read the archive from the standard input: a pipe, or a file from where it stands.
    pub fn stdin() -> Result<Self> {
        let path = Path::new("-");
        let owned = std::io::stdin().as_fd().try_clone_to_owned();
        let file = owned.map_err(|source| Error::Io { what: "open", path: path.to_owned(), source })?;
        Self::from_file(File::from(file), path)
    }

    /// Read the archive from an open file of any kind, from where it stands. `path` is for messages.
    #[tracing::instrument(level = "debug", skip(file))]
    pub fn from_file(mut file: File, path: &Path) -> Result<Self> {
        let fail = |source| Error::Io { what: "read", path: path.to_owned(), source };
        let mut head = Vec::with_capacity(512);
        if !file.metadata().map_err(fail)?.is_file() {
            // Fewer turns between the writer and us; whatever else it is says no, which does not matter.
            let _ = rustix::pipe::fcntl_setpipe_size(&file, 1 << 20);
            (&mut file).take(512).read_to_end(&mut head).map_err(fail)?;
            let whole = std::io::Cursor::new(head.clone()).chain(file);
            return Ok(Self::Stream(decompressed(&head, whole, path)?));
        }
        let start = std::io::Seek::stream_position(&mut file).map_err(fail)?;
        let end = file.metadata().map_err(fail)?.len();
        head.resize(512, 0);
        let mut known = 0;
        while known < head.len() {
            match file.read_at(&mut head[known..], start + known as u64).map_err(fail)? {
                0 => break,
                more => known += more,
            }
        }
        head.truncate(known);
        match Compression::sniff_tar(&head) {
            Some(Compression::Plain) => ArchiveIndex::of_tar(file, start, end, path).map(Self::Index),
            _ => Ok(Self::Stream(decompressed(&head, file, path)?)),
        }
    }
}

/// What a stream that starts with `head` holds, once it is no longer compressed.
fn decompressed(head: &[u8], whole: impl Read + Send + 'static, path: &Path) -> Result<ArchiveStream> {
    const BUFFER: usize = 1 << 20;
    let path: PathBuf = path.to_owned();
    let buffered = BufReader::with_capacity(BUFFER, whole);
    Ok(match Compression::sniff_tar(head) {
        Some(Compression::Plain) => ArchiveStream::new(buffered, path),
        Some(Compression::Gzip) => ArchiveStream::new(flate2::bufread::MultiGzDecoder::new(buffered), path),
        Some(Compression::Zstd) => {
            let decoder = zstd::stream::read::Decoder::with_buffer(buffered);
            let decoder =
                decoder.map_err(|source| Error::Io { what: "decompress", path: path.clone(), source });
            ArchiveStream::new(decoder?, path)
        }
        None => return Err(Error::NotAnArchive { path, found: described(head) }),
    })
}

/// What something that is no archive is instead.
fn described(head: &[u8]) -> &'static str {
    match head {
        [] => "it is empty",
        [b'B', b'Z', b'h', ..] => "it is compressed with bzip2; decompress it first",
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "it is compressed with xz; decompress it first",
        [b'P', b'K', 3, 4, ..] => "it is a zip file",
        [b'{' | b'[', ..] => "it is JSON",
        _ => "it is no tar",
    }
}
