//! Room for the records on a full disk.
//!
//! To remove something, and so to free space, a record has to be written first. So a file of a few mebibytes
//! is kept that holds nothing: on a full disk, what frees space gives it up. It is made again when there is room.

use nacre_sys::dir::Dir;
use rustix::fs::{FallocateFlags, Mode, OFlags, StatVfs, fallocate, fstatvfs};

/// The file, on the storage root.
const NAME: &str = "reserve";
/// Its bytes: several times what the records of one command take.
const SIZE: u64 = 4 << 20;
/// Below this many free bytes it is given up.
const FULL: u64 = 1 << 20;
/// Above this many it is made again; on a small file system, above an eighth of it.
const ROOMY: u64 = 64 << 20;

/// Make the reserve where there is room for it. What fails here is no failure of the command: it says itself what
/// it lacks.
pub(crate) fn keep(root: &Dir) {
    if space(root).is_some_and(|(free, all)| free > ROOMY.min(all / 8).max(SIZE + FULL))
        && !is_whole(root)
        && let Err(error) = make(root)
    {
        tracing::debug!(%error, "there is no reserve for a full disk");
    }
}

/// Give the reserve up where the disk is full. Only for what frees space: anything else would spend it and leave
/// nothing to remove things with.
pub(crate) fn give_up(root: &Dir) {
    if space(root).is_some_and(|(free, _)| free < FULL)
        && let Err(error) = root.remove(NAME)
    {
        tracing::debug!(%error, "the reserve for a full disk stays as it is");
    }
}

/// The free bytes, and all.
pub(crate) fn space(root: &Dir) -> Option<(u64, u64)> {
    let StatVfs { f_bavail, f_blocks, f_frsize, .. } = fstatvfs(root).ok()?;
    Some((f_bavail.saturating_mul(f_frsize), f_blocks.saturating_mul(f_frsize)))
}

/// A file that was made and not filled, since its maker was killed, is none.
fn is_whole(root: &Dir) -> bool {
    root.stat(NAME).is_ok_and(|stat| u64::try_from(stat.st_size).is_ok_and(|size| size >= SIZE))
}

fn make(root: &Dir) -> Result<(), nacre_sys::Error> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    let file = root.open_beneath(NAME, flags, Mode::RUSR | Mode::WUSR)?;
    if fallocate(&file, FallocateFlags::empty(), 0, SIZE).is_err() {
        root.remove(NAME)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_that_was_made_and_not_filled_is_filled() {
        let temp = tempfile::tempdir_in("/var/tmp").unwrap();
        let root = Dir::open(temp.path()).unwrap();
        std::fs::write(temp.path().join(NAME), b"").unwrap();
        assert!(!is_whole(&root));
        make(&root).unwrap();
        assert!(is_whole(&root));
    }
}
