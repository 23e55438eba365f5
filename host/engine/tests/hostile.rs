//! Components that misbehave, through the whole engine: each gives a clear error, and nothing changes.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::PathBuf;

use common::{Bed, load, of, small};
use nacre_engine::{Class, Engine, Error};
use nacre_test_guests::{CORE_MODULE, EMPTY_COMPONENT, FICKLE, GARBAGE, HOSTILE, IMPORTS_WASI};

/// What the component does, and what the error says.
const FAULTS: [(&str, &str); 13] = [
    ("loop", "it ran longer than 2s"),
    ("memory", "it used more than 64 MiB of memory"),
    ("stack", "stack overflow"),
    ("panic", "the pearl is gone"),
    ("trap", "it gave up (unreachable)"),
    ("escape", "step 1 (make-dir) names the path `../x`"),
    ("absolute", "step 1 (make-dir) names the path `/etc/x`: it is absolute"),
    ("link", "step 2 (symlink)"),
    ("ungranted", "step 1 (mount-tmpfs) needs the grant `mount-tmpfs`"),
    ("foreign", "it is not in the footprint of the layer"),
    ("steps", "100000 steps"),
    ("bytes", "it handed over more than 16 MiB of data"),
    ("path", "the bytes of a path: 100000"),
];

struct Scene {
    bed: Bed,
    driver: PathBuf,
    archive: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let bed = Bed::new();
        let driver = bed.file("hostile.wasm", HOSTILE);
        let archive = bed.file("small.tar", &small().docker_archive().tar());
        Self { bed, driver, archive }
    }

    /// The engine with the driver told to misbehave so.
    fn engine(&self, how: &str) -> Engine {
        self.bed.engine_with(&self.driver, &[&format!("hostile.how={how}")])
    }

    /// An image and a container, made while the driver behaved.
    fn settled() -> Self {
        let scene = Self::new();
        let engine = scene.engine("none");
        load(&engine, &scene.archive).unwrap();
        engine.create(&of("example/small:1", "box")).unwrap();
        std::fs::write(scene.bed.layer_of("box").join("diff/precious"), "data").unwrap();
        scene
    }

    #[track_caller]
    fn assert_harmless<T: std::fmt::Debug>(
        &self,
        how: &str,
        words: &str,
        act: impl FnOnce(&Engine) -> Result<T, Error>,
    ) {
        let engine = self.engine(how);
        let before = self.bed.picture();
        let error = act(&engine).unwrap_err();
        let message = error.to_string();
        assert_eq!(error.class(), Class::Component, "{how}: {message}");
        assert!(message.contains("hostile") && message.contains(words), "{how}: {message}");
        before.assert_same(&self.bed.picture(), how);
        self.bed.assert_sound(&engine);
    }
}

#[test]
fn a_load_with_a_hostile_driver_leaves_nothing() {
    let scene = Scene::new();
    // The driver's home is made when it is first used.
    drop(scene.engine("none").info().unwrap());
    for (how, words) in FAULTS {
        scene.assert_harmless(how, words, |engine| load(engine, &scene.archive));
    }
}

#[test]
fn a_container_cannot_be_created_or_mounted_by_a_hostile_driver() {
    let scene = Scene::settled();
    for (how, words) in FAULTS {
        scene.assert_harmless(how, words, |engine| engine.create(&of("example/small:1", "new")));
        if how != "loop" {
            scene.assert_harmless(how, words, |engine| engine.mount("box"));
        }
    }
    let engine = scene.engine("none");
    assert!(engine.mount("box").unwrap().join("precious").exists(), "the good driver is hindered");
    engine.remove_container("box", true).unwrap();
    scene.bed.assert_sound(&engine);
}

#[test]
fn content_goes_nowhere_but_into_the_new_layer() {
    let scene = Scene::settled();
    let words = "names the place `elsewhere`";
    scene.assert_harmless("content", words, |engine| engine.create(&of("example/small:1", "new")));
}

#[test]
fn a_symbolic_link_is_no_way_into_another_layer() {
    let scene = Scene::settled();
    let engine = scene.engine("reach");
    let before = scene.bed.picture();
    let error = engine.mount("box").unwrap_err();
    assert!(matches!(error, Error::Step { number: 2, step: "remove-tree", .. }), "{error}");
    assert_eq!(error.class(), Class::Component);
    before.assert_same(&scene.bed.picture(), "reach");
    scene.bed.assert_sound(&engine);
}

#[test]
fn undoing_a_plan_does_not_remove_what_was_in_its_way() {
    let scene = Scene::settled();
    // The plan makes the container's folder, which is there.
    let engine = scene.engine("log");
    let before = scene.bed.picture();
    let error = engine.mount("box").unwrap_err();
    assert!(matches!(error, Error::Step { number: 1, step: "make-dir", .. }), "{error}");
    before.assert_same(&scene.bed.picture(), "log");
    scene.bed.assert_sound(&engine);
}

#[test]
fn a_flood_of_messages_hinders_nobody() {
    let scene = Scene::settled();
    let engine = scene.engine("log");
    engine.create(&of("example/small:1", "noisy")).unwrap();
    scene.bed.assert_sound(&engine);
}

#[test]
fn what_is_no_component_is_told_apart() {
    let bed = Bed::new();
    drop(bed.engine());
    let cases = [
        ("garbage.wasm", GARBAGE, "is not a WebAssembly component"),
        ("empty.wasm", b"".as_slice(), "is not a WebAssembly component"),
        ("half.wasm", &HOSTILE[..HOSTILE.len() / 2], "is not a WebAssembly component"),
        ("core.wasm", CORE_MODULE, "is not a WebAssembly component"),
        ("wasi.wasm", IMPORTS_WASI, "imports `wasi:cli/environment@0.2.0`"),
        ("nothing.wasm", EMPTY_COMPONENT, "does not implement nacre:storage@0.1.0"),
        ("fickle.wasm", FICKLE, "fickle"),
    ];
    for (name, bytes, words) in cases {
        let engine = bed.engine_with(&bed.file(name, bytes), &[]);
        let before = bed.picture();
        let error = engine.info().expect_err(name);
        assert_eq!(error.class(), Class::Component, "{name}: {error}");
        let message = error.to_string();
        assert!(message.contains(words), "{name}: {message}");
        assert!(message.contains(name) || message.contains("fickle"), "{name}: {message}");
        before.assert_same(&bed.picture(), name);
        // The root is not spoilt for others.
        drop(bed.engine().info().unwrap());
    }
}

#[test]
fn the_home_of_a_driver_from_a_file_is_checked_too() {
    let scene = Scene::settled();
    std::fs::write(scene.bed.root().join("hostile/stray"), "").unwrap();
    let findings = scene.engine("none").check(false).unwrap();
    assert_eq!(findings.iter().map(|f| f.kind.as_str()).collect::<Vec<_>>(), ["orphan"]);
    let findings = scene.bed.engine().check(false).unwrap();
    assert_eq!(findings.iter().map(|f| f.kind.as_str()).collect::<Vec<_>>(), ["absent-driver"]);
}

#[test]
fn a_component_that_is_not_there_is_named() {
    let bed = Bed::new();
    let path = bed.root().join("absent.wasm");
    let error = bed.engine_with(&path, &[]).info().unwrap_err();
    assert_eq!(error.class(), Class::NotFound);
    assert!(error.to_string().contains("absent.wasm"), "{error}");
}
