//! A stack of layers as one tree: search, listing, differences, in process and without a mount.
//!
//! [`live`] is the writable tree, and [`fuse`] serves it as a file system of its own; the program
//! `nacre-union` mounts it with overlayfs's options.
//!
//! # Contract
//!
//! - What is found here is what the kernel's overlayfs shows for the same layers
//!   (Documentation/filesystems/overlayfs.rst), with whiteouts of overlayfs or of aufs (OCI image
//!   specification, layer.md, "Whiteouts"). Not read: `redirect` and `metacopy`, which nacre's own mounts
//!   leave off.
//! - Layers are only read. A symbolic link in a layer leads nowhere but into the stack, and only where that
//!   is asked for ([`Stack::lookup_following`]).
//! - Names are bytes. Paths are taken with or without a leading `/`, and given without one, except those of
//!   [`Change`]s, which are as Docker prints them.
//!
//! # Example
//!
//! ```no_run
//! use nacre_sys::Dir;
//! use nacre_union::{Layer, Stack, Whiteouts, changes};
//!
//! # fn main() -> nacre_union::Result<()> {
//! let image = Stack::new([Layer::new(Dir::open("b/diff")?, Whiteouts::Overlay)]);
//! if let Some(node) = image.lookup("/etc/passwd")? {
//!     println!("layer {} answers with {} bytes", node.layer, node.metadata.size);
//! }
//! let upper = Layer::new(Dir::open("c/diff")?, Whiteouts::Overlay);
//! for change in changes(&upper, &image, &["/etc/hosts"])? {
//!     println!("{} {}", change.kind.letter(), change.path.display());
//! }
//! # Ok(())
//! # }
//! ```

mod change;
mod compare;
mod contents;
mod error;
#[cfg(feature = "fuse")]
pub mod fuse;
mod layer;
pub mod live;
mod node;
mod stack;
pub mod trace;
mod trail;
mod upper;
mod walk;

pub use change::{Change, ChangeKind};
pub use compare::compare;
pub use contents::{ContentKind, Contents};
pub use error::{Error, Result};
pub use layer::{Layer, Whiteouts};
pub use node::{Metadata, Node};
pub use rustix::fs::FileType;
pub use stack::{MergedEntry, Stack};
pub use trail::{FirstWrite, Found, Step, Trail};
pub use upper::changes;
pub use walk::{Walk, WalkEntry};
