//! `driver check`: everything that can be said of a component without running it for real.

use serde::Serialize;

use crate::contract::description::Description;

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
