//! File systems on block devices.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::{Command, Stdio};

use linux_raw_sys::ioctl::BLKDISCARD;
use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags;

use super::pool::block_device_bytes;
use crate::dir::Dir;
use crate::error::{Context as _, Error, Result};

/// Which file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filesystem {
    /// ext4.
    Ext4,
    /// XFS.
    Xfs,
}

impl Filesystem {
    /// Its name as in /proc/filesystems.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }
}

/// Where the superblocks of both are: the first 4 KiB.
const HEAD: usize = 4096;

/// Make an empty file system. `arguments` go to its mkfs. Nothing that it does not need is written, because each
/// block that is written takes space.
pub fn make(kind: Filesystem, device: &Path, arguments: &[String]) -> Result<()> {
    match kind {
        // Docker's options: the tables are written now, so that the layers share them.
        Filesystem::Ext4 => {
            let usual = ["-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"];
            run(program("mkfs.ext4").args(usual).args(arguments).arg(device), device)?;
            // Never a check by the calendar or by the count of mounts.
            run(program("tune2fs").args(["-c", "-1", "-i", "0"]).arg(device), device)
        }
        Filesystem::Xfs => {
            run(program("mkfs.xfs").args(["-q", "-f", "-K"]).args(arguments).arg(device), device)
        }
    }
}

/// Which file system a device holds, and how many bytes of the device it uses.
pub fn identify(device: &Path) -> Result<Option<(Filesystem, u64)>> {
    let mut head = [0; HEAD];
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(device, flags, Mode::empty()).on("open", device)?);
    file.read_exact_at(&mut head, 0).on("read", device)?;
    Ok(superblock(&head))
}

/// Refuse a device that holds something already: a file system, a volume of another kind, a partition table. blkid(8)
/// knows them all.
pub fn refuse_used(device: &Path) -> Result<()> {
    let mut blkid = program("blkid");
    let said = blkid.args(["--probe", "--output", "export"]).arg(device).output();
    let said = said.on("start the program for", format!("blkid of {}", device.display()))?;
    // 2: nothing was found (or no such device, which its next user tells).
    if said.status.code() == Some(2) {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&said.stdout);
    let found = text.lines().find_map(|line| line.strip_prefix("TYPE=").or(line.strip_prefix("PTTYPE=")));
    Err(Error::Used { device: device.to_owned(), holds: found.unwrap_or("something").to_owned() })
}

/// ext4's superblock is at 1024 (`struct ext4_super_block`), XFS's at 0 (`struct xfs_dsb`, big-endian).
fn superblock(head: &[u8; HEAD]) -> Option<(Filesystem, u64)> {
    let le = |at: usize| Some(u64::from(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?)));
    let be = |at: usize| Some(u64::from(u32::from_be_bytes(head.get(at..at + 4)?.try_into().ok()?)));
    if head.starts_with(b"XFSB") {
        let blocks = (be(8)? << 32) | be(12)?;
        return Some((Filesystem::Xfs, blocks.checked_mul(be(4)?)?));
    }
    if head.get(1024 + 0x38..1024 + 0x3a)? == [0x53, 0xef] {
        let has_64_bit_counts = le(1024 + 0x60)? & 0x80 != 0;
        let high = if has_64_bit_counts { le(1024 + 0x150)? } else { 0 };
        let block = 1024_u64.checked_shl(u32::try_from(le(1024 + 0x18)?).ok()?)?;
        return Some((Filesystem::Ext4, ((high << 32) | le(1024 + 4)?).checked_mul(block)?));
    }
    None
}

/// Mount the file system of a device. Volumes that share their blocks share the file system's UUID too, which XFS
/// is told to bear (`nouuid`). `options` are the file system's own, such as `noquota,discard`, and `noatime` and
/// `nodiratime`.
pub fn mount(kind: Filesystem, device: &Path, target: &Dir, read_only: bool, options: &str) -> Result<()> {
    let context = crate::mount::Context::open(kind.name(), target)?;
    context.set("source", &device.to_string_lossy())?;
    if kind == Filesystem::Xfs {
        context.flag("nouuid")?;
    }
    if read_only {
        context.flag("ro")?;
    }
    let mut attributes = if read_only { MountAttrFlags::MOUNT_ATTR_RDONLY } else { MountAttrFlags::empty() };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match (option.split_once('='), option) {
            // These are the mount's, and not the file system's.
            (_, "noatime") => attributes |= MountAttrFlags::MOUNT_ATTR_NOATIME,
            (_, "nodiratime") => attributes |= MountAttrFlags::MOUNT_ATTR_NODIRATIME,
            (Some((key, value)), _) => context.set(key, value)?,
            (None, _) => context.flag(option)?,
        }
    }
    context.mount(attributes)?;
    if kind == Filesystem::Xfs && !read_only { give_up_when_full(device) } else { Ok(()) }
}

/// Make a mounted file system as large as its device.
pub fn grow(kind: Filesystem, device: &Path, target: &Dir) -> Result<()> {
    let (_, used) = identify(device)?.unwrap_or((kind, 0));
    // What is less than a block group's worth stays unused.
    const SPARE: u64 = 1 << 20;
    if used.saturating_add(SPARE) > block_device_bytes(device)? {
        return Ok(());
    }
    match kind {
        Filesystem::Ext4 => run(program("resize2fs").arg(device), device),
        Filesystem::Xfs => run(program("xfs_growfs").arg(target.real_path()?), device),
    }
}

/// Give up what a device holds: all of it reads as zero from then on, and its space is free.
pub fn discard(device: &Path) -> Result<()> {
    let range = [0, block_device_bytes(device)?];
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(device, flags, Mode::empty()).on("open", device)?;
    // SAFETY: the request reads two u64, the first byte and the number of bytes, which live through the call.
    match unsafe { libc::ioctl(fd.as_raw_fd(), BLKDISCARD.into(), range.as_ptr()) } {
        0 => Ok(()),
        _ => match std::io::Error::last_os_error() {
            // What is below cannot take it.
            e if e.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
            e => Err(e).on("discard", device),
        },
    }
}

/// XFS tries for ever to write what the pool has no room for, and whoever unmounts it would wait for that. Docker's
/// `dm.xfs_nospace_max_retries` is for this.
fn give_up_when_full(device: &Path) -> Result<()> {
    // The kernel's own name of it (`dm-7`), whatever its node is called.
    let number = std::fs::metadata(device).on("stat", device)?.rdev();
    let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
    let known = format!("/sys/dev/block/{major}:{minor}");
    let known = std::fs::read_link(&known).on("follow", &known)?;
    let name = known.file_name().unwrap_or_default();
    let setting = Path::new("/sys/fs/xfs").join(name).join("error/metadata/ENOSPC/max_retries");
    std::fs::write(&setting, "0").on("write", &setting)
}

/// A program of administrators, which may not be on the PATH of others.
fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin");
    command
}

/// Run a program that says nothing when all is well.
fn run(command: &mut Command, device: &Path) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    crate::proc::end_with_this_thread(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .on("start the program for", format!("{program} of {}", device.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().lines().last().unwrap_or_default().to_owned();
    Err(Error::Program { program, on: device.to_owned(), said })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_from_noise() {
        for byte in [0, 0xff] {
            assert_eq!(superblock(&[byte; HEAD]), None);
        }
    }
}
