use std::cell::Cell;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::compression::Compression;

use super::super::{Error, MAX_JSON, MAX_JSON_TOTAL, Result};
use super::names::{self, Names, Node};
use super::resolve::{self, Contents, Layer};
use super::{BlobReader, ImageManifest, Platform};

/// The most bytes of headers in front of one entry: long names and extended attributes.
const MAX_HEADERS: u64 = 1 << 20;
/// How far the padding behind the end of a tar is read, so that its writer is not cut off.
const MAX_PADDING: u64 = 1 << 20;

/// An archive that comes by once.
pub struct ArchiveStream {
    path: PathBuf,
    input: Box<dyn Read + Send>,
}

impl fmt::Debug for ArchiveStream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ArchiveStream").field("path", &self.path).finish_non_exhaustive()
    }
}

impl ArchiveStream {
    /// An uncompressed tar from anywhere. `path` is for messages.
    pub fn new(input: impl Read + Send + 'static, path: PathBuf) -> Self {
        Self { path, input: Box::new(input) }
    }

    /// Go through the archive to its end.
    ///
    /// `on_layer` gets every entry that is a tar, compressed or not, as it comes by: its name, its size in
    /// bytes and its content. It need not read it all. Which of them are layers of which image, and which
    /// digests they must have, is known only afterwards: so what it does must be easy to drop. An archive
    /// that ends within an entry is an error of that reader.
    pub fn read<E: From<Error>>(
        self,
        platform: &Platform,
        mut on_layer: impl FnMut(&str, u64, &mut dyn Read) -> Result<(), E>,
    ) -> Result<Vec<ImageManifest>, E> {
        let mut kept = Kept { path: self.path.clone(), names: Names::default(), json: 0 };
        let allowance = Allowance::default();
        let mut archive = tar::Archive::new(Limited { inner: self.input, allowance: allowance.clone() });
        let entries = archive.entries().map_err(|source| Error::Io {
            what: "read",
            path: self.path.clone(),
            source,
        })?;
        let mut walk = Walk { path: &self.path, allowance, after: String::new() };
        let mut entries = entries;
        while let Some(mut entry) = walk.next(&mut entries)? {
            let (name, kind) = walk.describe(&entry)?;
            kept.names.count()?;
            let Some(name) = name else {
                walk.drain(&mut entry)?;
                continue;
            };
            match kind {
                Kind::Directory => {}
                Kind::Link(target) => kept.names.add(name, Node::Link(target))?,
                Kind::Other => kept.names.add(name, Node::Other)?,
                Kind::File => {
                    let size = entry.size();
                    let mut content = Whole { inner: &mut entry, left: size };
                    kept.take(name, size, &mut content, &mut on_layer)?;
                }
            }
            walk.drain(&mut entry)?;
        }
        walk.finish(archive.into_inner())?;
        Ok(resolve::images(&kept, platform)?)
    }
}

/// What is kept of a stream: the documents, and of everything else only that it was there.
struct Kept {
    path: PathBuf,
    names: Names<Item>,
    json: u64,
}

enum Item {
    Json(Vec<u8>),
    Layer { size: u64, compression: Compression },
    Skipped { size: u64 },
}

impl Kept {
    fn take<E: From<Error>>(
        &mut self,
        name: String,
        size: u64,
        content: &mut impl Read,
        on_layer: &mut impl FnMut(&str, u64, &mut dyn Read) -> Result<(), E>,
    ) -> Result<(), E> {
        let again = self.names.contains(&name);
        let fail = |source| Error::Io { what: "read", path: self.path.join(&name), source };
        let mut head = Vec::with_capacity(512);
        content.by_ref().take(512).read_to_end(&mut head).map_err(fail)?;
        let item = if let Some(compression) = Compression::sniff_tar(&head) {
            if !again {
                on_layer(&name, size, &mut io::Cursor::new(head).chain(content))?;
            }
            Item::Layer { size, compression }
        } else if size <= MAX_JSON && matches!(head.trim_ascii_start().first(), Some(b'{' | b'[')) {
            if self.json + size > MAX_JSON_TOTAL {
                return Err(Error::TooMuchJson { name }.into());
            }
            content.read_to_end(&mut head).map_err(fail)?;
            self.json += size;
            Item::Json(head)
        } else {
            Item::Skipped { size }
        };
        Ok(self.names.add(name, Node::Data(item))?)
    }
}

impl Contents for Kept {
    fn path(&self) -> &Path {
        &self.path
    }

    fn contains(&self, name: &str) -> Result<bool> {
        Ok(self.names.contains(name))
    }

    fn json(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match self.names.find(name)? {
            None => Ok(None),
            Some((_, Item::Json(bytes))) => Ok(Some(bytes.clone())),
            Some((own, Item::Skipped { size } | Item::Layer { size, .. })) if *size > MAX_JSON => {
                Err(Error::JsonTooLarge { name: own.to_owned(), size: *size })
            }
            Some((own, _)) => {
                // Say what a parser says of something that is no JSON.
                let source = serde_json::from_slice::<serde_json::Value>(b"?").err();
                Err(match source {
                    Some(source) => Error::Json { name: own.to_owned(), source },
                    None => Error::NotAFile { name: own.to_owned() },
                })
            }
        }
    }

