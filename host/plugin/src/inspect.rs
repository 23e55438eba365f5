//! `driver check`: everything that can be said of a component without running it for real.

use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component as Compiled;

use crate::component::{Component, ComponentDigest};
use crate::contract::description::Description;
use crate::host::Shared;

/// What components may import, for messages.
pub(crate) const OFFERED: &str = "log and state of nacre:storage";

/// What [`ComponentHost::check`](crate::ComponentHost::check) found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Where the component came from.
    pub origin: String,
    /// `sha256:<hex>` of its bytes.
    pub digest: String,
    /// Its size in bytes.
    pub size: usize,
    /// What it imports, such as `nacre:storage/log@0.1.0`, sorted.
    pub imports: Vec<String>,
    /// What it exports, sorted.
    pub exports: Vec<String>,
    /// The imports that nacre does not offer; WASI is among them if the component uses it.
    pub foreign_imports: Vec<String>,
    /// It imports something of WASI.
    pub uses_wasi: bool,
    /// What it says about itself; its grants and options are in it. None if it could not be asked.
    pub description: Option<Description>,
    /// All that is wrong, as sentences. Empty: the component can be loaded.
    pub problems: Vec<String>,
}

pub(crate) fn report(shared: &Arc<Shared>, origin: &str, wasm: &[u8]) -> Report {
    let digest = ComponentDigest(Sha256::digest(wasm).into());
    let (origin, size) = (origin.to_owned(), wasm.len());
    let mut report = Report { origin, digest: digest.to_string(), size, ..Report::default() };
    let compiled = match shared.compile(&report.origin, wasm) {
        Ok((_, compiled)) => compiled,
        Err(error) => {
            report.problems.push(error.to_string());
            return report;
        }
    };
    report.imports = imports(&shared.engine, &compiled);
    let component = compiled.component_type();
    report.exports = component.exports(&shared.engine).map(|(name, _)| name.to_owned()).collect();
    report.exports.sort();
    report.foreign_imports = foreign_imports(&shared.engine, &compiled);
    report.uses_wasi = report.imports.iter().any(|import| import.starts_with("wasi:"));
    for import in &report.foreign_imports {
        report.problems.push(format!("it imports `{import}`, which nacre does not offer ({OFFERED})"));
    }
    if report.foreign_imports.is_empty() {
        match Component::link(Arc::clone(shared), &report.origin, digest, wasm.len(), &compiled) {
            Ok(component) => report.description = Some(component.description().clone()),
            Err(error) => report.problems.push(error.to_string()),
        }
    }
    report
}

fn imports(engine: &Engine, compiled: &Compiled) -> Vec<String> {
    let component = compiled.component_type();
    let mut imports: Vec<String> = component.imports(engine).map(|(name, _)| name.to_owned()).collect();
    imports.sort();
    imports
}

pub(crate) fn foreign_imports(engine: &Engine, compiled: &Compiled) -> Vec<String> {
    let mut imports = imports(engine, compiled);
    imports.retain(|import| !is_offered(import));
    imports
}

/// `types` and `plan` are there for the types that they name. Within 0.1 the contract only grows.
fn is_offered(import: &str) -> bool {
    let Some((interface, version)) =
        import.strip_prefix("nacre:storage/").and_then(|rest| rest.split_once('@'))
    else {
        return false;
    };
    matches!(interface, "log" | "state" | "types" | "plan") && version.starts_with("0.1.")
}

/// What the first eight bytes say (component model, Binary.md: the preamble).
pub(crate) fn header(wasm: &[u8]) -> Result<(), &'static str> {
    match wasm.get(..8) {
        Some([0, b'a', b's', b'm', 0x0d, 0, 1, 0]) => Ok(()),
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => Err("it is a core module; make a component of it \
                                                       (nacre-guest-build, or `wasm-tools component new`)"),
        Some([0, b'a', b's', b'm', ..]) => Err("it is WebAssembly of an unknown version"),
        _ => Err("its first bytes are not those of WebAssembly"),
    }
}
