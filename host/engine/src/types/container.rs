//! Containers: how they are made, and how they are listed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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

/// A tree that is mounted.
#[derive(Debug, Clone, Serialize)]
pub struct MountSummary {
    /// The container whose tree it is.
    pub container: Option<String>,
    /// The image whose tree it is.
    pub image: Option<String>,
    /// Somebody asked for it; otherwise a process or an operation needs it.
    pub by_user: bool,
    /// The driver that holds its layers.
    pub driver: String,
    /// Where it is.
    pub path: PathBuf,
    /// Seconds since the epoch.
    pub since: i64,
}

/// A changed path of a container.
#[derive(Debug, Clone)]
pub struct Change {
    /// `A`, `C` or `D`, as Docker prints.
    pub kind: char,
    /// Absolute in the container; bytes, as names need not be UTF-8.
    pub path: Vec<u8>,
}

/// The policies of a mount by nacre's own union: each by the name of a component, or by its file (with a `/` in it, or
/// ending in `.wasm`). None leaves it to the driver, and then to nacre.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnionPolicies {
    /// Which layers are searched for a name.
    pub search: Option<String>,
    /// What the cache of names gives up.
    pub cache: Option<String>,
    /// How files are brought into the writable layer.
    pub copy_up: Option<String>,
    /// The file that records what the union is asked for ([`nacre_union::trace`]). There is none of that name yet.
    pub trace: Option<PathBuf>,
}

impl UnionPolicies {
    /// Whether one of them is named so.
    pub(crate) fn names(&self, name: &str) -> bool {
        [&self.search, &self.cache, &self.copy_up].into_iter().flatten().any(|named| named == name)
    }
}

/// A policy that was put aside while a tree was mounted. nacre's own took its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyFault {
    /// When, in RFC 3339.
    pub time: String,
    /// The component's name.
    pub component: String,
    /// `search-policy`, `cache-policy` or `copy-up-policy`.
    pub role: String,
    /// Why.
    pub cause: String,
}

/// In one line.
impl std::fmt::Display for PolicyFault {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { component, role, cause, time } = self;
        let cause = cause.lines().next().unwrap_or_default();
        write!(out, "the {role} {component} was put aside at {time}: {cause}")
    }
}
