//! Blobs by their digest: image configurations, and what is kept of layers' tars.
//!
//! ```text
//! content/sha256/<hex>   whole, synced, never changed
//! content/tmp/<random>   being written; whoever writes it holds a lock on it
//! ```

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nacre_archive::digest::{Digest, Hasher};
use nacre_sys::FileLock;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::db::sync_dir;
use crate::row::text;
use crate::{Error, Result, Store, View};

/// In `<run>/locks`: held shared between the writing of content and the record that names it.
pub(crate) const LOCK: &str = "content.lock";

/// Blobs by their digest.
#[derive(Debug, Clone)]
pub struct Content {
    dir: PathBuf,
}

/// The right to add content. Content that no record names is removed by whoever sees it, unless somebody
/// has this: so it is kept until the transaction that names the new content is committed, and no longer.
#[derive(Debug)]
pub struct Publishing<'s> {
    content: &'s Content,
    _lock: FileLock,
}

/// A blob that is being written. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct ContentWriter {
    file: File,
    /// Says that the file is not left over.
    _lock: FileLock,
    path: PathBuf,
    hasher: Hasher,
    placed: bool,
}

impl Content {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The file of a blob, which may not exist.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// Whether there is a blob.
    pub fn has(&self, digest: &Digest) -> Result<bool> {
        let path = self.path(digest);
        path.try_exists().map_err(|e| Error::io("stat", path, e))
    }

    /// Open a blob, unverified.
    ///
    /// # Errors
    /// [`Error::BlobMissing`].
    pub fn open(&self, digest: &Digest) -> Result<File> {
        let path = self.path(digest);
        File::open(&path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Error::BlobMissing { digest: *digest },
            _ => Error::io("open", path, e),
        })
    }

    /// Bytes of a blob.
    ///
    /// # Errors
    /// [`Error::BlobMissing`].
    pub fn size(&self, digest: &Digest) -> Result<u64> {
        let metadata = self.open(digest)?.metadata();
        metadata.map(|metadata| metadata.len()).map_err(|e| Error::io("stat", self.path(digest), e))
    }

    /// Read a small blob, and see that it is what its name says.
    ///
    /// # Errors
    /// [`Error::BlobMissing`], [`Error::BlobDamaged`].
    pub fn read_verified(&self, digest: &Digest) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(digest)?.read_to_end(&mut bytes).map_err(|e| Error::io("read", self.path(digest), e))?;
        self.same(digest, Digest::of(&bytes))?;
        Ok(bytes)
    }

    /// See that a blob of any size is what its name says.
    ///
    /// # Errors
    /// [`Error::BlobMissing`], [`Error::BlobDamaged`].
    pub fn verify(&self, digest: &Digest) -> Result<()> {
        let mut hasher = Hasher::new();
        io::copy(&mut self.open(digest)?, &mut hasher)
            .map_err(|e| Error::io("read", self.path(digest), e))?;
        self.same(digest, hasher.finish())
    }

    /// All blobs with their sizes in bytes, in order.
    pub fn list(&self) -> Result<Vec<(Digest, u64)>> {
        let mut blobs = Vec::new();
        for path in files(&self.blobs())? {
            let Some(digest) = digest_of(&path) else { continue };
            match fs::symlink_metadata(&path) {
                Ok(metadata) => blobs.push((digest, metadata.len())),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::io("stat", path, e)),
            }
        }
        blobs.sort_unstable();
        Ok(blobs)
    }

    /// Begin a blob. It can be written for as long as it takes; only [`ContentWriter::finish`] publishes.
    pub fn writer(&self) -> Result<ContentWriter> {
        let path = self.temporary().join(crate::id::random_hex::<16>()?);
        let lock = FileLock::exclusive(&path)?;
        let fd = lock.as_fd().try_clone_to_owned().map_err(|e| Error::io("open", &path, e))?;
        Ok(ContentWriter { file: fd.into(), _lock: lock, path, hasher: Hasher::new(), placed: false })
    }

    /// Files of blobs that killed processes did not finish. An empty one is none: it may have been made a
    /// moment ago, by somebody who is about to lock it.
    pub(crate) fn stale(&self) -> Result<Vec<PathBuf>> {
        let mut stale = Vec::new();
        for path in files(&self.temporary())? {
            let Some(file) = lock_of_dead(&path)? else { continue };
            // Who finished it meanwhile put it in its place, or removed it.
            let there = fs::symlink_metadata(&path).is_ok();
            if there && file.metadata().map_err(|e| Error::io("stat", &path, e))?.len() > 0 {
                stale.push(path);
            }
        }
        Ok(stale)
    }

    fn remove_stale(&self) -> Result<()> {
        for path in files(&self.temporary())? {
            if let Some(_lock) = lock_of_dead(&path)? {
                remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn same(&self, digest: &Digest, found: Digest) -> Result<()> {
        if *digest == found {
            return Ok(());
        }
        Err(Error::BlobDamaged { digest: *digest, found, path: self.path(digest) })
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.dir.join("sha256")
    }

    fn temporary(&self) -> PathBuf {
        self.dir.join("tmp")
    }
}

impl Publishing<'_> {
    /// Add a small blob, synced; one that is there already and sound is left alone.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        match self.content.read_verified(&digest) {
            Ok(_) => {
                sync_dir(&self.content.blobs())?;
                Ok(digest)
            }
            Err(Error::BlobMissing { .. } | Error::BlobDamaged { .. }) => {
                let mut writer = self.content.writer()?;
                writer.append(bytes)?;
                writer.finish(self)
            }
            Err(other) => Err(other),
        }
    }
}

