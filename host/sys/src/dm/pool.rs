//! Thin pools and thin volumes (Documentation/admin-guide/device-mapper/thin-provisioning.rst).

use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::{Device, SECTOR, Target};
use crate::error::{Context, Error, Result};

/// A thin pool. Its volumes have numbers of 24 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    device: Device,
}

/// What a pool is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features {
    /// Sectors in a block, the unit in which space is shared and handed out: 128 (64 KiB) to 2097152 (1 GiB), a
    /// multiple of 128.
    pub block_sectors: u32,
}

/// What a pool lets be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// All.
    Writable,
    /// What needs no new block.
    OutOfDataSpace,
    /// Nothing: its metadata is full or needs to be checked (thin_check, thin_repair).
    ReadOnly,
    /// Not even reads.
    Failed,
}

/// What a pool says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolStatus {
    /// The number that its users give to its state.
    pub transaction: u64,
    /// Blocks of metadata (4 KiB) that are used, and that there are.
    pub metadata: (u64, u64),
    /// Blocks of data that are used, and that there are.
    pub data: (u64, u64),
    /// What it lets be done.
    pub mode: PoolMode,
}

impl Pool {
    /// The pool of that name. It may not exist.
    pub fn named(name: impl Into<String>) -> Self {
        Self { device: Device::named(name) }
    }

    /// The pool as a device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Bring a pool to life on two block devices. Metadata that is all zero is a new pool's; anything else that is
    /// not a pool's is refused.
    ///
    /// New blocks are not zeroed, as Docker's are not: a file system never shows what was there before. When the
    /// pool is full, writes fail at once (`error_if_no_space`): waiting ones would hang whoever made them.
    pub fn activate(&self, metadata: &Path, data: &Path, features: &Features) -> Result<()> {
        let sectors = block_device_bytes(data)? / SECTOR;
        let parameters = format!(
            "{} {} {} 0 2 skip_block_zeroing error_if_no_space",
            number_of(metadata)?,
            number_of(data)?,
            features.block_sectors
        );
        self.device.create(&Target { sectors, kind: "thin-pool", parameters })
    }

    /// How full it is.
    pub fn status(&self) -> Result<PoolStatus> {
        let said = self.device.status()?;
        parse(&said).ok_or_else(|| Error::PoolFailed {
            pool: self.device.name.clone(),
            why: format!("it says `{said}`, and may need thin_check and thin_repair"),
        })
    }

    /// Make an empty volume. It `already_exists` where the number is taken.
    pub fn create_thin(&self, number: u32) -> Result<()> {
        self.device.message(&format!("create_thin {number}"))
    }

    /// Make a volume that shares everything with another one. The device of the origin must be suspended meanwhile,
    /// if it has one.
    pub fn create_snap(&self, number: u32, origin: u32) -> Result<()> {
        self.device.message(&format!("create_snap {number} {origin}"))
    }

    /// Delete a volume that has no device. One that is gone is no error.
    pub fn delete(&self, number: u32) -> Result<()> {
        match self.device.message(&format!("delete {number}")) {
            Err(e) if e.errno() == Some(libc::ENODATA) => Ok(()),
            outcome => outcome,
        }
    }

    /// Number the pool's state, which must have had the number `from`. All that was done before is on the disk then.
    pub fn set_transaction(&self, from: u64, to: u64) -> Result<()> {
        self.device.message(&format!("set_transaction_id {from} {to}"))
    }

    /// Make a volume a device of `bytes`.
    pub fn activate_thin(&self, device: &Device, number: u32, bytes: u64) -> Result<()> {
        let pool = self.device.number()?;
        let parameters = format!("{}:{} {number}", rustix::fs::major(pool), rustix::fs::minor(pool));
        device.create(&Target { sectors: bytes / SECTOR, kind: "thin", parameters })
    }
}

/// `1 22/4161600 38/16384 - rw no_discard_passdown error_if_no_space - 1024`; more fields follow in newer kernels.
fn parse(status: &str) -> Option<PoolStatus> {
    let words: Vec<&str> = status.split_whitespace().collect();
    let ratio = |word: &str| {
        let (used, total) = word.split_once('/')?;
        Some((used.parse().ok()?, total.parse().ok()?))
    };
    let [transaction, metadata, data, _held, rest @ ..] = words.as_slice() else { return None };
    let mode = match rest.first() {
        Some(&"out_of_data_space") => PoolMode::OutOfDataSpace,
        Some(&"ro") => PoolMode::ReadOnly,
        Some(&"rw") if rest.contains(&"needs_check") => PoolMode::ReadOnly,
        Some(&"rw") => PoolMode::Writable,
        _ => PoolMode::Failed,
    };
    Some(PoolStatus {
        transaction: transaction.parse().ok()?,
        metadata: ratio(metadata)?,
        data: ratio(data)?,
        mode,
    })
}

fn number_of(device: &Path) -> Result<String> {
    let number = rustix::fs::stat(device).on("stat", device)?.st_rdev;
    Ok(format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number)))
}

/// The size of a block device.
pub(super) fn block_device_bytes(device: &Path) -> Result<u64> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(device, flags, Mode::empty()).on("open", device)?;
    rustix::fs::seek(&fd, rustix::fs::SeekFrom::End(0)).on("ask the size of", device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_with_its_mode() {
        let read = |status: &str| parse(status).map(|s| (s.transaction, s.metadata, s.data, s.mode));
        let usual = "7 22/512 38/16384 - rw discard_passdown error_if_no_space - 64";
        assert_eq!(read(usual), Some((7, (22, 512), (38, 16384), PoolMode::Writable)));
        let full = "7 22/512 16384/16384 - out_of_data_space discard_passdown error_if_no_space - 64";
        assert_eq!(read(full).map(|s| s.3), Some(PoolMode::OutOfDataSpace));
        let check = "7 22/512 1/2 - ro discard_passdown error_if_no_space needs_check 64";
        assert_eq!(read(check).map(|s| s.3), Some(PoolMode::ReadOnly));
    }

    #[test]
    fn a_pool_that_failed_has_no_status() {
        for said in ["Fail", "Error", "", "7 22 38/1 - rw"] {
            assert_eq!(parse(said), None, "{said}");
        }
    }
}
