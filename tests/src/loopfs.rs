//! A fresh file system in a sparse file.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::mounts::unmount_below;
use crate::{Outcome, program, scratch};

/// Which file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FsKind {
    /// ext4: no reflinks.
    Ext4,
    /// XFS: reflinks.
    Xfs,
}

/// A fresh file system, mounted until it is dropped.
#[derive(Debug)]
pub struct LoopFs {
    dir: TempDir,
}

impl LoopFs {
    /// Makes and mounts one of `megabytes` (sparse); none where the tool for it is absent.
    pub fn new(kind: FsKind, megabytes: u64) -> Option<Self> {
        let mkfs = program(match kind {
            FsKind::Ext4 => "mkfs.ext4",
            FsKind::Xfs => "mkfs.xfs",
        })?;
        let dir = scratch();
        let image = dir.path().join("image");
        let file = std::fs::File::create(&image).expect("creating the file of a file system");
        file.set_len(megabytes << 20).expect("sizing the file of a file system");
        std::fs::create_dir(dir.path().join("mnt")).expect("creating a mount point");
        Outcome::of(Command::new(mkfs).arg("-q").arg(&image)).succeeded();
        Outcome::of(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(dir.path().join("mnt")))
            .succeeded();
        Some(Self { dir })
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("mnt")
    }

    /// Writes out what the kernel still holds of it.
    pub fn sync(&self) {
        Outcome::of(Command::new("sync").arg("-f").arg(self.path())).succeeded();
    }
}

impl Drop for LoopFs {
    fn drop(&mut self) {
        unmount_below(self.dir.path());
    }
}
