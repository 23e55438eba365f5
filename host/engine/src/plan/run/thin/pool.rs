//! A home's pool, locked, active, and with nothing half done in it.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use nacre_plugin::plan::{PoolStorage, ThinPool};
use nacre_sys::dir::Dir;
use nacre_sys::dm::{Device, Features, Filesystem, Pool, PoolMode};
use nacre_sys::{Error, FileLock, Mode, OFlags, dm, loop_device};

use super::super::Done;
use super::records::{BASE, FOLDER, PoolRecord, Records, Transaction, VolumeRecord};

/// Both folders are the user's alone, as Docker's are.
const MODE: u32 = 0o700;
/// The files of a pool on files.
const METADATA: &str = "metadata";
const DATA: &str = "data";
/// Numbers of volumes have 24 bits.
const NUMBERS: u32 = 1 << 24;

/// Make a home's pool, or bring it to life as it was made.
pub(super) fn ensure(home: &Dir, wanted: &ThinPool) -> Done {
    home.ensure_dir(FOLDER, MODE)?;
    let _lock = lock(home)?;
    let Some(records) = Records::open(home)? else {
        return Err(failed("pool", format!("{} is gone", home.path().join(FOLDER).display())));
    };
    let known = records.pool()?;
    let made = known.as_ref().and_then(|record| record.pool.clone());
    match &made {
        Some(made) if !may_stand_for(&wanted.storage, &made.storage) => {
            let why = format!("it was made on {}, and the options name other storage", told(&made.storage));
            return Err(failed(&name_of(home, &made.storage)?, why));
        }
        Some(_) => {}
        None => {
            if let PoolStorage::Devices(on) = &wanted.storage {
                [&on.metadata, &on.data]
                    .into_iter()
                    .try_for_each(|device| dm::refuse_used(Path::new(device)))?;
            }
        }
    }
    let pool = bring_to_life(home, made.as_ref().unwrap_or(wanted), made.is_none())?;
    if known.is_none() {
        let status = pool.status()?;
        if (status.transaction, status.data.0) != (0, 0) {
            let why = "it was used before, and not by this home".to_owned();
            return Err(failed(pool.device().name(), why));
        }
    }
    let now = match made {
        Some(made) if made.storage == wanted.storage => ThinPool { discard: wanted.discard, ..made },
        made => made.unwrap_or_else(|| wanted.clone()),
    };
    if known.as_ref().and_then(|record| record.pool.as_ref()) == Some(&now) {
        return Ok(());
    }
    records.set_pool(&PoolRecord { pool: Some(now), ..known.unwrap_or_default() })
}

/// The block device of a volume. It may not exist.
fn device_of(home: &Dir, volume: &str) -> Result<Device, Error> {
    Ok(Device::named(format!("{}-{volume}", prefix(home)?)))
}

/// End the devices of a home's volumes, its pool's, and the loop devices of its files, and tell which. The next step
/// that needs them brings them back.
pub(super) fn release(home: &Dir) -> Result<Vec<PathBuf>, Error> {
    let Some(records) = Records::open(home)? else { return Ok(Vec::new()) };
    let _lock = lock(home)?;
    let Some(made) = records.pool()?.and_then(|record| record.pool) else { return Ok(Vec::new()) };
    let mut devices: Vec<Device> =
        records.volumes()?.iter().map(|volume| device_of(home, volume)).collect::<Result<_, _>>()?;
    if !matches!(made.storage, PoolStorage::Pool(_)) {
        devices.push(Device::named(name_of(home, &made.storage)?));
    }
    let mut ended = Vec::new();
    for device in devices {
        if device.exists()? {
            device.remove()?;
            ended.push(device.path());
        }
    }
    if matches!(made.storage, PoolStorage::Files(_)) {
        for name in [METADATA, DATA] {
            let at = file_of(home, name);
            let file = home.open_beneath(&at, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            if let Some(device) = loop_device::find(&File::from(file), &home.path().join(&at))? {
                loop_device::detach(&device)?;
                ended.push(device);
            }
        }
    }
    Ok(ended)
}

/// End a volume's block device, while nobody makes a snapshot of it.
pub(super) fn deactivate(home: &Dir, volume: &str) -> Done {
    let _lock = Records::open(home)?.map(|_| lock(home)).transpose()?;
    device_of(home, volume)?.remove()
}

/// A pool that can be worked on. Nobody else does meanwhile.
#[derive(Debug)]
pub(super) struct OpenPool<'a> {
    home: &'a Dir,
    records: Records,
    pool: Pool,
    discard: bool,
    _lock: FileLock,
}

