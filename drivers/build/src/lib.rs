//! Builds a guest crate into a component, for build scripts.
//!
//! A guest is a crate of this workspace (a `cdylib`) that becomes a WebAssembly component. Its build is part of
//! the ordinary build of whatever embeds it: a build script calls [`guests`], which
//!
//! 1. compiles each crate for `wasm32-unknown-unknown` with cargo, profile `guest`, into `target/guests`
//!    (one folder for debug and release hosts, so a guest is compiled once);
//! 2. makes the module a component, with the types that wit-bindgen left in it and short names for backtraces,
//!    and validates it;
//! 3. refuses one that imports anything but `nacre:storage`;
//! 4. writes `<crate>.wasm` into `OUT_DIR`, and tells cargo which files it depends on.
//!
//! The compiler is rustup's if its target is installed, otherwise Debian's `rustc-web` with a standard library
//! built from `rust-web-src`. See [`Toolchain`].
//!
//! ```no_run
//! // build.rs
//! fn main() -> std::process::ExitCode {
//!     nacre_guest_build::guests(&["../overlay2"])
//! }
//! ```

mod compile;
mod component;
mod names;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub use compile::Guest;
pub use toolchain::Toolchain;

/// Why a guest could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing here can compile for WebAssembly.
    #[error(
        "no compiler for wasm32-unknown-unknown: run ./scripts/setup (or `rustup target add wasm32-unknown-unknown`)"
    )]
    NoToolchain,
    /// This is not running as a build script.
    #[error("the environment variable {0} is not set: this crate is for build scripts")]
    NotABuildScript(&'static str),
    /// The workspace or its target folder could not be found.
    #[error("{path}: {reason}")]
    Layout {
        /// Where the search began.
        path: PathBuf,
        /// What was looked for.
        reason: &'static str,
    },
    /// A file could not be read or written.
    #[error("cannot {operation} {path}: {source}")]
    Io {
        /// What was done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The compiler failed; it has told why on standard error.
    #[error("compiling {krate} for wasm32-unknown-unknown failed:\n{stderr}")]
    Compile {
        /// The crate.
        krate: String,
        /// What the compiler said.
        stderr: String,
    },
    /// The module could not be made a component.
    #[error("{krate} is no component: {reason}")]
    Component {
        /// The crate.
        krate: String,
        /// Why not.
        reason: String,
    },
    /// The component imports something that nacre does not offer.
    #[error("{krate} imports {import}: a component may import nothing but nacre:storage")]
    ForeignImport {
        /// The crate.
        krate: String,
        /// The import.
        import: String,
    },
}

impl Error {
    fn io(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { operation, path, source }
    }
}

/// The whole of a build script's `main`: build the guests in these folders (relative to the crate whose build
/// script runs), and leave `<crate name>.wasm` of each in `OUT_DIR`. A failure is told as cargo wants it.
#[must_use]
pub fn guests(crate_dirs: &[&str]) -> ExitCode {
    for dir in crate_dirs {
        if let Err(error) = build(Path::new(dir)) {
            for line in error.to_string().lines() {
                println!("cargo::error={line}");
            }
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Build one guest, and return where the component is: `OUT_DIR/<crate name>.wasm`. Prints the
/// `cargo::rerun-if-changed` lines for everything that it was made of.
///
/// # Errors
/// See [`Error`].
pub fn build(crate_dir: &Path) -> Result<PathBuf, Error> {
    let guest = Guest::find(crate_dir)?;
    let module = guest.compile(&Toolchain::find()?)?;
    let wasm = component::encode(&guest.name, &module)?;
    let out = compile::variable("OUT_DIR")?;
    let path = Path::new(&out).join(format!("{}.wasm", guest.name));
    write_if_changed(&path, &wasm)?;
    Ok(path)
}

/// What embeds the component is compiled again only when its bytes are new.
fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if std::fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    std::fs::write(path, bytes).map_err(Error::io("write", path))
}
