use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Advice, Mode, OFlags, ResolveFlags};

use crate::compression::Compression;

use super::super::{Error, MAX_JSON, MAX_JSON_TOTAL, Result};
use super::names::{Names, Node};
use super::resolve::{self, Contents, Layer};
use super::section::BlobReader;
use super::stream::{self, Kind};
use super::{ImageManifest, Platform};

/// An archive in which one can jump about. Threads may share it.
#[derive(Debug)]
pub struct ArchiveIndex {
    path: PathBuf,
    place: Place,
    json_read: AtomicU64,
}

#[derive(Debug)]
enum Place {
    Tar { file: Arc<File>, names: Names<Extent> },
    Directory(File),
}

#[derive(Debug, Clone, Copy)]
struct Extent {
    start: u64,
    length: u64,
}

impl ArchiveIndex {
    /// The tar in `file` from `start` to `end`. Reads its headers and nothing else.
    pub(super) fn of_tar(file: File, start: u64, end: u64, path: &Path) -> Result<Self> {
        let file = Arc::new(file);
        let section = BlobReader::new(file.clone(), start, end.saturating_sub(start));
        let mut names = Names::default();
        stream::walk_seekable(section, path, |name, kind, entry| {
            names.count()?;
            let Some(name) = name else { return Ok(()) };
            match kind {
                Kind::Directory => Ok(()),
                Kind::Link(target) => names.add(name, Node::Link(target)),
                Kind::Other => names.add(name, Node::Other),
                Kind::File => {
                    let extent = Extent { start: start + entry.raw_file_position(), length: entry.size() };
                    let missing = extent.start.saturating_add(extent.length).saturating_sub(end);
                    if missing > 0 {
                        return Err(Error::Truncated { name, missing });
                    }
                    names.add(name, Node::Data(extent))
                }
            }
        })?;
        Ok(Self { path: path.to_owned(), place: Place::Tar { file, names }, json_read: AtomicU64::new(0) })
    }

    /// An unpacked archive, as a rule an OCI layout. Nothing is read yet.
    pub(super) fn of_directory(folder: File, path: &Path) -> Self {
        Self { path: path.to_owned(), place: Place::Directory(folder), json_read: AtomicU64::new(0) }
    }

    /// All images of the archive that can run on `platform`; of one that exists for several platforms, one.
    /// An archive that lists an image for other platforms only is an error, unless it is the only one.
    pub fn images(&self, platform: &Platform) -> Result<Vec<ImageManifest>> {
        self.json_read.store(0, Ordering::Relaxed);
        resolve::images(self, platform)
    }

    /// Read an entry by its name, on any thread and beside others.
    pub fn open_blob(&self, name: &str) -> Result<BlobReader> {
        let wanted_by = || self.path.display().to_string();
        let found = self.blob(name)?;
        let (_, blob) =
            found.ok_or_else(|| Error::Missing { name: name.to_owned(), wanted_by: wanted_by() })?;
        // Only advice: a file system that takes none is no reason to fail.
        let length = std::num::NonZeroU64::new(blob.length);
        let _ = rustix::fs::fadvise(&*blob.file, blob.start, length, Advice::Sequential);
        Ok(BlobReader::new(blob.file, blob.start, blob.length))
    }

    fn blob(&self, name: &str) -> Result<Option<(String, Blob)>> {
        match &self.place {
            Place::Tar { file, names } => Ok(names.find(name)?.map(|(own, extent)| {
                let Extent { start, length } = *extent;
                (own.to_owned(), Blob { file: file.clone(), start, length })
            })),
            Place::Directory(folder) => {
                Ok(self.open_beneath(folder, name)?.map(|blob| (name.to_owned(), blob)))
            }
        }
    }

    /// Links may lead anywhere in the directory (build tools make such), but not out of it.
    fn open_beneath(&self, folder: &File, name: &str) -> Result<Option<Blob>> {
        let opened = rustix::fs::openat2(
            folder,
            name,
            OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        );
        let fail = |source| Error::Io { what: "open", path: self.path.join(name), source };
        let file = match opened {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
            Err(rustix::io::Errno::XDEV) => {
                let target = "outside of the directory".to_owned();
                return Err(Error::UnsafeLink { name: name.to_owned(), target });
            }
            Err(errno) => return Err(fail(errno.into())),
        };
        let metadata = file.metadata().map_err(fail)?;
        if !metadata.is_file() {
            return Err(Error::NotAFile { name: name.to_owned() });
        }
        Ok(Some(Blob { file: Arc::new(file), start: 0, length: metadata.len() }))
    }

    fn head(&self, name: &str, blob: &Blob) -> Result<Vec<u8>> {
        let mut head = Vec::with_capacity(512);
        let section = BlobReader::new(blob.file.clone(), blob.start, blob.length.min(512));
        self.read_all(name, section, &mut head)?;
        Ok(head)
    }

    fn read_all(&self, name: &str, mut section: BlobReader, into: &mut Vec<u8>) -> Result<()> {
        let done = section.read_to_end(into);
        done.map(drop).map_err(|source| Error::Io { what: "read", path: self.path.join(name), source })
    }
}

struct Blob {
    file: Arc<File>,
    start: u64,
    length: u64,
}

impl Contents for ArchiveIndex {
    fn path(&self) -> &Path {
        &self.path
    }

    fn contains(&self, name: &str) -> Result<bool> {
        match &self.place {
            Place::Tar { names, .. } => Ok(names.contains(name)),
            Place::Directory(folder) => Ok(self.open_beneath(folder, name)?.is_some()),
        }
    }

    fn json(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some((own, blob)) = self.blob(name)? else { return Ok(None) };
        if blob.length > MAX_JSON {
            return Err(Error::JsonTooLarge { name: own, size: blob.length });
        }
        if self.json_read.fetch_add(blob.length, Ordering::Relaxed) + blob.length > MAX_JSON_TOTAL {
            return Err(Error::TooMuchJson { name: own });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(blob.length).unwrap_or(0));
        self.read_all(&own, BlobReader::new(blob.file, blob.start, blob.length), &mut bytes)?;
        Ok(Some(bytes))
    }

    fn layer(&self, name: &str) -> Result<Option<Layer>> {
        let Some((own, blob)) = self.blob(name)? else { return Ok(None) };
        let Some(compression) = Compression::sniff_tar(&self.head(&own, &blob)?) else {
            return Err(Error::NotALayer { name: own });
        };
        Ok(Some(Layer { name: own, size: blob.length, compression }))
    }
}
