//! The nested cargo: from a guest crate to a core module.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;
use crate::toolchain::{TARGET, Toolchain};

/// A guest crate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Guest {
    /// The crate's name, as in its Cargo.toml.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
    /// The workspace that it is a member of.
    pub workspace: PathBuf,
}

pub(crate) fn variable(name: &'static str) -> Result<String, Error> {
    env::var(name).map_err(|_| Error::NotABuildScript(name))
}

impl Guest {
    /// The guest in a folder, relative to the crate whose build script runs.
    ///
    /// # Errors
    /// There is no Cargo.toml with a name, or no workspace above it.
    pub fn find(crate_dir: &Path) -> Result<Guest, Error> {
        let base = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
        let path = base.join(crate_dir);
        let dir = path.canonicalize().map_err(Error::io("find", &path))?;
        let manifest = dir.join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).map_err(Error::io("read", &manifest))?;
        let name = package_name(&text)
            .ok_or(Error::Layout { path: manifest, reason: "no `name = \"…\"` in [package]" })?;
        let root = dir.ancestors().skip(1).find(|above| above.join("Cargo.lock").exists());
        let workspace =
            root.ok_or(Error::Layout { path: dir.clone(), reason: "no workspace above it" })?.to_owned();
        Ok(Guest { name: name.to_owned(), dir, workspace })
    }

    /// Compile it, and return the core module's bytes.
    pub(crate) fn compile(&self, toolchain: &Toolchain) -> Result<Vec<u8>, Error> {
        let target_dir = guests_dir(Path::new(&variable("OUT_DIR")?))?;
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(is_of_the_outer_build) {
                cargo.env_remove(&name);
            }
        }
        cargo.current_dir(&self.workspace);
        cargo.args(["build", "--quiet", "--lib", "--profile", "guest", "--target", TARGET]);
        cargo.args(["--package", &self.name, "--target-dir"]).arg(&target_dir);
        toolchain.apply(&mut cargo);
        cargo.env("CARGO_ENCODED_RUSTFLAGS", self.flags(toolchain));
        let output = cargo.output().map_err(Error::io("run", Path::new("cargo")))?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Error::Compile { krate: self.name.clone(), stderr });
        }
        let built = target_dir.join(TARGET).join("guest").join(self.name.replace('-', "_"));
        self.tell_sources(&built.with_extension("d"))?;
        let module = built.with_extension("wasm");
        std::fs::read(&module).map_err(Error::io("read", &module))
    }

    /// The same source gives the same bytes wherever it is built: no absolute path gets into them.
    fn flags(&self, toolchain: &Toolchain) -> String {
        let mut remap = vec![(self.workspace.clone(), "nacre")];
        let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
        remap.extend(env::var_os("CARGO_HOME").map(PathBuf::from).or(home).map(|path| (path, "cargo")));
        remap.extend(toolchain.sysroot().map(|path| (path.join("lib/rustlib/src/rust"), "rust")));
        let mut flags: Vec<_> = remap
            .iter()
            .map(|(path, name)| format!("--remap-path-prefix={}={name}", path.display()))
            .collect();
        // Numbers that the linker fills in take the bytes that they need, and not five each.
        flags.push("-Clink-arg=--compress-relocations".to_owned());
        flags.join("\x1f")
    }

    /// Everything of this workspace that the guest was made of, as the compiler noted it (its sources, those of
    /// its path dependencies, the WIT), and the manifests that cargo itself read.
    fn tell_sources(&self, dep_info: &Path) -> Result<(), Error> {
        let text = std::fs::read_to_string(dep_info).map_err(Error::io("read", dep_info))?;
        let mut sources: Vec<PathBuf> = listed_sources(&text).map(|path| self.workspace.join(path)).collect();
        let manifests: Vec<PathBuf> = sources.iter().filter_map(|source| manifest_above(source)).collect();
        sources.extend(manifests);
        sources.extend(["Cargo.toml", "Cargo.lock"].map(|name| self.workspace.join(name)));
        sources.push(self.dir.join("Cargo.toml"));
        sources.sort();
        sources.dedup();
        for source in sources {
            println!("cargo::rerun-if-changed={}", source.display());
        }
        Ok(())
    }
}

