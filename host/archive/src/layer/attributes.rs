//! Owner, mode, extended attributes and times, in the order in which they do not undo each other: a change of
//! owner clears set-user-ID and capabilities, and a change of mode rewrites an ACL's mask.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::entry::{Entry, Kind};
use super::error::{EntryName, Problem};
use super::field::Time;
use super::ledger::{Late, Made};
use super::options::{Warning, Whiteouts};
use super::tree::{Dir, Tree, proc_path, split};

const SET_GROUP_ID: u32 = 0o2000;
const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";

impl Tree<'_> {
    /// Of a regular file that was just made with its permission bits.
    pub(super) fn set_file(&mut self, fd: BorrowedFd<'_>, entry: &mut Entry) -> Result<(), Problem> {
        if self.must_chown(entry) {
            rustix::fs::fchown(fd, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
                .map_err(Problem::write("set its owner"))?;
        }
        if self.must_chmod(entry.mode) {
            rustix::fs::fchmod(fd, Mode::from_raw_mode(entry.mode))
                .map_err(Problem::write("set its mode"))?;
        }
        self.set_xattrs(entry, |name, value| rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()))?;
        rustix::fs::futimens(fd, &times(entry.mtime, entry.atime)).map_err(Problem::write("set its times"))
    }

    /// Of a symbolic link, a device or a FIFO that was just made.
    pub(super) fn set_node(&mut self, dir: &Dir, name: &[u8], entry: &mut Entry) -> Result<(), Problem> {
        if self.must_chown(entry) {
            self.chown(dir, name, entry)?;
        }
        if entry.kind != Kind::Symlink && self.must_chmod(entry.mode) {
            chmod(dir, name, entry.mode)?;
        }
        let path = proc_path(dir.fd.as_fd(), Some(name));
        self.set_xattrs(entry, |name, value| {
            rustix::fs::lsetxattr(path.as_slice(), name, value, XattrFlags::empty())
        })?;
        set_times(dir, name, entry.mtime, entry.atime)
    }

    /// Of a directory, new or not. What must wait goes into the ledger.
    pub(super) fn set_directory(
        &mut self,
        dir: &Dir,
        name: &[u8],
        path: Vec<u8>,
        entry: &mut Entry,
        is_new: bool,
    ) -> Result<(), Problem> {
        self.implied.remove(&path);
        if !is_new && self.policy.whiteouts == Whiteouts::Delete {
            strip_xattrs(dir, name)?;
        }
        if !is_new || self.must_chown(entry) {
            self.chown(dir, name, entry)?;
        }
        if !is_new || self.must_chmod(entry.mode & !SET_GROUP_ID) {
            chmod(dir, name, entry.mode & !SET_GROUP_ID)?;
        }
        let acl = entry.xattrs.iter().position(|(name, _)| name == DEFAULT_ACL);
        let default_acl = acl.map(|at| entry.xattrs.swap_remove(at).1);
        if !entry.xattrs.is_empty() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(&dir.fd, name, flags, Mode::empty());
            let fd = fd.map_err(Problem::write("open the directory"))?;
            self.set_xattrs(entry, |name, value| {
                rustix::fs::fsetxattr(&fd, name, value, XattrFlags::empty())
            })?;
        }
        let mode = Some(entry.mode).filter(|mode| mode & SET_GROUP_ID != 0);
        let late = Late { mtime: entry.mtime, atime: entry.atime, mode, default_acl };
        self.ledger.insert(path, Made::Directory(late));
        Ok(())
    }

    /// When nothing is made any more: what had to wait.
    pub(super) fn set_late(&mut self) -> Result<(), Problem> {
        for (path, times) in std::mem::take(&mut self.kept_times) {
            // It may be gone, or something else now.
            if let Ok(dir) = self.strict_directory(&path) {
                rustix::fs::utimensat(&dir.fd, ".", &times, AtFlags::empty())
                    .map_err(Problem::write("set the times of its directory"))?;
            }
        }
        let mut parent: Option<Dir> = None;
        for (path, late) in std::mem::take(&mut self.ledger).into_directories() {
            let (directory, name) = split(&path);
            let name = if name.is_empty() { b"." } else { name };
            if parent.as_ref().is_none_or(|parent| parent.path != directory) {
                parent = Some(self.strict_directory(directory)?);
            }
            let Some(dir) = &parent else { continue };
            if let Some(mode) = late.mode {
                chmod(dir, name, mode)?;
            }
            if let Some(acl) = late.default_acl {
                self.set_default_acl(dir, name, &path, &acl)?;
            }
            set_times(dir, name, late.mtime, late.atime)?;
        }
        Ok(())
    }

    fn strict_directory(&self, path: &[u8]) -> Result<Dir, Problem> {
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let open = if path.is_empty() { b"." } else { path };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat2(self.root, open, flags, Mode::empty(), how);
        Ok(Dir { fd: fd.map_err(Problem::write("open a directory again"))?, path: path.to_vec() })
    }

    fn set_default_acl(&mut self, dir: &Dir, name: &[u8], path: &[u8], acl: &[u8]) -> Result<(), Problem> {
        let file = proc_path(dir.fd.as_fd(), Some(name));
        match rustix::fs::lsetxattr(file.as_slice(), DEFAULT_ACL, acl, XattrFlags::empty()) {
            Err(Errno::OPNOTSUPP) => {
                let (name, xattr) = (EntryName::new(path), EntryName::new(DEFAULT_ACL));
                self.warn(Warning::XattrUnsupported { name, xattr });
                Ok(())
            }
            result => result.map_err(Problem::write("set its default ACL")),
        }
    }

    /// In a tree that lower layers share, a directory's own ways may have given it another group.
    fn must_chown(&self, entry: &Entry) -> bool {
        (entry.uid, entry.gid) != self.owner || self.is_shared()
    }

    fn must_chmod(&self, mode: u32) -> bool {
        mode & (self.umask | !0o777) != 0 || self.is_shared()
    }

    fn chown(&self, dir: &Dir, name: &[u8], entry: &Entry) -> Result<(), Problem> {
        let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
        rustix::fs::chownat(&dir.fd, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Problem::write("set its owner"))
    }

    fn set_xattrs(
        &mut self,
        entry: &mut Entry,
        set: impl Fn(&[u8], &[u8]) -> Result<(), Errno>,
    ) -> Result<(), Problem> {
        for (xattr, value) in std::mem::take(&mut entry.xattrs) {
            let (name, shown) = (EntryName::new(entry.name.as_slice()), EntryName::new(xattr.as_slice()));
            if xattr.starts_with(b"trusted.overlay.") || xattr.starts_with(b"user.overlay.") {
                self.warn(Warning::OverlayXattr { name, xattr: shown });
                continue;
            }
            match set(&xattr, &value) {
                Ok(()) => {}
                // No such kind here, or none for such a file (`user.` on a link or a device).
                Err(Errno::OPNOTSUPP) => self.warn(Warning::XattrUnsupported { name, xattr: shown }),
                Err(Errno::PERM) if xattr.starts_with(b"user.") => {
                    self.warn(Warning::XattrUnsupported { name, xattr: shown });
                }
                Err(error) => return Err(Problem::Write("set an extended attribute", error.into())),
            }
        }
        Ok(())
    }
}