    fn layer(&self, name: &str) -> Result<Option<Layer>> {
        match self.names.find(name)? {
            None => Ok(None),
            Some((own, Item::Layer { size, compression })) => {
                Ok(Some(Layer { name: own.to_owned(), size: *size, compression: *compression }))
            }
            Some((own, _)) => Err(Error::NotALayer { name: own.to_owned() }),
        }
    }
}

/// What an entry of the outer tar is.
pub(super) enum Kind {
    File,
    Directory,
    Link(String),
    Other,
}

/// Go through the headers of a tar, jumping over what is between them.
pub(super) fn walk_seekable(
    section: BlobReader,
    path: &Path,
    mut each: impl FnMut(Option<String>, Kind, &tar::Entry<'_, Limited<BlobReader>>) -> Result<()>,
) -> Result<()> {
    let allowance = Allowance::default();
    let mut archive = tar::Archive::new(Limited { inner: section, allowance: allowance.clone() });
    let entries = archive.entries_with_seek();
    let mut entries = entries.map_err(|source| Error::Io { what: "read", path: path.to_owned(), source })?;
    let mut walk = Walk { path, allowance, after: String::new() };
    while let Some(entry) = walk.next(&mut entries)? {
        let (name, kind) = walk.describe(&entry)?;
        each(name, kind, &entry)?;
    }
    Ok(())
}

/// Goes from one entry to the next, with a limit on what the tar crate may read to get there: it keeps
/// headers in memory, however long they say that they are.
struct Walk<'a> {
    path: &'a Path,
    allowance: Allowance,
    after: String,
}

impl Walk<'_> {
    fn next<'t, R: Read>(&mut self, entries: &mut tar::Entries<'t, R>) -> Result<Option<tar::Entry<'t, R>>> {
        self.allowance.limit(MAX_HEADERS);
        let next = entries.next().transpose().map_err(|source| self.damaged(source));
        self.allowance.lift();
        next
    }

    fn describe<R: Read>(&mut self, entry: &tar::Entry<'_, R>) -> Result<(Option<String>, Kind)> {
        let raw = entry.path_bytes();
        let name = names::clean(&raw)?;
        self.after = String::from_utf8_lossy(&raw).into_owned();
        let shown = name.as_deref().unwrap_or(&self.after);
        let target = entry.link_name_bytes().unwrap_or_default();
        let kind = match entry.header().entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous if raw.ends_with(b"/") => Kind::Directory,
            tar::EntryType::Regular | tar::EntryType::Continuous => Kind::File,
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Symlink => Kind::Link(names::symlink_target(shown, &target)?),
            tar::EntryType::Link => Kind::Link(names::hardlink_target(shown, &target)?),
            _ => Kind::Other,
        };
        Ok((name, kind))
    }

    fn drain<R: Read>(&self, entry: &mut tar::Entry<'_, R>) -> Result<()> {
        // A pipe cannot be jumped over, so the rest is read here and not under the limit of `next`.
        let fail = |source| self.damaged(source);
        io::copy(entry, &mut io::sink()).map(drop).map_err(fail)
    }

    /// The end of a compressed archive holds its checksum.
    fn finish<R: Read>(&self, rest: R) -> Result<()> {
        let fail = |source| self.damaged(source);
        io::copy(&mut rest.take(MAX_PADDING), &mut io::sink()).map(drop).map_err(fail)
    }

    fn damaged(&self, source: io::Error) -> Error {
        let after = if self.after.is_empty() { "its start" } else { &self.after };
        Error::Tar { path: self.path.to_owned(), after: after.to_owned(), source }
    }
}

/// How many bytes may still be read; no limit when none.
#[derive(Debug, Clone, Default)]
struct Allowance(Rc<Cell<Option<u64>>>);

impl Allowance {
    fn limit(&self, bytes: u64) {
        self.0.set(Some(bytes));
    }

    fn lift(&self) {
        self.0.set(None);
    }
}

/// A reader that keeps to an allowance.
pub(super) struct Limited<R> {
    inner: R,
    allowance: Allowance,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(left) = self.allowance.0.get() {
            match left.checked_sub(count as u64) {
                Some(left) => self.allowance.0.set(Some(left)),
                None => return Err(io::Error::new(io::ErrorKind::InvalidData, "a header is too long")),
            }
        }
        Ok(count)
    }
}

impl<R: Seek> Seek for Limited<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// An entry that must be there whole: the tar crate ends a cut one early without a word.
struct Whole<'a, R> {
    inner: &'a mut R,
    left: u64,
}

impl<R: Read> Read for Whole<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 && !buffer.is_empty() && self.left > 0 {
            let message = format!("the archive ends here: {} bytes are missing", self.left);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}
