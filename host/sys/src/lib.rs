//! nacre's door to the kernel: safe paths, mounts, extended attributes, locks, facts.
//!
//! The only room with `unsafe`. It knows files, directories and mounts, and nothing of layers or drivers.
//!
//! # Contract
//!
//! - Paths that came from an image, a component or a user are resolved below a [`Dir`] with `openat2(2)`
//!   and cannot leave it: [`Error::Escape`].
//! - Every error names the path and the operation; those that callers act on are cases of [`Error`].
//! - What makes something either makes all of it or leaves nothing: a file written by
//!   [`Dir::write_atomic`], a tree copied by [`Dir::copy_tree`], a mount.
//! - Nothing here syncs by itself; see [`sync`].
//!
//! Linux 5.12 is the oldest kernel that it works on (`mount_setattr(2)`).
//!
//! # Example
//!
//! ```no_run
//! use nacre_sys::{Dir, mount::OverlayMount};
//!
//! # fn main() -> nacre_sys::Result<()> {
//! let home = Dir::open("/var/lib/nacre/overlay2")?;
//! home.make_dir("c/merged", 0o755)?;
//! OverlayMount::new([home.sub("b/diff")?, home.sub("a/diff")?])
//!     .upper(home.sub("c/diff")?, home.sub("c/work")?)
//!     .mount(&home.sub("c/merged")?)?;
//! nacre_sys::mount::unmount(&home, "c/merged")?;
//! # Ok(())
//! # }
//! ```

#![allow(unsafe_code)]

pub mod btrfs;
mod copy;
pub mod dir;
pub mod dm;
mod error;
pub mod facts;
pub mod lock;
pub mod loop_device;
pub mod map;
pub mod mount;
pub mod proc;
pub mod quota;
mod remove;
pub mod sync;
mod usage;
pub mod xattr;
pub mod zfs;

pub use copy::{Copied, DataCopy, copy_file_data};
pub use dir::{Dir, Entry};
pub use error::{Error, Result};
pub use lock::FileLock;
pub use usage::Usage;

pub use rustix::fs::{FileType, Mode, OFlags};
