//! Each form of whiteout, and directories that a layer only implies.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::super::Whiteouts;
use super::build::{Place, Tar};
use super::tree_of::xattrs_of;

fn is_whiteout(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_char_device() && meta.rdev() == 0)
}

fn is_opaque(path: &Path) -> bool {
    xattrs_of(path).contains(&(b"trusted.overlay.opaque".to_vec(), b"y".to_vec()))
}

#[test]
fn whiteouts_become_overlayfs_s() {
    let place = Place::new();
    let tar = Tar::new()
        .dir("etc")
        .file("etc/.wh.passwd", b"")
        .file(".wh.gone", b"content that nobody needs")
        .dir("opaque")
        .file("opaque/.wh..wh..opq", b"")
        .file("opaque/kept", b"")
        .file("missing/.wh..wh..opq", b"")
        .file(".wh..wh.plnk/1.2", b"bookkeeping")
        .dir(".wh..wh.orph")
        .end();
    let unpacked = place.round_trip(&tar);
    let path = |name: &str| place.diff().join(name);
    assert!(is_whiteout(&path("etc/passwd")) && is_whiteout(&path("gone")));
    assert!(is_opaque(&path("opaque")) && is_opaque(&path("missing")) && !is_opaque(&path("etc")));
    let mut names: Vec<_> = fs::read_dir(place.diff()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["etc", "gone", "missing", "opaque"]);
    assert_eq!(unpacked.warnings.len(), 2);
}

#[test]
fn a_whiteout_does_not_hide_what_the_same_layer_has() {
    let orders: [fn(Tar) -> Tar; 2] = [
        |tar| tar.file(".wh.f", b"").file("f", b"x").file(".wh.d", b"").dir("d").file("d/x", b""),
        |tar| tar.file("f", b"x").file(".wh.f", b"").dir("d").file("d/x", b"").file(".wh.d", b""),
    ];
    for order in orders {
        let tar = order(Tar::new()).file(".wh.implied", b"").file("implied/x", b"").end();

        let place = Place::new();
        place.round_trip(&tar);
        assert_eq!(fs::read(place.diff().join("f")).unwrap(), b"x");
        assert!(is_opaque(&place.diff().join("d")) && is_opaque(&place.diff().join("implied")));

        let place = Place::new();
        let unpacked = place.unpack_as(&tar, Whiteouts::Aufs).unwrap();
        place.check_framing(&tar, &unpacked);
        let exists = |name: &str| place.diff().join(name).exists();
        assert!(exists("d/.wh..wh..opq") && exists("implied/.wh..wh..opq") && exists("f") && exists("d/x"));
        assert!(!exists(".wh.d") && !exists(".wh.f") && !exists(".wh.implied"));

        let place = Place::new();
        fs::create_dir(place.diff().join("d")).unwrap();
        fs::write(place.diff().join("d/lower"), "").unwrap();
        fs::write(place.diff().join("f"), "lower").unwrap();
        let unpacked = place.unpack_as(&tar, Whiteouts::Delete).unwrap();
        place.check_framing(&tar, &unpacked);
        assert_eq!(fs::read(place.diff().join("f")).unwrap(), b"x");
        assert!(place.diff().join("d/x").exists() && !place.diff().join("d/lower").exists());
    }
}

#[test]
fn whiteouts_stay_files_where_the_format_is_that_of_aufs() {
    let place = Place::new();
    let tar = Tar::new().file(".wh.gone", b"").dir("d").file("d/.wh..wh..opq", b"").file("lit", b"").end();
    let unpacked = place.unpack_as(&tar, Whiteouts::Aufs).unwrap();
    place.check_framing(&tar, &unpacked);
    assert!(place.diff().join(".wh.gone").is_file() && place.diff().join("d/.wh..wh..opq").is_file());
}

#[test]
fn whiteouts_delete_in_whole_trees() {
    let place = Place::new();
    let diff = place.diff();
    for directory in ["a/b/c", "keep", "opaque/sub", "replaced"] {
        fs::create_dir_all(diff.join(directory)).unwrap();
    }
    for file in ["a/b/c/f", "keep/f", "keep/g", "opaque/sub/f", "opaque/f", "replaced/f", "file"] {
        fs::write(diff.join(file), file).unwrap();
    }
    let tar = Tar::new()
        .file(".wh.a", b"")
        .file("keep/.wh.g", b"")
        .dir("opaque")
        .file("opaque/new", b"new")
        .file("opaque/.wh..wh..opq", b"")
        .file("replaced", b"a file now")
        .file("file", b"newer")
        .file("nowhere/.wh.x", b"")
        .end();
    let unpacked = place.unpack_as(&tar, Whiteouts::Delete).unwrap();
    place.check_framing(&tar, &unpacked);
    let mut left: Vec<_> = super::tree_of::tree_of(&diff, false).into_keys().collect();
    left.sort();
    assert_eq!(left, ["", "file", "keep", "keep/f", "opaque", "opaque/new", "replaced"]);
    assert_eq!(unpacked.content_bytes, 3 + 10 + 5);
    place.assert_nothing_outside();
}

#[test]
fn directories_that_have_no_entry_are_told() {
    let place = Place::new();
    let tar = Tar::new()
        .file("a/b/c/f", b"x")
        .dir("a/b")
        .file("late/f", b"x")
        .dir("made")
        .file("made/f", b"x")
        .file(".wh.gone", b"")
        .file("gone/f", b"x")
        .end();
    let told = place.round_trip(&tar).implied;
    assert_eq!(told, [&b"a"[..], b"a/b/c", b"late"], "not what has an entry, nor what hides what is below");
}
