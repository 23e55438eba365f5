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
pub(super) use crate::plan::check::KEPT_RECORDS as FOLDER;

const POOL: &str = "deviceset-metadata";
const TRANSACTION: &str = "transaction-metadata";
/// Docker's name for the base volume is empty, and its record's is this.
pub(super) const BASE: &str = "base";

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

    /// The volumes that there are.
    pub(super) fn volumes(&self) -> Result<Vec<String>, Error> {
        let names = self.dir.entries()?.into_iter().map(|entry| entry.name.to_string_lossy().into_owned());
        // The others are records of the pool, and files that were not finished.
        Ok(names.filter(|name| !name.contains(['-', '.'])).collect())
    }

    /// The numbers that the volumes have, but for one volume's.
    pub(super) fn numbers_without(&self, name: &str) -> Result<BTreeSet<u32>, Error> {
        let mut numbers = BTreeSet::new();
        for other in self.volumes()?.iter().filter(|other| *other != name) {
            numbers.extend(self.volume(other)?.map(|record| record.device_id));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn records(files: &[(&str, &str)]) -> (tempfile::TempDir, Records) {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join(FOLDER);
        std::fs::create_dir(&folder).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let records = Records::open(&Dir::open(temp.path()).unwrap()).unwrap().unwrap();
        (temp, records)
    }

    #[test]
    fn dockers_records_are_read_and_written() {
        let volume =
            r#"{"device_id":3,"size":10737418240,"transaction_id":5,"initialized":true,"deleted":false}"#;
        let pool = r#"{"next_device_id":4,"BaseDeviceUUID":"0e7f","BaseDeviceFilesystem":"xfs"}"#;
        let begun = r#"{"open_transaction_id":5,"device_hash":"","device_id":3}"#;
        let files = [(BASE, volume), (POOL, pool), (TRANSACTION, begun), (".tmp1", "{")];
        let (temp, records) = records(&files);
        let base = records.volume(BASE).unwrap().unwrap();
        assert_eq!((base.device_id, base.size, base.initialized), (3, 10 << 30, true));
        let known = records.pool().unwrap().unwrap();
        assert_eq!((known.base_filesystem.as_str(), known.pool), ("xfs", None));
        let transaction = records.transaction().unwrap().unwrap();
        assert_eq!(transaction.device_hash, BASE, "Docker's base has no name");
        assert_eq!(records.volumes().unwrap(), [BASE]);

        records.set_volume(BASE, &base).unwrap();
        records.set_transaction(&transaction).unwrap();
        let written = |name| std::fs::read_to_string(temp.path().join(FOLDER).join(name)).unwrap();
        assert_eq!((written(BASE), written(TRANSACTION)), (volume.to_owned(), begun.to_owned()));
    }

    #[test]
    fn a_number_is_another_volumes_when_another_record_has_it() {
        let record = |number: u32| {
            format!(r#"{{"device_id":{number},"size":1,"transaction_id":1,"initialized":false}}"#)
        };
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let (_temp, records) = records(&[(&a, &record(1)), (&b, &record(2))]);
        assert_eq!(records.numbers_without(&a).unwrap(), BTreeSet::from([2]));
        assert_eq!(records.numbers_without("c").unwrap(), BTreeSet::from([1, 2]));
    }

    #[test]
    fn a_record_that_is_damaged_is_named() {
        let (_temp, records) = records(&[("base", "{")]);
        let error = records.volume(BASE).unwrap_err().to_string();
        assert!(error.contains("metadata/base") && error.contains("cannot be understood"), "{error}");
    }
}