fn package_name(manifest: &str) -> Option<&str> {
    let package = manifest.split("[package]").nth(1)?;
    let line = package.lines().map(str::trim).find(|line| line.starts_with("name"))?;
    line.split('"').nth(1)
}

/// `<target>/guests`, for debug and release, whatever target the host is compiled for. Cargo marks the target
/// folder with a CACHEDIR.TAG.
fn guests_dir(out_dir: &Path) -> Result<PathBuf, Error> {
    let target = out_dir.ancestors().find(|dir| dir.join("CACHEDIR.TAG").exists());
    let target =
        target.ok_or(Error::Layout { path: out_dir.to_owned(), reason: "no target folder above it" })?;
    Ok(target.join("guests"))
}

/// What cargo set for the build script, or for the host's compiler. How to reach registries, and the jobserver
/// (`CARGO_MAKEFLAGS`), hold for the nested build too.
fn is_of_the_outer_build(name: &str) -> bool {
    const KEPT: [&str; 7] = [
        "CARGO_HOME",
        "CARGO_MAKEFLAGS",
        "CARGO_NET_",
        "CARGO_HTTP_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
    ];
    const OUTER: [&str; 12] = [
        "OUT_DIR",
        "TARGET",
        "HOST",
        "PROFILE",
        "OPT_LEVEL",
        "DEBUG",
        "NUM_JOBS",
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "MAKEFLAGS",
        "MFLAGS",
        "RUSTDOC",
    ];
    let kept = KEPT.iter().any(|prefix| name.starts_with(prefix));
    OUTER.contains(&name)
        || (!kept && ["CARGO_", "RUSTC", "DEP_"].iter().any(|prefix| name.starts_with(prefix)))
}

/// The prerequisites in cargo's dep-info: `target: source source…`, with spaces in names escaped.
fn listed_sources(dep_info: &str) -> impl Iterator<Item = PathBuf> {
    let line =
        dep_info.lines().next().and_then(|line| line.split_once(": ")).map_or("", |(_, sources)| sources);
    let escaped = line.replace("\\ ", "\0");
    let sources: Vec<PathBuf> =
        escaped.split(' ').map(|name| PathBuf::from(name.replace('\0', " "))).collect();
    sources.into_iter().filter(|path| !path.as_os_str().is_empty())
}

fn manifest_above(source: &Path) -> Option<PathBuf> {
    source.ancestors().skip(1).map(|dir| dir.join("Cargo.toml")).find(|manifest| manifest.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_set_for_the_host_is_not_passed_on() {
        for name in [
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_PKG_NAME",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET",
            "CARGO_PROFILE_GUEST_OPT_LEVEL",
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
            "RUSTFLAGS",
            "TARGET",
            "OUT_DIR",
        ] {
            assert!(is_of_the_outer_build(name), "{name}");
        }
        for name in
            ["CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_MAKEFLAGS", "CARGO_REGISTRIES_X_INDEX", "PATH", "HOME"]
        {
            assert!(!is_of_the_outer_build(name), "{name}");
        }
    }

    #[test]
    fn sources_are_read_from_dep_info_with_spaces_in_names() {
        let dep_info = "/t/guests/a.wasm: /w/a\\ b/lib.rs /w/wit/types.wit\n\n/w/a\\ b/lib.rs:\n";
        let sources: Vec<PathBuf> = listed_sources(dep_info).collect();
        assert_eq!(sources, [PathBuf::from("/w/a b/lib.rs"), PathBuf::from("/w/wit/types.wit")]);
    }

    #[test]
    fn the_crates_name_is_read_from_its_manifest() {
        assert_eq!(package_name("[package]\nname = \"a-b\"\nversion = \"1\"\n"), Some("a-b"));
        assert_eq!(package_name("[lib]\nname = \"a\"\n"), None);
    }
}
