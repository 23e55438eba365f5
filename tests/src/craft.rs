//! Images and tars made by hand, byte by byte, so that they can also be wrong.
//!
//! ```
//! use nacre_tests::craft::{Image, Tar};
//!
//! let layer = Tar::new().file("etc/motd", b"hello\n").file("../outside", b"").finish();
//! let archive = Image::new("hostile:1").layer(layer).docker_archive().tar();
//! assert_eq!(archive.len() % 512, 0);
//! ```

use std::io::Write;

use serde_json::{Value, json};

use crate::sha256;

/// A tar, written entry by entry. Nothing is checked.
#[derive(Debug, Clone, Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

/// The header of an entry, as it will be written.
#[derive(Debug, Clone)]
pub struct Header {
    /// At most 100 bytes; longer names need a [`Tar::pax`] entry before.
    pub name: Vec<u8>,
    /// `b'0'` for a file, `b'1'` for a hard link, and so on.
    pub kind: u8,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// What the header says of the size; the content may be another.
    pub size: u64,
    /// Seconds.
    pub mtime: u64,
    /// The target of a link.
    pub link: Vec<u8>,
    /// Major and minor number.
    pub device: (u32, u32),
}

impl Header {
    /// A header with common values.
    pub fn new(name: impl AsRef<[u8]>, kind: u8) -> Self {
        let mode = if kind == b'5' { 0o755 } else { 0o644 };
        let name = name.as_ref().to_vec();
        Self {
            name,
            kind,
            mode,
            owner: (0, 0),
            size: 0,
            mtime: 1_700_000_000,
            link: Vec::new(),
            device: (0, 0),
        }
    }

    /// The 512 bytes of a POSIX header.
    pub fn bytes(&self) -> [u8; 512] {
        let mut block = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.name[..self.name.len().min(100)]);
        put(100, format!("{:07o}\0", self.mode).as_bytes());
        put(108, format!("{:07o}\0", self.owner.0).as_bytes());
        put(116, format!("{:07o}\0", self.owner.1).as_bytes());
        put(124, format!("{:011o}\0", self.size).as_bytes());
        put(136, format!("{:011o}\0", self.mtime).as_bytes());
        put(148, b"        ");
        put(156, &[self.kind]);
        put(157, &self.link[..self.link.len().min(100)]);
        put(257, b"ustar\x0000");
        put(329, format!("{:07o}\0", self.device.0).as_bytes());
        put(337, format!("{:07o}\0", self.device.1).as_bytes());
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

impl Tar {
    /// An empty tar.
    pub fn new() -> Self {
        Self::default()
    }

    /// Any bytes, as they are.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A header and the content after it, padded.
    pub fn entry(mut self, header: &Header, content: &[u8]) -> Self {
        self.bytes.extend_from_slice(&header.bytes());
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    /// A regular file.
    pub fn file(self, name: impl AsRef<[u8]>, content: &[u8]) -> Self {
        self.entry(&Header { size: content.len() as u64, ..Header::new(name, b'0') }, content)
    }

    /// A directory.
    pub fn dir(self, name: impl AsRef<[u8]>) -> Self {
        self.entry(&Header::new(name, b'5'), b"")
    }

    /// A symbolic link.
    pub fn symlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.entry(&Header { link: target.as_ref().to_vec(), ..Header::new(name, b'2') }, b"")
    }

    /// A hard link.
    pub fn hardlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.entry(&Header { link: target.as_ref().to_vec(), ..Header::new(name, b'1') }, b"")
    }

    /// PAX records for the next entry.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut content = Vec::new();
        for (key, value) in records {
            let body = key.len() + value.len() + 3; // space, equals sign, newline
            let mut length = body + 1;
            while length != body + length.to_string().len() {
                length += 1;
            }
            content.extend_from_slice(format!("{length} {key}=").as_bytes());
            content.extend_from_slice(value);
            content.push(b'\n');
        }
        self.entry(&Header { size: content.len() as u64, ..Header::new("PaxHeaders/0", b'x') }, &content)
    }

    /// The tar with its two empty blocks at the end.
    pub fn finish(self) -> Vec<u8> {
        self.raw(&[0; 1024]).bytes
    }

    /// The tar without an end.
    pub fn unfinished(self) -> Vec<u8> {
        self.bytes
    }
}

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

