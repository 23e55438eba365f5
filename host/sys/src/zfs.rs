//! ZFS: datasets, snapshots and clones by the `zfs` program, which is the only interface that both OpenZFS and
//! zfs-fuse promise to keep; mounts by the kernel where it knows ZFS.
//!
//! A dataset's name is its full one, such as `tank/nacre/layer`, and a snapshot's `tank/nacre/layer@name`. Every
//! dataset that is made here has `mountpoint=legacy`: nothing but [`mount`] mounts it.
//!
//! zfs-fuse knows no legacy mounts. There a dataset is mounted by its property `mountpoint`, which names the
//! target for as long as the mount lasts.

mod mount;
mod program;

use rustix::fs::{AtFlags, StatxFlags};

use crate::dir::Dir;
use crate::error::{Context, Error, Result};
use program::zfs;

pub use mount::{has_legacy_mounts, mount, unmount};
pub use program::Fault;

/// Types of mounts that show a dataset: the kernel's ZFS, and zfs-fuse.
const KERNEL: &str = "zfs";
const USER_SPACE: &str = "fuse.zfs";

/// The dataset that a directory is on; none where its file system is not ZFS.
pub fn dataset_of(dir: &Dir) -> Result<Option<String>> {
    let found = rustix::fs::statx(dir, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).on("stat", dir.path())?;
    let mount = crate::mount::all()?.into_iter().find(|mount| mount.id == found.stx_mnt_id);
    let mount = mount.filter(|mount| mount.kind == KERNEL || mount.kind == USER_SPACE);
    Ok(mount.and_then(|mount| mount.source.into_string().ok()))
}

/// Whether there is a dataset or snapshot of this name, in a pool that is imported.
pub fn exists(name: &str) -> Result<bool> {
    match get(name, "type") {
        Ok(_) => Ok(true),
        Err(e) if e.is_not_found() => Ok(false),
        Err(e) => Err(e),
    }
}

/// Make an empty file system. Its parent exists, it does not.
pub fn create(name: &str) -> Result<()> {
    zfs("create", name, &["-o", "mountpoint=legacy", name]).map(drop)
}

/// Make a snapshot, `dataset@name`, of a dataset as it is now. It does not exist.
pub fn snapshot(name: &str) -> Result<()> {
    zfs("snapshot", name, &[name]).map(drop)
}

/// Make a writable file system that starts as a snapshot is. It does not exist.
pub fn clone(snapshot: &str, name: &str) -> Result<()> {
    zfs("clone", name, &["-o", "mountpoint=legacy", snapshot, name]).map(drop)
}

/// Destroy a dataset with its snapshots and the datasets below it. False where there is none. Refused with
/// [`Fault::Busy`] where it is mounted and in use, and with [`Fault::HasClones`] where clones of its snapshots
/// are left.
pub fn destroy(name: &str) -> Result<bool> {
    unless_gone(zfs("destroy", name, &["-r", name]))
}

/// Destroy a snapshot, or where it has clones, have it vanish with the last of them (`zfs destroy -d`). False
/// where there is none.
pub fn destroy_snapshot(name: &str) -> Result<bool> {
    unless_gone(zfs("destroy", name, &["-d", name]))
}

/// Give a property of a dataset a value.
pub fn set(name: &str, property: &str, value: &str) -> Result<()> {
    zfs("set", name, &[&format!("{property}={value}"), name]).map(drop)
}

/// The value of a property: numbers as plain decimals, sizes in bytes, `-` where it has none.
pub fn get(name: &str, property: &str) -> Result<String> {
    Ok(zfs("get", name, &["-Hp", "-o", "value", property, name])?.trim_end().to_owned())
}

/// The names of the datasets right below one, without its own name, in no order.
pub fn children(name: &str) -> Result<Vec<String>> {
    let list = zfs("list", name, &["-H", "-o", "name", "-t", "filesystem", "-r", "-d", "1", name])?;
    let below = format!("{name}/");
    Ok(list.lines().filter_map(|line| line.strip_prefix(&below)).map(str::to_owned).collect())
}

fn unless_gone(done: Result<String>) -> Result<bool> {
    match done {
        Ok(_) => Ok(true),
        Err(Error::Zfs { fault: Fault::Missing, .. }) => Ok(false),
        Err(e) => Err(e),
    }
}