impl<'a> OpenPool<'a> {
    /// The pool that `thin-pool` made.
    pub(super) fn needed(home: &'a Dir) -> Result<Self, Error> {
        Self::known(home)?.ok_or_else(|| failed("pool", "no step has made it".to_owned()))
    }

    /// The pool, if one was ever made here. What a crash cut short in it is undone.
    pub(super) fn known(home: &'a Dir) -> Result<Option<Self>, Error> {
        let Some(records) = Records::open(home)? else { return Ok(None) };
        let lock = lock(home)?;
        let Some(made) = records.pool()?.and_then(|record| record.pool) else { return Ok(None) };
        let pool = bring_to_life(home, &made, false)?;
        let open = Self { home, records, pool, discard: made.discard, _lock: lock };
        open.undo_what_was_cut_short()?;
        Ok(Some(open))
    }

    pub(super) fn records(&self) -> &Records {
        &self.records
    }

    pub(super) fn name(&self) -> &str {
        self.pool.device().name()
    }

    /// The record of a volume that must be there.
    pub(super) fn volume(&self, name: &str) -> Result<VolumeRecord, Error> {
        self.records.volume(name)?.ok_or_else(|| failed(self.name(), format!("it has no volume {name}")))
    }

    /// The error for a volume that must not be there.
    pub(super) fn taken(&self, volume: &str) -> Error {
        Error::Io {
            op: "make the volume",
            path: PathBuf::from(volume),
            source: std::io::ErrorKind::AlreadyExists.into(),
        }
    }

    /// Refuse what needs room while less than `reserve` percent of the blocks are free.
    pub(super) fn has_room(&self, reserve: u32) -> Done {
        let status = self.pool.status()?;
        if matches!(status.mode, PoolMode::ReadOnly | PoolMode::Failed) {
            let why = "it takes no changes: check it with thin_check and mend it with thin_repair".to_owned();
            return Err(failed(self.name(), why));
        }
        for (what, (used, total)) in [("data", status.data), ("metadata", status.metadata)] {
            let free = total.saturating_sub(used);
            if u128::from(free) * 100 < u128::from(total) * u128::from(reserve) || free == 0 {
                return Err(Error::PoolLow { pool: self.name().to_owned(), what, free, total, reserve });
            }
        }
        Ok(())
    }

    /// The error for a pool that is full; none for one that is not.
    pub(super) fn full(&self) -> Result<Option<Error>, Error> {
        let status = self.pool.status()?;
        let full = [("data", status.data), ("metadata", status.metadata)].into_iter();
        let mut full = full.filter(|(_, (used, total))| used >= total);
        let pool = || self.name().to_owned();
        Ok(full.next().map(|(what, (_, total))| Error::PoolFull { pool: pool(), what, total }))
    }

    /// Make a volume: empty, or a snapshot of another one.
    pub(super) fn add(&self, name: &str, origin: Option<&str>, bytes: u64) -> Done {
        let origin = match origin {
            Some(origin) => Some((self.volume(origin)?.device_id, device_of(self.home, origin)?)),
            None => None,
        };
        let now = self.pool.status()?.transaction;
        // Each change raises the transaction, so its number is most often free.
        let mut number = u32::try_from((now + 1) % u64::from(NUMBERS)).unwrap_or(0);
        loop {
            self.begin(now, name, number)?;
            let made = match &origin {
                Some((origin, device)) => self.snapshot(number, *origin, device),
                None => self.pool.create_thin(number),
            };
            match made {
                Err(e) if e.already_exists() => number = (number + 1) % NUMBERS,
                outcome => {
                    outcome?;
                    break;
                }
            }
        }
        let record = VolumeRecord {
            device_id: number,
            size: bytes,
            transaction_id: now + 1,
            initialized: false,
            deleted: false,
        };
        self.records.set_volume(name, &record)?;
        self.pool.set_transaction(now, now + 1)
    }

