//! Real images, made once by `scripts/fixture-image` and kept below `$NACRE_FIXTURES`
//! (`/var/tmp/nacre-fixtures`).

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::{Outcome, repository};

/// One image in four forms.
#[derive(Debug, Clone)]
pub struct Fixture {
    dir: PathBuf,
    /// What it is called in its archives.
    pub reference: &'static str,
}

/// Four layers with everything that makes unpacking hard: about 290 MB from Debian's packages, or
/// 130 MB of this machine's own programs where no mirror is reachable.
pub fn app() -> Fixture {
    Fixture { dir: directory().join("app"), reference: "example/app:1" }
}

/// One layer of 2 MB.
pub fn busybox() -> Fixture {
    Fixture { dir: directory().join("busybox"), reference: "example/busybox:1" }
}

impl Fixture {
    /// A docker-archive with plain layers.
    pub fn docker(&self) -> PathBuf {
        self.dir.join("docker.tar")
    }

    /// An OCI layout in a tar, gzip.
    pub fn oci(&self) -> PathBuf {
        self.dir.join("oci.tar")
    }

    /// An OCI layout in a tar, zstd.
    pub fn oci_zstd(&self) -> PathBuf {
        self.dir.join("oci-zstd.tar")
    }

    /// An OCI layout as a directory, gzip.
    pub fn oci_dir(&self) -> PathBuf {
        self.dir.join("oci")
    }

    /// The image's configuration.
    pub fn config(&self) -> Vec<u8> {
        let blobs = self.oci_dir().join("blobs/sha256");
        let manifest = self.manifest();
        std::fs::read(blobs.join(hex(&manifest["config"]["digest"]))).expect("reading a configuration")
    }

    /// `sha256:…`: the image's ID.
    pub fn id(&self) -> String {
        self.manifest()["config"]["digest"].as_str().expect("a digest").to_owned()
    }

    /// The diff IDs of its layers, the base first.
    pub fn diff_ids(&self) -> Vec<String> {
        let config: serde_json::Value = serde_json::from_slice(&self.config()).expect("a configuration");
        let ids = config["rootfs"]["diff_ids"].as_array().expect("diff IDs").iter();
        ids.map(|id| id.as_str().expect("a diff ID").to_owned()).collect()
    }

    fn manifest(&self) -> serde_json::Value {
        let index = std::fs::read(self.oci_dir().join("index.json")).expect("reading index.json");
        let index: serde_json::Value = serde_json::from_slice(&index).expect("an index");
        let blob = self.oci_dir().join("blobs/sha256").join(hex(&index["manifests"][0]["digest"]));
        serde_json::from_slice(&std::fs::read(blob).expect("reading a manifest")).expect("a manifest")
    }
}

fn hex(digest: &serde_json::Value) -> &str {
    digest.as_str().and_then(|d| d.strip_prefix("sha256:")).expect("a sha256 digest")
}

fn directory() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = std::env::var_os("NACRE_FIXTURES")
            .map_or_else(|| "/var/tmp/nacre-fixtures".into(), PathBuf::from);
        // Test processes may start at the same time; one makes the images.
        let lock = std::fs::File::create(dir.with_extension("lock")).expect("creating a lock file");
        lock.lock().expect("locking");
        Outcome::of(Command::new(repository().join("scripts/fixture-image")).arg(&dir)).succeeded();
        dir
    })
    .clone()
}
