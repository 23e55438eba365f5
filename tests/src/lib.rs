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

pub use loopfs::{FsKind, LoopFs};
pub use mounts::{mounts_below, unmount_below};
pub use nacre::Nacre;
pub use outcome::Outcome;
pub use tree::Tree;

use std::io::Write;
use std::path::{Path, PathBuf};

/// Says in one line that a test was not run, and why: on standard error, and in the file `$NACRE_SKIPPED`,
/// since a test that passes is not heard.
pub fn skip(why: &str) {
    let thread = std::thread::current();
    let line = format!("not run: {}: {why}\n", thread.name().unwrap_or("a test"));
    eprint!("{line}");
    if let Some(path) = std::env::var_os("NACRE_SKIPPED") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("noting a test that is not run");
    }
}

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

/// A throw-away directory on the disk that tests work on.
pub fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("nacre-test-").tempdir_in("/var/tmp").expect("a directory below /var/tmp")
}

/// The lower-case hexadecimal SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}
