//! Device-mapper: block devices made of others, by the requests of /dev/mapper/control.
//!
//! The crate `devicemapper` does the same; it needs libclang and libdevmapper's headers to be built, which nothing
//! else here does, so the handful of requests is written out ([`ioctl`]).
//!
//! Who makes a device's node: devtmpfs has `/dev/dm-<minor>` at once, with and without udev. Where /dev is something
//! else, the node is made by hand as `/dev/mapper/<name>`.

mod filesystem;
mod ioctl;
mod pool;

use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode};

use crate::error::{Context, Error, Result};
use ioctl::{Answer, Flags, Request};

pub use filesystem::{Filesystem, discard, grow, identify, make, mount, refuse_used};
pub use pool::{Features, Pool, PoolMode, PoolStatus};

/// Where device-mapper's names are.
const DIR: &str = "/dev/mapper";
/// Sizes of devices are in sectors of 512 bytes, whatever the hardware's are.
pub const SECTOR: u64 = 512;
/// udev looks into a device whenever a writer closes it, and holds it meanwhile.
const HELD_FOR: Duration = Duration::from_secs(5);

/// One line of a device's table: what it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// How many sectors.
    pub sectors: u64,
    /// The target's type, such as `thin`.
    pub kind: &'static str,
    /// Its parameters.
    pub parameters: String,
}

/// Whether there is a device-mapper with thin pools here. Loads the kernel's modules for it where they can be.
pub fn is_available() -> bool {
    ["thin-pool", "thin"].iter().all(|kind| ioctl::knows_target(kind))
}

/// A device by its name. It may not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    name: String,
}

impl Device {
    /// The device of that name: 1 to 127 bytes.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Make it of one target and bring it to life. Nothing remains of one that cannot be.
    pub fn create(&self, target: &Target) -> Result<()> {
        self.ask(Request::Create, Flags::NONE, "make")?;
        self.replace(target).inspect_err(|_| {
            let _ = self.ask(Request::Remove, Flags::NONE, "remove");
        })
    }

    /// Give it another table, and bring that to life.
    pub fn replace(&self, target: &Target) -> Result<()> {
        ioctl::load(&self.name, target).on("load the table of", self.path())?;
        self.resume()
    }

    /// Hold all requests. A file system on it is frozen in a consistent state first.
    pub fn suspend(&self) -> Result<()> {
        self.ask(Request::Suspend, Flags::SUSPEND, "suspend").map(drop)
    }

    /// Let requests through again.
    pub fn resume(&self) -> Result<()> {
        self.ask(Request::Suspend, Flags::NONE, "resume").map(drop)
    }

    /// Remove it. One that is gone is no error. [`Error::Busy`] where something uses it for longer than udev does.
    pub fn remove(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            match self.ask(Request::Remove, Flags::NONE, "remove") {
                Err(e) if is_absent(&e) => break,
                Err(e) if e.errno() == Some(libc::EBUSY) => {
                    if begun.elapsed() > HELD_FOR || self.is_mounted()? {
                        return Err(Error::Busy { path: self.path() });
                    }
                    sleep(Duration::from_millis(20));
                }
                outcome => {
                    outcome?;
                    break;
                }
            }
        }
        match std::fs::remove_file(self.path()) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).on("remove", self.path()),
            _ => Ok(()),
        }
    }

    /// Whether it exists and has a table that is alive.
    pub fn is_active(&self) -> Result<bool> {
        match self.ask(Request::Status, Flags::NONE, "look at") {
            Ok(answer) => Ok(answer.flags.has(Flags::ACTIVE)),
            Err(e) if is_absent(&e) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Whether it exists, alive or cut short in the making.
    pub fn exists(&self) -> Result<bool> {
        match self.ask(Request::Status, Flags::NONE, "look at") {
            Err(e) if is_absent(&e) => Ok(false),
            outcome => outcome.map(|_| true),
        }
    }

    /// What its target says of itself.
    pub fn status(&self) -> Result<String> {
        ioctl::status(&self.name).on("ask the status of", self.path())
    }

    /// Tell its target something.
    pub fn message(&self, words: &str) -> Result<()> {
        ioctl::message(&self.name, words).on("send a message to", self.path())
    }

    /// Its major and minor number, as tables name it.
    pub fn number(&self) -> Result<u64> {
        Ok(self.ask(Request::Status, Flags::NONE, "look at")?.device)
    }

    /// Its node, made by hand where nobody makes nodes.
    pub fn node(&self) -> Result<PathBuf> {
        let number = self.number()?;
        let own = PathBuf::from(format!("/dev/dm-{}", rustix::fs::minor(number)));
        if is_node_of(&own, number) {
            return Ok(own);
        }
        let path = self.path();
        if !is_node_of(&path, number) {
            let _ = std::fs::remove_file(&path);
            rustix::fs::mknodat(CWD, &path, FileType::BlockDevice, Mode::from_raw_mode(0o600), number)
                .on("make the node", &path)?;
        }
        Ok(path)
    }

    /// Something is mounted from it: waiting for it to become free is in vain.
    fn is_mounted(&self) -> Result<bool> {
        let node = self.node()?;
        Ok(crate::mount::all()?.iter().any(|mount| mount.source == *node))
    }

    fn ask(&self, request: Request, flags: Flags, op: &'static str) -> Result<Answer> {
        ioctl::ask(&self.name, request, flags).on(op, self.path())
    }

    /// What people call it.
    pub fn path(&self) -> PathBuf {
        Path::new(DIR).join(&self.name)
    }
}

/// The kernel says ENXIO of a name that it does not know.
fn is_absent(error: &Error) -> bool {
    error.errno() == Some(libc::ENXIO)
}

fn is_node_of(path: &Path, number: u64) -> bool {
    std::fs::metadata(path).is_ok_and(|node| node.file_type().is_block_device() && node.rdev() == number)
}
