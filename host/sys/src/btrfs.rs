//! Subvolumes of btrfs and what they may take up, by the ioctls of `linux/btrfs.h`.
//!
//! Needs `CAP_SYS_ADMIN`. On another file system everything here fails with [`Error::Lacks`].

mod ioctl;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::dir::{DIRECTORY, Dir, Spot};
use crate::error::{Context, Error, Result};
use crate::remove::refuse_mounts;

/// `BTRFS_SUPER_MAGIC` (linux/magic.h).
const MAGIC: u64 = 0x9123_683e;
/// `BTRFS_FIRST_FREE_OBJECTID` (linux/btrfs_tree.h): the inode number of every subvolume's root, and of no
/// other directory.
const ROOT_INODE: u64 = 256;

/// Whether a directory is on btrfs.
pub(crate) fn is_btrfs(dir: &Dir) -> Result<bool> {
    Ok(rustix::fs::fstatfs(dir).on("statfs", dir.path())?.f_type as u64 == MAGIC)
}

/// Whether a directory is the root of a subvolume.
pub fn is_subvolume(dir: &Dir) -> Result<bool> {
    Ok(dir.stat("")?.st_ino == ROOT_INODE && is_btrfs(dir)?)
}

/// Make an empty subvolume, its root with exactly these permission bits. Its parent exists, it does not.
pub fn create_subvolume(at: &Dir, rel: impl AsRef<Path>, mode: u32) -> Result<()> {
    let rel = rel.as_ref();
    let spot = at.spot(rel)?;
    folder(&spot)
        .and_then(|parent| ioctl::create(parent.as_fd(), spot.name))
        .map_err(|e| refused("make subvolume", at, rel, e))?;
    let dressed = rustix::fs::openat(&spot, spot.name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
        .and_then(|made| rustix::fs::fchmod(made, Mode::from_raw_mode(mode & 0o7777)));
    dressed.map_err(|e| {
        let _ = delete_subvolume(at, rel);
        refused("set mode of", at, rel, e)
    })
}

/// Make a writable snapshot of a subvolume. Its parent exists, it does not. Subvolumes inside the source are
/// empty directories in the snapshot.
pub fn snapshot(source: &Dir, at: &Dir, rel: impl AsRef<Path>) -> Result<()> {
    let rel = rel.as_ref();
    let spot = at.spot(rel)?;
    if !is_subvolume(source)? {
        return Err(no_subvolume("snapshot", source.path().to_owned()));
    }
    folder(&spot)
        .and_then(|parent| ioctl::snapshot(source.as_fd(), parent.as_fd(), spot.name))
        .map_err(|e| refused("make snapshot", at, rel, e))
}

/// Delete a subvolume, the subvolumes inside it, and their quota groups. One that is gone already is no
/// error. Refused, before anything is deleted, with [`Error::HoldsMount`] where something is mounted at or
/// below it.
///
/// The kernel gives the data back in the background. It keeps the quota groups until then, and removes them
/// itself (Linux 6.11); older ones are told to. One that is nested so deep that the path to it on its file
/// system is longer than `PATH_MAX` cannot be deleted.
pub fn delete_subvolume(at: &Dir, rel: impl AsRef<Path>) -> Result<()> {
    let rel = rel.as_ref();
    let spot = match at.spot(rel) {
        Err(e) if e.is_not_found() => return Ok(()),
        spot => spot?,
    };
    match rustix::fs::statat(&spot, spot.name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        stat => require_subvolume(&stat.map_err(|e| refused("stat", at, rel, e))?, at, rel)?,
    }
    refuse_mounts(at, rel, spot.as_fd(), spot.name)?;
    delete(&spot).map_err(|e| refused("delete subvolume", at, rel, e))
}

/// Those inside go first: one that holds another cannot be deleted.
fn delete(spot: &Spot<'_>) -> Result<(), Errno> {
    let (folder, name) = (folder(spot)?, spot.name);
    let fd = folder.as_fd();
    let root = rustix::fs::openat(fd, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
    let id = ioctl::id_of(root.as_fd())?;
    for inner in inside(fd, id)?.into_iter().rev() {
        unless_gone(ioctl::destroy_by_id(fd, inner))?;
        drop_group(fd, inner);
    }
    unless_gone(ioctl::destroy(fd, name))?;
    drop_group(fd, id);
    Ok(())
}

/// The IDs of all subvolumes inside one, each after the one that it is in. No directory is read for it.
fn inside(fd: BorrowedFd<'_>, id: u64) -> Result<Vec<u64>, Errno> {
    let mut found = ioctl::children(fd, id)?;
    let mut looked_at = 0;
    while let Some(&next) = found.get(looked_at) {
        found.extend(ioctl::children(fd, next)?);
        looked_at += 1;
    }
    Ok(found)
}

/// Quota may be off, and a kernel that removes groups itself says that the group is busy.
fn drop_group(fd: BorrowedFd<'_>, id: u64) {
    if let Err(error) = ioctl::destroy_group(fd, id)
        && !matches!(error, Errno::NOTCONN | Errno::NOENT | Errno::BUSY)
    {
        tracing::warn!(subvolume = id, %error, "its quota group stays");
    }
}

/// Limit the bytes that a subvolume refers to, what it shares with others included, as Docker's btrfs driver
/// does; none for no limit. Quota is enabled on the file system if need be.
pub fn limit(subvolume: &Dir, bytes: Option<u64>) -> Result<()> {
    if !is_subvolume(subvolume)? {
        return Err(no_subvolume("limit", subvolume.path().to_owned()));
    }
    let failed = |e| refused("limit", subvolume, Path::new(""), e);
    let fd = subvolume.as_fd();
    ioctl::enable_quota(fd).map_err(failed)?;
    let most = bytes.unwrap_or(u64::MAX);
    match ioctl::limit(fd, most) {
        // Somebody has removed the group.
        Err(Errno::NOENT) => ioctl::id_of(fd)
            .and_then(|id| ioctl::create_group(fd, id))
            .and_then(|()| ioctl::limit(fd, most))
            .map_err(failed),
        other => other.map_err(failed),
    }
}

/// The parent, opened so that ioctls take it.
fn folder(spot: &Spot<'_>) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(spot, ".", DIRECTORY, Mode::empty())
}

fn require_subvolume(stat: &Stat, at: &Dir, rel: &Path) -> Result<()> {
    if !is_btrfs(at)? {
        return Err(refused("delete subvolume", at, rel, Errno::NOTTY));
    }
    if stat.st_ino == ROOT_INODE { Ok(()) } else { Err(no_subvolume("delete", at.path().join(rel))) }
}

fn no_subvolume(op: &'static str, path: PathBuf) -> Error {
    let source = std::io::Error::other("it is no subvolume");
    Error::Io { op, path, source }
}

fn refused(op: &'static str, at: &Dir, rel: &Path, errno: Errno) -> Error {
    match errno {
        Errno::NOTTY => Error::Lacks { path: at.path().join(rel), what: "subvolumes: it is not btrfs" },
        e => at.refused(op, rel, e),
    }
}

fn unless_gone(result: Result<(), Errno>) -> Result<(), Errno> {
    if result == Err(Errno::NOENT) { Ok(()) } else { result }
}
