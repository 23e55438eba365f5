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
        Some(Self::mount(dir))
    }

    fn mount(dir: TempDir) -> Self {
        let (image, target) = (dir.path().join("image"), dir.path().join("mnt"));
        Outcome::of(Command::new("mount").args(["-o", "loop"]).arg(image).arg(target)).succeeded();
        Self { dir }
    }

    /// What a power cut at this moment leaves: what was not synced is not in it.
    pub fn after_a_power_cut(&self) -> Self {
        let dir = scratch();
        std::fs::create_dir(dir.path().join("mnt")).expect("creating a mount point");
        let (from, to) = (self.dir.path().join("image"), dir.path().join("image"));
        Outcome::of(Command::new("cp").arg("--sparse=always").arg(from).arg(to)).succeeded();
        Self::mount(dir)
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
