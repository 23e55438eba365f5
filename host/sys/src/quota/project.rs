//! Project quota: a directory and what is made below it belong to a numbered project, whose blocks and
//! inodes are counted and limited.
//!
//! The number is an attribute of each inode (`FS_IOC_FSSETXATTR` of `linux/fs.h`), the limits are records of
//! the file system (`linux/dqblk_xfs.h`, whose calls ext4 answers too), reached by `quotactl_fd(2)` (Linux
//! 5.14) so that no device has to be named. Docker does the same in daemon/internal/quota.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::dir::{DIRECTORY, Dir};
use crate::error::{Error, Result};

/// `struct fsxattr` (linux/fs.h).
#[repr(C)]
#[derive(Default)]
struct FsXattr {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    padding: [u8; 8],
}

/// `FS_XFLAG_PROJINHERIT`: what is made in the directory belongs to its project.
const INHERIT: u32 = 0x200;

mod raw {
    use super::FsXattr;

    nix::ioctl_read!(fs_get_xattr, b'X', 31, FsXattr);
    nix::ioctl_write_ptr!(fs_set_xattr, b'X', 32, FsXattr);
}

/// `struct fs_disk_quota` (linux/dqblk_xfs.h).
#[repr(C)]
#[derive(Default)]
struct DiskQuota {
    version: i8,
    flags: i8,
    fields: u16,
    id: u32,
    block_hard_limit: u64,
    block_soft_limit: u64,
    inode_hard_limit: u64,
    inode_soft_limit: u64,
    blocks: u64,
    inodes: u64,
    others: [u64; 7],
}

const _: () = assert!(size_of::<FsXattr>() == 28 && size_of::<DiskQuota>() == 112);

/// `FS_DQUOT_VERSION`, `FS_PROJ_QUOTA`, `FS_DQ_IHARD | FS_DQ_BHARD`.
const VERSION: i8 = 1;
const PROJECT: i8 = 2;
const HARD_LIMITS: u16 = 1 << 1 | 1 << 3;
/// The unit of `block_hard_limit`.
const BLOCK: u64 = 512;

/// `PRJQUOTA`, and the commands of linux/dqblk_xfs.h.
const PRJQUOTA: u32 = 2;
const Q_XGETQUOTA: u32 = 0x5803;
const Q_XSETQLIM: u32 = 0x5804;
const Q_XGETQSTAT: u32 = 0x5805;

/// Limit a directory by a project of its own; see [`super::limit`].
pub(super) fn limit(dir: &Dir, bytes: Option<u64>, inodes: Option<u64>) -> Result<()> {
    let failed = |e: Errno| Error::io("limit", dir.path(), e);
    let lacks = || Error::Lacks {
        path: dir.path().to_owned(),
        what: "limits on folders: that takes ext4 or XFS with project quota (mount option `prjquota`)",
    };
    if !are_enforced(dir.as_fd()) {
        return Err(lacks());
    }
    let project = match own_project(dir.as_fd()).map_err(failed)? {
        Some(project) => project,
        None => begin_project(dir.as_fd()).map_err(|e| if is_unknown(e) { lacks() } else { failed(e) })?,
    };
    set_limits(dir.as_fd(), project, bytes, inodes).map_err(failed)
}

