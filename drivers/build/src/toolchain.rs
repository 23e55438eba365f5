//! Which compiler makes WebAssembly here.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler from `rustc-web`, and where `rust-web-src` puts the standard library.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/Cargo.lock";

/// A compiler for `wasm32-unknown-unknown`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Toolchain {
    /// The compiler of the host has the target installed (`rustup target add wasm32-unknown-unknown`).
    Rustup {
        /// The compiler.
        rustc: PathBuf,
    },
    /// Debian's compiler, which comes with the sources of the standard library and not with its binaries.
    Debian {
        /// The compiler.
        rustc: PathBuf,
        /// The folder of `rust-lld`, which Debian's package lacks. None if it is in the PATH.
        linker_dir: Option<PathBuf>,
    },
}

impl Toolchain {
    /// The best that is installed.
    ///
    /// # Errors
    /// [`Error::NoToolchain`].
    pub fn find() -> Result<Toolchain, Error> {
        let rustc = PathBuf::from(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        if has_target(&rustc) {
            return Ok(Toolchain::Rustup { rustc });
        }
        if Path::new(DEBIAN_RUSTC).exists()
            && Path::new(DEBIAN_SOURCE).exists()
            && let Some(linker_dir) = rust_lld(&rustc)
        {
            return Ok(Toolchain::Debian { rustc: DEBIAN_RUSTC.into(), linker_dir: linker_dir.into_dir() });
        }
        Err(Error::NoToolchain)
    }

    /// Make `cargo build` use this compiler.
    pub(crate) fn apply(&self, cargo: &mut Command) {
        match self {
            Toolchain::Rustup { rustc } => {
                cargo.env("RUSTC", rustc);
            }
            Toolchain::Debian { rustc, linker_dir } => {
                cargo
                    .env("RUSTC", rustc)
                    .env("RUSTC_BOOTSTRAP", "1")
                    .args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"]);
                if let Some(dir) = linker_dir {
                    cargo.env("PATH", prepend_path(dir));
                }
            }
        }
    }

    /// The compiler's sysroot: paths below it are remapped, so that a component's bytes do not depend on
    /// where the compiler is installed.
    pub(crate) fn sysroot(&self) -> Option<PathBuf> {
        match self {
            Toolchain::Rustup { rustc } | Toolchain::Debian { rustc, .. } => {
                ask(rustc, &["--print", "sysroot"])
            }
        }
    }
}

enum Linker {
    InPath,
    Dir(PathBuf),
}

impl Linker {
    fn into_dir(self) -> Option<PathBuf> {
        match self {
            Linker::InPath => None,
            Linker::Dir(dir) => Some(dir),
        }
    }
}

fn rust_lld(rustc: &Path) -> Option<Linker> {
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).any(|dir| dir.join("rust-lld").exists()) {
        return Some(Linker::InPath);
    }
    let host = env::var("HOST").unwrap_or_else(|_| "x86_64-unknown-linux-gnu".to_owned());
    let dir = ask(rustc, &["--print", "sysroot"])?.join("lib/rustlib").join(host).join("bin");
    dir.join("rust-lld").exists().then_some(Linker::Dir(dir))
}

/// rustc tells where the target's libraries would be even if they are not there.
fn has_target(rustc: &Path) -> bool {
    let Some(dir) = ask(rustc, &["--print", "target-libdir", "--target", TARGET]) else { return false };
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

fn ask(rustc: &Path, args: &[&str]) -> Option<PathBuf> {
    let output = Command::new(rustc).args(args).output().ok().filter(|output| output.status.success())?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim_end()))
}

fn prepend_path(dir: &Path) -> OsString {
    let old = env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(dir.to_owned()).chain(env::split_paths(&old));
    env::join_paths(all).unwrap_or(old)
}
