//! The steps of ZFS, and of aufs.

use crate::{MountAufs, MountZfs, Place, Step, ZfsClone, ZfsProperty, ZfsSet, ZfsSnapshot};

/// Make an empty file system of ZFS.
pub fn zfs_create(dataset: impl Into<String>) -> Step {
    Step::ZfsCreate(dataset.into())
}

/// Make a snapshot.
#[must_use]
pub fn zfs_snapshot(snapshot: ZfsSnapshot) -> Step {
    Step::ZfsSnapshot(snapshot)
}

/// Make a writable file system that starts as a snapshot is.
pub fn zfs_clone(source: ZfsSnapshot, target: impl Into<String>) -> Step {
    Step::ZfsClone(ZfsClone { source, target: target.into() })
}

/// Give a property of a dataset a value.
pub fn zfs_set(at: impl Into<String>, property: ZfsProperty) -> Step {
    Step::ZfsSet(ZfsSet { at: at.into(), property })
}

/// Destroy a dataset with its snapshots.
pub fn zfs_destroy(dataset: impl Into<String>) -> Step {
    Step::ZfsDestroy(dataset.into())
}

/// Destroy a snapshot, or have it vanish with the last of its clones.
#[must_use]
pub fn zfs_destroy_snapshot(snapshot: ZfsSnapshot) -> Step {
    Step::ZfsDestroySnapshot(snapshot)
}

/// Mount a dataset.
pub fn mount_zfs(source: impl Into<String>, target: &Place, read_only: bool) -> Step {
    Step::MountZfs(MountZfs { source: source.into(), target: target.clone(), read_only })
}

/// Mount aufs; `lowers` has the topmost first.
#[must_use]
pub fn mount_aufs(upper: Option<Place>, lowers: Vec<Place>, target: &Place) -> Step {
    Step::MountAufs(MountAufs { upper, lowers, target: target.clone() })
}
