//! Image layers and archives, made on the spot.

use std::io;

use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use crate::verdict::{Done, Expected};

/// What an entry of a layer is besides its content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meta<'a> {
    pub mode: u32,
    pub owner: (u64, u64),
    /// Seconds and nanoseconds.
    pub mtime: (u64, u32),
    /// Extended attributes by name.
    pub xattrs: &'a [(&'a str, &'a [u8])],
}

pub(crate) const FILE: Meta<'static> =
    Meta { mode: 0o644, owner: (0, 0), mtime: (1_700_000_000, 0), xattrs: &[] };
pub(crate) const DIR: Meta<'static> = Meta { mode: 0o755, ..FILE };

/// One layer of an image: a tar.
pub(crate) struct Layer {
    tar: tar::Builder<Vec<u8>>,
    fault: Option<io::Error>,
}

impl Layer {
    pub(crate) fn new() -> Self {
        Self { tar: tar::Builder::new(Vec::new()), fault: None }
    }

    /// An entry of any kind. `link` is what a link says.
    pub(crate) fn entry(
        mut self,
        path: &str,
        kind: EntryType,
        meta: Meta<'_>,
        link: &str,
        content: &[u8],
    ) -> Self {
        if let Err(error) = self.append(path, kind, meta, link, content) {
            self.fault.get_or_insert(error);
        }
        self
    }

    fn append(
        &mut self,
        path: &str,
        kind: EntryType,
        meta: Meta<'_>,
        link: &str,
        content: &[u8],
    ) -> io::Result<()> {
        let (seconds, nanos) = meta.mtime;
        let time = format!("{seconds}.{nanos:09}");
        let names: Vec<_> = meta.xattrs.iter().map(|(name, _)| format!("SCHILY.xattr.{name}")).collect();
        let mut records: Vec<(&str, &[u8])> =
            names.iter().zip(meta.xattrs).map(|(name, (_, value))| (name.as_str(), *value)).collect();
        if nanos > 0 {
            records.push(("mtime", time.as_bytes()));
        }
        if !records.is_empty() {
            self.tar.append_pax_extensions(records)?;
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_path(path)?;
        header.set_mode(meta.mode);
        header.set_uid(meta.owner.0);
        header.set_gid(meta.owner.1);
        header.set_mtime(seconds);
        header.set_size(content.len() as u64);
        if !link.is_empty() {
            header.set_link_name_literal(link)?;
        }
        if matches!(kind, EntryType::Char | EntryType::Block) {
            // The null device, or what looks like it.
            header.set_device_major(1)?;
            header.set_device_minor(3)?;
        }
        header.set_cksum();
        self.tar.append(&header, content)
    }

    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.file_with(path, FILE, content)
    }

    pub(crate) fn file_with(self, path: &str, meta: Meta<'_>, content: impl AsRef<[u8]>) -> Self {
        self.entry(path, EntryType::Regular, meta, "", content.as_ref())
    }

    /// A file of so many bytes that is a hole but for these texts (PAX format 0.1 of GNU tar).
    pub(crate) fn sparse(mut self, path: &str, length: u64, texts: &[(u64, &str)]) -> Self {
        let mut map: Vec<_> = texts.iter().map(|(at, text)| format!("{at},{}", text.len())).collect();
        map.push(format!("{length},0"));
        let (map, length) = (map.join(","), length.to_string());
        let records = [
            ("GNU.sparse.size", length.as_bytes()),
            ("GNU.sparse.numblocks", (texts.len() + 1).to_string().as_bytes()),
            ("GNU.sparse.map", map.as_bytes()),
        ]
        .map(|(key, value)| (key, value.to_vec()));
        let records = records.iter().map(|(key, value)| (*key, value.as_slice()));
        if let Err(error) = self.tar.append_pax_extensions(records) {
            self.fault.get_or_insert(error);
        }
        let content: String = texts.iter().map(|(_, text)| *text).collect();
        self.file(path, content)
    }

    pub(crate) fn dir(self, path: &str) -> Self {
        self.dir_with(path, DIR)
    }

    pub(crate) fn dir_with(self, path: &str, meta: Meta<'_>) -> Self {
        self.entry(path, EntryType::Directory, meta, "", b"")
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(path, EntryType::Symlink, Meta { mode: 0o777, ..FILE }, target, b"")
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(path, EntryType::Link, FILE, target, b"")
    }

    /// A name of the layers below is deleted (OCI image specification, layer.md).
    pub(crate) fn whiteout(self, dir: &str, name: &str) -> Self {
        self.file_with(&format!("{dir}.wh.{name}"), FILE, b"")
    }

    /// What the layers below have in a directory is not seen.
    pub(crate) fn opaque(self, dir: &str) -> Self {
        self.file_with(&format!("{dir}/.wh..wh..opq"), FILE, b"")
    }

    /// Its tar so far, complete.
    pub(crate) fn bytes(&self) -> Done<Vec<u8>> {
        if let Some(fault) = &self.fault {
            return Err(io::Error::new(fault.kind(), fault.to_string()))
                .or_stop(|| "a layer can be written".to_owned());
        }
        let mut bytes = self.tar.get_ref().clone();
        bytes.resize(bytes.len() + 1024, 0);
        Ok(bytes)
    }
}

/// A docker-archive of one image.
#[derive(Debug)]
pub(crate) struct Archive {
    files: Vec<(String, Vec<u8>)>,
}

impl Archive {
    pub(crate) fn new(name: &str, layers: &[Layer]) -> Done<Self> {
        let (mut files, mut diff_ids) = (Vec::new(), Vec::new());
        for (number, layer) in layers.iter().enumerate() {
            let bytes = layer.bytes()?;
            diff_ids.push(format!("sha256:{}", sha256(&bytes)));
            files.push((format!("{number}/layer.tar"), bytes));
        }
        let config = json!({
            "architecture": architecture(), "os": "linux", "created": "2024-01-02T03:04:05Z",
            "config": { "Cmd": ["/none"] }, "rootfs": { "type": "layers", "diff_ids": diff_ids },
        })
        .to_string();
        let config_name = format!("{}.json", sha256(config.as_bytes()));
        let names: Vec<_> = files.iter().map(|(name, _)| name).collect();
        let manifest = json!([{ "Config": config_name, "RepoTags": [name], "Layers": names }]).to_string();
        files.insert(0, ("manifest.json".to_owned(), manifest.into_bytes()));
        files.insert(1, (config_name, config.into_bytes()));
        Ok(Self { files })
    }

    pub(crate) fn tar(&self) -> Done<Vec<u8>> {
        let layer = self.files.iter().fold(Layer::new(), |tar, (name, content)| tar.file(name, content));
        layer.bytes()
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
