//! Files of the writable layer that have only some of their data (copy-up by ranges).
//!
//! A large file that is to be written is not copied: the upper file is as long as it and sparse, and takes the
//! chunks that are written. What it lacks is read from below.
//!
//! # On disk
//!
//! Beside the work directory's own folder `work`, in `ranges/`, such a file has
//! - `<inode>`: one more name of the upper file, so that it is found whatever becomes of its other names;
//! - `<inode>.map`: which chunks are in the upper file ([`map`]), a log of records with checksums.
//!
//! While there is any, `work/incompat/nacre-ranges` makes the kernel refuse to mount the layer as overlayfs,
//! as it refuses one that was volatile (Documentation/filesystems/overlayfs.rst, "Volatile mount").
//!
//! # Order
//!
//! - The map and the name beside it are on disk before the file is visible in the layer.
//! - Data is written before the map says so; fsync(2) syncs the data, then the map. After a crash of the machine
//!   a record that says `Data` counts as far as the upper file has no holes there, on file systems that allot the room
//!   of data when it has been written. Holes that are meant are recorded as such.
//! - Before the file grows behind a place where it was cut off, the map says that nothing behind it is from below.
//! - That all of it is in the upper file is in the map, synced, before its map and that name are removed. Only
//!   then may others write to the upper file itself.
//!
//! A file with capabilities is copied whole, since whoever writes to it takes them away.
//!
//! A process that is killed loses nothing: the next that opens the layer takes its files up ([`load`]).

mod extents;
mod gate;
mod load;
mod log;
mod map;
mod registry;
mod settle;
mod space;
mod stitched;

pub(crate) use gate::{Gate, locked};
pub(crate) use registry::{Begun, FOLDER, MARK_PARENT, Registry};
pub(crate) use stitched::Ranges;

/// What is taken at once. With 64 KiB the first small write to a chunk took twice as long, and nothing was faster.
pub(crate) const CHUNK: u64 = 16 << 10;
