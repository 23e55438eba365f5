//! Steps on thin pools: each volume is named by its record in the home, see [`records`].

mod pool;
mod records;

use std::path::PathBuf;

use nacre_plugin::plan::{ThinCreate, ThinMount, ThinPool, ThinSnapshot, ThinSync, VolumeFormat};
use nacre_sys::dm::{self, Filesystem};

use super::Done;
use crate::plan::Roots;
use pool::OpenPool;

/// Have the pool, and have it active.
pub(super) fn pool(roots: &Roots, step: &ThinPool) -> Done {
    pool::ensure(roots.home(), step)
}

/// A volume with an empty file system. The record of a shared one says whether the file system was finished.
pub(super) fn create(roots: &Roots, step: &ThinCreate) -> Done {
    let pool = OpenPool::needed(roots.home())?;
    if let Some(there) = pool.records().volume(&step.volume)? {
        if is_layer(&step.volume) {
            return Err(pool.taken(&step.volume));
        }
        if there.initialized {
            return Ok(());
        }
        pool.delete(&step.volume)?;
    }
    pool.has_room(step.reserve)?;
    pool.add(&step.volume, None, step.bytes)?;
    let device = pool.activate(&step.volume)?;
    let made = device.node().and_then(|node| dm::make(kind(step.format), &node, &step.arguments));
    made.and(device.remove())?;
    pool.finish(&step.volume, kind(step.format))
}

/// A volume that begins as another one.
pub(super) fn snapshot(roots: &Roots, step: &ThinSnapshot) -> Done {
    let pool = OpenPool::needed(roots.home())?;
    if pool.records().volume(&step.volume)?.is_some() {
        return Err(pool.taken(&step.volume));
    }
    pool.has_room(step.reserve)?;
    let origin = pool.volume(&step.origin)?;
    let bytes = step.bytes.unwrap_or(origin.size);
    if bytes < origin.size {
        let why =
            format!("a size of {bytes} bytes is less than the {} that the layer below has", origin.size);
        return Err(nacre_sys::Error::PoolFailed { pool: pool.name().to_owned(), why });
    }
    pool.add(&step.volume, Some(&step.origin), bytes)
}

/// Make a volume a block device.
pub(super) fn activate(roots: &Roots, volume: &str) -> Done {
    OpenPool::needed(roots.home())?.activate(volume).map(drop)
}

/// End a volume's block device.
pub(super) fn deactivate(roots: &Roots, volume: &str) -> Done {
    pool::deactivate(roots.home(), volume)
}

/// Mount a volume's file system, and make it as large as the volume.
pub(super) fn mount(roots: &Roots, step: &ThinMount) -> Done {
    let pool = OpenPool::needed(roots.home())?;
    let node = pool.activate(&step.volume)?.node()?;
    let Some((kind, _)) = dm::identify(&node)? else {
        let why = format!("the volume {} holds no file system", step.volume);
        return Err(nacre_sys::Error::PoolFailed { pool: pool.name().to_owned(), why });
    };
    let target = roots.open_own(&step.target)?;
    dm::mount(kind, &node, &target, step.read_only, &step.options)?;
    if step.read_only {
        return Ok(());
    }
    // What was opened before the mount shows what is below it.
    dm::grow(kind, &node, &roots.open_own(&step.target)?)
}

/// Have on the device what was written.
pub(super) fn sync(roots: &Roots, step: &ThinSync) -> Done {
    let Err(error) = nacre_sys::sync::syncfs(&roots.open_own(&step.at)?) else { return Ok(()) };
    // The kernel says EIO, whatever the cause.
    let full = || OpenPool::known(roots.home()).ok().flatten()?.full().ok().flatten();
    let error = full().unwrap_or(error);
    if step.required {
        return Err(error);
    }
    let at = roots.absolute(&step.at);
    tracing::warn!(%error, at = %at.display(), "what was written last is lost");
    Ok(())
}

/// The volumes of layers by their records, in a home that may have none.
pub(crate) fn layers(roots: &Roots) -> Result<Vec<String>, nacre_sys::Error> {
    let names =
        records::Records::open(roots.home())?.map_or_else(|| Ok(Vec::new()), |records| records.volumes())?;
    Ok(names.into_iter().filter(|name| is_layer(name)).collect())
}

/// Whether a pool was ever made in a home.
pub(crate) fn has_pool(roots: &Roots) -> Result<bool, nacre_sys::Error> {
    let records = records::Records::open(roots.home())?;
    Ok(records.map(|records| records.pool()).transpose()?.flatten().is_some())
}

/// End what the kernel holds for a home's pool. Nothing of it may be mounted.
pub(crate) fn release(roots: &Roots) -> Result<Vec<PathBuf>, nacre_sys::Error> {
    pool::release(roots.home())
}

/// Delete a volume, if there is a pool that could have it.
pub(crate) fn delete(roots: &Roots, volume: &str) -> Done {
    match OpenPool::known(roots.home())? {
        Some(pool) => pool.delete(volume),
        None => Ok(()),
    }
}

/// Undo what made a volume. What layers share stays.
pub(super) fn discard(roots: &Roots, volume: &str) -> Done {
    if is_layer(volume) { delete(roots, volume) } else { Ok(()) }
}

fn kind(format: VolumeFormat) -> Filesystem {
    match format {
        VolumeFormat::Ext4 => Filesystem::Ext4,
        VolumeFormat::Xfs => Filesystem::Xfs,
    }
}

/// Layers share what has any other name (`wit/plan.wit`).
fn is_layer(volume: &str) -> bool {
    volume.len() == 64
}
