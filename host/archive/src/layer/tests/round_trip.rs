//! Trees of all kinds, archived by GNU tar in each of its formats, unpacked, compared, and put together again.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

use super::build::Place;
use super::tree_of::{assert_same, tree_of};

#[derive(Debug, Clone)]
pub(super) enum What {
    File(Vec<u8>),
    /// Data at this offset and a size beyond it.
    Sparse(u32, u8),
    Directory,
    Symlink(Vec<u8>),
    /// To the file made before, if there is one.
    HardLink,
    Fifo,
    Device(u32, u32),
}

#[derive(Debug, Clone)]
pub(super) struct Made {
    /// In which of the directories made so far.
    directory: prop::sample::Index,
    name: Vec<u8>,
    what: What,
    mode: u32,
    owner: (u32, u32),
    time: (i64, u32),
    xattrs: Vec<(String, Vec<u8>)>,
}

fn any_name() -> impl Strategy<Value = Vec<u8>> {
    let byte =
        prop_oneof![4 => prop::num::u8::ANY.prop_filter("no", |b| *b != 0 && *b != b'/'), 8 => b'a'..=b'z'];
    prop_oneof![6 => prop::collection::vec(byte.clone(), 1..12), 1 => prop::collection::vec(byte, 90..200)]
        .prop_filter("a name", |name| name != b"." && name != b".." && !name.starts_with(b".wh."))
}

fn any_what() -> impl Strategy<Value = What> {
    prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..3000).prop_map(What::File),
        1 => (0..(4u32 << 20), any::<u8>()).prop_map(|(at, byte)| What::Sparse(at, byte)),
        5 => Just(What::Directory),
        2 => prop::collection::vec(1..=255u8, 1..150).prop_map(What::Symlink),
        2 => Just(What::HardLink),
        1 => Just(What::Fifo),
        1 => (1..4095u32, 0..1_000_000u32).prop_map(|(major, minor)| What::Device(major, minor)),
    ]
}

pub(super) fn any_tree() -> impl Strategy<Value = Vec<Made>> {
    let xattr = ("[a-z]{1,8}", prop::collection::vec(any::<u8>(), 1..60))
        .prop_map(|(name, value)| (format!("trusted.{name}"), value));
    let id = prop_oneof![3 => Just(0u32), 2 => 0..70_000u32, 1 => 0..u32::MAX];
    let made = (
        any::<prop::sample::Index>(),
        any_name(),
        any_what(),
        0..=0o7777u32,
        (id.clone(), id),
        (0..4_000_000_000i64, 0..1_000_000_000u32),
        prop::collection::vec(xattr, 0..2),
    );
    let made = made.prop_map(|(directory, name, what, mode, owner, time, xattrs)| Made {
        directory,
        name,
        what,
        mode,
        owner,
        time,
        xattrs,
    });
    prop::collection::vec(made, 1..30)
}

/// Make the tree; what cannot be (a name that is taken) is left out.
pub(super) fn make(root: &Path, nodes: &[Made]) {
    let mut directories = vec![root.to_owned()];
    let mut last_file = None;
    let mut made: Vec<(PathBuf, &Made)> = Vec::new();
    for node in nodes {
        let path = node.directory.get(&directories).join(OsStr::from_bytes(&node.name));
        if path.as_os_str().len() > 3000 || fs::symlink_metadata(&path).is_ok() {
            continue;
        }
        let mknod = |kind, device| rustix::fs::mknodat(CWD, &path, kind, Mode::empty(), device).unwrap();
        match &node.what {
            What::File(content) => {
                fs::write(&path, content).unwrap();
                last_file = Some(path.clone());
            }
            What::Sparse(at, byte) => {
                let file = File::create(&path).unwrap();
                file.write_all_at(&[*byte; 1000], u64::from(*at)).unwrap();
                file.set_len(u64::from(*at) + 20_000).unwrap();
            }
            What::Directory => {
                fs::create_dir(&path).unwrap();
                directories.push(path.clone());
            }
            What::Symlink(target) => std::os::unix::fs::symlink(OsStr::from_bytes(target), &path).unwrap(),
            What::HardLink => match &last_file {
                Some(file) => {
                    fs::hard_link(file, &path).unwrap();
                    continue;
                }
                None => continue,
            },
            What::Fifo => mknod(FileType::Fifo, 0),
            What::Device(major, minor) => mknod(FileType::BlockDevice, rustix::fs::makedev(*major, *minor)),
        }
        made.push((path, node));
    }
    // Children first, so that the directories' own times stay.
    for (path, node) in made.iter().rev() {
        let (uid, gid) = (Uid::from_raw(node.owner.0), Gid::from_raw(node.owner.1));
        rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).unwrap();
        if !matches!(node.what, What::Symlink(_)) {
            rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(node.mode), AtFlags::empty()).unwrap();
        }
        for (name, value) in &node.xattrs {
            rustix::fs::lsetxattr(path, name.as_str(), value, XattrFlags::empty()).unwrap();
        }
        let time = Timespec { tv_sec: node.time.0, tv_nsec: node.time.1.into() };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

