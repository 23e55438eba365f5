//! Mounts of datasets: by mount(2) where the kernel knows ZFS, by the property `mountpoint` with zfs-fuse.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FsWord, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use super::program::zfs;
use super::{Fault, KERNEL, USER_SPACE, get, set};
use crate::dir::{Dir, proc_path};
use crate::error::{Context, Error, Result};
use crate::mount;

/// `FUSE_SUPER_MAGIC` (linux/magic.h).
const FUSE_MAGIC: FsWord = 0x6573_5546;

/// Whether the running kernel mounts datasets. The module is loaded once any pool was imported.
pub fn has_legacy_mounts() -> Result<bool> {
    let path = "/proc/filesystems";
    let list = std::fs::read_to_string(path).on("read", path)?;
    Ok(list.lines().any(|line| line.split_whitespace().last() == Some(KERNEL)))
}

/// Mount a dataset on an empty directory. Read-only means that nothing can be written through this mount.
pub fn mount(dataset: &str, target: &Dir, read_only: bool) -> Result<()> {
    if has_legacy_mounts()? {
        let at = proc_path(target.as_fd());
        rustix::mount::mount(dataset, &at, KERNEL, MountFlags::empty(), c"")
            .map_err(|e| failed(target, "mount", &[], e))?;
    } else {
        by_property(dataset, target)?;
    }
    mount::finish(target, read_only).map_err(|e| {
        // The descriptor is of what the mount covers; its path leads to the mount.
        if let Ok(top) = target.real_path() {
            let _ = rustix::mount::unmount(top, UnmountFlags::DETACH);
        }
        failed(target, "mount_setattr", &[], e)
    })
}

/// Setting the property mounts the dataset, unless it says so already: then a mount was lost, or ended by hand.
fn by_property(dataset: &str, target: &Dir) -> Result<()> {
    let path = target.real_path()?;
    let refused = |said: &str| failed(target, "mountpoint", &[said], Errno::INVAL);
    let path = path.to_str().ok_or_else(|| refused("the path is not UTF-8, and zfs wants no other"))?;
    // The second time the property is `legacy`, so that setting it mounts whatever zfs-fuse thought before.
    for _ in 0..2 {
        let mounted = if get(dataset, "mountpoint")? == path {
            zfs("mount", dataset, &[dataset]).map(drop)
        } else {
            set(dataset, "mountpoint", path)
        };
        if mounted.is_ok() && shows_up(dataset, Path::new(path))? {
            return Ok(());
        }
        let _ = set(dataset, "mountpoint", "legacy");
        mounted?;
    }
    Err(refused("zfs-fuse mounted it where this process does not see it: in another mount namespace"))
}

/// zfs-fuse answers before its mount is there, and for some moments takes one that was just ended for mounted.
fn shows_up(dataset: &str, path: &Path) -> Result<bool> {
    for _ in 0..50 {
        if user_space_dataset(path)?.as_deref() == Some(dataset) {
            return Ok(true);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(false)
}

/// End the topmost mount on a directory, whatever it is; a dataset of zfs-fuse gets its `mountpoint=legacy`
/// back. False where nothing is mounted there. [`Error::Busy`] where something still uses it.
pub fn unmount(at: &Dir, rel: impl AsRef<Path>) -> Result<bool> {
    let rel = rel.as_ref();
    // Named and not opened: what is opened is closed again, of which zfs-fuse must not be told too late.
    let dataset =
        match at.open_beneath(rel, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(dir) if answers_as_fuse(&dir) => {
                let link = proc_path(dir.as_fd());
                user_space_dataset(&std::fs::read_link(&link).on("read link", &link)?)?
            }
            Ok(_) => None,
            Err(e) if e.is_not_found() => return Ok(false),
            // What is mounted there does not answer; it can be unmounted still.
            Err(_) => None,
        };
    let ended = mount::unmount(at, rel)?;
    match dataset {
        Some(dataset) => legacy_again(&dataset).map(|()| ended),
        None => Ok(ended),
    }
}

/// What was just unmounted is busy for some moments more, and one that is gone needs nothing.
fn legacy_again(dataset: &str) -> Result<()> {
    match set(dataset, "mountpoint", "legacy") {
        Err(Error::Zfs { fault: Fault::Missing, .. }) => Ok(()),
        outcome => outcome,
    }
}

/// The kernel tells a FUSE server of closed files later, and not at all once the mount has ended; zfs-fuse then
/// waits for ever, deaf to all else, until the last file is closed (its `zfsfuse_destroy`). Requests are in order:
/// when it has answered this one it has been told of every file that was closed before.
fn answers_as_fuse(dir: &OwnedFd) -> bool {
    rustix::fs::fstatfs(dir).is_ok_and(|found| found.f_type == FUSE_MAGIC)
}

/// The dataset that zfs-fuse has mounted right at a path.
fn user_space_dataset(path: &Path) -> Result<Option<String>> {
    let last = mount::below(path)?.into_iter().rfind(|mount| mount.mount_point == path);
    let last = last.filter(|mount| mount.kind == USER_SPACE);
    Ok(last.and_then(|mount| mount.source.into_string().ok()))
}

fn failed(target: &Dir, step: &str, log: &[&str], errno: Errno) -> Error {
    let log = log.iter().map(|line| (*line).to_owned()).collect();
    mount::failure(KERNEL, target, step, log, errno)
}
