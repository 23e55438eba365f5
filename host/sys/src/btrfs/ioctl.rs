//! The calls themselves, with the structures of `linux/btrfs.h`.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;

/// `struct btrfs_ioctl_vol_args`.
#[repr(C)]
struct VolArgs {
    fd: i64,
    name: [u8; 4088],
}

/// `struct btrfs_ioctl_vol_args_v2`. The name's first eight bytes are the subvolume's ID where the flags
/// say so.
#[repr(C)]
struct VolArgs2 {
    fd: i64,
    transid: u64,
    flags: u64,
    unused: [u64; 4],
    name: [u8; 4040],
}

/// `BTRFS_SUBVOL_SPEC_BY_ID`.
const BY_ID: u64 = 1 << 4;

/// `struct btrfs_ioctl_search_args`: the key, then a buffer.
#[repr(C)]
struct SearchArgs {
    tree: u64,
    min_object: u64,
    max_object: u64,
    min_offset: u64,
    max_offset: u64,
    min_transid: u64,
    max_transid: u64,
    min_type: u32,
    max_type: u32,
    items: u32,
    unused: [u32; 9],
    buffer: [u8; 3992],
}

/// `struct btrfs_ioctl_ino_lookup_args`.
#[repr(C)]
struct LookupArgs {
    tree: u64,
    object: u64,
    name: [u8; 4080],
}

/// `struct btrfs_ioctl_quota_ctl_args`.
#[repr(C)]
struct QuotaArgs {
    command: u64,
    status: u64,
}

/// `struct btrfs_ioctl_qgroup_create_args`.
#[repr(C)]
struct GroupArgs {
    create: u64,
    id: u64,
}

/// `struct btrfs_ioctl_qgroup_limit_args`. The ID 0 stands for the group of the descriptor's subvolume.
#[repr(C)]
struct LimitArgs {
    id: u64,
    flags: u64,
    max_referenced: u64,
    others: [u64; 3],
}

mod raw {
    use super::{GroupArgs, LimitArgs, LookupArgs, QuotaArgs, SearchArgs, VolArgs, VolArgs2};

    /// `BTRFS_IOCTL_MAGIC`.
    const MAGIC: u8 = 0x94;
    nix::ioctl_write_ptr!(subvol_create, MAGIC, 14, VolArgs);
    nix::ioctl_write_ptr!(snap_destroy, MAGIC, 15, VolArgs);
    nix::ioctl_readwrite!(tree_search, MAGIC, 17, SearchArgs);
    nix::ioctl_readwrite!(ino_lookup, MAGIC, 18, LookupArgs);
    nix::ioctl_write_ptr!(snap_create, MAGIC, 23, VolArgs2);
    nix::ioctl_readwrite!(quota_ctl, MAGIC, 40, QuotaArgs);
    nix::ioctl_write_ptr!(qgroup_create, MAGIC, 42, GroupArgs);
    // The kernel reads these, though its header declares them as written.
    nix::ioctl_read!(qgroup_limit, MAGIC, 43, LimitArgs);
    nix::ioctl_write_ptr!(snap_destroy_v2, MAGIC, 63, VolArgs2);
}

type Done = Result<(), Errno>;

fn done(result: nix::Result<i32>) -> Done {
    result.map(drop).map_err(|e| Errno::from_raw_os_error(e as i32))
}

/// A name in the field of a structure, ended by a NUL.
fn named<const N: usize>(name: &OsStr) -> Result<[u8; N], Errno> {
    /// `BTRFS_VOL_NAME_MAX`.
    const LONGEST: usize = 255;
    let mut field = [0; N];
    match field.get_mut(..name.len()) {
        Some(room) if name.len() <= LONGEST => room.copy_from_slice(name.as_bytes()),
        _ => return Err(Errno::NAMETOOLONG),
    }
    Ok(field)
}

/// Make an empty subvolume in a directory.
pub(super) fn create(parent: BorrowedFd<'_>, name: &OsStr) -> Done {
    let args = VolArgs { fd: 0, name: named(name)? };
    // SAFETY: the descriptor is open for the length of the call, which only reads `args`.
    done(unsafe { raw::subvol_create(parent.as_raw_fd(), &args) })
}

/// Make a writable snapshot of a subvolume in a directory.
pub(super) fn snapshot(source: BorrowedFd<'_>, parent: BorrowedFd<'_>, name: &OsStr) -> Done {
    let fd = source.as_raw_fd().into();
    let args = VolArgs2 { fd, transid: 0, flags: 0, unused: [0; 4], name: named(name)? };
    // SAFETY: both descriptors are open for the length of the call, which only reads `args`.
    done(unsafe { raw::snap_create(parent.as_raw_fd(), &args) })
}

/// Delete a subvolume that holds no other.
pub(super) fn destroy(parent: BorrowedFd<'_>, name: &OsStr) -> Done {
    let args = VolArgs { fd: 0, name: named(name)? };
    // SAFETY: the descriptor is open for the length of the call, which only reads `args`.
    done(unsafe { raw::snap_destroy(parent.as_raw_fd(), &args) })
}

