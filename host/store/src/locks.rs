//! Locks between processes, as files in `<run>/locks`.
//!
//! A lock's file is removed by whoever gives the lock up, and what the killed leave is used again or
//! removed by [`Store::sweep_run`].

use nacre_archive::digest::ChainId;
use nacre_sys::FileLock;

use crate::{ContainerId, LayerId, Result, Store};

/// A lock, held until it is dropped or the process dies.
///
/// # Order
///
/// Whoever holds one of these may wait only for a later one:
///
/// 1. [`Store::lock_container`]: a container's life, from the look at its state to the record of the new one.
/// 2. [`Store::lock_layer`]: a layer is unpacked once. Several are taken from the base upwards.
/// 3. [`Store::lock_mount`]: a layer's mount, from the look at its holders to the record of the new ones.
/// 4. [`Store::publish`]: content between its writing and the record that names it. Brief; shared.
/// 5. A transaction: [`Store::write`], [`Store::durable`]. Nothing is waited for in it.
///
/// Threads of one process exclude each other as processes do; a thread that takes a lock twice waits for
/// itself.
#[derive(Debug)]
pub struct Lock(Option<FileLock>);

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.take().map(FileLock::remove_and_release) {
            tracing::debug!(%error, "lock file stays");
        }
    }
}

impl Store {
    /// Wait until nobody else unpacks, or removes, this layer of a driver.
    pub fn lock_layer(&self, driver: &str, chain: &ChainId) -> Result<Lock> {
        self.lock(&layer_name(driver, chain))
    }

    /// The same without waiting: none where somebody else does.
    pub fn try_lock_layer(&self, driver: &str, chain: &ChainId) -> Result<Option<Lock>> {
        self.try_lock(&layer_name(driver, chain))
    }

    /// Wait until nobody else starts, stops or removes this container.
    pub fn lock_container(&self, id: &ContainerId) -> Result<Lock> {
        self.lock(&format!("container-{id}"))
    }

    /// The same without waiting: none where somebody else does.
    pub fn try_lock_container(&self, id: &ContainerId) -> Result<Option<Lock>> {
        self.try_lock(&format!("container-{id}"))
    }

    /// Wait until nobody else mounts or unmounts this layer.
    pub fn lock_mount(&self, dir: &LayerId) -> Result<Lock> {
        self.lock(&format!("mount-{dir}"))
    }

    /// Wait until nobody else installs or removes a component.
    pub fn lock_components(&self) -> Result<Lock> {
        self.lock("components")
    }

    /// Remove what killed processes left in the run directory: locks and owners that nobody holds and, of
    /// the owners, nothing in the journal needs. Returns how many files that were; none while somebody else
    /// sweeps.
    pub fn sweep_run(&self) -> Result<usize> {
        let Some(_alone) = FileLock::try_exclusive(self.sweep_lock())? else { return Ok(0) };
        let mut removed = 0;
        for dir in [self.paths().locks(), self.paths().owners()] {
            for file in crate::content::files(&dir)? {
                // These are shared: to remove their files would part their holders.
                if file.file_name().is_some_and(|name| name == crate::content::LOCK || name == SWEEP) {
                    continue;
                }
                if let Some(lock) = FileLock::try_exclusive(&file)? {
                    lock.remove_and_release()?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    fn sweep_lock(&self) -> std::path::PathBuf {
        self.paths().locks().join(SWEEP)
    }

    fn lock(&self, name: &str) -> Result<Lock> {
        Ok(Lock(Some(FileLock::exclusive(self.paths().locks().join(format!("{name}.lock")))?)))
    }

    fn try_lock(&self, name: &str) -> Result<Option<Lock>> {
        // Who sweeps has each lock for a moment, and is not at work on anything.
        let _nobody_sweeps = FileLock::shared(self.sweep_lock())?;
        let lock = FileLock::try_exclusive(self.paths().locks().join(format!("{name}.lock")))?;
        Ok(lock.map(|lock| Lock(Some(lock))))
    }
}

/// Held shared by those who try a lock, exclusively by the one who sweeps.
const SWEEP: &str = "sweep";

fn layer_name(driver: &str, chain: &ChainId) -> String {
    format!("layer-{driver}-{}", chain.hex())
}