fn gnu_tar(place: &Place, arguments: &[&str]) -> Vec<u8> {
    let file = place.outer().join("gnu.tar");
    let status = Command::new("tar")
        .args(arguments)
        .args(["--sparse", "--numeric-owner", "-cf"])
        .arg(&file)
        .arg("-C")
        .arg(place.diff())
        .arg(".")
        .status()
        .unwrap();
    assert!(status.success(), "GNU tar failed");
    fs::read(file).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_gnu_tar_archives_is_unpacked_as_it_was(nodes in any_tree()) {
        let from = Place::new();
        make(&from.diff(), &nodes);
        let pax = ["--format=pax", "--xattrs", "--xattrs-include=*"];
        let formats: [(&[&str], bool); 4] = [
            (&pax, true),
            (&["--format=pax", "--sparse-version=0.0", "--xattrs", "--xattrs-include=*"], true),
            (&["--format=pax", "--sparse-version=0.1", "--xattrs", "--xattrs-include=*"], true),
            (&["--format=gnu"], false),
        ];
        for (arguments, exact) in formats {
            let tar = gnu_tar(&from, arguments);
            let to = Place::new();
            to.round_trip(&tar);
            if exact {
                assert_same(&tree_of(&from.diff(), true), &tree_of(&to.diff(), true));
            } else {
                // This format has neither nanoseconds nor attributes.
                strip_xattrs(&from.diff());
                assert_same(&tree_of(&from.diff(), false), &tree_of(&to.diff(), false));
            }
        }
    }
}

fn strip_xattrs(root: &Path) {
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        for (name, _) in super::tree_of::xattrs_of(&path) {
            rustix::fs::lremovexattr(&path, name.as_slice()).unwrap();
        }
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            strip_xattrs(&path);
        }
    }
}

#[test]
fn many_segments_in_gnu_s_old_sparse_format_and_in_pax() {
    // More than the four of the header and the 21 of one extension.
    let from = Place::new();
    let file = File::create(from.diff().join("sparse")).unwrap();
    for segment in 0..60u64 {
        file.write_all_at(&[segment as u8 + 1; 4096], segment * 65536).unwrap();
    }
    file.set_len(10 << 20).unwrap();
    for format in ["--format=gnu", "--format=pax"] {
        let tar = gnu_tar(&from, &[format]);
        assert!(tar.len() < 600_000, "GNU tar made no sparse entry");
        let to = Place::new();
        to.round_trip(&tar);
        assert_same(&tree_of(&from.diff(), false), &tree_of(&to.diff(), false));
        let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(to.diff().join("sparse")).unwrap());
        assert!(blocks * 512 < 2 << 20, "the holes were filled");
    }
}

#[test]
fn ustar_as_gnu_tar_writes_it() {
    let from = Place::new();
    let deep = "d".repeat(90);
    fs::create_dir_all(from.diff().join(&deep)).unwrap();
    fs::write(from.diff().join(&deep).join("f".repeat(90)), "x").unwrap();
    fs::hard_link(from.diff().join(&deep).join("f".repeat(90)), from.diff().join("h")).unwrap();
    let file = from.outer().join("u.tar");
    let mut tar = Command::new("tar");
    tar.args(["--format=ustar", "-cf"]).arg(&file).arg("-C").arg(from.diff()).arg(".");
    assert!(tar.status().unwrap().success());
    let to = Place::new();
    to.round_trip(&fs::read(file).unwrap());
    assert_same(&tree_of(&from.diff(), false), &tree_of(&to.diff(), false));
}
