//! A directory that a test works in; mounts in it end with it.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use nacre_sys::{Dir, mount};

#[derive(Debug)]
pub struct Scratch {
    pub dir: Dir,
    temp: tempfile::TempDir,
}

impl Scratch {
    pub fn new() -> Self {
        Self::in_dir("/var/tmp")
    }

    pub fn in_dir(dir: impl AsRef<std::path::Path>) -> Self {
        let temp = tempfile::tempdir_in(dir).unwrap();
        Self { dir: Dir::open(temp.path()).unwrap(), temp }
    }

    pub fn path(&self) -> &std::path::Path {
        self.temp.path()
    }

    pub fn make(&self, names: &[&str]) {
        for name in names {
            std::fs::create_dir_all(self.path().join(name)).unwrap();
        }
    }

    pub fn write(&self, rel: &str, text: &str) {
        std::fs::write(self.path().join(rel), text).unwrap();
    }

    pub fn read(&self, rel: &str) -> String {
        std::fs::read_to_string(self.path().join(rel)).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for found in mount::below(self.path()).unwrap().iter().rev() {
            let rel = found.mount_point.strip_prefix(self.path()).unwrap();
            let _ = mount::detach(&self.dir, rel);
        }
    }
}

/// Mounts need root; says so where it is not.
pub fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        nacre_skip::skip("mounting needs root");
    }
    root
}
