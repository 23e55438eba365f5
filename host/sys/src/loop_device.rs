//! Loop devices: files as block devices (loop(4)).
//!
//! A device is attached without `autoclear`: it stays until it is detached, whoever dies, because a thin pool
//! on it outlives the process that made it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use linux_raw_sys::loop_device::{
    LO_FLAGS_DIRECT_IO, LOOP_CLR_FD, LOOP_CONFIGURE, LOOP_CTL_GET_FREE, LOOP_GET_STATUS64, loop_config,
    loop_info64,
};
use rustix::fs::{Mode, OFlags};

use crate::error::{Context, Result};

const CONTROL: &str = "/dev/loop-control";
const SYS: &str = "/sys/block";
/// Others may take a device between its being found free and its being configured.
const ATTEMPTS: usize = 32;

/// Attach a file, and tell its device. A file that is attached already keeps the device that it has: two
/// devices on one file would not see each other's writes.
///
/// With `direct_io` the device goes around the page cache of the file (`LO_FLAGS_DIRECT_IO`), so that what is in
/// memory is there once; where the file's file system cannot do that, the kernel goes through the cache.
pub fn attach(file: &File, path: &Path, direct_io: bool) -> Result<PathBuf> {
    if let Some(device) = find(file, path)? {
        return Ok(device);
    }
    let control = open(Path::new(CONTROL))?;
    let mut attempts = 0;
    loop {
        // SAFETY: the request takes no argument.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE.into()) };
        if number < 0 {
            return Err(io::Error::last_os_error()).on("find a free loop device for", path);
        }
        let device = PathBuf::from(format!("/dev/loop{number}"));
        attempts += 1;
        match configure(&open(&device)?, file.as_fd(), direct_io) {
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy && attempts < ATTEMPTS => {}
            outcome => return outcome.map(|()| device).on("attach to a loop device", path),
        }
    }
}

/// The device that a file is attached to.
pub fn find(file: &File, path: &Path) -> Result<Option<PathBuf>> {
    let wanted = rustix::fs::fstat(file).on("stat", path)?;
    for entry in std::fs::read_dir(SYS).on("list", SYS)? {
        let entry = entry.on("list", SYS)?;
        // An attached device has this folder, and its owner may detach it at any moment.
        if !entry.path().join("loop").exists() {
            continue;
        }
        let device = Path::new("/dev").join(entry.file_name());
        let Ok(fd) = rustix::fs::open(&device, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
            continue;
        };
        if let Some(info) = status(fd.as_fd())
            && (info.lo_device, info.lo_inode) == (wanted.st_dev, wanted.st_ino)
        {
            return Ok(Some(device));
        }
    }
    Ok(None)
}

/// Detach a device. One that is not attached is no error; one that is in use is detached when its last user
/// closes it.
pub fn detach(device: &Path) -> Result<()> {
    let fd = match open(device) {
        Err(e) if e.is_not_found() => return Ok(()),
        fd => fd?,
    };
    // SAFETY: the request takes no argument.
    match unsafe { libc::ioctl(fd.as_raw_fd(), LOOP_CLR_FD.into()) } {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            e if e.raw_os_error() == Some(libc::ENXIO) => Ok(()),
            e => Err(e).on("detach", device),
        },
    }
}

fn configure(device: &File, file: BorrowedFd<'_>, direct_io: bool) -> io::Result<()> {
    // SAFETY: a loop_config is integers and arrays of them, for which zero is a value.
    let mut config: loop_config = unsafe { std::mem::zeroed() };
    config.fd = file.as_raw_fd().unsigned_abs();
    if direct_io {
        config.info.lo_flags = LO_FLAGS_DIRECT_IO as u32;
    }
    // SAFETY: the request reads a loop_config, which lives through the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE.into(), &raw const config) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn status(device: BorrowedFd<'_>) -> Option<loop_info64> {
    // SAFETY: as in `configure`.
    let mut info: loop_info64 = unsafe { std::mem::zeroed() };
    // SAFETY: the request fills a loop_info64, which lives through the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_GET_STATUS64.into(), &raw mut info) };
    (result == 0).then_some(info)
}

fn open(path: &Path) -> Result<File> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty()).on("open", path)?))
}
