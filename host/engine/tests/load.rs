//! Loads side by side, loads that are refused, and deep chains.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Barrier, Mutex};

use common::{Bed, load, of, small};
use nacre_engine::{Class, Engine, LayerStatus, LoadOptions, LoadSource, Progress};
use nacre_tests::craft::{Header, Image, Packing, Tar};
use serde_json::json;

/// Folders of layers in the driver's home.
fn layer_dirs(bed: &Bed) -> usize {
    let Ok(home) = fs::read_dir(bed.root().join("overlay2")) else { return 0 };
    home.filter(|entry| entry.as_ref().unwrap().file_name().len() == 64).count()
}

/// Notes which layers were unpacked here.
#[derive(Debug, Default)]
struct Unpacked(Mutex<BTreeSet<String>>);

impl Progress for Unpacked {
    fn layer(&self, layer: &str, status: LayerStatus) {
        if matches!(status, LayerStatus::Loading { .. }) {
            self.0.lock().unwrap().insert(layer.to_owned());
        }
    }

    fn warning(&self, message: &str) {
        panic!("{message}");
    }
}

/// A file's content that differs from layer to layer and takes some time to unpack.
fn filler(seed: u8) -> Vec<u8> {
    (0..4_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 ^ seed).collect()
}

#[test]
fn two_loads_at_once_unpack_each_layer_once() {
    let bed = Bed::new();
    drop(bed.engine().info().unwrap());
    let base = Tar::new().file("base", &filler(1)).finish();
    let first =
        Image::new("example/first:1").layer(base.clone()).layer(Tar::new().file("a", &filler(2)).finish());
    let second = Image::new("example/second:1").layer(base).layer(Tar::new().file("b", &filler(3)).finish());
    let first = bed.file("first.tar", &first.oci_layout(Packing::Gzip).tar());
    let second = bed.file("second.tar", &second.docker_archive().tar());
    let archives = [&first, &first, &second, &second];
    let start = Barrier::new(archives.len());
    let unpacked: Vec<BTreeSet<String>> = std::thread::scope(|scope| {
        let threads = archives.map(|archive| {
            let (bed, start) = (&bed, &start);
            scope.spawn(move || {
                let (engine, seen) = (bed.engine(), Unpacked::default());
                start.wait();
                let source = LoadSource::File(archive.clone());
                engine.load(source, &LoadOptions::default(), &seen).unwrap();
                seen.0.into_inner().unwrap()
            })
        });
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let engine = bed.engine();
    assert_eq!((layer_dirs(&bed), engine.layers().unwrap().len()), (3, 3));
    assert_eq!(unpacked.iter().map(BTreeSet::len).sum::<usize>(), 3, "{unpacked:?}");
    assert_eq!(engine.images().unwrap().len(), 2);
    bed.assert_sound(&engine);
}

#[test]
fn a_layer_with_another_diff_id_than_promised_leaves_nothing() {
    let (bed, engine) = common::loaded();
    let base = Tar::new().file("another", b"x").finish();
    let mut image = Image::new("example/bad:1").layer(base).layer(Tar::new().file("f", b"x").finish());
    image.config["rootfs"]["diff_ids"][1] = json!(format!("sha256:{}", "0".repeat(64)));
    for (name, archive) in
        [("docker.tar", image.docker_archive().tar()), ("oci.tar", image.oci_layout(Packing::Zstd).tar())]
    {
        let archive = bed.file(name, &archive);
        let before = bed.picture();
        let error = load(&engine, &archive).unwrap_err();
        assert_eq!(error.class(), Class::BadArchive, "{error}");
        assert!(error.to_string().contains(&"0".repeat(64)), "{error}");
        before.assert_same(&bed.picture(), name);
        bed.assert_sound(&engine);
    }
    assert_eq!(layer_dirs(&bed), 2);
}

#[test]
fn a_failed_load_keeps_the_layers_of_others() {
    let (bed, engine) = common::loaded();
    let mut image = small().layer(Tar::new().file("more", b"x").finish());
    image.config["rootfs"]["diff_ids"][2] = json!(format!("sha256:{}", "0".repeat(64)));
    let archive = bed.file("more.tar", &image.docker_archive().tar());
    let before = bed.picture();
    load(&engine, &archive).unwrap_err();
    before.assert_same(&bed.picture(), "a failed load");
    bed.assert_sound(&engine);
}

/// An image of that many layers; each has a file of its own, and all write `last`.
fn tower(depth: usize) -> Image {
    (0..depth).fold(Image::new("example/tower:1"), |image, i| {
        let number = i.to_string();
        image.layer(
            Tar::new().file(format!("f{i}"), number.as_bytes()).file("last", number.as_bytes()).finish(),
        )
    })
}

fn assert_readable(bed: &Bed, engine: &Engine, depth: usize) {
    let archive = bed.file("tower.tar", &tower(depth).docker_archive().tar());
    load(engine, &archive).unwrap();
    engine.create(&of("example/tower:1", "box")).unwrap();
    let target = engine.mount("box").unwrap();
    assert_eq!(fs::read_to_string(target.join("f0")).unwrap(), "0");
    assert_eq!(fs::read_to_string(target.join("last")).unwrap(), (depth - 1).to_string());
    assert_eq!(fs::read_dir(&target).unwrap().count(), depth + 1);
    fs::write(target.join("f0"), "changed").unwrap();
    engine.unmount("box").unwrap();
    let changes = engine.diff("box").unwrap();
    assert_eq!(changes.iter().map(|c| (c.kind, c.path.as_slice())).collect::<Vec<_>>(), [('C', &b"/f0"[..])]);
    engine.remove_container("box", false).unwrap();
    engine.remove_image("example/tower:1", false, false).unwrap();
    assert_eq!(layer_dirs(bed), 0);
    bed.assert_sound(engine);
}

#[test]
fn images_of_130_and_400_layers_load_and_mount() {
    let bed = Bed::new();
    let engine = bed.engine();
    let limit = engine.info().unwrap().max_depth as usize;
    for depth in [130, 400] {
        if depth + 1 > limit {
            nacre_tests::skip(&format!("{depth} layers: this kernel mounts {limit}"));
        } else {
            assert_readable(&bed, &engine, depth);
        }
    }
}

#[test]
fn a_chain_that_is_too_long_is_refused_before_anything_is_unpacked() {
    let (bed, engine) = common::loaded();
    let limit = engine.info().unwrap().max_depth as usize;
    let depth = limit + 1;
    let archive = bed.file("tower.tar", &tower(depth).docker_archive().tar());
    let before = bed.picture();
    let seen = Unpacked::default();
    let error = engine.load(LoadSource::File(archive), &LoadOptions::default(), &seen).unwrap_err();
    assert!(seen.0.into_inner().unwrap().is_empty(), "layers were unpacked");
    let message = error.to_string();
    assert!(message.contains("overlay2") && message.contains(&limit.to_string()), "{message}");
    before.assert_same(&bed.picture(), "a chain that is too long");
    bed.assert_sound(&engine);
}

#[test]
fn a_directory_that_a_layer_only_implies_looks_as_it_does_below() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let bed = Bed::new();
    let header = Header { mode: 0o1777, owner: (33, 44), mtime: 1_000_000, ..Header::new("srv/t/", b'5') };
    let image = Image::new("implied:1")
        .layer(Tar::new().dir("srv").entry(&header, b"").dir("gone").file("gone/f", b"x").finish())
        .layer(Tar::new().file("other", b"x").finish())
        .layer(Tar::new().file("srv/t/new", b"x").file("own/f", b"x").finish())
        .layer(Tar::new().file("srv/t/newer", b"x").file(".wh.gone", b"").file("gone/g", b"x").finish());
    let archive = bed.file("implied.tar", &image.docker_archive().tar());
    let engine = bed.engine();
    load(&engine, &archive).unwrap();
    engine.create(&of("implied:1", "box")).unwrap();
    let merged = engine.mount("box").unwrap();
    let meta = fs::metadata(merged.join("srv/t")).unwrap();
    assert_eq!((meta.permissions().mode() & 0o7777, meta.uid(), meta.gid()), (0o1777, 33, 44));
    assert_eq!(meta.mtime(), 1_000_000);
    for name in ["own", "gone"] {
        let meta = fs::metadata(merged.join(name)).unwrap();
        assert_eq!((meta.permissions().mode() & 0o7777, meta.uid()), (0o755, 0), "{name}");
    }
    assert!(merged.join("srv/t/new").exists() && !merged.join("gone/f").exists());
    engine.unmount("box").unwrap();
    bed.assert_sound(&engine);
}
