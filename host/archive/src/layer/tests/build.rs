//! Tar streams, entry by entry, valid or not.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tar::Header;

use super::super::pack_header::pax_record;
use super::super::{LayerError, Limits, UnpackOptions, Unpacked, Whiteouts, reassemble, unpack};

/// A directory to unpack into, in one that is not to be touched.
pub(super) struct Place {
    outer: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        let outer = tempfile::tempdir_in("/var/tmp").unwrap();
        fs::create_dir(outer.path().join("diff")).unwrap();
        fs::write(outer.path().join("victim"), "untouched").unwrap();
        fs::create_dir(outer.path().join("outside")).unwrap();
        Self { outer }
    }

    pub(super) fn diff(&self) -> PathBuf {
        self.outer.path().join("diff")
    }

    pub(super) fn outer(&self) -> &Path {
        self.outer.path()
    }

    pub(super) fn open(&self) -> File {
        File::open(self.diff()).unwrap()
    }

    pub(super) fn unpack(&self, tar: &[u8]) -> Result<Unpacked, LayerError> {
        self.unpack_as(tar, Whiteouts::Overlay)
    }

    pub(super) fn unpack_as(&self, tar: &[u8], whiteouts: Whiteouts) -> Result<Unpacked, LayerError> {
        unpack(tar, &self.open(), &UnpackOptions::new(whiteouts))
    }

    pub(super) fn unpack_within(&self, tar: &[u8], limits: Limits) -> Result<Unpacked, LayerError> {
        let options = UnpackOptions { limits, ..UnpackOptions::new(Whiteouts::Overlay) };
        unpack(tar, &self.open(), &options)
    }

    /// Unpack, and check that the very bytes come out again.
    pub(super) fn round_trip(&self, tar: &[u8]) -> Unpacked {
        let unpacked = self.unpack(tar).unwrap();
        self.check_framing(tar, &unpacked);
        unpacked
    }

    pub(super) fn check_framing(&self, tar: &[u8], unpacked: &Unpacked) {
        let mut again = Vec::new();
        let length = reassemble(&unpacked.framing, &self.open()).unwrap().write_to(&mut again).unwrap();
        assert_eq!(length, unpacked.raw_bytes);
        assert!(
            again == tar,
            "the stream differs at byte {:?}",
            again.iter().zip(tar).position(|(a, b)| a != b)
        );
        assert_eq!(unpacked.diff_id.digest(), &crate::digest::Digest::of(tar));
    }

    /// What is around the directory is as it was.
    pub(super) fn assert_nothing_outside(&self) {
        let mut names: Vec<_> =
            fs::read_dir(self.outer()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["diff", "outside", "victim"]);
        assert_eq!(fs::read(self.outer().join("victim")).unwrap(), b"untouched");
        assert_eq!(fs::read_dir(self.outer().join("outside")).unwrap().count(), 0);
        assert_eq!(nix_nlink(&self.outer().join("victim")), 1, "the victim was hard-linked");
    }
}

fn nix_nlink(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(&fs::metadata(path).unwrap())
}

/// Collects entries.
#[derive(Default, Clone)]
pub(super) struct Tar {
    pub(super) bytes: Vec<u8>,
}

impl Tar {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn padded(mut self, content: &[u8]) -> Self {
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    /// A header that `change` may spoil before its checksum is made.
    pub(super) fn entry(
        self,
        kind: u8,
        name: &[u8],
        content: &[u8],
        change: impl FnOnce(&mut Header),
    ) -> Self {
        let header = header(kind, name, content.len() as u64, change);
        self.raw(header.as_bytes()).padded(content)
    }

    pub(super) fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(b'0', name.as_bytes(), content, |_| {})
    }

    pub(super) fn dir(self, name: &str) -> Self {
        self.entry(b'5', name.as_bytes(), b"", |header| header.set_mode(0o755))
    }

    pub(super) fn link(self, kind: u8, name: &str, target: &str) -> Self {
        self.entry(kind, name.as_bytes(), b"", |header| set_link(header, target.as_bytes()))
    }

    pub(super) fn symlink(self, name: &str, target: &str) -> Self {
        self.link(b'2', name, target)
    }

    pub(super) fn hard_link(self, name: &str, target: &str) -> Self {
        self.link(b'1', name, target)
    }

    pub(super) fn device(self, kind: u8, name: &str, major: u32, minor: u32) -> Self {
        self.entry(kind, name.as_bytes(), b"", |header| {
            header.set_device_major(major).unwrap();
            header.set_device_minor(minor).unwrap();
        })
    }

    pub(super) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        self.extended(b'x', records)
    }

    pub(super) fn extended(self, kind: u8, records: &[(&str, &[u8])]) -> Self {
        let records = records.iter().map(|(key, value)| pax_record(key.as_bytes(), value));
        self.entry(kind, b"PaxHeaders/0", &records.collect::<Vec<_>>().concat(), |_| {})
    }

    pub(super) fn end(self) -> Vec<u8> {
        self.raw(&[0; 1024]).bytes
    }
}

pub(super) fn header(kind: u8, name: &[u8], size: u64, change: impl FnOnce(&mut Header)) -> Header {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkflag = [kind];
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    header.set_size(size);
    change(&mut header);
    header.set_cksum();
    header
}

pub(super) fn set_link(header: &mut Header, target: &[u8]) {
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
}