    /// Note that a volume's file system was made.
    pub(super) fn finish(&self, name: &str, filesystem: Filesystem) -> Done {
        let record = self.volume(name)?;
        if name == BASE
            && let Some(pool) = self.records.pool()?
        {
            self.records.set_pool(&PoolRecord { base_filesystem: filesystem.name().to_owned(), ..pool })?;
        }
        self.records.set_volume(name, &VolumeRecord { initialized: true, ..record })
    }

    /// Make a volume a block device.
    pub(super) fn activate(&self, name: &str) -> Result<Device, Error> {
        let record = self.volume(name)?;
        let device = device_of(self.home, name)?;
        if device.is_active()? {
            // A crash in the middle of a snapshot of it leaves it standing still.
            device.resume()?;
        } else {
            // One that was cut short in the making.
            device.remove()?;
            self.pool.activate_thin(&device, record.device_id, record.size)?;
        }
        Ok(device)
    }

    /// Delete a volume with its block device.
    pub(super) fn delete(&self, name: &str) -> Done {
        let device = device_of(self.home, name)?;
        let Some(record) = self.records.volume(name)? else { return device.remove() };
        if self.discard {
            dm::discard(&self.activate(name)?.node()?)?;
        }
        device.remove()?;
        let now = self.pool.status()?.transaction;
        self.begin(now, name, record.device_id)?;
        self.pool.delete(record.device_id)?;
        self.records.forget_volume(name)?;
        self.pool.set_transaction(now, now + 1)
    }

    fn begin(&self, now: u64, name: &str, number: u32) -> Done {
        self.records.set_transaction(&Transaction {
            open_transaction_id: now + 1,
            device_hash: name.to_owned(),
            device_id: number,
        })
    }

    /// The origin's device must stand still meanwhile.
    fn snapshot(&self, number: u32, origin: u32, device: &Device) -> Done {
        if !device.is_active()? {
            return self.pool.create_snap(number, origin);
        }
        device.suspend()?;
        let made = self.pool.create_snap(number, origin);
        device.resume()?;
        made
    }

    /// A transaction whose number the pool does not have was cut short. Whatever it was, it ends without the volume:
    /// one that was being made is no good, one that was being deleted is to go.
    fn undo_what_was_cut_short(&self) -> Done {
        let Some(begun) = self.records.transaction()? else { return Ok(()) };
        let now = self.pool.status()?.transaction;
        if begun.open_transaction_id <= now {
            return Ok(());
        }
        if begun.open_transaction_id != now + 1 {
            let begun = begun.open_transaction_id;
            let why = format!("its tables are not those of its records: they know {now} changes of {begun}");
            return Err(failed(self.name(), why));
        }
        // What a snapshot was being made of stands still, and whoever reads it waits.
        for volume in self.records.volumes()? {
            let device = device_of(self.home, &volume)?;
            if device.is_active()? {
                device.resume()?;
            }
        }
        device_of(self.home, &begun.device_hash)?.remove()?;
        // The number may have been another volume's all the time: then nothing was made.
        if !self.records.numbers_without(&begun.device_hash)?.contains(&begun.device_id) {
            self.pool.delete(begun.device_id)?;
        }
        self.records.forget_volume(&begun.device_hash)?;
        self.pool.set_transaction(now, now + 1)
    }
}

