//! Components: listed, installed, chosen, and left for another one.

use std::path::PathBuf;

use serde::Serialize;

/// A component in a listing.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DriverSummary {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it says of itself.
    pub summary: String,
    /// As the contract names them, such as `storage-driver`.
    pub roles: Vec<String>,
    /// `built in`, `installed`, `file`; `absent` where it holds something and is not here.
    pub origin: String,
    /// `sha256:…` of its component.
    pub digest: String,
    /// Bytes of its component.
    pub size: u64,
    /// The grants that it has, which may be fewer than it asks for.
    pub grants: Vec<String>,
    /// The image layers that it holds here.
    pub layers: u64,
    /// The containers whose writable layers it holds here.
    pub containers: u64,
    /// Why it cannot be used.
    pub fault: Option<String>,
    /// It is the driver of new layers, or the policy that chooses one.
    pub current: bool,
}

/// A component that may be installed.
#[derive(Debug, Clone)]
pub struct Installation {
    /// What a listing would say of it, without grants.
    pub summary: DriverSummary,
    /// The grants that it asks for, each with its meaning.
    pub asks: Vec<(String, String)>,
    /// What is used under its name until then.
    pub replaces: Option<DriverSummary>,
    /// Its file.
    pub(crate) path: PathBuf,
    pub(crate) wasm: Vec<u8>,
}

/// What the selection policy says of the drivers.
#[derive(Debug)]
pub struct Selection {
    /// The policy that answered.
    pub policy: String,
    /// Its version.
    pub policy_version: String,
    /// `sha256:…` of its component.
    pub policy_digest: String,
    /// `built in`, `installed` or `file`.
    pub policy_origin: String,
    /// Why the policy that was installed was set aside.
    pub policy_fault: Option<String>,
    /// The driver that was named, for the command or for the root.
    pub configured: Option<String>,
    /// All drivers, the best first.
    pub candidates: Vec<CandidateSummary>,
    /// The driver of new layers, or why there is none.
    pub choice: Result<String, crate::Error>,
}

/// How one driver stands.
#[derive(Debug, Clone, Serialize)]
pub struct CandidateSummary {
    /// Counted from 1, the best.
    pub rank: usize,
    /// Its name.
    pub name: String,
    /// `built in`, `installed`, `file` or `absent`.
    pub origin: String,
    /// It could get the new layers.
    pub eligible: bool,
    /// It gets them.
    pub chosen: bool,
    /// Whether it can work here, in words.
    pub verdict: String,
    /// The image layers that it holds here.
    pub layers: u64,
    /// The containers whose writable layers it holds here.
    pub containers: u64,
    /// Why it stands here, in the words of the contract, such as `has-state`.
    pub reasons: Vec<String>,
    /// The same for people.
    pub because: Vec<String>,
}

/// Where to move images and containers, and how.
#[derive(Debug, Clone, Default)]
pub struct MigrateOptions {
    /// The driver that is to hold them.
    pub to: String,
    /// A container loses those of its own options that the other driver does not know.
    pub drop_options: bool,
}

/// What moved.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Migrated {
    /// `image` or `container`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Whether anything did: it may have been there already.
    pub moved: bool,
    /// The image layers that were made on the other driver.
    pub layers: usize,
    /// The image layers that were removed elsewhere.
    pub removed: u64,
    /// What stays elsewhere, and why.
    pub kept: Vec<String>,
}
