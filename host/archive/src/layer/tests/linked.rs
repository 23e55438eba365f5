//! Into a tree whose files are hard links to those of the layer below it: that layer never changes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::super::{UnpackOptions, Whiteouts, unpack};
use super::build::Tar;
use super::tree_of::{assert_same, tree_of, xattrs_of};

const FILES: [&str; 9] =
    ["again", "attributes", "grown", "gone", "linked-over", "node", "pointed-over", "d/deep", "hidden/file"];

/// A layer's tree, and a copy of its directories with its files linked into it.
fn linked_trees() -> tempfile::TempDir {
    let outer = tempfile::tempdir_in("/var/tmp").unwrap();
    for tree in ["below", "own", "third"] {
        for dir in ["", "d", "hidden", "replaced"] {
            fs::create_dir(outer.path().join(tree).join(dir)).unwrap();
        }
    }
    for file in FILES.iter().chain(&["replaced/file", "kept", "source"]) {
        let below = outer.path().join("below").join(file);
        fs::write(&below, format!("{file} below")).unwrap();
        fs::set_permissions(&below, fs::Permissions::from_mode(0o640)).unwrap();
        rustix::fs::setxattr(&below, "user.of", b"below", rustix::fs::XattrFlags::empty()).unwrap();
        // With a third name the file below goes on being one of several, whatever becomes of the second.
        for tree in ["own", "third"] {
            fs::hard_link(&below, outer.path().join(tree).join(file)).unwrap();
        }
    }
    std::os::unix::fs::symlink("kept", outer.path().join("below/pointer")).unwrap();
    for tree in ["own", "third"] {
        fs::hard_link(outer.path().join("below/pointer"), outer.path().join(tree).join("pointer")).unwrap();
    }
    outer
}

fn read(tree: &Path, file: &str) -> String {
    fs::read_to_string(tree.join(file)).unwrap()
}

#[test]
fn whatever_a_layer_does_to_a_file_its_parents_stays_as_it_was() {
    let outer = linked_trees();
    let (below, own) = (outer.path().join("below"), outer.path().join("own"));
    let before: BTreeMap<_, _> = tree_of(&below, true);
    let tar = Tar::new()
        .file("again", b"again below")
        .entry(b'0', b"attributes", b"attributes below", |header| {
            header.set_mode(0o4777);
            header.set_uid(70_000);
        })
        .pax(&[("SCHILY.xattr.user.of", b"own"), ("SCHILY.xattr.user.new", b"own")])
        .file("grown", &[b'x'; 100_000])
        .entry(b'0', b".wh.gone", b"", |_| {})
        // A name of the parent's file more, and then one of both names anew.
        .hard_link("linked-over", "source")
        .hard_link("another-name", "source")
        .file("another-name", b"new")
        .entry(b'6', b"node", b"", |header| header.set_mode(0o777))
        .symlink("pointed-over", "kept")
        .file("pointer", b"no link any more")
        .file("d/deep", b"")
        .dir("hidden/")
        .entry(b'0', b"hidden/.wh..wh..opq", b"", |_| {})
        .file("replaced", b"a file now")
        .end();
    unpack(&*tar, &fs::File::open(&own).unwrap(), &UnpackOptions::new(Whiteouts::Delete)).unwrap();
    assert_same(&before, &tree_of(&below, true));

    assert_eq!(fs::metadata(own.join("attributes")).unwrap().mode() & 0o7777, 0o4777);
    assert_eq!(read(&own, "grown").len(), 100_000);
    assert!(xattrs_of(&own.join("grown")).contains(&(b"user.new".to_vec(), b"own".to_vec())));
    assert!(!own.join("gone").exists() && !own.join("hidden/file").exists());
    assert_eq!(read(&own, "linked-over"), "source below");
    assert_eq!(read(&own, "another-name"), "new");
    assert_eq!(read(&own, "replaced"), "a file now");
    let inode = |path: &Path| fs::symlink_metadata(path).unwrap().ino();
    assert_eq!(inode(&own.join("kept")), inode(&below.join("kept")), "what the layer leaves alone is shared");
}

#[test]
fn a_directory_that_a_layer_has_again_has_the_layers_attributes_alone() {
    let outer = linked_trees();
    let (below, own) = (outer.path().join("below"), outer.path().join("own"));
    let set = |name: &str, value: &[u8]| {
        rustix::fs::setxattr(own.join("d"), name, value, rustix::fs::XattrFlags::empty()).unwrap();
    };
    set("user.old", b"below");
    set("user.of", b"below");
    // user::rwx, user:5:rwx, group::r-x, mask::rwx, other::---
    let acl = [
        &[2, 0, 0, 0][..],
        &[1, 0, 7, 0, 255, 255, 255, 255],
        &[2, 0, 7, 0, 5, 0, 0, 0],
        &[4, 0, 5, 0, 255, 255, 255, 255],
        &[16, 0, 7, 0, 255, 255, 255, 255],
        &[32, 0, 0, 0, 255, 255, 255, 255],
    ]
    .concat();
    set("system.posix_acl_access", &acl);
    let tar = Tar::new().pax(&[("SCHILY.xattr.user.of", b"own")]).dir("d/").end();
    unpack(&*tar, &fs::File::open(&own).unwrap(), &UnpackOptions::new(Whiteouts::Delete)).unwrap();
    assert_eq!(xattrs_of(&own.join("d")), [(b"user.of".to_vec(), b"own".to_vec())]);
    assert_eq!(fs::metadata(own.join("d")).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(read(&below, "d/deep"), "d/deep below");
}
