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
        Builtin {
            name: $name,
            wasm: include_bytes!(concat!(env!("OUT_DIR"), "/nacre-driver-", $name, ".wasm")),
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

/// The one with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Builtin> {
    BUILTIN.iter().find(|builtin| builtin.name == name)
}
