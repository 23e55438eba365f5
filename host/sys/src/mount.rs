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
        set_attributes(tree.as_fd(), libc::MOUNT_ATTR_RDONLY, 0, 0)
            .map_err(|e| failed("mount_setattr", e))?;
    }
    attach(&tree, target).map_err(|(step, e)| failed(step, e))
}

/// The same directory through a mount of its own that is attached nowhere, and through which nothing can be
/// written and no time of access changes. The mount that it was opened by is not kept busy. Needs
/// `CAP_SYS_ADMIN`.
pub fn read_only_clone(source: &Dir) -> Result<Dir> {
    let set = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOATIME;
    let tree = clone_tree(source, set, libc::MOUNT_ATTR__ATIME)?;
    reopen(&tree, Path::new("."), source)
}

/// Two directories of one mount through a mount of their own that is attached nowhere: a rename from one to
/// the other works. The mount that they were opened by is not kept busy. Needs `CAP_SYS_ADMIN`.
pub fn private_clone(first: &Dir, second: &Dir) -> Result<(Dir, Dir)> {
    let (one, two) = (first.real_path()?, second.real_path()?);
    let shared: std::path::PathBuf =
        one.components().zip(two.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
    let tree = clone_tree(&Dir::open(&shared)?, 0, 0)?;
    let below = |path: &Path, dir: &Dir| {
        let rel = path.strip_prefix(&shared).unwrap_or(path);
        let rel = if rel.as_os_str().is_empty() { Path::new(".") } else { rel };
        let cloned = reopen(&tree, rel, dir)?;
        let (was, is) = (dir.stat("")?, cloned.stat("")?);
        if (was.st_dev, was.st_ino) == (is.st_dev, is.st_ino) {
            Ok(cloned)
        } else {
            // Something is mounted on the way.
            Err(failure("bind", dir, "open", Vec::new(), Errno::XDEV))
        }
    };
    Ok((below(&one, first)?, below(&two, second)?))
}

fn clone_tree(source: &Dir, set: u64, clear: u64) -> Result<OwnedFd> {
    let failed = |step: &str, e: Errno| failure("bind", source, step, Vec::new(), e);
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(source, "", flags).map_err(|e| failed("open_tree", e))?;
    set_attributes(tree.as_fd(), set, clear, libc::MS_PRIVATE).map_err(|e| failed("mount_setattr", e))?;
    Ok(tree)
}

fn reopen(tree: &OwnedFd, rel: &Path, source: &Dir) -> Result<Dir> {
    let fd = crate::dir::resolve(tree.as_fd(), rel, crate::dir::DIRECTORY, Mode::empty())
        .map_err(|e| failure("bind", source, "open", Vec::new(), e))?;
    Ok(Dir::from_fd(fd, source.path()))
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

/// How a FUSE file system is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FuseOptions {
    /// What it calls its source.
    pub source: String,
    /// Its type, behind `fuse.`.
    pub subtype: String,
    /// Nothing can be written.
    pub read_only: bool,
    /// Device files on it do not work.
    pub no_devices: bool,
    /// Setuid bits do not count.
    pub no_setuid: bool,
    /// Programs on it cannot be run.
    pub no_exec: bool,
    /// Reading does not change times.
    pub no_access_times: bool,
}

/// Mount a FUSE file system whose permissions the kernel checks, for all users. Returns the descriptor of
/// /dev/fuse by which it is served: it ends with the last copy of that.
pub fn fuse(target: &Dir, options: &FuseOptions) -> Result<OwnedFd> {
    let device = rustix::fs::openat(CWD, "/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| failure("fuse", target, "open /dev/fuse", Vec::new(), e))?;
    let context = Context::open("fuse", target)?;
    context.set("source", &options.source)?;
    context.set("subtype", &options.subtype)?;
    context.set("fd", &device.as_raw_fd().to_string())?;
    context.set("rootmode", "40000")?;
    context.set("user_id", &rustix::process::getuid().as_raw().to_string())?;
    context.set("group_id", &rustix::process::getgid().as_raw().to_string())?;
    for flag in ["default_permissions", "allow_other"] {
        fsconfig_set_flag(&context.fd, flag).map_err(|e| context.failed(flag, e))?;
    }
    let attributes = [
        (options.read_only, MountAttrFlags::MOUNT_ATTR_RDONLY),
        (options.no_devices, MountAttrFlags::MOUNT_ATTR_NODEV),
        (options.no_setuid, MountAttrFlags::MOUNT_ATTR_NOSUID),
        (options.no_exec, MountAttrFlags::MOUNT_ATTR_NOEXEC),
        (options.no_access_times, MountAttrFlags::MOUNT_ATTR_NOATIME),
    ];
    context.mount(attributes.into_iter().filter_map(|(on, flag)| on.then_some(flag)).collect())?;
    Ok(device)
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
    set_attributes(top.as_fd(), set, 0, libc::MS_PRIVATE)
}

/// A mount that is attached to a shared one becomes shared itself.
fn make_private(mount: BorrowedFd<'_>) -> Result<(), Errno> {
    set_attributes(mount, 0, 0, libc::MS_PRIVATE)
}

/// `mount_setattr(2)` on the mount that a descriptor is the root of.
fn set_attributes(mount: BorrowedFd<'_>, set: u64, clear: u64, propagation: u64) -> Result<(), Errno> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation, userns_fd: 0 };
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
