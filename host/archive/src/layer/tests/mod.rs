//! Layers as others write them, hostile ones among them, on the real file system and as root.

mod build;
mod hostile;
mod kinds;
mod linked;
mod links;
mod packing;
mod pipes;
mod round_trip;
mod tree_of;
mod whiteouts;
