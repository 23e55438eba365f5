//! Image configurations: read ([`ImageConfig`]), and derived from another ([`derive()`]).
//!
//! ```
//! use nacre_archive::image::config::{Derivation, ImageConfig, derive, parse_changes};
//! # use nacre_archive::digest::{Digest, DiffId};
//! # let diff_id = DiffId::new(Digest::of(b""));
//! let config = derive(&Derivation {
//!     parent: None,
//!     changes: &parse_changes(&["ENV PATH=/bin", "CMD [\"sh\"]"], &[])?,
//!     diff_id: Some(diff_id),
//!     author: None,
//!     comment: Some("Imported from -"),
//!     created_by: None,
//!     created: "2026-01-01T00:00:00Z".parse().unwrap(),
//! })?;
//! let config = ImageConfig::parse("config", &config)?;
//! assert_eq!(config.config.cmd, ["sh"]);
//! assert_eq!(config.diff_ids, [diff_id]);
//! # Ok::<(), nacre_archive::image::Error>(())
//! ```

mod change;
mod derive;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::digest::DiffId;

use super::spec::null_default;
use super::{Error, Result};

pub use change::{Change, parse_changes};
pub use derive::{Derivation, derive};

/// An image's configuration (OCI image-spec, config.md), as far as nacre uses it. Go writes `null` for
/// what is empty, and old writers leave things out: both read as the empty value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ImageConfig {
    /// When the image was made; none if it does not say, or not in a form that has a meaning.
    #[serde(default, deserialize_with = "timestamp")]
    pub created: Option<Timestamp>,
    /// Who made it.
    #[serde(default, deserialize_with = "null_default")]
    pub author: String,
    /// Go's GOARCH.
    #[serde(default, deserialize_with = "null_default")]
    pub architecture: String,
    /// Go's GOOS.
    #[serde(default, deserialize_with = "null_default")]
    pub os: String,
    /// The processor's variant, as `v8`.
    #[serde(default, deserialize_with = "null_default")]
    pub variant: String,
    /// How a container of it is run.
    #[serde(default, deserialize_with = "null_default")]
    pub config: RunConfig,
    /// The layers, the base first.
    #[serde(default, rename = "rootfs", deserialize_with = "rootfs")]
    pub diff_ids: Vec<DiffId>,
    /// What was done, the oldest first; entries with `empty_layer` have no layer of their own.
    #[serde(default, deserialize_with = "null_default")]
    pub history: Vec<HistoryEntry>,
}

/// How a container is run unless the user says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    /// `NAME=value`.
    #[serde(default, deserialize_with = "null_default")]
    pub env: Vec<String>,
    /// The command, or the arguments of the entrypoint.
    #[serde(default, deserialize_with = "one_or_many")]
    pub cmd: Vec<String>,
    /// The program that is always run.
    #[serde(default, deserialize_with = "one_or_many")]
    pub entrypoint: Vec<String>,
    /// Where it is run; empty for `/`.
    #[serde(default, deserialize_with = "null_default")]
    pub working_dir: String,
    /// `user[:group]`, by name or number; empty for root.
    #[serde(default, deserialize_with = "null_default")]
    pub user: String,
    /// Free-form.
    #[serde(default, deserialize_with = "null_default")]
    pub labels: BTreeMap<String, String>,
    /// `80/tcp`.
    #[serde(default, deserialize_with = "keys")]
    pub exposed_ports: BTreeSet<String>,
    /// Paths at which a container gets a volume.
    #[serde(default, deserialize_with = "keys")]
    pub volumes: BTreeSet<String>,
    /// The signal that stops it; empty for SIGTERM.
    #[serde(default, deserialize_with = "null_default")]
    pub stop_signal: String,
    /// Instructions for a build that is based on this image.
    #[serde(default, deserialize_with = "null_default")]
    pub on_build: Vec<String>,
}

/// One step of an image's making.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct HistoryEntry {
    /// When.
    #[serde(default, deserialize_with = "timestamp")]
    pub created: Option<Timestamp>,
    /// The command that made the layer.
    #[serde(default, deserialize_with = "null_default")]
    pub created_by: String,
    /// Who.
    #[serde(default, deserialize_with = "null_default")]
    pub author: String,
    /// A remark.
    #[serde(default, deserialize_with = "null_default")]
    pub comment: String,
    /// This step changed no file, and has no layer.
    #[serde(default, deserialize_with = "null_default")]
    pub empty_layer: bool,
}

impl ImageConfig {
    /// Read a configuration. `name` is for messages. One without `rootfs` is an error.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        diff_ids(name, bytes)?;
        serde_json::from_slice(bytes).map_err(|source| Error::Json { name: name.to_owned(), source })
    }
}

/// The diff IDs alone, each checked for its form.
pub(super) fn diff_ids(name: &str, bytes: &[u8]) -> Result<Vec<DiffId>> {
    #[derive(Deserialize)]
    struct Outer {
        rootfs: Option<Inner>,
    }
    #[derive(Deserialize)]
    struct Inner {
        #[serde(default, deserialize_with = "null_default")]
        r#type: String,
        #[serde(default, deserialize_with = "null_default")]
        diff_ids: Vec<String>,
    }
    let outer: Outer =
        serde_json::from_slice(bytes).map_err(|source| Error::Json { name: name.to_owned(), source })?;
    let rootfs = outer.rootfs.filter(|rootfs| matches!(rootfs.r#type.as_str(), "layers" | ""));
    let Some(rootfs) = rootfs else {
        return Err(Error::NoRootfs { name: name.to_owned() });
    };
    let ids = rootfs.diff_ids.iter().map(|id| id.parse());
    ids.collect::<Result<_, _>>().map_err(|source| Error::Digest { name: name.to_owned(), source })
}

fn rootfs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<DiffId>, D::Error> {
    #[derive(Default, Deserialize)]
    struct Rootfs {
        #[serde(default, deserialize_with = "null_default")]
        diff_ids: Vec<DiffId>,
    }
    Ok(Option::<Rootfs>::deserialize(deserializer)?.unwrap_or_default().diff_ids)
}

/// Any form of time, and none for what is not one: it is only ever shown.
fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value.as_str().and_then(|text| text.parse().ok()))
}

/// Docker's oldest configurations have a string where there is a list today.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Option::deserialize(deserializer)? {
        None => Vec::new(),
        Some(OneOrMany::One(one)) => vec![one],
        Some(OneOrMany::Many(many)) => many,
    })
}

/// A set, written as an object with empty values.
fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    let map = Option::<BTreeMap<String, serde::de::IgnoredAny>>::deserialize(deserializer)?;
    Ok(map.unwrap_or_default().into_keys().collect())
}

#[cfg(test)]
mod tests;
