//! One constructor for each kind of step. What each does, and how it is undone, is in `wit/plan.wit`.

use crate::{
    CopyTree, EnsureDir, Limit, MakeDir, MountBind, MountOverlay, MountTmpfs, OverlayOption, OverlayUpper,
    Place, Rename, SetState, Sharing, Step, SubvolumeCreate, SubvolumeSnapshot, Symlink, WriteFile,
};

/// Make a directory that does not exist yet.
#[must_use]
pub fn make_dir(at: Place, mode: u32) -> Step {
    Step::MakeDir(MakeDir { at, mode })
}

/// Make a directory unless it is there.
#[must_use]
pub fn ensure_dir(at: Place, mode: u32) -> Step {
    Step::EnsureDir(EnsureDir { at, mode })
}

/// Write a small file in one piece.
pub fn write_file(at: Place, content: impl Into<Vec<u8>>, mode: u32) -> Step {
    Step::WriteFile(WriteFile { at, content: content.into(), mode })
}

/// Make a symbolic link.
pub fn symlink(at: Place, target: impl Into<String>) -> Step {
    Step::Symlink(Symlink { at, target: target.into() })
}

/// Rename a file or directory.
#[must_use]
pub fn rename(source: Place, target: Place) -> Step {
    Step::Rename(Rename { source, target })
}

/// Copy a tree with everything that it holds; data is shared where the file system can.
#[must_use]
pub fn copy_tree(source: Place, target: Place) -> Step {
    Step::CopyTree(CopyTree { source, target, sharing: Sharing::Data })
}

/// Make a tree of the same directories whose other entries are hard links.
#[must_use]
pub fn link_tree(source: Place, target: Place) -> Step {
    Step::CopyTree(CopyTree { source, target, sharing: Sharing::Files })
}

/// Make an empty subvolume.
#[must_use]
pub fn subvolume_create(at: Place, mode: u32) -> Step {
    Step::SubvolumeCreate(SubvolumeCreate { at, mode })
}

/// Make a writable snapshot of a subvolume.
#[must_use]
pub fn subvolume_snapshot(source: Place, target: Place) -> Step {
    Step::SubvolumeSnapshot(SubvolumeSnapshot { source, target })
}

/// Delete a subvolume and the subvolumes inside it.
#[must_use]
pub fn subvolume_delete(at: Place) -> Step {
    Step::SubvolumeDelete(at)
}

/// Limit what a tree may take up.
#[must_use]
pub fn limit(at: Place, bytes: Option<u64>, inodes: Option<u64>) -> Step {
    Step::Limit(Limit { at, bytes, inodes })
}

/// Remove a file, or a directory with all that it holds.
#[must_use]
pub fn remove_tree(at: Place) -> Step {
    Step::RemoveTree(at)
}

/// Mount overlayfs; `lowers` has the topmost first.
#[must_use]
pub fn mount_overlay(
    lowers: Vec<Place>,
    upper: Option<OverlayUpper>,
    target: &Place,
    options: Vec<OverlayOption>,
) -> Step {
    Step::MountOverlay(MountOverlay { lowers, upper, target: target.clone(), options })
}

/// Show a directory at another place.
#[must_use]
pub fn mount_bind(source: Place, target: &Place, read_only: bool) -> Step {
    Step::MountBind(MountBind { source, target: target.clone(), read_only })
}

/// Mount an empty file system in memory.
#[must_use]
pub fn mount_tmpfs(target: &Place, size: Option<u64>, mode: u32) -> Step {
    Step::MountTmpfs(MountTmpfs { target: target.clone(), size, mode })
}

/// Unmount what is mounted on a directory.
#[must_use]
pub fn unmount(at: Place) -> Step {
    Step::Unmount(at)
}

/// Save a value of the component's own state.
pub fn set_state(key: impl Into<String>, value: impl Into<Vec<u8>>) -> Step {
    Step::SetState(SetState { key: key.into(), value: value.into() })
}

/// Forget a key of the component's own state.
pub fn remove_state(key: impl Into<String>) -> Step {
    Step::RemoveState(key.into())
}
