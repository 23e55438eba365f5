//! What is packed, unpacks to the same tree, and GNU tar reads it too.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

use super::super::{
    LayerError, PackOptions, Packed, Selected, Whiteouts, pack_changes, pack_selected, pack_tree, reassemble,
};
use super::build::{Place, Tar};
use super::round_trip::{any_tree, make};
use super::tree_of::{assert_same, tree_of};
use proptest::prelude::*;

fn changes(place: &Place) -> (Packed, Vec<u8>) {
    let mut tar = Vec::new();
    let options = PackOptions { framing: true, ..PackOptions::default() };
    let packed = pack_changes(&place.open(), &options, &mut tar).unwrap();
    assert_eq!(packed.raw_bytes, tar.len() as u64);
    (packed, tar)
}

/// A tree with all that an upper directory can hold.
fn rich_upper(place: &Place) {
    let path = |name: &str| place.diff().join(name);
    fs::create_dir_all(path("d/opaque/deep")).unwrap();
    fs::write(path("d/f"), vec![7; 100_000]).unwrap();
    fs::hard_link(path("d/f"), path("a-hard-link")).unwrap();
    fs::write(path(&"n".repeat(150)), "long").unwrap();
    symlink("t".repeat(180), path("link")).unwrap();
    rustix::fs::lsetxattr(path("link"), "trusted.t", b"\n=\n", XattrFlags::empty()).unwrap();
    rustix::fs::lsetxattr(path("d/opaque"), "trusted.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
    rustix::fs::lsetxattr(path("d/f"), "trusted.overlay.origin", b"x", XattrFlags::empty()).unwrap();
    let node = |name: &str, kind, mode, device| {
        rustix::fs::mknodat(CWD, path(name), kind, Mode::from_raw_mode(mode), device).unwrap();
    };
    node("d/gone", FileType::CharacterDevice, 0, 0);
    node("d/null", FileType::CharacterDevice, 0o666, rustix::fs::makedev(1, 3));
    node("d/fifo", FileType::Fifo, 0o600, 0);
    let (uid, gid) = (Uid::from_raw(3_000_000_000), Gid::from_raw(9_999_999));
    rustix::fs::chownat(CWD, path("d/fifo"), Some(uid), Some(gid), AtFlags::empty()).unwrap();
    let time = Timespec { tv_sec: -5, tv_nsec: 123_456_789 };
    let times = Timestamps { last_access: time, last_modification: time };
    for name in ["d/f", "link", "d/opaque", "d"] {
        rustix::fs::utimensat(CWD, path(name), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
}

#[test]
fn changes_become_a_layer_and_the_layer_the_same_changes() {
    let upper = Place::new();
    rich_upper(&upper);
    let (packed, tar) = changes(&upper);

    let mut again = Vec::new();
    reassemble(&packed.framing, &upper.open()).unwrap().write_to(&mut again).unwrap();
    assert!(again == tar);

    fs::remove_file(upper.diff().join("socket")).unwrap();
    rustix::fs::lremovexattr(upper.diff().join("d/f"), "trusted.overlay.origin").unwrap();
    let whiteout = upper.diff().join("d/gone");
    let place = Place::new();
    let unpacked = place.round_trip(&tar);
    assert_eq!((unpacked.diff_id, unpacked.entries), (packed.diff_id, packed.entries));
    assert_eq!(unpacked.content_bytes, packed.content_bytes);
    assert_eq!(fs::symlink_metadata(place.diff().join("d/gone")).unwrap().rdev(), 0);
    // A whiteout has no times or owner that anybody could see.
    fs::remove_file(whiteout).unwrap();
    fs::remove_file(place.diff().join("d/gone")).unwrap();
    let mtime = Timespec { tv_sec: 1, tv_nsec: 1 };
    for directory in [upper.diff(), place.diff()] {
        for name in ["", "d"] {
            let times = Timestamps { last_access: mtime, last_modification: mtime };
            rustix::fs::utimensat(CWD, directory.join(name), &times, AtFlags::empty()).unwrap();
        }
    }
    assert_same(&tree_of(&upper.diff(), true), &tree_of(&place.diff(), true));
}

#[test]
fn a_layer_has_the_specification_s_whiteouts_and_nothing_of_overlayfs() {
    let upper = Place::new();
    rich_upper(&upper);
    let (_, tar) = changes(&upper);
    let place = Place::new();
    place.unpack_as(&tar, Whiteouts::Literal).unwrap();
    assert!(place.diff().join("d/.wh.gone").is_file());
    assert!(place.diff().join("d/opaque/.wh..wh..opq").is_file());
    assert!(!place.diff().join("d/gone").exists());
    assert!(!tar.windows(16).any(|bytes| bytes == b"trusted.overlay."));
    assert_eq!(changes(&upper).1, tar, "packed twice, it differs");
}

#[test]
fn what_overlayfs_keeps_elsewhere_cannot_be_packed() {
    for name in ["trusted.overlay.redirect", "trusted.overlay.metacopy"] {
        let upper = Place::new();
        fs::create_dir(upper.diff().join("d")).unwrap();
        rustix::fs::lsetxattr(upper.diff().join("d"), name, b"/x", XattrFlags::empty()).unwrap();
        let result = pack_changes(&upper.open(), &PackOptions::default(), std::io::sink());
        assert!(matches!(result, Err(LayerError::Tree { .. })));
    }
}

/// Whoever unpacked the layer would take it for the whiteout of something else.
#[test]
fn a_file_that_is_named_as_a_whiteout_is_no_part_of_a_layer() {
    let upper = Place::new();
    fs::create_dir(upper.diff().join("d")).unwrap();
    fs::write(upper.diff().join("d/.wh.passwd"), "text").unwrap();
    let pack = |markers| {
        let options = PackOptions { markers, ..PackOptions::default() };
        pack_changes(&upper.open(), &options, std::io::sink())
    };
    let refused = pack(false).unwrap_err();
    assert!(matches!(refused, LayerError::Reserved { .. }) && refused.to_string().contains("d/.wh.passwd"));
    pack(true).unwrap();
    let selected = [Selected { path: b"d/.wh.passwd".to_vec(), deleted: false }];
    let refused =
        pack_selected(&upper.open(), &selected, &PackOptions::default(), std::io::sink()).unwrap_err();
    assert!(matches!(refused, LayerError::Reserved { .. }));
    let tree = pack_tree(&upper.open(), b"", b"", &PackOptions::default(), std::io::sink());
    assert!(tree.is_ok(), "a tree is no layer");
}

#[test]
fn excluded_paths_are_left_out_with_what_is_below() {
    let upper = Place::new();
    rich_upper(&upper);
    let mut tar = Vec::new();
    let exclude: &dyn Fn(&[u8]) -> bool = &|path| path == b"d/opaque" || path == b"link";
    let options = PackOptions { exclude: Some(exclude), ..PackOptions::default() };
    pack_changes(&upper.open(), &options, &mut tar).unwrap();
    let place = Place::new();
    place.unpack(&tar).unwrap();
    assert!(!place.diff().join("d/opaque").exists() && !place.diff().join("link").is_symlink());
    assert!(place.diff().join("d/f").exists());
}

#[test]
fn what_is_selected_of_a_tree_becomes_a_layer_with_the_directories_that_lead_there() {
    let place = Place::new();
    let path = |name: &str| place.diff().join(name);
    fs::create_dir_all(path("a/b/c")).unwrap();
    fs::create_dir(path("a-b")).unwrap();
    for name in ["a/kept", "a/b/changed", "a/b/c/kept", "a-b/changed"] {
        fs::write(path(name), name).unwrap();
    }
    fs::hard_link(path("a/b/changed"), path("a/b/same")).unwrap();
    fs::set_permissions(path("a"), fs::Permissions::from_mode(0o710)).unwrap();
    let selected = [("a/b", false), ("a/b/changed", false), ("a/b/gone", true), ("a/b/same", false)];
    let selected = selected.into_iter().chain([("a-b/changed", false), ("lost", true)]);
    let selected: Vec<Selected> =
        selected.map(|(path, deleted)| Selected { path: path.into(), deleted }).collect();
    let mut tar = Vec::new();
    pack_selected(&place.open(), &selected, &PackOptions::default(), &mut tar).unwrap();

    let layer = Place::new();
    layer.unpack_as(&tar, Whiteouts::Literal).unwrap();
    let names: Vec<String> =
        tree_of(&layer.diff(), true).into_keys().filter(|name| !name.is_empty()).collect();
    let expected = [".wh.lost", "a", "a-b", "a-b/changed", "a/b", "a/b/.wh.gone", "a/b/changed", "a/b/same"];
    assert_eq!(names, expected);
    let stat = |name: &str| fs::metadata(layer.diff().join(name)).unwrap();
    assert_eq!(stat("a").mode() & 0o7777, 0o710);
    assert_eq!(stat("a/b/changed").ino(), stat("a/b/same").ino());
}

#[test]
fn a_part_of_a_tree_is_packed_under_another_name() {
    let place = Place::new();
    fs::create_dir_all(place.diff().join("real/sub")).unwrap();
    fs::write(place.diff().join("real/sub/f"), "x").unwrap();
    symlink("/real", place.diff().join("alias")).unwrap();
    for (path, name, expected) in [
        (&b"real/sub"[..], &b"copy"[..], "copy/f"),
        (b"alias/sub", b"copy", "copy/f"),
        (b"alias/sub/", b"sub", "sub/f"),
        (b"real/sub/f", b"g", "g"),
        (b"", b"", "real/sub/f"),
        (b"../../..", b"up", "up/real/sub/f"),
    ] {
        let mut tar = Vec::new();
        pack_tree(&place.open(), path, name, &PackOptions::default(), &mut tar).unwrap();
        let copy = Place::new();
        copy.unpack_as(&tar, Whiteouts::Literal).unwrap();
        assert!(copy.diff().join(expected).is_file(), "{expected}");
    }
    let missing = pack_tree(&place.open(), b"no/such", b"", &PackOptions::default(), std::io::sink());
    assert!(matches!(missing, Err(LayerError::Tree { .. })));
}

#[test]
fn an_upper_that_no_framing_fits_is_told() {
    let place = Place::new();
    let unpacked = place.unpack(&Tar::new().file("f", &[1; 5000]).end()).unwrap();
    fs::write(place.diff().join("f"), "short").unwrap();
    let result = reassemble(&unpacked.framing, &place.open()).unwrap().write_to(&mut std::io::sink());
    assert!(matches!(result, Err(LayerError::Framing { .. })));
    fs::remove_file(place.diff().join("f")).unwrap();
    let result = reassemble(&unpacked.framing, &place.open()).unwrap().write_to(&mut std::io::sink());
    assert!(matches!(result, Err(LayerError::Tree { .. })));
    symlink("/etc/passwd", place.diff().join("f")).unwrap();
    assert!(reassemble(&unpacked.framing, &place.open()).unwrap().write_to(&mut std::io::sink()).is_err());
    for cut in 0..unpacked.framing.len() {
        let damaged = &unpacked.framing[..cut];
        let open = place.open();
        let again = reassemble(damaged, &open).and_then(|tar| tar.write_to(&mut std::io::sink()));
        assert!(again.is_err(), "cut at {cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_tree_is_the_same_after_packing_and_unpacking(nodes in any_tree()) {
        let from = Place::new();
        make(&from.diff(), &nodes);
        let mut tar = Vec::new();
        let options = PackOptions { framing: true, ..PackOptions::default() };
        let packed = pack_tree(&from.open(), b"", b"", &options, &mut tar).unwrap();
        let to = Place::new();
        let unpacked = to.round_trip(&tar);
        prop_assert_eq!(unpacked.diff_id, packed.diff_id);
        assert_same(&tree_of(&from.diff(), true), &tree_of(&to.diff(), true));
        let mut again = Vec::new();
        reassemble(&packed.framing, &from.open()).unwrap().write_to(&mut again).unwrap();
        prop_assert!(again == tar);

        let file = from.outer().join("packed.tar");
        fs::write(&file, &tar).unwrap();
        let gnu = Place::new();
        let status = Command::new("tar")
            .args(["--warning=no-timestamp", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-p", "-xf"])
            .arg(&file)
            .arg("-C")
            .arg(gnu.diff())
            .status()
            .unwrap();
        prop_assert!(status.success());
        assert_same(&tree_of(&from.diff(), true), &tree_of(&gnu.diff(), true));
    }
}
