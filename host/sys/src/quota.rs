//! Limits on what a tree may take up: quota groups of btrfs, project quota of ext4 and XFS.

mod project;

use std::os::fd::{AsFd, BorrowedFd};

use crate::btrfs;
use crate::dir::Dir;
use crate::error::{Error, Result};

pub(crate) use project::{are_enforced, own_project};

/// Limit what a tree may take up: a subvolume by its quota group (inodes cannot be limited there), or an
/// empty directory by a project of its own, which everything made below inherits; none for no limit.
///
/// [`Error::Lacks`] where the file system cannot. A directory that [`Dir::remove_tree`] removes takes its
/// project's limit with it.
pub fn limit(dir: &Dir, bytes: Option<u64>, inodes: Option<u64>) -> Result<()> {
    if !btrfs::is_btrfs(dir)? {
        return project::limit(dir, bytes, inodes);
    }
    match inodes {
        Some(_) => Err(Error::Lacks { path: dir.path().to_owned(), what: "limits on the number of files" }),
        None => btrfs::limit(dir, bytes),
    }
}

/// Forget the limits of a project whose tree was removed. What fails leaves a limit that limits nothing.
pub(crate) fn release(file_system: BorrowedFd<'_>, project: u32) {
    if let Err(error) = project::set_limits(file_system.as_fd(), project, None, None) {
        tracing::warn!(project, %error, "the limits of a removed tree stay in the file system's records");
    }
}
