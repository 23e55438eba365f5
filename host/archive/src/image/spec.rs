//! The JSON documents of archives, as far as nacre reads and writes them: OCI image-spec (descriptor.md,
//! manifest.md, image-index.md, image-layout.md), Docker's image manifest 2.2, and Docker's `manifest.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(super) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(super) const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// The reference of an image in a layout: a tag, a whole name, or anything else.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The whole name of an image in a layout; containerd's and Docker's.
pub(super) const IMAGE_NAME: &str = "io.containerd.image.name";
/// BuildKit marks what is about an image and no image with this.
pub(super) const ATTESTATION: &str = "vnd.docker.reference.type";

/// Whether a layer's media type is one that can be unpacked, and whether it may be absent (foreign).
pub(super) fn layer_type(media_type: &str) -> Option<Foreign> {
    let bare = media_type.strip_suffix("+gzip").or_else(|| media_type.strip_suffix("+zstd"));
    match bare.unwrap_or(media_type) {
        OCI_LAYER => Some(Foreign(false)),
        "application/vnd.oci.image.layer.nondistributable.v1.tar" => Some(Foreign(true)),
        _ => match media_type {
            "application/vnd.docker.image.rootfs.diff.tar"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Some(Foreign(false)),
            "application/vnd.docker.image.rootfs.foreign.diff.tar"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Some(Foreign(true)),
            _ => None,
        },
    }
}

/// Whether a layer need not be distributed along with the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Foreign(pub bool);

/// Go writes an empty list or map as `null`.
pub(super) fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default, deserialize_with = "null_default")]
    pub media_type: String,
    pub digest: String,
    pub size: u64,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Platform {
    #[serde(default, deserialize_with = "null_default")]
    pub os: String,
    #[serde(default, deserialize_with = "null_default")]
    pub architecture: String,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub schema_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    pub config: Descriptor,
    #[serde(default, deserialize_with = "null_default")]
    pub layers: Vec<Descriptor>,
    /// Only ever in a document that tries to be an index as well (CVE-2021-41190).
    #[serde(default, skip_serializing)]
    pub manifests: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    pub schema_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, deserialize_with = "null_default")]
    pub manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing)]
    pub layers: Option<serde::de::IgnoredAny>,
    #[serde(default, skip_serializing)]
    pub config: Option<serde::de::IgnoredAny>,
}

/// One image of Docker's `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DockerImage {
    pub config: String,
    #[serde(default, deserialize_with = "null_default")]
    pub repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "null_default")]
    pub layers: Vec<String>,
}
