//! What is written down of a pool and its volumes, in the folder `metadata` of the home, as Docker's devicemapper
//! driver does (moby: daemon/graphdriver/devmapper/deviceset.go):
//!
//! ```text
//! deviceset-metadata     the pool
//! transaction-metadata   what is about to be done to a volume
//! base, <layer>          a volume
//! ```
//!
//! All of it is JSON, and on the disk before the next thing is done.

use std::collections::BTreeSet;
use std::os::fd::AsFd;

use nacre_plugin::plan::ThinPool;
use nacre_sys::dir::Dir;
use nacre_sys::{Error, Mode, OFlags};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::Done;

/// The folder of the records.
pub(super) const FOLDER: &str = "metadata";
const POOL: &str = "deviceset-metadata";
const TRANSACTION: &str = "transaction-metadata";
/// Docker's name for the base volume is empty, and its record's is this.
const BASE: &str = "base";

/// What a pool is. The first fields are Docker's, the last is nacre's, which Docker does not mind.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct PoolRecord {
    /// Where Docker looks for a free number first.
    #[serde(default)]
    pub next_device_id: u32,
    /// Docker checks it unless it is empty.
    #[serde(default, rename = "BaseDeviceUUID")]
    pub base_uuid: String,
    #[serde(default, rename = "BaseDeviceFilesystem")]
    pub base_filesystem: String,
    /// What it lies on; none where Docker made it.
    #[serde(default, rename = "nacre")]
    pub pool: Option<ThinPool>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct VolumeRecord {
    /// Its number in the pool, of 24 bits.
    pub device_id: u32,
    /// Bytes.
    pub size: u64,
    /// The transaction that made it.
    pub transaction_id: u64,
    /// Its file system was made.
    pub initialized: bool,
    /// Docker's mark of a volume that it could not delete yet.
    #[serde(default)]
    pub deleted: bool,
}

/// A change of a volume that was begun. It is done when the pool has its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Transaction {
    /// The number that the pool will have.
    pub open_transaction_id: u64,
    /// The volume's name.
    pub device_hash: String,
    /// Its number.
    pub device_id: u32,
}

/// The folder of the records, open.
#[derive(Debug)]
pub(super) struct Records {
    dir: Dir,
}

impl Records {
    /// None where nothing was ever recorded.
    pub(super) fn open(home: &Dir) -> Result<Option<Self>, Error> {
        match home.sub(FOLDER) {
            Ok(dir) => Ok(Some(Self { dir })),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(super) fn pool(&self) -> Result<Option<PoolRecord>, Error> {
        self.read(POOL)
    }

    pub(super) fn set_pool(&self, record: &PoolRecord) -> Done {
        self.write(POOL, record)
    }

    pub(super) fn volume(&self, name: &str) -> Result<Option<VolumeRecord>, Error> {
        self.read(name)
    }

    pub(super) fn set_volume(&self, name: &str, record: &VolumeRecord) -> Done {
        self.write(name, record)
    }

    pub(super) fn forget_volume(&self, name: &str) -> Done {
        self.dir.remove(name)?;
        nacre_sys::sync::fsync(&self.dir_to_sync()?)
    }

    pub(super) fn transaction(&self) -> Result<Option<Transaction>, Error> {
        let mut found: Option<Transaction> = self.read(TRANSACTION)?;
        if let Some(transaction) = found.as_mut().filter(|t| t.device_hash.is_empty()) {
            transaction.device_hash = BASE.to_owned();
        }
        Ok(found)
    }

    pub(super) fn set_transaction(&self, transaction: &Transaction) -> Done {
        let mut transaction = transaction.clone();
        if transaction.device_hash == BASE {
            transaction.device_hash = String::new();
        }
        self.write(TRANSACTION, &transaction)
    }

    /// The numbers that the volumes have, but for one volume's.
    pub(super) fn numbers_without(&self, name: &str) -> Result<BTreeSet<u32>, Error> {
        let mut numbers = BTreeSet::new();
        for entry in self.dir.entries()? {
            let other = entry.name.to_string_lossy();
            // The host's own records, and files that were not finished.
            if other == name || other.contains(['-', '.']) {
                continue;
            }
            numbers.extend(self.volume(&other)?.map(|record| record.device_id));
        }
        Ok(numbers)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let text = match self.dir.read(name) {
            Ok(text) => text,
            Err(e) if e.is_not_found() => return Ok(None),
            Err(e) => return Err(e),
        };
        serde_json::from_slice(&text).map(Some).map_err(|e| Error::PoolFailed {
            pool: self.dir.path().join(name).display().to_string(),
            why: format!("its record cannot be understood: {e}"),
        })
    }

    fn write(&self, name: &str, record: &impl Serialize) -> Done {
        let text = serde_json::to_vec(record).map_err(|e| Error::PoolFailed {
            pool: self.dir.path().join(name).display().to_string(),
            why: format!("its record cannot be written: {e}"),
        })?;
        self.dir.write_synced(name, &text, 0o600)
    }

    fn dir_to_sync(&self) -> Result<impl AsFd, Error> {
        self.dir.open_beneath(".", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }
}
