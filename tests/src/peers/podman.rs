//! Podman, which needs no daemon.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::wanted;
use crate::{Outcome, scratch, unmount_below};

/// Podman with storage of its own.
#[derive(Debug)]
pub struct Podman {
    program: PathBuf,
    dir: TempDir,
}

impl Podman {
    /// Prepares one.
    pub fn start() -> Option<Self> {
        Some(Self { program: wanted("podman")?, dir: scratch() })
    }

    /// Runs it.
    pub fn run(&self, args: &[&str]) -> Outcome {
        let path = |name: &str| self.dir.path().join(name);
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(path("root")).arg("--runroot").arg(path("run"));
        command.args([
            "--storage-driver",
            "overlay",
            "--cgroup-manager",
            "cgroupfs",
            "--events-backend",
            "file",
        ]);
        Outcome::of(command.arg("--tmpdir").arg(path("tmp")).args(args))
    }

    /// Runs it; it must succeed.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        self.run(args).succeeded()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        unmount_below(self.dir.path());
    }
}
