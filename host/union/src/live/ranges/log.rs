use nacre_sys::Dir;

const EXT4_SUPER_MAGIC: i64 = 0xef53;
const XFS_SUPER_MAGIC: i64 = 0x5846_5342;
const BTRFS_SUPER_MAGIC: i64 = 0x9123_683e;
const F2FS_SUPER_MAGIC: i64 = 0xf2f5_2010;

/// Whether a hole where data was written says that it was lost. So it is where a file system allots the room of data
/// once that has been written; others make holes of zeros by themselves, and keep writes in order (ZFS).
pub(super) fn holes_tell(dir: &Dir) -> bool {
    const TELL: [i64; 4] = [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC];
    rustix::fs::fstatfs(dir).is_ok_and(|found| TELL.contains(&found.f_type))
}

/// Whether a file system writes its changes of names and attributes to one log, in order: to sync a file that was
/// changed last then syncs all changes before. So it is with XFS, and with ext4 where that has a journal; where that
/// cannot be told, it is not.
pub(super) fn has_one_log(dir: &Dir) -> bool {
    match rustix::fs::fstatfs(dir).map(|found| found.f_type) {
        Ok(XFS_SUPER_MAGIC) => true,
        Ok(EXT4_SUPER_MAGIC) => has_journal(dir).unwrap_or(false),
        _ => false,
    }
}

/// ext4 names the thread of its journal; ext2, which looks the same, is not there.
fn has_journal(dir: &Dir) -> Option<bool> {
    let device = dir.stat("").ok()?.st_dev;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let device = std::fs::read_link(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    let name = device.file_name()?.to_str()?;
    let thread = std::fs::read_to_string(format!("/sys/fs/ext4/{name}/journal_task")).ok()?;
    Some(thread.trim().parse::<u32>().is_ok())
}
