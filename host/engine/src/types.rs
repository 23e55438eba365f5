//! What the engine takes and gives.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How an [`crate::Engine`] is opened.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The storage root; none means `/var/lib/nacre`.
    pub root: Option<PathBuf>,
    /// The driver for new layers, by name or by the path of its component (with a `/` in it, or ending in
    /// `.wasm`); none means the one in use, or on a new root the first that can work there.
    pub driver: Option<String>,
    /// `<driver>.<option>=<value>` settings.
    pub storage_opts: Vec<String>,
    /// Plans are collected and shown, and nothing is changed. See [`crate::Engine::explained`].
    pub explain: bool,
}

/// Where an image archive comes from.
#[derive(Debug, Clone)]
pub enum LoadSource {
    /// A file, or a directory that is an OCI layout.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// Bounds on what an archive may unpack to.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The most bytes that one layer may unpack to; none means the built-in bound.
    pub max_layer_bytes: Option<u64>,
    /// The most entries that one layer may have; none means the built-in bound.
    pub max_layer_entries: Option<u64>,
}

/// An image that was loaded.
#[derive(Debug, Clone, Serialize)]
pub struct LoadedImage {
    /// `sha256:…`, the digest of its configuration.
    pub id: String,
    /// The names that it has now, in their familiar form.
    pub references: Vec<String>,
}

/// An image in a listing.
#[derive(Debug, Clone, Serialize)]
pub struct ImageSummary {
    /// `sha256:…`.
    pub id: String,
    /// Its names in their familiar form (`debian:latest`); none for a dangling image.
    pub references: Vec<String>,
    /// Seconds since the epoch, where the configuration says it.
    pub created: Option<i64>,
    /// Bytes of all its layers.
    pub size: u64,
    /// How many containers use it.
    pub containers: u64,
    /// Labels of its configuration.
    pub labels: BTreeMap<String, String>,
}

/// One line of an image's history, newest first.
#[derive(Debug, Clone, Serialize)]
pub struct HistoryEntry {
    /// The image's ID for the newest line, and none (`<missing>`) for the others, as Docker prints.
    pub id: Option<String>,
    /// Seconds since the epoch.
    pub created: Option<i64>,
    /// The instruction that made it.
    pub created_by: String,
    /// Bytes of its layer, 0 for an empty one.
    pub size: u64,
    /// A comment.
    pub comment: String,
    /// The diff ID of its layer, none for an empty one.
    pub layer: Option<String>,
}

/// How a container's process is to be run, and what its layer stands on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CreateOptions {
    /// The image, by name, ID or ID prefix.
    pub image: String,
    /// A name; none draws one.
    pub name: Option<String>,
    /// Replaces the image's command; empty keeps it.
    pub command: Vec<String>,
    /// Replaces the image's entry point; `Some([])` clears it.
    pub entrypoint: Option<Vec<String>>,
    /// `NAME=value`, or `NAME` to take the caller's.
    pub env: Vec<String>,
    /// The working directory.
    pub workdir: Option<String>,
    /// `user[:group]`, by name or number.
    pub user: Option<String>,
    /// The host name; none takes the first 12 digits of the ID.
    pub hostname: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The root file system cannot be written to.
    pub read_only: bool,
    /// A terminal is allocated.
    pub tty: bool,
    /// Standard input is kept open.
    pub interactive: bool,
    /// Share the host's network; otherwise only a loopback interface.
    pub host_network: bool,
    /// Remove the container when its process ends.
    pub auto_remove: bool,
    /// `<option>=<value>` settings of the driver for this container, such as `size=10G`.
    pub storage_opts: Vec<String>,
}

/// A container that was created.
#[derive(Debug, Clone, Serialize)]
pub struct Created {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Never started.
    Created,
    /// Its process is alive.
    Running,
    /// Its process ended.
    Exited,
}

/// A container in a listing.
#[derive(Debug, Clone, Serialize)]
pub struct ContainerSummary {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The image as it was named when the container was created.
    pub image: String,
    /// The image's ID.
    pub image_id: Option<String>,
    /// Entry point and command in one line.
    pub command: String,
    /// Seconds since the epoch.
    pub created: i64,
    /// Where it is in its life.
    pub state: State,
    /// Seconds since the epoch, of the last start.
    pub started: Option<i64>,
    /// Seconds since the epoch, of the last end.
    pub finished: Option<i64>,
    /// How the process ended.
    pub exit_code: Option<i32>,
    /// The process, while it runs.
    pub pid: Option<u32>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whether its tree is mounted.
    pub mounted: bool,
    /// The driver that holds its layer.
    pub driver: String,
    /// Its bytes, when asked for.
    pub size: Option<ContainerSize>,
}

