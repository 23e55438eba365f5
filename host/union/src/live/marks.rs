use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nacre_sys::Dir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, XattrFlags};
use rustix::io::Errno;

use super::place::Place;
use super::{Result, Tree, Upper, errno, sys_errno};
use crate::layer::{OPAQUE_MARK, WHITEOUT_PREFIX, Whiteouts};

/// Attributes that overlayfs keeps for itself.
const TRUSTED: &[u8] = b"trusted.overlay.";
const USER: &[u8] = b"user.overlay.";
/// What an attribute of the same prefix that is not overlayfs's own is stored behind
/// (Documentation/filesystems/overlayfs.rst, "Nesting overlayfs mounts").
const ESCAPE: &[u8] = b"overlay.";

impl Tree {
    fn prefix(&self) -> &'static [u8] {
        if self.options.userxattr { USER } else { TRUSTED }
    }

    /// Whether an attribute of a real file is none of the tree's file.
    pub(crate) fn is_private(&self, name: &[u8]) -> bool {
        name.strip_prefix(self.prefix()).is_some_and(|rest| !rest.starts_with(ESCAPE))
    }

    /// The name by which an attribute of the tree is stored.
    pub(crate) fn stored_name(&self, name: &[u8]) -> Vec<u8> {
        match name.strip_prefix(self.prefix()) {
            Some(rest) => [self.prefix(), ESCAPE, rest].concat(),
            None => name.to_vec(),
        }
    }

    /// The name in the tree of an attribute that is stored; none where it is private.
    pub(crate) fn shown_name(&self, name: &[u8]) -> Option<Vec<u8>> {
        match name.strip_prefix(self.prefix()) {
            Some(rest) => rest.strip_prefix(ESCAPE).map(|rest| [self.prefix(), rest].concat()),
            None => Some(name.to_vec()),
        }
    }

    /// Let a directory of the writable layer hide what lies below it.
    pub(crate) fn set_opaque(&self, dir: &Arc<Dir>) -> Result<()> {
        match self.top()?.whiteouts {
            Whiteouts::Aufs => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                rustix::fs::openat(&**dir, OPAQUE_MARK, flags, Mode::RUSR).map(drop)
            }
            _ => {
                let name = [self.prefix(), b"opaque"].concat();
                Place::At(dir.clone(), OsString::new()).set_xattr(&name, b"y", XattrFlags::empty())
            }
        }
    }
}

impl Upper {
    /// A name in the work directory that nothing has.
    pub(crate) fn temp(&self) -> String {
        format!("#{:x}", self.temps.fetch_add(1, Ordering::Relaxed))
    }

    /// Delete a name that the layer does not have, or has as something that is no directory. Atomic.
    pub(crate) fn whiteout(&self, dir: &Dir, name: &OsStr, present: bool) -> Result<()> {
        if self.whiteouts == Whiteouts::Aufs {
            self.aufs_whiteout(dir, name)?;
            return if present { rustix::fs::unlinkat(dir, name, AtFlags::empty()) } else { Ok(()) };
        }
        if !present {
            return self.link_whiteout(dir, name);
        }
        let temp = self.temp();
        self.link_whiteout(&self.work, OsStr::new(&temp))?;
        rustix::fs::renameat(&*self.work, &temp, dir, name).inspect_err(|_| self.discard(&temp))
    }

    /// Delete a directory of the layer that shows nothing; `hidden` says that the layers below have the
    /// name. What is left in it are whiteouts. Atomic.
    pub(crate) fn remove_directory(&self, dir: &Dir, name: &OsStr, hidden: bool) -> Result<()> {
        let temp = self.temp();
        if !hidden {
            match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
                Err(Errno::NOTEMPTY | Errno::EXIST) => rustix::fs::renameat(dir, name, &*self.work, &temp)?,
                other => return other,
            }
        } else if self.whiteouts == Whiteouts::Aufs {
            self.aufs_whiteout(dir, name)?;
            rustix::fs::renameat(dir, name, &*self.work, &temp)?;
        } else {
            self.link_whiteout(&self.work, OsStr::new(&temp))?;
            rustix::fs::renameat_with(&*self.work, &temp, dir, name, RenameFlags::EXCHANGE)
                .inspect_err(|_| self.discard(&temp))?;
        }
        self.discard(&temp);
        Ok(())
    }

    /// Take back a deletion that stands beside an entry (aufs); overlayfs's are replaced by the entry.
    pub(crate) fn unwhiteout(&self, dir: &Dir, name: &OsStr) -> Result<()> {
        if self.whiteouts != Whiteouts::Aufs {
            return Ok(());
        }
        match rustix::fs::unlinkat(dir, aufs_name(name), AtFlags::empty()) {
            Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(()),
            other => other,
        }
    }

    /// Remove the deletions from a directory that hides all that lies below it: in one that is merged with
    /// nothing, overlayfs lists them.
    pub(crate) fn clear_whiteouts(&self, dir: &Dir) -> Result<()> {
        for name in self.whiteouts.list(dir).map_err(|e| errno(&e))?.whiteouts {
            if self.whiteouts == Whiteouts::Aufs {
                self.unwhiteout(dir, &name)?;
            } else {
                rustix::fs::unlinkat(dir, &name, AtFlags::empty())?;
            }
        }
        Ok(())
    }

    pub(crate) fn aufs_whiteout(&self, dir: &Dir, name: &OsStr) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::openat(dir, aufs_name(name), flags, Mode::RUSR).map(drop)
    }

    /// All whiteouts are one inode, as far as the file system lets it have names.
    fn link_whiteout(&self, dir: &Dir, name: &OsStr) -> Result<()> {
        let mut shared = self.whiteout.lock();
        if let Some(known) = &*shared {
            match rustix::fs::linkat(&*self.work, known, dir, name, AtFlags::empty()) {
                Err(Errno::MLINK | Errno::NOENT) => *shared = None,
                other => return other,
            }
        }
        let made = self.temp();
        rustix::fs::mknodat(&*self.work, &made, FileType::CharacterDevice, Mode::empty(), 0)?;
        rustix::fs::linkat(&*self.work, &made, dir, name, AtFlags::empty())?;
        *shared = Some(made);
        Ok(())
    }

    /// Remove something from the work directory. What stays is removed when the layer is opened again.
    pub(crate) fn discard(&self, temp: &str) {
        match rustix::fs::unlinkat(&*self.work, temp, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(_) => {
                if let Err(e) = self.work.remove_tree(temp).map_err(|e| sys_errno(&e)) {
                    tracing::debug!("{temp} stays in the work directory: {e}");
                }
            }
        }
    }
}

fn aufs_name(name: &OsStr) -> OsString {
    OsString::from_vec([WHITEOUT_PREFIX, name.as_bytes()].concat())
}
