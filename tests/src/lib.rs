//! What the suites are written with: nacre on a throw-away root, trees compared entry by entry, images
//! made by hand, real images, and other engines to compare with.
//!
//! The suites run the real binary on the real kernel, as root. A test that cannot run where it stands
//! prints one line that begins with `not run:` and says why ([`skip`]); `scripts/test` collects these.
//!
//! ```no_run
//! use nacre_tests::{Nacre, fixture};
//!
//! let nacre = Nacre::new();
//! nacre.ok(["load", "-q", "-i", fixture::busybox().docker().to_str().unwrap()]);
//! assert_eq!(nacre.ok(["run", "--rm", "example/busybox:1", "echo", "hello"]), "hello\n");
//! ```
// A helper of tests fails by panicking, as a test does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod craft;
pub mod fixture;
mod loopfs;
mod mounts;
mod nacre;
mod outcome;
pub mod peers;
mod tree;
pub mod zfs;

pub use loopfs::{FsKind, LoopFs};
pub use mounts::{mounts_below, unmount_below};
pub use nacre::Nacre;
pub use nacre_skip::skip;
pub use outcome::Outcome;
pub use tree::Tree;

use std::path::{Path, PathBuf};

/// Whether a program is on the PATH or where administrators' programs lie.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// Runs a program, which must succeed, and returns its standard output.
pub fn shell(script: &str) -> String {
    Outcome::of(std::process::Command::new("bash").args(["-euo", "pipefail", "-c", script])).succeeded()
}

/// The repository.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Waits until something is so, which it must be within two minutes.
#[track_caller]
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let since = std::time::Instant::now();
    while !holds() {
        assert!(since.elapsed().as_secs() < 120, "{what}: not within 120 s");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// A throw-away directory on the disk that tests work on.
pub fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("nacre-test-").tempdir_in("/var/tmp").expect("a directory below /var/tmp")
}

/// The lower-case hexadecimal SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}

/// Whether something that takes minutes is left out, with a line that says so: it is but in `scripts/test --whole`,
/// which sets `NACRE_WHOLE`.
pub fn is_too_long(what: &str) -> bool {
    let left_out = std::env::var_os("NACRE_WHOLE").is_none();
    if left_out {
        skip(&format!("{what}: scripts/test --whole runs it"));
    }
    left_out
}
