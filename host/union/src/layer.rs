use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use nacre_sys::{Dir, xattr};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use crate::error::{Context, Result};
use crate::node::{self, Metadata};

/// Before the name that is deleted (OCI image specification, layer.md).
pub(crate) const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// In a directory that hides what lies below it.
pub(crate) const OPAQUE_MARK: &str = ".wh..wh..opq";
const OPAQUE_ATTRIBUTES: [&[u8]; 2] = [b"trusted.overlay.opaque", b"user.overlay.opaque"];

/// How a layer says that a name is deleted, or that a directory hides what lies below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteouts {
    /// A character device 0:0; the attribute `trusted.overlay.opaque` or `user.overlay.opaque` is `y`.
    Overlay,
    /// `.wh.<name>`; `.wh..wh..opq`. No name that starts with `.wh.` is visible.
    Aufs,
    /// Not at all: the layer hides nothing but by having the same name.
    None,
}

impl Whiteouts {
    /// Its name in the contract (`wit/types.wit`, `whiteouts`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Aufs => "aufs",
            Self::None => "none",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Overlay, Self::Aufs, Self::None].into_iter().find(|one| one.name() == name)
    }
}

/// One layer: a directory, and how deletions are written in it.
#[derive(Debug, Clone)]
pub struct Layer {
    pub(crate) root: Arc<Dir>,
    pub(crate) whiteouts: Whiteouts,
}

/// What one layer has under a name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Here {
    Absent,
    Whiteout,
    Entry(Metadata),
}

/// What one layer has in a directory.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Visible names, in no order, with their types, which may be `Unknown`, and their inodes' numbers.
    pub(crate) entries: Vec<(OsString, FileType, u64)>,
    /// Deleted names.
    pub(crate) whiteouts: HashSet<OsString>,
}

impl Layer {
    /// A layer in this directory.
    pub fn new(root: Dir, whiteouts: Whiteouts) -> Self {
        Self { root: Arc::new(root), whiteouts }
    }

    /// How deletions are written in it.
    pub fn whiteouts(&self) -> Whiteouts {
        self.whiteouts
    }
}

impl Whiteouts {
    /// What a layer's directory has under a name.
    pub(crate) fn find(self, dir: &Dir, name: &OsStr) -> Result<Here> {
        if self == Self::Aufs && name.as_bytes().starts_with(WHITEOUT_PREFIX) {
            return Ok(Here::Absent);
        }
        match node::stat(dir, name)? {
            Some(found) if self == Self::Overlay && is_whiteout_device(&found) => Ok(Here::Whiteout),
            Some(found) => Ok(Here::Entry(found)),
            None if self == Self::Aufs && has_whiteout_file(dir, name)? => Ok(Here::Whiteout),
            None => Ok(Here::Absent),
        }
    }

    /// A subdirectory of a layer's directory; none where it is a directory no more.
    pub(crate) fn enter(self, dir: &Dir, name: &OsStr) -> Result<Option<Dir>> {
        match node::open(dir, name, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(fd) => Ok(Some(Dir::from_fd(fd, dir.path().join(name)))),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(e) => Err(e).on("open directory", dir.path(), name),
        }
    }

    /// Whether a directory of a layer hides what the layers below have there.
    pub(crate) fn is_opaque(self, dir: &Dir) -> Result<bool> {
        match self {
            Self::None => Ok(false),
            Self::Aufs => Ok(node::stat(dir, OsStr::new(OPAQUE_MARK))?.is_some()),
            Self::Overlay => {
                for name in OPAQUE_ATTRIBUTES {
                    if xattr::get(dir, name)?.as_deref() == Some(b"y") {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Whether a subdirectory, entered by this name, hides what the layers below have there. A whiteout beside
    /// it speaks of those layers too.
    pub(crate) fn hides(self, parent: &Dir, name: &OsStr, entered: &Dir) -> Result<bool> {
        Ok(self.is_opaque(entered)? || (self == Self::Aufs && has_whiteout_file(parent, name)?))
    }

    /// What a layer's directory has.
    pub(crate) fn list(self, dir: &Dir) -> Result<Listing> {
        let mut listing = Listing::default();
        for entry in dir.entries()? {
            match self {
                Self::Aufs => match entry.name.as_bytes().strip_prefix(WHITEOUT_PREFIX) {
                    // `.wh..wh.` begins aufs's own files, such as the mark of an opaque directory.
                    Some(name) if name.starts_with(WHITEOUT_PREFIX) => {}
                    Some(name) => {
                        listing.whiteouts.insert(OsStr::from_bytes(name).to_owned());
                    }
                    None => listing.entries.push((entry.name, entry.kind, entry.ino)),
                },
                Self::Overlay if matches!(entry.kind, FileType::CharacterDevice | FileType::Unknown) => {
                    match node::stat(dir, &entry.name)? {
                        Some(found) if is_whiteout_device(&found) => {
                            listing.whiteouts.insert(entry.name);
                        }
                        Some(found) => listing.entries.push((entry.name, found.kind, entry.ino)),
                        None => {}
                    }
                }
                _ => listing.entries.push((entry.name, entry.kind, entry.ino)),
            }
        }
        Ok(listing)
    }
}

fn is_whiteout_device(found: &Metadata) -> bool {
    found.kind == FileType::CharacterDevice && found.rdev == 0
}

pub(crate) fn has_whiteout_file(dir: &Dir, name: &OsStr) -> Result<bool> {
    let mut file = WHITEOUT_PREFIX.to_vec();
    file.extend_from_slice(name.as_bytes());
    // A name may be so long that its whiteout cannot exist.
    if file.len() > 255 {
        return Ok(false);
    }
    Ok(node::stat(dir, &OsString::from_vec(file))?.is_some())
}