/// Delete a subvolume that holds no other, wherever it is on the file system (Linux 5.7).
pub(super) fn destroy_by_id(fd: BorrowedFd<'_>, id: u64) -> Done {
    let mut name = [0; 4040];
    for (byte, value) in name.iter_mut().zip(id.to_ne_bytes()) {
        *byte = value;
    }
    let args = VolArgs2 { fd: 0, transid: 0, flags: BY_ID, unused: [0; 4], name };
    // SAFETY: the descriptor is open for the length of the call, which only reads `args`.
    done(unsafe { raw::snap_destroy_v2(fd.as_raw_fd(), &args) })
}

/// The ID of the subvolume that an open file or directory is in.
pub(super) fn id_of(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    let mut args = LookupArgs { tree: 0, object: super::ROOT_INODE, name: [0; 4080] };
    // SAFETY: the descriptor is open for the length of the call, which writes into `args` alone.
    done(unsafe { raw::ino_lookup(fd.as_raw_fd(), &mut args) })?;
    Ok(args.tree)
}

/// The IDs of the subvolumes directly inside one: the offsets of its `BTRFS_ROOT_REF_KEY` items in the tree
/// of tree roots (linux/btrfs_tree.h).
pub(super) fn children(fd: BorrowedFd<'_>, id: u64) -> Result<Vec<u64>, Errno> {
    const ROOT_TREE: u64 = 1;
    const ROOT_REF: u32 = 156;
    let mut found = Vec::new();
    let mut from = Some(0);
    while let Some(min_offset) = from {
        let mut args = SearchArgs {
            tree: ROOT_TREE,
            min_object: id,
            max_object: id,
            min_offset,
            max_offset: u64::MAX,
            min_transid: 0,
            max_transid: u64::MAX,
            min_type: ROOT_REF,
            max_type: ROOT_REF,
            items: u32::MAX,
            unused: [0; 9],
            buffer: [0; 3992],
        };
        // SAFETY: the descriptor is open for the length of the call, which writes into `args` alone.
        done(unsafe { raw::tree_search(fd.as_raw_fd(), &mut args) })?;
        let offsets = offsets(&args.buffer, args.items)?;
        from = offsets.last().and_then(|last| last.checked_add(1));
        found.extend(offsets);
    }
    Ok(found)
}

/// The offsets of `count` items, each a `struct btrfs_ioctl_search_header` (transaction, object, offset: 64
/// bits; type, length: 32 bits) and then that many bytes.
fn offsets(mut buffer: &[u8], count: u32) -> Result<Vec<u64>, Errno> {
    let mut offsets = Vec::new();
    for _ in 0..count {
        let (head, rest) = buffer.split_first_chunk::<32>().ok_or(Errno::IO)?;
        let [.., o0, o1, o2, o3, o4, o5, o6, o7, _, _, _, _, l0, l1, l2, l3] = *head;
        offsets.push(u64::from_ne_bytes([o0, o1, o2, o3, o4, o5, o6, o7]));
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).map_err(|_| Errno::IO)?;
        buffer = rest.get(length..).ok_or(Errno::IO)?;
    }
    Ok(offsets)
}

/// Account what subvolumes take up. No error where it is accounted already.
pub(super) fn enable_quota(fd: BorrowedFd<'_>) -> Done {
    const ENABLE: u64 = 1;
    let mut args = QuotaArgs { command: ENABLE, status: 0 };
    // SAFETY: the descriptor is open for the length of the call, which writes into `args` alone.
    match done(unsafe { raw::quota_ctl(fd.as_raw_fd(), &mut args) }) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// Make the quota group of a subvolume.
pub(super) fn create_group(fd: BorrowedFd<'_>, id: u64) -> Done {
    group(fd, GroupArgs { create: 1, id })
}

/// Remove the quota group of a subvolume.
pub(super) fn destroy_group(fd: BorrowedFd<'_>, id: u64) -> Done {
    group(fd, GroupArgs { create: 0, id })
}

fn group(fd: BorrowedFd<'_>, args: GroupArgs) -> Done {
    // SAFETY: the descriptor is open for the length of the call, which only reads `args`.
    done(unsafe { raw::qgroup_create(fd.as_raw_fd(), &args) })
}

/// Limit the bytes that the subvolume of an open directory refers to; the largest number for no limit.
pub(super) fn limit(fd: BorrowedFd<'_>, bytes: u64) -> Done {
    /// `BTRFS_QGROUP_LIMIT_MAX_RFER`.
    const MAX_REFERENCED: u64 = 1;
    let mut args = LimitArgs { id: 0, flags: MAX_REFERENCED, max_referenced: bytes, others: [0; 3] };
    // SAFETY: the descriptor is open for the length of the call, which accesses `args` alone.
    done(unsafe { raw::qgroup_limit(fd.as_raw_fd(), &mut args) })
}