impl Packing {
    /// Packs some bytes.
    pub fn pack(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => bytes.to_vec(),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).expect("packing");
                encoder.finish().expect("packing")
            }
            Self::Zstd => zstd::encode_all(bytes, 1).expect("packing"),
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Plain => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// An image of tars.
#[derive(Debug, Clone)]
pub struct Image {
    /// What it is called.
    pub reference: String,
    /// The layers' tars, the base first.
    pub layers: Vec<Vec<u8>>,
    /// The configuration; its diff IDs are those of the layers, unless they were changed.
    pub config: Value,
}

impl Image {
    /// An image without layers.
    pub fn new(reference: &str) -> Self {
        let config = json!({
            "created": "2024-01-02T03:04:05Z", "architecture": architecture(), "os": "linux",
            "config": { "Cmd": ["/bin/sh"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] },
            "rootfs": { "type": "layers", "diff_ids": [] },
            "history": [],
        });
        Self { reference: reference.into(), layers: Vec::new(), config }
    }

    /// Adds a layer.
    pub fn layer(mut self, tar: Vec<u8>) -> Self {
        let push = |list: &mut Value, value: Value| list.as_array_mut().expect("a list").push(value);
        push(&mut self.config["rootfs"]["diff_ids"], json!(format!("sha256:{}", sha256(&tar))));
        push(
            &mut self.config["history"],
            json!({ "created": "2024-01-02T03:04:05Z", "created_by": "by hand" }),
        );
        self.layers.push(tar);
        self
    }

    /// The image's ID.
    pub fn id(&self) -> String {
        format!("sha256:{}", sha256(self.config.to_string().as_bytes()))
    }

    /// The files of a docker-archive of the older kind.
    pub fn docker_archive(&self) -> Files {
        let config = self.config.to_string().into_bytes();
        let config_name = format!("{}.json", sha256(&config));
        let names: Vec<String> =
            self.layers.iter().map(|layer| format!("{}/layer.tar", sha256(layer))).collect();
        let manifest = json!([{ "Config": config_name, "RepoTags": [self.reference], "Layers": names }]);
        let mut files = Files::default();
        files.set("manifest.json", manifest.to_string());
        files.set(&config_name, config);
        for (name, layer) in names.iter().zip(&self.layers) {
            files.set(name, layer.clone());
        }
        files
    }

    /// The files of an OCI layout.
    pub fn oci_layout(&self, packing: Packing) -> Files {
        let mut files = Files::default();
        let mut blob = |bytes: &[u8], media_type: &str| {
            let digest = sha256(bytes);
            files.set(&format!("blobs/sha256/{digest}"), bytes.to_vec());
            json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len() })
        };
        let layers: Vec<Value> =
            self.layers.iter().map(|layer| blob(&packing.pack(layer), packing.media_type())).collect();
        let config = blob(self.config.to_string().as_bytes(), "application/vnd.oci.image.config.v1+json");
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers });
        let mut descriptor = blob(manifest.to_string().as_bytes(), media_type);
        descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": self.reference });
        files.set("oci-layout", json!({ "imageLayoutVersion": "1.0.0" }).to_string());
        files.set("index.json", json!({ "schemaVersion": 2, "manifests": [descriptor] }).to_string());
        files
    }
}

/// The files of an archive, in order.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Names and contents.
    pub entries: Vec<(String, Vec<u8>)>,
}

impl Files {
    /// Adds a file, or replaces its content.
    pub fn set(&mut self, name: &str, content: impl Into<Vec<u8>>) {
        let content = content.into();
        match self.entries.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = content,
            None => self.entries.push((name.into(), content)),
        }
    }

    /// The content of a file.
    pub fn get(&self, name: &str) -> &[u8] {
        &self.entries.iter().find(|(known, _)| known == name).expect("a file of the archive").1
    }

    /// Takes a file away.
    pub fn remove(&mut self, name: &str) {
        self.entries.retain(|(known, _)| known != name);
    }

    /// Changes a file that holds JSON.
    pub fn edit(&mut self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut value: Value = serde_json::from_slice(self.get(name)).expect("JSON");
        change(&mut value);
        self.set(name, value.to_string());
    }

    /// All of them in one tar.
    pub fn tar(&self) -> Vec<u8> {
        self.entries.iter().fold(Tar::new(), |tar, (name, content)| tar.file(name, content)).finish()
    }
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