/// Remove what a directory has from a lower layer. The layer's own entry says all that there is to be; a
/// security module's label is not the layers' affair.
fn strip_xattrs(dir: &Dir, name: &[u8]) -> Result<(), Problem> {
    let op = "remove an extended attribute";
    let path = proc_path(dir.fd.as_fd(), Some(name));
    let mut names = [0; 64 * 1024];
    let length = match rustix::fs::llistxattr(path.as_slice(), names.as_mut_slice()) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        length => length.map_err(Problem::write(op))?,
    };
    for xattr in names[..length].split(|byte| *byte == 0).filter(|xattr| !xattr.is_empty()) {
        if xattr == b"security.selinux" {
            continue;
        }
        match rustix::fs::lremovexattr(path.as_slice(), xattr) {
            Ok(()) | Err(Errno::NODATA) => {}
            Err(error) => return Err(Problem::Write(op, error.into())),
        }
    }
    Ok(())
}

/// The last part is no symbolic link: it was made, or looked at, just now, and nobody else is in the tree.
fn chmod(dir: &Dir, name: &[u8], mode: u32) -> Result<(), Problem> {
    rustix::fs::chmodat(&dir.fd, name, Mode::from_raw_mode(mode), AtFlags::empty())
        .map_err(Problem::write("set its mode"))
}

fn set_times(dir: &Dir, name: &[u8], mtime: Time, atime: Option<Time>) -> Result<(), Problem> {
    rustix::fs::utimensat(&dir.fd, name, &times(mtime, atime), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(Problem::write("set its times"))
}

/// Most archives do not tell when a file was read last: then it was when it was written.
fn times(mtime: Time, atime: Option<Time>) -> Timestamps {
    let timespec = |time: Time| Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
    Timestamps { last_access: timespec(atime.unwrap_or(mtime)), last_modification: timespec(mtime) }
}
