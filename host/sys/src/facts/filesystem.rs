use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use super::Filesystem;
use crate::dir::Dir;
use crate::error::{Context, Result};

pub(super) fn probe(home: &Dir) -> Result<Filesystem> {
    let magic = rustix::fs::fstatfs(home).on("statfs", home.path())?.f_type as u64;
    let file = match nameless_file(home) {
        // Nothing can be tried there, and nothing will be made.
        Err(Errno::ROFS) => return Ok(untried(magic)),
        other => other.on("make a file in", home.path())?,
    };
    let takes = |attribute: &str| rustix::fs::fsetxattr(&file, attribute, b"y", XattrFlags::empty()).is_ok();
    Ok(Filesystem {
        name: name(magic).to_owned(),
        magic,
        d_type: has_types(home)?,
        trusted_xattrs: takes("trusted.nacre"),
        user_xattrs: takes("user.nacre"),
        reflink: shares_with(home, &file),
        project_quota: crate::quota::are_enforced(home.as_fd()),
    })
}

fn untried(magic: u64) -> Filesystem {
    Filesystem {
        name: name(magic).to_owned(),
        magic,
        d_type: false,
        trusted_xattrs: false,
        user_xattrs: false,
        reflink: false,
        project_quota: false,
    }
}

/// Names of /proc/filesystems by magic numbers of linux/magic.h. ext2, ext3 and ext4 share one.
pub fn name(magic: u64) -> &'static str {
    match magic {
        0xef53 => "ext4",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x0102_1994 => "tmpfs",
        0x8584_58f6 => "ramfs",
        0x794c_7630 => "overlay",
        0x6573_5546 => "fuse",
        0xf2f5_2010 => "f2fs",
        0x2fc1_2fc1 => "zfs",
        0xca45_1a4e => "bcachefs",
        0x6969 => "nfs",
        0xff53_4d42 | 0xfe53_4d42 => "cifs",
        0x0102_1997 => "9p",
        0x00c0_ffee => "hostfs",
        0x6165_676c => "pstore",
        0x7371_7368 => "squashfs",
        0xe0f5_e1e2 => "erofs",
        0x6846_5342 => "hfsplus",
        0x4d44 => "vfat",
        0x2011_bab0 => "exfat",
        0x00c3_6400 => "ceph",
        0x6175_6673 => "aufs",
        _ => "unknown",
    }
}

fn nameless_file(home: &Dir) -> Result<OwnedFd, Errno> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::openat(home, ".", flags, Mode::RUSR | Mode::WUSR) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {}
        other => return other,
    }
    let (name, fd) = crate::dir::temp_file(home.as_fd())?;
    rustix::fs::unlinkat(home, name, AtFlags::empty()).map(|()| fd)
}

/// Whether files of a directory can share data (FICLONE), found by trying.
pub fn shares_data(home: &Dir) -> bool {
    nameless_file(home).is_ok_and(|file| shares_with(home, &file))
}

/// One that can share data can share it with an empty file too.
fn shares_with(home: &Dir, file: &OwnedFd) -> bool {
    let _ = rustix::io::write(file, &[0; 4096]);
    nameless_file(home).is_ok_and(|copy| rustix::fs::ioctl_ficlone(copy, file).is_ok())
}

/// `.` and `..` have a type on every file system, so an entry of another name is needed.
fn has_types(home: &Dir) -> Result<bool> {
    if let Some(entry) = home.entries()?.first() {
        return Ok(entry.kind != FileType::Unknown);
    }
    let (name, _fd) = crate::dir::temp_file(home.as_fd()).on("make a file in", home.path())?;
    let entries = home.entries();
    let _ = rustix::fs::unlinkat(home, &name, AtFlags::empty());
    Ok(entries?.first().is_some_and(|entry| entry.kind != FileType::Unknown))
}
