//! Mounting and unmounting.
//!
//! Mounts are made with the kernel's mount API from descriptors: a file system is set up apart and attached
//! when it is complete, so a mount is there whole or not at all. A new mount is private: what is later
//! mounted below it is not carried elsewhere. The propagation of what was there before is left alone, so
//! a mount on a shared parent does appear in the parent's peers, and ends with it there too.

mod aufs;
mod info;
mod overlay;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use crate::dir::{Dir, proc_path_at};
use crate::error::{Error, Result};

pub use aufs::aufs;
pub use info::{MountInfo, all, below};
pub(crate) use overlay::{MAX_LOWERS, MAX_OPTION_BYTES};
pub use overlay::{Method, OverlayMount, OverlayOptions};

/// Show a directory at another place too, alone, without what is mounted below it. Read-only means that
/// nothing can be written through the new mount.
pub fn bind(source: &Dir, target: &Dir, read_only: bool) -> Result<()> {
    let failed = |step: &str, e: Errno| failure("bind", target, step, Vec::new(), e);
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(source, "", flags).map_err(|e| failed("open_tree", e))?;
    if read_only {
        set_attributes(tree.as_fd(), libc::MOUNT_ATTR_RDONLY, 0).map_err(|e| failed("mount_setattr", e))?;
    }
    attach(&tree, target).map_err(|(step, e)| failed(step, e))
}

/// Mount an empty file system in memory, of at most `size` bytes (none: the kernel's default), its root
/// with these permission bits. Device files on it do not work, nor do setuid programs.
pub fn tmpfs(target: &Dir, size: Option<u64>, mode: u32) -> Result<()> {
    let context = Context::open("tmpfs", target)?;
    context.set("source", "tmpfs")?;
    context.set("mode", &format!("{:o}", mode & 0o7777))?;
    if let Some(size) = size {
        context.set("size", &size.to_string())?;
    }
    context.mount(MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID)
}

/// End the topmost mount on a directory. False where nothing is mounted there, or there is no such
/// directory. [`Error::Busy`] where something still uses it.
pub fn unmount(at: &Dir, rel: impl AsRef<Path>) -> Result<bool> {
    end(at, rel.as_ref(), UnmountFlags::empty())
}

/// As [`unmount`], but never busy: the mount vanishes from its place now, and ends when its last user
/// does.
pub fn detach(at: &Dir, rel: impl AsRef<Path>) -> Result<bool> {
    end(at, rel.as_ref(), UnmountFlags::DETACH)
}

/// Whether something is mounted on exactly this directory or file. False where there is none.
pub fn is_mount_point(at: &Dir, rel: impl AsRef<Path>) -> Result<bool> {
    let rel = rel.as_ref();
    let spot = match at.spot(rel) {
        Err(e) if e.is_not_found() => return Ok(false),
        spot => spot?,
    };
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    match rustix::fs::statx(&spot, spot.name, flags, StatxFlags::empty()) {
        Ok(found) => Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(at.refused("stat", rel, e)),
    }
}

/// A descriptor of the target would keep the mount busy: it is named through its parent.
fn end(at: &Dir, rel: &Path, flags: UnmountFlags) -> Result<bool> {
    let spot = match at.spot(rel) {
        Err(e) if e.is_not_found() => return Ok(false),
        spot => spot?,
    };
    let path = proc_path_at(spot.as_fd(), spot.name);
    match rustix::mount::unmount(&path, flags | UnmountFlags::NOFOLLOW) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOENT) => Ok(false),
        Err(Errno::BUSY) => Err(Error::Busy { path: at.path().join(rel) }),
        Err(e) => Err(at.refused("unmount", rel, e)),
    }
}

/// A file system that is being set up.
pub(crate) struct Context<'a> {
    fd: OwnedFd,
    kind: &'static str,
    target: &'a Dir,
}

impl<'a> Context<'a> {
    pub(crate) fn open(kind: &'static str, target: &'a Dir) -> Result<Self> {
        let fd = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(|e| failure(kind, target, "fsopen", Vec::new(), e))?;
        Ok(Self { fd, kind, target })
    }

    pub(crate) fn set(&self, key: &str, value: &str) -> Result<()> {
        fsconfig_set_string(&self.fd, key, value).map_err(|e| self.failed(&format!("{key}={value}"), e))
    }

    pub(crate) fn flag(&self, key: &str) -> Result<()> {
        fsconfig_set_flag(&self.fd, key).map_err(|e| self.failed(key, e))
    }

    /// Attach the finished file system. What fails on the way leaves nothing: a mount that is not attached
    /// ends with its descriptor.
    pub(crate) fn mount(self, attributes: MountAttrFlags) -> Result<()> {
        fsconfig_create(&self.fd).map_err(|e| self.failed("create", e))?;
        let mount = fsmount(&self.fd, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(|e| self.failed("fsmount", e))?;
        attach(&mount, self.target).map_err(|(step, e)| self.failed(step, e))
    }

    fn failed(&self, step: &str, errno: Errno) -> Error {
        failure(self.kind, self.target, step, read_log(self.fd.as_fd()), errno)
    }
}

pub(crate) fn failure(kind: &'static str, target: &Dir, step: &str, log: Vec<String>, errno: Errno) -> Error {
    let target = target.path().to_owned();
    Error::Mount { kind, target, step: step.to_owned(), log, source: errno.into() }
}

/// What the kernel logged about a file system that is being set up: one message at each read, starting
/// with its level (`e `, `w `, `i `).
fn read_log(context: BorrowedFd<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(len) = rustix::io::read(context, &mut buffer) {
        let message = String::from_utf8_lossy(buffer.get(..len).unwrap_or_default()).into_owned();
        let message = message.trim_end();
        let text = message.split_once(' ').filter(|(level, _)| level.len() == 1).map_or(message, |(_, t)| t);
        if len == 0 || lines.len() == 16 {
            break;
        }
        lines.push(text.to_owned());
    }
    lines
}

fn attach(mount: &OwnedFd, target: &Dir) -> Result<(), (&'static str, Errno)> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", target, "", flags).map_err(|e| ("move_mount", e))?;
    make_private(mount.as_fd()).map_err(|e| {
        let _ = rustix::mount::unmount(crate::dir::proc_path(mount.as_fd()), UnmountFlags::DETACH);
        ("mount_setattr", e)
    })
}

/// Make what mount(2) has just mounted on a directory as private as the other mounts of this room, and if need
/// be read-only.
pub(crate) fn finish(target: &Dir, read_only: bool) -> Result<(), Errno> {
    // The descriptor is of what the mount covers.
    let path = rustix::fs::readlink(crate::dir::proc_path(target.as_fd()), Vec::new())?;
    let top = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let set = if read_only { libc::MOUNT_ATTR_RDONLY } else { 0 };
    set_attributes(top.as_fd(), set, libc::MS_PRIVATE)
}

/// A mount that is attached to a shared one becomes shared itself.
fn make_private(mount: BorrowedFd<'_>) -> Result<(), Errno> {
    set_attributes(mount, 0, libc::MS_PRIVATE)
}

/// `mount_setattr(2)` on the mount that a descriptor is the root of.
fn set_attributes(mount: BorrowedFd<'_>, set: u64, propagation: u64) -> Result<(), Errno> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: 0, propagation, userns_fd: 0 };
    // SAFETY: `attributes` is a mount_attr of the size passed, and lives through the call, which only
    // reads it; the path is a NUL-terminated literal.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

pub(crate) fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// A descriptor of the file system's root, which every process has.
pub(crate) fn slash() -> Result<OwnedFd, Errno> {
    rustix::fs::openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