/// Activate a pool, as it was made. Only a new one has files made for it: an empty one in place of one that is not
/// where it was (a file system that is not mounted, say) would be taken for it.
fn bring_to_life(home: &Dir, made: &ThinPool, new: bool) -> Result<Pool, Error> {
    let pool = Pool::named(name_of(home, &made.storage)?);
    if pool.device().is_active()? {
        return Ok(pool);
    }
    let (metadata, data) = match &made.storage {
        PoolStorage::Files(on) => {
            let files = [(METADATA, on.metadata_bytes), (DATA, on.data_bytes)];
            if new {
                home.ensure_dir(folder_of_files(home), MODE)?;
                files.iter().try_for_each(|(name, bytes)| make_file(home, name, *bytes))?;
            }
            let [metadata, data] = files.map(|(name, _)| looped(home, name, pool.device().name()));
            (metadata?, data?)
        }
        PoolStorage::Devices(on) => (PathBuf::from(&on.metadata), PathBuf::from(&on.data)),
        PoolStorage::Pool(name) => {
            return Err(failed(name, "it is not active; whoever made it activates it".to_owned()));
        }
    };
    // One that was cut short in the making.
    pool.device().remove()?;
    pool.activate(&metadata, &data, &Features { block_sectors: made.block_sectors })?;
    Ok(pool)
}

/// The folder of a pool's files has the driver's name, as its home has.
fn folder_of_files(home: &Dir) -> &str {
    home.path().file_name().and_then(OsStr::to_str).unwrap_or_default()
}

fn file_of(home: &Dir, name: &str) -> String {
    format!("{}/{name}", folder_of_files(home))
}

/// A file of a new pool, unless a crash left it there.
fn make_file(home: &Dir, name: &str, bytes: u64) -> Done {
    let at = file_of(home, name);
    let io = |op, source| Error::Io { op, path: home.path().join(&at), source };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(home.open_beneath(&at, flags, Mode::RUSR | Mode::WUSR)?);
    if file.metadata().map_err(|e| io("stat", e))?.len() == 0 {
        file.set_len(bytes).and_then(|()| file.sync_all()).map_err(|e| io("size", e))?;
    }
    Ok(())
}

/// A file of the pool as a block device.
fn looped(home: &Dir, name: &str, pool: &str) -> Result<PathBuf, Error> {
    let at = file_of(home, name);
    let path = home.path().join(&at);
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match home.open_beneath(&at, flags, Mode::empty()) {
        Err(e) if e.is_not_found() => {
            let why =
                format!("its file {} is not there: bring it back, or mount what holds it", path.display());
            Err(failed(pool, why))
        }
        file => loop_device::attach(&File::from(file?), &path, true),
    }
}

/// Files are what is planned where the options name no storage: whatever the pool was made on is meant.
fn may_stand_for(wanted: &PoolStorage, made: &PoolStorage) -> bool {
    matches!(wanted, PoolStorage::Files(_)) || made == wanted
}

fn told(storage: &PoolStorage) -> String {
    match storage {
        PoolStorage::Files(_) => "files of its own".to_owned(),
        PoolStorage::Devices(on) => format!("{} and {}", on.data, on.metadata),
        PoolStorage::Pool(name) => format!("the pool {name}"),
    }
}

fn name_of(home: &Dir, storage: &PoolStorage) -> Result<String, Error> {
    match storage {
        PoolStorage::Pool(name) => Ok(name.clone()),
        _ => Ok(format!("{}-pool", prefix(home)?)),
    }
}

/// As Docker names its devices: by the home's device and inode, so that each home's are its own.
fn prefix(home: &Dir) -> Result<String, Error> {
    let stat = rustix::fs::fstat(home).map_err(|e| Error::Io {
        op: "stat",
        path: home.path().to_owned(),
        source: e.into(),
    })?;
    let (major, minor) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
    Ok(format!("nacre-{major}:{minor}-{}", stat.st_ino))
}

fn lock(home: &Dir) -> Result<FileLock, Error> {
    FileLock::exclusive(home.path().join(FOLDER).join(".lock"))
}

fn failed(pool: &str, why: String) -> Error {
    Error::PoolFailed { pool: pool.to_owned(), why }
}
