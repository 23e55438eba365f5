//! What the engine takes and gives.

mod container;
mod driver;
mod explain;
mod image;

use std::path::PathBuf;

use serde::Serialize;

pub use container::*;
pub use driver::*;
pub use explain::*;
pub use image::*;

/// How an [`crate::Engine`] is opened.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The storage root; none means `/var/lib/nacre`.
    pub root: Option<PathBuf>,
    /// The driver for new layers, by name or by the path of its component (with a `/` in it, or ending in
    /// `.wasm`); none means the one in use, or on a new root the first that can work there.
    pub driver: Option<String>,
    /// `<driver>.<option>=<value>` settings.
    pub storage_opts: Vec<String>,
    /// Plans are collected and shown, and nothing is changed. See [`crate::Engine::explained`].
    pub explain: bool,
}

/// One kind of thing in `system df`.
#[derive(Debug, Clone, Serialize)]
pub struct DfRow {
    /// `Images`, `Containers`, `Layers` or `Content`.
    pub kind: String,
    /// How many there are.
    pub total: u64,
    /// How many are in use.
    pub active: u64,
    /// Their bytes, shared ones counted once.
    pub size: u64,
    /// Bytes that removing the unused ones would free.
    pub reclaimable: u64,
}

/// The room that a file system has.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Space {
    /// All its bytes.
    pub total: u64,
    /// Those that can still be written.
    pub available: u64,
}

/// What was removed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Removed {
    /// Names that were taken away.
    pub untagged: Vec<String>,
    /// `sha256:…` of images and layers that were deleted, in that order.
    pub deleted: Vec<String>,
    /// Bytes that this freed.
    pub bytes: u64,
}

/// Something that `system check` found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// A stable word for its kind.
    pub kind: String,
    /// What is wrong, naming the thing.
    pub message: String,
    /// It was mended.
    pub repaired: bool,
}
