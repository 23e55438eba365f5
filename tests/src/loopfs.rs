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
    /// btrfs: reflinks, subvolumes.
    Btrfs,
}

impl FsKind {
    /// As in /proc/filesystems.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }
}

/// A fresh file system, mounted until it is dropped.
#[derive(Debug)]
pub struct LoopFs {
    dir: TempDir,
}

impl LoopFs {
    /// Makes and mounts one of `megabytes` (sparse); none where the tool for it is absent.
    pub fn new(kind: FsKind, megabytes: u64) -> Option<Self> {
        let (made, mounted) = Self::with(kind, megabytes, &[], "loop")?;
        mounted.succeeded();
        Some(made)
    }

    /// As [`LoopFs::new`], limiting what projects take up; none where the kernel cannot.
    pub fn with_project_quota(kind: FsKind, megabytes: u64) -> Option<Self> {
        let features: &[&str] = if kind == FsKind::Ext4 { &["-O", "quota,project"] } else { &[] };
        let (made, mounted) = Self::with(kind, megabytes, features, "loop,prjquota")?;
        // A kernel without quota mounts XFS all the same, and says so in its options.
        let table = std::fs::read_to_string("/proc/self/mounts").expect("reading /proc/self/mounts");
        let limits = |line: &str| line.contains(&*made.path().to_string_lossy()) && line.contains("prjquota");
        (mounted.code == 0 && table.lines().any(limits)).then_some(made)
    }

    fn with(kind: FsKind, megabytes: u64, features: &[&str], options: &str) -> Option<(Self, Outcome)> {
        let mkfs = program(&format!("mkfs.{}", kind.name()))?;
        let dir = scratch();
        let (image, mnt) = (dir.path().join("image"), dir.path().join("mnt"));
        let file = std::fs::File::create(&image).expect("creating the file of a file system");
        file.set_len(megabytes << 20).expect("sizing the file of a file system");
        std::fs::create_dir(&mnt).expect("creating a mount point");
        Outcome::of(Command::new(mkfs).args(features).arg("-q").arg(&image)).succeeded();
        let made = Self { dir };
        let mounted = made.mount(options);
        Some((made, mounted))
    }

    fn mount(&self, options: &str) -> Outcome {
        let (image, target) = (self.dir.path().join("image"), self.path());
        Outcome::of(Command::new("mount").args(["-o", options]).arg(image).arg(target))
    }

    /// What a power cut at this moment leaves: what was not synced is not in it.
    pub fn after_a_power_cut(&self) -> Self {
        let dir = scratch();
        std::fs::create_dir(dir.path().join("mnt")).expect("creating a mount point");
        let (from, to) = (self.dir.path().join("image"), dir.path().join("image"));
        Outcome::of(Command::new("cp").arg("--sparse=always").arg(from).arg(to)).succeeded();
        let left = Self { dir };
        left.mount("loop").succeeded();
        left
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
