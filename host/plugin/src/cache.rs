//! Compiled components on disk.
//!
//! ```text
//! <cache_dir>/<sha256 of the component>-<hash of the engine's settings and version>.cwasm
//!     "nacre-c1", sha256 of the rest, the compiled component
//! ```
//!
//! Compiled code is machine code: whoever can write here can do all that this process can. So the folder must
//! belong to this user alone (mode 0700, no symbolic link), or it is not used. The checksum finds what a disk or
//! a full file system did. Entries are written aside and renamed, so several processes may use one folder.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use sha2::{Digest, Sha256};
use tracing::{debug, warn};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::component::ComponentDigest;

const MAGIC: &[u8; 8] = b"nacre-c1";
const HEADER: usize = MAGIC.len() + 32;

/// No compiled component is larger.
const MOST: u64 = 1 << 30;

#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    engine_hash: String,
}

impl Cache {
    /// The cache in a folder, or none if it cannot be trusted; a warning says why.
    pub(crate) fn open(dir: &Path, engine: &Engine) -> Option<Cache> {
        match prepare(dir) {
            Ok(()) => Some(Cache { dir: dir.to_owned(), engine_hash: engine_hash(engine) }),
            Err(error) => {
                warn!(
                    "components are compiled anew each time: the cache {} is not used: {error}",
                    dir.display()
                );
                None
            }
        }
    }

    /// The compiled component, if an intact one is here. Anything else under its name is removed.
    pub(crate) fn get(&self, engine: &Engine, digest: ComponentDigest) -> Option<Component> {
        let path = self.entry(digest);
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return discard(&path, &error),
        };
        let Some(compiled) = payload(&bytes) else { return discard(&path, &"it is damaged") };
        match deserialize(engine, compiled) {
            Ok(component) => Some(component),
            Err(error) => discard(&path, &error),
        }
    }

    /// Keep a compiled component. A failure costs time later and nothing else.
    pub(crate) fn put(&self, digest: ComponentDigest, component: &Component) {
        let path = self.entry(digest);
        let stored =
            component.serialize().map_err(io::Error::other).and_then(|compiled| write(&path, &compiled));
        if let Err(error) = stored {
            warn!("cannot keep the compiled component {}: {error}", path.display());
        }
    }

    fn entry(&self, digest: ComponentDigest) -> PathBuf {
        self.dir.join(format!("{}-{}.cwasm", hex::encode(digest.0), self.engine_hash))
    }
}

/// A folder that belongs to this user alone.
fn prepare(dir: &Path) -> io::Result<()> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(dir)?;
    if !found.is_dir() {
        return Err(io::Error::other("it is not a directory"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it belongs to another user"));
    }
    if found.mode() & 0o077 != 0 {
        return Err(io::Error::other(format!("its mode is {:o}, not 700", found.mode() & 0o7777)));
    }
    Ok(())
}

/// Code is compiled for a processor, by a compiler with settings: all of that is in the name.
fn engine_hash(engine: &Engine) -> String {
    struct Sha(Sha256);
    impl std::hash::Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut sha = Sha(Sha256::new());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut sha);
    hex::encode(&sha.0.finalize()[..8])
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?);
    let found = file.metadata()?;
    if !found.is_file() || found.len() > MOST {
        return Err(io::Error::other("it is not a compiled component"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0) + 1);
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let (header, compiled) = bytes.split_at_checked(HEADER)?;
    let sum = header.strip_prefix(MAGIC)?;
    (Sha256::digest(compiled).as_slice() == sum).then_some(compiled)
}

fn write(path: &Path, compiled: &[u8]) -> io::Result<()> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let aside = path.with_extension(format!("{}.tmp", hex::encode(random)));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let written = file
        .write_all(MAGIC)
        .and_then(|()| file.write_all(&Sha256::digest(compiled)))
        .and_then(|()| file.write_all(compiled))
        .and_then(|()| fs::rename(&aside, path));
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written
}

fn discard<T>(path: &Path, why: &dyn std::fmt::Display) -> Option<T> {
    debug!("compiling again, and removing {}: {why}", path.display());
    let _ = fs::remove_file(path);
    None
}

#[allow(unsafe_code)]
fn deserialize(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes must be what `Component::serialize` wrote. They are from a file in a folder that only
    // this user can write to (checked by `prepare`: owner, mode, no symbolic link), which only `put` writes,
    // under a name that carries the digest of the component and the hash of the engine's version and settings.
    // Their checksum was compared just before, so they are whole; wasmtime itself compares its version,
    // its settings and the processor's features once more.
    unsafe { Component::deserialize(engine, compiled) }
}