/// The project that begins at a directory; none where it is in the same one as its parent.
pub(crate) fn own_project(dir: BorrowedFd<'_>) -> Result<Option<u32>, Errno> {
    let own = match attributes(dir) {
        Ok(attributes) => attributes.project,
        Err(e) if is_unknown(e) => 0,
        Err(e) => return Err(e),
    };
    if own == 0 {
        return Ok(None);
    }
    let parent = rustix::fs::openat(dir, "..", DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
    Ok((attributes(parent.as_fd())?.project != own).then_some(own))
}

/// What file systems say that do not know the attributes.
fn is_unknown(errno: Errno) -> bool {
    matches!(errno, Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS)
}

/// Give a directory a project that nothing is in. The number is drawn, so that processes need not agree
/// on it.
fn begin_project(dir: BorrowedFd<'_>) -> Result<u32, Errno> {
    let project = loop {
        let mut drawn = [0; 4];
        rustix::rand::getrandom(&mut drawn, rustix::rand::GetRandomFlags::empty())?;
        // Small numbers are those that people give.
        let drawn = u32::from_ne_bytes(drawn) & 0x7fff_ffff | 0x4000_0000;
        if is_free(dir, drawn)? {
            break drawn;
        }
    };
    let mut attributes = attributes(dir)?;
    attributes.project = project;
    attributes.flags |= INHERIT;
    // SAFETY: the descriptor is open for the length of the call, which only reads `attributes`.
    done(unsafe { raw::fs_set_xattr(dir.as_raw_fd(), &attributes) })?;
    Ok(project)
}

/// Nothing is in the project, and no limit is set.
fn is_free(file_system: BorrowedFd<'_>, project: u32) -> Result<bool, Errno> {
    let mut quota = DiskQuota::default();
    match quotactl(file_system, Q_XGETQUOTA, project, &mut quota) {
        Ok(()) => Ok(quota.inodes == 0 && quota.block_hard_limit == 0 && quota.inode_hard_limit == 0),
        // XFS keeps no record of a project that it has not met.
        Err(Errno::NOENT | Errno::SRCH) => Ok(true),
        Err(e) => Err(e),
    }
}

/// Set a project's limits; none for no limit.
pub(super) fn set_limits(
    file_system: BorrowedFd<'_>,
    project: u32,
    bytes: Option<u64>,
    inodes: Option<u64>,
) -> Result<(), Errno> {
    let mut quota = DiskQuota {
        version: VERSION,
        flags: PROJECT,
        fields: HARD_LIMITS,
        id: project,
        // To the kernel 0 is no limit.
        block_hard_limit: bytes.map_or(0, |bytes| (bytes / BLOCK).max(1)),
        inode_hard_limit: inodes.map_or(0, |inodes| inodes.max(1)),
        ..DiskQuota::default()
    };
    quotactl(file_system, Q_XSETQLIM, project, &mut quota)
}

/// Whether the file system counts what projects take up, and refuses what goes beyond their limits.
pub(crate) fn are_enforced(file_system: BorrowedFd<'_>) -> bool {
    /// `FS_QUOTA_PDQ_ACCT | FS_QUOTA_PDQ_ENFD` in `qs_flags`, 16 bits at the third byte of
    /// `struct fs_quota_stat`.
    const COUNTED_AND_LIMITED: u16 = 1 << 4 | 1 << 5;
    // `struct fs_quota_stat` has 80 bytes; as 64-bit words for its alignment.
    let mut state = [0u64; 16];
    if quotactl(file_system, Q_XGETQSTAT, 0, &mut state).is_err() {
        return false;
    }
    let [_, _, low, high, ..] = state[0].to_ne_bytes();
    u16::from_ne_bytes([low, high]) & COUNTED_AND_LIMITED == COUNTED_AND_LIMITED
}

/// `quotactl_fd(2)` for project quota. `data` is the structure of the command, or larger.
fn quotactl<T>(file_system: BorrowedFd<'_>, command: u32, id: u32, data: &mut T) -> Result<(), Errno> {
    // SAFETY: the descriptor is open for the length of the call. Each command of this file reads or writes
    // one structure, which the caller hands over with the layout and the alignment that the kernel has.
    let result = unsafe {
        libc::syscall(
            libc::SYS_quotactl_fd,
            file_system.as_raw_fd(),
            (command << 8) | PRJQUOTA,
            id,
            std::ptr::from_mut(data),
        )
    };
    if result == 0 { Ok(()) } else { Err(crate::mount::last_errno()) }
}

fn attributes(of: BorrowedFd<'_>) -> Result<FsXattr, Errno> {
    let mut attributes = FsXattr::default();
    // SAFETY: the descriptor is open for the length of the call, which writes into `attributes` alone.
    done(unsafe { raw::fs_get_xattr(of.as_raw_fd(), &mut attributes) })?;
    Ok(attributes)
}

fn done(result: nix::Result<i32>) -> Result<(), Errno> {
    result.map(drop).map_err(|e| Errno::from_raw_os_error(e as i32))
}
