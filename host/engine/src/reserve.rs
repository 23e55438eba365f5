//! Room for the records on a full disk.
//!
//! To remove something, and so to free space, a record has to be written first. So a file of a few mebibytes
//! is kept that holds nothing: when the disk is full it is given up, and made again when there is room.

use nacre_sys::dir::Dir;
use rustix::fs::{FallocateFlags, Mode, OFlags, StatVfs, fallocate, fstatvfs};

/// The file, on the storage root.
const NAME: &str = "reserve";
/// Its bytes: several times what the records of one command take.
const SIZE: u64 = 4 << 20;
/// Below this many free bytes it is given up.
const FULL: u64 = 1 << 20;
/// Above this many it is made again.
const ROOMY: u64 = 64 << 20;

/// Give the reserve up, or make it. What fails here is no failure of the command: it says itself what it
/// lacks.
pub(crate) fn tend(root: &Dir) {
    let Ok(StatVfs { f_bavail, f_frsize, .. }) = fstatvfs(root) else { return };
    let free = f_bavail.saturating_mul(f_frsize);
    let done = if free < FULL {
        root.remove(NAME).map(drop)
    } else if free > ROOMY && !is_whole(root) {
        make(root)
    } else {
        Ok(())
    };
    if let Err(error) = done {
        tracing::debug!(%error, "the reserve for a full disk stays as it is");
    }
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
