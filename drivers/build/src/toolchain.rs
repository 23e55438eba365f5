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
        Machine::here().toolchain()
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

/// Where compilers may be.
struct Machine {
    /// The compiler of the host.
    rustc: PathBuf,
    debian_rustc: PathBuf,
    debian_source: PathBuf,
    path: OsString,
    /// The host's target, as rustc calls it.
    host: String,
}

impl Machine {
    fn here() -> Self {
        Self {
            rustc: PathBuf::from(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())),
            debian_rustc: DEBIAN_RUSTC.into(),
            debian_source: DEBIAN_SOURCE.into(),
            path: env::var_os("PATH").unwrap_or_default(),
            host: env::var("HOST").unwrap_or_else(|_| "x86_64-unknown-linux-gnu".to_owned()),
        }
    }

    fn toolchain(self) -> Result<Toolchain, Error> {
        if has_target(&self.rustc) {
            return Ok(Toolchain::Rustup { rustc: self.rustc });
        }
        if self.debian_rustc.exists()
            && self.debian_source.exists()
            && let Some(linker) = self.rust_lld()
        {
            return Ok(Toolchain::Debian { rustc: self.debian_rustc, linker_dir: linker.into_dir() });
        }
        Err(Error::NoToolchain)
    }

    fn rust_lld(&self) -> Option<Linker> {
        if env::split_paths(&self.path).any(|dir| dir.join("rust-lld").exists()) {
            return Some(Linker::InPath);
        }
        let dir = ask(&self.rustc, &["--print", "sysroot"])?.join("lib/rustlib").join(&self.host).join("bin");
        dir.join("rust-lld").exists().then_some(Linker::Dir(dir))
    }
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests fail so")]
mod tests {
    use super::*;

    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// A machine below a directory: a rustc that knows where its sysroot would be, and nothing else.
    fn machine(dir: &Path) -> Machine {
        let rustc = dir.join("rustc");
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in\n\
             '--print sysroot') echo {0}/sysroot ;;\n\
             '--print target-libdir --target wasm32-unknown-unknown') echo {0}/sysroot/lib/rustlib/{TARGET}/lib ;;\n\
             *) exit 1 ;;\nesac\n",
            dir.display()
        );
        fs::write(&rustc, script).unwrap();
        fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755)).unwrap();
        Machine {
            rustc,
            debian_rustc: dir.join("debian/rustc"),
            debian_source: dir.join("debian/Cargo.lock"),
            path: dir.join("path").into(),
            host: "a-host".to_owned(),
        }
    }

    fn add(file: impl AsRef<Path>) {
        fs::create_dir_all(file.as_ref().parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }

    #[test]
    fn a_sysroot_with_the_target_is_taken_before_debians_compiler() {
        let dir = tempfile::tempdir().unwrap();
        let lib = dir.path().join("sysroot/lib/rustlib").join(TARGET).join("lib");
        add(lib.join("libcore-0.rlib"));
        add(dir.path().join("debian/rustc"));
        add(dir.path().join("debian/Cargo.lock"));
        add(dir.path().join("path/rust-lld"));
        // Without the standard library the target is not installed.
        let found = machine(dir.path()).toolchain().unwrap();
        assert_eq!(found, Toolchain::Debian { rustc: dir.path().join("debian/rustc"), linker_dir: None });
        add(lib.join("libstd-0123.rlib"));
        let rustc = dir.path().join("rustc");
        assert_eq!(machine(dir.path()).toolchain().unwrap(), Toolchain::Rustup { rustc });
    }

    #[test]
    fn debians_compiler_needs_its_source_and_a_linker() {
        let dir = tempfile::tempdir().unwrap();
        let rustc = dir.path().join("debian/rustc");
        add(&rustc);
        assert!(matches!(machine(dir.path()).toolchain(), Err(Error::NoToolchain)), "no source");
        add(dir.path().join("debian/Cargo.lock"));
        assert!(matches!(machine(dir.path()).toolchain(), Err(Error::NoToolchain)), "no linker");
        let bin = dir.path().join("sysroot/lib/rustlib/a-host/bin");
        add(bin.join("rust-lld"));
        assert_eq!(
            machine(dir.path()).toolchain().unwrap(),
            Toolchain::Debian { rustc, linker_dir: Some(bin) }
        );
    }

    #[test]
    fn with_no_compiler_the_error_says_what_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        let error = machine(dir.path()).toolchain().unwrap_err().to_string();
        assert!(error.contains("./scripts/setup") && error.contains("rustup target add"), "{error}");
        let none = Machine { rustc: dir.path().join("no rustc"), ..machine(dir.path()) };
        assert!(matches!(none.toolchain(), Err(Error::NoToolchain)));
    }
}