/// A container's bytes, as `docker ps -s` counts them.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ContainerSize {
    /// Bytes of the writable layer.
    pub writable: u64,
    /// Bytes of the writable layer and of all image layers below it.
    pub virtual_size: u64,
}

/// A changed path of a container.
#[derive(Debug, Clone)]
pub struct Change {
    /// `A`, `C` or `D`, as Docker prints.
    pub kind: char,
    /// Absolute in the container; bytes, as names need not be UTF-8.
    pub path: Vec<u8>,
}

/// What to call a committed image and what to change in its configuration.
#[derive(Debug, Clone)]
pub struct CommitOptions {
    /// Who made it.
    pub author: Option<String>,
    /// Why.
    pub message: Option<String>,
    /// Dockerfile instructions such as `CMD ["sh"]`.
    pub changes: Vec<String>,
    /// Its name; none leaves it dangling.
    pub reference: Option<String>,
    /// A running container is held still while its changes are read.
    pub pause: bool,
}

impl Default for CommitOptions {
    fn default() -> Self {
        Self { author: None, message: None, changes: Vec::new(), reference: None, pause: true }
    }
}

/// The form of a saved archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SaveFormat {
    /// A docker-archive that is an OCI layout too, as `docker save` writes.
    #[default]
    DockerArchive,
    /// An OCI layout in a tar.
    OciArchive,
    /// An OCI layout in a directory.
    OciDir,
}

/// A layer in a listing.
#[derive(Debug, Clone, Serialize)]
pub struct LayerSummary {
    /// `sha256:…`, the OCI chain ID.
    pub chain_id: String,
    /// `sha256:…`, the digest of its uncompressed tar.
    pub diff_id: String,
    /// The chain ID of its parent.
    pub parent: Option<String>,
    /// The driver that holds it.
    pub driver: String,
    /// The name of its directory in the driver's home.
    pub dir: String,
    /// Bytes that it adds.
    pub size: u64,
    /// Seconds since the epoch, of its commit here.
    pub created: i64,
    /// The images that stand on it, by name or short ID.
    pub images: Vec<String>,
    /// How many containers' writable layers stand directly on it.
    pub containers: u64,
}

/// One kind of thing in `system df`.
#[derive(Debug, Clone, Serialize)]
pub struct DfRow {
    /// `Images`, `Containers`, `Layers` or `Content`.
    pub kind: String,
    /// How many there are.
    pub total: u64,
    /// How many are in use.
    pub active: u64,
    /// Their bytes, shared ones counted once.
    pub size: u64,
    /// Bytes that removing the unused ones would free.
    pub reclaimable: u64,
}

/// What was removed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Removed {
    /// Names that were taken away.
    pub untagged: Vec<String>,
    /// `sha256:…` of images and layers that were deleted, in that order.
    pub deleted: Vec<String>,
    /// Bytes that this freed.
    pub bytes: u64,
}

/// Something that `system check` found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// A stable word for its kind.
    pub kind: String,
    /// What is wrong, naming the thing.
    pub message: String,
    /// It was mended.
    pub repaired: bool,
}

/// A component in a listing.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DriverSummary {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it says of itself.
    pub summary: String,
    /// `storage-driver`, `selection-policy`.
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

/// A plan that was asked for and not run.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// `create`, `commit`, `mount`, `unmount` or `remove`.
    pub operation: String,
    /// The layer, container or image that it concerns.
    pub subject: String,
    /// The driver that planned it.
    pub driver: String,
    /// `undo` or `redo`: what happens to it after a crash.
    pub after_crash: String,
    /// The steps.
    pub steps: Vec<ExplainedStep>,
}

/// A step of a plan, for people and for programs.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedStep {
    /// The step's kind, such as `make-dir`.
    pub step: String,
    /// The path that it is about, absolute.
    pub path: String,
    /// The rest, in words.
    pub detail: String,
    /// The step as the component gave it.
    pub raw: serde_json::Value,
}

/// What one layer says to a path, for `why`.
#[derive(Debug, Clone, Serialize)]
pub struct Probe {
    /// 0 is the topmost layer.
    pub index: usize,
    /// `container` or the layer's diff ID.
    pub layer: String,
    /// What was found: `absent`, `file`, `directory`, `whiteout`, …
    pub found: String,
    /// More about it.
    pub detail: String,
    /// This layer gives the answer.
    pub answers: bool,
}

/// Where a path of a container or image comes from.
#[derive(Debug, Clone, Serialize)]
pub struct Why {
    /// The path, absolute.
    pub path: String,
    /// Each layer that was looked at, topmost first.
    pub probes: Vec<Probe>,
    /// What the search says in one sentence.
    pub answer: String,
    /// What a first write to it would cost.
    pub first_write: String,
}