impl ContentWriter {
    /// Write on.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| Error::io("write", &self.path, e))?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// Sync the blob and put it in its place. One that is there and sound stays, and is synced.
    pub fn finish(self, publishing: &Publishing<'_>) -> Result<Digest> {
        self.file.sync_data().map_err(|e| Error::io("sync", &self.path, e))?;
        let content = publishing.content;
        let digest = self.place(content)?;
        content.open(&digest)?.sync_data().map_err(|e| Error::io("sync", content.path(&digest), e))?;
        sync_dir(&content.blobs())?;
        Ok(digest)
    }

    /// The same without any sync: the caller syncs the whole file system before the record is committed.
    pub fn finish_unsynced(self, publishing: &Publishing<'_>) -> Result<Digest> {
        self.place(publishing.content)
    }

    fn place(mut self, content: &Content) -> Result<Digest> {
        let digest = std::mem::take(&mut self.hasher).finish();
        // What is there may be durable, and named by a record, while this is not synced yet.
        if content.verify(&digest).is_ok() {
            return Ok(digest);
        }
        let path = content.path(&digest);
        fs::rename(&self.path, &path).map_err(|e| Error::io("put in place", path, e))?;
        self.placed = true;
        Ok(digest)
    }
}

impl Drop for ContentWriter {
    fn drop(&mut self) {
        if !self.placed {
            // What stays is found as stale.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Store {
    /// Get the right to add content: see [`Publishing`]. Waits while content is being removed.
    pub fn publish(&self) -> Result<Publishing<'_>> {
        let lock = FileLock::shared(self.paths().locks().join(LOCK))?;
        Ok(Publishing { content: self.content(), _lock: lock })
    }

    /// Remove content that no record names, and what killed processes left of content; returns the blobs.
    /// Waits while content is being published.
    pub fn sweep_content(&self) -> Result<Vec<(Digest, u64)>> {
        let nobody_publishes = FileLock::exclusive(self.paths().locks().join(LOCK))?;
        self.sweep_alone(&nobody_publishes)
    }

    /// The same unless content is being published right now: then nothing is removed.
    pub fn try_sweep_content(&self) -> Result<Vec<(Digest, u64)>> {
        match FileLock::try_exclusive(self.paths().locks().join(LOCK))? {
            Some(nobody_publishes) => self.sweep_alone(&nobody_publishes),
            None => Ok(Vec::new()),
        }
    }

    fn sweep_alone(&self, _nobody_publishes: &FileLock) -> Result<Vec<(Digest, u64)>> {
        let garbage = self.unneeded_content()?;
        for (digest, _) in &garbage {
            remove_file(&self.content().path(digest))?;
        }
        self.content().remove_stale()?;
        Ok(garbage)
    }

    /// Content that no record names. Sure only while nobody publishes.
    pub(crate) fn unneeded_content(&self) -> Result<Vec<(Digest, u64)>> {
        let mut blobs = self.content().list()?;
        if !blobs.is_empty() {
            let needed: std::collections::HashSet<_> =
                self.read(|view| view.needed_content())?.into_iter().collect();
            blobs.retain(|(digest, _)| !needed.contains(digest));
        }
        Ok(blobs)
    }
}

impl View<'_> {
    /// The content that records name.
    pub fn needed_content(&self) -> Result<Vec<Digest>> {
        let mut query = self.db.prepare_cached(
            "SELECT id AS blob FROM images UNION SELECT framing FROM layers WHERE framing IS NOT NULL",
        )?;
        Ok(query.query_map([], |row| text(row, "blob"))?.collect::<rusqlite::Result<_>>()?)
    }
}

/// The lock of a temporary file, where nobody else has it: whoever wrote it is dead.
fn lock_of_dead(path: &Path) -> Result<Option<File>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("open", path, e)),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(e) => Err(Error::io("lock", path, e)),
    }
}

fn remove_file(path: &Path) -> Result<()> {
    match rustix::fs::unlink(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(Error::io("remove", path, e)),
    }
}

pub(crate) fn digest_of(path: &Path) -> Option<Digest> {
    Digest::from_hex(path.file_name()?.to_str()?).ok()
}

/// The entries of a directory; none where it is missing.
pub(crate) fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = |entries: fs::ReadDir| entries.map(|entry| entry.map(|entry| entry.path())).collect();
    match fs::read_dir(dir).and_then(read) {
        Ok(paths) => Ok(paths),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::io("list", dir, e)),
    }
}
