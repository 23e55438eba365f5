//! Constructors of the steps on thin pools. What each does, and how it is undone, is in `wit/plan.wit`.

use crate::{
    Place, PoolStorage, Step, ThinCreate, ThinMount, ThinPool, ThinSnapshot, ThinSync, VolumeFormat,
};

/// Have a thin pool, and have it active.
#[must_use]
pub fn thin_pool(storage: PoolStorage, block_sectors: u32, discard: bool) -> Step {
    Step::ThinPool(ThinPool { storage, block_sectors, discard })
}

/// Make a volume with an empty file system.
pub fn thin_create(
    volume: impl Into<String>,
    bytes: u64,
    format: VolumeFormat,
    arguments: Vec<String>,
    reserve: u32,
) -> Step {
    Step::ThinCreate(ThinCreate { volume: volume.into(), bytes, format, arguments, reserve })
}

/// Make a volume that begins as another one.
pub fn thin_snapshot(
    origin: impl Into<String>,
    volume: impl Into<String>,
    bytes: Option<u64>,
    reserve: u32,
) -> Step {
    Step::ThinSnapshot(ThinSnapshot { origin: origin.into(), volume: volume.into(), bytes, reserve })
}

/// Make a layer's volume a block device.
pub fn thin_activate(volume: impl Into<String>) -> Step {
    Step::ThinActivate(volume.into())
}

/// Mount the file system of an active volume.
pub fn thin_mount(
    volume: impl Into<String>,
    target: &Place,
    read_only: bool,
    options: impl Into<String>,
) -> Step {
    let target = target.clone();
    Step::ThinMount(ThinMount { volume: volume.into(), target, read_only, options: options.into() })
}

/// Wait until all that was written to the file system of a volume is on its device.
#[must_use]
pub fn thin_sync(at: Place, required: bool) -> Step {
    Step::ThinSync(ThinSync { at, required })
}

/// End a layer's block device.
pub fn thin_deactivate(volume: impl Into<String>) -> Step {
    Step::ThinDeactivate(volume.into())
}

/// Delete a layer's volume.
pub fn thin_delete(volume: impl Into<String>) -> Step {
    Step::ThinDelete(volume.into())
}
