//! The components that ship inside nacre, as WebAssembly.
//!
//! They are built from their sources, next to this crate, as part of the ordinary build. To ship another one,
//! add its folder to `build.rs` and a line to [`BUILTIN`].

/// A component that ships inside nacre.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Builtin {
    /// The name that it describes itself with.
    pub name: &'static str,
    /// The component.
    pub wasm: &'static [u8],
}

macro_rules! builtin {
    ($name:literal) => {
        builtin!("driver", $name)
    };
    ($kind:literal, $name:literal) => {
        Builtin {
            name: $name,
            wasm: include_bytes!(concat!(env!("OUT_DIR"), "/nacre-", $kind, "-", $name, ".wasm")),
        }
    };
}

/// The storage drivers.
pub static BUILTIN: &[Builtin] = &[
    builtin!("overlay2"),
    builtin!("overlay"),
    builtin!("btrfs"),
    builtin!("zfs"),
    builtin!("aufs"),
    builtin!("fuse-overlay"),
    builtin!("devicemapper"),
    builtin!("vfs"),
];

/// nacre's own selection policy.
pub static SELECTION: Builtin = builtin!("selection");

/// The policies of the union: for its search, its cache, and its copy-up.
pub static POLICIES: &[Builtin] = &[
    builtin!("policy", "newest-first"),
    builtin!("policy", "bloom"),
    builtin!("policy", "path-index"),
    builtin!("policy", "lru"),
    builtin!("policy", "s3-fifo"),
    builtin!("policy", "sieve"),
    builtin!("policy", "auto"),
    builtin!("policy", "whole"),
];

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Builtin> {
    BUILTIN.iter().chain([&SELECTION]).chain(POLICIES)
}

/// The one with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Builtin> {
    all().find(|builtin| builtin.name == name)
}
