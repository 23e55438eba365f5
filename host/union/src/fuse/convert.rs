use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, INodeNo, TimeOrNow};
use rustix::fs::FileType;

use crate::live::{Attributes, TimeToSet};

pub(crate) fn errno(errno: rustix::io::Errno) -> fuser::Errno {
    fuser::Errno::from_i32(errno.raw_os_error())
}

pub(crate) fn attr(attributes: &Attributes, node: u64) -> FileAttr {
    let stat = &attributes.stat;
    FileAttr {
        ino: INodeNo(node),
        size: stat.st_size.try_into().unwrap_or(0),
        blocks: stat.st_blocks.try_into().unwrap_or(0),
        atime: system_time(stat.st_atime, stat.st_atime_nsec),
        mtime: system_time(stat.st_mtime, stat.st_mtime_nsec),
        ctime: system_time(stat.st_ctime, stat.st_ctime_nsec),
        crtime: UNIX_EPOCH,
        kind: kind(attributes.kind),
        perm: (stat.st_mode & 0o7777) as u16,
        nlink: stat.st_nlink.try_into().unwrap_or(u32::MAX),
        uid: stat.st_uid,
        gid: stat.st_gid,
        rdev: to_wire(stat.st_rdev),
        blksize: stat.st_blksize.try_into().unwrap_or(4096),
        flags: 0,
    }
}

pub(crate) fn kind(kind: FileType) -> fuser::FileType {
    match kind {
        FileType::Directory => fuser::FileType::Directory,
        FileType::Symlink => fuser::FileType::Symlink,
        FileType::CharacterDevice => fuser::FileType::CharDevice,
        FileType::BlockDevice => fuser::FileType::BlockDevice,
        FileType::Fifo => fuser::FileType::NamedPipe,
        FileType::Socket => fuser::FileType::Socket,
        _ => fuser::FileType::RegularFile,
    }
}

fn system_time(seconds: i64, nanoseconds: u64) -> SystemTime {
    let part = Duration::from_nanos(nanoseconds);
    match u64::try_from(seconds) {
        Ok(seconds) => UNIX_EPOCH + Duration::from_secs(seconds) + part,
        Err(_) => UNIX_EPOCH - Duration::from_secs(seconds.unsigned_abs()) + part,
    }
}

pub(crate) fn time(time: TimeOrNow) -> TimeToSet {
    let time = match time {
        TimeOrNow::Now => return TimeToSet::Now,
        TimeOrNow::SpecificTime(time) => time,
    };
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => {
            TimeToSet::At(since.as_secs().try_into().unwrap_or(i64::MAX), since.subsec_nanos().into())
        }
        Err(before) => {
            let before = before.duration();
            let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => TimeToSet::At(-whole, 0),
                nanos => TimeToSet::At(-whole - 1, i64::from(1_000_000_000 - nanos)),
            }
        }
    }
}

/// A device's number as FUSE carries it: the kernel's `new_encode_dev`.
fn to_wire(device: u64) -> u32 {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

pub(crate) fn from_wire(device: u32) -> u64 {
    rustix::fs::makedev((device & 0xf_ff00) >> 8, (device & 0xff) | ((device >> 12) & 0xf_ff00))
}
