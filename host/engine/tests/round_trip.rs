//! What a container changed, as an image here and elsewhere.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use common::{Bed, load, of};
use nacre_engine::{CommitOptions, Engine, NoProgress, SaveFormat, SaveTarget};
use nacre_tests::Tree;
use nacre_tests::craft::{Image, Tar};
use rustix::fs::{XattrFlags, lremovexattr, lsetxattr};

/// Two layers, the second of which hides parts of the first.
fn image() -> Image {
    let base = Tar::new()
        .dir("dir")
        .file("dir/a", b"a")
        .file("dir/b", b"b")
        .dir("opaque")
        .file("opaque/below", b"below")
        .dir("becomes-file")
        .dir("becomes-file/deep")
        .file("becomes-file/deep/x", b"x")
        .file("becomes-dir", b"f")
        .file("gone", b"gone")
        .pax(&[("SCHILY.xattr.user.kept", b"1"), ("SCHILY.xattr.user.dropped", b"1")])
        .file("attributes", b"x")
        .file("linked", b"linked")
        .hardlink("link", "linked");
    let top = Tar::new().dir("dir").file("dir/.wh.b", b"").dir("other").file("other/c", b"c");
    Image::new("example/base:1").layer(base.finish()).layer(top.finish())
}

fn change(tree: &Path) {
    let at = |name: &str| tree.join(name);
    fs::remove_file(at("gone")).unwrap();
    fs::remove_dir_all(at("becomes-file")).unwrap();
    fs::write(at("becomes-file"), "a file now").unwrap();
    fs::remove_file(at("becomes-dir")).unwrap();
    fs::create_dir(at("becomes-dir")).unwrap();
    fs::write(at("becomes-dir/inside"), "x").unwrap();
    // Removed and made again: what was below must not shine through.
    fs::remove_dir_all(at("opaque")).unwrap();
    fs::create_dir(at("opaque")).unwrap();
    fs::write(at("opaque/above"), "above").unwrap();
    lsetxattr(at("attributes"), "user.added", b"\0\x01binary", XattrFlags::empty()).unwrap();
    lremovexattr(at("attributes"), "user.dropped").unwrap();
    lsetxattr(at("dir"), "user.on-dir", b"1", XattrFlags::empty()).unwrap();
    fs::write(at("link"), "written through one name").unwrap();
    fs::write(at("dir/b"), "b again").unwrap();
    fs::set_permissions(at("dir/a"), fs::Permissions::from_mode(0o4711)).unwrap();
    chown(at("other/c"), Some(70_000), Some(3_000_000)).unwrap();
    symlink("../nowhere", at("other/dangling")).unwrap();
    fs::create_dir(at("empty")).unwrap();
    fs::write(at("with\nnewline"), "").unwrap();
}

/// A container's tree. Layers say nothing of the root itself, as Docker's.
fn read(engine: &Engine, container: &str) -> Tree {
    let mut tree = Tree::read(&engine.mount(container).unwrap());
    engine.unmount(container).unwrap();
    tree.entries.remove(b"".as_slice());
    tree
}

fn tree_of(engine: &Engine, image: &str, name: &str) -> Tree {
    engine.create(&of(image, name)).unwrap();
    let tree = read(engine, name);
    engine.remove_container(name, false).unwrap();
    tree
}

fn diff_ids(engine: &Engine, image: &str) -> Vec<String> {
    let ids = engine.inspect_image(image).unwrap()["RootFS"]["Layers"].clone();
    serde_json::from_value(ids).unwrap()
}

/// A root with the image, and `example/new:1` committed from a changed container; the container's tree.
fn committed() -> (Bed, Engine, Tree, String) {
    let bed = Bed::new();
    let engine = bed.engine();
    load(&engine, &bed.file("base.tar", &image().docker_archive().tar())).unwrap();
    engine.create(&of("example/base:1", "box")).unwrap();
    change(&engine.mount("box").unwrap());
    engine.unmount("box").unwrap();
    let options = CommitOptions { reference: Some("example/new:1".into()), ..CommitOptions::default() };
    let id = engine.commit("box", &options).unwrap();
    let tree = read(&engine, "box");
    (bed, engine, tree, id)
}

#[test]
fn a_committed_image_is_the_containers_tree() {
    let (bed, engine, tree, _) = committed();
    assert_eq!(diff_ids(&engine, "example/new:1").len(), 3);
    tree.assert_same(&tree_of(&engine, "example/new:1", "new"), "the container and its image");
    assert!(!tree.entries.contains_key(b"opaque/below".as_slice()));
    bed.assert_sound(&engine);
}

#[test]
fn the_image_below_is_what_it_was() {
    let (bed, engine, ..) = committed();
    let other = Bed::new();
    let fresh = other.engine();
    load(&fresh, &bed.root().parent().unwrap().join("base.tar")).unwrap();
    let original = tree_of(&fresh, "example/base:1", "original");
    original.assert_same(&tree_of(&engine, "example/base:1", "again"), "the image below");
}

#[test]
fn a_saved_image_is_the_same_elsewhere() {
    let (bed, engine, tree, id) = committed();
    let ids = diff_ids(&engine, "example/new:1");
    for (format, name) in [
        (SaveFormat::DockerArchive, "docker.tar"),
        (SaveFormat::OciArchive, "oci.tar"),
        (SaveFormat::OciDir, "oci"),
    ] {
        let archive = bed.root().parent().unwrap().join(name);
        let images = ["example/new:1".to_owned()];
        engine.save(&images, format, SaveTarget::File(archive.clone()), &NoProgress).unwrap();
        let elsewhere = Bed::new();
        let there = elsewhere.engine();
        let loaded = load(&there, &archive).unwrap();
        assert_eq!(loaded.iter().map(|image| image.id.as_str()).collect::<Vec<_>>(), [id.as_str()], "{name}");
        assert_eq!(loaded[0].references, ["example/new:1"], "{name}");
        assert_eq!(diff_ids(&there, "example/new:1"), ids, "{name}");
        tree.assert_same(&tree_of(&there, "example/new:1", "box"), name);
        elsewhere.assert_sound(&there);
    }
    bed.assert_sound(&engine);
}

#[test]
fn committing_nothing_and_committing_twice_are_fine() {
    let (bed, engine, tree, id) = committed();
    let again = engine.commit("box", &CommitOptions::default()).unwrap();
    assert_ne!(again, id, "the time of creation is part of an image");
    tree.assert_same(&tree_of(&engine, &again, "again"), "the second commit");
    // The same changes are the same layer.
    assert_eq!(diff_ids(&engine, &again), diff_ids(&engine, &id));
    assert_eq!(engine.layers().unwrap().len(), 3);
    engine.create(&of("example/new:1", "idle")).unwrap();
    let empty = engine.commit("idle", &CommitOptions::default()).unwrap();
    tree.assert_same(&tree_of(&engine, &empty, "empty"), "a commit of nothing");
    bed.assert_sound(&engine);
}
